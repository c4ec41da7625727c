//! How columns without a name are named.

use std::collections::HashSet;
use std::sync::Arc;

use crate::syntax::{Expression, ExpressionKind, Item};
use crate::{Aggregate, Type, Value};

/// The name an expression gives its column, if it gives one.
pub(super) fn implicit(expression: &Expression) -> Option<String> {
    match &expression.kind {
        ExpressionKind::Name(name) => Some(name.clone()),
        ExpressionKind::Member(object, member) => {
            Some(format!("{}_{}", implicit(object)?, member.text))
        }
        ExpressionKind::Index(object, index) => match &index.kind {
            ExpressionKind::Literal(Value::String(key), _) => {
                Some(format!("{}_{key}", implicit(object)?))
            }
            ExpressionKind::Literal(Value::Long(index), _) => {
                Some(format!("{}_{index}", implicit(object)?))
            }
            _ => None,
        },
        ExpressionKind::Call { name, arguments } => call(&name.text, arguments),
        _ => None,
    }
}

/// Functions that hand on the name of their first argument: conversions and rounding.
fn call(function: &str, arguments: &[Item]) -> Option<String> {
    let first = arguments.first();
    if let Some(prefix) = aggregate_prefix(function) {
        let argument = first.and_then(|item| implicit(&item.expression)).unwrap_or_default();
        return Some(format!("{prefix}{argument}"));
    }
    if matches!(function, "dcount_hll" | "percentile_tdigest") {
        return Some(format!("{function}_{}", implicit(&first?.expression)?));
    }
    let transparent = conversion(function).is_some()
        || matches!(
            function,
            "bin"
                | "floor"
                | "ceiling"
                | "bin_at"
                | "bin_auto"
                | "parse_json"
                | "parsejson"
                | "todynamic"
                | "toobject"
                | "take_any"
                | "take_anyif"
                | "any"
                | "anyif"
                | "materialize"
                | "toscalar"
                | "round"
                | "prev"
                | "next"
        );
    if !transparent {
        return None;
    }
    implicit(&first?.expression)
}

/// What stands before the argument's name in the name of an aggregate's column.
fn aggregate_prefix(function: &str) -> Option<String> {
    Some(match function {
        "make_list" | "makelist" | "make_list_if" | "make_list_with_nulls" => "list_".to_owned(),
        "make_set" | "makeset" | "make_set_if" => "set_".to_owned(),
        "make_bag" | "make_bag_if" | "make_dictionary" => "bag_".to_owned(),
        "take_any" | "take_anyif" | "any" | "anyif" | "arg_max" | "arg_min" => return None,
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
    unnamed: u32,
}

impl Names {
    /// Marks names as given.
    pub(super) fn reserve(&mut self, name: &Arc<str>) {
        self.taken.insert(name.clone());
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
