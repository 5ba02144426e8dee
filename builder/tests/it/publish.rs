//! Images in registries: `build -o docker://` and `push`, against the registry in this process and Debian's own.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use tarsia::digest::Digest;

use crate::deb::deb;
use crate::distribution::Distribution;
use crate::judges::{accepts, judge, refuses};
use crate::program::{Place, Ran};
use crate::server::{Manners, Mishap, Server};
use crate::world::{Archive, spec};

pub(crate) const ONE: &str =
    "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";
pub(crate) const TWO: &str =
    "version: 1\nname: web\nplatforms: [linux/amd64, linux/arm64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

pub(crate) fn place(spec: &str) -> Place {
    let place = Place::new();
    place.write("web.yaml", spec);
    place
}

#[test]
fn build_writes_to_a_registry_and_a_second_build_sends_nothing() {
    for spec in [ONE, TWO] {
        let place = place(spec);
        let server = Server::start(Manners::default());
        let to = format!("docker://{}/team/web:1", server.host);
        let digest = place.ok(&["build", "web.yaml", "-o", &to, "-o", "web.oci"]);
        assert_eq!(server.dangling(), Vec::<String>::new());
        let tag = server.contents.lock().unwrap().tags[&("team/web".to_owned(), "1".to_owned())];
        assert_eq!(digest.trim(), tag.to_string());
        server.behave(Manners::default());
        assert_eq!(place.ok(&["build", "web.yaml", "-o", &to]), digest);
        assert_eq!(server.count("PUT") + server.count("POST") + server.count("PATCH"), 0);
        let ran = place.run(&["build", "web.yaml", "-o", &to, "--offline"]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains("no network may be used"), "{}", ran.err);
    }
}

#[test]
fn debians_registry_takes_images_and_crane_reads_them() {
    for logins in [false, true] {
        let Some(registry) = Distribution::start(logins) else { return };
        // crane's own check knows gzip alone.
        let place = place(&format!("{TWO}layers: {{compression: gzip}}\n"));
        let to = format!("docker://{}/web:1", registry.host);
        if logins {
            let ran = place.run(&["build", "web.yaml", "-o", &to]);
            assert_eq!(ran.status, 2, "{}", ran.err);
            assert!(ran.err.contains("it asks for a credential, and none is stored"), "{}", ran.err);
            registry.log_in(&place);
        }
        let digest = place.ok(&["build", "web.yaml", "-o", &to]);
        let Some(crane) = judge("bin/crane") else { return };
        let name = to.strip_prefix("docker://").unwrap();
        let mut crane = Command::new(crane);
        crane.env("DOCKER_CONFIG", place.path(".docker"));
        assert!(accepts(crane.args(["validate", "--remote", name])).contains("PASS"), "{name}");
        let mut digested = Command::new(crane.get_program());
        digested.env("DOCKER_CONFIG", place.path(".docker"));
        let absent = format!("{name}2");
        refuses(
            Command::new(crane.get_program()).env("DOCKER_CONFIG", place.path(".docker")).args(["digest", &absent]),
        );
        assert_eq!(accepts(digested.args(["digest", name])), digest);
    }
}

/// Returns how many requests would change something.
fn writes(server: &Server) -> usize {
    server.count("PUT") + server.count("POST") + server.count("PATCH")
}

/// A place with an image of two platforms on disk, and a key.
fn built() -> Place {
    let place = place(TWO);
    place.ok(&["build", "web.yaml", "-o", "web.oci", "-o", "web.tar"]);
    place.ok(&["keygen", "-o", "k"]);
    place
}

/// Every manifest of a registry by repository and digest, and every tag.
pub(crate) type Held = (BTreeSet<(String, Digest)>, BTreeMap<(String, String), Digest>);

/// Returns what a registry holds.
pub(crate) fn contents(server: &Server) -> Held {
    let contents = server.contents.lock().unwrap();
    (contents.manifests.keys().cloned().collect(), contents.tags.clone())
}

#[test]
fn push_brings_layouts_archives_and_the_images_of_other_registries() {
    let place = built();
    let whole = place.ok(&["inspect", "web.oci"]).lines().next().unwrap().to_owned();
    for referrers in [true, false] {
        let manners = Manners { referrers, ..Manners::default() };
        let (one, two) = (Server::start(manners.clone()), Server::start(manners.clone()));
        let to = |server: &Server, tag: &str| format!("docker://{}/web{tag}", server.host);
        assert_eq!(place.ok(&["push", "web.oci", &to(&one, ":1"), &to(&one, ":2")]).trim(), whole);
        one.behave(manners.clone());
        assert_eq!(place.ok(&["push", "web.tar", &to(&one, ":1"), "--no-evidence"]).trim(), whole);
        assert_eq!(place.ok(&["push", "web.oci", &to(&one, &format!("@{whole}"))]).trim(), whole);
        assert_eq!(writes(&one), 0);
        assert_eq!(place.ok(&["push", &to(&one, ":1"), &to(&two, "")]).trim(), whole);
        assert!(contents(&two).1.contains_key(&("web".to_owned(), "latest".to_owned())));
        assert_eq!((one.dangling(), two.dangling()), (Vec::new(), Vec::new()));
    }
    let server = Server::start(Manners::default());
    let to = format!("docker://{}/web", server.host);
    for (arguments, said) in [
        (["push", "web.oci", &format!("{to}@sha256:{}", "0".repeat(64))], "its digest is not that of the image"),
        (["push", "web.oci", "elsewhere.oci"], "it is no registry's"),
        (["push", "none.oci", &to], "cannot read image `oci:none.oci`"),
        (["push", "web.oci", "docker://web:1"], "it names no host"),
    ] {
        let ran = place.run(&arguments);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
    assert!(contents(&server).1.is_empty());
    // An archive for Docker has no manifest: one is made for it.
    place.ok(&["build", "web.yaml", "--platform", "linux/amd64", "-o", "docker-archive:d.tar:web"]);
    place.ok(&["push", "docker-archive:d.tar", &format!("{to}:docker")]);
    assert_eq!(server.dangling(), Vec::<String>::new());
}

#[test]
fn blobs_come_from_another_repository_of_the_same_registry() {
    let place = built();
    let server = Server::start(Manners::default());
    place.ok(&["push", "web.oci", &format!("docker://{}/one:1", server.host)]);
    server.behave(Manners { apart: true, ..Manners::default() });
    let two = format!("docker://{}/two:1", server.host);
    let said: serde_json::Value =
        serde_json::from_str(&place.ok(&["push", "web.oci", &two, "--no-evidence", "--mount-from", "one", "--json"]))
            .unwrap();
    assert_eq!((&said[0]["sent"], &said[0]["present"]), (&0.into(), &0.into()), "{said}");
    assert!(said[0]["mounted"].as_u64().unwrap() >= 3, "{said}");
}

#[test]
fn push_attaches_what_stands_beside_the_image_and_nothing_of_another() {
    let place = built();
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let to = format!("docker://{}/web:1", server.host);
    let said: serde_json::Value = serde_json::from_str(&place.ok(&["push", "web.oci", &to, "--json"])).unwrap();
    assert!(said[0]["attached"].as_u64().unwrap() >= 2, "{said}");
    // What is attached says why, with nothing of the image on the disk.
    let elsewhere = Place::new();
    let why = |path: &str| elsewhere.run(&["why", &to, path]);
    assert!(why("/srv/motd").out.contains("of the spec"), "{}{}", why("/srv/motd").out, why("/srv/motd").err);
    let absent = why("/nowhere");
    assert!(absent.status == 1 && absent.out.contains("cannot be told"), "{}{}", absent.out, absent.err);
    place.write("web.yaml", TWO.replace("hi", "ho"));
    place.ok(&["build", "web.yaml", "-o", "other.oci"]);
    for arguments in [["--evidence", "other.oci.evidence"], ["--evidence", "none.evidence"]] {
        let ran = place.run(&[["push", "web.oci", &to].as_slice(), &arguments].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains("evidence"), "{}", ran.err);
    }
}

/// Runs the program until the registry has had `requests` requests, then kills it. Returns whether it had ended before.
pub(crate) fn kill_at(place: &Place, server: &Server, manners: &Manners, arguments: &[&str], requests: usize) -> bool {
    let mut manners = manners.clone();
    // All that comes after it hangs too: several are under way at once.
    manners.mishaps = (requests..requests + 64).map(|number| (number, Mishap::Hang)).collect();
    server.behave(manners);
    let mut child = place.tarsia(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ended = loop {
        if server.contents.lock().unwrap().log.len() > requests {
            break false;
        }
        if child.try_wait().unwrap().is_some() {
            break true;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

#[test]
fn a_push_that_is_killed_at_any_request_is_finished_by_the_next() {
    let place = built();
    let manners = Manners { referrers: true, ..Manners::default() };
    for number in 0.. {
        let server = Server::start(manners.clone());
        let to = format!("docker://{}/web:1", server.host);
        let ended = kill_at(&place, &server, &manners, &["push", "web.oci", &to], number);
        assert_eq!(server.dangling(), Vec::<String>::new(), "{number}");
        if ended {
            assert!(number > 15, "{number}");
            break;
        }
        server.behave(manners.clone());
        place.ok(&["push", "web.oci", &to]);
        assert_eq!(server.dangling(), Vec::<String>::new(), "{number}");
        server.behave(manners.clone());
        place.ok(&["push", "web.oci", &to]);
        assert_eq!(writes(&server), 0, "{number}");
    }
}

#[test]
fn signing_again_is_no_change_and_leaves_other_keys_signatures() {
    for referrers in [true, false] {
        let manners = Manners { referrers, ..Manners::default() };
        let server = Server::start(manners.clone());
        let place = built();
        let image = format!("docker://{}/web:1", server.host);
        let whole = place.ok(&["push", "web.oci", &image]);
        assert_eq!(place.ok(&["sign", &image, "--key", "k.key"]), whole);
        let first = contents(&server);
        server.behave(manners.clone());
        place.ok(&["sign", &image, "--key", "k.key"]);
        assert_eq!(writes(&server), 0);
        place.ok(&["keygen", "-o", "second", "--algorithm", "p256"]);
        place.ok(&["sign", &image, "--key", "second.key"]);
        assert_eq!(server.dangling(), Vec::<String>::new());
        for key in ["k.pub", "second.pub"] {
            place.ok(&["verify", &image, "--key", key, "--identity", "exact"]);
        }
        place.ok(&["verify", &image, "--key", "k.pub", "--key", "second.pub", "--threshold", "2"]);
        server.behave(manners.clone());
        place.ok(&["sign", &image, "--key", "second.key"]);
        place.ok(&["sign", &image, "--key", "k.key"]);
        assert_eq!(writes(&server), 0);
        assert!(contents(&server).0.is_superset(&first.0));
    }
}

#[test]
fn a_signature_by_digest_says_nothing_of_a_tag() {
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let place = built();
    let whole = place.ok(&["push", "web.oci", &format!("docker://{}/web:1", server.host)]);
    let at = format!("docker://{}/web@{}", server.host, whole.trim());
    place.ok(&["sign", &at, "--key", "k.key"]);
    place.ok(&["verify", &at, "--key", "k.pub", "--identity", "exact"]);
    let tag = format!("docker://{}/web:1", server.host);
    place.ok(&["verify", &tag, "--key", "k.pub", "--identity", "repository"]);
    assert_eq!(place.run(&["verify", &tag, "--key", "k.pub", "--identity", "exact"]).status, 1);
    let wrong = format!("docker://{}/web:1@sha256:{}", server.host, "0".repeat(64));
    let ran = place.run(&["sign", &wrong, "--key", "k.key"]);
    assert!(ran.status == 2 && ran.err.contains("there is no `sha256:000"), "{}", ran.err);
}

#[test]
fn an_image_on_disk_is_signed_and_attested_beside_itself() {
    let place = built();
    let whole = place.ok(&["inspect", "web.oci"]).lines().next().unwrap().to_owned();
    for image in ["web.oci", "web.tar"] {
        assert_eq!(place.ok(&["sign", image, "--key", "k.key"]).trim(), whole);
        let said = place.ok(&["attest", image, "--key", "k.key"]);
        assert_eq!(said.lines().filter(|line| line.ends_with("https://slsa.dev/provenance/v1")).count(), 2, "{said}");
        place.ok(&["verify", image, "--key", "k.pub", "--require", "signature,provenance"]);
        let files = [format!("{image}.sigstore.json"), format!("{image}.intoto.jsonl")];
        let read = || files.clone().map(|file| std::fs::read_to_string(place.path(&file)).unwrap());
        let before = read();
        serde_json::from_str::<serde_json::Value>(&before[0]).expect("one bundle is plain JSON");
        place.ok(&["sign", image, "--key", "k.key"]);
        place.ok(&["attest", image, "--key", "k.key"]);
        assert_eq!(read(), before, "again is no change");
    }
    let ran = place.run(&["sign", "docker-archive:web.tar", "--key", "k.key"]);
    assert!(ran.status == 2 && ran.err.contains("it holds no manifest that could be signed"), "{}", ran.err);
    std::fs::remove_dir_all(place.path("web.oci.evidence")).unwrap();
    let ran = place.run(&["attest", "web.oci", "--key", "k.key"]);
    assert!(ran.status == 2 && ran.err.contains("there is none at"), "{}", ran.err);
}

#[test]
fn what_cannot_be_attested_is_refused() {
    let place = built();
    place.write("text", "no JSON");
    place.write("list.json", "[]");
    place.write("statement.json", r#"{"_type":"x","predicateType":"y"}"#);
    for (file, said) in [
        ("text", "it is no JSON"),
        ("list.json", "it is no JSON object"),
        ("statement.json", "it is a statement already"),
        ("none.json", "cannot read `none.json`"),
    ] {
        let ran = place.run(&["attest", "web.oci", "--type", "spdx", "--predicate", file, "--key", "k.key"]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains(said), "{file}: {}", ran.err);
        assert!(!place.path("web.oci.intoto.jsonl").exists());
    }
    for arguments in [&["--type", "spdx4", "--predicate", "list.json"][..], &["--predicate", "list.json"]] {
        assert_eq!(place.run(&[&["attest", "web.oci", "--key", "k.key"], arguments].concat()).status, 2);
    }
    let ran = place.run(&[
        "attest",
        "web.oci",
        "--type",
        "spdx",
        "--predicate",
        "list.json",
        "--platform",
        "linux/amd64",
        "--key",
        "k.pub",
    ]);
    assert!(ran.status == 2 && ran.err.contains("it is a public key"), "{}", ran.err);
}

#[test]
fn attach_takes_any_document_to_any_image_and_two_at_once_lose_nothing() {
    let mut hosts: Vec<(String, Option<Distribution>)> =
        Distribution::start(false).map(|registry| (registry.host.clone(), Some(registry))).into_iter().collect();
    for referrers in [true, false] {
        hosts.push((Server::start(Manners { referrers, ..Manners::default() }).host, None));
    }
    for (host, _registry) in hosts {
        let place = built();
        let image = format!("docker://{host}/web:1");
        let whole = place.ok(&["push", "web.oci", &image, "--no-evidence"]);
        let mut running = Vec::new();
        for number in 0..4 {
            let name = format!("{number}.json");
            place.write(&name, format!(r#"{{"spdxVersion":"SPDX-2.3","name":"{number}"}}"#));
            let child = place
                .tarsia(["attach", &image, &name, "--key", "k.key"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            running.push(child);
        }
        let mut manifests = BTreeSet::new();
        for child in running {
            let ran = Ran::from(child.wait_with_output().unwrap());
            assert_eq!(ran.status, 0, "{}", ran.err);
            manifests.insert(ran.out.trim().parse::<Digest>().unwrap());
        }
        assert_eq!(manifests.len(), 4);
        let registry = tarsia::registry::Registry::new(Default::default(), Default::default());
        let reference = tarsia::image::Reference::of_registry(&image).unwrap();
        let repository = registry.repository(&reference);
        let whole: Digest = whole.trim().parse().unwrap();
        let found = repository.referrers(&whole, None).unwrap();
        assert_eq!(found.len(), 8, "four documents and four bundles");
        assert!(manifests.iter().all(|digest| found.iter().any(|one| one.digest == *digest)));
        let envelopes = repository.cosign_layers(&whole, tarsia::registry::CosignTag::Attestations).unwrap();
        assert_eq!(envelopes.len(), 4);
        // To one platform alone, of a type of its own, without a key.
        place.write("notes.txt", "notes");
        let to_one = ["attach", &image, "notes.txt", "--platform", "linux/arm64", "--media-type", "text/plain"];
        place.ok(&to_one);
        assert_eq!(repository.referrers(&whole, None).unwrap().len(), 8);
        let ran = place.run(&["attach", &image, "notes.txt", "--key", "k.key"]);
        assert!(ran.status == 2 && ran.err.contains("nothing says what kind of predicate it is"), "{}", ran.err);
    }
}

#[test]
fn any_image_gets_sboms_of_what_is_in_it() {
    let place = Place::new();
    Archive::new(9).deb(deb("hello", "1.0").file("/usr/bin/hello", 0o755, "hello\n")).write(&place);
    // Docker's own form has no Zstandard.
    spec(&place, "web", "packages: [hello]\nkeep: all\nlayers: {compression: gzip}\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place.ok(&["keygen", "-o", "k"]);
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let image = format!("docker://{}/team/web:1", server.host);
    place.ok(&["push", "web.oci", &image, "--no-evidence"]);
    place.ok(&["sign", &image, "--key", "k.key"]);
    let attach = ["attach", &image, "--sbom", "--key", "k.key"];
    assert_eq!(place.ok(&attach).lines().count(), 3);
    for format in ["spdx", "cyclonedx", "spdx3"] {
        let text = place.ok(&["sbom", &image, "--format", format]);
        assert!(text.contains("hello") && text.contains("pkg:deb/"), "{text}");
    }
    let text = place.ok(&["sbom", &image, "--format", "spdx"]);
    assert!(text.to_lowercase().contains("analy"), "it says how it was made: {text}");
    place.ok(&["verify", &image, "--key", "k.pub", "--require", "sbom", "--identity", "exact"]);
    server.behave(Manners { referrers: true, ..Manners::default() });
    place.ok(&attach);
    assert_eq!(writes(&server), 0, "again is no change");
    // Of an image in Docker's own form, by another tool.
    if let Some(skopeo) = judge("bin/skopeo") {
        let docker = format!("docker://{}/docker/web:1", server.host);
        let mut copy = Command::new(skopeo);
        copy.args(["--insecure-policy", "copy", "--format", "v2s2", "--dest-tls-verify=false", "oci:web.oci", &docker]);
        place.write("auth.json", "{}");
        accepts(copy.current_dir(place.path(".")).env("REGISTRY_AUTH_FILE", place.path("auth.json")));
        assert_eq!(place.ok(&["attach", &docker, "--sbom", "--key", "k.key"]).lines().count(), 3);
        assert!(place.ok(&["sbom", &docker, "--format", "cyclonedx"]).contains("hello"));
        place.ok(&["sign", &docker, "--key", "k.key"]);
        place.ok(&["verify", &docker, "--key", "k.pub", "--require", "sbom", "--identity", "exact"]);
    }
    // What was built here has better ones.
    let told = ["attach", &image, "--sbom", "--evidence", "web.oci.evidence"];
    assert_eq!(place.ok(&told).lines().count(), 3);
}
