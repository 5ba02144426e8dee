//! Specs and locks that are broken.

use super::{BUILD, locked, mends, refused};
use crate::program::Place;

#[test]
fn specs() {
    let head = "version: 1\nname: web\nplatforms: [linux/amd64]\n";
    let with = |rest: &str| format!("{head}{rest}\n").into_bytes();
    let bomb: String = (0..30)
        .map(|n| {
            format!("  l{}: &l{n} [{}]\n", n, if n == 0 { "x".to_owned() } else { format!("*l{0}, *l{0}", n - 1) })
        })
        .collect();
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("empty", Vec::new(), "spec::syntax", ""),
        ("no text", b"\xff\xfe\0v\0".to_vec(), "ops::read", "utf-8"),
        ("NUL", with("labels: {a: \"\0\"}"), "spec::syntax", ""),
        ("too large", [head.as_bytes(), &vec![b'#'; 17 << 20]].concat(), "ops::read", "larger"),
        ("large", [head.as_bytes(), &vec![b'#'; 2 << 20]].concat(), "spec::limit", ""),
        ("cut short", with("labels: {a: \"b"), "spec::syntax", ""),
        ("tabs", with("labels:\n\ta: b"), "spec::syntax", ""),
        ("two documents", with("---\nversion: 1"), "spec::syntax", ""),
        ("an alias bomb", with(&format!("labels:\n{bomb}")), "spec::syntax", ""),
        ("a tag", with("name: !!binary aGk="), "spec::syntax", ""),
        ("nesting", with(&format!("labels: {}{}", "[".repeat(9999), "]".repeat(9999))), "spec::", ""),
        ("block nesting", with(&format!("labels:\n{}", nested(2000))), "spec::limit", ""),
        ("unknown key", with("packges: [hello]"), "spec::unknown-key", "packges"),
        ("duplicate key", with("name: web"), "spec::duplicate-key", "name"),
        ("another version", b"version: 2\n".to_vec(), "spec::value", "2"),
        ("no version", b"name: web\n".to_vec(), "spec::missing-key", "version"),
        ("a bare mode", with("files: [{text: x, to: /x, mode: 0755}]"), "spec::ambiguous-scalar", ""),
        ("a wide mode", with("files: [{text: x, to: /x, mode: \"17777\"}]"), "spec::value", ""),
        ("a yes", with("name2: yes"), "spec::unknown-key", "name2"),
        ("a list for a map", with("run: [x]"), "spec::type", ""),
        ("a path that leads out", with("files: [{text: x, to: /a/../../x}]"), "spec::value", ".."),
        ("a relative path", with("files: [{text: x, to: etc/x}]"), "spec::value", ""),
        ("a long path", with(&format!("files: [{{text: x, to: /{}}}]", "x/".repeat(3000))), "spec::value", ""),
        ("a deep path", with(&format!("files: [{{text: x, to: {}/x}}]", "/d".repeat(300))), "spec::value", ""),
        ("a copy from above", with("files: [{copy: ../x, to: /x}]"), "spec::value", ".."),
        ("a copy from the root", with("files: [{copy: /etc/passwd, to: /x}]"), "spec::value", ".."),
        ("a whiteout", with("files: [{text: x, to: /.wh.x}]"), "select::file", "whiteout"),
        ("a bad digest", with("files: [{fetch: \"https://example.org\", sha256: ../../x, to: /x}]"), "spec::value", ""),
        (
            "a bad address",
            with("files: [{fetch: \"gopher://example.org/x\", sha256: \"00\", to: /x}]"),
            "spec::value",
            "",
        ),
        ("a bad glob", with("files: [{copy: conf, to: /x, include: [\"[\"]}]"), "spec::value", "glob"),
        ("a number taken twice", with("users: {a: {uid: 7}, b: {uid: 7}}"), "spec::conflict", "7"),
        ("a number out of range", with("users: {a: {uid: 4294967295}}"), "spec::value", ""),
        ("a user that is a line", with("users: {\"a:0:0\": {uid: 7}}"), "spec::value", ""),
        ("an owner who is nobody", with("files: [{text: x, to: /x, owner: ghost}]"), "select::account", "ghost"),
        ("a package that is an option", with("packages: [\"--x\"]\ndistro: debian/13"), "spec::value", ""),
        ("a package that is a path", with("packages: [../x]\ndistro: debian/13"), "spec::value", ""),
        ("a bad version", with("packages: [\"a >= 1_0\"]\ndistro: debian/13"), "spec::value", ""),
        (
            "an archive of no host",
            with("archives: {a: {uri: \"ftp://x\", suite: s, components: [c], signed-by: k}}"),
            "spec::value",
            "",
        ),
        (
            "a suite that leads out",
            with("archives: {a: {uri: \"https://x\", suite: ../s, components: [c], signed-by: k}}"),
            "spec::value",
            "",
        ),
        ("a platform that is none", b"version: 1\nplatforms: [linux/mips]\n".to_vec(), "spec::value", ""),
        ("a NUL in a label", with("labels: {a: \"\\0\"}"), "spec::value", ""),
        ("a NUL in a link", with("files: [{symlink: /x, target: \"a\\0b\"}]"), "spec::value", ""),
        ("a line feed in a name", b"version: 1\nname: \"a\\nb\"\n".to_vec(), "spec::value", ""),
    ];
    let place = Place::new();
    place.write("conf/a", "a");
    let mut wrong = Vec::new();
    for (case, text, code, said) in cases {
        place.write("web.yaml", &text);
        let judged = std::panic::catch_unwind(|| refused(&place, case, BUILD, code, said));
        wrong.extend(judged.err().map(|_| case));
    }
    assert_eq!(wrong, Vec::<&str>::new());
    mends(&place, "specs");
}

/// Returns a block mapping as deep as asked.
fn nested(depth: usize) -> String {
    (0..depth).map(|level| format!("{}a:\n", " ".repeat(level + 1))).collect()
}

#[test]
fn a_spec_that_is_no_file() {
    let place = Place::new();
    std::fs::create_dir(place.path("web.yaml")).unwrap();
    refused(&place, "a directory", BUILD, "ops::read", "web.yaml");
    std::fs::remove_dir(place.path("web.yaml")).unwrap();
    refused(&place, "absent", BUILD, "ops::read", "web.yaml");
    fifo(&place, "web.yaml");
    refused(&place, "a fifo", BUILD, "ops::read", "no regular file");
    std::fs::remove_file(place.path("web.yaml")).unwrap();
    mends(&place, "no file");
    std::fs::remove_file(place.path("web.lock")).unwrap();
    fifo(&place, "web.lock");
    refused(&place, "a lock that is a fifo", BUILD, "ops::read", "no regular file");
}

pub(super) fn fifo(place: &Place, name: &str) {
    assert!(std::process::Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
}

#[test]
fn locks() {
    let (place, lock) = locked();
    let hello = lock.split("[[platform.").find(|part| part.contains("name = \"hello\"")).unwrap();
    let digest = hello.lines().find_map(|line| line.strip_prefix("digest = ")).unwrap().trim_matches('"').to_owned();
    let in_release = lock.lines().find_map(|line| line.strip_prefix("in-release = ")).unwrap().to_owned();
    let path = hello.lines().find(|line| line.starts_with("path = ")).unwrap().to_owned();
    let size = hello.lines().find(|line| line.starts_with("size = ")).unwrap().to_owned();
    let change = |from: &str, to: &str| {
        assert!(lock.contains(from), "{from} is not in\n{lock}");
        lock.replace(from, to)
    };
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("empty", Vec::new(), "lock::syntax", ""),
        ("no text", b"\xff\xfe".to_vec(), "ops::read", "utf-8"),
        ("html", b"<html>".to_vec(), "lock::syntax", ""),
        ("cut short", lock.as_bytes()[..lock.len() / 2].to_vec(), "lock::", ""),
        ("too large", vec![b'#'; 17 << 20], "ops::read", "larger"),
        ("nesting", format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(), "lock::syntax", ""),
        ("dotted nesting", format!("{}x = 1", "a.".repeat(100_000)).into_bytes(), "lock::syntax", ""),
        ("another version", change("version = 1\n", "version = 2\n").into(), "lock::version", "2"),
        ("a huge version", change("version = 1\n", "version = 9223372036854775807\n").into(), "lock::version", ""),
        ("another encoding", change("encoding = 1\n", "encoding = 99\n").into(), "lock::encoding", "99"),
        ("a key twice", format!("version = 1\n{lock}").into(), "lock::syntax", ""),
        ("an unknown key", format!("new = 1\n{lock}").into(), "lock::syntax", "new"),
        ("a digest that is a path", change(&digest, "sha256:../../../../etc/passwd").into(), "lock::syntax", ""),
        ("a digest in capitals", change(&digest, &digest.to_uppercase()).into(), "lock::syntax", ""),
        ("another hash", change(&digest, &digest.replace("sha256:", "md5:")).into(), "lock::syntax", ""),
        ("a path that leads out", change(&path, "path = \"../../etc/passwd\"").into(), "lock::invalid", "path"),
        ("a path from the root", change(&path, "path = \"/etc/passwd\"").into(), "lock::invalid", "path"),
        ("a path that is an address", change(&path, "path = \"http://example.org/x?y#z\"").into(), "lock::invalid", ""),
        ("a path with a control", change(&path, "path = \"pool/\\u001b[31m\"").into(), "lock::invalid", "path"),
        ("a negative size", change(&size, "size = -1").into(), "lock::syntax", ""),
        (
            "a set that is not there",
            change(&in_release, "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"")
                .replacen(
                    "in-release = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
                    &format!("in-release = {in_release}"),
                    1,
                )
                .into(),
            "lock::invalid",
            "metadata set",
        ),
        ("a suite that leads out", change("suite = \"test\"", "suite = \"../test\"").into(), "lock::invalid", "suite"),
        (
            "a package name that is a path",
            change("name = \"hello\"", "name = \"../hello\"").into(),
            "lock::invalid",
            "name",
        ),
        (
            "a date that is no time",
            change("source-date = 1767323045", "source-date = -1").into(),
            "lock::invalid",
            "date",
        ),
        ("a float for a number", change("encoding = 1\n", "encoding = 1.5\n").into(), "lock::syntax", ""),
        ("a platform that is none", change("linux/amd64", "../amd64").into(), "lock::", ""),
        (
            "a layer of the program's own",
            lock.replace("layer = \"", "layer = \"state").into(),
            "lock::invalid",
            "layer",
        ),
    ];
    let mut wrong = Vec::new();
    for (case, text, code, said) in cases {
        place.write("web.lock", &text);
        let judged = std::panic::catch_unwind(|| refused(&place, case, BUILD, code, said));
        wrong.extend(judged.err().map(|_| case));
        assert_eq!(std::fs::read(place.path("web.lock")).unwrap(), text, "{case}: the lock was touched");
    }
    assert_eq!(wrong, Vec::<&str>::new());
    // What is asked for under a true lock but with another size is not taken either.
    place.write("web.lock", change(&size, "size = 1"));
    std::fs::remove_dir_all(place.path("store")).unwrap();
    refused(&place, "another size", BUILD, "lock::contradicted", "size");
    mends(&place, "locks");
}
