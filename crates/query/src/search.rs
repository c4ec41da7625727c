//! Looking for a constant text in a column, and what the store can leave out for it.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use kql::TextOp;

use crate::call::any_arguments;
use crate::text;

/// A predicate of a string with a constant pattern; a null counts as empty.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Search {
    op: TextOp,
    case_sensitive: bool,
    negated: bool,
    pattern: String,
    signature: Signature,
}

impl Search {
    /// Any predicate but `matches regex` and `like`.
    pub(crate) fn new(op: TextOp, case_sensitive: bool, negated: bool, pattern: String) -> Self {
        let signature = any_arguments(1, Volatility::Immutable);
        Self { op, case_sensitive, negated, pattern, signature }
    }

    /// The expression that applies it.
    pub(crate) fn of(self, text: Expr) -> Expr {
        ScalarUDF::new_from_impl(self).call(vec![text])
    }

    /// The search that an expression is, and the text that is searched.
    pub(crate) fn parts(expr: &Expr) -> Option<(&Self, &Expr)> {
        let Expr::ScalarFunction(call) = expr else { return None };
        let search = call.func.inner().downcast_ref::<Self>()?;
        Some((search, call.args.first()?))
    }

    /// A filter for the store that holds at least where this does; none if no whole term is asked for.
    pub(crate) fn stored_filter(&self) -> Option<Expr> {
        let (from_start, to_end) = match self.op {
            TextOp::Has | TextOp::Equal => (true, true),
            TextOp::HasPrefix | TextOp::StartsWith => (true, false),
            TextOp::HasSuffix | TextOp::EndsWith => (false, true),
            TextOp::Contains => (false, false),
            TextOp::MatchesRegex | TextOp::Like => return None,
        };
        if self.negated {
            return None;
        }
        store::has_terms(&self.pattern, from_start, to_end)
    }

    fn is_hit(&self, text: Option<&str>) -> bool {
        let text = text.unwrap_or_default();
        text::test(self.op, self.case_sensitive, text, &self.pattern) != self.negated
    }
}

impl ScalarUDFImpl for Search {
    fn name(&self) -> &str {
        "search"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Scalar(scalar) => {
                let is_hit = self.is_hit(scalar.try_as_str().flatten());
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(is_hit))))
            }
            ColumnarValue::Array(texts) => {
                let hits = hits(texts, |text| self.is_hit(text))?;
                Ok(ColumnarValue::Array(Arc::new(hits)))
            }
        }
    }
}

fn hits(texts: &ArrayRef, is_hit: impl Fn(Option<&str>) -> bool) -> Result<BooleanArray> {
    let hits = match texts.data_type() {
        DataType::Utf8View => texts.as_string_view().iter().map(is_hit).collect::<Vec<_>>(),
        DataType::Utf8 => texts.as_string::<i32>().iter().map(is_hit).collect(),
        DataType::Null => vec![is_hit(None); texts.len()],
        other => return exec_err!("{other} is no text to be searched"),
    };
    Ok(BooleanArray::from(hits))
}
