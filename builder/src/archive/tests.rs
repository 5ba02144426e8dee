//! What the whole way from bytes to an index promises, shown with keys made here.

use std::error::Error as _;
use std::io::{Read, Write as _};

use pgp::crypto::hash::HashAlgorithm;

use super::signing::{KEY_CREATED, Plan, Secret, SubkeyPlan, clearsign, clearsign_by, generate_key};
use super::{Error, Index, Keyring, MultiArch, Policy, Release};
use crate::diag::Diagnose as _;
use crate::digest::Digest;

/// 2024-09-07 09:12:34 UTC.
const DATE: i64 = 1_725_700_354;
const DAY: i64 = 86_400;

const PACKAGES: &str = "\
Package: hello
Version: 1:2.10-3
Architecture: amd64
Source: hello-src (2.10-3)
Multi-Arch: foreign
Essential: yes
Installed-Size: 280
Pre-Depends: libc6 (>= 2.36)
Depends: base | base-virtual, python3:any
Conflicts: old
Breaks: older (<< 2)
Provides: greeting (= 1)
Replaces: older
Filename: pool/main/h/hello/hello_2.10-3_amd64.deb
Size: 1000
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
Description: says hello
 and no more

Package: foreign
Version: 1
Architecture: i386

Package: data
Version: 1
Architecture: all
Filename: ./pool/main/d/data/data_1_all.deb
Size: 1
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
";

fn release_text(packages: &[(&str, &[u8])]) -> String {
    let mut text = "Origin: Example\nSuite: stable\nCodename: trixie\nDate: Sat, 07 Sep 2024 09:12:34 UTC\n\
                    Valid-Until: Sat, 14 Sep 2024 09:12:34 UTC\nAcquire-By-Hash: yes\n\
                    Architectures: all amd64\nComponents: main\nNo-Support-for-Architecture-all: Packages\nSHA256:\n"
        .to_owned();
    for (path, bytes) in packages {
        text.push_str(&format!(" {} {:>8} {path}\n", Digest::of(bytes).hex(), bytes.len()));
    }
    text
}

fn text() -> String {
    release_text(&[("main/binary-amd64/Packages", PACKAGES.as_bytes())])
}

fn policy() -> Policy {
    Policy::at(DATE + DAY)
}

fn verify(certificate: &str, bytes: &[u8], policy: &Policy) -> Result<Release, Error> {
    Keyring::from_certificates("key.asc", certificate.as_bytes())?.verify("acme", "trixie", bytes, policy)
}

/// Returns the error with its causes and hints, as one text.
fn said<T>(result: Result<T, Error>) -> String {
    let Err(error) = result else { return "good".to_owned() };
    let mut said = error.to_string();
    if let Some(source) = error.source() {
        said.push_str(&format!(": {source}"));
    }
    error.hints().iter().for_each(|hint| said.push_str(&format!("\n{hint}")));
    said
}

#[test]
fn a_good_release_says_what_it_signs() {
    let (secret, certificate) = generate_key(1);
    let bytes = clearsign(&secret, &text(), DATE);
    assert_eq!(bytes, clearsign(&secret, &text(), DATE), "fixtures are the same in every run");
    let release = verify(&certificate, &bytes, &policy()).unwrap();
    assert_eq!((release.date(), release.valid_until()), (DATE, Some(DATE + 7 * DAY)));
    assert_eq!((release.archive(), release.suite(), release.codename()), ("acme", "trixie", Some("trixie")));
    assert_eq!(release.signers(), [secret.fingerprint()]);
    assert_eq!(release.digest(), Digest::of(&bytes));
    let files = release.packages_files(&["main".to_owned()], "amd64").unwrap();
    assert_eq!(files[0].path, "main/binary-amd64/Packages");
    assert_eq!(
        release.by_hash_path(&files[0]).unwrap(),
        format!("main/binary-amd64/by-hash/SHA256/{}", Digest::of(PACKAGES.as_bytes()).hex())
    );
    let missing = said(release.packages_files(&["contrib".to_owned()], "amd64"));
    assert!(missing.contains("for `contrib` and `amd64`") && missing.contains("components `main`"), "{missing}");
}

/// Each change of a good InRelease, made after signing, is refused.
#[test]
fn a_changed_message_is_refused() {
    let (secret, certificate) = generate_key(1);
    let good = String::from_utf8(clearsign(&secret, &text(), DATE)).unwrap();
    let twice = format!("{good}{good}");
    for (from, to, what) in [
        ("-----BEGIN PGP SIGNED", "Date: now\n\n-----BEGIN PGP SIGNED", "does not start"),
        ("-----END PGP SIGNATURE-----\n", "-----END PGP SIGNATURE-----\nPackage: x\n", "goes on"),
        (&good, &twice, "goes on"),
        ("Hash: SHA512\n", "Hash: SHA512\nX-Extra: 1\n", "header other than"),
        ("Hash: SHA512\n", "", "no `Hash` header"),
        ("Hash: SHA512", "Hash: MD5", "its hash is not"),
        ("Hash: SHA512", "Hash: SHA256", "does not declare its hash"),
        ("\nValid-Until", "\rValid-Until", "control character"),
        ("\nValid-Until", "\r\nValid-Until", "control character"),
        ("14 Sep", "15 Sep", "not of this text"),
        ("\nValid-Until: Sat, 14 Sep 2024 09:12:34 UTC", "", "not of this text"),
        ("SHA256:\n", "SHA256:\n \n", "not of this text"),
    ] {
        let bytes = good.replacen(from, to, 1);
        assert_ne!(bytes, good, "{from:?}");
        let said = said(verify(&certificate, bytes.as_bytes(), &policy()));
        assert!(said.contains(what), "{from:?} → {to:?}: {said}");
    }
    for length in 0..good.len() - 1 {
        assert!(verify(&certificate, &good.as_bytes()[..length], &policy()).is_err(), "{length}");
    }
    // Blanks at line ends are not signed, and mean nothing here either.
    let blanks = good.replacen("Suite: stable\n", "Suite: stable \t\n", 1);
    assert!(verify(&certificate, blanks.as_bytes(), &policy()).is_ok());
}

/// Well signed, but not what may be believed.
#[test]
fn a_signed_release_that_is_wrong_is_refused() {
    let (secret, certificate) = generate_key(1);
    let line = format!(" {} {:>8} ", Digest::of(PACKAGES.as_bytes()).hex(), PACKAGES.len());
    for (from, to, what) in [
        ("Origin: Example\n", "Origin: Example\norigin: Other\n", "the field `origin` a second time"),
        ("Suite: stable\n", "Suite: stable\n\nPackage: x\n", "a second stanza"),
        ("Codename: trixie", "Codename: sid", "is for `stable`, `sid`"),
        ("Date: Sat, 07", "Date: Sun, 07", "is no date for `Date`"),
        ("Date: Sat, 07 Sep 2024 09:12:34 UTC\n", "", "no `Date`"),
        ("Valid-Until: Sat, 14 Sep 2024 09:12:34 UTC", "Valid-Until: soon", "is no date for `Valid-Until`"),
        ("SHA256:", "MD5Sum:", "no `SHA256`"),
        ("SHA256:", "SHA256: x", "line of its own"),
        (" main/binary", " ../main/binary", "is no line of `SHA256`"),
        (" main/binary", " /main/binary", "is no line of `SHA256`"),
        (&line, " abc 1 ", "is no line of `SHA256`"),
        (&line, &format!(" {} 1 main/binary-amd64/Packages\n{line}", "0".repeat(64)), "twice"),
    ] {
        let changed = text().replacen(from, to, 1);
        assert_ne!(changed, text(), "{from:?}");
        let said = said(verify(&certificate, &clearsign(&secret, &changed, DATE), &policy()));
        assert!(said.contains(what), "{from:?} → {to:?}: {said}");
    }
}

#[test]
fn dates_are_held_against_the_present_and_the_lock() {
    let (secret, certificate) = generate_key(1);
    let bytes = clearsign(&secret, &text(), DATE);
    let check = |change: &dyn Fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        said(verify(&certificate, &bytes, &policy))
    };
    assert_eq!(check(&|policy| policy.now = DATE + 7 * DAY), "good");
    assert!(check(&|policy| policy.now = DATE + 7 * DAY + 1).contains("expired on 2024-09-14 09:12:34 UTC"));
    assert_eq!(
        check(&|policy| {
            policy.now = DATE + 70 * DAY;
            policy.fresh = false;
        }),
        "good"
    );
    assert_eq!(check(&|policy| policy.now = DATE - 299), "good");
    assert!(check(&|policy| policy.now = DATE - DAY).contains("in the future"));
    let early = clearsign(&secret, &text(), DATE - 2 * DAY);
    let future = said(verify(&certificate, &early, &Policy::at(DATE - DAY)));
    assert!(future.contains("dated 2024-09-07 09:12:34 UTC, and it is 2024-09-06 09:12:34 UTC now"), "{future}");
    assert_eq!(check(&|policy| policy.not_before = Some(DATE)), "good");
    let older = check(&|policy| policy.not_before = Some(DATE + 1));
    assert!(older.contains("dated 2024-09-07 09:12:34 UTC, the lock stands on 2024-09-07 09:12:35 UTC"), "{older}");
}

#[test]
fn weak_unknown_revoked_and_expired_keys_do_not_count() {
    let subkey = |change: fn(&mut SubkeyPlan)| {
        let mut subkey = SubkeyPlan::default();
        change(&mut subkey);
        Plan { subkey: Some(subkey), ..Plan::new(1) }
    };
    let until = |time: i64| Some((time - KEY_CREATED).try_into().unwrap());
    for (plan, what) in [
        (Plan::new(1), "good"),
        (Plan { hash: HashAlgorithm::Sha256, ..Plan::new(1) }, "good"),
        (Plan { revoked: true, ..Plan::new(1) }, "revoked"),
        (Plan { signs: false, ..Plan::new(1) }, "may not sign"),
        (Plan { lifetime: until(DATE + 2 * DAY), ..Plan::new(1) }, "good"),
        (Plan { lifetime: until(DATE - 1), ..Plan::new(1) }, "key expired on"),
        // Good when it signed, expired now.
        (Plan { lifetime: until(DATE + 1), ..Plan::new(1) }, "key expired on"),
        (Plan { created: DATE + 1, ..Plan::new(1) }, "older than its key"),
        (subkey(|_| {}), "good"),
        (subkey(|subkey| subkey.signs = false), "may not sign"),
        (subkey(|subkey| subkey.back = None), "may not sign"),
        (subkey(|subkey| subkey.back = Some(false)), "may not sign"),
        (subkey(|subkey| subkey.revoked = true), "revoked"),
        (subkey(|subkey| subkey.lifetime = Some(1)), "key expired on"),
        (Plan { revoked: true, ..subkey(|_| {}) }, "revoked"),
        (Plan { lifetime: until(DATE + 1), ..subkey(|_| {}) }, "key expired on"),
        (Plan { signs: false, ..subkey(|_| {}) }, "good"),
    ] {
        let (secret, certificate) = plan.key();
        let said = said(verify(&certificate, &clearsign(&secret, &text(), DATE), &policy()));
        assert!(said.contains(what), "{plan:?}: {said}");
    }
    let (secret, _) = generate_key(1);
    let unknown = said(verify(&generate_key(2).1, &clearsign(&secret, &text(), DATE), &policy()));
    assert!(unknown.contains(&format!("not in the keyring: `{}`", secret.fingerprint())), "{unknown}");
}

#[test]
fn what_a_lock_names_is_judged_as_of_the_day_it_was_signed() {
    let expired_since = Plan { lifetime: Some((DATE + 1 - KEY_CREATED).try_into().unwrap()), ..Plan::new(1) };
    let (secret, certificate) = expired_since.key();
    let message = clearsign(&secret, &text(), DATE);
    let old = Policy { fresh: false, ..policy() };
    assert_eq!(said(verify(&certificate, &message, &old)), "good");
    assert!(said(verify(&certificate, &message, &policy())).contains("key expired on"));
    let expired_before = Plan { lifetime: Some((DATE - 1 - KEY_CREATED).try_into().unwrap()), ..Plan::new(1) };
    let (secret, certificate) = expired_before.key();
    let message = clearsign(&secret, &text(), DATE);
    assert!(said(verify(&certificate, &message, &old)).contains("key expired on"));
}

/// Made with gpg, as `fixtures/README` says: what it makes counts, unless the hash or the key is weak.
#[test]
fn gpg_signatures_count_where_they_are_strong() {
    let check = |certificate: &str, message: &str| said(verify(certificate, message.as_bytes(), &policy()));
    let certificate = include_str!("fixtures/rsa2048.asc");
    assert_eq!(check(certificate, include_str!("fixtures/rsa2048-sha512.InRelease")), "good");
    let weak = include_str!("fixtures/rsa2048-sha1.InRelease");
    assert!(check(certificate, weak).contains("is not SHA-256"));
    let hidden = weak.replacen("Hash: SHA1", "Hash: SHA256", 1);
    assert!(check(certificate, &hidden).contains("its hash is SHA1, which does not count"));
    let short = check(include_str!("fixtures/rsa1024.asc"), include_str!("fixtures/rsa1024-sha512.InRelease"));
    assert!(short.contains("RSA of 1024 bits, which is too weak"), "{short}");
    let old =
        check(include_str!("fixtures/rsa2048-self-sha1.asc"), include_str!("fixtures/rsa2048-self-sha1.InRelease"));
    assert!(old.contains("no valid self-signature with SHA-256 or better"), "{old}");
}

#[test]
fn different_certificates_are_counted() {
    let keys: Vec<(Secret, String)> = (1..=3).map(generate_key).collect();
    let all: String = keys.iter().map(|(_, certificate)| format!("{certificate}\n")).collect();
    let signed = |numbers: &[usize]| {
        let secrets: Vec<&Secret> = numbers.iter().map(|&number| &keys[number].0).collect();
        clearsign_by(&secrets, &text(), DATE, HashAlgorithm::Sha256)
    };
    let two = Policy { min_signatures: 2, ..policy() };
    assert_eq!(said(verify(&all, &signed(&[0, 2]), &two)), "good");
    assert!(said(verify(&all, &signed(&[0]), &two)).contains("1 good signature where 2 are needed"));
    assert!(said(verify(&all, &signed(&[0, 0]), &two)).contains("1 good signature where 2 are needed"));
    assert!(said(verify(&all, &signed(&[0, 1]), &Policy { min_signatures: 3, ..policy() })).contains("2 good"));
    let require = |key: String| Policy { require_key: vec![key], ..policy() };
    let fingerprint = keys[0].0.fingerprint().to_ascii_lowercase();
    assert_eq!(said(verify(&all, &signed(&[0, 1]), &require(format!("0x{fingerprint}")))), "good");
    assert!(said(verify(&all, &signed(&[1]), &require(fingerprint))).contains("by the required key"));
    // Unknown signers beside a known one are passed over.
    assert_eq!(said(verify(&keys[1].1, &signed(&[0, 1, 2]), &policy())), "good");
    assert_eq!(said(verify(&all, &signed(&[0; 16]), &policy())), "good");
    assert!(said(verify(&all, &signed(&[0; 17]), &policy())).contains("more than 16 signatures"));
}

#[test]
fn a_keyring_is_refused_where_it_holds_nothing_usable() {
    for bytes in [&b""[..], b"no key", b"\x99\x00", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n", &[0xff; 40]] {
        assert!(Keyring::from_certificates("key.asc", bytes).is_err(), "{bytes:?}");
    }
}

fn index(listed: &[(&str, &[u8])], served: &[(&str, &[u8])], architecture: &str) -> Result<Index, Error> {
    let (secret, certificate) = generate_key(1);
    let release = verify(&certificate, &clearsign(&secret, &release_text(listed), DATE), &policy())?;
    let files = release.packages_files(&["main".to_owned()], architecture)?;
    let parts = files
        .into_iter()
        .map(|file| {
            let (_, bytes) = served.iter().find(|(path, _)| *path == file.path).unwrap();
            (file, Box::new(std::io::Cursor::new(bytes.to_vec())) as Box<dyn Read + Send>)
        })
        .collect();
    release.index(parts)
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const PLAIN: &str = "main/binary-amd64/Packages";
const XZ: &str = "main/binary-amd64/Packages.xz";
const GZ: &str = "main/binary-amd64/Packages.gz";
const ZST: &str = "main/binary-amd64/Packages.zst";

#[test]
fn candidates_are_what_the_stanzas_say() {
    let (xz, gz) = (xz(PACKAGES.as_bytes()), gz(PACKAGES.as_bytes()));
    let zst = zstd::stream::encode_all(PACKAGES.as_bytes(), 3).unwrap();
    let all: &[(&str, &[u8])] = &[(PLAIN, PACKAGES.as_bytes()), (XZ, &xz), (GZ, &gz), (ZST, &zst)];
    let read = index(all, all, "amd64").unwrap();
    assert_eq!(read.set.packages[0].path, XZ);
    assert_eq!((read.set.name.as_str(), read.set.suite.as_str(), read.set.date), ("acme", "trixie", DATE));
    for one in all {
        let alone = index(&[*one], &[*one], "amd64").unwrap();
        assert_eq!(alone.candidates.len(), 2);
        assert_eq!(alone.candidates[0].depends, read.candidates[0].depends);
    }
    let [hello, data] = &read.candidates[..] else { panic!("two packages") };
    let words = |all: &[crate::deb822::Dependency]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    assert_eq!(
        (hello.name.as_str(), hello.version.as_str(), hello.architecture.as_str()),
        ("hello", "1:2.10-3", "amd64")
    );
    assert_eq!((hello.source.as_str(), hello.source_version.as_str()), ("hello-src", "2.10-3"));
    assert_eq!((hello.multi_arch, hello.essential, hello.installed_size_kib), (MultiArch::Foreign, true, 280));
    assert_eq!(words(&hello.depends), "libc6 (>= 2.36), base | base-virtual, python3:any");
    assert_eq!(words(&hello.conflicts), "old");
    assert_eq!(words(&hello.breaks), "older (<< 2)");
    assert_eq!(words(&hello.provides), "greeting (= 1)");
    assert_eq!(words(&hello.replaces), "older");
    assert_eq!((hello.path.as_str(), hello.size), ("pool/main/h/hello/hello_2.10-3_amd64.deb", 1000));
    assert_eq!((hello.digest, hello.in_release), (Digest::of(b""), Some(read.set.in_release)));
    assert_eq!((data.source.as_str(), data.source_version.as_str()), ("data", "1"));
    assert_eq!((data.path.as_str(), data.multi_arch), ("pool/main/d/data/data_1_all.deb", MultiArch::No));
}

#[test]
fn a_list_that_is_not_the_signed_one_is_refused() {
    let plain = PACKAGES.as_bytes();
    let packed = xz(plain);
    let check = |listed: &[(&str, &[u8])], served: &[(&str, &[u8])]| said(index(listed, served, "amd64"));
    let other = PACKAGES.replacen("hello", "hallo", 1);
    assert!(check(&[(PLAIN, plain)], &[(PLAIN, other.as_bytes())]).contains("signed are sha256:"));
    assert!(check(&[(PLAIN, plain)], &[(PLAIN, &plain[1..])]).contains("bytes, read were"));
    assert!(check(&[(PLAIN, plain)], &[(PLAIN, &[plain, b"x"].concat())]).contains("bytes, read were"));
    let long = [packed.as_slice(), &packed].concat();
    assert!(check(&[(XZ, &long)], &[(XZ, &long)]).contains("bytes follow its end"));
    let short = &packed[..packed.len() - 4];
    assert!(check(&[(XZ, short)], &[(XZ, short)]).contains("cannot unpack"));
    assert!(check(&[(XZ, plain)], &[(XZ, plain)]).contains("cannot unpack"));
    assert!(check(&[(GZ, &packed)], &[(GZ, &packed)]).contains("cannot unpack"));
    // Unpacks to more, or to less, than is signed.
    let more = xz(&[plain, plain].concat());
    assert!(check(&[(PLAIN, plain), (XZ, &more)], &[(XZ, &more)]).contains("more than"));
    let less = xz(&plain[..plain.len() / 2]);
    let said = check(&[(PLAIN, plain), (XZ, &less)], &[(XZ, &less)]);
    assert!(said.contains("cannot"), "{said}");
    let bomb = xz(&vec![b'\n'; 4 << 20]);
    assert!(check(&[(PLAIN, plain), (XZ, &bomb)], &[(XZ, &bomb)]).contains("more than"));
}

#[test]
fn a_malformed_stanza_is_named() {
    for (from, to, what) in [
        ("Version: 1:2.10-3\n", "", "has no `Version`"),
        ("1:2.10-3", "1:2_10", "cannot read version `1:2_10`"),
        ("Multi-Arch: foreign", "Multi-Arch: maybe", "`maybe` cannot be `Multi-Arch`"),
        ("Essential: yes", "Essential: 1", "cannot be `Essential`"),
        ("Depends: base |", "Depends: base ||", "cannot read relation"),
        ("Filename: pool", "Filename: ../pool", "cannot be `Filename`"),
        ("Filename: pool", "Filename: /pool", "cannot be `Filename`"),
        ("Filename: pool", "Filename: pool/./x", "cannot be `Filename`"),
        ("Filename: pool", "Filename: pool\\x", "cannot be `Filename`"),
        ("Size: 1000", "Size: -1", "cannot be `Size`"),
        ("Size: 1000", "Size: 0", "cannot be `Size`"),
        ("SHA256: e3b0", "SHA256: E3B0", "cannot be `SHA256`"),
        ("SHA256: e3b0", "SHA1: e3b0", "has no `SHA256`"),
        ("Installed-Size: 280", "Installed-Size: x", "cannot be `Installed-Size`"),
        ("hello-src (2.10-3)", "hello-src 2.10-3", "cannot be `Source`"),
        ("Installed-Size: 280", "Installed-Size: 280\nVERSION: 3", "the field `VERSION` a second time"),
    ] {
        let changed = PACKAGES.replacen(from, to, 1);
        assert_ne!(changed, PACKAGES, "{from:?}");
        let list: &[(&str, &[u8])] = &[(PLAIN, changed.as_bytes())];
        let said = said(index(list, list, "amd64"));
        assert!(said.contains(what), "{from:?} → {to:?}: {said}");
        assert!(said.contains("package `hello`") || what.contains("second time"), "{said}");
    }
}

/// Asks gpgv about the same messages; says so where it is not installed.
#[test]
fn gpgv_agrees() {
    use pgp::composed::{Deserializable as _, SignedPublicKey};
    use pgp::ser::Serialize as _;
    let directory = tempfile::tempdir().unwrap();
    let (ring, message) = (directory.path().join("ring.gpg"), directory.path().join("InRelease"));
    let subkey = |subkey| Plan { subkey: Some(subkey), ..Plan::new(1) };
    for plan in [
        Plan::new(1),
        Plan { lifetime: Some(1), ..Plan::new(1) },
        subkey(SubkeyPlan::default()),
        subkey(SubkeyPlan { back: Some(false), ..SubkeyPlan::default() }),
        subkey(SubkeyPlan { revoked: true, ..SubkeyPlan::default() }),
    ] {
        let (secret, certificate) = plan.key();
        let (binary, _) = SignedPublicKey::from_armor_single(certificate.as_bytes()).unwrap();
        std::fs::write(&ring, binary.to_bytes().unwrap()).unwrap();
        let good = String::from_utf8(clearsign(&secret, &text(), DATE)).unwrap();
        for bytes in [good.replacen("Origin: Example", "Origin: Exampla", 1), good] {
            std::fs::write(&message, &bytes).unwrap();
            let judge = std::process::Command::new("gpgv")
                .arg("--homedir")
                .arg(directory.path())
                .arg("--keyring")
                .arg(&ring)
                .args(["--status-fd", "1"])
                .arg(&message)
                .stderr(std::process::Stdio::null())
                .output();
            let Ok(judge) = judge else {
                eprintln!("gpgv is not installed: its verdict was not compared");
                return;
            };
            let theirs = String::from_utf8_lossy(&judge.stdout).contains("GOODSIG");
            let ours = said(verify(&certificate, bytes.as_bytes(), &policy()));
            assert_eq!(ours == "good", theirs, "{plan:?}: {ours}");
        }
    }
}
