//! [`Client`]: one question to the registry, and its answer. It waits for nobody: trying again is
//! the caller's business.

use super::login::{Login, Password};
use super::trouble::Trouble;
use crate::failure::one_line;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::decode::{Reference, SchemaKind, SchemaText};
use serde::Deserialize;
use std::collections::HashSet;
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, ResponseExt as _};
use url::Url;

/// How long an answer may take, and reaching the registry.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const REACHED_WITHIN: Duration = Duration::from_secs(4);
/// The longest answer, and the longest schema with all that it refers to; schemas have kilobytes.
const MAX_BYTES: u64 = 4 << 20;
const MAX_BYTES_IN_ALL: usize = 16 << 20;
/// Schemas that one may refer to, with all that these refer to.
const MAX_REFERENCES: usize = 500;

/// Asks a registry. It has no `Debug`: it knows a password.
pub struct Client {
    agent: Agent,
    bases: Vec<Url>,
    login: Option<Login>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpAnswer {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Referred>>,
}

#[derive(Deserialize)]
struct Referred {
    name: String,
    subject: String,
    version: i64,
}

/// A schema that another refers to.
#[derive(Default)]
struct References {
    known: HashSet<(String, i64)>,
    all: Vec<Reference>,
    /// How many more bytes they may have.
    left: usize,
}

impl References {
    fn take_from(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let most = MAX_BYTES_IN_ALL >> 20;
            Trouble::Unusable(format!("with all that it refers to it has more than {most} MiB"))
        })?;
        Ok(())
    }
}

impl Client {
    /// `authorities`: certificates in PEM that are trusted besides the system's.
    ///
    /// # Errors
    /// If the URL is none; with a sentence without it, since it may hold a password.
    pub fn new(
        urls: &[&str],
        login: Option<Login>,
        authorities: Option<&[u8]>,
    ) -> Result<Self, String> {
        let (mut bases, mut login) = (Vec::new(), login);
        for url in urls {
            let (base, of_url) = parse(url)?;
            bases.push(base);
            login = login.or(of_url);
        }
        let is_secure = bases.iter().any(|base| base.scheme() == "https");
        let roots = if is_secure { read_roots(authorities)? } else { Vec::new() };
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Without its login, a user that was sent on would seem to be refused.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .timeout_connect(Some(REACHED_WITHIN))
            .user_agent("stock-lambda")
            .build();
        Ok(Self { agent: agent.into(), bases, login })
    }

    /// Whether a registry is there and lets this user in.
    ///
    /// # Errors
    /// [`Trouble`]; one that does not show this user the schema that is asked for is there.
    pub fn probe(&self) -> Result<(), Trouble> {
        // Whatever it says of the first schema, it is there; there is no question that all
        // registries know besides.
        let forbidden = self.in_turn(|base| match self.answer(base, &["schemas", "ids", "1"]) {
            Err(Trouble::None(_) | Trouble::Unusable(_)) => Ok(None),
            Err(Trouble::Forbidden(why)) => Ok(Some(why)),
            answer => answer.map(|_| None),
        })?;
        forbidden.map_or(Ok(()), |why| Err(Trouble::Forbidden(why)))
    }

    /// The schema of this number, with all that it refers to: a subject may be another one
    /// elsewhere, so one registry has it all.
    ///
    /// # Errors
    /// If there is no answer: see [`Trouble`].
    pub fn schema(&self, id: u32) -> Result<SchemaText, Trouble> {
        self.in_turn(|base| self.schema_of(base, id))
    }

    /// The first registry that has an answer is right.
    fn in_turn<T>(&self, ask: impl Fn(&Url) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut troubles = Vec::new();
        for base in &self.bases {
            match ask(base) {
                Ok(answer) => return Ok(answer),
                Err(trouble) => troubles.push(trouble),
            }
        }
        Err(Trouble::of_all(troubles))
    }

    fn schema_of(&self, base: &Url, id: u32) -> Result<SchemaText, Trouble> {
        let HttpAnswer { schema, schema_type, references } =
            self.answer(base, &["schemas", "ids", &id.to_string()])?;
        let kind = match schema_type.as_deref() {
            None | Some("AVRO") => SchemaKind::Avro,
            Some("PROTOBUF") => SchemaKind::Protobuf,
            Some("JSON") => SchemaKind::Json,
            Some(other) => {
                return Err(Trouble::Unusable(format!(
                    "it is of the type {other}, which is not read here"
                )));
            }
        };
        let mut found = References {
            left: MAX_BYTES_IN_ALL.saturating_sub(schema.len()),
            ..References::default()
        };
        if kind != SchemaKind::Json {
            self.add_references(base, &references.unwrap_or_default(), &mut found)?;
        }
        Ok(SchemaText { kind, text: schema, references: found.all })
    }

    /// Each after those that it needs itself.
    fn add_references(
        &self,
        base: &Url,
        references: &[Referred],
        found: &mut References,
    ) -> Result<(), Trouble> {
        for Referred { name, subject, version } in references {
            if !found.known.insert((subject.clone(), *version)) {
                continue;
            }
            if found.known.len() > MAX_REFERENCES {
                return Err(Trouble::Unusable(format!(
                    "it refers to more than {MAX_REFERENCES} schemas"
                )));
            }
            let version = version.to_string();
            let answer = self.answer(base, &["subjects", subject, "versions", &version])?;
            found.take_from(answer.schema.len())?;
            self.add_references(base, &answer.references.unwrap_or_default(), found)?;
            found.all.push(Reference { name: name.clone(), text: answer.schema });
        }
        Ok(())
    }

    fn answer(&self, base: &Url, path: &[&str]) -> Result<HttpAnswer, Trouble> {
        let url = extended(base, path);
        let text = self.ask(&url)?;
        serde_json::from_str(&text).map_err(|error| {
            let asked = "is this a schema registry? (--schema-registry)";
            Trouble::Away(format!("{url} says no schema: {error}; {asked}"))
        })
    }

    fn ask(&self, url: &Url) -> Result<String, Trouble> {
        let mut request = self
            .agent
            .get(url.as_str())
            .header("Accept", "application/vnd.schemaregistry.v1+json, */*;q=0.5");
        if let Some(Login { user, password }) = &self.login {
            let login = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
            request = request.header("Authorization", format!("Basic {login}"));
        }
        let away = |error: ureq::Error| Trouble::Away(format!("{url}: {}", one_line(&error)));
        let mut response = request.call().map_err(away)?;
        let status = response.status().as_u16();
        let another = another_host(url, response.get_uri());
        let text = response.body_mut().with_config().limit(MAX_BYTES).read_to_string();
        let trouble = match (status, text) {
            (200, Err(ureq::Error::BodyExceedsLimit(_))) => {
                let most = MAX_BYTES >> 20;
                Trouble::Unusable(format!("{url} answers with more than {most} MiB"))
            }
            (200, text) => return text.map_err(away),
            // The status says it all where its words cannot be read.
            (status, text) => Trouble::of_answer(url, status, &text.unwrap_or_default()),
        };
        Err(match another {
            Some(host) => trouble.of_another_host(&host),
            None => trouble,
        })
    }
}

/// Who has answered, if a question was sent on to where this user's login does not go along.
fn another_host(asked: &Url, answered: &Uri) -> Option<String> {
    let host = answered.host()?;
    let is_own = asked.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host));
    let scheme = answered.scheme_str().unwrap_or_default();
    let port = answered.port().map(|port| format!(":{port}")).unwrap_or_default();
    let keeps_login = is_own && (scheme == asked.scheme() || scheme == "https");
    (!keeps_login).then(|| format!("{scheme}://{host}{port}"))
}

/// The URL without a login, and the login that it held.
fn parse(text: &str) -> Result<(Url, Option<Login>), String> {
    const EXAMPLE: &str = "expected http://host:8081 or https://host:8081";
    let text = if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
    let mut url = Url::parse(&text).map_err(|error| format!("{error}; {EXAMPLE}"))?;
    if !matches!(url.scheme(), "http" | "https")
        || url.host_str().is_none()
        || url.query().is_some()
    {
        return Err(EXAMPLE.to_owned());
    }
    let login = (!url.username().is_empty()).then(|| login_of(&url));
    // Neither fails where there is a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok((url, login))
}

fn login_of(url: &Url) -> Login {
    let decoded = |text: &str| percent_decoded(text);
    Login {
        user: decoded(url.username()),
        password: Password::Text(decoded(url.password().unwrap_or_default())),
    }
}

fn percent_decoded(text: &str) -> String {
    // As in a form, but for the plus sign, which is itself.
    let form = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn extended(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

fn read_roots(authorities: Option<&[u8]>) -> Result<Vec<Certificate<'static>>, String> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots: Vec<_> =
        system.certs.iter().map(|found| Certificate::from_der(found).to_owned()).collect();
    let Some(pem) = authorities else {
        return Ok(roots);
    };
    let before = roots.len();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
            Ok(_) => {}
            Err(error) => {
                return Err(format!("the certificates of --schema-registry-ca-file: {error}"));
            }
        }
    }
    match roots.len() > before {
        true => Ok(roots),
        false => Err("--schema-registry-ca-file holds no certificate".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    const NONE: &str = r#"{"error_code":40403,"message":"Schema not found"}"#;
    /// The header for the user `me` with the password `pw`.
    const LOGIN: &str = "authorization: basic bwu6chc=";

    #[test]
    fn a_login_in_a_url_is_taken_out_of_it() {
        let (url, login) = parse("https://me:p%40ss+w@registry:8081/sub").unwrap();
        assert_eq!(url.as_str(), "https://registry:8081/sub/");
        let Login { user, password } = login.unwrap();
        assert_eq!((user.as_str(), password.expose().as_str()), ("me", "p@ss+w"));
        assert_eq!(
            extended(&url, &["subjects", "a/b c", "versions", "1"]).path(),
            "/sub/subjects/a%2Fb%20c/versions/1"
        );
        assert!(parse("http://registry:8081").unwrap().1.is_none());
    }

    /// The lines of a question.
    fn read(stream: &TcpStream) -> Vec<String> {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.take_while(|line| !line.is_empty()).collect()
    }

    /// The caller may have heard enough before it ends.
    fn reply(mut stream: &TcpStream, head: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).ok();
    }

    /// The URL of a registry that says to each question what `answer` has for its path: status and
    /// body.
    fn registry_of(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let asked = read(&stream);
                // A connection may be opened and not used.
                let Some(path) = asked.first().and_then(|line| line.split(' ').nth(1)) else {
                    continue;
                };
                let (status, body) = answer(path);
                reply(&stream, &format!("{status} So"), &body);
            }
        });
        url
    }

    fn registry(status: u16, body: &'static str) -> String {
        registry_of(move |_| (status, body.to_owned()))
    }

    type Requests = std::thread::JoinHandle<Vec<String>>;

    /// Answers a question with each of these, a head and a body; gives what was asked.
    fn serve(listener: TcpListener, answers: Vec<(String, &'static str)>) -> Requests {
        let answer = move |(head, body): (String, &str)| {
            let (stream, _) = listener.accept().unwrap();
            let asked = read(&stream);
            reply(&stream, &head, body);
            asked.join("\n").to_ascii_lowercase()
        };
        std::thread::spawn(move || answers.into_iter().map(answer).collect())
    }

    fn moved(to: &str) -> (String, &'static str) {
        (format!("301 Moved Permanently\r\nLocation: {to}"), "")
    }

    #[test]
    fn a_registry_that_sends_on_to_the_same_host_is_asked_there_with_the_login() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = ("200 OK".to_owned(), r#"{"schema":"\"int\""}"#);
        let none = ("404 Not Found".to_owned(), NONE);
        let to = format!("http://127.0.0.1:{port}/new");
        let server = serve(listener, vec![moved(&to), found, moved(&to), none]);
        let client = Client::new(&[&format!("http://me:pw@127.0.0.1:{port}")], None, None).unwrap();
        assert_eq!(client.schema(7).map(|schema| schema.text), Ok("\"int\"".to_owned()));
        assert!(matches!(client.schema(8), Err(Trouble::None(_))), "it is its own word");
        let asked = server.join().unwrap();
        let (first, second) = (&asked[0], &asked[1]);
        assert!(first.starts_with("get /schemas/ids/7"), "{first}");
        assert!(second.starts_with("get /new"), "{second}");
        assert!(first.contains(LOGIN) && second.contains(LOGIN), "{second}");
    }

    /// The registry is asked without the login, so nothing that it says of this user or of schemas
    /// counts but a schema.
    #[test]
    fn a_host_that_a_registry_sends_on_to_does_not_speak_for_it() {
        let bind = |host: &str| TcpListener::bind((host, 0)).unwrap();
        let (own, another) = (bind("127.0.0.1"), bind("127.0.0.2"));
        let (port, to) = (own.local_addr().unwrap().port(), another.local_addr().unwrap());
        let no = [("404 Not Found", NONE), ("401 Unauthorized", ""), ("403 Forbidden", "")];
        let no = no.map(|(status, body)| (status.to_owned(), body));
        let found = ("200 OK".to_owned(), r#"{"schema":"\"int\""}"#);
        let sends_on = serve(own, vec![moved(&format!("http://{to}/new")); no.len() + 1]);
        let answers = serve(another, no.into_iter().chain([found]).collect());
        let client = Client::new(&[&format!("http://me:pw@127.0.0.1:{port}")], None, None).unwrap();
        for status in [404, 401, 403] {
            let told = client.schema(7).unwrap_err();
            let is_named = told.why().contains(&format!("answers {status}"))
                && told.why().contains(&format!("so says http://{to}"));
            assert!(matches!(told, Trouble::Away(_)) && is_named, "{told:?}");
        }
        assert!(client.schema(7).is_ok());
        assert!(sends_on.join().unwrap().iter().all(|asked| asked.contains(LOGIN)));
        assert!(!answers.join().unwrap().iter().any(|asked| asked.contains("authorization")));
    }

    #[test]
    fn of_several_registries_all_must_have_none_before_there_is_none() {
        let (none, away) = (registry(404, NONE), registry(500, "no"));
        let has = registry(200, r#"{"schema":"\"int\""}"#);
        let ask = |urls: &[&str]| Client::new(urls, None, None).unwrap().schema(7);
        assert!(ask(&[&none, &has]).is_ok() && ask(&[&away, &none, &has]).is_ok());
        assert!(matches!(ask(&[&none, &away]), Err(Trouble::Away(_))));
        assert!(matches!(ask(&[&away, &none]), Err(Trouble::Away(_))));
        assert!(matches!(ask(&[&none, &none]), Err(Trouble::None(_))));
    }

    #[test]
    fn where_a_registry_does_not_give_a_schema_the_next_one_is_asked() {
        let (has, none) = (registry(200, r#"{"schema":"\"int\""}"#), registry(404, NONE));
        let (has, none) = (has.as_str(), none.as_str());
        let ask = |urls: [&str; 2]| Client::new(&urls, None, None).unwrap().schema(7);
        let probe = |urls: [&str; 2]| Client::new(&urls, None, None).unwrap().probe();
        for (status, body) in [
            (401, r#"{"error_code":40101,"message":"who?"}"#),
            (403, r#"{"error_code":40301,"message":"not yours"}"#),
            (200, "<html>welcome</html>"),
            (200, ""),
            (200, r#"{"error_code":50001,"message":"backend"}"#),
            (404, "not here"),
            (503, "busy"),
        ] {
            let other = registry(status, body);
            let other = other.as_str();
            assert!(ask([other, has]).is_ok() && ask([has, other]).is_ok(), "{status} {body}");
            for urls in [[other, none], [none, other]] {
                let is_there = matches!(probe(urls), Ok(()) | Err(Trouble::Forbidden(_)));
                assert!(is_there, "{status} {body}");
                // It is not known whether there is one.
                let told = ask(urls).unwrap_err();
                let is_waited_for = matches!(told, Trouble::Forbidden(_) | Trouble::Away(_));
                assert!(is_waited_for && told.why().contains(other), "{status} {body}: {told:?}");
            }
        }
    }

    /// One number and name may mean another schema elsewhere.
    #[test]
    fn what_a_schema_refers_to_comes_from_the_registry_that_has_it() {
        let of = |schema: (u16, &'static str), referred: (u16, &'static str)| {
            registry_of(move |path| {
                let (status, body) = if path.contains("/ids/") { schema } else { referred };
                (status, body.to_owned())
            })
        };
        let refers =
            r#"{"schema":"\"int\"","references":[{"name":"r","subject":"s","version":1}]}"#;
        let without = of((404, NONE), (200, r#"{"schema":"another"}"#));
        let broken = of((200, refers), (500, "no"));
        let has = of((200, refers), (200, r#"{"schema":"meant"}"#));
        let urls = [without.as_str(), broken.as_str(), has.as_str()];
        let schema = Client::new(&urls, None, None).unwrap().schema(7).unwrap();
        assert_eq!(schema.references[0].text, "meant");
    }

    #[test]
    fn a_schema_that_is_too_large_is_there_and_of_no_use_alone_or_with_its_references() {
        let large = |bytes: usize| format!(r#"{{"schema":"\"{}\""}}"#, "x".repeat(bytes));
        let asked = |references: &str, each: usize| {
            let referring = format!(r#"{{"schema":"\"int\"","references":[{references}]}}"#);
            let referred = large(each);
            let url = registry_of(move |path| {
                let body = if path.contains("/ids/") { &referring } else { &referred };
                (200, body.clone())
            });
            let told = Client::new(&[&url], None, None).unwrap().schema(7);
            told.map(|schema| schema.references.len())
        };
        let refer =
            |number: u32| format!(r#"{{"name":"r{number}","subject":"s{number}","version":1}}"#);
        let five: Vec<String> = (0..5).map(refer).collect();
        assert_eq!(asked(&five.join(","), 3 << 20), Ok(5));
        let why = asked(&five.join(","), 4_000_000).unwrap_err();
        assert!(
            matches!(&why, Trouble::Unusable(why) if why.contains("more than 16 MiB")),
            "{why:?}"
        );
        let why = asked(&refer(0), 5 << 20).unwrap_err();
        let named = "/subjects/s0/versions/1 answers with more than 4 MiB";
        assert!(matches!(&why, Trouble::Unusable(why) if why.contains(named)), "{why:?}");
    }

    #[test]
    fn a_schema_of_another_type_or_with_more_references_than_are_read_is_of_no_use() {
        let unusable = |told: Result<SchemaText, Trouble>, words: &str| {
            let is_it = matches!(&told, Err(Trouble::Unusable(why)) if why.contains(words));
            assert!(is_it, "{told:?}");
        };
        let url = registry(200, r#"{"schema":"x","schemaType":"XML"}"#);
        unusable(Client::new(&[&url], None, None).unwrap().schema(7), "of the type XML");
        for count in [MAX_REFERENCES, MAX_REFERENCES + 1] {
            let refer = |number: usize| {
                format!(r#"{{"name":"r{number}","subject":"s{number}","version":1}}"#)
            };
            let all = (0..count).map(refer).collect::<Vec<_>>().join(",");
            let referring = format!(r#"{{"schema":"\"int\"","references":[{all}]}}"#);
            let url = registry_of(move |path| {
                let referred = r#"{"schema":"x"}"#;
                (200, if path.contains("/ids/") { &referring } else { referred }.to_owned())
            });
            let told = Client::new(&[&url], None, None).unwrap().schema(7);
            match count > MAX_REFERENCES {
                false => assert_eq!(told.map(|schema| schema.references.len()), Ok(count)),
                true => unusable(told, "more than 500 schemas"),
            }
        }
    }

    #[test]
    fn what_is_no_url_of_a_registry_is_refused_without_showing_it() {
        for text in [
            "registry:8081",
            "ftp://me:s3cret@h",
            "http://me:s3cret@",
            "http://me:s3cret@h:x",
            "http://h/?a=s3cret",
        ] {
            let error = parse(text).err().unwrap();
            assert!(
                error.contains("http://host:8081") && !error.contains("s3cret"),
                "{text}: {error}"
            );
        }
    }
}
