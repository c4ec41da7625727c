//! Tables: names, columns, types and meaning, defined once for store, KQL and documents.

use std::borrow::Cow;

use crate::{
    AdminAction, Alert, BackendHealth, ContentRead, CostAdjustment, Erasure, Interaction,
    LedgerCheckpoint, Message, SecurityEvent, Timestamp,
};

/// Kusto's scalar types, as columns have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// True or false.
    Bool,
    /// 32 bit integer.
    Int,
    /// 64 bit integer.
    Long,
    /// 64 bit floating point number.
    Real,
    /// Decimal number; stored with 12 places after the point.
    Decimal,
    /// UTC instant; stored in microseconds.
    Datetime,
    /// UTF-8 text, never null.
    String,
    /// JSON, stored as its text.
    Dynamic,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name as queries write it.
    pub name: &'static str,
    /// Type.
    pub column_type: ColumnType,
    /// What it holds, for the reference page.
    pub meaning: &'static str,
    /// It holds what callers and models said to each other, or tells of it: a right of its own opens it.
    pub is_content: bool,
}

/// A stored table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Name as queries write it.
    pub name: &'static str,
    /// What a row is.
    pub meaning: &'static str,
    /// Columns, in order.
    pub columns: &'static [Column],
}

/// One cell, as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// [`ColumnType::Bool`].
    Bool(bool),
    /// [`ColumnType::Int`].
    Int(i32),
    /// [`ColumnType::Long`].
    Long(i64),
    /// [`ColumnType::Real`].
    Real(f64),
    /// [`ColumnType::Decimal`], in units of 10⁻¹².
    Decimal(i128),
    /// [`ColumnType::Datetime`].
    Datetime(Timestamp),
    /// [`ColumnType::String`] or the text of a [`ColumnType::Dynamic`].
    String(Cow<'a, str>),
}

/// A typed row of a stored table.
pub trait TableRow {
    /// The table it is a row of.
    const TABLE: Table;

    /// Hands over its cells, in the order of the columns.
    fn each_cell<'a>(&'a self, take: impl FnMut(Value<'a>));
}

/// The stored tables.
pub const fn tables() -> [Table; 10] {
    [
        Interaction::TABLE,
        Message::TABLE,
        BackendHealth::TABLE,
        AdminAction::TABLE,
        ContentRead::TABLE,
        SecurityEvent::TABLE,
        Alert::TABLE,
        CostAdjustment::TABLE,
        LedgerCheckpoint::TABLE,
        Erasure::TABLE,
    ]
}

/// The stored table of this name (exact case).
pub fn table(name: &str) -> Option<Table> {
    tables().into_iter().find(|table| table.name == name)
}

/// A Rust type that can stand in a column.
pub(crate) trait Cell {
    const TYPE: ColumnType;
    fn value(&self) -> Value<'_>;
}

impl<T: Cell> Cell for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::value)
    }
}

macro_rules! cells {
    ($($rust:ty => $variant:ident $type:ident),* $(,)?) => {
        $(impl Cell for $rust {
            const TYPE: ColumnType = ColumnType::$type;
            fn value(&self) -> Value<'_> {
                Value::$variant(*self)
            }
        })*
    };
}

cells! {
    bool => Bool Bool,
    i32 => Int Int,
    i64 => Long Long,
    f64 => Real Real,
    Timestamp => Datetime Datetime,
}

impl Cell for String {
    const TYPE: ColumnType = ColumnType::String;
    fn value(&self) -> Value<'_> {
        Value::String(self.as_str().into())
    }
}

/// Defines a row type and its table together, so that they cannot differ. A column with `content` before
/// its name is masked for whoever may not read prompts and answers.
macro_rules! table_row {
    (
        $(#[doc = $table_doc:literal])*
        $row:ident in $table:literal {
            $( #[doc = $doc:literal] $field:ident : $type:ty => $($mark:ident)? $column:literal, )*
        }
    ) => {
        $(#[doc = $table_doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $row {
            $( #[doc = $doc] pub $field: $type, )*
        }

        $crate::table::table_of_row! {
            $(#[doc = $table_doc])*
            $row in $table {
                $( #[doc = $doc] $field : $type => $($mark)? $column, )*
            }
        }
    };
}

/// Defines a row that is its own record as well.
macro_rules! note_row {
    (
        $(#[doc = $table_doc:literal])*
        $row:ident in $table:literal {
            $( #[doc = $doc:literal] $field:ident : $type:ty => $($mark:ident)? $column:literal, )*
        }
    ) => {
        $(#[doc = $table_doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $row {
            $( #[doc = $doc] pub $field: $type, )*
        }

        $crate::table::table_of_row! {
            $(#[doc = $table_doc])*
            $row in $table {
                $( #[doc = $doc] $field : $type => $($mark)? $column, )*
            }
        }
    };
}

macro_rules! table_of_row {
    (
        $(#[doc = $table_doc:literal])*
        $row:ident in $table:literal {
            $( #[doc = $doc:literal] $field:ident : $type:ty => $($mark:ident)? $column:literal, )*
        }
    ) => {
        impl $crate::TableRow for $row {
            const TABLE: $crate::Table = $crate::Table {
                name: $table,
                meaning: concat!($($table_doc),*).trim_ascii(),
                columns: &[
                    $( $crate::Column {
                        name: $column,
                        column_type: <$type as $crate::table::Cell>::TYPE,
                        meaning: $doc.trim_ascii(),
                        is_content: $crate::table::is_content!($($mark)?),
                    }, )*
                ],
            };

            fn each_cell<'a>(&'a self, mut take: impl FnMut($crate::Value<'a>)) {
                $( take($crate::table::Cell::value(&self.$field)); )*
            }
        }
    };
}

/// What stands before a column's name.
macro_rules! is_content {
    () => {
        false
    };
    (content) => {
        true
    };
}

pub(crate) use {is_content, note_row, table_of_row, table_row};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_names_are_unique_and_explained() {
        for table in tables() {
            let mut names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.columns.len(), "{}", table.name);
            assert!(table.columns.iter().all(|column| !column.meaning.is_empty()));
        }
    }

    #[test]
    fn a_row_has_a_value_of_the_right_type_for_every_column() {
        let row = Interaction::default();
        let mut values = Vec::new();
        row.each_cell(|value| values.push(value));
        assert_eq!(values.len(), Interaction::TABLE.columns.len());
        assert!(matches!(values[0], Value::Datetime(_)));
    }
}
