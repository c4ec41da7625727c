//! Tests with keys and tokens of their own.

mod attacks;
mod provider;
mod signer;
