//! Runs the arrows from a spec and its lock to images.

pub mod local;
