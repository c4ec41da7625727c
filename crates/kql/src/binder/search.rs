//! `search`, `find`, and `*` as the left side of a text predicate.

use std::sync::Arc;

use super::coerce::{binary, convert};
use super::operators::meaningful;
use super::{Binder, Bound, Table};
use crate::syntax::{Expression, ExpressionKind, Name, Operation, Operator};
use crate::{BinaryOp, Column, Expr, ExprKind, RelKind, Schema, Span, TextOp, Type, Value, codes};

impl Binder<'_> {
    /// `search [in (tables)] predicate`: matching rows of all tables, their table in `$table`.
    pub(super) fn search(
        &mut self,
        input: Option<&Table>,
        operator: &Operator,
        tables: &[Expression],
        predicate: &Expression,
    ) -> Bound<Table> {
        let mut case_sensitive = false;
        for setting in meaningful(operator) {
            match &setting.value.kind {
                ExpressionKind::Name(kind) if kind == "case_sensitive" => case_sensitive = true,
                ExpressionKind::Name(kind) if matches!(&**kind, "default" | "case_insensitive") => {
                }
                _ => return self.unsupported(setting.value.span, "This kind of search"),
            }
        }
        let sources = self.searched(input, tables, operator.span)?;
        let mut found = Vec::new();
        for (name, table) in sources {
            found.push((name, self.matching_rows(table, predicate, case_sensitive)?));
        }
        self.union_of(found, false, Some("$table".to_owned()), operator.span)
    }

    /// The tables that are searched: those named, else the rows handed in, else all there are.
    fn searched(
        &mut self,
        input: Option<&Table>,
        tables: &[Expression],
        span: Span,
    ) -> Bound<Vec<(String, Table)>> {
        let mut found = Vec::new();
        if let (Some(input), true) = (input, tables.is_empty()) {
            return Ok(vec![(Self::source_name(input, 0), input.clone())]);
        }
        let all = [Expression::new(ExpressionKind::Star, span)];
        for table in if tables.is_empty() { &all } else { tables } {
            self.union_source(table, true, &mut found)?;
        }
        if found.is_empty() {
            return self.error(codes::UNKNOWN_TABLE, span, "No table to search in");
        }
        Ok(found)
    }

    fn matching_rows(
        &mut self,
        table: Table,
        predicate: &Expression,
        case_sensitive: bool,
    ) -> Bound<Table> {
        let span = predicate.span;
        let schema = table.schema().clone();
        let predicate =
            self.over(&schema, |binder| binder.search_term(predicate, case_sensitive))?;
        let kind = RelKind::Filter { input: table.relation.clone(), predicate };
        self.relation(kind, schema, table.depth, span)
    }

    /// A term of a search: text alone means any column; a column that is not there matches nothing.
    fn search_term(&mut self, term: &Expression, case_sensitive: bool) -> Bound<Expr> {
        let span = term.span;
        match &term.kind {
            ExpressionKind::Literal(value, literal_type) if *literal_type != Type::Bool => {
                self.any_column(&value.to_string(), case_sensitive, span)
            }
            ExpressionKind::Star => Ok(Expr::literal(Value::Bool(true), Type::Bool, span)),
            ExpressionKind::Binary(Operation(word @ ("and" | "or")), left, right) => {
                let left = self.search_term(left, case_sensitive)?;
                let right = self.search_term(right, case_sensitive)?;
                let op = if *word == "and" { BinaryOp::And } else { BinaryOp::Or };
                Ok(binary(op, left, right, Type::Bool, span))
            }
            ExpressionKind::Call { name, arguments } if name.text == "not" => {
                let [one] = &arguments[..] else {
                    return self.wrong_count("not", (1, 1), arguments.len(), span);
                };
                let inner = self.search_term(&one.expression, case_sensitive)?;
                Ok(not(inner, span))
            }
            ExpressionKind::Binary(Operation(":"), column, text) => {
                let ExpressionKind::Literal(text, _) = &text.kind else {
                    return self.error(
                        codes::CONSTANT_EXPECTED,
                        text.span,
                        "A constant is expected",
                    );
                };
                let text = text.to_string();
                if matches!(column.kind, ExpressionKind::Star) {
                    return self.any_column(&text, case_sensitive, span);
                }
                if self.names_missing(column) {
                    return Ok(Expr::literal(Value::Bool(false), Type::Bool, span));
                }
                let column = self.scalar(column)?;
                Ok(term_test(convert(column, Type::String), &text, case_sensitive, span))
            }
            _ if self.names_missing(term) => {
                Ok(Expr::literal(Value::Bool(false), Type::Bool, span))
            }
            _ => {
                let expr = self.scalar(term)?;
                self.as_bool(expr)
            }
        }
    }

    /// Whether an expression names a column that the row has not.
    fn names_missing(&self, expression: &Expression) -> bool {
        let missing = |inner: &Expression| self.names_missing(inner);
        match &expression.kind {
            ExpressionKind::Name(name) => {
                let row = self.rows.last();
                row.is_none_or(|row| row.schema.position(name).is_none())
                    && self.scope.find(name).is_none()
                    && self.catalogue.table(name).is_none()
            }
            ExpressionKind::Member(object, _) => missing(object),
            ExpressionKind::Index(left, right) | ExpressionKind::Binary(_, left, right) => {
                missing(left) || missing(right)
            }
            ExpressionKind::Negate(inner) => missing(inner),
            ExpressionKind::List { left, items, .. } => missing(left) || items.iter().any(missing),
            ExpressionKind::Between { value, low, high, .. } => {
                [value, low, high].into_iter().any(|part| missing(part))
            }
            ExpressionKind::Call { arguments, .. } => {
                arguments.iter().any(|argument| missing(&argument.expression))
            }
            _ => false,
        }
    }

    fn any_column(&mut self, text: &str, case_sensitive: bool, span: Span) -> Bound<Expr> {
        let columns = self.text_columns(span);
        let tests = columns.into_iter().map(|c| term_test(c, text, case_sensitive, span));
        Ok(any_of(tests.collect(), span))
    }

    /// Every column of the row as text.
    fn text_columns(&self, span: Span) -> Vec<Expr> {
        let schema = self.rows.last().map(|row| Arc::clone(&row.schema)).unwrap_or_default();
        let columns = schema.columns.iter().enumerate();
        columns
            .map(|(at, column)| convert(Expr::column(at, column.column_type, span), Type::String))
            .collect()
    }

    /// `* has 'x'`: the predicate over every column, true if one holds.
    pub(super) fn star_predicate(
        &mut self,
        word: &'static str,
        right: &Expr,
        span: Span,
    ) -> Bound<Expr> {
        let word = if word == "==" { "=~" } else { word };
        let mut tests = Vec::new();
        for column in self.text_columns(span) {
            tests.push(self.text_predicate(word, column, right.clone(), span)?);
        }
        Ok(any_of(tests, span))
    }

    /// `find [in (tables)] where predicate [project columns]`.
    pub(super) fn find(
        &mut self,
        operator: &Operator,
        tables: &[Expression],
        predicate: &Expression,
        columns: &[(Name, Option<Type>)],
    ) -> Bound<Table> {
        let span = operator.span;
        let mut label = "source_".to_owned();
        for setting in meaningful(operator) {
            match (&*setting.name.text, &setting.value.kind) {
                ("withsource" | "with_source", ExpressionKind::Name(name)) => {
                    label.clone_from(name)
                }
                ("datascope", _) => {}
                (name, _) => return self.unsupported(setting.name.span, name),
            }
        }
        let sources = self.searched(None, tables, span)?;
        let common = common_columns(&sources);
        let mut found = Vec::new();
        for (name, table) in sources {
            let rows = self.matching_rows(table, predicate, false)?;
            let rows = if columns.is_empty() {
                self.smart_columns(&rows, predicate, &common, span)?
            } else {
                self.named_columns(&rows, columns, span)?
            };
            found.push((name, rows));
        }
        self.union_of(found, false, Some(label), span)
    }

    fn named_columns(
        &mut self,
        rows: &Table,
        columns: &[(Name, Option<Type>)],
        span: Span,
    ) -> Bound<Table> {
        let mut chosen = Vec::new();
        for (name, wanted) in columns {
            let at = rows.schema().position(&name.text);
            let own = at.map(|at| Expr::column(at, rows.schema().columns[at].column_type, span));
            let missing = Expr::literal(Value::Null, Type::Dynamic, span);
            let column = own.unwrap_or(missing);
            let wanted = wanted.unwrap_or(column.expr_type);
            chosen.push((name.text.as_str().into(), convert(column, wanted)));
        }
        self.project(rows, chosen, span)
    }

    /// Columns that the predicate names or all tables have, and all others in the bag `pack_`.
    fn smart_columns(
        &mut self,
        rows: &Table,
        predicate: &Expression,
        common: &[Column],
        span: Span,
    ) -> Bound<Table> {
        let mut named = Vec::new();
        names_of(predicate, &mut named);
        let schema: Arc<Schema> = rows.schema().clone();
        let mut chosen = Vec::new();
        let mut packed = Vec::new();
        for (at, column) in schema.columns.iter().enumerate() {
            let expr = Expr::column(at, column.column_type, span);
            let is_named = named.iter().any(|name| **name == *column.name);
            if is_named || common.contains(column) {
                chosen.push((column.name.clone(), expr));
            } else {
                let key = Value::String(column.name.to_string());
                packed.push(Expr::literal(key, Type::String, span));
                packed.push(expr);
            }
        }
        let kind = ExprKind::Call { function: crate::Function::BagPack, args: packed };
        chosen.push(("pack_".into(), Expr { kind, expr_type: Type::Dynamic, span }));
        self.project(rows, chosen, span)
    }
}

/// Columns that all of the tables have, by name and type.
fn common_columns(tables: &[(String, Table)]) -> Vec<Column> {
    let [(_, first), rest @ ..] = tables else { return Vec::new() };
    let is_common =
        |column: &&Column| rest.iter().all(|(_, table)| table.schema().columns.contains(column));
    first.schema().columns.iter().filter(is_common).cloned().collect()
}

/// Names within an expression.
fn names_of<'e>(expression: &'e Expression, names: &mut Vec<&'e str>) {
    match &expression.kind {
        ExpressionKind::Name(name) => names.push(name),
        ExpressionKind::Member(object, _) | ExpressionKind::Negate(object) => {
            names_of(object, names);
        }
        ExpressionKind::Index(left, right) | ExpressionKind::Binary(_, left, right) => {
            names_of(left, names);
            names_of(right, names);
        }
        ExpressionKind::List { left, .. } => names_of(left, names),
        ExpressionKind::Between { value, .. } => names_of(value, names),
        ExpressionKind::Call { arguments, .. } => {
            arguments.iter().for_each(|argument| names_of(&argument.expression, names));
        }
        _ => {}
    }
}

fn not(inner: Expr, span: Span) -> Expr {
    let kind = ExprKind::Call { function: crate::Function::Not, args: vec![inner] };
    Expr { kind, expr_type: Type::Bool, span }
}

/// A disjunction as a balanced tree.
fn any_of(mut tests: Vec<Expr>, span: Span) -> Expr {
    if tests.len() > 1 {
        let rest = tests.split_off(tests.len() / 2);
        return binary(BinaryOp::Or, any_of(tests, span), any_of(rest, span), Type::Bool, span);
    }
    tests.pop().unwrap_or_else(|| Expr::literal(Value::Bool(false), Type::Bool, span))
}

/// `text`, `text*`, `*text`, `*text*`, `te*xt`.
fn term_test(column: Expr, text: &str, case_sensitive: bool, span: Span) -> Expr {
    let inner = text.trim_matches('*');
    let op = match (text.starts_with('*'), text.ends_with('*')) {
        _ if inner.is_empty() => return Expr::literal(Value::Bool(true), Type::Bool, span),
        _ if inner.contains('*') => TextOp::Like,
        (false, false) => TextOp::Has,
        (false, true) => TextOp::HasPrefix,
        (true, false) => TextOp::HasSuffix,
        (true, true) => TextOp::Contains,
    };
    let text = if op == TextOp::Like { format!("*{inner}*") } else { inner.to_owned() };
    let right = Box::new(Expr::literal(Value::String(text), Type::String, span));
    let left = Box::new(column);
    let kind = ExprKind::Text { op, case_sensitive, negated: false, left, right };
    Expr { kind, expr_type: Type::Bool, span }
}
