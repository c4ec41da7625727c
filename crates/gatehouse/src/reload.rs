//! A changed configuration takes effect without a restart: on SIGHUP, when the file changes, or when
//! an administrator says so. It is taken as a whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use control::{Control, Decree, Publisher};
use portal::{ReloadReport, SettingList};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, StateSource};
use crate::effective::{self, Sources};
use crate::parts::Parts;

/// Time between two looks at the files.
const LOOK: Duration = Duration::from_millis(500);

/// Settings that need a restart: they name sockets, folders and what is sized at the start.
const RESTART: &[&str] = &[
    "/data_dir",
    "/vault",
    "/edge/listeners",
    "/acme",
    "/edge/connections_max",
    "/ledger",
    "/redis",
    "/control",
    "/pipeline",
    "/store/metadata_cache_bytes",
    "/admin",
    "/sign_in",
    "/scim",
    "/graph",
    "/health",
    "/metrics",
    "/otlp",
    "/log/json",
    "/process",
];

/// Reads the configuration again.
pub(crate) struct Reloader {
    file: PathBuf,
    parts: Arc<Parts>,
    control: Control,
    /// What file and environment said when that was read.
    sources: Mutex<Sources>,
    /// What the files held before the gateway took calls: a change from then on is seen, however late the watch
    /// begins.
    at_start: Mutex<Contents>,
    /// What is in force; held while a reload runs, so that there is one at a time.
    current: tokio::sync::Mutex<Config>,
}

impl Reloader {
    /// `file` comes with what it and its like held before the gateway took calls.
    pub(crate) fn new(
        (file, at_start): (PathBuf, Contents),
        config: Config,
        parts: Arc<Parts>,
        control: Control,
    ) -> Arc<Self> {
        let at_start = Mutex::new(at_start);
        let sources = Mutex::new(Sources::read(&file));
        let current = tokio::sync::Mutex::new(config);
        Arc::new(Self { file, parts, control, sources, at_start, current })
    }

    /// Swaps the configuration for what the file holds now. An error changes nothing.
    pub(crate) async fn reload(&self) -> anyhow::Result<ReloadReport> {
        let report = self.swap().await;
        self.parts.monitoring.reloaded(report.is_ok());
        report
    }

    async fn swap(&self) -> anyhow::Result<ReloadReport> {
        let mut current = self.current.lock().await;
        let file = self.file.clone();
        let next = tokio::task::spawn_blocking(move || Config::load(&file)).await??;
        let next = Box::pin(next.with_secrets(Duration::ZERO, &current.fetched)).await?;
        let file = self.file.clone();
        let (next, sources) = tokio::task::spawn_blocking(move || {
            next.validate()?;
            Ok::<_, anyhow::Error>((next, Sources::read(&file)))
        })
        .await??;
        let overruled = self.control.follow_file(next.decree())?;
        let next = next.decreed(self.control.effective());
        let mut report = compare(&current, &next)?;
        report.overruled = overruled.into_iter().map(str::to_owned).collect();
        self.parts.apply(&current, &next)?;
        tracing::info!(
            changed = report.changed.join(", "),
            restart_needed = report.restart_needed.join(", "),
            overruled = report.overruled.join(", "),
            "configuration reloaded"
        );
        *current = next;
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
        Ok(report)
    }

    /// What is in force, value by value.
    pub(crate) async fn settings(&self) -> SettingList {
        let current = self.current.lock().await;
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_decreed = current.control.source != StateSource::File;
        effective::settings(&current, &sources, (&self.file, is_decreed), RESTART)
    }

    /// Reloads on SIGHUP and whenever the file or what it refers to changes, until stopped. It looks
    /// rather than waits for news from the kernel: that works on every file system, and for files
    /// that are replaced as well as for those that are written.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut seen =
            std::mem::take(&mut *self.at_start.lock().unwrap_or_else(PoisonError::into_inner));
        // Contents that differ from those in force must be the same twice: somebody may be writing.
        let mut before = seen.clone();
        loop {
            let is_signal = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
                () = stop.cancelled() => return Ok(()),
            };
            let contents = self.contents().await;
            let is_settled = contents == before;
            before.clone_from(&contents);
            if !is_signal && (contents == seen || !is_settled) {
                continue;
            }
            seen = contents;
            if let Err(error) = self.reload().await {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the configuration was not reloaded, the one before stays in force"
                );
            }
        }
    }

    async fn contents(&self) -> Contents {
        let files = watched(&*self.current.lock().await, &self.file);
        tokio::task::spawn_blocking(move || Contents::read(&files)).await.unwrap_or_default()
    }
}

/// What the files of a configuration hold, its own last; one that cannot be read holds nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents(Vec<Option<Vec<u8>>>);

impl Contents {
    pub(crate) fn of(config: &Config, file: &Path) -> Self {
        Self::read(&watched(config, file))
    }

    fn read(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|file| std::fs::read(file).ok()).collect())
    }
}

/// The files of a configuration, and the one that it stands in.
fn watched(config: &Config, file: &Path) -> Vec<PathBuf> {
    let mut files = config.files();
    files.push(file.to_owned());
    files
}

/// What administrators decree comes in force as a changed configuration does.
#[async_trait]
impl Publisher for Reloader {
    async fn publish(&self, decree: Decree) -> Result<(), String> {
        let mut current = self.current.lock().await;
        let next = current.clone().decreed(decree);
        self.parts.apply(&current, &next).map_err(|error| format!("{error:#}"))?;
        *current = next;
        Ok(())
    }

    async fn check(&self, before: &Decree, after: &Decree) -> Result<(), String> {
        let catalogue = kql::Engine::catalogue(&*self.parts.engine, &kql::Access::everything());
        // Many queries take a while: calls go on meanwhile.
        let bound = tokio::task::block_in_place(|| after.bind_after(before, &*catalogue));
        bound.map_err(|error| error.to_string())?;
        let current = self.current.lock().await;
        after.new_alert_rules(before).try_for_each(|rule| {
            let checked = current.alerts.check_known(rule);
            checked.map_err(|why| format!("alert rule `{}` {why}", rule.id))
        })
    }
}

/// Which settings differ, by whether they are in force at once.
fn compare(current: &Config, next: &Config) -> anyhow::Result<ReloadReport> {
    let (mut old, mut new) = (serde_json::to_value(current)?, serde_json::to_value(next)?);
    let mut report = ReloadReport::default();
    for pointer in RESTART {
        if old.pointer(pointer) != new.pointer(pointer) {
            report.restart_needed.push(pointer[1..].replace('/', "."));
        }
        for value in [&mut old, &mut new] {
            if let Some(place) = value.pointer_mut(pointer) {
                *place = Value::Null;
            }
        }
    }
    for (name, value) in new.as_object().into_iter().flatten() {
        if old.get(name) != Some(value) {
            report.changed.push(name.clone());
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_apart_from_what_waits_for_a_restart() {
        let before = Config::default();
        let mut after = before.clone();
        assert_eq!(compare(&before, &after).expect("compares"), ReloadReport::default());
        after.edge.body_bytes_max = 1;
        after.edge.listeners.clear();
        after.store.retention_days = 7;
        after.ledger.compress = false;
        let report = compare(&before, &after).expect("compares");
        assert_eq!(report.changed, ["edge", "store"]);
        assert_eq!(report.restart_needed, ["edge.listeners", "ledger"]);
    }

    #[test]
    fn every_setting_that_needs_a_restart_exists() {
        let config = serde_json::to_value(Config::default()).expect("serialises");
        for pointer in RESTART {
            assert!(config.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
