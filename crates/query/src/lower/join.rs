//! `join` and `lookup`.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use kql::{JoinCondition, JoinKind, Relation, Type};

use super::aggregate::never_null;
use super::{Query, column, project, types};
use crate::error::{IntoOutcome, Outcome};

impl Query {
    pub(super) fn join(
        &self,
        kind: JoinKind,
        left: &Arc<Relation>,
        right: &Arc<Relation>,
        on: &[JoinCondition],
    ) -> Outcome<LogicalPlan> {
        let (left_types, right_types) = (types(left), types(right));
        let mut left_keys = Vec::with_capacity(on.len());
        let mut right_keys = Vec::with_capacity(on.len());
        for pair in on {
            left_keys.push(self.expr(&pair.left)?);
            right_keys.push(self.expr(&pair.right)?);
        }
        let left = self.side(left, "l", left_keys, kind == JoinKind::InnerUnique)?;
        let right = self.side(right, "r", right_keys, false)?;
        let keys = |side: &str| -> Vec<Expr> {
            (0..on.len()).map(|key| named(&format!("{side}k{key}"))).collect()
        };
        let joined = if on.is_empty() {
            LogicalPlanBuilder::new(left).cross_join(right)
        } else {
            let keys = (keys("l"), keys("r"));
            LogicalPlanBuilder::new(left).join_with_expr_keys(right, join_type(kind), keys, None)
        };
        let joined = joined.and_then(LogicalPlanBuilder::build).outcome()?;
        let columns = |side: &'static str, types: &[Type]| -> Vec<Expr> {
            let exprs = types.iter().enumerate();
            exprs.map(|(at, kusto)| never_null(named(&format!("{side}{at}")), *kusto)).collect()
        };
        let exprs = match kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => columns("l", &left_types),
            JoinKind::RightSemi | JoinKind::RightAnti => columns("r", &right_types),
            _ => columns("l", &left_types).into_iter().chain(columns("r", &right_types)).collect(),
        };
        project(joined, exprs)
    }

    /// One side, its columns and keys under names that the other does not have.
    fn side(
        &self,
        relation: &Arc<Relation>,
        prefix: &str,
        keys: Vec<Expr>,
        is_unique: bool,
    ) -> Outcome<LogicalPlan> {
        let count = types(relation).len();
        let input = self.lower(relation)?;
        let mut exprs: Vec<Expr> =
            (0..count).map(|at| column(at).alias(format!("{prefix}{at}"))).collect();
        let key_names: Vec<String> = (0..keys.len()).map(|key| format!("{prefix}k{key}")).collect();
        exprs.extend(keys.into_iter().zip(&key_names).map(|(key, name)| key.alias(name)));
        let mut plan = LogicalPlanBuilder::new(input).project(exprs).outcome()?;
        if is_unique {
            let on: Vec<Expr> = key_names.iter().map(|name| named(name)).collect();
            let all = (0..count).map(|at| format!("{prefix}{at}")).chain(key_names.iter().cloned());
            let all: Vec<Expr> = all.map(|name| named(&name)).collect();
            plan = plan.distinct_on(on, all, None).outcome()?;
        }
        plan.build().outcome()
    }
}

fn named(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn join_type(kind: JoinKind) -> JoinType {
    match kind {
        JoinKind::InnerUnique | JoinKind::Inner => JoinType::Inner,
        JoinKind::LeftOuter => JoinType::Left,
        JoinKind::RightOuter => JoinType::Right,
        JoinKind::FullOuter => JoinType::Full,
        JoinKind::LeftSemi => JoinType::LeftSemi,
        JoinKind::RightSemi => JoinType::RightSemi,
        JoinKind::LeftAnti => JoinType::LeftAnti,
        JoinKind::RightAnti => JoinType::RightAnti,
    }
}
