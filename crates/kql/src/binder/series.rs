//! `make-series`.

use std::sync::Arc;

use super::coerce::{binary, common, convert};
use super::naming::Names;
use super::operators::meaningful;
use super::{Binder, Bound, Reported, Table};
use crate::syntax::{Expression, ExpressionKind, Item, MakeSeries, Operator};
use crate::{
    BinaryOp, Column, Expr, ExprKind, Function, Gathering, RelKind, Schema, SeriesWork, Span, Type,
    Value, codes,
};

/// The axis of a series: its value in each row, and its bounds.
struct Axis {
    value: Expr,
    from: Option<Expr>,
    to: Option<Expr>,
    step: Expr,
}

impl Binder<'_> {
    /// Rows within the bounds are grouped by keys and step; the engine lays the steps out.
    pub(super) fn make_series(
        &mut self,
        input: &Table,
        operator: &Operator,
        series: &MakeSeries,
    ) -> Bound<Table> {
        let span = operator.span;
        let never_empty = self.series_kind(operator)?;
        let axis = self.axis(input, series, span)?;
        let within = self.within(input, &axis, series.end_included, span)?;
        let mut names = Names::default();
        let mut keys = self.keys(&within, &series.by, &mut names)?;
        keys.push(("$step".into(), axis_step(&axis, span)));
        let key_count = keys.len() - 1;
        let mut grouped: Option<Vec<Type>> = None;
        let items: Vec<Item> = series.aggregates.iter().map(|(item, _)| item.clone()).collect();
        let table = self.grouped(&within, keys, &items, &mut names, span)?;
        grouped.get_or_insert_with(|| {
            table.schema().columns[key_count + 1..].iter().map(|c| c.column_type).collect()
        });
        let types = grouped.unwrap_or_default();
        let defaults = self.series_defaults(series, &types)?;
        let mut columns: Vec<Column> = table.schema().columns.clone();
        columns.remove(key_count);
        columns[key_count..].iter_mut().for_each(|column| column.column_type = Type::Dynamic);
        let axis_name = self.single_name(&series.axis, &mut names)?;
        columns.push(Column::new(axis_name, Type::Dynamic));
        let work = SeriesWork {
            keys: key_count,
            from: axis.from,
            to: axis.to,
            end_included: series.end_included,
            step: axis.step,
            defaults,
            never_empty,
        };
        let inputs = vec![table.relation.clone()];
        let kind = RelKind::Gathered { inputs, work: Gathering::Series(work) };
        self.relation(kind, Arc::new(Schema::new(columns)), table.depth, span)
    }

    fn series_kind(&mut self, operator: &Operator) -> Bound<bool> {
        let mut never_empty = false;
        for setting in meaningful(operator) {
            match &setting.value.kind {
                ExpressionKind::Name(value) if value == "nonempty" => never_empty = true,
                _ => return self.unsupported(setting.name.span, "This kind of make-series"),
            }
        }
        Ok(never_empty)
    }

    fn axis(&mut self, input: &Table, series: &MakeSeries, span: Span) -> Bound<Axis> {
        let value = self.over(input.schema(), |binder| binder.scalar(&series.axis.expression))?;
        let step = self.over_nothing(|binder| binder.scalar(&series.step))?;
        let mut bounds = Vec::new();
        for bound in [&series.from, &series.to] {
            bounds.push(match bound {
                Some(bound) => Some(self.over_nothing(|binder| binder.scalar(bound))?),
                None => None,
            });
        }
        let (to, from) = (bounds.pop().flatten(), bounds.pop().flatten());
        let (axis_type, step_type) = match (value.expr_type, step.expr_type) {
            (Type::Datetime, Type::Timespan) => (Type::Datetime, Type::Timespan),
            (Type::Timespan, Type::Timespan) => (Type::Timespan, Type::Timespan),
            (a, b) if a.is_number() && b.is_number() => {
                let mut wide = common(a, b).unwrap_or(Type::Real);
                for bound in from.iter().chain(&to) {
                    wide = common(wide, bound.expr_type).unwrap_or(wide);
                }
                let wide = if wide == Type::Int { Type::Long } else { wide };
                (wide, wide)
            }
            (a, b) => {
                let message = format!("make-series: an axis of type {a} has no steps of type {b}");
                return self.error(codes::WRONG_TYPE, span, message);
            }
        };
        for bound in from.iter().chain(&to) {
            let fits = bound.expr_type == axis_type
                || bound.expr_type == Type::Dynamic
                || bound.expr_type.is_number() && axis_type.is_number();
            if !fits {
                let message = format!(
                    "make-series: a bound of type {axis_type} is expected, not {}",
                    bound.expr_type
                );
                return self.error(codes::WRONG_TYPE, bound.span, message);
            }
        }
        Ok(Axis {
            value: convert(value, axis_type),
            from: from.map(|bound| convert(bound, axis_type)),
            to: to.map(|bound| convert(bound, axis_type)),
            step: convert(step, step_type),
        })
    }

    /// The rows on the axis.
    fn within(
        &mut self,
        input: &Table,
        axis: &Axis,
        end_included: bool,
        span: Span,
    ) -> Bound<Table> {
        let args = vec![axis.value.clone()];
        let kind = ExprKind::Call { function: Function::IsNotNull, args };
        let mut predicate = Expr { kind, expr_type: Type::Bool, span };
        let end = if end_included { BinaryOp::LessOrEqual } else { BinaryOp::Less };
        for (op, bound) in [(BinaryOp::GreaterOrEqual, &axis.from), (end, &axis.to)] {
            let Some(bound) = bound else { continue };
            let test = binary(op, axis.value.clone(), bound.clone(), Type::Bool, span);
            predicate = binary(BinaryOp::And, predicate, test, Type::Bool, span);
        }
        let kind = RelKind::Filter { input: input.relation.clone(), predicate };
        self.relation(kind, input.schema().clone(), input.depth, span)
    }

    /// One default for each array.
    fn series_defaults(&mut self, series: &MakeSeries, types: &[Type]) -> Bound<Vec<Expr>> {
        // Aggregates with several values have several arrays; the default is that of the item.
        let mut defaults = Vec::with_capacity(types.len());
        let single = types.len() == series.aggregates.len();
        for (at, column_type) in types.iter().enumerate() {
            let item = if single { series.aggregates.get(at) } else { series.aggregates.first() };
            let Some((item, default)) = item else { return Err(Reported) };
            let default = default.as_ref();
            defaults.push(self.series_default(default, *column_type, item.expression.span)?);
        }
        Ok(defaults)
    }

    fn series_default(
        &mut self,
        default: Option<&Expression>,
        column_type: Type,
        span: Span,
    ) -> Bound<Expr> {
        let Some(default) = default else {
            let zero = if column_type.is_number() {
                Expr::literal(Value::Long(0), Type::Long, span)
            } else {
                Expr::literal(Value::Null, Type::Dynamic, span)
            };
            return Ok(convert(zero, column_type));
        };
        let value = self.over_nothing(|binder| binder.scalar(default))?;
        // A real default of whole numbers stays what it is.
        let keeps = value.expr_type.is_number() && column_type.is_number();
        Ok(if keeps { value } else { convert(value, column_type) })
    }
}

/// The start of the step that a row belongs to.
fn axis_step(axis: &Axis, span: Span) -> Expr {
    let expr_type = axis.value.expr_type;
    let (function, args) = match &axis.from {
        Some(from) => (Function::BinAt, vec![axis.value.clone(), axis.step.clone(), from.clone()]),
        None => (Function::Bin, vec![axis.value.clone(), axis.step.clone()]),
    };
    Expr { kind: ExprKind::Call { function, args }, expr_type, span }
}
