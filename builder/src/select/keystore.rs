//! Java's keystore of trusted certificates, as ca-certificates-java makes it: JKS, version 2, password `changeit`.
//!
//! Debian writes JKS for every release of Java it has (its script turns PKCS#12 back into it), and `keytool` and JSSE
//! read it by default. Where the package's own program keeps a hash table's order and the time of the run, here
//! aliases are sorted and the one date is the lock's.

use sha1::Digest as _;

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// Tag of an entry that holds a certificate and no key.
const TRUSTED: u32 = 2;
/// `sun.security.provider.JavaKeyStore` mixes this into its digest.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// The password of `/etc/default/cacerts`; it guards against damage, not against people.
const PASSWORD: &str = "changeit";

/// Returns a keystore with each certificate under `debian:` and its name in lower case; the first of a name counts.
pub(super) fn jks<'a>(certificates: impl Iterator<Item = (&'a str, Vec<u8>)>, date: i64) -> Vec<u8> {
    let mut entries: Vec<(String, Vec<u8>)> =
        certificates.map(|(name, der)| (format!("debian:{}", name.to_lowercase()), der)).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.dedup_by(|a, b| a.0 == b.0);
    let milliseconds = date.max(0).saturating_mul(1000);
    let mut bytes = Vec::new();
    for number in [MAGIC, VERSION, length(entries.len())] {
        bytes.extend(number.to_be_bytes());
    }
    for (alias, der) in entries {
        bytes.extend(TRUSTED.to_be_bytes());
        utf(&mut bytes, &alias);
        bytes.extend(milliseconds.to_be_bytes());
        utf(&mut bytes, "X.509");
        bytes.extend(length(der.len()).to_be_bytes());
        bytes.extend(der);
    }
    let mut digest = sha1::Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(WHITENER);
    digest.update(&bytes);
    bytes.extend(digest.finalize());
    bytes
}

/// Adds a text as `DataOutput.writeUTF` does: characters beyond the basic plane as two surrogates of three bytes each.
fn utf(bytes: &mut Vec<u8>, text: &str) {
    let mut encoded = Vec::new();
    for unit in text.encode_utf16() {
        let [low, high] = [unit & 0x3f | 0x80, unit >> 6 & 0x3f | 0x80].map(|part| part.to_be_bytes()[1]);
        match unit {
            1..0x80 => encoded.push(unit.to_be_bytes()[1]),
            0 | 0x80..0x800 => encoded.extend([(unit >> 6 | 0xc0).to_be_bytes()[1], low]),
            _ => encoded.extend([(unit >> 12 | 0xe0).to_be_bytes()[1], high, low]),
        }
    }
    // A file's name has at most 255 bytes.
    bytes.extend(u16::try_from(encoded.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(encoded);
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("the bundle is far below four gigabytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let store = jks([("B.pem", vec![1, 2]), ("a\u{151}.pem", vec![3])].into_iter(), 7);
        let hex: String = store.iter().map(|byte| format!("{byte:02x}")).collect();
        // debian:aő.pem before debian:b.pem; 7000 ms; then the digest.
        assert!(hex.starts_with(
            "feedfeed0000000200000002\
             00000002000e64656269616e3a61c5912e70656d0000000000001b580005582e3530390000000103\
             00000002000c64656269616e3a622e70656d0000000000001b580005582e353039000000020102"
        ));
        assert_eq!(store.len(), 12 + 2 * (4 + 8 + 7 + 4 + 2) + 14 + 12 + 3 + 20);
        let other = jks([("a\u{151}.pem", vec![3]), ("B.pem", vec![1, 2])].into_iter(), 7);
        assert_eq!(store, other);
    }

    #[test]
    fn characters_beyond_the_basic_plane_are_two_surrogates() {
        let mut bytes = Vec::new();
        utf(&mut bytes, "\u{1F600}");
        assert_eq!(bytes, [0, 6, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
    }
}
