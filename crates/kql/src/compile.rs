//! From text to plan in one call.

use std::sync::Arc;

use crate::{Catalogue, Diagnostic, Options, Plan, QueryError, Relation, Type, binder, parser};

/// A column that only the data tell: a member of a bag, a value of a pivot column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundColumn {
    /// Its name.
    pub name: String,
    /// The type its values have, dynamic if they differ.
    pub column_type: Type,
}

/// What compiling yields when columns may depend on data.
#[derive(Clone, Debug, PartialEq)]
pub enum Compiled {
    /// The whole query.
    Plan(Plan),
    /// The rows of this relation (name, and type as `gettype()` says it, both strings) tell the
    /// columns of the next plugin. Compile again with them.
    Open(Arc<Relation>),
}

/// Lexes, parses and binds a query. All findings are in the error's diagnostics. Columns that only
/// the data tell are missing from the plan: an engine uses [`compile_with`].
///
/// Never panics, whatever the text; longest text [`crate::QUERY_BYTES_MAX`].
pub fn compile(
    text: &str,
    catalogue: &dyn Catalogue,
    options: &Options,
) -> Result<Plan, QueryError> {
    match bind(text, catalogue, options, None)? {
        Compiled::Plan(plan) => Ok(plan),
        Compiled::Open(_) => Err(QueryError::unsupported("a plugin with open columns")),
    }
}

/// The same, where columns depend on data: `found` are the columns of the plugins met so far, in
/// the order they were asked for.
pub fn compile_with(
    text: &str,
    catalogue: &dyn Catalogue,
    options: &Options,
    found: &[Vec<FoundColumn>],
) -> Result<Compiled, QueryError> {
    bind(text, catalogue, options, Some(found))
}

fn bind(
    text: &str,
    catalogue: &dyn Catalogue,
    options: &Options,
    found: Option<&[Vec<FoundColumn>]>,
) -> Result<Compiled, QueryError> {
    let parsed = parser::parse(text);
    if parsed.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(QueryError::from_diagnostics(parsed.diagnostics));
    }
    binder::bind(text, &parsed.statements, catalogue, options, found)
        .map_err(QueryError::from_diagnostics)
}

/// The findings of lexer and parser alone: whether a text is KQL, without any catalogue.
pub fn check_syntax(text: &str) -> Vec<Diagnostic> {
    parser::parse(text).diagnostics
}
