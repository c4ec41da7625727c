//! The tabular operators by name: what each does, and whether it is bound here.

/// A tabular operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// As queries write it.
    pub name: &'static str,
    /// What it does, in a line.
    pub meaning: &'static str,
    /// Whether queries may use it; if not, what to use instead, if there is something.
    pub support: Support,
}

/// Whether a part of the language is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It answers as Kusto does.
    Full,
    /// It answers, with differences.
    Partial(&'static str),
    /// Refused by name; the text says why, or what is nearest.
    Refused(&'static str),
}

use Support::{Full, Partial, Refused};

/// Every operator that is known by name.
pub const OPERATORS: &[Operator] = &[
    operator("as", "names the rows so far", Full),
    operator("assert-schema", "checks the columns", Refused("use `getschema`")),
    operator("consume", "computes the rows and shows none", Full),
    operator("count", "counts rows", Full),
    operator("datatable", "constant rows", Full),
    operator("distinct", "rows with different values of the columns", Full),
    operator("evaluate", "runs a plugin", Partial("some plugins, listed below")),
    operator("execute-and-cache", "runs a query once", Refused("use `materialize()`")),
    operator("extend", "adds columns", Full),
    operator("externaldata", "reads files by address", Refused("no query reads outside the store")),
    operator("facet", "counts the values of columns, each in a table", Full),
    operator("filter", "the older name of `where`", Full),
    operator("find", "rows of several tables that match", Full),
    operator("fork", "several results from the same rows", Full),
    operator("getschema", "the columns as rows", Full),
    operator("graph-mark-components", "components of a graph", Full),
    operator("graph-match", "patterns in a graph", Full),
    operator("graph-shortest-paths", "shortest ways in a graph", Full),
    operator("graph-to-table", "nodes, edges or both as tables", Full),
    operator("graph-where-edges", "filters edges", Full),
    operator("graph-where-nodes", "filters nodes", Full),
    operator("invoke", "hands the rows to a function", Full),
    operator("join", "rows of two tables that belong together", Full),
    operator("limit", "some rows, as `take`", Full),
    operator("lookup", "adds the columns of a table of facts", Full),
    operator("macro-expand", "repeats a query for several sources", Refused("use `union`")),
    operator("make-graph", "a graph from edges", Full),
    operator("make-series", "arrays of values along an axis", Full),
    operator("mv-apply", "a sub-query over the elements of each array", Full),
    operator("mv-expand", "a row for each element of an array", Full),
    operator("order", "sorts, as `sort`", Full),
    operator("parse", "takes text apart by a pattern", Full),
    operator("parse-kv", "takes key-value pairs in text apart", Full),
    operator("parse-where", "takes text apart and drops what does not match", Full),
    operator("partition", "a sub-query for each value of a key", Full),
    operator("print", "one row of expressions", Full),
    operator("project", "chooses and computes columns", Full),
    operator("project-away", "drops columns", Full),
    operator("project-by-names", "columns by names from an expression", Full),
    operator("project-keep", "keeps columns", Full),
    operator("project-rename", "renames columns", Full),
    operator("project-reorder", "moves columns to the front", Full),
    operator("range", "a column that counts", Full),
    operator(
        "reduce",
        "groups text by likeness",
        Refused("Kusto does not publish how it groups; use `summarize` by an expression"),
    ),
    operator("render", "how to show the rows", Full),
    operator("sample", "random rows", Full),
    operator("sample-distinct", "some different values of a column", Full),
    operator("scan", "matches sequences of rows", Full),
    operator("search", "rows with a term in any column", Full),
    operator("serialize", "marks the rows as ordered", Full),
    operator("sort", "sorts", Full),
    operator("summarize", "aggregates by keys", Full),
    operator("take", "some rows", Full),
    operator("top", "the first rows by a key", Full),
    operator("top-hitters", "the most frequent values", Full),
    operator(
        "top-nested",
        "the best values, and the best values of each",
        Partial("`with others` of counts, sums, `min` and `max`"),
    ),
    operator("union", "rows of several tables", Full),
    operator("where", "rows for which a condition holds", Full),
];

/// For the lists of this crate.
pub(crate) const fn operator(
    name: &'static str,
    meaning: &'static str,
    support: Support,
) -> Operator {
    Operator { name, meaning, support }
}
