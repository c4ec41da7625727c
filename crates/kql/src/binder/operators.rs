//! Tabular operators over one input.

use std::collections::HashSet;
use std::sync::Arc;

use super::aggregates::{count_call, whole};
use super::coerce::convert;
use super::naming::{Names, implicit};
use super::{Binder, Bound, Table, Variable};
use crate::syntax::{
    Body, Expanded, Expression, ExpressionKind, Item, Name, Operator, Ordered, PatternPart, Setting,
};
use crate::{
    BagExpansion, Column, Diagnostic, Expansion, Expr, ExprKind, Function, OPERATORS, ParseMode,
    ParsePart, PathStep, RelKind, Schema, SortKey, Span, Support, Type, Value, codes,
};

/// Named expressions, a row to be.
pub(super) type Columns = Vec<(Arc<str>, Expr)>;

impl Binder<'_> {
    /// One operator behind `|`.
    pub(super) fn operator(&mut self, input: &Table, operator: &Operator) -> Bound<Table> {
        let span = operator.span;
        match (&*operator.name.text, &operator.body) {
            (_, Body::Predicate(predicate)) => self.filter(input, predicate, span),
            ("project", Body::Items(items)) => self.project_items(input, items, span),
            ("extend" | "serialize", Body::Items(items)) => self.extend(input, items, span),
            ("distinct", Body::Items(items)) => self.distinct(input, items, span),
            ("project-rename", Body::Items(items)) => self.rename(input, items, span),
            ("project-away", Body::Columns(columns)) => self.choose(input, columns, false, span),
            ("project-keep", Body::Columns(columns)) => self.choose(input, columns, true, span),
            ("project-reorder", Body::Columns(columns)) => self.reorder(input, columns, span),
            (_, Body::Summarize { aggregates, by }) => self.summarize(input, aggregates, by, span),
            (_, Body::Sort(keys)) => self.sort(input, keys, span),
            (_, Body::Top { count, by }) => {
                let sorted = self.sort(input, by, span)?;
                self.take(&sorted, count, span)
            }
            ("sample", Body::Number(count)) => {
                let count = self.row_count(count)?;
                let kind = RelKind::Sample { input: input.relation.clone(), count };
                self.relation(kind, input.schema().clone(), input.depth, span)
            }
            (_, Body::Number(count)) => self.take(input, count, span),
            (_, Body::SampleDistinct { count, of }) => {
                let item = Item { names: Vec::new(), expression: of.clone() };
                let distinct = self.distinct(input, &[item], span)?;
                self.take(&distinct, count, span)
            }
            ("count", Body::Nothing) => self.count(input, span),
            ("getschema", Body::Nothing) => self.get_schema(input, span),
            (_, Body::Union(sources)) => self.union(Some(input), operator, sources),
            ("lookup", Body::Join { right, on }) => self.lookup(input, operator, right, on),
            (_, Body::Join { right, on }) => self.join(input, operator, right, on),
            (_, Body::MvExpand { items, limit }) => {
                self.mv_expand(input, operator, items, limit.as_ref())
            }
            (_, Body::MvApply { items, limit, on }) => {
                self.mv_apply(input, operator, (items, limit.as_ref()), on)
            }
            (_, Body::Partition { key, subquery }) => {
                self.partition(input, operator, key, subquery)
            }
            (_, Body::MakeSeries(series)) => self.make_series(input, operator, series),
            (_, Body::TopNested(levels)) => self.top_nested(input, levels, span),
            (_, Body::TopHitters { count, of, by }) => {
                self.top_hitters(input, count, (of, by.as_ref()), span)
            }
            (_, Body::ParseKv { source, keys, options }) => {
                self.parse_kv(input, source, keys, options, span)
            }
            (_, Body::Scan(scan)) => self.scan(input, operator, scan),
            (_, Body::Search { tables, predicate }) if tables.is_empty() => {
                self.search(Some(input), operator, tables, predicate)
            }
            (_, Body::Evaluate { call, schema }) => {
                self.evaluate(Some(input), call, schema.as_ref())
            }
            ("consume", Body::Nothing) => self.consume(input, span),
            ("project-by-names", Body::Items(items)) => self.by_names(input, items, span),
            (_, Body::Parse { source, parts }) => self.parse(input, operator, source, parts),
            (_, Body::As(name)) => {
                self.define(&name.text, Variable::Table(input.clone()));
                Ok(input.clone())
            }
            ("invoke", Body::Call(call)) => self.invoke(input, call),
            // Only the last one of a query is shown.
            (_, Body::Render { .. }) => Ok(input.clone()),
            ("reduce", _) => self.reduce(input, span),
            _ => self.refused_operator(&operator.name),
        }
    }

    /// `reduce`: only its columns are known.
    fn reduce(&mut self, input: &Table, span: Span) -> Bound<Table> {
        let columns = vec![
            Column::new("Pattern", Type::String),
            Column::new("Count", Type::Long),
            Column::new("Representative", Type::String),
        ];
        let what = "the operator 'reduce'".to_owned();
        let kind = RelKind::Foreign { input: input.relation.clone(), what };
        self.relation(kind, Arc::new(Schema::new(columns)), input.depth, span)
    }

    /// An operator that is known but not bound: what to use instead, if there is something.
    pub(super) fn refused_operator(&mut self, name: &Name) -> Bound<Table> {
        let message = format!("The operator '{}' is not supported", name.text);
        let mut diagnostic = Diagnostic::error(codes::UNSUPPORTED, name.span, message);
        let known = OPERATORS.iter().find(|operator| operator.name == name.text);
        if let Some(Support::Refused(instead)) = known.map(|operator| operator.support) {
            diagnostic = diagnostic.with_fix(instead);
        }
        self.report(diagnostic)
    }

    pub(super) fn filter(
        &mut self,
        input: &Table,
        predicate: &Expression,
        span: Span,
    ) -> Bound<Table> {
        let predicate = self.over(input.schema(), |binder| {
            let predicate = binder.scalar(predicate)?;
            binder.as_bool(predicate)
        })?;
        let kind = RelKind::Filter { input: input.relation.clone(), predicate };
        self.relation(kind, input.schema().clone(), input.depth, span)
    }

    /// Named expressions over the rows of the input; all of them are bound, so that all mistakes
    /// are found.
    fn bound_items(&mut self, input: &Table, items: &[Item]) -> Bound<Vec<Expr>> {
        let all: Vec<Bound<Expr>> = self.over(input.schema(), |binder| {
            items.iter().map(|item| binder.scalar(&item.expression)).collect()
        });
        all.into_iter().collect()
    }

    pub(super) fn project_items(
        &mut self,
        input: &Table,
        items: &[Item],
        span: Span,
    ) -> Bound<Table> {
        if let [item] = items
            && matches!(item.expression.kind, ExpressionKind::Star)
        {
            return Ok(input.clone());
        }
        let mut names = Names::default();
        let mut columns = Columns::new();
        for (item, expr) in items.iter().zip(self.bound_items(input, items)?) {
            self.assign(item, expr, &mut names, &mut columns)?;
        }
        if columns.is_empty() {
            return self.error(codes::MISSING_EXPRESSION, span, "Expected: expression");
        }
        self.project(input, columns, span)
    }

    /// `name = expression`; `(a, b) = expression` takes a dynamic array apart.
    pub(super) fn assign(
        &mut self,
        item: &Item,
        expr: Expr,
        names: &mut Names,
        columns: &mut Columns,
    ) -> Bound<()> {
        let Some((labels, values)) = tuple_values(item, &expr) else {
            if item.names.len() < 2 {
                columns.push((self.single_name(item, names)?, expr));
                return Ok(());
            }
            return self.taken_apart(item, &expr, names, columns);
        };
        // Values without a name of their own keep what they are called.
        for (at, (label, value)) in labels.into_iter().zip(values).enumerate() {
            let label = item.names.get(at).map_or(label, |given| given.text.clone());
            columns.push((names.unique(&label), value));
        }
        Ok(())
    }

    /// `(a, b) = array`.
    fn taken_apart(
        &mut self,
        item: &Item,
        expr: &Expr,
        names: &mut Names,
        columns: &mut Columns,
    ) -> Bound<()> {
        let span = item.expression.span;
        if expr.expr_type != Type::Dynamic {
            return self.error(codes::SYNTAX, span, "The expression has one value, not several");
        }
        for (at, name) in item.names.iter().enumerate() {
            let index = i64::try_from(at).unwrap_or(i64::MAX);
            columns.push((names.unique(&name.text), element(expr, index, Type::Dynamic, span)));
        }
        Ok(())
    }

    fn extend(&mut self, input: &Table, items: &[Item], span: Span) -> Bound<Table> {
        if items.is_empty() {
            return Ok(input.clone());
        }
        let mut columns = Self::columns_of(input, span);
        let exprs = self.bound_items(input, items)?;
        let mut names = Names::default();
        columns.iter().for_each(|(name, _)| names.reserve(name));
        let mut assigned = HashSet::new();
        for (item, expr) in items.iter().zip(exprs) {
            let given = match &item.names[..] {
                [] => implicit(&item.expression),
                [name] => Some(name.text.clone()),
                _ => None,
            };
            let is_new = given.as_ref().is_none_or(|given| assigned.insert(given.clone()));
            if !is_new && !item.names.is_empty() {
                let name = given.unwrap_or_default();
                let message = format!("A column with the name '{name}' is already declared");
                return self.error(codes::DUPLICATE_COLUMN, item.expression.span, message);
            }
            let replaced = given
                .filter(|_| is_new)
                .and_then(|given| columns.iter().position(|(name, _)| **name == *given));
            match replaced {
                Some(at) => columns[at].1 = expr,
                None => self.assign(item, expr, &mut names, &mut columns)?,
            }
        }
        self.project(input, columns, span)
    }

    fn distinct(&mut self, input: &Table, items: &[Item], span: Span) -> Bound<Table> {
        let chosen = self.project_items(input, items, span)?;
        let columns = Self::columns_of(&chosen, span);
        self.no_dynamic(columns.iter().map(|(_, expr)| expr))?;
        let kind = RelKind::Distinct { input: chosen.relation.clone() };
        self.relation(kind, chosen.schema().clone(), chosen.depth, span)
    }

    fn rename(&mut self, input: &Table, items: &[Item], span: Span) -> Bound<Table> {
        let mut columns = Self::columns_of(input, span);
        for item in items {
            let (ExpressionKind::Name(old), [new]) = (&item.expression.kind, &item.names[..])
            else {
                let message = "Expected: new = old";
                return self.error(codes::SYNTAX, item.expression.span, message);
            };
            let Some(at) = input.schema().position(old) else {
                let name = Name { text: old.clone(), span: item.expression.span };
                return self.no_column(&name, input.schema());
            };
            columns[at].0 = new.text.as_str().into();
        }
        let mut seen = HashSet::new();
        if let Some((name, _)) = columns.iter().find(|(name, _)| !seen.insert(name.clone())) {
            let message = format!("A column with the name '{name}' is already declared");
            return self.error(codes::DUPLICATE_COLUMN, span, message);
        }
        self.project(input, columns, span)
    }

    /// The positions of the columns that a name or wildcard means.
    fn matching(&mut self, schema: &Schema, column: &Ordered) -> Bound<Vec<usize>> {
        let expression = &column.item.expression;
        let name = match &expression.kind {
            ExpressionKind::Name(name) => name,
            ExpressionKind::Star => return Ok((0..schema.len()).collect()),
            ExpressionKind::Wildcard(pattern) => {
                let columns = schema.columns.iter().enumerate();
                let found =
                    columns.filter(|(_, column)| crate::names::matches(pattern, &column.name));
                return Ok(found.map(|(at, _)| at).collect());
            }
            _ => {
                let message = "A column name or wildcard is expected";
                return self.error(codes::SYNTAX, expression.span, message);
            }
        };
        match schema.position(name) {
            Some(at) => Ok(vec![at]),
            None if self.is_partial => Ok(Vec::new()),
            None => {
                let name = Name { text: name.clone(), span: expression.span };
                self.no_column(&name, schema)
            }
        }
    }

    /// Where only the name of a column may stand.
    fn no_column<T>(&mut self, name: &Name, schema: &Schema) -> Bound<T> {
        let known = schema.columns.iter().map(|column| &*column.name);
        self.unknown(codes::COLUMN_EXPECTED, name, "column", known)
    }

    /// `project-keep` and `project-away`.
    fn choose(
        &mut self,
        input: &Table,
        columns: &[Ordered],
        keep: bool,
        span: Span,
    ) -> Bound<Table> {
        let mut chosen = HashSet::new();
        for column in columns {
            chosen.extend(self.matching(input.schema(), column)?);
        }
        let all = Self::columns_of(input, span).into_iter().enumerate();
        let left = all.filter(|(at, _)| chosen.contains(at) == keep).map(|(_, column)| column);
        self.project(input, left.collect(), span)
    }

    fn reorder(&mut self, input: &Table, columns: &[Ordered], span: Span) -> Bound<Table> {
        let schema = input.schema().clone();
        let mut order: Vec<usize> = Vec::new();
        for column in columns {
            let mut found = self.matching(&schema, column)?;
            if let Some(descending) = column.descending {
                let name = |at: usize| &*schema.columns[at].name;
                if column.by_number {
                    found.sort_by_cached_key(|&at| by_number(name(at)));
                } else {
                    found.sort_by(|&a, &b| name(a).cmp(name(b)));
                }
                if descending {
                    found.reverse();
                }
            }
            found.retain(|at| !order.contains(at));
            order.extend(found);
        }
        order.extend((0..schema.len()).filter(|at| !order.contains(at)).collect::<Vec<_>>());
        let all = Self::columns_of(input, span);
        self.project(input, order.into_iter().map(|at| all[at].clone()).collect(), span)
    }

    fn sort(&mut self, input: &Table, keys: &[Ordered], span: Span) -> Bound<Table> {
        let mut bound = Vec::new();
        for key in keys {
            let expr = self.over(input.schema(), |binder| binder.scalar(&key.item.expression))?;
            let descending = key.descending.unwrap_or(true);
            let nulls_first = key.nulls_first.unwrap_or(!descending);
            bound.push(SortKey { expr, descending, nulls_first });
        }
        let kind = RelKind::Sort { input: input.relation.clone(), keys: bound };
        self.relation(kind, input.schema().clone(), input.depth, span)
    }

    pub(super) fn take(&mut self, input: &Table, count: &Expression, span: Span) -> Bound<Table> {
        let count = self.row_count(count)?;
        let kind = RelKind::Take { input: input.relation.clone(), count };
        self.relation(kind, input.schema().clone(), input.depth, span)
    }

    pub(super) fn row_count(&mut self, count: &Expression) -> Bound<u64> {
        let expr = self.over_nothing(|binder| binder.scalar(count))?;
        match whole(&expr) {
            Some(count) => Ok(count),
            None => {
                let message = "A constant whole number, not negative, is expected";
                self.error(codes::INTEGER_EXPECTED, count.span, message)
            }
        }
    }

    fn count(&mut self, input: &Table, span: Span) -> Bound<Table> {
        let schema = Arc::new(Schema::new(vec![Column::new("Count", Type::Long)]));
        let (input_relation, aggregates) = (input.relation.clone(), vec![count_call()]);
        let kind = RelKind::Aggregate { input: input_relation, keys: Vec::new(), aggregates };
        self.relation(kind, schema, input.depth, span)
    }

    /// `getschema` is known while binding.
    fn get_schema(&mut self, input: &Table, span: Span) -> Bound<Table> {
        let row = |(at, column): (usize, &Column)| {
            vec![
                Value::String(column.name.to_string()),
                Value::Long(i64::try_from(at).unwrap_or(i64::MAX)),
                Value::String(column.column_type.dotnet_name().to_owned()),
                Value::String(column.column_type.name().to_owned()),
            ]
        };
        let rows = input.schema().columns.iter().enumerate().map(row).collect();
        let schema = Arc::new(Schema::new(vec![
            Column::new("ColumnName", Type::String),
            Column::new("ColumnOrdinal", Type::Long),
            Column::new("DataType", Type::String),
            Column::new("ColumnType", Type::String),
        ]));
        self.relation(RelKind::Values { rows }, schema, 0, span)
    }

    /// First the expressions become columns, then these are expanded.
    pub(super) fn mv_expand(
        &mut self,
        input: &Table,
        operator: &Operator,
        items: &[Expanded],
        limit: Option<&Expression>,
    ) -> Bound<Table> {
        let span = operator.span;
        let (mut bag, mut index_name) = (BagExpansion::Bag, None);
        for setting in meaningful(operator) {
            let ExpressionKind::Name(value) = &setting.value.kind else {
                return self.unsupported(setting.value.span, "This value of a setting");
            };
            match (&*setting.name.text, &**value) {
                ("with_itemindex", name) => index_name = Some(name.to_owned()),
                ("kind" | "bagexpansion", "array") => bag = BagExpansion::Array,
                ("kind" | "bagexpansion", "bag") => {}
                (name, value) => {
                    return self.unsupported(setting.name.span, format!("{name}={value}"));
                }
            }
        }
        let (prepared, columns) = self.expanded_columns(input, items, span)?;
        let mut schema = Schema::clone(prepared.schema());
        for expansion in &columns {
            schema.columns[expansion.column].column_type = expansion.to;
        }
        let item_index = index_name.is_some();
        if let Some(name) = index_name {
            let mut names = Names::default();
            schema.columns.iter().for_each(|column| names.reserve(&column.name));
            schema.columns.push(Column::new(names.unique(&name), Type::Long));
        }
        let row_limit = limit.map(|limit| self.row_count(limit)).transpose()?;
        let input = prepared.relation.clone();
        let kind = RelKind::MvExpand { input, columns, bag, item_index, row_limit };
        self.relation(kind, Arc::new(schema), prepared.depth, span)
    }

    /// The input with every expanded expression as a column of type dynamic.
    fn expanded_columns(
        &mut self,
        input: &Table,
        items: &[Expanded],
        span: Span,
    ) -> Bound<(Table, Vec<Expansion>)> {
        let mut columns = Self::columns_of(input, span);
        let mut names = Names::default();
        columns.iter().for_each(|(name, _)| names.reserve(name));
        let mut expansions = Vec::new();
        for Expanded { item, to } in items {
            let expr = self.over(input.schema(), |binder| binder.scalar(&item.expression))?;
            if expr.expr_type != Type::Dynamic {
                let message = format!(
                    "mv-expand: a value of type dynamic is expected, not {}",
                    expr.expr_type
                );
                return self.error(codes::OTHER_TYPE, item.expression.span, message);
            }
            let own = match &item.names[..] {
                [] => implicit(&item.expression),
                [name] => Some(name.text.clone()),
                _ => None,
            };
            let own = own.and_then(|name| input.schema().position(&name));
            let column = match own {
                Some(at) => {
                    columns[at].1 = expr;
                    at
                }
                None => {
                    self.assign(item, expr, &mut names, &mut columns)?;
                    columns.len() - 1
                }
            };
            expansions.push(Expansion { column, to: to.unwrap_or(Type::Dynamic) });
        }
        if expansions.is_empty() {
            return self.error(codes::MISSING_EXPRESSION, span, "Expected: expression");
        }
        Ok((self.project(input, columns, span)?, expansions))
    }

    fn parse(
        &mut self,
        input: &Table,
        operator: &Operator,
        source: &Expression,
        pattern: &[PatternPart],
    ) -> Bound<Table> {
        let (mode, flags) = self.parse_settings(operator)?;
        let source = self.over(input.schema(), |binder| {
            let source = binder.scalar(source)?;
            Ok(convert(source, Type::String))
        })?;
        let mut captures = Vec::new();
        let mut parts = Vec::new();
        for part in pattern {
            parts.push(match part {
                PatternPart::Literal(text) => ParsePart::Literal(text.clone()),
                PatternPart::Skip => ParsePart::Skip,
                PatternPart::Capture(name, to) => {
                    captures.push((name.text.clone(), *to));
                    ParsePart::Capture(*to)
                }
            });
        }
        let own = input.schema().columns.clone();
        let mut names = Names::default();
        own.iter().for_each(|column| names.reserve(&column.name));
        let mut all = own.clone();
        all.extend(captures.iter().map(|(name, to)| Column::new(names.unique(name), *to)));
        let drop_unmatched = operator.name.text == "parse-where";
        let input_relation = input.relation.clone();
        let kind =
            RelKind::Parse { input: input_relation, source, mode, flags, parts, drop_unmatched };
        let parsed = self.relation(kind, Arc::new(Schema::new(all)), input.depth, operator.span)?;
        self.captured_in_place(&parsed, own.len(), &captures, operator.span)
    }

    /// A capture of a name that exists takes the place of that column.
    fn captured_in_place(
        &mut self,
        parsed: &Table,
        own: usize,
        captures: &[(String, Type)],
        span: Span,
    ) -> Bound<Table> {
        let mut columns = Self::columns_of(parsed, span);
        let mut replaced = Vec::new();
        for (at, (name, _)) in captures.iter().enumerate() {
            if let Some(place) = columns[..own].iter().position(|(own, _)| **own == **name) {
                columns[place].1 = columns[own + at].1.clone();
                replaced.push(own + at);
            }
        }
        if replaced.is_empty() {
            return Ok(parsed.clone());
        }
        let kept = columns.into_iter().enumerate().filter(|(at, _)| !replaced.contains(at));
        self.project(parsed, kept.map(|(_, column)| column).collect(), span)
    }

    fn parse_settings(&mut self, operator: &Operator) -> Bound<(ParseMode, String)> {
        let (mut mode, mut flags) = (ParseMode::Simple, String::new());
        for setting in meaningful(operator) {
            let ExpressionKind::Name(value) = &setting.value.kind else {
                return self.unsupported(setting.value.span, "This value of a setting");
            };
            match (&*setting.name.text, &**value) {
                ("kind", "simple") => {}
                ("kind", "regex") => mode = ParseMode::Regex,
                ("kind", "relaxed") => mode = ParseMode::Relaxed,
                ("flags", given) => flags = given.to_owned(),
                (name, value) => {
                    return self.unsupported(setting.name.span, format!("{name}={value}"));
                }
            }
        }
        Ok((mode, flags))
    }

    /// `invoke f(arguments)`: the input is the first argument.
    fn invoke(&mut self, input: &Table, call: &Expression) -> Bound<Table> {
        let ExpressionKind::Call { name, arguments } = &call.kind else {
            return self.error(codes::SYNTAX, call.span, "Expected: function call");
        };
        let Some(Variable::Lambda(lambda)) = self.scope.find(&name.text).cloned() else {
            let known = self.scope.names();
            return self.unknown(
                codes::UNKNOWN_FUNCTION,
                name,
                "function that a let defines",
                known.iter().map(String::as_str),
            );
        };
        let called = self.over_nothing(|binder| {
            binder.call_lambda(&lambda, arguments, Some(input.clone()), call.span)
        })?;
        match called {
            super::Entity::Table(table) => Ok(table),
            super::Entity::Scalar(_) => {
                self.error(codes::WRONG_TYPE, call.span, "The function does not return a table")
            }
        }
    }
}

/// The names and values of a call that has several values.
pub(super) fn tuple_values(item: &Item, expr: &Expr) -> Option<(Vec<String>, Vec<Expr>)> {
    let ExpressionKind::Call { name, arguments } = &item.expression.kind else { return None };
    let ExprKind::Call { function, args } = &expr.kind else { return None };
    let span = item.expression.span;
    let of = |argument: &Item| super::naming::implicit(&argument.expression).unwrap_or_default();
    if matches!(function, Function::ArraySortAsc | Function::ArraySortDesc) {
        let arrays = args.iter().filter(|arg| arg.expr_type == Type::Dynamic).count();
        if arrays < 2 {
            return None;
        }
        let labels =
            arguments.iter().take(arrays).enumerate().map(|(at, argument)| match of(argument) {
                name if name.is_empty() => format!("array{at}_sorted"),
                name => format!("{name}_sorted"),
            });
        let values = (0i64..).take(arrays).map(|at| element(expr, at, Type::Dynamic, span));
        return Some((labels.collect(), values.collect()));
    }
    let values = crate::function::tuple::values(*function)?;
    let series = arguments.first().map(of).unwrap_or_default();
    let labels = values.iter().map(|(label, _)| format!("{}_{series}_{label}", name.text));
    let exprs = (0i64..).zip(values).map(|(at, (_, to))| element(expr, at, *to, span));
    Some((labels.collect(), exprs.collect()))
}

/// An element of a dynamic array.
fn element(array: &Expr, at: i64, to: Type, span: Span) -> Expr {
    let path = vec![PathStep::Index(at)];
    let kind = ExprKind::Member { object: Box::new(array.clone()), path };
    convert(Expr { kind, expr_type: Type::Dynamic, span }, to)
}

/// Settings that change the result; hints only say how to come by it.
pub(super) fn meaningful(operator: &Operator) -> impl Iterator<Item = &Setting> {
    operator.settings.iter().filter(|setting| !setting.name.text.starts_with("hint."))
}

/// Orders names with the numbers in them as numbers: `a9` before `a10`.
fn by_number(name: &str) -> String {
    const WIDTH: usize = 20;
    let mut key = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let taken = digits.max(first.len_utf8());
        key.extend(std::iter::repeat_n(
            '0',
            if digits == 0 { 0 } else { WIDTH.saturating_sub(digits) },
        ));
        key.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    key
}
