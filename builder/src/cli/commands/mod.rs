//! One file per command: its flags, and a function that calls the library and prints the answer.

pub(crate) mod add;
pub(crate) mod audit;
pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod fetch;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod learn;
pub(crate) mod lock;
pub(crate) mod man;
pub(crate) mod outdated;
pub(crate) mod remove;
pub(crate) mod schema;
pub(crate) mod test;
pub(crate) mod vendor;
pub(crate) mod verify;
pub(crate) mod why;
