//! The group `real`: images held against what real dpkg makes of the same packages, path by path.
//!
//! Root A has the Essential packages, configured by dpkg; root B is A and the locked set, unpacked and configured by
//! dpkg with its maintainer scripts. Every difference between B and the image stands in [`table::ROWS`] with its reason,
//! and every row of that table stands for a difference. DEBIAN.md shows it.

mod compare;
mod root;
mod table;
mod tree;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use tarsia::diag::Source;
use tarsia::lock::Lock;
use tarsia::spec::{Distro, Spec};
use tarsia::store::{Store, StoreOptions};

use crate::container::must;
use crate::program::{Place, names, specs};
use crate::real::home;
use compare::{Difference, Kind};
use table::{ROWS, Row};
use tree::Tree;

/// The examples whose packages together are the run `union`, whole (`keep: all`), one root for all: what `.ci/run` does.
const UNION: [&str; 6] = ["haproxy", "java", "nginx", "perl", "php", "redis"];

/// Builds the packages of some examples, has dpkg make the same set, and returns what differs.
fn differences(place: &Place, examples: &[&str], keep: &str) -> Vec<Difference> {
    let mut packages = BTreeSet::new();
    let mut distro = None;
    for name in examples {
        let text = std::fs::read_to_string(specs().join(format!("{name}.yaml"))).unwrap();
        let spec = Spec::parse(&Source::new(format!("{name}.yaml"), text), name).unwrap();
        distro = spec.distro.or(distro);
        packages.extend(spec.packages.into_iter().map(|package| package.value.name));
    }
    let (release, suite) = match distro.expect("an example has a distro").value {
        Distro::Debian12 => ("12", "bookworm"),
        Distro::Debian13 => ("13", "trixie"),
    };
    let list: Vec<String> = packages.into_iter().collect();
    place.write(
        "set.yaml",
        format!(
            "version: 1\nname: set\ndistro: debian/{release}\nplatforms: [linux/amd64]\npackages: [{}]\nkeep: {keep}\n",
            list.join(", ")
        ),
    );
    let _ = std::fs::remove_file(place.path("set.lock"));
    let shared = home().path("store");
    must(place.tarsia(["build", "set.yaml", "-o", "image.oci"]).env("TARSIA_STORE", &shared));
    let lock = Lock::parse("set.lock", &std::fs::read_to_string(place.path("set.lock")).unwrap()).unwrap();
    let store = Store::open(&shared, StoreOptions::default()).unwrap();
    let set: Vec<_> =
        lock.platform["linux/amd64"].packages.iter().map(|one| (one, store.blob_path(&one.digest))).collect();
    let essential = root::essential(suite);
    let configured = place.path("root");
    root::configure(&essential, &configured, &set);
    let packages: Vec<_> = set.iter().map(|(package, _)| *package).collect();
    let found = compare::differences(
        &Tree::of_disk(&essential),
        &Tree::of_disk(&configured),
        &configured,
        &packages,
        lock.keep == "all",
        &Tree::of_image(&place.path("image.oci")),
    );
    std::fs::remove_dir_all(&configured).unwrap();
    found
}

/// Returns what is wrong with the table for one run: differences without a row, and rows that name the run without a
/// difference. `used` gets every row that stood for one.
fn judge(run: &str, found: &[Difference], used: &mut BTreeSet<usize>) -> Vec<String> {
    let globs: Vec<globset::GlobSet> = ROWS.iter().map(Row::globs).collect();
    let mut here = BTreeSet::new();
    let mut wrong = Vec::new();
    for difference in found {
        let fits = |(row, globs): &(&Row, &globset::GlobSet)| {
            (row.runs.is_empty() || row.runs.contains(&run))
                && row.kinds.contains(&difference.kind)
                && globs.is_match(&difference.path)
        };
        match ROWS.iter().zip(&globs).position(|row| fits(&row)) {
            Some(at) => drop(here.insert(at)),
            None => wrong.push(format!("{run}: {difference}")),
        }
    }
    for (at, row) in ROWS.iter().enumerate().filter(|(at, row)| row.runs.contains(&run) && !here.contains(at)) {
        wrong.push(format!("{run}: row {at} stands for nothing any more: {:?} at {:?}", row.kinds, row.paths));
    }
    used.extend(here);
    wrong
}

fn available() -> bool {
    match root::missing() {
        None => true,
        Some(why) => {
            eprintln!("the comparison with dpkg is left out: {why}");
            false
        }
    }
}

#[test]
fn whole_packages_of_many_examples_are_what_dpkg_makes_of_them() {
    if available() {
        let wrong = judge("union", &differences(&Place::new(), &UNION, "all"), &mut BTreeSet::new());
        assert!(wrong.is_empty(), "{} are not in the table:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
#[ignore = "a root for every example: `.ci/full` runs it"]
fn every_example_is_what_dpkg_makes_of_its_packages() {
    if !available() {
        return;
    }
    let place = Place::new();
    let mut wrong = Vec::new();
    let mut tried = Vec::new();
    let mut used = BTreeSet::new();
    for file in names(&specs()) {
        // Examples without packages have nothing that dpkg could make.
        let Some(name) = file.strip_suffix(".yaml").filter(|name| !["buildkit", "hello"].contains(name)) else {
            continue;
        };
        let found = differences(&place, &[name], "runtime");
        let stray = judge(name, &found, &mut used);
        eprintln!("{name}: {} differences, {} without a row", found.len(), stray.len());
        for line in &stray {
            eprintln!("{line}");
        }
        wrong.extend(stray);
        tried.push(name.to_owned());
    }
    let known =
        ROWS.iter().flat_map(|row| row.runs).filter(|run| **run != "union" && !tried.iter().any(|name| name == **run));
    wrong.extend(known.map(|run| format!("no example is named {run}")));
    for (at, row) in ROWS.iter().enumerate().filter(|(at, row)| row.runs.is_empty() && !used.contains(at)) {
        wrong.push(format!("row {at} stands for nothing in any run: {:?} at {:?}", row.kinds, row.paths));
    }
    assert!(wrong.is_empty(), "{} are not in the table:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn debian_md_shows_the_table() {
    let mut table = String::from("| path | dpkg and tarsia | why |\n|---|---|---|\n");
    for row in ROWS {
        let paths: Vec<String> = row.paths.iter().map(|path| format!("`/{path}`")).collect();
        let mut kinds: Vec<&str> = row.kinds.iter().map(|kind| kind.in_words()).collect();
        kinds.dedup();
        let runs = if row.runs.is_empty() { String::new() } else { format!(" ({})", row.runs.join(", ")) };
        writeln!(table, "| {} | {}{runs} | {} |", paths.join(", "), kinds.join(", "), row.because).unwrap();
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../DEBIAN.md")).unwrap();
    assert!(page.contains(&table), "DEBIAN.md does not show this table:\n{table}");
}

#[test]
fn a_table_fails_for_a_difference_without_a_row_and_for_a_row_without_a_difference() {
    let stray = Difference { path: "usr/bin/stray".into(), kind: Kind::Extra, detail: String::new() };
    assert_eq!(judge("none", &[stray], &mut BTreeSet::new()), ["none: Extra usr/bin/stray "]);
    let rows = ROWS.iter().filter(|row| row.runs.contains(&"union")).count();
    assert_eq!(judge("union", &[], &mut BTreeSet::new()).len(), rows);
    assert!(rows > 0 && ROWS.iter().all(|row| row.because.len() > 20 && !row.because.ends_with('.')));
}
