//! From a request's method, path and query to the operation it asks for.
//!
//! One trie holds the paths of all surfaces without their prefixes. A URL's prefix tells its
//! [`Family`], and the family tells which surface's operation is preferred where several have the
//! path: SDKs call `/openai/deployments/gpt-4o/threads` or `/openai/embeddings`, which no description
//! has, and mean the operation of the same path elsewhere. Nothing is allocated unless a value is
//! percent-encoded or the path is unknown.

mod hint;
mod path;
mod trie;

use std::borrow::Cow;

pub use hint::{Hint, Problem};
pub use path::PathIds;
pub(crate) use trie::{Router, below_prefix};

use crate::{Family, Operation, Surface};

/// How a request was matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding<'a> {
    /// Path and method are known.
    Known,
    /// The path is known, but with these methods only.
    MethodNotAllowed(Vec<&'a str>),
    /// The prefix is known, the path below it is not.
    UnknownPath,
    /// Not even the prefix is known.
    UnknownFamily,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub struct Identified<'a> {
    /// The operation, if path and method are known.
    pub operation: Option<&'a Operation>,
    /// How the request was matched.
    pub finding: Finding<'a>,
    /// Surface the URL belongs to. `operation` may come from another one.
    pub surface: Surface,
    /// How the URL was written.
    pub family: Family,
    /// Deployment of the path or, on realtime, of the query; percent-decoded.
    pub deployment: Option<Cow<'a, str>>,
    /// `model` of the query, where the operation takes it there.
    pub query_model: Option<Cow<'a, str>>,
    /// `api-version` of the query.
    pub api_version: Option<Cow<'a, str>>,
    /// Ids of objects in the path, in their order; the deployment is not among them.
    pub ids: PathIds<'a>,
    /// The path below the prefix, as received: `threads/thread_1/runs`.
    pub relative_path: &'a str,
    /// How to mend the URL, where it looks like a wrong base URL.
    pub hint: Option<Hint>,
}

impl Identified<'_> {
    /// The id in the path that decides which backend must answer.
    pub fn pin_id(&self) -> Option<&str> {
        let operation = self.operation?;
        if operation.pin.path { self.ids.first() } else { None }
    }

    /// The canonical id for the logs; empty if the operation is unknown.
    pub fn log_operation_id(&self) -> &str {
        self.operation.map_or("", |operation| operation.log_operation_id.as_str())
    }

    /// Whether a path, a method and an `api-version` fit together. Families without versions always do.
    pub fn version_is_known(&self) -> bool {
        let Some(operation) = self.operation else { return false };
        match self.family {
            Family::AzureDeployment | Family::AzureResource | Family::Inference | Family::Arm => {
                operation.surface != self.surface
                    || operation.supports_version(self.api_version.as_deref())
            }
            _ => true,
        }
    }
}

/// The first value of a query parameter, its name compared without case, decoded.
pub(crate) fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        key.eq_ignore_ascii_case(name).then(|| decode_query(value))
    })
}

fn decode_query(value: &str) -> Cow<'_, str> {
    if value.contains('+') {
        Cow::Owned(path::decode(&value.replace('+', " ")).into_owned())
    } else {
        path::decode(value)
    }
}

#[cfg(test)]
mod tests;
