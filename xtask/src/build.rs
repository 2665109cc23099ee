//! Compiles the workspace's binaries.

use crate::{files, setup};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

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
    /// That by which a program that nobody measures is soonest there.
    pub fn soonest(program: Target) -> Result<Self> {
        let newest = newest_of(&target_dir()?, &program.file(), &["quick", "release"]);
        Ok(match newest {
            Some((_, "release")) => Self::Release,
            _ => Self::Quick,
        })
    }

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

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn command(&self, name: &str) -> Command {
        Command::new(self.path(name))
    }
}

/// A program that takes arguments of its own.
#[derive(Clone, Copy)]
pub enum Target {
    Workbench,
    /// Among the examples of a package.
    Example {
        package: &'static str,
        name: &'static str,
    },
}

impl Target {
    /// Below the folder of a profile.
    fn file(self) -> PathBuf {
        match self {
            Self::Workbench => "workbench".into(),
            Self::Example { name, .. } => Path::new("examples").join(name),
        }
    }

    /// The one that was compiled last, by whatever profile; `None` where none was.
    pub fn newest(self) -> Result<Option<PathBuf>> {
        let folders = ["quick", "debug", "release", "dist"];
        Ok(newest_of(&target_dir()?, &self.file(), &folders).map(|(program, _)| program))
    }

    /// Installs what compiling needs, and compiles it.
    pub fn build(self, profile: Profile) -> Result<PathBuf> {
        let Self::Example { package, name } = self else {
            return Ok(binaries(profile)?.path("workbench"));
        };
        setup::ensure_build_tools()?;
        let mut build = cargo();
        build.args(["build", "--quiet", "--package", package, "--example", name]);
        let folder = compile(build, profile, name)?;
        Ok(folder.join(self.file()))
    }
}

/// Always all of them: of one alone the dependencies get other features, and are compiled anew.
const PROGRAMS: [&str; 3] = ["speed-layer", "batch-layer", "workbench"];

/// Installs what compiling needs, and compiles the pipeline's programs.
pub fn binaries(profile: Profile) -> Result<Binaries> {
    setup::ensure_build_tools()?;
    let mut build = cargo();
    build.arg("build");
    if profile == Profile::Dev {
        // With the tests, so that what `cargo test` compiled serves: alone, dependencies get other
        // features.
        build.args(["--workspace", "--all-targets"]);
    } else {
        build.arg("--bins").args(PROGRAMS.iter().flat_map(|program| ["--package", program]));
    }
    if profile == Profile::Quick {
        // Without what nobody who only looks needs: Spark.
        build.arg("--no-default-features");
    }
    compile(build, profile, &PROGRAMS.join(", ")).map(Binaries)
}

/// The folder of what was built.
fn compile(mut build: Command, profile: Profile, what: &str) -> Result<PathBuf> {
    let (name, folder) = match profile {
        Profile::Quick => ("quick", "quick"),
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
        Profile::Dist => ("dist", "dist"),
    };
    if profile == Profile::Quick {
        // Optimizing C takes longer than all that is saved by it here. Cargo's own configuration
        // has the flags of all other builds.
        build.env("CFLAGS", "-O0 -g0").env("CXXFLAGS", "-O0 -g0");
    }
    let status = build.args(["--profile", name]).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{what} cannot be compiled: see above");
    }
    Ok(target_dir()?.join(folder))
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

/// The program that was compiled last into one of these folders, and into which.
fn newest_of<'a>(target: &Path, file: &Path, folders: &[&'a str]) -> Option<(PathBuf, &'a str)> {
    let programs = folders.iter().map(|folder| (target.join(folder).join(file), *folder));
    let compiled = |(program, _): &(PathBuf, &str)| modified(program);
    programs.filter(|program| compiled(program).is_some()).max_by_key(compiled)
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|file| file.modified()).ok()
}

/// Whether a program is newer than each file that it was made of, by Cargo's list beside it.
pub fn is_current(program: &Path) -> bool {
    let list = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let Some((_, sources)) = list.split_once(": ") else { return false };
    let sources = sources.trim().replace("\\ ", "\0");
    sources.split(' ').all(|source| {
        let source = modified(Path::new(&source.replace('\0', " ")));
        source.is_some() && source <= modified(program)
    })
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
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn of_the_folders_that_are_asked_for_the_one_with_the_newest_program_is_named() {
        let target = tempfile::tempdir().unwrap();
        let newest = |folders: &[&'static str]| {
            newest_of(target.path(), Path::new("workbench"), folders).map(|(_, folder)| folder)
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
    fn a_program_is_current_until_a_file_that_it_was_made_of_is_changed_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, age: u64| {
            let path = folder.path().join(name);
            let file = File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            path
        };
        let program = at("workbench", 10);
        let (first, second) = (at("main.rs", 20), at("a b.rs", 20));
        assert!(!is_current(&program), "without a list");
        let escaped = second.to_str().unwrap().replace(' ', "\\ ");
        let list = format!("{}: {} {escaped}\n", program.display(), first.display());
        fs::write(folder.path().join("workbench.d"), list).unwrap();
        assert!(is_current(&program));
        at("a b.rs", 5);
        assert!(!is_current(&program), "changed");
        at("a b.rs", 20);
        fs::remove_file(first).unwrap();
        assert!(!is_current(&program), "gone");
    }

    #[test]
    fn only_programs_that_are_not_optimized_come_with_a_caution() {
        assert!(Profile::Quick.caution().is_some());
        assert!([Profile::Dev, Profile::Release, Profile::Dist].map(Profile::caution) == [None; 3]);
    }
}
