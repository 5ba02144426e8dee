//! Writes a plan as a tar and encodes it in parallel.
