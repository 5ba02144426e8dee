//! `diff`: what differs is named as what it is, and nothing else is.

use crate::deb::deb;
use crate::elf_file::{elf, place_of};
use crate::program::Place;
use crate::tamper::{self, Change};
use crate::world::{Archive, DATE, spec};

/// A place with an image of two packages, a hard link among their files, and a file of the spec.
fn built() -> Place {
    let place = Place::new();
    archive("1.0").write(&place);
    spec(&place, "web", "packages: [hello]\nkeep: runtime\nfiles:\n  - {text: \"hi\\nthere\\n\", to: /srv/motd}\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place
}

/// An ELF file with a build id, code and strings.
fn program() -> Vec<u8> {
    let id = [&[4, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0][..], b"GNU\0", b"\xab\xcd\xef\x01\x23\x45\x67\x89"].concat();
    elf(&[(".note.gnu.build-id", &id), (".text", &[0x90; 64]), (".rodata", b"hello\0")])
}

fn archive(version: &str) -> Archive {
    Archive::new(12)
        .deb(deb("base-files", "13.1").architecture("amd64").dir("/etc", 0o755).file(
            "/usr/lib/os-release",
            0o644,
            "ID=test\n",
        ))
        .deb(
            deb("libgreet1", version)
                .architecture("amd64")
                .source("greet")
                .file("/usr/lib/x86_64-linux-gnu/libgreet.so.1", 0o644, format!("nearly ELF {version}\n"))
                .file("/usr/share/doc/libgreet1/copyright", 0o644, "MIT\n"),
        )
        .deb(
            deb("hello", "2.0-1")
                .architecture("amd64")
                .field("Depends", "libgreet1 (>= 1.0)")
                .field("Installed-Size", "4096")
                .control_file("md5sums", "0123456789abcdef0123456789abcdef  usr/bin/hello\n")
                .file("/usr/bin/hello", 0o755, "#!/bin/false\nhello\n")
                .hardlink("/usr/bin/hi", "/usr/bin/hello")
                .file("/etc/hello.conf", 0o644, "greeting=ciao\n")
                .file("/etc/hello.d/a", 0o644, "a\n")
                .file("/etc/hello.d/b", 0o644, "b\n")
                .file("/usr/libexec/hello", 0o755, program()),
        )
}

/// Returns the differences of two images, a line each, as `-v` shows them.
fn differences(place: &Place, a: &str, b: &str) -> Vec<String> {
    let ran = place.run(&["diff", "--json", a, b]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let manifest = &json["manifests"][0];
    let all = manifest["differences"].as_array().unwrap();
    let counted: u64 = manifest["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counted, all.len() as u64);
    let text = place.run(&["diff", "-v", a, b]).out;
    text.rsplit("\n\n").next().unwrap().lines().map(|line| without_digests(line.trim())).collect()
}

/// Returns a text in which every digest is as good as another.
fn without_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}sha256:…{}", &part[64..]))
}

/// Changes one thing of the image, and returns what is said of it.
fn changed(place: &Place, change: Change<'_>) -> String {
    let _ = std::fs::remove_dir_all(place.path("changed.oci"));
    let digest = tamper::apply(&place.path("web.oci"), &place.path("changed.oci"), change);
    // Everything was made right again: it is an image like any other.
    assert!(place.ok(&["inspect", "changed.oci"]).starts_with(&digest), "{change:?}");
    differences(place, "web.oci", "changed.oci").join("\n")
}

#[test]
fn an_image_is_the_same_as_itself_in_every_form() {
    let place = built();
    place.ok(&["build", "--locked", "web.yaml", "-o", "web.tar"]);
    let ran = place.run(&["diff", "web.oci", "web.tar"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.ends_with("\nsame\n"), "{}", ran.out);
    place.ok(&["build", "--locked", "web.yaml", "-o", "docker-archive:web.docker.tar"]);
    let lines = differences(&place, "web.oci", "docker-archive:web.docker.tar");
    assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("encoding ")), "{lines:?}");
    let said = place.run(&["diff", "web.oci", "docker-archive:web.docker.tar"]).out;
    assert!(said.contains("linux/amd64: same content, other encoding"), "{said}");
}

#[test]
fn each_change_is_named_as_what_it_is_and_nothing_else_is() {
    let place = built();
    let hello = "/usr/bin/hello";
    let conf = "/etc/hello.conf";
    let mut said = Vec::new();
    insta::assert_snapshot!(changed(&place, Change::Byte(conf, 0)), @"content  /etc/hello.conf: line 1: `greeting=ciao` -> `freeting=ciao`");
    insta::assert_snapshot!(changed(&place, Change::Bytes(conf, b"greeting=hello\nmore\n")), @"content  /etc/hello.conf: line 1: `greeting=ciao` -> `greeting=hello`, and 1 line more");
    insta::assert_snapshot!(changed(&place, Change::Bytes(conf, b"\0\x01\x02")), @"content  /etc/hello.conf: 3 bytes from offset 0x0: 6772656574696e673d6369616f0a -> 000102, size 14 -> 3");
    for (section, within) in [(".note.gnu.build-id", 16), (".text", 5), (".rodata", 0)] {
        let at = place_of(&program(), section) + within;
        said.push(changed(&place, Change::Byte("/usr/libexec/hello", at)));
    }
    said.push(changed(&place, Change::Byte("/usr/libexec/hello", 8)));
    insta::assert_snapshot!(said.join("\n"), @r"
    content  /usr/libexec/hello: .note.gnu.build-id, 1 byte from offset 0x50 (0x10 in it): abcdef0123456789 -> aacdef0123456789
    content  /usr/libexec/hello: .text, 1 byte from offset 0x65 (0x5 in it)
    content  /usr/libexec/hello: .rodata, 1 byte from offset 0xa0 (0x0 in it)
    content  /usr/libexec/hello: ELF header, 1 byte from offset 0x8 (0x8 in it)
    ");
    insta::assert_snapshot!(changed(&place, Change::Mtime(hello)), @"mtime    /usr/bin/hello (hello): 2023-11-14T22:13:20Z -> 2023-11-14T22:13:21Z");
    insta::assert_snapshot!(changed(&place, Change::Mtime("/usr/bin")), @"mtime    /usr/bin: 1970-01-01T00:00:00Z -> 1970-01-01T00:00:01Z");
    insta::assert_snapshot!(changed(&place, Change::Mode(conf)), @"mode     /etc/hello.conf: 0644 -> 0600");
    insta::assert_snapshot!(changed(&place, Change::Owner(conf)), @"owner    /etc/hello.conf: 0:0 -> 1:0");
    insta::assert_snapshot!(changed(&place, Change::Xattr(conf)), @"xattr    /etc/hello.conf, user.note: changed, added");
    insta::assert_snapshot!(changed(&place, Change::Order("/etc/hello.d/a")), @"order    /etc/hello.d/a, 1 entry: behind /etc/hello.conf -> behind /etc/hello.d/b");
    insta::assert_snapshot!(changed(&place, Change::Add(conf)), @"name     /etc/hello.conf.extra: file of 6 bytes, added");
    insta::assert_snapshot!(changed(&place, Change::Remove(conf)), @"name     /etc/hello.conf: file of 14 bytes, removed");
    insta::assert_snapshot!(changed(&place, Change::Copy("/usr/bin/hi")), @"type     /usr/bin/hi: hard link to /usr/bin/hello -> file of 19 bytes");
    insta::assert_snapshot!(changed(&place, Change::Pax(conf)), @"format   /etc/hello.conf, pax records: none -> path");
    insta::assert_snapshot!(changed(&place, Change::OwnerNames(conf)), @"format   /etc/hello.conf, owner names: none -> `root:root`");
    insta::assert_snapshot!(changed(&place, Change::Padding(conf)), @"format   /etc/hello.conf, byte 5631 of the tar, which no reader looks at: 0x00 -> 0x21");
    insta::assert_snapshot!(changed(&place, Change::Trailer(conf)), @"format   layer 0, end of the archive: 1024 bytes -> 2048 bytes");
    insta::assert_snapshot!(changed(&place, Change::Level(conf)), @"encoding layer 0: tar+zstd of 815 bytes, sha256:… -> tar+zstd of 662 bytes, sha256:…");
    insta::assert_snapshot!(changed(&place, Change::Gzip(conf)), @"encoding layer 0: tar+zstd of 815 bytes, sha256:… -> tar+gzip of 720 bytes, sha256:…");
    insta::assert_snapshot!(changed(&place, Change::Layer("/srv/motd")), @"order    /srv/motd: layer 3 -> layer 0");
    insta::assert_snapshot!(changed(&place, Change::User("0:0")), @"config   config.User: 65532:65532 -> 0:0");
    insta::assert_snapshot!(changed(&place, Change::Space), @"format   config, white space: 270 bytes of form -> 271 bytes of form");
    insta::assert_snapshot!(changed(&place, Change::Layers), @"order    layers: layer 0 -> layer 1");
}

#[test]
fn an_update_reads_as_one() {
    let place = built();
    archive("1.1").date(DATE + 86_400).write(&place);
    place.ok(&["lock", "--update", "web.yaml"]);
    place.ok(&["build", "--locked", "web.yaml", "-o", "new.oci"]);
    let ran = place.run(&["diff", "web.oci", "new.oci"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    insta::assert_snapshot!(without_digests(&ran.out), @r"
    a  oci:web.oci  sha256:…
    b  oci:new.oci  sha256:…

    linux/amd64: different
      packages     1 changed
      files        11 changed
      config       1 key changed
      layers       3 of 4 new, 1.6 kB to pull
      surface      same
      size         2.4 kB -> 2.4 kB (-1 B) compressed
      differences  config 1, content 2, mtime 9

      libgreet1 1.0 -> 1.1

      config   created: 2026-01-02T03:04:05Z -> 2026-01-03T03:04:05Z
      content  /usr/lib/x86_64-linux-gnu/libgreet.so.1: line 1: `nearly ELF 1.0` -> `nearly ELF 1.1`
      content  /var/lib/dpkg/status.d/libgreet1 (libgreet1): line 2: `Version: 1.0` -> `Version: 1.1`
      mtime    /bin and 8 more paths: 2026-01-02T03:04:05Z -> 2026-01-03T03:04:05Z
    ");
    insta::assert_snapshot!(without_digests(&place.run(&["diff", "--format", "markdown", "web.oci", "new.oci"]).out), @r"
    ### `oci:web.oci` and `oci:new.oci`

    `sha256:…` → `sha256:…`

    **linux/amd64**: different

    | | |
    |---|---|
    | packages | 1 changed |
    | files | 11 changed |
    | config | 1 key changed |
    | layers | 3 of 4 new, 1.6 kB to pull |
    | surface | same |
    | size | 2.4 kB -> 2.4 kB (-1 B) compressed |
    | differences | config 1, content 2, mtime 9 |

    - `libgreet1 1.0 -> 1.1`

    <details><summary>12 differences</summary>

    - `config   created: 2026-01-02T03:04:05Z -> 2026-01-03T03:04:05Z`
    - `` content  /usr/lib/x86_64-linux-gnu/libgreet.so.1: line 1: `nearly ELF 1.0` -> `nearly ELF 1.1` ``
    - `` content  /var/lib/dpkg/status.d/libgreet1 (libgreet1): line 2: `Version: 1.0` -> `Version: 1.1` ``
    - `mtime    /bin and 8 more paths: 2026-01-02T03:04:05Z -> 2026-01-03T03:04:05Z`

    </details>
    ");
}

#[test]
fn locks_are_compared_as_locks() {
    let place = built();
    std::fs::copy(place.path("web.lock"), place.path("old.lock")).unwrap();
    assert_eq!(place.run(&["diff", "old.lock", "web.lock"]).status, 0);
    archive("1.1").date(DATE + 86_400).write(&place);
    place.ok(&["lock", "--update", "web.yaml"]);
    let ran = place.run(&["diff", "old.lock", "web.lock"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    insta::assert_snapshot!(without_digests(&ran.out), @r"
    a  old.lock
    b  web.lock

    packages: 1
      libgreet1 1.0 -> 1.1 [test, linux/amd64]

    other: 2
      archive test test 2026-01-02T03:04:05Z sha256:… -> 2026-01-03T03:04:05Z sha256:…
      field source-date 2026-01-02T03:04:05Z -> 2026-01-03T03:04:05Z
    ");
    insta::assert_snapshot!(without_digests(&place.run(&["diff", "--format", "markdown", "old.lock", "web.lock"]).out), @r"
    ### `old.lock` and `web.lock`

    | package | before | after | |
    |---|---|---|---|
    | `libgreet1` | `1.0` | `1.1` | test, linux/amd64 |

    <details><summary>2 differences</summary>

    - `archive test test 2026-01-02T03:04:05Z sha256:… -> 2026-01-03T03:04:05Z sha256:…`
    - `field source-date 2026-01-02T03:04:05Z -> 2026-01-03T03:04:05Z`

    </details>
    ");
    let ran = place.run(&["diff", "old.lock", "web.oci"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("one is a lock"), "{}", ran.err);
}

#[test]
fn what_cannot_be_read_cannot_be_compared() {
    let place = built();
    tamper::apply(&place.path("web.oci"), &place.path("changed.oci"), Change::Mode("/etc/hello.conf"));
    for (name, arguments) in [
        ("an absent image", vec!["diff", "web.oci", "nothing.oci"]),
        ("an absent platform", vec!["diff", "web.oci", "changed.oci", "--platform", "linux/arm64"]),
    ] {
        let ran = place.run(&arguments);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{name}: {}", ran.err);
    }
    // A layer that claims the DiffID of another's bytes is no other encoding of them.
    let (index, at) = (place.path("changed.oci/index.json"), "changed.oci/blobs/sha256");
    let read = |path: &std::path::Path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let blob =
        |descriptor: &serde_json::Value| place.path(&format!("{at}/{}", &descriptor["digest"].as_str().unwrap()[7..]));
    let mut top = read(&index);
    let mut manifest = read(&blob(&top["manifests"][0]));
    let honest = read(&place.path("web.oci/index.json"));
    let honest = read(&blob(&honest["manifests"][0]));
    manifest["config"] = honest["config"].clone();
    let bytes = manifest.to_string().into_bytes();
    let digest = tarsia::digest::Digest::of(&bytes);
    place.write(&format!("{at}/{}", digest.hex()), &bytes);
    top["manifests"][0]["digest"] = digest.to_string().into();
    top["manifests"][0]["size"] = bytes.len().into();
    std::fs::write(&index, top.to_string()).unwrap();
    let ran = place.run(&["diff", "web.oci", "changed.oci"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("and the config says"), "{}", ran.err);
}

#[test]
fn images_of_other_makers_are_compared_layer_by_layer() {
    use crate::deb::Tar;
    let place = Place::new();
    let config = serde_json::json!({ "User": "1" });
    let base = Tar::new().directory("etc/", 0o755).file("etc/a", 0o644, b"a\n").build();
    let app = |text: &str| Tar::new().directory("opt/", 0o755).file("opt/app", 0o755, text.as_bytes()).build();
    let other = Tar::new().file("opt/other", 0o644, b"o").file("opt/more", 0o644, b"m").build();
    crate::layout::write(&place, "one", &[base.clone(), app("1\n")], &config);
    // A layer between the two, and another content above.
    crate::layout::write(&place, "two", &[base.clone(), other, app("2\n")], &config);
    insta::assert_snapshot!(differences(&place, "one", "two").join("\n"), @r"
    config   history: 2 entries -> 3 entries
    name     layer 1: 2 entries, sha256:…, added
    name     /opt/other: file of 1 byte, added
    name     /opt/more: file of 1 byte, added
    content  /opt/app: line 1: `1` -> `2`
    ");
    // One layer of both: paths are found again where they went.
    let both = Tar::new().directory("etc/", 0o755).file("etc/a", 0o600, b"a\n").directory("opt/", 0o755);
    crate::layout::write(&place, "flat", &[both.file("opt/app", 0o755, b"1\n").build()], &config);
    insta::assert_snapshot!(differences(&place, "one", "flat").join("\n"), @r"
    config   history: 2 entries -> 1 entry
    name     layer 1: 2 entries, sha256:…, removed
    mode     /etc/a: 0644 -> 0600
    order    /opt: layer 1 -> layer 0
    order    /opt/app: layer 1 -> layer 0
    format   layer 0, end of the archive: 8704 bytes -> 7168 bytes
    ");
    // The same directory twice, and an end that is missing.
    let twice = Tar::new().directory("etc/", 0o755).file("etc/a", 0o644, b"a\n").directory("etc/", 0o700).build();
    crate::layout::write(&place, "twice", &[twice, app("1\n")], &config);
    insta::assert_snapshot!(differences(&place, "one", "twice").join("\n"), @r"
    name     /etc: directory, added
    format   layer 0, end of the archive: 8704 bytes -> 8192 bytes
    ");
    crate::layout::write(&place, "short", &[base[..1536].to_vec(), app("1\n")], &config);
    insta::assert_snapshot!(differences(&place, "one", "short").join("\n"), @"format   layer 0, end of the archive: 8704 bytes -> 0 bytes");
}

#[test]
fn platforms_are_compared_with_their_own() {
    let place = Place::new();
    archive("1.0").write(&place);
    let text =
        "version: 1\nname: both\nplatforms: [linux/amd64, linux/arm64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";
    place.write("both.yaml", text);
    place.write("one.yaml", text.replace(", linux/arm64", ""));
    place.ok(&["build", "both.yaml", "-o", "both.oci"]);
    place.ok(&["build", "one.yaml", "-o", "one.oci"]);
    let ran = place.run(&["diff", "both.oci", "one.oci"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    insta::assert_snapshot!(without_digests(&ran.out), @r"
    a  oci:both.oci  sha256:…
    b  oci:one.oci   sha256:…

    name     linux/arm64, platform: sha256:…, removed
    manifest index: an index -> one image

    linux/amd64: same
    ");
    assert_eq!(place.run(&["diff", "both.oci", "one.oci", "--platform", "linux/amd64"]).status, 0);
    tamper::apply(&place.path("both.oci"), &place.path("changed.oci"), Change::Mode("/srv/motd"));
    let ran = place.run(&["diff", "both.oci", "changed.oci"]);
    assert!(
        ran.out.contains("mode     /srv/motd: 0644 -> 0600") && ran.out.contains("linux/arm64: same"),
        "{}",
        ran.out
    );
    assert_eq!(place.run(&["diff", "both.oci", "changed.oci", "--platform", "linux/arm64"]).status, 0);
}

#[test]
fn help() {
    insta::assert_snapshot!(Place::new().ok(&["diff", "-h"]), @r"
    Explain how two images or locks differ

    Usage: tarsia diff [OPTIONS] <A> <B>

    Arguments:
      <A>  Image or lock to start from: a directory, an archive, oci:DIR[:TAG], oci-archive:FILE[:TAG],
           docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST], or a file that ends in `.lock`
      <B>  Image or lock to compare with it

    Options:
          --format <FORMAT>     How to write the answer; `-v` writes every difference [default: text]
                                [possible values: text, json, markdown]
          --platform <OS/ARCH>  Only this platform, as linux/arm64; may be repeated
      -h, --help                Print help

    Store options:
          --store <DIR>  Store directory [default: tarsia in the user's cache] [env: TARSIA_STORE]
          --paranoid     Hash everything that is read from the store again

    Network options:
          --ca <FILE>          Trust the authorities in this PEM file too [env: TARSIA_CA]
          --plain-http         Speak plain HTTP to registries of other machines too
          --token-host <HOST>  Host that may turn registry logins into tokens; may be repeated

    Output options:
          --json     Print the answer, and any error, as JSON
      -q, --quiet    Print errors only, and no progress
      -v, --verbose  Say more
    ");
}
