//! Slices in chisel's format: packages by slice, what slices make, the lock, and what slices forget.

use std::process::Command;

use serde_json::Value;

use crate::container::{Bundle, must};
use crate::deb::deb;
use crate::program::{Place, copy_tree};
use crate::world::{Archive, spec};

/// Builds a shared library that needs another one, and nothing of the machine.
fn library(place: &Place, name: &str, needs: &[&str]) -> Vec<u8> {
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-nostdlib", "-fPIC", "-Wl,--no-as-needed", "-o", name]).arg(format!("-Wl,-soname,{name}"));
    gcc.args(["-x", "c", "/dev/null", "-x", "none"]).args(needs).current_dir(place.path("."));
    must(&mut gcc);
    std::fs::read(place.path(name)).unwrap()
}

/// An archive with packages of two known mistakes of chisel-releases: #381 forgot a library, #528 an interpreter.
fn world() -> Place {
    let place = Place::new();
    let smime = library(&place, "libsmime3.so", &[]);
    let ssl = library(&place, "libssl3.so", &["libsmime3.so"]);
    let nss = deb("libnss3", "1.0")
        .file("/usr/lib/x86_64-linux-gnu/libsmime3.so", 0o644, &smime)
        .file("/usr/lib/x86_64-linux-gnu/libssl3.so", 0o644, &ssl)
        .file("/usr/lib/x86_64-linux-gnu/libother.so", 0o644, "x")
        .file("/usr/share/doc/libnss3/copyright", 0o644, "free");
    let openssl = deb("openssl", "1.0")
        .file("/usr/bin/openssl", 0o755, "x")
        .file("/usr/bin/c_rehash", 0o755, "#!/usr/bin/perl -w\n")
        .file("/etc/ssl/openssl.cnf", 0o644, "config")
        .dir("/etc/ssl/certs", 0o755)
        .file("/usr/share/doc/openssl/copyright", 0o644, "free");
    let perl = deb("perl-base", "1.0")
        .file("/usr/bin/perl", 0o755, "x")
        .file("/usr/share/perl/unneeded", 0o644, "x")
        .file("/usr/share/doc/perl-base/copyright", 0o644, "free");
    Archive::new(9).deb(nss).deb(openssl).deb(perl).write(&place);
    place.write(
        "slices/libnss3.yaml",
        "package: libnss3\nslices:\n  ssl:\n    contents:\n      /usr/lib/*-linux-*/libssl3.so:\n  smime:\n    contents:\n      \
         /usr/lib/*-linux-*/libsmime3.so:\n",
    );
    place.write(
        "slices/openssl.yaml",
        "package: openssl\nessential: [openssl_config]\nslices:\n  bins:\n    essential: [openssl_config]\n    contents:\n      \
         /usr/bin/c_rehash:\n      /usr/bin/openssl:\n  config:\n    contents:\n      /etc/ssl/openssl.cnf:\n      \
         /etc/ssl/certs/:\n      /etc/copied: {copy: /etc/ssl/openssl.cnf, mode: 0600}\n      /etc/linked: {symlink: \
         ssl/openssl.cnf}\n      /etc/said: {text: \"said\\n\"}\n      /srv/sticky/: {make: true, mode: 01777}\n      \
         /usr/bin/arm: {arch: arm64}\n",
    );
    place.write(
        "slices/perl-base.yaml",
        "package: perl-base\nslices:\n  bins:\n    contents: {/usr/bin/perl: }\n  run:\n    essential: [perl-base_bins, \
         openssl_config]\n    contents: {/absent: , /etc/made: {text: FIXME, mutable: true}}\n    mutate: |\n      \
         content.write(\"/etc/made\", \"x\")\n",
    );
    place
}

/// Returns the paths of an image's files and links that packages or slices bring.
fn paths(place: &Place, name: &str) -> Vec<String> {
    let out = place.ok(&["inspect", &format!("{name}.oci"), "--files", "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    let files = answer["images"][0]["files"].as_array().unwrap_or_else(|| panic!("{out}"));
    let ours = [
        "/etc/ssl",
        "/etc/copied",
        "/etc/linked",
        "/etc/said",
        "/etc/made",
        "/usr/bin",
        "/usr/lib/x86",
        "/usr/share/perl",
    ];
    let path = |file: &Value| file["path"].as_str().unwrap().to_owned();
    files.iter().map(path).filter(|path| ours.iter().any(|ours| path.starts_with(ours))).collect()
}

#[test]
fn slices_stand_in_for_the_closure_and_make_what_they_say() {
    let place = world();
    spec(&place, "web", "packages: [openssl_bins, libnss3_smime]\nslices: slices\n");
    let first = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let why = |path: &str| place.run(&["why", "web.yaml", path]);
    for (path, expected) in [
        ("/usr/bin/openssl", "slice openssl_bins"),
        ("/etc/ssl/openssl.cnf", "slice openssl_config"),
        ("/usr/lib/x86_64-linux-gnu/libsmime3.so", "slice libnss3_smime"),
    ] {
        let said = why(path);
        assert!(said.status == 0 && said.out.contains(expected), "{path}: {}{}", said.out, said.err);
    }
    for path in ["/usr/lib/x86_64-linux-gnu/libother.so", "/usr/lib/x86_64-linux-gnu/libssl3.so", "/usr/bin/perl"] {
        assert_eq!(why(path).status, 1, "{path}");
    }
    let bundle = Bundle::unpack(&place.path("web.oci"));
    let read = |path: &str| std::fs::read_to_string(bundle.root().join(path)).unwrap();
    assert_eq!((read("etc/copied"), read("etc/said")), ("config".to_owned(), "said\n".to_owned()));
    assert_eq!(std::fs::read_link(bundle.root().join("etc/linked")).unwrap().to_str(), Some("ssl/openssl.cnf"));
    use std::os::unix::fs::MetadataExt as _;
    let mode = |path: &str| bundle.root().join(path).metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode("srv/sticky"), mode("etc/copied"), mode("etc/ssl/certs")), (0o1777, 0o600, 0o755));
    assert!(bundle.root().join("usr/share/doc/openssl/copyright").exists(), "a licence is kept with what it is for");
    // Elsewhere, the same bytes.
    let other = world();
    spec(&other, "web", "packages: [openssl_bins, libnss3_smime]\nslices: slices\n");
    assert_eq!(other.ok(&["build", "web.yaml", "-o", "web.oci"]), first);
    assert!(paths(&place, "web").contains(&"/etc/said".to_owned()));
}

#[test]
fn a_library_that_a_slice_forgot_is_found_by_need_and_named_by_check() {
    let place = world();
    spec(&place, "web", "packages: [libnss3_ssl]\nslices: slices\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let said = place.run(&["why", "web.yaml", "/usr/lib/x86_64-linux-gnu/libsmime3.so"]);
    assert!(said.status == 0 && said.out.contains("libssl3.so"), "{}{}", said.out, said.err);
    let said = place.run(&["check", "web.yaml"]);
    let expected = "slice `libnss3_ssl` forgets `libsmime3.so`, which /usr/lib/x86_64-linux-gnu/libssl3.so needs; \
                    `libnss3` ships /usr/lib/x86_64-linux-gnu/libsmime3.so";
    assert!(said.status == 0 && said.err.contains(expected), "{}", said.err);
    assert!(said.err.contains("add `libnss3_smime` to its `essential`"), "{}", said.err);
    let answer: Value = serde_json::from_str(&place.ok(&["check", "web.yaml", "--json"])).unwrap();
    assert_eq!(answer[0]["reports"][0]["forgotten"][0]["missing"], "libsmime3.so");
    // With it, nothing is said.
    place.write(
        "slices/libnss3.yaml",
        std::fs::read_to_string(place.path("slices/libnss3.yaml"))
            .unwrap()
            .replace("  ssl:\n", "  ssl:\n    essential: [libnss3_smime]\n"),
    );
    place.ok(&["lock", "web.yaml"]);
    let said = place.run(&["check", "web.yaml"]);
    assert!(said.status == 0 && !said.err.contains("forgets"), "{}", said.err);
}

#[test]
fn an_interpreter_that_a_slice_forgot_is_named_by_check() {
    let place = world();
    spec(&place, "web", "packages: [openssl_bins, perl-base_bins]\nslices: slices\n");
    place.ok(&["lock", "web.yaml"]);
    let said = place.run(&["check", "web.yaml"]);
    let expected = "slice `openssl_bins` forgets `/usr/bin/perl`, which /usr/bin/c_rehash needs; `perl-base` ships it";
    assert!(said.status == 0 && said.err.contains(expected), "{}", said.err);
    assert!(said.err.contains("add `perl-base_bins`"), "{}", said.err);
}

#[test]
fn what_slices_would_run_and_list_in_vain_is_named() {
    let place = world();
    spec(&place, "web", "packages: [perl-base_run]\nslices: slices\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let said = place.run(&["check", "web.yaml"]);
    assert!(said.err.contains("`perl-base` does in its slice run what no rule covers: content.write"), "{}", said.err);
    assert!(said.err.contains("`slice perl-base_run` fits nothing: `/absent`"), "{}", said.err);
    assert!(!paths(&place, "web").contains(&"/etc/made".to_owned()), "no text that was never meant");
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert!(lock.contains("name = \"openssl\""), "an essential slice of another package brings it: {lock}");
}

#[test]
fn definitions_are_locked_by_digest() {
    let place = world();
    spec(&place, "web", "packages: [libnss3_ssl]\nslices: slices\n");
    place.ok(&["lock", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert!(lock.contains("name = \"slices/libnss3.yaml\""), "{lock}");
    assert!(!lock.contains("slices/openssl.yaml"), "what it does not depend on is not in it: {lock}");
    place.write("slices/openssl.yaml", "package: openssl\nslices: {none: }\n");
    assert_eq!(place.run(&["build", "web.yaml", "--locked", "-o", "a.oci"]).status, 0);
    place.write("slices/libnss3.yaml", "package: libnss3\nslices: {ssl: {contents: {/usr/lib/**: }}}\n");
    let said = place.run(&["build", "web.yaml", "--locked", "-o", "a.oci"]);
    assert!(said.status == 1 && said.err.contains("slices `slices/libnss3.yaml` has other bytes"), "{}", said.err);
    place.ok(&["build", "web.yaml", "-o", "a.oci"]);
    assert_eq!(place.run(&["why", "web.yaml", "/usr/lib/x86_64-linux-gnu/libother.so"]).status, 0);
    // Vendored, they go along.
    place.ok(&["vendor", "web.yaml", "-o", "kit"]);
    assert_eq!(
        place.run(&["build", "kit/specs/web/web.yaml", "--vendor", "kit", "--offline", "-o", "b.oci"]).status,
        0
    );
}

#[test]
fn what_cannot_be_followed_is_refused_with_its_place() {
    let place = world();
    for (name, rest, expected, hint) in [
        ("none", "packages: [libnss3_ssl]\n", "`libnss3_ssl` names a slice, and nothing defines it", "add `slices:`"),
        (
            "absent",
            "packages: [libnss3_foo]\nslices: slices\n",
            "there is no slice `libnss3_foo`",
            "there are `libnss3_smime`",
        ),
        ("twice", "packages: [libnss3_ssl, libnss3_ssl]\nslices: slices\n", "slice `libnss3_ssl`", ""),
        ("both", "packages: [libnss3, libnss3_ssl]\nslices: slices\n", "package `libnss3`", ""),
        ("keep", "packages: [{name: libnss3_ssl, keep: all}]\nslices: slices\n", "a slice says itself what", ""),
    ] {
        spec(&place, name, rest);
        let said = place.run(&["lock", &format!("{name}.yaml")]);
        assert!(said.status == 2 && said.err.contains(expected) && said.err.contains(hint), "{name}: {}", said.err);
    }
    place.write("slices/broken.yaml", "package: broken\nslices: {all: {contents: {x: }}}\n");
    spec(&place, "broken", "packages: [libnss3_ssl]\nslices: slices\n");
    let said = place.run(&["lock", "broken.yaml"]);
    assert!(
        said.status == 2 && said.err.contains("`x` is no absolute path") && said.err.contains("slices/broken.yaml:2"),
        "{}",
        said.err
    );
}

#[test]
fn a_release_of_chisel_s_has_its_slices_in_a_directory() {
    let place = world();
    copy_tree(&place.path("slices"), &place.path("release/slices"));
    place.write("release/chisel.yaml", "format: v3\narchives: {ubuntu: {version: 26.04}}\n");
    place.write("release/spread.yaml", "not: a definition\n");
    spec(&place, "web", "packages: [libnss3_smime]\nslices: release\n");
    place.ok(&["lock", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert!(lock.contains("release/slices/libnss3.yaml") && lock.contains("release/chisel.yaml"), "{lock}");
    place.write("release/chisel.yaml", "format: v9\n");
    let said = place.run(&["lock", "web.yaml"]);
    assert!(said.status == 2 && said.err.contains("format `v9` is not known"), "{}", said.err);
}

#[test]
fn check_hints_at_what_kept_files_name() {
    let place = Place::new();
    let text = "#!/bin/sh\nexec /usr/lib/app/part /usr/share/doc/app/manual\n";
    let app = deb("app", "1.0").depends("part").file("/usr/bin/app", 0o755, text).file(
        "/usr/share/doc/app/manual",
        0o644,
        "",
    );
    let part = deb("part", "1.0").file("/usr/lib/app/part", 0o755, "").file(
        "/usr/lib/x86_64-linux-gnu/libpart.so.1",
        0o644,
        "",
    );
    Archive::new(9).deb(app).deb(part).write(&place);
    spec(&place, "web", "packages: [app]\nkeep: runtime\nnever: [/usr/lib/app/part]\n");
    place.ok(&["lock", "web.yaml"]);
    let said = place.run(&["check", "web.yaml"]);
    let expected = "/usr/bin/app name `/usr/lib/app/part`, and /usr/lib/app/part of `part` is not kept";
    assert!(said.status == 0 && said.err.contains(expected), "{}", said.err);
    assert!(!said.err.contains("manual"), "documentation is no sign: {}", said.err);
    let answer: Value = serde_json::from_str(&place.ok(&["check", "web.yaml", "--json"])).unwrap();
    let one = &answer[0]["reports"][0]["suggestions"][0];
    assert_eq!(
        (&one["path"], &one["package"], &one["count"]),
        (&"/usr/lib/app/part".into(), &"part".into(), &1.into())
    );
}
