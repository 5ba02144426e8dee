//! Many packages: a wide fan of operations makes an old BuildKit fail, and lanes are what holds it; so do many that read
//! one image.

#![expect(
    clippy::disallowed_methods,
    reason = "whether there is time for everything is told by whoever runs the tests"
)]

use super::daemon::Daemon;
use super::turn;
use super::ways::{Served, Way, digest_of};
use super::worker::worker;
use crate::deb::{Packing, deb};
use crate::distribution::Distribution;
use crate::world::Archive;

/// Has a daemon build this many packages, cold, this many times with the worker as a file, and as often as an image.
fn wide(daemon: &Daemon, packages: usize, times: usize) {
    let mut archive = Archive::new(62);
    let mut names = Vec::new();
    for number in 0..packages {
        let name = format!("p{number:03}");
        // Each is large enough, by what it says, to stand alone while there is room.
        let one = deb(&name, "1.0").packing(Packing::Stored).field("Installed-Size", "300");
        archive = archive.deb(one.file(&format!("/usr/share/{name}/text"), 0o644, name.repeat(500)));
        names.push(name);
    }
    let served = Served::new(&archive);
    served.spec("wide", &format!("packages: [{}]\nkeep: all\nlayers: {{max: 30}}\n", names.join(", ")));
    let local = served.local("wide");
    let registry = Distribution::start(false);
    let image = registry.as_ref().map(|registry| worker().image(registry));
    let ways: Vec<Way<'_>> = [worker().url()].into_iter().chain(image).map(|worker| Way::new(daemon, worker)).collect();
    for (time, way) in (0..times * ways.len()).zip(ways.iter().cycle()) {
        let graph = way.graph(&served.place, "wide.yaml", &[]);
        daemon.prune();
        served.files.taken();
        let to = served.place.path(&format!("out-{time}"));
        let context = ("context", &*served.place.path("."));
        let start = std::time::Instant::now();
        let solved = super::solve::solve(daemon, &graph, &[context], &to, &[]).ok();
        println!("{packages} packages, time {time}: {:.1} s", start.elapsed().as_secs_f64());
        assert_eq!((digest_of(&to), served.debs().len()), (local.clone(), packages), "time {time}");
        assert!(solved.cached().is_empty() && solved.ran().len() > 30, "{:?}", solved.ran());
        std::fs::remove_dir_all(to).unwrap();
    }
}

/// How often: all ten times take longer than a change should wait.
fn times(few: usize) -> usize {
    if std::env::var_os("TARSIA_FULL").is_some() { 10 } else { few }
}

#[test]
fn seventy_six_packages_hold_on_docker() {
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    wide(&daemon, 76, times(2));
}

#[test]
fn two_hundred_and_fifty_five_packages_hold_on_docker() {
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    wide(&daemon, 255, times(1));
}

#[test]
fn two_hundred_and_fifty_five_packages_hold_on_buildkitd() {
    let turn = turn();
    let Some(daemon) = Daemon::buildkitd(&turn) else { return };
    wide(&daemon, 255, times(1));
}
