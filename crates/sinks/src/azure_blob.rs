//! Azure Blob Storage: a batch is a blob of a JSON object a line, which takes the place of itself when it comes
//! again. <https://learn.microsoft.com/rest/api/storageservices/put-blob>

use async_trait::async_trait;
use http::{Request, header};
use vault::{SecretRef, Vault};

use crate::batch::{Batch, Failure};
use crate::config::SinkConfig;
use crate::http::{Caller, encoded};
use crate::json;
use crate::sink::{Sink, Surroundings};
use crate::source::ticks;

/// The version of the service's interface.
const VERSION: &str = "2021-08-06";

/// A container, or a folder in it.
pub(crate) struct AzureBlob {
    caller: Caller,
    folder: String,
    /// The shared access signature.
    sas: Option<SecretRef>,
    vault: Vault,
}

impl AzureBlob {
    pub(crate) fn new(
        config: &SinkConfig,
        into: &str,
        around: &Surroundings,
    ) -> Result<Self, Failure> {
        Ok(Self {
            caller: Caller::new(config, "Blob Storage", around)?,
            folder: into.to_owned(),
            sas: config.password.clone(),
            vault: around.vault.clone(),
        })
    }

    /// `/container/folder/job/node/2026/11/23/17-42.ndjson`; no day where the rows have no time.
    fn path(&self, batch: &Batch) -> String {
        let day = batch.at.map(|at| kql::format_datetime(ticks(at))[..10].replace('-', "/"));
        let (owner, slice) = batch.name.rsplit_once(':').unwrap_or(("", &batch.name));
        let folders = self.folder.split('/').chain(owner.split(':'));
        let day = day.iter().flat_map(|day| day.split('/'));
        let segments = folders.chain(day).map(encoded).collect::<Vec<_>>();
        format!("/{}/{}.ndjson", segments.join("/"), encoded(slice))
    }
}

#[async_trait]
impl Sink for AzureBlob {
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        let mut path = self.path(batch);
        if let Some(reference) = &self.sas {
            let sas = self.vault.current(reference).await;
            let sas = sas.map_err(|error| Failure::again(error.story()))?;
            path.push('?');
            path.push_str(sas.expose().trim_start_matches('?'));
        }
        let request = Request::put(path)
            .header("x-ms-version", VERSION)
            .header("x-ms-blob-type", "BlockBlob")
            .header(header::CONTENT_TYPE, "application/x-ndjson");
        let mut body = String::new();
        for row in &batch.rows {
            body.push_str(&json::object(&batch.columns, row, json::cell));
            body.push('\n');
        }
        self.caller.send(request, body).await.map(drop)
    }
}

/// What a container and a folder in it may be called.
pub(crate) fn check_place(into: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
    if into.len() > 200 || !into.split('/').all(is_segment) {
        let fix = "name a container as `container` or `container/folder`";
        return Err(format!("`{into}` is no place for blobs: {fix}"));
    }
    Ok(())
}
