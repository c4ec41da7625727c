//! A faithful stand-in for Azure OpenAI and OpenAI, for demonstrations, tests and load: the same paths, headers,
//! errors, annotations and streams, with answers drawn from a seed. It is not a model, and holds no secrets.
//!
//! What a test can ask of it:
//! - the header (or body field) `x-sim-tokens` sets the length of an answer in tokens;
//! - the header `x-sim-fault` makes a request go wrong, see [`Fault`];
//! - the header `x-sim-cached-tokens` says how many tokens of a prompt were cached;
//! - the words `SIM-FILTER-PROMPT`, `SIM-FILTER-COMPLETION`, `SIM-FILTER-ERROR` and `SIM-JAILBREAK` in a prompt
//!   trigger the content filter on Azure's paths;
//! - a tool is called when `tool_choice` demands it, or the last user message names it, a part of its name, or
//!   the word `tool`;
//! - realtime sessions answer over a WebSocket, as the Responses API does; speech is committed by the client, there
//!   is no voice detection;
//! - jobs (batches, fine-tuning, runs, background responses) move on each time they are asked for.
//!
//! Nothing is kept beyond the limits in [`SimulatorConfig`]; the content of files above
//! [`file_bytes_kept_max`](SimulatorConfig::file_bytes_kept_max) is counted and hashed but not kept, and asking for
//! it is an error that says so.

mod assistants;
mod audio;
mod batches;
mod call;
mod chat;
mod chat_fast;
mod chat_stream;
mod chatkit;
mod checkpoints;
mod completions;
mod config;
mod conversations;
mod deployments;
mod dialect;
mod embeddings;
mod entry;
mod failure;
mod fault;
mod files;
mod filter;
mod fine_tuning;
mod graders;
mod headers;
mod images;
mod ingestion;
mod instance;
mod limits;
mod media;
mod models;
mod operations;
mod others;
mod paging;
mod payload;
mod plan;
mod realtime;
mod realtime_calls;
mod realtime_secrets;
mod record;
mod responses;
mod responses_socket;
mod responses_stream;
mod route;
mod runs;
mod schema;
mod script;
mod server;
mod simulator;
mod skills;
mod store;
mod text;
mod threads;
mod tokens;
mod uploads;
mod usage;
mod vector_stores;
mod videos;
mod voices;
mod websocket;

pub use config::{
    Deployment, DeploymentKind, LatencyModel, SimulatorConfig, Strictness, TlsIdentity, Tokenizer,
};
pub use fault::{Fault, FaultError};
pub use record::ReceivedRequest;
pub use simulator::Simulator;
pub use usage::Used;
