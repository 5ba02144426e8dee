//! What an image must have: how many keys, which documents, of which manifests.

use super::*;

#[test]
fn different_keys_make_a_quorum() {
    let world = World::new(SPEC, Manners::default());
    let three = ["--key", "1.pub", "--key", "2.pub", "--key", "3.pub", "--threshold", "2"];
    world.sign(&world.digest, &[&key(1)]);
    world.no(&three, "1 of 2 keys: by `1.pub`");
    world.sign(&world.digest, &[&key(1), &key(1)]);
    world.no(&three, "1 of 2 keys: by `1.pub`");
    world.sign(&world.digest, &[&key(1), &key(3)]);
    assert!(world.yes(&three).contains("by `"));
    // One key, named twice, under two names and in two encodings.
    world.place.write("again.pub", key(1).public().to_pem().replace('\n', "\r\n"));
    let ran = world.verify(&["--key", "1.pub", "--key", "1.pub", "--key", "again.pub", "--threshold", "2"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("no 2 keys can agree: 1 different key is named"), "{}", ran.err);
}

#[test]
fn an_index_and_every_manifest_are_signed() {
    let world = World::new(TWO, referrers());
    let index: Value = serde_json::from_slice(&world.repository().document("v1").unwrap().unwrap().bytes).unwrap();
    let of = |number: usize| index["manifests"][number]["digest"].as_str().unwrap().parse::<Digest>().unwrap();
    world.sign(&world.digest, &[&key(1)]);
    world.sign(&of(0), &[&key(1)]);
    world.no(&KEY, "no       signature   linux/arm64  no signature: nothing is signed");
    world.yes(&[&KEY[..], &["--platform", "linux/amd64"]].concat());
    world.sign(&of(1), &[&key(1)]);
    world.yes(&KEY);
    world.yes(&[&KEY[..], &["--identity", "exact"]].concat());
    // Documents are of each manifest.
    let sbom = [&KEY[..], &["--require", "sbom"]].concat();
    world.attest(&of(0), &key(1), &Statement::new("web", of(0), attest::SPDX, spdx(&of(0))));
    world.no(&sbom, "no       sbom        linux/arm64  no SBOM");
    // An SBOM that speaks of the other one.
    world.attest(&of(1), &key(1), &Statement::new("web", of(1), attest::SPDX, spdx(&of(0))));
    world.no(&sbom, "inside it speaks of another image");
    world.attest(&of(1), &key(1), &Statement::new("web", of(1), attest::SPDX, spdx(&of(1))));
    assert!(world.yes(&sbom).contains("SPDX-2.3: 1 package by `1.pub`"));
}

#[test]
fn what_is_required_must_be_signed() {
    let world = World::new(SPEC, Manners::default());
    world.sign(&world.digest, &[&key(1)]);
    let require = |what: &'static str| [&KEY[..], &["--require", what]].concat();
    world.no(&require("sbom"), "no SBOM");
    world.no(&require("provenance"), "no provenance");
    world.no(&require("rebuild"), "no verdict of a rebuild");
    world.no(&require("signature,sbom"), "no SBOM");
    // A document without a signature is a claim, and told as one.
    world.blob(EMPTY, EMPTY_BYTES);
    let raw = world.blob("application/spdx+json", spdx(&world.digest).to_string().as_bytes());
    let subject = world.descriptor(&world.digest);
    let manifest = ReferrerManifest::new("application/spdx+json", &subject, raw, BTreeMap::new());
    world.repository().attach(&manifest).unwrap();
    world.no(&require("sbom"), "attached without a signature of its own: `application/spdx+json`");
    // Cosign's older form.
    let statement = Statement::new("web", world.digest, attest::SPDX, spdx(&world.digest));
    let envelope = Envelope::sign(&statement, &key(1)).unwrap().to_bytes();
    world.tag(&world.digest, "att", vec![world.blob(ENVELOPE, &envelope)]);
    world.yes(&require("sbom"));
    let ran = world.verify(&require("everything"));
    assert_eq!(ran.status, 2, "{}", ran.err);
}

#[test]
fn what_is_required_is_never_passed_over_for_want_of_a_key() {
    let world = World::new(SPEC, Manners::default());
    for (required, others) in [
        ("sbom", &["--rebuild"][..]),
        ("provenance", &["--rebuild", "--require", "rebuild"]),
        ("signature", &["--against", "web.oci"]),
        ("rebuild", &["--against", "web.oci"]),
    ] {
        let ran = world.place.run(&[&["verify", "web.oci", "--require", required][..], others].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{required}: {}", ran.err);
        let said = format!("`{required}` is required, and no key was named");
        assert!(ran.err.contains(&said), "{said}: {}", ran.err);
    }
    // Building again is an answer without anybody's word.
    let ran = world.place.run(&["verify", "web.oci", "--rebuild", "--require", "rebuild"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
}

#[test]
fn rebuilds_by_different_keys_make_a_quorum() {
    let world = World::new(SPEC, referrers());
    world.sign(&world.digest, &[&key(1), &key(2)]);
    let verdict = json!({"verifier": {"id": "https://example.org/v"}, "timeCreated": "1970-01-01T00:00:00Z",
        "properties": [attest::REPRODUCED]});
    let statement = Statement::new("", world.digest, attest::VERIFICATION, verdict);
    let wanted = ["--key", "1.pub", "--key", "2.pub", "--key", "3.pub", "--require", "rebuild", "--threshold", "2"];
    world.attest(&world.digest, &key(3), &statement);
    world.no(&wanted, "1 of 2: the same by `3.pub`");
    world.attest(&world.digest, &key(2), &statement);
    assert!(world.yes(&wanted).contains("rebuild"));
}

/// What `build` says of an image is what `verify` takes once it is signed.
#[test]
fn documents_of_a_build_are_taken_once_they_are_signed() {
    let world = World::new(SPEC, referrers());
    world.sign(&world.digest, &[&key(1)]);
    let evidence = tarsia::evidence::Evidence::open(&world.place.path("web.oci.evidence")).unwrap();
    let document = tarsia::evidence::Document::Provenance;
    let statement = evidence.statement(&world.digest, document).unwrap().unwrap();
    let require = [&KEY[..], &["--require", "provenance"]].concat();
    world.no(&require, "no provenance");
    world.attest(&world.digest, &key(1), &statement);
    assert!(world.yes(&require).contains("built by `https://tarsia.dev/builders/local/v1` from "));
    // The same with one more parameter.
    let other = World::new(SPEC, referrers());
    other.sign(&other.digest, &[&key(1)]);
    let mut predicate = statement.predicate().clone();
    predicate["buildDefinition"]["externalParameters"]["debug"] = json!(true);
    let changed = Statement::new("web", other.digest, attest::PROVENANCE, predicate);
    other.attest(&other.digest, &key(1), &changed);
    other.no(&require, "a parameter that is not known: `debug`");
    other.yes(&KEY);
}
