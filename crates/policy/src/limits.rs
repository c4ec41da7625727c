//! What an administrator decrees that calls may use, and the arithmetic of it.
//!
//! A [`Limit`] says how much of one [`Measure`] fits into one [`Window`]; a [`Counter`] is what has
//! been used of it under one value of its key. Who keeps counters, and over how many nodes, is not
//! decided here.

mod allowance;
mod config;
mod counter;
mod exceeded;
mod limit;
mod window;

pub use allowance::{Allowance, Applied, CallKey};
pub use config::{KeyPart, LimitConfig, QuotaPeriod, Usd};
pub use counter::Counter;
pub use exceeded::Exceeded;
pub use limit::{Estimate, Fit, Limit, LimitHeaders, Measure, Need, Used};
pub use window::Window;

#[cfg(test)]
mod tests;
