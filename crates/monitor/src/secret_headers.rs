//! Headers of sinks and collectors whose values are secrets, each fetched from its home.

use std::collections::BTreeMap;

use http::header::{HeaderName, HeaderValue};
use http::request::Builder;
use vault::{SecretRef, Vault};

/// Every name is one of a header.
pub(crate) fn are_headers<V>(headers: &BTreeMap<String, V>) -> bool {
    headers.keys().all(|name| name.parse::<HeaderName>().is_ok())
}

/// The request with these headers; the error names what could not be had, never a value.
pub(crate) async fn with_secrets(
    mut request: Builder,
    headers: &BTreeMap<String, SecretRef>,
    vault: &Vault,
) -> Result<Builder, String> {
    for (name, reference) in headers {
        let secret = vault.current(reference).await;
        let secret = secret.map_err(|error| format!("header {name}: {}", error.story()))?;
        let mut value = HeaderValue::from_str(secret.expose())
            .map_err(|_| format!("header {name}: {reference} fits in no header"))?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    Ok(request)
}
