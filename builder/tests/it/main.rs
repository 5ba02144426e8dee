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
mod distribution;
mod dpkg;
mod draw;
mod engines;
mod evidence;
mod golden;
mod help;
mod help_images;
mod hostile;
mod judges;
mod keystore;
mod language;
mod layout;
mod look;
mod map;
mod outputs;
mod pipes;
mod policy;
mod private;
mod program;
mod publish;
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
mod tls;
mod vendor;
mod verify;
mod world;
