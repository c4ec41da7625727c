//! The index from paths to operations.

use std::borrow::Cow;

use super::hint::Hint;
use super::path::{PathIds, SEGMENTS_MAX, Segments, decode, is_word};
use super::{Finding, Identified, query_value};
use crate::{DeploymentSource, Family, Operation, Surface};

/// Paths of all surfaces without their prefixes, and the operations at their ends.
#[derive(Debug)]
pub(crate) struct Router {
    nodes: Vec<Node>,
    /// Names of the path parameters of each operation, below the prefix.
    parameters: Vec<Vec<String>>,
}

#[derive(Debug, Default)]
struct Node {
    /// Fixed next segments, sorted.
    words: Vec<(Box<str>, usize)>,
    /// The next segment is an id.
    parameter: Option<usize>,
    ends: Vec<End>,
}

#[derive(Clone, Copy, Debug)]
struct End {
    operation: usize,
    surface: Surface,
    deployment_in_path: bool,
}

/// A prefix taken off a path.
#[derive(Clone, Copy, Debug)]
struct Prefix<'a> {
    family: Family,
    segments: usize,
    deployment: Option<&'a str>,
}

/// What a walk through the trie has found.
#[derive(Clone, Copy)]
struct Found {
    end: Option<End>,
    captured: [usize; SEGMENTS_MAX],
    captures: usize,
    /// A node for the path alone, whatever the method.
    node: Option<usize>,
}

impl Router {
    pub(crate) fn new(operations: &[Operation]) -> Self {
        let mut router = Self { nodes: vec![Node::default()], parameters: Vec::new() };
        for (index, operation) in operations.iter().enumerate() {
            router.insert(index, operation);
        }
        router
    }

    fn insert(&mut self, index: usize, operation: &Operation) {
        let (relative, deployment_in_path) = below_prefix(operation);
        let mut at = 0;
        let mut names = Vec::new();
        for segment in relative.split('/').filter(|segment| !segment.is_empty()) {
            at = match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => {
                    names.push(name.replace('-', "_"));
                    self.parameter_child(at)
                }
                None => self.word_child(at, segment),
            };
        }
        self.parameters.push(names);
        self.nodes[at].ends.push(End {
            operation: index,
            surface: operation.surface,
            deployment_in_path,
        });
    }

    fn parameter_child(&mut self, at: usize) -> usize {
        if let Some(child) = self.nodes[at].parameter {
            return child;
        }
        self.nodes.push(Node::default());
        let child = self.nodes.len() - 1;
        self.nodes[at].parameter = Some(child);
        child
    }

    fn word_child(&mut self, at: usize, word: &str) -> usize {
        match self.nodes[at].words.binary_search_by(|(known, _)| (**known).cmp(word)) {
            Ok(position) => self.nodes[at].words[position].1,
            Err(position) => {
                self.nodes.push(Node::default());
                let child = self.nodes.len() - 1;
                self.nodes[at].words.insert(position, (word.into(), child));
                child
            }
        }
    }

    pub(crate) fn identify<'a>(
        &'a self,
        operations: &'a [Operation],
        method: &str,
        path: &'a str,
        query: Option<&'a str>,
    ) -> Identified<'a> {
        let segments = Segments::new(path);
        let api_version = query_value(query, "api-version");
        let prefix = self.prefix(&segments);
        let found = self.find(operations, method, &segments, prefix, api_version.is_some());
        let mut identified = Identified {
            operation: found.end.map(|end| &operations[end.operation]),
            finding: Finding::Known,
            surface: surface(prefix, api_version.is_some()),
            family: family(prefix, found.end),
            deployment: prefix.deployment.map(decode),
            query_model: None,
            api_version,
            ids: PathIds::default(),
            relative_path: segments.tail(prefix.segments),
            hint: None,
        };
        match found.end {
            Some(end) => self.fill(&mut identified, &segments, &found, end, query),
            None => {
                identified.finding = self.finding(operations, prefix, &found);
                identified.hint =
                    Hint::find(&segments, &|path| self.knows(operations, method, path));
            }
        }
        identified
    }

    /// Whether the path below its prefix, with the method, is an operation.
    fn knows(&self, operations: &[Operation], method: &str, path: &str) -> bool {
        let segments = Segments::new(path);
        let prefix = self.prefix(&segments);
        self.find(operations, method, &segments, prefix, false).end.is_some()
    }

    fn fill<'a>(
        &'a self,
        identified: &mut Identified<'a>,
        segments: &Segments<'a>,
        found: &Found,
        end: End,
        query: Option<&'a str>,
    ) {
        let names = &self.parameters[end.operation];
        for (name, &at) in names.iter().zip(&found.captured[..found.captures]) {
            let value = decode(segments.get(at));
            if matches!(name.as_str(), "deployment" | "deployment_id") {
                identified.deployment = Some(value);
            } else {
                identified.ids.push(name, value);
            }
        }
        let source = identified.operation.map(|operation| &operation.deployment_source);
        if let Some(DeploymentSource::Query(_)) = source {
            identified.query_model = query_value(query, "model");
            if identified.deployment.is_none() {
                identified.deployment =
                    query_value(query, "deployment").or_else(|| identified.query_model.clone());
            }
        }
    }

    fn finding<'a>(
        &self,
        operations: &'a [Operation],
        prefix: Prefix<'_>,
        found: &Found,
    ) -> Finding<'a> {
        if let Some(node) = found.node {
            let mut allowed: Vec<&str> = self.nodes[node]
                .ends
                .iter()
                .map(|end| operations[end.operation].method.as_str())
                .collect();
            allowed.sort_unstable();
            allowed.dedup();
            return Finding::MethodNotAllowed(allowed);
        }
        if prefix.family == Family::Unknown { Finding::UnknownFamily } else { Finding::UnknownPath }
    }

    fn prefix<'a>(&self, segments: &Segments<'a>) -> Prefix<'a> {
        let is = |at: usize, word: &str| segments.is(at, word);
        let count = segments.as_slice().len();
        let plain = |family, segments| Prefix { family, segments, deployment: None };
        if is(0, "openai") {
            if is(1, "v1") {
                return plain(Family::AzureV1, 2);
            }
            if is(1, "deployments") && count > 3 {
                let deployment = Some(segments.get(2));
                return Prefix { family: Family::AzureDeployment, segments: 3, deployment };
            }
            return plain(Family::AzureResource, 1);
        }
        if is(0, "v1") {
            return plain(Family::OpenAi, 1);
        }
        let inference = ["chat", "embeddings", "images", "info"];
        if is(0, "models") && inference.iter().any(|word| is(1, word)) {
            return plain(Family::Inference, 1);
        }
        if is(0, "subscriptions") {
            return plain(Family::Arm, 0);
        }
        if is(0, "deployments") && count > 2 {
            return Prefix { family: Family::Bare, segments: 2, deployment: Some(segments.get(1)) };
        }
        let known = count > 0 && self.word(0, segments, 0).is_some();
        plain(if known { Family::Bare } else { Family::Unknown }, 0)
    }

    /// The child of `node` for a fixed word.
    fn word(&self, node: usize, segments: &Segments<'_>, at: usize) -> Option<usize> {
        let words = &self.nodes[node].words;
        let segment = segments.get(at);
        // Lists are short: comparing lengths first beats a binary search over texts.
        if let Some((_, child)) = words.iter().find(|(word, _)| **word == *segment) {
            return Some(*child);
        }
        if !segments.is_odd {
            return None;
        }
        words.iter().find(|(word, _)| is_word(segment, word)).map(|(_, child)| *child)
    }

    fn find(
        &self,
        operations: &[Operation],
        method: &str,
        segments: &Segments<'_>,
        prefix: Prefix<'_>,
        versioned: bool,
    ) -> Found {
        let mut found = Found { end: None, captured: [0; SEGMENTS_MAX], captures: 0, node: None };
        if segments.overflowed {
            return found;
        }
        let preferred = Preference { family: prefix.family, versioned, method, operations };
        self.walk(0, segments, prefix.segments, &preferred, &mut found);
        found
    }

    /// Fixed words win over ids, as in `threads/runs`; an id is tried if the word leads nowhere.
    fn walk(
        &self,
        node: usize,
        segments: &Segments<'_>,
        at: usize,
        preferred: &Preference<'_>,
        found: &mut Found,
    ) -> bool {
        if at == segments.as_slice().len() {
            let ends = &self.nodes[node].ends;
            if !ends.is_empty() && found.node.is_none() {
                found.node = Some(node);
            }
            found.end = preferred.choose(ends);
            return found.end.is_some();
        }
        if let Some(child) = self.word(node, segments, at)
            && self.walk(child, segments, at + 1, preferred, found)
        {
            return true;
        }
        if let Some(child) = self.nodes[node].parameter {
            found.captured[found.captures] = at;
            found.captures += 1;
            if self.walk(child, segments, at + 1, preferred, found) {
                return true;
            }
            found.captures -= 1;
        }
        false
    }
}

/// Which of the operations at the end of a path is meant.
struct Preference<'a> {
    family: Family,
    versioned: bool,
    method: &'a str,
    operations: &'a [Operation],
}

impl Preference<'_> {
    fn choose(&self, ends: &[End]) -> Option<End> {
        ends.iter()
            .filter(|end| self.operations[end.operation].method == self.method)
            .min_by_key(|end| self.rank(end))
            .copied()
    }

    fn rank(&self, end: &End) -> u8 {
        use Surface::{Arm, AzureAiInference, AzureDated, AzureV1, OpenAi};
        let order = match self.family {
            Family::AzureDeployment | Family::DeploymentPrefixed | Family::AzureResource => {
                [AzureDated, AzureV1, OpenAi, AzureAiInference, Arm]
            }
            Family::AzureV1 => [AzureV1, OpenAi, AzureDated, AzureAiInference, Arm],
            Family::Inference => [AzureAiInference, AzureV1, OpenAi, AzureDated, Arm],
            Family::Bare if self.versioned => [AzureAiInference, OpenAi, AzureDated, AzureV1, Arm],
            Family::OpenAi | Family::Bare | Family::Unknown => {
                [OpenAi, AzureV1, AzureDated, AzureAiInference, Arm]
            }
            Family::Arm => [Arm, AzureDated, AzureV1, OpenAi, AzureAiInference],
        };
        let position = order.iter().position(|surface| *surface == end.surface).unwrap_or(4);
        let wrong_place = end.deployment_in_path != (self.family == Family::AzureDeployment);
        u8::try_from(position * 2).unwrap_or(u8::MAX) + u8::from(wrong_place)
    }
}

fn surface(prefix: Prefix<'_>, versioned: bool) -> Surface {
    match prefix.family {
        Family::AzureDeployment | Family::DeploymentPrefixed | Family::AzureResource => {
            Surface::AzureDated
        }
        Family::AzureV1 => Surface::AzureV1,
        Family::Inference => Surface::AzureAiInference,
        Family::Arm => Surface::Arm,
        Family::Bare if prefix.deployment.is_some() => Surface::AzureDated,
        Family::Bare if versioned => Surface::AzureAiInference,
        Family::OpenAi | Family::Bare | Family::Unknown => Surface::OpenAi,
    }
}

fn family(prefix: Prefix<'_>, end: Option<End>) -> Family {
    match (prefix.family, end) {
        (Family::AzureDeployment, Some(end)) if !end.deployment_in_path => {
            Family::DeploymentPrefixed
        }
        (family, _) => family,
    }
}

/// An operation's path without the prefix of its surface, and whether the prefix held a deployment.
pub(crate) fn below_prefix(operation: &Operation) -> (Cow<'_, str>, bool) {
    let path = operation.path_template.as_str();
    let prefix = match operation.surface {
        Surface::AzureDated => "/openai/",
        Surface::AzureV1 => "/openai/v1/",
        Surface::AzureAiInference => "/models/",
        Surface::OpenAi => "/v1/",
        Surface::Arm => "/",
    };
    let relative = path.strip_prefix(prefix).unwrap_or(path);
    if operation.surface == Surface::AzureDated
        && let Some(rest) = relative.strip_prefix("deployments/{")
        && let Some((_, below)) = rest.split_once("}/")
    {
        return (below.into(), true);
    }
    (relative.into(), false)
}
