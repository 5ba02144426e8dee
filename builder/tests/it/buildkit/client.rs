//! Our own client of BuildKit against daemons of both kinds.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard_buildkit_proto::pb;
use prost::Message as _;
use tarsia::buildkit::{
    Address, Cache, Client, Error, Event, Export, Limits, Options, Solve, Solved, Tls, Unreachable,
};
use tarsia::digest::Digest;

use super::daemon::Daemon;
use super::files::{Files, Trouble};
use super::turn;
use super::worker::worker;
use crate::distribution::Distribution;
use crate::program::{Place, names};

/// A graph in the making; the last operation is its result.
#[derive(Default)]
struct Graph {
    definition: pb::Definition,
    last: String,
}

impl Graph {
    fn add(&mut self, op: pb::Op, name: &str) -> String {
        let bytes = op.encode_to_vec();
        let digest = Digest::of(&bytes).to_string();
        let description = BTreeMap::from([("llb.customname".to_owned(), name.to_owned())]);
        self.definition.metadata.insert(digest.clone(), pb::OpMetadata { description, ..pb::OpMetadata::default() });
        self.definition.def.push(bytes);
        self.last.clone_from(&digest);
        digest
    }

    fn http(&mut self, name: &str, url: &str, digest: &str, filename: &str, perm: &str) -> String {
        let attrs = BTreeMap::from([
            ("http.checksum".to_owned(), digest.to_owned()),
            ("http.filename".to_owned(), filename.to_owned()),
            ("http.perm".to_owned(), perm.to_owned()),
        ]);
        let source = pb::SourceOp { identifier: url.to_owned(), attrs };
        self.add(pb::Op { op: Some(pb::op::Op::Source(source)), ..pb::Op::default() }, name)
    }

    fn file(&mut self, name: &str, input: Option<&str>, actions: Vec<pb::file_action::Action>) -> String {
        let inputs: Vec<_> = input.iter().map(|digest| pb::Input { digest: (*digest).to_owned(), index: 0 }).collect();
        let first = inputs.len() as i64;
        let last = actions.len() - 1;
        let action = |(n, action)| pb::FileAction {
            input: if n == 0 { if first > 0 { 0 } else { -1 } } else { first + n as i64 - 1 },
            secondary_input: -1,
            output: if n == last { 0 } else { -1 },
            action: Some(action),
        };
        let actions = actions.into_iter().enumerate().map(action).collect();
        let op = Some(pb::op::Op::File(pb::FileOp { actions }));
        self.add(pb::Op { inputs, op, ..pb::Op::default() }, name)
    }

    /// Runs the program `/tarsia` of one result, with no input and no network; its output is the result.
    fn run(&mut self, name: &str, program: &str, arguments: &[&str]) -> String {
        let mount = |dest: &str, input: i64, output: i64, readonly: bool| pb::Mount {
            dest: dest.to_owned(),
            input,
            output,
            readonly,
            ..pb::Mount::default()
        };
        let exec = pb::ExecOp {
            meta: Some(pb::Meta {
                args: ["/tarsia"].iter().chain(arguments).map(|text| (*text).to_owned()).collect(),
                cwd: "/".to_owned(),
                ..pb::Meta::default()
            }),
            mounts: vec![mount("/", 0, -1, true), mount("/out", -1, 0, false)],
            network: pb::NetMode::None.into(),
            ..pb::ExecOp::default()
        };
        let inputs = vec![pb::Input { digest: program.to_owned(), index: 0 }];
        self.add(pb::Op { inputs, op: Some(pb::op::Op::Exec(exec)), ..pb::Op::default() }, name)
    }

    fn bytes(mut self) -> Vec<u8> {
        let inputs = vec![pb::Input { digest: self.last.clone(), index: 0 }];
        self.add(pb::Op { inputs, ..pb::Op::default() }, "end");
        self.definition.encode_to_vec()
    }
}

fn mkfile(path: &str, data: &[u8]) -> pb::file_action::Action {
    pb::file_action::Action::Mkfile(pb::FileActionMkFile {
        path: path.to_owned(),
        mode: 0o644,
        data: data.to_vec(),
        timestamp: 0,
        ..pb::FileActionMkFile::default()
    })
}

fn mkdir(path: &str) -> pb::file_action::Action {
    pb::file_action::Action::Mkdir(pb::FileActionMkDir {
        path: path.to_owned(),
        mode: 0o755,
        make_parents: true,
        timestamp: 0,
        ..pb::FileActionMkDir::default()
    })
}

/// A directory of two files, one of them empty.
fn small(text: &str) -> Vec<u8> {
    let mut graph = Graph::default();
    let actions = vec![mkdir("/blobs/sha256"), mkfile("/blobs/sha256/aa", text.as_bytes()), mkfile("/empty", b"")];
    graph.file("made", None, actions);
    graph.bytes()
}

fn connect(address: &str) -> Client {
    Client::connect(&Address::parse(address).unwrap(), &Options::new([7; 32])).unwrap()
}

/// Solves into a new directory below a place, and returns what was told.
fn solve(client: &Client, definition: Vec<u8>, to: &Path) -> (Result<Solved, Error>, Vec<Event>) {
    std::fs::create_dir(to).unwrap();
    let export = Some(Export { directory: to.to_owned(), limits: Limits::default() });
    let mut events = Vec::new();
    let solved = client.solve(&Solve { definition, export, ..Solve::default() }, &mut |event| events.push(event));
    (solved, events)
}

fn cached(solved: &Solved, name: &str) -> bool {
    solved.vertices.values().find(|vertex| vertex.name == name).unwrap_or_else(|| panic!("{name}: {solved:#?}")).cached
}

/// What every daemon has to do.
fn everything(client: &Client) {
    let place = Place::new();
    // Files alone, twice.
    let (solved, events) = solve(client, small("hello"), &place.path("one"));
    let solved = solved.unwrap();
    assert_eq!((solved.received.files, solved.received.bytes), (2, 5));
    assert_eq!(std::fs::read(place.path("one/blobs/sha256/aa")).unwrap(), b"hello");
    assert_eq!(std::fs::read(place.path("one/empty")).unwrap(), b"");
    assert!(events.iter().any(|event| matches!(event, Event::Completed { name, .. } if name == "made")), "{events:#?}");
    let (solved, _) = solve(client, small("hello"), &place.path("two"));
    assert!(cached(&solved.unwrap(), "made"));

    // A download and a program, whose output is told.
    let served = Files::serve(&place.path("served"));
    place.write("served/file", vec![5; 3 << 20]);
    let digest = Digest::of(&vec![5; 3 << 20]).to_string();
    let worker = worker();
    let of_worker = |arguments: &[&str]| {
        let mut graph = Graph::default();
        let url = worker.url();
        let url = url.split('#').next().unwrap();
        let program = graph.http("worker", url, &worker.digest.to_string(), "tarsia", "493");
        graph.run("run", &program, arguments);
        graph
    };
    let (solved, events) = solve(client, of_worker(&["--version"]).bytes(), &place.path("three"));
    solved.unwrap();
    let logged = |event: &Event| matches!(event, Event::Log { text, error: false, .. } if text.starts_with("tarsia "));
    assert!(events.iter().any(logged), "{events:#?}");

    let mut graph = Graph::default();
    graph.http("file", &served.url("file"), &digest, "file", "420");
    let (solved, events) = solve(client, graph.bytes(), &place.path("four"));
    assert_eq!(solved.unwrap().received.bytes, 3 << 20);
    let sent = |event: &Event| matches!(event, Event::Progress { part, current, .. } if part == "transferring" && *current >= 3 << 20);
    assert!(events.iter().any(sent), "{events:#?}");
    assert_eq!(std::fs::read(place.path("four/file")).unwrap(), vec![5; 3 << 20]);

    // A program that fails is named, with what it said.
    let (failed, events) = solve(client, of_worker(&["--no-such-flag"]).bytes(), &place.path("five"));
    let failed = failed.unwrap_err();
    let failure = failed.failure().unwrap_or_else(|| panic!("{failed:?}"));
    assert_eq!(failure.name, "run");
    assert!(failure.log.iter().any(|line| line.contains("no-such-flag")), "{failed:#?}");
    assert!(!failed.is_daemon() && failed.to_string().contains("exit code: 2"), "{failed}");
    assert!(events.iter().any(|event| matches!(event, Event::Failed { name, .. } if name == "run")), "{events:#?}");

    // So is a download: of other bytes, of none, and of one that is cut.
    for (n, trouble) in [Trouble::Bytes(b"other".to_vec()), Trouble::Status(404), Trouble::Half].into_iter().enumerate()
    {
        let path = format!("trouble-{n}");
        place.write(&format!("served/{path}"), vec![n as u8; 1 << 20]);
        served.trouble(&path, trouble.clone());
        let mut graph = Graph::default();
        let digest = Digest::of(&vec![n as u8; 1 << 20]).to_string();
        graph.http(&path, &served.url(&path), &digest, "file", "420");
        let failed = solve(client, graph.bytes(), &place.path(&format!("six-{n}"))).0.unwrap_err();
        assert_eq!(failed.failure().unwrap_or_else(|| panic!("{trouble:?}: {failed:?}")).name, path, "{failed}");
        assert!(names(&place.path(&format!("six-{n}"))).is_empty());
    }

    // Limits hold.
    std::fs::create_dir(place.path("seven")).unwrap();
    let export = Export { directory: place.path("seven"), limits: Limits { entries: 100, bytes: 4 } };
    let request = Solve { definition: small("hello"), export: Some(export), ..Solve::default() };
    let failed = client.solve(&request, &mut |_| {}).unwrap_err();
    assert!(matches!(&failed, Error::Receive { problem, .. } if problem.contains("more than 4 bytes")), "{failed:?}");

    // Several at once over one connection.
    std::thread::scope(|scope| {
        let one = |n: usize| {
            let text = format!("text {n}");
            let solved = solve(client, small(&text), &place.path(&format!("many-{n}"))).0.unwrap();
            assert_eq!(solved.received.bytes, text.len() as u64);
            assert_eq!(std::fs::read(place.path(&format!("many-{n}/blobs/sha256/aa"))).unwrap(), text.as_bytes());
        };
        for n in 0..8 {
            scope.spawn(move || one(n));
        }
    });

    // A solve that is stopped, of a download that never comes.
    place.write("served/held", "x");
    served.hold("held");
    let mut graph = Graph::default();
    graph.http("held", &served.url("held"), &Digest::of(b"x").to_string(), "file", "420");
    let request = Solve { definition: graph.bytes(), ..Solve::default() };
    let stop = request.stop.clone();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            served.wait_for("held", 1);
            stop.stop();
        });
        assert!(matches!(client.solve(&request, &mut |_| {}), Err(Error::Stopped)));
    });
    assert!(begun.elapsed() < Duration::from_secs(60));
    served.release();
    // The connection is as good as before. A graph may be large, if not for the daemons of 2020.
    let large = solve(client, small(&"x".repeat(6 << 20)), &place.path("large")).0;
    match large {
        Ok(solved) => assert_eq!(solved.received.bytes, 6 << 20),
        Err(Error::Solve { message, .. }) if client.daemon().is_docker => {
            assert!(message.contains("larger than max"), "{message}");
        }
        Err(other) => panic!("{other:?}"),
    }
    let again = place.path("eight");
    solve(client, small("again"), &again).0.unwrap();
}

/// A daemon is heard of while a solve waits for long: it asks whether its client lives.
fn is_heard(address: &str) {
    let silence_timeout = Duration::from_secs(8);
    // Names follow from the seed, and a daemon remembers them for a while.
    let options = Options { silence_timeout, ..Options::new([8; 32]) };
    let client = Client::connect(&Address::parse(address).unwrap(), &options).unwrap();
    let place = Place::new();
    let served = Files::serve(&place.path("served"));
    place.write("served/held", "late");
    served.hold("held");
    let mut graph = Graph::default();
    graph.http("held", &served.url("held"), &Digest::of(b"late").to_string(), "file", "420");
    let definition = graph.bytes();
    std::thread::scope(|scope| {
        let solving = scope.spawn(|| solve(&client, definition, &place.path("out")).0);
        served.wait_for("held", 1);
        std::thread::sleep(silence_timeout + Duration::from_secs(2));
        served.release();
        solving.join().unwrap().unwrap();
    });
    assert_eq!(std::fs::read(place.path("out/file")).unwrap(), b"late");
}

#[test]
fn docker_is_found_and_does_everything() {
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    is_heard(daemon.address());
    let client = connect(daemon.address());
    assert!(client.daemon().is_docker, "{:?}", client.daemon());
    assert!(client.daemon().platforms[0].starts_with("linux/"));
    everything(&client);
    let socket = daemon.address().strip_prefix("unix://").unwrap();
    assert!(connect(&format!("docker://{socket}")).daemon().is_docker);
}

#[test]
fn buildkitd_does_everything_over_a_socket_and_is_missed() {
    let turn = turn();
    let Some(mut daemon) = Daemon::buildkitd(&turn) else { return };
    is_heard(daemon.address());
    let client = connect(daemon.address());
    assert!(!client.daemon().is_docker && client.daemon().version.starts_with("v0."), "{:?}", client.daemon());
    everything(&client);

    // A cache in a registry, filled and found again.
    if let Some(registry) = Distribution::start(false) {
        let name = format!("{}/cache:1", registry.host);
        let text = format!("type=registry,ref={name},mode=max");
        let place = Place::new();
        let request = |to: &str| {
            std::fs::create_dir(place.path(to)).unwrap();
            let export = Some(Export { directory: place.path(to), limits: Limits::default() });
            let worker = worker();
            let mut graph = Graph::default();
            let url = worker.url();
            let url = url.split('#').next().unwrap();
            let program = graph.http("worker", url, &worker.digest.to_string(), "tarsia", "493");
            // A result without a file is not kept in a cache.
            graph.run("run", &program, &["init", "kept", "-o", "/out/kept.yaml"]);
            Solve { definition: graph.bytes(), export, ..Solve::default() }
        };
        let fill = Solve { cache_exports: vec![Cache::export(&text).unwrap()], ..request("fill") };
        let filled = client.solve(&fill, &mut |_| {}).unwrap();
        assert!(filled.response["cache.manifest"].contains("sha256:"), "{filled:#?}");
        daemon.prune();
        let find = Solve { cache_imports: vec![Cache::import(&text).unwrap()], ..request("find") };
        let found = client.solve(&find, &mut |_| {}).unwrap();
        assert!(cached(&found, "run"), "{found:#?}");
        // A cache that is not there is no reason to fail.
        let none = format!("type=registry,ref={}/none:1", registry.host);
        let none = Solve { cache_imports: vec![Cache::import(&none).unwrap()], ..request("none") };
        client.solve(&none, &mut |_| {}).unwrap();
    }

    // It goes away in the middle of a solve.
    let place = Place::new();
    let served = Files::serve(&place.path("served"));
    place.write("served/held", "x");
    served.hold("held");
    let mut graph = Graph::default();
    graph.http("held", &served.url("held"), &Digest::of(b"x").to_string(), "file", "420");
    let definition = graph.bytes();
    let lost = std::thread::scope(|scope| {
        let solving = scope.spawn(|| solve(&client, definition, &place.path("out")).0.unwrap_err());
        served.wait_for("held", 1);
        daemon.kill();
        solving.join().unwrap()
    });
    assert!(matches!(lost, Error::Lost { .. }) && lost.is_daemon(), "{lost:?}");
    let gone = client.solve(&Solve { definition: small("x"), ..Solve::default() }, &mut |_| {}).unwrap_err();
    assert!(gone.is_daemon(), "{gone:?}");
}

#[test]
fn buildkitd_lets_in_over_tls_who_proves_himself() {
    let turn = turn();
    let Some((daemon, files)) = Daemon::buildkitd_tls(&turn) else { return };
    let address = Address::parse(daemon.address()).unwrap();
    let read = |path: &Path| Some(std::fs::read(path).unwrap());
    let tls = Tls { authority: read(&files.ca), certificate: read(&files.cert), key: read(&files.key) };
    let with = |tls: Tls| Client::connect(&address, &Options { tls, ..Options::new([7; 32]) });
    everything(&with(tls.clone()).unwrap());

    let why = |tls: Tls| match with(tls) {
        Err(Error::Connect { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(Tls { authority: tls.authority.clone(), ..Tls::default() }), Unreachable::Untrusted);
    assert_eq!(why(Tls { authority: read(&files.cert), ..tls.clone() }), Unreachable::Untrusted);
    assert_eq!(why(Tls::default()), Unreachable::Foreign);
    assert!(matches!(with(Tls { key: None, ..tls.clone() }), Err(Error::Tls { .. })));
    assert!(matches!(with(Tls { authority: None, ..tls.clone() }), Err(Error::Tls { .. })));
    assert!(matches!(with(Tls { key: Some(b"rubbish".to_vec()), ..tls }), Err(Error::Tls { .. })));
}

#[test]
fn docker_lets_in_over_tls_who_proves_himself() {
    let turn = turn();
    let Some((_daemon, files, address)) = Daemon::docker_tls(&turn) else { return };
    let address = Address::parse(&address).unwrap();
    let read = |path: &Path| Some(std::fs::read(path).unwrap());
    let tls = Tls { authority: read(&files.ca), certificate: read(&files.cert), key: read(&files.key) };
    let with = |tls: Tls| Client::connect(&address, &Options { tls, ..Options::new([7; 32]) });
    let client = with(tls.clone()).unwrap();
    assert!(client.daemon().is_docker);
    let place = Place::new();
    solve(&client, small("hello"), &place.path("out")).0.unwrap();
    assert_eq!(std::fs::read(place.path("out/blobs/sha256/aa")).unwrap(), b"hello");
    for (tls, expected) in [
        (Tls { authority: tls.authority.clone(), ..Tls::default() }, Unreachable::Untrusted),
        (Tls { authority: read(&files.cert), ..tls.clone() }, Unreachable::Untrusted),
        (Tls::default(), Unreachable::Foreign),
    ] {
        match with(tls) {
            Err(Error::Connect { why, .. }) if why == expected => {}
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}
