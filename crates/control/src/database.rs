//! Where versions, the directory and approvals are kept: SQLite in the data folder, or PostgreSQL.
//!
//! Both speak the same SQL here. A version is a whole document; it is added, never changed. Users and
//! groups are rows; each change of them makes a generation.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row, SqlSafeStr};

use crate::approval::{Approval, ApprovalState};
use crate::error::{Error, ErrorKind};

/// Connections open at once.
const CONNECTIONS_MAX: u32 = 4;
/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Generations for which it is remembered what was deleted. A gateway that is further behind reads the
/// whole directory.
pub(crate) const DELETED_KEPT: i64 = 10_000;
/// Approvals kept; the oldest give way.
pub(crate) const APPROVALS_MAX: i64 = 1_024;

/// Where the state is kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file, which one gateway uses.
    Sqlite(PathBuf),
    /// A server, which several gateways share.
    Postgres(Box<PgConnectOptions>),
}

impl Place {
    /// A PostgreSQL server, from its URL and a password that stands elsewhere.
    pub fn postgres(url: &str, password: Option<&str>) -> Result<Self, String> {
        if holds_password(url) {
            return Err("it holds a password, which has a field of its own: `password`".to_owned());
        }
        let fix = "write it like postgres://user@host:5432/database";
        // sqlx takes any scheme.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(format!("it is no URL of a PostgreSQL server: {fix}"));
        }
        let options = url.parse::<PgConnectOptions>().map_err(|error| format!("{error}: {fix}"))?;
        let options = match password {
            Some(password) => options.password(password),
            None => options,
        };
        Ok(Self::Postgres(Box::new(options)))
    }
}

/// `user:password@` or a parameter `password`.
fn holds_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || rest.to_ascii_lowercase().contains("password=")
}

/// A version as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) line: VersionLine,
    /// The decree, in JSON.
    pub(crate) decree: String,
}

/// A version without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VersionLine {
    /// Its number, from 1 without gaps.
    pub version: i64,
    /// When it was made, in microseconds since 1970 in UTC.
    pub created_at_us: i64,
    /// What made it, as a noun and a verb.
    pub operation: String,
    /// Id of who made it.
    pub principal_id: String,
    /// Name of who made it.
    pub principal_name: String,
    /// What it was made for, in the words of who made it.
    pub message: String,
}

/// A user or group as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryRow {
    pub(crate) id: String,
    /// JSON; empty if it was deleted.
    pub(crate) document: String,
}

/// What must be done after a version is written and before it counts.
pub(crate) type BeforeCommit<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

#[async_trait]
pub(crate) trait Database: Send + Sync {
    /// Makes the tables.
    async fn prepare(&self) -> Result<(), Error>;
    /// Number of the newest version; none before the first.
    async fn newest(&self) -> Result<Option<i64>, Error>;
    async fn version(&self, number: i64) -> Result<Option<Kept>, Error>;
    /// The versions below `before`, newest first.
    async fn versions(&self, before: i64, limit: i64) -> Result<Vec<VersionLine>, Error>;
    /// Adds a version unless its number is taken; `before_commit` may still prevent it.
    async fn add(&self, version: &Kept, before_commit: BeforeCommit<'_>) -> Result<(), Error>;
    /// Gives up versions up to this number.
    async fn prune(&self, up_to: i64) -> Result<(), Error>;
    /// The generation of the directory, and what changed after another.
    async fn directory(&self, after: i64) -> Result<(i64, Vec<DirectoryRow>), Error>;
    /// Makes the next generation unless there is one; `before_commit` may still prevent it.
    async fn change_directory(
        &self,
        generation: i64,
        rows: &[DirectoryRow],
        before_commit: BeforeCommit<'_>,
    ) -> Result<(), Error>;
    /// The approvals that are kept, newest first.
    async fn approvals(&self) -> Result<Vec<Approval>, Error>;
    /// Adds one, or changes one that waits; the oldest beyond `kept_max` go. `before_commit` may still prevent
    /// it.
    async fn keep_approval(
        &self,
        approval: &Approval,
        kept_max: i64,
        before_commit: BeforeCommit<'_>,
    ) -> Result<(), Error>;
    async fn close(&self);
}

/// Opens the place; nothing is dialled before it is needed.
pub(crate) fn open(place: &Place) -> Arc<dyn Database> {
    match place {
        Place::Sqlite(file) => {
            let options = SqliteConnectOptions::new()
                .filename(file)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(PATIENCE);
            let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX);
            Arc::new(Sqlite(pool.acquire_timeout(PATIENCE).connect_lazy_with(options)))
        }
        Place::Postgres(options) => {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
            let options = (**options).clone().application_name("gatehouse");
            Arc::new(Postgres(pool.acquire_timeout(PATIENCE).connect_lazy_with(options)))
        }
    }
}

struct Sqlite(SqlitePool);
struct Postgres(PgPool);

fn migrator() -> Migrator {
    let steps = [
        ("versions", include_str!("../migrations/1_versions.sql").into_sql_str()),
        ("directory", include_str!("../migrations/2_directory.sql").into_sql_str()),
        ("approvals", include_str!("../migrations/3_approvals.sql").into_sql_str()),
    ];
    let migrations = (1..).zip(steps).map(|(number, (name, statements))| {
        Migration::new(number, name.into(), MigrationType::Simple, statements, false)
    });
    Migrator::with_migrations(migrations.collect())
}

macro_rules! version_line {
    ($row:expr) => {
        VersionLine {
            version: $row.try_get(0)?,
            created_at_us: $row.try_get(1)?,
            operation: $row.try_get(2)?,
            principal_id: $row.try_get(3)?,
            principal_name: $row.try_get(4)?,
            message: $row.try_get(5)?,
        }
    };
}
/// The same statements for both: sqlx has no type that stands for either.
macro_rules! speak {
    ($database:ident) => {
        #[async_trait]
        impl Database for $database {
            async fn prepare(&self) -> Result<(), Error> {
                migrator().run(&self.0).await.map_err(|error| {
                    let text = format!("the database of the desired state: {error}");
                    Error::new(ErrorKind::Unavailable, text)
                })
            }

            async fn newest(&self) -> Result<Option<i64>, Error> {
                let statement = sqlx::query_scalar("SELECT MAX(number) FROM versions");
                Ok(statement.fetch_one(&self.0).await?)
            }

            async fn version(&self, number: i64) -> Result<Option<Kept>, Error> {
                let statement = sqlx::query(
                    "SELECT number, created_at, operation, principal_id, principal_name, message, \
                     decree FROM versions WHERE number = $1",
                );
                let row = statement.bind(number).fetch_optional(&self.0).await?;
                row.map(|row| Ok(Kept { line: version_line!(row), decree: row.try_get(6)? }))
                    .transpose()
            }

            async fn versions(&self, before: i64, limit: i64) -> Result<Vec<VersionLine>, Error> {
                let statement = sqlx::query(
                    "SELECT number, created_at, operation, principal_id, principal_name, message \
                     FROM versions WHERE number < $1 ORDER BY number DESC LIMIT $2",
                );
                let rows = statement.bind(before).bind(limit).fetch_all(&self.0).await?;
                rows.iter().map(|row| Ok(version_line!(row))).collect()
            }

            async fn add(
                &self,
                version: &Kept,
                before_commit: BeforeCommit<'_>,
            ) -> Result<(), Error> {
                let mut transaction = self.0.begin().await?;
                let line = &version.line;
                let added = sqlx::query(
                    "INSERT INTO versions (number, created_at, operation, principal_id, \
                     principal_name, message, decree) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(line.version)
                .bind(line.created_at_us)
                .bind(&line.operation)
                .bind(&line.principal_id)
                .bind(&line.principal_name)
                .bind(&line.message)
                .bind(&version.decree)
                .execute(&mut *transaction)
                .await;
                match added {
                    Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                        return Err(Error::new(
                            ErrorKind::Stale,
                            "the state was changed meanwhile, through another gateway: try again",
                        ));
                    }
                    added => added?,
                };
                before_commit.await?;
                Ok(transaction.commit().await?)
            }

            async fn prune(&self, up_to: i64) -> Result<(), Error> {
                let statement = sqlx::query("DELETE FROM versions WHERE number <= $1");
                statement.bind(up_to).execute(&self.0).await?;
                Ok(())
            }

            async fn directory(&self, after: i64) -> Result<(i64, Vec<DirectoryRow>), Error> {
                let statement = sqlx::query_scalar("SELECT generation FROM directory_state");
                let generation: i64 = statement.fetch_one(&self.0).await?;
                if generation == after {
                    return Ok((generation, Vec::new()));
                }
                let statement = sqlx::query(
                    "SELECT id, document FROM directory WHERE generation > $1 AND generation <= $2 \
                     AND (is_deleted = 0 OR $1 > 0) ORDER BY id",
                );
                let rows = statement.bind(after).bind(generation).fetch_all(&self.0).await?;
                let row = |row: &_| {
                    Ok(DirectoryRow {
                        id: Row::try_get(row, 0)?,
                        document: Row::try_get(row, 1)?,
                    })
                };
                Ok((generation, rows.iter().map(row).collect::<Result<_, sqlx::Error>>()?))
            }

            async fn change_directory(
                &self,
                generation: i64,
                rows: &[DirectoryRow],
                before_commit: BeforeCommit<'_>,
            ) -> Result<(), Error> {
                let mut transaction = self.0.begin().await?;
                let counted = sqlx::query(
                    "UPDATE directory_state SET generation = generation + 1 WHERE generation = $1",
                );
                let counted = counted.bind(generation).execute(&mut *transaction).await?;
                if counted.rows_affected() == 0 {
                    return Err(Error::stale());
                }
                for row in rows {
                    sqlx::query(
                        "INSERT INTO directory (id, generation, is_deleted, document) \
                         VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET \
                         generation = excluded.generation, is_deleted = excluded.is_deleted, \
                         document = excluded.document",
                    )
                    .bind(&row.id)
                    .bind(generation + 1)
                    .bind(i64::from(row.document.is_empty()))
                    .bind(&row.document)
                    .execute(&mut *transaction)
                    .await?;
                }
                // Others have long seen what was deleted so long ago.
                sqlx::query("DELETE FROM directory WHERE is_deleted = 1 AND generation < $1")
                    .bind(generation - DELETED_KEPT)
                    .execute(&mut *transaction)
                    .await?;
                before_commit.await?;
                Ok(transaction.commit().await?)
            }

            async fn approvals(&self) -> Result<Vec<Approval>, Error> {
                let statement = sqlx::query(
                    "SELECT id, state, purpose, requester_id, requester_name, requested_at, \
                     approver_id, approver_name, ends_at FROM approvals \
                     ORDER BY requested_at DESC, id DESC LIMIT $1",
                );
                let rows = statement.bind(APPROVALS_MAX).fetch_all(&self.0).await?;
                let row = |row: &_| {
                    Ok(Approval {
                        id: Row::try_get(row, 0)?,
                        state: ApprovalState::of_word(Row::try_get(row, 1)?),
                        purpose: Row::try_get(row, 2)?,
                        requester_id: Row::try_get(row, 3)?,
                        requester_name: Row::try_get(row, 4)?,
                        requested_at_s: Row::try_get(row, 5)?,
                        approver_id: Row::try_get(row, 6)?,
                        approver_name: Row::try_get(row, 7)?,
                        ends_at_s: Row::try_get(row, 8)?,
                    })
                };
                Ok(rows.iter().map(row).collect::<Result<_, sqlx::Error>>()?)
            }

            async fn keep_approval(
                &self,
                approval: &Approval,
                kept_max: i64,
                before_commit: BeforeCommit<'_>,
            ) -> Result<(), Error> {
                let mut transaction = self.0.begin().await?;
                let kept = sqlx::query(
                    "INSERT INTO approvals (id, state, purpose, requester_id, requester_name, \
                     requested_at, approver_id, approver_name, ends_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET \
                     state = excluded.state, approver_id = excluded.approver_id, \
                     approver_name = excluded.approver_name, ends_at = excluded.ends_at \
                     WHERE approvals.state = 'waiting'",
                )
                .bind(&approval.id)
                .bind(approval.state.word())
                .bind(&approval.purpose)
                .bind(&approval.requester_id)
                .bind(&approval.requester_name)
                .bind(approval.requested_at_s)
                .bind(&approval.approver_id)
                .bind(&approval.approver_name)
                .bind(approval.ends_at_s)
                .execute(&mut *transaction)
                .await?;
                if kept.rows_affected() == 0 {
                    return Err(Error::conflict(
                        "it was decided meanwhile: list approvals to see how",
                    ));
                }
                sqlx::query(
                    "DELETE FROM approvals WHERE id NOT IN (SELECT id FROM approvals \
                     ORDER BY requested_at DESC, id DESC LIMIT $1)",
                )
                .bind(kept_max)
                .execute(&mut *transaction)
                .await?;
                before_commit.await?;
                Ok(transaction.commit().await?)
            }

            async fn close(&self) {
                self.0.close().await;
            }
        }
    };
}

speak!(Sqlite);
speak!(Postgres);
