//! Bodies as text: blobs are read where a query uses them, not before.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, resources_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use event::BodyText;
use kql::Type;

use crate::call::any_arguments;
use crate::cell::Reader;
use crate::columns::stored;

/// Longest body a query sees; what is longer is cut there.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// Reads bodies of a snapshot.
#[derive(Debug)]
pub(crate) struct Bodies {
    snapshot: Arc<store::Snapshot>,
    /// Text that the blobs of one batch may take together.
    batch_bytes_max: usize,
    tokenizer: openai::Tokenizer,
}

impl Bodies {
    pub(super) fn new(snapshot: Arc<store::Snapshot>, memory_bytes: usize) -> Self {
        let batch_bytes_max = (memory_bytes / 4).max(BODY_BYTES_MAX);
        Self { snapshot, batch_bytes_max, tokenizer: openai::Tokenizer::new() }
    }

    /// The text of a stored body.
    pub(super) fn text(self: &Arc<Self>, body: Expr) -> Expr {
        self.read(Form::Text, vec![body])
    }

    /// The messages of a row of `Interactions`, as a JSON list.
    pub(super) fn messages(self: &Arc<Self>, is_request: bool) -> Expr {
        let body = if is_request { "RequestBody" } else { "ResponseBody" };
        let args = [body, "Kind", "Subkind", "OperationId", "DeploymentName"];
        self.read(Form::Messages { is_request }, args.map(stored).to_vec())
    }

    fn read(self: &Arc<Self>, form: Form, args: Vec<Expr>) -> Expr {
        let signature = any_arguments(args.len(), Volatility::Immutable);
        ScalarUDF::new_from_impl(ReadBody { bodies: Arc::clone(self), form, signature }).call(args)
    }

    fn resolve(&self, cell: &str, budget: &mut usize) -> Result<Option<String>> {
        let BodyText::Blob { sha256, .. } = BodyText::from_stored(cell) else { return Ok(None) };
        let text = self
            .snapshot
            .read_text(&sha256, BODY_BYTES_MAX)
            .map_err(|error| DataFusionError::External(Box::new(error)))?
            .text;
        let Some(rest) = budget.checked_sub(text.len()) else {
            return resources_err!(
                "the bodies of one batch take more than {} bytes: filter more before using them",
                self.batch_bytes_max
            );
        };
        *budget = rest;
        Ok(Some(text))
    }

    fn message_list(&self, is_request: bool, body: &str, about: &[&str]) -> String {
        let [kind, subkind, operation_id, deployment] = about else { return String::new() };
        let body = openai::Body::read(Some("application/json"), body.as_bytes());
        let path_ids = openai::PathIds::default();
        let empty = openai::Body::Empty;
        let input = openai::Input {
            kind: openai::Kind::from_name(kind).unwrap_or(openai::Kind::Other),
            subkind,
            operation_id,
            path_ids: &path_ids,
            deployment,
            request: if is_request { &body } else { &empty },
            response: if is_request { &empty } else { &body },
            status: if is_request { 0 } else { 200 },
            streamed: false,
            tokenizer: &self.tokenizer,
        };
        let found = openai::extract(&input);
        if is_request {
            openai::request_messages(&found)
        } else {
            openai::response_messages(&found)
        }
    }
}

/// Whether an expression is the text of a stored body.
pub(crate) fn is_body_text(expr: &Expr) -> bool {
    let Expr::ScalarFunction(call) = expr else { return false };
    let read = call.func.inner().downcast_ref::<ReadBody>();
    read.is_some_and(|read| read.form == Form::Text)
        && matches!(call.args.as_slice(), [Expr::Column(_)])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Text,
    Messages { is_request: bool },
}

#[derive(Debug)]
struct ReadBody {
    bodies: Arc<Bodies>,
    form: Form,
    signature: Signature,
}

impl PartialEq for ReadBody {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
    }
}

impl Eq for ReadBody {}

impl Hash for ReadBody {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.form.hash(state);
    }
}

impl ScalarUDFImpl for ReadBody {
    fn name(&self) -> &str {
        match self.form {
            Form::Text => "body_text",
            Form::Messages { is_request: true } => "request_messages",
            Form::Messages { is_request: false } => "response_messages",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays =
            args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let readers = arrays
            .iter()
            .map(|array| Reader::new(array, Type::String))
            .collect::<Result<Vec<_>>>()?;
        let Some(body) = readers.first() else { return exec_err!("a body is read from a column") };
        let mut budget = self.bodies.batch_bytes_max;
        if self.form == Form::Text && is_all_inline(body, rows) {
            return Ok(ColumnarValue::Array(Arc::clone(&arrays[0])));
        }
        let mut out = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            let cell = body.get(row);
            let resolved = self.bodies.resolve(cell.str(), &mut budget)?;
            let text = resolved.as_deref().unwrap_or(cell.str());
            match self.form {
                Form::Text => out.append_value(text),
                Form::Messages { is_request } => {
                    let about: Vec<_> = readers[1..].iter().map(|reader| reader.get(row)).collect();
                    let about: Vec<&str> = about.iter().map(|cell| cell.str()).collect();
                    let list = self.bodies.message_list(is_request, text, &about);
                    out.append_option((!list.is_empty()).then_some(list));
                }
            }
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

/// No reference among them: the array itself is the answer.
fn is_all_inline(body: &Reader<'_>, rows: usize) -> bool {
    (0..rows).all(|row| !BodyText::is_ambiguous(body.get(row).str()))
}
