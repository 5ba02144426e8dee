//! The only user of the network before publishing.
