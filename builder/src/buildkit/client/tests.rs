mod fake;

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use bollard_buildkit_proto::moby::buildkit::v1::control_server::ControlServer;
use bollard_buildkit_proto::moby::filesync::v1 as filesync;
use bollard_buildkit_proto::pb;
use prost::Message as _;

use fake::{Deed, Fake};

use super::*;
use crate::buildkit::Failure;

/// A daemon on a socket of its own, and a directory.
struct World {
    place: tempfile::TempDir,
    address: Address,
    fake: Fake,
    runtime: Option<Runtime>,
}

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(5),
        silence_timeout: Duration::from_secs(60),
        progress_timeout: Duration::from_secs(60),
        download_timeout: Duration::from_secs(60),
        download_rate: 1 << 10,
        ..Options::new([1; 32])
    }
}

fn world() -> World {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("s");
    let fake = Fake::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(async { tokio::net::UnixListener::bind(&socket) }).unwrap();
    let control = ControlServer::new(fake.clone());
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let incoming = tokio_stream::once(Ok::<_, io::Error>(stream));
            tokio::spawn(
                tonic::transport::Server::builder().add_service(control.clone()).serve_with_incoming(incoming),
            );
        }
    });
    let address = Address::parse(&format!("unix://{}", socket.display())).unwrap();
    World { place, address, fake, runtime: Some(runtime) }
}

impl World {
    fn client(&self) -> Client {
        Client::connect(&self.address, &options()).unwrap()
    }

    fn impatient(&self) -> Client {
        let silence_timeout = Duration::from_secs(2);
        Client::connect(&self.address, &Options { silence_timeout, ..options() }).unwrap()
    }

    fn solve(&self, client: &Client, deed: Deed) -> Result<Solved, Error> {
        let directory = tempfile::tempdir_in(self.place.path()).unwrap().keep();
        let export = Some(Export { directory, limits: Limits::default() });
        client.solve(&Solve { export, ..graph(deed) }, &mut |_| {})
    }
}

fn graph(deed: Deed) -> Solve {
    let definition = pb::Definition { def: vec![deed.as_bytes().to_vec()], ..pb::Definition::default() };
    Solve { definition: definition.encode_to_vec(), ..Solve::default() }
}

#[test]
fn a_solve_is_asked_for_followed_and_received() {
    let world = world();
    let client = world.client();
    assert_eq!(client.daemon().version, "v0.0 ");
    assert_eq!((client.daemon().is_docker, client.daemon().platforms[0].as_str()), (false, "linux/amd64"));
    let directory = world.place.path().join("out");
    std::fs::create_dir(&directory).unwrap();
    let cache = Cache::export("type=registry,ref=h/c").unwrap();
    let request = Solve {
        export: Some(Export { directory: directory.clone(), limits: Limits::default() }),
        cache_exports: vec![cache.clone()],
        cache_imports: vec![cache],
        attributes: [("attest:provenance".to_owned(), "mode=max".to_owned())].into_iter().collect(),
        ..graph("hello")
    };
    let mut events = Vec::new();
    let solved = client.solve(&request, &mut |event| events.push(event)).unwrap();
    assert_eq!(std::fs::read(directory.join("hello")).unwrap(), b"hello");
    assert_eq!(solved.received, Received { files: 1, bytes: 5 });
    assert_eq!(solved.response["key"], "value");
    assert!(solved.vertices["sha256:open libc6"].completed);
    let (vertex, name) = ("sha256:open libc6".to_owned(), "open libc6".to_owned());
    assert_eq!(events[0], Event::Started { vertex: vertex.clone(), name: name.clone() });
    assert_eq!(events[1], Event::Completed { vertex, name, cached: false });

    let asked = world.fake.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.exporter_deprecated.as_str(), asked.exporters[0].r#type.as_str()), ("local", "local"));
    let caches = asked.cache.unwrap();
    assert_eq!((caches.imports[0].r#type.as_str(), caches.exports[0].attrs["mode"].as_str()), ("registry", "min"));
    assert_eq!(asked.frontend_attrs["attest:provenance"], "mode=max");
    assert!(asked.entitlements.is_empty() && asked.frontend.is_empty());
}

#[test]
fn names_of_solves_differ_whichever_client_asks() {
    let world = world();
    let (one, other) = (world.client(), world.client());
    for client in [&one, &one, &other] {
        world.solve(client, "hello").unwrap();
    }
    let asked = world.fake.asked.lock().unwrap();
    let names = |n: usize| (asked[n].r#ref.clone(), asked[n].session.clone());
    // Two clients of one seed, as the specs of one command have them, speak to the daemon one after the other.
    let all: std::collections::BTreeSet<String> = (0..3).flat_map(|n| [names(n).0, names(n).1]).collect();
    assert_eq!((all.len(), all.first().map(String::len)), (6, Some(25)));
}

#[test]
fn many_solves_share_a_connection() {
    let world = world();
    let client = world.client();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let (client, place) = (&client, world.place.path());
            scope.spawn(move || {
                let directory = place.join(format!("many-{n}"));
                std::fs::create_dir(&directory).unwrap();
                let export = Some(Export { directory: directory.clone(), limits: Limits::default() });
                client.solve(&Solve { export, ..graph("hello") }, &mut |_| {}).unwrap();
                assert_eq!(std::fs::read(directory.join("hello")).unwrap(), b"hello");
            });
        }
    });
}

#[test]
fn a_failure_names_its_operation() {
    let world = world();
    let error = world.solve(&world.client(), "fail").unwrap_err();
    let failure =
        Failure { vertex: "sha256:open libc6".to_owned(), name: "open libc6".to_owned(), log: vec!["no".to_owned()] };
    assert_eq!(error.failure(), Some(&failure));
    assert!(!error.is_daemon());
    let said = format!("cannot solve the graph at `{}`: `open libc6`: process", world.address);
    assert!(error.to_string().starts_with(&said), "{error}");
}

#[test]
fn what_a_daemon_sends_is_not_believed() {
    let world = world();
    let client = world.client();
    let error = world.solve(&client, "outside").unwrap_err();
    assert!(matches!(&error, Error::Receive { problem, .. } if problem.contains("`../x` is no path")), "{error:?}");
    let error = world.solve(&client, "lie").unwrap_err();
    assert!(matches!(&error, Error::Protocol { problem, .. } if problem.contains("has not sent")), "{error:?}");
    world.solve(&client, "twice").unwrap();
    let error = world.solve(&client, "crowd").unwrap_err();
    assert!(matches!(&error, Error::Protocol { problem, .. } if problem.contains("operations")), "{error:?}");
    let rubbish = Solve { definition: b"\xff\xff".to_vec(), ..Solve::default() };
    assert!(matches!(client.solve(&rubbish, &mut |_| {}), Err(Error::Definition { .. })));
    let absent = Export { directory: world.place.path().join("absent"), limits: Limits::default() };
    let nowhere = Solve { export: Some(absent), ..graph("hello") };
    assert!(matches!(client.solve(&nowhere, &mut |_| {}), Err(Error::File { doing: "open", .. })));
    assert!(!world.place.path().join("x").exists());
    // Nothing of that harms the next one.
    world.solve(&client, "hello").unwrap();
}

#[test]
fn a_daemon_gets_the_logins_that_it_may_have() {
    let world = world();
    let login = Login { user: "me".to_owned(), password: "secret".to_owned() };
    assert!(!format!("{login:?}").contains("secret"));
    let logins = [("mine.example".to_owned(), login)].into_iter().collect();
    let client = Client::connect(&world.address, &Options { logins, ..options() }).unwrap();
    client.solve(&graph("login"), &mut |_| {}).unwrap();
    let answers = world.fake.logins.lock().unwrap();
    assert_eq!((answers[0].username.as_str(), answers[0].secret.as_str()), ("me", "secret"));
    assert_eq!(answers[1], filesync::CredentialsResponse::default());
    // Without logins nobody is asked.
    let error = world.client().solve(&graph("login"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Connect { why: Unreachable::Foreign, .. } | Error::Solve { .. }), "{error:?}");
}

#[test]
fn a_daemon_that_is_lost_is_told_from_work_that_fails() {
    let mut world = world();
    let client = world.impatient();
    let error = world.solve(&client, "hang").unwrap_err();
    assert!(matches!(error, Error::Hung { what: "it said nothing", .. }) && error.is_daemon(), "{error:?}");
    let error = world.solve(&client, "give up").unwrap_err();
    assert!(matches!(error, Error::Lost { .. }) && error.is_daemon(), "{error:?}");
    let error = world.solve(&client, "hang up").unwrap_err();
    assert!(error.is_daemon(), "{error:?}");
    let progress_timeout = Duration::from_secs(1);
    let restless = Client::connect(&world.address, &Options { progress_timeout, ..options() }).unwrap();
    let error = world.solve(&restless, "chatter").unwrap_err();
    assert!(matches!(error, Error::Hung { what: "the solve did not get on", .. }), "{error:?}");

    let client = world.client();
    std::thread::scope(|scope| {
        let runtime = world.runtime.take().unwrap();
        let fake = world.fake.clone();
        scope.spawn(move || {
            while fake.asked.lock().unwrap().iter().filter(|asked| is(asked, "hang")).count() < 2 {
                std::thread::sleep(Duration::from_millis(5));
            }
            runtime.shutdown_background();
        });
        let error = client.solve(&graph("hang"), &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    });
    let error = client.solve(&graph("hello"), &mut |_| {}).unwrap_err();
    assert!(error.is_daemon(), "{error:?}");
}

fn is(asked: &wire::SolveRequest, deed: Deed) -> bool {
    asked.definition.as_ref().is_some_and(|definition| definition.def == [deed.as_bytes().to_vec()])
}

#[test]
fn a_download_that_does_not_get_on_is_named() {
    let world = world();
    let own = Options { download_timeout: Duration::from_secs(1), ..options() };
    let solve = |options: &Options, deed: Deed, downloads: &[(&str, u64)]| {
        let client = Client::connect(&world.address, options).unwrap();
        let downloads = downloads.iter().map(|(vertex, bytes)| (format!("sha256:{vertex}"), *bytes)).collect();
        let start = std::time::Instant::now();
        let error = client.solve(&Solve { downloads, ..graph(deed) }, &mut |_| {}).unwrap_err();
        (error, start.elapsed())
    };
    let told = |error: &Error| error.failure().map(|failure| failure.vertex.clone()).unwrap_or_default();
    let (error, _) = solve(&own, "download", &[("libc6", 100), ("libacl1", 200), ("absent", 1)]);
    assert!(error.is_daemon() && error.to_string().contains("for `libc6` at "), "{error}");
    assert_eq!(told(&error), "sha256:libc6");
    // What brings more has more time; the smallest should be there first.
    let (error, took) = solve(&own, "download", &[("libc6", 2 << 10), ("libacl1", 1 << 10)]);
    assert!(told(&error) == "sha256:libacl1" && took >= Duration::from_millis(3500), "{error} {took:?}");
    // However much it brings, it has no longer than any solve.
    let hasty = Options { progress_timeout: Duration::from_secs(4), ..own.clone() };
    let (error, _) = solve(&hasty, "download", &[("libc6", 1 << 40), ("libacl1", u64::MAX)]);
    assert_eq!(told(&error), "sha256:libc6", "{error}");
    // What else is being done may take as long as it takes.
    let (error, _) = solve(&hasty, "download", &[("libc6", 100)]);
    assert!(matches!(error, Error::Hung { .. }), "{error:?}");
    // Who tells no more does not tell what ended.
    let (error, _) = solve(&hasty, "tell no more", &[("libc6", 100)]);
    assert!(matches!(error, Error::Hung { .. }), "{error:?}");
}

#[test]
fn a_solve_that_is_stopped_ends_there_too() {
    let world = world();
    let client = world.client();
    let request = graph("hang");
    std::thread::scope(|scope| {
        let (stop, fake) = (request.stop.clone(), world.fake.clone());
        scope.spawn(move || {
            while fake.asked.lock().unwrap().is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.stop();
        });
        assert!(matches!(client.solve(&request, &mut |_| {}), Err(Error::Stopped)));
    });
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while *world.fake.dropped.lock().unwrap() == 0 {
        assert!(std::time::Instant::now() < until, "the daemon does not hear of it");
        std::thread::sleep(Duration::from_millis(5));
    }
    // What is stopped before it begins does not begin.
    assert!(matches!(client.solve(&request, &mut |_| {}), Err(Error::Stopped)));
    assert_eq!(world.fake.asked.lock().unwrap().len(), 1);
}

fn why(address: &str) -> Unreachable {
    let options = Options { connect_timeout: Duration::from_secs(2), ..options() };
    match Client::connect(&Address::parse(address).unwrap(), &options) {
        Err(Error::Connect { why, address: named, .. }) => {
            assert_eq!(named, address);
            why
        }
        other => panic!("{address}: {other:?}"),
    }
}

/// Listens at a socket, and does this with every connection.
fn listen(socket: &Path, answer: fn(std::os::unix::net::UnixStream)) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
}

#[test]
fn who_is_not_reached_is_told_by_its_kind() {
    let place = tempfile::tempdir().unwrap();
    let at = |scheme: &str, name: &str| format!("{scheme}://{}", place.path().join(name).display());
    for scheme in ["unix", "docker"] {
        assert_eq!(why(&at(scheme, "absent")), Unreachable::Absent);
        std::fs::write(place.path().join("file"), "").unwrap();
        assert_eq!(why(&at(scheme, "file")), Unreachable::Refused);
    }
    listen(&place.path().join("silent"), |stream| {
        std::thread::sleep(Duration::from_secs(60));
        drop(stream);
    });
    assert_eq!(why(&at("unix", "silent")), Unreachable::Silent);
    assert_eq!(why(&at("docker", "silent")), Unreachable::Silent);
    listen(&place.path().join("web"), |mut stream| {
        use std::io::{Read as _, Write as _};
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(why(&at("unix", "web")), Unreachable::Foreign);
    assert_eq!(why(&at("docker", "web")), Unreachable::Foreign);
    listen(&place.path().join("rubbish"), |mut stream| {
        use std::io::{Read as _, Write as _};
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&[7; 1 << 16]);
    });
    assert_eq!(why(&at("unix", "rubbish")), Unreachable::Foreign);
    assert_eq!(why(&at("docker", "rubbish")), Unreachable::Foreign);
    listen(&place.path().join("shut"), drop);
    assert_eq!(why(&at("unix", "shut")), Unreachable::Foreign);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(why(&format!("tcp://{free}")), Unreachable::Refused);
    assert_eq!(why(&format!("docker://{free}")), Unreachable::Refused);
}
