//! The syntax tree: what was written, with places, before any name is looked up.

use crate::{GraphDirection, Span, Type, Value};

/// A name as written, quotes removed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A statement of a query text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    /// `let name = value`
    Let { name: Name, value: Expression },
    /// `set name [= value]`
    Set { name: Name, value: Option<Expression> },
    /// `declare query_parameters(…)`
    Parameters(Vec<Parameter>),
    /// `declare pattern name = …`
    Pattern { name: Name, pattern: Pattern },
    /// `alias`, `restrict`: parsed, not bound.
    Other { what: &'static str, span: Span },
    /// A tabular expression.
    Query(Pipeline),
}

/// `declare pattern`: a query for each of some values of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pub(crate) parameters: Vec<Parameter>,
    /// `[path:string]`: what stands behind the dot of a use.
    pub(crate) path: Option<Parameter>,
    pub(crate) cases: Vec<PatternCase>,
}

/// `('a', 'b').['path'] = { query }`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PatternCase {
    pub(crate) values: Vec<Expression>,
    pub(crate) path: Option<Expression>,
    pub(crate) body: Vec<Statement>,
}

/// A parameter of a lambda or of the query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameter {
    pub(crate) name: Name,
    pub(crate) shape: Shape,
    pub(crate) default: Option<Expression>,
}

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A scalar of this type.
    Scalar(Type),
    /// A table with at least these columns; `(*)` has none.
    Table(Vec<(Name, Type)>),
}

/// A source and what is done to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) source: Source,
    pub(crate) operators: Vec<Operator>,
    pub(crate) span: Span,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// A table, a variable, a call, or a pipeline in parentheses.
    Expression(Box<Expression>),
    /// The rows that the operator around it hands in, as in `mv-apply x on (…)`.
    Input,
    /// `print`, `range`, `datatable`, `union` …
    Operator(Box<Operator>),
}

/// A tabular operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operator {
    /// Its full name, e.g. `project-away`.
    pub(crate) name: Name,
    /// `kind=inner`, `hint.strategy=shuffle`, `withsource=T`.
    pub(crate) settings: Vec<Setting>,
    pub(crate) body: Body,
    pub(crate) span: Span,
}

/// `name = value` right behind an operator's name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) name: Name,
    pub(crate) value: Expression,
}

/// `name = expression`, `(a, b) = expression` or just `expression`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) names: Vec<Name>,
    pub(crate) expression: Expression,
}

/// A sort key; what is not written is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ordered {
    pub(crate) item: Item,
    pub(crate) descending: Option<bool>,
    pub(crate) by_number: bool,
    pub(crate) nulls_first: Option<bool>,
}

/// What `mv-expand` and `mv-apply` expand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expanded {
    pub(crate) item: Item,
    pub(crate) to: Option<Type>,
}

/// A part of a `parse` pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PatternPart {
    Literal(String),
    Skip,
    Capture(Name, Type),
}

/// The operands of an operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// `count`, `getschema`, `consume`.
    Nothing,
    /// `where`.
    Predicate(Expression),
    /// `project`, `extend`, `print`, `distinct`, `serialize` …
    Items(Vec<Item>),
    /// `project-away`, `project-keep`, `project-reorder`.
    Columns(Vec<Ordered>),
    Summarize {
        aggregates: Vec<Item>,
        by: Vec<Item>,
    },
    Sort(Vec<Ordered>),
    Top {
        count: Expression,
        by: Vec<Ordered>,
    },
    /// `take`, `limit`, `sample`.
    Number(Expression),
    SampleDistinct {
        count: Expression,
        of: Expression,
    },
    Union(Vec<Expression>),
    /// `join`, `lookup`.
    Join {
        right: Expression,
        on: Vec<Expression>,
    },
    Range {
        name: Name,
        from: Expression,
        to: Expression,
        step: Expression,
    },
    Datatable {
        columns: Vec<(Name, Type)>,
        values: Vec<Expression>,
    },
    MvExpand {
        items: Vec<Expanded>,
        limit: Option<Expression>,
    },
    MvApply {
        items: Vec<Expanded>,
        limit: Option<Expression>,
        on: Pipeline,
    },
    Parse {
        source: Expression,
        parts: Vec<PatternPart>,
    },
    Render {
        kind: Name,
        properties: Vec<(Name, String)>,
    },
    As(Name),
    /// `invoke`.
    Call(Expression),
    /// `evaluate plugin(…) : (schema)`.
    Evaluate {
        call: Expression,
        schema: Option<OutputSchema>,
    },
    MakeSeries(Box<MakeSeries>),
    TopNested(Vec<NestedLevel>),
    TopHitters {
        count: Expression,
        of: Item,
        by: Option<Expression>,
    },
    ParseKv {
        source: Expression,
        keys: Vec<(Name, Type)>,
        options: Vec<(Name, Expression)>,
    },
    Scan(Box<Scan>),
    Partition {
        key: Name,
        subquery: Pipeline,
    },
    Fork(Vec<(Option<Name>, Pipeline)>),
    Facet {
        by: Vec<Name>,
        with: Option<Pipeline>,
    },
    /// `search [in (tables)] predicate`.
    Search {
        tables: Vec<Expression>,
        predicate: Expression,
    },
    Find {
        tables: Vec<Expression>,
        predicate: Expression,
        columns: Vec<(Name, Option<Type>)>,
    },
    MakeGraph(MakeGraph),
    /// `graph-match`, `graph-shortest-paths`.
    GraphMatch(Box<GraphMatch>),
    /// `graph-to-table nodes as N, edges as E`.
    GraphToTable(Vec<GraphTable>),
    /// Operators without a binder: what stands up to the next one, unread.
    Raw,
}

/// `: (*, name:type, …)` behind a plugin's call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutputSchema {
    /// `*`: the columns of the input come first.
    pub(crate) with_input: bool,
    pub(crate) columns: Vec<(Name, Type)>,
}

/// The operands of `make-series`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MakeSeries {
    /// What is computed for each step, and the value for steps without rows.
    pub(crate) aggregates: Vec<(Item, Option<Expression>)>,
    pub(crate) axis: Item,
    pub(crate) from: Option<Expression>,
    pub(crate) to: Option<Expression>,
    pub(crate) step: Expression,
    /// `in range(from, to, step)`: the end belongs to it.
    pub(crate) end_included: bool,
    pub(crate) by: Vec<Item>,
}

/// `top-nested 3 of x with others='rest' by sum(y) desc`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NestedLevel {
    pub(crate) count: Option<Expression>,
    pub(crate) of: Item,
    pub(crate) others: Option<Expression>,
    pub(crate) by: Item,
    pub(crate) ascending: bool,
}

/// `make-graph source --> target with nodes on key, … with_node_id=name`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MakeGraph {
    pub(crate) source: Expression,
    pub(crate) target: Expression,
    /// Tables of nodes with their keys.
    pub(crate) nodes: Vec<(Expression, Expression)>,
    pub(crate) node_id: Option<Name>,
}

/// `(a)-[e*1..3]->(b), … where condition project columns`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GraphMatch {
    pub(crate) paths: Vec<GraphPath>,
    pub(crate) predicate: Option<Expression>,
    pub(crate) items: Vec<Item>,
}

/// A node, and edges with the nodes they lead to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GraphPath {
    pub(crate) first: Option<Name>,
    pub(crate) steps: Vec<(GraphStep, Option<Name>)>,
}

/// An edge of a pattern; one without a length is a single one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GraphStep {
    pub(crate) name: Option<Name>,
    pub(crate) direction: GraphDirection,
    pub(crate) length: Option<(u32, u32)>,
    pub(crate) span: Span,
}

/// `nodes as N with_node_id=x`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GraphTable {
    pub(crate) is_nodes: bool,
    pub(crate) name: Option<Name>,
    /// `with_node_id`, `with_source_id`, `with_target_id`.
    pub(crate) ids: Vec<(Name, Name)>,
}

/// The operands of `scan`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scan {
    pub(crate) match_id: Option<Name>,
    pub(crate) declared: Vec<Parameter>,
    pub(crate) steps: Vec<ScanStep>,
}

/// `step name output=all: condition => column = expression, …;`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScanStep {
    pub(crate) name: Name,
    pub(crate) output: Option<Name>,
    pub(crate) condition: Expression,
    pub(crate) assignments: Vec<Item>,
}

/// A scalar (or tabular) expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    pub(crate) kind: ExpressionKind,
    pub(crate) span: Span,
    /// Nodes on the longest way down; bounded, so that walking the tree cannot overflow the stack.
    pub(crate) depth: u32,
}

/// Kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExpressionKind {
    Literal(Value, Type),
    /// `datetime(8:00)`: ticks since midnight of the day the query runs.
    Today(i64),
    Name(String),
    /// `*`
    Star,
    /// `a*`, `*_x`
    Wildcard(String),
    /// `object.name`
    Member(Box<Expression>, Name),
    /// `object[index]`
    Index(Box<Expression>, Box<Expression>),
    Call {
        name: Name,
        arguments: Vec<Item>,
    },
    Negate(Box<Expression>),
    Binary(Operation, Box<Expression>, Box<Expression>),
    /// `x in (…)`, `has_any (…)`.
    List {
        test: ListTest,
        negated: bool,
        left: Box<Expression>,
        items: Vec<Expression>,
    },
    Between {
        negated: bool,
        value: Box<Expression>,
        low: Box<Expression>,
        high: Box<Expression>,
    },
    /// A tabular expression in parentheses or as an argument.
    Pipeline(Box<Pipeline>),
    /// `(parameters) { statements }`
    Lambda {
        parameters: Vec<Parameter>,
        body: Vec<Statement>,
        is_view: bool,
    },
    /// `typeof(…)`
    TypeOf(Shape),
    /// Something that did not parse, already reported.
    Error,
}

/// Tests against a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListTest {
    In,
    InIgnoringCase,
    HasAny,
    HasAll,
}

/// Binary operators as written: the symbol or word, lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation(pub(crate) &'static str);

impl Expression {
    /// A node over nodes that exist already.
    pub(crate) fn new(kind: ExpressionKind, span: Span) -> Self {
        let depth = 1 + kind.depth_below();
        Self { kind, span, depth }
    }

    /// Stands where nothing could be parsed.
    pub(crate) const fn error(span: Span) -> Self {
        Self { kind: ExpressionKind::Error, span, depth: 1 }
    }
}

impl ExpressionKind {
    fn depth_below(&self) -> u32 {
        match self {
            Self::Member(object, _) | Self::Negate(object) => object.depth,
            Self::Index(left, right) | Self::Binary(_, left, right) => left.depth.max(right.depth),
            Self::Call { arguments, .. } => deepest(arguments.iter().map(|a| &a.expression)),
            Self::List { left, items, .. } => left.depth.max(deepest(items.iter())),
            Self::Between { value, low, high, .. } => value.depth.max(low.depth).max(high.depth),
            // Each pipeline nests through the parser's own recursion, which has its own bound.
            _ => 0,
        }
    }
}

fn deepest<'a>(expressions: impl Iterator<Item = &'a Expression>) -> u32 {
    expressions.map(|expression| expression.depth).max().unwrap_or(0)
}
