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

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd-{level}"),
            Self::Gzip(level) => write!(f, "gzip-{level}"),
        }
    }
}

impl std::str::FromStr for Compression {
    type Err = &'static str;

    /// Parses `zstd-LEVEL` or `gzip-LEVEL`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = (1..=19).map(Self::Zstd).chain((1..=9).map(Self::Gzip));
        known
            .into_iter()
            .find(|known| known.to_string() == text)
            .ok_or("known are `zstd-1` to `zstd-19` and `gzip-1` to `gzip-9`")
    }
}

#[cfg(test)]
mod tests {
    use super::Compression;

    #[test]
    fn a_compression_is_a_word() {
        for known in [Compression::Zstd(19), Compression::Zstd(3), Compression::Gzip(6)] {
            assert_eq!(known.to_string().parse(), Ok(known));
        }
        for text in ["zstd-0", "zstd-20", "gzip-10", "zstd", "zstd-03", "xz-6", ""] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
