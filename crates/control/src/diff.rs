//! What two decrees differ in.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::decree::Decree;
use crate::state::redacted;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// `product`, `subscription`, `role`, `budget`, `dashboard`, `alert_rule`, `limits`, `user` or `group`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// `added`, `changed` or `removed`.
    pub change: &'static str,
    /// As it was, secrets replaced; null if it was not there.
    pub before: Value,
    /// As it is, secrets replaced; null if it is gone.
    pub after: Value,
}

/// What leads from one decree to the other.
pub fn compare(before: &Decree, after: &Decree) -> Vec<Change> {
    let mut changes = Vec::new();
    let products = |decree: &Decree| named(decree.products.iter().map(|it| (&it.id, it)));
    collect("product", products(before), products(after), &mut changes);
    let subscriptions = |decree: &Decree| named(decree.subscriptions.iter().map(|it| (&it.id, it)));
    collect("subscription", subscriptions(before), subscriptions(after), &mut changes);
    let roles = |decree: &Decree| named(decree.roles.iter().map(|it| (it.role.name(), it)));
    collect("role", roles(before), roles(after), &mut changes);
    let budgets = |decree: &Decree| named(decree.budgets.iter().map(|it| (&it.id, it)));
    collect("budget", budgets(before), budgets(after), &mut changes);
    let dashboards = |decree: &Decree| named(decree.dashboards.iter().map(|it| (&it.id, it)));
    collect("dashboard", dashboards(before), dashboards(after), &mut changes);
    let rules = |decree: &Decree| named(decree.alert_rules.iter().map(|it| (&it.id, it)));
    collect("alert_rule", rules(before), rules(after), &mut changes);
    if before.limits != after.limits {
        let (before, after) = (json!(before.limits), json!(after.limits));
        changes.push(Change {
            kind: "limits",
            id: String::new(),
            change: "changed",
            before,
            after,
        });
    }
    changes
}

fn named<N: ToString, T: Serialize>(items: impl Iterator<Item = (N, T)>) -> Vec<(String, Value)> {
    items.map(|(name, item)| (name.to_string(), json!(item))).collect()
}

fn collect(
    kind: &'static str,
    before: Vec<(String, Value)>,
    after: Vec<(String, Value)>,
    changes: &mut Vec<Change>,
) {
    let before: std::collections::BTreeMap<_, _> = before.into_iter().collect();
    let mut after: std::collections::BTreeMap<_, _> = after.into_iter().collect();
    for (id, old) in before {
        match after.remove(&id) {
            Some(new) if new == old => {}
            Some(new) => {
                let (before, after) = (redacted(old), redacted(new));
                changes.push(Change { kind, id, change: "changed", before, after });
            }
            None => {
                let (before, after) = (redacted(old), Value::Null);
                changes.push(Change { kind, id, change: "removed", before, after });
            }
        }
    }
    for (id, new) in after {
        let (before, after) = (Value::Null, redacted(new));
        changes.push(Change { kind, id, change: "added", before, after });
    }
}
