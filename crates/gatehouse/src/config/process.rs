//! What the serving process may do.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the serving process may do on its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProcessConfig {
    /// On Linux, leave the process only the paths that it needs (landlock): it writes below `data_dir`
    /// and the folders of `reports` alone, reads the folders of this file and of the files named in it, and those of
    /// the system, and runs no program.
    pub(crate) lock_down: bool,
    /// Further files and folders that it may read then, such as those that a later reload will name.
    pub(crate) readable: Vec<PathBuf>,
}
