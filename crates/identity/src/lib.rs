//! Credential to principal: tokens of Entra ID and other OIDC providers.
