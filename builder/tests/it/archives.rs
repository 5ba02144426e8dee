//! Archives beside the distribution's own: flat and pooled, in every packing, signed in every way, with keys of every kind.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use tarsia::digest::Digest;

use crate::deb::{Packing, deb, pack};
use crate::program::Place;
use crate::signing::{self, Secret};
use crate::world::{Archive, DATE, rfc2822, spec};

/// How a Release is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    Inline,
    Armoured,
    Binary,
}

/// What an archive looks like.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// The directory of a flat archive, else its suite.
    suite: &'static str,
    packing: Packing,
    signed: Signed,
}

impl Layout {
    fn is_flat(self) -> bool {
        self.suite.ends_with('/')
    }

    /// Returns the directory of the Release below the archive's base.
    fn directory(self) -> String {
        match self.suite {
            "./" => String::new(),
            flat if flat.ends_with('/') => flat.to_owned(),
            suite => format!("dists/{suite}/"),
        }
    }

    /// Writes an archive of one package at `root`, with a Release that is not signed yet, and returns its text.
    fn write(self, place: &Place, root: &str, name: &str) -> String {
        let one = deb(name, "1.0").file(&format!("/usr/bin/{name}"), 0o755, "hello\n");
        let bytes = one.build();
        let path = if self.is_flat() { format!("./{name}.deb") } else { format!("pool/{name}.deb") };
        place.write(&format!("{root}/{path}"), &bytes);
        let mut packages = one.stanza();
        // The list of a flat archive holds every architecture.
        write!(packages, "Filename: {path}\nSize: {}\nSHA256: {}\n\n", bytes.len(), Digest::of(&bytes).hex()).unwrap();
        if self.is_flat() {
            let other = deb(name, "2.0").architecture("arm64").stanza();
            write!(packages, "{other}Filename: ./x.deb\nSize: 1\nSHA256: {}\n\n", Digest::of(b"x").hex()).unwrap();
        }
        let suffix = match self.packing {
            Packing::Stored => "",
            Packing::Xz => ".xz",
            Packing::Zstd => ".zst",
            Packing::Gzip => ".gz",
        };
        let index = pack(self.packing, packages.as_bytes());
        let list = if self.is_flat() { "Packages".to_owned() } else { "main/binary-amd64/Packages".to_owned() };
        place.write(&format!("{root}/{}{list}{suffix}", self.directory()), &index);
        let named = if self.is_flat() {
            ""
        } else {
            "Suite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\n"
        };
        let dot = if self.is_flat() { "./" } else { "" };
        format!(
            "Origin: Test\n{named}Date: {}\nSHA256:\n {} {} {dot}{list}{suffix}\n",
            rfc2822(DATE),
            Digest::of(&index).hex(),
            index.len()
        )
    }

    /// Signs a Release and writes it.
    fn sign(self, place: &Place, root: &str, release: &str, secrets: &[&Secret]) {
        let at = |name: &str| format!("{root}/{}{name}", self.directory());
        match self.signed {
            Signed::Inline => {
                place.write(&at("InRelease"), signing::clearsign_many(secrets, release, DATE));
            }
            Signed::Armoured | Signed::Binary => {
                place.write(&at("Release"), release);
                let armoured = self.signed == Signed::Armoured;
                place.write(&at("Release.gpg"), signing::detach(secrets, release, DATE, armoured));
            }
        }
    }

    /// Writes a spec that takes `name` from this archive at `root`.
    fn spec(self, place: &Place, root: &str, name: &str, rest: &str) {
        let components = if self.is_flat() { "" } else { ", components: [main]" };
        let uri = place.path(root).display().to_string();
        place.write(
            "web.yaml",
            format!(
                "version: 1\nname: web\nplatforms: [linux/amd64]\narchives:\n  acme: {{uri: \"file://{uri}\", suite: {}{components}, signed-by: acme.key{rest}}}\npackages: [{name}]\n",
                self.suite
            ),
        );
    }
}

const POOLED: Layout = Layout { suite: "stable", packing: Packing::Xz, signed: Signed::Inline };

#[test]
fn every_layout_packing_and_signature_locks_proves_and_builds_offline() {
    for suite in ["stable", "./", "sub/dir/"] {
        for packing in [Packing::Stored, Packing::Gzip, Packing::Xz, Packing::Zstd] {
            for signed in [Signed::Inline, Signed::Armoured, Signed::Binary] {
                // Each packing with each suite, each signature with each suite: not all with all.
                if signed != Signed::Inline && packing != Packing::Zstd {
                    continue;
                }
                let layout = Layout { suite, packing, signed };
                let place = Place::new();
                let release = layout.write(&place, "acme", "hello");
                let (secret, public) = signing::generate_key(5);
                layout.sign(&place, "acme", &release, &[&secret]);
                place.write("acme.key", public);
                layout.spec(&place, "acme", "hello", "");
                place.ok(&["lock", "web.yaml"]);
                let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
                assert!(lock.contains(&format!("suite = \"{suite}\"")), "{layout:?}\n{lock}");
                assert_eq!(lock.contains("\nsignature = "), signed != Signed::Inline, "{layout:?}\n{lock}");
                assert!(lock.contains("version = \"1.0\"") && !lock.contains("2.0"), "{layout:?}\n{lock}");
                place.ok(&["fetch", "web.yaml"]);
                std::fs::rename(place.path("acme"), place.path("gone")).unwrap();
                place.ok(&["check", "web.yaml", "--proof", "--offline"]);
                place.ok(&["build", "web.yaml", "-o", "web.oci", "--locked", "--offline", "--require-proof"]);
            }
        }
    }
}

#[test]
fn a_release_is_fetched_again_by_its_digest_with_its_signature() {
    let layout = Layout { signed: Signed::Armoured, ..POOLED };
    let place = Place::new();
    let release = layout.write(&place, "acme", "hello");
    let (secret, public) = signing::generate_key(5);
    layout.sign(&place, "acme", &release, &[&secret]);
    place.write("acme.key", public);
    layout.spec(&place, "acme", "hello", "");
    place.ok(&["lock", "web.yaml"]);
    std::fs::remove_dir_all(place.path("store")).unwrap();
    place.ok(&["check", "web.yaml", "--proof"]);
    // Another good signature is not the one that is locked.
    std::fs::remove_dir_all(place.path("store")).unwrap();
    place.write("acme/dists/stable/Release.gpg", signing::detach(&[&secret], &release, DATE + 1, true));
    let ran = place.run(&["build", "web.yaml", "-o", "web.oci", "--locked", "--require-proof"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("Release.gpg"), "{}", ran.err);
    // And a bad one is none at all.
    place.write("acme/dists/stable/Release", release.replace("Origin: Test", "Origin: Tost"));
    let ran = place.run(&["lock", "web.yaml", "--update"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("0 good signatures where 1 is needed"), "{}", ran.err);
}

#[test]
fn several_certificates_count_by_number_and_by_name() {
    let keys: Vec<(Secret, String)> = (1..=3).map(signing::generate_key).collect();
    let all: String = keys.iter().map(|(_, certificate)| format!("{certificate}\n")).collect();
    let binary: Vec<u8> = keys.iter().flat_map(|(_, certificate)| signing::dearmour(certificate)).collect();
    for signed in [Signed::Inline, Signed::Armoured, Signed::Binary] {
        let layout = Layout { signed, ..POOLED };
        let place = Place::new();
        let release = layout.write(&place, "acme", "hello");
        let check = |signers: &[usize], key: &[u8], rest: &str| {
            let secrets: Vec<&Secret> = signers.iter().map(|n| &keys[*n].0).collect();
            layout.sign(&place, "acme", &release, &secrets);
            place.write("acme.key", key);
            layout.spec(&place, "acme", "hello", rest);
            let _ = std::fs::remove_file(place.path("web.lock"));
            let ran = place.run(&["lock", "web.yaml"]);
            if ran.status == 0 { "good".to_owned() } else { ran.err }
        };
        for key in [all.as_bytes(), &binary] {
            assert_eq!(check(&[0, 2], key, ", min-signatures: 2"), "good", "{signed:?}");
            assert!(check(&[1], key, ", min-signatures: 2").contains("1 good signature where 2 are needed"));
            assert!(check(&[1, 1], key, ", min-signatures: 2").contains("1 good signature where 2 are needed"));
            let require = format!(", require-key: [{}]", keys[2].0.fingerprint());
            assert_eq!(check(&[0, 2], key, &require), "good", "{signed:?}");
            assert!(check(&[0, 1], key, &require).contains("by the required key"));
        }
        let lock = std::fs::read_to_string(place.path("web.lock"));
        assert!(lock.is_err(), "a refused lock is not written");
    }
}

/// gpg itself as the signer, with RSA and Ed25519 keys; says so where it is not installed.
#[test]
fn what_gpg_signs_counts() {
    for algorithm in ["rsa3072", "ed25519"] {
        let place = Place::new();
        let home = place.path("gnupg");
        std::fs::create_dir(&home).unwrap();
        let gpg = |arguments: &[&str]| {
            let ran = Command::new("gpg")
                .arg("--homedir")
                .arg(&home)
                .args(["--batch", "--yes", "--quiet", "--passphrase", ""])
                .args(arguments)
                .output();
            match ran {
                Ok(ran) => {
                    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
                    true
                }
                Err(_) => false,
            }
        };
        if !gpg(&["--quick-generate-key", "Test <test@example.org>", algorithm, "sign", "never"]) {
            eprintln!("gpg is not installed: its signatures were not looked at");
            return;
        }
        let shown = |path: &Path| path.display().to_string();
        for (layout, way) in [
            (Layout { suite: "./", packing: Packing::Gzip, signed: Signed::Inline }, "--clearsign"),
            (Layout { suite: "stable", packing: Packing::Zstd, signed: Signed::Armoured }, "--armor"),
            (Layout { suite: "stable", packing: Packing::Zstd, signed: Signed::Binary }, "--detach-sign"),
        ] {
            // Dated by the machine's clock, as the signature is.
            let now = jiff::Timestamp::now().as_second();
            let root = format!("acme{way}");
            let release = layout.write(&place, &root, "hello").replace(&rfc2822(DATE), &rfc2822(now));
            let directory = format!("{root}/{}", layout.directory());
            let plain = place.write(&format!("{directory}Release"), release);
            let target = place.path(&format!(
                "{directory}{}",
                if layout.signed == Signed::Inline { "InRelease" } else { "Release.gpg" }
            ));
            let mut arguments = vec!["--output".to_owned(), shown(&target), way.to_owned()];
            if layout.signed == Signed::Armoured {
                arguments.push("--detach-sign".to_owned());
            }
            arguments.push(shown(&plain));
            gpg(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            if layout.signed == Signed::Inline {
                std::fs::remove_file(&plain).unwrap();
            }
            gpg(&["--output", &shown(&place.path("acme.key")), "--export"]);
            layout.spec(&place, &root, "hello", "");
            let _ = std::fs::remove_file(place.path("web.lock"));
            place.ok(&["lock", "web.yaml"]);
        }
    }
}

#[test]
fn a_package_comes_from_the_archive_that_is_named() {
    let place = Place::new();
    let (secret, public) = signing::generate_key(5);
    place.write("acme.key", public);
    let mut archives = String::new();
    for (root, version) in [("one", "1.0"), ("two", "2.0")] {
        let release = POOLED.write(&place, root, "hello");
        // The same package in a higher version, which no request by name alone would pass over.
        let list = format!("{root}/dists/stable/main/binary-amd64/Packages.xz");
        let stanza = deb("hello", version).stanza();
        let text = format!("{stanza}Filename: pool/hello.deb\nSize: 1\nSHA256: {}\n\n", Digest::of(b"x").hex());
        let index = pack(Packing::Xz, text.as_bytes());
        place.write(&list, &index);
        let head = release.split("SHA256:").next().unwrap().to_owned();
        let release =
            format!("{head}SHA256:\n {} {} main/binary-amd64/Packages.xz\n", Digest::of(&index).hex(), index.len());
        POOLED.sign(&place, root, &release, &[&secret]);
        writeln!(
            archives,
            "  {root}: {{uri: \"file://{}\", suite: stable, components: [main], signed-by: acme.key}}",
            place.path(root).display()
        )
        .unwrap();
    }
    let locked = |request: &str| {
        place.write(
            "web.yaml",
            format!("version: 1\nname: web\nplatforms: [linux/amd64]\narchives:\n{archives}packages:\n  - {request}\n"),
        );
        let _ = std::fs::remove_file(place.path("web.lock"));
        let ran = place.run(&["lock", "web.yaml"]);
        match std::fs::read_to_string(place.path("web.lock")) {
            Ok(lock) => lock
                .lines()
                .filter(|line| line.starts_with("archive = ") || line.starts_with("version = \""))
                .collect::<Vec<_>>()
                .join(" "),
            Err(_) => ran.err,
        }
    };
    assert_eq!(locked("hello"), "version = \"2.0\" archive = \"two\"");
    assert_eq!(locked("{name: hello, from: one}"), "version = \"1.0\" archive = \"one\"");
    assert_eq!(locked("hello = 1.0"), "version = \"1.0\" archive = \"one\"");
    assert!(locked("{name: \"hello = 2.0\", from: one}").contains("no version of `hello` is = 2.0"));
}

#[test]
fn a_lock_from_which_something_was_cut_or_moved_is_not_proved() {
    let place = Place::new();
    Archive::new(9)
        .deb(deb("hello", "1.0").depends("libgreet1").file("/usr/bin/hello", 0o755, "hello\n"))
        .deb(deb("libgreet1", "1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
        .write(&place);
    spec(&place, "web", "packages: [hello]\n");
    place.ok(&["lock", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    place.ok(&["check", "web.yaml", "--proof"]);
    let said = |text: &str| {
        place.write("web.lock", text);
        let ran = place.run(&["check", "web.yaml", "--proof"]);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        let stopped = place.run(&["build", "web.yaml", "-o", "web.oci", "--locked"]);
        assert_eq!(stopped.status, 2, "{}{}", stopped.out, stopped.err);
        assert!(!place.path("web.oci").exists());
        format!("{}{}", ran.out, ran.err)
    };
    let blocks: Vec<&str> = lock.split("\n[[platform.\"linux/amd64\".package]]\n").collect();
    assert_eq!(blocks.len(), 3, "{lock}");
    let cut = format!("{}\n[[platform.\"linux/amd64\".package]]\n{}", blocks[0], blocks[1]);
    assert!(
        said(&cut)
            .contains("`hello` (linux/amd64) has the dependency `libgreet1`, and the lock has nothing that meets it")
    );
    let moved = lock.replace(&format!("source-date = {DATE}"), &format!("source-date = {}", DATE + 1));
    assert!(said(&moved).contains("`source-date` has value"), "{moved}");
    // What was given stays given.
    place.write("web.lock", moved.replace("\nsource-date = ", "\nsource-date-given = true\nsource-date = "));
    place.ok(&["check", "web.yaml", "--proof"]);
    std::fs::remove_file(place.path("web.lock")).unwrap();
    let ran = place.tarsia(["lock", "web.yaml"]).env("SOURCE_DATE_EPOCH", "5").output().unwrap();
    assert!(ran.status.success());
    let given = std::fs::read_to_string(place.path("web.lock")).unwrap();
    assert!(given.contains("source-date = 5\nsource-date-given = true\n"), "{given}");
    place.ok(&["check", "web.yaml", "--proof"]);
}
