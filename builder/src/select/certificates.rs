//! What `update-ca-certificates` would write: the bundle, the named links, and the hash links of `openssl rehash`.

use std::collections::BTreeMap;

use sha1::Digest as _;

use super::SelectInput;
use super::error::{Error, Place};
use super::keystore;
use super::merge::{Node, Owner, Tree, What};
use crate::tree::{ImagePath, Meta};

/// Where packages put certificates.
const PACKAGE_DIRECTORY: &str = "usr/share/ca-certificates/";
/// Where the spec's certificates go, as an administrator's would.
const LOCAL_DIRECTORY: &str = "usr/local/share/ca-certificates";
/// Where OpenSSL looks.
const LINK_DIRECTORY: &str = "etc/ssl/certs";
/// The most certificates of one name, as in OpenSSL's `rehash`.
const MAX_COLLISIONS: usize = 256;

/// Adds the spec's certificates, the bundle and the links.
pub(super) fn derive(tree: &mut Tree<'_>, input: &SelectInput<'_>, source_date: i64) -> Result<(), Error> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for package in &tree.packages {
        for (at, text) in &package.index.texts {
            let entry = usize::try_from(*at).ok().and_then(|at| package.index.entries.get(at));
            if let Some(entry) = entry
                && entry.path.starts_with(PACKAGE_DIRECTORY)
                && entry.path.ends_with(".crt")
                && tree.nodes.get(entry.path.as_str()).is_some_and(|node| matches!(node.owner, Owner::Package(_)))
            {
                all.push((entry.path.clone(), text.clone()));
            }
        }
    }
    // The order of /etc/ca-certificates.conf, which the package's script sorts.
    all.sort();
    all.dedup_by(|a, b| a.0 == b.0);
    all.extend(local(tree, input, source_date)?);
    let path = format!("{LINK_DIRECTORY}/ca-certificates.crt");
    if all.is_empty() {
        // A `never` of some certificates withdraws trust from these; of all, it would leave an image that trusts nobody
        // and does not say so.
        let is_one = |path: &ImagePath| path.as_str().starts_with(PACKAGE_DIRECTORY) && path.as_str().ends_with(".crt");
        let lost = tree.refused.iter().find(|(path, refused)| is_one(path) && !tree.choice.is_forced(refused.never));
        let lost = lost.map(|(path, refused)| (path.clone(), refused.never, tree.owner_name(refused.node.owner)));
        if let Some((lost, never, owner)) = lost
            && tree.choice.never(&path).is_none()
        {
            let place = input.spec.never.get(never).map(|never| never.span);
            return Err(Error::Never {
                never: format!("never[{never}]"),
                owner,
                path: lost,
                needed: format!("/{path} is made of it"),
                place: place.map(|span| Place { source: input.spec.source.clone(), span }),
            });
        }
        return Ok(());
    }

    // What a base trusts stays trusted.
    let mut bundle = tree.base.and_then(|base| base.text_at(&path)).map(<[u8]>::to_vec).unwrap_or_default();
    if bundle.last().is_some_and(|last| *last != b'\n') {
        bundle.push(b'\n');
    }
    let mut links: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    for (path, text) in all {
        bundle.extend_from_slice(&text);
        if text.last().is_some_and(|last| *last != b'\n') {
            bundle.push(b'\n');
        }
        links.insert(link_name(&path), (path, text));
    }
    tree.derive_over("ca-bundle", &path, Meta::root(0o644, source_date), What::Inline(bundle))?;
    if tree.package("ca-certificates-java").is_some() {
        // Like the package's script: the first certificate behind every named link.
        let certificates =
            links.iter().filter_map(|(name, (_, text))| Some((name.as_str(), pem(text).into_iter().next()?)));
        let keystore = keystore::jks(certificates, source_date);
        let meta = Meta::root(0o644, source_date);
        tree.derive("java-keystore", &format!("{LINK_DIRECTORY}/java/cacerts"), meta, What::Inline(keystore))?;
    }
    if tree.package("ca-certificates").is_some() {
        tree.derive("ca-directory", LOCAL_DIRECTORY, Meta::root(0o755, 0), What::Directory)?;
    }
    let mut hashes: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, (path, text)) in links {
        let link = |tree: &mut Tree<'_>, name: &str, target: String| {
            let path = format!("{LINK_DIRECTORY}/{name}");
            tree.derive("ca-links", &path, Meta::root(0o777, source_date), What::Symlink(target.into()))
        };
        link(tree, &name, format!("/{path}"))?;
        // `rehash` passes over a file that does not hold exactly one certificate.
        let certificates = pem(&text);
        let [certificate] = certificates.as_slice() else { continue };
        let Some(subject) = subject(certificate) else { continue };
        let hash = name_hash(subject);
        let same = hashes.entry(hash).or_default();
        if same.contains(certificate) || same.len() >= MAX_COLLISIONS {
            continue;
        }
        link(tree, &format!("{hash:08x}.{:x}", same.len()), name)?;
        same.push(certificate.clone());
    }
    Ok(())
}

/// Adds the spec's certificates as files and returns them in the order in which they join the bundle.
fn local(tree: &mut Tree<'_>, input: &SelectInput<'_>, source_date: i64) -> Result<Vec<(String, Vec<u8>)>, Error> {
    if input.local.certificates.len() != input.spec.certificates.len() {
        return Err(Error::Local("the local pack has other certificates than the spec".to_owned()));
    }
    let mut added = BTreeMap::new();
    for (number, (text, asked)) in input.local.certificates.iter().zip(&input.spec.certificates).enumerate() {
        let place = Place { source: input.spec.source.clone(), span: asked.span };
        let wrong =
            |problem| Err(Error::Certificate { name: asked.value.clone(), problem, place: Some(place.clone()) });
        let certificates = pem(text);
        if certificates.is_empty() {
            return wrong("it holds no PEM certificate");
        }
        if certificates.iter().any(|certificate| subject(certificate).is_none()) {
            return wrong("it holds something that is no X.509 certificate");
        }
        let file = asked.value.rsplit('/').next().unwrap_or(&asked.value);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let path = format!("{LOCAL_DIRECTORY}/{stem}.crt");
        if added.contains_key(&path) {
            return wrong("another certificate of the spec has the same file name");
        }
        let Ok(image_path) = ImagePath::parse(&path) else { return wrong("its file name has no place in an image") };
        let node = Node {
            owner: Owner::Certificate(number),
            meta: Meta::root(0o644, source_date),
            what: What::Inline(text.clone()),
        };
        if !tree.insert(image_path, node, Some(&place))? {
            return wrong("its path in the image is taken");
        }
        added.insert(path, text.clone());
    }
    Ok(added.into_iter().collect())
}

/// Returns the name of a certificate's link, as `update-ca-certificates` makes it from the file's name.
fn link_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".crt").unwrap_or(name);
    let stem: String = stem
        .chars()
        .map(|c| match c {
            ' ' | ',' => '_',
            '(' | ')' => '=',
            c => c,
        })
        .collect();
    format!("{stem}.pem")
}

/// Returns the DER bytes of every certificate in a PEM text.
fn pem(text: &[u8]) -> Vec<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const TRUSTED: &str = "-----BEGIN X509 CERTIFICATE-----";
    let text = String::from_utf8_lossy(text);
    let mut found = Vec::new();
    let mut body: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line == BEGIN || line == TRUSTED {
            body = Some(String::new());
        } else if line.starts_with("-----END") {
            found.extend(body.take().and_then(|body| base64(&body)));
        } else if let Some(body) = &mut body {
            body.push_str(line);
        }
    }
    found
}

/// Decodes base64 (RFC 4648) with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for quad in digits.chunks(4) {
        let mut value = 0_u32;
        for digit in quad {
            let digit = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            value = value << 6 | u32::from(digit);
        }
        let missing = 4 - quad.len();
        if missing > 2 {
            return None;
        }
        let [_, a, b, c] = (value << (6 * missing)).to_be_bytes();
        bytes.extend_from_slice(&[a, b, c][..3 - missing]);
    }
    Some(bytes)
}

/// Splits the first DER element off: (tag, content, rest). Only definite lengths of at most four bytes.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, tail) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = tail;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Returns the content of a certificate's subject (RFC 5280, 4.1): a row of relative distinguished names.
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (0x30, certificate, _) = element(certificate)? else { return None };
    let (0x30, mut body, _) = element(certificate)? else { return None };
    // An optional version, then serial number, signature algorithm, issuer, validity.
    if body.first() == Some(&0xa0) {
        body = element(body)?.2;
    }
    for expected in [0x02, 0x30, 0x30, 0x30] {
        let (tag, _, rest) = element(body)?;
        if tag != expected {
            return None;
        }
        body = rest;
    }
    let (0x30, subject, _) = element(body)? else { return None };
    Some(subject)
}

/// Returns OpenSSL's `X509_NAME_hash`: the first four bytes, little-endian, of the SHA-1 of the canonical name.
fn name_hash(mut subject: &[u8]) -> u32 {
    let mut canonical = Vec::with_capacity(subject.len());
    while let Some((0x31, set, rest)) = element(subject) {
        subject = rest;
        let mut attributes = Vec::new();
        let mut set = set;
        while let Some((0x30, attribute, rest)) = element(set) {
            set = rest;
            let Some((oid_tag, oid, value)) = element(attribute) else { continue };
            let Some((tag, value, _)) = element(value) else { continue };
            let mut encoded = encode(oid_tag, oid);
            encoded.extend(match text(tag, value) {
                Some(text) => encode(0x0c, canonical_text(&text).as_bytes()),
                None => encode(tag, value),
            });
            attributes.push(encode(0x30, &encoded));
        }
        attributes.sort();
        canonical.extend(encode(0x31, &attributes.concat()));
    }
    let digest = sha1::Sha1::digest(&canonical);
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// Returns a string type's characters; `None` for types that the canonical form leaves alone.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        // UTF8String
        0x0c => String::from_utf8(value.to_vec()).ok(),
        // PrintableString, T61String (read as Latin-1, as OpenSSL does), IA5String, VisibleString
        0x13 | 0x14 | 0x16 | 0x1a => Some(value.iter().map(|byte| char::from(*byte)).collect()),
        // UniversalString
        0x1c => value.chunks(4).map(|quad| char::from_u32(u32::from_be_bytes(quad.try_into().ok()?))).collect(),
        // BMPString
        0x1e => {
            value.chunks(2).map(|pair| char::from_u32(u32::from(u16::from_be_bytes(pair.try_into().ok()?)))).collect()
        }
        _ => None,
    }
}

/// Lower-cases ASCII, trims white space and folds runs of it into one space.
fn canonical_text(text: &str) -> String {
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    text.split(space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len();
    if length < 0x80 {
        bytes.push(u8::try_from(length).unwrap_or(0x7f));
    } else {
        let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
        bytes.extend(digits);
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_named_as_the_script_names_them() {
        assert_eq!(link_name("usr/share/ca-certificates/mozilla/A, (B) C.crt"), "A__=B=_C.pem");
    }

    #[test]
    fn hostile_certificates_are_no_certificates() {
        for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80", b"\x30\x02\x30\x00"] {
            assert_eq!(subject(bytes), None);
        }
        assert!(pem(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").is_empty());
    }

    #[test]
    fn canonical_text_folds_case_and_space() {
        assert_eq!(canonical_text("  Test  CA\u{c4} "), "test ca\u{c4}");
    }

    /// The judge is `openssl x509 -subject_hash`, where it is installed.
    #[test]
    fn hashes_are_openssl_s() {
        let directory = tempfile::tempdir().unwrap();
        let certificate = directory.path().join("c.pem");
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"])
            .arg(directory.path().join("k.pem"))
            .args(["-multivalue-rdn", "-utf8", "-subj", "/C=XX/O=Ex  Ample GÄ+OU=Zeta/CN=Root CA", "-out"])
            .arg(&certificate)
            .output();
        if !made.is_ok_and(|output| output.status.success()) {
            eprintln!("openssl is not installed: its judgement is left out");
            return;
        }
        let said = std::process::Command::new("openssl")
            .args(["x509", "-noout", "-subject_hash", "-in"])
            .arg(&certificate)
            .output()
            .unwrap();
        let der = pem(&std::fs::read(&certificate).unwrap());
        assert_eq!(format!("{:08x}\n", name_hash(subject(&der[0]).unwrap())), String::from_utf8(said.stdout).unwrap());
    }
}
