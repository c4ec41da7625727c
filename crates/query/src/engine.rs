//! The engine: compiles, prepares, runs and cuts results at their limits.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures_util::StreamExt;
use kql::{
    Access, Catalogue, Column, Export, FileFormat, Frame, Options, PlannedResult, QueryError,
    QueryErrorKind, Relation, Rows, Statistics, Type, UNIX_EPOCH_TICKS, Value,
};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::QueryConfig;
use crate::cell::{Cell, Reader};
use crate::decimal;
use crate::error::{IntoOutcome, Outcome};
use crate::export::{Begun, FileWriter};
use crate::guard::Guard;
use crate::lower::{Query, Surroundings};
use crate::tables::{TableCatalogue, Tables};
use crate::task::{AbortOnDrop, broken, timed_out};

/// Rows of one batch. Small, because a row may carry bodies.
const BATCH_ROWS: usize = 4096;

/// Most plugins of a query whose columns depend on data.
const QUESTIONS_MAX: usize = 32;
/// Most columns that data may tell.
const FOUND_COLUMNS_MAX: usize = 10_000;

/// Answers KQL over a store.
pub struct Engine {
    shared: Arc<Shared>,
    /// Queries run here, so that long kernels never hold up the caller's tasks.
    runtime: Option<Runtime>,
}

pub(crate) struct Shared {
    store: Arc<store::Store>,
    config: QueryConfig,
    catalogue: Arc<TableCatalogue>,
    /// What whoever sees the rows of some subscriptions only may name.
    owners_catalogue: Arc<TableCatalogue>,
    /// One for all queries: making it takes longer than a small query does.
    session: SessionContext,
    turns: Arc<Semaphore>,
}

impl Engine {
    /// An engine over a store.
    pub fn new(store: Arc<store::Store>, config: QueryConfig) -> Result<Self, QueryError> {
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(config.memory_bytes_max)))
            // Prompts are not written to temporary files: a query that needs more fails.
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
            )
            .build_arc()
            .outcome()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("query")
            .enable_all()
            .build()
            .map_err(|error| QueryError::new(QueryErrorKind::Internal, error.to_string()))?;
        let shared = Shared {
            store,
            catalogue: catalogue(&config, &Access::everything()),
            owners_catalogue: catalogue(&config, &Access::of_subscriptions([])),
            session: session(&config, environment),
            turns: Arc::new(Semaphore::new(config.concurrency_max.max(1))),
            config,
        };
        Ok(Self { shared: Arc::new(shared), runtime: Some(runtime) })
    }

    /// The physical plan of a query's first result, as text; for tests and diagnosis.
    pub async fn explain(&self, query: &str, options: &Options) -> Result<String, QueryError> {
        self.shared.explain(query, options).await
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait]
impl kql::Engine for Engine {
    async fn run(&self, query: &str, options: &Options) -> Result<Frame, QueryError> {
        let started = Instant::now();
        let Some(runtime) = &self.runtime else {
            return Err(QueryError::new(QueryErrorKind::Cancelled, "the engine has shut down"));
        };
        let (shared, query, timeout) =
            (Arc::clone(&self.shared), query.to_owned(), options.timeout);
        let options = options.clone();
        let guard = Arc::new(Guard::new(options.access.clone()));
        let task = runtime.spawn({
            let guard = Arc::clone(&guard);
            async move {
                let run = shared.run(&query, &options, &guard);
                tokio::time::timeout(options.timeout, run).await
            }
        });
        let mut task = AbortOnDrop(task);
        match (&mut task.0).await {
            Ok(Ok(Ok(mut frame))) => {
                frame.statistics.elapsed = started.elapsed();
                frame.content_columns = guard.content_columns();
                Ok(frame)
            }
            Ok(Ok(Err(error))) => Err(error.with_content_columns(guard.content_columns())),
            Ok(Err(_)) => Err(timed_out(timeout)),
            Err(failed) => Err(broken(&failed)),
        }
    }

    async fn export(
        &self,
        query: &str,
        options: &Options,
        format: FileFormat,
    ) -> Result<Export, QueryError> {
        let Some(runtime) = &self.runtime else {
            return Err(QueryError::new(QueryErrorKind::Cancelled, "the engine has shut down"));
        };
        let guard = Arc::new(Guard::new(options.access.clone()));
        let (shared, query, asked) = (Arc::clone(&self.shared), query.to_owned(), options.clone());
        let task = runtime.spawn({
            let guard = Arc::clone(&guard);
            async move {
                let begin = shared.begin_export(&query, &asked, &guard, format);
                tokio::time::timeout(asked.timeout, begin).await
            }
        });
        let begun = match (&mut AbortOnDrop(task).0).await {
            Ok(Ok(begun)) => {
                begun.map_err(|error| error.with_content_columns(guard.content_columns()))?
            }
            Ok(Err(_)) => return Err(timed_out(options.timeout)),
            Err(failed) => return Err(broken(&failed)),
        };
        let content_columns = guard.content_columns();
        Ok(Export { content_columns, pieces: Box::new(begun.run(runtime, options)) })
    }

    fn catalogue(&self, access: &Access) -> Arc<dyn Catalogue> {
        self.shared.catalogue_for(access) as Arc<dyn Catalogue>
    }
}

/// Optimizer, its functions, and limits.
fn session(config: &QueryConfig, environment: Arc<RuntimeEnv>) -> SessionContext {
    let settings = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(config.threads.max(1))
        .with_round_robin_repartition(false)
        .with_information_schema(false);
    let state = SessionStateBuilder::new()
        .with_config(settings)
        .with_runtime_env(environment)
        .with_default_features()
        .build();
    SessionContext::new_with_state(state)
}

fn catalogue(config: &QueryConfig, access: &Access) -> Arc<TableCatalogue> {
    Arc::new(TableCatalogue::new(config.database.clone(), access))
}

impl Shared {
    fn catalogue_for(&self, access: &Access) -> Arc<TableCatalogue> {
        let is_owners = matches!(access.rows, Rows::OfSubscriptions(_));
        Arc::clone(if is_owners { &self.owners_catalogue } else { &self.catalogue })
    }

    /// A place among the queries that run at once.
    async fn turn(&self) -> Outcome<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        turn.map_err(|_| QueryError::new(QueryErrorKind::Cancelled, "the engine has shut down"))
    }

    async fn begin_export(
        &self,
        text: &str,
        options: &Options,
        guard: &Arc<Guard>,
        format: FileFormat,
    ) -> Outcome<Begun> {
        let turn = self.turn().await?;
        let options = self.settled(options);
        let query = self.query(&options, guard);
        let plan = self.compiled(text, &options, guard).await?;
        let [result] = &plan.results[..] else {
            let count = plan.results.len();
            let text =
                format!("a file holds one result and this query has {count}: leave one of them");
            return Err(QueryError::new(QueryErrorKind::Semantic, text));
        };
        let physical = query.physical(&result.relation).await?;
        let rows = execute_stream(physical, query.session.task_ctx()).outcome()?;
        let writer = FileWriter::new(format, &result.relation.schema.columns)?;
        Ok(Begun { rows, writer, turn })
    }

    async fn run(&self, text: &str, options: &Options, guard: &Arc<Guard>) -> Outcome<Frame> {
        let _turn = self.turn().await?;
        let options = self.settled(options);
        let query = self.query(&options, guard);
        let plan = self.compiled(text, &options, guard).await?;
        let mut frames = Vec::with_capacity(plan.results.len());
        for result in &plan.results {
            frames.push(query.frame(result, &options).await?);
        }
        let mut frames = frames.into_iter();
        let mut first = frames.next().unwrap_or_default();
        first.more = frames.collect();
        if guard.owners().is_some() {
            // How much was read tells of rows of others.
            first.statistics = Statistics::default();
            first.more.iter_mut().for_each(|frame| frame.statistics = Statistics::default());
        }
        Ok(first)
    }

    /// The plan; where columns depend on data, those are asked for first.
    async fn compiled(
        &self,
        text: &str,
        options: &Options,
        guard: &Arc<Guard>,
    ) -> Outcome<kql::Plan> {
        let catalogue = self.catalogue_for(&options.access);
        let mut found = Vec::new();
        while found.len() < QUESTIONS_MAX {
            match kql::compile_with(text, &*catalogue, options, &found)? {
                kql::Compiled::Plan(plan) => return Ok(plan),
                kql::Compiled::Open(question) => {
                    let asked = self.query(options, guard);
                    found.push(asked.found_columns(&question).await?);
                }
            }
        }
        let text = format!("more than {QUESTIONS_MAX} plugins have columns that depend on data");
        Err(QueryError::new(QueryErrorKind::LimitExceeded, text))
    }

    async fn explain(&self, text: &str, options: &Options) -> Outcome<String> {
        let options = self.settled(options);
        let guard = Arc::new(Guard::new(options.access.clone()));
        let query = self.query(&options, &guard);
        let plan = self.compiled(text, &options, &guard).await?;
        let Some(result) = plan.results.first() else { return Ok(String::new()) };
        let physical = query.physical(&result.relation).await?;
        Ok(datafusion::physical_plan::displayable(&*physical).indent(true).to_string())
    }

    /// The options with the clock read once, so that binder and engine agree on it.
    fn settled(&self, options: &Options) -> Options {
        let now = options.now_ticks.unwrap_or_else(|| {
            let since =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            UNIX_EPOCH_TICKS + i64::try_from(since.as_nanos() / 100).unwrap_or(i64::MAX / 2)
        });
        Options { now_ticks: Some(now), ..options.clone() }
    }

    fn query(&self, options: &Options, guard: &Arc<Guard>) -> Query {
        let tables = Tables::new(
            self.store.snapshot(),
            self.config.identity.clone(),
            self.config.memory_bytes_max,
            Arc::clone(guard),
        );
        let surroundings = Surroundings {
            now_ticks: options.now_ticks.unwrap_or(UNIX_EPOCH_TICKS),
            principal: options.principal.clone().unwrap_or_default(),
            database: self.config.database.clone(),
            time_range: options.time_range,
        };
        Query::new(self.session.clone(), Arc::new(tables), surroundings)
    }
}

impl Query {
    /// Names and types that rows tell; a name with several types is dynamic.
    async fn found_columns(&self, question: &Arc<Relation>) -> Outcome<Vec<kql::FoundColumn>> {
        let plan = self.physical(question).await?;
        let mut stream = execute_stream(plan, self.session.task_ctx()).outcome()?;
        let mut columns: Vec<(String, Option<Type>)> = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch.outcome()?;
            let names = Reader::new(batch.column(0), Type::String).outcome()?;
            let types = Reader::new(batch.column(1), Type::String).outcome()?;
            for row in 0..batch.num_rows() {
                let (name, kind) = (names.get(row), types.get(row));
                let found = match kind.str() {
                    "null" => None,
                    "double" => Some(Type::Real),
                    other => Some(Type::from_name(other).unwrap_or(Type::Dynamic)),
                };
                add_found(&mut columns, name.str(), found);
            }
            if columns.len() > FOUND_COLUMNS_MAX {
                let text = format!("data tell more than {FOUND_COLUMNS_MAX} columns");
                return Err(QueryError::new(QueryErrorKind::LimitExceeded, text));
            }
        }
        let named = columns.into_iter().filter(|(name, _)| !name.is_empty());
        let column = |(name, found): (String, Option<Type>)| kql::FoundColumn {
            name,
            column_type: found.unwrap_or(Type::Dynamic),
        };
        Ok(named.map(column).collect())
    }

    /// Runs a result to its end, or to the limits of an answer.
    async fn frame(&self, result: &PlannedResult, options: &Options) -> Outcome<Frame> {
        let columns = &result.relation.schema.columns;
        let mut frame = Frame {
            name: result.name.clone(),
            columns: columns.clone(),
            visualization: result.visualization.clone(),
            ..Frame::default()
        };
        let mut bytes = 0;
        if let Some(found) = self.newest(&result.relation).await? {
            for batch in &found.batches {
                frame.truncated = append(&mut frame.rows, &mut bytes, batch, columns, options)?;
                if frame.truncated.is_some() {
                    break;
                }
            }
            found.plans.iter().for_each(|plan| add_leaves(plan, &mut frame.statistics));
            return Ok(frame);
        }
        let plan = self.physical(&result.relation).await?;
        let mut stream = execute_stream(Arc::clone(&plan), self.session.task_ctx()).outcome()?;
        while let Some(batch) = stream.next().await {
            let batch = batch.outcome()?;
            frame.truncated = append(&mut frame.rows, &mut bytes, &batch, columns, options)?;
            if frame.truncated.is_some() {
                break;
            }
        }
        drop(stream);
        add_leaves(&plan, &mut frame.statistics);
        Ok(frame)
    }

    async fn physical(&self, relation: &Arc<Relation>) -> Outcome<Arc<dyn ExecutionPlan>> {
        self.prepare(relation).await?;
        let logical = self.lower(relation)?;
        let frame = self.session.execute_logical_plan(logical).await.outcome()?;
        frame.create_physical_plan().await.outcome()
    }
}

/// Rows are sorted by name, so a name that is known is the last one.
fn add_found(columns: &mut Vec<(String, Option<Type>)>, name: &str, found: Option<Type>) {
    match columns.last_mut().filter(|(last, _)| last == name) {
        Some((_, known)) => {
            *known = match (*known, found) {
                (Some(known), Some(found)) if known != found => Some(Type::Dynamic),
                (known, found) => known.or(found),
            };
        }
        None => columns.push((name.to_owned(), found)),
    }
}

/// Adds the rows of a batch; tells which limit cut them, if one did.
fn append(
    rows: &mut Vec<Vec<Value>>,
    bytes: &mut u64,
    batch: &RecordBatch,
    columns: &[Column],
    options: &Options,
) -> Outcome<Option<String>> {
    let readers = columns
        .iter()
        .zip(batch.columns())
        .map(|(column, array)| {
            Ok((Reader::new(array, column.column_type).outcome()?, column.column_type))
        })
        .collect::<Outcome<Vec<_>>>()?;
    for row in 0..batch.num_rows() {
        if rows.len() as u64 >= options.rows_max {
            return Ok(Some(format!(
                "Query result set has exceeded the internal record count limit {} (E_QUERY_RESULT_SET_TOO_LARGE)",
                options.rows_max
            )));
        }
        let values: Vec<Value> =
            readers.iter().map(|(reader, kusto)| value(reader.get(row), *kusto)).collect();
        *bytes += values.iter().map(text_bytes).sum::<u64>();
        if *bytes > options.bytes_max {
            return Ok(Some(format!(
                "Query result set has exceeded the internal data size limit {} (E_QUERY_RESULT_SET_TOO_LARGE)",
                options.bytes_max
            )));
        }
        rows.push(values);
    }
    Ok(None)
}

fn value(cell: Cell<'_>, kusto: Type) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => Value::Bool(value),
        Cell::Long(value) => match (kusto, i32::try_from(value)) {
            (Type::Int, Ok(value)) => Value::Int(value),
            _ => Value::Long(value),
        },
        Cell::Real(value) => Value::Real(value),
        Cell::Decimal(value) => Value::Decimal(decimal::to_value(value)),
        Cell::Datetime(value) => Value::Datetime(value),
        Cell::Timespan(value) => Value::Timespan(value),
        Cell::Guid(text) => kql::parse_guid(&text).map_or(Value::Null, Value::Guid),
        Cell::Text(text) => Value::String(text.into_owned()),
        Cell::Dynamic(text) => Value::Dynamic(text.into_owned()),
    }
}

/// About the bytes a value takes as text.
fn text_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) | Value::Dynamic(text) => text.len() as u64,
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 4,
        Value::Guid(_) | Value::Decimal(_) => 16,
        _ => 8,
    }
}

/// Adds what the leaves of a plan read.
fn add_leaves(plan: &Arc<dyn ExecutionPlan>, all: &mut Statistics) {
    if plan.children().is_empty()
        && let Some(metrics) = plan.metrics()
    {
        all.rows_scanned += metrics.output_rows().unwrap_or(0) as u64;
        let bytes = metrics.sum_by_name("bytes_scanned").map_or(0, |value| value.as_usize());
        all.bytes_scanned += bytes as u64;
    }
    for child in plan.children() {
        add_leaves(child, all);
    }
}
