//! Compiles the workspace's binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{files, setup};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// What compiles soonest, and is hardly optimized
    Quick,
    /// Shared with the tests
    Dev,
    Release,
    /// What is deployed: link-time optimization takes minutes more
    Dist,
}

impl Profile {
    /// What is to be said beside what such programs do.
    pub fn caution(self) -> Option<&'static str> {
        (self == Self::Quick).then_some(
            "These programs are hardly optimized, so that they are there soon (--profile quick): \
             how fast they are says nothing. For that, --profile release.",
        )
    }
}

/// Where compiled binaries are.
pub struct Binaries(PathBuf);

impl Binaries {
    /// Programs that are there already.
    pub fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub fn command(&self, name: &str) -> Command {
        Command::new(self.0.join(name))
    }
}

/// Always all of them: of one alone the dependencies get other features, and are compiled anew.
const PROGRAMS: [&str; 3] = ["speed-layer", "batch-layer", "workbench"];

/// Installs what compiling needs, and compiles the pipeline's programs.
pub fn binaries(profile: Profile) -> Result<Binaries> {
    setup::ensure_build_tools()?;
    let mut build = cargo();
    build.arg("build");
    let folder = match profile {
        Profile::Quick => quick(&mut build),
        // With the tests, so that what `cargo test` compiled serves: alone, dependencies get other
        // features.
        Profile::Dev => {
            build.args(["--workspace", "--all-targets"]);
            "debug"
        }
        Profile::Release => programs(&mut build, "release"),
        Profile::Dist => programs(&mut build, "dist"),
    };
    let status = build.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{} cannot be compiled: see above", PROGRAMS.join(", "));
    }
    Ok(Binaries(target_dir()?.join(folder)))
}

/// As [`binaries`], while `meanwhile` is done.
///
/// Where that fails it is said at once, and again when all is compiled.
pub fn binaries_while(
    meanwhile: impl FnOnce() -> Result<()> + Send,
    profile: Profile,
) -> Result<Binaries> {
    // Both may install packages, of which there can be only one at a time.
    setup::ensure_build_tools()?;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            meanwhile().inspect_err(|error| eprintln!("xtask: compiling goes on, but {error:#}"))
        });
        let built = binaries(profile);
        other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        built
    })
}

/// The program that was compiled last, by whatever profile; `None` where none was.
pub fn newest(name: &str) -> Result<Option<PathBuf>> {
    let newest = newest_of(&target_dir()?, name, &["quick", "debug", "release", "dist"]);
    Ok(newest.map(|(program, _)| program))
}

/// The profile by which a program that nobody measures is soonest there.
pub fn soonest(name: &str) -> Result<Profile> {
    Ok(match newest_of(&target_dir()?, name, &["quick", "release"]) {
        Some((_, "release")) => Profile::Release,
        _ => Profile::Quick,
    })
}

/// The program that was compiled last into one of these folders, and into which.
fn newest_of<'a>(target: &Path, name: &str, folders: &[&'a str]) -> Option<(PathBuf, &'a str)> {
    let programs = folders.iter().map(|folder| (target.join(folder).join(name), *folder));
    let compiled =
        |(program, _): &(PathBuf, &str)| program.metadata().and_then(|file| file.modified()).ok();
    programs.filter(|program| compiled(program).is_some()).max_by_key(compiled)
}

/// The folder of what it builds, without what nobody who only looks needs.
fn quick(build: &mut Command) -> &'static str {
    // Optimizing C takes longer than all that is saved by it here. Cargo's own configuration has
    // the flags of all other builds.
    for language in ["CFLAGS", "CXXFLAGS"] {
        build.env(language, "-O0 -g0");
    }
    // And no Spark.
    build.args(["--no-default-features", "--features", "batch-layer/kafka"]);
    programs(build, "quick")
}

/// The folder of what it builds.
fn programs(build: &mut Command, profile: &'static str) -> &'static str {
    build.args(["--profile", profile, "--bins"]);
    for program in PROGRAMS {
        build.args(["--package", program]);
    }
    profile
}

/// Cargo itself, in the root of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(files::workspace());
    // What `cargo run` tells this program of its own package. ring's build script watches these
    // variables, so with them ring and all that uses it would be compiled anew whenever `cargo
    // build` and `cargo xtask` take turns.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Cargo's target folder: this program lies in its `debug` or `release` folder.
fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let target = program.parent().and_then(|profile| profile.parent());
    target
        .map(PathBuf::from)
        .with_context(|| format!("{} is in no target folder", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    #[test]
    fn of_the_folders_that_are_asked_for_the_one_with_the_newest_program_is_named() {
        let target = tempfile::tempdir().unwrap();
        let newest = |folders: &[&'static str]| {
            newest_of(target.path(), "workbench", folders).map(|(_, folder)| folder)
        };
        assert_eq!(newest(&["quick", "release"]), None);
        for (age, folder) in [(30, "quick"), (20, "release"), (10, "debug")] {
            fs::create_dir(target.path().join(folder)).unwrap();
            let program = File::create(target.path().join(folder).join("workbench")).unwrap();
            program.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        assert_eq!(newest(&["quick"]), Some("quick"));
        assert_eq!(newest(&["quick", "release"]), Some("release"));
        assert_eq!(newest(&["quick", "debug", "release", "dist"]), Some("debug"));
    }

    #[test]
    fn only_programs_that_are_not_optimized_come_with_a_caution() {
        assert!(Profile::Quick.caution().is_some());
        assert!([Profile::Dev, Profile::Release, Profile::Dist].map(Profile::caution) == [None; 3]);
    }
}
