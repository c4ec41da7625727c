//! The WebSocket protocol, as far as a relay needs it: handshakes, frames, and the client's end.

pub(crate) mod client;
pub(crate) mod frames;
pub(crate) mod handshake;
