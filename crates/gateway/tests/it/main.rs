//! The gateway as clients, backends and auditors see it: real sockets, the simulator or a scripted
//! backend behind it, and what stands in the ledger afterwards.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is its failure")]

mod answers;
mod backends;
mod doctor;
mod edge;
mod edge_limits;
mod failover;
mod frames;
mod http2_floods;
mod limits;
mod network;
mod nodes;
mod objects;
mod recording;
mod refusals;
mod reload;
mod replay;
mod sessions;
mod smuggling;
mod support;
mod tokens;
mod transports;
mod uploads;
mod usage;
mod waf;
