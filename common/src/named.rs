//! [`Named`]: a setting of few values, each with a name.

/// A setting that is one of a few values.
pub trait Named: Copy + PartialEq + Send + Sync + 'static {
    /// Each value, its name, and what it means.
    const ALL: &'static [(Self, &'static str, &'static str)];

    /// Its name; no value is without one.
    #[must_use]
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(value, ..)| *value == self).map_or("", |(_, name, _)| name)
    }

    /// The value that has this name.
    #[must_use]
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(value, ..)| *value)
    }
}
