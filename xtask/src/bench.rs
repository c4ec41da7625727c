//! `cargo xtask bench`: Gatehouse in each durability mode beside nginx as a plain proxy.
//!
//! Same machine, same run, one after the other: simulator and load on one core, the proxy under
//! test on the other. What is printed are ratios to nginx; absolute figures depend on the machine.

mod crowd;
mod load;
mod paced;
mod packages;
mod process;
mod query;
mod report;
mod rivals;
mod sample;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::shell;
use crowd::Crowd;
use load::Load;
use process::Process;
use sample::{Sample, measure};

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of load for each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Streams held open at once in the last measurement; 0 leaves it out.
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Measure this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Also write the table to this file, in Markdown.
    #[arg(long)]
    write: Option<PathBuf>,
    #[command(subcommand)]
    what: Option<What>,
}

/// What else can be measured.
#[derive(clap::Subcommand)]
enum What {
    /// Queries over millions of interactions, beside DuckDB on the same files.
    Query(query::Arguments),
    /// Other gateways for models that log nothing.
    Rivals(rivals::Arguments),
}

/// Cores: one for what drives and answers, one for what is measured.
const LOAD_CORE: &str = "0";
const PROXY_CORE: &str = "1";

/// Key of the simulator, and so of the gateway towards it.
const KEY: &str = "bench-key";

/// Builds, measures and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.what {
        Some(What::Query(arguments)) => return query::run(arguments),
        Some(What::Rivals(arguments)) => return rivals::run(arguments),
        None => {}
    }
    let binary = built(arguments.binary.as_deref())?;
    let work = std::env::temp_dir().join(format!("gatehouse-bench-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let measured = measure_all(&binary, &work, arguments);
    fs::remove_dir_all(&work)?;
    let (samples, crowd) = measured?;
    let mut table = format!("{}\n{}", report::table(&samples), report::paced(&samples));
    if let Some(crowd) = &crowd {
        table = format!("{table}\n{}", crowd.line());
    }
    shell::print(&table);
    if let Some(file) = &arguments.write {
        fs::write(file, &table).with_context(|| format!("cannot write {}", file.display()))?;
    }
    crowd.as_ref().map_or(Ok(()), Crowd::check)
}

/// The binary under test, with the programs that it is measured by installed.
fn built(binary: Option<&Path>) -> anyhow::Result<PathBuf> {
    for (program, package) in [("nginx", "nginx"), ("wrk", "wrk"), ("taskset", "util-linux")] {
        shell::install(program, package)?;
    }
    if let Some(binary) = binary {
        return Ok(binary.to_owned());
    }
    shell::run(&mut shell::cargo(&["build", "--profile", "bench", "--package", "gatehouse"]))?;
    Ok(shell::target_folder().join("release/gatehouse"))
}

/// Keeps this process to the core of the load: calls are made by threads of it too.
fn on_load_core() -> anyhow::Result<()> {
    let id = std::process::id().to_string();
    shell::run(Command::new("taskset").args(["-apc", LOAD_CORE, &id]).stdout(Stdio::null()))
}

fn measure_all(
    binary: &Path,
    work: &Path,
    arguments: &Arguments,
) -> anyhow::Result<(Vec<Sample>, Option<Crowd>)> {
    on_load_core()?;
    let simulators = [start_simulator(binary)?, start_simulator(binary)?, start_simulator(binary)?];
    let [(simulator, simulator_port), (_, second), (_, third)] = &simulators;
    let seconds = Duration::from_secs(arguments.seconds);
    let load = Load { core: LOAD_CORE, key: KEY, seconds, folder: work.to_owned() };
    let mut samples = vec![measure(&load, "simulator, no proxy", *simulator_port, simulator)?];
    let nginx_port = free_port()?;
    let mut nginx = start_nginx(work, nginx_port, *simulator_port)?;
    nginx.wait_for(nginx_port)?;
    samples.push(measure(&load, "nginx, plain proxy", nginx_port, &nginx)?);
    drop(nginx);
    let plain = |durability| Scenario { durability, backends: vec![*simulator_port], limits: "" };
    let backends = vec![*simulator_port, *second, *third];
    let scenarios = [
        ("Gatehouse, strict", plain("strict")),
        ("Gatehouse, overlap", plain("overlap")),
        ("Gatehouse, relaxed", plain("relaxed")),
        ("Gatehouse, strict, three instances", Scenario { backends, ..plain("strict") }),
        ("Gatehouse, strict, limits on", Scenario { limits: LIMITS, ..plain("strict") }),
    ];
    for (name, scenario) in &scenarios {
        let mut gateway = Gateway::start(binary, work, scenario)?;
        let load = Load { key: &gateway.key, ..load.clone() };
        samples.push(measure(&load, name, gateway.port, &gateway.process)?);
        gateway.process.stop()?;
    }
    if arguments.streams == 0 {
        return Ok((samples, None));
    }
    let mut gateway = Gateway::start(binary, work, &plain("strict"))?;
    let load = Load { key: &gateway.key, ..load };
    let crowd =
        crowd::measure(&load, gateway.port, &gateway.process, &gateway.config, arguments.streams)?;
    gateway.process.stop()?;
    Ok((samples, Some(crowd)))
}

/// A simulated model instance and its port.
fn start_simulator(binary: &Path) -> anyhow::Result<(Process, u16)> {
    let port = free_port()?;
    let mut simulate = Command::new(binary);
    simulate.args(["simulate", "--port", &port.to_string(), "--key", KEY]);
    let mut simulator = Process::start(LOAD_CORE, &simulate)?;
    simulator.wait_for(port)?;
    Ok((simulator, port))
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

/// How a gateway is set up.
struct Scenario {
    durability: &'static str,
    /// Ports of its backends.
    backends: Vec<u16>,
    /// What the subscription's entry goes on with.
    limits: &'static str,
}

/// Limits of every measure, none of which is ever reached.
const LIMITS: &str = "    limits:\n      - counter_key: [subscription]\n        calls: 1000000000\n        \
    renewal_period_s: 60\n        tokens_per_minute: 1000000000000\n        concurrency: 100000\n";

/// A gateway as a newcomer would set it up: `init`, a few more lines, environment variables for the rest.
struct Gateway {
    process: Process,
    port: u16,
    config: PathBuf,
    /// Subscription key.
    key: String,
}

impl Gateway {
    fn start(binary: &Path, work: &Path, scenario: &Scenario) -> anyhow::Result<Self> {
        let (port, admin, health) = (free_port()?, free_port()?, free_port()?);
        let folder = work.join(port.to_string());
        fs::create_dir_all(&folder)?;
        let config = folder.join("gatehouse.yaml");
        let (first, others) = scenario.backends.split_first().context("a backend is needed")?;
        let mut init = Command::new(binary);
        init.arg("init").arg("--config").arg(&config);
        init.args(["--backend-url", &format!("http://127.0.0.1:{first}")]);
        init.args(["--listen", &format!("127.0.0.1:{port}")]);
        let key = shell::output(&mut init)?.trim().to_owned();
        let text = fs::read_to_string(&config)?;
        fs::write(&config, completed(&text, others, scenario.limits)?)?;
        let mut serve = Command::new(binary);
        serve.args(["serve", "--config"]).arg(&config);
        serve.env("AZURE_OPENAI_API_KEY", KEY);
        serve.env("GATEHOUSE__LEDGER__DURABILITY", scenario.durability);
        // All load comes from one address.
        serve.env("GATEHOUSE__EDGE__CONNECTIONS_PER_ADDRESS_MAX", "16384");
        serve.env("GATEHOUSE__ADMIN__LISTEN", format!("127.0.0.1:{admin}"));
        serve.env("GATEHOUSE__HEALTH__LISTEN", format!("127.0.0.1:{health}"));
        let mut process = Process::start(PROXY_CORE, &serve)?;
        process.wait_for(port)?;
        Ok(Self { process, port, config, key })
    }
}

/// The configuration with further backends, and with what the subscription's entry goes on with.
fn completed(text: &str, backends: &[u16], limits: &str) -> anyhow::Result<String> {
    let mut done = String::new();
    let mut places = 0;
    for line in text.lines() {
        done.push_str(line);
        done.push('\n');
        if line.trim() == "env: AZURE_OPENAI_API_KEY" {
            places += 1;
            for port in backends {
                done.push_str(&format!(
                    "  - id: at-{port}\n    base_url: http://127.0.0.1:{port}\n    api_key:\n      {}\n",
                    line.trim()
                ));
            }
        }
        if line.trim_start().starts_with("primary_key_hash:") {
            places += 1;
            done.push_str(limits);
        }
    }
    ensure!(places == 2, "`gatehouse init` writes another configuration than this bench knows");
    Ok(done)
}
