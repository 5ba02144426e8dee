//! `base`: an image laid over another one, whoever made that.

use std::process::Command;

use serde_json::{Value, json};

use crate::container::{Bundle, must};
use crate::deb::{Tar, deb};
use crate::layout;
use crate::program::Place;
use crate::real;
use crate::world::{Archive, spec};

/// A place with an archive, and a base that tarsia built of a part of it.
fn place() -> Place {
    let place = Place::new();
    Archive::new(13)
        .deb(deb("base-files", "13.1").dir("/etc", 0o755).file("/usr/lib/os-release", 0o644, "ID=test\n"))
        .deb(deb("libgreet1", "1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet"))
        .deb(deb("hello", "1.0").depends("libgreet1 (>= 1.0)").file("/usr/bin/hello", 0o755, "hello"))
        .deb(deb("other", "1.0").file("/usr/lib/libgreet.so.1", 0o644, "other"))
        .write(&place);
    spec(
        &place,
        "low",
        "packages: [libgreet1]\nkeep: runtime\nusers: {low: {uid: 10001}}\nrun: {user: low, cmd: [low], env: {A: low, \
         B: low}, volumes: [/low]}\nlabels: {a: low, b: low}\n",
    );
    place.ok(&["build", "low.yaml", "-o", "low.oci"]);
    place
}

fn document(place: &Place, image: &str, digest: &str) -> Value {
    let path = format!("{image}/blobs/sha256/{}", digest.trim().trim_start_matches("sha256:"));
    serde_json::from_slice(&std::fs::read(place.path(&path)).unwrap()).unwrap()
}

fn config(place: &Place, image: &str, digest: &str) -> Value {
    let manifest = document(place, image, digest);
    document(place, image, manifest["config"]["digest"].as_str().unwrap())
}

fn manifest_digest(place: &Place, image: &str) -> String {
    let index: Value =
        serde_json::from_slice(&std::fs::read(place.path(&format!("{image}/index.json"))).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_base_of_tarsia_stays_as_it_is_below_what_is_added() {
    let place = place();
    spec(
        &place,
        "top",
        "packages: [hello]\nkeep: runtime\nbase: oci:./low.oci\nusers: {top: {uid: 10002}}\nfiles:\n  - {text: \"x\", \
         to: /opt/x, owner: top}\nrun: {entrypoint: [/usr/bin/hello], env: {B: top}}\nlabels: {b: top}\n",
    );
    let digest = place.ok(&["build", "top.yaml", "-o", "top.oci"]);
    let lock = std::fs::read_to_string(place.path("top.lock")).unwrap();
    let low = manifest_digest(&place, "low.oci");
    assert!(lock.contains(&format!("kind = \"base\"\nname = \"oci:./low.oci\"\ndigest = \"{low}\"")), "{lock}");
    assert!(!lock.contains("name = \"libgreet1\"") && !lock.contains("name = \"base-files\""), "{lock}");

    let (below, above) = (document(&place, "low.oci", &low), document(&place, "top.oci", &digest));
    let (below, above) = (below["layers"].as_array().unwrap(), above["layers"].as_array().unwrap());
    assert_eq!(below[..], above[..below.len()]);
    assert!(above.len() > below.len());
    let config = config(&place, "top.oci", &digest);
    assert_eq!(config["history"].as_array().unwrap().len(), above.len());
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), above.len());
    insta::assert_snapshot!(config["config"], @r#"{"Entrypoint":["/usr/bin/hello"],"Env":["A=low","B=top","PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Labels":{"a":"low","b":"top"},"User":"10001:10001","Volumes":{"/low":{}},"WorkingDir":"/"}"#);

    let json: Value = serde_json::from_str(&place.ok(&["--json", "inspect", "top.oci", "--files"])).unwrap();
    let names: Vec<&str> =
        json["images"][0]["packages"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["base-files", "hello", "libgreet1"]);
    let json: Value = serde_json::from_str(&place.ok(&["--json", "audit", "top.oci"])).unwrap();
    let notes = json["images"][0]["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "/etc/passwd and /etc/group alone are replaced: {notes:?}");
    assert!(notes[0].as_str().unwrap().starts_with("2 files of lower layers"), "{notes:?}");

    // Built again, from another store, as an archive; and the reason of a path.
    let again =
        place.tarsia(["build", "--locked", "top.yaml", "-o", "top.tar"]).env("TARSIA_STORE", place.path("s2")).output();
    assert_eq!(String::from_utf8_lossy(&again.unwrap().stdout), digest);
    assert!(place.ok(&["why", "top.yaml", "/usr/lib/libgreet.so.1"]).contains("the base image"));
}

#[test]
fn what_a_base_cannot_take_is_an_error_that_says_so() {
    let place = place();
    let refused = |rest: &str, expected: &[&str]| {
        spec(&place, "top", rest);
        std::fs::remove_file(place.path("top.lock")).ok();
        let ran = place.run(&["build", "top.yaml", "-o", "top.oci"]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{rest}\n{}", ran.err);
        for text in expected {
            assert!(ran.err.contains(text), "{text}\n{}", ran.err);
        }
        assert!(!place.path("top.oci").exists());
    };
    refused(
        "packages: [other]\nkeep: runtime\nbase: oci:./low.oci\n",
        &["the base image", "/usr/lib/libgreet.so.1", "other"],
    );
    refused("packages: [libgreet1 >= 2]\nkeep: runtime\nbase: oci:./low.oci\n", &["libgreet1"]);
    refused(
        "base: oci:./low.oci\nusers: {low: {uid: 7}}\n",
        &["cannot give user `low` the number 7", "10001 in the base"],
    );
    refused("base: oci:./nowhere\n", &["nowhere"]);
    let elsewhere = tempfile::tempdir().unwrap();
    layout::write(&place, "other.oci", &[Tar::new().file("x", 0o644, b"x").build()], &json!({}));
    std::fs::rename(place.path("other.oci"), elsewhere.path().join("other.oci")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), place.path("elsewhere")).unwrap();
    refused("base: oci:./elsewhere/other.oci\n", &["it leads out of the spec's directory"]);
    refused("base: oci:../low.oci\n", &["names no image beneath the spec's directory"]);
    refused(
        "base: docker://example.org/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
        &["not there yet"],
    );

    let usr = Tar::new().directory("lib/", 0o755).file("lib/libc.so", 0o644, b"musl").directory("usr/bin/", 0o755);
    layout::write(&place, "split.oci", &[usr.build()], &json!({}));
    refused("packages: [hello]\nkeep: runtime\nbase: oci:./split.oci\n", &["its /lib is a directory", "merged /usr"]);
    spec(&place, "top", "base: oci:./split.oci\nfiles: [{text: x, to: /lib/x}]\n");
    let digest = place.ok(&["build", "top.yaml", "-o", "split-top.oci"]);
    assert_eq!(config(&place, "split-top.oci", &digest)["config"]["User"], "65532:65532");
    let json: Value = serde_json::from_str(&place.ok(&["--json", "inspect", "split-top.oci", "--files"])).unwrap();
    let files = json["images"][0]["files"].as_array().unwrap();
    assert!(
        files.iter().any(|file| file["path"] == "/lib/libc.so") && files.iter().any(|file| file["path"] == "/lib/x")
    );

    let tar = Tar::new().entry("lib", b'2', 0o777, "usr/lib", b"");
    let over = Tar::new().file("lib/x", 0o644, b"x");
    layout::write(&place, "unclear.oci", &[tar.build(), over.build()], &json!({}));
    refused("base: oci:./unclear.oci\n", &["container engines differ on where its `/lib/x` ends up"]);
}

#[test]
fn another_base_makes_a_lock_stale_and_a_broken_one_is_never_built_on() {
    let place = place();
    spec(&place, "top", "base: oci:./low.oci\nfiles: [{text: x, to: /opt/x}]\n");
    place.ok(&["build", "top.yaml", "-o", "top.oci"]);
    // A layer that is no longer what its digest says.
    let low = document(&place, "low.oci", &manifest_digest(&place, "low.oci"));
    let layer = low["layers"][0]["digest"].as_str().unwrap();
    let blob = place.path(&format!("low.oci/blobs/sha256/{}", &layer[7..]));
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    let ran = place
        .tarsia(["build", "--locked", "top.yaml", "-o", "new.oci"])
        .env("TARSIA_STORE", place.path("s2"))
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(!place.path("new.oci").exists());
    // Another image in its place.
    let tar = Tar::new().file("x", 0o644, b"x");
    std::fs::remove_dir_all(place.path("low.oci")).unwrap();
    layout::write(&place, "low.oci", &[tar.build()], &json!({}));
    let ran = place.run(&["build", "--locked", "top.yaml", "-o", "new.oci"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    assert!(ran.err.contains("base `oci:./low.oci` is another image"), "{}", ran.err);
    place.ok(&["build", "top.yaml", "-o", "new.oci"]);
}

/// A base that umoci made, gzip layers and a whiteout among them, under a program of ours.
#[test]
fn real_a_base_of_umoci_runs_with_what_is_added() {
    let place = Place::new();
    let cc = real::built().path("cc.oci");
    let base = place.path("base");
    must(
        Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--dest-compress-format", "gzip"])
            .arg(format!("oci:{}", cc.display()))
            .arg(format!("oci:{}:it", base.display())),
    );
    let umoci = |arguments: &[&str]| must(Command::new("umoci").args(arguments).current_dir(place.path(".")));
    place.write("note", "from the base\n");
    umoci(&["insert", "--image", "base:it", "note", "/srv/note"]);
    umoci(&["insert", "--image", "base:it", "note", "/srv/gone"]);
    umoci(&["insert", "--image", "base:it", "--whiteout", "/srv/gone"]);
    umoci(&["config", "--image", "base:it", "--config.env", "FROM=base", "--config.user", "65532:65532"]);
    umoci(&["gc", "--layout", "base"]);
    place.write("probe.c", PROBE);
    must(Command::new("gcc").args(["-O1", "-o", "probe", "probe.c"]).current_dir(place.path(".")));
    place.write(
        "top.yaml",
        "version: 1\nplatforms: [linux/amd64]\nbase: oci:./base:it\nfiles: [{copy: probe, to: /opt/probe}]\nrun: \
         {entrypoint: [/opt/probe]}\nchecks: {forbid: [shell, setuid, root-user, secrets], files: {/srv/gone: absent}}\n",
    );
    place.ok(&["build", "top.yaml", "-o", "top.oci"]);
    let bundle = Bundle::unpack(&place.path("top.oci"));
    assert_eq!(bundle.run_ok(None), "uid 65532 FROM=base from the base\n");
}

const PROBE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
    char line[64] = "?\n";
    FILE *note = fopen("/srv/note", "r");
    if (note && !fgets(line, sizeof line, note)) return 1;
    if (fopen("/srv/gone", "r")) return 2;
    printf("uid %u FROM=%s %s", getuid(), getenv("FROM"), line);
    return 0;
}
"#;
