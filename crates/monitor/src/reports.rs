//! Scheduled reports: a query over the last whole day, week or month, as a file, by mail or into a folder.
//!
//! [`schedule`] and [`agenda`] are pure: time is an argument and their state can be written down. The
//! [`Reporter`] asks queries, keeps the state, delivers and puts on record what it did.

mod agenda;
mod config;
mod page;
mod reporter;
mod schedule;

pub use config::{ReportConfig, validate_reports};
pub use reporter::{ReportStatus, Reporter, ReporterParts};
pub use schedule::{Every, ReportFormat, Weekday};

#[cfg(test)]
pub(crate) mod tests;
