//! Java programs, fetched by Maven into the cache.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cache;

/// `group:artifact:version`. log4j-slf4j-impl is what makes the broker log at all.
const KAFKA: &[&str] = &[
    "org.apache.kafka:kafka_2.13:4.3.1",
    "org.apache.kafka:kafka-tools:4.3.1",
    "org.apache.kafka:connect-runtime:4.3.1",
    "org.apache.kafka:connect-json:4.3.1",
    "org.apache.kafka:connect-transforms:4.3.1",
    // Not for archiving: a sink that is there without a vendor, for tests of everything in front of
    // the sink.
    "org.apache.kafka:connect-file:4.3.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
    "org.apache.logging.log4j:log4j-1.2-api:2.25.4",
];

/// By its full name: Maven's error for a prefix that it cannot look up hides the reason.
const COPY_DEPENDENCIES: &str =
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

const S3PROXY: &[&str] =
    &["org.gaul:s3proxy:4.1.0", "com.fasterxml.jackson.core:jackson-annotations:2.21"];

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

fn fetch(name: &str, artifacts: &[&str]) -> Result<PathBuf> {
    let pom = pom(artifacts)?;
    let digest = Sha256::digest(pom.as_bytes());
    cache::entry(&format!("{name}-{:02x}{:02x}", digest[0], digest[1]), |dir| {
        let started = Instant::now();
        println!("fetching {name} by Maven ...");
        let file = dir.join("pom.xml");
        fs::write(&file, pom).with_context(|| format!("cannot write {}", file.display()))?;
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

fn pom(artifacts: &[&str]) -> Result<String> {
    let mut dependencies = String::new();
    for artifact in artifacts {
        let mut parts = artifact.split(':');
        let (Some(group), Some(name), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            bail!("{artifact} is not group:artifact:version");
        };
        write!(
            dependencies,
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        )?;
    }
    Ok(format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>jars</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_artifact_becomes_a_dependency() {
        for artifacts in [KAFKA, S3PROXY] {
            let pom = pom(artifacts).unwrap();
            assert_eq!(pom.matches("<dependency>").count(), artifacts.len());
        }
        assert!(
            pom(KAFKA)
                .unwrap()
                .contains("<artifactId>kafka-tools</artifactId><version>4.3.1</version>")
        );
    }

    #[test]
    fn an_artifact_without_version_is_named() {
        let error = pom(&["org.gaul:s3proxy"]).unwrap_err().to_string();
        assert_eq!(error, "org.gaul:s3proxy is not group:artifact:version");
    }
}
