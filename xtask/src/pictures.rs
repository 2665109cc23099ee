//! `cargo xtask pictures`: dashboards as a running Grafana draws them, taken by a headless browser.

use crate::files;
use crate::process::exit_code;
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Pictures of docs/pictures, each with the dashboard that it shows.
const PICTURES: [(&str, &str); 1] = [("live-market.png", "stock-market")];
/// Names under which browsers of one kind are installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
const SIZE: &str = "1600,1000";
/// How long a page has to load, by the browser's own clock, which stands while it waits for data.
const LOAD: Duration = Duration::from_secs(20);
/// One without a panel drawn is smaller.
const LEAST_BYTES: u64 = 20_000;

#[derive(Args)]
pub struct Options {
    /// Where Grafana is, one that asks for no login, as the demo's
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "URL")]
    grafana: String,
    /// Folder of the pictures; default: docs/pictures
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Takes every picture, and fails at the first that shows no dashboard.
pub fn run(options: &Options) -> Result<ExitCode> {
    let browser = BROWSERS.into_iter().find_map(files::on_path).with_context(|| {
        format!("no browser is installed: one of {} takes the pictures", BROWSERS.join(", "))
    })?;
    let folder =
        options.to.clone().unwrap_or_else(|| files::workspace().join("docs").join("pictures"));
    files::create_dir(&folder)?;
    let grafana = options.grafana.trim_end_matches('/');
    for (name, uid) in PICTURES {
        let asked = format!("{grafana}/api/dashboards/uid/{uid}");
        ureq::get(&asked).call().with_context(|| {
            format!(
                "no dashboard at {asked}: `cargo xtask demo` starts a Grafana that is installed"
            )
        })?;
        let file = folder.join(name);
        files::remove_file(&file)?;
        let status = command(&browser, &page(grafana, uid), &file)
            .status()
            .with_context(|| format!("cannot run {}", browser.display()))?;
        if !status.success() {
            return Ok(exit_code(status));
        }
        let bytes = fs::metadata(&file).map_or(0, |meta| meta.len());
        ensure!(
            bytes >= LEAST_BYTES,
            "{} took no picture of {uid}: {} has {bytes} bytes",
            browser.display(),
            file.display()
        );
        println!("{} ({bytes} bytes): look at it before you commit it", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Without Grafana's own menus, and not refreshed under the browser's eyes.
fn page(grafana: &str, uid: &str) -> String {
    format!("{grafana}/d/{uid}?kiosk&theme=dark&from=now-1h&to=now&refresh=")
}

fn command(browser: &Path, page: &str, file: &Path) -> Command {
    let mut picture = std::ffi::OsString::from("--screenshot=");
    picture.push(file);
    let mut command = Command::new(browser);
    command.args(["--headless=new", "--disable-gpu", "--hide-scrollbars"]);
    command.arg(format!("--window-size={SIZE}"));
    command.arg(format!("--virtual-time-budget={}", LOAD.as_millis()));
    if rustix::process::geteuid().is_root() {
        // It refuses to run as root otherwise; the page is the project's own.
        command.arg("--no-sandbox");
    }
    command.arg(picture).arg(page);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is in docs/README.md by the name that this writes, of a dashboard that is there.
    #[test]
    fn each_picture_is_of_a_dashboard_that_is_there_and_stands_in_the_list() {
        let list = fs::read_to_string(files::workspace().join("docs/README.md")).unwrap();
        for (name, uid) in PICTURES {
            let dashboard =
                files::workspace().join("grafana/dashboards").join(format!("{uid}.json"));
            let text = fs::read_to_string(dashboard).unwrap();
            assert!(text.contains(&format!("\"uid\": \"{uid}\"")), "{uid}");
            let row = list.lines().find(|line| line.contains(&format!("`pictures/{name}`")));
            assert!(row.unwrap_or_default().contains("`cargo xtask pictures`"), "{name}");
        }
    }

    #[test]
    fn a_browser_is_told_where_to_look_and_where_the_picture_goes() {
        let page = page("http://127.0.0.1:3000", "overview");
        let command = command(Path::new("chromium"), &page, Path::new("/tmp/a b.png"));
        let arguments: Vec<_> = command.get_args().filter_map(|word| word.to_str()).collect();
        let (last, before) = arguments.split_last().unwrap();
        assert!(last.starts_with("http://127.0.0.1:3000/d/overview?kiosk"), "{last}");
        assert_eq!(before.last(), Some(&"--screenshot=/tmp/a b.png"));
    }
}
