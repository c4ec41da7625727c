//! Where a secret is found; the secret itself never stands in the configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a secret is found; the secret itself never stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// Environment variable.
    Env(String),
    /// File; white space at its end does not count.
    File(PathBuf),
    /// Name in the embedded vault; `gatehouse vault set NAME` puts it there.
    Vault(String),
    /// Secret in an Azure Key Vault.
    KeyVault {
        /// Name of the Key Vault, or its URL where it is not in Azure's public cloud.
        vault: String,
        /// Name of the secret.
        name: String,
        /// Version of the secret; the latest if this is left out.
        #[serde(default)]
        version: String,
    },
    /// Field of a secret in OpenBao or HashiCorp Vault, key-value engine version 2.
    Openbao {
        /// Where the engine is mounted.
        #[serde(default = "secret")]
        mount: String,
        /// Path of the secret below the mount.
        path: String,
        /// Field of the secret.
        #[serde(default = "value")]
        field: String,
    },
}

fn secret() -> String {
    "secret".to_owned()
}

fn value() -> String {
    "value".to_owned()
}

impl SecretRef {
    /// Makes a path relative to the folder of the configuration.
    pub fn resolve_path(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&path);
        }
    }

    /// It is at hand without asking another machine.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Env(_) | Self::File(_) | Self::Vault(_))
    }

    /// Name of its home, for people.
    pub const fn home(&self) -> &'static str {
        match self {
            Self::Env(_) => "environment",
            Self::File(_) => "file",
            Self::Vault(_) => "embedded vault",
            Self::KeyVault { .. } => "Azure Key Vault",
            Self::Openbao { .. } => "OpenBao",
        }
    }
}

/// Home and name, never the secret.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Vault(name) => write!(f, "secret `{name}` of the embedded vault"),
            Self::KeyVault { vault, name, version } if version.is_empty() => {
                write!(f, "secret `{name}` of Key Vault {vault}")
            }
            Self::KeyVault { vault, name, version } => {
                write!(f, "version {version} of secret `{name}` of Key Vault {vault}")
            }
            Self::Openbao { mount, path, field } => {
                write!(f, "field `{field}` of OpenBao's {mount}/{path}")
            }
        }
    }
}
