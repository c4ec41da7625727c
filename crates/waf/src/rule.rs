//! Rules as they are run.

use std::sync::Arc;

use crate::action::{Actions, Disruption, Removal};
use crate::operator::Operator;
use crate::target::Targets;
use crate::transform::Transformation;

/// A rule file.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// As it is told in problems, and as data files are asked for.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// A rule that was read and is never run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its id.
    pub rule_id: u32,
    /// The file it stands in.
    pub file: String,
    /// The line where it begins.
    pub line: usize,
    /// Why it is not run.
    pub why: String,
}

/// A rule, or a place to go on at.
#[derive(Debug)]
pub(crate) enum Step {
    Rule(Box<Rule>),
    Marker(String),
}

/// A rule with the rules that are chained to it.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: u32,
    pub(crate) phase: u8,
    pub(crate) links: Vec<Link>,
    pub(crate) disruption: Disruption,
    pub(crate) status: u16,
    pub(crate) is_logged: bool,
    /// The step to go on with once it matched.
    pub(crate) next: Option<usize>,
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
}

/// One of the rules of a chain; most chains have one.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) targets: Targets,
    /// None for `SecAction`, which always holds.
    pub(crate) operator: Option<Operator>,
    pub(crate) transformations: Vec<Transformation>,
    /// From 0; the same for the same transformations.
    pub(crate) transformations_id: usize,
    pub(crate) actions: Actions,
}

impl Rule {
    /// What the whole chain says and does: the first of it tells.
    pub(crate) fn actions(&self) -> &Actions {
        &self.links[0].actions
    }
}

impl Removal {
    /// Whether the rule is one of those it takes something from.
    pub(crate) fn holds(&self, rule: &Rule) -> bool {
        self.rules.holds(rule.id, rule.actions())
    }
}
