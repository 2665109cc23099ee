//! [`Target`]: what a URL says about where PostgreSQL is. Pure: it connects to nothing.

use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

const EXAMPLE: &str = "expected postgres://user:password@host:5432/database, where / ? # @ and % \
    in a password are written as %2F %3F %23 %40 and %25";

const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// The servers of a URL, in its order, and what is wanted of them.
#[derive(Clone)]
pub struct Target {
    pub servers: Vec<PgConnectOptions>,
    /// Only a server that takes writes will do: asked for by `target_session_attrs=read-write`, or
    /// meant by naming several.
    pub must_write: bool,
}

impl Target {
    /// # Errors
    /// If the URL is none; with a sentence without it, since it holds a password.
    pub fn parse(url: &str, application: &str) -> Result<Self, String> {
        let (scheme, rest) =
            url.trim().split_once("://").ok_or_else(|| format!("it has no scheme; {EXAMPLE}"))?;
        if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            // The text may be a part of a password.
            let why = match scheme.starts_with("jdbc:") {
                true => "it is one of JDBC's (leave out jdbc:)",
                false => "its scheme is not postgres",
            };
            return Err(format!("{why}; {EXAMPLE}"));
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let (tail, attributes) = split_attributes(tail);
        let servers = hosts
            .split(',')
            .map(|host| server(&format!("{scheme}://{login}{host}{tail}"), application));
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        let must_write = match attributes.as_deref() {
            None => servers.len() > 1,
            Some("any") => false,
            Some("read-write" | "primary") => true,
            Some(other) => {
                return Err(format!(
                    "target_session_attrs={other} finds no server to write to; take read-write"
                ));
            }
        };
        Ok(Self { servers, must_write })
    }

    /// `host:port,host:port/database`, for messages.
    pub fn address(&self) -> String {
        let places = self.servers.iter().map(place).collect::<Vec<_>>().join(",");
        let database =
            self.servers.first().and_then(PgConnectOptions::get_database).unwrap_or_default();
        format!("{places}/{database}")
    }
}

/// `host:port`, or the path of a socket.
pub fn place(server: &PgConnectOptions) -> String {
    match server.get_socket() {
        Some(path) => path.display().to_string(),
        None if server.get_host().contains(':') => {
            format!("[{}]:{}", server.get_host(), server.get_port())
        }
        None => format!("{}:{}", server.get_host(), server.get_port()),
    }
}

fn server(url: &str, application: &str) -> Result<PgConnectOptions, String> {
    let options = PgConnectOptions::from_str(url).map_err(|error| format!("{error}; {EXAMPLE}"))?;
    if options.get_host().contains(',') {
        return Err("there are several hosts before the database: \
             postgres://user:password@host1:5432,host2:5432/database"
            .into());
    }
    let options = match options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => {
            let address = address.to_owned();
            options.host(&address)
        }
        None => options,
    };
    // sqlx would log every slow COPY as a warning; commit times are a metric here. A pooler takes
    // no parameter that it does not know (`connecting`).
    let options = options.application_name(application).extra_float_digits(None);
    Ok(sqlx::ConnectOptions::disable_statement_logging(options))
}

/// The text after the hosts without `target_session_attrs`, and its value.
fn split_attributes(tail: &str) -> (String, Option<String>) {
    const KEY: &str = "target_session_attrs=";
    let Some((path, query)) = tail.split_once('?') else {
        return (tail.to_owned(), None);
    };
    let (ours, others): (Vec<_>, Vec<_>) =
        query.split('&').partition(|parameter| parameter.starts_with(KEY));
    let value = ours.last().and_then(|parameter| parameter.strip_prefix(KEY)).map(str::to_owned);
    (format!("{path}?{}", others.join("&")), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url, "test").unwrap()
    }

    fn error(url: &str) -> String {
        Target::parse(url, "test").err().unwrap()
    }

    #[test]
    fn the_address_of_an_ipv6_host_is_taken_without_its_brackets() {
        let target = target("postgres://u@[::1]:5433/db");
        assert_eq!(target.servers[0].get_host(), "::1");
        assert_eq!(target.address(), "[::1]:5433/db");
    }

    #[test]
    fn urls_of_other_programs_and_databases_are_none() {
        assert_eq!(target("postgresql://u@h/d").address(), "h:5432/d");
        assert_eq!(target("POSTGRES://u@h/d").address(), "h:5432/d");
        assert!(error("jdbc:postgresql://h:5432/d").contains("leave out jdbc:"));
        for url in ["mysql://u:p@h/d", "https://h/d", "u:secret://h/d", "postgres+psycopg://h/d"] {
            let error = error(url);
            assert!(error.starts_with("its scheme is not postgres; expected"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn several_hosts_are_tried_in_turn_until_one_takes_writes() {
        let two =
            target("postgres://u:p@h1,h2:5433/db?sslmode=disable&target_session_attrs=read-write");
        assert_eq!(two.address(), "h1:5432,h2:5433/db");
        assert!(two.must_write && target("postgres://h1,h2/db").must_write);
        assert!(
            !target("postgres://h1/db").must_write
                && !target("postgres://h1,h2/db?target_session_attrs=any").must_write
        );
        assert!(target("postgres://h1/db?target_session_attrs=primary").must_write);
        assert!(
            error("postgres://h1/db?target_session_attrs=standby")
                .contains("target_session_attrs=standby")
        );
        assert!(
            error("postgres:///db?host=h1,h2")
                .contains("there are several hosts before the database")
        );
    }

    #[test]
    fn a_password_may_hold_every_character() {
        for character in (0_u8..=255).map(char::from).chain(['€', '😀']) {
            let password = format!("a{character}b");
            let written: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let options = target(&format!("postgres://u:{written}@h/d")).servers.remove(0);
            let url = sqlx::ConnectOptions::to_url_lossy(&options);
            let kept = url.password().unwrap();
            let expected: String = kept_as(&password);
            assert_eq!(kept, expected, "{character:?}");
        }
        // Unambiguous as it is.
        assert_eq!(target("postgres://u:a@b@h/d").servers[0].get_host(), "h");
    }

    /// As sqlx writes a password into a URL: letters and digits as they are.
    fn kept_as(password: &str) -> String {
        password
            .bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect()
    }

    #[test]
    fn a_unix_socket_is_a_folder_in_place_of_the_host() {
        for url in ["postgres:///db?host=/run/postgresql", "postgres://u@%2Frun%2Fpostgresql/db"] {
            assert_eq!(target(url).address(), "/run/postgresql/db", "{url}");
        }
    }

    #[test]
    fn a_wrong_url_is_explained_without_its_password() {
        for url in [
            "postgres://me:s3cret@host:notaport/db",
            "me:s3cret@host",
            "postgres://me:s3cret/x@host/db",
        ] {
            let error = error(url);
            assert!(error.contains("expected postgres://") && !error.contains("s3cret"), "{error}");
        }
    }
}
