//! Standard output, which is for results. A reader that has seen enough, as `head`, is no failure.

use std::io::{ErrorKind, Write};

/// # Errors
/// Where it cannot be written to, unless its reader has closed it.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
