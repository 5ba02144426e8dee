//! What goes wrong on a daemon: the package or the layer is named, the exit status is 2, and nothing stands at the output.

use std::process::Command;

use super::daemon::Daemon;
use super::files::{Files, Trouble};
use super::solve::Solved;
use super::turn;
use super::ways::{Served, Way, digest_of};
use super::worker::worker;
use crate::container::must;
use crate::deb::deb;
use crate::program::{Place, Ran, names};
use crate::world::Archive;

const SPEC: &str = "packages: [alder, birch]\nkeep: all\n";

fn served() -> Served {
    let tree = |name: &str| {
        let one = deb(name, "1.0").field("Installed-Size", "400");
        one.file(&format!("/usr/share/{name}/text"), 0o644, name.repeat(1000))
    };
    let served = Served::new(&Archive::new(64).deb(tree("alder")).deb(tree("birch")));
    served.spec("wood", SPEC);
    served.local("wood");
    served
}

/// Builds `<name>.yaml` by `--engine buildkit` to `<name>.oci`, which must fail, and returns what was said.
fn refused(way: &Way<'_>, place: &Place, name: &str) -> String {
    let store = tempfile::tempdir().unwrap();
    let out = place.path(&format!("{name}.oci"));
    // What stood there before still does after it, and nothing is beside it.
    let stands = || (names(&place.path(".")), out.exists().then(|| digest_of(&out)));
    let before = stands();
    let ran = way.engine(place, &format!("{name}.yaml"), &store.path().join("store"), &out).output().unwrap();
    let ran = Ran::from(ran);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.starts_with("error: cannot "), "{}", ran.err);
    assert_eq!(stands(), before, "{}", ran.err);
    ran.err
}

/// Sends the graph, which must fail, and returns the operation that failed and what was said of it.
fn failed(way: &Way<'_>, place: &Place, spec: &str) -> (String, String) {
    let solved = way.by_graph(place, spec, &[], &place.path("failed"));
    told(&solved)
}

fn told(solved: &Solved) -> (String, String) {
    assert!(!solved.good, "{solved:#?}");
    // An operation that others waited for may be cancelled with them.
    let failed = solved.failed();
    let first = failed.iter().find(|(_, error)| !error.contains("context canceled"));
    let (name, error) = first.or(failed.first()).unwrap_or_else(|| panic!("{solved:#?}"));
    ((*name).to_owned(), format!("{error}\n{}", solved.logs))
}

fn each_failure_names_its_package(daemon: &Daemon) {
    let way = Way::new(daemon, worker().url());

    // Other bytes than were locked; none at all; a connection that breaks off.
    let served = served();
    for trouble in [Trouble::Bytes(b"other".to_vec()), Trouble::Status(404), Trouble::Half] {
        daemon.prune();
        served.files.trouble("birch", trouble.clone());
        let said = refused(&way, &served.place, "wood");
        assert!(said.contains("birch"), "{trouble:?}: {said}");
        let (name, error) = failed(&way, &served.place, "wood.yaml");
        assert!(name.starts_with("birch 1.0"), "{trouble:?}: {name}: {error}");
    }

    // No mirror that answers: one that nobody listens at, and the spec's own, which is asked next.
    daemon.prune();
    served.files.trouble(".deb", Trouble::Status(503));
    let mut unreachable = Way::new(daemon, worker().url());
    unreachable.flags = vec!["--mirror".to_owned(), "test=http://127.0.0.1:1".to_owned()];
    let said = refused(&unreachable, &served.place, "wood");
    assert!(said.contains("alder") || said.contains("birch"), "{said}");

    // A package with the digest that was locked, which is none: the operation that opens it fails.
    let stanza = deb("cedar", "1.0").field("Installed-Size", "400").stanza();
    let broken = Served::new(&Archive::new(65).raw(stanza, b"!<arch>\nno package".to_vec()));
    broken.spec("broken", "packages: [cedar]\nkeep: all\n");
    broken.place.ok(&["lock", "broken.yaml"]);
    let said = refused(&way, &broken.place, "broken");
    assert!(said.contains("cedar"), "{said}");
    let (name, error) = failed(&way, &broken.place, "broken.yaml");
    assert!(name.starts_with("open cedar") && error.contains("cedar"), "{name}: {error}");

    let fine = self::served();
    // A worker that is not there, and one that has other bytes than its digest says.
    let place = Place::new();
    place.write("tarsia", "other");
    let files = Files::serve(&place.path("."));
    for url in ["http://127.0.0.1:1/tarsia".to_owned(), files.url("absent"), files.url("tarsia")] {
        // A worker that the daemon has already is not asked for again, wherever it is.
        daemon.prune();
        let way = Way::new(daemon, format!("{url}#sha256={}", worker().digest.hex()));
        let said = refused(&way, &fine.place, "wood");
        assert!(said.contains("worker"), "{url}: {said}");
    }

    // A program that fails in the worker's place.
    let place = Place::new();
    place.write(
        "fails.c",
        "#include <stdio.h>\nint main(void) { fputs(\"error: cannot do it\\n\", stderr); return 3; }\n",
    );
    must(Command::new("gcc").args(["-static", "-O1", "-o", "fails", "fails.c"]).current_dir(place.path(".")));
    let digest = tarsia::digest::Digest::of(&std::fs::read(place.path("fails")).unwrap());
    let way = Way::new(daemon, format!("{}#sha256={}", Files::serve(&place.path(".")).url("fails"), digest.hex()));
    let said = refused(&way, &fine.place, "wood");
    assert!(said.contains("cannot do it") && (said.contains("alder") || said.contains("birch")), "{said}");
}

#[test]
fn each_failure_names_its_package_on_docker() {
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    each_failure_names_its_package(&daemon);
}

#[test]
fn each_failure_names_its_package_on_buildkitd() {
    let turn = turn();
    let Some(daemon) = Daemon::buildkitd(&turn) else { return };
    each_failure_names_its_package(&daemon);
}

#[test]
fn docker_is_asked_for_no_cache_that_it_cannot_write() {
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    if daemon.buildctl(["debug", "info"]).output().unwrap().status.success() {
        return eprintln!("skipped: the BuildKit in this Docker tells a version, and may write caches");
    }
    let served = served();
    served.files.taken();
    let place = &served.place;
    let way = Way::new(&daemon, worker().url());
    let mut engine = way.engine(place, "wood.yaml", &place.path("store-none"), &place.path("none.oci"));
    engine.args(["--cache-to", "type=registry,ref=registry.example.org/wood:cache,mode=max"]);
    let ran = Ran::from(engine.output().unwrap());
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("its BuildKit writes none") && ran.err.contains("--cache-to"), "{}", ran.err);
    assert!(!place.path("none.oci").exists() && served.debs().is_empty());
}

#[test]
fn a_worker_of_another_contract_refuses() {
    use bollard_buildkit_proto::pb;
    use prost::Message as _;
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    let served = served();
    let way = Way::new(&daemon, worker().url());
    let graph = way.graph(&served.place, "wood.yaml", &[]);
    // The graph as a release with another encoding would write it.
    let mut definition = pb::Definition::decode(std::fs::read(&graph).unwrap().as_slice()).unwrap();
    let mut moved = std::collections::BTreeMap::new();
    for bytes in &mut definition.def {
        let before = tarsia::digest::Digest::of(bytes).to_string();
        let mut op = pb::Op::decode(bytes.as_slice()).unwrap();
        for input in &mut op.inputs {
            if let Some(to) = moved.get(&input.digest) {
                input.digest = String::clone(to);
            }
        }
        if let Some(pb::op::Op::Exec(exec)) = &mut op.op {
            let arguments = &mut exec.meta.as_mut().unwrap().args;
            let at = arguments.iter().position(|word| word == "--contract").unwrap() + 1;
            arguments[at] = format!("9{}", arguments[at]);
        }
        *bytes = op.encode_to_vec();
        let after = tarsia::digest::Digest::of(bytes).to_string();
        if let Some(metadata) = definition.metadata.remove(&before) {
            definition.metadata.insert(after.clone(), metadata);
        }
        moved.insert(before, after);
    }
    std::fs::write(&graph, definition.encode_to_vec()).unwrap();
    let context = ("context", &*served.place.path("."));
    let (name, error) = told(&super::solve::solve(&daemon, &graph, &[context], &served.place.path("other"), &[]));
    assert!(name.starts_with("open "), "{name}");
    assert!(error.contains("error: cannot ") && error.contains("91."), "both contracts are told: {error}");
    assert!(!served.place.path("other/index.json").exists());
}
