//! The one integration binary: what the program and the repository promise from outside.
//!
//! The group `real` needs the archive that this machine's apt is set up for, and the tools that `.ci/run` installs.

mod bad;
mod class;
mod container;
mod deb;
mod dpkg;
mod draw;
mod golden;
mod help;
mod keystore;
mod look;
mod map;
mod program;
mod readme;
mod real;
mod regression;
mod same;
mod services;
mod shares;
mod signing;
mod tls;
mod world;
