//! The actions of a rule, as they are written.

use crate::problem;
use crate::target::{Collection, Target, pieces};
use crate::text::Text;
use crate::transform::Transformation;

/// What is done when a rule matches, but for what it does not name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actions {
    pub(crate) id: Option<u32>,
    pub(crate) phase: Option<u8>,
    pub(crate) disruption: Option<Disruption>,
    pub(crate) status: Option<u16>,
    pub(crate) is_logged: Option<bool>,
    pub(crate) message: Option<Text>,
    pub(crate) data: Option<Text>,
    pub(crate) severity: Option<Severity>,
    pub(crate) tags: Vec<String>,
    pub(crate) transformations: Vec<Transformation>,
    /// `t:none` stood here: what default actions say of transformations does not count.
    pub(crate) clears_transformations: bool,
    pub(crate) captures: bool,
    pub(crate) is_multi_match: bool,
    pub(crate) is_chained: bool,
    pub(crate) skip: Option<usize>,
    pub(crate) skip_after: Option<String>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) controls: Vec<Control>,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disruption {
    Pass,
    /// What the default action of the phase says.
    Block,
    Deny,
    /// No further rule is run; those of later phases are if it is for one phase only.
    Allow {
        phase_only: bool,
    },
}

/// How grave a match is, as rules say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "syslog's names")]
pub enum Severity {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

/// A change of a member of `TX`.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) name: Text,
    pub(crate) change: Change,
}

/// What becomes of a member.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Unset,
    Set(Text),
    Add(Text),
    Subtract(Text),
}

/// A change of how the rest of the rules is run, for this request.
#[derive(Clone, Debug)]
pub(crate) enum Control {
    Remove(Removal),
    /// `off` ends the rules; `detection only` blocks no more.
    Engine(Engine),
    BodyProcessor(BodyProcessor),
    ForceBodyVariable(bool),
}

/// Whether rules go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    On,
    DetectionOnly,
    Off,
}

/// How a body is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyProcessor {
    UrlEncoded,
    Multipart,
    Json,
}

/// Rules that are passed over, whole or for a target.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) rules: Selection,
    /// None for all of the rule.
    pub(crate) target: Option<Target>,
}

/// Which rules.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// From and to, both included.
    Ids(Vec<(u32, u32)>),
    Tag(String),
    Message(String),
}

/// Actions that are read and have no effect here: they are for logs and stores that are Gatehouse's own.
const IGNORED: &[&str] = &[
    "accuracy",
    "append",
    "auditlog",
    "deprecatevar",
    "expirevar",
    "initcol",
    "maturity",
    "noauditlog",
    "prepend",
    "rev",
    "sanitisearg",
    "sanitisematched",
    "sanitisematchedbytes",
    "sanitiserequestheader",
    "sanitiseresponseheader",
    "sanitizearg",
    "sanitizematched",
    "sanitizematchedbytes",
    "sanitizerequestheader",
    "sanitizeresponseheader",
    "setenv",
    "setrsc",
    "setsid",
    "setuid",
    "ver",
    "xmlns",
];
const KNOWN: &[&str] = &[
    "allow",
    "block",
    "capture",
    "chain",
    "ctl",
    "deny",
    "drop",
    "id",
    "log",
    "logdata",
    "msg",
    "multiMatch",
    "nolog",
    "pass",
    "phase",
    "redirect",
    "setvar",
    "severity",
    "skip",
    "skipAfter",
    "status",
    "t",
    "tag",
];
/// Options of `ctl` that have no effect here.
const IGNORED_CONTROLS: &[&str] = &[
    "auditengine",
    "auditlogparts",
    "debugloglevel",
    "hashenforcement",
    "hashengine",
    "parsexmlintoargs",
    "requestbodyaccess",
    "requestbodylimit",
    "responsebodyaccess",
    "responsebodylimit",
];
const KNOWN_CONTROLS: &[&str] = &[
    "forceRequestBodyVariable",
    "requestBodyProcessor",
    "ruleEngine",
    "ruleRemoveById",
    "ruleRemoveByMsg",
    "ruleRemoveByTag",
    "ruleRemoveTargetById",
    "ruleRemoveTargetByMsg",
    "ruleRemoveTargetByTag",
];
const SEVERITIES: [(&str, Severity); 8] = [
    ("EMERGENCY", Severity::Emergency),
    ("ALERT", Severity::Alert),
    ("CRITICAL", Severity::Critical),
    ("ERROR", Severity::Error),
    ("WARNING", Severity::Warning),
    ("NOTICE", Severity::Notice),
    ("INFO", Severity::Info),
    ("DEBUG", Severity::Debug),
];

impl Severity {
    /// As it is written in rules.
    pub fn name(self) -> &'static str {
        SEVERITIES[self as usize].0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let numbered = text.parse::<usize>().ok().and_then(|number| SEVERITIES.get(number));
        let named = SEVERITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let found = numbered.or(named).map(|(_, severity)| *severity);
        found.ok_or_else(|| {
            problem::unknown("severity", text, SEVERITIES.iter().map(|(name, _)| *name))
        })
    }
}

impl Actions {
    /// `id:1,phase:2,deny,msg:'a, b'`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut actions = Self::default();
        for action in split(text) {
            let (name, value) = match action.split_once(':') {
                Some((name, value)) => (name.trim(), unquote(value.trim())),
                None => (action.trim(), String::new()),
            };
            actions.take(name, &value)?;
        }
        Ok(actions)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name.to_ascii_lowercase().as_str() {
            "id" => self.id = Some(number("id", value)?),
            "phase" => self.phase = Some(phase(value)?),
            "pass" => self.disruption = Some(Disruption::Pass),
            "block" => self.disruption = Some(Disruption::Block),
            "deny" | "drop" | "redirect" => self.disruption = Some(Disruption::Deny),
            "allow" => {
                let phase_only = value.eq_ignore_ascii_case("phase");
                self.disruption = Some(Disruption::Allow { phase_only });
            }
            "status" => self.status = Some(number("status", value)?),
            "log" => self.is_logged = Some(true),
            "nolog" => self.is_logged = Some(false),
            "msg" => self.message = Some(Text::parse(value)),
            "logdata" => self.data = Some(Text::parse(value)),
            "severity" => self.severity = Some(Severity::parse(value)?),
            "tag" => self.tags.push(value.to_owned()),
            "t" if value.eq_ignore_ascii_case("none") => {
                self.transformations.clear();
                self.clears_transformations = true;
            }
            "t" => self.transformations.push(Transformation::named(value)?),
            "capture" => self.captures = true,
            "multimatch" => self.is_multi_match = true,
            "chain" => self.is_chained = true,
            "skip" => self.skip = Some(number("skip", value)?),
            "skipafter" => self.skip_after = Some(value.to_owned()),
            "setvar" => self.settings.extend(setting(value)?),
            "ctl" => self.controls.extend(control(value)?),
            name if IGNORED.contains(&name) => {}
            _ => {
                let known = KNOWN.iter().chain(IGNORED).copied();
                return Err(problem::unknown("action", name, known));
            }
        }
        Ok(())
    }

    /// Puts what another list of actions says over what this one says.
    pub(crate) fn update(&mut self, other: Self) {
        fn put<T>(place: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *place = value;
            }
        }
        put(&mut self.disruption, other.disruption);
        put(&mut self.status, other.status);
        put(&mut self.is_logged, other.is_logged);
        put(&mut self.message, other.message);
        put(&mut self.data, other.data);
        put(&mut self.severity, other.severity);
        put(&mut self.skip, other.skip);
        put(&mut self.skip_after, other.skip_after);
        if other.clears_transformations {
            self.transformations.clear();
        }
        self.transformations.extend(other.transformations);
        self.tags.extend(other.tags);
        self.captures |= other.captures;
        self.is_multi_match |= other.is_multi_match;
        self.settings.extend(other.settings);
        self.controls.extend(other.controls);
    }
}

/// Cuts at commas that stand outside single quotes.
fn split(text: &str) -> Vec<&str> {
    let mut actions = Vec::new();
    let (mut from, mut is_quoted, mut before) = (0, false, ' ');
    for (at, letter) in text.char_indices() {
        match letter {
            '\'' if before != '\\' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                actions.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        before = letter;
    }
    actions.push(&text[from..]);
    actions.retain(|action| !action.trim().is_empty());
    actions
}

fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    inner.unwrap_or(value).replace("\\'", "'")
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}:{value} is no number in range"))
}

fn phase(value: &str) -> Result<u8, String> {
    match value.to_ascii_lowercase().as_str() {
        "request" => Ok(2),
        "response" => Ok(4),
        "logging" => Ok(5),
        text => match text.parse() {
            Ok(phase @ 1..=5) => Ok(phase),
            _ => Err(format!("phase:{value} is none of 1 to 5, request, response, logging")),
        },
    }
}

/// `tx.name=value`; none for collections that are kept between requests, which hold nothing here.
fn setting(text: &str) -> Result<Option<Setting>, String> {
    let (is_unset, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (variable, value) = match text.split_once('=') {
        Some((variable, value)) => (variable, Some(value)),
        None => (text, None),
    };
    let (collection, name) = variable
        .split_once(['.', ':'])
        .ok_or_else(|| format!("setvar:{text}: write it as setvar:tx.name=value"))?;
    if Collection::named(collection)? != Collection::Tx {
        return Ok(None);
    }
    let change = match value {
        _ if is_unset => Change::Unset,
        None => Change::Set(Text::parse("1")),
        Some(value) => match (value.strip_prefix('+'), value.strip_prefix('-')) {
            (Some(value), _) => Change::Add(Text::parse(value)),
            (_, Some(value)) => Change::Subtract(Text::parse(value)),
            _ => Change::Set(Text::parse(value)),
        },
    };
    Ok(Some(Setting { name: Text::parse(&name.to_ascii_lowercase()), change }))
}

/// `name=value`; none for what has no effect.
fn control(text: &str) -> Result<Vec<Control>, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.trim();
    let removal = |rules| vec![Control::Remove(Removal { rules, target: None })];
    Ok(match name.trim().to_ascii_lowercase().as_str() {
        "ruleremovebyid" => removal(Selection::ids(&[value])?),
        "ruleremovebytag" => removal(Selection::Tag(value.to_owned())),
        "ruleremovebymsg" => removal(Selection::Message(value.to_owned())),
        "ruleremovetargetbyid" => {
            let (id, target) = two(text, value)?;
            targets(&Selection::ids(&[id])?, target)?
        }
        "ruleremovetargetbytag" => {
            let (tag, target) = two(text, value)?;
            targets(&Selection::Tag(tag.to_owned()), target)?
        }
        "ruleremovetargetbymsg" => {
            let (message, target) = two(text, value)?;
            targets(&Selection::Message(message.to_owned()), target)?
        }
        "ruleengine" => vec![Control::Engine(engine(value)?)],
        "requestbodyprocessor" => {
            body_processor(value)?.map(Control::BodyProcessor).into_iter().collect()
        }
        "forcerequestbodyvariable" => {
            vec![Control::ForceBodyVariable(value.eq_ignore_ascii_case("on"))]
        }
        ignored if IGNORED_CONTROLS.contains(&ignored) => Vec::new(),
        other => return Err(problem::unknown("ctl option", other, KNOWN_CONTROLS.iter().copied())),
    })
}

fn two<'a>(text: &str, value: &'a str) -> Result<(&'a str, &'a str), String> {
    value.split_once(';').ok_or_else(|| format!("ctl:{text}: a variable is missing after `;`"))
}

fn targets(rules: &Selection, target: &str) -> Result<Vec<Control>, String> {
    let removal = |piece| {
        let target = Some(Target::parse(piece)?);
        Ok(Control::Remove(Removal { rules: rules.clone(), target }))
    };
    pieces(target).map(removal).collect()
}

fn engine(value: &str) -> Result<Engine, String> {
    match value.to_ascii_lowercase().as_str() {
        "on" => Ok(Engine::On),
        "off" => Ok(Engine::Off),
        "detectiononly" => Ok(Engine::DetectionOnly),
        _ => Err(format!("ctl:ruleEngine={value} is none of On, Off, DetectionOnly")),
    }
}

/// None for XML, which is not taken apart.
fn body_processor(value: &str) -> Result<Option<BodyProcessor>, String> {
    match value.to_ascii_uppercase().as_str() {
        "URLENCODED" => Ok(Some(BodyProcessor::UrlEncoded)),
        "MULTIPART" => Ok(Some(BodyProcessor::Multipart)),
        "JSON" => Ok(Some(BodyProcessor::Json)),
        "XML" => Ok(None),
        _ => Err(format!(
            "ctl:requestBodyProcessor={value} is none of URLENCODED, MULTIPART, JSON, XML"
        )),
    }
}

impl BodyProcessor {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UrlEncoded => "URLENCODED",
            Self::Multipart => "MULTIPART",
            Self::Json => "JSON",
        }
    }
}

impl Selection {
    /// Ids and ranges such as `941000-941999`, apart by spaces or commas.
    pub(crate) fn ids(texts: &[&str]) -> Result<Self, String> {
        let words = texts.iter().flat_map(|text| text.split([' ', ',']));
        let range = |word: &str| {
            let (from, to) = word.split_once('-').unwrap_or((word, word));
            match (from.trim().parse(), to.trim().parse()) {
                (Ok(from), Ok(to)) if from <= to => Ok((from, to)),
                _ => Err(format!("`{word}` is no rule id and no range of ids as 1-9")),
            }
        };
        let ranges: Result<Vec<_>, _> = words.filter(|word| !word.is_empty()).map(range).collect();
        match ranges? {
            ranges if ranges.is_empty() => Err("a rule id is missing".to_owned()),
            ranges => Ok(Self::Ids(ranges)),
        }
    }

    /// Whether a rule of this id, with these actions, is one of them.
    pub(crate) fn holds(&self, id: u32, actions: &Actions) -> bool {
        match self {
            Self::Ids(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&id)),
            Self::Tag(tag) => actions.tags.iter().any(|one| one == tag),
            Self::Message(message) => {
                actions.message.as_ref().is_some_and(|own| own.source() == message)
            }
        }
    }
}
