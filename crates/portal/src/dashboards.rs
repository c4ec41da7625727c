//! Dashboards that everybody sees, over HTTP. Those of one browser never come here.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Json, Response};
use control::Decree;
use policy::DashboardConfig;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Caller;
use crate::extract::{Document, Parameters, Segment};
use crate::inner::Portal;
use crate::problem::Problem;
use crate::state::{ApplyReport, ChangeQuery, PageQuery, action, check, tagged};

/// Dashboards.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DashboardPage {
    /// By id.
    items: Vec<DashboardConfig>,
    /// `after` of the next page; null on the last one.
    next: Option<String>,
}

pub(crate) async fn dashboards(
    State(portal): State<Portal>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<DashboardPage>, Problem> {
    let mut dashboards = portal.control.live().decree.dashboards.clone();
    dashboards.sort_by(|a, b| a.id.cmp(&b.id));
    let (items, next) = query.page(dashboards, |dashboard| &dashboard.id)?;
    Ok(Json(DashboardPage { items, next }))
}

pub(crate) async fn dashboard(
    State(portal): State<Portal>,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let live = portal.control.live();
    let dashboard = live.decree.dashboard(&id).map_err(Problem::from)?;
    Ok(tagged(&dashboard, dashboard))
}

pub(crate) async fn put_dashboard(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    Document(mut dashboard): Document<DashboardConfig>,
) -> Result<Response, Problem> {
    if dashboard.id.is_empty() {
        dashboard.id.clone_from(&id);
    }
    if dashboard.id != id {
        return Err(Problem::new(422, "`id` in the body is not the one in the path: leave it out"));
    }
    let action = action("dashboards/put", "dashboard", &id, query.reason);
    let shown = dashboard.clone();
    let edit = move |decree: &mut Decree| {
        check(&headers, decree.dashboard(&id).ok())?;
        match decree.dashboards.iter_mut().find(|before| before.id == id) {
            Some(before) => *before = dashboard,
            None => decree.dashboards.push(dashboard),
        }
        Ok(())
    };
    portal.control.change(&caller.author(), &action, edit).await?;
    Ok(tagged(&shown, &shown))
}

pub(crate) async fn delete_dashboard(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Json<ApplyReport>, Problem> {
    let action = action("dashboards/delete", "dashboard", &id, query.reason);
    let edit = move |decree: &mut Decree| {
        check(&headers, Some(decree.dashboard(&id)?))?;
        decree.dashboards.retain(|dashboard| dashboard.id != id);
        Ok(())
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    Ok(Json(ApplyReport { version: applied.version.number, changes: applied.changes }))
}
