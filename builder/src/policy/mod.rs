//! Checks an image against rules.
//!
//! In: an open image and a contract (`checks` of a spec, or a policy file). Out: what breaks it, with path, owner and
//! reason, and what an exception allows. The layers are read as a container engine stacks them, whoever made them, and
//! what lower layers still hold is looked into as well. [`survey`] reads an image once; [`judge()`] is a function of
//! what it found.
//!
//! What is recognised, and how:
//! - **shells and package managers** by their names in a directory of programs, and, under any name, ELF programs by
//!   texts that only they hold (`tables`). A link counts with the file that it leads to; one that leads nowhere is
//!   none. Interpreters of other languages are no shells, their package managers are none of the system's.
//! - **licences** by what packages say of themselves (`licenses`, room `license`).
//! - **secrets** by exact forms (`tables`): private keys with their body, tokens with a prefix of their own, files that
//!   are made to hold passwords. Nothing is guessed from randomness; nothing is looked for inside archives.

mod error;
mod judge;
mod licenses;
mod owners;
mod scan;
mod survey;
mod tables;

pub use error::Broken;
pub use judge::{Allowed, Found, Judgement, Rule, is_shell, judge};
pub use licenses::{Licensed, licensed};
pub use owners::Owners;
pub use survey::{Content, Depth, Survey, survey};

/// Number of the tables and of what is made of them: part of the key under which a judgement is remembered.
pub const TABLES: u32 = 2;
