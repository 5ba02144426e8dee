//! The one integration binary: what the program and the repository promise from outside.
//!
//! The group `real` needs the archive that this machine's apt is set up for, and the tools that `.ci/run` installs.

mod apt;
mod archives;
mod bad;
mod container;
mod deb;
mod golden;
mod help;
mod look;
mod map;
mod private;
mod program;
mod readme;
mod real;
mod regression;
mod same;
mod signing;
mod world;
