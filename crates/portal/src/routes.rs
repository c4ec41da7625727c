//! The route table of the admin listener: what can be asked, how, by whom.
//!
//! One line states a route. From the table come the router with a guard before each handler, the
//! OpenAPI document and the matrix in `docs/access.md`; what stands in no line is not served. Handlers
//! live in files of their own.

mod guard;
mod matrix;
mod openapi;
#[cfg(test)]
pub(crate) mod tests;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, delete, get, on, patch, post, put};
use policy::{
    AlertRule, BudgetConfig, DashboardConfig, ProductConfig, Role, RoleConfig, SubscriptionConfig,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::break_glass::LocalSignIn;
use crate::inner::Portal;
use crate::{
    access, admin, alert_rules, alerts, approvals, auth, cost, dashboards, erasures, export,
    interactions, kusto, language, live, logs, operations, raw, records, reports, scim, settings,
    sign_in, state, stream_jobs, subscriptions,
};

pub(crate) use guard::deny;

/// Who changes the desired state.
pub(crate) const ADMINISTRATORS: &[Role] = &[Role::Administrator];
/// Who runs the gateway.
pub(crate) const OPERATORS: &[Role] = &[Role::Administrator, Role::Operator];
/// Who sees subscriptions: all of them, or the own ones.
pub(crate) const SUBSCRIBERS: &[Role] = &[Role::Administrator, Role::UsageReader, Role::Subscriber];
/// Who may ask the record; what each sees of it is decided in the query.
pub(crate) const READERS: &[Role] = &[
    Role::Administrator,
    Role::Operator,
    Role::UsageReader,
    Role::ContentReader,
    Role::Subscriber,
];
/// Who provisions users and groups.
pub(crate) const PROVISIONERS: &[Role] = &[Role::Provisioner];

/// Who may see everybody's interactions, without their content.
pub(crate) const OVERSEERS: &[Role] =
    &[Role::Administrator, Role::Operator, Role::UsageReader, Role::ContentReader];

/// Every route.
pub(crate) fn table() -> Vec<Route> {
    [gateway(), desired_state(), subscription(), record(), scim()].into_iter().flatten().collect()
}

/// This listener and who asks it, the running gateway, alerts.
#[rustfmt::skip]
fn gateway() -> Vec<Route> {
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
            .for_everybody().query::<auth::SignInQuery>().redirects(),
        Route::new("sign_in/complete", Method::GET, "/auth/callback", "The browser comes back from the identity provider", auth::complete)
            .for_everybody().query::<sign_in::Returned>().redirects(),
        Route::new("sign_in/local", Method::POST, "/auth/local", "Sign in with the local account, if there is one", auth::local)
            .for_everybody().takes::<LocalSignIn>().answers_nothing(),
        Route::new("session/end", Method::POST, "/auth/sign-out", "Sign out", auth::end)
            .for_all_signed_in().answers::<auth::SignedOut>(),

        // The running gateway.
        Route::new("configuration/get", Method::GET, "/admin/v1/configuration", "The configuration in force: each value with where it comes from", settings::list)
            .roles(OPERATORS).answers::<operations::SettingList>(),
        Route::new("configuration/reload", Method::POST, "/admin/v1/reload", "Read the configuration file again; it is taken as a whole or not at all", admin::reload)
            .roles(OPERATORS).answers::<operations::ReloadReport>(),
        Route::new("backends/list", Method::GET, "/admin/v1/backends", "The backends and how they fare", admin::backends)
            .roles(OPERATORS).answers::<operations::BackendList>(),
        Route::new("backends/drain", Method::POST, "/admin/v1/backends/{id}/drain", "Send a backend no new calls; those in flight finish", admin::drain)
            .roles(OPERATORS).query::<admin::DrainQuery>().answers::<operations::BackendList>(),
        Route::new("backends/undrain", Method::POST, "/admin/v1/backends/{id}/undrain", "Send a backend calls again", admin::undrain)
            .roles(OPERATORS).answers::<operations::BackendList>(),
        Route::new("certificates/list", Method::GET, "/admin/v1/certificates", "When the certificate of each listener ends", admin::certificates)
            .roles(OPERATORS).answers::<operations::CertificateList>(),
        Route::new("limits/list", Method::GET, "/admin/v1/limits", "What has been used of limits", admin::limits)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<operations::CounterList>(),

        // Alerts.
        Route::new("alerts/list", Method::GET, "/admin/v1/alerts", "The alert rules, what fires, and what could not be looked at", alerts::list)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<operations::AlertList>(),
        Route::new("alerts/test", Method::POST, "/admin/v1/alerts/{rule}/test", "Look at a rule now and send a test alert to its sinks", alerts::test)
            .roles(OPERATORS).answers::<operations::AlertTest>(),

        // Scheduled reports.
        Route::new("reports/list", Method::GET, "/admin/v1/reports", "The scheduled reports, when they are made next, and what became of the last ones", reports::list)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<operations::ReportList>(),
        Route::new("reports/run", Method::POST, "/admin/v1/reports/{report}/run", "Make the report that was due last, and deliver it now", reports::run)
            .roles(OPERATORS).answers::<operations::ReportRun>(),
        Route::new("stream-jobs/list", Method::GET, "/admin/v1/stream-jobs", "The stream jobs, how far each has come and how far it is behind", stream_jobs::list)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<operations::StreamJobList>(),

        // Cost.
        Route::new("budgets/list", Method::GET, "/admin/v1/budgets", "The budgets: what is spent of each, and what will be at the end of its period", cost::budgets)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<operations::BudgetList>(),
        Route::new("cost/rerate", Method::POST, "/admin/v1/cost/rerate", "Rate the calls of past days anew by the prices that hold now, or tell what that would change", cost::rerate)
            .roles(ADMINISTRATORS).takes::<operations::RerateBody>().answers::<operations::RerateReport>(),
    ]
}

/// Products, budgets, dashboards, alert rules, roles and versions.
#[rustfmt::skip]
fn desired_state() -> Vec<Route> {
    vec![
        Route::new("control/get", Method::GET, "/admin/v1/control", "Where the desired state is kept, and whether that can be reached", state::status)
            .roles(OPERATORS).answers::<control::Status>(),
        Route::new("products/list", Method::GET, "/admin/v1/products", "Products, by id", state::products)
            .roles(ADMINISTRATORS).query::<state::PageQuery>().answers::<state::ProductPage>(),
        Route::new("products/get", Method::GET, "/admin/v1/products/{id}", "A product", state::product)
            .roles(ADMINISTRATORS).answers::<ProductConfig>(),
        Route::new("products/put", Method::PUT, "/admin/v1/products/{id}", "Make or replace a product", state::put_product)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().takes::<ProductConfig>().answers::<ProductConfig>(),
        Route::new("products/delete", Method::DELETE, "/admin/v1/products/{id}", "Remove a product that no subscription uses", state::delete_product)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<state::ApplyReport>(),
        Route::new("budgets/get", Method::GET, "/admin/v1/budgets/{id}", "A budget", cost::budget)
            .roles(ADMINISTRATORS).answers::<BudgetConfig>(),
        Route::new("budgets/put", Method::PUT, "/admin/v1/budgets/{id}", "Make or replace a budget", cost::put_budget)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().takes::<BudgetConfig>().answers::<BudgetConfig>(),
        Route::new("budgets/delete", Method::DELETE, "/admin/v1/budgets/{id}", "Remove a budget", cost::delete_budget)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<state::ApplyReport>(),
        Route::new("dashboards/list", Method::GET, "/admin/v1/dashboards", "The dashboards that everybody sees, by id", dashboards::dashboards)
            .roles(READERS).query::<state::PageQuery>().answers::<dashboards::DashboardPage>(),
        Route::new("dashboards/get", Method::GET, "/admin/v1/dashboards/{id}", "A dashboard that everybody sees", dashboards::dashboard)
            .roles(READERS).answers::<DashboardConfig>(),
        Route::new("dashboards/put", Method::PUT, "/admin/v1/dashboards/{id}", "Make or replace a dashboard that everybody sees", dashboards::put_dashboard)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().takes::<DashboardConfig>().answers::<DashboardConfig>(),
        Route::new("dashboards/delete", Method::DELETE, "/admin/v1/dashboards/{id}", "Remove a dashboard that everybody sees", dashboards::delete_dashboard)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<state::ApplyReport>(),
        Route::new("alert-rules/list", Method::GET, "/admin/v1/alert-rules", "The alert rules in force, by id, and whose each is", alert_rules::alert_rules)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).query::<state::PageQuery>().answers::<alert_rules::AlertRulePage>(),
        Route::new("alert-rules/get", Method::GET, "/admin/v1/alert-rules/{id}", "An alert rule of the desired state", alert_rules::alert_rule)
            .roles(&[Role::Administrator, Role::Operator, Role::UsageReader]).answers::<AlertRule>(),
        Route::new("alert-rules/put", Method::PUT, "/admin/v1/alert-rules/{id}", "Make or replace an alert rule of the desired state", alert_rules::put_alert_rule)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().takes::<AlertRule>().answers::<AlertRule>(),
        Route::new("alert-rules/delete", Method::DELETE, "/admin/v1/alert-rules/{id}", "Remove an alert rule of the desired state", alert_rules::delete_alert_rule)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<state::ApplyReport>(),
        Route::new("roles/list", Method::GET, "/admin/v1/roles", "Who holds which role", state::roles)
            .roles(ADMINISTRATORS).answers::<state::RoleList>(),
        Route::new("roles/put", Method::PUT, "/admin/v1/roles/{role}", "Say who holds a role", state::put_role)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().takes::<state::RoleBody>().answers::<RoleConfig>(),
        Route::new("state/export", Method::GET, "/admin/v1/state", "The whole desired state, keys as hashes", state::export)
            .roles(ADMINISTRATORS).answers::<control::Decree>(),
        Route::new("state/apply", Method::PUT, "/admin/v1/state", "Replace the whole desired state, or tell what that would change", state::apply)
            .roles(ADMINISTRATORS).query::<state::ApplyQuery>().takes::<control::Decree>().answers::<state::ApplyReport>(),
        Route::new("versions/list", Method::GET, "/admin/v1/versions", "Versions of the desired state, newest first", state::versions)
            .roles(ADMINISTRATORS).query::<state::VersionsQuery>().answers::<state::VersionPage>(),
        Route::new("versions/get", Method::GET, "/admin/v1/versions/{version}", "The desired state as it was", state::version)
            .roles(ADMINISTRATORS).answers::<control::Decree>(),
        Route::new("versions/diff", Method::GET, "/admin/v1/versions/{version}/diff", "What a version changed", state::diff)
            .roles(ADMINISTRATORS).query::<state::DiffQuery>().answers::<state::ApplyReport>(),
        Route::new("versions/rollback", Method::POST, "/admin/v1/versions/{version}/rollback", "Make the state of a version the newest one", state::rollback)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<state::ApplyReport>(),
    ]
}

/// Subscriptions and their keys.
#[rustfmt::skip]
fn subscription() -> Vec<Route> {
    vec![
        Route::new("subscriptions/list", Method::GET, "/admin/v1/subscriptions", "Subscriptions, by id; subscribers see their own", subscriptions::list)
            .roles(SUBSCRIBERS).query::<state::PageQuery>().answers::<subscriptions::SubscriptionPage>(),
        Route::new("subscriptions/create", Method::POST, "/admin/v1/subscriptions", "Make a subscription; its keys are shown this once", subscriptions::create)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().takes::<control::NewSubscription>().answers::<subscriptions::Keyed>(),
        Route::new("subscriptions/get", Method::GET, "/admin/v1/subscriptions/{id}", "A subscription; subscribers see their own", subscriptions::one)
            .roles(SUBSCRIBERS).answers::<SubscriptionConfig>(),
        Route::new("subscriptions/update", Method::PATCH, "/admin/v1/subscriptions/{id}", "Change what the body names", subscriptions::patch)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().takes::<control::SubscriptionPatch>().answers::<SubscriptionConfig>(),
        Route::new("subscriptions/approve", Method::POST, "/admin/v1/subscriptions/{id}/approve", "A submitted one becomes active", subscriptions::approve)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<SubscriptionConfig>(),
        Route::new("subscriptions/reject", Method::POST, "/admin/v1/subscriptions/{id}/reject", "A submitted one is refused", subscriptions::reject)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<SubscriptionConfig>(),
        Route::new("subscriptions/suspend", Method::POST, "/admin/v1/subscriptions/{id}/suspend", "Its keys are refused until it is activated", subscriptions::suspend)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<SubscriptionConfig>(),
        Route::new("subscriptions/activate", Method::POST, "/admin/v1/subscriptions/{id}/activate", "A suspended one is active again", subscriptions::activate)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<SubscriptionConfig>(),
        Route::new("subscriptions/cancel", Method::POST, "/admin/v1/subscriptions/{id}/cancel", "It ends for good", subscriptions::cancel)
            .roles(ADMINISTRATORS).query::<state::ChangeQuery>().answers::<SubscriptionConfig>(),
        Route::new("subscriptions/rotate", Method::POST, "/admin/v1/subscriptions/{id}/rotate", "Another key in the place of one, shown this once; subscribers rotate their own", subscriptions::rotate)
            .roles(&[Role::Administrator, Role::Subscriber]).query::<state::ChangeQuery>().takes::<subscriptions::RotateBody>().answers::<subscriptions::Keyed>(),
        Route::new("subscriptions/usage", Method::GET, "/admin/v1/subscriptions/{id}/usage", "What it used, by day and deployment; subscribers see their own", subscriptions::usage)
            .roles(SUBSCRIBERS).query::<subscriptions::UsageQuery>().answers::<subscriptions::Usage>(),
    ]
}

/// Queries, interactions and their proof.
#[rustfmt::skip]
fn record() -> Vec<Route> {
    vec![
        Route::new("language/complete", Method::POST, "/admin/v1/kql/complete", "What may stand at a place in a query", language::complete)
            .for_all_signed_in().takes::<language::Place>().answers::<language::Choices>(),
        Route::new("language/hover", Method::POST, "/admin/v1/kql/hover", "What the word at a place in a query means", language::hover)
            .for_all_signed_in().takes::<language::Place>().answers::<language::Meaning>(),
        Route::new("language/check", Method::POST, "/admin/v1/kql/check", "What is wrong with a query, without running it", language::check)
            .for_all_signed_in().takes::<language::Text>().answers::<language::Mistakes>(),
        Route::new("language/format", Method::POST, "/admin/v1/kql/format", "A query laid out; it means the same", language::format)
            .for_all_signed_in().takes::<language::Text>().answers::<language::Text>(),
        Route::new("interactions/tail", Method::GET, "/admin/v1/live", "Interactions as they end, as server-sent events, without content", live::tail)
            .roles(OVERSEERS).query::<live::Wanted>().streams(),
        Route::new("interactions/trail", Method::GET, "/admin/v1/interactions/{id}/trail", "The steps of one interaction in the ledger, and sums over its bodies", interactions::trail)
            .roles(OVERSEERS).query::<interactions::Place>().answers::<interactions::Trail>(),
        Route::new("interactions/raw", Method::GET, "/admin/v1/interactions/{id}/raw", "A body of one interaction as it passed, byte by byte; the look is recorded", raw::body)
            .roles(raw::CONTENT_READERS).query::<raw::Wanted>().sends_bytes(),
        Route::new("approvals/list", Method::GET, "/admin/v1/approvals", "Who asked to read content, and what was decided, newest first", approvals::list)
            .roles(approvals::APPROVERS).answers::<approvals::ApprovalList>(),
        Route::new("approvals/request", Method::POST, "/admin/v1/approvals", "Ask another person for the approval to read content for a purpose", approvals::request)
            .roles(approvals::REQUESTERS).takes::<approvals::ApprovalBody>().answers::<control::Approval>(),
        Route::new("approvals/approve", Method::POST, "/admin/v1/approvals/{id}/approve", "Somebody else may read content, for the purpose and for a while", approvals::approve)
            .roles(approvals::APPROVERS).query::<state::ChangeQuery>().answers::<control::Approval>(),
        Route::new("approvals/deny", Method::POST, "/admin/v1/approvals/{id}/deny", "Somebody else may not read content for that purpose", approvals::deny)
            .roles(approvals::APPROVERS).query::<state::ChangeQuery>().answers::<control::Approval>(),
        Route::new("erasures/get", Method::GET, "/admin/v1/erasures", "How far orders to erase content are carried out", erasures::state)
            .roles(OPERATORS).answers::<operations::ErasureState>(),
        Route::new("erasures/order", Method::POST, "/admin/v1/erasures", "Erase what interactions said, from the ledger and the tables; the order is recorded", erasures::order)
            .roles(ADMINISTRATORS).takes::<erasures::ErasureBody>().answers::<erasures::ErasureReport>(),
        Route::new("ledger/verify", Method::POST, "/admin/v1/ledger/verify", "Prove the record, whole or a part: gaps, checksums, chain, interactions without an end", interactions::verify)
            .roles(OVERSEERS).query::<records::Part>().answers::<interactions::Proof>(),
        Route::new("query/run", Method::POST, "/v1/rest/query", "Run a KQL query, in Kusto's protocol version 1", kusto::query_v1)
            .roles(READERS).takes::<kusto::QueryBody>().answers::<kusto::QueryAnswer>().errors(Dialect::Kusto),
        Route::new("query/frames", Method::POST, "/v2/rest/query", "Run a KQL query, in Kusto's protocol version 2", kusto::query_v2)
            .roles(READERS).takes::<kusto::QueryBody>().errors(Dialect::Kusto),
        Route::new("query/export", Method::POST, "/admin/v1/query/export", "The result of a KQL query as a file: CSV, NDJSON, Parquet or Arrow IPC", export::file)
            .roles(READERS).query::<export::ExportQuery>().takes::<kusto::QueryBody>().sends_a_file(),
        Route::new("command/run", Method::POST, "/v1/rest/mgmt", "Run a `.show` command, in Kusto's protocol version 1", kusto::command)
            .roles(READERS).takes::<kusto::QueryBody>().answers::<kusto::QueryAnswer>().errors(Dialect::Kusto),
        Route::new("sign-in/get", Method::GET, "/v1/rest/auth/metadata", "Where clients of Kusto's API sign in", kusto::metadata)
            .for_everybody(),
        Route::new("logs/query", Method::POST, "/v1/workspaces/{id}/query", "Run a KQL query, as Azure Monitor Logs does", logs::query)
            .roles(READERS).takes::<logs::LogsQuery>().answers::<logs::LogsAnswer>().errors(Dialect::Logs),
        Route::new("logs/get", Method::GET, "/v1/workspaces/{id}/query", "Run a KQL query that stands in the address", logs::query_by_address)
            .roles(READERS).query::<logs::LogsAddress>().answers::<logs::LogsAnswer>().errors(Dialect::Logs),
        Route::new("logs/resource", Method::POST, "/v1/subscriptions/{*resource}", "Run a KQL query on a resource: the path ends in /query", logs::query)
            .roles(READERS).takes::<logs::LogsQuery>().answers::<logs::LogsAnswer>().errors(Dialect::Logs),
        Route::new("logs/batch", Method::POST, "/v1/$batch", "Run several KQL queries, as Azure Monitor Logs does", logs::batch)
            .roles(READERS).takes::<logs::LogsBatch>().errors(Dialect::Logs),
        Route::new("logs/metadata", Method::GET, "/v1/workspaces/{id}/metadata", "The tables, as Azure Monitor Logs describes them", logs::metadata)
            .roles(READERS).errors(Dialect::Logs),
    ]
}

/// Users and groups, from the organisation's directory.
#[rustfmt::skip]
fn scim() -> Vec<Route> {
    let route = |id, method, path, summary, handler: MethodRouter<Portal>| {
        Route::on(id, method, path, summary, handler).roles(PROVISIONERS).errors(Dialect::Scim)
    };
    vec![
        route("scim/provider", Method::GET, "/scim/v2/ServiceProviderConfig", "What SCIM can do here", get(scim::provider)),
        route("scim/types", Method::GET, "/scim/v2/ResourceTypes", "What SCIM provisions here", get(scim::resource_types)),
        route("scim/schemas", Method::GET, "/scim/v2/Schemas", "Attributes of users and groups", get(scim::schemas)),
        route("users/list", Method::GET, "/scim/v2/Users", "Users, filtered", get(scim::users)).query::<scim::ListQuery>(),
        route("users/create", Method::POST, "/scim/v2/Users", "Make a user", post(scim::create_user)).takes::<scim::Attributes>().creates(),
        route("users/get", Method::GET, "/scim/v2/Users/{id}", "A user", get(scim::user)).query::<scim::ListQuery>(),
        route("users/replace", Method::PUT, "/scim/v2/Users/{id}", "Replace a user", put(scim::put_user)).takes::<scim::Attributes>(),
        route("users/update", Method::PATCH, "/scim/v2/Users/{id}", "Change parts of a user", patch(scim::patch_user)).takes::<scim::PatchBody>(),
        route("users/delete", Method::DELETE, "/scim/v2/Users/{id}", "Delete a user; its sessions end", delete(scim::delete_user)).answers_nothing(),
        route("groups/list", Method::GET, "/scim/v2/Groups", "Groups, filtered", get(scim::groups)).query::<scim::ListQuery>(),
        route("groups/create", Method::POST, "/scim/v2/Groups", "Make a group", post(scim::create_group)).takes::<scim::Attributes>().creates(),
        route("groups/get", Method::GET, "/scim/v2/Groups/{id}", "A group", get(scim::group)).query::<scim::ListQuery>(),
        route("groups/replace", Method::PUT, "/scim/v2/Groups/{id}", "Replace a group", put(scim::put_group)).takes::<scim::Attributes>(),
        route("groups/update", Method::PATCH, "/scim/v2/Groups/{id}", "Change parts of a group, such as its members", patch(scim::patch_group)).takes::<scim::PatchBody>(),
        route("groups/delete", Method::DELETE, "/scim/v2/Groups/{id}", "Delete a group", delete(scim::delete_group)).answers_nothing(),
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
    answer: Answer,
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
    /// Azure Monitor's `error`.
    Logs,
    /// SCIM's error message (RFC 7644, section 3.12).
    Scim,
}

/// What a route answers with when all went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// JSON.
    Json,
    /// Server-sent events.
    Events,
    /// JSON of what was made.
    Created,
    /// Nothing.
    Empty,
    /// Another address to go to.
    Elsewhere,
    /// A file of one of the formats that results have.
    File,
    /// Bytes, whatever they are.
    Bytes,
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
        Self::on(id, method, path, summary, on(filter, handler))
    }

    /// The same, for a handler that is a method router already.
    fn on(
        id: &'static str,
        method: Method,
        path: &'static str,
        summary: &'static str,
        handler: MethodRouter<Portal>,
    ) -> Self {
        Self {
            id,
            method,
            path,
            summary,
            allow: Allow::Roles(&[]),
            query: None,
            request: None,
            response: None,
            answer: Answer::Json,
            dialect: Dialect::Problem,
            handler,
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

    /// Its answer is a stream of server-sent events.
    pub(crate) fn streams(mut self) -> Self {
        self.answer = Answer::Events;
        self
    }

    /// It answers with what it made.
    pub(crate) fn creates(mut self) -> Self {
        self.answer = Answer::Created;
        self
    }

    /// It answers with nothing.
    pub(crate) fn answers_nothing(mut self) -> Self {
        self.answer = Answer::Empty;
        self
    }

    /// Its answer sends the browser to another address.
    pub(crate) fn redirects(mut self) -> Self {
        self.answer = Answer::Elsewhere;
        self
    }

    /// Its answer is a file.
    pub(crate) fn sends_a_file(mut self) -> Self {
        self.answer = Answer::File;
        self
    }

    /// Its answer is bytes that the ledger holds.
    pub(crate) fn sends_bytes(mut self) -> Self {
        self.answer = Answer::Bytes;
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
        let guard = guard::Guard::new(&route, portal);
        router.route(route.path, route.handler.route_layer(from_fn_with_state(guard, guard::check)))
    })
}
