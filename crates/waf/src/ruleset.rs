//! Rules that are read, checked and put in their order.

use std::collections::HashMap;

use crate::action::{Removal, Selection};
use crate::builder::Builder;
use crate::operator::{Operator, ReadData};
use crate::problem::Problem;
use crate::rule::{LeftOut, RuleFile, Step};
use crate::target::{Target, pieces};

/// What rules are not to look at.
#[derive(Clone, Debug)]
pub struct Exclusion {
    removals: Vec<Removal>,
    paths: Vec<String>,
}

/// What can be told of a rule that is run.
#[derive(Clone, Copy, Debug)]
pub struct RuleSummary<'s> {
    /// Its id.
    pub id: u32,
    /// 1 for the head, 2 for the body.
    pub phase: u8,
    /// What it says when it matches, as it is written; empty if it says nothing.
    pub message: &'s str,
    /// The file it stands in.
    pub file: &'s str,
    /// The line where it begins.
    pub line: usize,
}

/// Rules in force. It changes nothing while it is used: requests share it.
#[derive(Debug)]
pub struct Ruleset {
    pub(crate) phases: [Vec<Step>; 2],
    pub(crate) exclusions: Vec<Exclusion>,
    left_out: Vec<LeftOut>,
}

impl Exclusion {
    /// What rules are not to look at: rules by id, range of ids or tag; a variable such as
    /// `REQUEST_HEADERS:user-agent`, or all of the rule where it is empty; below these paths, or
    /// everywhere where there are none.
    pub fn new(
        ids: &[&str],
        tags: &[&str],
        variable: &str,
        paths: Vec<String>,
    ) -> Result<Self, String> {
        let mut selections: Vec<Selection> =
            tags.iter().map(|tag| Selection::Tag((*tag).to_owned())).collect();
        if !ids.is_empty() {
            selections.push(Selection::ids(ids)?);
        }
        if selections.is_empty() {
            return Err("an exclusion names neither rule ids nor tags".to_owned());
        }
        let targets: Result<Vec<Target>, String> = pieces(variable).map(Target::parse).collect();
        let mut targets: Vec<Option<Target>> = targets?.into_iter().map(Some).collect();
        if targets.is_empty() {
            targets.push(None);
        }
        let removal = |rules: &Selection, target: &Option<Target>| Removal {
            rules: rules.clone(),
            target: target.clone(),
        };
        let removals = selections.iter().flat_map(|one| targets.iter().map(|t| removal(one, t)));
        Ok(Self { removals: removals.collect(), paths })
    }

    /// What it takes away from rules for a request with this path; the path is decoded and has no
    /// detours.
    pub(crate) fn removals(&self, path: &[u8]) -> &[Removal] {
        let is_below = |prefix: &String| path.starts_with(prefix.as_bytes());
        if self.paths.is_empty() || self.paths.iter().any(is_below) { &self.removals } else { &[] }
    }
}

impl Ruleset {
    /// Reads rule files in their order. `read` gets the contents of a data file that a rule names: the
    /// rule file's name and what stands in the rule. All that is wrong is told.
    pub fn parse(
        files: &[RuleFile],
        exclusions: Vec<Exclusion>,
        read: &ReadData<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let mut builder = Builder::new(read);
        for file in files {
            builder.file(file);
        }
        let (steps, left_out) = builder.finish()?;
        Ok(Self { phases: phases(steps), exclusions, left_out })
    }

    /// The rules that are run, in their order.
    pub fn rules(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.phases.iter().flatten().filter_map(|step| {
            let Step::Rule(rule) = step else { return None };
            Some(RuleSummary {
                id: rule.id,
                phase: rule.phase,
                message: rule.actions().message.as_ref().map_or("", |message| message.source()),
                file: &rule.file,
                line: rule.line,
            })
        })
    }

    /// The rules that are never run, and why.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Patterns that are searched step by step.
    pub fn backtracking_rule_ids(&self) -> Vec<u32> {
        let mut ids = Vec::new();
        for step in self.phases.iter().flatten() {
            if let Step::Rule(rule) = step
                && rule
                    .links
                    .iter()
                    .any(|link| link.operator.as_ref().is_some_and(Operator::is_backtracking))
            {
                ids.push(rule.id);
            }
        }
        ids
    }
}

/// The steps of each phase, with the places to go on at found; markers stand in both.
fn phases(steps: Vec<Step>) -> [Vec<Step>; 2] {
    let mut phases = [Vec::new(), Vec::new()];
    for step in steps {
        match step {
            Step::Rule(rule) => phases[usize::from(rule.phase - 1)].push(Step::Rule(rule)),
            Step::Marker(name) => {
                phases[0].push(Step::Marker(name.clone()));
                phases[1].push(Step::Marker(name));
            }
        }
    }
    phases.map(resolve)
}

/// From the end, so that the nearest marker that comes after a rule is known.
fn resolve(mut steps: Vec<Step>) -> Vec<Step> {
    let end = steps.len();
    let mut markers: HashMap<String, usize> = HashMap::new();
    for at in (0..end).rev() {
        match &mut steps[at] {
            Step::Marker(name) => {
                markers.insert(name.clone(), at);
            }
            Step::Rule(rule) => {
                let after = rule.actions().skip_after.as_ref();
                let to = after.map(|name| markers.get(name).copied().unwrap_or(end));
                let skipped = rule.actions().skip.map(|count| at + 1 + count);
                rule.next = to.or(skipped);
                // A rule's id is a place to go on at too.
                markers.insert(rule.id.to_string(), at + 1);
            }
        }
    }
    steps
}
