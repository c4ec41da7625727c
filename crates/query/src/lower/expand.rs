//! `mv-expand`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Builder, ListBuilder, StringViewBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, Result, UnnestOptions};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use kql::{Relation, Type};

use super::expr::converter;
use super::{Query, column, name, project, types};
use crate::call::{Call, any_arguments};
use crate::cell::{Cell, Reader};
use crate::error::{IntoOutcome, Outcome};
use crate::json::{self, Shape};
use crate::kernels::members;

/// Most rows one row becomes unless the query says less, as in Kusto.
const ROWS_MAX: usize = 1_048_576;

/// The settings of an expansion.
pub(super) struct Expansion<'e> {
    pub(super) columns: &'e [kql::Expansion],
    pub(super) is_array: bool,
    pub(super) has_index: bool,
    pub(super) row_limit: Option<u64>,
}

impl Query {
    pub(super) fn mv_expand(
        &self,
        relation: &Arc<Relation>,
        input: &Arc<Relation>,
        expansion: &Expansion<'_>,
    ) -> Outcome<LogicalPlan> {
        let count = types(input).len();
        let most =
            expansion.row_limit.and_then(|most| usize::try_from(most).ok()).unwrap_or(ROWS_MAX);
        let settings = Settings { is_array: expansion.is_array, most: most.min(ROWS_MAX) };
        let target = |position: usize| expansion.columns.iter().find(|e| e.column == position);
        let mut exprs: Vec<Expr> = (0..count)
            .map(|position| match target(position) {
                Some(_) => Elements::call(settings, false, vec![column(position)]),
                None => column(position),
            })
            .collect();
        // The index also makes one row of what has no elements.
        let sources = expansion.columns.iter().map(|e| column(e.column)).collect();
        exprs.push(Elements::call(settings, true, sources));
        let plan = project(self.lower(input)?, exprs)?;
        let unnested = expansion.columns.iter().map(|e| e.column).chain([count]);
        let unnested = unnested.map(|position| Column::new_unqualified(name(position))).collect();
        let plan = LogicalPlanBuilder::new(plan)
            .unnest_columns_with_options(unnested, UnnestOptions::new().with_preserve_nulls(true))
            .and_then(LogicalPlanBuilder::build)
            .outcome()?;
        let mut out: Vec<Expr> = (0..count)
            .map(|position| match target(position) {
                Some(expansion) if expansion.to != Type::Dynamic => Call::kernel(
                    format!("to {}", expansion.to),
                    converter(expansion.to),
                    vec![Type::Dynamic],
                    expansion.to,
                )
                .on(vec![column(position)]),
                _ => column(position),
            })
            .collect();
        if expansion.has_index {
            out.push(column(count));
        }
        debug_assert_eq!(out.len(), types(relation).len());
        project(plan, out)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Settings {
    is_array: bool,
    most: usize,
}

/// The elements of a dynamic value as a list, or the positions of the longest of several.
#[derive(Debug)]
struct Elements {
    settings: Settings,
    is_index: bool,
    signature: Signature,
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.is_index == other.is_index
    }
}

impl Eq for Elements {}

impl Hash for Elements {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.settings.hash(state);
        self.is_index.hash(state);
    }
}

impl Elements {
    fn call(settings: Settings, is_index: bool, args: Vec<Expr>) -> Expr {
        let signature = any_arguments(args.len(), Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { settings, is_index, signature }).call(args)
    }

    /// None for what has no elements: it stays one null.
    fn of(&self, cell: &Cell<'_>) -> Vec<Option<String>> {
        let Cell::Dynamic(text) = cell else { return vec![None] };
        let mut items: Vec<Option<String>> = match json::shape(text) {
            Shape::Array => json::elements(text)
                .take(self.settings.most)
                .map(|item| (item != "null").then(|| item.to_owned()))
                .collect(),
            Shape::Object => members(text, self.settings.is_array).into_iter().map(Some).collect(),
            _ => vec![Some(text.to_string())],
        };
        items.truncate(self.settings.most);
        if items.is_empty() { vec![None] } else { items }
    }
}

impl ScalarUDFImpl for Elements {
    fn name(&self) -> &str {
        if self.is_index { "element_index" } else { "elements" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        let item = if self.is_index { DataType::Int64 } else { DataType::Utf8View };
        Ok(DataType::List(Arc::new(Field::new_list_field(item, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let readers = arrays
            .iter()
            .map(|array| Reader::new(array, Type::Dynamic))
            .collect::<Result<Vec<_>>>()?;
        let out: ArrayRef = if self.is_index {
            let mut lists = ListBuilder::new(Int64Builder::new());
            for row in 0..rows {
                let longest = readers.iter().map(|reader| self.of(&reader.get(row)).len()).max();
                for position in 0..longest.unwrap_or(1) {
                    lists.values().append_value(i64::try_from(position).unwrap_or(i64::MAX));
                }
                lists.append(true);
            }
            Arc::new(lists.finish())
        } else {
            let mut lists = ListBuilder::new(StringViewBuilder::new());
            for row in 0..rows {
                for item in self.of(&readers[0].get(row)) {
                    lists.values().append_option(item);
                }
                lists.append(true);
            }
            Arc::new(lists.finish())
        };
        debug_assert_eq!(out.len(), rows);
        Ok(ColumnarValue::Array(out))
    }
}
