//! Walking through expressions.

use kql::{Expr, ExprKind, PathStep};

/// The expressions directly inside of one.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Convert(inner) | ExprKind::Negate(inner) => vec![inner],
        ExprKind::Binary(_, left, right) | ExprKind::Text { left, right, .. } => vec![left, right],
        ExprKind::In { expr, items, .. } | ExprKind::HasAny { expr, items, .. } => {
            std::iter::once(&**expr).chain(items).collect()
        }
        ExprKind::InRelation { expr, .. } => vec![expr],
        ExprKind::Between { expr, low, high, .. } => vec![expr, low, high],
        ExprKind::Member { object, path } => std::iter::once(&**object)
            .chain(path.iter().filter_map(|step| match step {
                PathStep::Computed(expr) => Some(&**expr),
                _ => None,
            }))
            .collect(),
        ExprKind::Case { branches, otherwise } => {
            branches.iter().flat_map(|(when, then)| [when, then]).chain([&**otherwise]).collect()
        }
        ExprKind::Call { args, .. } => args.iter().collect(),
        _ => Vec::new(),
    }
}
