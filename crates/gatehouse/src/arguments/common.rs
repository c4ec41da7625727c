//! Arguments that many commands take.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which configuration file.
#[derive(Args, Debug, Clone)]
pub(crate) struct ConfigFile {
    /// Configuration file.
    #[arg(long, short, env = "GATEHOUSE_CONFIG", default_value = "gatehouse.yaml")]
    pub(crate) config: PathBuf,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Aligned columns, for people.
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// Comma-separated values (RFC 4180) with a header line.
    Csv,
}
