//! Users and groups as SCIM shows them, and what is wrong in its words.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::{Directory, Error, ErrorKind, Resource, ResourceKind};
use event::Timestamp;
use serde_json::{Map, Value, json};

use crate::problem::Problem;

/// The media type of SCIM.
pub(crate) const MEDIA_TYPE: &str = "application/scim+json";

/// Why something was not done, in SCIM's words (RFC 7644, section 3.12).
#[derive(Debug)]
pub(crate) struct ScimError {
    status: u16,
    /// SCIM's word; empty if it has none.
    kind: &'static str,
    detail: String,
}

impl ScimError {
    pub(crate) fn new(status: u16, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into() }
    }
}

impl From<Error> for ScimError {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let Problem { status, detail } = error.into();
        match kind {
            ErrorKind::Invalid => Self::new(400, "invalidValue", detail),
            ErrorKind::Conflict => Self::new(409, "uniqueness", detail),
            _ => Self::new(status, "", detail),
        }
    }
}

impl From<Problem> for ScimError {
    fn from(problem: Problem) -> Self {
        match problem.status {
            // SCIM has one status for JSON that is none and for JSON that is something else.
            400 | 422 => Self::new(400, "invalidSyntax", problem.detail),
            status => Self::new(status, "", problem.detail),
        }
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.to_string(), "detail": self.detail,
        });
        if !self.kind.is_empty() {
            body["scimType"] = self.kind.into();
        }
        let mut response = answer(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"gatehouse\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// JSON of SCIM.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body.to_string()).into_response()
}

/// A user or group as it is shown.
pub(crate) fn shown(directory: &Directory, resource: &Resource) -> Map<String, Value> {
    let (core, kind, folder) = match resource.kind {
        ResourceKind::User => ("User", "User", "Users"),
        ResourceKind::Group => ("Group", "Group", "Groups"),
    };
    let mut schemas = vec![format!("urn:ietf:params:scim:schemas:core:2.0:{core}")];
    schemas.extend(resource.attributes.keys().filter(|key| key.starts_with("urn:")).cloned());
    let mut object = Map::new();
    object.insert("schemas".into(), schemas.into());
    object.insert("id".into(), resource.id.clone().into());
    object.extend(resource.attributes.clone());
    match resource.kind {
        ResourceKind::User => {
            object.entry("active").or_insert(true.into());
            let groups = directory.groups_of(&resource.id);
            let groups = groups.iter().map(|group| {
                json!({"value": group.id, "display": group.name(), "$ref": place("Groups", &group.id)})
            });
            object.insert("groups".into(), groups.collect());
        }
        ResourceKind::Group => {
            object.insert("members".into(), members(resource));
        }
    }
    let meta = json!({
        "resourceType": kind, "location": place(folder, &resource.id),
        "created": time(resource.created_at_us), "lastModified": time(resource.changed_at_us),
        "version": format!("W/\"{}\"", resource.changed_at_us),
    });
    object.insert("meta".into(), meta);
    object
}

/// A group's members, as they are shown and patched.
pub(crate) fn members(group: &Resource) -> Value {
    let members = group.members.iter();
    members.map(|id| json!({"value": id, "$ref": place("Users", id)})).collect()
}

/// Where a resource is, relative to this listener.
pub(crate) fn place(folder: &str, id: &str) -> String {
    format!("/scim/v2/{folder}/{id}")
}

fn time(at_us: i64) -> String {
    policy::Moment::from(Timestamp::from_unix_micros(at_us)).into()
}
