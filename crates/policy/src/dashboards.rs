//! Dashboards that everybody of the organisation sees, as they stand in the configuration file and in the
//! desired state. Whether their queries are KQL is not looked at here but in `control`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::RulesError;

/// Most dashboards.
const DASHBOARDS_MAX: usize = 100;
/// Longest id.
const ID_BYTES_MAX: usize = 128;
/// Longest name.
const NAME_CHARS_MAX: usize = 100;
/// Most parameters of one dashboard.
const PARAMETERS_MAX: usize = 20;
/// Longest name of a parameter.
const PARAMETER_CHARS_MAX: usize = 41;
/// Longest first value of a parameter.
const FIRST_CHARS_MAX: usize = 200;
/// Most tiles of one dashboard.
const TILES_MAX: usize = 40;
/// Longest title of a tile.
const TITLE_CHARS_MAX: usize = 200;
/// Longest query of a tile.
const QUERY_BYTES_MAX: usize = 16 << 10;

/// Tiles of KQL with parameters. There may be 100 dashboards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DashboardConfig {
    /// Its id, 1 to 128 bytes; unique.
    pub id: String,
    /// Name for people, 1 to 100 characters; unique.
    pub name: String,
    /// What its queries can be asked with, 20 at most.
    pub parameters: Vec<ParameterConfig>,
    /// What it shows, 40 at most, in this order.
    pub tiles: Vec<TileConfig>,
}

/// A value that the queries of all tiles know by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParameterConfig {
    /// Its name, up to 41 letters, digits and `_`, the first no digit; unique within the dashboard.
    pub name: String,
    /// The type of its value.
    #[serde(rename = "type")]
    pub value_type: ParameterType,
    /// The value until another is given, up to 200 characters; text as it is, everything else as KQL writes it.
    pub first: String,
}

/// The type of a parameter's value, as KQL names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Text.
    #[default]
    String,
    /// A span of time, such as `24h`.
    Timespan,
    /// A moment, such as `datetime(2026-11-29)`.
    Datetime,
    /// A whole number.
    Long,
    /// A number.
    Real,
}

/// One query and how its result is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TileConfig {
    /// Its title, 1 to 200 characters.
    pub title: String,
    /// KQL, up to 16 KiB; `render` says how it is drawn.
    pub query: String,
    /// It has a row of its own.
    pub is_wide: bool,
}

impl ParameterType {
    /// The word for it in KQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Timespan => "timespan",
            Self::Datetime => "datetime",
            Self::Long => "long",
            Self::Real => "real",
        }
    }
}

/// Checks dashboards; the text names the fix.
pub fn check_dashboards(dashboards: &[DashboardConfig]) -> Result<(), RulesError> {
    if dashboards.len() > DASHBOARDS_MAX {
        let text = format!("there are more than {DASHBOARDS_MAX} dashboards: leave some out");
        return Err(RulesError::new(text));
    }
    for (at, dashboard) in dashboards.iter().enumerate() {
        let DashboardConfig { id, name, .. } = dashboard;
        if id.trim().is_empty() || id.len() > ID_BYTES_MAX {
            return Err(RulesError::new(format!(
                "dashboard {} needs an id of 1 to {ID_BYTES_MAX} bytes",
                at + 1
            )));
        }
        let refused = |why: String| Err(RulesError::new(format!("dashboard `{id}` {why}")));
        if dashboards[..at].iter().any(|before| before.id == *id) {
            return refused("stands twice: rename one".to_owned());
        }
        if let Some(other) = dashboards[..at].iter().find(|one| one.name.trim() == name.trim()) {
            let other = &other.id;
            return refused(format!("has the name `{name}` of dashboard `{other}`: rename one"));
        }
        if let Err(why) = check(dashboard) {
            return refused(why);
        }
    }
    Ok(())
}

/// Checks what one dashboard says, apart from its id.
fn check(DashboardConfig { name, parameters, tiles, .. }: &DashboardConfig) -> Result<(), String> {
    if !is_text(name, NAME_CHARS_MAX) {
        return Err(format!("needs a name of 1 to {NAME_CHARS_MAX} characters"));
    }
    if parameters.len() > PARAMETERS_MAX {
        return Err(format!("has more than {PARAMETERS_MAX} parameters: leave some out"));
    }
    if tiles.len() > TILES_MAX {
        return Err(format!("has more than {TILES_MAX} tiles: make another dashboard of some"));
    }
    for (at, parameter) in parameters.iter().enumerate() {
        check_parameter(parameter)?;
        let name = &parameter.name;
        if parameters[..at].iter().any(|before| before.name == *name) {
            return Err(format!("has the parameter `{name}` twice: rename one"));
        }
    }
    tiles.iter().enumerate().try_for_each(|(at, tile)| check_tile(at, tile))
}

fn check_parameter(ParameterConfig { name, first, .. }: &ParameterConfig) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !begins_well || !name.bytes().all(is_word) || name.len() > PARAMETER_CHARS_MAX {
        return Err(format!(
            "has the parameter `{name}`: a name is 1 to {PARAMETER_CHARS_MAX} letters, digits and _, the first no digit"
        ));
    }
    if first.chars().count() > FIRST_CHARS_MAX {
        return Err(format!(
            "has a longer `first` of parameter `{name}` than {FIRST_CHARS_MAX} characters: shorten it"
        ));
    }
    Ok(())
}

fn check_tile(at: usize, TileConfig { title, query, .. }: &TileConfig) -> Result<(), String> {
    if !is_text(title, TITLE_CHARS_MAX) {
        return Err(format!(
            "needs a title of 1 to {TITLE_CHARS_MAX} characters for tile {}",
            at + 1
        ));
    }
    if query.trim().is_empty() {
        return Err(format!("needs a query for tile `{title}`"));
    }
    if query.len() > QUERY_BYTES_MAX {
        return Err(format!(
            "has a longer query of tile `{title}` than {QUERY_BYTES_MAX} bytes: shorten it"
        ));
    }
    Ok(())
}

fn is_text(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= chars_max
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> DashboardConfig {
        let parameter =
            ParameterConfig { name: "Span".into(), first: "24h".into(), ..Default::default() };
        let tile = TileConfig {
            title: "Calls".into(),
            query: "Interactions".into(),
            ..Default::default()
        };
        DashboardConfig {
            id: "d".into(),
            name: "Dashboard".into(),
            parameters: vec![parameter],
            tiles: vec![tile],
        }
    }

    fn refusal(dashboards: &[DashboardConfig]) -> String {
        check_dashboards(dashboards).expect_err("is refused").to_string()
    }

    /// What is said of the good one after this change.
    fn changed(change: impl FnOnce(&mut DashboardConfig)) -> String {
        let mut dashboard = good();
        change(&mut dashboard);
        refusal(&[dashboard])
    }

    #[test]
    fn ids_and_names_are_there_and_unique() {
        check_dashboards(&[]).expect("none");
        let other =
            |id: &str, name: &str| DashboardConfig { id: id.into(), name: name.into(), ..good() };
        check_dashboards(&[good(), other("e", "Other")]).expect("good ones");
        let twice = refusal(&[good(), other("d", "Other")]);
        assert_eq!(twice, "dashboard `d` stands twice: rename one");
        let twice = refusal(&[good(), other("e", "Dashboard ")]);
        assert_eq!(twice, "dashboard `e` has the name `Dashboard ` of dashboard `d`: rename one");
        for id in [String::new(), " ".to_owned(), "x".repeat(ID_BYTES_MAX + 1)] {
            assert!(changed(|it| it.id = id).contains("needs an id of 1 to 128 bytes"));
        }
        for name in [String::new(), " ".to_owned(), "ä".repeat(NAME_CHARS_MAX + 1)] {
            assert!(changed(|it| it.name = name).contains("needs a name of 1 to 100"));
        }
        let many: Vec<_> =
            (0..=DASHBOARDS_MAX).map(|at| other(&at.to_string(), &at.to_string())).collect();
        check_dashboards(&many[1..]).expect("as many as there may be");
        assert!(refusal(&many).contains("more than 100 dashboards: leave some out"));
    }

    #[test]
    fn parameters_have_names_that_a_query_can_say() {
        for name in ["", "1st", "a b", "a-b", "ä", &"x".repeat(PARAMETER_CHARS_MAX + 1)] {
            let said = changed(|it| it.parameters[0].name = name.into());
            assert!(said.contains("letters, digits and _"), "{name}: {said}");
        }
        for name in ["_", "A1_b", &"x".repeat(PARAMETER_CHARS_MAX)] {
            let mut dashboard = good();
            dashboard.parameters[0].name = name.into();
            check_dashboards(&[dashboard]).expect(name);
        }
        let twice = changed(|it| it.parameters.push(it.parameters[0].clone()));
        assert_eq!(twice, "dashboard `d` has the parameter `Span` twice: rename one");
        let first = "x".repeat(FIRST_CHARS_MAX + 1);
        assert!(changed(|it| it.parameters[0].first = first).contains("200 characters"));
        let many = vec![good().parameters[0].clone(); PARAMETERS_MAX + 1];
        assert!(changed(|it| it.parameters = many).contains("more than 20 parameters"));
    }

    #[test]
    fn tiles_have_a_title_and_a_query() {
        for title in [String::new(), " ".to_owned(), "ä".repeat(TITLE_CHARS_MAX + 1)] {
            let said = changed(|it| it.tiles[0].title = title);
            assert!(said.contains("needs a title of 1 to 200 characters for tile 1"), "{said}");
        }
        let said = changed(|it| it.tiles[0].query = "\n".into());
        assert_eq!(said, "dashboard `d` needs a query for tile `Calls`");
        let long = "x".repeat(QUERY_BYTES_MAX + 1);
        assert!(changed(|it| it.tiles[0].query = long).contains("tile `Calls` than 16384 bytes"));
        let many = vec![good().tiles[0].clone(); TILES_MAX + 1];
        assert!(changed(|it| it.tiles = many).contains("more than 40 tiles"));
    }

    #[test]
    fn json_names_types_as_kql_does_and_knows_nothing_else() {
        for kind in ["string", "timespan", "datetime", "long", "real"] {
            let text = format!(r#"{{"name":"P","type":"{kind}","first":""}}"#);
            let parameter: ParameterConfig = serde_json::from_str(&text).expect(kind);
            assert_eq!(parameter.value_type.name(), kind);
            assert_eq!(serde_json::to_string(&parameter).expect("serialises"), text);
        }
        for wrong in [r#"{"name":"P","type":"int"}"#, r#"{"name":"P","hint":""}"#] {
            serde_json::from_str::<ParameterConfig>(wrong).expect_err(wrong);
        }
        serde_json::from_str::<TileConfig>(r#"{"isWide":true}"#).expect_err("is_wide");
    }
}
