//! The pages' side of signing in and out: who is signed in, and the ways there and back.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Me;
use crate::extract::Parameters;
use crate::problem::Problem;
use crate::server::Portal;
use crate::sign_in::{Onward, Returned};

/// Who is signed in, and how to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionState {
    /// Who is signed in with this browser; null if nobody.
    principal: Option<Me>,
    /// What state-changing calls of this session send in the header `x-csrf-token`; empty without one.
    csrf_token: String,
    /// Providers to sign in with, for `/auth/sign-in?provider=`.
    providers: Vec<String>,
}

/// How to sign in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SignInQuery {
    /// Provider; the first one if it is left out.
    provider: String,
    /// Path on this listener to come back to.
    return_to: String,
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
    let csrf_token = session.as_ref().map(|session| session.csrf_token.clone());
    let state = SessionState {
        principal: session.map(|session| session.principal.into()),
        csrf_token: csrf_token.unwrap_or_default(),
        providers: portal.sign_in.providers().map(str::to_owned).collect(),
    };
    (unstored(), Json(state)).into_response()
}

/// Sends the browser to the provider. For everybody: nobody is signed in yet.
pub(crate) async fn begin(
    State(portal): State<Portal>,
    Parameters(query): Parameters<SignInQuery>,
) -> Result<Response, Problem> {
    portal.sign_in.begin(&query.provider, &query.return_to).await.map(onward)
}

/// The provider sends the browser back here. For everybody: the sealed cookie tells which sign-in it is.
pub(crate) async fn complete(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Parameters(returned): Parameters<Returned>,
) -> Result<Response, Problem> {
    portal.sign_in.complete(&headers, &returned).await.map(onward)
}

/// Ends the session.
pub(crate) async fn end(State(portal): State<Portal>, headers: HeaderMap) -> Response {
    let (end_session_url, cookie) = portal.sign_in.end(&headers);
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
