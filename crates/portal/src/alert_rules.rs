//! Alert rules over HTTP: which are in force and whose they are; those of the desired state are changed.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Json, Response};
use control::Decree;
use policy::AlertRule;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Caller;
use crate::extract::{Document, Parameters, Segment};
use crate::inner::Portal;
use crate::operations::AlertRuleLine;
use crate::problem::Problem;
use crate::state::{ApplyReport, ChangeQuery, PageQuery, action, check, tagged};

/// Alert rules.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AlertRulePage {
    /// By id.
    items: Vec<AlertRuleLine>,
    /// `after` of the next page; null on the last one.
    next: Option<String>,
}

pub(crate) async fn alert_rules(
    State(portal): State<Portal>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<AlertRulePage>, Problem> {
    let mut rules = portal.operations.alert_rules();
    rules.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
    let (items, next) = query.page(rules, |line| &line.rule.id)?;
    Ok(Json(AlertRulePage { items, next }))
}

pub(crate) async fn alert_rule(
    State(portal): State<Portal>,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let live = portal.control.live();
    let rule = live.decree.alert_rule(&id).map_err(Problem::from)?;
    Ok(tagged(&rule, rule))
}

pub(crate) async fn put_alert_rule(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    Document(mut rule): Document<AlertRule>,
) -> Result<Response, Problem> {
    if rule.id.is_empty() {
        rule.id.clone_from(&id);
    }
    if rule.id != id {
        return Err(Problem::new(422, "`id` in the body is not the one in the path: leave it out"));
    }
    let action = action("alert-rules/put", "alert_rule", &id, query.reason);
    let shown = rule.clone();
    let edit = move |decree: &mut Decree| {
        check(&headers, decree.alert_rule(&id).ok())?;
        match decree.alert_rules.iter_mut().find(|before| before.id == id) {
            Some(before) => *before = rule,
            None => decree.alert_rules.push(rule),
        }
        Ok(())
    };
    portal.control.change(&caller.author(), &action, edit).await?;
    Ok(tagged(&shown, &shown))
}

pub(crate) async fn delete_alert_rule(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Json<ApplyReport>, Problem> {
    let action = action("alert-rules/delete", "alert_rule", &id, query.reason);
    let edit = move |decree: &mut Decree| {
        check(&headers, Some(decree.alert_rule(&id)?))?;
        decree.alert_rules.retain(|rule| rule.id != id);
        Ok(())
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    Ok(Json(ApplyReport { version: applied.version.number, changes: applied.changes }))
}
