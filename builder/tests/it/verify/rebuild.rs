//! Images that are built again, and what a verifier signs of a match.

use super::*;
use crate::tamper::{self, Change};
use tarsia::evidence::KIT_MEDIA_TYPE;

/// Attaches the rebuild kit that `build` wrote, as a release does.
fn attach_kit(world: &World, digest: &Digest) {
    let kit = std::fs::read(world.place.path("web.oci.evidence/kit.tar.zst")).unwrap();
    attach_as_kit(world, digest, &kit);
}

fn attach_as_kit(world: &World, digest: &Digest, kit: &[u8]) {
    world.blob(EMPTY, EMPTY_BYTES);
    let blob = world.blob(KIT_MEDIA_TYPE, kit);
    let manifest = ReferrerManifest::new(KIT_MEDIA_TYPE, &world.descriptor(digest), blob, BTreeMap::new());
    world.repository().attach(&manifest).unwrap();
}

/// Removes all that the image was made from, and the store.
fn forget(world: &World) {
    for name in ["web.yaml", "web.lock"] {
        std::fs::remove_file(world.place.path(name)).unwrap();
    }
    for name in ["web.oci", "web.oci.evidence", "store"] {
        std::fs::remove_dir_all(world.place.path(name)).unwrap();
    }
}

#[test]
fn an_image_on_disk_is_built_again_from_the_kit_beside_it() {
    let world = World::new(TWO, Manners::default());
    let run = |arguments: &[&str]| world.place.run(&[&["verify"], arguments].concat());
    let ran = run(&["web.oci", "--rebuild"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    for said in ["signatures were not checked", "rebuild", "the same here", "linux/arm64"] {
        assert!(ran.out.contains(said), "{}", ran.out);
    }
    let ran = run(&["web.oci", "--rebuild", "--spec", "web.yaml"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let ran = run(&["web.oci", "--rebuild", "--kit", "web.oci.evidence/kit.tar.zst", "--offline", "--json"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["rebuild"]["built"], json["digest"]);
    std::fs::remove_dir_all(world.place.path("web.oci.evidence")).unwrap();
    let ran = run(&["web.oci", "--rebuild"]);
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("it has no rebuild kit"), "{}", ran.out);
    let ran = run(&["web.oci", "--rebuild", "--kit", "none.tar"]);
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("unknown") && ran.out.contains("none.tar"), "{}", ran.out);
    // Without a key, a rebuild or another build there is nothing to tell by.
    assert_eq!(run(&["web.oci"]).status, 2);
}

#[test]
fn an_image_that_was_altered_is_not_the_same() {
    let world = World::new(SPEC, Manners::default());
    let path = |name: &str| world.place.path(name);
    let motd = "/srv/motd";
    for (change, class) in
        [(Change::Byte(motd, 0), "content"), (Change::Mtime(motd), "mtime"), (Change::Mode(motd), "mode")]
    {
        let _ = std::fs::remove_dir_all(path("altered.oci"));
        tamper::apply(&path("web.oci"), &path("altered.oci"), change);
        let kit = path("web.oci.evidence/kit.tar.zst").display().to_string();
        let run = |more: &[&str]| {
            world.place.run(&[&["verify", "altered.oci", "--rebuild", "--kit", kit.as_str()][..], more].concat())
        };
        world.place.ok(&["keygen", "-o", &format!("{class}-verifier")]);
        let verdict = format!("{class}-verdict.jsonl");
        let key = format!("{class}-verifier.key");
        let ran = run(&["--verifier-key", &key, "-o", &verdict]);
        assert_eq!(ran.status, 1, "{class}\n{}{}", ran.out, ran.err);
        assert!(ran.out.contains(&format!("1 in {class}")), "{}", ran.out);
        assert!(!path(&verdict).exists(), "a failed verdict is never signed");
    }
}

#[test]
fn a_match_is_signed_by_a_verifier_and_found_again() {
    for manners in [Manners::default(), referrers()] {
        let world = World::new(SPEC, manners.clone());
        world.sign(&world.digest, &[&key(1)]);
        attach_kit(&world, &world.digest);
        for name in ["verifier", "other"] {
            world.place.ok(&["keygen", "-o", name]);
        }
        forget(&world);
        // The release's own key is no verifier's.
        world.place.write("release.key", key(1).to_pem().as_bytes());
        std::fs::set_permissions(world.place.path("release.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let rebuild = |verifier: &'static str| [&KEY[..], &["--rebuild", "--verifier-key", verifier]].concat();
        world.unknown(&rebuild("release.key"), "it signed the image itself");
        let said = world.yes(&rebuild("verifier.key"));
        assert!(said.contains(&format!("verdict  signed to `{}`", world.name())), "{said}");
        let wanted = ["--key", "1.pub", "--key", "verifier.pub", "--key", "other.pub", "--require", "rebuild"];
        assert!(world.yes(&wanted).contains("the same by `verifier.pub`"));
        let two = [&wanted[..], &["--threshold", "2"]].concat();
        world.no(&two, "1 of 2");
        // Said once more, nothing is written; by another key, there are two.
        world.server.behave(manners.clone());
        world.yes(&rebuild("verifier.key"));
        assert_eq!(world.server.count("PUT"), 0);
        world.yes(&rebuild("other.key"));
        let verdicts = ["--key", "verifier.pub", "--key", "other.pub", "--require", "rebuild", "--threshold", "2"];
        let ran = world.verify(&verdicts);
        assert!(ran.out.contains("yes      rebuild"), "{}", ran.out);
        assert_eq!(ran.status, 1, "a verdict is no signature: {}", ran.out);
    }
}

#[test]
fn a_strange_kit_hides_no_good_one_and_gains_nothing() {
    let world = World::new(SPEC, referrers());
    world.sign(&world.digest, &[&key(1)]);
    let rebuild = [&KEY[..], &["--rebuild"]].concat();
    world.unknown(&rebuild, "it has no rebuild kit");
    attach_as_kit(&world, &world.digest, b"no kit");
    world.unknown(&rebuild, "unknown  rebuild");
    // The kit of another image.
    world.place.write("web.yaml", SPEC.replace("hi", "ho"));
    world.place.ok(&["build", "web.yaml", "-o", "other.oci"]);
    let other = std::fs::read(world.place.path("other.oci.evidence/kit.tar.zst")).unwrap();
    attach_as_kit(&world, &world.digest, &other);
    let ran = world.verify(&rebuild);
    assert_ne!(ran.status, 0, "{}{}", ran.out, ran.err);
    attach_kit(&world, &world.digest);
    world.yes(&rebuild);
    // A blob that is not there, or is another, however the list is ordered.
    let mut lies = BTreeMap::new();
    for gone in 0..8u8 {
        world.server.behave(referrers());
        attach_as_kit(&world, &world.digest, &[gone]);
        lies.insert(Digest::of(&[gone]), vec![gone, gone]);
    }
    world.server.behave(Manners { lies, ..referrers() });
    world.yes(&rebuild);
}

/// Writes the key that signed the image where the program finds it.
fn release_key(world: &World) {
    let path = world.place.write("release.key", key(1).to_pem().as_bytes());
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn no_number_of_strange_kits_hides_the_one_that_a_signed_provenance_names() {
    let world = World::new(SPEC, referrers());
    world.sign(&world.digest, &[&key(1)]);
    // Each of them can be had, and none is a kit; they stand before the good one.
    for number in 0..6u8 {
        attach_as_kit(&world, &world.digest, &[number; 3]);
    }
    attach_kit(&world, &world.digest);
    let rebuild = [&KEY[..], &["--rebuild"]].concat();
    world.unknown(&rebuild, "unknown  rebuild");
    release_key(&world);
    let image = world.image();
    let attest = |key: &str| world.place.ok(&["attest", &image, "--key", key, "--evidence", "web.oci.evidence"]);
    // Somebody else's word is none.
    world.place.ok(&["keygen", "-o", "stranger"]);
    attest("stranger.key");
    world.unknown(&rebuild, "unknown  rebuild");
    attest("release.key");
    world.yes(&rebuild);
}

#[test]
fn kits_of_an_image_that_is_not_signed_are_not_asked_for() {
    let world = World::new(SPEC, referrers());
    attach_kit(&world, &world.digest);
    let kit = std::fs::read(world.place.path("web.oci.evidence/kit.tar.zst")).unwrap();
    let blob = format!("/blobs/{}", Digest::of(&kit));
    let rebuild = [&KEY[..], &["--rebuild"]].concat();
    let asked = || {
        let log = &world.server.contents.lock().unwrap().log;
        log.iter().filter(|(method, path, _)| method == "GET" && path.ends_with(&blob)).count()
    };
    // What was built here stands in the store.
    let forget = || std::fs::remove_dir_all(world.place.path("store")).unwrap();
    forget();
    let ran = world.verify(&rebuild);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("since the signature of linux/amd64 does not hold"), "{}", ran.out);
    assert_eq!(asked(), 0);
    // One that the user names is the user's.
    let ran = world.verify(&[&rebuild[..], &["--kit", "web.oci.evidence/kit.tar.zst"]].concat());
    assert!(ran.status == 1 && ran.out.contains("the same here"), "{}", ran.out);
    forget();
    world.sign(&world.digest, &[&key(1)]);
    world.yes(&rebuild);
    assert_eq!(asked(), 1);
}

#[test]
fn evidence_of_another_image_is_no_kit_of_this_one() {
    let world = World::new(SPEC, Manners::default());
    world.place.write("web.yaml", SPEC.replace("hi", "ho"));
    world.place.ok(&["build", "web.yaml", "-o", "other.oci"]);
    std::fs::remove_dir_all(world.place.path("web.oci.evidence")).unwrap();
    std::fs::rename(world.place.path("other.oci.evidence"), world.place.path("web.oci.evidence")).unwrap();
    let ran = world.place.run(&["verify", "web.oci", "--rebuild"]);
    assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("cannot use") && ran.out.contains("it is about sha256:"), "{}", ran.out);
}
