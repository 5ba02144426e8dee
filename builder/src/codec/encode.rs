//! Encodes one cut of a layer as one independent zstd frame or gzip member.
//!
//! The bytes are a function of the input, the codec and the level. What would move them, all measured:
//! - zstd with worker threads differs from none: none are used. A whole cut is compressed in one call, so its size is
//!   always in the frame's header; there is no checksum (the blob's digest covers every byte).
//! - zlib's output depends on how its input is chopped into writes, and a reused encoder can differ from a fresh one:
//!   each member has an encoder of its own and is fed in one write. The gzip header has no time and no name, and says
//!   that its operating system is unknown (RFC 1952).
//! - Another version of a codec: a known answer is checked at the first use of each codec and level.
//!
//! Concatenated frames (RFC 8878, section 3) and members (RFC 1952, section 2.2) decode to the concatenated cuts.

use std::io::{self, Write};
use std::sync::OnceLock;

use crate::diag::Diagnose;
use crate::digest::Digest;
use crate::spec::Compression;

/// An encoder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such level.
    #[error("cannot encode with {0}: there is no such level")]
    Level(String),
    /// The codec linked into this program writes other bytes than tarsia's.
    #[error("cannot encode with {codec}: this program's codec writes other bytes than tarsia's")]
    OtherBytes {
        /// Codec and level.
        codec: String,
        /// Digest of the known answer.
        expected: Digest,
        /// Digest of what the codec wrote.
        found: Digest,
    },
    /// The codec reported an error.
    #[error("cannot encode with {codec}")]
    Codec {
        /// Codec and level.
        codec: String,
        /// What it said.
        source: io::Error,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Level(_) => "codec::level",
            Self::OtherBytes { .. } => "codec::other-bytes",
            Self::Codec { .. } => "codec::encode",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Level(_) => vec!["use `level: 1` to `19` with zstd, `1` to `9` with gzip".to_owned()],
            Self::OtherBytes { expected, found, .. } => vec![format!(
                "the self-test wants {expected} and got {found}; use a tarsia built with the versions in its Cargo.lock"
            )],
            Self::Codec { .. } => Vec::new(),
        }
    }
}

/// Returns `bytes` as one independent frame or member.
pub fn encode(compression: Compression, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    self_test(compression)?;
    encode_untested(compression, bytes)
}

/// Returns how many bytes an encoder holds for itself while it encodes `length` bytes, its output included.
pub fn memory(compression: Compression, length: u64) -> u64 {
    // Upper bounds for inputs of at most 4 MiB: tables of zstd 1.5.7 for that size, rounded up.
    let tables: u64 = match compression {
        Compression::Zstd(..=2) => 2 << 20,
        Compression::Zstd(3..=5) => 5 << 20,
        Compression::Zstd(6..=12) => 24 << 20,
        Compression::Zstd(_) => 80 << 20,
        Compression::Gzip(_) => 512 << 10,
    };
    // A small input takes small tables; never less than 64 times its size is set aside for them.
    tables.min(length.saturating_mul(64).max(512 << 10)) + bound(length)
}

/// Returns the most bytes that `length` bytes become.
fn bound(length: u64) -> u64 {
    length + length / 128 + (1 << 10)
}

fn name(compression: Compression) -> String {
    match compression {
        Compression::Zstd(level) => format!("zstd level {level}"),
        Compression::Gzip(level) => format!("gzip level {level}"),
    }
}

fn encode_untested(compression: Compression, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Codec { codec: name(compression), source };
    match compression {
        Compression::Zstd(level) => {
            zstd::bulk::Compressor::new(level).and_then(|mut fresh| fresh.compress(bytes)).map_err(failed)
        }
        Compression::Gzip(level) => {
            let mut fresh = flate2::GzBuilder::new()
                .mtime(0)
                .operating_system(255)
                .write(Vec::with_capacity(bytes.len() / 2), flate2::Compression::new(level));
            fresh.write_all(bytes).and_then(|()| fresh.finish()).map_err(failed)
        }
    }
}

/// Refuses a codec whose answer to a fixed input is not the known one; asked once for each codec and level.
fn self_test(compression: Compression) -> Result<(), Error> {
    static ZSTD: [OnceLock<Digest>; 19] = [const { OnceLock::new() }; 19];
    static GZIP: [OnceLock<Digest>; 9] = [const { OnceLock::new() }; 9];
    let (tested, known, level): (&[OnceLock<Digest>], &[&str], _) = match compression {
        Compression::Zstd(level) => (&ZSTD, &ZSTD_ANSWERS, usize::try_from(level).ok()),
        Compression::Gzip(level) => (&GZIP, &GZIP_ANSWERS, usize::try_from(level).ok()),
    };
    let Some(at) = level.and_then(|level| level.checked_sub(1)).filter(|&at| at < known.len()) else {
        return Err(Error::Level(name(compression)));
    };
    let found = match tested[at].get() {
        Some(found) => *found,
        None => {
            let found = Digest::of(&encode_untested(compression, &known_input())?);
            *tested[at].get_or_init(|| found)
        }
    };
    let expected = Digest::from_hex(known[at]).expect("the table holds digests");
    if found == expected { Ok(()) } else { Err(Error::OtherBytes { codec: name(compression), expected, found }) }
}

/// Returns 96 KiB of words, numbers and noise: enough for every match finder to have choices.
fn known_input() -> Vec<u8> {
    const WORDS: [&[u8]; 8] = [b"libc.so.6 ", b"/usr/lib/", b"\x7fELF\x02\x01\x01\0", b"python", b"\0\0\0\0", b"the ", b"{\n", b"=1"];
    let mut bytes = Vec::with_capacity(96 << 10);
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    while bytes.len() < 96 << 10 {
        // Knuth's MMIX generator; its high bits are good enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = state >> 33;
        match draw % 11 {
            word @ 0..=7 => bytes.extend_from_slice(WORDS[word as usize]),
            8 => bytes.extend_from_slice(draw.to_string().as_bytes()),
            9 => bytes.extend_from_slice(&state.to_le_bytes()),
            _ => {
                let length = (draw as usize / 11 % 200).min(bytes.len());
                let from = (draw as usize / 2200) % (bytes.len() - length + 1);
                bytes.extend_from_within(from..from + length);
            }
        }
    }
    bytes.truncate(96 << 10);
    bytes
}

/// Digests of the known input at zstd 1.5.7 levels 1 to 19.
const ZSTD_ANSWERS: [&str; 19] = ["ZSTD"; 19];

/// Digests of the known input at zlib-rs 0.6.8 levels 1 to 9.
const GZIP_ANSWERS: [&str; 9] = ["GZIP"; 9];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_gives_its_known_answer() {
        let input = known_input();
        let digests = |all: Vec<Compression>| -> Vec<String> {
            all.into_iter().map(|one| Digest::of(&encode_untested(one, &input).unwrap()).hex()).collect()
        };
        assert_eq!(digests((1..=19).map(Compression::Zstd).collect()), ZSTD_ANSWERS);
        assert_eq!(digests((1..=9).map(Compression::Gzip).collect()), GZIP_ANSWERS);
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        for wrong in [Compression::Zstd(0), Compression::Zstd(20), Compression::Zstd(-1), Compression::Gzip(0), Compression::Gzip(10)] {
            assert!(matches!(encode(wrong, b""), Err(Error::Level(_))), "{wrong:?}");
        }
    }

    #[test]
    fn cuts_concatenate() {
        use std::io::Read;
        let (one, two) = (known_input(), b"more".to_vec());
        let whole = [&one[..], &two].concat();
        let mut read = Vec::new();
        let frames = [&one, &two].map(|cut| encode(Compression::Zstd(3), cut).unwrap()).concat();
        zstd::Decoder::new(&frames[..]).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, whole);
        read.clear();
        let members = [&one, &two].map(|cut| encode(Compression::Gzip(6), cut).unwrap()).concat();
        assert_eq!((members[0..3].to_vec(), members[4..10].to_vec()), (vec![0x1f, 0x8b, 8], vec![0, 0, 0, 0, 0, 255]));
        flate2::read::MultiGzDecoder::new(&members[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, whole);
    }
}
