//! `release`: all of it in one go, the same every time, finished after a kill, and checked by the very commands that it
//! prints.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tarsia::digest::Digest;

use crate::distribution::Distribution;
use crate::judges::{accepts, judge};
use crate::program::{Place, Ran, names};
use crate::publish::{Held, ONE, TWO, contents, kill_at, place};
use crate::server::{Manners, Server};

/// A place with an image on disk, its evidence beside it, and a key.
fn built(spec: &str) -> Place {
    let place = place(spec);
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place.ok(&["keygen", "-o", "k"]);
    place
}

fn release(place: &Place, host: &str, more: &[&str]) -> serde_json::Value {
    let to = format!("docker://{host}/team/web:1");
    let arguments = ["release", "web.oci", &to, "--key", "k.key", "--assets", "assets", "--json"];
    serde_json::from_str(&place.ok(&[&arguments[..], more].concat())).unwrap()
}

/// Returns every file of the assets with its bytes, inode and time.
fn assets(place: &Place) -> BTreeMap<String, (Vec<u8>, u64, i64)> {
    let directory = place.path("assets");
    names(&directory)
        .into_iter()
        .map(|name| {
            let path = directory.join(&name);
            let meta = std::fs::metadata(&path).unwrap();
            (name, (std::fs::read(path).unwrap(), meta.ino(), meta.mtime_nsec()))
        })
        .collect()
}

#[test]
fn a_second_release_uploads_nothing_and_changes_no_asset() {
    for (spec, referrers) in [(ONE, true), (TWO, false), (TWO, true)] {
        let place = built(spec);
        let manners = Manners { referrers, ..Manners::default() };
        let server = Server::start(manners.clone());
        let first = release(&place, &server.host, &[]);
        assert!(first["attached"].as_u64().unwrap() > 3 && first["tagged"] == true, "{first}");
        let (before, there) = (assets(&place), contents(&server));
        for name in ["SHA256SUMS", "SHA256SUMS.sig", "web.intoto.jsonl", "web.pub", "web.sigstore.json"] {
            assert!(before.contains_key(name), "{name}: {:?}", before.keys());
        }
        server.behave(manners.clone());
        let second = release(&place, &server.host, &[]);
        for (field, value) in [("sent", 0), ("documents", 0), ("attached", 0)] {
            assert_eq!(second[field], value, "{second}");
        }
        assert_eq!(server.count("PUT") + server.count("POST") + server.count("PATCH"), 0);
        assert_eq!((assets(&place), contents(&server)), (before, there));
        assert_eq!(server.dangling(), Vec::<String>::new());
        let image = format!("docker://{}/team/web:1", server.host);
        let verify = ["verify", &image, "--key", "assets/web.pub", "--require", "signature,provenance"];
        place.ok(&[&verify[..], &["--identity", "exact"]].concat());
    }
}

#[test]
fn two_empty_registries_get_the_same_digests() {
    let place = built(TWO);
    // The same registry by name, emptied in between: every digest.
    let manners = Manners { referrers: true, ..Manners::default() };
    let one = Server::start(manners.clone());
    release(&place, &one.host, &[]);
    let first = contents(&one);
    one.empty();
    release(&place, &one.host, &[]);
    assert_eq!(contents(&one), first);
    // Another registry: all but what names it.
    let two = Server::start(manners);
    release(&place, &two.host, &[]);
    let second = contents(&two);
    let named = |all: &BTreeMap<(String, String), Digest>| {
        all.iter().filter(|((_, tag), _)| tag.ends_with(".sig")).map(|(_, digest)| *digest).collect::<Vec<_>>()
    };
    let (signatures, others) = (named(&first.1), named(&second.1));
    assert_eq!((signatures.len(), others.len()), (3, 3));
    assert!(signatures.iter().all(|digest| !others.contains(digest)));
    let without = |all: &Held, named: &[Digest]| {
        all.0.iter().filter(|(_, digest)| !named.contains(digest)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(without(&first, &signatures), without(&second, &others));
}

#[test]
fn debians_registry_too_gets_the_same_digests_under_one_name() {
    let place = built(TWO);
    let list = |host: &str| {
        let registry = tarsia::registry::Registry::new(Default::default(), Default::default());
        let reference = tarsia::image::Reference::of_registry(&format!("{host}/team/web:1")).unwrap();
        let repository = registry.repository(&reference);
        let whole = repository.resolve("1").unwrap().unwrap();
        let mut all = vec![whole];
        let mut tags = vec![format!("sha256-{}", whole.hex()), format!("sha256-{}.sig", whole.hex())];
        let index = repository.document("1").unwrap().unwrap().bytes;
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        for one in index["manifests"].as_array().unwrap() {
            let hex = one["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
            tags.extend(["", ".sig", ".att"].map(|ending| format!("sha256-{hex}{ending}")));
        }
        all.extend(tags.iter().map(|tag| repository.resolve(tag).unwrap().unwrap_or_else(|| panic!("{tag}"))));
        all
    };
    let Some(first) = Distribution::start(false) else { return };
    let host = first.host.clone();
    release(&place, &host, &[]);
    let digests = list(&host);
    drop(first);
    let second = Distribution::start_at(&host, false).unwrap();
    release(&place, &second.host, &[]);
    assert_eq!(list(&host), digests);
}

#[test]
fn a_release_that_is_killed_is_finished_by_the_next() {
    let place = built(ONE);
    let manners = Manners { referrers: true, ..Manners::default() };
    let server = Server::start(manners.clone());
    let to = format!("docker://{}/team/web:1", server.host);
    release(&place, &server.host, &[]);
    let (whole, requests) = (contents(&server), server.contents.lock().unwrap().log.len());
    let arguments = ["release", "web.oci", &to, "--key", "k.key", "--assets", "assets"];
    #[expect(clippy::disallowed_methods, reason = "the tests' own environment")]
    let step = if std::env::var_os("TARSIA_FULL").is_some() { 1 } else { 6 };
    assert!(requests > 40, "{requests}");
    for number in (0..requests).step_by(step) {
        server.empty();
        let _ = std::fs::remove_dir_all(place.path("assets"));
        let ended = kill_at(&place, &server, &manners, &arguments, number);
        assert_eq!(server.dangling(), Vec::<String>::new(), "{number}");
        assert_eq!(ended, place.path("assets").exists(), "{number}: assets come last");
        let tagged = server.contents.lock().unwrap().tags.contains_key(&("team/web".to_owned(), "1".to_owned()));
        assert!(ended || !tagged || number + 3 > requests, "{number}: the tag comes last");
        server.behave(manners.clone());
        release(&place, &server.host, &[]);
        assert_eq!(contents(&server), whole, "{number}");
    }
}

#[test]
fn what_should_not_be_released_is_not() {
    let place = built(ONE);
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let to = format!("docker://{}/team/web:1", server.host);
    let refused = |more: &[&str], said: &str| {
        let arguments = ["release", "web.oci", &to, "--key", "k.key"];
        let ran = place.run(&[&arguments[..], more].concat());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
        assert!(server.contents.lock().unwrap().tags.is_empty());
    };
    place.write("mine/thesis.txt", "mine");
    refused(&["--assets", "mine"], "a directory with `thesis.txt` in it stands there");
    assert_eq!(names(&place.path("mine")), ["thesis.txt"]);
    refused(&["--assets", "assets", "--evidence", "none"], "there is none at `none`");
    // A kit that is cut short or leads elsewhere is no registry's fault.
    let kit = place.path("web.oci.evidence/kit.tar.zst");
    let whole = std::fs::read(&kit).unwrap();
    std::fs::write(&kit, &whole[..whole.len() / 2]).unwrap();
    refused(&["--assets", "assets"], "`kit.tar.zst` is sha256:");
    std::fs::remove_file(&kit).unwrap();
    refused(&["--assets", "assets"], "kit.tar.zst");
    std::fs::write(place.path("elsewhere"), &whole).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere"), &kit).unwrap();
    refused(&["--assets", "assets"], "kit.tar.zst");
    std::fs::remove_file(&kit).unwrap();
    std::fs::write(&kit, &whole).unwrap();
    assert!(server.contents.lock().unwrap().blobs.is_empty());
    // As `build` writes it where signed metadata can no longer be had.
    let directory = place.path("web.oci.evidence");
    let provenance = std::fs::read_to_string(directory.join("provenance.json")).unwrap();
    let relaxed = provenance.replace(r#""relaxed":[]"#, r#""relaxed":[{"check":"archive-chain-not-proved"}]"#);
    assert_ne!(relaxed, provenance);
    std::fs::write(directory.join("provenance.json"), &relaxed).unwrap();
    let index = std::fs::read_to_string(directory.join("evidence.json")).unwrap();
    let (digest, size) = (Digest::of(provenance.as_bytes()).to_string(), format!("\"size\": {}", provenance.len()));
    let now = format!("\"size\": {}", relaxed.len());
    let index = index.replace(&digest, &Digest::of(relaxed.as_bytes()).to_string()).replace(&size, &now);
    std::fs::write(directory.join("evidence.json"), index).unwrap();
    refused(&["--assets", "assets"], "its packages were not proved against their signed archives");
    assert!(!place.path("assets").exists());
    let ran = place.run(&["release", "web.oci", &to, "--key", "k.key", "--assets", "assets", "--unproved"]);
    assert!(ran.status == 0 && ran.err.contains("its provenance says so"), "{}", ran.err);
    std::fs::remove_dir_all(&directory).unwrap();
    server.contents.lock().unwrap().tags.clear();
    refused(&["--assets", "assets"], "no evidence is beside it");
}

#[test]
fn an_image_is_checked_by_the_very_commands_that_its_release_prints() {
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let mut hosts = vec![(server.host.clone(), None)];
    for logins in [false, true] {
        hosts.extend(Distribution::start(logins).map(|one| (one.host.clone(), Some(one))));
    }
    for (number, (host, registry)) in hosts.into_iter().enumerate() {
        let place = built(if number == 0 { ONE } else { TWO });
        if let Some(registry) = &registry {
            registry.log_in(&place);
        }
        let released = release(&place, &host, &[]);
        let script = released["commands"].as_str().unwrap().to_owned();
        for cosign in ["cosign-2", "cosign-3"] {
            let (Some(cosign), Some(skopeo)) = (judge(&format!("bin/{cosign}")), judge("bin/skopeo")) else { return };
            let bin = place.path("bin");
            let _ = std::fs::remove_dir_all(&bin);
            std::fs::create_dir(&bin).unwrap();
            for (name, program) in
                [("cosign", cosign), ("skopeo", skopeo), ("tarsia", PathBuf::from(env!("CARGO_BIN_EXE_tarsia")))]
            {
                std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
            }
            let run = |script: &str| {
                // With the environment of the program under test.
                let tarsia = place.tarsia([""]);
                let mut command = Command::new("sh");
                command.args(["-e", "-c", script]).current_dir(place.path("."));
                for (name, value) in tarsia.get_envs() {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command.env("REGISTRY_AUTH_FILE", place.path(".docker/config.json")).env("HOME", place.path("home"));
                command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
                command
            };
            let said = accepts(&mut run(&script));
            assert!(said.contains("Verified OK") && said.contains("verified"), "{said}");
            // And they can fail: each command alone, with the key of somebody else.
            place.ok(&["keygen", "-o", cosign_key(&place)]);
            let mut wrong = 0;
            let (head, checks): (Vec<&str>, Vec<&str>) =
                script.lines().partition(|line| !line.contains("--key") && !line.starts_with("skopeo"));
            for check in checks {
                let mut lines = head.clone();
                let last = lines.pop().unwrap();
                lines.extend([check, last]);
                // What prepares the place comes before skopeo; it names the key in its policy.
                let script = lines.join("\n").replace("web.pub", "../stranger.pub");
                let script = script.replace("sha256sum --check SHA256SUMS", "");
                let ran = Ran::from(run(&script).stdin(Stdio::null()).output().unwrap());
                assert_ne!(ran.status, 0, "{check}\n{}{}", ran.out, ran.err);
                wrong += 1;
            }
            assert!(wrong >= 4, "{wrong}");
        }
    }
}

/// Returns the name of a key that nothing was signed with; a fresh one each time.
fn cosign_key(place: &Place) -> &'static str {
    for ending in ["key", "pub"] {
        let _ = std::fs::remove_file(place.path(&format!("stranger.{ending}")));
    }
    "stranger"
}

#[test]
fn the_readmes_commands_publish() {
    let readme = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let section = readme.split("\n## Publishing\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let server = Server::start(Manners { referrers: true, ..Manners::default() });
    let script = blocks.concat().replace("registry.example.org", &server.host);
    assert!(script.lines().filter(|line| line.starts_with("tarsia ")).count() >= 9, "{script}");
    let place = place(ONE);
    place.write("notes.pdf", "notes");
    let bin = place.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tarsia"), bin.join("tarsia")).unwrap();
    let tarsia = place.tarsia([""]);
    let mut command = Command::new("sh");
    command.args(["-e", "-c", &script]).current_dir(place.path("."));
    for (name, value) in tarsia.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    accepts(command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())));
    let image = format!("docker://{}/team/web:1.2", server.host);
    place.ok(&["verify", &image, "--key", "release.pub", "--require", "sbom,provenance", "--identity", "exact"]);
    assert!(place.path("web.oci.sigstore.json").exists() && place.path("assets/SHA256SUMS").exists());
}
