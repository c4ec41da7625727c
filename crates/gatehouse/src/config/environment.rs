//! `GATEHOUSE__A__B=value` sets the field `b` of the section `a`, over the file.

const PREFIX: &str = "GATEHOUSE__";

/// One field to set: where it stands, and its value as YAML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Override {
    /// Names of sections and field, in lower case.
    pub(crate) path: Vec<String>,
    /// YAML: `8`, `true`, `[10.0.0.0/8]`, or plain text.
    pub(crate) value: String,
}

impl Override {
    /// The overrides of this process.
    pub(crate) fn all() -> Vec<Self> {
        overrides()
    }

    /// The variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.join("__").to_uppercase())
    }
}

/// The overrides of this process.
pub(crate) fn overrides() -> Vec<Override> {
    let mut found: Vec<Override> =
        std::env::vars().filter_map(|(name, value)| parse(&name, value)).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn parse(name: &str, value: String) -> Option<Override> {
    let path = name.strip_prefix(PREFIX)?.split("__").map(str::to_ascii_lowercase).collect();
    Some(Override { path, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_section_and_field() {
        let found = parse("GATEHOUSE__LEDGER__SEGMENT_BYTES", "65536".into()).expect("ours");
        assert_eq!(found.path, ["ledger", "segment_bytes"]);
        assert_eq!(parse("GATEHOUSE_CONFIG", "x".into()), None);
    }
}
