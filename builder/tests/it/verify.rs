//! `verify`: what is signed and what is not, by everything that can be wrong with it.
//!
//! What stands in the registry is made by the rooms `sign` and `registry`, so that it can be wrong in ways that no
//! command of ours would make it.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use tarsia::attest::{self, Statement};
use tarsia::digest::Digest;
use tarsia::image::{Descriptor, MANIFEST, Reference};
use tarsia::registry::{CredentialFiles, EMPTY, EMPTY_BYTES, Options, ReferrerManifest, Registry, Repository};
use tarsia::sign::{Algorithm, BUNDLE, Bundle, ENVELOPE, Envelope, PrivateKey, SIMPLE_SIGNING, Signer, SimpleSigning};

use crate::program::{Place, Ran};
use crate::server::{Manners, Server};

const SPEC: &str = "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";
const TWO: &str =
    "version: 1\nname: web\nplatforms: [linux/amd64, linux/arm64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

/// A registry with an image at `team/web:v1`, and the public keys `1.pub`, `2.pub`, `3.pub` beside.
struct World {
    place: Place,
    server: Server,
    registry: Registry,
    /// Digest of the image.
    digest: Digest,
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519, &Zeroizing::new([seed; 32])).unwrap()
}

impl World {
    fn new(spec: &str, manners: Manners) -> Self {
        let place = Place::new();
        place.write("web.yaml", spec);
        for seed in 1..=3 {
            place.write(&format!("{seed}.pub"), key(seed).public().to_pem());
        }
        let server = Server::start(manners);
        let options =
            Options { pause: Duration::from_millis(1), settle: Duration::from_millis(1), ..Options::default() };
        let registry = Registry::new(options, CredentialFiles::default());
        let to = format!("docker://{}/team/web:v1", server.host);
        let digest = place.ok(&["build", "web.yaml", "-o", &to, "-o", "web.oci"]).trim().parse().unwrap();
        Self { place, server, registry, digest }
    }

    fn repository(&self) -> Repository<'_> {
        self.registry.repository(&Reference::of_registry(&self.name()).unwrap())
    }

    fn name(&self) -> String {
        format!("{}/team/web", self.server.host)
    }

    fn image(&self) -> String {
        format!("docker://{}:v1", self.name())
    }

    /// Returns the descriptor of a document.
    fn descriptor(&self, digest: &Digest) -> Descriptor {
        self.repository().document(&digest.to_string()).unwrap().unwrap().descriptor()
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let open = || Ok(Box::new(std::io::Cursor::new(bytes.to_vec())) as Box<dyn Read + Send>);
        self.repository().push_blob(&Digest::of(bytes), bytes.len() as u64, None, &open).unwrap();
        Descriptor::of(media_type, bytes)
    }

    /// Puts a manifest of these blobs under one of cosign's tags.
    fn tag(&self, digest: &Digest, ending: &str, layers: Vec<Descriptor>) {
        self.blob(EMPTY, EMPTY_BYTES);
        let manifest = ReferrerManifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: String::new(),
            config: Descriptor::of(EMPTY, EMPTY_BYTES),
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        };
        let tag = format!("sha256-{}.{ending}", digest.hex());
        self.repository().put_document(&tag, MANIFEST, &manifest.to_bytes()).unwrap();
    }

    /// Signs as cosign does, under these references.
    fn sign_as(&self, digest: &Digest, keys: &[&PrivateKey], references: &[String]) {
        let mut layers = Vec::new();
        for key in keys {
            for reference in references {
                let simple = SimpleSigning { reference: reference.clone(), digest: *digest };
                let (payload, signature) = simple.sign(*key).unwrap();
                layers.push(self.payload(&payload, &signature));
            }
        }
        self.tag(digest, "sig", layers);
    }

    fn payload(&self, payload: &[u8], signature: &[u8]) -> Descriptor {
        let mut layer = self.blob(SIMPLE_SIGNING, payload);
        let signature = <base64ct::Base64 as base64ct::Encoding>::encode_string(signature);
        layer.annotations.insert("dev.cosignproject.cosign/signature".to_owned(), signature);
        layer
    }

    /// Signs as tarsia does: by tag and by digest.
    fn sign(&self, digest: &Digest, keys: &[&PrivateKey]) {
        let name = self.name();
        self.sign_as(digest, keys, &[format!("{name}:v1"), format!("{name}@{digest}")]);
    }

    /// Attaches a bundle.
    fn attach(&self, digest: &Digest, bundle: &[u8]) {
        self.blob(EMPTY, EMPTY_BYTES);
        let blob = self.blob(BUNDLE, bundle);
        let manifest = ReferrerManifest::new(BUNDLE, &self.descriptor(digest), blob, BTreeMap::new());
        self.repository().attach(&manifest).unwrap();
    }

    fn attest(&self, digest: &Digest, key: &PrivateKey, statement: &Statement) {
        self.attach(digest, &Bundle::sign(statement, key).unwrap().to_bytes());
    }

    fn verify(&self, arguments: &[&str]) -> Ran {
        let image = self.image();
        self.place.run(&[&["verify", &image][..], arguments].concat())
    }

    fn yes(&self, arguments: &[&str]) -> String {
        let ran = self.verify(arguments);
        assert_eq!(ran.status, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
        assert!(ran.out.ends_with("\nverified\n"), "{}", ran.out);
        ran.out
    }

    /// The answer is no, and says so.
    fn no(&self, arguments: &[&str], said: &str) {
        let ran = self.verify(arguments);
        assert_eq!(ran.status, 1, "{arguments:?}\n{}{}", ran.out, ran.err);
        assert!(ran.out.contains(said), "`{said}` is missing in\n{}", ran.out);
        assert!(ran.out.ends_with("\nnot verified\n"), "{}", ran.out);
    }

    /// It could not be told, and says why.
    fn unknown(&self, arguments: &[&str], said: &str) {
        let ran = self.verify(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}\n{}{}", ran.out, ran.err);
        let text = format!("{}{}", ran.out, ran.err);
        assert!(text.contains(said), "`{said}` is missing in\n{text}");
        assert!(!text.contains("\nverified"), "{text}");
    }
}

fn referrers() -> Manners {
    Manners { referrers: true, ..Manners::default() }
}

fn spdx(digest: &Digest) -> Value {
    json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "documentDescribes": ["SPDXRef-image"],
        "packages": [{"SPDXID": "SPDXRef-image", "externalRefs": [
            {"referenceLocator": format!("pkg:oci/web@{digest}")}]}]})
}

const KEY: [&str; 2] = ["--key", "1.pub"];

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
    world.no(&KEY, "no       signature  linux/arm64  no signature: nothing is signed");
    world.yes(&[&KEY[..], &["--platform", "linux/amd64"]].concat());
    world.sign(&of(1), &[&key(1)]);
    world.yes(&KEY);
    world.yes(&[&KEY[..], &["--identity", "exact"]].concat());
    // Documents are of each manifest.
    let sbom = [&KEY[..], &["--require", "sbom"]].concat();
    world.attest(&of(0), &key(1), &Statement::new("web", of(0), attest::SPDX, spdx(&of(0))));
    world.no(&sbom, "no       sbom       linux/arm64  no SBOM");
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
    world.no(&require("sbom"), "is attached, and not signed itself");
    // Cosign's older form.
    let statement = Statement::new("web", world.digest, attest::SPDX, spdx(&world.digest));
    let envelope = Envelope::sign(&statement, &key(1)).unwrap().to_bytes();
    world.tag(&world.digest, "att", vec![world.blob(ENVELOPE, &envelope)]);
    world.yes(&require("sbom"));
    let ran = world.verify(&require("everything"));
    assert_eq!(ran.status, 2, "{}", ran.err);
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
fn referrers_without_end_are_bounded() {
    let world = World::new(SPEC, referrers());
    for number in 0..70_u32 {
        let blob = world.blob("application/x-test", number.to_string().as_bytes());
        world.blob(EMPTY, EMPTY_BYTES);
        let manifest =
            ReferrerManifest::new("application/x-test", &world.descriptor(&world.digest), blob, BTreeMap::new());
        world.repository().attach(&manifest).unwrap();
    }
    world.unknown(&KEY, "70 things are attached");
    // What is good beside it is good.
    world.sign(&world.digest, &[&key(1)]);
    world.yes(&KEY);
    // One that claims to be huge.
    let world = World::new(SPEC, referrers());
    world.blob(EMPTY, EMPTY_BYTES);
    let blob = Descriptor { size: 9 << 20, ..world.blob(BUNDLE, b"{}") };
    let manifest = ReferrerManifest::new(BUNDLE, &world.descriptor(&world.digest), blob, BTreeMap::new());
    world.repository().attach(&manifest).unwrap();
    world.unknown(&KEY, "holds a claim of 9437184 bytes");
}

#[test]
fn a_registry_that_lies_about_a_digest_is_not_believed() {
    let world = World::new(SPEC, Manners::default());
    world.sign(&world.digest, &[&key(1)]);
    {
        let mut contents = world.server.contents.lock().unwrap();
        let forged = contents.manifests.iter_mut().find(|((_, digest), _)| *digest == world.digest).unwrap();
        forged.1.1.push(b'\n');
    }
    let by_digest = format!("docker://{}@{}", world.name(), world.digest);
    let ran = world.place.run(&["verify", &by_digest, "--key", "1.pub"]);
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("cannot trust") && ran.err.contains("it gave"), "{}", ran.err);
    // Under the tag it is another image, which nobody signed.
    world.no(&KEY, "no signature: nothing is signed");
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

#[test]
fn credentials_do_not_leave_for_a_foreign_service() {
    let world = World::new(SPEC, Manners::default());
    let service = Server::start(Manners::default());
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"x\"", service.host);
    let config = json!({"auths": {&world.server.host: {"auth": "dXNlcjpzM2NyZXQ="}}});
    world.place.write(".docker/config.json", config.to_string());
    world.server.behave(Manners { wants: Some("x".to_owned()), challenge: Some(challenge), ..Manners::default() });
    world.unknown(&KEY, "its token service is on the foreign host");
    assert!(service.contents.lock().unwrap().log.is_empty(), "nothing was asked there");
}

#[test]
fn layouts_and_archives_are_verified_with_files_beside_them() {
    let world = World::new(SPEC, Manners::default());
    world.place.ok(&["build", "web.yaml", "-o", "web.tar", "-o", "docker-archive:docker.tar"]);
    let bundle = Bundle::sign(&Statement::signature(world.digest), &key(1)).unwrap().to_bytes();
    world.place.write("some.json", &bundle);
    for image in ["web.oci", "web.tar"] {
        let run = |more: &[&str]| world.place.run(&[&["verify", image, "--key", "1.pub"], more].concat());
        let ran = run(&[]);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("no signature: nothing is signed"), "{}", ran.out);
        let ran = run(&["--bundle", "some.json"]);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("under which name it is signed was not checked"), "{}", ran.out);
        assert!(ran.out.contains("hold what the manifest names") || ran.out.contains("contents"), "{}", ran.out);
        world.place.write(&format!("{image}.sigstore.json"), &bundle);
        assert_eq!(run(&[]).status, 0);
        assert_eq!(run(&["--bundle", "none.json"]).status, 2);
        world.place.write("broken.json", "{}");
        assert_eq!(run(&["--bundle", "broken.json"]).status, 2);
    }
    let ran = world.place.run(&["verify", "docker-archive:docker.tar", "--key", "1.pub"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("holds no manifest"), "{}", ran.err);
    // A layer whose bytes are not what the signed manifest names.
    let manifest = std::fs::read(world.place.path(&format!("web.oci/blobs/sha256/{}", world.digest.hex()))).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let path = world.place.path(&format!("web.oci/blobs/sha256/{}", layer.hex()));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ran = world.place.run(&["verify", "web.oci", "--key", "1.pub"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("no       contents"), "{}", ran.out);
}

#[test]
fn images_of_registries_are_looked_at_like_others() {
    let world = World::new(TWO, Manners::default());
    let image = world.image();
    let on_disk = world.place.ok(&["inspect", "web.oci", "--json"]).replace("\"web.oci\"", "");
    let there = world.place.ok(&["inspect", &image, "--json"]).replace(&format!("\"{image}\""), "");
    assert_eq!(there, on_disk);
    let on_disk = world.place.run(&["audit", "web.oci"]);
    let there = world.place.run(&["audit", &image]);
    assert_eq!((there.status, there.out), (on_disk.status, on_disk.out));
    // What is in the store is not fetched again, and no platform but the wanted one is.
    world.server.behave(Manners::default());
    world.place.ok(&["inspect", &image, "--platform", "linux/amd64"]);
    let log = world.server.contents.lock().unwrap().log.clone();
    assert!(log.iter().all(|(_, path, _)| path.ends_with("/manifests/v1")), "{log:?}");
    let ran = world.place.run(&["inspect", &format!("docker://{}:v9", world.name())]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("holds no image `v9`"), "{}", ran.err);
    let ran = world.place.run(&["inspect", &image, "--platform", "linux/amd64", "--store", "other"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[test]
fn a_layer_that_a_registry_cuts_short_is_refused() {
    let world = World::new(SPEC, Manners::default());
    let manifest: Value = serde_json::from_slice(&world.repository().document("v1").unwrap().unwrap().bytes).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let bytes = world.server.contents.lock().unwrap().blobs[&layer].clone();
    let image = world.image();
    for lie in
        [&bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat(), &bytes.iter().map(|b| b ^ 1).collect::<Vec<_>>()]
    {
        let lies = BTreeMap::from([(layer, lie.to_vec())]);
        world.server.behave(Manners { lies, ..Manners::default() });
        let ran = world.place.run(&["inspect", &image, "--store", "fresh"]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains("cannot trust"), "{}", ran.err);
    }
    world.server.behave(Manners::default());
    assert_eq!(world.place.run(&["inspect", &image, "--store", "fresh"]).status, 0);
}
