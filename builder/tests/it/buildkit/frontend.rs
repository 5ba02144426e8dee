//! Specs in place of Dockerfiles: the image of `specs/buildkit.yaml` as a frontend of Debian's Docker, and of `buildkitd`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tarsia::digest::Digest;
use tarsia::image::{Destination, Entry, Error, open};
use tarsia::tar::read::Kind;

use super::daemon::Daemon;
use super::files::{Files, Trouble};
use super::turn;
use super::worker::worker;
use crate::container::{must, said};
use crate::deb::{Deb, deb};
use crate::distribution::Distribution;
use crate::program::{Place, copy_tree, specs};
use crate::world::{self, Archive};

/// What the image of a frontend is called after it was pushed: by its digest.
fn frontend(registry: &Distribution) -> String {
    let place = Place::new();
    std::fs::copy(specs().join("buildkit.yaml"), place.path("buildkit.yaml")).unwrap();
    std::fs::create_dir(place.path("buildkit")).unwrap();
    std::fs::copy(&worker().path, place.path("buildkit/tarsia")).unwrap();
    let name = format!("{}/tarsia", registry.host);
    let digest = place.ok(&["build", "buildkit.yaml", "-o", &format!("docker://{name}:1")]);
    format!("{name}@{}", digest.trim())
}

/// Puts the line before a spec that says who reads it.
fn read_by(place: &Place, spec: &str, frontend: &str) {
    let text = std::fs::read_to_string(place.path(spec)).unwrap();
    place.write(spec, format!("# syntax={frontend}\n{text}"));
}

/// Debian's Docker, with a registry that holds the frontend; `None` where something is not installed.
fn docker(turn: &super::Turn) -> Option<(Daemon, Distribution, String)> {
    let daemon = Daemon::docker(turn)?;
    let registry = Distribution::start(false)?;
    let frontend = frontend(&registry);
    Some((daemon, registry, frontend))
}

/// `docker build` in a place.
fn build(daemon: &Daemon, place: &Place, arguments: &[&str]) -> Output {
    let mut command = daemon.docker_client(["build", "--progress=plain"]);
    command.args(arguments).arg(".").current_dir(place.path(".")).output().unwrap()
}

#[track_caller]
fn built(daemon: &Daemon, place: &Place, arguments: &[&str]) -> String {
    let output = build(daemon, place, arguments);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[track_caller]
fn refused(daemon: &Daemon, place: &Place, arguments: &[&str]) -> String {
    let output = build(daemon, place, arguments);
    assert!(!output.status.success(), "{}", said(&output));
    said(&output)
}

/// The digest that a layout's `index.json` names.
fn digest_of(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

/// Everything that a container sees of an image's files, one line for each.
fn tree(image: &str) -> BTreeMap<String, String> {
    let opened = open(&Destination::parse(image).unwrap()).unwrap();
    let mut nodes = BTreeMap::new();
    for layer in &opened.images()[0].layers {
        let each = |entry: &Entry, body: &mut dyn Read| {
            let (kind, link) = match &entry.kind {
                Kind::Directory => ('d', ""),
                Kind::File => ('f', ""),
                Kind::Symlink(target) => ('l', target.as_str()),
                Kind::Hardlink(target) => ('h', target.as_str()),
            };
            let about = (entry.mode, u64::from(entry.uid), u64::from(entry.gid), entry.mtime);
            nodes.insert(entry.path.as_str().to_owned(), line(kind, link, about, body));
            Ok::<_, Error>(())
        };
        opened.entries(layer, each).unwrap();
    }
    nodes
}

/// The same of what `docker save` wrote: its headers say in `mode` what kind of file it is, which ours refuses to read.
fn saved(archive: &Path) -> (BTreeMap<String, String>, Value) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut tar = tar::Archive::new(std::fs::File::open(archive).unwrap());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), bytes);
    }
    let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let mut nodes = BTreeMap::new();
    for layer in list[0]["Layers"].as_array().unwrap() {
        let mut tar = tar::Archive::new(files[layer.as_str().unwrap()].as_slice());
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            let kind = match header.entry_type() {
                tar::EntryType::Directory => 'd',
                tar::EntryType::Regular => 'f',
                tar::EntryType::Symlink => 'l',
                tar::EntryType::Link => 'h',
                other => panic!("{other:?}"),
            };
            let path = entry.path().unwrap().display().to_string();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string()).unwrap_or_default();
            let about = (
                header.mode().unwrap() & 0o7777,
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mtime().unwrap() as i64,
            );
            nodes.insert(path.trim_end_matches('/').to_owned(), line(kind, &link, about, &mut entry));
        }
    }
    let config = serde_json::from_slice(&files[list[0]["Config"].as_str().unwrap()]).unwrap();
    (nodes, config)
}

fn line(kind: char, link: &str, (mode, uid, gid, mtime): (u32, u64, u64, i64), body: &mut dyn Read) -> String {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).unwrap();
    format!("{kind} {mode:o} {uid}:{gid} {mtime} {link} {}", Digest::of(&bytes))
}

/// An image's config, without what tells how its layers were written.
fn config(image: &str) -> Value {
    plain(open(&Destination::parse(image).unwrap()).unwrap().images()[0].config.clone())
}

fn plain(mut config: Value) -> Value {
    for key in ["rootfs", "history"] {
        config.as_object_mut().unwrap().remove(key);
    }
    config
}

/// A spec over an archive that a test serves: two packages of which one needs the other, files of its own, a certificate.
fn web(place: &Place) -> Files {
    let lib: Deb = deb("libweb1", "1.0-1").file("/usr/lib/x86_64-linux-gnu/libweb.data", 0o644, "data");
    let web = deb("web", "2.0-1").field("Depends", "libweb1").file("/usr/bin/web", 0o755, "#!/usr/bin/sh\n");
    let archive = Archive::new(7).deb(lib).deb(web);
    let root = archive.write(place);
    place.write("conf/web.conf", "port: 8080\n");
    place.write("common.yaml", "version: 1\nlabels: {a: b}\n");
    world::spec(
        place,
        "web",
        "extends: common.yaml\npackages: [web]\nkeep: all\nfiles:\n  - {copy: conf/, to: /etc/web, owner: web}\n  \
         - {text: x, to: /run/x, mode: \"4755\"}\nusers: {web: {uid: 101}}\nrun: {user: web, cmd: [/usr/bin/web]}\n\
         variants: {debug: {labels: {c: d}}}\n",
    );
    Files::serve(&root)
}

#[test]
fn docker_builds_a_spec_and_the_bytes_are_those_of_a_local_build() {
    let turn = turn();
    let Some((daemon, _registry, frontend)) = docker(&turn) else { return };
    let place = Place::new();
    let served = web(&place);
    read_by(&place, "web.yaml", &frontend);
    let local = place.ok(&["build", "web.yaml", "-o", "local.oci"]);
    let mirror = format!("mirror.test=http://{}", served.host);

    // Our bytes, evidence too.
    let oci = ["-f", "web.yaml", "--build-arg", &mirror, "--target", "oci", "-o", "type=local,dest=out.oci"];
    let told = built(&daemon, &place, &oci);
    assert!(told.contains("web 2.0-1"), "{told}");
    assert_eq!(digest_of(&place.path("out.oci")), local.trim(), "{told}");
    built(
        &daemon,
        &place,
        &["-f", "web.yaml", "--build-arg", &mirror, "--target", "evidence", "-o", "type=local,dest=ev"],
    );
    for name in ["spdx.json", "cdx.json", "reasons.json"] {
        let read = |directory: &str| std::fs::read(place.path(directory).join(name)).unwrap();
        assert!(read("ev") == read("local.oci.evidence"), "{name}");
    }

    // A variant, which is an image of its own.
    let debug = place.ok(&["build", "--variant", "debug", "web.yaml", "-o", "debug.oci"]);
    let variant = ["-f", "web.yaml", "--build-arg", &mirror, "--build-arg", "variant=debug", "--target", "oci"];
    built(&daemon, &place, &[&variant[..], &["-o", "type=local,dest=out-debug.oci"]].concat());
    assert_eq!(digest_of(&place.path("out-debug.oci")), debug.trim());
    assert_ne!(debug, local);

    // An image that Docker holds: the same files and config, and nothing is downloaded again for it.
    served.taken();
    let told = built(&daemon, &place, &["-f", "web.yaml", "--build-arg", &mirror, "-t", "web:1", "--label", "e=f"]);
    assert_eq!(served.taken(), Vec::<String>::new());
    assert!(told.contains(&format!("image linux/amd64 {}", local.trim())), "{told}");
    must(daemon.docker_client(["save", "-o"]).arg(place.path("saved.tar")).arg("web:1"));
    let (files, said) = saved(&place.path("saved.tar"));
    let ours = format!("oci:{}", place.path("local.oci").display());
    assert_eq!(files, tree(&ours));
    let mut expected = config(&ours);
    expected["config"]["Labels"]["e"] = "f".into();
    assert_eq!(plain(said), expected);
}

#[test]
fn an_image_that_docker_builds_runs() {
    let turn = turn();
    let Some((daemon, _registry, frontend)) = docker(&turn) else { return };
    let place = Place::new();
    copy_tree(&specs().join("hello"), &place.path("hello"));
    std::fs::copy(specs().join("hello.yaml"), place.path("hello.yaml")).unwrap();
    place.ok(&["lock", "hello.yaml"]);
    read_by(&place, "hello.yaml", &frontend);
    built(&daemon, &place, &["-f", "hello.yaml", "-t", "hello:1"]);
    let ran = must(&mut daemon.docker_client(["run", "--rm", "--network=none", "--read-only", "hello:1"]));
    assert_eq!(ran.trim(), "hello from tarsia");
}

#[test]
fn what_docker_cannot_build_is_told_as_locally() {
    let turn = turn();
    let Some((daemon, _registry, frontend)) = docker(&turn) else { return };
    let place = Place::new();
    let served = web(&place);
    read_by(&place, "web.yaml", &frontend);
    let mirror = format!("mirror=test=http://{}", served.host);
    let oci = |more: &[&'static str]| {
        let mut all = vec!["-f", "web.yaml", "--build-arg", &mirror, "-o", "type=local,dest=out"];
        all.extend(more);
        let told = refused(&daemon, &place, &all);
        assert!(!place.path("out").exists(), "{told}");
        told
    };
    let told = oci(&["--target", "oci"]);
    assert!(told.contains("cannot use `web.lock`: there is no such lock"), "{told}");
    assert!(told.contains("hint: `tarsia lock SPEC` writes it"), "{told}");
    place.ok(&["lock", "web.yaml"]);
    assert!(oci(&["--target", "debug"]).contains("cannot build target `debug`"));
    assert!(oci(&["--build-arg", "x=y"]).contains("cannot use build argument `x`"));
    assert!(oci(&["--build-arg", "variant=none"]).contains("there is no variant `none`"));
    assert!(oci(&["--platform", "linux/arm64"]).contains("cannot build for `linux/arm64`: the lock holds linux/amd64"));

    // A package that has other bytes is named, and so is one that is not there.
    served.trouble("libweb1", Trouble::Bytes(b"other".to_vec()));
    let told = oci(&["--target", "oci"]);
    assert!(told.contains("cannot build package `libweb1`"), "{told}");
    served.trouble("libweb1", Trouble::Status(404));
    assert!(oci(&["--target", "oci"]).contains("cannot build package `libweb1`"));

    // A mistake in what is extended is shown where it stands; a spec that changed needs a new lock.
    place.write("common.yaml", "version: 1\nlabels: {a: 1}\n");
    let told = oci(&[]);
    assert!(told.contains("common.yaml:2:13"), "{told}");
    place.write("common.yaml", "version: 1\nlabels: {a: c}\n");
    let told = oci(&[]);
    assert!(told.contains("cannot use `web.lock`: it is stale: the spec changed"), "{told}");
}

#[test]
fn the_next_mirror_is_asked_where_one_does_not_give_a_package() {
    let turn = turn();
    let (Some(docker), Some(buildkitd)) = (Daemon::docker(&turn), Daemon::buildkitd(&turn)) else { return };
    let Some(registry) = Distribution::start(false) else { return };
    let frontend = frontend(&registry);
    let place = Place::new();
    let served = web(&place);
    read_by(&place, "web.yaml", &frontend);
    // The archive's own address comes behind what is said on the command line.
    let text = std::fs::read_to_string(place.path("web.yaml")).unwrap();
    let own = text.split('"').find(|word| word.starts_with("file:")).unwrap();
    place.write("web.yaml", text.replace(own, &format!("http://{}", served.host)));
    let local = place.ok(&["build", "web.yaml", "-o", "local.oci"]);
    let bad = "build-arg:mirror.test=http://127.0.0.1:1";
    let arguments = ["--build-arg", &bad[10..], "-f", "web.yaml", "--target", "oci"];
    built(&docker, &place, &[&arguments[..], &["-o", "type=local,dest=docker.oci"]].concat());
    assert_eq!(digest_of(&place.path("docker.oci")), local.trim());

    let output = solved(
        &buildkitd,
        &place,
        &frontend,
        &["--opt", "filename=web.yaml", "--opt", "target=oci", "--opt", bad, "-o", "type=local,dest=new.oci"],
    );
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(digest_of(&place.path("new.oci")), local.trim());
}

/// `buildctl` as a client of the frontend, in a place whose `specs` directory is handed over.
fn solved(daemon: &Daemon, place: &Place, frontend: &str, arguments: &[&str]) -> Output {
    let mut command = daemon.buildctl(["build", "--progress=plain", "--frontend=gateway.v0"]);
    command.args(["--opt", &format!("source={frontend}")]).arg("--local");
    command.arg(format!("dockerfile={}", place.path(".").display()));
    command.args(arguments).current_dir(place.path(".")).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn buildkit_of_today_builds_a_spec_too() {
    let turn = turn();
    let Some(daemon) = Daemon::buildkitd(&turn) else { return };
    let Some(registry) = Distribution::start(false) else { return };
    let frontend = frontend(&registry);
    let place = Place::new();
    copy_tree(&specs().join("hello"), &place.path("specs/hello"));
    std::fs::copy(specs().join("hello.yaml"), place.path("specs/hello.yaml")).unwrap();
    let local = place.ok(&["build", "specs/hello.yaml", "-o", "local.oci"]);
    let ok = |arguments: &[&str]| {
        let output = solved(&daemon, &place, &frontend, arguments);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };

    // The spec stands below the directory that is handed over.
    ok(&["--opt", "filename=specs/hello.yaml", "--opt", "target=oci", "--output", "type=local,dest=out.oci"]);
    assert_eq!(digest_of(&place.path("out.oci")), local.trim());

    // An image, which says ours; exported as a layout it has the same files.
    let image =
        ["--opt", "filename=specs/hello.yaml", "--output", "type=oci,dest=image.tar", "--metadata-file", "m.json"];
    ok(&image);
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(place.path(name)).unwrap()).unwrap() };
    assert_eq!(read("m.json")["frontend.tarsia.digest"], local.trim());
    let made = format!("oci-archive:{}", place.path("image.tar").display());
    let ours = format!("oci:{}", place.path("local.oci").display());
    assert_eq!((tree(&made), config(&made)), (tree(&ours), config(&ours)));
    // And again: nothing is made twice.
    let again = ok(&image);
    assert!(again.matches("CACHED").count() >= 4, "{again}");

    // What it can be asked beside builds.
    assert!(ok(&["--opt", "requestid=frontend.targets"]).contains("image (default)"));
    let output = solved(&daemon, &place, &frontend, &["--opt", "requestid=frontend.outline"]);
    assert!(said(&output).contains("unsupported request frontend.outline"), "{}", said(&output));
    let output = solved(&daemon, &place, &frontend, &["--opt", "filename=specs/none.yaml"]);
    assert!(said(&output).contains("cannot read `specs/none.yaml` from the client"), "{}", said(&output));
}
