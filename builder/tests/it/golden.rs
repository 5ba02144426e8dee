//! Images made wholly of packages that the tests build and sign: golden digests, and what may not move them.

use std::os::unix::fs::PermissionsExt as _;

use crate::deb::{Deb, deb};
use crate::program::Place;
use crate::world::{Archive, DATE, spec};

fn base_files() -> Deb {
    deb("base-files", "13.1").architecture("amd64").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n")
}

fn library(version: &str) -> Deb {
    deb("libgreet1", version)
        .architecture("amd64")
        .source("greet")
        .file("/usr/lib/x86_64-linux-gnu/libgreet.so.1", 0o644, format!("not really ELF {version}\n"))
        .file("/usr/share/doc/libgreet1/copyright", 0o644, "MIT\n")
        .file("/usr/share/doc/libgreet1/changelog.gz", 0o644, "dropped\n")
}

fn program() -> Deb {
    deb("hello", "2.0-1")
        .architecture("amd64")
        .field("Depends", "libgreet1 (>= 1.0)")
        .field("Installed-Size", "4096")
        .file("/usr/bin/hello", 0o755, "#!/bin/false\nhello\n")
        .symlink("/usr/bin/hi", "hello")
        .file("/etc/hello.conf", 0o644, "greeting=ciao\n")
}

fn extra() -> Deb {
    deb("extra", "0.1").architecture("amd64").file("/usr/share/extra/data", 0o644, "more\n")
}

fn archive() -> Archive {
    Archive::new(7).deb(base_files()).deb(library("1.0")).deb(program()).deb(extra())
}

const PACKAGES: &str = "packages: [hello]\nkeep: runtime\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

fn layers(place: &Place, image: &str) -> Vec<String> {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path(&format!("{image}/index.json"))).unwrap()).unwrap();
    let blob = |digest: &str| std::fs::read(place.path(&format!("{image}/blobs/sha256/{}", &digest[7..]))).unwrap();
    let manifest: serde_json::Value =
        serde_json::from_slice(&blob(index["manifests"][0]["digest"].as_str().unwrap())).unwrap();
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_bytes_of_a_fixture_are_golden() {
    let place = Place::new();
    archive().write(&place);
    spec(&place, "web", PACKAGES);
    let zstd = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    insta::assert_snapshot!(zstd.trim(), @"sha256:e2824e50b4241ccfe3dae37349725862728d9a4e635d641e26cb5f131378df56");
    spec(&place, "gz", &format!("{PACKAGES}layers: {{compression: gzip, level: 6}}\n"));
    let gzip = place.ok(&["build", "gz.yaml", "-o", "gz.oci"]);
    insta::assert_snapshot!(gzip.trim(), @"sha256:6a7a64f31eab17a03911f8a8572699addbe2577c4228006f8a55fe1c4b2147a1");
}

#[test]
fn building_twice_gives_the_same_bytes_from_a_cold_and_a_warm_store() {
    let place = Place::new();
    archive().write(&place);
    spec(&place, "web", PACKAGES);
    let first = place.ok(&["build", "web.yaml", "-o", "a.oci"]);
    assert_eq!(place.ok(&["build", "web.yaml", "-o", "a.oci"]), first, "warm, over itself");
    let cold = place
        .tarsia(["build", "--locked", "web.yaml", "-o", "b.oci", "--threads", "1"])
        .env("TARSIA_STORE", place.path("other"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&cold.stdout), first);
    assert_eq!(place.ok(&["build", "--locked", "web.yaml", "-o", "c.tar"]), first, "as an archive");
}

#[test]
fn a_lock_in_which_only_dates_moved_gives_the_same_package_layers() {
    let place = Place::new();
    archive().write(&place);
    spec(&place, "web", PACKAGES);
    place.ok(&["build", "web.yaml", "-o", "old.oci"]);
    archive().date(DATE + 86_400).write(&place);
    place.ok(&["lock", "--update", "web.yaml"]);
    place.ok(&["build", "--locked", "web.yaml", "-o", "new.oci"]);
    let (old, new) = (layers(&place, "old.oci"), layers(&place, "new.oci"));
    assert_eq!(old.len(), new.len());
    assert_eq!(old[..old.len() - 2], new[..new.len() - 2], "every layer but `state` and `files`");
    assert_ne!(old.last(), new.last(), "the files layer carries the new date");
}

#[test]
fn a_package_more_leaves_the_other_package_layers_alone() {
    let place = Place::new();
    archive().write(&place);
    spec(&place, "web", PACKAGES);
    place.ok(&["build", "web.yaml", "-o", "old.oci"]);
    let old = layers(&place, "old.oci");
    spec(&place, "web", &PACKAGES.replace("[hello]", "[hello, extra]"));
    place.ok(&["build", "web.yaml", "-o", "new.oci"]);
    let new = layers(&place, "new.oci");
    let kept = old.iter().filter(|layer| new.contains(layer)).count();
    assert!(kept + 1 >= old.len(), "at most the layer that `extra` joined moves: {old:?} {new:?}");
}

#[test]
fn umask_and_mtimes_of_local_files_never_reach_a_byte() {
    let place = Place::new();
    place.write("conf/a.conf", "a\n");
    place.write("conf/sub/b.conf", "b\n");
    place.write(
        "local.yaml",
        "version: 1\nname: local\nplatforms: [linux/amd64]\nfiles:\n  - {copy: conf/, to: /etc/app/}\n",
    );
    let first = place.ok(&["build", "local.yaml", "-o", "a.oci"]);
    for name in ["conf/a.conf", "conf/sub/b.conf"] {
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(0o664)).unwrap();
        let file = std::fs::File::options().append(true).open(place.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000)).unwrap();
    }
    std::fs::set_permissions(place.path("conf/sub"), std::fs::Permissions::from_mode(0o775)).unwrap();
    assert_eq!(place.ok(&["build", "local.yaml", "-o", "a.oci"]), first);
    std::fs::write(place.path("conf/a.conf"), "A\n").unwrap();
    assert_ne!(place.ok(&["build", "local.yaml", "-o", "a.oci"]), first, "a byte more is another image");
}

/// Other people's readers, as judges: `oci-spec` of the documents, `tar` of the layers.
#[test]
fn oci_spec_and_tar_read_what_is_written() {
    let place = Place::new();
    archive().write(&place);
    spec(&place, "web", PACKAGES);
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    let blob = |digest: &oci_spec::image::Digest| {
        std::fs::File::open(place.path(&format!("web.oci/blobs/sha256/{}", digest.digest()))).unwrap()
    };
    let index = oci_spec::image::ImageIndex::from_file(place.path("web.oci/index.json")).unwrap();
    let [manifest] = index.manifests().as_slice() else { panic!("one manifest") };
    let manifest = oci_spec::image::ImageManifest::from_reader(blob(manifest.digest())).unwrap();
    let config = oci_spec::image::ImageConfiguration::from_reader(blob(manifest.config().digest())).unwrap();
    assert_eq!(config.config().as_ref().unwrap().user().as_deref(), Some("65532:65532"));
    assert_eq!(config.rootfs().diff_ids().len(), manifest.layers().len());
    let mut paths = Vec::new();
    for layer in manifest.layers() {
        let decoded = zstd::Decoder::new(blob(layer.digest())).unwrap();
        for entry in tar::Archive::new(decoded).entries().unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.header().username_bytes(), Some(&b""[..]));
            paths.push(entry.path().unwrap().to_string_lossy().into_owned());
        }
    }
    for path in ["usr/bin/hello", "usr/bin/hi", "usr/lib/x86_64-linux-gnu/libgreet.so.1", "srv/motd", "etc/passwd"] {
        assert_eq!(paths.iter().filter(|found| *found == path).count(), 1, "{path}");
    }
    assert!(!paths.iter().any(|path| path.contains("changelog")), "documentation is dropped");
}
