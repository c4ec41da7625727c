//! The ledger as a whole, killed, cut, flipped and filled up.

mod crash;
mod erasing;
mod failure;
mod fixture;
mod proof;
mod serving;
mod signed;
mod support;
