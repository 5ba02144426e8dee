//! The group `real`: a dozen services and tools beside the examples, locked, built, and asked to do their job by
//! `tarsia test`.

use std::path::Path;

use serde_json::Value;

use crate::program::{Place, copy_tree, names};
use crate::real::home;

/// Locks, builds and tests a spec of `testdata/needed`, in the store of the examples.
fn passes(name: &str) {
    let place = Place::new();
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/needed"), &place.path("."));
    let mut command = place.tarsia(["test", &format!("{name}.yaml"), "--json"]);
    let output = command.env("TARSIA_STORE", home().path("store")).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{name}: {out}{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_str(&out).unwrap();
    let runs = answer[0]["images"][0]["runs"].as_array().unwrap();
    assert!(runs.len() > 1, "{name} is asked more than its version");
}

macro_rules! services {
    ($($test:ident: $name:literal),* $(,)?) => {
        /// Every spec there.
        const SERVICES: &[&str] = &[$($name),*];

        $(#[test]
        fn $test() {
            passes($name);
        })*
    };
}

services! {
    curl_speaks_what_it_links_to: "curl",
    git_runs_its_own_programs: "git",
    gunicorn_serves_an_application: "gunicorn",
    imagemagick_loads_its_coders: "imagemagick",
    lighttpd_serves_a_page: "lighttpd",
    memcached_keeps_a_value: "memcached",
    mosquitto_takes_a_client: "mosquitto",
    node_exporter_measures: "node-exporter",
    openssh_client_makes_keys: "openssh-client",
    rsync_copies_and_serves: "rsync",
    sqlite3_reads_what_it_is_told: "sqlite3",
    unbound_answers: "unbound",
}

#[test]
fn every_spec_is_tested() {
    let there = names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/needed"));
    let there: Vec<String> =
        there.into_iter().filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect();
    assert_eq!(there, SERVICES);
}
