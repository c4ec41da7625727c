//! Plugins that are themselves queries over the rows they are given.
//!
//! The text of such a query names the rows `T`, an argument over the rows by the column `__name`, a
//! constant argument by `__name`, and further arguments, the dimensions, by `$by`.

use std::collections::HashMap;
use std::rc::Rc;

use super::naming::{Names, implicit};
use super::plugins::Plugin;
use super::{Binder, Bound, Entity, Lambda, Scope, Table, Variable};
use crate::syntax::{Expression, Name};
use crate::{Diagnostic, Expr, Type, Value, codes, parser};

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// An expression over the rows.
    Rows,
    /// A constant.
    Constant,
    /// A constant that may be left out; it is then the one before.
    Optional,
}

/// A plugin as a query.
struct Written {
    name: &'static str,
    arguments: &'static [(&'static str, Of)],
    query: &'static str,
}

use Of::{Constant, Optional, Rows};

const WRITTEN: [Written; 5] = [
    Written {
        name: "rolling_percentile",
        arguments: &[
            ("__value", Rows),
            ("__percentile", Constant),
            ("__time", Rows),
            ("__bin", Constant),
            ("__bins", Constant),
        ],
        query: "
T | extend __k = range(0, __bins - 1, 1) | mv-expand __k to typeof(long)
| extend __window = bin(__time, __bin) + __k * __bin
| join kind=leftsemi (T | summarize by __window = bin(__time, __bin) $by) on __window $by
| summarize __result = percentile(__value, __percentile) by __window $by
| project __window $by, __result | sort by __window asc $by",
    },
    Written {
        name: "rows_near",
        arguments: &[("__condition", Rows), ("__before", Constant), ("__after", Optional)],
        query: "
let __R = materialize(T | serialize __n = row_number());
let __near = __R | where __condition | project __m = range(__n - __before, __n + __after, 1)
| mv-expand __m to typeof(long) | summarize by __n = __m;
__R | join kind=leftsemi __near on __n | sort by __n asc | project-away __n, __condition",
    },
    Written {
        name: "sliding_window_counts",
        arguments: &[
            ("__id", Rows),
            ("__time", Rows),
            ("__start", Constant),
            ("__end", Constant),
            ("__lookback", Constant),
            ("__bin", Constant),
        ],
        query: "
T | where __time > __start - __lookback and __time <= __end
| extend __k = range(0, tolong(__lookback / __bin) - 1, 1) | mv-expand __k to typeof(long)
| extend __window = bin_at(__time, __bin, __start) + __k * __bin
| where __window between (__start .. __end)
| summarize __count = count(), __dcount = dcount(__id) by __window $by
| project __window $by, __count, __dcount | sort by __window asc $by",
    },
    Written {
        name: "active_users_count",
        arguments: &[
            ("__id", Rows),
            ("__time", Rows),
            ("__start", Constant),
            ("__end", Constant),
            ("__lookback", Constant),
            ("__period", Constant),
            ("__least", Constant),
            ("__bin", Constant),
        ],
        query: "
let __U = T | where __time > __start - __lookback and __time <= __end
| summarize by __id, __time $by;
__U | join kind=inner (__U | project-rename __seen = __time) on __id $by
| where __time >= __start and __seen <= __time and __seen > __time - __lookback
| summarize __periods = dcount(bin_at(__seen, __period, __start)) by __id, __time $by
| where __periods >= __least
| summarize __dcount = dcount(__id) by __window = bin_at(__time, __bin, __start) $by
| project __window $by, __dcount | sort by __window asc $by",
    },
    Written {
        name: "activity_counts_metrics",
        arguments: &[
            ("__id", Rows),
            ("__time", Rows),
            ("__start", Constant),
            ("__end", Constant),
            ("__bin", Constant),
        ],
        query: "
let __U = T | where __time between (__start .. __end)
| extend __window = bin_at(__time, __bin, __start);
let __N = __U | summarize __first = min(__window) by __id $by
| summarize __new = count() by __window = __first $by;
__U | summarize __count = count(), __dcount = dcount(__id) by __window $by
| join kind=leftouter __N on __window $by | extend __new = coalesce(__new, 0)
| sort by $sort __window asc | extend __all = row_cumsum(__new, $restart)
| project __window $by, __count, __dcount, __new, __all",
    },
];

const LOOKUP: &str = "
let __T = materialize(T | serialize __row = row_number(), __one = 1);
let __M = __T | join kind=inner (L | extend __one = 1) on __one | where __far(__x, __y, __shape) <= __radius;
";

impl Binder<'_> {
    /// Whether a plugin is written as a query.
    pub(super) fn is_written(name: &str) -> bool {
        WRITTEN.iter().any(|written| written.name == name)
    }

    pub(super) fn written(&mut self, input: &Table, plugin: &Plugin<'_>) -> Bound<Table> {
        let Some(written) = WRITTEN.iter().find(|written| written.name == plugin.name.text) else {
            return self.unsupported(plugin.span, format!("The plugin '{}'", plugin.name.text));
        };
        let mut columns = Self::columns_of(input, plugin.span);
        let mut variables = HashMap::new();
        let mut last: Option<Variable> = None;
        for (at, (name, of)) in written.arguments.iter().enumerate() {
            let Some(given) = plugin.positional().nth(at) else {
                let given = plugin.arguments.len();
                match last.clone().filter(|_| *of == Optional) {
                    Some(before) => variables.insert((*name).to_owned(), before),
                    None => {
                        let least = written.arguments.iter().filter(|(_, of)| *of != Optional);
                        let expected = (least.count(), usize::MAX);
                        return self.wrong_count(written.name, expected, given, plugin.span);
                    }
                };
                continue;
            };
            if *of == Rows {
                let expr = self.over(input.schema(), |binder| binder.scalar(given))?;
                columns.push(((*name).into(), expr));
                continue;
            }
            let variable = self.constant_variable(given)?;
            last = Some(variable.clone());
            variables.insert((*name).to_owned(), variable);
        }
        let mut dimensions = Vec::new();
        for given in plugin.positional().skip(written.arguments.len()) {
            let expr = self.over(input.schema(), |binder| binder.scalar(given))?;
            columns.push((format!("__dimension{}", dimensions.len()).into(), expr));
            dimensions.push(implicit(given).unwrap_or_default());
        }
        let rows = self.project(input, columns, plugin.span)?;
        variables.insert("T".to_owned(), Variable::Table(rows));
        let query = with_dimensions(written.query, dimensions.len());
        let table = self.run_written(&query, variables, plugin.name)?;
        if written.name == "rows_near" {
            return Ok(table);
        }
        self.with_names(&table, output_names(plugin, &dimensions), plugin)
    }

    pub(super) fn constant_variable(&mut self, given: &Expression) -> Bound<Variable> {
        let expr = self.over_nothing(|binder| binder.scalar(given))?;
        self.scalar_variable(expr)
    }

    pub(super) fn with_names(
        &mut self,
        table: &Table,
        own: Vec<String>,
        plugin: &Plugin<'_>,
    ) -> Bound<Table> {
        let mut names = Names::default();
        let columns = Self::columns_of(table, plugin.span).into_iter().zip(own);
        let columns = columns.map(|((_, expr), name)| (names.unique(&name), expr));
        self.project(table, columns.collect(), plugin.span)
    }

    /// Binds the text of a plugin. What is wrong then is an argument: it is told at the call.
    pub(super) fn run_written(
        &mut self,
        query: &str,
        variables: HashMap<String, Variable>,
        name: &Name,
    ) -> Bound<Table> {
        let parsed = parser::parse(query);
        let scope = Rc::new(Scope { variables, parent: Some(self.scope.clone()) });
        let body = parsed.statements;
        let lambda = Lambda { parameters: Vec::new(), body, is_view: false, scope };
        let told = self.diagnostics.len();
        let bound =
            self.over_nothing(|binder| binder.call_lambda(&Rc::new(lambda), &[], None, name.span));
        if let Some(first) = self.diagnostics.get(told) {
            let message = format!("{}(): {}", name.text, first.message);
            let code = first.code;
            self.diagnostics.truncate(told);
            self.diagnostics.push(Diagnostic::error(code, name.span, message));
        }
        match bound? {
            Entity::Table(table) => Ok(table),
            Entity::Scalar(_) => self.error(codes::WRONG_TYPE, name.span, "No table"),
        }
    }

    /// `geo_polygon_lookup(table, shape, longitude, latitude, radius, return_unmatched = false,
    /// return_lookup_key = false)` and `geo_line_lookup`.
    pub(super) fn shape_lookup(&mut self, input: &Table, plugin: &Plugin<'_>) -> Bound<Table> {
        let span = plugin.span;
        let given: Vec<&Expression> = plugin.positional().collect();
        let [table, shape, x, y, rest @ ..] = &given[..] else {
            return self.wrong_count(&plugin.name.text, (4, 8), given.len(), span);
        };
        let is_line = plugin.name.text == "geo_line_lookup";
        let flag = |binder: &mut Self, name: &str| {
            let given = plugin.named(name);
            binder.constant_argument(given).map(|value| value == Some(Value::Bool(true)))
        };
        let keeps_unmatched = flag(self, "return_unmatched")?;
        let keeps_shape = flag(self, "return_lookup_key")?;
        let radius = match plugin.named("radius").or(rest.first().copied()) {
            Some(radius) => self.constant_variable(radius)?,
            None if is_line => return self.wrong_count(&plugin.name.text, (5, 8), 4, span),
            None => self.scalar_variable(Expr::literal(Value::Real(0.0), Type::Real, span))?,
        };
        let right = self.table(table)?;
        let at = self.column_argument(&right, Some(shape), plugin)?;
        let mut columns = Self::columns_of(&right, span);
        let (_, shape) = if keeps_shape { columns[at].clone() } else { columns.remove(at) };
        columns.push(("__shape".into(), shape));
        let right = self.project(&right, columns, span)?;
        let mut columns = Self::columns_of(input, span);
        for (name, given) in [("__x", x), ("__y", y)] {
            let expr = self.over(input.schema(), |binder| binder.scalar(given))?;
            columns.push((name.into(), expr));
        }
        let left = self.project(input, columns, span)?;
        let mut variables = HashMap::new();
        variables.insert("T".to_owned(), Variable::Table(left));
        variables.insert("L".to_owned(), Variable::Table(right));
        variables.insert("__radius".to_owned(), radius);
        let far =
            if is_line { "geo_distance_point_to_line" } else { "geo_distance_point_to_polygon" };
        let rest = match keeps_unmatched {
            true => {
                "let __K = materialize(__M); union __K, (__T | join kind=leftanti __K on __row)"
            }
            false => "__M",
        };
        let query = format!("{}{rest} | project-away __*", LOOKUP.replace("__far", far));
        self.run_written(&query, variables, plugin.name)
    }
}

/// The dimensions in place of their marks.
pub(super) fn with_dimensions(query: &str, count: usize) -> String {
    let each = |show: &dyn Fn(String) -> String| -> String {
        (0..count).map(|at| show(format!("__dimension{at}"))).collect()
    };
    let changes: Vec<String> =
        (0..count).map(|at| format!("__dimension{at} != prev(__dimension{at})")).collect();
    let restart = if count == 0 { "false".to_owned() } else { changes.join(" or ") };
    query
        .replace("$by", &each(&|name| format!(", {name}")))
        .replace("$sort", &each(&|name| format!("{name} asc, ")))
        .replace("$restart", &restart)
}

/// What the columns of the answer are called.
fn output_names(plugin: &Plugin<'_>, dimensions: &[String]) -> Vec<String> {
    let of = |at: usize| plugin.positional().nth(at).and_then(implicit).unwrap_or_default();
    let (time, values): (usize, Vec<String>) = match &*plugin.name.text {
        "rolling_percentile" => {
            let text = |at: usize| plugin.positional().nth(at).map_or_else(String::new, literal);
            (2, vec![format!("rolling_{}_percentile_{}_{}", text(4), of(0), text(1))])
        }
        "sliding_window_counts" => (1, vec!["Count".into(), "Dcount".into()]),
        "active_users_count" => (1, vec!["dcount".into()]),
        _ => {
            let names = ["count", "dcount", "new_dcount", "aggregated_dcount"];
            (1, names.map(String::from).to_vec())
        }
    };
    let mut names = vec![of(time)];
    names.extend(dimensions.iter().cloned());
    names.extend(values);
    names
}

fn literal(expression: &Expression) -> String {
    match &expression.kind {
        crate::syntax::ExpressionKind::Literal(value, _) => value.to_string(),
        _ => implicit(expression).unwrap_or_default(),
    }
}
