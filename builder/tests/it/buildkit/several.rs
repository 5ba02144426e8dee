//! Several daemons: each opens its share, and a lost one's work goes to the others.

use std::path::PathBuf;

use super::daemon::Daemon;
use super::turn;
use super::ways::{Served, same};
use super::worker::worker;
use crate::deb::deb;
use crate::program::Ran;
use crate::world::Archive;

/// How many packages; each is a layer of its own.
const PACKAGES: usize = 20;

fn served() -> (Served, String) {
    let mut archive = Archive::new(63);
    let names: Vec<String> = (0..PACKAGES).map(|number| format!("p{number:02}")).collect();
    for name in &names {
        let one = deb(name, "1.0").field("Installed-Size", "300");
        archive = archive.deb(one.file(&format!("/usr/share/{name}/text"), 0o644, name.repeat(1000)));
    }
    let served = Served::new(&archive);
    served.place.write("conf/a", "a\n");
    let rest = format!(
        "packages: [{}]\nkeep: all\nlayers: {{max: 30}}\nfiles:\n  - {{copy: conf/, to: /etc/conf}}\n",
        names.join(", ")
    );
    served.spec("farm", &rest);
    let local = served.local("farm");
    (served, local)
}

fn engine(daemons: &[&Daemon]) -> String {
    let addresses: Vec<&str> = daemons.iter().map(|daemon| daemon.address()).collect();
    format!("buildkit={}", addresses.join(","))
}

/// Starts a build on these daemons with an empty store, to `<name>.oci`, in a thread of its own.
fn start(served: &Served, daemons: &[&Daemon], name: &str) -> std::thread::JoinHandle<Ran> {
    let place = &served.place;
    let to: PathBuf = place.path(&format!("{name}.oci"));
    let engine = engine(daemons);
    let mut command =
        place.tarsia(["build", "farm.yaml", "--locked", "--engine", &engine, "--worker", &worker().url()]);
    command.arg("-o").arg(to).env("TARSIA_STORE", place.path(&format!("store-{name}")));
    std::thread::spawn(move || Ran::from(command.output().unwrap()))
}

/// Holds a finished build against the one that was made here.
fn good(served: &Served, local: &str, name: &str, ran: &Ran) {
    assert_eq!((ran.status, ran.out.trim()), (0, local), "{}", ran.err);
    same(&served.place.path("farm.oci"), &served.place.path(&format!("{name}.oci")));
    same(&served.place.path("farm.oci.evidence"), &served.place.path(&format!("{name}.oci.evidence")));
}

/// Returns how many operations a daemon keeps results of whose description begins so.
fn kept(daemon: &Daemon, beginning: &str) -> usize {
    let told = crate::container::must(&mut daemon.buildctl(["du", "--verbose"]));
    told.lines()
        .filter(|line| line.trim_start().starts_with("Description:"))
        .filter(|line| line.contains(beginning))
        .count()
}

#[test]
fn two_daemons_open_each_package_once_and_give_the_local_digest() {
    let turn = turn();
    let (Some(one), Some(two)) = (Daemon::buildkitd(&turn), Daemon::buildkitd(&turn)) else { return };
    let (served, local) = served();
    served.files.taken();
    good(&served, &local, "cold", &start(&served, &[&one, &two], "cold").join().unwrap());
    let debs = served.debs();
    assert_eq!(debs.len(), PACKAGES, "each is fetched by one of the two: {debs:?}");
    // What a daemon keeps of an open is described by its arguments.
    let opened = [&one, &two].map(|daemon| kept(daemon, "worker open "));
    assert!(opened.iter().all(|opened| *opened > 0), "{opened:?}");
    // Warm, from another client, in another order: every share is found where it was.
    good(&served, &local, "warm", &start(&served, &[&two, &one], "warm").join().unwrap());
    assert_eq!(served.debs(), [""; 0]);
    assert_eq!([&one, &two].map(|daemon| kept(daemon, "worker open ")), opened);
    // One daemon alone: the other's share is opened there too.
    good(&served, &local, "alone", &start(&served, &[&one], "alone").join().unwrap());
    assert!(!served.debs().is_empty());
}

#[test]
fn one_daemon_killed_while_it_builds_changes_no_byte() {
    let turn = turn();
    let (Some(mut one), Some(two)) = (Daemon::buildkitd(&turn), Daemon::docker(&turn)) else { return };
    let (served, local) = served();
    served.files.taken();
    // Both are asked to open, and neither has got a package yet.
    served.files.hold(".deb");
    let build = start(&served, &[&one, &two], "killed");
    served.files.wait_for(".deb", 10);
    one.kill();
    served.files.release();
    good(&served, &local, "killed", &build.join().unwrap());
    // With a daemon that never was there.
    let build = start(&served, &[&one, &two], "dead");
    good(&served, &local, "dead", &build.join().unwrap());
    assert!(one.log().contains("running server"), "{}", one.log());
}

#[test]
fn no_daemon_left_is_an_error_that_says_so_and_leaves_nothing() {
    let turn = turn();
    let Some(mut one) = Daemon::buildkitd(&turn) else { return };
    let (served, _) = served();
    served.files.taken();
    served.files.hold(".deb");
    let build = start(&served, &[&one], "gone");
    served.files.wait_for(".deb", 1);
    one.kill();
    let ran = build.join().unwrap();
    served.files.release();
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    let told = ran.err.contains(one.address()) || ran.err.contains(&one.address()["unix://".len()..]);
    assert!(ran.err.starts_with("error: cannot ") && told, "{}", ran.err);
    assert!(ran.err.contains("p0") || ran.err.contains("p1"), "a package or a layer is named: {}", ran.err);
    for left in ["gone.oci", "gone.oci.evidence"] {
        assert!(!served.place.path(left).exists(), "{left}");
    }
}
