//! The tables queries may name: the stored ones, and Azure's as views of `Interactions`.

mod azure;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use event::ColumnType;
use kql::{Access, Catalogue, QueryError, QueryErrorKind, Schema, Type};

use crate::Identity;
use crate::body::Bodies;
use crate::call::Call;
use crate::cell::Cell;
use crate::columns::{kusto_type, literal, project, stored};
use crate::error::{IntoOutcome, Outcome};
use crate::guard::{Guard, masked};
use crate::scan::{StoredTable, ticks_of_micros};

/// The table that Azure's tables are views of.
const VIEWED: &str = "Interactions";

/// A table of the catalogue, for documents and the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Name as queries write it.
    pub name: &'static str,
    /// What a row is.
    pub meaning: &'static str,
    /// Columns, in order.
    pub columns: Vec<ColumnInfo>,
}

/// A column of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Name as queries write it.
    pub name: &'static str,
    /// Type.
    pub column_type: Type,
    /// What it holds.
    pub meaning: &'static str,
    /// It is masked for whoever may not read content.
    pub is_content: bool,
    /// Where it comes from: a stored column, or how it is made.
    pub source: String,
}

/// Every table, with the meaning of its columns.
pub fn tables() -> Vec<TableInfo> {
    let stored = event::tables().into_iter().map(|table| TableInfo {
        name: table.name,
        meaning: table.meaning,
        columns: table
            .columns
            .iter()
            .map(|column| ColumnInfo {
                name: column.name,
                column_type: kusto_type(column.column_type),
                meaning: column.meaning,
                is_content: column.is_content,
                source: "stored".into(),
            })
            .collect(),
    });
    let views = azure::VIEWS.iter().map(|view| TableInfo {
        name: view.name,
        meaning: view.meaning,
        columns: view
            .columns
            .iter()
            .map(|column| ColumnInfo {
                name: column.name,
                column_type: column.column_type,
                meaning: column.meaning,
                is_content: column.source.is_content(),
                source: column.source.to_string(),
            })
            .collect(),
    });
    stored.chain(views).collect()
}

/// The tables that this version knows, for help with queries where no store is at hand.
pub fn catalogue() -> impl Catalogue + use<> {
    TableCatalogue::new(crate::QueryConfig::default().database, &Access::everything())
}

/// Names and types of the tables.
#[derive(Debug)]
pub(crate) struct TableCatalogue {
    database: String,
    schemas: HashMap<String, Arc<Schema>>,
}

impl TableCatalogue {
    /// The tables that queries with this access may name.
    pub(crate) fn new(database: String, access: &Access) -> Self {
        let schemas = tables()
            .into_iter()
            .filter(|table| {
                stored_table(table.name).is_some_and(|stored| Guard::shows(access, &stored))
            })
            .map(|table| {
                let columns = table.columns.iter().map(|c| kql::Column::new(c.name, c.column_type));
                (table.name.to_owned(), Arc::new(Schema::new(columns.collect())))
            })
            .collect();
        Self { database, schemas }
    }
}

impl Catalogue for TableCatalogue {
    fn table(&self, name: &str) -> Option<Arc<Schema>> {
        self.schemas.get(name).cloned()
    }

    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.schemas.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    fn database(&self) -> &str {
        &self.database
    }
}

/// The tables at one moment, for one query.
#[derive(Debug)]
pub(crate) struct Tables {
    snapshot: Arc<store::Snapshot>,
    identity: Identity,
    bodies: Arc<Bodies>,
    guard: Arc<Guard>,
}

impl Tables {
    pub(crate) fn new(
        snapshot: store::Snapshot,
        identity: Identity,
        memory_bytes: usize,
        guard: Arc<Guard>,
    ) -> Self {
        let snapshot = Arc::new(snapshot);
        let bodies = Arc::new(Bodies::new(Arc::clone(&snapshot), memory_bytes));
        Self { snapshot, identity, bodies, guard }
    }

    /// The least instants of the parts that a table is stored in, in ticks, newest first.
    pub(crate) fn starts(&self, name: &str) -> Outcome<Vec<i64>> {
        let table = stored_table(name).ok_or_else(|| unknown(name))?;
        let starts = self
            .snapshot
            .starts(table.name)
            .map_err(|error| QueryError::new(QueryErrorKind::Internal, error.to_string()))?;
        Ok(starts.into_iter().map(ticks_of_micros).collect())
    }

    /// The plan of a table, its columns under our names; bodies are read where they are used.
    pub(crate) fn plan(&self, name: &str, range: Option<(i64, i64)>) -> Outcome<LogicalPlan> {
        if let Some(view) = azure::VIEWS.iter().find(|view| view.name == name) {
            let rows = self.scan(&stored_table(name).ok_or_else(|| unknown(name))?, range)?;
            let rows = match view.filter() {
                Some(filter) => LogicalPlanBuilder::new(rows)
                    .filter(filter)
                    .and_then(LogicalPlanBuilder::build)
                    .outcome()?,
                None => rows,
            };
            let exprs = view.columns.iter().map(|column| self.view_column(view, column));
            return project(rows, exprs.collect::<Outcome<_>>()?);
        }
        let table = event::table(name).ok_or_else(|| unknown(name))?;
        let rows = self.scan(&table, range)?;
        let exprs = table.columns.iter().map(|column| {
            if let Some(mask) = self.guard.mask(column)? {
                return Ok(mask);
            }
            let is_body = matches!(column.name, "RequestBody" | "ResponseBody" | "Content")
                && column.column_type == ColumnType::String;
            Ok(if is_body { self.bodies.text(stored(column.name)) } else { stored(column.name) })
        });
        project(rows, exprs.collect::<Outcome<_>>()?)
    }

    fn scan(&self, table: &event::Table, range: Option<(i64, i64)>) -> Outcome<LogicalPlan> {
        self.guard.admit(table)?;
        let provider = self.provider(table)?;
        let scan = LogicalPlanBuilder::scan(table.name, provider_as_source(provider), None);
        let scan = scan.and_then(|scan| {
            let columns = table.columns.iter().map(|column| {
                Expr::Column(Column::new(Some(table.name), column.name)).alias(column.name)
            });
            scan.project(columns.collect::<Vec<_>>())
        });
        let plan = match range {
            Some((from, to)) => {
                let time = stored("TimeGenerated");
                let from = literal(&Cell::Datetime(from), Type::Datetime)?;
                let to = literal(&Cell::Datetime(to), Type::Datetime)?;
                scan.and_then(|scan| scan.filter(time.clone().gt_eq(from).and(time.lt(to))))
            }
            None => scan,
        };
        plan.and_then(LogicalPlanBuilder::build).outcome()
    }

    fn provider(&self, table: &event::Table) -> Outcome<Arc<dyn TableProvider>> {
        let inner = self
            .snapshot
            .provider(table.name)
            .map_err(|error| QueryError::new(QueryErrorKind::Internal, error.to_string()))?;
        Ok(Arc::new(StoredTable::new(table, inner, Arc::clone(&self.guard))))
    }

    fn view_column(&self, view: &azure::View, column: &azure::ViewColumn) -> Outcome<Expr> {
        use azure::Source;
        if column.source.is_content() && self.guard.masks_content() {
            return masked(column.column_type);
        }
        let text = |text: &str| literal(&Cell::text(text.to_owned()), Type::String);
        Ok(match column.source {
            Source::Stored(name) => stored(name),
            Source::Narrowed(name) => {
                let narrow = |cells: &[Cell<'_>], _: &crate::kernels::Scratch| {
                    Cell::or_null(cells[0].as_long(), Cell::Long)
                };
                Call::kernel("narrow", narrow, vec![Type::Long], Type::Int).on(vec![stored(name)])
            }
            Source::Body(name) => self.bodies.text(stored(name)),
            Source::Text(constant) => text(constant)?,
            Source::Long(constant) => literal(&Cell::Long(constant), column.column_type)?,
            Source::False => literal(&Cell::Bool(false), Type::Bool)?,
            Source::Nothing => literal(&Cell::Null, column.column_type)?,
            Source::TableName => text(view.name)?,
            Source::Identity(field) => text(field(&self.identity))?,
            Source::Size => azure::row_bytes(),
            Source::RequestMessages => self.bodies.messages(true),
            Source::ResponseMessages => self.bodies.messages(false),
        })
    }
}

/// The stored table that a table of the catalogue is, or is a view of.
fn stored_table(name: &str) -> Option<event::Table> {
    let is_view = azure::VIEWS.iter().any(|view| view.name == name);
    event::table(if is_view { VIEWED } else { name })
}

fn unknown(name: &str) -> QueryError {
    QueryError::new(QueryErrorKind::Semantic, format!("there is no table '{name}'"))
}
