//! The one integration binary: what the program and the repository promise from outside.
//!
//! The group `real` needs the archive that this machine's apt is set up for, and the tools that `.ci/run` installs.

mod bad;
mod base;
mod container;
mod deb;
mod golden;
mod help;
mod layout;
mod look;
mod map;
mod policy;
mod program;
mod readme;
mod real;
mod regression;
mod same;
mod signing;
mod world;
