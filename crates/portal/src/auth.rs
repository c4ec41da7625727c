//! The pages' side of signing in and out: who is signed in, and the ways there and back.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use event::SecurityEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Caller, Me};
use crate::break_glass::LocalSignIn;
use crate::extract::{Document, Parameters};
use crate::inner::Portal;
use crate::problem::Problem;
use crate::sign_in::{Onward, Returned};
use crate::turned_away;
use crate::visit::Visit;

/// Who is signed in, and how to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionState {
    /// Who is signed in with this browser; null if nobody.
    principal: Option<Me>,
    /// What state-changing calls of this session send in the header `x-csrf-token`; empty without one.
    csrf_token: String,
    /// Providers to sign in with, for `/auth/sign-in?provider=`.
    providers: Vec<String>,
    /// There is a local account, for `POST /auth/local`.
    has_local_account: bool,
}

/// How to sign in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SignInQuery {
    /// Provider; the first one if it is left out.
    provider: String,
    /// Path on this listener to come back to.
    return_to: String,
    /// Token of the set-up link, which makes the first administrator.
    set_up: String,
}

/// The session has ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SignedOut {
    /// Where the browser goes to sign out at the provider; empty if it has no such place.
    end_session_url: String,
}

/// Tells who is signed in. For everybody: whoever is nobody must learn how to sign in.
pub(crate) async fn session(State(portal): State<Portal>, headers: HeaderMap) -> Response {
    let session = portal.sign_in.session(&headers);
    let principal = session.as_ref().and_then(|session| {
        let mut principal = portal.sign_in.principal(&session.who).ok()?;
        portal.control.live().decree.complete(&mut principal);
        Some(principal)
    });
    let csrf_token = session.filter(|_| principal.is_some()).map(|session| session.csrf_token);
    let state = SessionState {
        principal: principal.map(Me::from),
        csrf_token: csrf_token.unwrap_or_default(),
        providers: portal.sign_in.providers().map(str::to_owned).collect(),
        has_local_account: portal.sign_in.has_local_account(),
    };
    (unstored(), Json(state)).into_response()
}

/// Sends the browser to the provider. For everybody: nobody is signed in yet.
pub(crate) async fn begin(
    State(portal): State<Portal>,
    Parameters(query): Parameters<SignInQuery>,
) -> Result<Response, Problem> {
    let back = (query.return_to.as_str(), query.set_up.as_str());
    portal.sign_in.begin(&query.provider, back).await.map(onward)
}

/// The provider sends the browser back here. For everybody: the sealed cookie tells which sign-in it is.
pub(crate) async fn complete(
    State(portal): State<Portal>,
    visit: Visit,
    headers: HeaderMap,
    Parameters(returned): Parameters<Returned>,
) -> Response {
    let arrived = portal.sign_in.complete(&headers, &returned).await;
    match portal.enter(visit, arrived).await {
        Ok(next) => onward(next),
        Err(problem) => turned_away::answer(problem, &headers),
    }
}

/// The local account signs in. For everybody: nobody is signed in yet.
pub(crate) async fn local(
    State(portal): State<Portal>,
    visit: Visit,
    headers: HeaderMap,
    Document(given): Document<LocalSignIn>,
) -> Result<Response, Problem> {
    let arrived = portal.sign_in.local(&visit, &headers, given).await;
    let next = portal.enter(visit, arrived).await?;
    let mut response = (StatusCode::NO_CONTENT, unstored()).into_response();
    set_cookies(&mut response, &next.cookies);
    Ok(response)
}

/// Ends the session.
pub(crate) async fn end(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let (end_session_url, cookie) = portal.sign_in.end(&headers);
    let visit = Visit { address: caller.address, target: "session".to_owned() };
    let event = visit.event("sign_out", "informational", "");
    tracing::info!(principal = caller.principal.id, "signed out");
    (portal.watch)(SecurityEvent { principal_id: caller.principal.id, ..event });
    let mut response = (unstored(), Json(SignedOut { end_session_url })).into_response();
    set_cookies(&mut response, &[cookie]);
    response
}

fn onward(next: Onward) -> Response {
    let location = HeaderValue::from_str(&next.location).unwrap_or(HeaderValue::from_static("/"));
    let mut response = (StatusCode::SEE_OTHER, unstored()).into_response();
    response.headers_mut().insert(header::LOCATION, location);
    set_cookies(&mut response, &next.cookies);
    response
}

fn set_cookies(response: &mut Response, cookies: &[String]) {
    for cookie in cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// Codes and tokens are in these addresses and answers.
fn unstored() -> [(HeaderName, &'static str); 2] {
    [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")]
}
