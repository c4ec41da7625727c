//! Vaults and token endpoints of the documented wire formats, on loopback.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is its failure")]

mod entra;
mod homes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use event::SecurityEvent;
use net::EgressConfig;
use tokio_util::sync::CancellationToken;
use vault::{Credential, Vault, VaultConfig};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(20);

/// What a server was asked, and how it is to answer.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    /// Values that a test changes while the server runs.
    pub(crate) held: Arc<Mutex<HashMap<&'static str, String>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The fields of a form.
    pub(crate) fn field(&self, name: &str) -> String {
        let field = self.body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let mut text = field.unwrap_or_default().to_owned();
        for (code, letter) in [("%3A", ":"), ("%2F", "/"), ("%20", " "), ("%26", "&"), ("%3D", "=")]
        {
            text = text.replace(code, letter);
        }
        text
    }
}

impl Desk {
    pub(crate) fn set(&self, name: &'static str, value: impl Into<String>) {
        self.held.lock().unwrap().insert(name, value.into());
    }

    pub(crate) fn get(&self, name: &str) -> String {
        self.held.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn note(&self, parts: &http::request::Parts, body: &[u8]) -> Asked {
        let asked = Asked {
            target: parts.uri.to_string(),
            headers: parts.headers.clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        self.asked.lock().unwrap().push(asked.clone());
        asked
    }

    pub(crate) fn asked(&self, start: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.target.starts_with(start)).cloned().collect()
    }
}

/// Serves on loopback; the URL.
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = listener.await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

pub(crate) type Told = Arc<Mutex<Vec<SecurityEvent>>>;

/// A vault that may dial loopback, with what it tells.
pub(crate) fn vault(change: impl FnOnce(&mut VaultConfig)) -> (Vault, Told) {
    let mut config =
        VaultConfig { refresh_s: 1, egress: EgressConfig::loopback(), ..VaultConfig::default() };
    change(&mut config);
    let told = Told::default();
    let list = told.clone();
    let vault = Vault::new(&config, move |event| list.lock().unwrap().push(event)).unwrap();
    tokio::spawn(vault.clone().run(CancellationToken::new()));
    (vault, told)
}

pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn shown(credential: &Credential) -> Option<String> {
    Some(credential.header()?.to_str().unwrap().to_owned())
}
