//! PostgreSQL by Debian's server binaries. It refuses to run as root, so there it runs as the user
//! `postgres`.

use super::settings::Stack;
use super::tls::Certificates;
use crate::files::{self, on_path, write};
use crate::process::{detached, output};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Demo credentials; the server listens on loopback only.
pub const USER: &str = "postgres";
pub const PASSWORD: &str = "postgres";
pub const DATABASE: &str = "stocks";

/// Folder of the newest installed server's binaries.
pub fn bin_dir() -> Result<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .max()
        .map(|(_, bin)| bin);
    installed
        .or_else(|| Some(on_path("initdb")?.parent()?.to_owned()))
        .context("PostgreSQL's server is not installed")
}

/// Where the data of the stack in `dir` goes: inside, unless the user that runs the server cannot
/// get there (a checkout under /root).
pub fn data_dir(dir: &Path) -> Result<PathBuf> {
    let reachable = dir
        .ancestors()
        .all(|folder| fs::metadata(folder).is_ok_and(|meta| meta.mode() & 0o001 != 0));
    if !rustix::process::geteuid().is_root() || reachable {
        return Ok(dir.join("postgres"));
    }
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    Ok(Path::new("/var/tmp").join(format!(
        "stock-lambda-postgres-{:02x}{:02x}{:02x}{:02x}",
        digest[0], digest[1], digest[2], digest[3]
    )))
}

pub fn prepare(stack: &Stack) -> Result<Command> {
    let bin = bin_dir()?;
    let account = Account::to_run_as()?;
    let data = stack.postgres_data.join("data");
    if !data.join("PG_VERSION").exists() {
        initialize(&bin, &stack.postgres_data, account.as_ref())?;
    }
    let key = copy_key(stack, account.as_ref())?;
    let mut command = detached(bin.join("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "max_connections=200", "-c", &format!("port={}", stack.ports.postgres)])
        .args(["-c", "ssl=on", "-c", &format!("ssl_key_file={}", key.display())])
        .args(["-c", &format!("ssl_cert_file={}", key.with_file_name("server.pem").display())])
        .current_dir(&data);
    run_as(&mut command, account.as_ref());
    Ok(command)
}

/// Copies certificate and key to where the server's own user can read them; it insists that nobody
/// else can.
fn copy_key(stack: &Stack, account: Option<&Account>) -> Result<PathBuf> {
    let certificates = Certificates::of(stack);
    let key = stack.postgres_data.join("server.key");
    for (from, to) in [
        (certificates.server_key(), &key),
        (certificates.server(), &key.with_file_name("server.pem")),
    ] {
        files::remove_file(to)?;
        fs::copy(&from, to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
        if let Some(account) = account {
            give(to, account)?;
        }
    }
    Ok(key)
}

fn give(path: &Path, account: &Account) -> Result<()> {
    chown(path, Some(account.uid), Some(account.gid))
        .with_context(|| format!("cannot give {} to {}", path.display(), account.name))
}

/// True once the database exists; false while the server does not accept connections.
pub fn is_ready(stack: &Stack) -> Result<bool> {
    let bin = bin_dir()?;
    let accepts =
        client(&bin, "pg_isready", stack).arg("-q").status().context("cannot run pg_isready")?;
    if !accepts.success() {
        return Ok(false);
    }
    let asked = format!("select 1 from pg_database where datname = '{DATABASE}'");
    if output(client(&bin, "psql", stack).args(["-d", "postgres", "-XAtc", &asked]))? != "1" {
        output(client(&bin, "createdb", stack).arg(DATABASE))?;
    }
    Ok(true)
}

fn client(bin: &Path, program: &str, stack: &Stack) -> Command {
    let mut command = Command::new(bin.join(program));
    command
        .args(["-h", "127.0.0.1", "-p", &stack.ports.postgres.to_string(), "-U", USER])
        .env("PGPASSWORD", PASSWORD)
        .stdin(Stdio::null());
    command
}

/// Makes the data folder. A half-made one from an earlier attempt is thrown away: it has no
/// PG_VERSION yet or initdb refuses it.
fn initialize(bin: &Path, home: &Path, account: Option<&Account>) -> Result<()> {
    let partial = home.join("partial");
    let password = home.join("password");
    files::remove_dir(&partial)?;
    files::create_dir(home)?;
    write(&password, PASSWORD)?;
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
    if let Some(account) = account {
        for path in [home, &password] {
            give(path, account)?;
        }
    }
    let mut initdb = Command::new(bin.join("initdb"));
    initdb
        .args(["-U", USER, "-E", "UTF8", "--locale=C", "--no-sync", "--auth=scram-sha-256"])
        .arg(format!("--pwfile={}", password.display()))
        .arg("-D")
        .arg(&partial)
        .current_dir(home)
        .stdin(Stdio::null());
    run_as(&mut initdb, account);
    let made = output(&mut initdb);
    fs::remove_file(&password)?;
    made?;
    fs::rename(&partial, home.join("data"))
        .context("cannot move the new data folder of PostgreSQL to its place")
}

/// An unprivileged user.
struct Account {
    name: &'static str,
    uid: u32,
    gid: u32,
}

impl Account {
    /// None where this process is unprivileged itself.
    fn to_run_as() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::parse(&users, name))
            .map(Some)
            .context("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`")
    }

    fn parse(users: &str, name: &'static str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Self { name, uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

fn run_as(command: &mut Command, account: Option<&Account>) {
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    // The caller's settings for a server of its own must not reach this one.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:/bin/sh\npostgres:x:114:122:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        let account = Account::parse(users, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (114, 122));
        assert!(Account::parse(users, "nobody").is_none());
    }
}
