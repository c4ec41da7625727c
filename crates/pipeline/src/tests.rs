//! Tests of the whole way from frames to rows, with a sink in memory.

mod bodies;
mod cost;
mod erased;
mod kinds;
mod live;
mod once;
mod outcomes;
mod sessions;
mod sink;
mod story;
