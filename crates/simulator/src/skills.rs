//! Skills and their versions: the uploaded files, kept as they came.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::files;
use crate::paging::page;
use crate::store::{Kind, Object};

/// `skills...`
pub(crate) fn perform(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    match (&call.method, rest) {
        (&Method::POST, []) => {
            let id = call.id(Kind::Skill);
            let version = keep_version(call, &id, 1)?;
            let value = json!({"id": id, "object": "skill", "created_at": call.now, "name": version["name"], "description": version["description"], "default_version": "1", "latest_version": "1"});
            call.keep(Kind::Skill, &id, Object::new(value.clone()));
            Ok(Reply::json(&value))
        }
        (&Method::GET, []) => page(call, store.list(Kind::Skill, None)),
        (&Method::GET, [id]) => Ok(Reply::json(&store.get(Kind::Skill, id)?.value)),
        (&Method::POST, [id]) => {
            let version = call.need_text("default_version")?;
            find(call, id, version)?;
            let value = store.with(Kind::Skill, id, |object| {
                object.value["default_version"] = json!(version);
                object.value.clone()
            })?;
            Ok(Reply::json(&value))
        }
        (&Method::DELETE, [id]) => {
            store.remove(Kind::Skill, id)?;
            Ok(Reply::deleted(id, "skill.deleted"))
        }
        (&Method::GET, [id, "content"]) => {
            let skill = store.get(Kind::Skill, id)?;
            let version = skill.value["default_version"].as_str().unwrap_or_default();
            files::content(&find(call, id, version)?)
        }
        (method, [id, "versions", rest @ ..]) => versions(call, method, id, rest),
        _ => Err(call.unknown()),
    }
}

fn versions(
    call: &Call<'_>,
    method: &Method,
    skill: &str,
    rest: &[&str],
) -> Result<Reply, Failure> {
    let store = &call.instance.store;
    let latest = store.get(Kind::Skill, skill)?.value["latest_version"].clone();
    match (method, rest) {
        (&Method::POST, []) => {
            let latest = latest.as_str().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
            let version = keep_version(call, skill, latest + 1)?;
            store.with(Kind::Skill, skill, |object| {
                object.value["latest_version"] = version["version"].clone();
            })?;
            Ok(Reply::json(&version))
        }
        (&Method::GET, []) => page(call, store.list(Kind::SkillVersion, Some(skill))),
        (&Method::GET, [version]) => Ok(Reply::json(&find(call, skill, version)?.value)),
        (&Method::GET, [version, "content"]) => files::content(&find(call, skill, version)?),
        (&Method::DELETE, [version]) => {
            let found = find(call, skill, version)?;
            let id = found.value["id"].as_str().unwrap_or_default();
            store.remove(Kind::SkillVersion, id)?;
            let mut value = json!({"id": id, "object": "skill.version.deleted", "deleted": true});
            value["version"] = json!(version);
            Ok(Reply::json(&value))
        }
        _ => Err(call.unknown()),
    }
}

/// Keeps the first uploaded file as a version, named as its folder.
fn keep_version(call: &Call<'_>, skill: &str, number: u32) -> Result<Value, Failure> {
    let form = call.form()?;
    let file = form.file("files").ok_or_else(|| Failure::missing("files"))?;
    let name = file.name.split('/').next().unwrap_or_default().trim_end_matches(".zip");
    let id = call.id(Kind::SkillVersion);
    let value = json!({"id": id, "object": "skill.version", "created_at": call.now, "skill_id": skill, "version": number.to_string(), "name": name, "description": ""});
    let object = Object::new(value.clone())
        .under(skill)
        .hiding(json!({"sha256": file.sha256}))
        .holding(file.content.clone());
    call.keep(Kind::SkillVersion, &id, object);
    Ok(value)
}

fn find(call: &Call<'_>, skill: &str, version: &str) -> Result<Object, Failure> {
    let all = call.instance.store.list(Kind::SkillVersion, Some(skill));
    let found = all.into_iter().find(|object| object.value["version"] == version);
    found.ok_or_else(|| Kind::SkillVersion.missing(version))
}
