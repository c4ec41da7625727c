//! YAML text and overrides to a configuration; what is wrong is said with a suggestion.

use serde_json::{Map, Value};

use super::Config;
use super::environment::Override;

/// Parses the file first, so that its errors have a place, then lays the overrides over it.
pub(crate) fn parse(text: &str, overrides: Vec<Override>) -> Result<Config, String> {
    // A file of nothing but comments is an empty mapping.
    let is_empty = text.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
    let text = if is_empty { "{}" } else { text };
    let config: Config =
        serde_saphyr::from_str(text).map_err(|error| suggest(&error.to_string()))?;
    if overrides.is_empty() {
        return Ok(config);
    }
    let mut value = serde_json::to_value(&config).map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for wanted in overrides {
        names.push(wanted.variable());
        set(&mut value, wanted);
    }
    serde_json::from_value(value)
        .map_err(|error| suggest(&format!("{error} (set by one of {})", names.join(", "))))
}

fn set(value: &mut Value, wanted: Override) {
    let parsed = serde_saphyr::from_str(&wanted.value).unwrap_or(Value::String(wanted.value));
    let mut place = value;
    for name in wanted.path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let map = place.as_object_mut().expect("it was made an object just now");
        place = map.entry(name).or_insert(Value::Null);
    }
    *place = parsed;
}

/// What mends a value of the wrong sort, by what the parser says of it.
const FIXES: [(&str, &str); 14] = [
    ("invalid u", "give a whole number that is not negative and not too large"),
    ("invalid i", "give a whole number"),
    ("invalid f", "give a number"),
    ("invalid socket address", "give an address and a port, such as 127.0.0.1:8080"),
    ("invalid IP address", "give an address or a network, such as 10.1.2.3 or 10.1.0.0/16"),
    ("invalid bool", "give true or false"),
    ("expected sequence", "give a list, such as [one, two]"),
    ("expected mapping start", "give fields with their values, each as `name: value`"),
    ("expected string", "give a text"),
    ("expected end of mapping", "only one of these fields can stand here: remove the others"),
    ("tabs disallowed", "indent with spaces"),
    ("duplicate mapping key", "it stands twice: put both parts together"),
    ("missing field", "add it"),
    ("unclosed", "close it, or put the text into quotes"),
];

/// The error with what mends it.
fn suggest(message: &str) -> String {
    let first_line = message.lines().next().unwrap_or(message);
    let message = message.replacen(", set DuplicateKeyPolicy in Options if acceptable", "", 2);
    let Some((what, known)) = first_line.split_once(", expected ") else {
        let fix = FIXES.iter().find(|(sort, _)| first_line.contains(sort));
        return fix.map_or(message.clone(), |(_, fix)| {
            let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
            format!("{first}: {fix}\n{rest}").trim_end().to_owned()
        });
    };
    let Some(unknown) = what.rsplit_once("unknown field `").map(|(_, name)| name) else {
        return message;
    };
    let (unknown, known) = (unknown.trim_end_matches('`'), known.trim_start_matches("one of "));
    let nearest = known
        .split(", ")
        .map(|name| name.split(' ').next().unwrap_or(name).trim_matches('`'))
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, name)) => format!("{what}; did you mean `{name}`?"),
        None => first_line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(path: &[&str], value: &str) -> Override {
        Override { path: path.iter().map(|name| (*name).into()).collect(), value: value.into() }
    }

    #[test]
    fn an_empty_file_is_the_default_and_overrides_lie_over_it() {
        let overrides =
            vec![over(&["ledger", "segment_bytes"], "65536"), over(&["region"], "westeurope")];
        let config = parse("# nothing yet\n", overrides).expect("valid");
        assert_eq!(config.ledger.segment_bytes, 65_536);
        assert_eq!(config.region, "westeurope");
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest_known_one() {
        let error = parse("ledger:\n  durabilty: strict\n", Vec::new()).expect_err("misspelt");
        assert!(error.contains("did you mean `durability`?"), "{error}");
        let error = parse("{}", vec![over(&["stor"], "{}")]).expect_err("misspelt");
        assert!(error.contains("did you mean `store`?"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error() {
        let error = parse("ledger:\n  segment_bytes: many\n", Vec::new()).expect_err("no number");
        assert!(error.contains("many") || error.contains("segment_bytes"), "{error}");
    }
}
