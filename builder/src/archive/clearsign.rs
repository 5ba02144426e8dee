//! The frame of an InRelease, or of Release and Release.gpg, read before any OpenPGP code sees a byte (RFC 9580 section 7).
//!
//! Exactly one message, nothing before or after it, `Hash:` headers alone. What leaves here as [`Clearsigned::text`]
//! is the very text that is hashed, so no reader can see something else than the signer signed.

use super::Error;

/// The most bytes of an InRelease.
pub(super) const MAX_IN_RELEASE: usize = 4 << 20;

/// A hash that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// A message with its frame taken off; nothing is verified yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clearsigned {
    /// The signed text: dash escapes undone, blanks at line ends removed, lines ended by a line feed.
    pub(super) text: String,
    /// Hashes that the message declares.
    pub(super) hashes: Vec<Hash>,
    /// Packets of the signature block.
    pub(super) packets: Vec<u8>,
}

impl Clearsigned {
    /// Takes the frame off `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_IN_RELEASE {
            return Err(wrong(0, "it is larger than 4 MiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(0, "it is not UTF-8"))?;
        let mut lines = (1..).zip(text.strip_suffix('\n').unwrap_or(text).split('\n')).map(|(number, line)| {
            if line.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
                Err(wrong(number, "it has a control character"))
            } else {
                Ok((number, line))
            }
        });
        let mut next = move || lines.next().unwrap_or_else(|| Err(wrong(0, "it ends too early")));

        let (number, line) = next()?;
        if line != "-----BEGIN PGP SIGNED MESSAGE-----" {
            return Err(wrong(number, "it does not start with a signed message"));
        }
        let mut hashes = Vec::new();
        loop {
            let (number, line) = next()?;
            if line.is_empty() {
                break;
            }
            let names =
                line.strip_prefix("Hash: ").ok_or_else(|| wrong(number, "it has a header other than `Hash`"))?;
            for name in names.split(',') {
                hashes.push(match name.trim_matches(' ') {
                    "SHA256" => Hash::Sha256,
                    "SHA384" => Hash::Sha384,
                    "SHA512" => Hash::Sha512,
                    _ => return Err(wrong(number, "its hash is not SHA-256, SHA-384 or SHA-512")),
                });
            }
        }
        if hashes.is_empty() {
            return Err(wrong(2, "it has no `Hash` header"));
        }
        let mut signed = String::with_capacity(text.len());
        loop {
            let (number, line) = next()?;
            let content = match line.strip_prefix('-') {
                None => line,
                Some("----BEGIN PGP SIGNATURE-----") => break,
                // Only lines that need it are escaped: a dash, and `From ` by some.
                Some(rest) => match rest.strip_prefix(' ') {
                    Some(content) if content.starts_with('-') || content.starts_with("From ") => content,
                    _ => return Err(wrong(number, "a line with a dash is not escaped as it should be")),
                },
            };
            signed.push_str(content.trim_end_matches([' ', '\t']));
            signed.push('\n');
        }
        let encoded = signature_block(&mut next)?;
        if next().is_ok() {
            return Err(wrong(0, "it goes on after the signature"));
        }
        let packets = base64(&encoded).ok_or_else(|| wrong(0, "its signature block is not base64"))?;
        Ok(Self { text: signed, hashes, packets })
    }

    /// Returns the bytes that are hashed: lines ended by CR LF, none after the last (RFC 9580 section 7.2).
    pub(super) fn hashed(&self) -> Vec<u8> {
        let body = self.text.strip_suffix('\n').unwrap_or(&self.text);
        let mut bytes = Vec::with_capacity(body.len() + body.len() / 32);
        for (n, line) in body.split('\n').enumerate() {
            if n > 0 {
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes
    }
}

/// Reads the packets of a detached signature (Release.gpg): armoured as one block, or binary (RFC 9580 section 6).
pub(super) fn detached(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    if bytes.len() > MAX_IN_RELEASE {
        return Err(wrong(0, "its signature is larger than 4 MiB"));
    }
    if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(0, "its signature is neither armoured nor binary"))?;
    let mut lines = (1..).zip(text.strip_suffix('\n').unwrap_or(text).split('\n'));
    let mut next = move || lines.next().ok_or_else(|| wrong(0, "its signature ends too early"));
    let (number, line) = next()?;
    if line != "-----BEGIN PGP SIGNATURE-----" {
        return Err(wrong(number, "its signature does not start with a signature block"));
    }
    let encoded = signature_block(&mut next)?;
    if next().is_ok() {
        return Err(wrong(0, "it goes on after the signature"));
    }
    base64(&encoded).ok_or_else(|| wrong(0, "its signature block is not base64"))
}

/// Checks a Release that another file signs: what is signed is its very bytes.
pub(super) fn plain(bytes: &[u8]) -> Result<&str, Error> {
    if bytes.len() > MAX_IN_RELEASE {
        return Err(wrong(0, "it is larger than 4 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(0, "it is not UTF-8"))?;
    if text.bytes().any(|byte| (byte < 0x20 && byte != b'\t' && byte != b'\n') || byte == 0x7f) {
        return Err(wrong(0, "it has a control character"));
    }
    Ok(text)
}

/// Reads what stands between the first and the last line of a signature block, and returns its base64.
fn signature_block<'a>(next: &mut impl FnMut() -> Result<(u64, &'a str), Error>) -> Result<Vec<u8>, Error> {
    // Headers of the signature block are not signed; two that tools write are passed over.
    loop {
        let (number, line) = next()?;
        if line.is_empty() {
            break;
        }
        if !line.starts_with("Version: ") && !line.starts_with("Comment: ") {
            return Err(wrong(number, "its signature block has an unknown header"));
        }
    }
    let mut encoded = Vec::new();
    let mut checksum = false;
    loop {
        let (number, line) = next()?;
        if line == "-----END PGP SIGNATURE-----" {
            break;
        }
        if checksum || line.is_empty() || line.len() > 76 {
            return Err(wrong(number, "its signature block is malformed"));
        }
        // RFC 9580 section 6.1: the checksum decides nothing.
        if line.starts_with('=') && line.len() == 5 {
            checksum = true;
        } else {
            encoded.extend_from_slice(line.as_bytes());
        }
    }
    Ok(encoded)
}

fn wrong(line: u64, what: &'static str) -> Error {
    Error::Frame { line, what }
}

/// Decodes base64 in its only form: padded, no unused bits set.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for quad in text[..text.len() - padding].chunks(4) {
        let mut bits = 0_u32;
        for &digit in quad {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let missing = 4 - quad.len();
        bits <<= 6 * missing;
        let [_, three @ ..] = bits.to_be_bytes();
        if three[3 - missing..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&three[..3 - missing]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: a \t\n- -----x\nDate: b\n\
                           -----BEGIN PGP SIGNATURE-----\n\naGVsbG8=\n=abcd\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn the_text_is_what_is_hashed() {
        let message = Clearsigned::read(MESSAGE.as_bytes()).unwrap();
        assert_eq!(message.text, "Suite: a\n-----x\nDate: b\n");
        assert_eq!(message.hashed(), b"Suite: a\r\n-----x\r\nDate: b");
        assert_eq!(message.hashes, [Hash::Sha256]);
        assert_eq!(message.packets, b"hello");
    }

    #[test]
    fn every_other_frame_is_refused() {
        for (from, to, what) in [
            ("-----BEGIN PGP SIGNED", "x\n-----BEGIN PGP SIGNED", "does not start"),
            ("-----BEGIN PGP SIGNED", "\n-----BEGIN PGP SIGNED", "does not start"),
            ("-----END PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----\n\n", "goes on after"),
            ("-----END PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----\nx", "goes on after"),
            (
                "-----END PGP SIGNATURE-----\n",
                "-----END PGP SIGNATURE-----\n-----BEGIN PGP SIGNED MESSAGE-----\n",
                "goes on",
            ),
            ("Hash: SHA256\n", "Hash: SHA256\nComment: x\n", "other than `Hash`"),
            ("Hash: SHA256\n", "Hash: SHA256\nNotDashEscaped: yes\n", "other than `Hash`"),
            ("Hash: SHA256\n", "hash: SHA256\n", "other than `Hash`"),
            ("Hash: SHA256\n", "", "no `Hash`"),
            ("SHA256", "MD5", "is not SHA-256"),
            ("SHA256", "SHA1", "is not SHA-256"),
            ("SHA256", "SHA256, SHA1", "is not SHA-256"),
            ("\nDate", "\rDate", "control character"),
            ("\nDate", "\r\nDate", "control character"),
            ("\nDate", "\0Date", "control character"),
            ("- -----x", "-----x", "not escaped"),
            ("- -----x", "- x", "not escaped"),
            ("- -----x", "-----BEGIN PGP SIGNED MESSAGE-----", "not escaped"),
            ("\n\naGVs", "\nHash: SHA256\n\naGVs", "unknown header"),
            ("aGVsbG8=", "aGVsbG8", "not base64"),
            ("aGVsbG8=", "aGVsbG9=", "not base64"),
            ("aGVsbG8=", "aGVs-G8=", "not base64"),
            ("aGVsbG8=", "aGVsbG8=\n\n", "malformed"),
            ("=abcd\n", "=abcd\naGVs\n", "malformed"),
            ("-----END PGP SIGNATURE-----\n", "", "too early"),
            ("\n-----BEGIN PGP SIGNATURE-----\n", "\n", "not escaped"),
        ] {
            let text = MESSAGE.replacen(from, to, 1);
            assert_ne!(text, MESSAGE, "{from:?}");
            let said = Clearsigned::read(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(what), "{from:?} → {to:?}: {said}");
        }
        assert!(Clearsigned::read(b"").is_err());
        assert!(Clearsigned::read(&MESSAGE.as_bytes()[..MESSAGE.len() / 2]).is_err());
        assert!(Clearsigned::read(MESSAGE.replace("Date: b", "Date: \u{ff}").as_bytes()).is_ok());
        let mut latin = MESSAGE.as_bytes().to_vec();
        latin[60] = 0xff;
        assert!(Clearsigned::read(&latin).is_err());
        assert!(Clearsigned::read(&vec![b'-'; MAX_IN_RELEASE + 1]).is_err());
    }
}
