//! The desired state as one document.

use event::Timestamp;
use openai::Catalogue;
use policy::{
    AlertRule, BudgetConfig, DashboardConfig, KeyHasher, LimitConfig, Principal, ProductConfig,
    Role, RoleConfig, Rules, SubscriptionConfig, SubscriptionState,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert_rules::check_rules;
use crate::dashboards::check_queries;
use crate::error::{Error, ErrorKind};

/// Longest document, in bytes of JSON.
const BYTES_MAX: usize = 8 << 20;

/// All that administrators decree, in one document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decree {
    /// Sets of operations and deployments that give access.
    pub products: Vec<ProductConfig>,
    /// Who may call, by hashed key.
    pub subscriptions: Vec<SubscriptionConfig>,
    /// What every subscription may use.
    pub limits: Vec<LimitConfig>,
    /// Who holds which role on the admin listener.
    pub roles: Vec<RoleConfig>,
    /// Money that shall not be exceeded. Left out where there is none, so that a gateway that knows of no
    /// budgets reads the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetConfig>,
    /// What everybody sees on the portal's dashboards. Left out where there is none, as budgets are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dashboards: Vec<DashboardConfig>,
    /// Alert rules beside the built-in ones and those of the configuration file; one replaces such a rule of the same
    /// id. Left out where there is none, as budgets are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alert_rules: Vec<AlertRule>,
}

/// A version of the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Version {
    /// Its number; 0 if the configuration file holds the state.
    pub number: i64,
    /// The state.
    pub decree: Decree,
}

impl Decree {
    /// Checks the whole of it.
    pub fn validate(&self, hasher: &KeyHasher) -> Result<(), Error> {
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if bytes > BYTES_MAX {
            return Err(Error::invalid(format!(
                "the state would be {bytes} bytes long, {BYTES_MAX} are allowed: remove cancelled subscriptions, dashboards or alert rules"
            )));
        }
        let rules = Rules::new(0, hasher.clone(), &self.products, &self.subscriptions);
        rules.and_then(|rules| rules.limited(&self.limits)).map_err(Error::invalid)?;
        policy::check_roles(&self.roles).map_err(Error::invalid)?;
        policy::check_budgets(&self.budgets).map_err(Error::invalid)?;
        policy::check_dashboards(&self.dashboards).map_err(Error::invalid)?;
        policy::check_alert_rules(&self.alert_rules).map_err(Error::invalid)
    }

    /// Checks it as what is to follow another. What was there before is left alone: a product may name operations
    /// that another version of the API's table has, and the parser may have grown stricter.
    pub(crate) fn validate_after(&self, before: &Self, hasher: &KeyHasher) -> Result<(), Error> {
        self.validate(hasher)?;
        check_operations(self.products.iter().filter(|one| !before.products.contains(one)))?;
        check_queries(self.new_dashboards(before), None)?;
        check_rules(self.new_alert_rules(before), None)
    }

    /// Looks up the tables and columns that its queries name, but for those of the state before: they may be of another
    /// version's tables.
    pub fn bind_after(&self, before: &Self, catalogue: &dyn kql::Catalogue) -> Result<(), Error> {
        check_queries(self.new_dashboards(before), Some(catalogue))?;
        check_rules(self.new_alert_rules(before), Some(catalogue))
    }

    /// The dashboards that another state does not have, or has otherwise.
    fn new_dashboards<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a DashboardConfig> {
        self.dashboards.iter().filter(|one| !before.dashboards.contains(one))
    }

    /// The alert rules that another state does not have, or has otherwise.
    pub fn new_alert_rules<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a AlertRule> {
        self.alert_rules.iter().filter(|one| !before.alert_rules.contains(one))
    }

    /// The settings of a configuration file that say something else than the state in force. Roles and alert rules
    /// of the file hold beside those of the state.
    pub(crate) fn overruled_by(&self, live: &Self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.products != live.products {
            names.push("products");
        }
        if self.subscriptions != live.subscriptions {
            names.push("subscriptions");
        }
        if self.limits != live.limits {
            names.push("limits");
        }
        if self.budgets != live.budgets {
            names.push("cost.budgets");
        }
        if self.dashboards != live.dashboards {
            names.push("dashboards");
        }
        names
    }

    /// The product.
    pub fn product(&self, id: &str) -> Result<&ProductConfig, Error> {
        let found = self.products.iter().find(|product| product.id == id);
        found.ok_or_else(|| Error::missing("product", id))
    }

    /// The budget.
    pub fn budget(&self, id: &str) -> Result<&BudgetConfig, Error> {
        let found = self.budgets.iter().find(|budget| budget.id == id);
        found.ok_or_else(|| Error::missing("budget", id))
    }

    /// The dashboard.
    pub fn dashboard(&self, id: &str) -> Result<&DashboardConfig, Error> {
        let found = self.dashboards.iter().find(|dashboard| dashboard.id == id);
        found.ok_or_else(|| Error::missing("dashboard", id))
    }

    /// The alert rule; one that is built in or stands in a file is not here.
    pub fn alert_rule(&self, id: &str) -> Result<&AlertRule, Error> {
        let found = self.alert_rules.iter().find(|rule| rule.id == id);
        found.ok_or_else(|| {
            let text = format!(
                "the desired state has no alert rule `{id}`: list them to see whose each is; to replace one that is \
                 built in or stands in a file, put one with its id"
            );
            Error::new(ErrorKind::Missing, text)
        })
    }

    /// Adds to a principal what follows from the state: roles, and the subscriptions it owns.
    pub fn complete(&self, principal: &mut Principal) {
        for config in &self.roles {
            if config.is_held(&principal.id, &principal.groups) {
                principal.roles.insert(config.role);
            }
        }
        if principal.id.is_empty() {
            return;
        }
        let owned = self.subscriptions.iter().filter(|one| one.owner == principal.id);
        principal.subscriptions.extend(owned.map(|one| one.id.clone()));
    }

    /// Somebody is administrator by it.
    pub fn has_administrator(&self) -> bool {
        self.roles.iter().any(|config| {
            config.role == Role::Administrator
                && !(config.groups.is_empty() && config.users.is_empty())
        })
    }

    /// Gives somebody a role.
    pub fn add_to_role(&mut self, role: Role, id: &str) {
        match self.roles.iter_mut().find(|config| config.role == role) {
            Some(config) => config.users.push(id.to_owned()),
            None => {
                let users = vec![id.to_owned()];
                self.roles.push(RoleConfig { role, groups: Vec::new(), users });
                self.roles.sort_by_key(|config| config.role);
            }
        }
    }

    /// The same at this moment: what has expired is, and keys whose grace is over are gone.
    pub fn at(&self, now: Timestamp) -> Self {
        let mut decree = self.clone();
        decree.subscriptions.iter_mut().for_each(|subscription| bring_to(subscription, now));
        decree
    }

    /// The next moment at which [`at`](Self::at) gives something else.
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let ends = self.subscriptions.iter().flat_map(|subscription| {
            let retired = subscription.retired_keys.iter().map(|key| key.valid_until);
            retired.chain(subscription.expires_at)
        });
        ends.map(|end| end.timestamp()).filter(|end| *end > after).min()
    }
}

/// Operations are named as the API's table does: a name that it does not have allows nothing.
pub fn check_operations<'a>(
    products: impl IntoIterator<Item = &'a ProductConfig>,
) -> Result<(), Error> {
    let mut catalogue = None;
    for product in products.into_iter().filter(|product| !product.operations.is_empty()) {
        let operations = catalogue.get_or_insert_with(Catalogue::builtin).operations();
        let known = || operations.iter().map(|operation| &*operation.log_operation_id);
        let is_known = |id: &&String| known().any(|known| known.eq_ignore_ascii_case(id));
        let Some(unknown) = product.operations.iter().find(|id| !is_known(id)) else { continue };
        let lower = unknown.to_lowercase();
        let nearest = known()
            .min_by_key(|known| strsim::damerau_levenshtein(&known.to_lowercase(), &lower))
            .unwrap_or_default();
        let product = &product.id;
        return Err(Error::invalid(format!(
            "product `{product}`: there is no operation `{unknown}`; did you mean `{nearest}`?"
        )));
    }
    Ok(())
}

/// Expires it, and drops keys whose grace is over.
pub(crate) fn bring_to(subscription: &mut SubscriptionConfig, now: Timestamp) {
    let is_over = subscription.expires_at.is_some_and(|end| end.timestamp() <= now);
    if is_over && subscription.state == SubscriptionState::Active {
        subscription.state = SubscriptionState::Expired;
    }
    subscription.retired_keys.retain(|key| key.valid_until.timestamp() > now);
}
