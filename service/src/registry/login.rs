//! [`Login`]: who asks the registry.

use crate::files::SecretFile;

/// Who asks. It has no `Debug`.
#[derive(Clone)]
pub struct Login {
    pub user: String,
    pub password: Password,
}

#[derive(Clone)]
pub enum Password {
    Text(String),
    File(SecretFile),
}

impl Password {
    /// As it is now.
    pub fn expose(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::File(file) => file.read_again().unwrap_or_else(|| file.expose().to_owned()),
        }
    }
}
