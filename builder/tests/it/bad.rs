//! Bad input: a named error with a hint, the exit status of its kind, nothing new at the output, and the next run works.

use std::process::{Command, Stdio};

use crate::deb::{Packing, Tar, ar, deb, pack};
use crate::program::{Place, Ran, names};
use crate::world::{Archive, DATE, spec};

fn good() -> Archive {
    Archive::new(9)
        .deb(deb("hello", "1.0").architecture("amd64").field("Depends", "libgreet1").file(
            "/usr/bin/hello",
            0o755,
            "hello\n",
        ))
        .deb(deb("libgreet1", "1.0").architecture("amd64").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
}

/// Builds `web.yaml` into `web.oci`, which must fail with `status` and say all of `said`, and leave no output.
fn refused(place: &Place, status: i32, said: &[&str]) -> Ran {
    refused_by(place, &["build", "web.yaml", "-o", "web.oci"], status, said)
}

fn refused_by(place: &Place, arguments: &[&str], status: i32, said: &[&str]) -> Ran {
    let ran = place.run(arguments);
    assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
    for word in said {
        assert!(ran.err.contains(word), "`{word}` is missing in:\n{}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    assert_eq!(ran.out, "");
    assert_nothing_new(place);
    ran
}

fn assert_nothing_new(place: &Place) {
    for name in names(&place.path(".")) {
        assert!(!name.contains(".oci") && !name.contains(".tmp") && !name.contains(".tar"), "`{name}` was left behind");
    }
}

/// The next run works: the archive is put right, and the same spec builds.
fn mends(place: &Place, archive: &Archive) {
    archive.write(place);
    let _ = std::fs::remove_file(place.path("web.lock"));
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
}

#[test]
fn a_wrong_key_in_the_spec() {
    let place = Place::new();
    good().write(&place);
    spec(&place, "web", "package: [hello]\n");
    refused(&place, 2, &["error", "package", "web.yaml:6:1", "hint", "packages"]);
    spec(&place, "web", "packages: [hello]\n");
    mends(&place, &good());
}

#[test]
fn a_package_that_does_not_exist() {
    let place = Place::new();
    good().write(&place);
    spec(&place, "web", "packages: [hallo]\n");
    refused(&place, 2, &["cannot", "`hallo`", "web.yaml:6", "hint", "hello"]);
}

#[test]
fn an_unsatisfiable_set() {
    let place = Place::new();
    let one = deb("one", "1.0").architecture("amd64").field("Depends", "shared (>= 2)");
    let two = deb("two", "1.0").architecture("amd64").field("Depends", "shared (<< 2)");
    Archive::new(9)
        .deb(one)
        .deb(two)
        .deb(deb("shared", "1.0").architecture("amd64"))
        .deb(deb("shared", "2.0").architecture("amd64"))
        .write(&place);
    spec(&place, "web", "packages: [one, two]\n");
    refused(&place, 2, &["cannot", "`two` 1.0 depends on `shared (<< 2)`", "`shared` is there in 2.0 only"]);
}

#[test]
fn a_stale_lock_under_locked() {
    let place = Place::new();
    good().write(&place);
    spec(&place, "web", "packages: [libgreet1]\n");
    place.ok(&["lock", "web.yaml"]);
    let before = std::fs::read(place.path("web.lock")).unwrap();
    spec(&place, "web", "packages: [hello]\n");
    refused_by(&place, &["build", "--locked", "web.yaml", "-o", "web.oci"], 1, &["stale", "hint", "tarsia lock"]);
    assert_eq!(std::fs::read(place.path("web.lock")).unwrap(), before, "the lock is left alone");
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("hello"), "what moved is printed: {}", ran.err);
}

#[test]
fn a_lock_with_a_forged_sha256_and_pool_path() {
    let place = Place::new();
    good().write(&place);
    spec(&place, "web", "packages: [hello]\n");
    place.ok(&["lock", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    // The attacker puts a package of their own beside the signed ones and names it in the lock.
    let evil = deb("hello", "1.0").architecture("amd64").file("/usr/bin/hello", 0o755, "evil\n").build();
    place.write("archive/pool/evil.deb", &evil);
    let honest = std::fs::read(place.path("archive/pool/main/hello_1.0_amd64.deb")).unwrap();
    let forged = lock
        .replace(&tarsia::digest::Digest::of(&honest).hex(), &tarsia::digest::Digest::of(&evil).hex())
        .replace("pool/main/hello_1.0_amd64.deb", "pool/evil.deb")
        .replace(&format!("size = {}\n", honest.len()), &format!("size = {}\n", evil.len()));
    assert_ne!(forged, lock);
    place.write("web.lock", &forged);
    refused_by(&place, &["check", "--proof", "web.yaml"], 1, &["contradict", "`hello`", "pool/evil.deb", "hint"]);
    refused(&place, 2, &["contradict", "`hello`"]);
    place.write("web.lock", &lock);
    place.ok(&["check", "--proof", "web.yaml"]);
    place.ok(&["build", "--locked", "web.yaml", "-o", "web.oci"]);
}

#[test]
fn a_tampered_in_release() {
    let place = Place::new();
    let root = good().write(&place);
    let path = root.join("dists/test/InRelease");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("Origin: Test", "Origin: Tast")).unwrap();
    spec(&place, "web", "packages: [hello]\n");
    refused(&place, 2, &["cannot", "good signatures", "not of this text"]);
    mends(&place, &good());
}

#[test]
fn an_in_release_signed_by_another_key() {
    let place = Place::new();
    good().write(&place);
    let key = std::fs::read(place.path("archive.asc")).unwrap();
    Archive::new(10).write(&place);
    place.write("archive.asc", key);
    spec(&place, "web", "packages: [hello]\n");
    refused(&place, 2, &["cannot", "sign"]);
}

#[test]
fn metadata_older_than_the_lock() {
    let place = Place::new();
    good().date(DATE).write(&place);
    spec(&place, "web", "packages: [hello]\n");
    place.ok(&["lock", "web.yaml"]);
    good().date(DATE - 86_400).write(&place);
    refused_by(&place, &["lock", "--update", "web.yaml"], 2, &["cannot", "dated", "the lock stands on"]);
}

#[test]
fn metadata_past_its_valid_until() {
    let place = Place::new();
    good().field("Valid-Until: Sat, 03 Jan 2026 00:00:00 UTC").write(&place);
    spec(&place, "web", "packages: [hello]\n");
    refused(&place, 2, &["cannot", "expired"]);
}

#[test]
fn a_tampered_index() {
    let place = Place::new();
    let root = good().write(&place);
    for name in ["Packages", "Packages.gz"] {
        let path = root.join("dists/test/main/binary-amd64").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    spec(&place, "web", "packages: [hello]\n");
    refused(&place, 2, &["cannot", "Packages", "sha256"]);
    mends(&place, &good());
}

#[test]
fn a_tampered_and_a_truncated_deb() {
    let place = Place::new();
    let root = good().write(&place);
    let path = root.join("pool/main/hello_1.0_amd64.deb");
    let whole = std::fs::read(&path).unwrap();
    spec(&place, "web", "packages: [hello]\n");
    let mut bytes = whole.clone();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    refused(&place, 2, &["cannot", "hello", "sha256"]);
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused(&place, 2, &["cannot", "hello"]);
    std::fs::write(&path, &whole).unwrap();
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
}

/// Packages that no reader may follow, each with what is said of it.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let control = Tar::new().file("./control", 0o644, b"Package: evil\nVersion: 1.0\nArchitecture: amd64\n").build();
    let control = pack(Packing::Xz, &control);
    let with = |packing, data: Tar| {
        let suffix = if packing == Packing::Xz { "xz" } else { "zst" };
        let data = pack(packing, &data.build());
        ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &control), (&format!("data.tar.{suffix}"), &data)])
    };
    let xz = |data| with(Packing::Xz, data);
    vec![
        ("dot-dot", xz(Tar::new().file("./../../etc/passwd", 0o644, b"x")), ".."),
        ("absolute", xz(Tar::new().file("/etc/passwd", 0o644, b"x")), "absolute"),
        (
            "through a symlink",
            xz(Tar::new().entry("./out", b'2', 0o777, "/tmp", b"").file("./out/x", 0o644, b"x")),
            "symbolic link",
        ),
        ("a bomb", with(Packing::Zstd, Tar::new().file("./zeros", 0o644, &vec![0; 64 << 20])), "times"),
        ("a device", xz(Tar::new().entry("./null", b'3', 0o666, "", b"")), "device"),
    ]
}

#[test]
fn hostile_debs_that_are_properly_signed() {
    for (name, bytes, said) in hostile() {
        let place = Place::new();
        let stanza = "Package: evil\nVersion: 1.0\nArchitecture: amd64\nMaintainer: x\n".to_owned();
        Archive::new(9).raw(stanza, bytes).write(&place);
        spec(&place, "web", "packages: [evil]\n");
        let ran = refused(&place, 2, &["cannot", "evil"]);
        assert!(ran.err.contains(said), "{name}: `{said}` is missing in:\n{}", ran.err);
    }
}

/// Bytes that no codec makes smaller (xorshift64).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    good().write(&place);
    let noise = noise(1, 600_000);
    Archive::new(9).deb(deb("hello", "1.0").architecture("amd64").file("/usr/share/noise", 0o644, noise)).write(&place);
    spec(&place, "web", "packages: [hello]\n");
    for (output, store) in [("small/web.oci", "store"), ("web.oci", "small/store")] {
        std::fs::create_dir(place.path("small")).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"]).arg(place.path("small")).status();
        assert!(mounted.is_ok_and(|status| status.success()), "a small disk can be mounted");
        let ran = Ran::from(
            place.tarsia(["build", "web.yaml", "-o", output]).env("TARSIA_STORE", place.path(store)).output().unwrap(),
        );
        let mut left = names(&place.path("small"));
        left.retain(|name| name != "store");
        Command::new("umount").arg(place.path("small")).status().unwrap();
        std::fs::remove_dir(place.path("small")).unwrap();
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains("cannot") && ran.err.to_lowercase().contains("space"), "{}", ran.err);
        assert!(left.is_empty(), "{left:?}");
        assert_nothing_new(&place);
    }
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
}

#[test]
fn a_kill_in_the_middle() {
    let place = Place::new();
    let mut archive = Archive::new(9);
    for n in 0..12 {
        let noise = noise(n + 1, 400_000);
        archive = archive.deb(deb(&format!("pack{n}"), "1.0").architecture("amd64").file(
            &format!("/usr/share/noise{n}"),
            0o644,
            noise,
        ));
    }
    archive.write(&place);
    let names: Vec<String> = (0..12).map(|n| format!("pack{n}")).collect();
    spec(&place, "web", &format!("packages: [{}]\n", names.join(", ")));
    place.ok(&["lock", "web.yaml"]);
    let mut killed = 0;
    for milliseconds in [5, 20, 40, 80, 120, 200] {
        let mut child = place
            .tarsia(["build", "web.yaml", "-o", "web.oci"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let finished = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        if finished {
            break;
        }
        killed += 1;
        assert!(!place.path("web.oci/index.json").exists() || place.run(&["inspect", "web.oci"]).status == 0);
    }
    assert!(killed > 0, "no build was killed before its end");
    let after = place.ok(&["build", "--locked", "web.yaml", "-o", "web.oci"]);
    let clean = place
        .tarsia(["build", "--locked", "web.yaml", "-o", "clean.oci"])
        .env("TARSIA_STORE", place.path("clean"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&clean.stdout), after);
}
