//! The ledger as the admin listener reads it, and as it writes notes into it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use event::{InteractionId, Note, Record};
use ledger::{Entry, ErrorKind, Ledger, Span, Trust};
use portal::{Kept, Part, Problem, Records};
use serde_json::Value;

use crate::audit;
use crate::place;

/// A ledger and the folder it lies in.
pub(crate) struct LedgerRecords {
    ledger: Ledger,
    folder: PathBuf,
}

impl LedgerRecords {
    pub(crate) fn new(ledger: Ledger, folder: PathBuf) -> Self {
        Self { ledger, folder }
    }
}

impl Records for LedgerRecords {
    fn read(
        &self,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(Kept) -> ControlFlow<()>,
    ) -> Result<(), Problem> {
        let mut reader = match self.ledger.reader(from) {
            // What lies before the first that is kept is not there to be read.
            Err(error) if error.kind() == ErrorKind::Released => self.ledger.reader(0),
            other => other,
        }
        .map_err(|error| unreadable(&error))?;
        while reader.position() <= to {
            let entry = reader.next(Duration::ZERO).map_err(|error| unreadable(&error))?;
            let Some(entry) = entry else { break };
            let Entry { sequence, written_at, frame, erased_bytes } = entry;
            let is_erased = erased_bytes.is_some();
            if visit(Kept { sequence, written_at, frame, is_erased }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn verify(&self, part: &Part) -> Result<Value, Problem> {
        let place = |text: &Option<String>| {
            let text = text.as_deref().filter(|text| !text.is_empty());
            text.map(place::parse).transpose().map_err(|why| Problem::new(422, why))
        };
        let span = Span { from: place(&part.from)?, to: place(&part.to)? };
        let report = ledger::verify_span(&self.folder, &span, &Trust::default(), |_| {});
        let report = report.map_err(|error| unreadable(&error))?;
        audit::as_json(&report).map_err(|error| Problem::new(500, format!("{error:#}")))
    }
}

#[async_trait]
impl portal::Record for LedgerRecords {
    async fn keep(&self, note: Note) -> Result<(), String> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let id = InteractionId::mint(note.at(), random);
        let frame = Record::Note(Box::new(note)).encode(id);
        let kept = match self.ledger.append([frame]).await {
            Ok(commit) => commit.durable().await,
            Err(error) => Err(error),
        };
        kept.map(drop).map_err(|error| error.to_string())
    }
}

fn unreadable(error: &ledger::Error) -> Problem {
    match error.kind() {
        ErrorKind::Invalid => Problem::new(404, error.to_string()),
        ErrorKind::Released => Problem::new(410, error.to_string()),
        _ => Problem::new(500, format!("{error}: run `gatehouse audit verify`")),
    }
}
