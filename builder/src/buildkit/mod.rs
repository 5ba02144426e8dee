//! Speaks to BuildKit: solves a graph on a daemon, hears of its progress, receives what it made.
//!
//! In goes a definition's bytes, out come [`Event`]s while it is solved and a directory of files at the end. One
//! connection carries everything of one daemon: solves, their progress, and the sessions over which a daemon calls
//! back. [`Gateway`] is the other side, spoken by a frontend that a daemon started.
//!
//! Nothing here knows what the operations of a graph mean, and nothing that a daemon sends is believed: messages,
//! paths, sizes and counts are bounded, files are made beneath one directory and nowhere else, and a daemon that says
//! nothing for long is lost.

mod address;
mod cache;
mod client;
mod connect;
mod error;
mod gateway;
mod receive;
mod session;
mod status;

pub use address::Address;
pub use cache::Cache;
pub use client::{Client, Daemon, Export, Options, Solve, Solved, Stop};
pub use connect::Tls;
pub use error::{Error, Failure, Unreachable};
pub use gateway::{Abilities, Gateway, GatewaySolve, ImageConfig, Reference, Returned};
pub use receive::{Limits, Received};
pub use session::Login;
pub use status::{Event, Vertex};
