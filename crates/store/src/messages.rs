//! Reading `Messages`: what is kept with the interactions, given rows of its own.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Builder, RecordBatch, StringViewArray, StringViewBuilder, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PhysicalExpr, PlanProperties,
};
use event::{Interaction, Message, Table, TableRow};
use futures_util::StreamExt;

use crate::parts::{self, Content, PARTS_COLUMN, Part};
use crate::schema::stored_schema;

/// Where a column of `Messages` comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// This column of the interactions, as read.
    Interaction(usize),
    Position,
    Direction,
    Role,
    ContentType,
    Content,
    Name,
    ChoiceIndex,
}

/// How interactions become messages.
#[derive(Debug)]
pub(crate) struct Layout {
    schema: SchemaRef,
    columns: Vec<Source>,
    /// What to read of the interactions: positions in their stored schema.
    pub(crate) wanted: Vec<usize>,
    /// Places of the parts and of the bodies among these.
    parts: usize,
    bodies: Option<(usize, usize)>,
}

impl Layout {
    /// For some columns of `Messages`.
    pub(crate) fn new(messages: &SchemaRef, projection: &[usize]) -> Result<Self> {
        let interactions = stored_schema(&Interaction::TABLE);
        let mut wanted = Vec::new();
        let mut want = |name: &str| -> Result<usize> {
            let position = interactions.index_of(name)?;
            let known = wanted.iter().position(|known| *known == position);
            Ok(known.unwrap_or_else(|| {
                wanted.push(position);
                wanted.len() - 1
            }))
        };
        let parts = want(PARTS_COLUMN)?;
        let mut bodies = None;
        let mut columns = Vec::with_capacity(projection.len());
        for position in projection {
            columns.push(match messages.field(*position).name().as_str() {
                "SequenceNumber" => Source::Position,
                "Direction" => Source::Direction,
                "Role" => Source::Role,
                "ContentType" => Source::ContentType,
                "Name" => Source::Name,
                "ChoiceIndex" => Source::ChoiceIndex,
                "Content" => {
                    bodies = Some((want("RequestBody")?, want("ResponseBody")?));
                    Source::Content
                }
                shared => Source::Interaction(want(shared)?),
            });
        }
        let schema = Arc::new(messages.project(projection)?);
        Ok(Self { schema, columns, wanted, parts, bodies })
    }

    /// The messages of some interactions.
    fn expand(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let cells = text(rows, self.parts)?;
        let mut owners: Vec<u32> = Vec::new();
        let mut builders: Vec<Builder> =
            self.columns.iter().map(|source| Builder::new(*source)).collect();
        let mut contents = match self.bodies {
            Some((request, response)) => {
                Some(Contents::new(text(rows, request)?, text(rows, response)?))
            }
            None => None,
        };
        for (row, cell) in cells.iter().enumerate() {
            let owner = u32::try_from(row).map_err(|_| too_many())?;
            for (position, part) in parts::read(cell.unwrap_or_default()).enumerate() {
                owners.push(owner);
                for builder in &mut builders {
                    builder.push(position, &part);
                }
                if let Some(contents) = &mut contents {
                    contents.push(row, &part)?;
                }
            }
        }
        let owners = UInt32Array::from(owners);
        let contents: Option<ArrayRef> =
            contents.map(|mut contents| Arc::new(contents.builder.finish()) as ArrayRef);
        let mut columns = Vec::with_capacity(builders.len());
        for (source, builder) in self.columns.iter().zip(builders) {
            columns.push(match (source, builder) {
                (Source::Interaction(column), _) => take(rows.column(*column), &owners, None)?,
                (_, Builder::Text(mut cells, _)) => Arc::new(cells.finish()),
                (_, Builder::Number(mut cells, _)) => Arc::new(cells.finish()),
                (_, Builder::Elsewhere) => match &contents {
                    Some(contents) => contents.clone(),
                    None => return internal_err!("contents were not read"),
                },
            });
        }
        if columns.is_empty() {
            let count = arrow::array::RecordBatchOptions::new().with_row_count(Some(owners.len()));
            return Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &count)?);
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

fn too_many() -> DataFusionError {
    DataFusionError::Internal("a batch has more than 2³² rows".into())
}

fn text(rows: &RecordBatch, column: usize) -> Result<&StringViewArray> {
    match rows.column(column).as_string_view_opt() {
        Some(cells) => Ok(cells),
        None => internal_err!("text is read as views"),
    }
}

/// A column that comes from the parts.
enum Builder {
    Text(StringViewBuilder, Source),
    Number(Int32Builder, Source),
    /// The content, or a column of the interaction.
    Elsewhere,
}

impl Builder {
    fn new(source: Source) -> Self {
        match source {
            Source::Interaction(_) | Source::Content => Self::Elsewhere,
            Source::Position | Source::ChoiceIndex => Self::Number(Int32Builder::new(), source),
            Source::Direction | Source::Role | Source::ContentType | Source::Name => {
                Self::Text(StringViewBuilder::new(), source)
            }
        }
    }

    fn push(&mut self, position: usize, part: &Part<'_>) {
        match self {
            Self::Text(cells, Source::Direction) => cells.append_value(&part.direction),
            Self::Text(cells, Source::Role) => cells.append_value(&part.role),
            Self::Text(cells, Source::ContentType) => cells.append_value(&part.content_type),
            Self::Text(cells, _) => cells.append_value(&part.name),
            Self::Number(cells, Source::ChoiceIndex) => cells.append_value(part.choice_index),
            Self::Number(cells, _) => {
                cells.append_value(i32::try_from(position).unwrap_or(i32::MAX));
            }
            Self::Elsewhere => {}
        }
    }
}

/// Texts of messages: views into the bodies, copied only where these escape something.
struct Contents<'a> {
    request: &'a StringViewArray,
    response: &'a StringViewArray,
    builder: StringViewBuilder,
    /// Number of the first block of each body's buffers.
    blocks: (u32, u32),
}

impl<'a> Contents<'a> {
    fn new(request: &'a StringViewArray, response: &'a StringViewArray) -> Self {
        let mut builder = StringViewBuilder::new();
        let mut next = 0;
        let mut add = |cells: &StringViewArray| {
            let first = next;
            for buffer in cells.data_buffers() {
                next = builder.append_block(buffer.clone()) + 1;
            }
            first
        };
        let blocks = (add(request), add(response));
        Self { request, response, builder, blocks }
    }

    fn push(&mut self, row: usize, part: &Part<'_>) -> Result<()> {
        let (request, response) = (self.request.value(row), self.response.value(row));
        match parts::content(part, request, response) {
            Content::Text(text) => self.builder.append_value(text),
            Content::Piece { is_request, from, bytes } => {
                let (cells, first) = match is_request {
                    true => (self.request, self.blocks.0),
                    false => (self.response, self.blocks.1),
                };
                let view = arrow::array::ByteView::from(cells.views()[row]);
                let (from, bytes) = (u32_of(from)?, u32_of(bytes)?);
                // A body of a dozen bytes has none elsewhere; no part is so short.
                self.builder.try_append_view(
                    first + view.buffer_index,
                    view.offset + from,
                    bytes,
                )?;
            }
        }
        Ok(())
    }
}

fn u32_of(number: usize) -> Result<u32> {
    u32::try_from(number).map_err(|_| DataFusionError::Internal("a body is over 4 GiB".into()))
}

/// The messages of the interactions that come from below.
#[derive(Debug)]
pub(crate) struct MessagesExec {
    input: Arc<dyn ExecutionPlan>,
    layout: Arc<Layout>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MessagesExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, layout: Arc<Layout>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(layout.schema.clone()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { input, layout, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for MessagesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessagesExec")
    }
}

impl ExecutionPlan for MessagesExec {
    fn name(&self) -> &str {
        "MessagesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => {
                Ok(Arc::new(Self::new(input, self.layout.clone())))
            }
            _ => internal_err!("messages are read from one plan"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let layout = self.layout.clone();
        let input = self.input.execute(partition, context)?;
        let messages = input.map(move |rows| {
            let rows = rows?;
            let timer = metrics.elapsed_compute().timer();
            let messages = layout.expand(&rows);
            timer.done();
            messages
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.layout.schema.clone(), messages)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The columns that both tables have: filters of them hold for interactions as well.
pub(crate) fn is_shared(column: &str) -> bool {
    let has = |table: Table| table.columns.iter().any(|known| known.name == column);
    has(Interaction::TABLE) && has(Message::TABLE)
}
