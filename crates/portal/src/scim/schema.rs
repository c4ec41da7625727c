//! What this service provider can do, and what its resources look like (RFC 7643, sections 5 to 8).

use serde_json::{Value, json};

use super::patch::ENTERPRISE;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// What can be done here.
pub(crate) fn provider(results_max: usize) -> Value {
    let no = json!({"supported": false});
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": results_max},
        "changePassword": no, "sort": no, "etag": no,
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "Bearer token", "primary": true,
            "description": "The token that `scim.token` in the configuration refers to",
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": "/scim/v2/ServiceProviderConfig"},
    })
}

/// What there is.
pub(crate) fn resource_types() -> Vec<Value> {
    let kind = |name: &str, endpoint: &str, schema: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name, "name": name, "endpoint": endpoint, "schema": schema,
            "schemaExtensions": extensions,
            "meta": {"resourceType": "ResourceType", "location": format!("/scim/v2/ResourceTypes/{name}")},
        })
    };
    let extensions = json!([{"schema": ENTERPRISE, "required": false}]);
    vec![kind("User", "/Users", USER, extensions), kind("Group", "/Groups", GROUP, json!([]))]
}

/// The attributes that mean something here; others are kept as they come.
pub(crate) fn schemas() -> Vec<Value> {
    let schema = |id: &str, name: &str, attributes: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id, "name": name, "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": format!("/scim/v2/Schemas/{id}")},
        })
    };
    let user = json!([
        attribute("userName", "string", "Name by which the directory finds the user", "server"),
        attribute(
            "externalId",
            "string",
            "Id as tokens have it: the object id of Entra ID",
            "server"
        ),
        attribute("displayName", "string", "Name for people", "none"),
        attribute("active", "boolean", "May sign in and call", "none"),
        complex("name", false, &["formatted", "givenName", "familyName"]),
        complex("emails", true, &["value", "type", "primary"]),
    ]);
    let group = json!([
        attribute("displayName", "string", "Name for people", "none"),
        attribute("externalId", "string", "Id as mappings and tokens have it", "server"),
        complex("members", true, &["value", "$ref"]),
    ]);
    let enterprise = json!([
        attribute("employeeNumber", "string", "Number of the employee", "none"),
        attribute("department", "string", "Department", "none"),
    ]);
    vec![
        schema(USER, "User", user),
        schema(GROUP, "Group", group),
        schema(ENTERPRISE, "EnterpriseUser", enterprise),
    ]
}

fn attribute(name: &str, kind: &str, description: &str, uniqueness: &str) -> Value {
    let is_required = name == "userName";
    json!({
        "name": name, "type": kind, "multiValued": false, "description": description,
        "required": is_required, "caseExact": name == "externalId", "mutability": "readWrite",
        "returned": "default", "uniqueness": uniqueness,
    })
}

fn complex(name: &str, is_multi_valued: bool, parts: &[&str]) -> Value {
    let kind = |part: &str| match part {
        "primary" => "boolean",
        "$ref" => "reference",
        _ => "string",
    };
    let parts: Vec<_> =
        parts.iter().map(|part| attribute(part, kind(part), part, "none")).collect();
    json!({
        "name": name, "type": "complex", "multiValued": is_multi_valued, "subAttributes": parts,
        "description": name, "required": false, "mutability": "readWrite", "returned": "default",
    })
}
