//! Signed metadata in, verified index out.
