//! The decree, checked and ready for look-ups.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::access::Member;
use crate::config::{MEMBER_PREFIX, ProductConfig, SubscriptionConfig, SubscriptionState};
use crate::error::RulesError;
use crate::keys::{KeyHash, KeyHasher};
use crate::limits::{Allowance, CallKey, Limit, LimitConfig, Measure};
use crate::networks::NetworkConfig;
use crate::prices::{Meter, Prices};

/// All that an administrator decrees, in one immutable snapshot.
#[derive(Clone, Debug)]
pub struct Rules {
    version: u64,
    hasher: KeyHasher,
    products: Vec<Product>,
    subscriptions: Vec<Subscription>,
    by_key: HashMap<KeyHash, usize>,
    prices: Option<Arc<Prices>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    operations: HashSet<String>,
    deployments: HashSet<String>,
    /// Who has access without a subscription.
    groups: HashSet<String>,
    app_roles: HashSet<String>,
    clients: HashSet<String>,
    users: HashSet<String>,
    allowance: Allowance,
    /// What somebody without a subscription may use: the product's limits and everybody's.
    pub(crate) member_allowance: Arc<Allowance>,
    networks: NetworkConfig,
}

#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) state: SubscriptionState,
    pub(crate) product: Option<usize>,
    deployments: HashSet<String>,
    /// Its own, its product's and everybody's limits.
    pub(crate) allowance: Arc<Allowance>,
}

impl Rules {
    /// Checks a decree. `version` is written into each interaction it admits.
    pub fn new(
        version: u64,
        hasher: KeyHasher,
        products: &[ProductConfig],
        subscriptions: &[SubscriptionConfig],
    ) -> Result<Self, RulesError> {
        let mut rules = Self {
            version,
            hasher,
            products: Vec::with_capacity(products.len()),
            subscriptions: Vec::with_capacity(subscriptions.len()),
            by_key: HashMap::with_capacity(2 * subscriptions.len()),
            prices: None,
        };
        for product in products {
            rules.add_product(product)?;
        }
        for subscription in subscriptions {
            rules.add_subscription(subscription)?;
        }
        Ok(rules)
    }

    /// Adds limits that hold for every subscription.
    pub fn limited(mut self, limits: &[LimitConfig]) -> Result<Self, RulesError> {
        let everybody = Allowance { limits: read("limits", limits)?, ..Allowance::default() };
        for subscription in &mut self.subscriptions {
            Arc::make_mut(&mut subscription.allowance).narrow(&everybody);
        }
        for product in &mut self.products {
            Arc::make_mut(&mut product.member_allowance).narrow(&everybody);
        }
        Ok(self)
    }

    /// Sets the prices that money quotas count by; without them nothing costs anything.
    pub fn priced(mut self, prices: Arc<Prices>) -> Self {
        self.prices = Some(prices);
        self
    }

    /// What a call costs, in nanodollars, rounded up; 0 if it has no price.
    pub fn nanodollars(&self, meter: &Meter<'_>) -> u64 {
        let priced = self.prices.as_ref().and_then(|prices| prices.price(meter));
        // Prices count in picodollars.
        priced.map_or(0, |priced| {
            u64::try_from(
                priced.cost.0.max(0).div_euclid(1_000) + i128::from(priced.cost.0 % 1_000 > 0),
            )
            .unwrap_or(u64::MAX)
        })
    }

    /// Some call may be counted in tokens or money.
    pub fn count_tokens(&self) -> bool {
        let subscriptions = self.subscriptions.iter().map(|subscription| &subscription.allowance);
        let members = self.products.iter().map(|product| &product.member_allowance);
        let mut limits = subscriptions.chain(members).flat_map(|allowance| &allowance.limits);
        limits.any(|limit| limit.measure != Measure::Calls)
    }

    /// How much fits into a counter of this name, of whichever subscription; none if no limit has it.
    pub fn amount_of(&self, counter: &str) -> Option<u64> {
        let part = |name: &str| {
            let mut parts = counter.split('|').filter_map(|part| part.split_once('='));
            parts.find(|(part, _)| *part == name).map(|(_, value)| value)
        };
        let deployment = part("deployment").unwrap_or_default();
        let id = part("subscription");
        let mut subscriptions =
            self.subscriptions.iter().filter(|known| id.is_none_or(|id| id == known.id));
        subscriptions
            .find_map(|subscription| {
                let product = self.product(subscription).map_or("", |product| &product.id);
                let call = CallKey {
                    product,
                    subscription: &subscription.id,
                    user: &subscription.owner,
                    deployment,
                };
                let applied = subscription.allowance.applied(&call, true);
                applied.into_iter().find(|applied| applied.counter == counter)
            })
            .map(|applied| applied.limit.amount)
    }

    /// The version given at construction.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The subscription whose key this is.
    pub(crate) fn subscription(&self, key: &str) -> Option<&Subscription> {
        self.by_key.get(&self.hasher.hash(key)).map(|&index| &self.subscriptions[index])
    }

    /// Whether a caller at an address may use a product.
    pub fn admits(&self, product_id: &str, ip: Option<IpAddr>) -> bool {
        let product = self.products.iter().find(|product| product.id == product_id);
        product.is_none_or(|product| product.networks.admits(ip))
    }

    /// Some product is only for some networks.
    pub fn has_networks(&self) -> bool {
        self.products.iter().any(|product| !product.networks.is_open())
    }

    pub(crate) fn product(&self, subscription: &Subscription) -> Option<&Product> {
        subscription.product.map(|index| &self.products[index])
    }

    /// The products that a member has access to, in the order of the decree.
    pub(crate) fn products_of<'a>(
        &'a self,
        member: &'a Member,
    ) -> impl Iterator<Item = &'a Product> {
        self.products.iter().filter(move |product| product.admits(member))
    }

    fn add_product(&mut self, config: &ProductConfig) -> Result<(), RulesError> {
        if config.id.is_empty() {
            return Err(RulesError::new("a product has no id: give it one".into()));
        }
        if self.products.iter().any(|product| product.id == config.id) {
            return Err(RulesError::new(format!(
                "product `{}` stands twice: rename one",
                config.id
            )));
        }
        let place = format!("product `{}`", config.id);
        let allowance =
            allowance(&place, &config.limits, config.max_tokens, config.body_bytes_max)?;
        self.products.push(Product {
            id: config.id.clone(),
            operations: config.operations.iter().map(|id| id.to_ascii_lowercase()).collect(),
            deployments: config.deployments.iter().cloned().collect(),
            groups: config.groups.iter().cloned().collect(),
            app_roles: config.app_roles.iter().cloned().collect(),
            clients: config.clients.iter().cloned().collect(),
            users: config.users.iter().cloned().collect(),
            member_allowance: Arc::new(allowance.clone()),
            allowance,
            networks: config.networks.clone(),
        });
        Ok(())
    }

    fn add_subscription(&mut self, config: &SubscriptionConfig) -> Result<(), RulesError> {
        let id = &config.id;
        if id.is_empty() {
            return Err(RulesError::new("a subscription has no id: give it one".into()));
        }
        if id.starts_with(MEMBER_PREFIX) {
            let fix = "give it another name, this one is for callers with a token";
            return Err(RulesError::new(format!("subscription `{id}`: {fix}")));
        }
        if self.subscriptions.iter().any(|subscription| &subscription.id == id) {
            return Err(RulesError::new(format!("subscription `{id}` stands twice: rename one")));
        }
        let product = self.product_index(config)?;
        let index = self.subscriptions.len();
        let retired = config.retired_keys.iter().map(|retired| &retired.key_hash);
        for hash in
            [&config.primary_key_hash, &config.secondary_key_hash].into_iter().chain(retired)
        {
            if !hash.is_empty() {
                let hash = hash
                    .parse()
                    .map_err(|e| RulesError::new(format!("subscription `{id}`: {e}")))?;
                if self.by_key.insert(hash, index).is_some() {
                    return Err(RulesError::new(format!(
                        "subscription `{id}` has a key that stands elsewhere too: make a new one with `gatehouse keys create`"
                    )));
                }
            }
        }
        let place = format!("subscription `{id}`");
        let mut allowance =
            allowance(&place, &config.limits, config.max_tokens, config.body_bytes_max)?;
        if let Some(product) = product {
            allowance.narrow(&self.products[product].allowance);
        }
        self.subscriptions.push(Subscription {
            id: id.clone(),
            owner: config.owner.clone(),
            state: config.state,
            product,
            deployments: config.deployments.iter().cloned().collect(),
            allowance: Arc::new(allowance),
        });
        Ok(())
    }

    fn product_index(&self, config: &SubscriptionConfig) -> Result<Option<usize>, RulesError> {
        if config.product.is_empty() {
            return Ok(None);
        }
        let found = self.products.iter().position(|product| product.id == config.product);
        found.map(Some).ok_or_else(|| {
            RulesError::new(format!(
                "subscription `{}` names product `{}`, which does not exist: add it under `products`",
                config.id, config.product
            ))
        })
    }
}

impl Product {
    fn admits(&self, member: &Member) -> bool {
        let any = |ids: &[String], of: &HashSet<String>| {
            !of.is_empty() && ids.iter().any(|id| of.contains(id))
        };
        self.users.contains(&member.user_id)
            || (!member.client_id.is_empty() && self.clients.contains(&member.client_id))
            || any(&member.app_roles, &self.app_roles)
            || any(&member.groups, &self.groups)
    }

    pub(crate) fn allows_operation(&self, operation_id: &str) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation_id.to_ascii_lowercase())
    }

    pub(crate) fn allows_deployment(&self, deployment: &str) -> bool {
        self.deployments.is_empty()
            || deployment.is_empty()
            || self.deployments.contains(deployment)
    }
}

impl Subscription {
    pub(crate) fn allows_deployment(&self, deployment: &str) -> bool {
        self.deployments.is_empty()
            || deployment.is_empty()
            || self.deployments.contains(deployment)
    }
}

fn allowance(
    place: &str,
    limits: &[LimitConfig],
    max_tokens: Option<u64>,
    body_bytes_max: Option<u64>,
) -> Result<Allowance, RulesError> {
    if max_tokens == Some(0) {
        return Err(RulesError::new(format!(
            "{place}: max_tokens: 0 leaves no answer: use at least 1"
        )));
    }
    Ok(Allowance { limits: read(place, limits)?, max_tokens, body_bytes_max })
}

fn read(place: &str, limits: &[LimitConfig]) -> Result<Vec<Arc<Limit>>, RulesError> {
    let mut all = Vec::new();
    for (number, config) in limits.iter().enumerate() {
        let limits = Limit::read(config)
            .map_err(|error| RulesError::new(format!("{place}: limit {}: {error}", number + 1)))?;
        all.extend(limits.into_iter().map(Arc::new));
    }
    Ok(all)
}
