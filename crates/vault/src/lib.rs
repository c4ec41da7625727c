//! Every secret: one interface over the homes where secrets live, and what backends are shown.
//!
//! Homes are environment and files, the embedded vault (a sealed file), Azure Key Vault, and OpenBao
//! or HashiCorp Vault. [`Vault`] fetches a secret from its home; a [`Credential`] follows its secret
//! or its Entra token. Not here: which secret is for what, which the configuration says.

mod call;
mod config;
mod credential;
mod current;
mod embedded;
mod entra;
mod error;
mod feed;
mod key_vault;
mod local;
mod openbao;
mod reference;
mod secret;
mod vault;

pub use config::{
    AppRoleConfig, CertificateConfig, ClientSecretConfig, EmbeddedConfig, Identity, KeyVaultConfig,
    ManagedIdentityConfig, MasterKey, OpenbaoConfig, VaultConfig, WorkloadIdentityConfig,
};
pub use credential::{Candidate, Carrier, Credential};
pub use embedded::{Embedded, Listed, VERSION as FORMAT_VERSION};
pub use error::{Error, ErrorKind};
pub use local::Local;
pub use reference::SecretRef;
pub use secret::Secret;
pub use vault::{CredentialSource, HomeStatus, Vault};
