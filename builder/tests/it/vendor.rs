//! `vendor`: what a lock names, in one place; and builds from there, with nothing else to ask.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tarsia::digest::Digest;

use crate::deb::{Packing, deb};
use crate::program::{Place, Ran, names};
use crate::world::{Archive, DATE, spec};

fn archive() -> Archive {
    Archive::new(9)
        .deb(deb("hello", "1.0").depends("libgreet1").file("/usr/bin/hello", 0o755, "hello\n"))
        .deb(deb("libgreet1", "1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
        .deb(deb("other", "2.0").file("/usr/bin/other", 0o755, "other\n"))
}

/// A place with packages and a fetched file, locked and built; its digest.
fn built() -> (Place, String) {
    let place = Place::new();
    archive().write(&place);
    let data = place.write("archive/data.txt", "fetched\n");
    let sum = Digest::of(b"fetched\n").hex();
    let files = format!("files: [{{fetch: \"file://{}\", sha256: \"{sum}\", to: /data}}]\n", data.display());
    spec(&place, "web", &format!("packages: [hello]\nkeep: runtime\n{files}"));
    let digest = place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    (place, digest)
}

/// Runs the program with nothing but its arguments: no network, no apt, no home, an empty store.
fn alone(place: &Place, arguments: &[&str]) -> Ran {
    let (store, home) = (place.path("empty-store"), place.path("empty-home"));
    let _ = fs::remove_dir_all(&store);
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).unwrap();
    let command = "mount --make-rprivate / && mount -t tmpfs tmpfs /etc/apt && exec \"$0\" \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["-n", "-m", "sh", "-c", command]).arg(env!("CARGO_BIN_EXE_tarsia")).args(arguments);
    unshare.current_dir(place.path(".")).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ran::from(unshare.env("HOME", home).env("TARSIA_STORE", store).output().unwrap())
}

fn alone_ok(place: &Place, arguments: &[&str]) -> String {
    let ran = alone(place, arguments);
    assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.err);
    ran.out
}

#[test]
fn a_build_from_vendored_inputs_needs_nothing_else_and_gives_the_same_digest() {
    let (place, digest) = built();
    for output in ["v", "v.tar", "v.tar.zst"] {
        assert_eq!(place.ok(&["vendor", "web.yaml", "-o", output]), format!("{output}\n"));
    }
    fs::rename(place.path("archive"), place.path("gone")).unwrap();
    for output in ["v", "v.tar", "v.tar.zst"] {
        for more in [&["--offline"][..], &[]] {
            let build = ["build", "--locked", "--require-proof", "--vendor", output, "web.yaml", "-o", "again.oci"];
            assert_eq!(alone_ok(&place, &[&build[..], more].concat()), digest, "{output} {more:?}");
        }
        alone_ok(&place, &["check", "--proof", "--offline", "--vendor", output, "web.yaml"]);
        alone_ok(&place, &["fetch", "--offline", "--vendor", output, "web.yaml"]);
    }
    // The spec and what stands beside it are in it, and build from there.
    for name in ["web.yaml", "web.lock", "archive.asc"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    let build = ["build", "--locked", "--offline", "--vendor", "v", "v/specs/web/web.yaml", "-o", "again.oci"];
    assert_eq!(alone_ok(&place, &build), digest);
    assert!(
        Command::new("tar")
            .args(["-xf", "v.tar", "--one-top-level=x"])
            .current_dir(place.path("."))
            .status()
            .unwrap()
            .success()
    );
    let build = ["build", "--locked", "--offline", "--vendor", "x", "x/specs/web/web.yaml", "-o", "again.oci"];
    assert_eq!(alone_ok(&place, &build), digest);
}

#[test]
fn vendoring_again_gives_the_same_bytes() {
    let (place, _) = built();
    let sums = |to: &str| {
        place.ok(&["vendor", "web.yaml", "-o", &format!("{to}.tar")]);
        place.ok(&["vendor", "web.yaml", "-o", &format!("{to}.tar.zst")]);
        place.ok(&["vendor", "web.yaml", "-o", to]);
        [format!("{to}.tar"), format!("{to}.tar.zst"), format!("{to}/vendor.json")]
            .map(|name| Digest::of(&fs::read(place.path(&name)).unwrap()))
    };
    let first = sums("a");
    fs::remove_dir_all(place.path("store")).unwrap();
    assert_eq!(first, sums("b"), "from the network, not the store");
    assert_eq!(first, sums("a"), "over what stands there");
    let umask = Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" vendor web.yaml -o c.tar"])
        .arg(env!("CARGO_BIN_EXE_tarsia"))
        .current_dir(place.path("."))
        .env("TARSIA_STORE", place.path("store"))
        .env("TZ", "Pacific/Chatham")
        .status();
    assert!(umask.unwrap().success());
    assert_eq!(first[0], Digest::of(&fs::read(place.path("c.tar")).unwrap()));
    // The manifest names every file with its digest and size, and nothing else is there.
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(place.path("a/vendor.json")).unwrap()).unwrap();
    let mut listed = std::collections::BTreeSet::new();
    for file in manifest["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let bytes = fs::read(place.path("a").join(path)).unwrap();
        assert_eq!(file["digest"], Digest::of(&bytes).to_string(), "{path}");
        assert_eq!(file["size"], bytes.len(), "{path}");
        listed.insert(path.to_owned());
    }
    let kinds: std::collections::BTreeSet<&str> =
        manifest["files"].as_array().unwrap().iter().map(|file| file["kind"].as_str().unwrap()).collect();
    let expected = ["fetch", "in-release", "key", "lock", "package", "packages-file", "spec"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
    let mut there = std::collections::BTreeSet::new();
    walk(&place.path("a"), "", &mut there);
    there.remove("vendor.json");
    assert_eq!(there, listed);
}

fn walk(root: &Path, below: &str, all: &mut std::collections::BTreeSet<String>) {
    for name in names(&root.join(below)) {
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if root.join(&path).is_dir() { walk(root, &path, all) } else { all.extend([path]) }
    }
}

fn blob(place: &Place, kit: &str, path: &str) -> std::path::PathBuf {
    place.path(kit).join("blobs/sha256").join(Digest::of(&fs::read(place.path(path)).unwrap()).hex())
}

#[test]
fn what_is_missing_is_named_each() {
    let (place, digest) = built();
    place.ok(&["vendor", "web.yaml", "-o", "v"]);
    for path in ["hello_1.0_amd64.deb", "libgreet1_1.0_amd64.deb"] {
        fs::remove_file(blob(&place, "v", &format!("archive/pool/main/{path}"))).unwrap();
    }
    fs::remove_file(blob(&place, "v", "archive/data.txt")).unwrap();
    let build = ["build", "--locked", "--offline", "--vendor", "v", "web.yaml", "-o", "again.oci"];
    let ran = alone(&place, &build);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    for word in ["cannot work offline", "`v`", "hello 1.0", "libgreet1 1.0", "data.txt", "hint"] {
        assert!(ran.err.contains(word), "`{word}` is missing in {}", ran.err);
    }
    assert!(!place.path("again.oci").exists());
    // With a network, what the kit lacks comes from there.
    assert_eq!(alone_ok(&place, &["build", "--locked", "--vendor", "v", "web.yaml", "-o", "again.oci"]), digest);
    // Without its signed file, the lock cannot be proved.
    place.ok(&["vendor", "web.yaml", "-o", "v"]);
    fs::remove_file(blob(&place, "v", "archive/dists/test/InRelease")).unwrap();
    let ran = alone(&place, &[&build[..], &["--require-proof"]].concat());
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("cannot prove") && ran.err.contains("test"), "{}", ran.err);
    let ran = alone(&place, &build);
    assert!(ran.status == 0 && ran.err.contains("archive chain not proved"), "{}", ran.err);
}

#[test]
fn a_kit_is_believed_as_little_as_a_mirror() {
    let (place, digest) = built();
    place.ok(&["vendor", "web.yaml", "-o", "v"]);
    let deb = blob(&place, "v", "archive/pool/main/hello_1.0_amd64.deb");
    let whole = fs::read(&deb).unwrap();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    let build = ["build", "--locked", "--offline", "--vendor", "v", "web.yaml", "-o", "again.oci"];
    for (bytes, said) in
        [(&flipped[..], "sha256:"), (&whole[..50], "bytes"), (&[&whole[..], b"x"].concat()[..], "bytes")]
    {
        fs::write(&deb, bytes).unwrap();
        let ran = alone(&place, &build);
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(
            ran.err.contains("cannot fetch `hello 1.0`") && ran.err.contains("from v") && ran.err.contains(said),
            "{}",
            ran.err
        );
        assert!(!place.path("again.oci").exists());
        // The archive is asked next, as after any mirror that gave another file.
        assert_eq!(alone_ok(&place, &["build", "--locked", "--vendor", "v", "web.yaml", "-o", "again.oci"]), digest);
        fs::remove_dir_all(place.path("again.oci")).unwrap();
    }
    fs::remove_file(&deb).unwrap();
    assert!(Command::new("mkfifo").arg(&deb).status().unwrap().success());
    let ran = alone(&place, &build);
    assert!(ran.status == 2 && ran.err.contains("no regular file"), "{}", ran.err);
    for (name, said) in [("nowhere", "nowhere"), ("web.yaml", "web.yaml"), ("archive", "vendor.json")] {
        let ran = alone(&place, &["build", "--vendor", name, "web.yaml", "-o", "again.oci"]);
        assert!(ran.status == 2 && ran.err.contains("vendored inputs") && ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn a_kit_can_be_cut_down_to_another_lock_and_merged() {
    let (place, _) = built();
    spec(&place, "both", "packages: [hello, other]\nkeep: runtime\n");
    spec(&place, "other", "packages: [other]\nkeep: runtime\n");
    place.ok(&["lock", "both.yaml", "other.yaml"]);
    let digest = place.ok(&["build", "other.yaml", "-o", "other.oci"]);
    place.ok(&["vendor", "both.yaml", "-o", "both.tar"]);
    fs::rename(place.path("archive"), place.path("gone")).unwrap();
    alone_ok(&place, &["vendor", "other.yaml", "--offline", "--require-proof", "--vendor", "both.tar", "-o", "other"]);
    let build =
        ["build", "--locked", "--offline", "--require-proof", "--vendor", "other", "other.yaml", "-o", "again.oci"];
    assert_eq!(alone_ok(&place, &build), digest);
    assert!(
        !blob(&place, "other", "gone/pool/main/hello_1.0_amd64.deb").exists(),
        "what this lock does not name is left out"
    );
    // Several specs go into one kit; and blobs that were copied into it are found.
    let ran = place.run(&["vendor", "both.yaml", "other.yaml", "--offline"]);
    assert!(ran.status == 2 && ran.err.contains("-o"), "{}", ran.err);
    place.ok(&["vendor", "both.yaml", "other.yaml", "--offline", "-o", "all"]);
    assert_eq!(names(&place.path("all/specs")), ["both", "other"]);
    assert!(
        Command::new("cp").args(["-r", "all/blobs", "other/"]).current_dir(place.path(".")).status().unwrap().success()
    );
    alone_ok(&place, &["build", "--locked", "--offline", "--vendor", "other", "both.yaml", "-o", "again.oci"]);
}

#[test]
fn what_stands_at_the_output_and_is_no_kit_is_left_alone() {
    let (place, _) = built();
    place.write("mine/thesis.txt", "x");
    let ran = place.run(&["vendor", "web.yaml", "-o", "mine"]);
    assert!(ran.status == 2 && ran.err.contains("thesis.txt"), "{}", ran.err);
    assert_eq!(names(&place.path("mine")), ["thesis.txt"]);
    let ran = place.run(&["vendor", "web.yaml", "-o", "no/such/v.tar"]);
    assert!(ran.status == 2 && ran.err.contains("mkdir"), "{}", ran.err);
    // Without a word on where, it goes beside the other outputs of this name.
    assert_eq!(place.ok(&["vendor", "web.yaml"]), "web.vendor\n");
    place.ok(&["vendor", "web.yaml"]);
}

#[test]
fn a_lock_that_is_stale_false_or_not_to_be_proved() {
    let (place, _) = built();
    let lock = fs::read_to_string(place.path("web.lock")).unwrap();
    let text = fs::read_to_string(place.path("web.yaml")).unwrap();
    place.write("web.yaml", text.replace("[hello]", "[hello, other]"));
    let ran = place.run(&["vendor", "web.yaml"]);
    assert!(ran.status == 1 && ran.err.contains("stale"), "{}", ran.err);
    place.write("web.yaml", &text);
    place.write("web.lock", lock.replace("version = \"1.0\"", "version = \"1.1\""));
    let ran = place.run(&["vendor", "web.yaml"]);
    assert!(ran.status == 2 && ran.err.contains("contradicts"), "{}", ran.err);
    fs::remove_file(place.path("web.lock")).unwrap();
    let ran = place.run(&["vendor", "web.yaml"]);
    assert!(ran.status == 2 && ran.err.contains("no such lock"), "{}", ran.err);
    // The archive has moved on, and the signed file that the lock stands on is gone.
    place.write("web.lock", &lock);
    fs::remove_dir_all(place.path("store")).unwrap();
    archive().date(DATE + 86_400).write(&place);
    let ran = place.run(&["vendor", "--require-proof", "web.yaml"]);
    assert!(ran.status == 2 && ran.err.contains("cannot prove"), "{}", ran.err);
    assert!(!names(&place.path(".")).iter().any(|name| name.contains("vendor")));
    let ran = place.run(&["vendor", "web.yaml"]);
    assert!(ran.status == 0 && ran.err.contains("archive chain not proved"), "{}", ran.err);
}

#[test]
fn it_works_from_a_store_that_can_only_be_read() {
    let (place, _) = built();
    place.ok(&["vendor", "web.yaml", "-o", "v.tar"]);
    let mounted = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount --bind store store && mount -o remount,ro,bind store && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_tarsia"))
        .args(["vendor", "web.yaml", "-o", "w.tar"])
        .current_dir(place.path("."))
        .env("TARSIA_STORE", place.path("store"))
        .output()
        .unwrap();
    assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    assert_eq!(fs::read(place.path("v.tar")).unwrap(), fs::read(place.path("w.tar")).unwrap());
    let mode = fs::metadata(place.path("v.tar")).unwrap().permissions().mode();
    assert_eq!(mode & 0o600, 0o600);
}

#[test]
fn a_machine_without_apt_and_without_a_mirror_says_what_to_do() {
    let place = Place::new();
    place.write("web.yaml", "version: 1\nname: web\ndistro: debian/13\nplatforms: [linux/amd64]\npackages: [hello]\n");
    let ran = alone(&place, &["lock", "web.yaml"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    for word in ["cannot fetch", "apt sources", "--mirror", "--vendor"] {
        assert!(ran.err.contains(word), "`{word}` is missing in {}", ran.err);
    }
}

#[test]
fn a_kit_carries_what_stands_beside_a_spec_for_every_variant() {
    let place = Place::new();
    archive().write(&place);
    spec(&place, "low", "packages: [libgreet1]\nkeep: runtime\n");
    // Too large to be read as a text.
    let large: Vec<u8> = (0..20u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let big = deb("big", "1.0").packing(Packing::Stored).file("/usr/lib/big", 0o644, &large);
    place.write("base/big.deb", big.build());
    place.ok(&["build", "low.yaml", "-o", "oci:low:it", "-o", "oci-archive:base/low.tar"]);
    fs::copy(place.path("archive.asc"), place.path("base/archive.asc")).unwrap();
    spec(&place, "base/common", "base: oci-archive:./low.tar\npackages: [{deb: big.deb}]\nkeep: runtime\n");
    let common = fs::read_to_string(place.path("base/common.yaml")).unwrap();
    place.write("base/common.yaml", common.replace("name: base/common\n", ""));
    place.write(
        "web.yaml",
        "version: 1\nextends: base/common.yaml\npackages: [hello]\nvariants:\n  debug: {base: \"oci:low:it\", \
         packages: [other], never: [/usr/bin/hello]}\n  plain: {base: null, also: [/usr/lib/big]}\n",
    );
    let digests = ["", "debug", "plain"].map(|variant| built_as(&place, "web.yaml", variant));
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
    for output in ["v", "v.tar"] {
        place.ok(&["vendor", "web.yaml", "-o", output]);
    }
    place.ok(&["vendor", "web.yaml", "--variant", "plain", "-o", "plain"]);
    assert_eq!(fs::read(place.path("v/specs/web/base/big.deb")).unwrap().len(), big.build().len());
    assert!(!blob(&place, "plain", "archive/pool/main/other_2.0_amd64.deb").exists());
    let tar = Command::new("tar").args(["-xf", "v.tar", "--one-top-level=x"]).current_dir(place.path(".")).status();
    assert!(tar.unwrap().success());
    for gone in ["archive", "low", "base", "web.yaml", "web.lock"] {
        fs::rename(place.path(gone), place.path(&format!("gone-{gone}"))).unwrap();
    }
    for kit in ["v", "x"] {
        for (variant, digest) in ["", "debug", "plain"].iter().zip(&digests) {
            let spec = format!("{kit}/specs/web/web.yaml");
            let mut build =
                vec!["build", "--locked", "--offline", "--require-proof", "--vendor", kit, &spec, "-o", "o"];
            if !variant.is_empty() {
                build.extend(["--variant", variant]);
            }
            assert_eq!(alone_ok(&place, &build), *digest, "{kit} {variant}");
        }
    }
    // A kit is made from a kit.
    let spec = "v/specs/web/web.yaml";
    alone_ok(&place, &["vendor", "--offline", "--vendor", "v", spec, "-o", "w.tar"]);
    assert_eq!(fs::read(place.path("v.tar")).unwrap(), fs::read(place.path("w.tar")).unwrap());
    alone_ok(&place, &["build", "--locked", "--offline", "--vendor", "plain", "--variant", "plain", spec, "-o", "o"]);
}

/// Builds a variant of a spec, of the spec itself where it is empty, and returns its digest.
fn built_as(place: &Place, spec: &str, variant: &str) -> String {
    let mut build = vec!["build", spec, "-o", "out"];
    if !variant.is_empty() {
        build.extend(["--variant", variant]);
    }
    place.ok(&build)
}

/// The group `real`: real packages, their real metadata, and a machine with nothing.
#[test]
fn real_packages_build_from_a_kit_alone() {
    let home = crate::real::built();
    // `hello` has no packages, and what it copies is no input of its lock.
    for name in ["static", "python"] {
        let spec = format!("specs/{name}.yaml");
        let digest = home.ok(&["build", "--locked", &spec, "-o", &format!("vendored-{name}.oci")]);
        let place = Place::new();
        let kit = place.path("kit.tar");
        home.ok(&["vendor", "--require-proof", &spec, "-o", kit.to_str().unwrap()]);
        for end in ["yaml", "lock"] {
            fs::copy(home.path(&format!("specs/{name}.{end}")), place.path(&format!("{name}.{end}"))).unwrap();
        }
        let spec = format!("{name}.yaml");
        let build =
            ["build", "--locked", "--offline", "--require-proof", "--vendor", "kit.tar", &spec, "-o", "again.oci"];
        assert_eq!(alone_ok(&place, &build), digest, "{name}");
    }
}
