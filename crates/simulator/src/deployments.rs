//! Deployments: the list on the old data plane and on the management host, where they are made, changed and removed.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::config::{Deployment, DeploymentKind};
use crate::failure::Failure;

/// Tokens per minute of one unit of capacity.
const TOKENS_PER_UNIT: u64 = 1000;

/// `deployments...` of the versions up to 2023-03-15-preview.
pub(crate) fn data_plane(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let instance = call.instance;
    match (&call.method, rest) {
        (&Method::GET, []) => {
            let data: Vec<Value> = instance.deployments().iter().map(|found| old(found)).collect();
            Ok(Reply::json(&json!({"data": data, "object": "list"})))
        }
        (&Method::GET, [name]) => Ok(Reply::json(&old(&find(call, name)?))),
        (&Method::POST, []) => {
            let name = instance.id("deployment-");
            let made = Deployment::new(&name, call.need_text("model")?);
            instance.deploy(made.clone())?;
            Ok(Reply::json(&old(&made)).status(StatusCode::CREATED))
        }
        (&Method::PATCH, [name]) => {
            let mut changed = find(call, name)?;
            if let Some(model) = call.text("model") {
                changed.model = model.to_owned();
            }
            instance.deploy(changed.clone())?;
            Ok(Reply::json(&old(&changed)))
        }
        (&Method::DELETE, [name]) => {
            instance.undeploy(name).ok_or_else(Failure::deployment_not_found)?;
            Ok(Reply::json(&json!({})).status(StatusCode::NO_CONTENT))
        }
        _ => Err(call.unknown()),
    }
}

fn old(deployment: &Deployment) -> Value {
    json!({
        "scale_settings": {"scale_type": "standard"},
        "model": deployment.model,
        "owner": "organization-owner",
        "id": deployment.name,
        "status": "succeeded",
        "created_at": 1_715_367_049,
        "updated_at": 1_715_367_049,
        "object": "deployment",
    })
}

fn find(call: &Call<'_>, name: &str) -> Result<Deployment, Failure> {
    let all = call.instance.deployments();
    let found = all.iter().find(|found| found.name == name);
    found.map(|found| Deployment::clone(found)).ok_or_else(Failure::deployment_not_found)
}

/// The management host's deployments of an account.
pub(crate) fn arm(call: &Call<'_>, segments: &[&str]) -> Result<Reply, Failure> {
    let [
        _,
        "resourceGroups",
        _,
        "providers",
        "Microsoft.CognitiveServices",
        "accounts",
        _,
        "deployments",
        rest @ ..,
    ] = segments
    else {
        return Err(Failure::resource_not_found());
    };
    if call.query("api-version").is_none() {
        return Err(Failure::resource_not_found());
    }
    let base = format!("/subscriptions/{}", segments[..8].join("/"));
    let instance = call.instance;
    match (&call.method, rest) {
        (&Method::GET, []) => {
            let all = instance.deployments();
            let value: Vec<Value> = all.iter().map(|found| resource(&base, found)).collect();
            Ok(Reply::json(&json!({"value": value})))
        }
        (&Method::GET, [name]) => Ok(Reply::json(&resource(&base, &find(call, name)?))),
        (&Method::PUT, [name]) => {
            let model = call.body().pointer("/properties/model/name").and_then(Value::as_str);
            let model = model.ok_or_else(|| Failure::missing("properties.model.name"))?;
            let made = sized(call, Deployment::new(name, model));
            let is_new = instance.deploy(made.clone())?;
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            Ok(Reply::json(&resource(&base, &made)).status(status))
        }
        (&Method::PATCH, [name]) => {
            let changed = sized(call, find(call, name)?);
            instance.deploy(changed.clone())?;
            Ok(Reply::json(&resource(&base, &changed)))
        }
        (&Method::DELETE, [name]) => {
            let was_there = instance.undeploy(name).is_some();
            let status = if was_there { StatusCode::OK } else { StatusCode::NO_CONTENT };
            Ok(Reply::json(&json!({})).status(status))
        }
        _ => Err(call.unknown()),
    }
}

/// With the version, the kind and the capacity that the body asks for.
fn sized(call: &Call<'_>, mut deployment: Deployment) -> Deployment {
    let body = call.body();
    if let Some(version) = body.pointer("/properties/model/version").and_then(Value::as_str) {
        deployment.version = version.to_owned();
    }
    if let Some(units) = body.pointer("/sku/capacity").and_then(Value::as_u64) {
        deployment.tpm = units.saturating_mul(TOKENS_PER_UNIT);
    }
    match body.pointer("/sku/name").and_then(Value::as_str) {
        Some("Standard") => deployment.kind = DeploymentKind::Standard,
        Some("ProvisionedManaged") => deployment.kind = DeploymentKind::Provisioned,
        Some(_) => deployment.kind = DeploymentKind::GlobalStandard,
        None => {}
    }
    deployment
}

fn resource(base: &str, deployment: &Deployment) -> Value {
    let sku = match deployment.kind {
        DeploymentKind::Standard => "Standard",
        DeploymentKind::GlobalStandard => "GlobalStandard",
        DeploymentKind::Provisioned => "ProvisionedManaged",
    };
    json!({
        "id": format!("{base}/{}", deployment.name),
        "type": "Microsoft.CognitiveServices/accounts/deployments",
        "name": deployment.name,
        "sku": {"name": sku, "capacity": deployment.tpm / TOKENS_PER_UNIT},
        "properties": {
            "model": {"format": "OpenAI", "name": deployment.model, "version": deployment.version},
            "provisioningState": "Succeeded",
        },
    })
}
