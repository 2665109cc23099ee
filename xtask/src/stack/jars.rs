//! Java programs, fetched by Maven into the cache.

use crate::{cache, files};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Group, artifact and version. log4j-slf4j-impl is what makes the broker log at all.
const KAFKA: &[[&str; 3]] = &[
    ["org.apache.kafka", "kafka_2.13", "4.3.1"],
    ["org.apache.kafka", "kafka-tools", "4.3.1"],
    ["org.apache.kafka", "connect-runtime", "4.3.1"],
    ["org.apache.kafka", "connect-json", "4.3.1"],
    ["org.apache.kafka", "connect-transforms", "4.3.1"],
    // Not for archiving: a sink that is there without a vendor, for tests of everything in front of
    // the sink.
    ["org.apache.kafka", "connect-file", "4.3.1"],
    ["org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"],
    ["org.apache.logging.log4j", "log4j-1.2-api", "2.25.4"],
];

/// By its full name: Maven's error for a prefix that it cannot look up hides the reason.
const COPY_DEPENDENCIES: &str =
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

const S3PROXY: &[[&str; 3]] = &[
    ["org.gaul", "s3proxy", "4.1.0"],
    ["com.fasterxml.jackson.core", "jackson-annotations", "2.21"],
];

/// Folder with the jars of the broker and of the Connect worker.
pub fn kafka() -> Result<PathBuf> {
    fetch("kafka-4.3.1", KAFKA)
}

/// Folder with the jars of S3Proxy.
pub fn s3proxy() -> Result<PathBuf> {
    fetch("s3proxy-4.1.0", S3PROXY)
}

/// `java` with a small heap of at most `heap` MiB, tuned for a quick start, and all jars of `jars`
/// on the class path.
pub fn java(jars: &Path, heap: u32) -> Vec<String> {
    vec![
        format!("-Xmx{heap}m"),
        "-XX:TieredStopAtLevel=1".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        "-cp".to_owned(),
        format!("{}/*", jars.display()),
    ]
}

fn fetch(name: &str, artifacts: &[[&str; 3]]) -> Result<PathBuf> {
    let pom = pom(artifacts);
    let digest = Sha256::digest(pom.as_bytes());
    cache::entry(&format!("{name}-{:02x}{:02x}", digest[0], digest[1]), |dir| {
        let started = Instant::now();
        println!("fetching {name} by Maven ...");
        let file = dir.join("pom.xml");
        files::write(&file, &pom)?;
        copy_dependencies(&file, dir)?;
        println!("  fetched in {:.0} s", started.elapsed().as_secs_f64());
        Ok(())
    })
}

fn copy_dependencies(pom: &Path, into: &Path) -> Result<()> {
    let output = Command::new("mvn")
        .args(["-B", "-ntp", "-q", "-f"])
        .arg(pom)
        .args([COPY_DEPENDENCIES, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", into.display()))
        .stdin(Stdio::null())
        .output()
        .context("cannot run mvn")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        let why = text.lines().find(|line| line.contains("ERROR")).unwrap_or("no reason given");
        bail!("Maven cannot fetch what {} names: {why}", pom.display());
    }
    Ok(())
}

fn pom(artifacts: &[[&str; 3]]) -> String {
    let dependency = |[group, name, version]: &[&str; 3]| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies: String = artifacts.iter().map(dependency).collect();
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>jars</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_artifact_becomes_a_dependency() {
        for artifacts in [KAFKA, S3PROXY] {
            let pom = pom(artifacts);
            assert_eq!(pom.matches("<dependency>").count(), artifacts.len());
        }
        let tools = "<artifactId>kafka-tools</artifactId><version>4.3.1</version>";
        assert!(pom(KAFKA).contains(tools));
    }
}
