//! What runs again: counted from the status stream of a solve, after one thing has changed.

use super::daemon::Daemon;
use super::solve::Solved;
use super::turn;
use super::ways::{Served, Way, digest_of};
use super::worker::worker;
use crate::deb::deb;
use crate::world::{Archive, DATE};

/// Four packages, each a layer of its own, and two small ones that share.
const PACKAGES: [(&str, &str); 6] =
    [("alder", "400"), ("birch", "400"), ("cedar", "400"), ("elm", "400"), ("fir", "8"), ("gorse", "8")];

/// The archive, with another version of one package, of another day.
fn archive(newer: &str, date: i64) -> Archive {
    let mut archive = Archive::new(61).date(date);
    for (name, size) in PACKAGES {
        let version = if name == newer { "1.1" } else { "1.0" };
        let text = format!("{name} {version}\n");
        let one =
            deb(name, version).field("Installed-Size", size).file(&format!("/usr/share/{name}/text"), 0o644, text);
        archive = archive.deb(one);
    }
    archive
}

const SPEC: &str = "packages: [alder, birch, cedar, elm, fir, gorse]\nkeep: all\nfiles:\n  - {copy: conf/, to: /etc/conf}\n  \
                    - {text: hello, to: /etc/hello}\n";

/// Returns what ran, without the versions that names tell.
fn ran(solved: &Solved) -> Vec<String> {
    let mut ran: Vec<String> =
        solved.ran().into_iter().map(|name| name.split(':').next().unwrap_or_default().to_owned()).collect();
    ran.sort();
    ran
}

fn only_what_changed_runs_again(daemon: &Daemon) {
    let served = Served::new(&archive("", DATE));
    let place = &served.place;
    place.write("conf/a", "a\n");
    served.spec("wood", SPEC);
    let way = Way::new(daemon, worker().url());
    let mut number = 0;
    let mut build = || {
        number += 1;
        let (local, to) = (served.local("wood"), place.path(&format!("out-{number}")));
        served.files.taken();
        let solved = way.by_graph(place, "wood.yaml", &[], &to).ok();
        assert_eq!(digest_of(&to), local);
        (ran(&solved), served.debs())
    };
    let all = [
        "assemble wood",
        "layer alder",
        "layer birch",
        "layer cedar",
        "layer elm",
        "layer files",
        "layer small-1",
        "layer state",
        "open alder",
        "open birch",
        "open cedar",
        "open elm",
        "open small-1",
        "open the spec's own files",
        "select files",
    ];
    let (first, debs) = build();
    assert_eq!((first.as_slice(), debs.len()), (all.map(str::to_owned).as_slice(), PACKAGES.len()));

    // Nothing changed.
    assert_eq!(build(), (vec![], vec![]));

    // One package.
    archive("cedar", DATE).write(place);
    place.ok(&["lock", "wood.yaml", "--update", "cedar"]);
    let expected = ["assemble wood", "layer cedar", "open cedar", "select files"].map(str::to_owned).to_vec();
    assert_eq!(build(), (expected, vec!["pool/main/cedar_1.1_amd64.deb".to_owned()]));

    // One of two that share a layer: the other is opened with it.
    archive("fir", DATE).write(place);
    place.ok(&["lock", "wood.yaml", "--update", "fir"]);
    let expected = ["assemble wood", "layer small-1", "open small-1", "select files"].map(str::to_owned).to_vec();
    assert_eq!(build(), (expected, vec!["pool/main/fir_1.1_amd64.deb".to_owned()]));

    // Dates alone: the clock reaches the two last layers and the documents.
    archive("fir", DATE + 86_400).write(place);
    place.ok(&["lock", "wood.yaml", "--update"]);
    let (ran, debs) = build();
    // `--update` takes the archive as it is now, in which cedar is 1.0 again: both are there by their bytes.
    let expected = ["assemble wood", "layer files", "layer state", "select files"].map(str::to_owned).to_vec();
    assert_eq!((ran, debs), (expected, vec![]));

    // A local file alone.
    place.write("conf/a", "b\n");
    let expected = ["assemble wood", "layer files", "open the spec's own files", "select files"];
    assert_eq!(build(), (expected.map(str::to_owned).to_vec(), vec![]));

    // Text of the spec that means nothing to an image.
    served.spec("wood", &format!("# a word\n{SPEC}"));
    assert_eq!(build(), (vec![], vec![]));
}

#[test]
fn only_what_changed_runs_again_on_docker() {
    let turn = turn();
    let Some(daemon) = Daemon::docker(&turn) else { return };
    only_what_changed_runs_again(&daemon);
}

#[test]
fn only_what_changed_runs_again_on_buildkitd() {
    let turn = turn();
    let Some(daemon) = Daemon::buildkitd(&turn) else { return };
    only_what_changed_runs_again(&daemon);
}

#[test]
fn the_mirror_does_not_matter_to_a_cache() {
    let turn = turn();
    let Some(daemon) = Daemon::buildkitd(&turn) else { return };
    let served = Served::new(&archive("", DATE));
    served.place.write("conf/a", "a\n");
    served.spec("wood", SPEC);
    served.local("wood");
    let mut way = Way::new(&daemon, worker().url());
    way.by_graph(&served.place, "wood.yaml", &[], &served.place.path("one")).ok();
    let other = super::files::Files::serve(&served.place.path("archive"));
    way.flags = vec!["--mirror".to_owned(), format!("test=http://{}", other.host)];
    let solved = way.by_graph(&served.place, "wood.yaml", &[], &served.place.path("two")).ok();
    assert_eq!((solved.ran(), other.taken().len()), (vec![], 0));
}
