//! `summarize` and the aggregates.

use std::sync::Arc;

use super::coerce::convert;
use super::naming::{Names, implicit};
use super::{Aggregation, Binder, Bound, Reported, Row, Table};
use crate::syntax::{Expression, ExpressionKind, Item, Name};
use crate::{
    Aggregate, AggregateCall, Column, Diagnostic, Expr, ExprKind, RelKind, Returns, Schema, Span,
    Type, Value, codes,
};

/// A column of the result: its name and where it comes from.
pub(super) type Output = (Arc<str>, Expr);

impl Binder<'_> {
    /// `summarize aggregates by keys`.
    pub(super) fn summarize(
        &mut self,
        input: &Table,
        aggregates: &[Item],
        by: &[Item],
        span: Span,
    ) -> Bound<Table> {
        let mut names = Names::default();
        let keys = self.keys(input, by, &mut names)?;
        self.no_dynamic(keys.iter().map(|(_, key)| key))?;
        self.grouped(input, keys, aggregates, &mut names, span)
    }

    /// Named group keys.
    pub(super) fn keys(
        &mut self,
        input: &Table,
        by: &[Item],
        names: &mut Names,
    ) -> Bound<Vec<Output>> {
        let mut keys = Vec::new();
        for item in by {
            let expr = self.over(input.schema(), |binder| binder.scalar(&item.expression))?;
            keys.push((self.single_name(item, names)?, expr));
        }
        Ok(keys)
    }

    /// Kusto compares no dynamic values with each other.
    pub(super) fn no_dynamic<'k>(&mut self, keys: impl IntoIterator<Item = &'k Expr>) -> Bound<()> {
        match keys.into_iter().find(|key| key.expr_type == Type::Dynamic) {
            Some(key) if !self.is_partial => {
                let message = "A value of type dynamic cannot tell rows apart";
                let error = Diagnostic::error(codes::TYPE_NOT_ALLOWED, key.span, message);
                self.report(error.with_fix("convert it, e.g. with tostring()"))
            }
            _ => Ok(()),
        }
    }

    /// Aggregates by keys that are bound already.
    pub(super) fn grouped(
        &mut self,
        input: &Table,
        keys: Vec<Output>,
        aggregates: &[Item],
        names: &mut Names,
        span: Span,
    ) -> Bound<Table> {
        let key_columns = keys.iter().map(|(name, expr)| Column::new(name.clone(), expr.expr_type));
        let key_schema = Arc::new(Schema::new(key_columns.collect()));
        let schema = Arc::clone(input.schema());
        let aggregation = Aggregation { input: schema, calls: Vec::new(), next: keys.len() };
        let row = Row { schema: key_schema.clone(), right: None, aggregation: Some(aggregation) };
        let (outputs, row) =
            self.over_row(row, |binder| binder.aggregate_items(aggregates, &key_schema, names));
        let outputs = outputs?;
        let Some(aggregation) = row.and_then(|row| row.aggregation) else { return Err(Reported) };
        let mut all = Self::key_outputs(&keys, span);
        all.extend(outputs);
        self.aggregate_relation(input, keys, aggregation.calls, all, span)
    }

    fn key_outputs(keys: &[(Arc<str>, Expr)], span: Span) -> Vec<Output> {
        let keys = keys.iter().enumerate();
        keys.map(|(at, (name, key))| (name.clone(), Expr::column(at, key.expr_type, span)))
            .collect()
    }

    /// The aggregate operator, and a projection above it unless it yields just what is wanted.
    pub(super) fn aggregate_relation(
        &mut self,
        input: &Table,
        keys: Vec<(Arc<str>, Expr)>,
        aggregates: Vec<AggregateCall>,
        outputs: Vec<Output>,
        span: Span,
    ) -> Bound<Table> {
        let mut columns: Vec<Column> =
            keys.iter().map(|(name, expr)| Column::new(name.clone(), expr.expr_type)).collect();
        for call in &aggregates {
            columns.extend(output_types(call).into_iter().map(|of| {
                // Replaced below by the names of the outputs.
                Column::new("", of)
            }));
        }
        let as_is = outputs.len() == columns.len()
            && outputs.iter().enumerate().all(|(at, (_, expr))| expr.kind == ExprKind::Column(at));
        let mut inner = Names::default();
        for (at, column) in columns.iter_mut().enumerate() {
            column.name =
                if as_is { outputs[at].0.clone() } else { inner.unique(&format!("$agg{at}")) };
        }
        let keys = keys.into_iter().map(|(_, expr)| expr).collect();
        let kind = RelKind::Aggregate { input: input.relation.clone(), keys, aggregates };
        let table = self.relation(kind, Arc::new(Schema::new(columns)), input.depth, span)?;
        if as_is { Ok(table) } else { self.project(&table, outputs, span) }
    }

    fn aggregate_items(
        &mut self,
        items: &[Item],
        keys: &Schema,
        names: &mut Names,
    ) -> Bound<Vec<Output>> {
        let mut outputs = Vec::new();
        for item in items {
            if let ExpressionKind::Call { name, arguments } = &item.expression.kind
                && let Some(function) = Aggregate::from_name(&name.text)
                && matches!(function.signature().returns, Returns::Special)
                && self.scope.find(&name.text).is_none()
            {
                let call = (function, name, &arguments[..]);
                outputs.extend(self.wide_aggregate(call, item, keys, names)?);
                continue;
            }
            let expr = self.scalar(&item.expression)?;
            outputs.push((self.single_name(item, names)?, expr));
        }
        Ok(outputs)
    }

    pub(super) fn single_name(&mut self, item: &Item, names: &mut Names) -> Bound<Arc<str>> {
        match &item.names[..] {
            [] if is_covariance(&item.expression) => {
                Ok(names.unique(&covariance_name(&item.expression)))
            }
            [] => match (percentile_suffix(&item.expression), &item.expression.kind) {
                (Some(name), _) => Ok(names.unique(&name)),
                (None, ExpressionKind::Name(name)) => self.given(name, item.expression.span, names),
                (None, _) => Ok(names.implicit(&item.expression)),
            },
            [name] => self.given(&name.text, name.span, names),
            [_, second, ..] => {
                let message = "The expression has one value, not several";
                self.error(codes::SYNTAX, second.span, message)
            }
        }
    }

    /// A name that the query itself gives a column.
    fn given(&mut self, name: &str, span: Span, names: &mut Names) -> Bound<Arc<str>> {
        names.given(name).map_or_else(
            || {
                let message = format!("A column with the name '{name}' is already declared");
                self.error(codes::DUPLICATE_COLUMN, span, message)
            },
            Ok,
        )
    }

    /// An aggregate within an expression of `summarize`: the column it will have.
    pub(super) fn aggregate_value(
        &mut self,
        function: Aggregate,
        arguments: &[Item],
        span: Span,
    ) -> Bound<Expr> {
        let args = self.aggregate_arguments(arguments)?;
        let args = match function {
            // One value of it: the column that is looked for, or the first other.
            Aggregate::ArgMax | Aggregate::ArgMin if args.len() == 2 => args,
            Aggregate::TakeAny if args.len() == 1 => args,
            // `count(x)` counts rows, whatever is in them.
            Aggregate::Count if args.len() == 1 => Vec::new(),
            Aggregate::ArgMax | Aggregate::ArgMin | Aggregate::TakeAny => {
                let what = format!("{}() with several columns in an expression", function.name());
                return self.unsupported(span, what);
            }
            _ => self.arguments(function.signature(), args, span)?,
        };
        let outputs = match function {
            Aggregate::ArgMax | Aggregate::ArgMin => args.len(),
            Aggregate::Percentiles => args.len() - 1,
            Aggregate::PercentilesW => args.len() - 2,
            _ => 1,
        };
        if outputs == 0 {
            return self.wrong_count(function.name(), (2, usize::MAX), args.len(), span);
        }
        let call = AggregateCall { function, args, outputs };
        let expr_type = output_types(&call).first().copied().unwrap_or(Type::Dynamic);
        let at = self.add_aggregate(call)?;
        Ok(Expr::column(at, expr_type, span))
    }

    /// The column where the aggregate's outputs begin; one that was asked for before is reused.
    fn add_aggregate(&mut self, call: AggregateCall) -> Bound<usize> {
        let Some(aggregation) = self.rows.last_mut().and_then(|row| row.aggregation.as_mut())
        else {
            return Err(Reported);
        };
        let at = aggregation.next;
        aggregation.next += call.outputs;
        aggregation.calls.push(call);
        Ok(at)
    }

    fn aggregate_arguments(&mut self, arguments: &[Item]) -> Bound<Vec<Expr>> {
        let Some(input) = self.aggregation_input() else { return Err(Reported) };
        let mut args = Vec::new();
        for argument in arguments {
            if matches!(argument.expression.kind, ExpressionKind::Star) {
                continue;
            }
            // The row of the group hides behind the row of the input at the same level.
            args.push(self.over_input(&input, |binder| binder.scalar(&argument.expression))?);
        }
        Ok(args)
    }

    fn aggregation_input(&self) -> Option<Arc<Schema>> {
        let aggregation = self.rows.last()?.aggregation.as_ref()?;
        Some(Arc::clone(&aggregation.input))
    }

    fn over_input<T>(&mut self, input: &Arc<Schema>, part: impl FnOnce(&mut Self) -> T) -> T {
        let row = Row { schema: input.clone(), right: None, aggregation: None };
        let group = self.rows.pop();
        let (bound, _) = self.over_row(row, part);
        self.rows.extend(group);
        bound
    }

    /// `arg_max(by, a, *)`, `take_any(a, b)`, `percentiles(x, 5, 50)`: several columns.
    fn wide_aggregate(
        &mut self,
        (function, name, arguments): (Aggregate, &Name, &[Item]),
        item: &Item,
        keys: &Schema,
        names: &mut Names,
    ) -> Bound<Vec<Output>> {
        let span = item.expression.span;
        let mut labels = Vec::new();
        let args = match function {
            Aggregate::Percentiles | Aggregate::PercentilesW => {
                let args = self.aggregate_arguments(arguments)?;
                let args = self.arguments(function.signature(), args, span)?;
                labels = percentile_labels(function, arguments, &args);
                args
            }
            _ => self.chosen_columns(function, arguments, keys, &mut labels)?,
        };
        if name.text == "any" {
            labels.iter_mut().flatten().for_each(|label| label.insert_str(0, "any_"));
        }
        if args.is_empty() || labels.is_empty() {
            return self.wrong_count(&name.text, (1, usize::MAX), arguments.len(), span);
        }
        let call = AggregateCall { function, args, outputs: labels.len() };
        let types = output_types(&call);
        let start = self.add_aggregate(call)?;
        if item.names.len() > labels.len() {
            return self.error(
                codes::SYNTAX,
                item.names[labels.len()].span,
                "There is no such value",
            );
        }
        let mut outputs = Vec::new();
        for (at, label) in labels.iter().enumerate() {
            let label = item.names.get(at).map_or(label.as_deref(), |given| Some(&*given.text));
            let name = match label {
                Some(label) => names.unique(label),
                None => names.unnamed(),
            };
            outputs.push((name, Expr::column(start + at, types[at], span)));
        }
        Ok(outputs)
    }

    /// The columns that `arg_max` or `take_any` yield, `*` for all that are no keys.
    fn chosen_columns(
        &mut self,
        function: Aggregate,
        arguments: &[Item],
        keys: &Schema,
        labels: &mut Vec<Option<String>>,
    ) -> Bound<Vec<Expr>> {
        let Some(input) = self.aggregation_input() else { return Err(Reported) };
        let mut args = Vec::new();
        for argument in arguments {
            if !matches!(argument.expression.kind, ExpressionKind::Star) {
                let expr = self.over_input(&input, |binder| binder.scalar(&argument.expression))?;
                let mut label = implicit(&argument.expression);
                let is_first = args.is_empty() && function != Aggregate::TakeAny;
                if label.is_none() && is_first {
                    label = Some(
                        if function == Aggregate::ArgMax { "max_" } else { "min_" }.to_owned(),
                    );
                }
                labels.push(label);
                args.push(expr);
                continue;
            }
            for (at, column) in input.columns.iter().enumerate() {
                let seen = args.iter().any(|arg: &Expr| arg.kind == ExprKind::Column(at));
                if !seen && keys.position(&column.name).is_none() {
                    labels.push(Some(column.name.to_string()));
                    args.push(Expr::column(at, column.column_type, argument.expression.span));
                }
            }
        }
        Ok(args)
    }
}

/// The types of the columns an aggregate yields.
pub(super) fn output_types(call: &AggregateCall) -> Vec<Type> {
    let of = |at: usize| call.args.get(at).map_or(Type::Dynamic, |arg| arg.expr_type);
    match call.function.signature().returns {
        Returns::Type(always) => vec![always],
        Returns::Argument(at) => vec![of(at)],
        Returns::Common => vec![of(0)],
        Returns::Widened(at) if of(at) == Type::Int => vec![Type::Long],
        Returns::Widened(at) => vec![of(at)],
        Returns::Mean(at) => match of(at) {
            Type::Int | Type::Long | Type::Real | Type::Dynamic => vec![Type::Real],
            other => vec![other],
        },
        Returns::Special => match call.function {
            Aggregate::Percentiles | Aggregate::PercentilesW => {
                let value = if of(0) == Type::Int { Type::Long } else { of(0) };
                vec![value; call.outputs]
            }
            _ => call.args.iter().map(|arg| arg.expr_type).collect(),
        },
    }
}

/// `percentile_x_95`.
fn percentile_suffix(expression: &Expression) -> Option<String> {
    let ExpressionKind::Call { name, arguments } = &expression.kind else { return None };
    let at = match &*name.text {
        "percentile" => 1,
        "percentilew" => 2,
        _ => return None,
    };
    let column = implicit(&arguments.first()?.expression).unwrap_or_default();
    Some(format!("percentile_{column}_{}", percentage(&arguments.get(at)?.expression)?))
}

fn percentage(expression: &Expression) -> Option<String> {
    match &expression.kind {
        ExpressionKind::Literal(value, _) => Some(value.to_string().replace('.', "_")),
        _ => None,
    }
}

fn percentile_labels(
    function: Aggregate,
    arguments: &[Item],
    args: &[Expr],
) -> Vec<Option<String>> {
    let skip = if function == Aggregate::Percentiles { 1 } else { 2 };
    let column = arguments.first().and_then(|item| implicit(&item.expression)).unwrap_or_default();
    let percentages = args.iter().skip(skip).map(|arg| {
        let text = match arg.as_literal() {
            Some(Value::Null) | None => String::new(),
            Some(value) => value.to_string().replace('.', "_"),
        };
        Some(format!("percentile_{column}_{text}"))
    });
    percentages.collect()
}

fn is_covariance(expression: &Expression) -> bool {
    matches!(&expression.kind, ExpressionKind::Call { name, .. } if name.text.starts_with("covariance"))
}

/// `covariance_x_y`.
fn covariance_name(expression: &Expression) -> String {
    let ExpressionKind::Call { name, arguments } = &expression.kind else { return String::new() };
    let columns =
        arguments.iter().take(2).map(|item| implicit(&item.expression).unwrap_or_default());
    columns.fold(name.text.clone(), |text, column| format!("{text}_{column}"))
}

/// Arguments as they stand: used where a count is wanted as an aggregate.
pub(super) fn count_call() -> AggregateCall {
    AggregateCall { function: Aggregate::Count, args: Vec::new(), outputs: 1 }
}

/// A literal whole number, at least zero.
pub(super) fn whole(expr: &Expr) -> Option<u64> {
    let number = convert(expr.clone(), Type::Long);
    number.as_literal().and_then(Value::as_long).and_then(|number| u64::try_from(number).ok())
}
