//! Codes of diagnostics: Kusto's where it has one for the case, `GH…` for our own.

/// A string is not closed.
pub const UNCLOSED: &str = "KS001";
/// Unexpected character.
pub const UNEXPECTED_CHARACTER: &str = "KS002";
/// A literal does not hold what its form demands.
pub const INVALID_LITERAL: &str = "KS003";
/// A token is missing.
pub const MISSING_TOKEN: &str = "KS005";
/// An expression is missing.
pub const MISSING_EXPRESSION: &str = "KS006";
/// An operator cannot be applied to operands of these types.
pub const OPERATOR_TYPES: &str = "KS106";
/// An expression has another type than the place demands.
pub const WRONG_TYPE: &str = "KS107";
/// A scalar expression is demanded.
pub const SCALAR_EXPECTED: &str = "KS108";
/// The name of a column is demanded.
pub const COLUMN_EXPECTED: &str = "KS109";
/// A tabular expression is demanded.
pub const TABLE_EXPECTED: &str = "KS111";
/// A value of this type is not allowed here.
pub const TYPE_NOT_ALLOWED: &str = "KS116";
/// A function gets another number of arguments than it takes.
pub const ARGUMENT_COUNT: &str = "KS119";
/// A function gets fewer arguments than it takes, and has no highest number of them.
pub const ARGUMENT_RANGE: &str = "KS120";
/// A function takes arguments in pairs.
pub const ARGUMENT_PAIRS: &str = "KS121";
/// A constant is demanded.
pub const CONSTANT_EXPECTED: &str = "KS129";
/// A whole number is demanded.
pub const INTEGER_EXPECTED: &str = "KS134";
/// A number is demanded.
pub const NUMBER_EXPECTED: &str = "KS137";
/// A number, timespan or datetime is demanded.
pub const SUMMABLE_EXPECTED: &str = "KS138";
/// An expression of one of some types is demanded.
pub const OTHER_TYPE: &str = "KS141";
/// A name that refers to no known column, table, variable or function.
pub const UNKNOWN_NAME: &str = "KS142";
/// Aggregates are not allowed here.
pub const AGGREGATE_NOT_ALLOWED: &str = "KS144";
/// A name that refers to no known type.
pub const UNKNOWN_TYPE: &str = "KS160";
/// A column is declared twice.
pub const DUPLICATE_COLUMN: &str = "KS171";
/// The values of a datatable do not fill its rows.
pub const ROW_VALUES: &str = "KS173";
/// A name that refers to no known operator.
pub const UNKNOWN_OPERATOR: &str = "KS176";
/// Text that does not belong here.
pub const SYNTAX: &str = "KS198";
/// A variable is declared twice.
pub const DUPLICATE_VARIABLE: &str = "KS201";
/// A name that refers to no known table.
pub const UNKNOWN_TABLE: &str = "KS204";
/// A name that refers to no known function.
pub const UNKNOWN_FUNCTION: &str = "KS211";
/// Columns of one name, by which tables are joined, have different types.
pub const COMMON_KEY_TYPES: &str = "KS227";
/// A name that could mean two columns.
pub const AMBIGUOUS_NAME: &str = "KS231";
/// Arguments have no type in common.
pub const NO_COMMON_TYPE: &str = "KS232";
/// An array is demanded.
pub const ARRAY_EXPECTED: &str = "KS234";
/// A bag is demanded.
pub const BAG_EXPECTED: &str = "KS235";
/// A column stands where an aggregate is demanded.
pub const AGGREGATE_EXPECTED: &str = "KS236";
/// Columns by which tables are joined have different types.
pub const KEY_TYPES: &str = "KS242";
/// A table lacks columns that a parameter demands.
pub const TABLE_COLUMNS: &str = "KS249";
/// A feature that this version rejects by name.
pub const UNSUPPORTED: &str = "GH001";
/// The query is longer than we accept.
pub const TOO_LONG: &str = "GH002";
/// The query nests deeper than we accept.
pub const TOO_DEEP: &str = "GH003";

/// Whether a code means that the text does not parse.
pub(crate) fn is_syntax(code: &str) -> bool {
    [
        UNCLOSED,
        UNEXPECTED_CHARACTER,
        INVALID_LITERAL,
        MISSING_TOKEN,
        MISSING_EXPRESSION,
        UNKNOWN_TYPE,
        SYNTAX,
    ]
    .contains(&code)
}
