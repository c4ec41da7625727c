//! The decision: may this caller make this call?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Member;
use crate::config::{MEMBER_PREFIX, SubscriptionState};
use crate::limits::Allowance;
use crate::rules::{Product, Rules, Subscription};

/// What the decision looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Subscription key presented, from whatever carrier.
    pub key: Option<&'a str>,
    /// Who a token proves the caller to be; then no key is looked at.
    pub member: Option<&'a Member>,
    /// Canonical operation id; empty if the path is unknown.
    pub operation_id: &'a str,
    /// Deployment or model called; empty if none.
    pub deployment: &'a str,
}

/// The call may go on, on this account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Product that granted access; empty if the subscription has none.
    pub product_id: String,
    /// Subscription whose key was used; of a caller with a token `user:` and its id, so that what it owns
    /// and uses is its own.
    pub subscription_id: String,
    /// Owner of the subscription, or the caller whom a token proves.
    pub user_id: String,
    /// Version of the rules that admitted it.
    pub rules_version: u64,
    /// What the subscription may use.
    pub allowance: Arc<Allowance>,
}

/// The call may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// When to come back; none if coming back does not help.
    pub retry_after: Option<Duration>,
}

/// Why a call was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// No key was presented.
    KeyMissing,
    /// The key belongs to no subscription.
    KeyUnknown,
    /// The subscription is suspended or cancelled.
    SubscriptionInactive,
    /// No product names the caller, its groups, its app roles or its client application.
    NoProduct,
    /// The product does not hold the operation.
    OperationNotAllowed,
    /// The product or the subscription does not hold the deployment.
    DeploymentNotAllowed,
}

impl DenialReason {
    /// The reason as API Management names it, for `LastErrorReason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyMissing => "SubscriptionKeyNotFound",
            Self::KeyUnknown | Self::SubscriptionInactive => "SubscriptionKeyInvalid",
            Self::NoProduct => "ProductNotGranted",
            Self::OperationNotAllowed => "OperationNotAllowed",
            Self::DeploymentNotAllowed => "DeploymentNotAllowed",
        }
    }
}

/// Decides. Call it once before the body is read, and again once the body has named the deployment.
pub fn admit(rules: &Rules, request: &Request<'_>) -> Result<Grant, Denial> {
    if let Some(member) = request.member {
        return admit_member(rules, member, request);
    }
    let deny = |reason| Denial { reason, retry_after: None };
    let key = request.key.ok_or_else(|| deny(DenialReason::KeyMissing))?;
    let subscription = rules.subscription(key).ok_or_else(|| deny(DenialReason::KeyUnknown))?;
    if subscription.state != SubscriptionState::Active {
        return Err(deny(DenialReason::SubscriptionInactive));
    }
    let product = rules.product(subscription);
    if let Some(product) = product {
        if !product.allows_operation(request.operation_id) {
            return Err(deny(DenialReason::OperationNotAllowed));
        }
        if !product.allows_deployment(request.deployment) {
            return Err(deny(DenialReason::DeploymentNotAllowed));
        }
    }
    if !subscription.allows_deployment(request.deployment) {
        return Err(deny(DenialReason::DeploymentNotAllowed));
    }
    Ok(Grant::of(rules, subscription))
}

/// The first product that lets the member do it grants access.
fn admit_member(rules: &Rules, member: &Member, request: &Request<'_>) -> Result<Grant, Denial> {
    let mut reason = DenialReason::NoProduct;
    for product in rules.products_of(member) {
        reason = match () {
            () if !product.allows_operation(request.operation_id) => match reason {
                DenialReason::NoProduct => DenialReason::OperationNotAllowed,
                nearer => nearer,
            },
            () if !product.allows_deployment(request.deployment) => {
                DenialReason::DeploymentNotAllowed
            }
            () => return Ok(Grant::of_member(rules, member, Some(product))),
        };
    }
    Err(Denial { reason, retry_after: None })
}

/// On whose account a call with this key would be, whether it may be made or not.
pub fn account(rules: &Rules, key: &str) -> Option<Grant> {
    rules.subscription(key).map(|subscription| Grant::of(rules, subscription))
}

/// Under which subscription id a member's calls, limits and objects are kept.
pub fn member_subscription(member: &Member) -> String {
    format!("{MEMBER_PREFIX}{}", member.user_id)
}

/// On whose account a member's calls are, whether they may be made or not.
pub fn account_of_member(rules: &Rules, member: &Member) -> Grant {
    Grant::of_member(rules, member, None)
}

impl Grant {
    fn of_member(rules: &Rules, member: &Member, product: Option<&Product>) -> Self {
        Self {
            product_id: product.map(|product| product.id.clone()).unwrap_or_default(),
            subscription_id: member_subscription(member),
            user_id: member.user_id.clone(),
            rules_version: rules.version(),
            allowance: product.map(|product| product.member_allowance.clone()).unwrap_or_default(),
        }
    }

    fn of(rules: &Rules, subscription: &Subscription) -> Self {
        let product = rules.product(subscription);
        Self {
            product_id: product.map(|product| product.id.clone()).unwrap_or_default(),
            subscription_id: subscription.id.clone(),
            user_id: subscription.owner.clone(),
            rules_version: rules.version(),
            allowance: subscription.allowance.clone(),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.name())
    }
}

impl std::error::Error for Denial {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyHasher, ProductConfig, SubscriptionConfig};

    fn rules() -> Rules {
        let hasher = KeyHasher::new(b"secret");
        let product = ProductConfig {
            id: "chat".into(),
            operations: vec!["ChatCompletions_Create".into()],
            deployments: vec!["gpt-4o".into()],
            ..ProductConfig::default()
        };
        let subscription = |id: &str, product: &str, state| SubscriptionConfig {
            id: id.into(),
            product: product.into(),
            owner: "ann".into(),
            state,
            primary_key_hash: hasher.hash(&format!("{id}-1")).to_string(),
            secondary_key_hash: hasher.hash(&format!("{id}-2")).to_string(),
            ..SubscriptionConfig::default()
        };
        let subscriptions = [
            subscription("all", "", SubscriptionState::Active),
            subscription("team", "chat", SubscriptionState::Active),
            subscription("gone", "", SubscriptionState::Suspended),
        ];
        Rules::new(7, hasher.clone(), &[product], &subscriptions).expect("valid")
    }

    fn ask(key: &str, operation_id: &str, deployment: &str) -> Result<Grant, DenialReason> {
        let request = Request { key: Some(key), member: None, operation_id, deployment };
        admit(&rules(), &request).map_err(|denial| denial.reason)
    }

    #[test]
    fn either_key_of_a_subscription_admits_on_its_account() {
        for key in ["team-1", "team-2"] {
            let grant = ask(key, "chatcompletions_create", "gpt-4o").expect("admitted");
            assert_eq!(
                (grant.product_id.as_str(), grant.subscription_id.as_str()),
                ("chat", "team")
            );
            assert_eq!((grant.user_id.as_str(), grant.rules_version), ("ann", 7));
        }
        assert!(ask("all-1", "Anything", "any").is_ok());
    }

    #[test]
    fn what_the_product_does_not_hold_is_denied() {
        assert_eq!(ask("team-1", "Embeddings_Create", ""), Err(DenialReason::OperationNotAllowed));
        assert_eq!(
            ask("team-1", "ChatCompletions_Create", "o3"),
            Err(DenialReason::DeploymentNotAllowed)
        );
    }

    #[test]
    fn missing_unknown_and_suspended_keys_are_denied() {
        assert_eq!(ask("nobody", "", ""), Err(DenialReason::KeyUnknown));
        assert_eq!(ask("gone-1", "", ""), Err(DenialReason::SubscriptionInactive));
        let missing = admit(&rules(), &Request::default()).expect_err("no key");
        assert_eq!(missing.reason, DenialReason::KeyMissing);
    }

    #[test]
    fn a_token_admits_on_the_first_product_that_names_its_holder_and_allows_the_call() {
        let product = |id: &str, deployments: &[&str]| ProductConfig {
            id: id.into(),
            deployments: deployments.iter().map(|name| (*name).to_owned()).collect(),
            ..ProductConfig::default()
        };
        let products = [
            ProductConfig { groups: vec!["g1".into()], ..product("small", &["gpt-4o-mini"]) },
            ProductConfig { app_roles: vec!["Models.Use".into()], ..product("large", &["gpt-4o"]) },
            ProductConfig { clients: vec!["app".into()], ..product("batch", &[]) },
            product("closed", &[]),
        ];
        let rules = Rules::new(1, KeyHasher::new(b"secret"), &products, &[]).expect("valid");
        let ask = |member: &Member, deployment| {
            let request = Request { member: Some(member), deployment, ..Request::default() };
            admit(&rules, &request).map(|grant| grant.product_id).map_err(|denied| denied.reason)
        };
        let mut ann = Member { user_id: "ann".into(), ..Member::default() };
        assert_eq!(ask(&ann, "gpt-4o"), Err(DenialReason::NoProduct));
        ann.groups = vec!["g0".into(), "g1".into()];
        assert_eq!(ask(&ann, "gpt-4o"), Err(DenialReason::DeploymentNotAllowed));
        assert_eq!(ask(&ann, "gpt-4o-mini").as_deref(), Ok("small"));
        ann.app_roles = vec!["Models.Use".into()];
        assert_eq!(ask(&ann, "gpt-4o").as_deref(), Ok("large"));
        let nobody = Member::default();
        assert_eq!(ask(&nobody, ""), Err(DenialReason::NoProduct));
        let program = Member { client_id: "app".into(), ..Member::default() };
        assert_eq!(ask(&program, "any").as_deref(), Ok("batch"));
        let grant = admit(&rules, &Request { member: Some(&ann), ..Request::default() });
        let grant = grant.expect("admitted");
        assert_eq!((grant.subscription_id.as_str(), grant.user_id.as_str()), ("user:ann", "ann"));
    }

    #[test]
    fn a_contradicting_decree_is_refused_with_the_fix() {
        let hasher = KeyHasher::new(b"secret");
        let lost = SubscriptionConfig { id: "a".into(), product: "x".into(), ..Default::default() };
        let error = Rules::new(1, hasher, &[], &[lost]).expect_err("no such product");
        assert!(error.to_string().contains("add it under `products`"), "{error}");
    }
}
