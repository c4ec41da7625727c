//! One value of a Kusto type, as kernels see it, and the Arrow arrays it lives in.
//!
//! | Kusto | Arrow |
//! |---|---|
//! | bool, int, long, real | Boolean, Int32, Int64, Float64 |
//! | datetime, timespan | Int64: 100 ns ticks (since year 1) |
//! | decimal | Decimal256(76, 34): 34 places after the point |
//! | string, guid | Utf8View; a string is never null |
//! | dynamic | Utf8View: compact JSON text; JSON null is null |

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Decimal256Array, Decimal256Builder,
    Float64Array, Float64Builder, Int32Array, Int32Builder, Int64Array, Int64Builder, StringArray,
    StringViewArray, StringViewBuilder,
};
use arrow::datatypes::{DataType, Decimal256Type, Float64Type, Int32Type, Int64Type, i256};
use datafusion::common::{Result, exec_err};
use kql::Type;

use crate::decimal;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Long(i64),
    Real(f64),
    Decimal(i256),
    Datetime(i64),
    Timespan(i64),
    Guid(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// Compact JSON text, never `null`.
    Dynamic(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    /// A string.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A dynamic value from compact JSON text.
    pub(crate) fn dynamic(json: impl Into<Cow<'a, str>>) -> Self {
        let json = json.into();
        if json == "null" || json.is_empty() { Self::Null } else { Self::Dynamic(json) }
    }

    /// The value, or null.
    pub(crate) fn or_null<T>(value: Option<T>, make: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, make)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// An integer: int, long, or the ticks of a datetime or timespan.
    pub(crate) fn as_long(&self) -> Option<i64> {
        match self {
            Self::Long(value) | Self::Datetime(value) | Self::Timespan(value) => Some(*value),
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Real(value) => real_to_long(*value),
            Self::Decimal(value) => decimal::to_long(*value),
            _ => None,
        }
    }

    pub(crate) fn as_real(&self) -> Option<f64> {
        match self {
            Self::Long(value) | Self::Datetime(value) | Self::Timespan(value) => {
                Some(*value as f64)
            }
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Real(value) => Some(*value),
            Self::Decimal(value) => Some(decimal::to_real(*value)),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a string or guid, or the JSON of a dynamic.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Guid(text) | Self::Dynamic(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a string; empty for anything else.
    pub(crate) fn str(&self) -> &str {
        self.as_str().unwrap_or("")
    }

    /// The same value, owning its text.
    pub(crate) fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(value),
            Self::Long(value) => Cell::Long(value),
            Self::Real(value) => Cell::Real(value),
            Self::Decimal(value) => Cell::Decimal(value),
            Self::Datetime(value) => Cell::Datetime(value),
            Self::Timespan(value) => Cell::Timespan(value),
            Self::Guid(text) => Cell::Guid(Cow::Owned(text.into_owned())),
            Self::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Self::Dynamic(text) => Cell::Dynamic(Cow::Owned(text.into_owned())),
        }
    }
}

/// Truncates towards zero; none outside of the range.
pub(crate) fn real_to_long(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&value).then_some(value as i64)
}

/// The Arrow type of a Kusto type.
pub(crate) fn arrow_type(kusto: Type) -> DataType {
    match kusto {
        Type::Bool => DataType::Boolean,
        Type::Int => DataType::Int32,
        Type::Long | Type::Datetime | Type::Timespan => DataType::Int64,
        Type::Real => DataType::Float64,
        Type::Decimal => DataType::Decimal256(decimal::PRECISION, decimal::SCALE),
        Type::Guid | Type::String | Type::Dynamic => DataType::Utf8View,
    }
}

/// Reads the cells of an array of a Kusto type.
#[derive(Debug)]
pub(crate) enum Reader<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int32Array),
    Long(&'a Int64Array, Type),
    Real(&'a Float64Array),
    Decimal(&'a Decimal256Array),
    View(&'a StringViewArray, Type),
    Utf8(&'a StringArray, Type),
    Nulls(Type),
}

impl<'a> Reader<'a> {
    /// A reader of an array that holds values of this Kusto type.
    pub(crate) fn new(array: &'a ArrayRef, kusto: Type) -> Result<Self> {
        Ok(match (array.data_type(), kusto) {
            (DataType::Boolean, Type::Bool) => Self::Bool(array.as_boolean()),
            (DataType::Int32, Type::Int) => Self::Int(array.as_primitive::<Int32Type>()),
            (DataType::Int64, Type::Long | Type::Datetime | Type::Timespan) => {
                Self::Long(array.as_primitive::<Int64Type>(), kusto)
            }
            (DataType::Float64, Type::Real) => Self::Real(array.as_primitive::<Float64Type>()),
            (DataType::Decimal256(_, decimal::SCALE), Type::Decimal) => {
                Self::Decimal(array.as_primitive::<Decimal256Type>())
            }
            (DataType::Utf8View, Type::Guid | Type::String | Type::Dynamic) => {
                Self::View(array.as_string_view(), kusto)
            }
            (DataType::Utf8, Type::Guid | Type::String | Type::Dynamic) => {
                Self::Utf8(array.as_string::<i32>(), kusto)
            }
            (DataType::Null, _) => Self::Nulls(kusto),
            (found, _) => return exec_err!("a {kusto} does not stand in an array of {found}"),
        })
    }

    /// The cell of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Cell<'a> {
        match self {
            Self::Bool(array) if array.is_valid(row) => Cell::Bool(array.value(row)),
            Self::Int(array) if array.is_valid(row) => Cell::Long(i64::from(array.value(row))),
            Self::Long(array, kusto) if array.is_valid(row) => match kusto {
                Type::Datetime => Cell::Datetime(array.value(row)),
                Type::Timespan => Cell::Timespan(array.value(row)),
                _ => Cell::Long(array.value(row)),
            },
            Self::Real(array) if array.is_valid(row) => Cell::Real(array.value(row)),
            Self::Decimal(array) if array.is_valid(row) => Cell::Decimal(array.value(row)),
            Self::View(array, kusto) if array.is_valid(row) => text_cell(array.value(row), *kusto),
            Self::Utf8(array, kusto) if array.is_valid(row) => text_cell(array.value(row), *kusto),
            Self::View(_, Type::String)
            | Self::Utf8(_, Type::String)
            | Self::Nulls(Type::String) => Cell::Text(Cow::Borrowed("")),
            _ => Cell::Null,
        }
    }
}

fn text_cell(text: &str, kusto: Type) -> Cell<'_> {
    match kusto {
        Type::Guid => Cell::Guid(Cow::Borrowed(text)),
        Type::Dynamic => Cell::dynamic(text),
        _ => Cell::Text(Cow::Borrowed(text)),
    }
}

/// Builds the array of a Kusto type, cell by cell.
#[derive(Debug)]
pub(crate) enum Writer {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Real(Float64Builder),
    Decimal(Decimal256Builder),
    Text(StringViewBuilder, Type),
}

impl Writer {
    /// A writer of values of this Kusto type.
    pub(crate) fn new(kusto: Type, rows: usize) -> Self {
        match kusto {
            Type::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Type::Int => Self::Int(Int32Builder::with_capacity(rows)),
            Type::Long | Type::Datetime | Type::Timespan => {
                Self::Long(Int64Builder::with_capacity(rows))
            }
            Type::Real => Self::Real(Float64Builder::with_capacity(rows)),
            Type::Decimal => Self::Decimal(
                Decimal256Builder::with_capacity(rows).with_data_type(arrow_type(Type::Decimal)),
            ),
            Type::Guid | Type::String | Type::Dynamic => {
                Self::Text(StringViewBuilder::with_capacity(rows), kusto)
            }
        }
    }

    /// Appends a cell; one of another type than the writer's is null.
    #[inline]
    pub(crate) fn push(&mut self, cell: &Cell<'_>) {
        match self {
            Self::Bool(out) => out.append_option(cell.as_bool()),
            Self::Int(out) => {
                out.append_option(cell.as_long().and_then(|value| i32::try_from(value).ok()));
            }
            Self::Long(out) => out.append_option(cell.as_long()),
            Self::Real(out) => out.append_option(cell.as_real()),
            Self::Decimal(out) => out.append_option(match cell {
                Cell::Decimal(value) => Some(*value),
                _ => None,
            }),
            Self::Text(out, kusto) => match cell.as_str() {
                Some(text) => out.append_value(text),
                None if *kusto == Type::String => out.append_value(""),
                None => out.append_null(),
            },
        }
    }

    /// The array.
    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut out) => Arc::new(out.finish()),
            Self::Int(mut out) => Arc::new(out.finish()),
            Self::Long(mut out) => Arc::new(out.finish()),
            Self::Real(mut out) => Arc::new(out.finish()),
            Self::Decimal(mut out) => Arc::new(out.finish()),
            Self::Text(mut out, _) => Arc::new(out.finish()),
        }
    }
}
