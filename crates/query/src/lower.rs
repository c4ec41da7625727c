//! From the typed plan to DataFusion's logical plan.
//!
//! Every lowered relation has columns named `c0`, `c1` … in the order of its schema. Parts that need
//! rows before the plan can be built (subqueries in expressions, window functions, ordered lists,
//! `materialize`) are run first, by [`prepare`](Query::prepare).

mod aggregate;
mod apply;
mod constant;
mod expand;
mod expr;
mod gathered;
mod join;
mod newest;
mod prepare;
mod range;
mod text;
mod walk;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Sort, SortExpr};
use datafusion::prelude::SessionContext;
use kql::{QueryError, RelKind, Relation, SortKey, Type, Value};

use crate::call::Call;
use crate::cell::{Cell, Writer};
use crate::columns::{column, literal, name, project, scan_plan, schema_of};
use crate::error::{IntoOutcome, Outcome};
use crate::paths::PathGroup;
use crate::tables::Tables;

/// What a query may ask about its surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// What `now()` answers.
    pub(crate) now_ticks: i64,
    pub(crate) principal: String,
    pub(crate) database: String,
    /// Only rows of this half-open range of instants.
    pub(crate) time_range: Option<(i64, i64)>,
}

/// One query being lowered.
pub(crate) struct Query {
    pub(crate) session: SessionContext,
    pub(crate) tables: Arc<Tables>,
    pub(crate) surroundings: Surroundings,
    /// Rows that were needed before the plan, by the address of the relation they are of.
    rows: Mutex<HashMap<usize, Arc<Rows>>>,
    /// Results of subqueries in expressions, likewise.
    subqueries: Mutex<HashMap<usize, Arc<Rows>>>,
    materialized: Mutex<HashMap<u32, Arc<Rows>>>,
    /// Projections whose window calls have become columns of their rows.
    windows: Mutex<HashMap<usize, Vec<kql::Expr>>>,
    /// Relations whose rows are handed in.
    overrides: HashMap<usize, Arc<Rows>>,
    /// The rows handed to a sub-query.
    bound: Option<Arc<Rows>>,
    groups: Mutex<HashMap<String, Arc<PathGroup>>>,
    /// While a plan is made of a part of the rows.
    cut: Mutex<Option<newest::Cut>>,
}

/// Rows held in memory, accounted to the session's memory pool.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    /// Given back when the rows are let go.
    reservation: Option<MemoryReservation>,
}

fn address(relation: &Arc<Relation>) -> usize {
    Arc::as_ptr(relation).addr()
}

fn types(relation: &Relation) -> Vec<Type> {
    relation.schema.columns.iter().map(|column| column.column_type).collect()
}

impl Query {
    pub(crate) fn new(
        session: SessionContext,
        tables: Arc<Tables>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            session,
            tables,
            surroundings,
            rows: Mutex::default(),
            subqueries: Mutex::default(),
            materialized: Mutex::default(),
            windows: Mutex::default(),
            overrides: HashMap::new(),
            bound: None,
            groups: Mutex::default(),
            cut: Mutex::default(),
        }
    }

    /// The same query for a sub-query that runs several times over other rows.
    fn child(&self) -> Self {
        let mut child =
            Self::new(self.session.clone(), Arc::clone(&self.tables), self.surroundings.clone());
        child.overrides.clone_from(&self.overrides);
        child.bound.clone_from(&self.bound);
        let kept = self.materialized.lock().unwrap_or_else(PoisonError::into_inner).clone();
        child.materialized = Mutex::new(kept);
        child
    }

    /// The plan of a prepared relation.
    pub(crate) fn lower(&self, relation: &Arc<Relation>) -> Outcome<LogicalPlan> {
        if let Some(rows) = self.overrides.get(&address(relation)) {
            return rows_plan(rows);
        }
        match &relation.kind {
            RelKind::Table { name } => self.table(name),
            RelKind::Values { rows } => values(&types(relation), rows),
            RelKind::Range { .. } => self.range(relation),
            RelKind::Filter { input, predicate } => {
                let input = self.lower(input)?;
                let predicate = self.predicate(predicate)?;
                LogicalPlanBuilder::new(input)
                    .filter(predicate)
                    .and_then(LogicalPlanBuilder::build)
                    .outcome()
            }
            RelKind::Project { input, columns } => self.project(relation, input, columns),
            RelKind::Aggregate { input, keys, aggregates } => {
                self.aggregate(relation, input, keys, aggregates)
            }
            RelKind::Distinct { input } => {
                let input = self.lower(input)?;
                LogicalPlanBuilder::new(input)
                    .distinct()
                    .and_then(LogicalPlanBuilder::build)
                    .outcome()
            }
            RelKind::Sort { input, keys } => self.sort(input, keys),
            RelKind::Take { input, count } => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                let input = self.lower(input)?;
                LogicalPlanBuilder::new(input)
                    .limit(0, Some(count))
                    .and_then(LogicalPlanBuilder::build)
                    .outcome()
            }
            RelKind::Sample { input, count } => self.sample(input, *count),
            RelKind::Union { inputs } => self.union(inputs),
            RelKind::Join { kind, left, right, on, .. } => self.join(*kind, left, right, on),
            RelKind::MvExpand { input, columns, bag, item_index, row_limit } => {
                let expansion = expand::Expansion {
                    columns,
                    is_array: *bag == kql::BagExpansion::Array,
                    has_index: *item_index,
                    row_limit: *row_limit,
                };
                self.mv_expand(relation, input, &expansion)
            }
            RelKind::Parse { input, source, mode, flags, parts, drop_unmatched } => {
                let pattern =
                    text::Pattern { mode: *mode, flags, parts, drop_unmatched: *drop_unmatched };
                self.parse(input, source, &pattern)
            }
            RelKind::Foreign { what, .. } => Err(QueryError::unsupported(what)),
            RelKind::Apply { .. } | RelKind::Partition { .. } | RelKind::Gathered { .. } => {
                let rows = self.ready(relation).ok_or_else(|| lost("a sub-query was not run"))?;
                rows_plan(&rows)
            }
            RelKind::Rows => {
                let rows = self.bound.as_ref().ok_or_else(|| lost("a sub-query has no rows"))?;
                rows_plan(rows)
            }
            RelKind::Materialize { input, id } => match self.kept(*id) {
                Some(rows) => rows_plan(&rows),
                None => self.lower(input),
            },
            _ => Err(QueryError::unsupported("this operator")),
        }
    }

    fn table(&self, table: &str) -> Outcome<LogicalPlan> {
        self.tables.plan(table, self.surroundings.time_range)
    }

    fn project(
        &self,
        relation: &Arc<Relation>,
        input: &Arc<Relation>,
        columns: &[kql::Expr],
    ) -> Outcome<LogicalPlan> {
        let (input, exprs) = match self.ready(relation) {
            Some(rows) => (rows_plan(&rows)?, self.window_columns(relation)?),
            None => {
                let exprs =
                    columns.iter().map(|expr| self.expr(expr)).collect::<Outcome<Vec<_>>>()?;
                (self.lower(input)?, exprs)
            }
        };
        project(input, exprs)
    }

    fn sort(&self, input: &Arc<Relation>, keys: &[SortKey]) -> Outcome<LogicalPlan> {
        let mut orders = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = self.expr(&key.expr)?;
            if key.expr.expr_type == Type::Real {
                // NaN stands beside the nulls.
                let is_nan = Call::kernel(
                    "isnan",
                    |cells, _| Cell::or_null(cells[0].as_real(), |x| Cell::Bool(x.is_nan())),
                    vec![Type::Real],
                    Type::Bool,
                );
                let is_nan = is_nan.on(vec![expr.clone()]);
                orders.push(SortExpr::new(is_nan, !key.nulls_first, key.nulls_first));
            }
            orders.push(SortExpr::new(expr, !key.descending, key.nulls_first));
        }
        Ok(sorted(self.cut(input, self.lower(input)?)?, orders))
    }

    fn sample(&self, input: &Arc<Relation>, count: u64) -> Outcome<LogicalPlan> {
        let lot = expr::random().on(Vec::new());
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let input = sorted(self.lower(input)?, vec![SortExpr::new(lot, true, true)]);
        LogicalPlanBuilder::new(input)
            .limit(0, Some(count))
            .and_then(LogicalPlanBuilder::build)
            .outcome()
    }

    fn union(&self, inputs: &[Arc<Relation>]) -> Outcome<LogicalPlan> {
        let mut plans =
            inputs.iter().map(|input| self.lower(input)).collect::<Outcome<Vec<_>>>()?.into_iter();
        let Some(first) = plans.next() else {
            return Err(QueryError::unsupported("a union of nothing"));
        };
        let mut all = LogicalPlanBuilder::new(first);
        for plan in plans {
            all = all.union(plan).outcome()?;
        }
        all.build().outcome()
    }

    /// Rows computed before the plan for this relation.
    fn ready(&self, relation: &Arc<Relation>) -> Option<Arc<Rows>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&address(relation)).cloned()
    }

    fn kept(&self, id: u32) -> Option<Arc<Rows>> {
        self.materialized.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The group of paths through an expression.
    fn group(&self, source: &Expr) -> Arc<PathGroup> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(groups.entry(source.to_string()).or_default())
    }
}

/// Not by the builder's `sort`: it takes a name within a key for a column below the projection that
/// it sorts, and ours are the same in every projection.
fn sorted(input: LogicalPlan, expr: Vec<SortExpr>) -> LogicalPlan {
    LogicalPlan::Sort(Sort { expr, input: Arc::new(input), fetch: None })
}

fn lost(what: &str) -> QueryError {
    QueryError::new(kql::QueryErrorKind::Internal, what)
}

/// A scan of rows in memory, in their order.
fn rows_plan(rows: &Rows) -> Outcome<LogicalPlan> {
    let table =
        MemTable::try_new(Arc::clone(&rows.schema), vec![rows.batches.clone()]).outcome()?;
    scan_plan(Arc::new(table), rows.schema.fields().len())
}

fn values(types: &[Type], rows: &[Vec<Value>]) -> Outcome<LogicalPlan> {
    if types.is_empty() {
        return LogicalPlanBuilder::empty(!rows.is_empty()).build().outcome();
    }
    let mut writers: Vec<Writer> =
        types.iter().map(|kusto| Writer::new(*kusto, rows.len())).collect();
    for row in rows {
        for (writer, value) in writers.iter_mut().zip(row) {
            writer.push(&expr::cell(value));
        }
    }
    let schema = schema_of(types.iter().copied());
    let arrays = writers.into_iter().map(Writer::finish).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
        .map_err(|error| QueryError::new(kql::QueryErrorKind::Internal, error.to_string()))?;
    rows_plan(&Rows { schema, batches: vec![batch], reservation: None })
}
