//! [`Trouble`]: why a question to the registry has no answer.

use crate::failure::one_line;
use serde::Deserialize;
use url::Url;

/// The part that is shown of an answer that is none of a registry's.
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

/// A registry's reason for having no answer.
#[derive(Deserialize)]
struct Complaint {
    error_code: i64,
    #[serde(default)]
    message: String,
}

impl Trouble {
    /// The meaning of an answer other than 200. A registry's own code of five digits is about the
    /// question; anything else, such as a web server's 404, about the server.
    pub fn of_answer(url: &Url, status: u16, text: &str) -> Self {
        let complaint = serde_json::from_str::<Complaint>(text).ok();
        let words = match &complaint {
            Some(complaint) => complaint.message.clone(),
            None => text.chars().take(SHOWN).collect(),
        };
        let answer = one_line(&format!("{url} answers {status}: {words}"));
        let is_of_schema =
            complaint.is_some_and(|complaint| complaint.error_code / 100 == i64::from(status));
        match status {
            401 => Self::Refused(format!(
                "{answer} (--schema-registry-user, \
                    SCHEMA_REGISTRY_PASSWORD)"
            )),
            403 => Self::Forbidden(format!(
                "{answer} (--schema-registry-user must be allowed to read schemas)"
            )),
            404 | 422 if is_of_schema => Self::None(answer),
            404 => Self::Away(format!("{answer}; is this a schema registry? (--schema-registry)")),
            _ => Self::Away(answer),
        }
    }

    /// As another host has it that the registry has sent on to. That one was shown no login, and
    /// its word is not the registry's.
    pub fn of_another_host(self, host: &str) -> Self {
        let why = self.why();
        Self::Away(format!(
            "{why}; so says {host}, to which it sends on: name that one in --schema-registry"
        ))
    }

    /// The common result of all registries, of which none has an answer. One that has the schema is
    /// right. That there is none only counts if all have said so: one that lags, is away or refuses
    /// this user must not make a good message a reject.
    pub fn of_all(troubles: Vec<Self>) -> Self {
        if let Some(unusable) = troubles.iter().find(|told| matches!(told, Self::Unusable(_))) {
            return unusable.clone();
        }
        let (none, open): (Vec<_>, Vec<_>) =
            troubles.iter().partition(|told| matches!(told, Self::None(_)));
        let why = || open.iter().map(|told| told.why()).collect::<Vec<_>>().join("; ");
        match (open.as_slice(), none.as_slice()) {
            ([], [first, ..]) => Self::clone(first),
            ([], []) => Self::Away("no registry is named".to_owned()),
            (open, _) if open.iter().any(|told| matches!(told, Self::Away(_))) => Self::Away(why()),
            (open, []) if open.iter().all(|told| matches!(told, Self::Refused(_))) => {
                Self::Refused(why())
            }
            _ => Self::Forbidden(why()),
        }
    }

    /// The reason in words.
    pub fn why(&self) -> &str {
        match self {
            Self::None(why)
            | Self::Unusable(why)
            | Self::Refused(why)
            | Self::Forbidden(why)
            | Self::Away(why) => why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registrys_own_word_says_that_there_is_no_schema() {
        let url = Url::parse("http://h/").unwrap();
        let of = |status, text: &str| Trouble::of_answer(&url, status, text);
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

    #[test]
    fn what_several_registries_say_is_what_the_next_step_of_this_user_is() {
        let of = |name: char| {
            let why = name.to_string();
            match name {
                'n' => Trouble::None(why),
                'u' => Trouble::Unusable(why),
                'r' => Trouble::Refused(why),
                'f' => Trouble::Forbidden(why),
                _ => Trouble::Away(why),
            }
        };
        let all = |names: &str| Trouble::of_all(names.chars().map(of).collect());
        let (refused, forbidden, away) = (Trouble::Refused, Trouble::Forbidden, Trouble::Away);
        for (names, expected) in [
            ("n", of('n')),
            ("nn", of('n')),
            ("anu", of('u')),
            ("rr", refused("r; r".to_owned())),
            ("nr", forbidden("r".to_owned())),
            ("rf", forbidden("r; f".to_owned())),
            ("fn", forbidden("f".to_owned())),
            ("ar", away("a; r".to_owned())),
            ("nfa", away("f; a".to_owned())),
            ("", away("no registry is named".to_owned())),
        ] {
            assert_eq!(all(names), expected, "{names}");
        }
    }
}
