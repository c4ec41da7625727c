//! How columns without a name are named.

use std::collections::HashSet;
use std::sync::Arc;

use crate::syntax::{Expression, ExpressionKind, Item};
use crate::{Aggregate, Type, Value};

/// Functions whose column is called as their first argument is, besides conversions.
const HANDS_ON: &[&str] = &[
    "bin",
    "floor",
    "ceiling",
    "bin_at",
    "bin_auto",
    "round",
    "startofday",
    "format_datetime",
    "format_timespan",
    "format_bytes",
    "tohex",
    "split",
    "make_datetime",
    "make_timespan",
    "parse_json",
    "parsejson",
    "todynamic",
    "toobject",
    "parse_csv",
    "parse_xml",
    "materialize",
    "toscalar",
    "take_any",
    "take_anyif",
    "binary_all_and",
    "binary_all_or",
    "binary_all_xor",
    "binary_and",
    "binary_or",
    "binary_xor",
    "binary_not",
    "binary_shift_left",
    "binary_shift_right",
    "bitset_count_ones",
    "series_fir",
    "series_iir",
    "series_outliers",
    "series_fill_backward",
    "series_fill_forward",
    "series_fill_const",
    "series_fill_linear",
    "abs",
    "pow",
    "sqrt",
    "log",
    "log2",
    "log10",
    "exp",
    "exp2",
    "exp10",
    "cos",
    "sin",
    "tan",
    "acos",
    "asin",
    "atan",
    "atan2",
    "rand",
    "gamma",
    "loggamma",
    "erf",
    "erfc",
];

/// The name an expression gives its column, if it gives one.
pub(super) fn implicit(expression: &Expression) -> Option<String> {
    match &expression.kind {
        ExpressionKind::Name(name) => Some(name.clone()),
        ExpressionKind::Member(object, member) => Some(within(object, &member.text)),
        ExpressionKind::Index(object, index) => match &index.kind {
            ExpressionKind::Literal(Value::String(key), _) => Some(within(object, key)),
            ExpressionKind::Literal(Value::Long(index), _) => {
                Some(format!("{}_{index}", implicit(object)?))
            }
            _ => None,
        },
        ExpressionKind::Call { name, arguments } => call(&name.text, arguments),
        _ => None,
    }
}

/// A member is called after what it is in, if that has a name.
fn within(object: &Expression, member: &str) -> String {
    implicit(object).map_or_else(|| member.to_owned(), |object| format!("{object}_{member}"))
}

/// Functions that hand on the name of their first argument, some with a word before or behind it.
fn call(function: &str, arguments: &[Item]) -> Option<String> {
    let first = || implicit(&arguments.first()?.expression);
    if let Some(prefix) = aggregate_prefix(function) {
        return Some(format!("{prefix}{}", first().unwrap_or_default()));
    }
    if let Some(prefix) = word_before(function) {
        return Some(format!("{prefix}_{}", first().unwrap_or_default()));
    }
    match function {
        "array_sort_asc" | "array_sort_desc" => Some(format!("{}_sorted", first()?)),
        "make_datetime" | "make_timespan" if arguments.len() > 1 => None,
        _ if hands_on(function) => first(),
        _ => None,
    }
}

/// What stands before the argument's name in the name of a scalar function's column.
fn word_before(function: &str) -> Option<&str> {
    Some(match function {
        "strlen" | "string_size" | "dcount_hll" | "percentile_tdigest" | "repeat" => function,
        "percentiles_array_tdigest" => "percentile_tdigest",
        "gettype" => "type",
        "treepath" => "tree",
        _ => return None,
    })
}

/// Conversions, and what else keeps the name of its first argument.
fn hands_on(function: &str) -> bool {
    conversion(function).is_some() || HANDS_ON.contains(&function)
}

/// What stands before the argument's name in the name of an aggregate's column.
fn aggregate_prefix(function: &str) -> Option<String> {
    Some(match function {
        "make_list" | "makelist" | "make_list_if" | "make_list_with_nulls" => "list_".to_owned(),
        "make_set" | "makeset" | "make_set_if" => "set_".to_owned(),
        "make_bag" | "make_bag_if" => "bag_".to_owned(),
        "make_dictionary" => "dictionary_".to_owned(),
        "any" | "anyif" => format!("{function}_"),
        "take_any" | "take_anyif" | "arg_max" | "arg_min" => return None,
        "binary_all_and" | "binary_all_or" | "binary_all_xor" => return None,
        "percentiles_array" | "percentilesw_array" => "percentiles_".to_owned(),
        "buildschema" => "schema_".to_owned(),
        "tdigest_merge" | "merge_tdigest" => "merge_tdigests_".to_owned(),
        _ => format!("{}_", Aggregate::from_name(function)?.name()),
    })
}

/// The target of a conversion function.
pub(super) fn conversion(function: &str) -> Option<Type> {
    Some(match function {
        "tostring" => Type::String,
        "toint" => Type::Int,
        "tolong" => Type::Long,
        "todouble" | "toreal" => Type::Real,
        "todecimal" => Type::Decimal,
        "tobool" | "toboolean" => Type::Bool,
        "todatetime" => Type::Datetime,
        "totimespan" | "totime" => Type::Timespan,
        "toguid" => Type::Guid,
        _ => return None,
    })
}

/// Hands out names so that none is given twice.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<Arc<str>>,
    given: HashSet<Arc<str>>,
    unnamed: u32,
}

impl Names {
    /// Marks names as given.
    pub(super) fn reserve(&mut self, name: &Arc<str>) {
        self.taken.insert(name.clone());
    }

    /// The name that a query itself gives a column: none if it gave it before.
    pub(super) fn given(&mut self, name: &str) -> Option<Arc<str>> {
        self.given.insert(name.into()).then(|| self.unique(name))
    }

    /// This name, or it with the first free number behind it.
    pub(super) fn unique(&mut self, name: &str) -> Arc<str> {
        let mut unique: Arc<str> = name.into();
        let mut number = 0u32;
        while self.taken.contains(&unique) {
            number += 1;
            unique = format!("{name}{number}").into();
        }
        self.taken.insert(unique.clone());
        unique
    }

    /// `Column1`, `Column2` …
    pub(super) fn unnamed(&mut self) -> Arc<str> {
        loop {
            self.unnamed += 1;
            let name: Arc<str> = format!("Column{}", self.unnamed).into();
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// The implicit name of an expression made unique, or the next `Column…`.
    pub(super) fn implicit(&mut self, expression: &Expression) -> Arc<str> {
        match implicit(expression) {
            Some(name) => self.unique(&name),
            None => self.unnamed(),
        }
    }
}
