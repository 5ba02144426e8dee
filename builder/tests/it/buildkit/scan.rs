//! Tarsia as an SBOM scanner of BuildKit: what is attached to an image that BuildKit builds.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::daemon::Daemon;
use super::turn;
use super::worker::worker;
use crate::container::must;
use crate::deb::deb;
use crate::distribution::Distribution;
use crate::judges::{accepts, judge, program};
use crate::program::Place;
use crate::world::{Archive, spec};

/// Returns the one blob of a layout that `document` names by a digest.
fn blob(layout: &Path, descriptor: &Value) -> Value {
    let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    serde_json::from_slice(&std::fs::read(layout.join("blobs/sha256").join(hex)).unwrap()).unwrap()
}

/// Returns the statement that BuildKit has attached to the one image of a layout.
fn attached(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let index = blob(layout, &index["manifests"][0]);
    let all = index["manifests"].as_array().unwrap();
    let [attestations] = all
        .iter()
        .filter(|one| one["annotations"]["vnd.docker.reference.type"] == "attestation-manifest")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{index:#}")
    };
    let manifest = blob(layout, attestations);
    assert_eq!(manifest["layers"][0]["annotations"]["in-toto.io/predicate-type"], "https://spdx.dev/Document");
    blob(layout, &manifest["layers"][0])
}

/// Returns what a document says of Debian packages: name, version and purl, sorted.
fn packages(spdx: &Value) -> Vec<String> {
    let mut all: Vec<String> = spdx["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| {
            let references = package["externalRefs"].as_array()?;
            let purl = references
                .iter()
                .find_map(|one| one["referenceLocator"].as_str().filter(|text| text.starts_with("pkg:deb")))?;
            Some(format!("{} {} {purl}", package["name"], package["versionInfo"]))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn buildkit_attaches_what_the_scanner_says_and_others_read_it() {
    let turn = turn();
    let Some(daemon) = Daemon::buildkitd(&turn) else { return };
    let (Some(registry), Some(umoci)) = (Distribution::start(false), program("umoci")) else { return };
    let place = Place::new();
    // A root file system of packages whose SBOM is known.
    let copyright = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                     Files: *\nCopyright: 2001 A\nLicense: Expat\n";
    Archive::new(1)
        .deb(deb("base-files", "13.1").file("/usr/lib/os-release", 0o644, "ID=debian\nVERSION_ID=\"13\"\n"))
        .deb(deb("greet", "1:2.0-1").source("greetings (2.0-1)").file("/usr/bin/greet", 0o755, "#!/bin/false\n").file(
            "/usr/share/doc/greet/copyright",
            0o644,
            copyright,
        ))
        .write(&place);
    spec(&place, "greet", "packages: [greet]\nkeep: runtime\nlayers: {compression: gzip}\n");
    place.ok(&["build", "greet.yaml", "-o", "oci:greet.oci:1"]);
    let own: Value = serde_json::from_str(&place.ok(&["sbom", "greet.oci"])).unwrap();
    std::fs::create_dir(place.path("context")).unwrap();
    must(
        Command::new(umoci)
            .args(["raw", "unpack", "--image"])
            .arg(format!("{}:1", place.path("greet.oci").display()))
            .arg(place.path("context/rootfs")),
    );
    place.write("context/Dockerfile", "FROM scratch\nCOPY rootfs /\nCOPY Dockerfile /own\n");

    let scanner = worker().image(&registry);
    let solve = |name: &str| {
        let context = place.path("context").display().to_string();
        let mut command = daemon.buildctl(["build", "--frontend", "dockerfile.v0"]);
        command.args(["--local", &format!("context={context}"), "--local", &format!("dockerfile={context}")]);
        command.args(["--opt", &format!("attest:sbom=generator={scanner}"), "--output"]);
        must(command.arg(format!("type=oci,tar=false,dest={}", place.path(name).display())));
        attached(&place.path(name))
    };
    let statement = solve("one");
    let spdx = &statement["predicate"];
    // Which archive a package came from is not told by what is installed.
    let own: Vec<String> = packages(&own).iter().map(|one| one.replace("pkg:deb/test/", "pkg:deb/debian/")).collect();
    assert_eq!(packages(spdx), own, "the very packages that the SBOM of the build names");
    assert!(packages(spdx).len() == 2, "{spdx:#}");
    let creators = spdx["creationInfo"]["creators"].to_string();
    assert!(creators.contains("tarsia-") && creators.contains("buildkit-"), "{creators}");
    let file = |name: &str| spdx["files"].as_array().unwrap().iter().find(|file| file["fileName"] == name).unwrap();
    for name in ["./usr/bin/greet", "./own"] {
        assert!(file(name)["comment"].as_str().unwrap().starts_with("layerID: sha256:"), "{}", file(name));
    }
    assert_ne!(file("./usr/bin/greet")["comment"], file("./own")["comment"]);

    // Made anew of the same files it says the same.
    daemon.prune();
    assert_eq!(solve("two")["predicate"], *spdx);

    place.write("spdx.json", spdx.to_string());
    if let Some(validator) = judge("venv/bin/pyspdxtools") {
        accepts(Command::new(validator).arg("-i").arg(place.path("spdx.json")));
    }
    if let Some(syft) = judge("venv/bin/syft") {
        let mut command = Command::new(syft);
        command.args(["convert", "spdx.json", "-o", "json"]).current_dir(place.path(".")).env("HOME", place.path("."));
        let read: Value = serde_json::from_str(&must(command.env("SYFT_CHECK_FOR_APP_UPDATE", "false"))).unwrap();
        let found: Vec<&str> =
            read["artifacts"].as_array().unwrap().iter().filter_map(|one| one["purl"].as_str()).collect();
        for package in packages(spdx) {
            assert!(found.contains(&package.rsplit(' ').next().unwrap()), "{package}: {found:?}");
        }
    }
}
