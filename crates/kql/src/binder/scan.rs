//! `scan`.

use std::sync::Arc;

use super::coerce::convert;
use super::naming::Names;
use super::operators::meaningful;
use super::{Binder, Bound, Table};
use crate::syntax::{ExpressionKind, Operator, Scan, Shape};
use crate::{
    Column, Expr, Gathering, RelKind, ScanOutput, ScanStep, ScanWork, Schema, Span, Type, Value,
    codes,
};

impl Binder<'_> {
    pub(super) fn scan(&mut self, input: &Table, operator: &Operator, scan: &Scan) -> Bound<Table> {
        let span = operator.span;
        let mut match_id = scan.match_id.as_ref().map(|name| name.text.clone());
        for setting in meaningful(operator) {
            match (&*setting.name.text, &setting.value.kind) {
                ("with_match_id", ExpressionKind::Name(name)) => match_id = Some(name.clone()),
                (name, _) => return self.unsupported(setting.name.span, name),
            }
        }
        if scan.steps.is_empty() {
            return self.error(codes::SYNTAX, span, "scan needs at least one step");
        }
        let (declared, defaults) = self.declared(scan)?;
        let mut names = Names::default();
        let mut columns = input.schema().columns.clone();
        columns.iter().for_each(|column| names.reserve(&column.name));
        columns.extend(declared.iter().map(|c| Column::new(names.unique(&c.name), c.column_type)));
        let over = Arc::new(state_schema(input.schema(), &declared, scan));
        let mut steps = Vec::new();
        for step in &scan.steps {
            let condition = self.over(&over, |binder| {
                let condition = binder.scalar(&step.condition)?;
                binder.as_bool(condition)
            })?;
            let mut assignments = Vec::new();
            for item in &step.assignments {
                let target = item.names.first();
                let own = columns.iter().position(|c| target.is_some_and(|t| *c.name == *t.text));
                let Some(at) = own else {
                    let message = "A step assigns columns of the input or declared ones";
                    return self.error(codes::UNKNOWN_NAME, item.expression.span, message);
                };
                let value = self.over(&over, |binder| binder.scalar(&item.expression))?;
                assignments.push((at, convert(value, columns[at].column_type)));
            }
            let output = match step.output.as_ref().map(|name| &*name.text) {
                None | Some("all") => ScanOutput::All,
                Some("last") => ScanOutput::Last,
                Some("none") => ScanOutput::None,
                Some(_) => {
                    return self.error(codes::SYNTAX, span, "output is all, last or none");
                }
            };
            steps.push(ScanStep { output, condition, assignments });
        }
        let has_id = match_id.is_some();
        columns.extend(match_id.map(|name| Column::new(names.unique(&name), Type::Long)));
        let work = Gathering::Scan(ScanWork { defaults, steps, match_id: has_id });
        let kind = RelKind::Gathered { inputs: vec![input.relation.clone()], work };
        self.relation(kind, Arc::new(Schema::new(columns)), input.depth, span)
    }

    /// The declared columns and their defaults.
    fn declared(&mut self, scan: &Scan) -> Bound<(Vec<Column>, Vec<Expr>)> {
        let (mut columns, mut defaults) = (Vec::new(), Vec::new());
        for parameter in &scan.declared {
            let Shape::Scalar(column_type) = parameter.shape else {
                return self.error(codes::WRONG_TYPE, parameter.name.span, "A scalar is expected");
            };
            let default = match &parameter.default {
                Some(default) => self.over_nothing(|binder| binder.scalar(default))?,
                None => Expr::literal(Value::Null, Type::Dynamic, Span::default()),
            };
            columns.push(Column::new(parameter.name.text.as_str(), column_type));
            defaults.push(convert(default, column_type));
        }
        Ok((columns, defaults))
    }
}

/// The row that conditions are over; a column of a step's state is called `step.column`.
fn state_schema(input: &Schema, declared: &[Column], scan: &Scan) -> Schema {
    let mut columns = input.columns.clone();
    for step in &scan.steps {
        for column in input.columns.iter().chain(declared) {
            let name = format!("{}.{}", step.name.text, column.name);
            columns.push(Column::new(name, column.column_type));
        }
    }
    Schema::new(columns)
}
