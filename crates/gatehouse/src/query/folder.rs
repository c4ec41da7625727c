//! Queries over a data folder that no gateway holds.
//!
//! Whoever may open the folder may see all of it; what they read of prompts and answers goes on record as
//! everywhere, for a stated purpose, before it is shown.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use event::{ContentRead, Json, Note, Sink as _};
use kql::{Access, Content, Engine as _, FileFormat, Options};
use ledger::Ledger;
use portal::Record as _;
use store::{Store, StoreConfig};
use tokio::runtime::Runtime;

use crate::clock::now;
use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::output::Answer;
use crate::records::LedgerRecords;
use crate::terminal::say;

/// An open data folder.
pub(super) struct Folder {
    engine: query::Engine,
    store: Arc<Store>,
    ledger: Ledger,
    records: LedgerRecords,
    purpose: String,
    runtime: Runtime,
}

impl Folder {
    /// Opens a folder; `purpose` is what content is read for, empty if nothing was stated.
    pub(super) fn open(folder: &Path, config: &Path, purpose: &str) -> anyhow::Result<Self> {
        let config = match config.exists() {
            true => Config::load(config)?,
            false => Config::default(),
        };
        if config.admin.second_approver.is_some() && !purpose.trim().is_empty() {
            bail!(
                "admin.second_approver: content is read through a running gateway only, without --data-dir"
            );
        }
        let config = Config { data_dir: folder.to_owned(), ..config };
        if !config.ledger_dir().is_dir() || !config.store_dir().is_dir() {
            bail!(
                "{} is no data folder: it holds no `ledger` and `tables`; give the `data_dir` of a gateway",
                folder.display()
            );
        }
        let runtime = Runtime::new()?;
        let (ledger, _) = runtime
            .block_on(async { Ledger::open(&config.ledger_dir(), config.ledger.clone(), now) })
            .map_err(|error| in_use(folder, error.kind() == ledger::ErrorKind::Locked, error))?;
        // Nothing is given up for its age while somebody only looks.
        let keep = StoreConfig { retention_days: 0, ..config.store.clone() };
        let store = Store::open(&config.store_dir(), keep, now())
            .map_err(|error| in_use(folder, error.kind() == store::ErrorKind::Locked, error))?;
        let behind = ledger.durable().borrow().saturating_sub(store.durable_cursor().applied);
        if behind > 0 {
            say(&format!(
                "the last {behind} records of the ledger are not in the tables yet: the next `gatehouse \
                 serve` puts them there"
            ));
        }
        let engine = query::Engine::new(Arc::clone(&store), config.query.clone())?;
        let records = LedgerRecords::new(ledger.clone(), config.ledger_dir());
        Ok(Self { engine, store, ledger, records, purpose: purpose.trim().to_owned(), runtime })
    }

    /// Runs a query.
    pub(super) fn query(&self, query: &str) -> anyhow::Result<Answer> {
        let result = self.runtime.block_on(self.engine.run(query, &self.options()));
        let read = match &result {
            Ok(frame) => &frame.content_columns[..],
            Err(error) => error.content_columns(),
        };
        self.note_read(query, read, "cli")?;
        Ok(Answer(portal::whole_answer(result?)))
    }

    /// Writes the result of a query into `out`, as a file of this format.
    pub(super) fn save(
        &self,
        query: &str,
        format: FileFormat,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let options = Options { bytes_max: u64::MAX, ..self.options() };
        let result = self.runtime.block_on(self.engine.export(query, &options, format));
        let read = match &result {
            Ok(export) => &export.content_columns[..],
            Err(error) => error.content_columns(),
        };
        self.note_read(query, read, &format!("export/{}", format.name()))?;
        let mut pieces = result?.pieces;
        while let Some(piece) = self.runtime.block_on(pieces.next()) {
            out.write_all(&piece?)?;
        }
        Ok(())
    }

    /// Closes what was opened.
    pub(super) fn close(self) -> anyhow::Result<()> {
        self.store.close()?;
        self.runtime.block_on(self.ledger.close())?;
        Ok(())
    }

    fn options(&self) -> Options {
        let content = match self.purpose.is_empty() {
            true => Content::WithoutPurpose,
            false => Content::Readable,
        };
        Options { access: Access { content, ..Access::everything() }, ..Options::default() }
    }

    fn note_read(&self, query: &str, columns: &[String], via: &str) -> anyhow::Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let user = File::open("/proc/self").and_then(|me| me.metadata()).map(|me| me.uid());
        let note = ContentRead {
            time_generated: now(),
            principal_id: user.map(|user| format!("uid {user}")).unwrap_or_default(),
            principal_name: std::env::var("USER").unwrap_or_default(),
            principal_kind: "local".into(),
            via: via.into(),
            purpose: self.purpose.clone(),
            query: query.into(),
            columns: Json(serde_json::json!(columns).to_string()),
            ..ContentRead::default()
        };
        let kept = self.runtime.block_on(self.records.keep(Note::ContentRead(note)));
        kept.map_err(anyhow::Error::msg).context("the read cannot be recorded, so nothing is shown")
    }
}

fn in_use(folder: &Path, is_locked: bool, error: impl Into<anyhow::Error>) -> anyhow::Error {
    if is_locked {
        let text = format!(
            "a gateway runs on {}: ask it instead, without --data-dir, or stop it first",
            folder.display()
        );
        return ExitWith::error(Exit::Failed, text);
    }
    error.into().context(format!("cannot open {}", folder.display()))
}
