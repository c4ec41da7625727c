//! `join` and `lookup`.

use std::sync::Arc;

use super::naming::Names;
use super::{Binder, Bound, Reported, Row, Table};
use crate::syntax::{Expression, ExpressionKind, Name, Operation, Operator};
use crate::{Column, Expr, ExprKind, JoinCondition, JoinKind, RelKind, Schema, Span, Type, codes};

impl Binder<'_> {
    pub(super) fn join(
        &mut self,
        left: &Table,
        operator: &Operator,
        right: &Expression,
        on: &[Expression],
    ) -> Bound<Table> {
        let right = self.table(right)?;
        let kind = self.join_kind(operator, JoinKind::InnerUnique)?;
        self.joined(left, &right, kind, on, operator)
    }

    /// `lookup`: a join that keeps the keys of the left side only.
    pub(super) fn lookup(
        &mut self,
        left: &Table,
        operator: &Operator,
        right: &Expression,
        on: &[Expression],
    ) -> Bound<Table> {
        let right = self.table(right)?;
        let kind = self.join_kind(operator, JoinKind::LeftOuter)?;
        if !matches!(kind, JoinKind::LeftOuter | JoinKind::Inner) {
            let message = "lookup: kind is leftouter or inner";
            return self.error(codes::SYNTAX, operator.span, message);
        }
        let joined = self.joined(left, &right, kind, on, operator)?;
        let RelKind::Join { on, .. } = &joined.relation.kind else { return Err(Reported) };
        let width = left.schema().len();
        let is_key =
            |at: usize| on.iter().any(|condition| condition.right.kind == ExprKind::Column(at));
        let mut columns = Vec::new();
        let mut names = Names::default();
        for (at, (_, expr)) in Self::columns_of(&joined, operator.span).into_iter().enumerate() {
            if at >= width && is_key(at - width) {
                continue;
            }
            let own = if at < width {
                &left.schema().columns[at].name
            } else {
                &right.schema().columns[at - width].name
            };
            columns.push((names.unique(own), expr));
        }
        self.project(&joined, columns, operator.span)
    }

    fn join_kind(&mut self, operator: &Operator, default: JoinKind) -> Bound<JoinKind> {
        let Some(setting) = operator.settings.iter().find(|setting| setting.name.text == "kind")
        else {
            return Ok(default);
        };
        let ExpressionKind::Name(kind) = &setting.value.kind else {
            return self.error(codes::SYNTAX, setting.value.span, "Expected: join kind");
        };
        Ok(match &**kind {
            "innerunique" => JoinKind::InnerUnique,
            "inner" => JoinKind::Inner,
            "leftouter" => JoinKind::LeftOuter,
            "rightouter" => JoinKind::RightOuter,
            "fullouter" => JoinKind::FullOuter,
            "leftsemi" => JoinKind::LeftSemi,
            "rightsemi" => JoinKind::RightSemi,
            "leftanti" | "anti" | "leftantisemi" => JoinKind::LeftAnti,
            "rightanti" | "rightantisemi" => JoinKind::RightAnti,
            other => return self.unsupported(setting.value.span, format!("kind={other}")),
        })
    }

    fn joined(
        &mut self,
        left: &Table,
        right: &Table,
        kind: JoinKind,
        on: &[Expression],
        operator: &Operator,
    ) -> Bound<Table> {
        let mut conditions = Vec::new();
        for condition in on {
            self.condition(left, right, condition, &mut conditions)?;
        }
        if conditions.is_empty() {
            let message = "The join has no condition";
            return self.error(codes::MISSING_EXPRESSION, operator.span, message);
        }
        let schema = match kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => Arc::clone(left.schema()),
            JoinKind::RightSemi | JoinKind::RightAnti => Arc::clone(right.schema()),
            _ => both_sides(left.schema(), right.schema()),
        };
        let hints = operator.settings.iter().filter_map(|setting| {
            let name = setting.name.text.strip_prefix("hint.")?;
            match &setting.value.kind {
                ExpressionKind::Name(value) => Some((name.to_owned(), value.clone())),
                ExpressionKind::Literal(value, _) => Some((name.to_owned(), value.to_string())),
                _ => None,
            }
        });
        let relation = RelKind::Join {
            kind,
            left: left.relation.clone(),
            right: right.relation.clone(),
            on: conditions,
            hints: hints.collect(),
        };
        self.relation(relation, schema, left.depth.max(right.depth), operator.span)
    }

    /// `Column`, or `$left.a == $right.b`, several joined by `and`.
    fn condition(
        &mut self,
        left: &Table,
        right: &Table,
        condition: &Expression,
        conditions: &mut Vec<JoinCondition>,
    ) -> Bound<()> {
        let span = condition.span;
        match &condition.kind {
            ExpressionKind::Binary(Operation("and"), first, second) => {
                self.condition(left, right, first, conditions)?;
                return self.condition(left, right, second, conditions);
            }
            ExpressionKind::Name(name) => {
                let name = Name { text: name.clone(), span };
                let left = self.side_column(left.schema(), &name)?;
                let right = self.side_column(right.schema(), &name)?;
                return self.equality((left, right), codes::COMMON_KEY_TYPES, span, conditions);
            }
            ExpressionKind::Binary(Operation("=="), first, second) => {
                let row = Row {
                    schema: Arc::clone(left.schema()),
                    right: Some(Arc::clone(right.schema())),
                    aggregation: None,
                };
                let (sides, _) = self.over_row(row, |binder| {
                    let first = binder.side(first)?;
                    Ok((first, binder.side(second)?))
                });
                let ((first, first_is_right), (second, second_is_right)) = sides?;
                let sides = match (first_is_right, second_is_right) {
                    (false, true) => Some((first, second)),
                    (true, false) => Some((second, first)),
                    _ => None,
                };
                if let Some(sides) = sides {
                    return self.equality(sides, codes::KEY_TYPES, span, conditions);
                }
            }
            _ => {}
        }
        let message = "A join condition is a column name or $left.a == $right.b";
        self.error(codes::SYNTAX, span, message)
    }

    fn side_column(&mut self, schema: &Schema, name: &Name) -> Bound<Expr> {
        match schema.position(&name.text) {
            Some(at) => Ok(Expr::column(at, schema.columns[at].column_type, name.span)),
            None => self.unknown_column(name, schema),
        }
    }

    /// One side of an equality, and whether it is the right one.
    fn side(&mut self, expression: &Expression) -> Bound<(Expr, bool)> {
        let is_right = mentions_right(expression);
        Ok((self.scalar(expression)?, is_right))
    }

    /// `$left.name` or `$right.name`.
    pub(super) fn join_side(&mut self, is_right: bool, name: &Name) -> Bound<Expr> {
        let row = self.rows.last();
        let schema = row.and_then(|row| {
            let right = row.right.clone()?;
            Some(if is_right { right } else { row.schema.clone() })
        });
        match schema {
            Some(schema) => self.side_column(&schema, name),
            None => {
                let message = "$left and $right belong into a join condition";
                self.error(codes::UNKNOWN_NAME, name.span, message)
            }
        }
    }

    fn equality(
        &mut self,
        (left, right): (Expr, Expr),
        wrong: &'static str,
        span: Span,
        conditions: &mut Vec<JoinCondition>,
    ) -> Bound<()> {
        let types = (left.expr_type, right.expr_type);
        // Only the types matter here: the sides have different rows.
        let aligned = match types {
            (Type::Dynamic, Type::Dynamic) => Some((left, right)),
            (a, b) if a == b => Some((left, right)),
            (a, b) if a.is_number() && b.is_number() => self.aligned(left, right),
            (Type::Dynamic, _) | (_, Type::Dynamic) => self.aligned(left, right),
            _ => None,
        };
        let Some((left, right)) = aligned else {
            let message = format!("Columns of types {} and {} cannot be joined", types.0, types.1);
            return self.error(wrong, span, message);
        };
        conditions.push(JoinCondition { left, right });
        Ok(())
    }
}

/// Whether `$right` is named.
fn mentions_right(expression: &Expression) -> bool {
    match &expression.kind {
        ExpressionKind::Member(object, _) => {
            matches!(&object.kind, ExpressionKind::Name(side) if side == "$right")
                || mentions_right(object)
        }
        ExpressionKind::Index(object, _) => mentions_right(object),
        ExpressionKind::Call { arguments, .. } => {
            arguments.iter().any(|argument| mentions_right(&argument.expression))
        }
        ExpressionKind::Binary(_, left, right) => mentions_right(left) || mentions_right(right),
        _ => false,
    }
}

/// Left columns, then right ones with a number behind names that are taken.
fn both_sides(left: &Schema, right: &Schema) -> Arc<Schema> {
    let mut names = Names::default();
    let mut columns = Vec::with_capacity(left.len() + right.len());
    for column in left.columns.iter().chain(&right.columns) {
        columns.push(Column::new(names.unique(&column.name), column.column_type));
    }
    Arc::new(Schema::new(columns))
}
