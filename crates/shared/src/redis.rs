//! The connection to Redis or Valkey, through which nodes know things together.
//!
//! It is dialled by `net`, so egress rules hold for it. One connection carries all calls; a broken one
//! is dialled anew at the next call, but not more often than every [`REDIAL_PAUSE`].

use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, FromRedisValue, RedisConnectionInfo, ScriptInvocation};
use http::Uri;
use net::{ClientConfig, Connector, EgressRules, Http2Mode};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::{Error, ErrorKind};

/// Between two attempts to dial; calls in between fail at once.
const REDIAL_PAUSE: Duration = Duration::from_millis(500);

/// Where Redis is, and how it is spoken to.
#[derive(Clone, Debug, Default)]
pub struct RedisSettings {
    /// `redis://host:port/database`, or `rediss://` over TLS.
    pub url: String,
    /// User name; empty for the default user.
    pub username: String,
    /// Password; empty for none.
    pub password: RedisPassword,
    /// How it is connected to: the authorities to trust.
    pub ca_file: std::path::PathBuf,
    /// Longest wait for a connection, and for an answer.
    pub timeout: Duration,
}

/// A password that shows itself to nobody.
#[derive(Clone, Default)]
pub struct RedisPassword(pub String);

/// Redis, dialled when needed.
pub struct Redis {
    connector: Connector,
    login: RedisConnectionInfo,
    timeout: Duration,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    connected_at: Option<Instant>,
    failed_at: Option<Instant>,
    /// Connections made so far: who sees another number than before has to say again what it holds.
    generation: u64,
}

struct Connection {
    handle: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Redis {
    /// Checks the settings; dials nothing yet.
    pub fn new(settings: &RedisSettings, rules: EgressRules) -> Result<Self, Error> {
        let wrong = |why: &str| {
            let text = format!(
                "`{}` {why}: give a URL such as redis://host:6379/0, or rediss:// over TLS",
                settings.url
            );
            Error::new(ErrorKind::Invalid, text)
        };
        let uri: Uri = settings.url.parse().map_err(|_| wrong("is no URL"))?;
        let scheme = match uri.scheme_str() {
            Some("redis") => "http",
            Some("rediss") => "https",
            _ => return Err(wrong("is neither redis nor rediss")),
        };
        let host = uri.host().ok_or_else(|| wrong("has no host"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("holds a user name or password, which have fields of their own"));
        }
        let database = match uri.path().trim_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| wrong("has a database that is no number"))?,
        };
        let base = format!("{scheme}://{host}:{}", uri.port_u16().unwrap_or(6379));
        let base: Uri = base.parse().map_err(|_| wrong("is no URL"))?;
        let config = ClientConfig {
            http2: Http2Mode::Never,
            ca_file: settings.ca_file.clone(),
            ..ClientConfig::default()
        };
        let connector = Connector::new(&base, &config, rules).map_err(|error| {
            Error::new(ErrorKind::Invalid, "cannot prepare for Redis").with_source(error)
        })?;
        let mut login = RedisConnectionInfo::default().set_db(database);
        if !settings.username.is_empty() {
            login = login.set_username(&settings.username);
        }
        if !settings.password.0.is_empty() {
            login = login.set_password(&settings.password.0);
        }
        Ok(Self { connector, login, timeout: settings.timeout, link: Mutex::default() })
    }

    /// Connections made so far, this one included. Dials if there is none.
    pub async fn generation(&self) -> Result<u64, Error> {
        self.handle().await.map(|(_, generation)| generation)
    }

    /// How long the connection has stood; none if there is none.
    pub(crate) async fn connected_for(&self) -> Option<Duration> {
        let link = self.link.lock().await;
        link.connection.as_ref()?;
        link.connected_at.map(|connected_at| connected_at.elapsed())
    }

    /// Runs a script.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        let (mut handle, generation) = self.handle().await?;
        let answer = tokio::time::timeout(self.timeout, script.invoke_async(&mut handle)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // The connection is as good as before if only the script failed, as it does for want of memory.
                if error.code().is_none() {
                    self.give_up(generation).await;
                }
                Err(unavailable("Redis answered with an error").with_source(error))
            }
            Err(_) => {
                self.give_up(generation).await;
                Err(unavailable("Redis did not answer in time"))
            }
        }
    }

    async fn handle(&self) -> Result<(MultiplexedConnection, u64), Error> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection
            && !connection.driver.is_finished()
        {
            return Ok((connection.handle.clone(), link.generation));
        }
        link.connection = None;
        if link.failed_at.is_some_and(|failed_at| failed_at.elapsed() < REDIAL_PAUSE) {
            return Err(unavailable("Redis was not reached a moment ago"));
        }
        let dialled = tokio::time::timeout(self.timeout, self.dial()).await;
        let dialled = dialled.unwrap_or_else(|_| Err(unavailable("Redis was not reached in time")));
        match dialled {
            Ok(connection) => {
                link.failed_at = None;
                link.connected_at = Some(Instant::now());
                link.generation += 1;
                let handle = connection.handle.clone();
                link.connection = Some(connection);
                Ok((handle, link.generation))
            }
            Err(error) => {
                link.failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    async fn dial(&self) -> Result<Connection, Error> {
        let stream = self.connector.open().await;
        let stream =
            stream.map_err(|error| unavailable("Redis cannot be reached").with_source(error))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.timeout));
        let made = MultiplexedConnection::new_with_config(&self.login, stream, config).await;
        let (handle, driver) =
            made.map_err(|error| unavailable("Redis refused the login").with_source(error))?;
        Ok(Connection { handle, driver: tokio::spawn(driver) })
    }

    async fn give_up(&self, generation: u64) {
        let mut link = self.link.lock().await;
        if link.generation == generation {
            link.connection = None;
            link.failed_at = Some(Instant::now());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for RedisPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisPassword")
    }
}

fn unavailable(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, what)
}
