//! Subscriptions over HTTP. Whoever is only a subscriber has the own ones, and no others exist for it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Json, Response};
use control::{Decree, Error, KeySlot, NewSubscription, Step, SubscriptionPatch, redacted};
use event::Timestamp;
use policy::{Role, SubscriptionConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime};

use crate::access::Caller;
use crate::extract::{Document, Parameters, Segment};
use crate::inner::Portal;
use crate::kusto;
use crate::problem::Problem;
use crate::state::{ChangeQuery, PageQuery, action, check, tagged};

/// Subscriptions.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SubscriptionPage {
    /// By id, hashes of keys replaced.
    #[schemars(with = "Vec<SubscriptionConfig>")]
    items: Vec<Value>,
    /// `after` of the next page; null on the last one.
    next: Option<String>,
}

/// A subscription with new keys, which are shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Keyed {
    /// The subscription, hashes of keys replaced.
    #[schemars(with = "SubscriptionConfig")]
    subscription: Value,
    /// The new first key; null if it did not change.
    primary_key: Option<String>,
    /// The new second key; null if it did not change.
    secondary_key: Option<String>,
}

/// Which key to replace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    /// Which of the two.
    key: KeySlot,
    /// Seconds for which the key before goes on to work, up to 90 days.
    #[serde(default)]
    #[schemars(range(max = 7_776_000))]
    grace_s: u64,
}

/// Which days.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UsageQuery {
    /// Days back from now, 1 to 366; 30 if left out.
    #[schemars(range(min = 1, max = 366))]
    days: Option<u32>,
}

/// What was used, by day and deployment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Usage {
    /// One object each: `Day`, `Deployment`, `Calls`, tokens, `CostUsd`.
    items: Vec<Map<String, Value>>,
}

pub(crate) async fn list(
    State(portal): State<Portal>,
    caller: Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<SubscriptionPage>, Problem> {
    let mut all = portal.control.subscriptions(|subscription| sees(&caller, subscription));
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let (items, next) = query.page(all, |subscription| &subscription.id)?;
    Ok(Json(SubscriptionPage { items: items.iter().map(shown).collect(), next }))
}

pub(crate) async fn one(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let subscription = find(&portal, &caller, &id)?;
    // The tag is of what is kept: expiry alone makes no other version.
    let kept = portal.control.live();
    Ok(tagged(&kept.decree.subscription(&id).ok(), shown(&subscription)))
}

pub(crate) async fn create(
    State(portal): State<Portal>,
    caller: Caller,
    Parameters(query): Parameters<ChangeQuery>,
    Document(new): Document<NewSubscription>,
) -> Result<Json<Keyed>, Problem> {
    let keys = [control::random_key()?, control::random_key()?];
    let hashes = keys.each_ref().map(|key| portal.control.hash(key));
    let action = action("subscriptions/create", "subscription", &new.id, query.reason);
    let id = new.id.clone();
    let edit = move |decree: &mut Decree| decree.subscribe(&new, hashes);
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    let [primary, secondary] = keys;
    let subscription = shown(applied.version.decree.subscription(&id)?);
    Ok(Json(Keyed { subscription, primary_key: Some(primary), secondary_key: Some(secondary) }))
}

pub(crate) async fn patch(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    Document(patch): Document<SubscriptionPatch>,
) -> Result<Response, Problem> {
    let action = action("subscriptions/update", "subscription", &id, query.reason);
    let edit = |decree: &mut Decree| {
        check(&headers, Some(decree.subscription(&id)?))?;
        decree.patch(&id, &patch)
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    let subscription = applied.version.decree.subscription(&id)?;
    Ok(tagged(subscription, shown(subscription)))
}

pub(crate) async fn approve(
    state: State<Portal>,
    caller: Caller,
    id: Segment,
    given: (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Response, Problem> {
    step(state, caller, id, given, (Step::Approve, "subscriptions/approve")).await
}

pub(crate) async fn reject(
    state: State<Portal>,
    caller: Caller,
    id: Segment,
    given: (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Response, Problem> {
    step(state, caller, id, given, (Step::Reject, "subscriptions/reject")).await
}

pub(crate) async fn suspend(
    state: State<Portal>,
    caller: Caller,
    id: Segment,
    given: (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Response, Problem> {
    step(state, caller, id, given, (Step::Suspend, "subscriptions/suspend")).await
}

pub(crate) async fn activate(
    state: State<Portal>,
    caller: Caller,
    id: Segment,
    given: (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Response, Problem> {
    step(state, caller, id, given, (Step::Activate, "subscriptions/activate")).await
}

pub(crate) async fn cancel(
    state: State<Portal>,
    caller: Caller,
    id: Segment,
    given: (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Response, Problem> {
    step(state, caller, id, given, (Step::Cancel, "subscriptions/cancel")).await
}

async fn step(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    (step, operation): (Step, &'static str),
) -> Result<Response, Problem> {
    let action = action(operation, "subscription", &id, query.reason);
    let edit = |decree: &mut Decree| {
        check(&headers, Some(decree.subscription(&id)?))?;
        decree.step(&id, step)
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    let subscription = applied.version.decree.subscription(&id)?;
    Ok(tagged(subscription, shown(subscription)))
}

pub(crate) async fn rotate(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    Document(body): Document<RotateBody>,
) -> Result<Json<Keyed>, Problem> {
    let key = control::random_key()?;
    let hash = portal.control.hash(&key);
    let action = action("subscriptions/rotate", "subscription", &id, query.reason);
    let (now, grace) = (Timestamp::from(SystemTime::now()), Duration::from_secs(body.grace_s));
    let edit = |decree: &mut Decree| {
        let subscription = decree.subscription(&id)?;
        if !owns_or_administers(&caller, subscription) {
            return Err(Error::no_such_subscription(&id));
        }
        check(&headers, Some(subscription))?;
        decree.rotate(&id, body.key, hash, (now, grace))
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    let subscription = shown(applied.version.decree.subscription(&id)?);
    let (primary_key, secondary_key) = match body.key {
        KeySlot::Primary => (Some(key), None),
        KeySlot::Secondary => (None, Some(key)),
    };
    Ok(Json(Keyed { subscription, primary_key, secondary_key }))
}

pub(crate) async fn usage(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    Parameters(query): Parameters<UsageQuery>,
) -> Result<Json<Usage>, Problem> {
    let id = &find(&portal, &caller, &id)?.id;
    let days = query.days.unwrap_or(30);
    if !(1..=366).contains(&days) {
        return Err(Problem::new(400, "`days` may be 1 to 366"));
    }
    let within =
        format!("where TimeGenerated > ago({days}d) and ApimSubscriptionId == {}", json!(id));
    let columns = "TimeGenerated, DeploymentName, CostUsd";
    let query = format!(
        "union (Interactions | {within} \
         | project {columns}, Calls = 1, PromptTokens, CompletionTokens, TotalTokens), \
         (CostAdjustments | {within} | project {columns}) \
         | summarize Calls = sum(Calls), PromptTokens = sum(PromptTokens), \
         CompletionTokens = sum(CompletionTokens), TotalTokens = sum(TotalTokens), \
         CostUsd = sum(CostUsd) by Day = bin(TimeGenerated, 1d), Deployment = DeploymentName \
         | order by Day desc, Deployment asc"
    );
    let access = kql::Access::of_subscriptions([id.clone()]);
    let options = kql::Options { access, ..kql::Options::default() };
    let answer = portal.engine.run(&query, &options).await;
    let frame = answer.map_err(|error| Problem::new(503, error.message().to_owned()))?;
    let object = |row: &Vec<kql::Value>| {
        let names = frame.columns.iter().map(|column| column.name.to_string());
        names.zip(row.iter().map(kusto::json_value)).collect()
    };
    Ok(Json(Usage { items: frame.rows.iter().map(object).collect() }))
}

/// It is there for this caller.
fn sees(caller: &Caller, subscription: &SubscriptionConfig) -> bool {
    caller.principal.has(Role::UsageReader) || owns_or_administers(caller, subscription)
}

fn owns_or_administers(caller: &Caller, subscription: &SubscriptionConfig) -> bool {
    let principal = &caller.principal;
    principal.has(Role::Administrator)
        || (principal.has(Role::Subscriber) && principal.subscriptions.contains(&subscription.id))
}

/// The subscription, if it is there for this caller; otherwise the same answer as if there were none.
fn find(portal: &Portal, caller: &Caller, id: &str) -> Result<SubscriptionConfig, Problem> {
    let is_it = |one: &SubscriptionConfig| one.id == id && sees(caller, one);
    let found = portal.control.subscriptions(is_it).pop();
    found.ok_or_else(|| Error::no_such_subscription(id).into())
}

fn shown(subscription: &SubscriptionConfig) -> Value {
    redacted(json!(subscription))
}
