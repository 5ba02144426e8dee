//! The group `real`: every example has its local digest on a daemon, by each way, cold and warm.

#![expect(
    clippy::disallowed_methods,
    reason = "whether there is time for everything is told by whoever runs the tests"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::daemon::Daemon;
use super::turn;
use super::ways::{Way, digest_of, pool};
use super::worker::worker;
use crate::distribution::Distribution;
use crate::program::{Place, copy_tree};
use crate::real::{EXAMPLES, built, image};

/// The examples, locked.
struct Examples {
    place: Place,
    /// A store that knows the locks proved, and nothing else.
    store: PathBuf,
    mirror: String,
    _pool: Place,
}

impl Examples {
    fn new() -> Self {
        let home = built();
        let locks: Vec<PathBuf> = EXAMPLES.iter().map(|name| home.path(&format!("specs/{name}.lock"))).collect();
        let (pool, files) = pool(&locks, &home.path("store"));
        let place = Place::new();
        copy_tree(&home.path("specs"), &place.path("specs"));
        let store = place.path("empty");
        copy_tree(&home.path("store/checks"), &store.join("checks"));
        Self { place, store, mirror: format!("http://{}", files.host), _pool: pool }
    }

    /// Returns a copy of that store: what builds put into it is not found by the next.
    fn store(&self) -> tempfile::TempDir {
        let store = tempfile::tempdir().unwrap();
        copy_tree(&self.store, store.path());
        store
    }
}

/// Builds one example by one way, and returns how many seconds it took.
fn by(
    way: &str,
    of: &Way<'_>,
    image: &str,
    examples: &Examples,
    name: &str,
    to: &Path,
) -> (f64, String, Option<usize>) {
    let (place, spec) = (&examples.place, format!("specs/{name}.yaml"));
    let store = examples.store();
    let start = Instant::now();
    let (digest, ran) = match way {
        "graph" => {
            let solved = of.by_graph(place, &spec, &[], to).ok();
            (digest_of(to), Some(solved.ran().len()))
        }
        "engine" => (of.by_engine(place, &spec, store.path(), to), None),
        "frontend" => {
            let option = format!("build-arg:mirror={}", examples.mirror);
            of.by_frontend(image, place, &spec, &[&option], to).ok();
            (digest_of(to), None)
        }
        _ => unreachable!(),
    };
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(digest_of(to), digest);
    std::fs::remove_dir_all(to).unwrap();
    let evidence = to.with_file_name(format!("{}.evidence", to.file_name().unwrap().to_str().unwrap()));
    let _ = std::fs::remove_dir_all(evidence);
    (seconds, digest, ran)
}

/// Builds these examples on a daemon in `rounds` rounds, each of which begins with nothing in the daemon's cache. In a
/// round each way is gone twice; the first that is gone finds nothing, and which one that is changes with the round.
fn hold(daemon: &Daemon, registry: &Distribution, names: &[&str], rounds: usize) {
    let examples = Examples::new();
    let mut way = Way::new(daemon, worker().url());
    way.flags = vec!["--mirror".to_owned(), examples.mirror.clone()];
    let frontend = worker().image(registry);
    for (number, name) in names.iter().enumerate() {
        let local = digest_of(&image(name));
        for round in 0..rounds {
            daemon.prune();
            let mut ways = ["graph", "engine", "frontend"];
            // So that each way is the cold one for a third of the examples at least.
            ways.rotate_left((number + round) % 3);
            for again in [false, true] {
                for one in ways {
                    let to = examples.place.path("out.oci");
                    let (seconds, digest, ran) = by(one, &way, &frontend, &examples, name, &to);
                    println!("{name}, round {round}, {one}: {seconds:.1} s");
                    assert_eq!(digest, local, "{name} by {one}");
                    assert!(!again || ran.unwrap_or(0) == 0, "{name}: {ran:?} operations ran again");
                }
            }
        }
    }
}

fn full() -> bool {
    std::env::var_os("TARSIA_FULL").is_some()
}

#[test]
fn every_example_has_its_local_digest_on_docker() {
    let turn = turn();
    let (Some(daemon), Some(registry)) = (Daemon::docker(&turn), Distribution::start(false)) else { return };
    hold(&daemon, &registry, &EXAMPLES, if full() { 3 } else { 1 });
}

#[test]
fn examples_have_their_local_digests_on_buildkitd() {
    let turn = turn();
    let (Some(daemon), Some(registry)) = (Daemon::buildkitd(&turn), Distribution::start(false)) else { return };
    let names: &[&str] = if full() { &EXAMPLES } else { &["hello", "nginx", "python"] };
    hold(&daemon, &registry, names, if full() { 3 } else { 1 });
}
