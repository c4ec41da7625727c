//! What requests, and nodes, know together: where objects are at home, what of a limit is spent.
//!
//! Each is a projection of the ledger: a [`Follower`] reads its frames and applies them to a
//! [`Snapshot`], one redb file, in whose transactions the ledger's cursor moves too. So every frame
//! counts once, whatever crashes, and a lost snapshot is made anew from the ledger as far as it is
//! kept. [`Notes`] and [`SecurityLog`] go the other way: what parts of the gateway note beside
//! interactions becomes frames. Not here: who decides by it (gateway, policy).

mod error;
mod follower;
mod leased;
mod limits;
mod notes;
mod objects;
mod redis;
mod security;
mod snapshot;

pub use self::redis::{Redis, RedisPassword, RedisSettings};
pub use error::{Error, ErrorKind};
pub use follower::{Follower, Projection};
pub use leased::{Lease, LeasedText};
pub use limits::{
    COUNTERS_MAX, CounterState, LimitProjection, Limiter, Reservation, Settlement, Shares,
    node_name,
};
pub use notes::{Noted, Notes};
pub use objects::{Directory, Known, LISTED_MAX, Objects, Owned};
pub use security::{SecurityLog, denied_dial};
pub use snapshot::Snapshot;

#[cfg(test)]
mod tests;
