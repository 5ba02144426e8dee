//! Strict tar reader, exact tar writer (POSIX.1-2017 pax interchange format, ustar).

pub mod read;
pub mod write;
