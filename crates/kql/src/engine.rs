//! Who answers queries: the trait that portal and monitor ask, and what they get back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Access, Column, Diagnostic, Schema, Value, Visualization};

/// What tables a query may name.
pub trait Catalogue: Send + Sync {
    /// The columns of the table or view of this exact name.
    fn table(&self, name: &str) -> Option<Arc<Schema>>;

    /// All names, for suggestions and for `union` with wildcards.
    fn table_names(&self) -> Vec<String>;

    /// The database that `database('…')` and `current_database()` mean.
    fn database(&self) -> &str {
        "gatehouse"
    }
}

/// Runs KQL.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Binds and runs a query. Dropping the future cancels it.
    async fn run(&self, query: &str, options: &Options) -> Result<Frame, QueryError>;

    /// Binds a query with one result and begins to write that as a file; nothing is cut. Dropping what comes
    /// of it cancels the rest. `options.bytes_max` bounds the bytes of the file.
    async fn export(
        &self,
        query: &str,
        options: &Options,
        format: FileFormat,
    ) -> Result<Export, QueryError>;

    /// The tables that queries with this access may name.
    fn catalogue(&self, access: &Access) -> Arc<dyn Catalogue>;
}

/// The kind of file that a result becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values (RFC 4180) with a header line, safe to open in a spreadsheet.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
    /// Arrow's IPC file format.
    Arrow,
}

/// A result that leaves as a file.
pub struct Export {
    /// Columns with content that the query reads, as `Table.Column`, sorted.
    pub content_columns: Vec<String>,
    /// The file.
    pub pieces: Box<dyn Pieces>,
}

/// A file as it is made.
#[async_trait]
pub trait Pieces: Send {
    /// The next bytes; none at the end. After an error there is nothing more, and the file is not whole.
    async fn next(&mut self) -> Option<Result<Vec<u8>, QueryError>>;
}

/// Limits and context of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What `now()` answers: 100 ns ticks since 0001-01-01; none lets the engine ask its clock.
    pub now_ticks: Option<i64>,
    /// What it may see of the tables; nothing by default.
    pub access: Access,
    /// Longest time a run may take.
    pub timeout: Duration,
    /// Most rows of a result; more are cut and the frame says so.
    pub rows_max: u64,
    /// Most bytes of a result, values as text; more are cut and the frame says so.
    pub bytes_max: u64,
    /// Values of `declare query_parameters`, as KQL literal text by name.
    pub parameters: BTreeMap<String, String>,
    /// Who asks, for `current_principal()`.
    pub principal: Option<String>,
    /// Only rows of this half-open range of instants (ticks), as Azure Monitor's `timespan` says.
    pub time_range: Option<(i64, i64)>,
}

impl Default for Options {
    /// Kusto's defaults: four minutes, 500,000 rows, 64 MiB. No access to any table.
    fn default() -> Self {
        Self {
            now_ticks: None,
            access: Access::default(),
            timeout: Duration::from_secs(240),
            rows_max: 500_000,
            bytes_max: 64 << 20,
            parameters: BTreeMap::new(),
            principal: None,
            time_range: None,
        }
    }
}

/// A result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Name of the result, from a trailing `as`.
    pub name: Option<String>,
    /// Columns, in order.
    pub columns: Vec<Column>,
    /// Rows; each has one value for each column, of its type or null.
    pub rows: Vec<Vec<Value>>,
    /// How to show it.
    pub visualization: Option<Visualization>,
    /// Set if rows were cut at a limit: which one, in Kusto's words.
    pub truncated: Option<String>,
    /// What it cost.
    pub statistics: Statistics,
    /// Columns with content that the whole query read, as `Table.Column`, sorted.
    pub content_columns: Vec<String>,
    /// Results of further tabular statements of the same query, in order.
    pub more: Vec<Frame>,
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// From call to result.
    pub elapsed: Duration,
    /// Rows read from tables, zero if unknown.
    pub rows_scanned: u64,
    /// Bytes read from tables, zero if unknown.
    pub bytes_scanned: u64,
    /// Largest memory used, zero if unknown.
    pub memory_peak_bytes: u64,
}

/// What the caller can do about a failed query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryErrorKind {
    /// Correct the text: it does not parse.
    Syntax,
    /// Correct the text: a name or type is wrong.
    Semantic,
    /// Write it otherwise: this engine lacks a feature, named in the message.
    Unsupported,
    /// Ask for less: a memory, row or byte limit was reached.
    LimitExceeded,
    /// Ask for less, or allow more time.
    Timeout,
    /// It was cancelled.
    Cancelled,
    /// Ask for the right that is missing, or state a purpose.
    Forbidden,
    /// Try again later: too much is running.
    Throttled,
    /// The values make it fail, e.g. an invalid regular expression.
    Evaluation,
    /// Not the caller's fault.
    Internal,
}

/// Why a query has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    kind: QueryErrorKind,
    message: String,
    diagnostics: Vec<Diagnostic>,
    content_columns: Vec<String>,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Ndjson, Self::Parquet, Self::Arrow];

    /// Its name, which is also the ending of its files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }
}

impl QueryError {
    /// An error of this kind.
    pub fn new(kind: QueryErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), diagnostics: Vec::new(), content_columns: Vec::new() }
    }

    /// A feature that this engine lacks; `what` names it, e.g. `function hll()`.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(QueryErrorKind::Unsupported, format!("{what} is not supported by this engine"))
    }

    /// From the findings of parser or binder, at least one of them an error.
    pub fn from_diagnostics(diagnostics: Vec<Diagnostic>) -> Self {
        let first = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
        let kind = match first.map(|diagnostic| diagnostic.code) {
            Some(crate::codes::UNSUPPORTED) => QueryErrorKind::Unsupported,
            Some(crate::codes::TOO_LONG | crate::codes::TOO_DEEP) => QueryErrorKind::LimitExceeded,
            Some(code) if crate::codes::is_syntax(code) => QueryErrorKind::Syntax,
            _ => QueryErrorKind::Semantic,
        };
        let message = first.map_or_else(|| "the query is invalid".to_owned(), ToString::to_string);
        Self { kind, message, diagnostics, content_columns: Vec::new() }
    }

    /// What the caller can do about it.
    pub const fn kind(&self) -> QueryErrorKind {
        self.kind
    }

    /// Text for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error of a query that read these columns with content: its text may show some.
    #[must_use]
    pub fn with_content_columns(self, content_columns: Vec<String>) -> Self {
        Self { content_columns, ..self }
    }

    /// Columns with content that the query read before it failed, as `Table.Column`, sorted.
    pub fn content_columns(&self) -> &[String] {
        &self.content_columns
    }

    /// Findings with their places, if the query text is at fault.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for QueryError {}
