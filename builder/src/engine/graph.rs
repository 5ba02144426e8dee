//! Lowers a lock to a graph of BuildKit operations.
