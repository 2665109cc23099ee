//! Kafka's own programs.

use crate::stack::stack;
use std::process::Command;

/// A Java program of the stack's Kafka, with a small heap. It is killed with the thread that starts
/// it, so that nothing is left where a test's process is killed.
pub fn kafka_program(class: &str, heap_mib: u32, properties: &[String]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "java", &format!("-Xmx{heap_mib}m")])
        .args([
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            &format!("{}/*", stack("STACK_KAFKA_JARS")),
        ])
        .args(properties)
        .arg(class);
    command
}

/// Runs one of Kafka's own tools to its end; where it fails, what it says is the error.
pub fn kafka_tool(class: &str, args: &[&str]) -> Result<(), String> {
    let output = kafka_program(class, 64, &[]).args(args).output();
    let output = output.map_err(|error| format!("run {class}: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&said).into_owned())
}
