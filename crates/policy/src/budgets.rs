//! Budgets as they stand in the configuration file and in the desired state. They refuse nothing: `monitor`
//! looks at what is spent of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::RulesError;

/// Most budgets.
const BUDGETS_MAX: usize = 200;
/// Longest id: it is a label of metrics.
const ID_BYTES_MAX: usize = 128;

/// A period of a budget, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A week from Sunday on, as KQL's `startofweek()` has it.
    Week,
    /// A month.
    #[default]
    Month,
    /// A year.
    Year,
}

/// Money that shall not be exceeded in a period. A budget refuses nothing: that is what quotas are for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Its id.
    pub id: String,
    /// US dollars in each period.
    pub amount_usd: f64,
    /// The period.
    pub period: BudgetPeriod,
    /// Only this subscription; empty for all.
    pub subscription: String,
    /// Only this product; empty for all.
    pub product: String,
    /// Only this user; empty for all.
    pub user: String,
    /// Only this deployment; empty for all.
    pub deployment: String,
    /// Only this model; empty for all.
    pub model: String,
}

/// Checks budgets; the text names the fix.
pub fn check_budgets(budgets: &[BudgetConfig]) -> Result<(), RulesError> {
    if budgets.len() > BUDGETS_MAX {
        let text = format!("there are more than {BUDGETS_MAX} budgets: leave some out");
        return Err(RulesError::new(text));
    }
    for (at, BudgetConfig { id, amount_usd, .. }) in budgets.iter().enumerate() {
        if id.trim().is_empty() || id.len() > ID_BYTES_MAX {
            return Err(RulesError::new(format!(
                "budget {} needs an id of 1 to {ID_BYTES_MAX} bytes",
                at + 1
            )));
        }
        if !amount_usd.is_finite() || *amount_usd <= 0.0 {
            return Err(RulesError::new(format!("budget `{id}` needs an amount_usd above 0")));
        }
        if budgets[..at].iter().any(|before| before.id == *id) {
            return Err(RulesError::new(format!("budget `{id}` stands twice: rename one")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_has_an_id_of_its_own_and_an_amount() {
        let good = BudgetConfig { id: "b".into(), amount_usd: 10.0, ..BudgetConfig::default() };
        check_budgets(std::slice::from_ref(&good)).expect("a good one");
        let refusal =
            |budgets: &[BudgetConfig]| check_budgets(budgets).expect_err("is refused").to_string();
        assert!(refusal(&[good.clone(), good.clone()]).contains("rename one"));
        for amount_usd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let free = BudgetConfig { amount_usd, ..good.clone() };
            assert!(refusal(&[free]).contains("above 0"), "{amount_usd}");
        }
        for id in [String::new(), " ".to_owned(), "x".repeat(ID_BYTES_MAX + 1)] {
            assert!(refusal(&[BudgetConfig { id, ..good.clone() }]).contains("needs an id"));
        }
        let many: Vec<_> = (0..=BUDGETS_MAX)
            .map(|at| BudgetConfig { id: at.to_string(), ..good.clone() })
            .collect();
        assert!(refusal(&many).contains("leave some out"));
    }
}
