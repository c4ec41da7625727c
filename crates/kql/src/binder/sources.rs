//! Operators that begin a pipeline: `print`, `range`, `datatable`, `union`.

use std::sync::Arc;

use super::coerce::{convert, read_as};
use super::naming::Names;
use super::{Binder, Bound, Reported, Table, Variable};
use crate::syntax::{Body, Expression, ExpressionKind, Item, Name, Operator};
use crate::{Column, Decimal, Expr, ExprKind, RelKind, Schema, Span, Type, Value, codes, names};

impl Binder<'_> {
    pub(super) fn source_operator(&mut self, operator: &Operator) -> Bound<Table> {
        match &operator.body {
            Body::Items(items) => self.print(items, operator.span),
            Body::Range { name, from, to, step } => {
                self.range(name, [from, to, step], operator.span)
            }
            Body::Datatable { columns, values } => self.datatable(columns, values, operator.span),
            Body::Union(sources) => self.union(None, operator, sources),
            Body::Search { tables, predicate } => self.search(None, operator, tables, predicate),
            Body::Find { tables, predicate, columns } => {
                self.find(operator, tables, predicate, columns)
            }
            Body::Evaluate { call, schema } => self.evaluate(None, call, schema.as_ref()),
            _ => self.refused_operator(&operator.name),
        }
    }

    fn print(&mut self, items: &[Item], span: Span) -> Bound<Table> {
        let mut columns = Vec::new();
        let mut used = Names::default();
        for (at, item) in items.iter().enumerate() {
            let expr = self.over_nothing(|binder| binder.scalar(&item.expression))?;
            let has_several = super::operators::tuple_values(item, &expr).is_some();
            if item.names.is_empty() && !has_several {
                columns.push((used.unique(&format!("print_{at}")), expr));
            } else {
                self.assign(item, expr, &mut used, &mut columns)?;
            }
        }
        if columns.is_empty() {
            return self.error(codes::MISSING_EXPRESSION, span, "Expected: expression");
        }
        let kind = RelKind::Values { rows: vec![Vec::new()] };
        let one = self.relation(kind, Arc::new(Schema::default()), 0, span)?;
        self.project(&one, columns, span)
    }

    fn range(&mut self, name: &Name, bounds: [&Expression; 3], span: Span) -> Bound<Table> {
        let mut bound = Vec::new();
        for expression in bounds {
            bound.push(self.over_nothing(|binder| binder.scalar(expression))?);
        }
        let (Some(step), Some(to), Some(from)) = (bound.pop(), bound.pop(), bound.pop()) else {
            return Err(Reported);
        };
        let (from, to) = (undynamic(from), undynamic(to));
        let column = match (from.expr_type, to.expr_type, step.expr_type) {
            (Type::Datetime, Type::Datetime, Type::Timespan) => Type::Datetime,
            (Type::Timespan, Type::Timespan, Type::Timespan) => Type::Timespan,
            (a, b, c) if a.is_number() && b.is_number() && c.is_number() => {
                let both =
                    super::coerce::common(a, b).and_then(|both| super::coerce::common(both, c));
                both.unwrap_or(Type::Real)
            }
            (a, b, c) => {
                let message = format!("range: {a}, {b} and {c} do not make a range");
                return self.error(codes::SUMMABLE_EXPECTED, span, message);
            }
        };
        let step_type = if column == Type::Datetime { Type::Timespan } else { column };
        let (from, to, step) =
            (convert(from, column), convert(to, column), convert(step, step_type));
        let schema = Schema::new(vec![Column::new(name.text.as_str(), column)]);
        self.relation(RelKind::Range { from, to, step }, Arc::new(schema), 0, span)
    }

    fn datatable(
        &mut self,
        columns: &[(Name, Type)],
        values: &[Expression],
        span: Span,
    ) -> Bound<Table> {
        let mut used = Names::default();
        let schema =
            columns.iter().map(|(name, column)| Column::new(used.unique(&name.text), *column));
        let schema = Arc::new(Schema::new(schema.collect()));
        if columns.is_empty() || !values.len().is_multiple_of(columns.len()) {
            let message = format!(
                "The number of values ({}) is no multiple of the number of columns ({})",
                values.len(),
                columns.len()
            );
            return self.error(codes::ROW_VALUES, span, message);
        }
        let mut rows = Vec::with_capacity(values.len() / columns.len());
        for chunk in values.chunks(columns.len()) {
            let mut row = Vec::with_capacity(columns.len());
            for (value, (_, wanted)) in chunk.iter().zip(columns) {
                row.push(self.cell(value, *wanted)?);
            }
            rows.push(row);
        }
        self.relation(RelKind::Values { rows }, schema, 0, span)
    }

    /// A value of a datatable: a constant, as the column's type.
    fn cell(&mut self, value: &Expression, wanted: Type) -> Bound<Value> {
        // Not counted as steps: a datatable may be as large as the text.
        let literal = match &value.kind {
            ExpressionKind::Literal(literal, _) => literal.clone(),
            _ => {
                let expr = self.over_nothing(|binder| binder.scalar(value))?;
                match expr.as_literal() {
                    Some(literal) => literal.clone(),
                    None => {
                        let message = "A constant is expected";
                        return self.error(codes::CONSTANT_EXPECTED, value.span, message);
                    }
                }
            }
        };
        let given = super::coerce::value_type(&literal);
        match cell_as(literal, wanted) {
            Some(cell) => Ok(cell),
            None => {
                let message = format!("A value of type {wanted} is expected, not {given}");
                self.error(codes::WRONG_TYPE, value.span, message)
            }
        }
    }

    /// `union`: columns by name; the same name with several types gives several columns.
    pub(super) fn union(
        &mut self,
        input: Option<&Table>,
        operator: &Operator,
        sources: &[Expression],
    ) -> Bound<Table> {
        let span = operator.span;
        let (mut inner, mut label, mut fuzzy) = (false, None, false);
        for setting in &operator.settings {
            let value = match &setting.value.kind {
                ExpressionKind::Name(value) => value.clone(),
                ExpressionKind::Literal(value, _) => value.to_string().to_lowercase(),
                _ => String::new(),
            };
            match (&*setting.name.text, &*value) {
                ("kind", "inner") => inner = true,
                ("kind", "outer") => {}
                ("withsource" | "with_source", name) => label = Some(name.to_owned()),
                ("isfuzzy", flag) => fuzzy = flag == "true",
                (name, _) if name.starts_with("hint.") => {}
                (name, value) => {
                    return self.unsupported(setting.name.span, format!("{name}={value}"));
                }
            }
        }
        let mut tables: Vec<(String, Table)> = Vec::new();
        tables.extend(input.map(|table| (Self::source_name(table, 0), table.clone())));
        for source in sources {
            self.union_source(source, fuzzy, &mut tables)?;
        }
        if tables.is_empty() {
            return self.error(codes::MISSING_EXPRESSION, span, "The union has no table");
        }
        self.union_of(tables, inner, label, span)
    }

    pub(super) fn union_source(
        &mut self,
        source: &Expression,
        fuzzy: bool,
        tables: &mut Vec<(String, Table)>,
    ) -> Bound<()> {
        let pattern = match &source.kind {
            ExpressionKind::Star => Some("*"),
            ExpressionKind::Wildcard(pattern) => Some(pattern.as_str()),
            _ => None,
        };
        let Some(pattern) = pattern else {
            if let (true, ExpressionKind::Name(name)) = (fuzzy, &source.kind) {
                let known = self.scope.find(name).is_some() || self.catalogue.table(name).is_some();
                if !known {
                    return Ok(());
                }
            }
            let view = self.view_name(source);
            let table = self.table(source)?;
            let name = view.unwrap_or_else(|| Self::source_name(&table, tables.len()));
            tables.push((name, table));
            return Ok(());
        };
        let views = self.scope.names().into_iter().filter(|name| {
            matches!(self.scope.find(name), Some(Variable::Lambda(lambda)) if lambda.is_view)
        });
        let mut known: Vec<String> = views.collect();
        known.sort();
        known.extend(self.catalogue.table_names());
        for name in known {
            if names::matches(pattern, &name) {
                let kind = ExpressionKind::Name(name.clone());
                let table = self.table(&Expression::new(kind, source.span))?;
                tables.push((name, table));
            }
        }
        Ok(())
    }

    /// The name of a view, which shows as the source of its rows.
    fn view_name(&self, source: &Expression) -> Option<String> {
        let name = match &source.kind {
            ExpressionKind::Name(name) => name,
            ExpressionKind::Call { name, .. } => &name.text,
            _ => return None,
        };
        let is_view =
            matches!(self.scope.find(name), Some(Variable::Lambda(lambda)) if lambda.is_view);
        is_view.then(|| name.clone())
    }

    pub(super) fn source_name(table: &Table, at: usize) -> String {
        match &table.relation.kind {
            RelKind::Table { name } => name.to_string(),
            _ => format!("union_arg{at}"),
        }
    }

    pub(super) fn union_of(
        &mut self,
        tables: Vec<(String, Table)>,
        inner: bool,
        label: Option<String>,
        span: Span,
    ) -> Bound<Table> {
        let mut wanted: Vec<Column> = Vec::new();
        for (_, table) in &tables {
            for column in &table.schema().columns {
                if !wanted.contains(column) {
                    // Columns of one name stand together.
                    let same = wanted.iter().rposition(|other| other.name == column.name);
                    let at = same.map_or(wanted.len(), |at| at + 1);
                    wanted.insert(at, column.clone());
                }
            }
        }
        if inner {
            wanted.retain(|column| {
                tables.iter().all(|(_, table)| table.schema().columns.contains(column))
            });
        }
        let mut used = Names::default();
        let labelled = label.map(|label| used.unique(&label));
        let names: Vec<Arc<str>> = wanted
            .iter()
            .map(|column| {
                let clashes = wanted.iter().filter(|other| other.name == column.name).count() > 1;
                let suffixed = format!("{}_{}", column.name, column.column_type);
                used.unique(if clashes { &suffixed } else { &column.name })
            })
            .collect();
        let (mut inputs, mut depth) = (Vec::new(), 0);
        for (source, table) in tables {
            let mut columns = Vec::new();
            if let Some(name) = &labelled {
                let source = Expr::literal(Value::String(source), Type::String, span);
                columns.push((name.clone(), source));
            }
            for (column, name) in wanted.iter().zip(&names) {
                let own = table.schema().columns.iter().position(|own| own == column);
                let expr = match own {
                    Some(at) => Expr::column(at, column.column_type, span),
                    None => {
                        convert(Expr::literal(Value::Null, Type::Dynamic, span), column.column_type)
                    }
                };
                columns.push((name.clone(), expr));
            }
            let table = self.project_unless_same(table, columns, span)?;
            depth = depth.max(table.depth);
            inputs.push(table.relation);
        }
        let schema = match &inputs[..] {
            [first, ..] => Arc::clone(&first.schema),
            [] => return Err(Reported),
        };
        self.relation(RelKind::Union { inputs }, schema, depth, span)
    }

    fn project_unless_same(
        &mut self,
        table: Table,
        columns: Vec<(Arc<str>, Expr)>,
        span: Span,
    ) -> Bound<Table> {
        let same = columns.len() == table.schema().len()
            && columns.iter().zip(&table.schema().columns).enumerate().all(
                |(at, ((name, expr), column))| {
                    *name == column.name && expr.kind == ExprKind::Column(at)
                },
            );
        if same { Ok(table) } else { self.project(&table, columns, span) }
    }
}

fn undynamic(expr: Expr) -> Expr {
    if expr.expr_type == Type::Dynamic { convert(expr, Type::Long) } else { expr }
}

/// A constant as a cell of this type.
fn cell_as(value: Value, wanted: Type) -> Option<Value> {
    Some(match (value, wanted) {
        (Value::Null, Type::String) => Value::String(String::new()),
        (Value::Null, _) => Value::Null,
        (value @ Value::Dynamic(_), Type::Dynamic) => value,
        (Value::String(text), Type::Dynamic) => {
            Value::Dynamic(serde_json::Value::from(text).to_string())
        }
        (value, Type::Dynamic) => Value::Dynamic(match &value {
            Value::Bool(_) => value.to_string().to_lowercase(),
            Value::Int(_) | Value::Long(_) | Value::Real(_) => value.to_string(),
            other => serde_json::Value::from(other.to_string()).to_string(),
        }),
        (value @ Value::String(_), Type::String) => value,
        (value @ Value::String(_), wanted) => read_as(&value, wanted).unwrap_or(Value::Null),
        (value, Type::String) => Value::String(value.to_string()),
        (Value::Long(number), Type::Int) => Value::Int(i32::try_from(number).ok()?),
        (Value::Int(number), Type::Long) => Value::Long(number.into()),
        (Value::Int(number), Type::Real) => Value::Real(number.into()),
        #[expect(clippy::cast_precision_loss, reason = "a real column rounds as Kusto does")]
        (Value::Long(number), Type::Real) => Value::Real(number as f64),
        (Value::Long(number), Type::Decimal) => Value::Decimal(Decimal::from(number)),
        (Value::Real(number), Type::Decimal) => Value::Decimal(Decimal::from_f64(number)?),
        (Value::Real(number), Type::Int | Type::Long) => {
            #[expect(clippy::cast_possible_truncation, reason = "whole numbers in range only")]
            let whole = number as i64;
            return cell_as(Value::Long(whole), wanted);
        }
        (Value::Long(number), Type::Bool) => Value::Bool(number != 0),
        (value, wanted) if super::coerce::value_type(&value) == wanted => value,
        _ => return None,
    })
}
