//! Operators with a sub-query over handed-in rows, and `project-by-names`.

use std::sync::Arc;

use super::{Binder, Bound, Table};
use crate::syntax::{Expanded, Expression, ExpressionKind, Item, Name, Operator, Pipeline};
use crate::{Column, Expr, RelKind, Schema, Span, Value, codes};

impl Binder<'_> {
    /// `mv-apply items on (subquery)`.
    pub(super) fn mv_apply(
        &mut self,
        input: &Table,
        operator: &Operator,
        (items, limit): (&[Expanded], Option<&Expression>),
        on: &Pipeline,
    ) -> Bound<Table> {
        let expanded = self.mv_expand(input, operator, items, limit)?;
        let rows = self.rows_of(expanded.schema(), on.span)?;
        let subquery = self.subquery(rows, on)?;
        let RelKind::MvExpand { columns: expansions, .. } = &expanded.relation.kind else {
            return Err(super::Reported);
        };
        // An expanded column is the sub-query's from here on.
        let outer: Vec<usize> = (0..input.schema().len())
            .filter(|at| expansions.iter().all(|expansion| expansion.column != *at))
            .collect();
        let kept = |at: &usize| input.schema().columns[*at].clone();
        let mut columns: Vec<Column> = outer.iter().map(kept).collect();
        let is_outer = |name: &str| columns.iter().any(|column| &*column.name == name);
        let inner: Vec<usize> = (0..subquery.schema().len())
            .filter(|&at| !is_outer(&subquery.schema().columns[at].name))
            .collect();
        columns.extend(inner.iter().map(|&at| subquery.schema().columns[at].clone()));
        let depth = expanded.depth.max(subquery.depth);
        let kind = RelKind::Apply {
            input: input.relation.clone(),
            expanded: expanded.relation,
            subquery: subquery.relation,
            outer,
            inner,
        };
        self.relation(kind, Arc::new(Schema::new(columns)), depth, operator.span)
    }

    /// `partition by key (subquery)`.
    pub(super) fn partition(
        &mut self,
        input: &Table,
        operator: &Operator,
        key: &Name,
        pipeline: &Pipeline,
    ) -> Bound<Table> {
        let Some(at) = input.schema().position(&key.text) else {
            return self.unknown_column(key, input.schema());
        };
        let key = Expr::column(at, input.schema().columns[at].column_type, key.span);
        let rows = self.rows_of(input.schema(), pipeline.span)?;
        let subquery = self.subquery(rows, pipeline)?;
        let (schema, depth) = (subquery.schema().clone(), input.depth.max(subquery.depth));
        let (input, subquery) = (input.relation.clone(), subquery.relation);
        self.relation(RelKind::Partition { input, key, subquery }, schema, depth, operator.span)
    }

    /// `project-by-names 'a', dynamic(['b']), column_names_of(T)`.
    pub(super) fn by_names(&mut self, input: &Table, items: &[Item], span: Span) -> Bound<Table> {
        let mut names = Vec::new();
        for item in items {
            self.listed_names(&item.expression, &mut names)?;
        }
        let all = Self::columns_of(input, span);
        let mut columns = Vec::new();
        for name in names {
            for (known, expr) in &all {
                let chosen = columns.iter().any(|(chosen, _)| chosen == known);
                if crate::names::matches(&name.text, known) && !chosen {
                    columns.push((known.clone(), expr.clone()));
                }
            }
        }
        self.project(input, columns, span)
    }

    fn listed_names(&mut self, expression: &Expression, names: &mut Vec<Name>) -> Bound<()> {
        let span = expression.span;
        if let ExpressionKind::Call { name, arguments } = &expression.kind
            && name.text == "column_names_of"
            && let [of] = &arguments[..]
        {
            let table = self.table(&of.expression)?;
            let columns = table.schema().columns.iter();
            names.extend(columns.map(|column| Name { text: column.name.to_string(), span }));
            return Ok(());
        }
        let expr = self.over_nothing(|binder| binder.scalar(expression))?;
        match expr.as_literal() {
            Some(Value::String(text)) => names.push(Name { text: text.clone(), span }),
            Some(Value::Dynamic(json)) => {
                let listed: Vec<String> = serde_json::from_str(json).unwrap_or_default();
                names.extend(listed.into_iter().map(|text| Name { text, span }));
            }
            _ => return self.error(codes::CONSTANT_EXPECTED, span, "A constant is expected"),
        }
        Ok(())
    }
}
