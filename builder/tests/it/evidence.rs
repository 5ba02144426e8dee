//! The documents that `build` writes beside an image.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tarsia::digest::Digest;
use tarsia::evidence::{Document, Evidence, Reasons};

use crate::deb::deb;
use crate::program::{Place, names};
use crate::world::{Archive, spec};

/// A place with an archive, and a spec with a package, a copied tree, a certificate-free rest and a forced `never`.
fn place() -> Place {
    let place = Place::new();
    Archive::new(9)
        .deb(deb("hello", "1.0-1+b1").depends("libgreet1").file("/usr/bin/hello", 0o755, "hello\n"))
        .deb(deb("libgreet1", "1:1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
        .write(&place);
    place.write("conf/web.conf", "a = 1\n");
    place.write("conf/sub/more.conf", "b = 2\n");
    let rest = "packages: [hello]\nkeep: runtime\nnever: [{path: \"/usr/share/nothing/*\", force: true}]\n\
                files:\n  - {copy: conf/, to: /etc/web/}\n  - {text: \"hi\\n\", to: /etc/motd}\n";
    spec(&place, "web", rest);
    place
}

fn evidence(place: &Place, name: &str) -> Evidence {
    Evidence::open(&place.path(name)).unwrap()
}

/// Every file of a directory with its bytes.
fn all(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in names(directory) {
        let path = directory.join(&name);
        if path.is_dir() {
            files.extend(all(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

fn provenance(place: &Place, name: &str) -> Value {
    let evidence = evidence(place, name);
    let statement = evidence.statement(&evidence.manifests()[0].digest, Document::Provenance).unwrap().unwrap();
    statement.predicate().clone()
}

#[test]
fn every_file_output_has_its_evidence_beside_it() {
    let place = place();
    let outputs = ["build", "web.yaml", "-o", "web.oci", "-o", "./out.tar", "-o", "docker-archive:d.tar:web"];
    let digest = place.ok(&outputs);
    let digest = digest.trim().parse::<Digest>().unwrap();
    let first = all(&place.path("web.oci.evidence"));
    for beside in ["web.oci.evidence", "out.tar.evidence", "d.tar.evidence"] {
        let evidence = evidence(&place, beside);
        assert_eq!((evidence.digest(), evidence.name()), (digest, "web"), "{beside}");
        assert_eq!(all(&place.path(beside)), first);
    }
    // An archive for Docker names its image by the config.
    let told: Value = serde_json::from_str(&place.ok(&["--json", "inspect", "d.tar"])).unwrap();
    let config = told["digest"].as_str().unwrap().parse::<Digest>().unwrap();
    Evidence::open_for(&place.path("d.tar.evidence"), &config).unwrap();
    // Every path of the image is in the reasons, and nothing else is.
    let bytes = evidence(&place, "web.oci.evidence").read(&digest, Document::Reasons).unwrap().unwrap();
    let reasons = Reasons::parse(&bytes).unwrap();
    let told: Value = serde_json::from_str(&place.ok(&["--json", "inspect", "web.oci", "--files"])).unwrap();
    let files: Vec<&str> =
        told["images"][0]["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    for file in &files {
        assert!(reasons.paths.contains_key(*file), "{file}");
    }
    let of = |path: &str| &reasons.paths[path];
    assert_eq!(of("/usr/bin/hello").package.as_deref(), Some("hello"));
    assert_eq!(of("/etc/web/sub/more.conf").entry.as_deref(), Some("files[0]"));
    assert_eq!((of("/etc/passwd").origin.as_str(), of("/etc/motd").origin.as_str()), ("derived", "spec"));
}

#[test]
fn evidence_is_a_function_of_spec_lock_and_local_files() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let first = all(&place.path("web.oci.evidence"));
    // Found again, from an empty store, elsewhere, at another time, by one thread.
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    assert_eq!(all(&place.path("web.oci.evidence")), first, "found in the store");
    fs::rename(place.path("store"), place.path("old-store")).unwrap();
    let mut again = place.tarsia(["build", "web.yaml", "--locked", "--threads", "1", "-o", "sub/again.oci"]);
    fs::create_dir(place.path("sub")).unwrap();
    assert!(again.env("TZ", "Pacific/Chatham").status().unwrap().success());
    assert_eq!(all(&place.path("sub/again.oci.evidence")), first, "from an empty store");
    // A store that has lost the documents, and nothing else.
    let evidence = evidence(&place, "sub/again.oci.evidence");
    let digest = Digest::of(&evidence.read(&evidence.digest(), Document::Reasons).unwrap().unwrap()).hex();
    fs::remove_file(place.path(&format!("store/blobs/sha256/{}/{digest}", &digest[..2]))).unwrap();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    assert_eq!(all(&place.path("web.oci.evidence")), first, "made once more");
    let text = String::from_utf8(first["provenance.json"].clone()).unwrap();
    for word in [place.path("").to_str().unwrap(), "file:", "/tmp/"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[test]
fn provenance_names_every_input_and_every_relaxed_check() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let provenance = provenance(&place, "web.oci.evidence");
    let build = &provenance["buildDefinition"];
    assert_eq!(build["externalParameters"]["platform"], "linux/amd64");
    assert_eq!(build["externalParameters"]["spec"]["name"], "web");
    assert_eq!(
        build["internalParameters"]["relaxed"],
        serde_json::json!([{ "check": "never-forced", "pattern": "/usr/share/nothing/*" }])
    );
    let dependencies = build["resolvedDependencies"].as_array().unwrap();
    let named: BTreeMap<&str, (&str, &str)> = dependencies
        .iter()
        .map(|one| {
            let (name, kind) = (one["name"].as_str().unwrap(), one["annotations"]["kind"].as_str().unwrap());
            (name, (kind, one["digest"]["sha256"].as_str().unwrap()))
        })
        .collect();
    let sum = |path: &str| Digest::of(&fs::read(place.path(path)).unwrap()).hex();
    for (name, kind, path) in [
        ("lock", "lock", "web.lock"),
        ("test test InRelease", "in-release", "archive/dists/test/InRelease"),
        ("hello 1.0-1+b1 amd64", "package", "archive/pool/main/hello_1.0-1+b1_amd64.deb"),
        ("archive.asc", "key", "archive.asc"),
        ("conf/web.conf", "copy", "conf/web.conf"),
        ("conf/sub/more.conf", "copy", "conf/sub/more.conf"),
    ] {
        assert_eq!(named[name], (kind, sum(path).as_str()), "{name}");
    }
    assert_eq!(dependencies.len(), 8, "{dependencies:#?}");
    let purls: Vec<&str> = dependencies.iter().filter_map(|one| one["uri"].as_str()).collect();
    assert_eq!(purls, ["pkg:deb/test/hello@1.0-1%2Bb1?arch=amd64", "pkg:deb/test/libgreet1@1:1.0?arch=amd64"]);
    assert_eq!(provenance["runDetails"]["builder"]["id"], tarsia::attest::BUILDER);
    // The SBOMs call the packages the same, and are named by digest.
    let sbom = fs::read_to_string(place.path("web.oci.evidence/cdx.json")).unwrap();
    for purl in purls {
        assert!(sbom.contains(&format!("\"{purl}\"")), "{purl} in {sbom}");
    }
    let byproducts = provenance["runDetails"]["byproducts"].as_array().unwrap();
    assert_eq!(byproducts.len(), 4, "three SBOMs and the rebuild kit");
    for one in byproducts {
        let path = format!("web.oci.evidence/{}", one["name"].as_str().unwrap());
        assert_eq!(one["digest"]["sha256"], sum(&path));
    }
}

#[test]
fn a_revision_is_told_where_it_is_asked_for() {
    let place = place();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    place.write(".git/HEAD", "ref: refs/heads/main\n");
    place.write(".git/refs/heads/main", format!("{commit}\n"));
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    assert!(!provenance(&place, "web.oci.evidence").to_string().contains(commit));
    place.ok(&["build", "web.yaml", "-o", "web.oci", "--source-revision", "git"]);
    let first =
        |place: &Place| provenance(place, "web.oci.evidence")["buildDefinition"]["resolvedDependencies"][0].clone();
    assert_eq!(first(&place)["digest"]["gitCommit"], commit);
    let given = format!("git+https://example.org/web@{}", commit.replace('0', "f"));
    place.ok(&["build", "web.yaml", "-o", "web.oci", "--source-revision", &given]);
    assert_eq!(first(&place)["uri"], "git+https://example.org/web");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci", "--source-revision", "main"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    fs::remove_dir_all(place.path(".git")).unwrap();
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci", "--source-revision", "git"]);
    assert!(ran.status == 2 && ran.err.contains("cannot tell the commit"), "{}", ran.err);
}

#[test]
fn evidence_of_another_image_never_remains_and_a_failed_build_leaves_the_pair() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let before = (all(&place.path("web.oci.evidence")), all(&place.path("web.oci")));
    // Fails at the very end: the evidence of the second output has no place.
    place.write("other.oci.evidence/thesis.txt", "mine\n");
    place.write("conf/web.conf", "a = 2\n");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci", "-o", "other.oci"]);
    assert!(ran.status == 2 && ran.err.contains("thesis.txt"), "{}", ran.err);
    assert_eq!((all(&place.path("web.oci.evidence")), all(&place.path("web.oci"))), before);
}

#[test]
fn evidence_goes_where_it_is_asked_for() {
    let place = place();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place.write("conf/web.conf", "a = 2\n");
    let digest = place.ok(&["build", "web.yaml", "-o", "web.oci", "--evidence", "docs"]);
    assert_eq!(evidence(&place, "docs").digest().to_string(), digest.trim());
    assert!(!place.path("web.oci.evidence").exists(), "it is about another image");
    let names = names(&place.path("."));
    assert!(!names.iter().any(|name| name.contains("tarsia-")), "{names:?}");
    for (arguments, said) in [
        (&["build", "web.yaml", "-o", "web.oci", "--evidence", "web.oci"][..], "two kinds of output"),
        (&["build", "web.yaml", "-o", "web.oci", "--evidence", "conf"], "conf"),
        (&["build", "web.yaml", "web.yaml", "--evidence", "docs"], "several images"),
    ] {
        let ran = place.run(arguments);
        assert!(ran.status == 2 && ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn an_image_of_two_platforms_has_documents_of_each() {
    let place = Place::new();
    let text = "version: 1\nplatforms: [linux/amd64, linux/arm64]\nfiles: [{text: hi, to: /motd}]\n";
    place.write("web.yaml", text);
    let digest = place.ok(&["build", "web.yaml"]);
    let evidence = evidence(&place, "web.oci.evidence");
    assert_eq!(evidence.digest().to_string(), digest.trim());
    let platforms: Vec<&str> = evidence.manifests().iter().map(|one| one.platform.as_str()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    for one in evidence.manifests() {
        let reasons = Reasons::parse(&evidence.read(&one.digest, Document::Reasons).unwrap().unwrap()).unwrap();
        assert_eq!((reasons.image, &reasons.platform), (one.digest, &one.platform));
        let statement = evidence.statement(&one.digest, Document::Provenance).unwrap().unwrap();
        let parameters = &statement.predicate()["buildDefinition"]["externalParameters"];
        assert_eq!(parameters["platform"], one.platform);
    }
    // One platform again: the directories of the others are gone.
    place.ok(&["build", "web.yaml", "--platform", "linux/arm64"]);
    let left = names(&place.path("web.oci.evidence"));
    let whole =
        ["cdx.json", "evidence.json", "kit.tar.zst", "provenance.json", "reasons.json", "spdx.json", "spdx3.json"];
    assert_eq!(left, whole);
    // Only the formats that the spec names.
    place.write("web.yaml", format!("{text}sbom: {{formats: [cyclonedx]}}\n"));
    place.ok(&["build", "web.yaml", "--platform", "linux/arm64"]);
    let left = names(&place.path("web.oci.evidence"));
    assert_eq!(left, ["cdx.json", "evidence.json", "kit.tar.zst", "provenance.json", "reasons.json"]);
}

#[test]
fn evidence_can_stand_in_a_layout_too_and_the_image_is_the_same() {
    let place = place();
    let digest = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    for output in ["oci:in.oci:1", "oci-archive:in.tar"] {
        let embed = ["build", "web.yaml", "--embed-referrers", "-o", output];
        assert_eq!(place.ok(&embed), digest);
        let told: Value = serde_json::from_str(&place.ok(&["--json", "inspect", output])).unwrap();
        assert_eq!(told["digest"], digest.trim());
    }
    let index: Value = serde_json::from_slice(&fs::read(place.path("in.oci/index.json")).unwrap()).unwrap();
    let [image, attached @ ..] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!((image["digest"].as_str(), image.get("artifactType")), (Some(digest.trim()), None));
    let blob = |descriptor: &Value| {
        let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = fs::read(place.path(&format!("in.oci/blobs/sha256/{hex}"))).unwrap();
        assert_eq!((Digest::of(&bytes).hex().as_str(), &descriptor["size"]), (hex, &bytes.len().into()));
        bytes
    };
    let mut titles = Vec::new();
    for one in attached {
        let manifest: Value = serde_json::from_slice(&blob(one)).unwrap();
        assert_eq!(manifest["artifactType"], one["artifactType"]);
        assert_eq!(manifest["subject"]["digest"], digest.trim());
        blob(&manifest["config"]);
        let title = manifest["layers"][0]["annotations"]["org.opencontainers.image.title"].as_str().unwrap().to_owned();
        assert!(
            blob(&manifest["layers"][0]) == fs::read(place.path("web.oci.evidence").join(&title)).unwrap(),
            "{title}"
        );
        titles.push(title);
    }
    titles.sort();
    assert_eq!(titles, ["cdx.json", "kit.tar.zst", "provenance.json", "reasons.json", "spdx.json", "spdx3.json"]);
}
