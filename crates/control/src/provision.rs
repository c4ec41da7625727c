//! How the directory changes: checked, recorded, kept, in force, in this order.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::control::{Author, Control, within};
use crate::database::{DELETED_KEPT, Database, DirectoryRow};
use crate::diff::Change;
use crate::directory::{Directory, Held, Resource, ResourceKind};
use crate::error::{Error, ErrorKind};
use crate::record::{self, Action};

/// How often a change is tried while other gateways change the directory too.
const TRIES: usize = 5;

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
