//! The operations of a build over files, as an operation of BuildKit runs them.
