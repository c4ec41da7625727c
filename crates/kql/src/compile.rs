//! From text to plan in one call.

use crate::{Catalogue, Diagnostic, Options, Plan, QueryError, binder, parser};

/// Lexes, parses and binds a query. All findings are in the error's diagnostics.
///
/// Never panics, whatever the text; longest text [`crate::QUERY_BYTES_MAX`].
pub fn compile(
    text: &str,
    catalogue: &dyn Catalogue,
    options: &Options,
) -> Result<Plan, QueryError> {
    let parsed = parser::parse(text);
    if parsed.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(QueryError::from_diagnostics(parsed.diagnostics));
    }
    binder::bind(text, &parsed.statements, catalogue, options).map_err(QueryError::from_diagnostics)
}

/// The findings of lexer and parser alone: whether a text is KQL, without any catalogue.
pub fn check_syntax(text: &str) -> Vec<Diagnostic> {
    parser::parse(text).diagnostics
}
