//! A body as it passed: the bytes that the ledger holds, for those who may read content and say what for.
//!
//! Of a streamed answer these are its events as they came, before anything joined them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use event::{ContentRead, InteractionId, Json, Kind, Note, Record, Side, Timestamp};
use policy::Role;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::access::Caller;
use crate::extract::Parameters;
use crate::inner::Portal;
use crate::interactions::FRAMES_BACK;
use crate::kusto::purpose;
use crate::leave::{Leave, MISSING, PURPOSE_CHARS_MAX};
use crate::problem::Problem;
use crate::records::{Kept, Records};

/// Who may read bodies.
pub(crate) const CONTENT_READERS: &[Role] = &[Role::ContentReader];
/// Bytes that are shown; what lies behind them is cut off, and the answer says so.
const BYTES_MAX: usize = 16 << 20;

/// Which body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Sequence of its last frame: the column `LedgerSequence`.
    last: u64,
    /// Whose.
    side: WantedSide,
}

/// Whose body.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WantedSide {
    /// What the client sent.
    Request,
    /// What the backend answered.
    Response,
}

#[derive(Default)]
struct Found {
    bytes: Vec<u8>,
    is_whole: bool,
    is_cut: bool,
    is_erased: bool,
}

/// The body as bytes.
pub(crate) async fn body(
    State(portal): State<Portal>,
    caller: Caller,
    Path(id): Path<String>,
    Parameters(wanted): Parameters<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let interaction: InteractionId = id.parse().map_err(|_| {
        Problem::new(404, "the path holds no id of an interaction: see CorrelationId")
    })?;
    let purpose = purpose(&headers);
    if purpose.trim().is_empty() || purpose.chars().count() > PURPOSE_CHARS_MAX {
        let detail =
            "say what it is read for in the header x-gatehouse-purpose, in 1 to 1,000 characters";
        return Err(Problem::new(403, detail));
    }
    let leave = portal.leave(&caller.principal, &purpose).await?;
    if leave == Leave::Missing {
        return Err(Problem::new(403, MISSING));
    }
    let (records, side) = (Arc::clone(&portal.records), wanted.side);
    let found = tokio::task::spawn_blocking(move || search(&*records, interaction, &wanted));
    let found = found.await.map_err(|error| Problem::new(500, error.to_string()))??;
    if !found.is_whole {
        return Err(Problem::new(410, "its beginning is no longer kept in the ledger"));
    }
    if found.is_erased {
        let detail = "its content was erased: the table Erasures has the order";
        return Err(Problem::new(410, detail));
    }
    note(&portal, &caller, (&id, side), (purpose, &leave)).await?;
    let heads = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-gatehouse-cut"), if found.is_cut { "1" } else { "0" }),
    ];
    Ok((heads, found.bytes).into_response())
}

fn search(
    records: &dyn Records,
    interaction: InteractionId,
    wanted: &Wanted,
) -> Result<Found, Problem> {
    let side = match wanted.side {
        WantedSide::Request => Side::Request,
        WantedSide::Response => Side::Response,
    };
    let mut found = Found::default();
    for back in FRAMES_BACK {
        found = Found::default();
        records.read(
            wanted.last.saturating_sub(back),
            wanted.last,
            &mut |Kept { frame, is_erased, .. }| {
                if frame.interaction == interaction {
                    found.is_erased |= is_erased;
                    found.is_whole |= matches!(frame.kind, Kind::Opened | Kind::Refused);
                    match Record::decode(frame.kind, &frame.payload) {
                        Ok(Record::BodyChunk(chunk)) if chunk.side == side => {
                            found.add(&chunk.data)
                        }
                        Ok(Record::MessageChunk(chunk)) if chunk.side == side => {
                            found.add(&chunk.data)
                        }
                        _ => {}
                    }
                }
                ControlFlow::Continue(())
            },
        )?;
        if found.is_whole || back >= wanted.last {
            break;
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, data: &[u8]) {
        let room = BYTES_MAX - self.bytes.len();
        self.is_cut |= data.len() > room;
        self.bytes.extend_from_slice(&data[..data.len().min(room)]);
    }
}

/// Nothing is shown before the look is on record.
async fn note(
    portal: &Portal,
    caller: &Caller,
    (interaction, side): (&str, WantedSide),
    (purpose, leave): (String, &Leave),
) -> Result<(), Problem> {
    let column = match side {
        WantedSide::Request => "RequestBody",
        WantedSide::Response => "ResponseBody",
    };
    let Caller { principal, address, via, correlation_id } = caller;
    let note = ContentRead {
        time_generated: Timestamp::from(SystemTime::now()),
        principal_id: principal.id.clone(),
        principal_name: principal.name.clone(),
        principal_kind: principal.kind.name().into(),
        caller_ip_address: address.clone(),
        via: (*via).into(),
        purpose: purpose.trim().into(),
        approver_id: leave.approver().into(),
        interaction_id: interaction.into(),
        columns: Json(json!([column]).to_string()),
        correlation_id: correlation_id.clone(),
        ..ContentRead::default()
    };
    portal.record.keep(Note::ContentRead(note)).await.map_err(|reason| {
        tracing::error!(reason, "a read of content could not be recorded and was not shown");
        Problem::new(
            503,
            "the read could not be recorded, so nothing is shown: see /readyz?verbose",
        )
    })
}
