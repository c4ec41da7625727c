//! What the tests of several crates need: ports of their own, a real Redis.

mod port;
mod redis;

pub use port::free_port;
pub use redis::RedisServer;
