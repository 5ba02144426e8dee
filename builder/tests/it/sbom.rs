//! SBOMs of images made of packages that the tests build.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tarsia::diag::Silent;
use tarsia::engine::local::{self, BuildInput};
use tarsia::layer::Workers;
use tarsia::lock::Lock;
use tarsia::sbom::{Inventory, Kind, Version, cyclonedx, cyclonedx_as, spdx, spdx3};
use tarsia::spec::Platform;
use tarsia::store::{Store, StoreOptions};

use crate::deb::{Deb, deb};
use crate::distribution::Distribution;
use crate::program::{Place, copy_tree};
use crate::world::{Archive, spec};

/// Builds a locked spec with what `store` holds, and returns what its image for amd64 consists of.
pub(crate) fn inventory(spec: &Path, store: &Path, threads: usize) -> Inventory {
    let text = std::fs::read_to_string(spec.with_extension("lock")).unwrap();
    let lock = Lock::parse("lock", &text).unwrap().section(None).unwrap();
    let parsed = tarsia::spec::read(spec).unwrap();
    let store = Store::open(store, StoreOptions::default()).unwrap();
    let workers = Workers::new(threads, 192 << 20).unwrap();
    let input = BuildInput {
        spec: &parsed,
        lock: &lock,
        platforms: &[Platform::Amd64],
        store: &store,
        workers: &workers,
        directory: spec.parent().unwrap(),
        progress: &Silent,
        remote: None,
    };
    let built = local::build(&input).unwrap();
    let selected = local::select(&input, Platform::Amd64).unwrap();
    local::inventory(&input, &selected, &built.image.images()[0]).unwrap()
}

const DEP5: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                    Files: *\nCopyright: 2001-2009 The Greeters\nLicense: Expat\n\n\
                    License: Expat\n Permission is hereby granted, free of charge, to greet.\n";

fn packages() -> [Deb; 5] {
    let release = "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Test 13\"\n";
    [
        deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, release),
        deb("libgreet1", "1.0+dfsg-1+b1")
            .source("greet (1.0+dfsg-1)")
            .field("Maintainer", "Greet Maintainers <greet@lists.example.org>")
            .field("Homepage", "https://greet.example.org/")
            .field("Provides", "greeting (= 2)")
            .control_file("md5sums", "0123456789abcdef0123456789abcdef  usr/lib/x86_64-linux-gnu/libgreet.so.1\n")
            .file("/usr/lib/x86_64-linux-gnu/libgreet.so.1", 0o644, "not really ELF\n")
            .file("/usr/share/doc/libgreet1/copyright", 0o644, DEP5),
        deb("hello", "1:2.0-1")
            .depends("libgreet9 | greeting (>= 2), debconf")
            .file("/usr/bin/hello", 0o755, "#!/bin/false\nhello\n")
            .symlink("/usr/bin/hi", "hello")
            .hardlink("/usr/bin/hallo", "/usr/bin/hello")
            .symlink("/usr/share/doc/hello", "libgreet1"),
        deb("debconf", "1.5").file("/usr/bin/debconf", 0o755, "#!/bin/false\n"),
        deb("python3-greet", "2.1-3")
            .file("/usr/lib/python3/dist-packages/greet/__init__.py", 0o644, "greet = print\n")
            .file(
                "/usr/lib/python3/dist-packages/Greet-2.1.dist-info/METADATA",
                0o644,
                "Metadata-Version: 2.1\nName: Greet\nVersion: 2.1\nSummary: Greets\nLicense: MIT\n",
            ),
    ]
}

const SPEC: &str = "packages: [hello]\nkeep: runtime\nrun: {entrypoint: [/usr/bin/hello]}\n\
    sbom: {author: \"Acme Ltd <sbom@acme.example>\"}\n\
    files:\n  - {copy: app, to: /usr/bin/app, mode: \"0755\", component: {name: app, version: 1.4.2, license: MIT, supplier: Acme Ltd}}\n  \
    - {text: \"hi\\n\", to: /srv/motd}\n";

/// A place with the archive, a spec over it, and a store in which it has been built once.
fn place() -> Place {
    let place = Place::new();
    packages().into_iter().fold(Archive::new(7), Archive::deb).write(&place);
    place.write("app", "app\n");
    spec(&place, "web", SPEC);
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_parts_of_a_fixture_are_described() {
    let place = place();
    let inventory = inventory(&place.path("web.yaml"), &place.path("store"), 1);
    let names: Vec<String> = inventory
        .components
        .iter()
        .map(|one| {
            let depends: Vec<&str> = one.depends.iter().map(|to| inventory.components[to.on].name.as_str()).collect();
            format!("{:?} {} {} > {}", one.kind, one.name, one.version.split(':').next().unwrap(), depends.join(" "))
        })
        .collect();
    insta::assert_snapshot!(names.join("\n"), @r"
    Image web sha256 > base-files hello app
    Debian base-files 13.1 > 
    Debian hello 1 > libgreet1
    Debian libgreet1 1.0+dfsg-1+b1 > 
    Spec app 1.4.2 > 
    ");
    let of = |name: &str| inventory.components.iter().find(|one| one.name == name).unwrap();
    let hello = of("hello");
    assert_eq!(hello.absent, ["debconf"], "only scripts would want it");
    assert_eq!(hello.depends[0].relation.as_deref(), Some("libgreet9 | greeting (>= 2)"));
    assert_eq!(hello.purl.as_deref(), Some("pkg:deb/test/hello@1:2.0-1?arch=amd64&distro=debian-13"));
    let greet = of("libgreet1");
    assert_eq!(
        greet.purl.as_deref(),
        Some("pkg:deb/test/libgreet1@1.0%2Bdfsg-1%2Bb1?arch=amd64&distro=debian-13&upstream=greet%401.0%2Bdfsg-1")
    );
    assert_eq!(greet.cpe.as_deref(), Some("cpe:2.3:a:greet:greet:1.0:*:*:*:*:*:*:*"));
    assert_eq!(greet.supplier.as_ref().unwrap().name, "test");
    assert_eq!(greet.originator.as_ref().unwrap().email.as_deref(), Some("greet@lists.example.org"));
    assert_eq!((greet.homepage.as_deref(), &greet.download), (Some("https://greet.example.org/"), &None));
    for one in [greet, hello] {
        assert_eq!(
            one.licensing.concluded.as_deref(),
            Some("MIT"),
            "{}: by its own file or the one it links to",
            one.name
        );
        assert!(one.licensing.copyright.as_deref().unwrap().contains("The Greeters"));
    }
    let deb = packages()[1].build();
    assert_eq!(greet.sha512, Some(tarsia::digest::Sha512::of(&deb)));
    let app = of("app");
    assert_eq!((app.kind, app.sha512), (Kind::Spec, Some(tarsia::digest::Sha512::of(b"app\n"))));

    let files: Vec<String> = inventory
        .files
        .iter()
        .map(|file| format!("{} {} {}", file.path, inventory.components[file.owner].name, file.note()))
        .collect();
    insta::assert_snapshot!(files.join("\n"));
    let known = inventory.files.iter().find(|file| file.path.as_str() == "srv/motd").unwrap();
    assert_eq!((known.sha1, known.sha256), (tarsia::digest::Sha1::of(b"hi\n"), tarsia::digest::Digest::of(b"hi\n")));
}

#[test]
fn the_documents_of_a_fixture_are_golden() {
    let place = place();
    let inventory = inventory(&place.path("web.yaml"), &place.path("store"), 1);
    for (name, bytes) in
        [("spdx", spdx(&inventory)), ("cyclonedx", cyclonedx(&inventory, Version::V1_6)), ("spdx3", spdx3(&inventory))]
    {
        // What is golden here is what documents say, not which bytes the image has.
        let mut text = serde_json::to_string_pretty(&parsed(&bytes)).unwrap();
        let layers: BTreeSet<String> =
            inventory.components.iter().filter_map(|one| one.layer).map(|layer| layer.hex()).collect();
        text = text.replace(&inventory.digest.hex(), "MANIFEST").replace(&inventory.uuid().to_string(), "UUID");
        for layer in layers {
            text = text.replace(&layer, "LAYER");
        }
        if let Some(sum) = inventory.components[0].sha512 {
            text = text.replace(&sum.hex(), "SHA-512-OF-MANIFEST");
        }
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn documents_do_not_know_mirrors_threads_and_caches() {
    let place = place();
    let documents = |inventory: &Inventory| (spdx(inventory), cyclonedx(inventory, Version::V1_6), spdx3(inventory));
    let first = documents(&inventory(&place.path("web.yaml"), &place.path("store"), 1));
    assert!(first == documents(&inventory(&place.path("web.yaml"), &place.path("store"), 4)));
    // Another mirror, and a cold store.
    copy_tree(&place.path("archive"), &place.path("mirror"));
    let mirror = format!("test=file://{}", place.path("mirror").display());
    std::fs::rename(place.path("archive/pool"), place.path("archive/gone")).unwrap();
    let other = place
        .tarsia(["build", "--locked", "web.yaml", "-o", "b.oci", "--mirror", &mirror])
        .env("TARSIA_STORE", place.path("other"))
        .output()
        .unwrap();
    assert!(other.status.success(), "{other:?}");
    assert!(first == documents(&inventory(&place.path("web.yaml"), &place.path("other"), 2)));
    let all = [first.0, first.1, first.2].concat();
    let all = String::from_utf8(all).unwrap();
    for foreign in ["file:", "/tmp", "mirror"] {
        assert!(!all.contains(foreign), "{foreign}");
    }
}

#[test]
fn a_document_in_another_version_is_what_would_have_been_written() {
    let place = place();
    let inventory = inventory(&place.path("web.yaml"), &place.path("store"), 1);
    let written = cyclonedx(&inventory, Version::V1_6);
    for version in [Version::V1_5, Version::V1_6, Version::V1_7] {
        let direct = cyclonedx(&inventory, version);
        let converted = cyclonedx_as(&written, version).unwrap();
        assert_eq!(String::from_utf8(converted).unwrap(), String::from_utf8(direct).unwrap(), "{version:?}");
    }
    assert!(cyclonedx_as(b"{}", Version::V1_5).is_err() && cyclonedx_as(b"", Version::V1_7).is_err());
    let later = cyclonedx(&inventory, Version::V1_7);
    assert!(cyclonedx_as(&later, Version::V1_5).is_err(), "from 1.6 only");
}

#[test]
fn cyclonedx_says_what_the_bsi_asks_for() {
    let place = place();
    let inventory = inventory(&place.path("web.yaml"), &place.path("store"), 1);
    let document = parsed(&cyclonedx(&inventory, Version::V1_6));
    let components = document["components"].as_array().unwrap();
    let said = |name: &str, property: &str| {
        let component = components.iter().find(|one| one["name"] == name).unwrap();
        let found = component["properties"].as_array().unwrap().iter().find(|one| one["name"] == property)?;
        found["value"].as_str().map(str::to_owned)
    };
    for (name, property, value) in [
        ("hello", "bsi:component:filename", "hello_1%3a2.0-1_amd64.deb"),
        ("hello", "bsi:component:executable", "executable"),
        ("hello", "bsi:component:archive", "archive"),
        ("hello", "bsi:component:structured", "structured"),
        ("hello", "bsi:component:effectiveLicence", "MIT"),
        ("libgreet1", "bsi:component:executable", "non-executable"),
        ("app", "bsi:component:archive", "no archive"),
        ("app", "bsi:component:filename", "app"),
    ] {
        assert_eq!(said(name, property).as_deref(), Some(value), "{name} {property}");
    }
    // Every component is in the graph, and all of it is said to be complete.
    let refs: Vec<&Value> = components.iter().map(|one| &one["bom-ref"]).collect();
    let listed: Vec<&Value> = document["dependencies"].as_array().unwrap().iter().map(|one| &one["ref"]).collect();
    assert!(refs.iter().all(|bom_ref| listed.contains(bom_ref)));
    assert_eq!(document["compositions"][2]["dependencies"].as_array().unwrap().len(), listed.len());
}

#[test]
fn the_command_prints_what_build_wrote_and_refuses_else() {
    let place = place();
    let inventory = inventory(&place.path("web.yaml"), &place.path("store"), 1);
    assert_eq!(place.ok(&["sbom", "web.oci"]).as_bytes(), spdx(&inventory));
    assert_eq!(place.ok(&["sbom", "web.oci", "--format", "spdx3"]).as_bytes(), spdx3(&inventory));
    let old = place.ok(&["sbom", "web.oci", "--format", "cyclonedx", "--cdx-version", "1.5"]);
    assert_eq!(old.as_bytes(), cyclonedx(&inventory, Version::V1_5));
    place.ok(&["sbom", "web.oci", "--format", "cyclonedx", "-o", "cdx.json"]);
    assert_eq!(std::fs::read(place.path("cdx.json")).unwrap(), cyclonedx(&inventory, Version::V1_6));

    std::fs::rename(place.path("web.oci.evidence"), place.path("gone")).unwrap();
    let ran = place.run(&["sbom", "web.oci"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("cannot print an SBOM of `web.oci`: there is no evidence beside it"), "{}", ran.err);
    assert!(ran.err.contains("`tarsia build` writes it"), "{}", ran.err);
    // What lies there of another image is not this one's.
    spec(&place, "web", &SPEC.replace("hi", "ho"));
    place.ok(&["build", "web.yaml", "-o", "other.oci"]);
    std::fs::rename(place.path("other.oci.evidence"), place.path("web.oci.evidence")).unwrap();
    let ran = place.run(&["sbom", "web.oci"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("it is about"), "{}", ran.err);
}

#[test]
fn a_published_image_s_sbom_is_what_is_attached_to_it() {
    let Some(registry) = Distribution::start(false) else { return };
    let place = place();
    let name = format!("docker://{}/team/web:1", registry.host);
    place.ok(&["push", "web.oci", &name]);
    for (format, file) in [("spdx", "a.json"), ("cyclonedx", "b.json"), ("spdx3", "c.json")] {
        assert_eq!(place.ok(&["sbom", "web.oci", "--format", format, "-o", file]), "");
        let published = place.ok(&["sbom", &name, "--format", format]);
        assert_eq!(published.into_bytes(), std::fs::read(place.path(file)).unwrap(), "{format}");
    }
    // Others that somebody attached, of which some stand before it in the list, speak of something else.
    for number in 0..8 {
        let other = format!(
            r#"{{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "{number}",
                "packages": [{{"SPDXID": "SPDXRef-a", "name": "a"}}]}}"#
        );
        place.write("other.json", other);
        place.ok(&["attach", &name, "other.json"]);
    }
    assert_eq!(place.ok(&["sbom", &name]).into_bytes(), std::fs::read(place.path("a.json")).unwrap());
    // Without evidence there is nothing to print, until somebody attaches it.
    let bare = format!("docker://{}/team/bare:1", registry.host);
    std::fs::rename(place.path("web.oci.evidence"), place.path("gone")).unwrap();
    place.ok(&["push", "web.oci", &bare]);
    let ran = place.run(&["sbom", &bare]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("none is attached to it"), "{}", ran.err);
    place.ok(&["attach", &bare, "a.json"]);
    assert_eq!(place.ok(&["sbom", &bare]).into_bytes(), std::fs::read(place.path("a.json")).unwrap());
}

#[test]
fn a_package_of_python_stands_in_the_one_that_ships_it() {
    let place = place();
    spec(&place, "py", "packages: [python3-greet]\nkeep: runtime\n");
    place.ok(&["build", "py.yaml", "-o", "py.oci"]);
    let inventory = inventory(&place.path("py.yaml"), &place.path("store"), 1);
    let found = inventory.components.iter().find(|one| one.kind == Kind::Language("pypi")).unwrap();
    assert_eq!((found.name.as_str(), found.version.as_str()), ("Greet", "2.1"));
    assert_eq!(found.purl.as_deref(), Some("pkg:pypi/greet@2.1"));
    assert_eq!(found.licensing.concluded.as_deref(), Some("MIT"));
    assert_eq!(inventory.components[found.within.unwrap()].name, "python3-greet");
    // In a graph, everything hangs somewhere.
    let number = inventory.components.iter().position(|one| one == found).unwrap();
    assert!(inventory.components[0].depends.iter().any(|depends| depends.on == number));
    let document = parsed(&spdx(&inventory));
    let contains = document["relationships"].as_array().unwrap().iter().any(|one| {
        one["spdxElementId"] == "SPDXRef-deb-python3-greet" && one["relatedSpdxElement"] == "SPDXRef-pypi-Greet"
    });
    assert!(contains);
}

#[test]
fn what_a_base_brings_is_told_as_the_base_s() {
    let place = place();
    spec(&place, "below", "packages: [libgreet1]\nkeep: runtime\n");
    place.ok(&["build", "below.yaml", "-o", "below.oci"]);
    spec(&place, "above", "base: oci:./below.oci\npackages: [hello]\nkeep: runtime\n");
    place.ok(&["build", "above.yaml", "-o", "above.oci"]);
    let inventory = inventory(&place.path("above.yaml"), &place.path("store"), 1);
    let names: Vec<String> =
        inventory.components.iter().map(|one| format!("{:?} {} {}", one.kind, one.name, one.of_base)).collect();
    assert_eq!(
        names,
        [
            "Image above false",
            "Base base true",
            "Debian base-files true",
            "Debian libgreet1 true",
            "Debian hello false"
        ]
    );
    let of = |name: &str| inventory.components.iter().find(|one| one.name == name).unwrap();
    assert_eq!(inventory.components[of("hello").depends[0].on].name, "libgreet1", "it meets the dependency");
    assert_eq!(of("libgreet1").licensing.concluded.as_deref(), Some("MIT"), "by the copyright file in the base");
    let below = std::fs::read(place.path("below.oci/index.json")).unwrap();
    let below = parsed(&below)["manifests"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(of("base").version, below);
    let owner = |path: &str| {
        let file = inventory.files.iter().find(|file| file.path.as_str() == path).unwrap();
        inventory.components[file.owner].name.as_str()
    };
    assert_eq!(owner("usr/lib/x86_64-linux-gnu/libgreet.so.1"), "libgreet1", "by its list in the base");
    assert_eq!(owner("usr/bin/hello"), "hello");
    assert_eq!(owner("var/lib/dpkg/status.d/libgreet1"), "base", "nobody's list has it");
}
