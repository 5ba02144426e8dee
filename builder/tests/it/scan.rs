//! SBOMs of directories that others made: `sbom dir:PATH`, and the scanner that BuildKit starts.

#![expect(clippy::disallowed_methods, reason = "the order of what a directory holds does not matter here")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;

use crate::judges::{accepts, judge};
use crate::program::{Place, Ran};

/// 2026-01-02 03:04:05 UTC.
const TIME: u64 = 1_767_323_045;

/// Writes a root file system as Debian's packages leave it: `greet` is installed, `gone` was, Python has a package of its
/// own, and one file belongs to nobody.
fn rootfs(place: &Place, name: &str) {
    let write = |path: &str, text: &str| {
        place.write(&format!("{name}/{path}"), text);
    };
    write("usr/lib/os-release", "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Test 13\"\n");
    write(
        "var/lib/dpkg/status",
        "Package: greet\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\nMaintainer: A <a@example.org>\n\
         Description: greets\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n",
    );
    write("var/lib/dpkg/info/greet.list", "/.\n/usr\n/usr/bin\n/usr/bin/greet\n/usr/share/doc/greet/copyright\n");
    write("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nArchitecture: all\nVersion: 2026a-1\n");
    write("usr/bin/greet", "#!/bin/sh\necho hello\n");
    write(
        "usr/share/doc/greet/copyright",
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 2001 A\nLicense: Expat\n",
    );
    write(
        "opt/app/lib/python3.13/site-packages/hi-2.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: hi\nVersion: 2.0\n",
    );
    write("opt/app/own", "mine");
    std::fs::set_permissions(place.path(&format!("{name}/usr/bin/greet")), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("usr/bin", place.path(&format!("{name}/bin"))).unwrap();
    age(&place.path(name));
}

/// Sets the times of all files to [`TIME`].
fn age(path: &Path) {
    for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            age(&entry.path());
        } else if kind.is_file() {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(TIME);
            std::fs::File::options().append(true).open(entry.path()).unwrap().set_modified(time).unwrap();
        }
    }
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Returns the packages of an SPDX document, but for the whole, as `name version purl`.
fn packages(document: &Value) -> Vec<String> {
    let field = |package: &Value, name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let all = document["packages"].as_array().unwrap().iter().skip(1);
    all.map(|package| {
        let purl = package["externalRefs"][0]["referenceLocator"].as_str().unwrap_or_default();
        format!("{} {} {purl}", field(package, "name"), field(package, "versionInfo"))
    })
    .collect()
}

fn files(document: &Value) -> Vec<&str> {
    document["files"].as_array().unwrap().iter().map(|file| file["fileName"].as_str().unwrap()).collect()
}

#[test]
fn a_directory_is_told_by_its_databases_and_files() {
    let place = Place::new();
    rootfs(&place, "root");
    let text = place.ok(&["sbom", "dir:root"]);
    let spdx = document(&text);
    assert_eq!(
        packages(&spdx),
        [
            "greet 1.0-1 pkg:deb/debian/greet@1.0-1?arch=amd64&distro=debian-13",
            "tzdata 2026a-1 pkg:deb/debian/tzdata@2026a-1?arch=all&distro=debian-13",
            "hi 2.0 pkg:pypi/hi@2.0",
        ]
    );
    assert_eq!(spdx["packages"][1]["licenseDeclared"], "MIT");
    assert_eq!(spdx["creationInfo"]["created"], "2026-01-02T03:04:05Z", "the newest file's time");
    assert_eq!(spdx["creationInfo"]["comment"], "SBOM Type: Analyzed");
    assert_eq!(spdx["packages"][0].get("sourceInfo"), None, "nobody says who built it");
    assert!(files(&spdx).contains(&"./opt/app/own") && files(&spdx).contains(&"./usr/bin/greet"));
    assert!(!files(&spdx).iter().any(|file| file.starts_with("./bin")), "a link is no file");
    let owners = spdx["relationships"].as_array().unwrap();
    let of = |name: &str| {
        let id = &spdx["files"].as_array().unwrap().iter().find(|file| file["fileName"] == name).unwrap()["SPDXID"];
        &owners.iter().find(|one| one["relatedSpdxElement"] == *id).unwrap()["spdxElementId"]
    };
    assert_eq!(of("./usr/bin/greet"), "SPDXRef-deb-greet");
    assert_eq!(of("./opt/app/own"), "SPDXRef-image");
    if let Some(validator) = judge("venv/bin/pyspdxtools") {
        place.write("spdx.json", &text);
        accepts(std::process::Command::new(validator).arg("-i").arg(place.path("spdx.json")));
    }

    // What stands there alone counts: not where, and not in which order it came there.
    rootfs(&place, "elsewhere/root");
    assert_eq!(place.ok(&["sbom", "dir:elsewhere/root/"]), text);
    place.write("elsewhere/root/opt/app/own", "yours");
    age(&place.path("elsewhere/root"));
    let other = document(&place.ok(&["sbom", "dir:elsewhere/root"]));
    assert_ne!(other["documentNamespace"], spdx["documentNamespace"]);

    let cyclonedx = document(&place.ok(&["sbom", "dir:root", "--format", "cyclonedx"]));
    assert_eq!(cyclonedx["metadata"]["lifecycles"][0]["phase"], "discovery");
    assert_eq!(cyclonedx["metadata"]["component"]["name"], "root");
    assert!(place.ok(&["sbom", "dir:root", "--format", "spdx3"]).contains("pkg:deb/debian/greet@1.0-1"));
    let ran = place.run(&["sbom", "dir:root", "--platform", "linux/amd64"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("a directory holds one root file system"), "{}", ran.err);
    let ran = place.run(&["sbom", "dir:none"]);
    assert!(ran.status == 2 && ran.err.contains("cannot read `none`"), "{}", ran.err);
}

#[test]
fn nothing_outside_of_the_directory_is_read_and_what_is_left_out_is_told() {
    let place = Place::new();
    rootfs(&place, "outside");
    place.write("root/kept", "kept");
    place.write("root/lib/apk/db/installed", "P:musl\nV:1.2\n\n");
    std::fs::create_dir_all(place.path("root/var/lib")).unwrap();
    // The database and the release of another system.
    symlink(place.path("outside/var/lib/dpkg"), place.path("root/var/lib/dpkg")).unwrap();
    symlink("../outside/usr", place.path("root/usr")).unwrap();
    symlink(".", place.path("root/round")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.path("root/fifo"), rustix::fs::Mode::RWXU).unwrap();
    std::fs::write(place.path("root").join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    let ran = place.run(&["sbom", "dir:root"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let spdx = document(&ran.out);
    assert_eq!(packages(&spdx), [""; 0]);
    assert_eq!(files(&spdx), ["./kept", "./lib/apk/db/installed"]);
    let comment = spdx["comment"].as_str().unwrap();
    assert!(comment.contains("`caf\u{fffd}` is left out: its name is not UTF-8"), "{comment}");
    assert!(comment.contains("The package database of apk at `lib/apk/db/installed` is not read"), "{comment}");
    assert!(ran.err.contains("warning: the package database of apk"), "{}", ran.err);
}

#[test]
fn a_directory_beyond_a_bound_is_refused_at_once() {
    let place = Place::new();
    place.write("root/hole", "");
    let file = std::fs::File::options().write(true).open(place.path("root/hole")).unwrap();
    if file.set_len((256 << 30) + 1).is_err() {
        return;
    }
    let ran = place.run(&["sbom", "dir:root"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("its files have more than 274877906944 bytes"), "{}", ran.err);
}

/// Runs the program as BuildKit runs a scanner.
fn scan(place: &Place, source: &str, extras: Option<&str>) -> Ran {
    let mut command = place.tarsia(["buildkit"]);
    command.env("BUILDKIT_SCAN_DESTINATION", place.path("out")).env("BUILDKIT_SCAN_SOURCE", place.path(source));
    if let Some(extras) = extras {
        command.env("BUILDKIT_SCAN_SOURCE_EXTRAS", place.path(extras));
    }
    Ran::from(command.output().unwrap())
}

fn written(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.path("out")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_scanner_writes_a_statement_for_each_root_file_system() {
    let place = Place::new();
    rootfs(&place, "core/sbom");
    rootfs(&place, "extras/sbom-stage");
    place.write("extras/sbom-context/Dockerfile", "FROM scratch\n");
    place.write("extras/no-directory", "");
    std::fs::create_dir(place.path("out")).unwrap();
    let ran = scan(&place, "core/sbom", Some("extras"));
    assert_eq!((ran.status, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains("sbom.spdx.json`: 3 packages, 8 files"), "{}", ran.err);
    // BuildKit takes everything in the directory for a statement.
    assert_eq!(written(&place), ["sbom-context.spdx.json", "sbom-stage.spdx.json", "sbom.spdx.json"]);
    let statement = document(&std::fs::read_to_string(place.path("out/sbom.spdx.json")).unwrap());
    assert_eq!(statement["predicateType"], "https://spdx.dev/Document");
    assert_eq!(statement["subject"], serde_json::json!([]), "BuildKit knows the image, and names it");
    let spdx = &statement["predicate"];
    assert_eq!(packages(spdx).len(), 3);
    // BuildKit writes the layer of a file where its comment is empty.
    assert!(spdx["files"].as_array().unwrap().iter().all(|file| file.get("comment").is_none()));
    let context = document(&std::fs::read_to_string(place.path("out/sbom-context.spdx.json")).unwrap());
    assert_eq!(files(&context["predicate"]), ["./Dockerfile"]);

    // Again, over what stands there; and extras that are not there are none.
    let before = std::fs::read(place.path("out/sbom.spdx.json")).unwrap();
    std::fs::remove_dir_all(place.path("out")).unwrap();
    std::fs::create_dir(place.path("out")).unwrap();
    assert_eq!(scan(&place, "core/sbom", Some("none")).status, 0);
    assert_eq!(scan(&place, "core/sbom", None).status, 0);
    assert_eq!(written(&place), ["sbom.spdx.json"]);
    assert_eq!(std::fs::read(place.path("out/sbom.spdx.json")).unwrap(), before);

    rootfs(&place, "twice/sbom");
    let ran = scan(&place, "core/sbom", Some("twice"));
    assert!(ran.status == 2 && ran.err.contains("two root file systems called `sbom`"), "{}", ran.err);
    let ran = scan(&place, "core/none", None);
    assert!(ran.status == 2 && ran.err.contains("cannot read `"), "{}", ran.err);
}

#[test]
fn only_buildkit_starts_it() {
    let ran = Place::new().run(&["buildkit"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("cannot answer BuildKit: it has not started this program"), "{}", ran.err);
}
