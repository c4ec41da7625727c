//! Stored tables with Kusto's types, and what can be pushed down to them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TableProviderFilterPushDown, TableType, Volatility, cast,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use event::ColumnType;
use kql::{Type, UNIX_EPOCH_TICKS};

use crate::body::is_body_text;
use crate::call::any_arguments;
use crate::cell::arrow_type;
use crate::columns::kusto_type;
use crate::guard::{Guard, OWNER, OwnRows, stored_owner_filter};
use crate::search::Search;

const TICKS_PER_MICROSECOND: i64 = 10;

/// A stored table whose columns have the arrays of Kusto's types. Bodies are still as stored.
#[derive(Debug)]
pub(crate) struct StoredTable {
    inner: Arc<dyn TableProvider>,
    name: &'static str,
    columns: &'static [event::Column],
    schema: SchemaRef,
    guard: Arc<Guard>,
}

impl StoredTable {
    /// Wraps a snapshot's provider of the table for what `guard` lets a run see.
    pub(crate) fn new(
        table: &event::Table,
        inner: Arc<dyn TableProvider>,
        guard: Arc<Guard>,
    ) -> Self {
        let fields: Vec<Field> = table
            .columns
            .iter()
            .map(|column| {
                let kusto = kusto_type(column.column_type);
                Field::new(column.name, arrow_type(kusto), kusto != Type::String)
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        Self { inner, name: table.name, columns: table.columns, schema, guard }
    }

    fn column_type(&self, name: &str) -> Option<ColumnType> {
        self.columns.iter().find(|column| column.name == name).map(|column| column.column_type)
    }

    /// The columns that a scan reads, for its rows or to skip by.
    fn used(&self, wanted: &[usize], filters: &[Expr]) -> Vec<&'static event::Column> {
        let skipping: HashSet<&str> = filters
            .iter()
            .flat_map(|filter| filter.column_refs().into_iter().map(|column| column.name.as_str()))
            .collect();
        let is_used = |(at, column): &(usize, &'static event::Column)| {
            wanted.contains(at) || skipping.contains(column.name)
        };
        self.columns.iter().enumerate().filter(is_used).map(|(_, column)| column).collect()
    }

    /// A predicate over the stored arrays that holds at least where `filter` does.
    fn stored_filter(&self, filter: &Expr) -> Option<Expr> {
        if let Some((search, text)) = Search::parts(filter) {
            // What is not read for a search would tell of texts of others.
            let is_usable = self.guard.owners().is_none() && is_body_text(text);
            return is_usable.then(|| search.stored_filter()).flatten();
        }
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
        match op {
            Operator::And => match (self.stored_filter(left), self.stored_filter(right)) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (one, other) => one.or(other),
            },
            Operator::Or => Some(self.stored_filter(left)?.or(self.stored_filter(right)?)),
            _ => {
                if let (Expr::Column(column), Expr::Literal(value, _)) = (&**left, &**right) {
                    return self.stored_comparison(column, *op, value);
                }
                if let (Expr::Literal(value, _), Expr::Column(column)) = (&**left, &**right) {
                    return self.stored_comparison(column, op.swap()?, value);
                }
                None
            }
        }
    }

    fn stored_comparison(
        &self,
        column: &Column,
        op: Operator,
        value: &ScalarValue,
    ) -> Option<Expr> {
        let stored = Expr::Column(Column::new_unqualified(column.name.clone()));
        let is_order = matches!(
            op,
            Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
        );
        if !is_order || value.is_null() {
            return None;
        }
        let column_type = self.column_type(&column.name)?;
        // What the store skips by other columns would tell, by its pace, of rows of others.
        if self.guard.owners().is_some() && column_type != ColumnType::Datetime {
            return None;
        }
        match (column_type, value) {
            (ColumnType::Datetime, ScalarValue::Int64(Some(ticks))) => {
                Some(instant_filter(&stored, op, *ticks))
            }
            (ColumnType::String, ScalarValue::Utf8View(text) | ScalarValue::Utf8(text)) => {
                let text = ScalarValue::Utf8(text.clone());
                Some(binary(stored, op, Expr::Literal(text, None)))
            }
            (ColumnType::Int | ColumnType::Long | ColumnType::Bool, _) => {
                Some(binary(stored, op, Expr::Literal(value.clone(), None)))
            }
            _ => None,
        }
    }

    /// The expression that turns a stored column into Kusto's array.
    fn conversion(column: &event::Column) -> Expr {
        let stored = Expr::Column(Column::new_unqualified(column.name));
        match column.column_type {
            ColumnType::Datetime => ScalarUDF::new_from_impl(Ticks::new()).call(vec![stored]),
            ColumnType::Decimal | ColumnType::String | ColumnType::Dynamic => {
                cast(stored, arrow_type(kusto_type(column.column_type)))
            }
            _ => stored,
        }
    }
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// Microseconds are coarser than ticks: the bounds are widened to whole ones.
fn instant_filter(stored: &Expr, op: Operator, ticks: i64) -> Expr {
    let since_epoch = ticks.saturating_sub(UNIX_EPOCH_TICKS);
    let floor = since_epoch.div_euclid(TICKS_PER_MICROSECOND);
    let ceiling = floor + i64::from(since_epoch.rem_euclid(TICKS_PER_MICROSECOND) != 0);
    let bound = |op: Operator, micros: i64| {
        let instant = ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
        binary(stored.clone(), op, Expr::Literal(instant, None))
    };
    match op {
        Operator::Lt | Operator::LtEq => bound(Operator::LtEq, floor),
        Operator::Gt | Operator::GtEq => bound(Operator::GtEq, ceiling.min(floor + 1)),
        _ => bound(Operator::GtEq, floor).and(bound(Operator::LtEq, ceiling)),
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answers = filters.iter().map(|filter| match self.stored_filter(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        });
        Ok(answers.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut stored: Vec<Expr> =
            filters.iter().filter_map(|filter| self.stored_filter(filter)).collect();
        let mut limit = if filters.is_empty() { limit } else { None };
        let mut wanted: Vec<usize> = match projection {
            Some(wanted) => wanted.clone(),
            None => (0..self.columns.len()).collect(),
        };
        self.guard.reads(self.name, self.used(&wanted, filters).into_iter())?;
        let shown = wanted.len();
        if let Some(owners) = self.guard.owners() {
            let owner = self.columns.iter().position(|column| column.name == OWNER);
            let Some(owner) = owner else {
                return internal_err!("the rows of {} belong to nobody", self.name);
            };
            wanted.push(owner);
            stored.push(stored_owner_filter(owners));
            limit = None;
        }
        let plan = self.inner.scan(state, Some(&wanted), &stored, limit).await?;
        let schema = DFSchema::try_from(plan.schema().as_ref().clone())?;
        let mut columns = Vec::with_capacity(wanted.len());
        for (at, position) in wanted.iter().enumerate() {
            let column = &self.columns[*position];
            let expr = state.create_physical_expr(Self::conversion(column), &schema)?;
            // The owner may stand twice.
            let name = if at < shown { column.name } else { "owner" };
            columns.push((expr, name.to_owned()));
        }
        let plan: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(columns, plan)?);
        Ok(match self.guard.owners() {
            Some(owners) => {
                let owners: HashSet<String> = owners.iter().cloned().collect();
                Arc::new(OwnRows::new(plan, shown, Arc::new(owners)))
            }
            None => plan,
        })
    }
}

/// Microseconds since 1970 as ticks since year 1.
pub(crate) fn ticks_of_micros(micros: i64) -> i64 {
    micros.saturating_mul(TICKS_PER_MICROSECOND).saturating_add(UNIX_EPOCH_TICKS)
}

/// The same for an array.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ticks {
    signature: Signature,
}

impl Ticks {
    fn new() -> Self {
        Self { signature: any_arguments(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Ticks {
    fn name(&self) -> &str {
        "ticks"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let Some(micros) = array.as_primitive_opt::<TimestampMicrosecondType>() else {
            return exec_err!("instants are stored in microseconds, not as {}", array.data_type());
        };
        let ticks: Int64Array = micros.unary(ticks_of_micros);
        Ok(ColumnarValue::Array(Arc::new(ticks) as ArrayRef))
    }
}
