//! What the README shows is what the program takes.

use std::path::Path;

use tarsia::diag::Source;
use tarsia::spec::Spec;

use crate::program::Place;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap()
}

#[test]
fn the_two_commands_stand_in_it_and_ci_runs_the_second() {
    let readme = readme();
    let (build, test) = ("cargo run --release -- build specs/python.yaml -o python.oci", "cargo test --workspace");
    assert!(readme.contains(&format!("```sh\n{build}\n{test}\n```")));
    let ci = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/run")).unwrap();
    assert!(ci.lines().any(|line| line == test));
}

#[test]
fn its_spec_parses() {
    let readme = readme();
    let text = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a spec is shown");
    let text = text.replace("sha256: …", &format!("sha256: \"{}\"", "0".repeat(64)));
    let spec = Spec::parse(&Source::new("README.md", text), "web").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((spec.name.as_str(), spec.files.len()), ("web", 6));
}

#[test]
fn its_commands_are_commands() {
    let readme = readme();
    let commands: Vec<&str> =
        readme.split("`tarsia ").skip(1).filter_map(|rest| rest.split([' ', '`']).next()).collect();
    assert!(commands.len() > 8, "{commands:?}");
    let place = Place::new();
    for command in commands {
        assert_eq!(place.run(&[command, "--help"]).status, 0, "tarsia {command}");
    }
}
