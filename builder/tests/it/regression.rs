//! What a review found broken, one test per finding.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tarsia::digest::Digest;

use crate::deb::{Tar, deb};
use crate::program::{Place, Ran};
use crate::world::{Archive, spec};

/// Returns a place with an archive of `hello` and `other`, and a lock of `web.yaml`, which asks for `hello`.
fn locked() -> (Place, String) {
    let place = Place::new();
    Archive::new(9)
        .deb(deb("hello", "1.0").file("/usr/bin/hello", 0o755, "hello\n"))
        .deb(deb("other", "2.0").file("/usr/bin/other", 0o755, "other\n"))
        .write(&place);
    spec(&place, "web", "packages: [hello]\nkeep: runtime\n");
    place.ok(&["lock", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    (place, lock)
}

const BUILD: &[&str] = &["build", "--locked", "web.yaml", "-o", "web.oci"];

fn refused(place: &Place, arguments: &[&str], status: i32, said: &[&str]) {
    let ran = place.run(arguments);
    assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
    for word in said {
        assert!(ran.err.contains(word), "`{word}` is missing in:\n{}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    assert!(!place.path("web.oci").exists());
}

/// Runs the program, which must end by itself.
fn ends(place: &Place, arguments: &[&str]) -> Ran {
    let mut command: Command = place.tarsia(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn a_forged_digest_of_an_index_does_not_turn_a_contradiction_into_a_gap() {
    let (place, lock) = locked();
    let digest = |path: &str| {
        let bytes = std::fs::read(place.path(path)).unwrap();
        (Digest::of(&bytes).hex(), bytes.len())
    };
    let (honest, size) = digest("archive/pool/main/hello_1.0_amd64.deb");
    let (evil, evil_size) = digest("archive/pool/main/other_2.0_amd64.deb");
    let (index, _) = digest("archive/dists/test/main/binary-amd64/Packages.gz");
    let forged = lock
        .replace(&honest, &evil)
        .replace(&format!("size = {size}\n"), &format!("size = {evil_size}\n"))
        .replace("pool/main/hello_1.0", "pool/main/other_2.0")
        .replace(&index, &"a".repeat(64));
    place.write("web.lock", forged);
    // A store that has no proof of anything.
    std::fs::remove_dir_all(place.path("store")).unwrap();
    refused(&place, BUILD, 2, &["contradicts", "`hello`", "packages"]);
    refused(&place, &["check", "--proof", "web.yaml"], 1, &["contradicts", "`hello`", "packages"]);
    place.write("web.lock", lock.replace("binary-amd64/Packages.gz", "binary-amd64/Other.gz"));
    refused(&place, BUILD, 2, &["cannot", "Other.gz"]);
}

#[test]
fn forged_signers_are_contradicted() {
    let (place, lock) = locked();
    let at = lock.find("signers = [\"").unwrap() + "signers = [\"".len();
    let forged = format!("{}{}{}", &lock[..at], "B".repeat(40), &lock[at + 40..]);
    place.write("web.lock", forged);
    refused(&place, BUILD, 2, &["contradicts", "signers"]);
    refused(&place, &["check", "--proof", "web.yaml"], 1, &["contradicts", "signers"]);
}

#[test]
fn a_lock_with_a_date_that_is_no_time_is_refused() {
    let (place, lock) = locked();
    for (from, to) in [
        ("source-date = 1767323045", "source-date = 9223372036854775807"),
        ("source-date = 1767323045", "source-date = -5"),
        ("\ndate = 1767323045", "\ndate = 9223372036854775807"),
    ] {
        let forged = lock.replace(from, to);
        assert_ne!(forged, lock);
        place.write("web.lock", forged);
        refused(&place, BUILD, 2, &["cannot read lock", "hint"]);
    }
    let mut command = place.tarsia(["lock", "web.yaml"]);
    let ran = Ran::from(command.env("SOURCE_DATE_EPOCH", "99999999999999").output().unwrap());
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("SOURCE_DATE_EPOCH"), "{}", ran.err);
}

#[test]
fn a_file_of_the_spec_is_no_whiteout() {
    for (files, wanted) in [
        ("files: [{text: a, to: /etc/.wh.passwd}]", "/etc/.wh.passwd"),
        ("files: [{copy: conf/, to: /etc}]", "/etc/.wh..wh..opq"),
        ("files: [{dir: /.wh.d/e}]", "/.wh.d/e"),
        ("users: {web: {uid: 7, home: /home/.wh.web}}", "/home/.wh.web"),
    ] {
        let place = Place::new();
        place.write("conf/.wh..wh..opq", "");
        place.write("web.yaml", format!("version: 1\nname: web\nplatforms: [linux/amd64]\n{files}\n"));
        refused(&place, &["build", "web.yaml", "-o", "web.oci"], 2, &["cannot place", wanted, "whiteout"]);
    }
}

#[test]
fn a_key_or_certificate_that_is_a_fifo_does_not_hang() {
    let place = Place::new();
    Archive::new(9).deb(deb("hello", "1.0")).write(&place);
    std::fs::remove_file(place.path("archive.asc")).unwrap();
    for name in ["archive.asc", "ca.pem"] {
        assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
    }
    spec(&place, "web", "packages: [hello]\n");
    place.write("local.yaml", "version: 1\nplatforms: [linux/amd64]\ncertificates: [ca.pem]\n");
    for (name, wanted) in [("web.yaml", "archive.asc"), ("local.yaml", "ca.pem")] {
        let ran = ends(&place, &["build", name, "-o", "web.oci"]);
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains(wanted) && ran.err.contains("fifo"), "{}", ran.err);
    }
}

#[test]
fn a_key_is_read_beneath_the_specs_directory_only() {
    let place = Place::new();
    Archive::new(9).deb(deb("hello", "1.0")).write(&place);
    place.write("sub/.keep", "");
    symlink("../archive.asc", place.path("sub/archive.asc")).unwrap();
    symlink("..", place.path("sub/up")).unwrap();
    let uri = format!("file://{}", place.path("archive").display());
    for key in ["archive.asc", "up/archive.asc"] {
        place.write(
            "sub/web.yaml",
            format!("version: 1\nplatforms: [linux/amd64]\narchives:\n  test: {{uri: \"{uri}\", suite: test, components: [main], signed-by: {key}}}\npackages: [hello]\n"),
        );
        refused(&place, &["build", "sub/web.yaml", "-o", "web.oci"], 2, &["cannot", key.split('/').next().unwrap()]);
    }
}

#[test]
fn an_update_of_a_package_that_is_not_locked_is_an_error() {
    let (place, lock) = locked();
    refused(&place, &["lock", "web.yaml", "--update", "hallo"], 2, &["cannot update `hallo`", "hint"]);
    assert_eq!(std::fs::read_to_string(place.path("web.lock")).unwrap(), lock);
    place.ok(&["lock", "web.yaml", "--update", "hello"]);
}

#[test]
fn a_stripped_tar_leads_nowhere_through_its_own_links() {
    let place = Place::new();
    let tar = Tar::new().file("a/x/q", 0o644, b"1").entry("b/x", b'2', 0o777, "/etc", b"").build();
    let path = place.write("m.tar", &tar);
    place.write(
        "web.yaml",
        format!(
            "version: 1\nplatforms: [linux/amd64]\nfiles:\n  - {{fetch: \"file://{}\", sha256: {}, to: /opt/m/, unpack: true, strip: 1}}\n",
            path.display(),
            Digest::of(&tar).hex()
        ),
    );
    let said = ["cannot", "/opt/m/x/q", "symbolic link `/opt/m/x`"];
    refused(&place, &["build", "web.yaml", "-o", "web.oci"], 2, &said);
}

#[test]
fn what_a_kill_left_beside_an_output_goes_with_the_next_build() {
    let (place, _) = locked();
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let left = |name: &str| {
        let path = place.path(name);
        std::fs::create_dir_all(path.join("blobs")).unwrap();
        std::fs::File::open(&path).unwrap().set_modified(old).unwrap();
        path
    };
    let (stale, held) = (left(".web.oci.tarsia-AbCdEf"), left(".web.oci.tarsia-GhIjKl"));
    let foreign = [left(".other.oci.tarsia-AbCdEf"), left(".web.oci.tarsia-notes.d")];
    let young = place.path(".web.oci.tarsia-MnOpQr");
    std::fs::create_dir(&young).unwrap();
    let lock = std::fs::File::open(&held).unwrap();
    lock.lock().unwrap();
    place.ok(BUILD);
    assert!(!stale.exists(), "a killed build's");
    assert!(held.exists(), "a running build's");
    assert!(young.exists(), "perhaps a running build's");
    assert!(foreign.iter().all(|path| path.exists()), "not of this output");
}

#[test]
fn an_output_whose_directory_is_missing_says_what_to_do() {
    let place = Place::new();
    place.write("x.yaml", "version: 1\nplatforms: [linux/amd64]\nfiles:\n  - {text: hi, to: /x}\n");
    refused(&place, &["build", "x.yaml", "-o", "no/such/x.oci"], 2, &["no/such/x.oci", "hint: run `mkdir -p no/such`"]);
}

#[test]
fn a_lock_of_older_rules_names_its_release_and_one_of_an_older_revision_builds() {
    let (place, lock) = locked();
    let current = format!("rules = {}\n", tarsia::lock::RULES);
    let revision = format!("\nrevision = {}\n", tarsia::lock::REVISION);
    assert!(lock.contains(&current) && lock.contains(&revision), "{lock}");
    let older = lock.replace(&current, "rules = 1\n");
    place.write("web.lock", &older);
    refused(&place, BUILD, 2, &["made for rules 1", "another build of tarsia", "`tarsia lock`"]);
    let release = format!("tarsia = \"{}\"", env!("CARGO_PKG_VERSION"));
    place.write("web.lock", older.replace(&release, "tarsia = \"0.0.7\""));
    refused(&place, BUILD, 2, &["made for rules 1", "build with tarsia 0.0.7"]);
    for older in 0..tarsia::lock::REVISION {
        place.write("web.lock", lock.replace(&revision, &format!("\nrevision = {older}\n")));
        place.ok(BUILD);
    }
}

#[test]
fn the_first_build_of_a_spec_locks_its_variants_too() {
    let (place, _) = locked();
    std::fs::remove_file(place.path("web.lock")).unwrap();
    spec(&place, "web", "packages: [hello]\nkeep: runtime\nvariants: {debug: {packages: [other]}}\n");
    place.ok(&["build", "web.yaml", "-o", "web.oci"]);
    place.ok(&["build", "--locked", "--variant", "debug", "web.yaml"]);
}

#[test]
fn an_archive_that_is_a_fifo_does_not_hang() {
    let place = Place::new();
    assert!(Command::new("mkfifo").arg(place.path("low.tar")).status().unwrap().success());
    place.write("web.yaml", "version: 1\nplatforms: [linux/amd64]\nbase: oci-archive:./low.tar\n");
    for arguments in [&["build", "web.yaml", "-o", "web.oci"][..], &["inspect", "low.tar"], &["audit", "low.tar"]] {
        let ran = ends(&place, arguments);
        assert!(ran.status == 2 && ran.err.contains("no regular file"), "{}", ran.err);
    }
}

#[test]
fn a_never_that_would_leave_no_trusted_certificate_is_an_error() {
    let place = Place::new();
    Archive::new(9)
        .deb(deb("ca-certificates", "1.0").file("/usr/share/ca-certificates/mozilla/A.crt", 0o644, "a\n").file(
            "/usr/share/ca-certificates/mozilla/B.crt",
            0o644,
            "b\n",
        ))
        .write(&place);
    let never = |never: &str| spec(&place, "web", &format!("packages: [ca-certificates]\nnever: [{never}]\n"));
    never("\"/usr/share/ca-certificates/**\"");
    let made = "etc/ssl/certs/ca-certificates.crt is made of it";
    refused(&place, &["build", "web.yaml", "-o", "web.oci"], 2, &["mozilla/A.crt", made, "--> web.yaml:7:9"]);
    // One is distrusted; and all by force.
    for one in ["/usr/share/ca-certificates/mozilla/A.crt", "{path: \"/usr/share/ca-certificates/**\", force: true}"] {
        never(one);
        place.ok(&["build", "web.yaml"]);
    }
}
