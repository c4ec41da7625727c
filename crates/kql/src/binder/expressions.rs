//! Expressions: names, operators, members.

use std::sync::Arc;

use super::coerce::convert;
use super::{Binder, Bound, Entity, Table, Variable};
use crate::syntax::{Expression, ExpressionKind, ListTest, Name, Operation};
use crate::{
    Aggregate, AggregateCall, BinaryOp, Expr, ExprKind, PathStep, RelKind, Relation, Span, TextOp,
    Type, Value, codes,
};

impl Binder<'_> {
    /// An expression that must be a scalar.
    pub(super) fn scalar(&mut self, expression: &Expression) -> Bound<Expr> {
        match self.entity(expression)? {
            Entity::Scalar(expr) => Ok(expr),
            Entity::Table(_) => {
                let message = "A scalar expression is expected, not a table";
                self.error(codes::SCALAR_EXPECTED, expression.span, message)
            }
        }
    }

    /// An expression, scalar or tabular.
    pub(super) fn entity(&mut self, expression: &Expression) -> Bound<Entity> {
        self.step(1, expression.span)?;
        self.nested(expression.span, |binder| binder.entity_inside(expression))
    }

    fn entity_inside(&mut self, expression: &Expression) -> Bound<Entity> {
        let span = expression.span;
        let expr = match &expression.kind {
            ExpressionKind::Literal(value, literal_type) => {
                Expr::literal(value.clone(), *literal_type, span)
            }
            ExpressionKind::Today(time) => {
                let now = self.options.now_ticks.unwrap_or(crate::UNIX_EPOCH_TICKS);
                let midnight = now - now.rem_euclid(crate::TICKS_PER_DAY);
                Expr::literal(Value::Datetime(midnight + time), Type::Datetime, span)
            }
            ExpressionKind::Name(name) => {
                return self.name(&Name { text: name.clone(), span });
            }
            ExpressionKind::Call { name, arguments } => return self.call(name, arguments, span),
            ExpressionKind::Pipeline(pipeline) => {
                return self.pipeline(pipeline).map(Entity::Table);
            }
            ExpressionKind::Member(object, name) => return self.member(object, name, span),
            ExpressionKind::Index(object, index) => self.index(object, index, span)?,
            ExpressionKind::Negate(inner) => self.negate(inner, span)?,
            ExpressionKind::Binary(operation, left, right) => {
                self.binary(*operation, left, right, span)?
            }
            ExpressionKind::List { test, negated, left, items } => {
                self.list(*test, *negated, left, items, span)?
            }
            ExpressionKind::Between { negated, value, low, high } => {
                self.between(*negated, [&**value, &**low, &**high], span)?
            }
            ExpressionKind::Star => {
                return self.error(codes::SYNTAX, span, "'*' cannot stand here");
            }
            ExpressionKind::Wildcard(_) => {
                return self.error(codes::SYNTAX, span, "A wildcard name cannot stand here");
            }
            ExpressionKind::Lambda { .. } => {
                return self.error(codes::SYNTAX, span, "A function can only be defined by let");
            }
            ExpressionKind::TypeOf(_) => {
                return self.error(codes::SYNTAX, span, "typeof() cannot stand here");
            }
            ExpressionKind::Error => {
                return self.error(codes::MISSING_EXPRESSION, span, "Expected: expression");
            }
        };
        Ok(Entity::Scalar(expr))
    }

    /// A name: a column of the row, then a variable, then a table.
    fn name(&mut self, name: &Name) -> Bound<Entity> {
        if let Some(row) = self.rows.last()
            && let Some(at) = row.schema.position(&name.text)
        {
            let column_type = row.schema.columns[at].column_type;
            return Ok(Entity::Scalar(Expr::column(at, column_type, name.span)));
        }
        if let Some(variable) = self.scope.find(&name.text).cloned() {
            return self.variable_use(variable, name);
        }
        if let Some(schema) = self.catalogue.table(&name.text) {
            let kind = RelKind::Table { name: name.text.as_str().into() };
            return self.relation(kind, schema, 0, name.span).map(Entity::Table);
        }
        self.unknown_name(name)
    }

    fn variable_use(&mut self, variable: Variable, name: &Name) -> Bound<Entity> {
        match variable {
            Variable::Scalar { expr, size, level } => {
                self.step(size, name.span)?;
                if level.is_some_and(|level| level != self.rows.len()) {
                    let message = format!("'{}' must be a constant here", name.text);
                    return self.error(codes::CONSTANT_EXPECTED, name.span, message);
                }
                Ok(Entity::Scalar(Expr { span: name.span, ..expr }))
            }
            Variable::Table(table) => Ok(Entity::Table(table)),
            Variable::Graph(_) => {
                let message = format!("'{}' is a graph, and no table", name.text);
                self.error(codes::WRONG_TYPE, name.span, message)
            }
            Variable::Pattern(_) => {
                let message = format!("The pattern '{}' must be called", name.text);
                self.error(codes::SYNTAX, name.span, message)
            }
            Variable::Lambda(lambda) => {
                if lambda.parameters.is_empty() {
                    return self.call_lambda(&lambda, &[], None, name.span);
                }
                let message = format!("The function '{}' must be called", name.text);
                self.error(codes::SYNTAX, name.span, message)
            }
            Variable::Broken => Err(super::Reported),
        }
    }

    fn unknown_name(&mut self, name: &Name) -> Bound<Entity> {
        if self.is_partial && !self.rows.is_empty() {
            return Ok(Entity::Scalar(Expr::literal(Value::Null, Type::Dynamic, name.span)));
        }
        let grouped = self.rows.last().and_then(|row| row.aggregation.as_ref());
        if grouped.is_some_and(|grouped| grouped.input.position(&name.text).is_some()) {
            let message = format!("The column '{}' is neither a key nor aggregated", name.text);
            let fix = format!("group by it, or aggregate it, e.g. take_any({})", name.text);
            let error = crate::Diagnostic::error(codes::AGGREGATE_EXPECTED, name.span, message);
            return self.report(error.with_fix(fix));
        }
        let row = self.rows.last().filter(|row| !row.schema.is_empty());
        let (what, mut known): (_, Vec<String>) = match row {
            Some(row) => {
                let columns = row.schema.columns.iter().map(|column| column.name.to_string());
                ("column, table, variable or function", columns.collect())
            }
            None => ("table, variable or function", self.catalogue.table_names()),
        };
        known.extend(self.scope.names());
        self.unknown(codes::UNKNOWN_NAME, name, what, known.iter().map(String::as_str))
    }

    /// `object.name`: a member of a dynamic, or a side of a join.
    fn member(&mut self, object: &Expression, name: &Name, span: Span) -> Bound<Entity> {
        if let ExpressionKind::Name(side) = &object.kind
            && matches!(side.as_str(), "$left" | "$right")
        {
            return self.join_side(side == "$right", name).map(Entity::Scalar);
        }
        if let ExpressionKind::Call { name: function, arguments } = &object.kind
            && matches!(function.text.as_str(), "database" | "cluster" | ".database")
        {
            return self.qualified(function, arguments, name).map(Entity::Table);
        }
        if let ExpressionKind::Call { name: function, arguments } = &object.kind
            && let Some(Variable::Pattern(cases)) = self.scope.find(&function.text).cloned()
        {
            return self.call_pattern(&cases, function, arguments, Some(name));
        }
        if let Some(state) = self.scan_state(object, name) {
            return Ok(Entity::Scalar(state));
        }
        let object = self.scalar(object)?;
        let step = PathStep::Key(name.text.as_str().into());
        self.path(object, step, span).map(Entity::Scalar)
    }

    /// `step.column` within a `scan`, where the row has columns of that name.
    fn scan_state(&self, object: &Expression, name: &Name) -> Option<Expr> {
        let ExpressionKind::Name(step) = &object.kind else { return None };
        let row = self.rows.last()?;
        if row.schema.position(step).is_some() {
            return None;
        }
        let at = row.schema.position(&format!("{step}.{}", name.text))?;
        Some(Expr::column(at, row.schema.columns[at].column_type, name.span))
    }

    /// `database('x').Table`: only our own database is known.
    fn qualified(
        &mut self,
        function: &Name,
        arguments: &[crate::syntax::Item],
        name: &Name,
    ) -> Bound<Table> {
        let database = match arguments {
            [one] if function.text == "database" => self.scalar(&one.expression)?,
            _ => return self.unsupported(function.span, "Another cluster"),
        };
        let is_ours =
            database.as_literal().and_then(Value::as_str) == Some(self.catalogue.database());
        if !is_ours {
            return self.unsupported(function.span, "Another database");
        }
        match self.catalogue.table(&name.text) {
            Some(schema) => {
                let kind = RelKind::Table { name: name.text.as_str().into() };
                self.relation(kind, schema, 0, name.span)
            }
            None => {
                let known = self.catalogue.table_names();
                self.unknown(codes::UNKNOWN_TABLE, name, "table", known.iter().map(String::as_str))
            }
        }
    }

    fn index(&mut self, object: &Expression, index: &Expression, span: Span) -> Bound<Expr> {
        let object = self.scalar(object)?;
        let index = self.scalar(index)?;
        let step = match (index.as_literal(), index.expr_type) {
            (Some(Value::String(key)), _) => PathStep::Key(key.as_str().into()),
            (Some(Value::Long(at)), _) => PathStep::Index(*at),
            (_, Type::String | Type::Dynamic | Type::Long) => PathStep::Computed(Box::new(index)),
            (_, Type::Int) => PathStep::Computed(Box::new(convert(index, Type::Long))),
            (_, other) => {
                let message = format!("An index has type string or long, not {other}");
                return self.error(codes::WRONG_TYPE, index.span, message);
            }
        };
        self.path(object, step, span)
    }

    /// One step into a dynamic; steps that follow each other become one path.
    fn path(&mut self, object: Expr, step: PathStep, span: Span) -> Bound<Expr> {
        if object.expr_type != Type::Dynamic {
            let message = format!(
                "Members can only be taken of a dynamic value, not of type {}",
                object.expr_type
            );
            let code = match step {
                PathStep::Key(_) => codes::UNKNOWN_NAME,
                _ => codes::WRONG_TYPE,
            };
            let mut diagnostic = crate::Diagnostic::error(code, span, message);
            if object.expr_type == Type::String {
                diagnostic = diagnostic.with_fix("parse the text first: parse_json(…)");
            }
            return self.report(diagnostic);
        }
        let kind = match object.kind {
            ExprKind::Member { object, mut path } => {
                path.push(step);
                ExprKind::Member { object, path }
            }
            _ => ExprKind::Member { object: Box::new(object), path: vec![step] },
        };
        Ok(Expr { kind, expr_type: Type::Dynamic, span })
    }

    fn negate(&mut self, inner: &Expression, span: Span) -> Bound<Expr> {
        let inner = self.scalar(inner)?;
        let inner =
            if inner.expr_type == Type::Dynamic { convert(inner, Type::Real) } else { inner };
        let expr_type = inner.expr_type;
        if !expr_type.is_number() && expr_type != Type::Timespan {
            let message =
                format!("The operator '-' cannot be applied to a value of type {expr_type}");
            return self.error(codes::OPERATOR_TYPES, span, message);
        }
        Ok(Expr { kind: ExprKind::Negate(Box::new(inner)), expr_type, span })
    }

    fn binary(
        &mut self,
        operation: Operation,
        left: &Expression,
        right: &Expression,
        span: Span,
    ) -> Bound<Expr> {
        if matches!(left.kind, ExpressionKind::Star) {
            let right = self.scalar(right)?;
            return self.star_predicate(operation.0, &right, span);
        }
        let left = self.scalar(left);
        let (left, right) = (left, self.scalar(right)?);
        let left = left?;
        let op = match operation.0 {
            "and" | "or" => {
                let op = if operation.0 == "and" { BinaryOp::And } else { BinaryOp::Or };
                let types = (left.expr_type, right.expr_type);
                if [types.0, types.1].iter().any(|of| !matches!(of, Type::Bool | Type::Dynamic)) {
                    return self.cannot_apply(op, types.0, types.1, span);
                }
                let (left, right) = (self.as_bool(left)?, self.as_bool(right)?);
                return Ok(super::coerce::binary(op, left, right, Type::Bool, span));
            }
            "+" => BinaryOp::Add,
            "-" => BinaryOp::Subtract,
            "*" => BinaryOp::Multiply,
            "/" => BinaryOp::Divide,
            "%" => BinaryOp::Modulo,
            "==" => return self.comparison(BinaryOp::Equal, left, right, span),
            "!=" | "<>" => return self.comparison(BinaryOp::NotEqual, left, right, span),
            "<" => return self.comparison(BinaryOp::Less, left, right, span),
            "<=" => return self.comparison(BinaryOp::LessOrEqual, left, right, span),
            ">" => return self.comparison(BinaryOp::Greater, left, right, span),
            ">=" => return self.comparison(BinaryOp::GreaterOrEqual, left, right, span),
            word => return self.text_predicate(word, left, right, span),
        };
        self.arithmetic(op, left, right, span)
    }

    pub(super) fn text_predicate(
        &mut self,
        word: &'static str,
        left: Expr,
        right: Expr,
        span: Span,
    ) -> Bound<Expr> {
        let (negated, word) = match word {
            "!~" => (true, "=~"),
            word => match word.strip_prefix('!').or_else(|| word.strip_prefix("not")) {
                Some(word) => (true, word),
                None => (false, word),
            },
        };
        let (word, marked) = match word.strip_suffix("_cs") {
            Some(word) => (word, true),
            None if word == "containscs" => ("contains", true),
            None => (word, false),
        };
        let op = match word {
            "=~" => TextOp::Equal,
            "has" => TextOp::Has,
            "hasprefix" => TextOp::HasPrefix,
            "hassuffix" => TextOp::HasSuffix,
            "contains" => TextOp::Contains,
            "startswith" => TextOp::StartsWith,
            "endswith" => TextOp::EndsWith,
            "matches" => TextOp::MatchesRegex,
            "like" => TextOp::Like,
            other => return self.unsupported(span, format!("The operator '{other}'")),
        };
        let case_sensitive = marked || op == TextOp::MatchesRegex;
        let (left, right) = (self.as_text(left)?, self.as_text(right)?);
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = ExprKind::Text { op, case_sensitive, negated, left, right };
        Ok(Expr { kind, expr_type: Type::Bool, span })
    }

    fn list(
        &mut self,
        test: ListTest,
        negated: bool,
        left: &Expression,
        items: &[Expression],
        span: Span,
    ) -> Bound<Expr> {
        let expr = self.scalar(left)?;
        let of_text = test != ListTest::In;
        let expr = if of_text { self.as_text(expr)? } else { expr };
        let mut bound = Vec::with_capacity(items.len());
        for item in items {
            match self.entity(item)? {
                Entity::Table(table) if items.len() == 1 => {
                    return self.list_of_table(test, negated, expr, table, span);
                }
                Entity::Table(_) => {
                    let message = "A table must be the only item of the list";
                    return self.error(codes::SCALAR_EXPECTED, item.span, message);
                }
                Entity::Scalar(item) => bound.push(item),
            }
        }
        let (expr, items) = self.aligned_items(expr, bound)?;
        let expr = Box::new(expr);
        let kind = match test {
            ListTest::In | ListTest::InIgnoringCase => {
                let case_sensitive = test == ListTest::In;
                ExprKind::In { expr, items, case_sensitive, negated }
            }
            ListTest::HasAny | ListTest::HasAll => {
                ExprKind::HasAny { expr, items, all: test == ListTest::HasAll }
            }
        };
        Ok(Expr { kind, expr_type: Type::Bool, span })
    }

    /// Brings the items to the type of the value; dynamic ones stay, they are arrays of values.
    fn aligned_items(&mut self, mut expr: Expr, items: Vec<Expr>) -> Bound<(Expr, Vec<Expr>)> {
        let mut wanted = expr.expr_type;
        for item in &items {
            let both_numbers = wanted.is_number() && item.expr_type.is_number();
            let fits_int = wanted == Type::Int
                && item
                    .as_literal()
                    .and_then(Value::as_long)
                    .is_some_and(|n| i32::try_from(n).is_ok());
            if both_numbers && !fits_int {
                wanted = super::coerce::common(wanted, item.expr_type).unwrap_or(wanted);
            }
            if wanted == Type::Dynamic && item.expr_type != Type::Dynamic {
                let number = item.expr_type.is_integer();
                wanted = if number { Type::Real } else { item.expr_type };
            }
        }
        expr = convert(expr, wanted);
        let mut aligned = Vec::with_capacity(items.len());
        for item in items {
            let span = item.span;
            if item.expr_type == Type::Dynamic || item.expr_type == wanted {
                aligned.push(item);
            } else if item.expr_type.is_number() && wanted.is_number() {
                aligned.push(convert(item, wanted));
            } else if let Some(value) =
                item.as_literal().and_then(|v| super::coerce::read_as(v, wanted))
            {
                aligned.push(Expr::literal(value, wanted, span));
            } else {
                let message =
                    format!("A value of type {wanted} is expected, not {}", item.expr_type);
                return self.error(codes::OPERATOR_TYPES, span, message);
            }
        }
        Ok((expr, aligned))
    }

    /// `x in (query)`: the first column of the query.
    fn list_of_table(
        &mut self,
        test: ListTest,
        negated: bool,
        expr: Expr,
        table: Table,
        span: Span,
    ) -> Bound<Expr> {
        if !matches!(test, ListTest::In | ListTest::InIgnoringCase) {
            let terms = self.gathered(&table, span)?;
            let (expr, all) = (Box::new(expr), test == ListTest::HasAll);
            let kind = ExprKind::HasAny { expr, items: vec![terms], all };
            return Ok(Expr { kind, expr_type: Type::Bool, span });
        }
        let mut columns = Self::columns_of(&table, span);
        if columns.is_empty() {
            return self.error(codes::WRONG_TYPE, span, "The table has no column");
        }
        columns.truncate(1);
        let Some((name, column)) = columns.pop() else { return Err(super::Reported) };
        let wanted = column.expr_type;
        let expr = match (expr.expr_type, wanted) {
            (left, right) if left == right => expr,
            (Type::Dynamic, _) => convert(expr, wanted),
            (left, right) if left.is_number() && right.is_number() => expr,
            (left, Type::Dynamic) => {
                let column = convert(column, left);
                let table = self.project(&table, vec![(name, column)], span)?;
                return Ok(in_relation(expr, self.subquery_relation(table), test, negated, span));
            }
            (left, right) => {
                let message = format!("A table of {left} is expected, not of {right}");
                return self.error(codes::OPERATOR_TYPES, span, message);
            }
        };
        let common = super::coerce::common(expr.expr_type, wanted).unwrap_or(wanted);
        let (expr, column) = (convert(expr, common), convert(column, common));
        let table = self.project(&table, vec![(name, column)], span)?;
        Ok(in_relation(expr, self.subquery_relation(table), test, negated, span))
    }

    /// The first column of a table as one dynamic array.
    fn gathered(&mut self, table: &Table, span: Span) -> Bound<Expr> {
        let Some(first) = table.schema().columns.first() else {
            return self.error(codes::WRONG_TYPE, span, "The table has no column");
        };
        let args = vec![Expr::column(0, first.column_type, span)];
        let set = AggregateCall { function: Aggregate::MakeSet, args, outputs: 1 };
        let outputs = vec![("set_".into(), Expr::column(0, Type::Dynamic, span))];
        let table = self.aggregate_relation(table, Vec::new(), vec![set], outputs, span)?;
        let relation = self.subquery_relation(table);
        Ok(Expr { kind: ExprKind::Scalar(relation), expr_type: Type::Dynamic, span })
    }

    pub(super) fn between(
        &mut self,
        negated: bool,
        parts: [&Expression; 3],
        span: Span,
    ) -> Bound<Expr> {
        let [value, low, high] = parts;
        let (value, low, high) = (self.scalar(value)?, self.scalar(low)?, self.scalar(high)?);
        // `datetime between (start .. 1d)`: the end is a distance from the start.
        let is_distance = low.expr_type == Type::Datetime && high.expr_type == Type::Timespan;
        let high = if is_distance {
            self.arithmetic(BinaryOp::Add, low.clone(), high, span)?
        } else {
            high
        };
        let types = (value.expr_type, low.expr_type, high.expr_type);
        let Some((value, low)) = self.aligned(value, low) else {
            let message = format!("Values of types {} and {} cannot be compared", types.0, types.1);
            return self.error(codes::OPERATOR_TYPES, span, message);
        };
        let Some((value, high)) = self.aligned(value, high) else {
            let message = format!("Values of types {} and {} cannot be compared", types.0, types.2);
            return self.error(codes::OPERATOR_TYPES, span, message);
        };
        let low = convert(low, value.expr_type);
        let (expr, low, high) = (Box::new(value), Box::new(low), Box::new(high));
        let kind = ExprKind::Between { expr, low, high, negated };
        Ok(Expr { kind, expr_type: Type::Bool, span })
    }
}

fn in_relation(
    expr: Expr,
    relation: Arc<Relation>,
    test: ListTest,
    negated: bool,
    span: Span,
) -> Expr {
    let (expr, case_sensitive) = (Box::new(expr), test == ListTest::In);
    let kind = ExprKind::InRelation { expr, relation, case_sensitive, negated };
    Expr { kind, expr_type: Type::Bool, span }
}
