//! Chooses versions, explains why, plans layers.
