//! PATCH of SCIM (RFC 7644, section 3.5.2), with what Entra ID makes of it: operations in any case, paths
//! as names of members without `path`, truth as text, members that are removed by value.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::filter::{Filter, get, plain};

/// Most operations in one request.
const OPERATIONS_MAX: usize = 1_000;
/// The extension for people of an organisation.
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What to change.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct PatchBody {
    /// In this order.
    #[serde(rename = "Operations", alias = "operations")]
    operations: Vec<Operation>,
}

/// One change.
#[derive(Debug, Deserialize, JsonSchema)]
struct Operation {
    /// `add`, `replace` or `remove`, in any case.
    op: String,
    /// Where; the members of `value` name it if it is left out.
    #[serde(default)]
    path: Option<String>,
    /// What.
    #[serde(default)]
    value: Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// A path, taken apart.
#[derive(Debug, PartialEq)]
struct Path {
    /// Extension that it lies in.
    extension: Option<String>,
    attribute: String,
    /// Which of several values.
    filter: Option<Filter>,
    part: Option<String>,
}

/// What is wrong: RFC 7644's word for it, and a text.
pub(crate) type Wrong = (&'static str, String);

impl PatchBody {
    /// Makes all changes, or none that counts.
    pub(crate) fn apply(&self, object: &mut Map<String, Value>) -> Result<(), Wrong> {
        if self.operations.len() > OPERATIONS_MAX {
            let text = format!("a request has at most {OPERATIONS_MAX} operations");
            return Err(("tooMany", text));
        }
        self.operations.iter().try_for_each(|operation| operation.apply(object))
    }
}

impl Operation {
    fn apply(&self, object: &mut Map<String, Value>) -> Result<(), Wrong> {
        let verb = match self.op.to_ascii_lowercase().as_str() {
            "add" => Verb::Add,
            "replace" => Verb::Replace,
            "remove" => Verb::Remove,
            other => return Err(("invalidSyntax", format!("`{other}` is no operation"))),
        };
        match (&self.path, &self.value) {
            (Some(path), value) => change(object, verb, &Path::parse(path)?, value),
            (None, Value::Object(members)) if verb != Verb::Remove => {
                members.iter().try_for_each(|(path, value)| match (is_extension(path), value) {
                    (true, Value::Object(inner)) => {
                        let extension = part_of(object, path)?;
                        inner.iter().for_each(|(name, value)| set(extension, name, value.clone()));
                        Ok(())
                    }
                    _ => change(object, verb, &Path::parse(path)?, value),
                })
            }
            (None, _) => Err((
                "noTarget",
                "without a path, the value names what is added or replaced".into(),
            )),
        }
    }
}

impl Path {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = || ("invalidPath", format!("`{text}` is no path that is understood"));
        let mut rest = plain(text.trim());
        let mut extension = None;
        if is_extension(rest) {
            // The name of an extension has colons and dots; what follows its last colon is the attribute.
            let filter_at = rest.find('[').unwrap_or(rest.len());
            let at = rest[..filter_at].rfind(':').ok_or_else(wrong)?;
            if rest[..at].eq_ignore_ascii_case(ENTERPRISE) {
                extension = Some(ENTERPRISE.to_owned());
            } else {
                extension = Some(rest[..at].to_owned());
            }
            rest = &rest[at + 1..];
        }
        let (attribute, filter, part) = match rest.split_once('[') {
            Some((attribute, rest)) => {
                let (filter, part) = rest.rsplit_once(']').ok_or_else(wrong)?;
                let filter = Filter::parse(filter).map_err(|text| ("invalidFilter", text))?;
                let part = match part {
                    "" => None,
                    part => Some(part.strip_prefix('.').ok_or_else(wrong)?),
                };
                (attribute, Some(filter), part)
            }
            None => match rest.split_once('.') {
                Some((attribute, part)) => (attribute, None, Some(part)),
                None => (rest, None, None),
            },
        };
        let is_name = |name: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
            !name.is_empty() && name.bytes().all(is_plain)
        };
        if !is_name(attribute) || !part.is_none_or(is_name) {
            return Err(wrong());
        }
        Ok(Self {
            extension,
            attribute: attribute.to_owned(),
            filter,
            part: part.map(str::to_owned),
        })
    }
}

fn change(
    object: &mut Map<String, Value>,
    verb: Verb,
    path: &Path,
    value: &Value,
) -> Result<(), Wrong> {
    let object = match &path.extension {
        Some(extension) => part_of(object, extension)?,
        None => object,
    };
    if path.extension.is_none() && ["id", "meta", "schemas"].contains(&path.attribute.as_str()) {
        return match path.attribute.as_str() {
            "schemas" => Ok(()),
            name => Err(("mutability", format!("`{name}` cannot be changed"))),
        };
    }
    match (&path.filter, &path.part) {
        (Some(filter), part) => change_some(object, verb, path, (filter, part.as_deref(), value)),
        (None, Some(part)) => {
            let inner = part_of(object, &path.attribute)?;
            match verb {
                Verb::Remove => remove(inner, part),
                _ => set(inner, part, value.clone()),
            }
            Ok(())
        }
        (None, None) => {
            change_whole(object, verb, &path.attribute, value);
            Ok(())
        }
    }
}

fn change_whole(object: &mut Map<String, Value>, verb: Verb, name: &str, value: &Value) {
    let key = key_of(object, name);
    match (verb, object.get_mut(&key), value) {
        // Entra ID names the members that go as a value.
        (Verb::Remove, Some(Value::Array(items)), Value::Array(gone)) if !gone.is_empty() => {
            items.retain(|item| !gone.iter().any(|gone| is_alike(item, gone)));
        }
        (Verb::Remove, ..) => remove(object, &key),
        (Verb::Add, Some(Value::Array(items)), value) => {
            let more = match value {
                Value::Array(more) => more.as_slice(),
                one => std::slice::from_ref(one),
            };
            for item in more {
                if !items.iter().any(|present| is_alike(present, item)) {
                    items.push(item.clone());
                }
            }
        }
        (_, Some(Value::Object(inner)), Value::Object(changed)) => {
            changed.iter().for_each(|(name, value)| set(inner, name, value.clone()));
        }
        (_, _, value) => set(object, &key, value.clone()),
    }
}

/// Changes those of several values for which a filter holds. What is added where none is begins as the
/// filter says.
fn change_some(
    object: &mut Map<String, Value>,
    verb: Verb,
    path: &Path,
    (filter, part, value): (&Filter, Option<&str>, &Value),
) -> Result<(), Wrong> {
    let key = key_of(object, &path.attribute);
    let items = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(items) = items else {
        let text = format!("`{}` has no several values", path.attribute);
        return Err(("invalidPath", text));
    };
    let holds = |item: &Value| item.as_object().is_some_and(|item| filter.holds(item));
    if verb == Verb::Remove && part.is_none() {
        items.retain(|item| !holds(item));
        return Ok(());
    }
    if verb != Verb::Remove && !items.iter().any(holds) {
        let begun = filter.0.iter().map(|it| (it.attribute.clone(), it.value.clone()));
        items.push(Value::Object(begun.collect()));
    }
    for item in items.iter_mut().filter(|item| holds(item)) {
        let Value::Object(item) = item else { continue };
        match (part, value) {
            (Some(part), _) if verb == Verb::Remove => remove(item, part),
            (Some(part), value) => set(item, part, value.clone()),
            (None, Value::Object(members)) => {
                members.iter().for_each(|(name, value)| set(item, name, value.clone()));
            }
            (None, _) => {
                let text = format!("`{}[…]` takes an object", path.attribute);
                return Err(("invalidValue", text));
            }
        }
    }
    Ok(())
}

/// The object under a name, made if it is missing.
fn part_of<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Map<String, Value>, Wrong> {
    let key = key_of(object, name);
    let inner = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
    let text = format!("`{name}` has no parts: give a filter");
    inner.as_object_mut().ok_or(("invalidPath", text))
}

fn set(object: &mut Map<String, Value>, name: &str, value: Value) {
    let key = key_of(object, name);
    match value {
        // What is set to nothing is not there.
        Value::Null => {
            object.remove(&key);
        }
        value => {
            object.insert(key, value);
        }
    }
}

fn remove(object: &mut Map<String, Value>, name: &str) {
    let key = key_of(object, name);
    object.remove(&key);
}

/// The name as it stands in the object already: names have no case.
fn key_of(object: &Map<String, Value>, name: &str) -> String {
    let present = object.keys().find(|key| key.eq_ignore_ascii_case(name));
    present.cloned().unwrap_or_else(|| name.to_owned())
}

/// Two of several values are the same one.
fn is_alike(one: &Value, other: &Value) -> bool {
    let value = |item: &Value| match item {
        Value::Object(item) => get(item, "value").cloned(),
        item => Some(item.clone()),
    };
    match (value(one), value(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn is_extension(name: &str) -> bool {
    name.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(object: Value, operations: Value) -> Result<Value, &'static str> {
        let body: PatchBody =
            serde_json::from_value(json!({"Operations": operations})).expect("a body");
        let mut object = object.as_object().expect("an object").clone();
        body.apply(&mut object).map_err(|wrong| wrong.0)?;
        Ok(Value::Object(object))
    }

    #[test]
    fn paths_parts_filters_and_extensions_are_changed() {
        let user = json!({
            "userName": "ann", "active": true, "name": {"givenName": "Ann"},
            "emails": [{"type": "work", "value": "a@x"}, {"type": "home", "value": "h@x"}],
        });
        let enterprise = |inner: Value| json!({ ENTERPRISE: inner });
        for (operation, expected) in [
            (
                json!({"op": "Replace", "path": "active", "value": "False"}),
                json!({"active": "False"}),
            ),
            (
                json!({"op": "replace", "path": "USERNAME", "value": "bob"}),
                json!({"userName": "bob"}),
            ),
            (
                json!({"op": "add", "path": "name.familyName", "value": "Lee"}),
                json!({"name": {"givenName": "Ann", "familyName": "Lee"}}),
            ),
            (
                json!({"op": "add", "value": {"name.familyName": "Lee", "title": "x"}}),
                json!({"name": {"givenName": "Ann", "familyName": "Lee"}, "title": "x"}),
            ),
            (
                json!({"op": "replace", "path": "name", "value": {"familyName": "Lee"}}),
                json!({"name": {"givenName": "Ann", "familyName": "Lee"}}),
            ),
            (
                json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "b@x"}),
                json!({"emails": [{"type": "work", "value": "b@x"}, {"type": "home", "value": "h@x"}]}),
            ),
            (
                json!({"op": "add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"}),
                json!({"phoneNumbers": [{"type": "mobile", "value": "1"}]}),
            ),
            (
                json!({"op": "add", "value": {"emails[type eq \"home\"].value": "n@x"}}),
                json!({"emails": [{"type": "work", "value": "a@x"}, {"type": "home", "value": "n@x"}]}),
            ),
            (
                json!({"op": "remove", "path": "emails[type eq \"home\"]"}),
                json!({"emails": [{"type": "work", "value": "a@x"}]}),
            ),
            (
                json!({"op": "add", "path": format!("{ENTERPRISE}:department"), "value": "Audit"}),
                enterprise(json!({"department": "Audit"})),
            ),
            (
                json!({"op": "add", "value": {format!("{ENTERPRISE}:department"): "Audit"}}),
                enterprise(json!({"department": "Audit"})),
            ),
            (
                json!({"op": "add", "value": {ENTERPRISE: {"department": "Audit"}}}),
                enterprise(json!({"department": "Audit"})),
            ),
            (
                json!({"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:displayName", "value": "A"}),
                json!({"displayName": "A"}),
            ),
        ] {
            let mut whole = user.as_object().expect("an object").clone();
            whole.extend(expected.as_object().expect("an object").clone());
            assert_eq!(
                patched(user.clone(), json!([operation])),
                Ok(Value::Object(whole)),
                "{operation}"
            );
        }
        let without = patched(user, json!([{"op": "Remove", "path": "active"}])).expect("applies");
        assert!(without.get("active").is_none());
    }

    #[test]
    fn members_come_and_go_in_every_dialect() {
        let group = json!({"displayName": "g", "members": [{"value": "1"}, {"value": "2"}]});
        let members = |ids: &[&str]| {
            let members: Vec<_> = ids.iter().map(|id| json!({"value": id})).collect();
            json!({"displayName": "g", "members": members})
        };
        for (operation, expected) in [
            (
                json!({"op": "Add", "path": "members", "value": [{"value": "3"}, {"value": "1"}]}),
                members(&["1", "2", "3"]),
            ),
            (
                json!({"op": "add", "path": "members", "value": {"value": "3"}}),
                members(&["1", "2", "3"]),
            ),
            (
                json!({"op": "Remove", "path": "members", "value": [{"value": "1"}]}),
                members(&["2"]),
            ),
            (json!({"op": "remove", "path": "members[value eq \"2\"]"}), members(&["1"])),
            (
                json!({"op": "replace", "path": "members", "value": [{"value": "9"}]}),
                members(&["9"]),
            ),
            (
                json!({"op": "add", "value": {"members": [{"value": "3"}]}}),
                members(&["1", "2", "3"]),
            ),
        ] {
            assert_eq!(patched(group.clone(), json!([operation])), Ok(expected), "{operation}");
        }
        let none = patched(group, json!([{"op": "remove", "path": "members"}])).expect("applies");
        assert_eq!(none, json!({"displayName": "g"}));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let user = json!({"userName": "ann", "emails": [{"value": "a"}]});
        for (operation, expected) in [
            (json!({"op": "move", "path": "active"}), "invalidSyntax"),
            (json!({"op": "add", "value": "x"}), "noTarget"),
            (json!({"op": "remove"}), "noTarget"),
            (json!({"op": "add", "path": "", "value": 1}), "invalidPath"),
            (json!({"op": "add", "path": "a b", "value": 1}), "invalidPath"),
            (json!({"op": "add", "path": "emails[type eq", "value": 1}), "invalidPath"),
            (
                json!({"op": "add", "path": "emails[type co \"x\"].value", "value": 1}),
                "invalidFilter",
            ),
            (
                json!({"op": "add", "path": "userName[type eq \"x\"].value", "value": 1}),
                "invalidPath",
            ),
            (json!({"op": "add", "path": "userName.part", "value": 1}), "invalidPath"),
            (json!({"op": "replace", "path": "id", "value": "1"}), "mutability"),
        ] {
            assert_eq!(patched(user.clone(), json!([operation])), Err(expected), "{operation}");
        }
    }
}
