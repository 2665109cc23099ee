//! Values that have names: [`Named`], a setting of few values, and enums of which each variant has
//! one.

/// Defines an enum together with `ALL`, its variants in their order, and `as_str`, their names. So
/// neither can lack a variant.
macro_rules! named_enum {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$documentation:meta])* $variant:ident => $text:literal,)+
        }
    ) => {
        $(#[$attribute])*
        pub enum $name {
            $($(#[$documentation])* $variant,)+
        }

        impl $name {
            /// All values.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The value's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

pub(crate) use named_enum;

/// A setting that is one of a few values.
pub trait Named: Copy + PartialEq + Send + Sync + 'static {
    /// Each value, its name, and what it means.
    const ALL: &'static [(Self, &'static str, &'static str)];

    /// The name; no value is without one.
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
