//! Walking and measuring bound expressions.

use crate::{Expr, ExprKind, RelKind};

/// Number of nodes.
pub(super) fn size(expr: &Expr) -> u32 {
    let mut count = 0;
    visit(expr, &mut |_| count += 1);
    count
}

/// Nodes on the longest way down.
pub(super) fn depth(expr: &Expr) -> u32 {
    let mut deepest = 0;
    children(expr, &mut |child| deepest = deepest.max(depth(child)));
    deepest + 1
}

/// Whether a column of the row is named.
pub(super) fn names_columns(expr: &Expr) -> bool {
    let mut found = false;
    visit(expr, &mut |expr| found |= matches!(expr.kind, ExprKind::Column(_)));
    found
}

/// Calls back for every node, not descending into sub-queries.
pub(crate) fn visit(expr: &Expr, see: &mut dyn FnMut(&Expr)) {
    see(expr);
    children(expr, &mut |child| visit(child, see));
}

/// Calls back for every node of an operator's expressions.
pub(super) fn exprs(kind: &RelKind, see: &mut dyn FnMut(&Expr)) {
    match kind {
        RelKind::Range { from, to, step } => {
            [from, to, step].into_iter().for_each(|e| visit(e, see))
        }
        RelKind::Filter { predicate, .. } => visit(predicate, see),
        RelKind::Project { columns, .. } => columns.iter().for_each(|expr| visit(expr, see)),
        RelKind::Aggregate { keys, aggregates, .. } => {
            keys.iter().for_each(|key| visit(key, see));
            aggregates.iter().flat_map(|call| &call.args).for_each(|arg| visit(arg, see));
        }
        RelKind::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr, see)),
        RelKind::Join { on, .. } => {
            for condition in on {
                visit(&condition.left, see);
                visit(&condition.right, see);
            }
        }
        RelKind::Parse { source, .. } => visit(source, see),
        RelKind::Partition { key, .. } => visit(key, see),
        RelKind::Gathered { work, .. } => {
            work.expressions().into_iter().for_each(|expr| visit(expr, see));
        }
        _ => {}
    }
}

/// Calls back for the nodes right below.
fn children(expr: &Expr, see: &mut dyn FnMut(&Expr)) {
    match &expr.kind {
        ExprKind::Convert(inner) | ExprKind::Negate(inner) => see(inner),
        ExprKind::Binary(_, left, right) | ExprKind::Text { left, right, .. } => {
            see(left);
            see(right);
        }
        ExprKind::In { expr, items, .. } | ExprKind::HasAny { expr, items, .. } => {
            see(expr);
            items.iter().for_each(see);
        }
        ExprKind::InRelation { expr, .. } => see(expr),
        ExprKind::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().for_each(|part| see(part));
        }
        ExprKind::Member { object, path } => {
            see(object);
            for step in path {
                if let crate::PathStep::Computed(inner) = step {
                    see(inner);
                }
            }
        }
        ExprKind::Case { branches, otherwise } => {
            for (condition, value) in branches {
                see(condition);
                see(value);
            }
            see(otherwise);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(see),
        ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Scalar(_) => {}
    }
}
