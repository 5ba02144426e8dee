//! That the daemons of these tests are real, end, and are told apart from caches.

use std::collections::BTreeMap;
use std::path::Path;

use bollard_buildkit_proto::pb;
use prost::Message as _;
use tarsia::digest::Digest;

use super::daemon::Daemon;
use super::files::{Files, Trouble};
use super::solve::{Operation, Solved, solve};
use super::turn;
use super::worker::worker;
use crate::distribution::Distribution;
use crate::program::Place;

/// Writes a graph of three operations: the worker's file, an exec of it (`tarsia --version`, its output kept by nobody),
/// and a copy of a served file beside it. The names are `worker`, `run` and `result`.
fn graph(place: &Place, served: &Files, bytes: &[u8]) -> std::path::PathBuf {
    let worker = worker();
    let source = |url: String, digest: &str, filename: &str, perm: &str| pb::Op {
        op: Some(pb::op::Op::Source(pb::SourceOp {
            identifier: url,
            attrs: BTreeMap::from([
                ("http.checksum".to_owned(), digest.to_owned()),
                ("http.filename".to_owned(), filename.to_owned()),
                ("http.perm".to_owned(), perm.to_owned()),
            ]),
        })),
        ..pb::Op::default()
    };
    let url = worker.url();
    let tool = source(url.split('#').next().unwrap().to_owned(), &worker.digest.to_string(), "tarsia", "493");
    let file = source(served.url("file"), &Digest::of(bytes).to_string(), "file", "420");
    let mut definition = pb::Definition::default();
    let mut add = |op: &pb::Op, name: &str| {
        let bytes = op.encode_to_vec();
        let digest = Digest::of(&bytes).to_string();
        let description = BTreeMap::from([("llb.customname".to_owned(), name.to_owned())]);
        definition.metadata.insert(digest.clone(), pb::OpMetadata { description, ..pb::OpMetadata::default() });
        definition.def.push(bytes);
        digest
    };
    let input = |digest: &str, index: i64| pb::Input { digest: digest.to_owned(), index };
    let (tool, file) = (add(&tool, "worker"), add(&file, "file"));
    let mount = |dest: &str, input: i64, output: i64, readonly: bool| pb::Mount {
        dest: dest.to_owned(),
        input,
        output,
        readonly,
        ..pb::Mount::default()
    };
    let exec = pb::Op {
        inputs: vec![input(&tool, 0), input(&file, 0)],
        op: Some(pb::op::Op::Exec(pb::ExecOp {
            meta: Some(pb::Meta {
                args: vec!["/tarsia".to_owned(), "--version".to_owned()],
                cwd: "/".to_owned(),
                ..pb::Meta::default()
            }),
            mounts: vec![mount("/", 0, -1, true), mount("/in", 1, -1, true), mount("/out", -1, 0, false)],
            network: pb::NetMode::None.into(),
            ..pb::ExecOp::default()
        })),
        ..pb::Op::default()
    };
    let exec = add(&exec, "run");
    let copy = pb::FileAction {
        input: 0,
        secondary_input: 1,
        output: 0,
        action: Some(pb::file_action::Action::Copy(pb::FileActionCopy {
            src: "/file".to_owned(),
            dest: "/file".to_owned(),
            mode: -1,
            timestamp: -1,
            ..pb::FileActionCopy::default()
        })),
    };
    let result = pb::Op {
        inputs: vec![input(&exec, 0), input(&file, 0)],
        op: Some(pb::op::Op::File(pb::FileOp { actions: vec![copy] })),
        ..pb::Op::default()
    };
    let result = add(&result, "result");
    add(&pb::Op { inputs: vec![input(&result, 0)], ..pb::Op::default() }, "end");
    place.write("graph", definition.encode_to_vec())
}

fn names(solved: &Solved, operation: Operation) -> Vec<&str> {
    let of = solved.vertices.values().filter(|vertex| vertex.operation == Some(operation));
    of.map(|vertex| vertex.name.as_str()).collect()
}

/// Solves the graph cold, warm and cold again.
fn thrice(daemon: &Daemon) {
    let place = Place::new();
    let served = Files::serve(&place.path("served"));
    place.write("served/file", b"hello");
    let graph = graph(&place, &served, b"hello");
    let solved = solve(daemon, &graph, &[], &place.path("one"), &[]).ok();
    assert_eq!((solved.ran(), solved.cached()), (vec!["run"], vec![]), "{solved:#?}");
    assert_eq!(names(&solved, Operation::File), ["result"]);
    assert!(solved.logs.starts_with("tarsia "), "{solved:#?}");
    assert_eq!(std::fs::read(place.path("one/file")).unwrap(), b"hello");
    assert_eq!(served.taken(), ["file"]);
    let solved = solve(daemon, &graph, &[], &place.path("two"), &[]).ok();
    assert_eq!((solved.ran(), solved.cached()), (vec![], vec!["run"]), "{solved:#?}");
    assert_eq!(served.taken(), [""; 0]);
    daemon.prune();
    let solved = solve(daemon, &graph, &[], &place.path("three"), &[]).ok();
    assert_eq!((solved.ran(), solved.cached()), (vec!["run"], vec![]), "{solved:#?}");
    for trouble in [Trouble::Bytes(b"other".to_vec()), Trouble::Status(404), Trouble::Half] {
        daemon.prune();
        served.trouble("file", trouble.clone());
        let solved = solve(daemon, &graph, &[], &place.path("four"), &[]);
        assert!(!solved.good && solved.failed().iter().any(|(name, _)| *name == "file"), "{trouble:?}: {solved:#?}");
    }
}

/// Returns whether nothing is left of a daemon's directory, neither a process nor a mount.
fn is_gone(room: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    !mounts.contains(&*room.to_string_lossy()) && !room.exists()
}

#[test]
fn docker_solves_and_ends() {
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    thrice(&daemon);
    let room = Path::new(daemon.address().strip_prefix("unix://").unwrap()).parent().unwrap().to_owned();
    drop(daemon);
    assert!(is_gone(&room), "{}", room.display());
}

#[test]
fn buildkitd_solves_and_ends_also_when_it_is_killed_and_over_tls() {
    let turn = turn();
    let Some(mut daemon) = Daemon::buildkitd(&turn) else { return };
    thrice(&daemon);
    daemon.kill();
    assert!(!daemon.buildctl(["--timeout", "1", "debug", "workers"]).output().unwrap().status.success());
    let room = Path::new(daemon.address().strip_prefix("unix://").unwrap()).parent().unwrap().to_owned();
    drop(daemon);
    assert!(is_gone(&room), "{}", room.display());
    let (daemon, certificates) = Daemon::buildkitd_tls(&turn).unwrap();
    thrice(&daemon);
    // Who proves nothing is not let in.
    let mut stranger = std::process::Command::new(crate::judges::judge("bin/buildctl").unwrap());
    stranger.args(["--addr", daemon.address(), "--tlscacert"]).arg(&certificates.ca);
    assert!(!stranger.args(["--timeout", "2", "debug", "workers"]).output().unwrap().status.success());
}

#[test]
fn the_worker_is_an_image_that_daemons_pull() {
    let turn = turn();
    let (Some(daemon), Some(registry)) = (Daemon::docker(&turn), Distribution::start(false)) else { return };
    let image = worker().image(&registry);
    crate::container::must(&mut daemon.docker_client(["pull", "-q", &image]));
    let said = crate::container::must(&mut daemon.docker_client([
        "run",
        "--rm",
        "--network=none",
        "--read-only",
        "--entrypoint=/usr/bin/tarsia",
        &image,
        "--version",
    ]));
    assert!(said.starts_with("tarsia "), "{said}");
}
