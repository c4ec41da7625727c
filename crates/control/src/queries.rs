//! What is wrong with a query of the desired state: whether it is KQL, and where a catalogue is at hand, whether the
//! tables, columns and functions that it names are there.

use std::collections::BTreeMap;

use kql::{Catalogue, Diagnostic, Options};

/// The first mistake. Without a catalogue its text alone is looked at. Columns that only the data tell are taken as
/// they come, and so is what stands behind them.
pub(crate) fn mistake(
    text: &str,
    parameters: BTreeMap<String, String>,
    catalogue: Option<&dyn Catalogue>,
) -> Option<Diagnostic> {
    let Some(catalogue) = catalogue else {
        return kql::check_syntax(text).into_iter().find(Diagnostic::is_error);
    };
    let options = Options { parameters, ..Options::default() };
    let failure = kql::compile_with(text, catalogue, &options, &[]).err()?;
    failure.diagnostics().iter().find(|found| found.is_error()).cloned()
}

/// What a mistake is and how it is mended.
pub(crate) fn mended(found: &Diagnostic) -> String {
    format!("{}: {}", found.message, found.fix.as_deref().unwrap_or("correct the query"))
}
