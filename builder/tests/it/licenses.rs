//! Licences: what packages are under, and `checks: licenses`. The last test belongs to the group `real`.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use tarsia::image::{self, Destination};
use tarsia::license::NOASSERTION;
use tarsia::sbom::{self, Inventory, Kind, Known};

use crate::container::must;
use crate::deb::deb;
use crate::judges::program;
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
    insta::assert_snapshot!(breaches(&err), @r#"
    error: cannot accept `web` (linux/amd64): package `strong` is under `AGPL-3.0-or-later`, which `deny` names as `AGPL-3.0-only`
      --> web.yaml:10:12
    hint: take `strong` out of `packages`
    hint: or accept it: `{package: strong, because: "…"}` under `checks: licenses: exceptions`
    "#);
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
    place.write("tool", "x");
    let files = "files:\n  - {copy: tool, to: /app/x, component: {name: app, version: \"1\", license: Apache-2.0}}\n  - {copy: \
                 app/, to: /app}\n";
    let (status, err) = build(&place, "free", &format!("{files}{allow}"));
    assert_eq!(status, 1, "{err}");
    insta::assert_snapshot!(breaches(&err), @r#"
    error: cannot accept `web` (linux/amd64): package `app` is under `Apache-2.0`, which `allow` does not name, from `files[0]` of the spec
      --> web.yaml:11:28
    hint: or accept it: `{package: app, because: "…"}` under `checks: licenses: exceptions`
    error: cannot accept `web` (linux/amd64): package `x` is under `GPL-3.0-only`, which `allow` does not name, from `/app/node_modules/x/package.json`
      --> web.yaml:11:28
    hint: or accept it: `{package: x, because: "…"}` under `checks: licenses: exceptions`
    "#);
    let (status, err) = build(
        &place,
        "free",
        "files:\n  - {copy: tool, to: /app/x, component: {name: app, version: \"1\", license: whatever}}\n",
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

/// Returns what the SBOM of an example says that its Debian packages are under, by name.
fn concluded(example: &str) -> BTreeMap<String, String> {
    let path = real::image(example).with_extension("oci.evidence").join("spdx.json");
    let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let texts: Vec<&str> = document["hasExtractedLicensingInfos"]
        .as_array()
        .map_or(Vec::new(), |all| all.iter().map(|one| one["licenseId"].as_str().unwrap()).collect());
    let packages = document["packages"].as_array().unwrap().iter().filter(|package| {
        let all = package["externalRefs"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().any(|one| one["referenceLocator"].as_str().is_some_and(|purl| purl.starts_with("pkg:deb/")))
    });
    packages
        .map(|package| {
            let license = package["licenseConcluded"].as_str().unwrap();
            for id in license.split([' ', '(', ')']).filter(|part| part.starts_with("LicenseRef-")) {
                assert!(texts.contains(&id), "{example}: no text of {id}");
            }
            (package["name"].as_str().unwrap().to_owned(), license.to_owned())
        })
        .collect()
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
    let all: BTreeMap<&str, BTreeMap<String, String>> =
        real::EXAMPLES.iter().filter(|name| **name != "hello").map(|example| (*example, concluded(example))).collect();
    for (example, package, expected) in BY_EYE {
        let found = all[example].get(*package).unwrap_or_else(|| panic!("{example}: no `{package}`"));
        assert_eq!(found, expected, "{example}: {package}");
    }
    for (example, package, part) in PARTS {
        let found = &all[example][*package];
        assert!(found.split(" AND ").any(|one| one == *part), "{example}: {package}: {found}");
    }
    let packages: Vec<(&String, &String)> = all.values().flatten().collect();
    let unknown: Vec<&String> =
        packages.iter().filter(|(_, license)| *license == NOASSERTION).map(|(name, _)| *name).collect();
    for (name, license) in &packages {
        assert!(*license == NOASSERTION || spdx::Expression::parse(license).is_ok(), "{name}: {license}");
    }
    let known = packages.len() - unknown.len();
    eprintln!("{known} of {} packages have a licence", packages.len());
    assert!(packages.len() > 250 && known * 100 >= packages.len() * 95, "{known} of {}: {unknown:?}", packages.len());
}

/// Returns the inventory of what stands at `path`, by analysis.
fn analysed(path: &str) -> Inventory {
    let open = image::open(&Destination::parse(path).unwrap()).unwrap();
    let scratch = tempfile::tempfile().unwrap();
    sbom::analyse(&open, &open.images()[0], "found", &scratch).unwrap()
}

/// Returns name, version and concluded licence of the components of a kind.
fn components(inventory: &Inventory, kind: Kind) -> Vec<(&str, &str, &str)> {
    let all = inventory.components.iter().filter(|component| component.kind == kind);
    all.map(|one| (one.name.as_str(), one.version.as_str(), one.licensing.concluded.as_deref().unwrap_or("-")))
        .collect()
}

#[test]
fn an_image_that_nobody_described_is_analysed_by_what_stands_in_it() {
    let place = place();
    place.write("app/node_modules/x/package.json", r#"{"name": "x", "version": "1.0.0", "license": "ISC"}"#);
    place.write("app/node_modules/x/index.js", "1");
    place.write("app/node_modules/x/node_modules/y/package.json", r#"{"name": "y", "version": "2.0.0"}"#);
    for form in ["status.d", "status"] {
        spec(
            &place,
            "web",
            &format!(
                "packages: [strong, linked, silent]\nkeep: runtime\nsbom: {{dpkg-db: {form}}}\nfiles: [{{copy: app/, to: \
                 /app}}]\nlabels: {{org.opencontainers.image.vendor: Acme Ltd}}\n"
            ),
        );
        place.ok(&["build", "web.yaml", "-o", "web.oci"]);
        let path = place.path("web.oci");
        let found = analysed(path.to_str().unwrap());
        assert_eq!(found.known, Known::Analysed);
        assert_eq!(found.distro.as_ref().map(|distro| distro.id.as_str()), Some("test"));
        assert_eq!(
            components(&found, Kind::Debian),
            [
                ("base-files", "13.1", "GPL-2.0-or-later"),
                ("free", "1.0", "MIT"),
                ("linked", "1.0", "MIT"),
                ("silent", "1.0", "-"),
                ("strong", "1.0", "AGPL-3.0-or-later"),
            ],
            "{form}"
        );
        assert_eq!(components(&found, Kind::Language("npm")), [("x", "1.0.0", "ISC"), ("y", "2.0.0", "-")]);
        let number = |name: &str| found.components.iter().position(|component| component.name == name).unwrap();
        let owner = |path: &str| found.files.iter().find(|file| file.path.as_str() == path).map(|file| file.owner);
        // These packages have no checksums, by which `status.d` knows files.
        if form == "status" {
            assert_eq!(owner("usr/lib/strong"), Some(number("strong")));
        }
        assert_eq!(owner("app/node_modules/x/index.js"), Some(number("x")));
        assert_eq!(owner("app/node_modules/x/node_modules/y/package.json"), Some(number("y")));
        assert_eq!(owner("etc/passwd"), Some(0));
        let depends: Vec<usize> = found.components[number("strong")].depends.iter().map(|one| one.on).collect();
        assert_eq!(depends, [number("free")]);
        // Again and under another number of threads, the documents have the same bytes; and they say what they are.
        let again = analysed(path.to_str().unwrap());
        let spdx = sbom::spdx(&found);
        assert_eq!(spdx, sbom::spdx(&again));
        let cyclonedx: Value = serde_json::from_slice(&sbom::cyclonedx(&found, sbom::Version::default())).unwrap();
        assert_eq!(cyclonedx["metadata"]["lifecycles"][0]["phase"], "discovery");
        assert!(String::from_utf8(spdx).unwrap().contains("named by no package database of the image"));
    }
}

/// The group `real`: an image that podman made of a root of mmdebstrap's.
#[test]
fn an_image_of_other_tools_is_analysed_as_dpkg_tells_it() {
    let (Some(mmdebstrap), Some(podman)) = (program("mmdebstrap"), program("podman")) else { return };
    let place = Place::new();
    let (tar, layout) = (place.path("root.tar"), place.path("other.oci"));
    let mut command = Command::new(mmdebstrap);
    command
        .args(["--variant=essential", "--include=zlib1g", "--skip=output/dev", "bookworm"])
        .arg(&tar)
        .stdin(std::process::Stdio::null());
    must(command.env("TMPDIR", place.path("")));
    let conf = place.write(
        "storage.conf",
        format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            place.path("").display()
        ),
    );
    let podman = |arguments: &[&str]| must(Command::new(&podman).args(arguments).env("CONTAINERS_STORAGE_CONF", &conf));
    podman(&["import", "-q", tar.to_str().unwrap(), "localhost/other:1"]);
    podman(&["push", "-q", "--format", "oci", "localhost/other:1", &format!("oci:{}", layout.display())]);

    let found = analysed(layout.to_str().unwrap());
    let told = must(Command::new("sh").args(["-c", "tar -xOf \"$1\" ./var/lib/dpkg/status", "sh"]).arg(&tar));
    let mut names: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
    names.sort_unstable();
    let debian = components(&found, Kind::Debian);
    assert_eq!(debian.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), names);
    let known = debian.iter().filter(|(.., license)| *license != "-").count();
    assert!(known * 100 >= debian.len() * 80, "{known} of {}: {debian:?}", debian.len());
    assert!(debian.iter().any(|(name, _, license)| *name == "libgcc-s1" && license.contains("GCC-exception-3.1")));
    let owned = found.files.iter().filter(|file| file.owner != 0).count();
    assert!(owned * 100 > found.files.len() * 90, "{owned} of {}", found.files.len());
}
