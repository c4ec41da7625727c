//! SCIM 2.0 (RFC 7643, RFC 7644): the organisation's directory provisions its users and groups here.
//!
//! What it says is kept by the control plane. What follows from it is decided elsewhere: who is
//! deactivated is refused, and groups count as those of a token.

mod answer;
mod filter;
mod patch;
mod schema;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use control::{Action, Error, Resource, ResourceKind};
use event::Timestamp;
use policy::{Principal, PrincipalKind, Role};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use vault::{SecretRef, Vault};

pub(crate) use self::answer::{MEDIA_TYPE, ScimError};
use self::answer::{answer, members, place, shown};
use self::filter::Filter;
pub(crate) use self::patch::PatchBody;
use crate::access::{Authenticator, Caller, bearer};
use crate::extract::{Document, Parameters, Segment};
use crate::inner::Portal;
use crate::problem::Problem;

/// Most resources in one answer.
const RESULTS_MAX: usize = 1_000;
/// Resources in an answer unless the request says otherwise.
const RESULTS: usize = 100;
/// Longest user or group without its members, in bytes.
const RESOURCE_BYTES_MAX: usize = 64 << 10;
/// Shortest token that is taken, in bytes.
const TOKEN_BYTES_MIN: usize = 32;

/// A user or group as it comes: attributes by the names of SCIM.
pub(crate) type Attributes = Map<String, Value>;

/// The bearer token of the directory's provisioning service.
pub struct ScimToken {
    vault: Vault,
    reference: SecretRef,
}

/// What to list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListQuery {
    /// Comparisons with `eq`, joined by `and`.
    filter: String,
    /// First one, from 1.
    start_index: Option<i64>,
    /// How many at most; up to 1,000.
    count: Option<i64>,
    /// Attributes to show, with commas between; all if left out.
    attributes: String,
    /// Attributes not to show, with commas between.
    excluded_attributes: String,
}

impl ScimToken {
    /// The token that this refers to.
    pub fn new(vault: Vault, reference: SecretRef) -> Self {
        Self { vault, reference }
    }
}

#[async_trait]
impl Authenticator for ScimToken {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Principal>, Problem> {
        let Some(presented) = bearer(&head.headers).filter(|_| is_scim(head.uri.path())) else {
            return Ok(None);
        };
        let token = self.vault.current(&self.reference).await.map_err(|error| {
            tracing::warn!(error = error.story(), "the token of SCIM cannot be fetched");
            Problem::new(503, "the token of SCIM cannot be fetched: the gateway's log says why")
        })?;
        if token.expose().len() < TOKEN_BYTES_MIN {
            tracing::warn!("the token of SCIM is too short: give it 32 characters or more");
            return Ok(None);
        }
        if !bool::from(token.expose().as_bytes().ct_eq(presented.as_bytes())) {
            return Ok(None);
        }
        Ok(Some(Principal {
            id: "scim".into(),
            name: "provisioning service".into(),
            kind: PrincipalKind::Token,
            roles: [Role::Provisioner].into(),
            ..Principal::default()
        }))
    }

    fn via(&self) -> &'static str {
        "scim"
    }
}

/// The path belongs to SCIM.
pub(crate) fn is_scim(path: &str) -> bool {
    path.starts_with("/scim/")
}

pub(crate) async fn provider() -> Response {
    answer(StatusCode::OK, &schema::provider(RESULTS_MAX))
}

pub(crate) async fn resource_types() -> Response {
    whole_list(schema::resource_types())
}

pub(crate) async fn schemas() -> Response {
    whole_list(schema::schemas())
}

pub(crate) async fn users(
    State(portal): State<Portal>,
    query: Result<Parameters<ListQuery>, Problem>,
) -> Result<Response, ScimError> {
    list(&portal, ResourceKind::User, &query?.0)
}

pub(crate) async fn groups(
    State(portal): State<Portal>,
    query: Result<Parameters<ListQuery>, Problem>,
) -> Result<Response, ScimError> {
    list(&portal, ResourceKind::Group, &query?.0)
}

pub(crate) async fn create_user(
    State(portal): State<Portal>,
    caller: Caller,
    body: Result<Document<Attributes>, Problem>,
) -> Result<Response, ScimError> {
    create(&portal, &caller, ResourceKind::User, body?.0).await
}

pub(crate) async fn create_group(
    State(portal): State<Portal>,
    caller: Caller,
    body: Result<Document<Attributes>, Problem>,
) -> Result<Response, ScimError> {
    create(&portal, &caller, ResourceKind::Group, body?.0).await
}

pub(crate) async fn user(
    State(portal): State<Portal>,
    Segment(id): Segment,
    query: Result<Parameters<ListQuery>, Problem>,
) -> Result<Response, ScimError> {
    one(&portal, ResourceKind::User, &id, &query?.0)
}

pub(crate) async fn group(
    State(portal): State<Portal>,
    Segment(id): Segment,
    query: Result<Parameters<ListQuery>, Problem>,
) -> Result<Response, ScimError> {
    one(&portal, ResourceKind::Group, &id, &query?.0)
}

pub(crate) async fn put_user(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    body: Result<Document<Attributes>, Problem>,
) -> Result<Response, ScimError> {
    put(&portal, &caller, (ResourceKind::User, &id), body?.0).await
}

pub(crate) async fn put_group(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    body: Result<Document<Attributes>, Problem>,
) -> Result<Response, ScimError> {
    put(&portal, &caller, (ResourceKind::Group, &id), body?.0).await
}

pub(crate) async fn patch_user(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    body: Result<Document<PatchBody>, Problem>,
) -> Result<Response, ScimError> {
    patched(&portal, &caller, (ResourceKind::User, &id), &body?.0).await
}

pub(crate) async fn patch_group(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
    body: Result<Document<PatchBody>, Problem>,
) -> Result<Response, ScimError> {
    patched(&portal, &caller, (ResourceKind::Group, &id), &body?.0).await
}

pub(crate) async fn delete_user(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<StatusCode, ScimError> {
    delete(&portal, &caller, ResourceKind::User, &id).await
}

pub(crate) async fn delete_group(
    State(portal): State<Portal>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<StatusCode, ScimError> {
    delete(&portal, &caller, ResourceKind::Group, &id).await
}

fn list(portal: &Portal, kind: ResourceKind, query: &ListQuery) -> Result<Response, ScimError> {
    let directory = portal.control.directory();
    let filter = match query.filter.as_str() {
        "" => None,
        text => {
            Some(Filter::parse(text).map_err(|text| ScimError::new(400, "invalidFilter", text))?)
        }
    };
    let found: Vec<Arc<Resource>> = match candidate(portal, kind, filter.as_ref()) {
        Some(found) => found.into_iter().collect(),
        None => directory.all(kind),
    };
    let holds = |resource: &&Arc<Resource>| {
        filter.as_ref().is_none_or(|filter| filter.holds(&shown(directory, resource)))
    };
    let found: Vec<&Arc<Resource>> = found.iter().filter(holds).collect();
    let start = usize::try_from(query.start_index.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
    let default = i64::try_from(RESULTS).unwrap_or(0);
    let count = usize::try_from(query.count.unwrap_or(default).max(0)).unwrap_or(RESULTS_MAX);
    let page = found.iter().skip(start - 1).take(count.min(RESULTS_MAX));
    let page: Vec<Value> = page.map(|resource| query.select(shown(directory, resource))).collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": found.len(), "startIndex": start, "itemsPerPage": page.len(),
        "Resources": page,
    });
    Ok(answer(StatusCode::OK, &body))
}

/// The one user that a comparison with a name or an id leaves; none if all must be looked at.
fn candidate(
    portal: &Portal,
    kind: ResourceKind,
    filter: Option<&Filter>,
) -> Option<Option<Arc<Resource>>> {
    let directory = portal.control.directory();
    filter?.0.iter().find_map(|comparison| {
        let value = comparison.value.as_str()?;
        let attribute = filter::plain(&comparison.attribute).to_ascii_lowercase();
        match (attribute.as_str(), kind) {
            ("id", kind) => Some(directory.get(kind, value)),
            ("username", ResourceKind::User) => Some(directory.user_named(value)),
            ("externalid", ResourceKind::User) => Some(directory.user_with_external_id(value)),
            _ => None,
        }
    })
}

fn one(
    portal: &Portal,
    kind: ResourceKind,
    id: &str,
    query: &ListQuery,
) -> Result<Response, ScimError> {
    let directory = portal.control.directory();
    let found = directory.get(kind, id);
    let found = found.ok_or_else(|| ScimError::new(404, "", format!("there is no `{id}`")))?;
    Ok(answer(StatusCode::OK, &query.select(shown(directory, &found))))
}

async fn create(
    portal: &Portal,
    caller: &Caller,
    kind: ResourceKind,
    body: Map<String, Value>,
) -> Result<Response, ScimError> {
    let now = now_us();
    let (id, created_at_us) = (Uuid::now_v7().to_string(), now);
    let made = read(
        body,
        Resource {
            id: id.clone(),
            kind,
            attributes: Map::new(),
            members: Default::default(),
            created_at_us,
            changed_at_us: now,
        },
    )?;
    let author = caller.author();
    let action = action(kind, "create", &id);
    let edit = |_: Option<&Resource>| Ok(made.clone());
    let made = portal.control.put_resource(&author, &action, kind, edit).await?;
    let mut response =
        answer(StatusCode::CREATED, &shown(portal.control.directory(), &made).into());
    if let Ok(location) = HeaderValue::from_str(&place(folder(kind), &id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn put(
    portal: &Portal,
    caller: &Caller,
    (kind, id): (ResourceKind, &str),
    body: Map<String, Value>,
) -> Result<Response, ScimError> {
    change(portal, caller, (kind, id, "replace"), |_| Ok(body.clone())).await
}

async fn patched(
    portal: &Portal,
    caller: &Caller,
    (kind, id): (ResourceKind, &str),
    body: &PatchBody,
) -> Result<Response, ScimError> {
    change(portal, caller, (kind, id, "update"), |before| {
        let mut object = before.attributes.clone();
        if kind == ResourceKind::Group {
            object.insert("members".into(), members(before));
        }
        body.apply(&mut object).map_err(|(kind, text)| ScimError::new(400, kind, text))?;
        Ok(object)
    })
    .await
}

/// Changes what is there into what `edit` makes of it.
async fn change(
    portal: &Portal,
    caller: &Caller,
    (kind, id, verb): (ResourceKind, &str, &'static str),
    edit: impl Fn(&Resource) -> Result<Map<String, Value>, ScimError> + Send + Sync,
) -> Result<Response, ScimError> {
    // What is wrong with the request is SCIM's matter, not the control plane's.
    let wrong = std::sync::Mutex::new(None);
    let edited = |before: Option<&Resource>| {
        let before = before.ok_or_else(|| Error::missing(action(kind, "", id).kind, id))?;
        let made = edit(before).and_then(|object| {
            read(object, Resource { changed_at_us: now_us(), ..before.clone() })
        });
        made.map_err(|error| {
            *wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
            Error::conflict("the request is wrong")
        })
    };
    let (author, action) = (caller.author(), action(kind, verb, id));
    let done = portal.control.put_resource(&author, &action, kind, edited).await;
    let wrong = wrong.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    match (done, wrong) {
        (Ok(done), _) => {
            Ok(answer(StatusCode::OK, &shown(portal.control.directory(), &done).into()))
        }
        (Err(_), Some(wrong)) => Err(wrong),
        (Err(error), None) => Err(error.into()),
    }
}

async fn delete(
    portal: &Portal,
    caller: &Caller,
    kind: ResourceKind,
    id: &str,
) -> Result<StatusCode, ScimError> {
    let action = action(kind, "delete", id);
    portal.control.delete_resource(&caller.author(), &action, kind).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a user or group as it came into what is kept of it.
fn read(mut object: Map<String, Value>, mut resource: Resource) -> Result<Resource, ScimError> {
    let wrong = |text: String| ScimError::new(400, "invalidValue", text);
    // Ours to say, and what must not be kept.
    for name in ["schemas", "id", "meta", "groups", "password"] {
        object.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
    for name in ["userName", "externalId", "displayName", "active", "members"] {
        let key = object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
        if let Some(value) = key.and_then(|key| object.remove(&key)).filter(|it| !it.is_null()) {
            object.insert(name.to_owned(), value);
        }
    }
    for name in ["userName", "externalId", "displayName"] {
        if object.get(name).is_some_and(|value| !value.is_string()) {
            return Err(wrong(format!("`{name}` is a text")));
        }
    }
    if let Some(active) = object.get_mut("active") {
        // Entra ID writes truth as text.
        let text = active.as_str().map(str::to_ascii_lowercase);
        *active = match (text.as_deref(), &*active) {
            (Some("true"), _) | (_, Value::Bool(true)) => true.into(),
            (Some("false"), _) | (_, Value::Bool(false)) => false.into(),
            _ => return Err(wrong("`active` is true or false".into())),
        };
    }
    resource.members.clear();
    if let Some(members) = object.remove("members") {
        if resource.kind == ResourceKind::User {
            return Err(wrong("a user has no members".into()));
        }
        let items = members.as_array().ok_or_else(|| wrong("`members` is an array".into()))?;
        for item in items {
            let id = item["value"].as_str();
            let id = id.ok_or_else(|| wrong("a member names its id as `value`".into()))?;
            resource.members.insert(id.to_owned());
        }
    }
    if serde_json::to_vec(&object).map_or(usize::MAX, |json| json.len()) > RESOURCE_BYTES_MAX {
        return Err(wrong(format!("a user or group has at most {RESOURCE_BYTES_MAX} bytes")));
    }
    resource.attributes = object;
    Ok(resource)
}

impl ListQuery {
    /// What was asked for of a resource; its id always.
    fn select(&self, mut object: Map<String, Value>) -> Value {
        let names = |text: &str| -> Vec<String> {
            let names = text.split(',').map(|name| filter::plain(name.trim()));
            names.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect()
        };
        let (wanted, unwanted) = (names(&self.attributes), names(&self.excluded_attributes));
        object.retain(|key, _| {
            let key = key.to_ascii_lowercase();
            let is_named = |names: &[String]| {
                names.iter().any(|name| name.split('.').next() == Some(key.as_str()))
            };
            ["id", "schemas"].contains(&key.as_str())
                || ((wanted.is_empty() || is_named(&wanted)) && !unwanted.contains(&key))
        });
        Value::Object(object)
    }
}

fn whole_list(items: Vec<Value>) -> Response {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": items.len(), "startIndex": 1, "itemsPerPage": items.len(),
        "Resources": items,
    });
    answer(StatusCode::OK, &body)
}

fn action(kind: ResourceKind, verb: &str, id: &str) -> Action {
    let (operation, kind) = match (kind, verb) {
        (ResourceKind::User, "create") => ("users/create", "user"),
        (ResourceKind::User, "replace") => ("users/replace", "user"),
        (ResourceKind::User, "update") => ("users/update", "user"),
        (ResourceKind::User, _) => ("users/delete", "user"),
        (ResourceKind::Group, "create") => ("groups/create", "group"),
        (ResourceKind::Group, "replace") => ("groups/replace", "group"),
        (ResourceKind::Group, "update") => ("groups/update", "group"),
        (ResourceKind::Group, _) => ("groups/delete", "group"),
    };
    Action { operation, kind, id: id.to_owned(), message: String::new() }
}

fn folder(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::User => "Users",
        ResourceKind::Group => "Groups",
    }
}

fn now_us() -> i64 {
    Timestamp::from(SystemTime::now()).unix_micros()
}

#[cfg(test)]
mod tests;
