//! `parse` and `parse-where`: the pattern becomes one regular expression.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use kql::{ParseMode, ParsePart, Relation, Type};

use super::expr::check_regex;
use super::{Query, column, name, project, types};
use crate::call::{Call, Compute};
use crate::cell::Cell;
use crate::convert::convert;
use crate::error::{IntoOutcome, Outcome};
use crate::json;
use crate::kernels::Scratch;

/// A pattern and how it matches.
pub(super) struct Pattern<'p> {
    pub(super) mode: ParseMode,
    pub(super) flags: &'p str,
    pub(super) parts: &'p [ParsePart],
    pub(super) drop_unmatched: bool,
}

impl Pattern<'_> {
    fn captures(&self) -> Vec<Type> {
        let captured = self.parts.iter().filter_map(|part| match part {
            ParsePart::Capture(kusto) => Some(*kusto),
            _ => None,
        });
        captured.collect()
    }

    /// Captures take as little as they can; a last one takes the rest.
    fn regex(&self) -> String {
        let mut out = String::from("(?s");
        out.extend(self.flags.chars().filter(|flag| "imsUx".contains(*flag)));
        out.push_str(")^");
        let last = self.parts.len().saturating_sub(1);
        for (position, part) in self.parts.iter().enumerate() {
            match part {
                ParsePart::Literal(text) if self.mode == ParseMode::Regex => {
                    out.push_str(&format!("(?:{text})"));
                }
                ParsePart::Literal(text) => out.push_str(&regex::escape(text)),
                // What a last skip matches does not matter.
                ParsePart::Skip if position == last => {}
                ParsePart::Skip => {
                    out.push_str(if self.flags.contains('U') { ".*" } else { ".*?" })
                }
                ParsePart::Capture(kusto) => {
                    let is_open = matches!(self.parts.get(position + 1), Some(ParsePart::Skip));
                    let number = match kusto {
                        Type::Int | Type::Long => Some("[-+]?[0-9]+"),
                        Type::Real | Type::Decimal => Some("[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"),
                        _ => None,
                    };
                    // Flag U turns greed round; captures stay as short as they can be.
                    let is_swapped = self.flags.contains('U');
                    let shortest = if is_swapped { ".*" } else { ".*?" };
                    let longest = if is_swapped { ".*?" } else { ".*" };
                    out.push_str(&match number {
                        Some(number) if is_open => format!("(?P<c{position}>{number}|{shortest})"),
                        _ if position == last => format!("(?P<c{position}>{longest})"),
                        _ => format!("(?P<c{position}>{shortest})"),
                    });
                }
            }
        }
        if matches!(self.parts.last(), Some(ParsePart::Capture(_))) && self.mode != ParseMode::Regex
        {
            out.push('$');
        }
        out
    }

    fn group_names(&self) -> Vec<String> {
        let parts = self.parts.iter().enumerate();
        parts
            .filter(|(_, part)| matches!(part, ParsePart::Capture(_)))
            .map(|(position, _)| format!("c{position}"))
            .collect()
    }
}

impl Query {
    pub(super) fn parse(
        &self,
        input: &Arc<Relation>,
        source: &kql::Expr,
        pattern: &Pattern<'_>,
    ) -> Outcome<LogicalPlan> {
        let count = types(input).len();
        let captures = pattern.captures();
        let text = pattern.regex();
        let regex = check_regex(&text)?;
        let names = pattern.group_names();
        let is_strict = pattern.mode != ParseMode::Relaxed;
        let wanted = captures.clone();
        let compute: Compute = Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
            let Some(found) = regex.captures(cells[0].str()) else { return Cell::Null };
            let mut out = String::from("[");
            for (name, kusto) in names.iter().zip(&wanted) {
                let text = found.name(name).map_or("", |group| group.as_str());
                if is_strict && convert(&Cell::text(text), *kusto).is_null() {
                    return Cell::Null;
                }
                if out.len() > 1 {
                    out.push(',');
                }
                json::push_quoted(&mut out, text);
            }
            out.push(']');
            Cell::dynamic(out)
        });
        let matched = Call::new(
            format!("parse {is_strict} {text}"),
            compute,
            vec![Type::String],
            Type::Dynamic,
        );
        let mut exprs: Vec<Expr> = (0..count).map(column).collect();
        exprs.push(matched.on(vec![self.expr(source)?]));
        let mut plan = project(self.lower(input)?, exprs)?;
        if pattern.drop_unmatched {
            plan = LogicalPlanBuilder::new(plan)
                .filter(column(count).is_not_null())
                .and_then(LogicalPlanBuilder::build)
                .outcome()?;
        }
        debug_assert_eq!(plan.schema().field(count).name(), &name(count));
        let parsed = captures.iter().enumerate().map(|(position, kusto)| {
            let kusto = *kusto;
            let compute: Compute = Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
                let index = i64::try_from(position).unwrap_or(0);
                match json::element(cells[0].str(), index) {
                    Some(text) => convert(&Cell::Text(json::unquote(text)), kusto).into_owned(),
                    None => Cell::Null,
                }
            });
            Call::new(format!("capture {position}"), compute, vec![Type::Dynamic], kusto)
                .on(vec![column(count)])
        });
        let all = (0..count).map(column).chain(parsed).collect();
        project(plan, all)
    }
}
