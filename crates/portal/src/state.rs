//! The desired state over HTTP: products, roles, the whole document, its versions.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Json, Response};
use control::{Action, Author, Change, Decree, Error, ErrorKind, Status, VersionLine};
use policy::{ProductConfig, Role, RoleConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::access::Caller;
use crate::extract::{Document, Parameters, Segment};
use crate::inner::Portal;
use crate::problem::Problem;

/// Items on a page unless the request says otherwise.
const PAGE: usize = 100;
/// Most items on a page.
const PAGE_MAX: usize = 1_000;
/// Longest reason of a change.
const REASON_CHARS_MAX: usize = 1_000;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PageQuery {
    /// Items on the page, 1 to 1,000; 100 if left out.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Which page of the versions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VersionsQuery {
    /// Versions on the page, 1 to 1,000; 100 if left out.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// `next` of the page before: only versions older than this.
    after: Option<i64>,
}

/// How a change is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangeQuery {
    /// Why, for the record.
    #[serde(deserialize_with = "reason")]
    #[schemars(length(max = 1000))]
    pub(crate) reason: String,
}

/// How a document is applied.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApplyQuery {
    /// Only tell what would change.
    dry_run: bool,
    /// Why, for the record.
    #[serde(deserialize_with = "reason")]
    #[schemars(length(max = 1000))]
    reason: String,
}

/// What a document changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ApplyReport {
    /// Version in force.
    pub(crate) version: i64,
    /// What changed, or would.
    pub(crate) changes: Vec<Change>,
}

/// Products.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProductPage {
    /// By id.
    items: Vec<ProductConfig>,
    /// `after` of the next page; null on the last one.
    next: Option<String>,
}

/// Roles.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RoleList {
    /// Who holds which.
    items: Vec<RoleConfig>,
}

/// Who is to hold a role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleBody {
    /// Groups whose members hold it, by id.
    #[serde(default)]
    groups: Vec<String>,
    /// People and programs that hold it, by id.
    #[serde(default)]
    users: Vec<String>,
}

/// Versions.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VersionPage {
    /// Newest first.
    items: Vec<VersionLine>,
    /// `after` of the next page; null on the last one.
    next: Option<String>,
}

/// What to compare a version with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiffQuery {
    /// The version to compare with; the one before if left out.
    from: Option<i64>,
}

pub(crate) async fn status(State(portal): State<Portal>) -> Json<Status> {
    Json(portal.control.status())
}

pub(crate) async fn products(
    State(portal): State<Portal>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<ProductPage>, Problem> {
    let mut products = portal.control.live().decree.products.clone();
    products.sort_by(|a, b| a.id.cmp(&b.id));
    let (items, next) = query.page(products, |product| &product.id)?;
    Ok(Json(ProductPage { items, next }))
}

pub(crate) async fn product(
    State(portal): State<Portal>,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let live = portal.control.live();
    let product = live.decree.product(&id).map_err(Problem::from)?;
    Ok(tagged(&product, product))
}

pub(crate) async fn put_product(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    Document(mut product): Document<ProductConfig>,
) -> Result<Response, Problem> {
    if product.id.is_empty() {
        product.id.clone_from(&id);
    }
    if product.id != id {
        return Err(Problem::new(422, "`id` in the body is not the one in the path: leave it out"));
    }
    let action = action("products/put", "product", &id, query.reason);
    let shown = product.clone();
    let edit = move |decree: &mut Decree| {
        check(&headers, decree.product(&id).ok())?;
        decree.products.retain(|product| product.id != id);
        decree.products.push(product);
        Ok(())
    };
    portal.control.change(&caller.author(), &action, edit).await?;
    Ok(tagged(&shown, &shown))
}

pub(crate) async fn delete_product(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
) -> Result<Json<ApplyReport>, Problem> {
    let action = action("products/delete", "product", &id, query.reason);
    let edit = move |decree: &mut Decree| {
        check(&headers, Some(decree.product(&id)?))?;
        decree.products.retain(|product| product.id != id);
        Ok(())
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    Ok(Json(ApplyReport { version: applied.version.number, changes: applied.changes }))
}

pub(crate) async fn roles(State(portal): State<Portal>) -> Json<RoleList> {
    Json(RoleList { items: portal.control.live().decree.roles.clone() })
}

pub(crate) async fn put_role(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(name): Segment,
    (headers, Parameters(query)): (HeaderMap, Parameters<ChangeQuery>),
    Document(body): Document<RoleBody>,
) -> Result<Response, Problem> {
    let role = Role::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Role::ALL.into_iter().map(Role::name).collect();
        Problem::new(404, format!("there is no role `{name}`: there are {}", names.join(", ")))
    })?;
    let action = action("roles/put", "role", &name, query.reason);
    let config = RoleConfig { role, groups: body.groups, users: body.users };
    let shown = config.clone();
    let edit = move |decree: &mut Decree| {
        check(&headers, decree.roles.iter().find(|config| config.role == role))?;
        decree.roles.retain(|config| config.role != role);
        decree.roles.push(config);
        decree.roles.sort_by_key(|config| config.role);
        Ok(())
    };
    portal.control.change(&caller.author(), &action, edit).await?;
    Ok(tagged(&shown, &shown))
}

/// The whole document, to be kept in a file or applied elsewhere; keys stand in it as hashes.
pub(crate) async fn export(State(portal): State<Portal>) -> Response {
    let live = portal.control.live();
    tagged(&live.decree, &live.decree)
}

pub(crate) async fn apply(
    State(portal): State<Portal>,
    caller: Caller,
    headers: HeaderMap,
    Parameters(query): Parameters<ApplyQuery>,
    Document(decree): Document<Decree>,
) -> Result<Json<ApplyReport>, Problem> {
    let edit = move |current: &mut Decree| {
        check(&headers, Some(&*current))?;
        *current = decree;
        Ok(())
    };
    if query.dry_run {
        let changes = portal.control.dry_run(edit).await?;
        return Ok(Json(ApplyReport { version: portal.control.live().number, changes }));
    }
    let action = action("state/apply", "state", "", query.reason);
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    Ok(Json(ApplyReport { version: applied.version.number, changes: applied.changes }))
}

pub(crate) async fn versions(
    State(portal): State<Portal>,
    Parameters(query): Parameters<VersionsQuery>,
) -> Result<Json<VersionPage>, Problem> {
    let limit = within_page(query.limit)?;
    let before = query.after.unwrap_or(i64::MAX);
    let mut items = portal.control.versions(before, limit as i64 + 1).await?;
    let is_last = items.len() <= limit;
    items.truncate(limit);
    let next = items.last().filter(|_| !is_last).map(|line| line.version.to_string());
    Ok(Json(VersionPage { items, next }))
}

pub(crate) async fn version(
    State(portal): State<Portal>,
    Segment(number): Segment,
) -> Result<Json<Decree>, Problem> {
    Ok(Json(portal.control.version(parse(&number)?).await?))
}

pub(crate) async fn diff(
    State(portal): State<Portal>,
    Segment(number): Segment,
    Parameters(query): Parameters<DiffQuery>,
) -> Result<Json<ApplyReport>, Problem> {
    let number = parse(&number)?;
    let to = portal.control.version(number).await?;
    let from = match query.from.unwrap_or(number.saturating_sub(1)) {
        0 => Decree::default(),
        from => portal.control.version(from).await?,
    };
    Ok(Json(ApplyReport { version: number, changes: control::compare(&from, &to) }))
}

pub(crate) async fn rollback(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(number): Segment,
    Parameters(query): Parameters<ChangeQuery>,
) -> Result<Json<ApplyReport>, Problem> {
    let decree = portal.control.version(parse(&number)?).await?;
    let action = action("versions/rollback", "state", &number, query.reason);
    let edit = move |current: &mut Decree| {
        *current = decree;
        Ok(())
    };
    let applied = portal.control.change(&caller.author(), &action, edit).await?;
    Ok(Json(ApplyReport { version: applied.version.number, changes: applied.changes }))
}

impl PageQuery {
    /// One page of sorted items, and where the next begins.
    pub(crate) fn page<T>(
        &self,
        items: Vec<T>,
        id: impl Fn(&T) -> &String,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = within_page(self.limit)?;
        let is_after = |item: &T| self.after.as_ref().is_none_or(|after| id(item) > after);
        let mut items: Vec<T> = items.into_iter().filter(is_after).take(limit + 1).collect();
        let is_last = items.len() <= limit;
        items.truncate(limit);
        let next = items.last().filter(|_| !is_last).map(|item| id(item).clone());
        Ok((items, next))
    }
}

impl Caller {
    /// Who changes something, for the record.
    pub(crate) fn author(&self) -> Author {
        Author {
            principal: self.principal.clone(),
            address: self.address.clone(),
            via: self.via,
            correlation_id: self.correlation_id.clone(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Invalid => 422,
            ErrorKind::Missing => 404,
            ErrorKind::Conflict | ErrorKind::ReadOnly => 409,
            ErrorKind::Stale => 412,
            ErrorKind::Unavailable => 503,
        };
        Self::new(status, error.to_string())
    }
}

pub(crate) fn action(
    operation: &'static str,
    kind: &'static str,
    id: &str,
    reason: String,
) -> Action {
    Action {
        operation,
        kind,
        id: id.to_owned(),
        message: reason.chars().take(REASON_CHARS_MAX).collect(),
    }
}

/// `If-Match` must name the content that is there; `*` names any. `If-None-Match: *` wants none there
/// (RFC 9110, section 13.1.2).
pub(crate) fn check(headers: &HeaderMap, current: Option<&impl Serialize>) -> Result<(), Error> {
    let is_for_new = headers.get(header::IF_NONE_MATCH).is_some_and(|wanted| wanted == "*");
    if is_for_new && current.is_some() {
        return Err(Error::taken());
    }
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or_default();
    let matches = current.is_some_and(|current| {
        let tag = control::etag(current);
        wanted.split(',').map(str::trim).any(|wanted| wanted == "*" || wanted == tag)
    });
    if matches { Ok(()) } else { Err(Error::stale()) }
}

/// JSON with the tag of what it shows.
pub(crate) fn tagged(content: &impl Serialize, body: impl Serialize) -> Response {
    let mut response = Json(json!(body)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&control::etag(content)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn parse(number: &str) -> Result<i64, Problem> {
    let parsed = number.parse().ok().filter(|number| *number > 0);
    parsed.ok_or_else(|| Problem::new(404, format!("`{number}` is no version: list them")))
}

fn within_page(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE);
    let is_within = (1..=PAGE_MAX).contains(&limit);
    if is_within { Ok(limit) } else { Err(Problem::new(400, "`limit` may be 1 to 1000")) }
}

/// Why something is changed, as long as the record keeps it.
fn reason<'a, D: Deserializer<'a>>(given: D) -> Result<String, D::Error> {
    let reason = String::deserialize(given)?;
    if reason.chars().count() > REASON_CHARS_MAX {
        let text = format!("`reason` may have {REASON_CHARS_MAX} characters");
        return Err(serde::de::Error::custom(text));
    }
    Ok(reason)
}
