//! The web application firewall: its rules as they are read from files, and what becomes of a request that
//! they match. What the rules mean is crate `waf`.

mod inspect;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::Semaphore;
use waf::{Exclusion, RuleFile, Ruleset};

use crate::config::{WafConfig, WafExclusionConfig, WafMode};
use crate::error::Error;

/// What rules of the configuration itself are called in problems.
const INLINE: &str = "waf.inline_rules";
/// Longest rule or data file.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The rules in force, and what is done with what they say.
#[derive(Debug)]
pub struct Waf {
    rules: Ruleset,
    mode: WafMode,
    /// Bytes of a body that are looked at; 0 if none are.
    body_bytes_max: usize,
    /// Bodies and long heads that are looked at, at once: one for each core.
    inspecting: Arc<Semaphore>,
    files: Vec<PathBuf>,
}

impl Waf {
    /// The rules of a configuration; none where it is off. Blocks, and takes a moment. All that is
    /// wrong is told.
    pub fn load(config: &WafConfig) -> Result<Option<Arc<Self>>, Error> {
        if config.mode == WafMode::Off {
            return Ok(None);
        }
        Self::read(config).map(|waf| Some(Arc::new(waf)))
    }

    /// The rules of a configuration, whatever its mode.
    pub fn read(config: &WafConfig) -> Result<Self, Error> {
        config.validate().map_err(Error)?;
        let mut files = config.files().map_err(Error)?;
        let inline = RuleFile { name: INLINE.to_owned(), text: config.inline_rules.clone() };
        let mut rule_files = vec![inline];
        for file in &files {
            let text = text(file).map_err(|error| Error(format!("waf.rules: {error}")))?;
            rule_files.push(RuleFile { name: file.display().to_string(), text });
        }
        let exclusions: Result<Vec<_>, Error> = config.exclusions.iter().map(exclusion).collect();
        let data_files = Mutex::new(Vec::new());
        let read = |rule_file: &str, name: &str| {
            if rule_file == INLINE && Path::new(name).is_relative() {
                return Err(format!(
                    "{name}: give its whole path, for rules here are in no folder"
                ));
            }
            let folder = Path::new(rule_file).parent().unwrap_or(Path::new(""));
            let file = folder.join(name);
            let text = text(&file)?;
            data_files.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            Ok(text)
        };
        let rules = Ruleset::parse(&rule_files, exclusions?, &read).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Error(format!("waf: rules cannot be read:\n{}", lines.join("\n")))
        })?;
        files.extend(data_files.into_inner().unwrap_or_else(PoisonError::into_inner));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            rules,
            mode: config.mode,
            body_bytes_max: if config.inspect_bodies { config.body_bytes_max as usize } else { 0 },
            inspecting: Arc::new(Semaphore::new(cores)),
            files,
        })
    }

    /// The files that it was read from, data files too.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The rules.
    pub fn rules(&self) -> &Ruleset {
        &self.rules
    }

    /// Bytes of a body that are looked at; 0 if none are.
    pub(crate) fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }
}

fn exclusion(config: &WafExclusionConfig) -> Result<Exclusion, Error> {
    let ids: Vec<&str> = config.rule_ids.iter().map(|ids| ids.0.as_str()).collect();
    let tags: Vec<&str> = config.tags.iter().map(String::as_str).collect();
    Exclusion::new(&ids, &tags, &config.variable, config.paths.clone())
        .map_err(|error| Error(format!("waf.exclusions: {error}")))
}

/// Rule files need not be UTF-8: comments may hold names in any encoding.
fn text(file: &Path) -> Result<String, String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let length = fs::metadata(file).map_err(|error| said(&error))?.len();
    if length > FILE_BYTES_MAX {
        return Err(said(&format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(file).map_err(|error| said(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
