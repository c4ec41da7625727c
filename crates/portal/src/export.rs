//! The result of a query as a file, sent as it is made.
//!
//! It is masked and recorded as every query is ([`crate::reading`]). Nothing is cut: a file that cannot be
//! finished breaks off without the end of the HTTP body, so that no part is taken for the whole.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use kql::{FileFormat, Options, QueryError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Caller;
use crate::extract::Parameters;
use crate::inner::Portal;
use crate::kusto::{self, TIMEOUT_MAX};
use crate::problem::Problem;
use crate::reading::Asked;

/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// The media types of files: CSV, NDJSON, Parquet, Arrow.
pub(crate) const MEDIA_TYPES: [&str; 4] = [
    "text/csv; charset=utf-8; header=present",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.file",
];

/// What kind of file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// `csv`, `ndjson`, `parquet` or `arrow`.
    format: Format,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Csv,
    Ndjson,
    Parquet,
    Arrow,
}

pub(crate) async fn file(
    State(portal): State<Portal>,
    caller: Caller,
    Parameters(ExportQuery { format }): Parameters<ExportQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let read = kusto::Asked::read(&headers, &body, portal.query_bytes_max);
    let kusto::Asked { csl, purpose, options, .. } =
        read.map_err(|detail| Problem::new(400, detail))?;
    let options =
        Options { timeout: TIMEOUT_MAX, rows_max: u64::MAX, bytes_max: FILE_BYTES_MAX, ..options };
    let (format, content_type, via) = format.told();
    let asked = Asked { caller: &caller, query: &csl, purpose: &purpose, via: Some(via) };
    let (export, running) =
        portal.ask_file(&asked, options, format).await.map_err(|error| problem(&error))?;
    let pieces = stream::unfold((export.pieces, running), async |(mut pieces, running)| {
        let piece = pieces.next().await?.map(Bytes::from).map_err(|error| {
            // Its text may show content, so it goes to nobody's log.
            tracing::warn!(kind = ?error.kind(), "a file of a query's result broke off");
            io::Error::other("the file is not whole")
        });
        Some((piece, (pieces, running)))
    });
    let file = format!("attachment; filename=\"result.{}\"", format.name());
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, &*file),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

impl Format {
    /// What the engine makes, its media type, and the column `Via` of the record.
    const fn told(self) -> (FileFormat, &'static str, &'static str) {
        let [csv, ndjson, parquet, arrow] = MEDIA_TYPES;
        match self {
            Self::Csv => (FileFormat::Csv, csv, "export/csv"),
            Self::Ndjson => (FileFormat::Ndjson, ndjson, "export/ndjson"),
            Self::Parquet => (FileFormat::Parquet, parquet, "export/parquet"),
            Self::Arrow => (FileFormat::Arrow, arrow, "export/arrow"),
        }
    }
}

fn problem(failure: &QueryError) -> Problem {
    let (status, _) = kusto::error(failure, "");
    Problem::new(status, failure.message())
}
