//! The route table of the admin listener: what can be asked, how, by whom.
//!
//! One line states a route. From the table come the router with a guard before each handler, the
//! OpenAPI document and the matrix in `docs/access.md`; what stands in no line is not served. Handlers
//! live in files of their own.

mod guard;
mod matrix;
mod openapi;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use policy::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::server::Portal;
use crate::{access, admin, alerts, auth, interactions, kusto, language, live, logs, sign_in};

pub(crate) use guard::deny;

/// Who runs the gateway.
pub(crate) const OPERATORS: &[Role] = &[Role::Administrator, Role::Operator];
/// Who may ask the record; what each sees of it is decided in the query.
pub(crate) const READERS: &[Role] = &Role::ALL;

/// Who may see everybody's interactions, without their content.
pub(crate) const OVERSEERS: &[Role] =
    &[Role::Administrator, Role::Operator, Role::UsageReader, Role::ContentReader];

/// Every route.
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    vec![
        // About this listener and who asks it.
        Route::new("openapi/get", Method::GET, "/admin/v1/openapi.json", "This listener as an OpenAPI 3.1 document", openapi::serve)
            .for_everybody(),
        Route::new("me/get", Method::GET, "/admin/v1/me", "Who asks, and in which roles", access::me)
            .for_all_signed_in().answers::<access::Me>(),

        // Signing in and out.
        Route::new("session/get", Method::GET, "/auth/session", "Who is signed in with this browser, and how to sign in", auth::session)
            .for_everybody().answers::<auth::SessionState>(),
        Route::new("sign_in/begin", Method::GET, "/auth/sign-in", "Send the browser to an identity provider", auth::begin)
            .for_everybody().query::<auth::SignInQuery>(),
        Route::new("sign_in/complete", Method::GET, "/auth/callback", "The browser comes back from the identity provider", auth::complete)
            .for_everybody().query::<sign_in::Returned>(),
        Route::new("session/end", Method::POST, "/auth/sign-out", "Sign out", auth::end)
            .for_all_signed_in().answers::<auth::SignedOut>(),

        // The running gateway.
        Route::new("configuration/reload", Method::POST, "/admin/v1/reload", "Read the configuration file again; it is taken as a whole or not at all", admin::reload)
            .roles(OPERATORS).answers::<admin::ReloadReport>(),
        Route::new("backends/list", Method::GET, "/admin/v1/backends", "The backends and how they fare", admin::backends)
            .roles(OPERATORS).answers::<admin::BackendList>(),
        Route::new("backends/drain", Method::POST, "/admin/v1/backends/{id}/drain", "Send a backend no new calls; those in flight finish", admin::drain)
            .roles(OPERATORS).query::<admin::DrainQuery>().answers::<admin::BackendList>(),
        Route::new("backends/undrain", Method::POST, "/admin/v1/backends/{id}/undrain", "Send a backend calls again", admin::undrain)
            .roles(OPERATORS).answers::<admin::BackendList>(),
        Route::new("limits/list", Method::GET, "/admin/v1/limits", "What has been used of limits", admin::limits)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<admin::CounterList>(),

        // Alerts.
        Route::new("alerts/list", Method::GET, "/admin/v1/alerts", "The alert rules, what fires, and what could not be looked at", alerts::list)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<alerts::AlertList>(),
        Route::new("alerts/test", Method::POST, "/admin/v1/alerts/{rule}/test", "Look at a rule now and send a test alert to its sinks", alerts::test)
            .roles(OPERATORS).answers::<alerts::AlertTest>(),

        // The record.
        Route::new("language/complete", Method::POST, "/admin/v1/kql/complete", "What may stand at a place in a query", language::complete)
            .for_all_signed_in().takes::<language::Place>().answers::<language::Choices>(),
        Route::new("language/hover", Method::POST, "/admin/v1/kql/hover", "What the word at a place in a query means", language::hover)
            .for_all_signed_in().takes::<language::Place>().answers::<language::Meaning>(),
        Route::new("language/check", Method::POST, "/admin/v1/kql/check", "What is wrong with a query, without running it", language::check)
            .for_all_signed_in().takes::<language::Text>().answers::<language::Mistakes>(),
        Route::new("language/format", Method::POST, "/admin/v1/kql/format", "A query laid out; it means the same", language::format)
            .for_all_signed_in().takes::<language::Text>().answers::<language::Text>(),
        Route::new("interactions/tail", Method::GET, "/admin/v1/live", "Interactions as they end, as server-sent events, without content", live::tail)
            .roles(OVERSEERS).query::<live::Wanted>(),
        Route::new("interactions/trail", Method::GET, "/admin/v1/interactions/{id}/trail", "The steps of one interaction in the ledger, and sums over its bodies", interactions::trail)
            .roles(OVERSEERS).query::<interactions::Place>().answers::<interactions::Trail>(),
        Route::new("ledger/verify", Method::POST, "/admin/v1/ledger/verify", "Prove the record: gaps, checksums, chain, interactions without an end", interactions::verify)
            .roles(OVERSEERS).answers::<interactions::Proof>(),
        Route::new("query/run", Method::POST, "/v1/rest/query", "Run a KQL query, in Kusto's protocol version 1", kusto::query_v1)
            .roles(READERS).takes::<kusto::QueryBody>().answers::<kusto::QueryAnswer>().errors(Dialect::Kusto),
        Route::new("query/frames", Method::POST, "/v2/rest/query", "Run a KQL query, in Kusto's protocol version 2", kusto::query_v2)
            .roles(READERS).takes::<kusto::QueryBody>().errors(Dialect::Kusto),
        Route::new("command/run", Method::POST, "/v1/rest/mgmt", "Run a `.show` command, in Kusto's protocol version 1", kusto::command)
            .roles(READERS).takes::<kusto::QueryBody>().answers::<kusto::QueryAnswer>().errors(Dialect::Kusto),
        Route::new("sign-in/get", Method::GET, "/v1/rest/auth/metadata", "Where clients of Kusto's API sign in", kusto::metadata)
            .for_everybody(),
        Route::new("logs/query", Method::POST, "/v1/workspaces/{id}/query", "Run a KQL query, as Azure Monitor Logs does", logs::query)
            .roles(READERS).takes::<logs::LogsQuery>().answers::<logs::LogsAnswer>(),
        Route::new("logs/get", Method::GET, "/v1/workspaces/{id}/query", "Run a KQL query that stands in the address", logs::query_by_address)
            .roles(READERS).query::<logs::LogsAddress>().answers::<logs::LogsAnswer>(),
        Route::new("logs/resource", Method::POST, "/v1/subscriptions/{*resource}", "Run a KQL query on a resource: the path ends in /query", logs::query)
            .roles(READERS).takes::<logs::LogsQuery>().answers::<logs::LogsAnswer>(),
        Route::new("logs/batch", Method::POST, "/v1/$batch", "Run several KQL queries, as Azure Monitor Logs does", logs::batch)
            .roles(READERS).takes::<logs::LogsBatch>(),
        Route::new("logs/metadata", Method::GET, "/v1/workspaces/{id}/metadata", "The tables, as Azure Monitor Logs describes them", logs::metadata)
            .roles(READERS),
    ]
}

/// One thing that can be asked of this listener.
pub(crate) struct Route {
    /// Noun and verb, unique; the column `OperationName` of records about it.
    id: &'static str,
    method: Method,
    path: &'static str,
    summary: &'static str,
    allow: Allow,
    query: Option<SchemaOf>,
    request: Option<SchemaOf>,
    response: Option<SchemaOf>,
    dialect: Dialect,
    handler: MethodRouter<Portal>,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allow {
    /// Who holds one of these roles; nobody if there is none, which is what a route begins with.
    Roles(&'static [Role]),
    /// Whoever proves who it is, in whatever role.
    SignedIn,
    /// Everybody; the handler says why that is right.
    Everybody,
}

/// How a route words its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Problem details (RFC 9457).
    Problem,
    /// Kusto's `OneApiError`.
    Kusto,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

impl Route {
    /// A route that nobody may call yet.
    pub(crate) fn new<T: 'static>(
        id: &'static str,
        method: Method,
        path: &'static str,
        summary: &'static str,
        handler: impl Handler<T, Portal>,
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("a method that axum knows");
        Self {
            id,
            method,
            path,
            summary,
            allow: Allow::Roles(&[]),
            query: None,
            request: None,
            response: None,
            dialect: Dialect::Problem,
            handler: on(filter, handler),
        }
    }

    /// Whoever holds one of these roles may call it.
    pub(crate) fn roles(mut self, roles: &'static [Role]) -> Self {
        self.allow = Allow::Roles(roles);
        self
    }

    /// Whoever proves who it is may call it.
    pub(crate) fn for_all_signed_in(mut self) -> Self {
        self.allow = Allow::SignedIn;
        self
    }

    /// Everybody may call it, without any credential. The reason belongs into the handler's comment.
    pub(crate) fn for_everybody(mut self) -> Self {
        self.allow = Allow::Everybody;
        self
    }

    /// The parameters of its query string: the fields of `T`.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// The JSON it takes.
    pub(crate) fn takes<T: JsonSchema>(mut self) -> Self {
        self.request = Some(|generator| generator.subschema_for::<T>());
        self
    }

    /// The JSON it answers with.
    pub(crate) fn answers<T: JsonSchema>(mut self) -> Self {
        self.response = Some(|generator| generator.subschema_for::<T>());
        self
    }

    /// How it words its errors; problem details otherwise.
    pub(crate) fn errors(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }
}

/// The router: each handler behind a guard that lets in whom its line names.
pub(crate) fn router(portal: &Portal) -> Router<Portal> {
    table().into_iter().fold(Router::new(), |router, route| {
        let guard = guard::Guard::new(&route, portal.access.clone());
        router.route(route.path, route.handler.route_layer(from_fn_with_state(guard, guard::check)))
    })
}
