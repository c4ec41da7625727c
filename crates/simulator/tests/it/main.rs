//! The simulator over loopback sockets, driven by a bare hyper client.

mod bench;
mod client;
mod faults;
mod load;
mod state;
mod streams;
mod unary;
