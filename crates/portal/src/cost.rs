//! Cost over HTTP: budgets, and what past calls cost by the prices that hold now.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Json, Response};
use control::Decree;
use policy::BudgetConfig;

use crate::access::Caller;
use crate::extract::{Document, Parameters, Segment};
use crate::inner::Portal;
use crate::operations::{BudgetList, RerateBody, RerateReport};
use crate::problem::Problem;
use crate::state::{ApplyReport, ChangeQuery, action, check, tagged};

pub(crate) async fn budgets(State(portal): State<Portal>) -> Json<BudgetList> {
    Json(portal.operations.budgets().await)
}

pub(crate) async fn budget(
    State(portal): State<Portal>,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let live = portal.control.live();
    let budget = live.decree.budget(&id).map_err(Problem::from)?;
    Ok(tagged(&budget, budget))
}

pub(crate) async fn put_budget(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    Document(mut budget): Document<BudgetConfig>,
) -> Result<Response, Problem> {
    if budget.id.is_empty() {
        budget.id.clone_from(&id);
    }
    if budget.id != id {
        return Err(Problem::new(422, "`id` in the body is not the one in the path: leave it out"));
    }
    let action = action("budgets/put", "budget", &id, query.reason);
    let shown = budget.clone();
    let edit = move |decree: &mut Decree| {
        check(&headers, decree.budget(&id).ok())?;
        match decree.budgets.iter_mut().find(|before| before.id == id) {
            Some(before) => *before = budget,
            None => decree.budgets.push(budget),
        }
        Ok(())
    };
    portal.control.change(&caller.author(), &action, edit).await?;
    Ok(tagged(&shown, &shown))
}

pub(crate) async fn delete_budget(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Json<ApplyReport>, Problem> {
    let action = action("budgets/delete", "budget", &id, query.reason);
    let edit = move |decree: &mut Decree| {
        check(&headers, Some(decree.budget(&id)?))?;
        decree.budgets.retain(|budget| budget.id != id);
        Ok(())
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    Ok(Json(ApplyReport { version: applied.version.number, changes: applied.changes }))
}

pub(crate) async fn rerate(
    State(portal): State<Portal>,
    caller: Caller,
    Document(body): Document<RerateBody>,
) -> Result<Json<RerateReport>, Problem> {
    let done = portal.operations.rerate(&body).await;
    if body.dry_run {
        return done.map(Json);
    }
    let days = format!("{} to {}", body.from, body.to);
    let (outcome, told) = match &done {
        Ok(report) => {
            let RerateReport { price_version, before_usd, after_usd, .. } = report;
            (
                "succeeded",
                format!("{before_usd} USD became {after_usd} USD by prices {price_version}"),
            )
        }
        Err(problem) => ("failed", problem.detail.clone()),
    };
    let reason = body.reason.trim();
    let told = if reason.is_empty() { told } else { format!("{reason}: {told}") };
    let action = action("cost/rerate", "cost", &days, told);
    portal.control.record(&caller.author(), &action, outcome).await?;
    done.map(Json)
}
