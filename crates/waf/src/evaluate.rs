//! Runs rules over a request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::action::{
    BodyProcessor, Change, Control, Disruption, Engine, Removal, Setting, Severity,
};
use crate::item::Item;
use crate::operator::integer;
use crate::request::{Body, Facts, Request, View};
use crate::rule::{Link, Rule, Step};
use crate::ruleset::Ruleset;
use crate::target::{Collection, FACTS, Member, Target};
use crate::text::Text;
use crate::transform::{self, Transformation};

/// Matches of one request that are told.
pub const MATCHES_MAX: usize = 64;
/// Members of `TX` that rules can set for one request; further ones are not set.
const TX_MAX: usize = 4_096;
/// Longest value that rules can set; longer ones are cut.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Values that one rule remembers as matched.
const MATCHED_MAX: usize = 1_000;
/// Longest name of a variable that is told.
const NAME_BYTES_MAX: usize = 128;
/// Where the Core Rule Set keeps its sum, by version.
const SCORES: [&str; 3] =
    ["blocking_inbound_anomaly_score", "inbound_anomaly_score", "anomaly_score"];
/// And the summands, by paranoia level.
const LEVEL_SCORES: [&str; 2] = ["inbound_anomaly_score_pl", "anomaly_score_pl"];

/// What rules say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The rule that refuses the request; no rule was run after it.
    pub blocked: Option<Blocked>,
    /// Rules that matched and are to be logged, in the order they ran; at most [`MATCHES_MAX`].
    pub matches: Vec<Match>,
    /// The anomaly score as the Core Rule Set counts it; 0 without it.
    pub score: i64,
}

/// A rule that refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its id.
    pub rule_id: u32,
    /// The status it wants the request answered with.
    pub status: u16,
    /// What it says; see [`Match::message`].
    pub message: String,
}

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its id.
    pub rule_id: u32,
    /// What it says. Of what the caller sent nothing stands in it.
    pub message: String,
    /// None if it says nothing of it.
    pub severity: Option<Severity>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where the match is, such as `REQUEST_HEADERS:user-agent`. Where names are what is looked at, the
    /// name is not told.
    pub variable: String,
    /// What matched, after transformations, as text; none unless it was asked for.
    pub value: Option<String>,
}

impl Ruleset {
    /// What the rules say of a request. Values are shown only where asked: they hold keys and prompts.
    pub fn evaluate(&self, request: &Request<'_>, shows_values: bool) -> Verdict {
        let mut facts = Facts::of_head(request);
        let path = request.uri.split('?').next().unwrap_or_default();
        let path = Transformation::UrlDecode.apply(path.as_bytes()).into_owned();
        let path = Transformation::NormalizePath.apply(&path).into_owned();
        let mut state = State::new(self, &path);
        Run { facts: &facts, state: &mut state, shows_values }.steps(&self.phases[0]);
        if request.body != Body::Awaited {
            facts.read_body(state.processor, state.keeps_raw_body);
            state.cache.clear();
            Run { facts: &facts, state: &mut state, shows_values }.steps(&self.phases[1]);
        }
        let score = state.score();
        Verdict { blocked: state.blocked, matches: state.matches, score }
    }
}

/// What changes while rules run.
struct State<'s> {
    tx: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the rule at hand matched: names and values.
    matched: Vec<(Name, Vec<u8>)>,
    removals: Vec<&'s Removal>,
    processor: Option<BodyProcessor>,
    keeps_raw_body: bool,
    detects_only: bool,
    is_over: bool,
    blocked: Option<Blocked>,
    matches: Vec<Match>,
    /// By number of transformations, then twice the number of a fact, and one more for its name.
    cache: Vec<Vec<Transformed>>,
}

/// A fact after transformations.
#[derive(Clone, Default)]
enum Transformed {
    #[default]
    Unknown,
    Unchanged,
    Changed(Rc<[u8]>),
}

/// A variable that matched.
#[derive(Clone)]
struct Name {
    collection: Collection,
    member: Vec<u8>,
    counts: bool,
}

/// One phase over one request.
struct Run<'s, 'f, 'r, 'a> {
    facts: &'f Facts<'r>,
    state: &'a mut State<'s>,
    shows_values: bool,
}

impl<'s> State<'s> {
    fn new(ruleset: &'s Ruleset, path: &[u8]) -> Self {
        let removals = ruleset.exclusions.iter().flat_map(|exclusion| exclusion.removals(path));
        Self {
            tx: BTreeMap::new(),
            matched: Vec::new(),
            removals: removals.collect(),
            processor: None,
            keeps_raw_body: false,
            detects_only: false,
            is_over: false,
            blocked: None,
            matches: Vec::new(),
            cache: Vec::new(),
        }
    }

    fn number(&self, name: &str) -> i64 {
        self.tx.get(name.as_bytes()).map_or(0, |value| integer(value))
    }

    fn score(&self) -> i64 {
        let sums = SCORES.iter().map(|name| self.number(name));
        let levels = LEVEL_SCORES.iter().map(|name| {
            let level = |level| self.number(&format!("{name}{level}"));
            (1..=4).map(level).fold(0, i64::saturating_add)
        });
        sums.chain(levels).max().unwrap_or(0)
    }

    fn set(&mut self, name: Vec<u8>, mut value: Vec<u8>) {
        value.truncate(VALUE_BYTES_MAX);
        if self.tx.len() < TX_MAX || self.tx.contains_key(&name) {
            self.tx.insert(name, value);
        }
    }

    /// `TX.0` to `TX.9` are what was found last.
    fn capture(&mut self, found: &[&[u8]]) {
        for (digit, place) in (b'0'..=b'9').zip(0..) {
            match found.get(place) {
                Some(value) => self.set(vec![digit], value.to_vec()),
                None => {
                    self.tx.remove(&[digit][..]);
                }
            }
        }
    }
}

impl<'s, 'f, 'r> Run<'s, 'f, 'r, '_> {
    fn steps(&mut self, steps: &'s [Step]) {
        let mut at = 0;
        while let Some(step) = steps.get(at)
            && !self.state.is_over
        {
            at += 1;
            let Step::Rule(rule) = step else { continue };
            let removals: Vec<&'s Removal> =
                self.state.removals.iter().copied().filter(|one| one.holds(rule)).collect();
            if removals.iter().any(|removal| removal.target.is_none()) {
                continue;
            }
            self.state.matched.clear();
            if !rule.links.iter().all(|link| self.link(rule, link, &removals)) {
                continue;
            }
            if rule.is_logged {
                self.tell(rule);
            }
            match rule.disruption {
                Disruption::Deny if !self.state.detects_only => {
                    let message = self.message(rule);
                    let (rule_id, status) = (rule.id, rule.status);
                    self.state.blocked = Some(Blocked { rule_id, status, message });
                    self.state.is_over = true;
                }
                Disruption::Allow { phase_only: true } => return,
                Disruption::Allow { phase_only: false } => self.state.is_over = true,
                _ => at = rule.next.unwrap_or(at),
            }
        }
    }

    /// Whether one rule of a chain holds for any of its targets.
    fn link(&mut self, rule: &'s Rule, link: &'s Link, removals: &[&'s Removal]) -> bool {
        if link.operator.is_none() {
            self.act(rule, link);
            return true;
        }
        let facts = self.facts;
        let mut holds = false;
        for target in &link.targets.wanted {
            let excluded = |name: &[u8]| {
                let removed = removals.iter().filter_map(|removal| removal.target.as_ref());
                link.targets
                    .excluded
                    .iter()
                    .chain(removed)
                    .any(|other| other.collection == target.collection && other.covers(name))
            };
            let is_wanted = |name: &[u8]| target.covers(name) && !excluded(name);
            if target.counts {
                let count = self.count(target, &is_wanted).to_string();
                holds |= self.ask(rule, link, &Asked::own(target, b"", count.as_bytes()));
                continue;
            }
            match target.collection {
                Collection::Tx
                | Collection::MatchedVar
                | Collection::MatchedVarName
                | Collection::MatchedVars
                | Collection::MatchedVarsNames
                | Collection::Rule => {
                    for (name, value) in self.changing(rule, target) {
                        if !excluded(&name) {
                            holds |= self.ask(rule, link, &Asked::own(target, &name, &value));
                        }
                    }
                }
                collection => {
                    let view = facts.view(collection);
                    for (number, item) in members(&view) {
                        if is_wanted(&item.name) {
                            let value = if view.shows_names { &item.name } else { &item.value };
                            let place = Some(2 * number + usize::from(view.shows_names));
                            let asked = Asked { target, name: &item.name, value, place };
                            holds |= self.ask(rule, link, &asked);
                        }
                    }
                }
            }
        }
        holds
    }

    fn count(&self, target: &Target, is_wanted: &dyn Fn(&[u8]) -> bool) -> usize {
        match target.collection {
            Collection::Tx => self.state.tx.keys().filter(|name| is_wanted(name)).count(),
            Collection::MatchedVars | Collection::MatchedVarsNames => self.state.matched.len(),
            collection => {
                let view = self.facts.view(collection);
                members(&view).filter(|(_, item)| is_wanted(&item.name)).count()
            }
        }
    }

    /// Members of collections that change while rules run, as they are now.
    fn changing(&self, rule: &Rule, target: &Target) -> Vec<(Vec<u8>, Vec<u8>)> {
        let matched = self.state.matched.iter();
        let name = |name: &Name| name.text(true).into_bytes();
        match (target.collection, &target.member) {
            (Collection::Tx, Member::Named(name)) => {
                let value = self.state.tx.get(name.as_bytes());
                value.map(|value| (name.clone().into_bytes(), value.clone())).into_iter().collect()
            }
            (Collection::Tx, _) => {
                let all = self.state.tx.iter().filter(|(name, _)| target.covers(name));
                all.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            (Collection::MatchedVar, _) => {
                matched.last().map(|(_, value)| (Vec::new(), value.clone())).into_iter().collect()
            }
            (Collection::MatchedVarName, _) => {
                matched.last().map(|(one, _)| (Vec::new(), name(one))).into_iter().collect()
            }
            (Collection::MatchedVars, _) => {
                matched.map(|(one, value)| (name(one), value.clone())).collect()
            }
            (Collection::MatchedVarsNames, _) => {
                matched.map(|(one, _)| (name(one), name(one))).collect()
            }
            (Collection::Rule, Member::Named(name)) => {
                vec![(name.clone().into_bytes(), rule.attribute(name).into_bytes())]
            }
            _ => Vec::new(),
        }
    }

    /// Asks a rule's question of one value, and does what the rule says if it holds.
    fn ask(&mut self, rule: &'s Rule, link: &'s Link, asked: &Asked<'_>) -> bool {
        if link.actions.is_multi_match {
            let mut value = Cow::Borrowed(asked.value);
            let mut holds = self.judge(rule, link, asked, &value);
            for transformation in &link.transformations {
                let next = transformation.apply(&value).into_owned();
                if *next != *value {
                    value = next.into();
                    holds |= self.judge(rule, link, asked, &value);
                }
            }
            return holds;
        }
        match self.transformed(link, asked) {
            Some(value) => self.judge(rule, link, asked, &value),
            None => self.judge(rule, link, asked, asked.value),
        }
    }

    /// The value after all transformations of a rule; none if they change nothing.
    fn transformed(&mut self, link: &Link, asked: &Asked<'_>) -> Option<Rc<[u8]>> {
        if link.transformations.is_empty() {
            return None;
        }
        let apply = || transform::apply_all(&link.transformations, asked.value).map(Rc::from);
        let Some(place) = asked.place else { return apply() };
        let cache = &mut self.state.cache;
        if cache.len() <= link.transformations_id {
            cache.resize_with(link.transformations_id + 1, Vec::new);
        }
        let cache = &mut cache[link.transformations_id];
        if cache.is_empty() {
            cache.resize(2 * self.facts.count(), Transformed::Unknown);
        }
        if let Transformed::Unknown = cache[place] {
            cache[place] = apply().map_or(Transformed::Unchanged, Transformed::Changed);
        }
        match &cache[place] {
            Transformed::Changed(value) => Some(value.clone()),
            _ => None,
        }
    }

    fn judge(&mut self, rule: &'s Rule, link: &'s Link, asked: &Asked<'_>, value: &[u8]) -> bool {
        let Some(operator) = &link.operator else { return true };
        let mut found = Vec::new();
        let groups = link.actions.captures.then_some(&mut found);
        if !operator.holds(value, &|text| self.expand(rule, text), groups) {
            return false;
        }
        if self.state.matched.len() >= MATCHED_MAX {
            self.state.matched.pop();
        }
        self.state.matched.push((asked.name(), value.to_vec()));
        if link.actions.captures {
            self.state.capture(&found);
        }
        self.act(rule, link);
        true
    }

    /// What a rule does each time it holds, whatever its chain says later.
    fn act(&mut self, rule: &'s Rule, link: &'s Link) {
        for setting in &link.actions.settings {
            self.set(rule, setting);
        }
        for control in &link.actions.controls {
            match control {
                // The same rule may say it for many values.
                Control::Remove(removal) => {
                    if !self.state.removals.iter().any(|one| std::ptr::eq(*one, removal)) {
                        self.state.removals.push(removal);
                    }
                }
                Control::Engine(Engine::Off) => self.state.is_over = true,
                Control::Engine(engine) => {
                    self.state.detects_only = *engine == Engine::DetectionOnly;
                }
                Control::BodyProcessor(processor) => self.state.processor = Some(*processor),
                Control::ForceBodyVariable(keeps) => self.state.keeps_raw_body = *keeps,
            }
        }
    }

    fn set(&mut self, rule: &Rule, setting: &Setting) {
        let name = self.expand(rule, &setting.name).to_ascii_lowercase();
        let before = || self.state.tx.get(&name).map_or(0, |value| integer(value));
        let value = match &setting.change {
            Change::Unset => {
                self.state.tx.remove(&name);
                return;
            }
            Change::Set(text) => self.expand(rule, text),
            Change::Add(text) => {
                let sum = before().saturating_add(integer(&self.expand(rule, text)));
                sum.to_string().into_bytes()
            }
            Change::Subtract(text) => {
                let rest = before().saturating_sub(integer(&self.expand(rule, text)));
                rest.to_string().into_bytes()
            }
        };
        self.state.set(name, value);
    }

    fn tell(&mut self, rule: &Rule) {
        if self.state.matches.len() >= MATCHES_MAX {
            return;
        }
        // What the caller sent is more telling than what a rule made of it.
        let is_fact = |(name, _): &&(Name, Vec<u8>)| (name.collection as usize) < FACTS;
        let matched = &self.state.matched;
        let last = matched.iter().rev().find(is_fact).or(matched.last());
        let actions = rule.actions();
        let value = last.filter(|_| self.shows_values);
        let told = Match {
            rule_id: rule.id,
            message: self.message(rule),
            severity: actions.severity,
            tags: actions.tags.clone(),
            variable: last.map(|(name, _)| name.text(self.shows_values)).unwrap_or_default(),
            value: value.map(|(_, value)| String::from_utf8_lossy(value).into_owned()),
        };
        self.state.matches.push(told);
    }

    fn message(&self, rule: &Rule) -> String {
        let message = rule.actions().message.as_ref();
        let redacted = |text: &Text| text.redacted(|target, out| self.append(rule, target, out));
        message.map(redacted).unwrap_or_default()
    }

    fn expand(&self, rule: &Rule, text: &Text) -> Vec<u8> {
        text.expand(|target, out| self.append(rule, target, out))
    }

    /// Appends the value of the first member of a target.
    fn append(&self, rule: &Rule, target: &Target, out: &mut Vec<u8>) {
        match (target.collection, &target.member) {
            (Collection::Tx, Member::Named(name)) => {
                out.extend(self.state.tx.get(name.as_bytes()).into_iter().flatten());
            }
            (Collection::MatchedVar, _) => {
                out.extend(self.state.matched.last().iter().flat_map(|(_, value)| value));
            }
            (
                Collection::Tx
                | Collection::MatchedVarName
                | Collection::MatchedVars
                | Collection::MatchedVarsNames
                | Collection::Rule,
                _,
            ) => out.extend(self.changing(rule, target).into_iter().take(1).flat_map(|one| one.1)),
            (collection, _) => {
                let view = self.facts.view(collection);
                let first = members(&view).find(|(_, item)| target.covers(&item.name));
                if let Some((_, item)) = first {
                    out.extend_from_slice(if view.shows_names { &item.name } else { &item.value });
                }
            }
        }
    }
}

/// A value that a rule is asked about.
struct Asked<'v> {
    target: &'v Target,
    name: &'v [u8],
    value: &'v [u8],
    /// Where it stands in the cache; none for what changes while rules run.
    place: Option<usize>,
}

impl<'v> Asked<'v> {
    fn own(target: &'v Target, name: &'v [u8], value: &'v [u8]) -> Self {
        Self { target, name, value, place: None }
    }

    fn name(&self) -> Name {
        let member = match &self.target.member {
            Member::Named(name) if self.target.counts => name.clone().into_bytes(),
            _ => self.name.to_vec(),
        };
        Name { collection: self.target.collection, member, counts: self.target.counts }
    }
}

impl Name {
    /// As rules write it.
    fn text(&self, shows_names: bool) -> String {
        let counts = if self.counts { "&" } else { "" };
        let name = self.collection.name();
        if self.member.is_empty() || (self.collection.is_of_names() && !shows_names) {
            return format!("{counts}{name}");
        }
        let member = &self.member[..self.member.len().min(NAME_BYTES_MAX)];
        format!("{counts}{name}:{}", String::from_utf8_lossy(member))
    }
}

impl Rule {
    /// What `RULE.name` stands for.
    fn attribute(&self, name: &str) -> String {
        let actions = self.actions();
        let source =
            |text: &Option<Text>| text.as_ref().map_or("", |text| text.source()).to_owned();
        match name {
            "id" => self.id.to_string(),
            "msg" => source(&actions.message),
            "logdata" => source(&actions.data),
            "severity" => actions.severity.map_or(String::new(), |one| (one as u8).to_string()),
            _ => String::new(),
        }
    }
}

/// The members of a view with their numbers.
fn members<'f, 'r>(
    view: &View<'f, 'r>,
) -> impl Iterator<Item = (usize, &'f Item<'r>)> + use<'f, 'r> {
    view.parts.into_iter().flat_map(|(first, items)| (first..).zip(items))
}
