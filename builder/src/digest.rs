//! SHA-256 names: [`Digest`] for stored bytes, [`DiffId`] for an uncompressed tar; and streams that hash.
//!
//! [`Sha1`] and [`Sha512`] are checksums that documents have to state (SPDX 2.3, 8.4; BSI TR-03183-2); nothing is ever
//! found or trusted by them.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use sha2::Digest as _;

/// A text that is no SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SHA-256 digest")]
pub struct ParseDigestError(String);

macro_rules! sha256_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Returns the name made of these 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Returns the SHA-256 of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(sha2::Sha256::digest(bytes).into())
            }

            /// Returns the 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Returns 64 lower-case hexadecimal digits, without a prefix.
            pub fn hex(&self) -> String {
                hex(&self.0)
            }

            /// Returns the name for 64 lower-case hexadecimal digits, without a prefix.
            pub fn from_hex(text: &str) -> Result<Self, ParseDigestError> {
                unhex(text).map(Self).ok_or_else(|| ParseDigestError(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "sha256:{}", self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            /// Parses `sha256:` and 64 lower-case hexadecimal digits, nothing else (OCI image-spec 1.1, descriptor).
            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                text.strip_prefix("sha256:").and_then(unhex).map(Self).ok_or_else(|| ParseDigestError(text.to_owned()))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

sha256_name! {
    /// The SHA-256 of stored bytes: a blob, a manifest, a package, a file.
    Digest
}
sha256_name! {
    /// The SHA-256 of a layer's uncompressed tar (OCI image-spec 1.1, config, `rootfs.diff_ids`).
    DiffId
}

macro_rules! checksum {
    ($(#[$doc:meta])* $name:ident, $algorithm:ty, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Returns the checksum of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(<$algorithm>::digest(bytes).into())
            }

            /// Returns the checksum of all that `source` gives.
            pub fn of_reader(mut source: impl Read) -> io::Result<Self> {
                let mut state = <$algorithm>::default();
                let mut buffer = vec![0; 128 << 10];
                loop {
                    match source.read(&mut buffer)? {
                        0 => return Ok(Self(state.finalize().into())),
                        count => state.update(&buffer[..count]),
                    }
                }
            }

            /// Returns lower-case hexadecimal digits.
            pub fn hex(&self) -> String {
                hex(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(&self.hex()) } else { serializer.serialize_bytes(&self.0) }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let wrong = || serde::de::Error::custom(concat!("no ", stringify!($name)));
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    unhex::<$length>(&text).map(Self).ok_or_else(wrong)
                } else {
                    let bytes = <&[u8]>::deserialize(deserializer)?;
                    bytes.try_into().map(Self).map_err(|_| wrong())
                }
            }
        }
    };
}

checksum! {
    /// A SHA-1, which SPDX 2.3 wants of every file.
    Sha1, sha1::Sha1, 20
}
checksum! {
    /// A SHA-512, which BSI TR-03183-2 wants of every component.
    Sha512, sha2::Sha512, 64
}

/// Returns lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn unhex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * LENGTH {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

macro_rules! checksum_hasher {
    ($(#[$doc:meta])* $name:ident, $checksum:ident, $algorithm:ty) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub struct $name($algorithm);

        impl $name {
            /// Adds `bytes`.
            pub fn update(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }

            /// Returns the checksum of all bytes added.
            pub fn checksum(self) -> $checksum {
                $checksum(self.0.finalize().into())
            }
        }
    };
}

checksum_hasher! {
    /// A running SHA-1, beside the [`Hasher`] that names the same bytes.
    Sha1Hasher, Sha1, sha1::Sha1
}
checksum_hasher! {
    /// A running SHA-512, beside the [`Hasher`] that names the same bytes.
    Sha512Hasher, Sha512, sha2::Sha512
}

/// A running SHA-256 with the count of bytes it has seen.
#[derive(Clone, Default)]
pub struct Hasher {
    state: sha2::Sha256,
    length: u64,
}

impl Hasher {
    /// Returns a hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// Returns how many bytes were added.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the digest of all bytes added, as stored bytes.
    pub fn digest(self) -> Digest {
        Digest(self.state.finalize().into())
    }

    /// Returns the digest of all bytes added, as an uncompressed tar.
    pub fn diff_id(self) -> DiffId {
        DiffId(self.state.finalize().into())
    }
}

/// A reader that hashes what passes through it.
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashingReader<R> {
    /// Returns a reader over `inner` that has hashed nothing yet.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new() }
    }

    /// Returns the digest and length of what was read.
    pub fn finish(self) -> (Digest, u64) {
        let length = self.hasher.length();
        (self.hasher.digest(), length)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// A writer that hashes what passes through it.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> HashingWriter<W> {
    /// Returns a writer over `inner` that has hashed nothing yet.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new() }
    }

    /// Returns the inner writer with the digest and length of what was written.
    pub fn finish(self) -> (W, Digest, u64) {
        let length = self.hasher.length();
        (self.inner, self.hasher.digest(), length)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards_and_survive_being_stored() {
        assert_eq!(Sha1::of(b"abc").hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(Sha512::of(b"abc").hex().starts_with("ddaf35a193617abacc417349ae204131"));
        assert_eq!(Sha512::of_reader(&b"abc"[..]).unwrap(), Sha512::of(b"abc"));
        let mut hasher = Sha1Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.checksum(), Sha1::of(b"abc"));
        let both = (Sha1::of(b"x"), Sha512::of(b"y"));
        let stored = postcard::to_stdvec(&both).unwrap();
        assert_eq!(postcard::from_bytes::<(Sha1, Sha512)>(&stored).unwrap(), both);
        let shown = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<(Sha1, Sha512)>(&shown).unwrap(), both);
        assert!(
            postcard::from_bytes::<Sha1>(&[3, 1, 2, 3]).is_err() && serde_json::from_str::<Sha1>("\"ab\"").is_err()
        );
    }

    #[test]
    fn a_digest_is_read_back_from_its_own_text_only() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for wrong in
            ["", "sha256:", "sha256:E3B0", "sha512:00", &digest.hex(), &format!("{digest} "), "sha256:../../etc"]
        {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
