//! Credential to identity: tokens of Entra ID and other OIDC providers.
//!
//! Whether a token is genuine and for us is decided here, by pure functions over the token, the
//! provider's keys and the time ([`Verifier`] adds the cache of keys, of groups and of tokens already
//! verified). What its holder may do is decided in `policy`.

mod config;
mod directory;
mod fetch;
mod graph;
mod groups;
mod identity;
mod json;
mod keys;
mod password;
mod provider;
mod rejection;
mod settings;
mod token;
mod tokens;
mod verifier;

pub use config::{ClaimNames, GraphConfig, IdentityConfig, ProviderConfig};
pub use directory::{Directory, DirectoryUser};
pub use graph::GraphAccess;
pub use identity::Identity;
pub use password::{hash_password, is_password};
pub use provider::{Endpoints, ProviderState, ProviderStatus};
pub use rejection::{Reason, Rejection};
pub use settings::ConfigError;
pub use token::looks_like_jwt;
pub use verifier::Verifier;

#[cfg(test)]
mod tests;
