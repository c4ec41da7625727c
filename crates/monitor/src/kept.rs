//! State that outlives a process: in a file, and where nodes share Redis, there, under a lease, so that one
//! of them works at a time and the next goes on where it stopped.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

/// Who may work, and with what state.
#[derive(Clone, Debug, PartialEq)]
pub enum Lease {
    /// This node, with this state, if another one kept it last.
    Ours(Option<String>),
    /// Another node.
    Theirs,
}

/// Where nodes agree on who works.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Takes the lease or keeps it. Answers the state where the lease was not this node's before.
    async fn lease(&self) -> Result<Lease, String>;
    /// Keeps the state, if the lease is still this node's; false if not.
    async fn keep(&self, state: &str) -> Result<bool, String>;
}

/// Where one kind of state is kept.
pub(crate) struct Kept {
    /// What it is of, such as `alerts`.
    pub(crate) of: &'static str,
    /// The file of this node.
    pub(crate) file: PathBuf,
    /// Where nodes agree on who works, if there are several.
    pub(crate) store: Option<Box<dyn StateStore>>,
}

impl Kept {
    /// The state as this node kept it; none if there is none.
    pub(crate) fn load(&self) -> Result<Option<String>, String> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", self.file.display())),
        }
    }

    /// Whether this node may work.
    pub(crate) async fn lease(&self) -> Lease {
        let Some(store) = &self.store else { return Lease::Ours(None) };
        store.lease().await.unwrap_or_else(|error| {
            // Nothing is missed: what passes is looked at when the lease is back.
            tracing::warn!(error, "{} rest until nodes can agree on who looks at them", self.of);
            Lease::Theirs
        })
    }

    /// Puts the state down, here and where nodes share it.
    pub(crate) async fn keep(&self, text: String) {
        if let Some(store) = &self.store {
            match store.keep(&text).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("another node looks at {} now", self.of),
                Err(error) => tracing::warn!(error, "the state of {} is not shared", self.of),
            }
        }
        let file = self.file.clone();
        let stored = tokio::task::spawn_blocking(move || replace(&file, text.as_bytes())).await;
        if let Ok(Err(error)) = stored {
            let of = self.of;
            tracing::error!(%error, "the state of {of} is not kept: they may be repeated after a restart");
        }
    }
}

/// Puts a file in its place as a whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
