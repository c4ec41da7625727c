//! `top-nested`, `top-hitters`, `parse-kv`, `consume`.

use std::collections::HashSet;
use std::sync::Arc;

use super::coerce::convert;
use super::naming::{Names, implicit};
use super::{Binder, Bound, Table};
use crate::syntax::{Expression, ExpressionKind, Item, Name, NestedLevel};
use crate::{
    Aggregate, Column, Expr, ExprKind, Function, Gathering, NestedCount, NestedJoin, NestedOthers,
    PathStep, RelKind, Schema, SortKey, Span, Type, Value, codes,
};

impl Binder<'_> {
    /// Each level is grouped by the values down to it; the engine keeps the best of each.
    pub(super) fn top_nested(
        &mut self,
        input: &Table,
        levels: &[NestedLevel],
        span: Span,
    ) -> Bound<Table> {
        let mut by: Vec<Item> = Vec::new();
        let (mut inputs, mut counts, mut depth) = (Vec::new(), Vec::new(), 0);
        let mut columns: Vec<Column> = Vec::new();
        let mut names = Names::default();
        for level in levels {
            let count = match &level.count {
                Some(count) => Some(self.row_count(count)?),
                None => None,
            };
            by.push(level.of.clone());
            let table = self.summarize(input, std::slice::from_ref(&level.by), &by, span)?;
            let at = by.len() - 1;
            let others = match &level.others {
                Some(label) => {
                    Some(self.others(label, level, table.schema().columns[at].column_type)?)
                }
                None => None,
            };
            counts.push(NestedCount { count, ascending: level.ascending, others });
            let (of, aggregate) = (&table.schema().columns[at], &table.schema().columns[at + 1]);
            let of_name = names.unique(&of.name);
            let label = match &level.by.names[..] {
                [name, ..] => name.text.clone(),
                [] => format!("aggregated_{of_name}"),
            };
            columns.push(Column::new(of_name, of.column_type));
            columns.push(Column::new(names.unique(&label), aggregate.column_type));
            depth = depth.max(table.depth);
            inputs.push(table.relation);
        }
        let kind = RelKind::Gathered { inputs, work: Gathering::Nested(counts) };
        self.relation(kind, Arc::new(Schema::new(columns)), depth, span)
    }

    /// `with others = label`: the aggregate must be one that the values' own ones add up to.
    fn others(
        &mut self,
        label: &Expression,
        level: &NestedLevel,
        column_type: Type,
    ) -> Bound<NestedOthers> {
        let expr = self.over_nothing(|binder| binder.scalar(label))?;
        if expr.expr_type != column_type {
            let message = format!("A constant of type {column_type} is expected");
            return self.error(codes::WRONG_TYPE, label.span, message);
        }
        let Some(value) = expr.as_literal() else {
            return self.error(codes::CONSTANT_EXPECTED, label.span, "A constant is expected");
        };
        let aggregate = match &level.by.expression.kind {
            ExpressionKind::Call { name, .. } => Aggregate::from_name(&name.text),
            _ => None,
        };
        let join = match aggregate {
            Some(Aggregate::Count | Aggregate::CountIf | Aggregate::Sum | Aggregate::SumIf) => {
                NestedJoin::Sum
            }
            Some(Aggregate::Min | Aggregate::MinIf) => NestedJoin::Min,
            Some(Aggregate::Max | Aggregate::MaxIf) => NestedJoin::Max,
            _ => {
                let what = "'with others' of top-nested by anything but a count, sum, min or max";
                return self.unsupported(label.span, what);
            }
        };
        Ok(NestedOthers { label: value.clone(), join })
    }

    /// A count (or sum) by value, largest first.
    pub(super) fn top_hitters(
        &mut self,
        input: &Table,
        count: &Expression,
        (of, by): (&Item, Option<&Expression>),
        span: Span,
    ) -> Bound<Table> {
        let column = implicit(by.unwrap_or(&of.expression)).unwrap_or_default();
        let (function, argument) = match by {
            Some(by) => ("sum", vec![Item { names: Vec::new(), expression: by.clone() }]),
            None => ("count", Vec::new()),
        };
        let name = Name { text: format!("approximate_{function}_{column}"), span };
        let call = ExpressionKind::Call {
            name: Name { text: function.to_owned(), span },
            arguments: argument,
        };
        let aggregate = Item { names: vec![name], expression: Expression::new(call, span) };
        let table = self.summarize(input, &[aggregate], std::slice::from_ref(of), span)?;
        let hits = Expr::column(1, table.schema().columns[1].column_type, span);
        let keys = vec![SortKey { expr: hits, descending: true, nulls_first: false }];
        let kind = RelKind::Sort { input: table.relation.clone(), keys };
        let sorted = self.relation(kind, table.schema().clone(), table.depth, span)?;
        self.take(&sorted, count, span)
    }

    /// The pairs as a bag, then its members as columns.
    pub(super) fn parse_kv(
        &mut self,
        input: &Table,
        source: &Expression,
        keys: &[(Name, Type)],
        options: &[(Name, Expression)],
        span: Span,
    ) -> Bound<Table> {
        let text = self.over(input.schema(), |binder| {
            let text = binder.scalar(source)?;
            binder.as_text(text)
        })?;
        let mut settings = [" ".to_owned(), "=".to_owned(), String::new(), String::new()];
        let mut greedy = false;
        for (name, value) in options {
            let value = self.over_nothing(|binder| binder.scalar(value))?;
            match (&*name.text, value.as_literal()) {
                ("greedy", Some(Value::Bool(given))) => greedy = *given,
                (_, Some(Value::String(text))) => match &*name.text {
                    "pair_delimiter" => settings[0].clone_from(text),
                    "kv_delimiter" => settings[1].clone_from(text),
                    "quote" => settings[2].clone_from(text),
                    "escape" => settings[3].clone_from(text),
                    other => {
                        return self.unsupported(name.span, format!("The option '{other}'"));
                    }
                },
                _ => {
                    return self.error(
                        codes::CONSTANT_EXPECTED,
                        name.span,
                        "A constant is expected",
                    );
                }
            }
        }
        let wanted: Vec<&str> = keys.iter().map(|(name, _)| &*name.text).collect();
        let wanted = Value::Dynamic(serde_json::json!(wanted).to_string());
        let mut args = vec![text, Expr::literal(wanted, Type::Dynamic, span)];
        args.extend(settings.map(|text| Expr::literal(Value::String(text), Type::String, span)));
        args.push(Expr::literal(Value::Bool(greedy), Type::Bool, span));
        let kind = ExprKind::Call { function: Function::ParseKv, args };
        let bag = Expr { kind, expr_type: Type::Dynamic, span };
        self.extended_by_members(input, &bag, keys, span)
    }

    /// The input's columns, and members of a bag as further ones; one of a name that is there takes
    /// its place.
    fn extended_by_members(
        &mut self,
        input: &Table,
        bag: &Expr,
        members: &[(Name, Type)],
        span: Span,
    ) -> Bound<Table> {
        let mut columns = Self::columns_of(input, span);
        let mut names = Names::default();
        columns.iter().for_each(|(name, _)| names.reserve(name));
        let mut replaced = HashSet::new();
        for (name, column_type) in members {
            let path = vec![PathStep::Key(name.text.as_str().into())];
            let kind = ExprKind::Member { object: Box::new(bag.clone()), path };
            let member = Expr { kind, expr_type: Type::Dynamic, span: name.span };
            let value = convert(member, *column_type);
            let own = columns.iter().position(|(own, _)| **own == *name.text);
            match own.filter(|at| replaced.insert(*at)) {
                Some(at) => columns[at].1 = value,
                None => columns.push((names.unique(&name.text), value)),
            }
        }
        self.project(input, columns, span)
    }

    /// `consume` computes everything and shows nothing.
    pub(super) fn consume(&mut self, input: &Table, span: Span) -> Bound<Table> {
        let predicate = Expr::literal(Value::Bool(false), Type::Bool, span);
        let kind = RelKind::Filter { input: input.relation.clone(), predicate };
        self.relation(kind, input.schema().clone(), input.depth, span)
    }
}
