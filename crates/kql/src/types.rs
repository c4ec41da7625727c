//! Kusto's scalar types, columns and row types.

use std::fmt;
use std::sync::Arc;

/// A Kusto scalar type.
///
/// Decided once for every engine:
/// - `datetime` is a count of 100 ns ticks since 0001-01-01T00:00:00Z, `timespan` a count of
///   100 ns ticks;
/// - `decimal` has 34 significant digits ([`crate::Decimal`]);
/// - `string` is never null: a missing string is empty;
/// - `dynamic` is compact JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// True or false.
    Bool,
    /// 32 bit integer.
    Int,
    /// 64 bit integer.
    Long,
    /// 64 bit floating point number.
    Real,
    /// Decimal number of 34 significant digits.
    Decimal,
    /// UTC instant, 100 ns ticks since year 1.
    Datetime,
    /// Duration, 100 ns ticks.
    Timespan,
    /// 128 bit identifier.
    Guid,
    /// UTF-8 text, never null.
    String,
    /// A JSON value.
    Dynamic,
}

impl Type {
    /// Every type, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::Bool,
        Self::Int,
        Self::Long,
        Self::Real,
        Self::Decimal,
        Self::Datetime,
        Self::Timespan,
        Self::Guid,
        Self::String,
        Self::Dynamic,
    ];

    /// The name Kusto prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Long => "long",
            Self::Real => "real",
            Self::Decimal => "decimal",
            Self::Datetime => "datetime",
            Self::Timespan => "timespan",
            Self::Guid => "guid",
            Self::String => "string",
            Self::Dynamic => "dynamic",
        }
    }

    /// The .NET name, as `getschema` and the v1 protocol print it.
    pub const fn dotnet_name(self) -> &'static str {
        match self {
            Self::Bool => "System.SByte",
            Self::Int => "System.Int32",
            Self::Long => "System.Int64",
            Self::Real => "System.Double",
            Self::Decimal => "System.Data.SqlTypes.SqlDecimal",
            Self::Datetime => "System.DateTime",
            Self::Timespan => "System.TimeSpan",
            Self::Guid => "System.Guid",
            Self::String => "System.String",
            Self::Dynamic => "System.Object",
        }
    }

    /// The type of this name or alias (`double`, `date`, `time`, `boolean`, `uniqueid` …).
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "boolean" => Self::Bool,
            "int" | "int32" => Self::Int,
            "long" | "int64" => Self::Long,
            "real" | "double" => Self::Real,
            "decimal" => Self::Decimal,
            "datetime" | "date" => Self::Datetime,
            "timespan" | "time" => Self::Timespan,
            "guid" | "uuid" | "uniqueid" => Self::Guid,
            "string" => Self::String,
            "dynamic" => Self::Dynamic,
            _ => return None,
        })
    }

    /// `int`, `long`, `real` or `decimal`.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Long | Self::Real | Self::Decimal)
    }

    /// `int` or `long`.
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::Int | Self::Long)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A named, typed column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Name, as the result shows it; case matters.
    pub name: Arc<str>,
    /// Type.
    pub column_type: Type,
}

impl Column {
    /// A column of this name and type.
    pub fn new(name: impl Into<Arc<str>>, column_type: Type) -> Self {
        Self { name: name.into(), column_type }
    }
}

/// The columns of a table, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// Columns, in order.
    pub columns: Vec<Column>,
}

impl Schema {
    /// From columns in order.
    pub const fn new(columns: Vec<Column>) -> Self {
        Self { columns }
    }

    /// The position of the column of this exact name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }

    /// Number of columns.
    pub const fn len(&self) -> usize {
        self.columns.len()
    }

    /// No columns at all.
    pub const fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (position, column) in self.columns.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{}:{}", column.name, column.column_type)?;
        }
        f.write_str(")")
    }
}
