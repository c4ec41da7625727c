//! The tables of [`event`] in arrow's words.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, RecordBatch, StringArray, StringBuilder, StringViewArray,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use event::{Column, ColumnType, Interaction, Table, TableRow, Value};

use crate::parts::PARTS_COLUMN;

/// Digits of a decimal column.
const DECIMAL_PRECISION: u8 = 38;
/// Places after its point.
const DECIMAL_SCALE: i8 = 12;

/// The arrow schema of a table, as its provider has it: columns in order, by the names KQL uses.
///
/// String and Dynamic are `Utf8View`, Datetime is `Timestamp(Microsecond, "UTC")`, Decimal is
/// `Decimal128(38, 12)`. Every column but String is nullable.
pub fn arrow_schema(table: &Table) -> SchemaRef {
    schema(table, DataType::Utf8View)
}

/// The schema of rows being written: as [`stored_schema`], but text is contiguous, `Utf8`.
pub(crate) fn written_schema(table: &Table) -> SchemaRef {
    with_parts(table, &schema(table, DataType::Utf8), DataType::Utf8)
}

/// The schema of rows as they are stored: [`arrow_schema`], and behind it what no query sees.
pub(crate) fn stored_schema(table: &Table) -> SchemaRef {
    with_parts(table, &arrow_schema(table), DataType::Utf8View)
}

/// Whether messages are kept with the rows of a table.
pub(crate) fn has_parts(table: &Table) -> bool {
    table.name == Interaction::TABLE.name
}

fn with_parts(table: &Table, of: &SchemaRef, text: DataType) -> SchemaRef {
    if !has_parts(table) {
        return of.clone();
    }
    let mut fields = of.fields().to_vec();
    fields.push(Arc::new(Field::new(PARTS_COLUMN, text, false)));
    Arc::new(Schema::new(fields))
}

fn schema(table: &Table, text: DataType) -> SchemaRef {
    let field = |column: &Column| {
        let nullable = column.column_type != ColumnType::String;
        let data_type = match column.column_type {
            ColumnType::String | ColumnType::Dynamic => text.clone(),
            other => data_type(other),
        };
        Field::new(column.name, data_type, nullable)
    };
    Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()))
}

/// What a column holds in rows that were written before it was there: empty text, false, or null.
pub(crate) fn absent(field: &Field) -> Result<ScalarValue> {
    if field.is_nullable() && *field.data_type() != DataType::Boolean {
        ScalarValue::try_from(field.data_type())
    } else {
        ScalarValue::new_default(field.data_type())
    }
}

/// The batch as it is read: text by views into the same buffers.
pub(crate) fn as_read(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let column = |(column, field): (&ArrayRef, &Arc<Field>)| match field.data_type() {
        DataType::Utf8View => Arc::new(StringViewArray::from(column.as_string::<i32>())),
        _ => column.clone(),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect();
    RecordBatch::try_new(schema.clone(), columns)
        .expect("both schemas are of one table and differ in text only")
}

fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Real => DataType::Float64,
        ColumnType::Decimal => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
        ColumnType::Datetime => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::String | ColumnType::Dynamic => DataType::Utf8,
    }
}

/// Rows being gathered into one record batch.
pub(crate) struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    parts: Option<StringBuilder>,
    rows: usize,
}

enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Real(Float64Builder),
    Decimal(Decimal128Builder),
    Datetime(TimestampMicrosecondBuilder),
    String(StringBuilder),
    Dynamic(StringBuilder),
}

impl BatchBuilder {
    pub(crate) fn new(table: &Table) -> Self {
        Self {
            schema: written_schema(table),
            columns: table.columns.iter().map(ColumnBuilder::new).collect(),
            parts: has_parts(table).then(StringBuilder::new),
            rows: 0,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row of the table with its messages; answers its [`row_bytes`] and theirs.
    pub(crate) fn push(&mut self, row: &impl TableRow, parts: &str) -> usize {
        let mut columns = self.columns.iter_mut();
        let mut bytes = parts.len();
        if let Some(cells) = &mut self.parts {
            cells.append_value(parts);
        }
        row.each_cell(|value| {
            bytes += cell_bytes(&value);
            columns.next().expect("a row has its table's columns").push(&value);
        });
        self.rows += 1;
        bytes
    }

    /// What was gathered; the builder is empty again.
    pub(crate) fn finish(&mut self) -> RecordBatch {
        let mut columns: Vec<_> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        columns.extend(self.parts.as_mut().map(|cells| Arc::new(finish_text(cells)) as ArrayRef));
        self.rows = 0;
        RecordBatch::try_new(self.schema.clone(), columns)
            .expect("the builders were made from this schema and are equally long")
    }
}

impl ColumnBuilder {
    fn new(column: &Column) -> Self {
        match column.column_type {
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int => Self::Int(Int32Builder::new()),
            ColumnType::Long => Self::Long(Int64Builder::new()),
            ColumnType::Real => Self::Real(Float64Builder::new()),
            ColumnType::Decimal => Self::Decimal(
                Decimal128Builder::new().with_data_type(data_type(ColumnType::Decimal)),
            ),
            ColumnType::Datetime => Self::Datetime(
                TimestampMicrosecondBuilder::new().with_data_type(data_type(ColumnType::Datetime)),
            ),
            ColumnType::String => Self::String(StringBuilder::new()),
            ColumnType::Dynamic => Self::Dynamic(StringBuilder::new()),
        }
    }

    /// Adds a cell. The types of rows and tables are made by one macro and cannot differ; a value of
    /// another type would be stored as null, or as empty text.
    fn push(&mut self, value: &Value<'_>) {
        match (self, value) {
            (Self::Bool(builder), Value::Bool(value)) => builder.append_value(*value),
            (Self::Int(builder), Value::Int(value)) => builder.append_value(*value),
            (Self::Long(builder), Value::Long(value)) => builder.append_value(*value),
            (Self::Real(builder), Value::Real(value)) => builder.append_value(*value),
            (Self::Decimal(builder), Value::Decimal(value)) => builder.append_value(*value),
            (Self::Datetime(builder), Value::Datetime(value)) => {
                builder.append_value(value.unix_micros());
            }
            (Self::String(builder) | Self::Dynamic(builder), Value::String(value)) => {
                builder.append_value(value);
            }
            (Self::String(builder), _) => builder.append_value(""),
            (builder, _) => builder.push_null(),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Long(builder) => builder.append_null(),
            Self::Real(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::Datetime(builder) => builder.append_null(),
            Self::String(builder) | Self::Dynamic(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Long(builder) => Arc::new(builder.finish()),
            Self::Real(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::Datetime(builder) => Arc::new(builder.finish()),
            Self::String(builder) | Self::Dynamic(builder) => Arc::new(finish_text(builder)),
        }
    }
}

/// Makes room for as much again, and some more: growing copies what is there.
fn finish_text(builder: &mut StringBuilder) -> StringArray {
    let cells = builder.finish();
    let (rows, bytes) = (cells.len(), cells.value_data().len());
    *builder = StringBuilder::with_capacity(rows + rows / 8, bytes + bytes / 8);
    cells
}

/// Bytes a row takes in memory, about: its text and a fixed part.
pub(crate) fn row_bytes(row: &impl TableRow) -> usize {
    let mut bytes = 0;
    row.each_cell(|value| bytes += cell_bytes(&value));
    bytes
}

fn cell_bytes(value: &Value<'_>) -> usize {
    let text = match value {
        Value::String(text) => text.len(),
        _ => 0,
    };
    text + 8
}
