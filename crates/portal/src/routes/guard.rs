//! The guard before each handler: who asks, and whether the route's line lets it in.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use policy::{Principal, Role};

use super::{Allow, Dialect, Route};
use crate::access::Access;
use crate::kusto;
use crate::problem::Problem;

/// What a guard knows of its route.
#[derive(Clone)]
pub(super) struct Guard {
    access: Access,
    allow: Allow,
    dialect: Dialect,
}

impl Guard {
    pub(super) fn new(route: &Route, access: Access) -> Self {
        Self { access, allow: route.allow, dialect: route.dialect }
    }
}

/// Lets the request through with its [`Caller`](crate::Caller), or refuses it.
pub(super) async fn check(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    if guard.allow != Allow::Everybody {
        let (head, body) = request.into_parts();
        let caller = match guard.access.caller(&head).await {
            Ok(caller) => caller,
            Err(problem) => return deny(&problem, guard.dialect, &head.headers),
        };
        let Some(caller) = caller else {
            return deny(&Problem::nobody(), guard.dialect, &head.headers);
        };
        if let Err(problem) = decide(guard.allow, &caller.principal) {
            tracing::info!(
                principal = caller.principal.id,
                method = %head.method,
                path = head.uri.path(),
                "denied: the role is missing"
            );
            return deny(&problem, guard.dialect, &head.headers);
        }
        request = Request::from_parts(head, body);
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

/// The whole of authorisation on this listener.
fn decide(allow: Allow, principal: &Principal) -> Result<(), Problem> {
    let roles = match allow {
        Allow::Everybody | Allow::SignedIn => return Ok(()),
        Allow::Roles(roles) => roles,
    };
    if roles.iter().any(|role| principal.has(*role)) {
        return Ok(());
    }
    let names: Vec<&str> = roles.iter().copied().map(Role::name).collect();
    Err(Problem::new(
        403,
        format!(
            "this takes one of the roles {}: have an administrator map one of your groups to it",
            names.join(", ")
        ),
    ))
}

/// A problem in the words of a dialect.
pub(crate) fn deny(problem: &Problem, dialect: Dialect, headers: &HeaderMap) -> Response {
    if dialect == Dialect::Problem {
        return problem.clone().into_response();
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match problem.status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        _ => "General_BadRequest",
    };
    let kind = "Kusto.Data.Exceptions.KustoBadRequestException";
    let id = headers.get("x-ms-client-request-id").and_then(|id| id.to_str().ok()).unwrap_or("");
    let is_permanent = status != StatusCode::TOO_MANY_REQUESTS;
    (status, Json(kusto::body(code, kind, &problem.detail, is_permanent, id))).into_response()
}
