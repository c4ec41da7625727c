//! `gatehouse doctor`: what is wrong here, and what mends it.

use std::fs;
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::arguments::ConfigFile;
use crate::client::Client;
use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::http::{self, Request};
use crate::terminal::print;

/// Flushes measured on the data folder.
const FLUSHES: usize = 20;
/// A flush slower than this makes `strict` felt by callers.
const FLUSH_SLOW: Duration = Duration::from_millis(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Prints findings as they come, and counts the bad ones.
#[derive(Default)]
struct Findings {
    wrong: u32,
}

impl Findings {
    fn note(&mut self, what: &str, finding: anyhow::Result<String>) {
        match finding {
            Ok(text) => print(&format!("ok     {what}: {text}\n")),
            Err(error) => {
                self.wrong += 1;
                print(&format!("WRONG  {what}: {error:#}\n"));
            }
        }
    }
}

/// Runs the command.
pub(crate) fn run(file: &ConfigFile) -> anyhow::Result<()> {
    let config = Config::load(&file.config)?;
    let mut findings = Findings::default();
    let checked = Config::load_whole(&file.config).and_then(|whole| whole.validate());
    findings.note("configuration", checked.map(|()| file.config.display().to_string()));
    findings.note("data folder", flush_time(&config.data_dir));
    for backend in &config.backends {
        let through =
            config.proxy().ok().flatten().filter(|proxy| proxy.leads_to(&backend.base_url));
        let dialled = if through.is_some() { &config.proxy.url } else { &backend.base_url };
        findings.note(&format!("backend {}", backend.id), reach(dialled));
    }
    findings.note("gateway", health(&config));
    findings.note("record", record(&config));
    if findings.wrong == 0 {
        return Ok(());
    }
    let said = match findings.wrong {
        1 => "1 finding, listed above".to_owned(),
        many => format!("{many} findings, listed above"),
    };
    Err(ExitWith::error(Exit::CheckFailed, said))
}

/// Writes and flushes a small file as the ledger would.
fn flush_time(folder: &Path) -> anyhow::Result<String> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make {}: choose a writable `data_dir`", folder.display())
    })?;
    let path = folder.join(".doctor");
    let mut file =
        fs::File::create(&path).context("cannot write there: choose a writable `data_dir`")?;
    let mut times = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        let start = Instant::now();
        file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).context("cannot flush")?;
        times.push(start.elapsed());
    }
    drop(file);
    fs::remove_file(&path)?;
    times.sort_unstable();
    let median = times[FLUSHES / 2];
    let advice = if median > FLUSH_SLOW {
        "; slow: callers wait for two flushes in `strict`, a faster disk or `durability: overlap` helps"
    } else {
        ""
    };
    Ok(format!("{}, a flush takes {:.2} ms{advice}", folder.display(), median.as_secs_f64() * 1e3))
}

fn reach(base_url: &str) -> anyhow::Result<String> {
    let (scheme, rest) = base_url.split_once("://").context("`base_url` has no scheme")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let port = if scheme == "https" { 443 } else { 80 };
    let host = if authority.rsplit(']').next().unwrap_or(authority).contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    };
    let addresses = host
        .to_socket_addrs()
        .with_context(|| format!("`{host}` does not resolve: check `base_url` and DNS"))?;
    for address in addresses {
        if TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok() {
            return Ok(format!("{address} accepts connections"));
        }
    }
    anyhow::bail!("`{host}` does not accept connections: check `base_url`, route and firewall")
}

fn health(config: &Config) -> anyhow::Result<String> {
    let request = Request { method: "GET", target: "/readyz", headers: &[], body: &[] };
    let response = http::send(config.health.listen, &request)
        .context("not running: start it with `gatehouse serve`")?;
    let text = String::from_utf8_lossy(&response.body).into_owned();
    anyhow::ensure!(response.status == 200, "not ready: {text}");
    Ok("ready".into())
}

fn record(config: &Config) -> anyhow::Result<String> {
    let rows = Client::for_config(config)?
        .query("Interactions | summarize Interactions = count(), Latest = max(TimeGenerated)")?
        .objects()?;
    Ok(rows.first().map(serde_json::to_string).transpose()?.unwrap_or_default())
}
