//! `activity_metrics` and `new_activity_metrics`: who comes, stays and goes from window to window.
//!
//! Both are queries, written as those of [`written`](super::written).

use std::collections::HashMap;

use super::measure::names_columns;
use super::naming::implicit;
use super::plugins::Plugin;
use super::{Binder, Bound, Entity, Table, Variable};
use crate::syntax::Expression;
use crate::{Expr, Value, codes};

/// Arguments that must be there.
const LEAST: usize = 5;

/// Windows of time, as expressions.
struct Windows {
    /// The window of a row.
    of: &'static str,
    /// The window after `__window`.
    after: &'static str,
    /// The window after `__k` others.
    at: &'static str,
    /// At least how many there are.
    count: &'static str,
}

const EVEN: Windows = Windows {
    of: "bin_at(__time, __step, __start)",
    after: "__window + __step",
    at: "__start + __k * __step",
    count: "tolong((__end - __start) / __step)",
};
const WEEKS: Windows = Windows {
    of: "startofweek(__time)",
    after: "startofweek(__window, 1)",
    at: "startofweek(__start, __k)",
    count: "datetime_diff('week', __end, __start) + 1",
};
const MONTHS: Windows = Windows {
    of: "startofmonth(__time)",
    after: "startofmonth(__window, 1)",
    at: "startofmonth(__start, __k)",
    count: "datetime_diff('month', __end, __start) + 1",
};
const YEARS: Windows = Windows {
    of: "startofyear(__time)",
    after: "startofyear(__window, 1)",
    at: "startofyear(__start, __k)",
    count: "datetime_diff('year', __end, __start) + 1",
};

/// Of each window: values, those not in the window before, and shares of those of the window before.
const METRICS: &str = "
let __U = materialize(T | where __time between (__start .. __end)
| summarize by __id, __window = $window $by);
let __N = __U | extend __window = $after;
let __K = __U | join kind=leftsemi __N on __id, __window $by;
__U | summarize __values = count() by __window $by
| join kind=leftouter (__K | summarize __kept = count() by __window $by) on __window $by
| join kind=leftouter (__N | summarize __before = count() by __window $by) on __window $by
| extend __kept = coalesce(__kept, 0), __before = coalesce(__before, 0)
| project __window $by, __values, __new = __values - __kept,
  __retention = todouble(__kept) / __before, __churn = todouble(__before - __kept) / __before
| sort by __window asc $by";

/// Of each cohort, the values first seen in a window, and each window from it on.
const COHORTS: &str = "
let __U = materialize(T | where __time between (__start .. __end)
$lookback
| summarize by __id, __window = $window $by);
let __F = materialize(__U | summarize __from = min(__window) by __id $by);
let __S = __F | summarize __size = count() by __from $by;
let __R = materialize(__F | join kind=inner __U on __id $by
| summarize __kept = count() by __from, __to = __window $by);
let __L = __R | project __later = __from, __to, __kept, __one = 1 $by;
let __N = __S | extend __one = 1 | join kind=inner __L on __one $by | where __later > __from
| summarize __new = sum(__kept) by __from, __to $by;
let __W = range __k from 0 to $count step 1 | project __to = $at, __one = 1
| where __to <= __end;
__S | extend __one = 1 | join kind=inner __W on __one | where __to >= __from
$cohort
| join kind=leftouter __R on __from, __to $by
| join kind=leftouter __N on __from, __to $by
| extend __kept = coalesce(__kept, 0), __new = iff(__from == __to, __size, coalesce(__new, 0))
| project __from, __to $by, __new, __kept, __lost = __size - __kept,
  __retention = todouble(__kept) / __size, __churn = todouble(__size - __kept) / __size
| sort by __from asc, __to asc $by";

/// What stands behind the five arguments.
#[derive(Default)]
struct Rest {
    cohort: Option<Variable>,
    /// Dimensions and what they are called.
    dimensions: Vec<(Expr, String)>,
    lookback: Option<Table>,
}

impl Binder<'_> {
    /// `activity_metrics(id, time, start, end, step, dimensions…)` and
    /// `new_activity_metrics(id, time, start, end, step, cohort?, dimensions…, lookback?)`.
    pub(super) fn activity(&mut self, input: &Table, plugin: &Plugin<'_>) -> Bound<Table> {
        let given: Vec<&Expression> = plugin.positional().collect();
        let [id, time, start, end, step, rest @ ..] = &given[..] else {
            let expected = (LEAST, usize::MAX);
            return self.wrong_count(&plugin.name.text, expected, given.len(), plugin.span);
        };
        let is_new = plugin.name.text == "new_activity_metrics";
        let windows = self.windows(step)?;
        let mut variables = HashMap::new();
        for (name, given) in [("__start", start), ("__end", end), ("__step", step)] {
            variables.insert(name.to_owned(), self.constant_variable(given)?);
        }
        let mut columns = Self::columns_of(input, plugin.span);
        for (name, given) in [("__id", id), ("__time", time)] {
            columns.push((name.into(), self.over(input.schema(), |binder| binder.scalar(given))?));
        }
        let rest = self.rest(input, (id, rest), is_new)?;
        for (at, (expr, _)) in rest.dimensions.iter().enumerate() {
            columns.push((format!("__dimension{at}").into(), expr.clone()));
        }
        let rows = self.project(input, columns, plugin.span)?;
        variables.insert("T".to_owned(), Variable::Table(rows));
        let (mut lookback, mut cohort) = ("", "");
        if let Some(table) = rest.lookback {
            variables.insert("L".to_owned(), Variable::Table(table));
            lookback = "| join kind=leftanti L on __id";
        }
        if let Some(variable) = rest.cohort {
            variables.insert("__cohort".to_owned(), variable);
            cohort = "| where __from == __cohort";
        }
        let query = if is_new { COHORTS } else { METRICS };
        let query = query
            .replace("$lookback", lookback)
            .replace("$cohort", cohort)
            .replace("$window", windows.of)
            .replace("$after", windows.after)
            .replace("$at", windows.at)
            .replace("$count", windows.count);
        let query = super::written::with_dimensions(&query, rest.dimensions.len());
        let table = self.run_written(&query, variables, plugin.name)?;
        let time = implicit(time).unwrap_or_default();
        let mut names = match is_new {
            true => vec![format!("from_{time}"), format!("to_{time}")],
            false => vec![time],
        };
        names.extend(rest.dimensions.into_iter().map(|(_, name)| name));
        let values: &[&str] = match is_new {
            true => &["dcount_new_values", "dcount_retained_values", "dcount_churn_values"],
            false => &["dcount_values", "dcount_newvalues"],
        };
        names.extend(values.iter().chain(&["retention_rate", "churn_rate"]).map(|s| (*s).into()));
        self.with_names(&table, names, plugin)
    }

    /// The windows that a step makes: of the same length, or those of the calendar.
    fn windows(&mut self, step: &Expression) -> Bound<Windows> {
        let expr = self.over_nothing(|binder| binder.scalar(step))?;
        match expr.as_literal() {
            Some(Value::String(word)) => match &**word {
                "week" => Ok(WEEKS),
                "month" => Ok(MONTHS),
                "year" => Ok(YEARS),
                _ => {
                    let message = "A window is a number, a timespan, 'week', 'month' or 'year'";
                    self.error(codes::WRONG_TYPE, step.span, message)
                }
            },
            _ => Ok(EVEN),
        }
    }

    /// Columns are dimensions; a constant before them is the cohort, a table behind them the lookback.
    fn rest(
        &mut self,
        input: &Table,
        (id, rest): (&Expression, &[&Expression]),
        is_new: bool,
    ) -> Bound<Rest> {
        let mut found = Rest::default();
        for (at, given) in rest.iter().enumerate() {
            match self.over(input.schema(), |binder| binder.entity(given))? {
                Entity::Scalar(expr) if is_new && at == 0 && !names_columns(&expr) => {
                    found.cohort = Some(self.scalar_variable(expr)?);
                }
                Entity::Scalar(expr) => {
                    found.dimensions.push((expr, implicit(given).unwrap_or_default()));
                }
                Entity::Table(table) if is_new && at + 1 == rest.len() => {
                    let own = implicit(id).unwrap_or_default();
                    let Some(column) = table.schema().position(&own) else {
                        let message = format!("The lookback has no column '{own}'");
                        return self.error(codes::UNKNOWN_NAME, given.span, message);
                    };
                    let id_type = table.schema().columns[column].column_type;
                    let ids = vec![("__id".into(), Expr::column(column, id_type, given.span))];
                    found.lookback = Some(self.project(&table, ids, given.span)?);
                }
                Entity::Table(_) => {
                    let message = "A column is expected";
                    return self.error(codes::WRONG_TYPE, given.span, message);
                }
            }
        }
        Ok(found)
    }
}
