//! What the tests of several crates need: ports of their own, a real Redis, a real PostgreSQL.

mod port;
mod postgres;
mod redis;

pub use port::free_port;
pub use postgres::PostgresServer;
pub use redis::RedisServer;
