//! Bounded decompressors and the encoders.
