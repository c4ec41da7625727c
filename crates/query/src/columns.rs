//! Columns of plans: how they are called and typed, and constants in their place.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use event::ColumnType;
use kql::Type;

use crate::cell::{Cell, Writer, arrow_type};
use crate::error::{IntoOutcome, Outcome};

/// The column at a position.
pub(crate) fn column(position: usize) -> Expr {
    Expr::Column(Column::new_unqualified(name(position)))
}

/// The name of the column at a position.
pub(crate) fn name(position: usize) -> String {
    format!("c{position}")
}

/// The Arrow schema of a relation.
pub(crate) fn schema_of(types: impl IntoIterator<Item = Type>) -> SchemaRef {
    let fields: Vec<Field> = types
        .into_iter()
        .enumerate()
        .map(|(position, kusto)| Field::new(name(position), arrow_type(kusto), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// A plan's columns under our names.
fn renamed(exprs: Vec<Expr>) -> Vec<Expr> {
    exprs.into_iter().enumerate().map(|(position, expr)| expr.alias(name(position))).collect()
}

/// Projects expressions under our names.
pub(crate) fn project(input: LogicalPlan, exprs: Vec<Expr>) -> Outcome<LogicalPlan> {
    LogicalPlanBuilder::new(input)
        .project(renamed(exprs))
        .and_then(LogicalPlanBuilder::build)
        .outcome()
}

/// A scan of a provider whose columns already have our names.
pub(crate) fn scan_plan(provider: Arc<dyn TableProvider>, columns: usize) -> Outcome<LogicalPlan> {
    let names: Vec<String> =
        provider.schema().fields().iter().take(columns).map(|field| field.name().clone()).collect();
    let exprs: Vec<Expr> = names
        .iter()
        .map(|name| Expr::Column(Column::new(Some("rows"), name)).alias(name))
        .collect();
    LogicalPlanBuilder::scan("rows", provider_as_source(provider), None)
        .and_then(|scan| scan.project(exprs))
        .and_then(LogicalPlanBuilder::build)
        .outcome()
}

/// A stored column below the projection that gives it our name.
pub(crate) fn stored(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// Kusto's type of a stored column.
pub(crate) fn kusto_type(stored: ColumnType) -> Type {
    match stored {
        ColumnType::Bool => Type::Bool,
        ColumnType::Int => Type::Int,
        ColumnType::Long => Type::Long,
        ColumnType::Real => Type::Real,
        ColumnType::Decimal => Type::Decimal,
        ColumnType::Datetime => Type::Datetime,
        ColumnType::String => Type::String,
        ColumnType::Dynamic => Type::Dynamic,
    }
}

/// A constant of a Kusto type.
pub(crate) fn literal(cell: &Cell<'_>, kusto: Type) -> Outcome<Expr> {
    let mut writer = Writer::new(kusto, 1);
    writer.push(cell);
    Ok(Expr::Literal(ScalarValue::try_from_array(&writer.finish(), 0).outcome()?, None))
}
