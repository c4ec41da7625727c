//! The desired state in force, and how it changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use event::Timestamp;
use ledger::Ledger;
use policy::{KeyHasher, Principal, PrincipalKind, SubscriptionConfig};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::cache;
use crate::database::{self, Database, Kept, Place, VersionLine};
use crate::decree::{Decree, Version, bring_to};
use crate::diff::{Change, compare};
use crate::directory::Directory;
use crate::error::{Error, ErrorKind};
use crate::record::{self, Action, Author, now};

/// Longest wait for an answer of the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the state comes from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Database; none if the configuration file holds the state.
    pub place: Option<Place>,
    /// SQLite file that keeps approvals where there is no such database.
    pub approvals_file: PathBuf,
    /// File that keeps the published version for a start without the database.
    pub cache_file: PathBuf,
    /// Versions kept; older ones go.
    pub versions_max: u32,
    /// Time between two looks for a version of another gateway.
    pub poll: Duration,
}

/// Puts a state in force.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Swaps what requests are decided by; an error leaves what was there.
    async fn publish(&self, decree: Decree) -> Result<(), String>;

    /// Refuses a change that names what this gateway does not have; the text names the fix. What was there before is
    /// not looked at: it may have come through another gateway.
    async fn check(&self, _before: &Decree, _after: &Decree) -> Result<(), String> {
        Ok(())
    }
}

/// What a change came to.
#[derive(Clone, Debug)]
pub struct Applied<T> {
    /// What the change answers.
    pub value: T,
    /// Version in force after it.
    pub version: Arc<Version>,
    /// What changed.
    pub changes: Vec<Change>,
}

/// How the control plane stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Status {
    /// `file` or `database`.
    pub source: &'static str,
    /// Version in force; 0 if the configuration file holds the state.
    pub version: i64,
    /// Why the database does not answer; empty if it does or there is none.
    pub database_reason: String,
}

/// The desired state; clones share it.
#[derive(Clone)]
pub struct Control(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) database: Option<Arc<dyn Database>>,
    /// Keeps approvals: that database, or one of their own.
    pub(crate) approvals: Arc<dyn Database>,
    pub(crate) approvals_prepared: OnceCell<()>,
    pub(crate) settings: Settings,
    seed: Decree,
    hasher: KeyHasher,
    pub(crate) ledger: Ledger,
    pub(crate) live: ArcSwap<Version>,
    pub(crate) publisher: OnceLock<Arc<dyn Publisher>>,
    /// When what is in force was worked out, and of which version; none if it has to be again.
    pub(crate) published: Mutex<Option<(i64, Timestamp)>>,
    /// Why the database does not answer.
    pub(crate) reason: Mutex<String>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
    pub(crate) directory: Directory,
    /// One change of the directory at a time.
    pub(crate) directory_turn: tokio::sync::Mutex<()>,
    /// Generation of the directory on this disk, and when the next may be written.
    pub(crate) directory_kept: Mutex<(i64, Option<Instant>)>,
}

impl Control {
    /// Opens the state. Without its database it begins with what was published last; without that
    /// too there is no state, which is an error.
    pub async fn open(
        settings: Settings,
        seed: Decree,
        hasher: KeyHasher,
        ledger: Ledger,
    ) -> Result<Self, Error> {
        seed.validate(&hasher)?;
        let database = settings.place.as_ref().map(database::open);
        let approvals = database
            .clone()
            .unwrap_or_else(|| database::open(&Place::Sqlite(settings.approvals_file.clone())));
        let control = Self(Arc::new(Inner {
            database,
            approvals,
            approvals_prepared: OnceCell::new(),
            live: ArcSwap::from_pointee(Version { number: 0, decree: seed.clone() }),
            settings,
            seed,
            hasher,
            ledger,
            publisher: OnceLock::new(),
            published: Mutex::new(None),
            reason: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            directory: Directory::default(),
            directory_turn: tokio::sync::Mutex::default(),
            directory_kept: Mutex::default(),
        }));
        if control.0.database.is_none() {
            return Ok(control);
        }
        if let Err(error) = control.look().await {
            let cached = cache::read(&control.0.settings.cache_file);
            let Some(version) = cached else {
                let text = format!(
                    "{error}; nothing was published before that the gateway could begin with: \
                     make the database reachable, or set control.source: file"
                );
                return Err(Error::new(error.kind(), text));
            };
            tracing::warn!(%error, version = version.number, "the state published last is in force");
            control.0.live.store(Arc::new(version));
            control.recall_directory().await;
        }
        Ok(control)
    }

    /// What is in force.
    pub fn live(&self) -> Arc<Version> {
        self.0.live.load_full()
    }

    /// What is in force at this moment: expired subscriptions are, keys after their grace are gone.
    pub fn effective(&self) -> Decree {
        self.live().decree.at(now())
    }

    /// Those subscriptions in force that are wanted, as they are at this moment.
    pub fn subscriptions(
        &self,
        is_wanted: impl Fn(&SubscriptionConfig) -> bool,
    ) -> Vec<SubscriptionConfig> {
        let (live, now) = (self.live(), now());
        let wanted = live.decree.subscriptions.iter().filter(|one| is_wanted(one));
        let mut wanted: Vec<_> = wanted.cloned().collect();
        wanted.iter_mut().for_each(|one| bring_to(one, now));
        wanted
    }

    /// The configuration file was read again. It matters only if the file holds the state.
    ///
    /// With a database the file only seeds it: then this answers what of the file is not in force.
    pub fn follow_file(&self, decree: Decree) -> Result<Vec<&'static str>, Error> {
        if self.0.database.is_some() {
            return Ok(decree.overruled_by(&self.live().decree));
        }
        decree.validate(&self.0.hasher)?;
        self.0.live.store(Arc::new(Version { number: 0, decree }));
        Ok(Vec::new())
    }

    /// Puts what changes from now on in force through this.
    pub fn publish_to(&self, publisher: Arc<dyn Publisher>) {
        let is_first = self.0.publisher.set(publisher).is_ok();
        debug_assert!(is_first, "there is one publisher");
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let source = if self.0.database.is_some() { "database" } else { "file" };
        let database_reason = self.0.lock_reason().clone();
        Status { source, version: self.live().number, database_reason }
    }

    /// The hash under which a key is kept.
    pub fn hash(&self, key: &str) -> String {
        self.0.hasher.hash(key).to_string()
    }

    /// What an edit would change; nothing is changed.
    pub async fn dry_run(
        &self,
        edit: impl FnOnce(&mut Decree) -> Result<(), Error> + Send,
    ) -> Result<Vec<Change>, Error> {
        let before = self.live();
        let mut after = before.decree.clone();
        edit(&mut after)?;
        self.0.check(&before.decree, &after).await?;
        Ok(compare(&before.decree, &after))
    }

    /// Changes the state: validated as a whole, recorded, kept, published, in this order. An edit
    /// that changes nothing makes no version.
    pub async fn change<T>(
        &self,
        author: &Author,
        action: &Action,
        edit: impl FnOnce(&mut Decree) -> Result<T, Error> + Send,
    ) -> Result<Applied<T>, Error> {
        let inner = &*self.0;
        let database = inner.writable()?;
        let _turn = inner.turn.lock().await;
        let base = inner.newest(database).await?;
        let mut decree = base.decree.clone();
        let value = edit(&mut decree)?;
        inner.check(&base.decree, &decree).await?;
        let changes = compare(&base.decree, &decree);
        if decree == base.decree {
            return Ok(Applied { value, version: base, changes });
        }
        let version = Version { number: base.number + 1, decree };
        inner.keep(database, &version, (author, action), &changes).await?;
        let version = Arc::new(version);
        self.install(version.clone()).await;
        Ok(Applied { value, version, changes })
    }

    /// The versions below `before`, newest first.
    pub async fn versions(&self, before: i64, limit: i64) -> Result<Vec<VersionLine>, Error> {
        match &self.0.database {
            Some(database) => within(database.versions(before, limit)).await,
            None => Ok(Vec::new()),
        }
    }

    /// The state of a version that is kept.
    pub async fn version(&self, number: i64) -> Result<Decree, Error> {
        let missing = || Error::missing("version", &number.to_string());
        let database = self.0.database.as_ref().ok_or_else(missing)?;
        let kept = within(database.version(number)).await?.ok_or_else(missing)?;
        parse(&kept)
    }

    /// Records an action that changes no state: done, denied or failed.
    pub async fn record(
        &self,
        author: &Author,
        action: &Action,
        outcome: &'static str,
    ) -> Result<(), Error> {
        record::action(&self.0.ledger, author, action, outcome).await
    }

    /// Takes over what the database holds, if it is newer; makes its tables and the first version.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let Some(database) = &self.0.database else { return Ok(()) };
        let looked = self.look_into(database.as_ref()).await;
        let reason = looked.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let before = std::mem::replace(&mut *self.0.lock_reason(), reason.clone());
        match (before.is_empty(), reason.is_empty()) {
            (true, false) => {
                tracing::warn!(reason, "the state in force goes on without its database")
            }
            (false, true) => tracing::info!("the database of the desired state answers again"),
            _ => {}
        }
        looked
    }

    async fn look_into(&self, database: &dyn Database) -> Result<(), Error> {
        let inner = &*self.0;
        let newest = match within(database.newest()).await {
            Ok(newest) => newest,
            Err(_) => {
                within(database.prepare()).await?;
                within(database.newest()).await?
            }
        };
        if self.look_at_directory().await.is_err() {
            // It may be a database from before there was one.
            within(database.prepare()).await?;
            self.look_at_directory().await?;
        }
        if newest.is_some_and(|newest| newest == self.live().number) {
            return Ok(());
        }
        let _turn = inner.turn.lock().await;
        let version = match newest {
            Some(_) => inner.newest(database).await?,
            None => inner.seed(database).await?,
        };
        if *version != *self.live() {
            version.decree.validate(&inner.hasher)?;
            self.install(version).await;
        }
        Ok(())
    }

    async fn install(&self, version: Arc<Version>) {
        let inner = self.0.clone();
        let kept = version.clone();
        let written =
            tokio::task::spawn_blocking(move || cache::write(&inner.settings.cache_file, &kept));
        if let Ok(Err(error)) = written.await {
            tracing::error!(%error, "the published state is not on this disk: a start without the database would use an older one");
        }
        self.0.live.store(version);
        *self.0.lock_published() = None;
        self.publish().await;
    }
}

impl Inner {
    pub(crate) fn writable(&self) -> Result<&dyn Database, Error> {
        self.database.as_deref().ok_or_else(|| {
            Error::new(
                ErrorKind::ReadOnly,
                "the configuration file holds the state (control.source: file): change it there, or set \
                 control.source: database",
            )
        })
    }

    /// Checks what is to follow a state: by itself, then by what this gateway has.
    async fn check(&self, before: &Decree, after: &Decree) -> Result<(), Error> {
        after.validate_after(before, &self.hasher)?;
        match self.publisher.get() {
            Some(publisher) => publisher.check(before, after).await.map_err(Error::invalid),
            None => Ok(()),
        }
    }

    /// The newest version of the database; the one in force if that is it.
    async fn newest(&self, database: &dyn Database) -> Result<Arc<Version>, Error> {
        let live = self.live.load_full();
        let number = within(database.newest()).await?.unwrap_or(0);
        if number == live.number && number > 0 {
            return Ok(live);
        }
        let kept = within(database.version(number)).await?;
        let kept = kept.ok_or_else(|| Error::missing("version", &number.to_string()))?;
        Ok(Arc::new(Version { number, decree: parse(&kept)? }))
    }

    /// The first version: what was in force last, else what the configuration file holds.
    async fn seed(&self, database: &dyn Database) -> Result<Arc<Version>, Error> {
        let decree = match self.live.load().number {
            0 => self.seed.clone(),
            _ => self.live.load().decree.clone(),
        };
        let principal = Principal {
            id: "system".into(),
            name: "Gatehouse".into(),
            kind: PrincipalKind::System,
            ..Principal::default()
        };
        let author = Author { principal, via: "file", ..Author::default() };
        let message = "the first version, from the configuration file".to_owned();
        let action =
            Action { operation: "state/seed", kind: "state", message, ..Action::default() };
        let changes = compare(&Decree::default(), &decree);
        let version = Version { number: 1, decree };
        match self.keep(database, &version, (&author, &action), &changes).await {
            // Another gateway was first.
            Err(error) if error.kind() == ErrorKind::Stale => self.newest(database).await,
            kept => kept.map(|()| Arc::new(version)),
        }
    }

    /// Writes a version, its records before it counts. Is it not kept after all, that is a record too.
    async fn keep(
        &self,
        database: &dyn Database,
        version: &Version,
        (author, action): (&Author, &Action),
        changes: &[Change],
    ) -> Result<(), Error> {
        let decree = serde_json::to_string(&version.decree).map_err(Error::invalid)?;
        let line = VersionLine {
            version: version.number,
            created_at_us: now().unix_micros(),
            operation: action.operation.to_owned(),
            principal_id: author.principal.id.clone(),
            principal_name: author.principal.name.clone(),
            message: action.message.clone(),
        };
        let kept = Kept { line, decree };
        let records =
            record::changes(&self.ledger, (author, action), changes, Some(version.number));
        let added = within(database.add(&kept, Box::pin(records))).await;
        if let Err(error) = &added {
            let failed = Action { message: error.to_string(), ..action.clone() };
            record::action(&self.ledger, author, &failed, "failed").await?;
        }
        added?;
        let gone = version.number - i64::from(self.settings.versions_max.max(1));
        if let Err(error) = within(database.prune(gone)).await {
            tracing::warn!(%error, "old versions are still there");
        }
        Ok(())
    }

    pub(crate) fn lock_reason(&self) -> std::sync::MutexGuard<'_, String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_published(&self) -> std::sync::MutexGuard<'_, Option<(i64, Timestamp)>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(kept: &Kept) -> Result<Decree, Error> {
    serde_json::from_str(&kept.decree).map_err(|error| {
        Error::invalid(format!("version {} cannot be read: {error}", kept.line.version))
    })
}

pub(crate) async fn within<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| {
        let text = format!("the database of the desired state did not answer within {PATIENCE:?}");
        Err(Error::new(ErrorKind::Unavailable, text))
    })
}
