//! Servers of Spark Connect on this machine, and what is measured and tested with them.

use crate::build::{Profile, Target};
use crate::stack::ports;
use crate::{ask, cache, files, interrupt, process, python};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// Spark with its server, as PyPI has it: 435 MB.
const PACKAGE: &str = "pyspark==4.3.0";
/// To be changed with the package.
const KEY: &str = "pyspark-1";
const BENCH: Target = Target::Example { package: "hourly", name: "spark" };
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that ends with the value.
pub struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(mut command: Command, port: u16, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let process = command
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let mut server = Self { process, port };
        let is_up = interrupt::poll(PATIENCE, || {
            if server.process.try_wait()?.is_some() {
                bail!(
                    "it has ended: {}",
                    fs::read_to_string(log)?.lines().last().unwrap_or_default()
                );
            }
            Ok(ports::accepts(port))
        });
        if !is_up.context("starting a server of Spark Connect")? {
            bail!(
                "no server of Spark Connect on port {port} within {PATIENCE:?}; {} says more",
                log.display()
            );
        }
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("sc://127.0.0.1:{}", self.port)
    }

    fn id(&self) -> String {
        self.process.id().to_string()
    }
}

/// Compiles and runs the bench: the batch layer's scan, Spark and Sail over the same objects.
pub fn bench(arguments: &[OsString]) -> Result<ExitCode> {
    if let Some(code) = ask::answer(BENCH, arguments)? {
        return Ok(code);
    }
    let mut bench = Command::new(BENCH.build(Profile::Release)?);
    let folder = scratch()?;
    let (spark, sail, cluster) =
        (spark(&folder)?, sail(&folder)?, Cluster::start(&folder.join("cluster"))?);
    bench.args(["--spark", &spark.url(), "--spark-process", &spark.id()]);
    bench.args(["--sail", &sail.url(), "--sail-process", &sail.id()]);
    bench.args(["--cluster", &cluster.connect.url(), "--worker", &cluster.workers[0].id()]);
    let status = bench.args(arguments).status().context("cannot run the bench")?;
    drop((spark, sail, cluster));
    let _ = fs::remove_dir_all(&folder);
    Ok(process::exit_code(status))
}

/// A folder for what servers write, to be deleted by who asked for it.
pub fn scratch() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("stock-lambda-spark-{}", std::process::id()));
    files::create_dir(&folder)?;
    Ok(folder)
}

/// A cluster that Spark starts by itself: a master, two workers of one core, and a server that
/// works through them.
struct Cluster {
    connect: Server,
    workers: [Server; 2],
    _master: Server,
}

impl Cluster {
    fn start(folder: &Path) -> Result<Self> {
        files::create_dir(folder)?;
        let port = free_port()?;
        let master = format!("spark://127.0.0.1:{port}");
        println!("starting a cluster of Spark's ...");
        let mut command = daemon("master.Master", port, folder)?;
        command.args(["--webui-port", "0"]);
        let process = Server::start(command, port, &folder.join("master.log"))?;
        let worker = |number: u8| {
            let port = free_port()?;
            let mut command = daemon("worker.Worker", port, folder)?;
            command.args(["--webui-port", "0", "--cores", "1", "--memory", "900m"]).arg(&master);
            Server::start(command, port, &folder.join(format!("worker-{number}.log")))
        };
        let workers = [worker(1)?, worker(2)?];
        Ok(Self { connect: connect(folder, &master)?, workers, _master: process })
    }
}

/// What a cluster consists of.
fn daemon(class: &str, port: u16, folder: &Path) -> Result<Command> {
    let home = home()?;
    let mut command = Command::new(home.join("bin/spark-class"));
    command
        .env("SPARK_HOME", &home)
        .env("SPARK_LOCAL_IP", "127.0.0.1")
        .env("SPARK_DAEMON_MEMORY", "256m");
    command.env("SPARK_WORKER_DIR", folder.join("work")).current_dir(folder);
    command.arg(format!("org.apache.spark.deploy.{class}"));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    Ok(command)
}

/// A server of Spark's, which ends its streams so soon that each result needs several.
pub fn spark(folder: &Path) -> Result<Server> {
    println!("starting Spark ...");
    connect(folder, "local[2]")
}

fn connect(folder: &Path, master: &str) -> Result<Server> {
    let home = home()?;
    let port = free_port()?;
    let settings = format!(include_str!("spark-defaults.conf.in"), port = port);
    files::write(&folder.join("spark-defaults.conf"), &settings)?;
    let mut command = Command::new(home.join("bin/spark-submit"));
    command
        .env("SPARK_HOME", &home)
        .env("SPARK_CONF_DIR", folder)
        .env("SPARK_LOCAL_IP", "127.0.0.1");
    command.args(["--master", master, "--driver-memory", "1500m", "--name", "connect"]);
    command.args(["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]);
    command.arg("spark-internal").current_dir(folder);
    Server::start(command, port, &folder.join("spark.log"))
}

fn sail(folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(python::interpreter()?);
    command.args(["-m", "pysail", "spark", "server", "--ip", "127.0.0.1"]);
    command.args(["--port", &port.to_string()]);
    Server::start(command, port, &folder.join("sail.log"))
}

/// Where Spark is installed, on first use.
fn home() -> Result<PathBuf> {
    let folder = cache::entry(KEY, |folder| {
        println!("installing {PACKAGE} ...");
        python::environment(folder, &["--no-deps", PACKAGE, "py4j"])
    })?;
    let lib = fs::read_dir(folder.join("lib")).context("reading Spark's folder")?;
    let homes = lib.filter_map(|entry| Some(entry.ok()?.path().join("site-packages/pyspark")));
    homes
        .into_iter()
        .find(|home| home.is_dir())
        .context("Spark is not where PyPI's package puts it")
}

fn free_port() -> Result<u16> {
    Ok(ports::usual_or_free(0)?.port())
}
