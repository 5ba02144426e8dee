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

use super::Compression;
use crate::diag::Diagnose;
use crate::digest::Digest;

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
    const WORDS: [&[u8]; 8] =
        [b"libc.so.6 ", b"/usr/lib/", b"\x7fELF\x02\x01\x01\0", b"python", b"\0\0\0\0", b"the ", b"{\n", b"=1"];
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
const ZSTD_ANSWERS: [&str; 19] = [
    "39b48eacb0502694f14b9480d9caf5b74dd2f74ec6e7db26676c83176a50ca62",
    "6b621ce1313df3a08a3a926b09489a849bffd661dfb7add3ebe61688b05781d5",
    "0e54608528df7b2432f1a060512d96b6d27657585c4e1bbecd86b368f38fc00c",
    "c907b53b5ab1b195321fe5741b30beba380c3e9baba3b45a8ee448c8c347c4fb",
    "b846f4061cfddb97276da15ffe81316d61ff57426efb815fb04f59344f9a46a1",
    "4bad248f608a1666a9ac08e6704a7c48562841fbece868e78b46fbdf8f5fa2ed",
    "046b797ad8ee4e8582577f64d3f846ba1d32efef8f03482829a1ab14a88fcd7c",
    "4638ebc040221a09e82fbd2bdf68a698eca19077c1f00a36a7056acf4d99e846",
    "8f6cfab653f927c8d5b366a0c0b6b0a0f1dc3fe0fe9eef45e689ecd85bcf28cc",
    "8fc56952cd932fcd39728a4cdf344e7b7c9675229b8912413ba16e62c8df9db7",
    "1fb5fd2d429d1814fcbbae7808c1ef2d8e868a9c9032aaed065e4538c48dab91",
    "ad28a990b8846c1fac1682a78a1633d5fc693940650f95287c3bb7779f40c705",
    "b1c5ab5eacbbee6d55030f371e3a73aeba944b578beb9805fd39d86cc0e84e29",
    "634f0d1a975323091390848c68b5967916fdfd1e8587814a4c40e16471848d60",
    "d292478e2b20df4cf98116b95492783e30cec5756d46c7a0ee8ab04f2ed9fdc5",
    "99fa797ca55b43e2f6922ab79b6a0849a7d36d868ea2127ea49cad527ee8d92e",
    "3d24bc47654a3a264e96fdc251a59367510c8f1b262c0a9a2c00f1ba8d2c663c",
    "3d24bc47654a3a264e96fdc251a59367510c8f1b262c0a9a2c00f1ba8d2c663c",
    "8f5b191bfae5751b5aec786d8d71a129c6ddd3ed182626a8a68fe31623bfa030",
];

/// Digests of the known input at zlib-rs 0.6.8 levels 1 to 9.
const GZIP_ANSWERS: [&str; 9] = [
    "7688b1cb286fdd8cd6014b20180db4445edf11980ee908a504f772bd62ab72b2",
    "fd853a4a5c8b2669f570ce869d45b1af0396a83c2be671867fdaaddc533cd29e",
    "a6d3537ce8eff669b235a6f5d3597508e639a95c493099d7cae98aff503e2589",
    "3daee4aa60682c7504506a27c5ad1ee1965c82ce4de5f322257e2a2316167948",
    "bcedb514b610b15c721cd6ee5494fb800a950c77965636d2aaa58f11ab8c0ff2",
    "d570b565e2e14420b65e8b769fe94a28c63f43978341d0f16f5def2a8221e5e3",
    "a41466d40905fbc4cec185bb70c2ed95275167065c81572a117598259766bf66",
    "cb7b24038766dd21dd839647ca18955b506834a205da01a6bec3838d1f69035e",
    "5aec41244b7787aea5ec79a1d3b0425d2f4c96156cfb0a2d96611c6cbf1edad4",
];

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
        for wrong in [
            Compression::Zstd(0),
            Compression::Zstd(20),
            Compression::Zstd(-1),
            Compression::Gzip(0),
            Compression::Gzip(10),
        ] {
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
