//! Runs the arrows.
