//! The spec's own files as a pack.
