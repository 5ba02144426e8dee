//! The one integration binary: what the program and the repository promise from outside.
//!
//! The group `real` needs the archive that this machine's apt is set up for, and the tools that `.ci/run` installs.

mod apt;
mod archives;
mod bad;
mod base;
mod class;
mod container;
mod deb;
mod dpkg;
mod draw;
mod engines;
mod golden;
mod help;
mod hostile;
mod keystore;
mod language;
mod layout;
mod learn;
mod look;
mod map;
mod more_services;
mod outputs;
mod pipes;
mod policy;
mod private;
mod program;
mod readme;
mod real;
mod registry;
mod regression;
mod same;
mod server;
mod services;
mod shares;
mod signals;
mod signing;
mod slices;
mod test_command;
mod tls;
mod vendor;
mod world;
