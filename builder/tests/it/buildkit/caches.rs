//! Results kept in a registry, for daemons that begin with nothing; and a daemon that lets in only who proves itself.

use super::daemon::Daemon;
use super::solve::solve;
use super::turn;
use super::ways::{Served, Way, digest_of, same};
use super::worker::worker;
use crate::container::must;
use crate::deb::deb;
use crate::distribution::Distribution;
use crate::program::Ran;
use crate::world::Archive;

fn served() -> Served {
    let tree = |name: &str| {
        let one = deb(name, "1.0").field("Installed-Size", "400");
        one.file(&format!("/usr/share/{name}/text"), 0o644, name.repeat(1000))
    };
    let served = Served::new(&Archive::new(67).deb(tree("alder")).deb(tree("birch")).deb(tree("cedar")));
    served.spec("wood", "packages: [alder, birch, cedar]\nkeep: all\n");
    served.local("wood");
    served
}

#[test]
fn a_daemon_that_has_nothing_finds_all_in_a_registry() {
    let turn = turn();
    let (Some(one), Some(registry)) = (Daemon::buildkitd(&turn), Distribution::start(false)) else { return };
    let served = served();
    let place = &served.place;
    let cache = |name: &str| format!("type=registry,ref={}/cache:{name}", registry.host);
    let local = digest_of(&place.path("wood.oci"));

    // A graph, by `buildctl`.
    let graph = Way::new(&one, worker().url()).graph(place, "wood.yaml", &[]);
    let context = ("context", &*place.path("."));
    let export = format!("{},mode=max", cache("graph"));
    solve(&one, &graph, &[context], &place.path("first"), &["--export-cache", &export]).ok();

    // The engine, with a store of its own, which has nothing either.
    let store = place.path("store-one");
    let mut engine = Way::new(&one, worker().url()).engine(place, "wood.yaml", &store, &place.path("two.oci"));
    assert_eq!(must(engine.args(["--cache-to", &format!("{},mode=max", cache("engine-{n}"))])).trim(), local);
    drop(one);

    let two = Daemon::buildkitd(&turn).unwrap();
    served.files.taken();
    let solved = solve(&two, &graph, &[context], &place.path("second"), &["--import-cache", &cache("graph")]).ok();
    assert_eq!((solved.ran(), served.debs()), (vec![], vec![]));
    assert_eq!(digest_of(&place.path("second")), local);
    two.prune();
    let store = place.path("store-two");
    let mut engine = Way::new(&two, worker().url()).engine(place, "wood.yaml", &store, &place.path("three.oci"));
    assert_eq!(must(engine.args(["--cache-from", &cache("engine-0")])).trim(), local);
    assert_eq!(served.debs(), [""; 0]);
}

#[test]
fn a_daemon_on_a_port_wants_certificates() {
    let turn = turn();
    let Some((daemon, certificates)) = Daemon::buildkitd_tls(&turn) else { return };
    let served = served();
    let place = &served.place;
    let way = Way::new(&daemon, worker().url());
    let store = place.path("store-tls");
    let mut engine = way.engine(place, "wood.yaml", &store, &place.path("tls.oci"));
    engine.arg("--engine-ca").arg(&certificates.ca).arg("--engine-cert").arg(&certificates.cert);
    must(engine.arg("--engine-key").arg(&certificates.key));
    same(&place.path("wood.oci"), &place.path("tls.oci"));
    // Without any, and with a certificate that nobody there knows.
    let refused = |engine: &mut std::process::Command| {
        let ran = Ran::from(engine.output().unwrap());
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(daemon.address()) && !place.path("none.oci").exists(), "{}", ran.err);
    };
    let none = || way.engine(place, "wood.yaml", &place.path("store-none"), &place.path("none.oci"));
    refused(&mut none());
    refused(none().arg("--engine-ca").arg(&certificates.ca));
}
