use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::attest::{self, Statement};
use crate::digest::Digest;
use crate::sign::{Algorithm, Bundle, Envelope, PrivateKey, PublicKey, Signer as _, SimpleSigning};

const REPOSITORY: &str = "registry.example.org/team/web";

fn key(seed: u8) -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519, &Zeroizing::new([seed; 32])).unwrap()
}

fn keys(seeds: &[u8]) -> Keys {
    Keys::new(seeds.iter().map(|seed| (format!("{seed}.pub"), key(*seed).public().clone())).collect())
}

fn image() -> Digest {
    Digest::of(b"manifest")
}

fn wanted(identity: Identity) -> Wanted {
    Wanted::image(identity, REPOSITORY, Some("v2"), &image())
}

/// Signs as tarsia does: by tag, and by digest.
fn simple(findings: &mut Findings<'_>, seed: u8, digest: Digest, tag: &str) {
    for reference in [format!("{REPOSITORY}:{tag}"), format!("{REPOSITORY}@{digest}")] {
        let (payload, signature) = SimpleSigning { reference, digest }.sign(&key(seed)).unwrap();
        findings.hear("sig", Claim::Simple { payload: &payload, signature: &signature });
    }
}

fn bundle(seed: u8, statement: &Statement) -> Vec<u8> {
    Bundle::sign(statement, &key(seed)).unwrap().to_bytes()
}

fn verdict() -> Value {
    json!({"verifier": {"id": "https://example.org/rebuilder"}, "timeCreated": "1970-01-01T00:00:00Z",
        "properties": [attest::REPRODUCED]})
}

fn outcome(findings: &Findings<'_>, threshold: usize) -> (Outcome, String) {
    let check = signature(findings, "linux/amd64", threshold);
    (check.outcome, check.says)
}

#[test]
fn a_signature_under_the_right_name_is_one() {
    let keys = keys(&[1]);
    for identity in [Identity::Exact, Identity::Repository, Identity::Any] {
        let mut findings = Findings::new(image(), wanted(identity), &keys);
        simple(&mut findings, 1, image(), "v2");
        let (outcome, says) = outcome(&findings, 1);
        assert_eq!(outcome, Outcome::Yes);
        assert!(says.starts_with("by `1.pub`, as `registry.example.org/team/web:v2`"), "{says}");
    }
}

#[test]
fn an_image_under_another_name_is_refused_as_asked() {
    let keys = keys(&[1]);
    for (identity, wanted_outcome) in
        [(Identity::Exact, Outcome::No), (Identity::Repository, Outcome::Yes), (Identity::Any, Outcome::Yes)]
    {
        // Signed as v1, and asked for as v2.
        let mut findings = Findings::new(image(), wanted(identity), &keys);
        simple(&mut findings, 1, image(), "v1");
        let (outcome, says) = outcome(&findings, 1);
        assert_eq!(outcome, wanted_outcome, "{says}");
        if outcome == Outcome::No {
            assert_eq!(says, format!("it is signed as `{REPOSITORY}:v1`, and not as `{REPOSITORY}:v2`"));
        }
    }
}

#[test]
fn what_is_no_signature_of_the_image_does_not_count() {
    let keys = keys(&[1]);
    let nothing = |hear: &dyn Fn(&mut Findings<'_>), words: &str| {
        for identity in [Identity::Exact, Identity::Repository, Identity::Any] {
            let mut findings = Findings::new(image(), wanted(identity), &keys);
            hear(&mut findings);
            let (outcome, says) = outcome(&findings, 1);
            assert_eq!(outcome, Outcome::No);
            let told = format!("{says} {}", findings.notes().join(" "));
            assert!(told.contains(words), "{told}");
        }
    };
    nothing(&|_| {}, "no signature: nothing is signed");
    // A wrong key.
    nothing(&|findings| simple(findings, 9, image(), "v2"), "by none of the keys");
    let signed = bundle(9, &Statement::signature(image()));
    nothing(&|findings| findings.hear("b", Claim::Bundle(&signed)), "by none of the keys");
    // One byte of what was signed, and one of the signature.
    let reference = format!("{REPOSITORY}:v2");
    let (payload, signed) = SimpleSigning { reference, digest: image() }.sign(&key(1)).unwrap();
    for at in 0..payload.len() {
        let mut flipped = payload.clone();
        flipped[at] ^= 1;
        nothing(
            &|findings| findings.hear("sig", Claim::Simple { payload: &flipped, signature: &signed }),
            "by none of the keys",
        );
    }
    for at in 0..signed.len() {
        let mut flipped = signed.clone();
        flipped[at] ^= 1;
        nothing(
            &|findings| findings.hear("sig", Claim::Simple { payload: &payload, signature: &flipped }),
            "by none of the keys",
        );
    }
    // Of another image.
    nothing(&|findings| simple(findings, 1, Digest::of(b"other"), "v2"), "`1.pub` signed another image there");
    let other = bundle(1, &Statement::signature(Digest::of(b"other")));
    nothing(&|findings| findings.hear("b", Claim::Bundle(&other)), "`1.pub` says an image signature of another image");
    // A bundle that says something else of the image.
    for (predicate_type, predicate) in
        [(attest::VERIFICATION, verdict()), (attest::PROVENANCE, json!({})), ("https://example.org/x", json!({}))]
    {
        let said = bundle(1, &Statement::new("web", image(), predicate_type, predicate));
        nothing(&|findings| findings.hear("b", Claim::Bundle(&said)), "no signature");
    }
    // A predicate that was swapped after signing.
    let text = String::from_utf8(bundle(1, &Statement::new("web", image(), attest::VERIFICATION, verdict()))).unwrap();
    let mut swapped: Value = serde_json::from_str(&text).unwrap();
    let payload = Statement::signature(image()).to_bytes();
    swapped["dsseEnvelope"]["payload"] = Base64::encode_string(&payload).into();
    let swapped = serde_json::to_vec(&swapped).unwrap();
    nothing(&|findings| findings.hear("b", Claim::Bundle(&swapped)), "by none of the keys");
    for broken in [&b"{}"[..], b"", b"[", b"\xff", &signed] {
        nothing(&|findings| findings.hear("b", Claim::Bundle(broken)), "no signature");
        nothing(&|findings| findings.hear("b", Claim::Envelope(broken)), "no signature");
    }
}

#[test]
fn a_bundle_counts_where_no_name_is_asked_for() {
    let keys = keys(&[1]);
    let signed = bundle(1, &Statement::signature(image()));
    for (identity, wanted_outcome) in
        [(Identity::Exact, Outcome::No), (Identity::Repository, Outcome::No), (Identity::Any, Outcome::Yes)]
    {
        let mut findings = Findings::new(image(), wanted(identity), &keys);
        findings.hear("b", Claim::Bundle(&signed));
        let check = signature(&findings, "linux/amd64", 1);
        assert_eq!(check.outcome, wanted_outcome, "{}", check.says);
        assert_eq!(check.hints.len(), usize::from(wanted_outcome == Outcome::No));
    }
}

#[test]
fn a_threshold_counts_different_keys() {
    let three = keys(&[1, 2, 3]);
    let count = |seeds: &[u8]| {
        let mut findings = Findings::new(image(), wanted(Identity::Repository), &three);
        for seed in seeds {
            simple(&mut findings, *seed, image(), "v2");
        }
        outcome(&findings, 2)
    };
    assert_eq!(count(&[1, 3]).0, Outcome::Yes);
    let (one, says) = count(&[1, 1, 9]);
    assert_eq!(one, Outcome::No);
    assert!(says.starts_with("1 of 2 keys: by `1.pub`"), "{says}");
    // One key, named twice and in two encodings.
    let p256 = PrivateKey::generate(Algorithm::P256, &Zeroizing::new([7; 32])).unwrap();
    let pem = p256.public().to_pem();
    let crlf = pem.replace('\n', "\r\n");
    let parsed = |pem: &str| PublicKey::from_pem("k", pem.as_bytes()).unwrap();
    let named =
        vec![("a".to_owned(), parsed(&pem)), ("b".to_owned(), parsed(&crlf)), ("c".to_owned(), compressed(&p256))];
    let keys = Keys::new(named);
    assert_eq!(keys.len(), 1);
    let mut findings = Findings::new(image(), Wanted::any(), &keys);
    let signed = Bundle::sign(&Statement::signature(image()), &p256).unwrap().to_bytes();
    findings.hear("one", Claim::Bundle(&signed));
    findings.hear("two", Claim::Bundle(&signed));
    assert_eq!(outcome(&findings, 2).0, Outcome::No);
    assert_eq!(outcome(&findings, 1), (Outcome::Yes, "by `a`".to_owned()));
}

/// Returns the key from an SPKI that holds its point in compressed form (SEC 1, section 2.3.3).
fn compressed(key: &PrivateKey) -> PublicKey {
    let (_, der) = pem_rfc7468::decode_vec(key.public().to_pem().as_bytes()).unwrap();
    let point = &der[der.len() - 65..];
    assert_eq!(point[0], 4);
    let mut spki = vec![0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    spki.extend([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x22, 0x00]);
    spki.push(2 + (point[64] & 1));
    spki.extend(&point[1..33]);
    let pem = pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, &spki).unwrap();
    PublicKey::from_pem("compressed", pem.as_bytes()).unwrap()
}

#[test]
fn documents_count_where_they_are_what_they_say() {
    let keys = keys(&[1]);
    let spdx = |digest: Digest| {
        json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "documentDescribes": ["SPDXRef-image"],
            "packages": [{"SPDXID": "SPDXRef-image", "externalRefs": [
                {"referenceLocator": format!("pkg:oci/web@{digest}")}]}]})
    };
    let judged = |statement: &Statement, seed: u8| {
        let mut findings = Findings::new(image(), wanted(Identity::Repository), &keys);
        findings.hear("b", Claim::Bundle(&bundle(seed, statement)));
        let check = sbom(&findings, "linux/amd64");
        assert_eq!(signature(&findings, "linux/amd64", 1).outcome, Outcome::No, "an SBOM is no signature");
        (check.outcome, check.says)
    };
    let good = Statement::new("web", image(), attest::SPDX, spdx(image()));
    assert_eq!(judged(&good, 1), (Outcome::Yes, "SPDX-2.3: 1 package by `1.pub`".to_owned()));
    assert_eq!(judged(&good, 2).0, Outcome::No);
    for wrong in [
        Statement::new("web", image(), attest::SPDX, spdx(Digest::of(b"other"))),
        Statement::new("web", image(), attest::CYCLONEDX, spdx(image())),
        Statement::new("web", image(), "https://example.org/x", spdx(image())),
        Statement::new("web", Digest::of(b"other"), attest::SPDX, spdx(image())),
    ] {
        assert_eq!(judged(&wrong, 1).0, Outcome::No, "{wrong:?}");
    }
}

#[test]
fn verdicts_of_different_keys_make_a_quorum() {
    let three = keys(&[1, 2, 3]);
    let count = |seeds: &[u8], here: bool| {
        let mut findings = Findings::new(image(), Wanted::any(), &three);
        for seed in seeds {
            findings.hear(
                "b",
                Claim::Bundle(&bundle(*seed, &Statement::new("", image(), attest::VERIFICATION, verdict()))),
            );
        }
        rebuild(&findings, "linux/amd64", 2, here)
    };
    assert_eq!(count(&[1, 2], false).outcome, Outcome::Yes);
    assert_eq!(count(&[1], true).outcome, Outcome::Yes);
    for (seeds, here) in [(&[1, 1][..], false), (&[1, 9], false), (&[], true), (&[], false)] {
        assert_eq!(count(seeds, here).outcome, Outcome::No, "{seeds:?} {here}");
    }
    // Another result than that it was the same.
    let mut findings = Findings::new(image(), Wanted::any(), &three);
    let mut failed = verdict();
    failed["properties"] = json!(["EXAMPLE_LOOKED_AT"]);
    let failed = Statement::new("", image(), attest::VERIFICATION, failed);
    findings.hear("b", Claim::Bundle(&bundle(1, &failed)));
    assert_eq!(rebuild(&findings, "linux/amd64", 1, false).outcome, Outcome::No);
}

#[test]
fn what_could_not_be_read_is_no_answer() {
    let keys = keys(&[1]);
    let mut findings = Findings::new(image(), wanted(Identity::Repository), &keys);
    findings.unread("a blob is cut short".to_owned());
    let (unknown, says) = outcome(&findings, 1);
    assert_eq!(unknown, Outcome::Unknown);
    assert!(says.ends_with("not all could be read: a blob is cut short"), "{says}");
    simple(&mut findings, 1, image(), "v2");
    assert_eq!(outcome(&findings, 1).0, Outcome::Yes, "what is good beside it is good");
}

#[test]
fn claims_without_end_are_bounded() {
    let keys = keys(&[1]);
    let mut findings = Findings::new(image(), wanted(Identity::Repository), &keys);
    for number in 0..2 * MAX_CLAIMS {
        findings.hear(&format!("b{number}"), Claim::Bundle(b"{}"));
    }
    assert!(findings.notes().len() <= 64);
    assert_eq!(findings.unread_claims().len(), 1);
    assert_eq!(outcome(&findings, 1).0, Outcome::Unknown);
}

#[test]
fn files_hold_one_claim_or_one_on_each_line() {
    let keys = keys(&[1, 2]);
    let statement = Statement::signature(image());
    let (one, two) = (bundle(1, &statement), Envelope::sign(&statement, &key(2)).unwrap().to_bytes());
    let pretty = serde_json::to_vec_pretty(&serde_json::from_slice::<Value>(&one).unwrap()).unwrap();
    let lines = [one.as_slice(), b"\n\n", two.as_slice(), b"\n"].concat();
    for (bytes, signers) in [(&one, 1), (&two, 1), (&pretty, 1), (&lines, 2)] {
        let mut findings = Findings::new(image(), Wanted::any(), &keys);
        hear_file("f", bytes, &mut findings).unwrap();
        assert_eq!(findings.signers().len(), signers);
    }
    let mut findings = Findings::new(image(), Wanted::any(), &keys);
    for broken in [&b""[..], b"\n", b"x", b"{}", b"{}\n{}"] {
        assert!(hear_file("f", broken, &mut findings).is_err(), "{broken:?}");
    }
}
