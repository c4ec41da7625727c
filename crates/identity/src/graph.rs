//! Groups that do not fit into a token, from Microsoft Graph. The endpoint that the token names is
//! never followed.

use async_trait::async_trait;
use http::Uri;
use policy::PrincipalKind;
use serde_json::Value;

use crate::fetch::Route;
use crate::json;

/// Groups of one member that are taken over: what Graph answers at most without pages.
const GROUPS_MAX: usize = 11_000;

/// Fetches the access token for Graph.
#[async_trait]
pub trait GraphAccess: Send + Sync {
    /// An access token for the Graph of this provider; the error is for the log.
    async fn token(&self, provider: &str) -> Result<String, String>;
}

/// The ids of all groups of a member.
pub(crate) async fn member_groups(
    route: &Route,
    base: &Uri,
    token: &str,
    kind: PrincipalKind,
    id: &str,
) -> Result<Vec<String>, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.is_empty() || !id.bytes().all(is_plain) {
        return Err("the id is no object id".into());
    }
    let folder = match kind {
        PrincipalKind::Application => "servicePrincipals",
        _ => "users",
    };
    let base = base.to_string();
    let url = format!("{}/{folder}/{id}/getMemberObjects", base.trim_end_matches('/'));
    let url: Uri = url.parse().map_err(|_| "the Graph's URL is wrong".to_owned())?;
    let answer = route.post_json(&url, token, br#"{"securityEnabledOnly":false}"#).await?;
    let answer = json::object(&answer).map_err(|error| format!("Graph's answer: {error}"))?;
    if answer.contains_key("@odata.nextLink") {
        return Err("Graph answered with a part of the groups only".into());
    }
    let groups = answer.get("value").and_then(Value::as_array);
    let groups = groups.filter(|groups| groups.len() <= GROUPS_MAX);
    let groups = groups.ok_or("Graph answered no list of groups")?;
    let ids = groups.iter().map(|group| group.as_str().map(str::to_owned));
    ids.collect::<Option<_>>().ok_or_else(|| "Graph answered something else than ids".into())
}
