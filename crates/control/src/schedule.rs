//! What happens by itself: other gateways' versions, expiry, the end of a grace.

use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::record::now;

impl Control {
    /// Looks for versions of other gateways and for what has expired, until stopped.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.0.settings.poll) => {}
                () = stop.cancelled() => break,
            }
            // What is wrong stands in the status.
            let _ = self.look().await;
            self.keep_directory().await;
            if self.is_due() {
                self.publish().await;
            }
        }
        self.keep_directory_at_the_end().await;
        self.0.approvals.close().await;
    }

    fn is_due(&self) -> bool {
        let live = self.live();
        match *self.0.lock_published() {
            Some((version, at)) if version == live.number => {
                live.decree.next_change(at).is_some_and(|change| change <= now())
            }
            // It never was, or it failed.
            _ => true,
        }
    }

    /// Puts the state of this moment in force.
    pub(crate) async fn publish(&self) {
        let Some(publisher) = self.0.publisher.get() else { return };
        let (live, at) = (self.live(), now());
        match publisher.publish(live.decree.at(at)).await {
            Ok(()) => *self.0.lock_published() = Some((live.number, at)),
            Err(error) => {
                tracing::error!(
                    error,
                    version = live.number,
                    "the state is not in force, it is tried again"
                );
            }
        }
    }
}
