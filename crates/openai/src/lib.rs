//! What the API is: its operations and how a request is matched to one, what a body says, how a
//! stream becomes the answer it stands for, which texts, tokens and ids an interaction holds.
//!
//! Floor 1 and pure: no I/O, no clock, no runtime.

mod catalogue;
mod error;
mod identify;
mod kind;

pub use catalogue::{Catalogue, Operation};
pub use error::{Error, ErrorKind};
pub use identify::{Finding, Hint, Identified, PathIds, Problem};
pub use kind::{DeploymentSource, Family, Kind, Multipart, Pin, Statefulness, Streaming, Surface};
