//! Makes rules of directives, and tells all that is wrong with them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::action::{Actions, Disruption, Selection};
use crate::directive::{Directive, directives};
use crate::operator::{Missing, Operator, ReadData};
use crate::problem::{self, Problem};
use crate::rule::{LeftOut, Link, Rule, RuleFile, Step};
use crate::target::Targets;
use crate::transform::Transformation;

/// Most rules of a ruleset.
pub const RULES_MAX: usize = 20_000;
/// Most rules of a chain.
pub const CHAIN_MAX: usize = 16;
/// Problems that are told.
const PROBLEMS_MAX: usize = 200;
/// What a rule that says nothing of it answers with.
const STATUS: u16 = 403;

/// Directives that are read and have no effect: the engine's settings, which are Gatehouse's own, and what
/// is for logs, answers and stores.
const IGNORED: &[&str] = &[
    "SecArgumentSeparator",
    "SecArgumentsLimit",
    "SecAuditEngine",
    "SecAuditLog",
    "SecAuditLog2",
    "SecAuditLogDirMode",
    "SecAuditLogFileMode",
    "SecAuditLogFormat",
    "SecAuditLogParts",
    "SecAuditLogRelevantStatus",
    "SecAuditLogStorageDir",
    "SecAuditLogType",
    "SecCollectionTimeout",
    "SecComponentSignature",
    "SecConnEngine",
    "SecContentInjection",
    "SecCookieFormat",
    "SecCookieV0Separator",
    "SecDataDir",
    "SecDebugLog",
    "SecDebugLogLevel",
    "SecDisableBackendCompression",
    "SecGeoLookupDb",
    "SecGsbLookupDb",
    "SecGuardianLog",
    "SecHashEngine",
    "SecHashKey",
    "SecHashMethodPm",
    "SecHashMethodRx",
    "SecHashParam",
    "SecHttpBlKey",
    "SecInterceptOnError",
    "SecParseXmlIntoArgs",
    "SecPcreMatchLimit",
    "SecPcreMatchLimitRecursion",
    "SecRequestBodyAccess",
    "SecRequestBodyInMemoryLimit",
    "SecRequestBodyJsonDepthLimit",
    "SecRequestBodyLimit",
    "SecRequestBodyLimitAction",
    "SecRequestBodyNoFilesLimit",
    "SecResponseBodyAccess",
    "SecResponseBodyLimit",
    "SecResponseBodyLimitAction",
    "SecResponseBodyMimeType",
    "SecResponseBodyMimeTypesClear",
    "SecRuleEngine",
    "SecRulePerfTime",
    "SecSensorId",
    "SecServerSignature",
    "SecStatusEngine",
    "SecStreamInBodyInspection",
    "SecStreamOutBodyInspection",
    "SecTmpDir",
    "SecTmpSaveUploadedFiles",
    "SecUnicodeMapFile",
    "SecUploadDir",
    "SecUploadFileLimit",
    "SecUploadFileMode",
    "SecUploadKeepFiles",
    "SecWebAppId",
    "SecXmlExternalEntity",
];
const KNOWN: &[&str] = &[
    "SecAction",
    "SecDefaultAction",
    "SecMarker",
    "SecRule",
    "SecRuleRemoveById",
    "SecRuleRemoveByMsg",
    "SecRuleRemoveByTag",
    "SecRuleUpdateActionById",
    "SecRuleUpdateTargetById",
    "SecRuleUpdateTargetByMsg",
    "SecRuleUpdateTargetByTag",
];

/// See the module.
pub(crate) struct Builder<'a> {
    read: &'a ReadData<'a>,
    problems: Vec<Problem>,
    file: Arc<str>,
    /// By phase.
    defaults: [Actions; 6],
    steps: Vec<Step>,
    left_out: Vec<LeftOut>,
    /// A chain whose next rule is awaited.
    open: Option<Open>,
    ids: HashMap<u32, String>,
    /// They hold for all rules, wherever they stand.
    updates: Vec<Update>,
}

/// A rule that is not yet whole.
struct Open {
    rule: Rule,
    is_broken: bool,
    why_left_out: Option<String>,
}

/// A change of rules that are read.
enum Update {
    Remove(Selection),
    Targets(Selection, String),
    Actions(Selection, Box<Actions>),
}

impl<'a> Builder<'a> {
    pub(crate) fn new(read: &'a ReadData<'a>) -> Self {
        Self {
            read,
            problems: Vec::new(),
            file: Arc::from(""),
            defaults: Default::default(),
            steps: Vec::new(),
            left_out: Vec::new(),
            open: None,
            ids: HashMap::new(),
            updates: Vec::new(),
        }
    }

    pub(crate) fn file(&mut self, file: &RuleFile) {
        self.file = Arc::from(file.name.as_str());
        let before = self.problems.len();
        let (found, problems) = directives(&file.name, &file.text);
        self.problems.extend(problems);
        for directive in found {
            if let Err(message) = self.directive(&directive) {
                self.problem(directive.line, message);
            }
        }
        if let Some(open) = self.open.take() {
            self.problem(open.rule.line, "the chain has no next rule: remove `chain`".to_owned());
        }
        self.problems[before..].sort_by_key(|problem| problem.line);
    }

    /// The steps in their order, with all updates made, and the rules that are not among them.
    pub(crate) fn finish(mut self) -> Result<(Vec<Step>, Vec<LeftOut>), Vec<Problem>> {
        for update in std::mem::take(&mut self.updates) {
            update.make(&mut self.steps);
        }
        if self.problems.is_empty() {
            number(&mut self.steps);
            return Ok((self.steps, self.left_out));
        }
        self.problems.truncate(PROBLEMS_MAX);
        Err(self.problems)
    }

    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(Problem { file: self.file.to_string(), line, message });
    }

    fn directive(&mut self, directive: &Directive) -> Result<(), String> {
        let arguments: Vec<&str> = directive.arguments.iter().map(String::as_str).collect();
        let name = directive.name.as_str();
        match (name.to_ascii_lowercase().as_str(), arguments.as_slice()) {
            ("secrule", [targets, operator, rest @ ..]) if rest.len() < 2 => {
                let actions = rest.first().copied().unwrap_or_default();
                self.rule(directive.line, Some((targets, operator)), actions)
            }
            ("secaction", [actions]) => self.rule(directive.line, None, actions),
            ("secmarker", [marker]) => {
                self.steps.push(Step::Marker((*marker).to_owned()));
                Ok(())
            }
            ("secdefaultaction", [actions]) => self.default_action(actions),
            ("secruleremovebyid", [_, ..]) => {
                self.update(Update::Remove(Selection::ids(&arguments)?))
            }
            ("secruleremovebytag", [tag]) => {
                self.update(Update::Remove(Selection::Tag((*tag).to_owned())))
            }
            ("secruleremovebymsg", [message]) => {
                self.update(Update::Remove(Selection::Message((*message).to_owned())))
            }
            ("secruleupdatetargetbyid", [ids, targets]) => {
                self.update_targets(Selection::ids(&[ids])?, targets)
            }
            ("secruleupdatetargetbytag", [tag, targets]) => {
                self.update_targets(Selection::Tag((*tag).to_owned()), targets)
            }
            ("secruleupdatetargetbymsg", [message, targets]) => {
                self.update_targets(Selection::Message((*message).to_owned()), targets)
            }
            ("secruleupdateactionbyid", [ids, actions]) => {
                let actions = Box::new(Actions::parse(actions)?);
                self.update(Update::Actions(Selection::ids(&[ids])?, actions))
            }
            ("include" | "includeoptional", _) => {
                Err(format!("{name} is not followed: name the file under `waf.rules` instead"))
            }
            (lower, _) if IGNORED.iter().any(|known| known.eq_ignore_ascii_case(lower)) => Ok(()),
            (lower, given) if KNOWN.iter().any(|known| known.eq_ignore_ascii_case(lower)) => {
                Err(format!("{name} does not take {} arguments: check the quotes", given.len()))
            }
            _ => Err(problem::unknown("directive", name, KNOWN.iter().chain(IGNORED).copied())),
        }
    }

    fn update(&mut self, update: Update) -> Result<(), String> {
        self.updates.push(update);
        Ok(())
    }

    fn update_targets(&mut self, rules: Selection, targets: &str) -> Result<(), String> {
        Targets::parse(targets)?;
        self.update(Update::Targets(rules, targets.to_owned()))
    }

    fn default_action(&mut self, text: &str) -> Result<(), String> {
        let actions = Actions::parse(text)?;
        if actions.disruption == Some(Disruption::Block) {
            return Err("SecDefaultAction cannot say `block`: say deny or pass".to_owned());
        }
        let phase = usize::from(actions.phase.unwrap_or(2));
        self.defaults[phase] = actions;
        Ok(())
    }

    /// A rule, or the next one of a chain.
    fn rule(
        &mut self,
        line: usize,
        question: Option<(&str, &str)>,
        actions: &str,
    ) -> Result<(), String> {
        let mut open = self.open.take();
        let parsed = self.parts(question, actions);
        let (targets, operator, actions) = match parsed {
            Ok(parts) => parts,
            Err(error) => {
                // What is chained to it still belongs to it.
                let opens = actions.split(',').any(|action| action.trim() == "chain");
                if opens {
                    let mut open = open.unwrap_or_else(|| self.begin(line, 0, &Actions::default()));
                    open.is_broken = true;
                    self.open = Some(open);
                }
                return Err(error);
            }
        };
        let mut whole = match open.take() {
            Some(open) => open,
            None => {
                let id = actions.id.ok_or("the rule has no id: give it one, such as id:1000")?;
                self.begin(line, id, &actions)
            }
        };
        let twice = if whole.rule.links.is_empty() && !whole.is_broken {
            self.ids.insert(whole.rule.id, format!("{}:{line}", self.file))
        } else {
            None
        };
        let is_chained = actions.is_chained;
        let operator = match operator {
            Ok(operator) => operator,
            Err(why) => {
                whole.why_left_out.get_or_insert(why);
                None
            }
        };
        let link = self.link(whole.rule.phase, targets, operator, actions);
        whole.rule.links.push(link);
        let is_long = whole.rule.links.len() > CHAIN_MAX;
        match is_chained && !is_long {
            true => self.open = Some(whole),
            false => self.close(whole)?,
        }
        match twice {
            Some(other) => Err(format!("the id is that of the rule at {other}: give it another")),
            None if is_long => Err(format!("the chain has more than {CHAIN_MAX} rules")),
            None => Ok(()),
        }
    }

    /// What a rule is made of; for the operator, why it is left out.
    #[expect(clippy::type_complexity, reason = "three parts that are taken apart at once")]
    fn parts(
        &self,
        question: Option<(&str, &str)>,
        actions: &str,
    ) -> Result<(Targets, Result<Option<Operator>, String>, Actions), String> {
        let actions = Actions::parse(actions)?;
        let named = |error: String| match actions.id {
            Some(id) => format!("rule {id}: {error}"),
            None => error,
        };
        let Some((targets, operator)) = question else {
            return Ok((Targets::default(), Ok(None), actions));
        };
        let targets = Targets::parse(targets).map_err(named)?;
        let operator = match Operator::parse(operator, &self.file, self.read) {
            Ok(operator) => Ok(Some(operator)),
            Err(Missing::LeftOut(why)) => Err(why),
            Err(Missing::Wrong(error)) => return Err(named(error)),
        };
        Ok((targets, operator, actions))
    }

    /// A rule without its first link, as its actions and the defaults of its phase say.
    fn begin(&self, line: usize, id: u32, actions: &Actions) -> Open {
        let phase = actions.phase.unwrap_or(2);
        let default = &self.defaults[usize::from(phase)];
        let usual = default.disruption.unwrap_or(Disruption::Pass);
        let disruption = match actions.disruption {
            None | Some(Disruption::Block) => usual,
            Some(other) => other,
        };
        let rule = Rule {
            id,
            phase,
            links: Vec::new(),
            disruption,
            status: actions.status.or(default.status).unwrap_or(STATUS),
            is_logged: actions.is_logged.or(default.is_logged).unwrap_or(true),
            next: None,
            file: self.file.clone(),
            line,
        };
        let is_late = phase > 2;
        let why_left_out = is_late.then(|| format!("phase {phase} comes after the request"));
        Open { rule, is_broken: false, why_left_out }
    }

    fn link(
        &self,
        phase: u8,
        targets: Targets,
        operator: Option<Operator>,
        actions: Actions,
    ) -> Link {
        let mut transformations = Vec::new();
        if !actions.clears_transformations {
            transformations.clone_from(&self.defaults[usize::from(phase)].transformations);
        }
        transformations.extend(&actions.transformations);
        Link { targets, operator, transformations, transformations_id: 0, actions }
    }

    fn close(&mut self, open: Open) -> Result<(), String> {
        let Open { rule, is_broken, why_left_out } = open;
        if is_broken {
            return Ok(());
        }
        if let Some(why) = why_left_out {
            let Rule { id, line, .. } = rule;
            self.left_out.push(LeftOut { rule_id: id, file: self.file.to_string(), line, why });
            return Ok(());
        }
        if self.steps.len() >= RULES_MAX {
            return Err(format!("there are more than {RULES_MAX} rules"));
        }
        self.steps.push(Step::Rule(Box::new(rule)));
        Ok(())
    }
}

/// Gives the same transformations the same number, so that what comes of them is shared.
fn number(steps: &mut [Step]) {
    let mut known: HashMap<Vec<Transformation>, usize> = HashMap::new();
    for step in steps {
        let Step::Rule(rule) = step else { continue };
        for link in &mut rule.links {
            let next = known.len();
            link.transformations_id = *known.entry(link.transformations.clone()).or_insert(next);
        }
    }
}

impl Update {
    fn make(self, steps: &mut Vec<Step>) {
        let rules = match &self {
            Self::Remove(rules) | Self::Targets(rules, _) | Self::Actions(rules, _) => rules,
        };
        let holds = |rule: &Rule| rules.holds(rule.id, rule.actions());
        if let Self::Remove(_) = self {
            steps.retain(|step| !matches!(step, Step::Rule(rule) if holds(rule)));
            return;
        }
        for step in steps {
            let Step::Rule(rule) = step else { continue };
            if !holds(rule) {
                continue;
            }
            match &self {
                Self::Targets(_, targets) => {
                    for piece in crate::target::pieces(targets) {
                        let added = rule.links[0].targets.add(piece);
                        added.expect("the targets were read before");
                    }
                }
                Self::Actions(_, actions) => rule.update(actions),
                Self::Remove(_) => {}
            }
        }
    }
}

impl Rule {
    fn update(&mut self, actions: &Actions) {
        if let Some(disruption) = actions.disruption {
            self.disruption = disruption;
        }
        self.status = actions.status.unwrap_or(self.status);
        self.is_logged = actions.is_logged.unwrap_or(self.is_logged);
        let first = &mut self.links[0];
        if actions.clears_transformations {
            first.transformations.clear();
        }
        first.transformations.extend(&actions.transformations);
        first.actions.update(actions.clone());
    }
}
