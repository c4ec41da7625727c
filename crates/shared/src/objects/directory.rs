//! What nodes tell one another of objects, through Redis.
//!
//! A node says what it learns as it learns it, and all that it knows to a store that is new or has lost
//! what it held. While Redis does not answer, what there is to say waits. What is not found is only
//! believed not to be there while no node may have something to say about it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Timestamp;

use super::{Known, LISTED_MAX, Owned, table};
use crate::{Error, ErrorKind, Redis};

/// What all keys begin with. The number is the format's version.
const PREFIX: &str = "gatehouse:objects:1";
/// Changes said at once.
pub(super) const CHUNK: usize = 500;
/// Most changes that wait to be said. If there are more, all that is known is said anew.
const WAITING_MAX: usize = 100_000;
/// For so long after a store, or a connection to it, is new, nothing is believed not to be there.
const DOUBT: Duration = Duration::from_secs(3);
/// For so long the others wait for a node that has more to say and does not say it.
const SAYING: Duration = Duration::from_secs(10);
/// How long objects are told of that backends keep for 30 days.
const BRIEF: Duration = Duration::from_secs(31 * 24 * 3600);

/// What there is to say of one object.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Made(String, Arc<Known>),
    Gone(String),
}

/// What follows what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It changes nothing about that.
    AsBefore,
    /// More: others are not to believe yet that they know all.
    More,
    /// Nothing: this node has said all that it knew.
    Nothing,
}

/// What a store is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Store {
    /// Since when it has known of objects; another than before has lost what it held.
    pub(super) since: String,
    pub(super) models_version: String,
}

/// How far this node has come with what it says and hears.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) store: Store,
    /// All that is known is being said; this id was the last.
    pub(super) said: Option<String>,
}

/// The objects of all nodes, in Redis or Valkey.
pub struct Directory {
    redis: Arc<Redis>,
    node: String,
    say: ::redis::Script,
    look: ::redis::Script,
    waiting: Mutex<Waiting>,
    pub(super) turn: tokio::sync::Mutex<Turn>,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Change>,
    /// There were more than are kept.
    is_overfull: bool,
    is_down: bool,
}

impl Directory {
    /// What `node`, a name that no other node has, tells and is told.
    pub fn new(redis: Arc<Redis>, node: String) -> Self {
        Self {
            redis,
            node,
            say: ::redis::Script::new(include_str!("say.lua")),
            look: ::redis::Script::new(include_str!("look.lua")),
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Says it now if Redis answers, and otherwise later.
    pub(super) async fn tell(&self, changes: Vec<Change>) {
        if self.waiting().changes.is_empty() {
            let told = self.say(&changes, Then::AsBefore).await;
            self.note(&told);
            if told.is_ok() {
                return;
            }
        }
        let mut waiting = self.waiting();
        waiting.changes.extend(changes);
        if waiting.changes.len() > WAITING_MAX {
            waiting.changes.clear();
            waiting.is_overfull = true;
        }
    }

    /// Says it.
    pub(super) async fn say(&self, changes: &[Change], then: Then) -> Result<Store, Error> {
        let mut store = Store::default();
        for place in 0..changes.len().div_ceil(CHUNK).max(1) {
            let changes = changes.chunks(CHUNK).nth(place).unwrap_or_default();
            let saying = match then {
                Then::AsBefore => String::new(),
                Then::More => millis(SAYING).to_string(),
                Then::Nothing => "0".to_owned(),
            };
            let mut call = self.say.prepare_invoke();
            call.key(PREFIX).arg(&self.node).arg(saying).arg(LISTED_MAX).arg(millis(BRIEF));
            for change in changes {
                change.put(&mut call);
            }
            let answer: (String, String) = self.redis.run(&call).await?;
            store = Store { since: answer.0, models_version: answer.1 };
        }
        Ok(store)
    }

    /// The first that waits to be said.
    pub(super) fn next(&self) -> Vec<Change> {
        self.waiting().changes.iter().take(CHUNK).cloned().collect()
    }

    /// So many of those that waited have been said.
    pub(super) fn said(&self, count: usize) {
        let mut waiting = self.waiting();
        let count = count.min(waiting.changes.len());
        waiting.changes.drain(..count);
    }

    /// More was to be said than could wait, since this was last asked.
    pub(super) fn was_overfull(&self) -> bool {
        std::mem::take(&mut self.waiting().is_overfull)
    }

    /// What is known of an id; none if no node knows anything.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Known>, Error> {
        let (is_sure, found) = self.look("id", id).await?;
        match found.first() {
            Some(text) => Ok(table::parse(id, text)),
            None if is_sure => Ok(None),
            None => Err(doubt()),
        }
    }

    /// An owner's objects of a kind, the newest [`LISTED_MAX`].
    pub(super) async fn owned(&self, owner: &str, kind: &str) -> Result<Vec<Owned>, Error> {
        let (is_sure, found) = self.look("of", &format!("{kind}:{owner}")).await?;
        if !is_sure {
            return Err(doubt());
        }
        let owned = found.chunks_exact(2).filter_map(|pair| {
            let member = std::str::from_utf8(&pair[0]).ok()?;
            let (id, backend_id) = member.rsplit_once('\n')?;
            let micros: i64 = std::str::from_utf8(&pair[1]).ok()?.parse().ok()?;
            let made_at = Timestamp::from_unix_micros(micros);
            Some(Owned { made_at, id: id.to_owned(), backend_id: backend_id.to_owned() })
        });
        Ok(owned.collect())
    }

    /// All fine-tuned models.
    pub(super) async fn models(&self) -> Result<Vec<(String, Known)>, Error> {
        let (_, found) = self.look("models", "").await?;
        let models = found.chunks_exact(2).filter_map(|pair| {
            let id = String::from_utf8(pair[0].clone()).ok()?;
            table::parse(&id, &pair[1]).map(|known| (id, known))
        });
        Ok(models.collect())
    }

    /// What was found, and whether what was not found is not there.
    async fn look(&self, what: &str, which: &str) -> Result<(bool, Vec<Vec<u8>>), Error> {
        let mut call = self.look.prepare_invoke();
        call.key(PREFIX).arg(millis(DOUBT)).arg(what).arg(which);
        let looked: Result<Vec<Vec<u8>>, Error> = self.redis.run(&call).await;
        self.note(&looked);
        let mut found = looked?;
        let is_sure = !found.is_empty() && found.remove(0) == b"1";
        let is_old = self.redis.connected_for().await.is_some_and(|age| age >= DOUBT);
        Ok((is_sure && is_old, found))
    }

    pub(super) fn note<T>(&self, outcome: &Result<T, Error>) {
        let mut waiting = self.waiting();
        match outcome {
            Ok(_) if waiting.is_down => tracing::info!("Redis answers again: objects are shared"),
            Err(error) if !waiting.is_down => tracing::warn!(
                reason = error.story(),
                "Redis does not answer: objects made now are told to other nodes later, and \
                 calls that name objects this node does not know get 503"
            ),
            _ => {}
        }
        waiting.is_down = outcome.is_err();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    fn put(&self, call: &mut ::redis::ScriptInvocation<'_>) {
        match self {
            Self::Made(id, known) => {
                let how = match (known.is_brief(), known.parent.is_empty()) {
                    (false, true) => "both",
                    (false, false) => "lasts",
                    (true, true) => "listed",
                    (true, false) => "",
                };
                call.arg("made").arg(id).arg(table::text(known)).arg(&known.owner);
                call.arg(&known.kind).arg(known.made_at.unix_micros()).arg(how);
            }
            Self::Gone(id) => {
                call.arg("gone").arg(id).arg("").arg("").arg("").arg("").arg("");
            }
        }
    }
}

impl Known {
    /// Backends keep it for 30 days: a response with its items, or a stored completion.
    fn is_brief(&self) -> bool {
        matches!(self.kind.as_str(), "response" | "stored-completion")
            || (self.kind == "item" && self.parent.starts_with("resp_"))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn doubt() -> Error {
    let text = "this node does not know it, and another may be about to say it";
    Error::new(ErrorKind::Unavailable, text)
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("node", &self.node).finish_non_exhaustive()
    }
}
