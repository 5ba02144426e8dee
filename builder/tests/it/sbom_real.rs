//! The group `real`: SBOMs of examples, judged by other people's validators and scanners.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::container::must;
use crate::judges::{accepts, judge};
use crate::program::{Place, copy_tree, specs};
use crate::real;
use crate::scorer::score;

/// The examples whose documents are judged.
const JUDGED: [&str; 3] = ["python", "java", "nginx"];

/// A place with the images of [`JUDGED`], whose specs name an author, and all their documents as `NAME.FORMAT.json`.
fn home() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        copy_tree(&specs(), &place.path("."));
        for name in JUDGED {
            real::image(name);
            let spec = std::fs::read_to_string(place.path(&format!("{name}.yaml"))).unwrap();
            assert!(!spec.contains("\nsbom:"), "the example grew an author; change this test");
            place.write(
                &format!("{name}.yaml"),
                format!("{spec}\nsbom: {{author: \"Acme Ltd <sbom@acme.example>\"}}\n"),
            );
            let lock = format!("{name}.lock");
            std::fs::copy(real::home().path(&format!("specs/{lock}")), place.path(&lock)).unwrap();
            let store = real::home().path("store");
            let mut build = place.tarsia(["build", &format!("{name}.yaml"), "-o", &format!("{name}.oci")]);
            must(build.env("TARSIA_STORE", store));
            for (file, format) in
                [("spdx", "spdx"), ("spdx3", "spdx3"), ("cdx-1.5", "1.5"), ("cdx-1.6", "1.6"), ("cdx-1.7", "1.7")]
            {
                let file = format!("{name}.{file}.json");
                let image = format!("{name}.oci");
                match format {
                    "spdx" | "spdx3" => place.ok(&["sbom", &image, "--format", format, "-o", &file]),
                    version => {
                        place.ok(&["sbom", &image, "--format", "cyclonedx", "--cdx-version", version, "-o", &file])
                    }
                };
            }
        }
        place
    })
}

fn document(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(home().path(name)).unwrap()).unwrap()
}

/// Returns a program of the validators, to be run where the documents are.
fn validator(program: &str) -> Option<Command> {
    let mut command = Command::new(judge(&format!("venv/bin/{program}"))?);
    command.current_dir(home().path(".")).env_remove("PYTHONPATH");
    Some(command)
}

#[test]
fn spdx_2_is_valid_and_has_ntia_s_and_openchain_telco_s_elements() {
    for name in JUDGED {
        let file = format!("{name}.spdx.json");
        if let Some(mut command) = validator("pyspdxtools") {
            accepts(command.args(["-i", &file]));
        }
        if let Some(mut command) = validator("ntia-checker") {
            let said = accepts(command.args(["-c", "ntia", &file]));
            assert!(said.contains("Conformant: True"), "{name}: {said}");
        }
        for version in ["1.1", "1.2"] {
            if let Some(mut command) = validator("openchain-telco-sbom-validator") {
                let said = accepts(command.args(["--guide-version", version, &file]));
                assert!(said.contains("is compliant with"), "{name}: {said}");
            }
        }
    }
}

#[test]
fn spdx_3_has_the_elements_of_ntia_cisa_and_the_bsi() {
    for name in JUDGED {
        for standard in ["ntia", "fsct3-min", "bsi"] {
            if let Some(mut command) = validator("ntia-checker") {
                let said = accepts(command.args(["-s", "spdx3", "-c", standard, &format!("{name}.spdx3.json")]));
                assert!(said.contains("Conformant: True"), "{name} {standard}: {said}");
            }
        }
    }
}

/// Validates documents against the strict schema of their version, as `cyclonedx-python-lib` has it.
const STRICT: &str = r#"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for file in sys.argv[1:]:
    version = SchemaVersion.from_version(file.split("cdx-")[1][:3])
    wrong = JsonStrictValidator(version).validate_str(open(file).read())
    sys.exit(f"{file}: {wrong}") if wrong else print(file, "is valid")
"#;

#[test]
fn cyclonedx_is_valid_in_every_version() {
    for name in JUDGED {
        let files = ["1.5", "1.6", "1.7"].map(|version| format!("{name}.cdx-{version}.json"));
        if let Some(mut command) = validator("python3") {
            let said = accepts(command.args(["-c", STRICT]).args(&files));
            assert_eq!(said.matches("is valid").count(), 3, "{said}");
        }
        if let Some(mut command) = validator("cdx-ev") {
            accepts(command.args(["validate", "--no-filename-validation", &files[1]]));
        }
    }
}

#[test]
fn every_document_scores_nine_at_least() {
    for name in JUDGED {
        for format in ["spdx", "cdx-1.6", "spdx3"] {
            let score = score(&std::fs::read(home().path(&format!("{name}.{format}.json"))).unwrap());
            println!("{name} {format} {:.2} {:?}", score.total, score.categories);
            assert!(score.total >= 9.0, "{name} {format}: {score:?}");
        }
    }
}

/// Returns what a document of SPDX 2.3 says of its Debian packages, as (name, version, purl).
fn packages(name: &str) -> BTreeSet<(String, String, String)> {
    let document = document(&format!("{name}.spdx.json"));
    let packages = document["packages"].as_array().unwrap().iter().filter_map(|package| {
        let purl = package["externalRefs"][0]["referenceLocator"].as_str()?;
        let field = |field: &str| package[field].as_str().unwrap().to_owned();
        purl.starts_with("pkg:deb/").then(|| (field("name"), field("versionInfo"), purl.to_owned()))
    });
    packages.collect()
}

#[test]
fn syft_finds_the_very_packages_and_files_them_under_the_same_purls() {
    for name in JUDGED {
        let Some(mut syft) = validator("syft") else { return };
        syft.env("SYFT_CHECK_FOR_APP_UPDATE", "false").env("HOME", home().path("."));
        let said = must(syft.args(["scan", &format!("oci-dir:{name}.oci"), "-q", "-o", "json"]));
        let found: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&found["distro"]["id"], &found["distro"]["versionID"]), (&"debian".into(), &"13".into()));
        let artifacts = found["artifacts"].as_array().unwrap().iter().filter(|artifact| artifact["type"] == "deb");
        let field = |artifact: &Value, field: &str| artifact[field].as_str().unwrap().to_owned();
        let theirs: BTreeSet<_> = artifacts
            .map(|artifact| (field(artifact, "name"), field(artifact, "version"), field(artifact, "purl")))
            .collect();
        assert_eq!(theirs, packages(name), "{name}");
    }
}

#[test]
fn syft_reads_our_documents_and_finds_what_is_in_them() {
    for file in ["nginx.spdx.json", "nginx.cdx-1.6.json"] {
        let Some(mut syft) = validator("syft") else { return };
        syft.env("SYFT_CHECK_FOR_APP_UPDATE", "false").env("HOME", home().path("."));
        let said = must(syft.args(["convert", file, "-q", "-o", "json"]));
        let found: Value = serde_json::from_str(&said).unwrap();
        let artifacts = found["artifacts"].as_array().unwrap().iter();
        let debs =
            artifacts.filter(|artifact| artifact["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:deb/")));
        // A source package is no installed one.
        assert_eq!(debs.count(), packages("nginx").len(), "{file}");
        if file.contains("cdx") {
            assert_eq!((&found["distro"]["id"], &found["distro"]["versionID"]), (&"debian".into(), &"13".into()));
        }
    }
}

#[test]
fn trivy_names_the_distribution_and_the_very_packages() {
    for name in JUDGED {
        let Some(trivy) = judge("bin/trivy") else { return };
        let mut command = Command::new(trivy);
        command.current_dir(home().path(".")).env("HOME", home().path("."));
        command.args([
            "image",
            "--quiet",
            "--offline-scan",
            "--vuln-type",
            "os", // what is in jars takes a database that no registry here has
            "--cache-dir",
            "trivy",
            "--format",
            "cyclonedx",
            "--input",
        ]);
        let found: Value = serde_json::from_str(&must(command.arg(format!("{name}.oci")))).unwrap();
        let components = found["components"].as_array().unwrap();
        let system = components.iter().find(|one| one["type"] == "operating-system").unwrap();
        assert_eq!(system["name"], "debian", "{name}");
        assert!(system["version"].as_str().unwrap().starts_with("13"), "{name}: {system}");
        let purl = |one: &Value| one["purl"].as_str().filter(|purl| purl.starts_with("pkg:deb/")).map(str::to_owned);
        // Without qualifiers, which name the point release in theirs, and without the epoch, which is one of them.
        let bare = |purl: &str| {
            let purl = purl.split('?').next().unwrap_or_default().replace("%2B", "+");
            let (name, version) = purl.split_once('@').unwrap();
            format!("{name}@{}", version.split_once(':').map_or(version, |(_, version)| version))
        };
        let theirs: BTreeSet<String> = components.iter().filter_map(purl).map(|purl| bare(&purl)).collect();
        let ours: BTreeSet<String> = packages(name).iter().map(|(.., purl)| bare(purl)).collect();
        assert_eq!(theirs, ours, "{name}");
    }
}

/// Returns digest by path of all regular files and hard links in the layers of an image, by Python's own tar reader.
fn tarred(image: &Path) -> BTreeMap<String, (String, String)> {
    let blob = |digest: &str| image.join("blobs/sha256").join(&digest[7..]);
    let json = |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let index = json(image.join("index.json"));
    let manifest = json(blob(index["manifests"][0]["digest"].as_str().unwrap()));
    let mut files = BTreeMap::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let decoded =
            zstd::Decoder::new(std::fs::File::open(blob(layer["digest"].as_str().unwrap())).unwrap()).unwrap();
        for entry in tar::Archive::new(decoded).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            match entry.header().entry_type() {
                tar::EntryType::Regular => {
                    let mut bytes = Vec::new();
                    std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                    let sums = (tarsia::digest::Digest::of(&bytes).hex(), tarsia::digest::Sha1::of(&bytes).hex());
                    files.insert(path, sums);
                }
                tar::EntryType::Link => {
                    let target = entry.link_name().unwrap().unwrap().to_string_lossy().into_owned();
                    let sums = files[&target].clone();
                    files.insert(path, sums);
                }
                _ => {}
            }
        }
    }
    files
}

#[test]
fn the_files_of_the_documents_are_those_of_the_layers_to_the_byte() {
    for name in JUDGED {
        let layers = tarred(&home().path(&format!("{name}.oci")));
        let sum = |file: &Value, list: &str, at: usize, field: &str| file[list][at][field].as_str().unwrap().to_owned();
        let two = document(&format!("{name}.spdx.json"));
        let of_two: BTreeMap<String, (String, String)> = two["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                let path = file["fileName"].as_str().unwrap().strip_prefix("./").unwrap().to_owned();
                (path, (sum(file, "checksums", 1, "checksumValue"), sum(file, "checksums", 0, "checksumValue")))
            })
            .collect();
        assert!(of_two == layers, "{name}: SPDX 2.3");
        let three = document(&format!("{name}.spdx3.json"));
        let of_three: BTreeMap<String, (String, String)> = three["@graph"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|element| element["type"] == "software_File")
            .filter_map(|file| {
                let path = file["name"].as_str().unwrap().strip_prefix('/')?.to_owned();
                let sums = (sum(file, "verifiedUsing", 1, "hashValue"), sum(file, "verifiedUsing", 0, "hashValue"));
                Some((path, sums))
            })
            .collect();
        assert!(of_three == layers, "{name}: SPDX 3");
        let cyclonedx = document(&format!("{name}.cdx-1.6.json"));
        let components = cyclonedx["components"].as_array().unwrap().iter();
        let parts = components.filter(|one| one["type"] != "operating-system");
        let all = parts.chain([&cyclonedx["metadata"]["component"]]);
        let located: Vec<&str> = all
            .flat_map(|one| one["evidence"]["occurrences"].as_array().into_iter().flatten())
            .map(|one| one["location"].as_str().unwrap().strip_prefix('/').unwrap())
            .collect();
        let unique: BTreeSet<&str> = located.iter().copied().collect();
        assert_eq!(located.len(), unique.len(), "{name}: each file once");
        assert!(unique.iter().copied().eq(layers.keys().map(String::as_str)), "{name}: CycloneDX");
    }
}
