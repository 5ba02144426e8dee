//! Help is what `-h` prints, word for word; and the program is polite to pipes and wrong command lines.

use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;

/// Runs tarsia with `arguments` and nothing of the caller's environment.
fn tarsia(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tarsia")).args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn help(arguments: &[&str]) -> String {
    let output = tarsia(arguments);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program() {
    assert_snapshot!(help(&["-h"]), @"");
}

#[test]
fn init() {
    assert_snapshot!(help(&["init", "-h"]), @"");
}

#[test]
fn check() {
    assert_snapshot!(help(&["check", "-h"]), @"");
}

#[test]
fn lock() {
    assert_snapshot!(help(&["lock", "-h"]), @"");
}

#[test]
fn outdated() {
    assert_snapshot!(help(&["outdated", "-h"]), @"");
}

#[test]
fn fetch() {
    assert_snapshot!(help(&["fetch", "-h"]), @"");
}

#[test]
fn build() {
    assert_snapshot!(help(&["build", "-h"]), @"");
}

#[test]
fn why() {
    assert_snapshot!(help(&["why", "-h"]), @"");
}

#[test]
fn inspect() {
    assert_snapshot!(help(&["inspect", "-h"]), @"");
}

#[test]
fn cache() {
    assert_snapshot!(help(&["cache", "-h"]), @"");
    assert_snapshot!(help(&["cache", "gc", "-h"]), @"");
    assert_snapshot!(help(&["cache", "verify", "-h"]), @"");
}

#[test]
fn schema() {
    assert_snapshot!(help(&["schema", "-h"]), @"");
}

#[test]
fn completions() {
    assert_snapshot!(help(&["completions", "-h"]), @"");
}

#[test]
fn man() {
    assert_snapshot!(help(&["man", "-h"]), @"");
}

#[test]
fn every_command_has_a_manual_page_without_a_date() {
    for command in ["init", "check", "lock", "outdated", "fetch", "build", "why", "inspect", "schema", "man"] {
        let page = help(&["man", command]);
        assert!(page.contains(&format!("tarsia-{command}")) || page.contains(&format!("tarsia {command}")), "{page}");
        assert!(page.contains(".TH "), "{page}");
    }
    assert!(help(&["man", "cache", "gc"]).contains("max\\-size"));
    assert_eq!(tarsia(&["man", "fly"]).status.code(), Some(2));
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(help(&["completions", shell]).contains("outdated"), "{shell}");
    }
}

#[test]
fn a_wrong_command_line_is_a_2_and_says_so_on_standard_error() {
    for arguments in [&["fly"][..], &["build"], &["build", "a.yaml", "--memory", "much"], &["-q", "-v", "schema"], &[]] {
        let output = tarsia(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for arguments in [&["completions", "zsh"][..], &["man"], &["-h"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tarsia"))
            .args(arguments)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tarsia"))
        .args(["completions", "zsh"])
        .env_clear()
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: cannot write to standard output: "));
}
