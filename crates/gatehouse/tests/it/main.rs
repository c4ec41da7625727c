//! Whole-system stories: the binary as its users run it, the simulator as backend.

#[path = "../../src/http.rs"]
#[expect(dead_code, reason = "the command line saves files, tests do not")]
mod http;

mod alert_rules;
mod backends;
mod budgets;
mod canaries;
mod command_line;
mod control;
mod cost;
mod crash;
mod damage;
mod dashboards;
mod erasing;
mod full_disk;
mod invariants;
mod language;
mod limits;
mod lock_down;
mod objects;
mod outages;
mod proxy;
mod realtime;
mod reference;
mod refusals;
mod reload;
mod reports;
mod rerate;
mod secrets;
mod seed_table;
mod signed;
mod sinks;
mod size;
mod stand;
mod support;
mod waf;
