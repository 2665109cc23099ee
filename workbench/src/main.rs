//! The binary `workbench`: developers' equipment, run by `cargo xtask`.

use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use workbench::cli::Cli;

/// How long threads that may block are waited for after the last word. Where a command fails, one
/// of them may still be sending messages, and would do so for ever.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(workbench::cli::main(cli));
    runtime.shutdown_timeout(PATIENCE);
    code
}
