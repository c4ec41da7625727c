//! What has been used of the limits: reserved before a call, settled after it.
//!
//! A [`Limiter`] keeps the counters in memory, under one lock: a call is let in by all of its limits at
//! once or by none. What counts also stands in the ledger, as [`event::Charges`]; [`LimitProjection`]
//! turns that into the tables from which counters begin after a restart. Nothing here is written for
//! each call. With Redis, nodes divide each limit into shares (see [`Shares`]).

mod book;
mod limiter;
mod projection;
mod reservation;
mod shares;

pub use book::{COUNTERS_MAX, CounterState};
pub use limiter::Limiter;
pub use projection::LimitProjection;
pub use projection::node_name;
pub use reservation::{Reservation, Settlement};
pub use shares::Shares;

#[cfg(test)]
mod tests;
