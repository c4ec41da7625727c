//! Kusto Query Language: from text to a typed, engine-neutral plan.
//!
//! Floor 1, pure: no I/O, no clock, no runtime. [`compile`] lexes, parses and binds; an [`Engine`]
//! (in another crate) runs what comes out. What cannot be translated faithfully is rejected by
//! name.

mod access;
mod assist;
mod binder;
pub mod codes;
mod compile;
mod diagnostic;
mod engine;
mod follow;
mod function;
mod lexer;
mod names;
mod operators;
mod parser;
mod plan;
mod plugins;
mod syntax;
mod types;
mod value;

pub use access::{Access, Content, Rows};
pub use assist::{Completion, CompletionKind, Completions, Hover, complete, format, hover};
pub use compile::{Compiled, FoundColumn, check_syntax, compile, compile_with};
pub use diagnostic::{Diagnostic, Severity, Span};
pub use engine::{
    Catalogue, Engine, Export, FileFormat, Frame, Options, Pieces, QueryError, QueryErrorKind,
    Statistics,
};
pub use follow::keep_column;
pub use function::{Aggregate, Function, Nature, Parameter, Returns, Signature, nearest_function};
pub use operators::{OPERATORS, Operator, Support};
pub use parser::QUERY_BYTES_MAX;
pub use plan::{
    AddressLookup, AggregateCall, BagExpansion, BinaryOp, Expansion, Expr, ExprKind, Gathering,
    GraphCycles, GraphDirection, GraphEdge, GraphFold, GraphMatch, GraphOutput, GraphPlace,
    JoinCondition, JoinKind, NestedCount, NestedJoin, NestedOthers, ParseMode, ParsePart, PathStep,
    Plan, PlannedResult, RelKind, Relation, ScanOutput, ScanStep, ScanWork, SeriesWork, SortKey,
    TextOp, Visualization,
};
pub use plugins::PLUGINS;
pub use types::{Column, Schema, Type};
pub use value::{
    Decimal, TICKS_PER_DAY, TICKS_PER_SECOND, UNIX_EPOCH_TICKS, Value, format_datetime,
    format_guid, format_real, format_timespan, parse_datetime, parse_guid, parse_timespan,
};

#[cfg(test)]
mod tests;
