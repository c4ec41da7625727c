//! Azure Event Hubs, over its HTTPS interface: each row is an event, and those of a job stay in one partition, in
//! order. <https://learn.microsoft.com/rest/api/eventhub/send-batch-events>

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use http::{Request, header};
use kql::Value;
use sha2::Sha256;
use vault::{Secret, SecretRef, Vault};

use crate::batch::{Batch, Failure};
use crate::config::SinkConfig;
use crate::http::{Caller, encoded};
use crate::json;
use crate::sink::{Sink, Surroundings};

/// How long a signature holds, in seconds.
const SIGNED_S: u64 = 600;
const CONTENT_TYPE: &str = "application/vnd.microsoft.servicebus.json";
/// The member that names what an event lacks.
const OVERSIZED: &str = "_Oversized";

/// An event hub.
pub(crate) struct EventHubs {
    caller: Caller,
    /// Its address.
    hub: String,
    path: String,
    policy: String,
    key: Option<SecretRef>,
    vault: Vault,
    bytes_max: usize,
}

impl EventHubs {
    pub(crate) fn new(
        config: &SinkConfig,
        into: &str,
        around: &Surroundings,
    ) -> Result<Self, Failure> {
        Ok(Self {
            caller: Caller::new(config, "Event Hubs", around)?,
            hub: format!("{}/{}", config.url.trim_end_matches('/'), into),
            path: format!("/{into}/messages?timeout=60&api-version=2014-01"),
            policy: config.user.clone(),
            key: config.password.clone(),
            vault: around.vault.clone(),
            bytes_max: config.message_bytes_max as usize,
        })
    }

    async fn send(&self, events: &[String]) -> Result<(), Failure> {
        let mut request = Request::post(&self.path).header(header::CONTENT_TYPE, CONTENT_TYPE);
        if let Some(reference) = &self.key {
            let key = self.vault.current(reference).await;
            let key = key.map_err(|error| Failure::again(error.story()))?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let shown = signature(&self.hub, &self.policy, &key, now + SIGNED_S);
            request = request.header(header::AUTHORIZATION, shown);
        }
        self.caller.send(request, format!("[{}]", events.join(","))).await.map(drop)
    }
}

#[async_trait]
impl Sink for EventHubs {
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        // Brackets, and a comma for each.
        let mut room = self.bytes_max - 2;
        let mut events = Vec::new();
        for row in &batch.rows {
            let event = event(batch, row, self.bytes_max - 3)?;
            if event.len() + 1 > room {
                self.send(&events).await?;
                events.clear();
                room = self.bytes_max - 2;
            }
            room -= event.len() + 1;
            events.push(event);
        }
        self.send(&events).await
    }
}

/// A row as an event of at most so many bytes: without its longest texts, if it has more, and with their names.
fn event(batch: &Batch, row: &[Value], bytes_max: usize) -> Result<String, Failure> {
    let key = row.first().map(Value::to_string).unwrap_or_default();
    let owner = batch.name.rsplit_once(':').map_or("", |(owner, _)| owner);
    let (key, owner) = (json::quoted(&key), json::quoted(owner));
    let mut row = row.to_vec();
    let mut left_out: Vec<String> = Vec::new();
    loop {
        let mut body = json::object(&batch.columns, &row, json::cell);
        if !left_out.is_empty() {
            body.truncate(body.len() - 1);
            body.push_str(&format!(",\"{OVERSIZED}\":[{}]}}", left_out.join(",")));
        }
        let event = format!(
            "{{\"Body\":{},\"UserProperties\":{{\"_Key\":{key}}},\"BrokerProperties\":{{\"PartitionKey\":{owner}}}}}",
            json::quoted(&body)
        );
        if event.len() <= bytes_max {
            return Ok(event);
        }
        // The key stays.
        let longest = (1..row.len()).max_by_key(|place| text_bytes(&row[*place]));
        let longest = longest.filter(|place| text_bytes(&row[*place]) > 0).ok_or_else(|| {
            Failure::refused(format!(
                "the event {key} is too large even without its texts: project less"
            ))
        })?;
        row[longest] = Value::Null;
        left_out.push(json::quoted(&batch.columns[longest].name));
    }
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) | Value::Dynamic(text) => text.len(),
        _ => 0,
    }
}

/// A shared access signature for a hub, which holds until a second since 1970.
/// <https://learn.microsoft.com/rest/api/eventhub/generate-sas-token>
pub(crate) fn signature(hub: &str, policy: &str, key: &Secret, until_s: u64) -> String {
    let hub = encoded(hub);
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(format!("{hub}\n{until_s}").as_bytes());
    let signature = encoded(&BASE64.encode(mac.finalize().into_bytes()));
    format!("SharedAccessSignature sr={hub}&sig={signature}&se={until_s}&skn={}", encoded(policy))
}
