//! The whole stage on packages built by code.
