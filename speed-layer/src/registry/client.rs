//! [`Client`]: one question to the registry, and its answer. It waits for nobody: trying again is
//! the caller's business.

use super::login::{Login, Password};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::decode::{Reference, SchemaKind, SchemaText};
use serde::Deserialize;
use service::failure::one_line;
use std::collections::HashSet;
use std::time::Duration;
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use url::Url;

/// How long an answer may take, and reaching the registry.
const PATIENCE: Duration = Duration::from_secs(10);
const REACHED_WITHIN: Duration = Duration::from_secs(4);
/// The longest answer, and the longest schema with all that it refers to; schemas have kilobytes.
const MAX_BYTES: u64 = 4 << 20;
const MAX_BYTES_IN_ALL: usize = 16 << 20;
/// Schemas that one may refer to, with all that these refer to.
const MAX_REFERENCES: usize = 500;
/// What is shown of an answer that is none of a registry's.
const SHOWN: usize = 200;

/// Why there is no answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The registry says that there is no such schema, in its words.
    None(String),
    /// The registry has it, and it is none that is read here.
    Unusable(String),
    /// The registry does not let this user in, in its words.
    Refused(String),
    /// This user may not see the schema, in the registry's words.
    Forbidden(String),
    /// Nobody answers, or nobody who knows.
    Away(String),
}

/// Asks a registry. It has no `Debug`: it knows a password.
pub struct Client {
    agent: Agent,
    bases: Vec<Url>,
    login: Option<Login>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
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

/// What a registry says where it has no answer.
#[derive(Deserialize)]
struct Complaint {
    error_code: i64,
    #[serde(default)]
    message: String,
}

/// What a schema refers to.
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
    /// A sentence without the URL, which may hold a password.
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
        let roots = if is_secure { roots(authorities)? } else { Vec::new() };
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Without its login, a user that was sent on would seem to be refused.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(REACHED_WITHIN))
            .user_agent("stock-lambda")
            .build();
        Ok(Self { agent: agent.into(), bases, login })
    }

    /// Whether the registry is there and lets this user in.
    ///
    /// # Errors
    /// [`Trouble`]
    pub fn probe(&self) -> Result<(), Trouble> {
        // Whatever it says of the first schema, it is there; there is no question that all
        // registries know besides.
        match self.ask(&["schemas", "ids", "1"]) {
            Err(Trouble::None(_) | Trouble::Unusable(_)) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// The schema of this number, with all that it refers to.
    ///
    /// # Errors
    /// [`Trouble`]
    pub fn schema(&self, id: u32) -> Result<SchemaText, Trouble> {
        let Answer { schema, schema_type, references } =
            self.answer(&["schemas", "ids", &id.to_string()])?;
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
            self.add_references(&references.unwrap_or_default(), &mut found)?;
        }
        Ok(SchemaText { kind, text: schema, references: found.all })
    }

    /// Each behind those that it needs itself.
    fn add_references(
        &self,
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
            let answer = self.answer(&["subjects", subject, "versions", &version.to_string()])?;
            found.take_from(answer.schema.len())?;
            self.add_references(&answer.references.unwrap_or_default(), found)?;
            found.all.push(Reference { name: name.clone(), text: answer.schema });
        }
        Ok(())
    }

    fn answer(&self, path: &[&str]) -> Result<Answer, Trouble> {
        let text = self.ask(path)?;
        serde_json::from_str(&text)
            .map_err(|error| Trouble::Away(format!("{} says no schema: {error}", self.shown(path))))
    }

    /// The first registry that has it is right. That there is none only counts where all have said
    /// so: one that lags, or another one's outage, must not make a good message a reject.
    fn ask(&self, path: &[&str]) -> Result<String, Trouble> {
        let mut told = None;
        for base in &self.bases {
            match self.ask_one(base, path) {
                Err(none @ (Trouble::None(_) | Trouble::Unusable(_))) => {
                    told.get_or_insert(none);
                }
                Err(Trouble::Away(why)) if !matches!(told, Some(Trouble::Away(_))) => {
                    told = Some(Trouble::Away(why))
                }
                Err(Trouble::Away(_)) => {}
                answer => return answer,
            }
        }
        Err(told.unwrap_or_else(|| Trouble::Away("no registry is named".to_owned())))
    }

    fn ask_one(&self, base: &Url, path: &[&str]) -> Result<String, Trouble> {
        let url = extended(base, path);
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
        let text = response.body_mut().with_config().limit(MAX_BYTES).read_to_string();
        match (status, text) {
            (200, Err(ureq::Error::BodyExceedsLimit(_))) => Err(Trouble::Unusable(format!(
                "{url} answers with more than {} MiB",
                MAX_BYTES >> 20
            ))),
            (200, text) => text.map_err(away),
            // The status says it all where its words cannot be read.
            (status, text) => Err(trouble(&url, status, &text.unwrap_or_default())),
        }
    }

    fn shown(&self, path: &[&str]) -> String {
        self.bases.first().map(|base| extended(base, path).to_string()).unwrap_or_default()
    }
}

/// What an answer other than 200 means. A registry's own code of five digits speaks of what was
/// asked for; anything else, as a web server's 404, of who was asked.
fn trouble(url: &Url, status: u16, text: &str) -> Trouble {
    let complaint = serde_json::from_str::<Complaint>(text).ok();
    let words = match &complaint {
        Some(complaint) => complaint.message.clone(),
        None => text.chars().take(SHOWN).collect(),
    };
    let said = one_line(&format!("{url} answers {status}: {words}"));
    let is_of_schema =
        complaint.is_some_and(|complaint| complaint.error_code / 100 == i64::from(status));
    match status {
        401 => {
            Trouble::Refused(format!("{said} (--schema-registry-user, SCHEMA_REGISTRY_PASSWORD)"))
        }
        403 => Trouble::Forbidden(format!(
            "{said} (--schema-registry-user must be allowed to read schemas)"
        )),
        404 | 422 if is_of_schema => Trouble::None(said),
        404 => Trouble::Away(format!("{said}; is this a schema registry? (--schema-registry)")),
        _ => Trouble::Away(said),
    }
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

fn roots(authorities: Option<&[u8]>) -> Result<Vec<Certificate<'static>>, String> {
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
    use std::net::TcpListener;
    use testing::{HttpProxy, HttpRequest, Treatment};

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

    async fn registry(status: u16, body: &'static str) -> (HttpProxy, String) {
        let answer = move |_: &HttpRequest| Treatment::Answer { status, body: body.to_owned() };
        // It has no server behind it.
        let proxy = HttpProxy::start("127.0.0.1:1", answer).await;
        let url = format!("http://{}", proxy.address());
        (proxy, url)
    }

    #[test]
    fn a_registry_that_sends_on_to_the_same_host_is_asked_there_with_the_login() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let body = r#"{"schema":"\"int\""}"#;
            let moved = format!(
                "301 Moved Permanently\r\nLocation: http://127.0.0.1:{port}/new\r\nContent-Length: 0"
            );
            let found = format!("200 OK\r\nContent-Length: {}", body.len());
            [(moved, ""), (found, body)].map(|(head, body)| {
                let (stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(&stream).lines().map(Result::unwrap);
                let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
                (&stream).write_all(answer.as_bytes()).unwrap();
                asked.join("\n").to_ascii_lowercase()
            })
        });
        let client = Client::new(&[&format!("http://me:pw@127.0.0.1:{port}")], None, None).unwrap();
        assert_eq!(client.schema(7).map(|schema| schema.text), Ok("\"int\"".to_owned()));
        let [first, second] = server.join().unwrap();
        assert!(first.starts_with("get /schemas/ids/7"), "{first}");
        assert!(second.starts_with("get /new"), "{second}");
        let login = "authorization: basic bwu6chc=";
        assert!(first.contains(login) && second.contains(login), "{second}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_several_registries_all_must_have_none_before_there_is_none() {
        let (_first, none) =
            registry(404, r#"{"error_code":40403,"message":"Schema not found"}"#).await;
        let (_second, away) = registry(500, "no").await;
        let (_third, has) = registry(200, r#"{"schema":"\"int\""}"#).await;
        let ask = |urls: &[&str]| Client::new(urls, None, None).unwrap().schema(7);
        assert!(ask(&[&none, &has]).is_ok() && ask(&[&away, &none, &has]).is_ok());
        assert!(matches!(ask(&[&none, &away]), Err(Trouble::Away(_))));
        assert!(matches!(ask(&[&away, &none]), Err(Trouble::Away(_))));
        assert!(matches!(ask(&[&none, &none]), Err(Trouble::None(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_schema_that_is_too_large_is_there_and_of_no_use_alone_or_with_its_references() {
        let large = |bytes: usize| format!(r#"{{"schema":"\"{}\""}}"#, "x".repeat(bytes));
        let asked = |references: &str, each: usize| {
            let referring = format!(r#"{{"schema":"\"int\"","references":[{references}]}}"#);
            let referred = large(each);
            async move {
                let proxy = HttpProxy::start("127.0.0.1:1", move |request: &HttpRequest| {
                    let body = if request.path.contains("/ids/") {
                        referring.clone()
                    } else {
                        referred.clone()
                    };
                    Treatment::Answer { status: 200, body }
                })
                .await;
                let url = format!("http://{}", proxy.address());
                Client::new(&[&url], None, None)
                    .unwrap()
                    .schema(7)
                    .map(|schema| schema.references.len())
            }
        };
        let refer =
            |number: u32| format!(r#"{{"name":"r{number}","subject":"s{number}","version":1}}"#);
        let five: Vec<String> = (0..5).map(refer).collect();
        assert_eq!(asked(&five.join(","), 3 << 20).await, Ok(5));
        let why = asked(&five.join(","), 4_000_000).await.unwrap_err();
        assert!(
            matches!(&why, Trouble::Unusable(why) if why.contains("more than 16 MiB")),
            "{why:?}"
        );
        let why = asked(&refer(0), 5 << 20).await.unwrap_err();
        let named = "/subjects/s0/versions/1 answers with more than 4 MiB";
        assert!(matches!(&why, Trouble::Unusable(why) if why.contains(named)), "{why:?}");
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

    #[test]
    fn only_a_registrys_own_word_says_that_there_is_no_schema() {
        let url = Url::parse("http://h/").unwrap();
        let of = |status, text: &str| trouble(&url, status, text);
        assert!(
            matches!(of(404, r#"{"error_code":40403,"message":"Schema not found"}"#), Trouble::None(why) if why.contains("Schema not found"))
        );
        for (status, text) in [
            (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#),
            (404, "<html>nothing here</html>"),
            (500, r#"{"error_code":50001,"message":"backend"}"#),
            (429, ""),
            (503, "x"),
        ] {
            assert!(matches!(of(status, text), Trouble::Away(_)), "{status} {text}");
        }
        let words = r#"{"error_code":40101,"message":"who?"}"#;
        assert!(matches!(of(401, words), Trouble::Refused(why) if why.contains("who?")));
        assert!(matches!(of(403, words), Trouble::Forbidden(why) if why.contains("who?")));
    }
}
