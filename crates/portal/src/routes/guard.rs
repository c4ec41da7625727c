//! The guard before each handler: who asks, and whether the route's line lets it in.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use control::{Action, Control};
use policy::{Principal, Role};

use super::{Allow, Dialect, Route};
use crate::access::{Access, Caller};
use crate::idempotency::Answers;
use crate::inner::Portal;
use crate::kusto;
use crate::logs;
use crate::problem::Problem;
use crate::scim::ScimError;

/// Most characters of a path that a record of a denied attempt holds.
const PATH_CHARS_MAX: usize = 200;

/// What a guard knows of its route.
#[derive(Clone)]
pub(super) struct Guard {
    access: Access,
    control: Control,
    answers: Answers,
    operation: &'static str,
    allow: Allow,
    dialect: Dialect,
}

impl Guard {
    pub(super) fn new(route: &Route, portal: &Portal) -> Self {
        Self {
            access: portal.access.clone(),
            control: portal.control.clone(),
            answers: portal.answers.clone(),
            operation: route.id,
            allow: route.allow,
            dialect: route.dialect,
        }
    }

    /// An attempt to change something that was denied is a record; looking is none. A record that
    /// cannot be made changes nothing for who was denied.
    async fn note_denied(&self, caller: &Caller, head: &Parts, problem: &Problem) {
        let principal = &caller.principal.id;
        tracing::info!(principal, operation = self.operation, "denied: the role is missing");
        if head.method.is_safe() {
            return;
        }
        let action = Action {
            operation: self.operation,
            kind: "route",
            id: head.uri.path().chars().take(PATH_CHARS_MAX).collect(),
            message: problem.detail.clone(),
        };
        if let Err(error) = self.control.record(&caller.author(), &action, "denied").await {
            tracing::warn!(%error, "a denied attempt is not on record");
        }
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
        let Some(mut caller) = caller else {
            return deny(&Problem::nobody(), guard.dialect, &head.headers);
        };
        guard.control.live().decree.complete(&mut caller.principal);
        if let Err(problem) = decide(guard.allow, &caller.principal) {
            guard.note_denied(&caller, &head, &problem).await;
            return deny(&problem, guard.dialect, &head.headers);
        }
        request = Request::from_parts(head, body);
        request.extensions_mut().insert(caller.clone());
        if !request.method().is_safe() {
            return guard.answers.once(&caller, request, next).await;
        }
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
    match dialect {
        Dialect::Problem => return problem.clone().into_response(),
        Dialect::Scim => return ScimError::from(problem.clone()).into_response(),
        Dialect::Kusto => return kusto::denied(problem, headers),
        Dialect::Logs => {}
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(logs::denied(problem))).into_response()
}
