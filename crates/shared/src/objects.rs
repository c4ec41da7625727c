//! Where objects are at home, and whose they are.
//!
//! What a backend makes is noted in the ledger, then [`Objects::remember`]ed, and only then is its id
//! passed on. Memory holds what the snapshot does not have yet, and a bounded part of what it has. With
//! a [`Directory`], nodes tell one another what they remember.

mod cache;
mod directory;
mod table;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use event::{Kind, Timestamp};
use ledger::Entry;
use redb::WriteTransaction;
use tokio::sync::Notify;

use cache::Cache;
pub use directory::Directory;
use directory::{CHUNK, Change, Then, Turn};

use crate::{Error, ErrorKind, Projection, Snapshot};

/// Most objects that wait to be in the snapshot.
const PENDING_MAX: usize = 100_000;
/// How long a new object may wait for room among them.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// Most objects that one list goes through, the newest.
pub const LISTED_MAX: usize = 20_000;

/// How often this node says and hears what is new; and the wait before it tries again.
const TICK: Duration = Duration::from_millis(500);

/// Most fine-tuned models held in memory; of more, calls find their way by the configuration only.
const MODELS_MAX: usize = 10_000;

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it is, such as `file`.
    pub kind: String,
    /// Backend that has it.
    pub backend_id: String,
    /// Subscription it belongs to.
    pub owner: String,
    /// Id of the object it lies in; empty if it stands alone.
    pub parent: String,
    /// When its id was first seen.
    pub made_at: Timestamp,
}

/// One of an owner's objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    /// When its id was first seen.
    pub made_at: Timestamp,
    /// Its id.
    pub id: String,
    /// Backend that has it.
    pub backend_id: String,
}

/// All objects known. Clones share it.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    snapshot: Arc<Snapshot>,
    index: Mutex<Index>,
    room: Notify,
    /// None for a node of its own.
    directory: OnceLock<Directory>,
}

/// What is in memory.
struct Index {
    /// Of the ledger, but not yet in the snapshot.
    pending: HashMap<String, Pending>,
    by_sequence: BTreeMap<u64, Vec<String>>,
    /// Of the snapshot.
    cache: Cache<Arc<Known>>,
    /// All fine-tuned models and their deployments.
    models: HashMap<String, Arc<Known>>,
    /// Those that any node has told of.
    told_models: HashMap<String, Arc<Known>>,
    /// The last sequence in the snapshot.
    applied: u64,
    /// Changes so far: what was read from the snapshot before one is not kept.
    changes: u64,
}

/// An object made, or none if it is gone.
struct Pending {
    known: Option<Arc<Known>>,
    sequence: u64,
    /// It is gone, or made anew after it was: what the snapshot has of it is over.
    is_over: bool,
}

impl Objects {
    /// Objects of this snapshot, at most so many of which are held in memory besides those that the
    /// snapshot does not have yet.
    pub fn new(snapshot: Arc<Snapshot>, cached_max: usize) -> Self {
        let index = Index {
            pending: HashMap::new(),
            by_sequence: BTreeMap::new(),
            cache: Cache::new(cached_max),
            models: HashMap::new(),
            told_models: HashMap::new(),
            applied: 0,
            changes: 0,
        };
        let inner = Inner {
            snapshot,
            index: Mutex::new(index),
            room: Notify::new(),
            directory: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// From here on other nodes are told, and what they tell is known.
    pub fn share(&self, directory: Directory) {
        if self.inner.directory.set(directory).is_err() {
            tracing::error!("objects are shared already");
        }
    }

    /// What makes the snapshot follow the ledger; for [`crate::Follower::start`].
    pub fn projection(&self) -> Box<dyn Projection> {
        Box::new(ObjectProjection { objects: self.clone(), has_models: false })
    }

    /// What is known of an id; none if nothing is, on any node. An error if that cannot be told.
    pub async fn find(&self, id: &str) -> Result<Option<Arc<Known>>, Error> {
        let changes = {
            let mut index = self.inner.index();
            if let Some(pending) = index.pending.get(id) {
                return Ok(pending.known.clone());
            }
            if let Some(known) = index.cache.get(id) {
                return Ok(Some(known));
            }
            index.changes
        };
        let read = {
            let id = id.to_owned();
            self.blocking(move |snapshot| snapshot.read(|read| table::get(read, &id))).await?
        };
        let found = match (read, self.inner.directory.get()) {
            (None, Some(directory)) => directory.find(id).await?,
            (read, _) => read,
        };
        let Some(known) = found.map(Arc::new) else { return Ok(None) };
        let mut index = self.inner.index();
        if index.changes == changes {
            index.cache.insert(id, known.clone());
        }
        Ok(Some(known))
    }

    /// What is known of a fine-tuned model, or a deployment of one, by its name. Does not wait.
    pub fn model(&self, name: &str) -> Option<Arc<Known>> {
        let index = self.inner.index();
        index.models.get(name).or_else(|| index.told_models.get(name)).cloned()
    }

    /// Takes out those that this node knows already.
    pub async fn retain_new(&self, made: &mut Vec<event::Object>) -> Result<(), Error> {
        let is_known = {
            let mut index = self.inner.index();
            made.retain(|object| !index.holds(&object.id));
            let ids = made.iter().map(|object| index.pending.contains_key(&object.id));
            ids.collect::<Vec<bool>>()
        };
        if made.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = made.iter().map(|object| object.id.clone()).collect();
        let absent = self.blocking(move |s| s.read(|read| table::absent(read, &ids))).await?;
        let mut place = 0;
        made.retain(|_| {
            place += 1;
            // One that is gone may still be in the snapshot.
            is_known[place - 1] || absent.binary_search(&(place - 1)).is_ok()
        });
        Ok(())
    }

    /// Waits until there is room for new objects.
    pub async fn room(&self) -> Result<(), Error> {
        let has_room = || self.inner.index().pending.len() < PENDING_MAX;
        let waiting = async {
            loop {
                let woken = self.inner.room.notified();
                if has_room() {
                    return;
                }
                woken.await;
            }
        };
        tokio::time::timeout(ROOM_WAIT, waiting).await.map_err(|_| {
            let text = "the object registry cannot take more objects: its snapshot is not written; \
                        see the log";
            Error::new(ErrorKind::Unavailable, text)
        })
    }

    /// Takes over a record that is durable in the ledger at `sequence` or before. On return the other
    /// nodes know it too, if Redis answers.
    pub async fn remember(&self, record: &event::Objects, sequence: u64) {
        let changes = self.inner.index().remember(record, sequence);
        if let Some(directory) = self.inner.directory.get()
            && !changes.is_empty()
        {
            directory.tell(changes).await;
        }
    }

    /// Says what other nodes may not know yet, and hears of their models. An error if that goes no
    /// further for now.
    pub async fn tend(&self) -> Result<(), Error> {
        let Some(directory) = self.inner.directory.get() else { return Ok(()) };
        let mut turn = directory.turn.lock().await;
        let has_more = !directory.next().is_empty() || turn.said.is_some();
        let then = if has_more { Then::More } else { Then::AsBefore };
        let store = directory.say(&[], then).await?;
        let is_new = store.since != turn.store.since;
        if is_new || directory.was_overfull() {
            turn.store.since = store.since;
            turn.said = Some(String::new());
        }
        self.say_waiting(directory).await?;
        self.say_all(directory, &mut turn).await?;
        if has_more || is_new {
            directory.say(&[], Then::Nothing).await?;
        }
        if is_new || store.models_version != turn.store.models_version {
            let models = directory.models().await?;
            let told = models.into_iter().map(|(id, known)| (id, Arc::new(known)));
            self.inner.index().told_models = told.collect();
            turn.store.models_version = store.models_version;
        }
        Ok(())
    }

    async fn say_waiting(&self, directory: &Directory) -> Result<(), Error> {
        loop {
            let waiting = directory.next();
            if waiting.is_empty() {
                return Ok(());
            }
            directory.say(&waiting, Then::More).await?;
            directory.said(waiting.len());
        }
    }

    /// Says all that is known, if that has begun, from where it stands.
    async fn say_all(&self, directory: &Directory, turn: &mut Turn) -> Result<(), Error> {
        while let Some(after) = turn.said.clone() {
            if after.is_empty() {
                let pending = self.inner.index().pending_changes();
                directory.say(&pending, Then::More).await?;
            }
            let read = move |s: &Snapshot| s.read(|read| table::page(read, &after, CHUNK));
            let page = self.blocking(read).await?;
            let last = page.last().map(|(id, _)| id.clone());
            let made = page.into_iter().map(|(id, known)| Change::Made(id, Arc::new(known)));
            directory.say(&made.collect::<Vec<_>>(), Then::More).await?;
            turn.said = last;
        }
        Ok(())
    }

    /// Tells and hears until it is dropped; ends at once if there is nobody to tell.
    pub async fn run(self) {
        while let Some(directory) = self.inner.directory.get() {
            let tended = self.tend().await;
            directory.note(&tended);
            tokio::time::sleep(TICK).await;
        }
    }

    /// The owner's objects of a kind, the newest [`LISTED_MAX`], oldest first: those of all nodes, or an
    /// error if they cannot all be told.
    pub async fn owned(&self, owner: &str, kind: &str) -> Result<Vec<Owned>, Error> {
        // Memory is looked at before the snapshot: what moves over in between is then in both.
        let (mut owned, over) = self.inner.index().pending_of(owner, kind);
        let mut kept = {
            let (owner, kind) = (owner.to_owned(), kind.to_owned());
            let read = move |snapshot: &Snapshot| {
                snapshot.read(|read| table::owned(read, &owner, &kind, LISTED_MAX))
            };
            self.blocking(read).await?
        };
        if let Some(directory) = self.inner.directory.get() {
            kept.extend(directory.owned(owner, kind).await?);
        }
        kept.retain(|object| !over.contains(&object.id));
        owned.extend(kept);
        // One that several know of is there since the first of them knew.
        owned.sort_unstable_by(|one, two| (&one.id, one.made_at).cmp(&(&two.id, two.made_at)));
        owned.dedup_by(|later, first| later.id == first.id);
        owned.sort_unstable();
        let surplus = owned.len().saturating_sub(LISTED_MAX);
        owned.drain(..surplus);
        Ok(owned)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Snapshot) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.inner.clone();
        let looked = tokio::task::spawn_blocking(move || look(&inner.snapshot)).await;
        looked.unwrap_or_else(|source| {
            Err(Error::new(ErrorKind::Unavailable, "reading the snapshot failed")
                .with_source(source))
        })
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Takes over a record; what was new of it.
    fn remember(&mut self, record: &event::Objects, sequence: u64) -> Vec<Change> {
        self.changes += 1;
        let mut changes = Vec::new();
        for object in &record.made {
            if self.holds(&object.id) {
                continue;
            }
            let known = Arc::new(Known {
                kind: object.kind.clone(),
                backend_id: record.backend_id.clone(),
                owner: record.owner.clone(),
                parent: object.parent.clone(),
                made_at: record.noted_at,
            });
            self.note_model(&object.id, &known);
            self.put(&object.id, Some(known.clone()), sequence);
            changes.push(Change::Made(object.id.clone(), known));
        }
        for object in &record.gone {
            self.cache.remove(&object.id);
            self.models.remove(&object.id);
            self.told_models.remove(&object.id);
            self.put(&object.id, None, sequence);
            changes.push(Change::Gone(object.id.clone()));
        }
        changes
    }

    fn holds(&mut self, id: &str) -> bool {
        match self.pending.get(id) {
            Some(pending) => pending.known.is_some(),
            None => self.cache.get(id).is_some(),
        }
    }

    fn note_model(&mut self, id: &str, known: &Arc<Known>) {
        if known.kind == table::MODEL_KIND && self.models.len() < MODELS_MAX {
            self.models.entry(id.to_owned()).or_insert_with(|| known.clone());
        }
    }

    fn put(&mut self, id: &str, known: Option<Arc<Known>>, sequence: u64) {
        // The follower was faster: the snapshot has it.
        if sequence <= self.applied {
            self.cache.remove(id);
            return;
        }
        let is_over = known.is_none() || self.pending.get(id).is_some_and(|before| before.is_over);
        self.pending.insert(id.to_owned(), Pending { known, sequence, is_over });
        self.by_sequence.entry(sequence).or_default().push(id.to_owned());
    }

    fn applied(&mut self, sequence: u64) {
        self.applied = self.applied.max(sequence);
        self.changes += 1;
        while let Some(first) = self.by_sequence.first_entry()
            && *first.key() <= sequence
        {
            for id in first.remove() {
                if self.pending.get(&id).is_some_and(|pending| pending.sequence <= sequence) {
                    self.pending.remove(&id);
                }
            }
        }
    }

    /// The owner's objects that are pending, and the ids of all of which the snapshot's word is over.
    fn pending_of(&self, owner: &str, kind: &str) -> (Vec<Owned>, HashSet<String>) {
        let (mut made, mut over) = (Vec::new(), HashSet::new());
        for (id, pending) in &self.pending {
            if let Some(known) = &pending.known
                && known.owner == owner
                && known.kind == kind
            {
                let (made_at, backend_id) = (known.made_at, known.backend_id.clone());
                made.push(Owned { made_at, id: id.clone(), backend_id });
            }
            if pending.is_over {
                over.insert(id.clone());
            }
        }
        (made, over)
    }

    fn pending_changes(&self) -> Vec<Change> {
        let made = self.pending.iter().filter_map(|(id, pending)| {
            pending.known.clone().map(|known| Change::Made(id.clone(), known))
        });
        made.collect()
    }
}

/// Keeps the tables of objects.
struct ObjectProjection {
    objects: Objects,
    /// The models of the snapshot are in memory.
    has_models: bool,
}

impl Projection for ObjectProjection {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Objects]
    }

    fn apply(&mut self, frames: &[Entry], transaction: &WriteTransaction) -> Result<(), Error> {
        let applied = table::apply(frames, transaction);
        applied.map_err(|error| {
            Error::new(ErrorKind::Io, "cannot write the tables of objects").with_source(error)
        })
    }

    fn committed(&mut self, sequence: u64) {
        if !self.has_models {
            self.load_models();
        }
        self.objects.inner.index().applied(sequence);
        self.objects.inner.room.notify_waiters();
    }
}

impl ObjectProjection {
    fn load_models(&mut self) {
        let inner = &self.objects.inner;
        match inner.snapshot.read(|read| table::models(read, MODELS_MAX)) {
            Ok(models) => {
                self.has_models = true;
                let mut index = inner.index();
                for (id, known) in models {
                    index.note_model(&id, &Arc::new(known));
                }
            }
            Err(error) => {
                tracing::warn!(reason = error.story(), "fine-tuned models cannot be read")
            }
        }
    }
}

#[cfg(test)]
mod tests;
