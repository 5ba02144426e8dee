//! The one integration binary: what the program and the repository promise from outside.
//!
//! The group `real` needs the archive that this machine's apt is set up for, and the tools that `.ci/run` installs.

mod bad;
mod container;
mod deb;
mod golden;
mod help;
mod language;
mod look;
mod map;
mod program;
mod readme;
mod real;
mod regression;
mod same;
mod signing;
mod world;
