//! Whole-system stories: the binary as its users run it, the simulator as backend.

#[path = "../../src/http.rs"]
mod http;

mod backends;
mod command_line;
mod control;
mod crash;
mod damage;
mod full_disk;
mod invariants;
mod limits;
mod objects;
mod realtime;
mod reference;
mod refusals;
mod reload;
mod secrets;
mod seed_table;
mod size;
mod support;
