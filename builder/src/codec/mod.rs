//! Bounded decompressors and the encoders.

pub mod decode;
pub mod encode;

/// How a layer's tar is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Compression {
    /// Zstandard at a level, 1 to 19.
    Zstd(i32),
    /// gzip at a level, 1 to 9.
    Gzip(u32),
}
