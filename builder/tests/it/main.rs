//! The one integration binary: what the program and the repository promise from outside.

mod help;
mod map;
