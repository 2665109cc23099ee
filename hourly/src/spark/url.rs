//! [`SparkUrl`]: `sc://host:port/;token=..;use_ssl=true;user_id=..`, as Spark's own clients read
//! it.

use std::fmt;
use std::str::FromStr;

/// The default port.
const USUAL_PORT: u16 = 15002;

/// Where a server of Spark Connect is, and as whom it is asked. Its token shows neither in `Debug`
/// nor in `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct SparkUrl {
    /// With brackets around an IPv6 address.
    pub host: String,
    pub port: u16,
    pub use_ssl: bool,
    /// Sent as a bearer token.
    pub token: Option<String>,
    pub user_id: Option<String>,
    /// What else is sent with each request, such as `x-databricks-cluster-id`.
    pub headers: Vec<(String, String)>,
}

impl FromStr for SparkUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("sc://").ok_or("expected sc://HOST:PORT/;NAME=VALUE;..")?;
        let (authority, parameters) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host_and_port(authority)?;
        let mut url =
            Self { host, port, use_ssl: false, token: None, user_id: None, headers: Vec::new() };
        for parameter in parameters.split(';').filter(|parameter| !parameter.is_empty()) {
            url.take(parameter)?;
        }
        // As Spark's clients do: who sends a secret sends it by TLS.
        url.use_ssl |= url.token.is_some();
        Ok(url)
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), String> {
    if authority.contains('@') {
        return Err(
            "a password has no place in it; expected sc://HOST:PORT/;token=TOKEN".to_owned()
        );
    }
    let after_host = if authority.starts_with('[') { authority.find(']').unwrap_or(0) } else { 0 };
    let (host, port) = match authority[after_host..].rfind(':') {
        Some(at) => (&authority[..after_host + at], &authority[after_host + at + 1..]),
        None => (authority, ""),
    };
    if host.is_empty() {
        return Err("it names no host; expected sc://HOST:PORT".to_owned());
    }
    let port = if port.is_empty() { Ok(USUAL_PORT) } else { port.parse() };
    port.map(|port| (host.to_owned(), port))
        .map_err(|_| format!("its port is no number up to {}", u16::MAX))
}

impl SparkUrl {
    /// Takes in a parameter. No error repeats a value, which may be a secret.
    fn take(&mut self, parameter: &str) -> Result<(), String> {
        let (name, value) =
            parameter.split_once('=').ok_or("a parameter has no value; expected ;NAME=VALUE")?;
        let value = percent_decoded(value)
            .ok_or_else(|| format!("the value of {name} cannot be decoded"))?;
        match name {
            "use_ssl" => {
                self.use_ssl =
                    value.parse().map_err(|_| "use_ssl is neither true nor false".to_owned())?;
            }
            "token" => self.token = Some(value),
            "user_id" => self.user_id = Some(value),
            "session_id" | "user_agent" => {}
            _ => self.headers.push((name.to_ascii_lowercase(), value)),
        }
        Ok(())
    }

    /// For a client of HTTP/2.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.use_ssl { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// `%3B` is a semicolon.
fn percent_decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first == b'%' {
            let digits = str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for SparkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sc://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for SparkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SparkUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> SparkUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_is_read_as_sparks_own_clients_read_it() {
        let url = read("sc://spark:15003/;token=a%3Bb;user_id=me;x-databricks-cluster-id=7");
        assert_eq!(
            (url.endpoint(), url.token.as_deref()),
            ("https://spark:15003".to_owned(), Some("a;b"))
        );
        assert_eq!(url.user_id.as_deref(), Some("me"));
        assert_eq!(url.headers, [("x-databricks-cluster-id".to_owned(), "7".to_owned())]);
        assert_eq!(read("sc://spark").endpoint(), "http://spark:15002");
        assert_eq!(read("sc://[::1]:7/").endpoint(), "http://[::1]:7");
        assert_eq!(read("sc://[::1]").endpoint(), "http://[::1]:15002");
        assert_eq!(read("sc://spark/;use_ssl=true").endpoint(), "https://spark:15002");
    }

    #[test]
    fn a_token_is_neither_shown_nor_repeated_in_an_error() {
        let url = read("sc://spark/;token=s3cret");
        assert_eq!(format!("{url} {url:?}"), "sc://spark:15002 SparkUrl(sc://spark:15002)");
        for text in ["sc://spark/;token=s3cret%zz", "sc://user:s3cret@spark", "sc://spark/;s3cret"]
        {
            let error = text.parse::<SparkUrl>().unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn what_is_no_url_of_spark_connect_is_refused() {
        for text in [
            "",
            "http://spark",
            "spark:15002",
            "sc://",
            "sc://:15002",
            "sc://spark:port",
            "sc://a/;use_ssl=yes",
        ] {
            assert!(text.parse::<SparkUrl>().is_err(), "{text}");
        }
    }
}
