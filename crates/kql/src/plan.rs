//! The typed, engine-neutral plan: what a query means, with every name resolved.
//!
//! Rules an engine may rely on:
//! - an [`ExprKind::Column`] is a position in the row type of the operator's input;
//! - every relation carries its row type; its column names are unique;
//! - operands already have the types the operation needs: the binder writes each implicit
//!   conversion as an [`ExprKind::Convert`];
//! - `extend`, `project-away`, `project-rename` … are all [`RelKind::Project`]; `top` is a sort
//!   and a take; `count` is an aggregate; `let` is gone.
//!
//! The enums grow with the language: an engine answers a variant it does not know by name
//! (`not supported by this engine`), never by approximation.

use std::sync::Arc;

use crate::{Aggregate, Function, Schema, Span, Type, Value};

/// A bound query: one result for each tabular statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Results in the order of their statements; at least one.
    pub results: Vec<PlannedResult>,
}

/// One result of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedResult {
    /// The rows.
    pub relation: Arc<Relation>,
    /// Name given by a trailing `as`.
    pub name: Option<String>,
    /// How to show it, from `render`.
    pub visualization: Option<Visualization>,
}

/// The metadata of `render`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visualization {
    /// `timechart`, `table`, `columnchart` …
    pub kind: String,
    /// `with (title=…, xcolumn=…)`, in the order written, values as text.
    pub properties: Vec<(String, String)>,
}

/// A relational operator with the row type it yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// What it does.
    pub kind: RelKind,
    /// The row type it yields.
    pub schema: Arc<Schema>,
    /// Where in the query it stands.
    pub span: Span,
}

/// Relational operators.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RelKind {
    /// A table of the catalogue.
    Table {
        /// Its name.
        name: Arc<str>,
    },
    /// Constant rows; `print` is a [`RelKind::Project`] over one row without columns.
    Values {
        /// Rows of the schema's types.
        rows: Vec<Vec<Value>>,
    },
    /// One column counting from `from` to `to`, both included, by `step`.
    /// The expressions name no column and have the type of the column, `step` that of a difference.
    Range {
        /// First value.
        from: Expr,
        /// Last value at most.
        to: Expr,
        /// Distance; may be negative, zero yields no row.
        step: Expr,
    },
    /// Rows for which the predicate is true (neither false nor null).
    Filter {
        /// Rows.
        input: Arc<Relation>,
        /// Boolean.
        predicate: Expr,
    },
    /// New rows, computed from each input row: one expression for each column of the schema.
    /// May hold window functions ([`Function::is_window`]), evaluated in the order of the input.
    Project {
        /// Rows.
        input: Arc<Relation>,
        /// One for each column of the schema.
        columns: Vec<Expr>,
    },
    /// The schema is `keys`, then the outputs of `aggregates` in order.
    /// Without keys: one row, also over no rows. With keys: one for each group; null is a key.
    Aggregate {
        /// Rows.
        input: Arc<Relation>,
        /// Group keys.
        keys: Vec<Expr>,
        /// Aggregates.
        aggregates: Vec<AggregateCall>,
    },
    /// Distinct rows.
    Distinct {
        /// Rows.
        input: Arc<Relation>,
    },
    /// Rows in order.
    Sort {
        /// Rows.
        input: Arc<Relation>,
        /// Keys, most significant first.
        keys: Vec<SortKey>,
    },
    /// At most so many rows, the first ones if the input is ordered.
    Take {
        /// Rows.
        input: Arc<Relation>,
        /// How many.
        count: u64,
    },
    /// So many random rows.
    Sample {
        /// Rows.
        input: Arc<Relation>,
        /// How many.
        count: u64,
    },
    /// All rows of all inputs; every input has exactly the schema of the union.
    Union {
        /// At least one.
        inputs: Vec<Arc<Relation>>,
    },
    /// The schema is the columns of `left`, then those of `right` (names made unique); only one
    /// side's for the semi and anti kinds.
    Join {
        /// Which rows pass.
        kind: JoinKind,
        /// Left rows.
        left: Arc<Relation>,
        /// Right rows.
        right: Arc<Relation>,
        /// Equalities that must all hold; each side over its own input, types equal.
        on: Vec<JoinCondition>,
        /// `hint.*` as written.
        hints: Vec<(String, String)>,
    },
    /// `mv-expand`: one row for each element of the named columns of type dynamic, expanded side by
    /// side; shorter ones give null. A null or empty value gives one row with null.
    /// The schema is the input's, with the new types of the expanded columns, and the index (long)
    /// last if it was asked for.
    MvExpand {
        /// Rows.
        input: Arc<Relation>,
        /// What is expanded.
        columns: Vec<Expansion>,
        /// How a property bag is expanded.
        bag: BagExpansion,
        /// Whether the element's index is the last column.
        item_index: bool,
        /// Most rows that one input row may become.
        row_limit: Option<u64>,
    },
    /// `parse` and `parse-where`: the schema is the input's, then the captured columns.
    Parse {
        /// Rows.
        input: Arc<Relation>,
        /// Text to take apart (string).
        source: Expr,
        /// How literals and captures match.
        mode: ParseMode,
        /// Regular expression flags, e.g. `U`, for [`ParseMode::Regex`].
        flags: String,
        /// The pattern.
        parts: Vec<ParsePart>,
        /// Drop rows that do not match, instead of leaving nulls.
        drop_unmatched: bool,
    },
    /// `mv-apply`: every input row is expanded as by [`RelKind::MvExpand`] (`expanded`, whose own
    /// input is the `input` here), the sub-query runs over the rows it became, and what the
    /// sub-query yields is joined to the input row. The schema is `outer` columns of the input, then
    /// `inner` columns of the sub-query.
    Apply {
        /// Rows.
        input: Arc<Relation>,
        /// The expansion of the input.
        expanded: Arc<Relation>,
        /// Over [`RelKind::Rows`], which has the schema of `expanded`.
        subquery: Arc<Relation>,
        /// Columns kept of the input.
        outer: Vec<usize>,
        /// Columns kept of the sub-query.
        inner: Vec<usize>,
    },
    /// `partition by key (…)`: the sub-query runs over the rows of each key value on its own; all
    /// results together.
    Partition {
        /// Rows.
        input: Arc<Relation>,
        /// The key.
        key: Expr,
        /// Over [`RelKind::Rows`], which has the schema of `input`.
        subquery: Arc<Relation>,
    },
    /// What is known by its row type but not run here: an engine refuses it by name.
    Foreign {
        /// Rows it would work on.
        input: Arc<Relation>,
        /// Its name, e.g. `plugin 'autocluster'`.
        what: String,
    },
    /// Rows that can only be computed from all rows of the inputs at once.
    Gathered {
        /// As many as the work says.
        inputs: Vec<Arc<Relation>>,
        /// What is done with them.
        work: Gathering,
    },
    /// The rows that the [`RelKind::Apply`] or [`RelKind::Partition`] around a sub-query hands in.
    Rows,
    /// `materialize(…)`: evaluate once for all places that hold the same `id`.
    Materialize {
        /// Rows.
        input: Arc<Relation>,
        /// Identity within the query.
        id: u32,
    },
}

/// Work on all rows of its inputs at once.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Gathering {
    /// `make-series`. The input is grouped already: `keys` columns, the step's start (of the axis'
    /// type), and one column for each array. Yields keys, arrays, and the array of the axis.
    Series(SeriesWork),
    /// `top-nested`: one input for each level, the inputs' rows are the values of the levels down
    /// to it and the value they are ordered by. Yields value and order of each level in turn.
    Nested(Vec<NestedCount>),
    /// `evaluate pivot`: the input has `keys` columns, the label, and the value. Yields keys, and a
    /// column for each label; `absent` where a key has no such row.
    Pivot {
        /// How many columns of the input come before the label.
        keys: usize,
        /// The labels, in the order of their columns.
        labels: Vec<String>,
        /// The value of a cell without a row.
        absent: Value,
    },
    /// `evaluate ipv4_lookup`: rows of the first input with those of the second whose range holds
    /// the address. Yields the columns of both.
    AddressLookup(AddressLookup),
    /// `scan`.
    Scan(ScanWork),
    /// `graph-match`: the nodes, first their identity, and the edges, first the identities of their
    /// ends. Yields a row for each place of the graph where the pattern fits.
    GraphMatch(GraphMatch),
    /// `graph-mark-components` over nodes and edges as above. Yields the nodes, and the number of
    /// the component that each belongs to.
    GraphComponents {
        /// Whether the ways within a component respect the direction of edges.
        strong: bool,
    },
}

/// A pattern of nodes and edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphMatch {
    /// For each node of the pattern, columns of the nodes that must be true.
    pub nodes: Vec<Vec<usize>>,
    /// Its edges.
    pub edges: Vec<GraphEdge>,
    /// What may come twice in one match.
    pub cycles: GraphCycles,
    /// The columns.
    pub outputs: Vec<GraphOutput>,
}

/// An edge of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphEdge {
    /// The node of the pattern on its left.
    pub from: usize,
    /// The node of the pattern on its right.
    pub to: usize,
    /// Which way it leads.
    pub direction: GraphDirection,
    /// Fewest edges in a row.
    pub least: u32,
    /// Most edges in a row.
    pub most: u32,
    /// Columns of the edges that must be true of each.
    pub filters: Vec<usize>,
}

/// Which way an edge of a pattern leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphDirection {
    /// `-->`
    Right,
    /// `<--`
    Left,
    /// `--`
    Either,
}

/// What may come twice in one match of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphCycles {
    /// Nodes and edges.
    All,
    /// Nodes.
    UniqueEdges,
    /// Nothing.
    None,
}

/// A column of the matches of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphOutput {
    /// Of what.
    pub of: GraphPlace,
    /// Which column of the nodes or edges.
    pub column: usize,
    /// How the values of several nodes or edges become one.
    pub fold: GraphFold,
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphPlace {
    /// A node.
    Node(usize),
    /// The edges that stand for an edge.
    Edge(usize),
    /// The nodes between the edges that stand for an edge.
    Inner(usize),
}

/// How the values of several nodes or edges become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphFold {
    /// There is one only.
    One,
    /// A dynamic array.
    List,
    /// Whether all are true.
    All,
    /// Whether any is true.
    Any,
    /// How many there are.
    Count,
}

/// How rows of two tables belong together by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressLookup {
    /// `ipv6_lookup`: ranges and addresses may be of either version.
    pub is_v6: bool,
    /// The column of the address in the first input (string).
    pub address: usize,
    /// The column of the range in the second input (string).
    pub range: usize,
    /// Columns that must be equal as well: first and second input.
    pub keys: Vec<(usize, usize)>,
    /// Whether rows of the first input without any range are kept.
    pub keep_unmatched: bool,
}

/// The work of `make-series`; the expressions name no column.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesWork {
    /// How many columns of the input are keys.
    pub keys: usize,
    /// First value of the axis; none for the first step of each series.
    pub from: Option<Expr>,
    /// End of the axis; none for the last step of each series.
    pub to: Option<Expr>,
    /// Whether the end itself is on the axis.
    pub end_included: bool,
    /// Distance of two values of the axis.
    pub step: Expr,
    /// For each array, the value of steps without rows.
    pub defaults: Vec<Expr>,
    /// `kind=nonempty`: without any row, one series of defaults.
    pub never_empty: bool,
}

/// How many values of a level of `top-nested` are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedCount {
    /// None keeps all.
    pub count: Option<u64>,
    /// Smallest first.
    pub ascending: bool,
    /// `with others`: what stands for the values that are not kept; the levels below it are empty.
    pub others: Option<NestedOthers>,
}

/// One row for all values of a level that are not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedOthers {
    /// The value it shows.
    pub label: Value,
    /// How what the values are ordered by becomes one.
    pub join: NestedJoin,
}

/// How what several values are ordered by becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestedJoin {
    /// Added up: counts and sums.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// The work of `scan`. Conditions and assignments are over a row of the input's columns, then, for
/// each step, the input's and the declared columns of that step's state.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanWork {
    /// The declared columns' values where no step assigns one.
    pub defaults: Vec<Expr>,
    /// Steps, first to last.
    pub steps: Vec<ScanStep>,
    /// Whether the last column tells the match sequence.
    pub match_id: bool,
}

/// A step of `scan`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanStep {
    /// Which matching rows are shown.
    pub output: ScanOutput,
    /// Whether a row matches.
    pub condition: Expr,
    /// Positions among the input's and declared columns with their new values.
    pub assignments: Vec<(usize, Expr)>,
}

/// Which rows that match a step of `scan` are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOutput {
    /// All of them.
    All,
    /// The last one of each run.
    Last,
    /// None.
    None,
}

/// One sort key.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// What to compare.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// Nulls before everything else.
    pub nulls_first: bool,
}

/// Join kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Inner, after one (any) left row was kept for each key. Kusto's default.
    InnerUnique,
    /// Every matching pair.
    Inner,
    /// And left rows without match.
    LeftOuter,
    /// And right rows without match.
    RightOuter,
    /// And rows of both sides without match.
    FullOuter,
    /// Left rows with a match.
    LeftSemi,
    /// Right rows with a match.
    RightSemi,
    /// Left rows without match.
    LeftAnti,
    /// Right rows without match.
    RightAnti,
}

/// `left == right`.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinCondition {
    /// Over the left input.
    pub left: Expr,
    /// Over the right input.
    pub right: Expr,
}

/// A column that `mv-expand` expands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// Its position in the input (type dynamic).
    pub column: usize,
    /// What the elements are converted to.
    pub to: Type,
}

/// How `mv-expand` treats a property bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BagExpansion {
    /// A bag with one member for each.
    Bag,
    /// A `[key, value]` array for each.
    Array,
}

/// How `parse` matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseMode {
    /// Strict: a conversion that fails makes the whole row unmatched.
    Simple,
    /// Literals are regular expressions.
    Regex,
    /// A conversion that fails leaves null in its own column.
    Relaxed,
}

/// A part of a `parse` pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsePart {
    /// Text (or regular expression) that must stand here.
    Literal(String),
    /// `*`: anything.
    Skip,
    /// The next captured column, of this type.
    Capture(Type),
}

/// An aggregate over the rows of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// Which.
    pub function: Aggregate,
    /// Arguments over the input row. `arg_max(by, a, b)` yields `by, a, b`; `take_any(a, b)`
    /// yields `a, b`; `percentiles(x, p, q)` yields one column for each percentage.
    pub args: Vec<Expr>,
    /// How many columns it yields, at least one.
    pub outputs: usize,
}

/// A scalar expression with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Of what type.
    pub expr_type: Type,
    /// Where in the query it stands.
    pub span: Span,
}

/// Scalar expressions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExprKind {
    /// A constant.
    Literal(Value),
    /// A column of the input.
    Column(usize),
    /// Conversion to the expression's type, explicit (`tolong(x)`) or implicit. What cannot be
    /// converted is null (empty for string). From and to `dynamic` as `parse_json` does *not*:
    /// text becomes a JSON string; use [`Function::ParseJson`] to parse.
    Convert(Box<Expr>),
    /// A binary operator.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// Arithmetic negation.
    Negate(Box<Expr>),
    /// A string predicate; both sides are strings.
    Text {
        /// Which.
        op: TextOp,
        /// Whether the case of letters matters.
        case_sensitive: bool,
        /// Whether the answer is turned round.
        negated: bool,
        /// Where to look.
        left: Box<Expr>,
        /// What to look for.
        right: Box<Expr>,
    },
    /// `x in (a, b)`. The items have the type of `x`, or are dynamic arrays of such values.
    In {
        /// What to look for.
        expr: Box<Expr>,
        /// Where.
        items: Vec<Expr>,
        /// `in~` ignores the case of letters.
        case_sensitive: bool,
        /// `!in`.
        negated: bool,
    },
    /// `x in (query)`; the query has one column of the type of `x`.
    InRelation {
        /// What to look for.
        expr: Box<Expr>,
        /// Where.
        relation: Arc<Relation>,
        /// `in~` ignores the case of letters.
        case_sensitive: bool,
        /// `!in`.
        negated: bool,
    },
    /// `text has_any (a, b)` or `has_all`; items are strings or dynamic arrays of strings.
    HasAny {
        /// Text.
        expr: Box<Expr>,
        /// Terms.
        items: Vec<Expr>,
        /// `has_all`.
        all: bool,
    },
    /// `x between (low .. high)`, both included.
    Between {
        /// Value.
        expr: Box<Expr>,
        /// Least.
        low: Box<Expr>,
        /// Greatest.
        high: Box<Expr>,
        /// `!between`.
        negated: bool,
    },
    /// Members of a dynamic value, as deep as the path goes; never an error, null if missing.
    Member {
        /// A dynamic value.
        object: Box<Expr>,
        /// Steps from outside in, at least one.
        path: Vec<PathStep>,
    },
    /// The value of the first branch whose condition is true, else `otherwise`
    /// (`iff`, `case`). Branches and `otherwise` have the expression's type.
    Case {
        /// Condition and value.
        branches: Vec<(Expr, Expr)>,
        /// If none holds.
        otherwise: Box<Expr>,
    },
    /// A function of the table.
    Call {
        /// Which.
        function: Function,
        /// Arguments, converted to what the function takes.
        args: Vec<Expr>,
    },
    /// `toscalar(query)`: first column of the first row, null if there is none.
    Scalar(Arc<Relation>),
}

/// A step into a dynamic value.
#[derive(Clone, Debug, PartialEq)]
pub enum PathStep {
    /// `.name` or `['name']`.
    Key(Arc<str>),
    /// `[0]`; negative counts from the end.
    Index(i64),
    /// `[expression]`: string (key), long (index) or dynamic (either).
    Computed(Box<Expr>),
}

/// Binary operators. Both operands have one type, except where noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Three-valued and.
    And,
    /// Three-valued or.
    Or,
    /// Numbers; timespan + timespan; datetime + timespan.
    Add,
    /// Numbers; timespan − timespan; datetime − timespan; datetime − datetime (a timespan).
    Subtract,
    /// Numbers; timespan × number (real or long).
    Multiply,
    /// Numbers (integers divide as integers; by zero is null); timespan ÷ timespan (real);
    /// timespan ÷ number.
    Divide,
    /// Remainder; numbers, timespan % timespan (timespan). As Kusto: never negative.
    Modulo,
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

/// String predicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextOp {
    /// `=~`: the same text.
    Equal,
    /// `has`: contains the whole term.
    Has,
    /// `hasprefix`: contains a term that begins so.
    HasPrefix,
    /// `hassuffix`: contains a term that ends so.
    HasSuffix,
    /// `contains`.
    Contains,
    /// `startswith`.
    StartsWith,
    /// `endswith`.
    EndsWith,
    /// `matches regex` (RE2 syntax; always case-sensitive unless the pattern says otherwise).
    MatchesRegex,
    /// `like`: `*` stands for anything.
    Like,
}

impl Gathering {
    /// Every expression in it.
    pub fn expressions(&self) -> Vec<&Expr> {
        match self {
            Self::Series(work) => {
                let bounds = work.from.iter().chain(&work.to).chain([&work.step]);
                bounds.chain(&work.defaults).collect()
            }
            Self::Scan(work) => {
                let steps = work.steps.iter().flat_map(|step| {
                    let values = step.assignments.iter().map(|(_, value)| value);
                    values.chain([&step.condition])
                });
                work.defaults.iter().chain(steps).collect()
            }
            Self::Nested(_)
            | Self::Pivot { .. }
            | Self::AddressLookup(_)
            | Self::GraphMatch(_)
            | Self::GraphComponents { .. } => Vec::new(),
        }
    }
}

impl Expr {
    /// A constant.
    pub fn literal(value: Value, expr_type: Type, span: Span) -> Self {
        Self { kind: ExprKind::Literal(value), expr_type, span }
    }

    /// A column of the input.
    pub const fn column(position: usize, expr_type: Type, span: Span) -> Self {
        Self { kind: ExprKind::Column(position), expr_type, span }
    }

    /// The constant it is, if it is one.
    pub const fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            ExprKind::Literal(value) => Some(value),
            _ => None,
        }
    }
}
