//! Why an object was not read to its end.

use crate::hour::Hour;
use std::io;

/// An object that could not be read to its end.
#[derive(Debug)]
pub struct ScanError {
    pub error: io::Error,
    /// Hours that its readable part touches.
    pub hours: Vec<Hour>,
}

/// An object holds more bars than there is memory for.
#[derive(Debug, thiserror::Error)]
#[error("it holds bars of more than {0} symbols and hours, for which there is no memory")]
pub struct TooWide(usize);

impl TooWide {
    /// `bars`: how many there may be.
    pub fn error(bars: usize) -> io::Error {
        io::Error::other(Self(bars))
    }

    /// Whether this is why reading failed.
    #[must_use]
    pub fn caused(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}
