//! Codes of diagnostics: Kusto's where it has one for the case, `GH…` for our own.

/// Unexpected character or token.
pub const SYNTAX: &str = "KS001";
/// An expression is missing.
pub const MISSING_EXPRESSION: &str = "KS002";
/// A literal does not hold what its form demands.
pub const INVALID_LITERAL: &str = "KS003";
/// A token is missing.
pub const MISSING_TOKEN: &str = "KS006";
/// An operator cannot be applied to operands of these types.
pub const OPERATOR_TYPES: &str = "KS106";
/// An expression has another type than the place demands.
pub const WRONG_TYPE: &str = "KS107";
/// A scalar expression is demanded.
pub const SCALAR_EXPECTED: &str = "KS108";
/// A column is declared twice.
pub const DUPLICATE_COLUMN: &str = "KS110";
/// A constant is demanded.
pub const CONSTANT_EXPECTED: &str = "KS116";
/// A function gets the wrong number of arguments.
pub const ARGUMENT_COUNT: &str = "KS119";
/// Aggregates are not allowed here.
pub const AGGREGATE_NOT_ALLOWED: &str = "KS124";
/// A name that refers to no known operator.
pub const UNKNOWN_OPERATOR: &str = "KS139";
/// A name that refers to no known column, table, variable or function.
pub const UNKNOWN_NAME: &str = "KS142";
/// A name that refers to no known table.
pub const UNKNOWN_TABLE: &str = "KS204";
/// A name that refers to no known function.
pub const UNKNOWN_FUNCTION: &str = "KS211";
/// A name that could mean two columns.
pub const AMBIGUOUS_NAME: &str = "KS231";
/// A feature that this version rejects by name.
pub const UNSUPPORTED: &str = "GH001";
/// The query is longer than we accept.
pub const TOO_LONG: &str = "GH002";
/// The query nests deeper than we accept.
pub const TOO_DEEP: &str = "GH003";

/// Whether a code means that the text does not parse.
pub(crate) fn is_syntax(code: &str) -> bool {
    [SYNTAX, MISSING_EXPRESSION, INVALID_LITERAL, MISSING_TOKEN].contains(&code)
}
