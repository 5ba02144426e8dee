//! Runs the arrows from a spec and its lock to images.

pub mod farm;
pub mod graph;
pub mod local;
pub mod worker;
