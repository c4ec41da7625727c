//! Which configuration file a command is about.

use std::path::PathBuf;

use clap::Args;

/// Which configuration file.
#[derive(Args, Debug, Clone)]
pub(crate) struct ConfigFile {
    /// Configuration file.
    #[arg(long, short, env = "GATEHOUSE_CONFIG", default_value = "gatehouse.yaml")]
    pub(crate) config: PathBuf,
}
