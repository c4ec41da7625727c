//! Keeps one credential fed: fetches its secret or token ahead of time, and again after a failure.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::credential::Credential;
use crate::vault::{Fetched, Inner, Source};
use crate::{Error, ErrorKind};

/// Pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A token is not used in its last moments (a tenth of its life at most): it must hold when it arrives.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// Feeds a credential until stopped or nobody holds it.
pub(crate) async fn feed(
    vault: Arc<Inner>,
    credential: Weak<Credential>,
    source: Source,
    stop: CancellationToken,
) {
    let mut failures = 0;
    // A key on this machine was fetched when the credential was made.
    let mut wait = if source.is_local() { vault.refresh } else { Duration::ZERO };
    let mut news = vault.look_again.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = news.changed(), if source.is_local() => {}
            () = stop.cancelled() => return,
        }
        let fetched = vault.fetch(&source).await;
        let Some(credential) = credential.upgrade() else { return };
        wait = match fetched.and_then(|fetched| take(&credential, fetched, vault.refresh)) {
            Ok(wait) => {
                failures = 0;
                wait
            }
            Err((error, pause)) => {
                failures += 1;
                credential.failed(&error);
                after(failures, pause, error.kind())
            }
        };
    }
}

/// Time until it is to be fetched again.
fn take(
    credential: &Credential,
    fetched: Fetched,
    refresh: Duration,
) -> Result<Duration, (Error, Option<Duration>)> {
    let life = fetched.life;
    let ends_at =
        life.map(|life| Instant::now() + life.saturating_sub(TOKEN_MARGIN.min(life / 10)));
    credential.offer(fetched.secret, ends_at).map_err(|error| (error, None))?;
    // Ahead of its end, and not all nodes at the same moment.
    let whole = life.map_or(refresh, |life| life.mul_f64(0.8));
    Ok(whole.mul_f64(rand::random_range(0.85..=1.0)).max(Duration::from_millis(100)))
}

fn after(failures: u32, pause: Option<Duration>, kind: ErrorKind) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(PAUSE_MAX);
    // What must be mended by a person is not asked for in a hurry.
    let least = if kind == ErrorKind::Unavailable { PAUSE } else { PAUSE * 5 };
    let chance = rand::random_range(0.75..=1.0);
    pause.unwrap_or(doubled.max(least).mul_f64(chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_followed_by_longer_and_longer_pauses() {
        for (failures, low, high) in [(1, 750, 1_000), (2, 1_500, 2_000), (20, 45_000, 60_000)] {
            let wait = after(failures, None, ErrorKind::Unavailable).as_millis();
            assert!((low..=high).contains(&wait), "{failures}: {wait}");
        }
        let asked = Duration::from_secs(7);
        assert_eq!(after(1, Some(asked), ErrorKind::Unavailable), asked);
        assert!(after(1, None, ErrorKind::Denied) >= Duration::from_millis(3_750));
    }
}
