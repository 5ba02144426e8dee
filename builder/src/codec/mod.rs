//! Bounded decompressors and the encoders.

pub mod decode;
pub mod encode;
