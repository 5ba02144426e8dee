//! `why` and `inspect`: what is in an image, and why.

use crate::deb::deb;
use crate::program::Place;
use crate::world::{Archive, spec};

fn built() -> Place {
    let place = Place::new();
    Archive::new(11)
        .deb(deb("base-files", "13.1").architecture("amd64").dir("/etc", 0o755).file(
            "/usr/lib/os-release",
            0o644,
            "ID=test\n",
        ))
        .deb(
            deb("libgreet1", "1.0")
                .architecture("amd64")
                .source("greet")
                .file("/usr/lib/x86_64-linux-gnu/libgreet.so.1", 0o644, "\u{7f}ELF, nearly")
                .file("/usr/share/doc/libgreet1/changelog.gz", 0o644, "dropped\n"),
        )
        .deb(
            deb("hello", "2.0-1")
                .architecture("amd64")
                .field("Depends", "libgreet1 (>= 1.0)")
                .field("Provides", "greeter (= 2), mail-greeter")
                .file("/usr/bin/hello", 0o4755, "#!/bin/false\nhello\n")
                .file("/usr/bin/sh", 0o755, "#!/bin/false\n")
                .symlink("/usr/bin/hi", "hello"),
        )
        .write(&place);
    spec(&place, "web", "packages: [hello]\nkeep: runtime\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place
}

#[test]
fn why_tells_of_packages_and_paths() {
    let place = built();
    let why = |subject: &str| {
        let ran = place.run(&["why", "web.yaml", subject]);
        format!("{} {}{}", ran.status, ran.out, ran.err)
    };
    insta::assert_snapshot!(why("libgreet1"), @r#"
    0 libgreet1 1.0
      why        hello > libgreet1
      source     greet
      archive    test
      layer      small-1
    "#);
    insta::assert_snapshot!(why("base-files"), @r#"
    0 base-files 13.1
      why        implicit: always
      rule       `base-files`: it holds os-release, debian_version and the modes of the base directories
      source     base-files
      archive    test
      layer      small-1
    "#);
    insta::assert_snapshot!(why("mail-greeter"), @r#"
    1 mail-greeter is not in the lock
      hint       `hello` of the lock provides it
    "#);
    insta::assert_snapshot!(why("libgreet2"), @r#"
    1 libgreet2 is not in the lock
      hint       `libgreet1` is in the lock
    "#);
    insta::assert_snapshot!(why("/bin/hi"), @r#"
    0 /usr/bin/hi
      through    /bin -> usr/bin
      link to    hello
      from       package `hello` 2.0-1
      why        requested
      kept by    keep: runtime
      layer      small-1
    "#);
    insta::assert_snapshot!(why("/srv/motd"), @r#"
    0 /srv/motd
      from       `files[0]` of the spec
      kept by    files[0]
      size       3 B
      digest     sha256:98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4
      layer      files
    "#);
    insta::assert_snapshot!(why("/bin"), @r#"
    0 /bin
      link to    usr/bin
      from       made by rule `merged-usr`
      kept by    rule merged-usr
      layer      state
    "#);
    insta::assert_snapshot!(why("usr/share/doc/libgreet1/changelog.gz"), @r#"
    1 /usr/share/doc/libgreet1/changelog.gz is not in the image
      dropped    `libgreet1` 1.0 ships it: it is of class `doc`, which `keep: runtime` drops
    "#);
    insta::assert_snapshot!(why("/nowhere"), @"1 /nowhere is not in the image: no package of the lock ships it");
    insta::assert_snapshot!(why("/a/../b"), @"2 error: cannot look up `/a/../b`: it has a `..` component");
    insta::assert_snapshot!(why("/"), @"2 error: cannot look up `/`: it is the root, which every image has");
}

#[test]
fn why_needs_a_lock() {
    let place = Place::new();
    spec(&place, "web", "packages: [hello]\n");
    let ran = place.run(&["why", "web.yaml", "hello"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("there is no such lock"), "{}", ran.err);
}

#[test]
fn inspect_tells_what_an_image_holds() {
    let place = built();
    insta::assert_snapshot!(place.ok(&["inspect", "web.oci"]), @r#"
    sha256:dbd5f70d457c2c3fdc6a8dcdfb5a0ad2a64468f5f625acc3954b3cf8641690f0

    linux/amd64 sha256:dbd5f70d457c2c3fdc6a8dcdfb5a0ad2a64468f5f625acc3954b3cf8641690f0
      created     2026-01-02T03:04:05Z
      user        65532:65532
      workdir     /
      env         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

      3 layers
      digest                                                                    size unpacked entries packages
      sha256:a1f7998f3e066cd3eb893fdb485e7f949b8361543c715552a268acef94cf43e0 1.1 kB    570 B      17 base-files hello libgreet1
      sha256:c89a3791f19ba31a1cf19ee96af0c9c2c5cb843e3116a9e45004164f7f9431c7  570 B    205 B      17
      sha256:a12c7cc17d6022092d88695601f3f908e06908fd3286024ea76d7a769d7a9559  199 B      3 B       2

      3 packages
      base-files 13.1
      hello      2.0-1
      libgreet1  1.0

      17 files in 17 directories, 778 B (1.9 kB compressed), 1 ELF file
      setuid      /usr/bin/hello
      writable    none
      shells      /usr/bin/sh
      capable     none
    "#);
    let json: serde_json::Value =
        serde_json::from_str(&place.ok(&["--json", "inspect", "web.oci", "--files"])).unwrap();
    let image = &json["images"][0];
    assert_eq!(image["surface"]["setuid"], serde_json::json!(["/usr/bin/hello"]));
    let hi = image["files"].as_array().unwrap().iter().find(|file| file["path"] == "/usr/bin/hi").unwrap();
    assert_eq!(hi["target"], "hello");
    place.ok(&["build", "--locked", "web.yaml", "-o", "web.tar"]);
    assert_eq!(place.ok(&["inspect", "web.tar"]), place.ok(&["inspect", "web.oci"]));
}

#[test]
fn a_damaged_image_is_an_error() {
    let place = built();
    let json: serde_json::Value = serde_json::from_str(&place.ok(&["--json", "inspect", "web.oci"])).unwrap();
    let layer = json["images"][0]["layers"][0]["digest"].as_str().unwrap();
    let blob = place.path(&format!("web.oci/blobs/sha256/{}", &layer[7..]));
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    let ran = place.run(&["inspect", "web.oci"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert_eq!(place.run(&["inspect", "nothing.oci"]).status, 2);
}
