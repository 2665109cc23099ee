//! Installs the system packages that building and running need. Quick when nothing is missing: it
//! only looks at files.

use crate::files::{self, on_path};
use crate::stack::{StoreKind, postgres};
use crate::{process, python, schema_registry};
use anyhow::{Result, anyhow, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Something that must be there, and the Debian packages (12 and 13) that bring it.
struct Need {
    packages: &'static str,
    is_met: fn() -> bool,
}

static BUILD_TOOLS: [Need; 6] = [
    Need { packages: "gcc libc6-dev", is_met: || on_path("cc").is_some() },
    Need { packages: "g++", is_met: || on_path("c++").is_some() },
    Need { packages: "make", is_met: || on_path("make").is_some() },
    Need { packages: "pkg-config", is_met: || on_path("pkg-config").is_some() },
    Need { packages: "libssl-dev", is_met: || Path::new("/usr/include/openssl/ssl.h").exists() },
    Need { packages: "zlib1g-dev", is_met: || Path::new("/usr/include/zlib.h").exists() },
];

static SERVICES: [Need; 4] = [
    Need { packages: "default-jre-headless", is_met: || on_path("java").is_some() },
    Need { packages: "maven", is_met: || on_path("mvn").is_some() },
    Need { packages: "openssl", is_met: || on_path("openssl").is_some() },
    Need { packages: "postgresql", is_met: || postgres::bin_dir().is_ok() },
];

/// What the tests compare with, and check by.
static TEST_TOOLS: [Need; 3] = [
    Need { packages: "python3-venv", is_met: has_venv },
    Need {
        packages: "prometheus",
        is_met: || on_path("prometheus").is_some() && on_path("promtool").is_some(),
    },
    Need {
        packages: "pgbouncer",
        is_met: || on_path("pgbouncer").is_some() || Path::new("/usr/sbin/pgbouncer").exists(),
    },
];

/// Everything, by one installation.
pub fn ensure_all(store: StoreKind) -> Result<()> {
    ensure(BUILD_TOOLS.iter().chain(&SERVICES).chain(&TEST_TOOLS))?;
    python::interpreter()?;
    schema_registry::program()?;
    ensure_services(store)
}

/// What the tests need besides the local stack.
pub fn ensure_test_tools() -> Result<()> {
    ensure(TEST_TOOLS.iter())
}

/// Debian packs a part of Python's own library apart.
fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stdin(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// What compiling the workspace needs.
pub fn ensure_build_tools() -> Result<()> {
    ensure(BUILD_TOOLS.iter())
}

/// What compiling needs, where nothing may be installed for it.
pub fn check_build_tools() -> Result<()> {
    let missing = missing(BUILD_TOOLS.iter());
    if missing.is_empty() { Ok(()) } else { Err(to_be_installed(&missing)) }
}

/// What the local stack needs.
pub fn ensure_services(store: StoreKind) -> Result<()> {
    ensure(SERVICES.iter())?;
    check_java()?;
    if store == StoreKind::Minio && on_path("minio").is_none() && on_path("go").is_none() {
        bail!(
            "MinIO is built from source by Go 1.24 or newer, and there is no `go` on the PATH: install it, or use --store s3proxy"
        );
    }
    Ok(())
}

fn missing(needs: impl Iterator<Item = &'static Need>) -> Vec<&'static str> {
    needs.filter(|need| !(need.is_met)()).flat_map(|need| need.packages.split(' ')).collect()
}

fn to_be_installed(missing: &[&str]) -> anyhow::Error {
    let names = missing.join(" ");
    if on_path("apt-get").is_none() {
        return anyhow!(
            "missing on this machine, by the names of Debian's packages: {names}; install them and try again"
        );
    }
    anyhow!(
        "missing packages; install them and try again:\n  sudo apt-get install --yes --no-install-recommends {names}"
    )
}

fn ensure(needs: impl Iterator<Item = &'static Need> + Clone) -> Result<()> {
    let missing = missing(needs.clone());
    if missing.is_empty() {
        return Ok(());
    }
    if on_path("apt-get").is_none() || !rustix::process::geteuid().is_root() {
        return Err(to_be_installed(&missing));
    }
    install(&missing)?;
    match needs.into_iter().find(|need| !(need.is_met)()) {
        Some(need) => {
            bail!("{} was installed and is still not found on this machine", need.packages)
        }
        None => Ok(()),
    }
}

/// Kafka 4 needs Java 17. The `release` file beside the program tells the version without the 0.1 s
/// that asking takes.
fn check_java() -> Result<()> {
    let release = on_path("java")
        .and_then(|java| java.canonicalize().ok())
        .and_then(|java| fs::read_to_string(java.parent()?.parent()?.join("release")).ok());
    match release.as_deref().and_then(java_major) {
        Some(major) if major < 17 => {
            bail!(
                "`java` on the PATH is Java {major}, and Kafka 4 needs 17 or newer: install default-jre-headless, or put a newer one first"
            )
        }
        _ => Ok(()),
    }
}

fn java_major(release: &str) -> Option<u32> {
    let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION=\""))?;
    let mut parts = version.split(['.', '"', '_', '-']);
    match parts.next()?.parse().ok()? {
        1 => parts.next()?.parse().ok(), // 1.8
        major => Some(major),
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let started = Instant::now();
    println!("installing {} ...", packages.join(" "));
    let _no_cluster = Told::to_make_no_cluster(packages)?;
    let _no_service = Told::to_start_no_service(packages)?;
    let arguments: Vec<&str> = ["install", "--yes", "--no-install-recommends"]
        .into_iter()
        .chain(packages.iter().copied())
        .collect();
    // Fresh machines have no package lists, others may have old ones: ask for them only where it
    // takes that.
    if apt_get(&arguments).is_err() {
        println!("  fetching the package lists ...");
        apt_get(&["update"])?;
        apt_get(&arguments)?;
    }
    println!("  installed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut apt_get = Command::new("apt-get");
    apt_get.args(["-q", "-o", "DPkg::Lock::Timeout=120"]).args(arguments);
    process::output(apt_get.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

/// A file by which Debian's packages are told something while they are installed.
struct Told(Option<PathBuf>);

impl Told {
    /// PostgreSQL's makes and starts a cluster on port 5432, where the stack's own goes: not now.
    fn to_make_no_cluster(packages: &[&str]) -> Result<Self> {
        if !packages.contains(&"postgresql") {
            return Ok(Self(None));
        }
        let folder = Path::new("/etc/postgresql-common/createcluster.d");
        files::create_dir(folder)?;
        Self::by(folder.join("stock-lambda.conf"), "create_main_cluster = false\n", 0o644)
    }

    /// Those of Prometheus and PgBouncer start them, with configurations of their own: not now.
    fn to_start_no_service(packages: &[&str]) -> Result<Self> {
        let file = PathBuf::from("/usr/sbin/policy-rc.d");
        // Where a policy is there already (container images have one), it is the machine's own
        // business.
        if !packages.iter().any(|package| ["prometheus", "pgbouncer"].contains(package))
            || file.exists()
        {
            return Ok(Self(None));
        }
        Self::by(file, "#!/bin/sh\nexit 101\n", 0o755)
    }

    fn by(file: PathBuf, text: &str, mode: u32) -> Result<Self> {
        files::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        Ok(Self(Some(file)))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_java_is_read_in_its_old_and_its_new_form() {
        let release = |version: &str| {
            format!("IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"{version}\"\nOS_NAME=\"Linux\"\n")
        };
        for (version, major) in
            [("17.0.15", 17), ("21", 21), ("11.0.2", 11), ("1.8.0_402", 8), ("25-ea", 25)]
        {
            assert_eq!(java_major(&release(version)), Some(major), "{version}");
        }
        assert_eq!(java_major("OS_NAME=\"Linux\""), None);
    }
}
