//! `gatehouse demo`: a gateway with two simulated model instances behind it, on loopback.

mod script;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use policy::KeyHasher;
use simulator::{Simulator, SimulatorConfig};
use tempfile::TempDir;

use crate::arguments::{DemoArguments, OutputFormat};
use crate::client::Client;
use crate::config::{Config, LogConfig};
use crate::log::{self, LogLevel};
use crate::secret_file;
use crate::terminal::{print, say};
use crate::wire::Running;
use crate::{audit, keys, lock_down, serve};

const USAGE_QUERY: &str = include_str!("demo/usage_by_ip_and_model.kql");
const PROMPT_QUERY: &str = include_str!("demo/prompt_usage.kql");
/// A budget and a report to look at.
const EXTRAS: &str = "\
cost: { budgets: [{ id: demo, amount_usd: 1 }] }
reports:
  - id: usage
    name: Usage by model
    query: Interactions | summarize Calls = count(), CostUsd = sum(CostUsd) by ModelName
    folder: reports
";

/// The simulated instances: id and region.
const INSTANCES: [(&str, &str); 2] = [("eastus", "East US"), ("westeurope", "West Europe")];

/// A demo that runs.
struct Demo {
    running: Running,
    simulators: Vec<Simulator>,
    address: SocketAddr,
    key: String,
    config_file: PathBuf,
    config: Config,
    /// Removed with the demo; none if the caller named a folder.
    _folder: Option<TempDir>,
}

/// Runs the command.
pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    let level = if arguments.script { "error" } else { "warn" };
    let log = log::start(&LogConfig { level: level.into(), json: false })?;
    lock_down::keep_memory_private();
    serve::runtime()?.block_on(async {
        let demo = Demo::start(arguments, log).await?;
        if let Some(file) = &arguments.write_env {
            demo.write_env(file)?;
        }
        let outcome = if arguments.script {
            demo.script().await
        } else {
            print(&demo.welcome());
            serve::StopSignal::new()?.received().await;
            Ok(())
        };
        demo.stop().await?;
        outcome
    })
}

impl Demo {
    async fn start(arguments: &DemoArguments, log: LogLevel) -> anyhow::Result<Self> {
        // Asked before anything is made, as 8080 is taken on many machines.
        let address = SocketAddr::from(([127, 0, 0, 1], arguments.port));
        TcpListener::bind(address).with_context(|| {
            format!(
                "cannot listen on {address}: choose another port with --port, 0 takes a free one"
            )
        })?;
        let (folder, data) = match &arguments.data_dir {
            Some(data) => (None, data.clone()),
            None => {
                let folder = tempfile::Builder::new().prefix("gatehouse-demo-").tempdir()?;
                let data = folder.path().to_owned();
                (Some(folder), data)
            }
        };
        fs::create_dir_all(&data).with_context(|| {
            format!("cannot make {}: choose another folder with --data-dir", data.display())
        })?;
        let backend_key = keys::random_text();
        let mut simulators = Vec::new();
        for (seed, (id, region)) in (1..).zip(INSTANCES) {
            simulators.push(Simulator::start(simulated(seed, id, region, &backend_key)).await?);
        }
        let (config_file, key) = write_config(&data, &simulators, &backend_key, arguments)?;
        let config = Config::load(&config_file)?;
        let running = Box::pin(Running::start(config.clone(), &config_file, log)).await?;
        let address = running.address().context("the configuration has a listener")?;
        Ok(Self { running, simulators, address, key, config_file, config, _folder: folder })
    }

    /// Calls of every kind, both sample queries, and the proof.
    async fn script(&self) -> anyhow::Result<()> {
        let (address, key) = (self.address, self.key.clone());
        let made = blocking(move || script::run(&script::Caller { address, key: &key })).await?;
        self.running.sign().await;
        ensure!(self.running.settle().await?, "the tables are behind the ledger");
        let config = self.config.clone();
        let found = blocking(move || report(&config)).await?;
        ensure!(found == u64::from(made), "{made} calls were made, {found} are on record");
        Ok(())
    }

    fn write_env(&self, file: &Path) -> anyhow::Result<()> {
        let text = format!(
            "GATEHOUSE_ENDPOINT='http://{}'\nGATEHOUSE_KEY='{}'\nGATEHOUSE_CONFIG='{}'\n",
            self.address,
            self.key,
            self.config_file.display()
        );
        // Whoever waits for the file must not see half of it.
        let part = file.with_extension("part");
        fs::write(&part, text).and_then(|()| fs::rename(&part, file)).with_context(|| {
            format!("cannot write {}: choose another file with --write-env", file.display())
        })
    }

    fn welcome(&self) -> String {
        let (endpoint, key) = (format!("http://{}", self.address), &self.key);
        let program = std::env::current_exe().unwrap_or_else(|_| "gatehouse".into());
        let gatehouse = format!("{} ", program.display());
        let config = self.config_file.display();
        let (portal, token) = (self.config.admin.listen, self.config.admin_token_file());
        let token = token.display();
        format!(
            r#"Gatehouse is up, with two simulated Azure OpenAI instances behind it.

  endpoint  {endpoint}
  key       {key}
  portal    http://{portal}/ (sign in with the token in {token})

curl:

  curl -s '{endpoint}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21' \
    -H 'api-key: {key}' -H 'Content-Type: application/json' \
    -d '{{"messages":[{{"role":"user","content":"Hello from curl"}}]}}'

Python (pip install openai):

  from openai import AzureOpenAI
  client = AzureOpenAI(azure_endpoint="{endpoint}", api_key="{key}", api_version="2024-10-21")
  answer = client.chat.completions.create(model="gpt-4o", messages=[{{"role": "user", "content": "Hello from Python"}}])
  print(answer.choices[0].message.content)

Node (npm install openai):

  import {{ AzureOpenAI }} from 'openai';
  const client = new AzureOpenAI({{ endpoint: '{endpoint}', apiKey: '{key}', apiVersion: '2024-10-21' }});
  const answer = await client.chat.completions.create({{ model: 'gpt-4o', messages: [{{ role: 'user', content: 'Hello from Node' }}] }});
  console.log(answer.choices[0].message.content);

Then, in another terminal:

  {gatehouse}tail --config {config}
  {gatehouse}query --config {config} --purpose demo 'Messages | project TimeGenerated, CallerIpAddress, Role, Content'
  {gatehouse}audit verify --config {config}

Ctrl-C ends the demo.
"#
        )
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.running.shutdown().await?;
        for simulator in self.simulators {
            simulator.stop().await;
        }
        Ok(())
    }
}

fn simulated(seed: u64, id: &str, region: &str, key: &str) -> SimulatorConfig {
    SimulatorConfig {
        name: id.into(),
        region: region.into(),
        seed,
        api_keys: vec![key.into()],
        ..SimulatorConfig::default()
    }
}

/// The configuration as a file, so that the other commands work on a demo as on any gateway.
fn write_config(
    data: &Path,
    simulators: &[Simulator],
    backend_key: &str,
    arguments: &DemoArguments,
) -> anyhow::Result<(PathBuf, String)> {
    let (secret, key) = (keys::random_text(), keys::random_text());
    secret_file::write(&data.join("gatehouse.secret"), &secret)?;
    secret_file::write(&data.join("backend.key"), backend_key)?;
    // Each demo makes a key of its own, so it begins with a desired state of its own too.
    for name in ["control.sqlite", "control.sqlite-wal", "control.sqlite-shm", "control.json"] {
        match fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let hash = KeyHasher::new(secret.as_bytes()).hash(&key);
    let mut text = format!(
        "data_dir: .\nregion: demo\nkey_hash_secret: {{ file: gatehouse.secret }}\n\
         egress: {{ allow: [127.0.0.0/8] }}\n\
         edge:\n  listeners:\n    - address: 127.0.0.1:{}\n\
         admin:\n  listen: 127.0.0.1:{}\nhealth:\n  listen: 127.0.0.1:{}\n\
         subscriptions:\n  - id: demo\n    owner: demo-user\n    primary_key_hash: {hash}\nbackends:\n",
        arguments.port,
        settled_port(arguments.admin_port)?,
        settled_port(arguments.health_port)?,
    );
    let deployments: Vec<&str> =
        simulators[0].config().deployments.iter().map(|known| known.name.as_str()).collect();
    for ((id, _), simulator) in INSTANCES.iter().zip(simulators) {
        text.push_str(&format!(
            "  - id: {id}\n    base_url: {}\n    api_key: {{ file: backend.key }}\n    home: {}\n\
             \x20   deployments: [{}]\n    probe: {{ path: /status, interval_ms: 5000 }}\n",
            simulator.url(),
            *id == INSTANCES[0].0,
            deployments.join(", "),
        ));
    }
    text.push_str(EXTRAS);
    let reports = data.join("reports");
    fs::create_dir_all(&reports).with_context(|| format!("cannot make {}", reports.display()))?;
    let file = data.join("gatehouse.yaml");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok((file, key))
}

/// A port that the configuration can name: a free one in place of 0.
fn settled_port(port: u16) -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", port))
        .with_context(|| {
            format!(
                "cannot listen on 127.0.0.1:{port}: choose another with --admin-port and \
                 --health-port, 0 takes a free one"
            )
        })?
        .local_addr()?
        .port())
}

/// Prints both sample queries with their answers, and the proof; answers the interactions on record.
fn report(config: &Config) -> anyhow::Result<u64> {
    let client = Client::for_config(config)?.with_purpose("demo");
    // A person reads a few columns; the query itself stays as published.
    let shorter =
        format!("{PROMPT_QUERY}| project CallerIpAddress, model, prompttokens, prompttext");
    for (title, query) in [
        ("usage by address and model, as published", USAGE_QUERY),
        ("prompt usage, as published, some columns", shorter.as_str()),
    ] {
        print(&format!("\n── {title}\n{}", client.query(query)?.render(OutputFormat::Table)?));
    }
    let prompts = "Messages | where Direction == 'prompt' \
                   | project CallerIpAddress, Kind, ContentType, Content | sort by Kind asc";
    let prompts = client.query(prompts)?.render(OutputFormat::Table)?;
    print(&format!("\n── every prompt, of every kind\n{prompts}"));
    let folder = config.ledger_dir();
    let proof = audit::walk(&folder, &ledger::Span::default(), &ledger::Trust::default())?;
    print(&format!("\n── audit verify\n{}", audit::as_text(&folder, &proof)));
    ensure!(proof.is_clean(), "the record is not clean");
    let count = client.query("Interactions | count")?.objects()?;
    count[0]["Count"].as_u64().context("a count")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.inspect_err(|_| say("the demo's script panicked"))?
}
