//! The admin listener as an OpenAPI 3.1 document, made from the route table.

use axum::response::Json;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{Allow, Answer, Dialect, Route};
use crate::export;
use crate::problem::ProblemDetails;
use crate::scim::MEDIA_TYPE;

/// Answers with the document.
pub(super) async fn serve() -> Json<Value> {
    Json(document(&super::table()))
}

/// The document of these routes.
pub(super) fn document(table: &[Route]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in table {
        let operation = operation(route, &mut generator);
        // A parameter that takes the rest of a path has no other spelling in OpenAPI.
        let path = paths.entry(route.path.replace("{*", "{")).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let schemas: Map<String, Value> = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Gatehouse admin listener",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Administration and queries. Errors are problem details (RFC 9457); \
                            Kusto's API words them as Kusto does.",
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": {
                "type": "http", "scheme": "bearer",
                "description": "The admin token of the data folder, or an access token.",
            } },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({ "operationId": route.id, "summary": route.summary });
    let noun = route.id.split('/').next().unwrap_or(route.id);
    operation["tags"] = json!([noun]);
    operation["x-roles"] = match route.allow {
        Allow::Everybody => json!(["everybody"]),
        Allow::SignedIn => json!(["signed_in"]),
        Allow::Roles(roles) => roles.iter().map(|role| role.name()).collect(),
    };
    if route.allow == Allow::Everybody {
        operation["security"] = json!([]);
    }
    let mut parameters = path_parameters(route.path);
    if let Some(query) = route.query {
        parameters.extend(query_parameters(&query(generator)));
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(request) = route.request {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": request(generator) } },
        });
    }
    operation["responses"] = responses(route, generator);
    operation
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let problem = json!({ "schema": generator.subschema_for::<ProblemDetails>() });
    let errors = match route.dialect {
        Dialect::Problem => json!({ "application/problem+json": problem }),
        Dialect::Scim => {
            json!({ MEDIA_TYPE: { "schema": true }, "application/problem+json": problem })
        }
        Dialect::Kusto | Dialect::Logs => {
            json!({ "application/json": { "schema": true }, "application/problem+json": problem })
        }
    };
    let mut responses = json!({
        "default": { "description": "Why it was not done.", "content": errors },
    });
    match route.answer {
        Answer::Json | Answer::Created => {
            let schema =
                route.response.map_or_else(|| json!(true), |schema| json!(schema(generator)));
            let status = if route.answer == Answer::Created { "201" } else { "200" };
            let media_type =
                if route.dialect == Dialect::Scim { MEDIA_TYPE } else { "application/json" };
            responses[status] = json!({
                "description": "Done.",
                "content": { media_type: { "schema": schema } },
            });
        }
        Answer::Empty => responses["204"] = json!({ "description": "Done." }),
        Answer::Events => {
            responses["200"] = json!({
                "description": "Events, until one side ends it.",
                "content": { "text/event-stream": { "schema": { "type": "string" } } },
            });
        }
        Answer::File => {
            let format = |media_type: &str| {
                let bare = media_type.split(';').next().unwrap_or(media_type);
                (bare.to_owned(), json!({ "schema": true }))
            };
            let content: Map<String, Value> = export::MEDIA_TYPES.map(format).into_iter().collect();
            responses["200"] = json!({ "description": "The file.", "content": content });
        }
        Answer::Bytes => {
            responses["200"] = json!({
                "description": "The bytes.",
                "content": { "application/octet-stream": { "schema": { "type": "string" } } },
            });
        }
        Answer::Elsewhere => responses["303"] = json!({ "description": "Go to `Location`." }),
    }
    for (status, description, applies) in [
        ("401", "Nobody asks, or nobody who is known.", route.allow != Allow::Everybody),
        ("403", "The role is missing.", matches!(route.allow, Allow::Roles(_))),
    ] {
        if applies {
            responses[status] = json!({ "description": description, "content": errors });
        }
    }
    responses
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(|name| {
            json!({
                "name": name.trim_start_matches('*'), "in": "path", "required": true,
                "schema": { "type": "string" },
            })
        })
        .collect()
}

/// The fields of an object as parameters of the query string.
fn query_parameters(schema: &Schema) -> Vec<Value> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let fields = schema.get("properties").and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .map(|(name, field)| {
            let mut field = field.clone();
            let description = field.as_object_mut().and_then(|map| map.remove("description"));
            json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str()),
                "description": description.unwrap_or_default(), "schema": field,
            })
        })
        .collect()
}
