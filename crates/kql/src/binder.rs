//! Syntax tree to plan: looks up names, decides types, names columns, writes conversions.
//!
//! Bounds: [`STEPS_MAX`] nodes bound for one query, with `let` values and lambdas expanded, and
//! [`RELATION_DEPTH_MAX`] operators on any way down the plan.

mod activity;
mod aggregates;
mod apply;
mod calls;
mod coerce;
mod expressions;
mod graph;
mod graph_match;
mod joins;
mod measure;
mod naming;
mod nested;
mod operators;
mod patterns;
mod plugins;
mod scan;
mod search;
mod series;
mod sources;
mod statements;
mod written;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::syntax::{Expression, Name, Parameter, Statement};
use crate::{
    AggregateCall, Catalogue, Column, Compiled, Diagnostic, Expr, ExprKind, FoundColumn, Options,
    RelKind, Relation, Schema, Span, codes,
};

/// Most nodes bound for one query.
const STEPS_MAX: u32 = 100_000;
/// Most operators on a way down the plan.
const RELATION_DEPTH_MAX: u32 = 256;
/// Deepest expression, with the values of `let` in place of their names.
const EXPR_DEPTH_MAX: u32 = 200;
/// Deepest nesting while binding, lambdas included.
const NESTING_MAX: u32 = 200;

/// Binds the statements of a text.
pub(crate) fn bind(
    source: &str,
    statements: &[Statement],
    catalogue: &dyn Catalogue,
    options: &Options,
    found: Option<&[Vec<FoundColumn>]>,
) -> Result<Compiled, Vec<Diagnostic>> {
    let mut binder = Binder {
        catalogue,
        options,
        found,
        asked: 0,
        is_partial: false,
        open: None,
        settings: HashMap::new(),
        scope: Rc::new(Scope::default()),
        rows: Vec::new(),
        handed_in: Vec::new(),
        subqueries: HashMap::new(),
        diagnostics: Vec::new(),
        steps: 0,
        nesting: 0,
        materialized: 0,
    };
    let plan = binder.query(statements);
    if let Some(relation) = binder.open {
        return Ok(Compiled::Open(relation));
    }
    let mut diagnostics = binder.diagnostics;
    match plan {
        Ok(plan) if diagnostics.is_empty() => Ok(Compiled::Plan(plan)),
        _ => {
            for diagnostic in &mut diagnostics {
                diagnostic.locate(source);
            }
            Err(diagnostics)
        }
    }
}

/// An error that was already reported.
#[derive(Debug)]
pub(crate) struct Reported;

/// What binding yields.
pub(crate) type Bound<T> = Result<T, Reported>;

/// A relation on its way to becoming the plan.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    relation: Arc<Relation>,
    /// Operators below it, itself included.
    depth: u32,
}

impl Table {
    fn schema(&self) -> &Arc<Schema> {
        &self.relation.schema
    }
}

/// What an expression can turn out to be.
#[derive(Clone, Debug)]
pub(crate) enum Entity {
    Scalar(Expr),
    Table(Table),
}

/// What a name of a `let` or parameter stands for.
#[derive(Clone, Debug)]
enum Variable {
    /// An expression; `level` is that of the rows its columns belong to, if it names columns.
    Scalar {
        expr: Expr,
        size: u32,
        level: Option<usize>,
    },
    Table(Table),
    Lambda(Rc<Lambda>),
    Pattern(Rc<patterns::Cases>),
    Graph(graph::Graph),
    /// Could not be bound; reported already.
    Broken,
}

/// A user's function with the names it can see.
#[derive(Debug)]
struct Lambda {
    parameters: Vec<Parameter>,
    body: Vec<Statement>,
    /// Declared by `view`: wildcards find it.
    is_view: bool,
    scope: Rc<Scope>,
}

/// Names in sight.
#[derive(Debug, Default)]
struct Scope {
    variables: HashMap<String, Variable>,
    parent: Option<Rc<Scope>>,
}

impl Scope {
    fn find(&self, name: &str) -> Option<&Variable> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if let Some(variable) = here.variables.get(name) {
                return Some(variable);
            }
            scope = here.parent.as_deref();
        }
        None
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut scope = Some(self);
        while let Some(here) = scope {
            names.extend(here.variables.keys().cloned());
            scope = here.parent.as_deref();
        }
        names
    }
}

impl Drop for Scope {
    /// Lets go of the parents one by one: scopes may form a long chain.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(scope) = parent {
            parent = Rc::into_inner(scope).and_then(|mut scope| scope.parent.take());
        }
    }
}

/// The row that names of columns refer to.
#[derive(Debug)]
struct Row {
    schema: Arc<Schema>,
    /// The right side's columns in a join condition.
    right: Option<Arc<Schema>>,
    /// Where aggregates go, if they are allowed; the schema is then that of the group keys.
    aggregation: Option<Aggregation>,
}

/// The aggregates that the expressions of a `summarize` have asked for.
#[derive(Debug)]
struct Aggregation {
    input: Arc<Schema>,
    calls: Vec<AggregateCall>,
    /// The column the next aggregate yields.
    next: usize,
}

pub(crate) struct Binder<'a> {
    catalogue: &'a dyn Catalogue,
    options: &'a Options,
    /// Columns that the data told, for each plugin that asked; none where nobody can ask.
    found: Option<&'a [Vec<FoundColumn>]>,
    /// How many plugins have asked.
    asked: usize,
    /// Whether a table lacks columns that nobody could ask for: any name may then be one of them.
    is_partial: bool,
    /// What tells the columns of the first plugin that has no answer yet.
    open: Option<Arc<Relation>>,
    /// `set query_bin_auto_…`.
    settings: HashMap<String, Expression>,
    scope: Rc<Scope>,
    rows: Vec<Row>,
    /// The rows that sub-queries work on, the innermost last.
    handed_in: Vec<Table>,
    /// Sub-queries within expressions, with their depths.
    subqueries: HashMap<*const Relation, Table>,
    diagnostics: Vec<Diagnostic>,
    steps: u32,
    nesting: u32,
    materialized: u32,
}

impl Binder<'_> {
    fn report<T>(&mut self, diagnostic: Diagnostic) -> Bound<T> {
        const DIAGNOSTICS_MAX: usize = 50;
        if self.diagnostics.len() < DIAGNOSTICS_MAX && !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
        Err(Reported)
    }

    fn error<T>(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Bound<T> {
        self.report(Diagnostic::error(code, span, message))
    }

    fn unsupported<T>(&mut self, span: Span, what: impl std::fmt::Display) -> Bound<T> {
        self.error(codes::UNSUPPORTED, span, format!("{what} is not supported yet"))
    }

    /// Counts work, so that no query takes forever to bind.
    fn step(&mut self, count: u32, span: Span) -> Bound<()> {
        self.steps = self.steps.saturating_add(count);
        if self.steps > STEPS_MAX {
            return self.error(codes::TOO_DEEP, span, "The query is too complex");
        }
        Ok(())
    }

    /// Runs a part that may nest.
    fn nested<T>(&mut self, span: Span, part: impl FnOnce(&mut Self) -> Bound<T>) -> Bound<T> {
        if self.nesting >= NESTING_MAX {
            return self.error(codes::TOO_DEEP, span, "The query is nested too deeply");
        }
        self.nesting += 1;
        let bound = part(self);
        self.nesting -= 1;
        bound
    }

    /// Binds over the rows of this type.
    fn over<T>(&mut self, schema: &Arc<Schema>, part: impl FnOnce(&mut Self) -> T) -> T {
        self.over_row(Row { schema: schema.clone(), right: None, aggregation: None }, part).0
    }

    fn over_row<T>(&mut self, row: Row, part: impl FnOnce(&mut Self) -> T) -> (T, Option<Row>) {
        self.rows.push(row);
        let bound = part(self);
        (bound, self.rows.pop())
    }

    /// Binds without any columns, as constants are.
    fn over_nothing<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> T {
        self.over(&Arc::new(Schema::default()), part)
    }

    /// A relation over one input.
    fn relation(
        &mut self,
        kind: RelKind,
        schema: Arc<Schema>,
        below: u32,
        span: Span,
    ) -> Bound<Table> {
        self.step(1, span)?;
        let below = below.max(self.deepest_subquery(&kind));
        if below >= RELATION_DEPTH_MAX {
            return self.error(codes::TOO_DEEP, span, "The query has too many operators in a row");
        }
        Ok(Table { relation: Arc::new(Relation { kind, schema, span }), depth: below + 1 })
    }

    /// Remembers a sub-query that becomes part of an expression.
    fn subquery_relation(&mut self, table: Table) -> Arc<Relation> {
        let relation = table.relation.clone();
        self.subqueries.insert(Arc::as_ptr(&relation), table);
        relation
    }

    /// The depth of the deepest sub-query in an operator's expressions.
    fn deepest_subquery(&self, kind: &RelKind) -> u32 {
        if self.subqueries.is_empty() {
            return 0;
        }
        let mut deepest = 0;
        measure::exprs(kind, &mut |expr| {
            if let ExprKind::Scalar(relation) | ExprKind::InRelation { relation, .. } = &expr.kind {
                let known = self.subqueries.get(&Arc::as_ptr(relation));
                deepest = deepest.max(known.map_or(0, |table| table.depth));
            }
        });
        deepest
    }

    /// `project`: new rows from named expressions.
    fn project(
        &mut self,
        input: &Table,
        columns: Vec<(Arc<str>, Expr)>,
        span: Span,
    ) -> Bound<Table> {
        let schema = columns.iter().map(|(name, expr)| Column::new(name.clone(), expr.expr_type));
        let schema = Arc::new(Schema::new(schema.collect()));
        let columns = columns.into_iter().map(|(_, expr)| expr).collect();
        let kind = RelKind::Project { input: input.relation.clone(), columns };
        self.relation(kind, schema, input.depth, span)
    }

    /// The columns of a table as expressions, with their names.
    fn columns_of(table: &Table, span: Span) -> Vec<(Arc<str>, Expr)> {
        let columns = table.schema().columns.iter().enumerate();
        columns
            .map(|(at, column)| (column.name.clone(), Expr::column(at, column.column_type, span)))
            .collect()
    }

    /// Makes a name known from here on.
    fn define(&mut self, name: &str, variable: Variable) {
        let mut variables = HashMap::new();
        variables.insert(name.to_owned(), variable);
        self.scope = Rc::new(Scope { variables, parent: Some(self.scope.clone()) });
    }

    fn unknown_column<T>(&mut self, name: &Name, schema: &Schema) -> Bound<T> {
        let known = schema.columns.iter().map(|column| &*column.name);
        self.unknown(codes::UNKNOWN_NAME, name, "column", known)
    }

    fn unknown<'n, T>(
        &mut self,
        code: &'static str,
        name: &Name,
        what: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> Bound<T> {
        let message = format!("The name '{}' does not refer to any known {what}", name.text);
        let mut diagnostic = Diagnostic::error(code, name.span, message);
        diagnostic.fix = crate::names::advice(&name.text, known, listed(what));
        self.report(diagnostic)
    }
}

/// Where the names of such things stand.
fn listed(what: &str) -> &'static str {
    match what {
        "function" => "docs/kql.md lists the functions",
        "table" | "table, variable or function" => "docs/tables.md lists the tables",
        what if what.starts_with("column") => "`getschema` in this place lists the columns",
        _ => "",
    }
}

#[cfg(test)]
pub(crate) use measure::visit;
#[cfg(test)]
mod tests;
