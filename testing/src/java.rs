//! Kafka's own programs.

use std::process::Command;

use crate::stack;

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
