//! `cargo xtask bench`: Gatehouse in each durability mode beside nginx as a plain proxy.
//!
//! Same machine, same run, one after the other: simulator and load on one core, the proxy under
//! test on the other. What is printed are ratios to nginx; absolute figures depend on the machine.

mod load;
mod process;
mod report;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::shell;
use load::{Load, Sample};
use process::Process;

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of load for each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Also write the table to this file, in Markdown.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Cores: one for what drives and answers, one for what is measured.
const LOAD_CORE: &str = "0";
const PROXY_CORE: &str = "1";

/// Key of the simulator, and so of the gateway towards it.
const KEY: &str = "bench-key";

/// Builds, measures and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    for (program, package) in [("nginx", "nginx"), ("wrk", "wrk"), ("taskset", "util-linux")] {
        shell::install(program, package)?;
    }
    shell::run(&mut shell::cargo(&["build", "--profile", "bench", "--package", "gatehouse"]))?;
    let binary = shell::target_folder().join("release/gatehouse");
    let work = std::env::temp_dir().join(format!("gatehouse-bench-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let measured = measure_all(&binary, &work, Duration::from_secs(arguments.seconds));
    fs::remove_dir_all(&work)?;
    let table = report::table(&measured?);
    shell::print(&table);
    if let Some(file) = &arguments.write {
        fs::write(file, &table).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn measure_all(binary: &Path, work: &Path, seconds: Duration) -> anyhow::Result<Vec<Sample>> {
    let simulator_port = free_port()?;
    let port = simulator_port.to_string();
    let mut simulate = Command::new(binary);
    simulate.args(["simulate", "--port", &port, "--key", KEY]);
    let mut simulator = Process::start(LOAD_CORE, &simulate)?;
    simulator.wait_for(simulator_port)?;
    let load = Load { core: LOAD_CORE, key: KEY, seconds, folder: work.to_owned() };
    let mut samples = vec![load.measure("simulator, no proxy", simulator_port, &simulator)?];
    let nginx_port = free_port()?;
    let mut nginx = start_nginx(work, nginx_port, simulator_port)?;
    nginx.wait_for(nginx_port)?;
    samples.push(load.measure("nginx, plain proxy", nginx_port, &nginx)?);
    drop(nginx);
    for durability in ["strict", "overlap", "relaxed"] {
        let mut gateway = Gateway::start(binary, work, durability, simulator_port)?;
        let load = Load { key: &gateway.key, ..load.clone() };
        let name = format!("Gatehouse, {durability}");
        samples.push(load.measure(&name, gateway.port, &gateway.process)?);
        gateway.process.stop()?;
    }
    Ok(samples)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn start_nginx(work: &Path, port: u16, backend: u16) -> anyhow::Result<Process> {
    let folder = work.join("nginx");
    fs::create_dir_all(&folder)?;
    let config = folder.join("nginx.conf");
    let text = format!(
        "worker_processes 1;\ndaemon off;\nmaster_process off;\npid {0}/pid;\nerror_log {0}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n access_log off;\n client_body_temp_path {0}/body;\n proxy_temp_path {0}/proxy;\n\
         fastcgi_temp_path {0}/f;\n uwsgi_temp_path {0}/u;\n scgi_temp_path {0}/s;\n\
         keepalive_requests 1000000;\n\
         upstream model {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000; }}\n\
         server {{ listen 127.0.0.1:{port}; tcp_nodelay on;\n\
         location / {{ proxy_pass http://model; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n",
        folder.display()
    );
    fs::write(&config, text)?;
    let mut nginx = Command::new("nginx");
    nginx.arg("-c").arg(&config);
    Process::start(PROXY_CORE, &nginx)
}

/// A gateway as a newcomer would set it up: `init`, then environment variables for the rest.
struct Gateway {
    process: Process,
    port: u16,
    /// Subscription key.
    key: String,
}

impl Gateway {
    fn start(binary: &Path, work: &Path, durability: &str, backend: u16) -> anyhow::Result<Self> {
        let (port, admin, health) = (free_port()?, free_port()?, free_port()?);
        let folder = work.join(durability);
        fs::create_dir_all(&folder)?;
        let config = folder.join("gatehouse.yaml");
        let mut init = Command::new(binary);
        init.arg("init").arg("--config").arg(&config);
        init.args(["--backend-url", &format!("http://127.0.0.1:{backend}")]);
        init.args(["--listen", &format!("127.0.0.1:{port}")]);
        let key = shell::output(&mut init)?.trim().to_owned();
        let mut serve = Command::new(binary);
        serve.args(["serve", "--config"]).arg(&config);
        serve.env("AZURE_OPENAI_API_KEY", KEY);
        serve.env("GATEHOUSE__LEDGER__DURABILITY", durability);
        serve.env("GATEHOUSE__ADMIN__LISTEN", format!("127.0.0.1:{admin}"));
        serve.env("GATEHOUSE__HEALTH__LISTEN", format!("127.0.0.1:{health}"));
        let mut process = Process::start(PROXY_CORE, &serve)?;
        process.wait_for(port)?;
        Ok(Self { process, port, key })
    }
}
