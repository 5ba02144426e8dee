//! One file per command: its flags, and a function that calls the library and prints the answer.

pub(crate) mod add;
pub(crate) mod attach;
pub(crate) mod attest;
pub(crate) mod audit;
pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod fetch;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod lock;
pub(crate) mod man;
pub(crate) mod outdated;
pub(crate) mod push;
pub(crate) mod release;
pub(crate) mod remove;
pub(crate) mod sbom;
pub(crate) mod schema;
pub(crate) mod sign;
pub(crate) mod vendor;
pub(crate) mod verify;
pub(crate) mod why;
