//! Filters of SCIM (RFC 7644, section 3.4.2.2), as far as directories use them: comparisons with `eq`,
//! joined by `and`. Anything else is refused by name.

use serde_json::{Map, Value};

/// Longest filter, in bytes.
const BYTES_MAX: usize = 4_096;
/// Comparisons in one filter.
const COMPARISONS_MAX: usize = 8;

/// All of these hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter(pub(crate) Vec<Comparison>);

/// An attribute has a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// Name as it was written, with a dot before that of a part.
    pub(crate) attribute: String,
    pub(crate) value: Value,
}

impl Filter {
    /// Reads a filter; the error says what is not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("a filter has at most {BYTES_MAX} bytes"));
        }
        let mut comparisons = Vec::new();
        let mut rest = text.trim();
        loop {
            let (attribute, after) = word(rest);
            let (operator, after) = word(after);
            if attribute.is_empty() || !operator.eq_ignore_ascii_case("eq") {
                return Err(format!(
                    "`{text}`: only `ATTRIBUTE eq VALUE` is understood, joined by `and`"
                ));
            }
            let mut values = serde_json::Deserializer::from_str(after).into_iter::<Value>();
            let value = match values.next() {
                Some(Ok(value)) if !value.is_object() && !value.is_array() => value,
                _ => {
                    return Err(format!(
                        "`{text}`: a value is a text in quotes, true, false, null or a number"
                    ));
                }
            };
            rest = after[values.byte_offset()..].trim_start();
            comparisons.push(Comparison { attribute: attribute.to_owned(), value });
            if rest.is_empty() {
                return Ok(Self(comparisons));
            }
            let (and, after) = word(rest);
            if !and.eq_ignore_ascii_case("and") || comparisons.len() >= COMPARISONS_MAX {
                return Err(format!(
                    "`{text}`: comparisons are joined by `and`, at most {COMPARISONS_MAX}"
                ));
            }
            rest = after;
        }
    }

    /// It holds for this object. Texts are compared without case, but for ids.
    pub(crate) fn holds(&self, object: &Map<String, Value>) -> bool {
        self.0.iter().all(|comparison| comparison.holds(object))
    }
}

impl Comparison {
    fn holds(&self, object: &Map<String, Value>) -> bool {
        let path = plain(&self.attribute);
        let is_exact = ["id", "externalid"].contains(&path.to_ascii_lowercase().as_str());
        has(object, path, &self.value, is_exact)
    }
}

/// The name without the core schemas' own prefix.
pub(crate) fn plain(name: &str) -> &str {
    ["User:", "Group:"]
        .iter()
        .find_map(|kind| {
            let prefix = format!("urn:ietf:params:scim:schemas:core:2.0:{kind}");
            let head = name.get(..prefix.len())?;
            head.eq_ignore_ascii_case(&prefix).then(|| &name[prefix.len()..])
        })
        .unwrap_or(name)
}

/// The value under a name, whatever its case.
pub(crate) fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let exact = object.get(name);
    exact.or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|it| it.1))
}

fn has(object: &Map<String, Value>, path: &str, wanted: &Value, is_exact: bool) -> bool {
    let (name, part) = match path.split_once('.') {
        Some((name, part)) => (name, Some(part)),
        None => (path, None),
    };
    let Some(value) = get(object, name) else { return wanted.is_null() };
    match (value, part) {
        // An attribute with several values has one of them.
        (Value::Array(items), part) => items.iter().any(|item| match item {
            Value::Object(item) => has(item, part.unwrap_or("value"), wanted, is_exact),
            item => same(item, wanted, is_exact),
        }),
        (Value::Object(inner), Some(part)) => has(inner, part, wanted, is_exact),
        (value, None) => same(value, wanted, is_exact),
        _ => false,
    }
}

fn same(value: &Value, wanted: &Value, is_exact: bool) -> bool {
    match (value, wanted) {
        (Value::String(one), Value::String(two)) if !is_exact => {
            one.to_lowercase() == two.to_lowercase()
        }
        (Value::Bool(flag), Value::String(text)) => text.eq_ignore_ascii_case(&flag.to_string()),
        (value, wanted) => value == wanted,
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_directories_ask_for_is_found() {
        let user = json!({
            "id": "A1", "userName": "Ann@Example.com", "externalId": "Ab", "active": true,
            "emails": [{"type": "work", "value": "ann@example.com"}], "name": {"familyName": "Lee"},
            "members": [{"value": "u1"}],
        });
        let user = user.as_object().expect("an object");
        for (filter, expected) in [
            (r#"userName eq "ann@example.com""#, true),
            (r#"username EQ "ann@example.com""#, true),
            (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ann@example.com""#, true),
            (r#"externalId eq "Ab""#, true),
            (r#"externalId eq "ab""#, false),
            (r#"id eq "a1""#, false),
            (r#"emails.value eq "ANN@example.com""#, true),
            (r#"emails eq "other""#, false),
            (r#"name.familyName eq "lee""#, true),
            (r#"active eq true"#, true),
            (r#"active eq "False""#, false),
            (r#"id eq "A1" and members eq "u1""#, true),
            (r#"id eq "A1" and members eq "u2""#, false),
            (r#"userName eq "say \"and\" more""#, false),
            (r#"title eq null"#, true),
        ] {
            assert_eq!(Filter::parse(filter).expect(filter).holds(user), expected, "{filter}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for filter in [
            "",
            "userName",
            "userName eq",
            "userName eq x",
            r#"userName co "x""#,
            "userName pr",
            r#"a eq "b" or c eq "d""#,
            r#"not (a eq "b")"#,
            r#"a eq "b" c"#,
            r#"a eq {"b":1}"#,
            r#"a eq "b"#,
        ] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
        let long = [r#"a eq "b""#; 9].join(" and ");
        assert!(Filter::parse(&long).is_err());
        assert!(Filter::parse(&format!(r#"a eq "{}""#, "b".repeat(BYTES_MAX))).is_err());
    }
}
