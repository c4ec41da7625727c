//! Reports, as an administrator writes them.

use std::collections::HashSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::{Every, ReportFormat, Schedule, Weekday};

/// Most reports.
const REPORTS_MAX: usize = 200;
/// Most addresses of one report.
const ADDRESSES_MAX: usize = 50;
/// What the ids of reports begin with where they stand among users.
const IDENTITY: &str = "report:";

/// A query that is asked by itself, and where its result goes. It sees the rows of the last whole day, week or
/// month, and `now()` is the end of that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportConfig {
    /// Id, for names of files and addresses. The report asks as `report:` and this id: give that the role
    /// `content_reader`, and it reads prompts and answers.
    pub id: String,
    /// Name, for people.
    pub name: String,
    /// Make it.
    pub enabled: bool,
    /// KQL.
    pub query: String,
    /// How often, and what it covers.
    pub every: Every,
    /// The hour at which it is made, 0 to 23.
    pub hour: u8,
    /// With which day its weeks begin; on that day it is made.
    pub week_begins: Weekday,
    /// The time zone of all that, such as `Europe/Berlin`.
    pub time_zone: String,
    /// What it is made into.
    pub format: ReportFormat,
    /// Mail addresses it goes to, through `mail`.
    pub to: Vec<String>,
    /// Folder it is put into; empty for none.
    pub folder: PathBuf,
    /// What content is read for, which is put on record; needed to read any.
    pub purpose: String,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            enabled: true,
            query: String::new(),
            every: Every::Day,
            hour: 6,
            week_begins: Weekday::Monday,
            time_zone: "UTC".into(),
            format: ReportFormat::Csv,
            to: Vec::new(),
            folder: PathBuf::new(),
            purpose: String::new(),
        }
    }
}

/// Refuses what contradicts itself; the text names the fix.
pub fn validate_reports(reports: &[ReportConfig]) -> Result<(), String> {
    if reports.len() > REPORTS_MAX {
        return Err(format!("there are more than {REPORTS_MAX}: remove some"));
    }
    let mut ids = HashSet::new();
    for report in reports {
        report.validate().map_err(|why| format!("`{}`: {why}", report.id))?;
        if !ids.insert(&report.id) {
            return Err(format!("`{}` stands twice: rename one", report.id));
        }
    }
    Ok(())
}

impl ReportConfig {
    fn validate(&self) -> Result<(), String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if self.id.is_empty() || !self.id.bytes().all(is_plain) {
            return Err("give it an id of letters, digits, `-` and `_`".into());
        }
        if self.query.trim().is_empty() {
            return Err("it asks nothing: give it a `query`".into());
        }
        if self.to.is_empty() && self.folder.as_os_str().is_empty() {
            return Err("it goes nowhere: give it addresses (`to`) or a `folder`".into());
        }
        if self.to.len() > ADDRESSES_MAX {
            return Err(format!(
                "`to` has more than {ADDRESSES_MAX} addresses: make a list of them at the mail server"
            ));
        }
        if let Some(address) =
            self.to.iter().find(|to| to.parse::<lettre::message::Mailbox>().is_err())
        {
            return Err(format!("`{address}` is no mail address: correct it"));
        }
        self.schedule().map(drop)
    }

    /// When it is made.
    pub(super) fn schedule(&self) -> Result<Schedule, String> {
        Schedule::new(self.every, self.week_begins, self.hour, &self.time_zone)
    }

    /// As whom it asks.
    pub(super) fn identity(&self) -> String {
        format!("{IDENTITY}{}", self.id)
    }

    /// Name for people.
    pub(super) fn title(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }
}
