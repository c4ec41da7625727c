//! `cargo xtask bench rivals`: Gatehouse with everything recorded beside other gateways for models that log nothing.
//!
//! Each has the same core to itself, in the same run, before the same simulated model, which does not let anybody wait.
//! The others are installed from their registries, pinned, and set up as their own pages say for one model of an
//! OpenAI-compatible service; whoever cannot be installed is skipped, which is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::load::{CONNECTIONS, Call, Load, STREAM_TOKENS, WARM_UP, messages};
use super::process::{Cost, Process};
use super::report::{count, time};
use super::{
    Gateway, KEY, LOAD_CORE, PROXY_CORE, Scenario, built, free_port, on_load_core, packages,
    start_nginx, start_simulator,
};
use crate::shell;

/// Of PyPI.
const LITELLM: &str = "litellm[proxy]==1.108.7";
/// Of crates.io.
const NOVEUM: &str = "noveum-ai-gateway@2.0.1";
/// Of npm.
const PORTKEY: &str = "@portkey-ai/gateway@1.15.2";
/// Where the simulator and those who pass paths on as they are answer.
const V1: &str = "/openai/v1/chat/completions";

/// Arguments of `bench rivals`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of load for each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measure this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the others are installed and kept; below the system's temporary folder if not given.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Also write the table to this file, in Markdown.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Somebody under test, and how to call it.
struct Target {
    process: Process,
    port: u16,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
}

/// What was measured.
struct Figures {
    name: String,
    requests_per_second: f64,
    request: Cost,
    latency_p50: Duration,
    /// Pieces a second and what each costs; none if it fails at streams.
    streamed: Option<(f64, Cost)>,
    memory_bytes: u64,
}

/// Builds, installs, measures and prints.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binary = built(arguments.binary.as_deref())?;
    let folder = arguments.folder.clone();
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("gatehouse-bench-rivals"));
    let work = folder.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let seconds = Duration::from_secs(arguments.seconds);
    let figures = measure_all(&binary, (&folder, &work), seconds);
    fs::remove_dir_all(&work)?;
    let table = table(&figures?);
    shell::print(&table);
    if let Some(file) = &arguments.write {
        fs::write(file, &table).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn measure_all(
    binary: &Path,
    (folder, work): (&Path, &Path),
    seconds: Duration,
) -> anyhow::Result<Vec<Figures>> {
    // Installed on both cores, measured on one.
    let litellm = packages::python(folder, LITELLM);
    let portkey = packages::node(folder, PORTKEY);
    let noveum = packages::rust(folder, NOVEUM);
    on_load_core()?;
    let (_simulator, model) = start_simulator(binary)?;
    let load = Load { core: LOAD_CORE, key: KEY, seconds, folder: work.to_owned() };
    let mut all = Vec::new();
    let mut add = |name: &str, target: anyhow::Result<Target>| match target {
        Ok(mut target) => {
            all.push(measure(name, &mut target, &load)?);
            target.process.stop()
        }
        Err(error) => {
            shell::say(&format!("{name} skipped: {error:#}"));
            Ok(())
        }
    };
    add("nginx, plain proxy", nginx(work, model))?;
    for durability in ["strict", "relaxed"] {
        let scenario = Scenario { durability, backends: vec![model], limits: "" };
        let name = format!("Gatehouse, {durability}, everything recorded");
        add(&name, gatehouse(binary, work, &scenario))?;
    }
    let named = |package: &str| format!("{package}, no logging");
    add(&named(NOVEUM), noveum.and_then(|program| start_noveum(&program, model)))?;
    add(&named(PORTKEY), portkey.and_then(|package| start_portkey(&package, model)))?;
    add(&named(LITELLM), litellm.and_then(|python| start_litellm(&python, work, model)))?;
    Ok(all)
}

fn measure(name: &str, target: &mut Target, load: &Load<'_>) -> anyhow::Result<Figures> {
    shell::say(&format!("measuring {name}"));
    target.process.wait_for(target.port)?;
    let (whole, stream) = (target.call(100, false), target.call(STREAM_TOKENS, true));
    let (port, process) = (target.port, &target.process);
    load.wrk(port, process, &whole, CONNECTIONS, WARM_UP)?;
    let unary = load.wrk(port, process, &whole, CONNECTIONS, load.seconds)?;
    let alone = load.wrk(port, process, &whole, 1, load.seconds)?;
    let streamed = load.wrk(port, process, &stream, CONNECTIONS, load.seconds);
    if let Err(error) = &streamed {
        shell::say(&format!("{name} fails at streams: {error:#}"));
    }
    let streamed = streamed.ok().map(|run| {
        let pieces = run.requests * u64::from(STREAM_TOKENS);
        (pieces as f64 / run.seconds, run.used.each(pieces))
    });
    Ok(Figures {
        name: name.to_owned(),
        requests_per_second: unary.requests as f64 / unary.seconds,
        request: unary.used.each(unary.requests),
        latency_p50: alone.p50,
        streamed,
        memory_bytes: process.memory_bytes()?,
    })
}

impl Target {
    /// The length of the answer stands in the body: headers are not passed on by everybody.
    fn call(&self, tokens: u32, is_stream: bool) -> Call<'static> {
        let body = format!(
            "{{\"model\":\"gpt-4o\",\"messages\":{},\"x_sim_tokens\":{tokens},\"stream\":{is_stream}}}",
            messages()
        );
        Call { path: self.path, headers: self.headers.clone(), body }
    }
}

fn nginx(work: &Path, model: u16) -> anyhow::Result<Target> {
    let port = free_port()?;
    let process = start_nginx(work, port, model)?;
    Ok(Target { process, port, path: V1, headers: vec![("api-key", KEY.to_owned())] })
}

fn gatehouse(binary: &Path, work: &Path, scenario: &Scenario) -> anyhow::Result<Target> {
    let Gateway { process, port, key, .. } = Gateway::start(binary, work, scenario)?;
    Ok(Target { process, port, path: V1, headers: vec![("api-key", key)] })
}

fn start_noveum(program: &Path, model: u16) -> anyhow::Result<Target> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command.env("PORT", port.to_string()).env("RUST_LOG", "off");
    command.env("OPENAI_BASE_URL", format!("http://127.0.0.1:{model}"));
    let process = Process::start(PROXY_CORE, &command)?;
    let headers =
        vec![("Authorization", format!("Bearer {KEY}")), ("x-provider", "openai".to_owned())];
    Ok(Target { process, port, path: "/v1/chat/completions", headers })
}

fn start_portkey(package: &Path, model: u16) -> anyhow::Result<Target> {
    let port = free_port()?;
    let mut command = Command::new("node");
    command.arg(package.join("build/start-server.js"));
    command.args(["--headless", &format!("--port={port}")]);
    let process = Process::start(PROXY_CORE, &command)?;
    let headers = vec![
        ("Authorization", format!("Bearer {KEY}")),
        ("x-portkey-provider", "openai".to_owned()),
        ("x-portkey-custom-host", format!("http://127.0.0.1:{model}/openai/v1")),
    ];
    Ok(Target { process, port, path: "/v1/chat/completions", headers })
}

fn start_litellm(python: &Path, work: &Path, model: u16) -> anyhow::Result<Target> {
    let port = free_port()?;
    let config = work.join("litellm.yaml");
    fs::write(
        &config,
        format!(
            "model_list:\n  - model_name: gpt-4o\n    litellm_params:\n      model: openai/gpt-4o\n      \
             api_base: http://127.0.0.1:{model}/openai/v1\n      api_key: {KEY}\n\
             general_settings:\n  master_key: sk-{KEY}\n\
             litellm_settings:\n  telemetry: false\n"
        ),
    )?;
    let mut command = Command::new(python.with_file_name("litellm"));
    command.arg("--config").arg(&config);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    // Prices of models come with the package; it would ask for newer ones.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR");
    let process = Process::start(PROXY_CORE, &command)?;
    let headers = vec![("Authorization", format!("Bearer sk-{KEY}"))];
    Ok(Target { process, port, path: "/v1/chat/completions", headers })
}

/// Markdown; the first row is nginx, the measure of all.
fn table(all: &[Figures]) -> String {
    let mut text = String::from(
        "| | requests/s | CPU per request | p50 alone | stream pieces/s | CPU per piece | memory |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let Some(nginx) = all.first() else { return text };
    for figures in all {
        let [pieces, piece] = match (figures.streamed, nginx.streamed) {
            (Some((rate, cost)), Some(nginx)) => {
                [count(rate, nginx.0), time(cost.all, nginx.1.all)]
            }
            _ => ["fails", "fails"].map(str::to_owned),
        };
        let cells = [
            count(figures.requests_per_second, nginx.requests_per_second),
            time(figures.request.all, nginx.request.all),
            time(figures.latency_p50, nginx.latency_p50),
            pieces,
            piece,
            format!("{:.0} MiB", figures.memory_bytes as f64 / f64::from(1 << 20)),
        ];
        text.push_str(&format!("| {} | {} |\n", figures.name, cells.join(" | ")));
    }
    text
}
