//! Programs that refuse to run as root, such as PostgreSQL and PgBouncer.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::Command;
use tempfile::TempDir;

/// `nobody` and `nogroup` of Debian.
const NOBODY: (u32, u32) = (65534, 65534);

/// Lets the command run without root's rights, in a folder that it owns. For any other user nothing
/// changes.
pub fn run_in(folder: &TempDir, command: &mut Command) {
    command.current_dir(folder.path());
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let entries = std::fs::read_dir(folder.path()).expect("read the test's folder");
    let paths = entries.map(|entry| entry.expect("read the test's folder").path());
    for path in paths.chain([folder.path().to_owned()]) {
        chown(&path, Some(NOBODY.0), Some(NOBODY.1)).expect("give the test's folder away");
    }
    command.uid(NOBODY.0).gid(NOBODY.1);
}
