//! The corners of Java that show in the archive's bytes: UTF-16 strings and their hash, the
//! iteration order of `java.util.HashMap`, and the text of a `double`.

mod double;
mod map;
mod text;

pub use double::write_double;
pub use map::HashMap;
pub use text::Text;
