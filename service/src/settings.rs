//! Settings as `key=value`, of a flag or of a file.

/// A setting such as `security.protocol=SASL_SSL`.
///
/// # Errors
/// If the text is none of its kind; with a sentence for clap to show, without the value, which may
/// be a secret.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.trim().is_empty());
    pair.map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "expected KEY=VALUE".to_owned())
}

/// Settings of one flag. It has no `Debug`: one of them may be a password.
#[derive(Clone)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Settings separated by `;`, such as `security.protocol=SASL_SSL;sasl.password=a`. Text after a
/// `;` that is no setting belongs to the value before it.
///
/// # Errors
/// Like [`key_value`].
pub fn key_values(text: &str) -> Result<Settings, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for piece in text.split(';') {
        match (key_value(piece).ok().filter(|(key, _)| is_key(key)), pairs.last_mut()) {
            (Some(pair), _) => pairs.push(pair),
            (None, Some((_, value))) => {
                value.push(';');
                value.push_str(piece);
            }
            (None, None) => return key_value("").map(|pair| Settings(vec![pair])),
        }
    }
    Ok(Settings(pairs))
}

/// Whether this can be the name of a setting.
fn is_key(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_the_sign_that_separates_settings() {
        let read = |text| key_values(text).map(|settings| settings.0);
        let pairs = |pairs: &[(&str, &str)]| {
            Ok(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        assert_eq!(read("sasl.password=a;b"), pairs(&[("sasl.password", "a;b")]));
        assert_eq!(
            read("sasl.password=;A=b;acks=1"),
            pairs(&[("sasl.password", ";A=b"), ("acks", "1")])
        );
        assert_eq!(read("nothing").err().as_deref(), Some("expected KEY=VALUE"));
    }

    #[test]
    fn a_setting_keeps_equals_signs_in_its_value() {
        assert_eq!(key_value("sasl.password=a=b"), Ok(("sasl.password".into(), "a=b".into())));
        assert!(key_value("nothing").is_err());
        assert!(key_value("=x").is_err());
    }
}
