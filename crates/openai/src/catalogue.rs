//! The operations table: every operation of every surface, from a CSV file that is compiled in and
//! may be replaced by another of the same columns.

use crate::identify::{Router, below_prefix};
use crate::kind::{DeploymentSource, Kind, Multipart, Pin, Statefulness, Streaming, Surface};
use crate::{Error, Identified, ObjectRole};

/// Operations as the API descriptions have them.
const OPERATIONS: &str = include_str!("../data/operations.csv");
/// Operations that no description has but that clients were seen to call.
const ADDITIONS: &str = include_str!("../data/additions.csv");

/// One operation of one surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The API description it comes from.
    pub surface: Surface,
    /// Its id as spelled there, without the brackets that mark ids never seen.
    pub operation_id: String,
    /// The canonical dated Azure id that is logged on every surface; compare without case.
    pub log_operation_id: String,
    /// HTTP method.
    pub method: String,
    /// Path with `{parameters}`.
    pub path_template: String,
    /// Values of `api-version` that have it; `v1` and `preview` on the v1 surfaces.
    pub api_versions: Vec<String>,
    /// What it is about.
    pub kind: Kind,
    /// Finer kind, such as `responses` or `run`.
    pub subkind: String,
    /// Where the deployment or model stands.
    pub deployment_source: DeploymentSource,
    /// Whether it depends on earlier calls.
    pub stateful: Statefulness,
    /// What decides its home, if it has one.
    pub pin: Pin,
    /// Pointers to ids in the answer that belong to the backend from then on.
    pub creates_id: Vec<String>,
    /// What it does with objects.
    pub role: ObjectRole,
    /// How the answer may be streamed.
    pub streaming: Streaming,
    /// Whether the request is a multipart form.
    pub multipart: Multipart,
    /// Where user text stands in the request.
    pub prompt_pointers: Vec<String>,
    /// Where the model's text stands in the answer.
    pub completion_pointers: Vec<String>,
    /// Where the model's text stands in a streamed answer.
    pub stream_completion_pointers: Vec<String>,
    /// Where the usage stands in the answer.
    pub usage_pointers: Vec<String>,
    /// How sure we are that it exists.
    pub evidence: String,
    /// What else there is to know.
    pub notes: String,
}

impl Operation {
    /// Whether this `api-version` is known to have the operation. On the v1 surfaces none is needed.
    pub fn supports_version(&self, api_version: Option<&str>) -> bool {
        match api_version {
            None => self.api_versions.iter().any(|known| known == "v1"),
            Some(version) => {
                self.api_versions.iter().any(|known| known.eq_ignore_ascii_case(version))
            }
        }
    }

    /// Whether the answer can be a stream of server-sent events.
    pub const fn streams_events(&self) -> bool {
        matches!(self.streaming, Streaming::Sse | Streaming::Chunked)
    }
}

/// All operations, and the index by which requests are matched to them.
#[derive(Debug)]
pub struct Catalogue {
    operations: Vec<Operation>,
    router: Router,
}

impl Catalogue {
    /// The operations compiled in.
    pub fn builtin() -> Self {
        let mut operations = read(OPERATIONS).expect("the compiled-in operations are well formed");
        operations.extend(read(ADDITIONS).expect("the compiled-in additions are well formed"));
        Self::index(operations)
    }

    /// Operations from a file of the same columns as the compiled-in one.
    pub fn from_csv(text: &str) -> Result<Self, Error> {
        read(text).map(Self::index)
    }

    fn index(operations: Vec<Operation>) -> Self {
        let router = Router::new(&operations);
        Self { operations, router }
    }

    /// Every operation, in the order of the file.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The first operation with this logged id, compared without case.
    pub fn by_log_id(&self, log_operation_id: &str) -> Option<&Operation> {
        self.operations
            .iter()
            .find(|operation| operation.log_operation_id.eq_ignore_ascii_case(log_operation_id))
    }

    /// What a request asks for, from its method, its path and its query (without the `?`).
    pub fn identify<'a>(
        &'a self,
        method: &str,
        path: &'a str,
        query: Option<&'a str>,
    ) -> Identified<'a> {
        self.router.identify(&self.operations, method, path, query)
    }
}

fn read(text: &str) -> Result<Vec<Operation>, Error> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().map_err(|error| Error::catalogue(1, error))?.clone();
    let mut operations = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| Error::catalogue(operations.len() + 2, error))?;
        operations
            .push(Row { columns: &columns, record: &record, line: operations.len() + 2 }.read()?);
    }
    if operations.is_empty() {
        return Err(Error::catalogue(2, "there are no operations"));
    }
    Ok(operations)
}

struct Row<'a> {
    columns: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
    line: usize,
}

impl Row<'_> {
    fn read(&self) -> Result<Operation, Error> {
        let mut operation = self.read_columns()?;
        operation.role = ObjectRole::of(&operation.method, &below_prefix(&operation).0);
        Ok(operation)
    }

    fn read_columns(&self) -> Result<Operation, Error> {
        let path_template = self.text("path_template")?.to_owned();
        if !path_template.starts_with('/') {
            return Err(self.wrong("path_template", &path_template));
        }
        Ok(Operation {
            surface: self.named("surface", Surface::from_name)?,
            operation_id: unbracketed(self.text("operation_id")?),
            log_operation_id: unbracketed(self.text("log_operation_id")?),
            method: self.text("method")?.to_owned(),
            path_template,
            api_versions: self.list("api_versions")?,
            kind: self.named("kind", Kind::from_name)?,
            subkind: self.text("subkind")?.to_owned(),
            deployment_source: self.named("deployment_source", DeploymentSource::parse)?,
            stateful: self.named("stateful", Statefulness::from_name)?,
            pin: Pin::parse(self.text("pin_key")?),
            creates_id: self
                .list("creates_id")?
                .into_iter()
                .map(|text| text.split(' ').next().unwrap_or_default().to_owned())
                .collect(),
            role: ObjectRole::default(),
            streaming: self.named("streaming", streaming)?,
            multipart: self.named("multipart", |text| {
                Multipart::from_name(text.split(" (").next().unwrap_or(text))
            })?,
            prompt_pointers: self.list("prompt_pointers")?,
            completion_pointers: self.list("completion_pointers")?,
            stream_completion_pointers: self.list("stream_completion_pointers")?,
            usage_pointers: self.list("usage_pointers")?,
            evidence: self.text("evidence")?.to_owned(),
            notes: self.text("notes")?.to_owned(),
        })
    }

    fn text(&self, column: &str) -> Result<&str, Error> {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at))
            .ok_or_else(|| Error::catalogue(self.line, format_args!("column {column} is missing")))
    }

    fn list(&self, column: &str) -> Result<Vec<String>, Error> {
        let text = self.text(column)?;
        Ok(text.split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    fn named<T>(&self, column: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        let text = self.text(column)?;
        read(text).ok_or_else(|| self.wrong(column, text))
    }

    fn wrong(&self, column: &str, text: &str) -> Error {
        Error::catalogue(self.line, format_args!("{text:?} is no {column}"))
    }
}

fn streaming(text: &str) -> Option<Streaming> {
    if text.starts_with("chunked") {
        return Some(Streaming::Chunked);
    }
    Streaming::from_name(text.split(" (").next().unwrap_or(text))
}

/// `(video jobs)` marks an id that was never seen on the wire; it is logged as `video jobs`.
fn unbracketed(text: &str) -> String {
    text.trim_start_matches('(').trim_end_matches(')').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_operations_are_read_whole() {
        assert_eq!(read(OPERATIONS).map(|operations| operations.len()).ok(), Some(397));
        let catalogue = Catalogue::builtin();
        let chat = catalogue.by_log_id("chatcompletions_create").expect("chat is an operation");
        assert_eq!(chat.kind, Kind::Chat);
        assert_eq!(chat.streaming, Streaming::Sse);
        assert!(chat.supports_version(Some("2024-10-21")));
        assert!(!chat.supports_version(Some("1999-01-01")));
    }

    #[test]
    fn ids_in_brackets_are_logged_without_them() {
        let catalogue = Catalogue::builtin();
        assert!(catalogue.by_log_id("video jobs").is_some());
        assert!(catalogue.operations().iter().all(|op| !op.operation_id.contains('(')));
    }

    #[test]
    fn pins_and_created_ids_are_pointers() {
        let catalogue = Catalogue::builtin();
        let response = catalogue.by_log_id("Create_Response").expect("responses are operations");
        assert_eq!(response.pin.body[..2], ["/previous_response_id", "/conversation"]);
        assert_eq!(response.creates_id, ["/id"]);
        let run = catalogue.by_log_id("Create_Thread_And_Run").expect("runs are operations");
        assert_eq!(run.creates_id, ["/id", "/thread_id"]);
        assert_eq!(run.pin.body, ["/assistant_id"]);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let text = format!("{}\n", OPERATIONS.lines().next().unwrap_or_default());
        let error = Catalogue::from_csv(&text).expect_err("an empty table is refused");
        assert!(error.to_string().contains("no operations"), "{error}");
        let broken = OPERATIONS.replacen(",completion,completion,", ",poetry,completion,", 1);
        let error = Catalogue::from_csv(&broken).expect_err("an unknown kind is refused");
        assert_eq!(error.to_string(), "operations file, line 2: \"poetry\" is no kind");
    }
}
