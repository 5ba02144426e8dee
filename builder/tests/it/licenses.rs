//! Licences: what packages are under, and `checks: licenses`. The last test belongs to the group `real`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tarsia::image::{self, Destination};
use tarsia::license::NOASSERTION;
use tarsia::policy::{self, Depth, Licensed};

use crate::deb::deb;
use crate::program::Place;
use crate::real;
use crate::world::{Archive, spec};

const HEAD: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n";

fn copyright(license: &str) -> String {
    format!("{HEAD}Files: *\nCopyright: 2020 A\nLicense: {license}\n\nFiles: debian/*\nCopyright: B\nLicense: GPL-3+\n")
}

/// A place with an archive of packages under different licences.
fn place() -> Place {
    let place = Place::new();
    let package = |name: &str, license: &str| {
        let path = format!("/usr/share/doc/{name}/copyright");
        deb(name, "1.0").file(&format!("/usr/lib/{name}"), 0o644, name).file(&path, 0o644, copyright(license))
    };
    Archive::new(12)
        .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n").file(
            "/usr/share/doc/base-files/copyright",
            0o644,
            copyright("GPL-2+"),
        ))
        .deb(package("free", "Expat"))
        .deb(package("strong", "AGPL-3+").depends("free"))
        .deb(package("either", "AGPL-3+ or Expat"))
        .deb(
            deb("linked", "1.0")
                .depends("free")
                .file("/usr/lib/linked", 0o644, "x")
                .symlink("/usr/share/doc/linked", "free"),
        )
        .deb(deb("silent", "1.0").file("/usr/lib/silent", 0o644, "x"))
        .write(&place);
    place
}

fn build(place: &Place, packages: &str, rest: &str) -> (i32, String) {
    spec(place, "web", &format!("packages: [{packages}]\nkeep: runtime\n{rest}"));
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    (ran.status, ran.err)
}

fn breaches(said: &str) -> String {
    let lines =
        said.lines().filter(|line| line.starts_with("error") || line.starts_with("hint") || line.contains("-->"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_licence_that_is_denied_fails_the_build_and_names_package_expression_and_place() {
    let place = place();
    let rules = "checks:\n  licenses:\n    deny: [AGPL-3.0-only]\n";
    let (status, err) = build(&place, "strong, either", rules);
    assert_eq!(status, 1, "{err}");
    assert!(!place.path("web.oci").exists());
    insta::assert_snapshot!(breaches(&err), @"");
    // A choice with an arm that is not denied stays open, and so does what only the packaging is under.
    let (status, err) = build(&place, "either, free", rules);
    assert_eq!(status, 0, "{err}");
    let (status, err) = build(
        &place,
        "strong",
        "checks:\n  licenses:\n    deny: [AGPL-3.0-only]\n    exceptions: [{package: strong, license: AGPL-3.0-or-later, \
         because: \"served by us\"}, {package: nothing, because: history}]\n",
    );
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("the exception for the licence of `nothing` allows nothing"), "{err}");
}

#[test]
fn only_what_is_allowed_may_be_there_and_what_nobody_knows_is_not() {
    let place = place();
    let allow = "checks: {licenses: {allow: [MIT, GPL-2.0-or-later]}}\n";
    let (status, err) = build(&place, "either, linked", allow);
    assert_eq!(status, 0, "{err}");
    let (status, err) = build(&place, "silent", allow);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("package `silent` is under a licence that is not known"), "{err}");
    // What the spec says of its own files counts, and so do packages of languages that it brings along.
    place.write("app/node_modules/x/package.json", r#"{"name": "x", "version": "1.0.0", "license": "GPL-3.0-only"}"#);
    let files = "files:\n  - {text: x, to: /app/x, component: {name: app, version: \"1\", license: Apache-2.0}}\n  - {copy: \
                 app/, to: /app}\n";
    let (status, err) = build(&place, "free", &format!("{files}{allow}"));
    assert_eq!(status, 1, "{err}");
    insta::assert_snapshot!(breaches(&err), @"");
    let (status, err) = build(
        &place,
        "free",
        "files:\n  - {text: x, to: /app/x, component: {name: app, version: \"1\", license: whatever}}\n",
    );
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("`whatever` is no SPDX licence expression"), "{err}");
}

#[test]
fn any_image_is_audited_by_its_own_databases() {
    let place = place();
    for form in ["status.d", "status", "none"] {
        spec(&place, "web", &format!("packages: [strong, linked]\nkeep: runtime\nsbom: {{dpkg-db: {form}}}\n"));
        place.ok(&["build", "web.yaml", "-o", "web.oci"]);
        place.write("policy.yaml", "version: 1\nchecks: {licenses: {allow: [MIT, GPL-2.0-or-later]}}\n");
        let ran = place.run(&["--json", "audit", "--policy", "policy.yaml", "web.oci"]);
        assert_eq!(ran.status, 1, "{form}: {}", ran.err);
        let audit: Value = serde_json::from_str(&ran.out).unwrap();
        let broken = audit["images"][0]["broken"].as_array().unwrap();
        let found: Vec<_> = broken.iter().map(|one| (one["rule"].clone(), one["package"].clone())).collect();
        assert_eq!(found, [(json!("licenses"), json!("strong"))], "{form}");
        let text = place.run(&["audit", "--policy", "policy.yaml", "web.oci"]).out;
        assert!(text.contains("package strong is under `AGPL-3.0-or-later`, which `allow` does not name"), "{text}");
    }
}

/// Returns what the packages of an example's image are under, by name.
fn licensed(example: &str) -> BTreeMap<String, Licensed> {
    let path = real::image(example);
    let open = image::open(&Destination::parse(path.to_str().unwrap()).unwrap()).unwrap();
    let one = &open.images()[0];
    let survey = policy::survey(&open, one, Depth::Contents).unwrap();
    policy::licensed(&survey).into_iter().map(|one| (one.name.clone(), one)).collect()
}

/// What was read by eye: the whole expression of a package.
const BY_EYE: &[(&str, &str, &str)] = &[
    ("base", "libssl3t64", "Apache-2.0"),
    ("base", "tzdata", "LicenseRef-Debian-tzdata-public-domain"),
    ("cc", "libstdc++6", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    ("cc", "libgcc-s1", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    (
        "cc",
        "libc6",
        "BSD-3-Clause AND ISC AND LGPL-2.1-or-later AND LicenseRef-Debian-glibc-CORE-MATH AND LicenseRef-Debian-glibc-DEC AND \
         LicenseRef-Debian-glibc-IBM AND LicenseRef-Debian-glibc-Inner-Net AND \
         LicenseRef-Debian-glibc-LGPL-2.1-or-later-with-link AND LicenseRef-Debian-glibc-Univ-Coimbra AND SunPro",
    ),
    ("python", "zlib1g", "Zlib"),
    ("python", "libsqlite3-0", "LicenseRef-Debian-sqlite3-public-domain"),
    ("python", "libuuid1", "BSD-3-Clause"),
    (
        "python",
        "python3.13-minimal",
        "BSD-3-Clause AND LicenseRef-Debian-python3.13-copyright AND MIT AND Python-2.0.1 AND Zlib",
    ),
    ("nginx", "nginx", "BSD-2-Clause AND LicenseRef-Debian-nginx-public-domain"),
    ("redis", "liblzf1", "BSD-2-Clause AND (BSD-3-Clause OR GPL-2.0-only)"),
    ("python-debian12", "base-files", "GPL-2.0-or-later"),
];

/// What is in an expression, of those that are too long to stand here.
const PARTS: &[(&str, &str, &str)] = &[
    ("java", "openjdk-21-jre-headless", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ("perl", "perl-base", "(Artistic-1.0-Perl OR GPL-1.0-or-later)"),
    ("base", "base-files", "GPL-2.0-or-later"),
];

/// The group `real`: see `real.rs`.
#[test]
fn nearly_every_package_of_the_examples_has_a_licence_and_those_read_by_eye_are_right() {
    let all: BTreeMap<&str, BTreeMap<String, Licensed>> =
        real::EXAMPLES.iter().map(|example| (*example, licensed(example))).collect();
    for (example, package, expected) in BY_EYE {
        let found = all[example].get(*package).unwrap_or_else(|| panic!("{example}: no `{package}`"));
        assert_eq!(found.license, *expected, "{example}: {package}");
    }
    for (example, package, part) in PARTS {
        let found = &all[example][*package].license;
        assert!(found.split(" AND ").any(|one| one == *part), "{example}: {package}: {found}");
    }
    let packages: Vec<&Licensed> = all.values().flat_map(BTreeMap::values).collect();
    let unknown: Vec<&&Licensed> = packages.iter().filter(|one| one.license == NOASSERTION).collect();
    for one in &packages {
        assert!(one.license == NOASSERTION || spdx::Expression::parse(&one.license).is_ok(), "{one:?}");
    }
    let known = packages.len() - unknown.len();
    eprintln!("{known} of {} packages have a licence", packages.len());
    assert!(packages.len() > 400 && known * 100 >= packages.len() * 95, "{known} of {}: {unknown:?}", packages.len());
}
