//! `evaluate`: plugins.

use std::sync::Arc;

use super::coerce::convert;
use super::naming::{Names, implicit};
use super::{Binder, Bound, Reported, Table};
use crate::syntax::{Expression, ExpressionKind, Item, Name, OutputSchema, Shape};
use crate::{
    AddressLookup, Aggregate, BagExpansion, Column, Expansion, Expr, ExprKind, FoundColumn,
    Function, Gathering, PLUGINS, PathStep, RelKind, Schema, SortKey, Span, Support, Type, Value,
    codes,
};

/// Most columns that data may add to a row type.
const COLUMNS_MAX: usize = 4_096;

/// Plugins that are known by their row type only: what stands before the columns of the input.
const FOREIGN: [(&str, &str); 3] = [
    ("autocluster", "SegmentId:long, Count:long, Percent:real"),
    ("basket", "SegmentId:long, Count:long, Percent:real"),
    (
        "diffpatterns",
        "SegmentId:long, CountA:long, CountB:long, PercentA:real, PercentB:real, PercentDiffAB:real",
    ),
];

/// Such plugins over users and time: arguments before the dimensions, and what stands behind the time
/// and the dimensions.
const TIMELINES: [(&str, usize, &str); 3] = [
    (
        "activity_engagement",
        6,
        "dcount_activities_inner:long, dcount_activities_outer:long, activity_ratio:real",
    ),
    ("session_count", 6, "count_sessions:long"),
    ("funnel_sequence", 8, "prev:string, next:string, dcount:long, samples:dynamic"),
];

/// A plugin's call.
pub(super) struct Plugin<'e> {
    pub(super) name: &'e Name,
    pub(super) arguments: &'e [Item],
    pub(super) span: Span,
}

impl<'e> Plugin<'e> {
    /// The argument of this name, or the one at this place.
    fn argument(&self, name: &str, at: usize) -> Option<&'e Expression> {
        let unnamed = || self.arguments.get(at).filter(|item| item.names.is_empty());
        self.named(name).or_else(|| unnamed().map(|item| &item.expression))
    }

    /// The argument of this name.
    pub(super) fn named(&self, name: &str) -> Option<&'e Expression> {
        let named = self.arguments.iter().find(|item| item.names.iter().any(|n| n.text == name));
        named.map(|item| &item.expression)
    }

    pub(super) fn positional(&self) -> impl Iterator<Item = &'e Expression> + use<'e> {
        let unnamed = self.arguments.iter().filter(|item| item.names.is_empty());
        unnamed.map(|item| &item.expression)
    }
}

impl Binder<'_> {
    pub(super) fn evaluate(
        &mut self,
        input: Option<&Table>,
        call: &Expression,
        schema: Option<&OutputSchema>,
    ) -> Bound<Table> {
        let ExpressionKind::Call { name, arguments } = &call.kind else {
            return self.error(codes::SYNTAX, call.span, "Expected: a plugin's call");
        };
        let plugin = Plugin { name, arguments, span: call.span };
        let what = format!("The plugin '{}'", name.text);
        let Some(input) = input else {
            return self.unsupported(call.span, what);
        };
        match &*name.text {
            "bag_unpack" => self.bag_unpack(input, &plugin, schema),
            "pivot" => self.pivot(input, &plugin, schema),
            "narrow" => self.narrow(input, call.span),
            "ipv4_lookup" | "ipv6_lookup" => self.address_lookup(input, &plugin),
            "dcount_intersect" => self.dcount_intersect(input, &plugin),
            "python" | "r" => self.script(input, &plugin),
            "geo_polygon_lookup" | "geo_line_lookup" => self.shape_lookup(input, &plugin),
            written if Self::is_written(written) => self.written(input, &plugin),
            "activity_metrics" | "new_activity_metrics" => self.activity(input, &plugin),
            known if TIMELINES.iter().any(|(timeline, ..)| *timeline == known) => {
                self.timeline(input, &plugin)
            }
            known if FOREIGN.iter().any(|(foreign, _)| *foreign == known) => {
                let columns = FOREIGN.iter().find(|(foreign, _)| *foreign == known);
                let mut all = columns_of_text(columns.map_or("", |(_, columns)| columns));
                all.extend(input.schema().columns.iter().cloned());
                self.foreign(input, all, &plugin)
            }
            _ => {
                let mut diagnostic = crate::Diagnostic::error(
                    codes::UNSUPPORTED,
                    name.span,
                    format!("{what} is not supported"),
                );
                let known = PLUGINS.iter().find(|plugin| *plugin.name == *name.text);
                let runs = PLUGINS.iter().filter(|plugin| plugin.support == Support::Full);
                let near = crate::names::nearest(&name.text, runs.map(|plugin| plugin.name));
                if let Some(Support::Refused(why)) = known.map(|plugin| plugin.support) {
                    diagnostic = diagnostic.with_fix(why.to_owned());
                } else if let Some(near) = near {
                    diagnostic =
                        diagnostic.with_fix(format!("the nearest that is known is '{near}'"));
                }
                self.report(diagnostic)
            }
        }
    }

    fn foreign(
        &mut self,
        input: &Table,
        columns: Vec<Column>,
        plugin: &Plugin<'_>,
    ) -> Bound<Table> {
        let known = PLUGINS.iter().find(|known| *known.name == *plugin.name.text);
        let what = match known.map(|known| known.support) {
            Some(Support::Refused(why)) => format!("the plugin '{}' ({why})", plugin.name.text),
            _ => format!("the plugin '{}'", plugin.name.text),
        };
        let kind = RelKind::Foreign { input: input.relation.clone(), what };
        self.relation(kind, Arc::new(Schema::new(columns)), input.depth, plugin.span)
    }

    /// `python(typeof(*, x:real), …)`.
    fn script(&mut self, input: &Table, plugin: &Plugin<'_>) -> Bound<Table> {
        let Some(ExpressionKind::TypeOf(Shape::Table(columns))) =
            plugin.argument("output_schema", 0).map(|argument| &argument.kind)
        else {
            return self.unsupported(plugin.span, format!("The plugin '{}'", plugin.name.text));
        };
        let mut all = input.schema().columns.clone();
        for (name, column_type) in columns {
            all.retain(|column| *column.name != *name.text);
            all.push(Column::new(name.text.as_str(), *column_type));
        }
        self.foreign(input, all, plugin)
    }

    /// Plugins over users and time: the time comes first, then the dimensions.
    fn timeline(&mut self, input: &Table, plugin: &Plugin<'_>) -> Bound<Table> {
        let known = TIMELINES.iter().find(|(name, ..)| **name == *plugin.name.text);
        let (least, values) = known.map_or((0, ""), |(_, least, values)| (*least, *values));
        let given: Vec<&Expression> = plugin.positional().collect();
        if given.len() < least {
            let expected = (least, usize::MAX);
            return self.wrong_count(&plugin.name.text, expected, given.len(), plugin.span);
        }
        let mut all = Vec::new();
        for column in given.iter().skip(1).take(1).chain(&given[least..]) {
            let expr = self.over(input.schema(), |binder| binder.scalar(column))?;
            all.push(Column::new(implicit(column).unwrap_or_default(), expr.expr_type));
        }
        all.extend(columns_of_text(values));
        self.foreign(input, all, plugin)
    }

    /// What the data say about the columns of the plugin at hand; asks for it if nobody has. None
    /// where nobody can answer.
    fn found(
        &mut self,
        question: impl FnOnce(&mut Self) -> Bound<Table>,
    ) -> Bound<Option<Vec<FoundColumn>>> {
        let Some(found) = self.found else {
            self.is_partial = true;
            return Ok(None);
        };
        let at = self.asked;
        self.asked += 1;
        if let Some(columns) = found.get(at) {
            return Ok(Some(columns.clone()));
        }
        let question = question(self)?;
        self.open.get_or_insert(question.relation);
        Err(Reported)
    }

    pub(super) fn column_argument(
        &mut self,
        input: &Table,
        argument: Option<&Expression>,
        plugin: &Plugin<'_>,
    ) -> Bound<usize> {
        let Some(argument) = argument else {
            return self.wrong_count(
                &plugin.name.text,
                (1, usize::MAX),
                plugin.arguments.len(),
                plugin.span,
            );
        };
        let expr = self.over(input.schema(), |binder| binder.scalar(argument))?;
        match expr.kind {
            ExprKind::Column(at) => Ok(at),
            _ => self.error(codes::WRONG_TYPE, argument.span, "A column is expected"),
        }
    }

    pub(super) fn constant_argument(
        &mut self,
        argument: Option<&Expression>,
    ) -> Bound<Option<Value>> {
        let Some(argument) = argument else { return Ok(None) };
        let expr = self.over_nothing(|binder| binder.scalar(argument))?;
        match expr.as_literal() {
            Some(value) => Ok(Some(value.clone())),
            None => self.error(codes::CONSTANT_EXPECTED, argument.span, "A constant is expected"),
        }
    }

    /// `bag_unpack(column, prefix, columnsConflict, ignoredProperties)`.
    fn bag_unpack(
        &mut self,
        input: &Table,
        plugin: &Plugin<'_>,
        schema: Option<&OutputSchema>,
    ) -> Bound<Table> {
        let span = plugin.span;
        let bag = self.column_argument(input, plugin.argument("Column", 0), plugin)?;
        if input.schema().columns[bag].column_type != Type::Dynamic {
            return self.error(
                codes::WRONG_TYPE,
                span,
                "bag_unpack: a column of type dynamic is expected",
            );
        }
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let prefix = text(self.constant_argument(plugin.argument("OutputColumnPrefix", 1))?);
        let conflict = text(self.constant_argument(plugin.argument("columnsConflict", 2))?);
        let ignored = match self.constant_argument(plugin.argument("ignoredProperties", 3))? {
            Some(Value::Dynamic(json)) => serde_json::from_str(&json).unwrap_or_default(),
            _ => Vec::<String>::new(),
        };
        let members: Vec<(String, Type)> = match schema {
            Some(schema) => {
                let given = schema.columns.iter();
                given.map(|(name, of)| (name.text.clone(), *of)).collect()
            }
            None => {
                let found = self.found(|binder| binder.members_of(input, bag, span))?;
                let found = found.unwrap_or_default().into_iter();
                let kept = found.filter(|column| !ignored.contains(&column.name));
                kept.map(|column| (format!("{prefix}{}", column.name), column.column_type))
                    .collect()
            }
        };
        let mut columns = Self::columns_of(input, span);
        let (_, object) = columns.remove(bag);
        if schema.is_some_and(|schema| !schema.with_input) {
            columns.clear();
        }
        for (name, column_type) in members {
            let key = name.strip_prefix(&*prefix).unwrap_or(&name);
            let path = vec![PathStep::Key(key.into())];
            let kind = ExprKind::Member { object: Box::new(object.clone()), path };
            let value = convert(Expr { kind, expr_type: Type::Dynamic, span }, column_type);
            match columns.iter().position(|(own, _)| **own == *name) {
                None => columns.push((name.into(), value)),
                Some(_) if conflict == "keep_source" => {}
                Some(at) if conflict == "replace_source" => {
                    columns.remove(at);
                    columns.push((name.into(), value));
                }
                Some(_) => {
                    let message = format!("bag_unpack: the column '{name}' is there already");
                    return self.report(
                        crate::Diagnostic::error(codes::DUPLICATE_COLUMN, span, message)
                            .with_fix("say columnsConflict='keep_source' or 'replace_source'"),
                    );
                }
            }
        }
        if columns.len() > COLUMNS_MAX {
            return self.error(codes::TOO_DEEP, span, "bag_unpack: too many columns");
        }
        self.project(input, columns, span)
    }

    /// Names and types of the members of a bag in all rows.
    fn members_of(&mut self, input: &Table, bag: usize, span: Span) -> Bound<Table> {
        let column = Expr::column(bag, Type::Dynamic, span);
        let bags = self.project(input, vec![("bag".into(), column)], span)?;
        let kind = RelKind::MvExpand {
            input: bags.relation.clone(),
            columns: vec![Expansion { column: 0, to: Type::Dynamic }],
            bag: BagExpansion::Array,
            item_index: false,
            row_limit: None,
        };
        let pairs = self.relation(kind, bags.schema().clone(), bags.depth, span)?;
        let part = |at: i64| {
            let object = Box::new(Expr::column(0, Type::Dynamic, span));
            let kind = ExprKind::Member { object, path: vec![PathStep::Index(at)] };
            Expr { kind, expr_type: Type::Dynamic, span }
        };
        let of = ExprKind::Call { function: Function::GetType, args: vec![part(1)] };
        let columns = vec![
            ("name".into(), convert(part(0), Type::String)),
            ("type".into(), Expr { kind: of, expr_type: Type::String, span }),
        ];
        let pairs = self.project(&pairs, columns, span)?;
        self.sorted_distinct(pairs, span)
    }

    fn sorted_distinct(&mut self, table: Table, span: Span) -> Bound<Table> {
        let schema = table.schema().clone();
        let distinct = RelKind::Distinct { input: table.relation.clone() };
        let distinct = self.relation(distinct, schema.clone(), table.depth, span)?;
        let expr = Expr::column(0, Type::String, span);
        let keys = vec![SortKey { expr, descending: false, nulls_first: true }];
        let kind = RelKind::Sort { input: distinct.relation.clone(), keys };
        self.relation(kind, schema, distinct.depth, span)
    }

    /// `pivot(column, aggregate, columns…)`.
    fn pivot(
        &mut self,
        input: &Table,
        plugin: &Plugin<'_>,
        schema: Option<&OutputSchema>,
    ) -> Bound<Table> {
        let span = plugin.span;
        let pivot = self.column_argument(input, plugin.argument("pivotColumn", 0), plugin)?;
        let count = Expression::new(
            ExpressionKind::Call {
                name: Name { text: "count".to_owned(), span },
                arguments: Vec::new(),
            },
            span,
        );
        let mut rest: Vec<&Expression> = plugin.positional().skip(1).collect();
        let is_aggregate = |e: &Expression| matches!(&e.kind, ExpressionKind::Call { name, .. } if Aggregate::from_name(&name.text).is_some());
        let aggregate = match rest.first() {
            Some(first) if is_aggregate(first) => rest.remove(0).clone(),
            _ => count,
        };
        let mut names = Names::default();
        let mut keys = self.pivot_keys(input, plugin, pivot, (&aggregate, rest), &mut names)?;
        let label = Expr::column(pivot, input.schema().columns[pivot].column_type, span);
        let label = convert(label, Type::String);
        let key_count = keys.len();
        let mut columns: Vec<Column> =
            keys.iter().map(|(name, expr)| Column::new(name.clone(), expr.expr_type)).collect();
        let labels = match schema {
            Some(schema) => schema
                .columns
                .iter()
                .skip(if schema.with_input { 0 } else { key_count })
                .map(|(name, _)| name.text.clone())
                .collect(),
            None => {
                let found = self.found(|binder| {
                    let columns = vec![
                        ("name".into(), label.clone()),
                        (
                            "type".into(),
                            Expr::literal(Value::String("string".to_owned()), Type::String, span),
                        ),
                    ];
                    let labels = binder.project(input, columns, span)?;
                    binder.sorted_distinct(labels, span)
                })?;
                found.unwrap_or_default().into_iter().map(|column| column.name).collect::<Vec<_>>()
            }
        };
        if labels.len() > COLUMNS_MAX {
            return self.error(codes::TOO_DEEP, span, "pivot: too many columns");
        }
        keys.push(("$label".into(), label));
        let item = Item { names: Vec::new(), expression: aggregate.clone() };
        let grouped = self.grouped(input, keys, &[item], &mut names, span)?;
        let value_type = grouped.schema().columns[key_count + 1].column_type;
        columns.extend(labels.iter().map(|label| Column::new(names.unique(label), value_type)));
        let work =
            Gathering::Pivot { keys: key_count, labels, absent: absent(&aggregate, value_type) };
        let kind = RelKind::Gathered { inputs: vec![grouped.relation.clone()], work };
        self.relation(kind, Arc::new(Schema::new(columns)), grouped.depth, span)
    }

    /// The columns named, or all that are neither pivoted nor aggregated.
    fn pivot_keys(
        &mut self,
        input: &Table,
        plugin: &Plugin<'_>,
        pivot: usize,
        (aggregate, named): (&Expression, Vec<&Expression>),
        names: &mut Names,
    ) -> Bound<Vec<(Arc<str>, Expr)>> {
        let span = plugin.span;
        let mut chosen = Vec::new();
        for column in &named {
            chosen.push(self.column_argument(input, Some(column), plugin)?);
        }
        if named.is_empty() {
            let mut used = Vec::new();
            aggregate_names(aggregate, &mut used);
            let columns = input.schema().columns.iter().enumerate();
            let left =
                columns.filter(|(at, column)| *at != pivot && !used.contains(&&*column.name));
            chosen = left.map(|(at, _)| at).collect();
        }
        let key = |at: usize| {
            let column = &input.schema().columns[at];
            (names.unique(&column.name), Expr::column(at, column.column_type, span))
        };
        Ok(chosen.into_iter().map(key).collect())
    }

    /// `narrow()`: a row for each cell.
    fn narrow(&mut self, input: &Table, span: Span) -> Bound<Table> {
        let text = |text: &str| Expr::literal(Value::String(text.to_owned()), Type::String, span);
        let pack = |args: Vec<Expr>| Expr {
            kind: ExprKind::Call { function: Function::PackArray, args },
            expr_type: Type::Dynamic,
            span,
        };
        let cells = Self::columns_of(input, span)
            .into_iter()
            .map(|(name, cell)| pack(vec![text(&name), convert(cell, Type::String)]));
        let first = vec![Expr::literal(Value::Long(0), Type::Long, span)];
        let kind = ExprKind::Call { function: Function::RowNumber, args: first };
        let number = Expr { kind, expr_type: Type::Long, span };
        let columns = vec![("Row".into(), number), ("cells".into(), pack(cells.collect()))];
        let packed = self.project(input, columns, span)?;
        let kind = RelKind::MvExpand {
            input: packed.relation.clone(),
            columns: vec![Expansion { column: 1, to: Type::Dynamic }],
            bag: BagExpansion::Bag,
            item_index: false,
            row_limit: None,
        };
        let expanded = self.relation(kind, packed.schema().clone(), packed.depth, span)?;
        let part = |at: i64| {
            let object = Box::new(Expr::column(1, Type::Dynamic, span));
            let kind = ExprKind::Member { object, path: vec![PathStep::Index(at)] };
            convert(Expr { kind, expr_type: Type::Dynamic, span }, Type::String)
        };
        let columns = vec![
            ("Row".into(), Expr::column(0, Type::Long, span)),
            ("Column".into(), part(0)),
            ("Value".into(), part(1)),
        ];
        self.project(&expanded, columns, span)
    }

    /// `ipv4_lookup(table, address, range, keys…, return_unmatched = false)`.
    fn address_lookup(&mut self, input: &Table, plugin: &Plugin<'_>) -> Bound<Table> {
        let span = plugin.span;
        let Some(table) = plugin.argument("LookupTable", 0) else {
            return self.wrong_count(
                &plugin.name.text,
                (3, usize::MAX),
                plugin.arguments.len(),
                span,
            );
        };
        let right = self.table(table)?;
        let address = self.column_argument(input, plugin.argument("SourceIPv4Key", 1), plugin)?;
        let range = self.column_argument(&right, plugin.argument("IPv4LookupKey", 2), plugin)?;
        let mut keys = Vec::new();
        for key in plugin.positional().skip(3) {
            if matches!(key.kind, ExpressionKind::Literal(..)) {
                continue;
            }
            let left = self.column_argument(input, Some(key), plugin)?;
            keys.push((left, self.column_argument(&right, Some(key), plugin)?));
        }
        let unmatched = plugin
            .arguments
            .iter()
            .find(|item| item.names.iter().any(|n| n.text == "return_unmatched"));
        let unmatched = self.constant_argument(unmatched.map(|item| &item.expression))?;
        let mut names = Names::default();
        let both = input.schema().columns.iter().chain(&right.schema().columns);
        let columns =
            both.map(|column| Column::new(names.unique(&column.name), column.column_type));
        let columns = columns.collect();
        let work = Gathering::AddressLookup(AddressLookup {
            is_v6: plugin.name.text == "ipv6_lookup",
            address,
            range,
            keys,
            keep_unmatched: unmatched == Some(Value::Bool(true)),
        });
        let depth = input.depth.max(right.depth);
        let inputs = vec![input.relation.clone(), right.relation];
        let kind = RelKind::Gathered { inputs, work };
        self.relation(kind, Arc::new(Schema::new(columns)), depth, span)
    }

    /// `dcount_intersect(hll, …)`: counts of what the first, the first two … have in common.
    fn dcount_intersect(&mut self, input: &Table, plugin: &Plugin<'_>) -> Bound<Table> {
        let span = plugin.span;
        let mut columns = Self::columns_of(input, span);
        let mut names = Names::default();
        columns.iter().for_each(|(name, _)| names.reserve(name));
        let mut sets: Vec<Expr> = Vec::new();
        for argument in plugin.positional() {
            let at = self.column_argument(input, Some(argument), plugin)?;
            sets.push(Expr::column(at, Type::Dynamic, span));
            let common = ExprKind::Call { function: Function::SetIntersect, args: sets.clone() };
            let common = Expr { kind: common, expr_type: Type::Dynamic, span };
            let count = ExprKind::Call { function: Function::DcountHll, args: vec![common] };
            let name = names.unique(&format!("s{}", sets.len() - 1));
            columns.push((name, Expr { kind: count, expr_type: Type::Long, span }));
        }
        self.project(input, columns, span)
    }
}

/// `name:type, name:type` as columns.
fn columns_of_text(text: &str) -> Vec<Column> {
    let parts = text.split(", ").filter_map(|column| column.split_once(':'));
    parts.filter_map(|(name, of)| Some(Column::new(name.trim(), Type::from_name(of)?))).collect()
}

/// Columns that an aggregate is over.
fn aggregate_names<'e>(expression: &'e Expression, names: &mut Vec<&'e str>) {
    match &expression.kind {
        ExpressionKind::Name(name) => names.push(name),
        ExpressionKind::Call { arguments, .. } => {
            arguments.iter().for_each(|item| aggregate_names(&item.expression, names));
        }
        ExpressionKind::Binary(_, left, right) => {
            aggregate_names(left, names);
            aggregate_names(right, names);
        }
        _ => {}
    }
}

/// Counts and sums of nothing are zero; anything else of nothing is null.
fn absent(aggregate: &Expression, value_type: Type) -> Value {
    let ExpressionKind::Call { name, .. } = &aggregate.kind else { return Value::Null };
    let counts = matches!(
        Aggregate::from_name(&name.text),
        Some(
            Aggregate::Count
                | Aggregate::CountIf
                | Aggregate::Sum
                | Aggregate::SumIf
                | Aggregate::Dcount
                | Aggregate::CountDistinct
        )
    );
    match (counts, value_type) {
        (true, Type::Long) => Value::Long(0),
        (true, Type::Int) => Value::Int(0),
        (true, Type::Real) => Value::Real(0.0),
        _ => Value::Null,
    }
}
