//! Why a token is not accepted, in the words of API Management's `validate-jwt`.

use std::fmt;

/// Why, as a word that does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is no token, or one that must not be trusted whoever signed it.
    JwtInvalid,
    /// The signature does not belong to it.
    TokenSignatureInvalid,
    /// The key that signed it is none of the provider's.
    TokenSignatureKeyNotFound,
    /// It is for somebody else.
    TokenAudienceNotAllowed,
    /// No provider that is trusted issued it.
    TokenIssuerNotAllowed,
    /// Its time is over.
    TokenExpired,
    /// It lacks a claim.
    TokenClaimNotFound,
    /// A claim has a value that is not allowed.
    TokenClaimValueNotAllowed,
    /// The organisation's directory has deactivated or deleted the user.
    UserDeactivated,
    /// The provider cannot be reached, and what is known of its keys is too old or lacks the token's:
    /// no fault of the token.
    IdentityProviderUnavailable,
}

/// A token is not accepted. The message is for the caller and holds nothing of the token's but names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// Why, and what mends it.
    pub message: String,
}

impl Reason {
    /// The name as records and errors write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JwtInvalid => "JwtInvalid",
            Self::TokenSignatureInvalid => "TokenSignatureInvalid",
            Self::TokenSignatureKeyNotFound => "TokenSignatureKeyNotFound",
            Self::TokenAudienceNotAllowed => "TokenAudienceNotAllowed",
            Self::TokenIssuerNotAllowed => "TokenIssuerNotAllowed",
            Self::TokenExpired => "TokenExpired",
            Self::TokenClaimNotFound => "TokenClaimNotFound",
            Self::TokenClaimValueNotAllowed => "TokenClaimValueNotAllowed",
            Self::UserDeactivated => "UserDeactivated",
            Self::IdentityProviderUnavailable => "IdentityProviderUnavailable",
        }
    }
}

impl Rejection {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Reason::JwtInvalid, message)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name(), self.message)
    }
}

impl std::error::Error for Rejection {}
