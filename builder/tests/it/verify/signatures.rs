//! What counts as a signature, and all that does not.

use super::*;

#[test]
fn a_signed_image_is_verified() {
    for manners in [Manners::default(), referrers()] {
        let world = World::new(SPEC, manners);
        world.no(&KEY, "no signature: nothing is signed");
        world.sign(&world.digest, &[&key(1)]);
        world.attest(&world.digest, &key(1), &Statement::signature(world.digest));
        let said = world.yes(&KEY);
        assert!(said.starts_with(&format!("{}\n", world.digest)), "{said}");
        assert!(said.contains(&format!("by `1.pub`, as `{}:v1`", world.name())), "{said}");
        for identity in ["exact", "repository", "any"] {
            world.yes(&[&KEY[..], &["--identity", identity]].concat());
        }
        let by_digest = format!("docker://{}@{}", world.name(), world.digest);
        for identity in ["exact", "repository", "any"] {
            let ran = world.place.run(&["verify", &by_digest, "--key", "1.pub", "--identity", identity]);
            assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        }
        let ran = world.verify(&[&KEY[..], &["--json"]].concat());
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&json["outcome"], &json["checks"][0]["requirement"]), (&json!("yes"), &json!("signature")));
        assert_eq!(json["checks"][0]["keys"], json!([key(1).public().id().to_string()]));
    }
}

#[test]
fn what_nobody_trusted_has_signed_is_refused() {
    let world = World::new(SPEC, Manners::default());
    world.sign(&world.digest, &[&key(2)]);
    world.no(&KEY, "no signature by these keys, and 2 claims that none of them made");
    world.yes(&["--key", "2.pub"]);
    let ran = world.place.run(&["verify", &world.image()]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("no key was named") && ran.err.contains("--key PUB"), "{}", ran.err);
}

#[test]
fn a_flipped_byte_is_no_signature() {
    let world = World::new(SPEC, Manners::default());
    let simple = SimpleSigning { reference: format!("{}:v1", world.name()), digest: world.digest };
    let (payload, signature) = simple.sign(&key(1)).unwrap();
    let mut flipped = payload.clone();
    flipped[20] ^= 1;
    world.tag(&world.digest, "sig", vec![world.payload(&flipped, &signature)]);
    world.no(&KEY, "by none of the keys, or not what they signed");
    world.tag(&world.digest, "sig", vec![world.payload(&payload, &signature)]);
    world.yes(&KEY);
    // In the registry's own storage: that may have been a signature, or not.
    let lies = BTreeMap::from([(Digest::of(&payload), flipped)]);
    world.server.behave(Manners { lies, ..Manners::default() });
    world.unknown(&KEY, "not all could be read: cannot trust");
}

#[test]
fn a_blob_that_is_cut_short_is_no_answer() {
    let world = World::new(SPEC, referrers());
    let bundle = Bundle::sign(&Statement::signature(world.digest), &key(1)).unwrap().to_bytes();
    world.attach(&world.digest, &bundle);
    let any = [&KEY[..], &["--identity", "any"]].concat();
    world.yes(&any);
    let lies = BTreeMap::from([(Digest::of(&bundle), bundle[..bundle.len() / 2].to_vec())]);
    world.server.behave(Manners { lies, ..referrers() });
    world.unknown(&any, "not all could be read: cannot trust");
}

#[test]
fn what_is_said_of_something_else_is_no_signature() {
    for manners in [Manners::default(), referrers()] {
        let world = World::new(SPEC, manners);
        let any = [&KEY[..], &["--identity", "any"]].concat();
        // Of another image.
        let other = Digest::of(b"other");
        world.attest(&world.digest, &key(1), &Statement::signature(other));
        world.no(&any, &format!("`1.pub` says an image signature of another image, {other}"));
        // Not that it is signed.
        let verdict = json!({"verifier": {"id": "https://example.org/v"}, "properties": ["LOOKED_AT"]});
        for (uri, predicate) in [
            (attest::VERIFICATION, verdict),
            (attest::SPDX, spdx(&world.digest)),
            ("https://example.org/hello", json!({})),
        ] {
            world.attest(&world.digest, &key(1), &Statement::new("web", world.digest, uri, predicate));
            world.no(&any, "no signature");
        }
        // A predicate that was swapped after it was signed.
        let statement = Statement::new("web", world.digest, "https://example.org/hello", json!({}));
        let signed = Bundle::sign(&statement, &key(1)).unwrap().to_bytes();
        let mut swapped: Value = serde_json::from_slice(&signed).unwrap();
        let payload = Statement::signature(world.digest).to_bytes();
        swapped["dsseEnvelope"]["payload"] = <base64ct::Base64 as base64ct::Encoding>::encode_string(&payload).into();
        world.attach(&world.digest, &serde_json::to_vec(&swapped).unwrap());
        world.no(&any, "by none of the keys, or not what they signed");
        // The payload of another image under this one's tag.
        let simple = SimpleSigning { reference: format!("{}:v1", world.name()), digest: other };
        let (payload, signature) = simple.sign(&key(1)).unwrap();
        world.tag(&world.digest, "sig", vec![world.payload(&payload, &signature)]);
        world.no(&KEY, &format!("`1.pub` signed another image there, {other}"));
    }
}

#[test]
fn a_bundle_names_no_repository() {
    let world = World::new(SPEC, referrers());
    world.attest(&world.digest, &key(1), &Statement::signature(world.digest));
    world.no(&KEY, "in a bundle alone, which names no reference");
    world.yes(&[&KEY[..], &["--identity", "any"]].concat());
}

#[test]
fn an_older_image_under_a_new_tag_is_refused_where_names_are_exact() {
    let world = World::new(SPEC, Manners::default());
    world.sign(&world.digest, &[&key(1)]);
    let bytes = world.repository().document("v1").unwrap().unwrap();
    world.repository().put_document("v2", &bytes.media_type, &bytes.bytes).unwrap();
    let v2 = format!("docker://{}:v2", world.name());
    let ran = world.place.run(&["verify", &v2, "--key", "1.pub", "--identity", "exact"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    let name = world.name();
    assert!(ran.out.contains(&format!("it is signed as `{name}:v1`, and not as `{name}:v2`")), "{}", ran.out);
    let ran = world.place.run(&["verify", &v2, "--key", "1.pub"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    // In another repository, the signature moved along.
    let other = Reference::of_registry(&format!("{}/evil/web", world.server.host)).unwrap();
    let there = world.registry.repository(&other);
    let from = world.repository();
    let sig = format!("sha256-{}.sig", world.digest.hex());
    let contents = world.server.contents.lock().unwrap().manifests.clone();
    let mut names: Vec<String> = contents.keys().map(|(_, digest)| digest.to_string()).collect();
    names.sort();
    for which in ["v1", sig.as_str()] {
        let document = from.document(which).unwrap().unwrap();
        there.put_document(which, &document.media_type, &document.bytes).unwrap();
    }
    let image = format!("docker://{}/evil/web:v1", world.server.host);
    let ran = world.place.run(&["verify", &image, "--key", "1.pub"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    let ran = world.place.run(&["verify", &image, "--key", "1.pub", "--identity", "any"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
}

#[test]
fn a_wrong_artifact_type_is_looked_through() {
    let world = World::new(SPEC, Manners::default());
    world.attest(&world.digest, &key(1), &Statement::signature(world.digest));
    let tag = format!("sha256-{}", world.digest.hex());
    let list = world.repository().document(&tag).unwrap().unwrap();
    let text = String::from_utf8(list.bytes).unwrap().replace(BUNDLE, EMPTY);
    world.repository().put_document(&tag, &list.media_type, text.as_bytes()).unwrap();
    world.yes(&[&KEY[..], &["--identity", "any"]].concat());
}

#[test]
fn the_attack_is_refused() {
    let world = World::new(SPEC, referrers());
    world.sign(&world.digest, &[&key(1)]);
    world.attest(&world.digest, &key(1), &Statement::signature(world.digest));
    world.yes(&KEY);
    // The right tag, one altered file.
    world.place.write("web.yaml", SPEC.replace("hi", "ho"));
    let image = world.image();
    world.place.ok(&["build", "web.yaml", "-o", &image]);
    world.no(&KEY, "no signature: nothing is signed");
    world.no(&[&KEY[..], &["--identity", "any"]].concat(), "no signature: nothing is signed");
    // With the signatures of the good one put beside it.
    let altered = world.repository().resolve("v1").unwrap().unwrap();
    let from = world.repository().document(&format!("sha256-{}.sig", world.digest.hex())).unwrap().unwrap();
    let tag = format!("sha256-{}.sig", altered.hex());
    world.repository().put_document(&tag, &from.media_type, &from.bytes).unwrap();
    world.attest(&altered, &key(1), &Statement::signature(world.digest));
    world.no(&KEY, &format!("`1.pub` signed another image there, {}", world.digest));
    world.no(&[&KEY[..], &["--identity", "any"]].concat(), "`1.pub` says an image signature of another image");
}
