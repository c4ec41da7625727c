//! How the directory changes: checked, recorded, kept, in force, in this order.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cache;
use crate::control::{Control, within};
use crate::database::{DELETED_KEPT, Database, DirectoryRow};
use crate::diff::Change;
use crate::directory::{Directory, Held, Resource, ResourceKind};
use crate::error::{Error, ErrorKind};
use crate::record::{self, Action, Author};

/// How often a change is tried while other gateways change the directory too.
const TRIES: usize = 5;

/// Least pause between two copies of the directory on this disk.
const KEEP_PAUSE: Duration = Duration::from_secs(5);

/// What becomes of one user or group.
struct Edit {
    before: Option<Arc<Resource>>,
    after: Option<Resource>,
}

impl Control {
    /// The organisation's users and groups.
    pub fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// Makes or changes a user or group: `edit` gets what is there and answers what shall be. It may be
    /// called again if another gateway was faster.
    pub async fn put_resource(
        &self,
        author: &Author,
        action: &Action,
        kind: ResourceKind,
        edit: impl Fn(Option<&Resource>) -> Result<Resource, Error> + Send + Sync,
    ) -> Result<Arc<Resource>, Error> {
        let id = action.id.as_str();
        self.change_directory((author, action), |held| {
            let before = held.get(kind, id);
            let after = edit(before.as_deref())?;
            held.check(&after)?;
            Ok(vec![Edit { before, after: Some(after) }])
        })
        .await?;
        self.directory().get(kind, id).ok_or_else(|| Error::missing(name(kind), id))
    }

    /// Deletes a user or group; it leaves the groups it is a member of.
    pub async fn delete_resource(
        &self,
        author: &Author,
        action: &Action,
        kind: ResourceKind,
    ) -> Result<(), Error> {
        let id = action.id.as_str();
        self.change_directory((author, action), |held| {
            let before = held.get(kind, id).ok_or_else(|| Error::missing(name(kind), id))?;
            let groups = held.without_member(id).into_iter().map(|group| Edit {
                before: held.get(ResourceKind::Group, &group.id),
                after: Some(group),
            });
            Ok(groups.chain([Edit { before: Some(before), after: None }]).collect())
        })
        .await
    }

    async fn change_directory(
        &self,
        (author, action): (&Author, &Action),
        edits: impl Fn(&Held) -> Result<Vec<Edit>, Error> + Send + Sync,
    ) -> Result<(), Error> {
        let database = self.0.writable()?;
        let _turn = self.0.directory_turn.lock().await;
        let mut tried = 0;
        loop {
            self.catch_up(database).await?;
            let (generation, edits) = {
                let held = self.directory().read();
                let edits = edits(&held)?;
                (held.generation, edits.into_iter().filter(Edit::is_change).collect::<Vec<_>>())
            };
            if edits.is_empty() {
                return Ok(());
            }
            let rows = edits.iter().map(Edit::row).collect::<Result<Vec<_>, _>>()?;
            let changes: Vec<Change> = edits.iter().map(Edit::change).collect();
            let records = record::changes(&self.0.ledger, (author, action), &changes, None);
            let kept = database.change_directory(generation, &rows, Box::pin(records));
            match within(kept).await {
                Ok(()) => return self.take(generation + 1, &rows),
                Err(error) if error.kind() == ErrorKind::Stale && tried < TRIES => tried += 1,
                Err(error) => {
                    let failed = Action { message: error.to_string(), ..action.clone() };
                    record::action(&self.0.ledger, author, &failed, "failed").await?;
                    return Err(error);
                }
            }
        }
    }

    /// Takes over what other gateways changed.
    pub(crate) async fn look_at_directory(&self) -> Result<(), Error> {
        let Some(database) = &self.0.database else { return Ok(()) };
        let _turn = self.0.directory_turn.lock().await;
        self.catch_up(database.as_ref()).await
    }

    /// Begins with the users and groups that this disk holds: the database is away.
    pub(crate) async fn recall_directory(&self) {
        let inner = self.0.clone();
        let read =
            tokio::task::spawn_blocking(move || cache::read_directory(&inner.settings.cache_file));
        let Ok(Some((generation, rows))) = read.await else { return };
        match self.take(generation, &rows) {
            Ok(()) => {
                let known = rows.len();
                tracing::warn!(known, "users and groups are those that were known last");
            }
            Err(error) => {
                tracing::warn!(%error, "the cached users and groups are not in force");
                self.directory().write().clear();
            }
        }
    }

    /// Writes the users and groups to this disk if they changed, for a start without the database. The
    /// next time is five seconds later or more: no more than a twentieth of the time goes into it.
    pub(crate) async fn keep_directory(&self) {
        let generation = self.directory().read().generation;
        {
            let kept = self.lock_kept();
            let is_early = kept.1.is_some_and(|next| Instant::now() < next);
            if generation == 0 || generation == kept.0 || is_early {
                return;
            }
        }
        let (inner, began) = (self.0.clone(), Instant::now());
        let write = tokio::task::spawn_blocking(move || {
            let (generation, resources) = inner.directory.copy();
            cache::write_directory(&inner.settings.cache_file, generation, &resources)
                .map(|()| generation)
        });
        let written = write.await;
        let mut kept = self.lock_kept();
        kept.1 = Some(Instant::now() + (began.elapsed() * 20).max(KEEP_PAUSE));
        match written {
            Ok(Ok(generation)) => kept.0 = generation,
            Ok(Err(error)) => {
                tracing::error!(%error, "users and groups are not on this disk: a start without the database would use older ones");
            }
            Err(_) => {}
        }
    }

    /// What is due counts as due at once: nothing follows.
    pub(crate) async fn keep_directory_at_the_end(&self) {
        self.lock_kept().1 = None;
        self.keep_directory().await;
    }

    fn lock_kept(&self) -> MutexGuard<'_, (i64, Option<Instant>)> {
        self.0.directory_kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn catch_up(&self, database: &dyn Database) -> Result<(), Error> {
        let mine = self.directory().read().generation;
        let (mut generation, mut rows) = within(database.directory(mine)).await?;
        if generation == mine {
            return Ok(());
        }
        // Further behind than deletions are remembered, or the database is another one.
        if generation < mine || generation - mine > DELETED_KEPT {
            (generation, rows) = within(database.directory(0)).await?;
            self.directory().write().clear();
        }
        self.take(generation, &rows)
    }

    fn take(&self, generation: i64, rows: &[DirectoryRow]) -> Result<(), Error> {
        let mut held = self.directory().write();
        for row in rows {
            held.take(row)?;
        }
        held.generation = generation;
        Ok(())
    }
}

impl Edit {
    fn is_change(&self) -> bool {
        let unstamped = |resource: &Resource| Resource { changed_at_us: 0, ..resource.clone() };
        self.before.as_deref().map(unstamped) != self.after.as_ref().map(unstamped)
    }

    fn row(&self) -> Result<DirectoryRow, Error> {
        match (&self.after, &self.before) {
            (Some(after), _) => after.row(),
            (None, before) => {
                let id = before.as_ref().map(|before| before.id.clone()).unwrap_or_default();
                Ok(DirectoryRow { id, document: String::new() })
            }
        }
    }

    /// What goes on record. Of a group's members only those that came or went: there may be thousands.
    fn change(&self) -> Change {
        let none = BTreeSet::new();
        let of =
            |resource: Option<&Resource>| resource.map_or(none.clone(), |it| it.members.clone());
        let (before, after) = (self.before.as_deref(), self.after.as_ref());
        let (old, new) = (of(before), of(after));
        let (gone, come) = (&old - &new, &new - &old);
        let named = after.or(before);
        let shown = |resource: Option<&Resource>, name: &str, members: &BTreeSet<String>| {
            resource.map_or(Value::Null, |resource| resource.shown(name, members))
        };
        Change {
            kind: named.map_or("user", |resource| name(resource.kind)),
            id: named.map(|resource| resource.id.clone()).unwrap_or_default(),
            change: match (before, after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            },
            before: shown(before, "members_removed", &gone),
            after: shown(after, "members_added", &come),
        }
    }
}

fn name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::User => "user",
        ResourceKind::Group => "group",
    }
}
