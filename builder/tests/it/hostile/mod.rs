//! Hostile input, whatever it comes in: a spec, a lock, an archive, a package, a mirror, a disk, a store, an image.
//!
//! Each kind stands in a table with the code of the error that it must end in. Whatever comes: exit status 2, nothing on
//! standard output, nothing at the output or beside it, no panic, within bounds of time and memory; and with good input
//! in its place the same store serves the next build.

mod disk;
mod metadata;
mod mirror;
mod packages;
mod text;

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::deb::deb;
use crate::program::{Place, Ran, names};
use crate::world::{Archive, spec};

/// How long one run may take: far more than it needs, so that only a hang is found.
const PATIENCE: Duration = Duration::from_secs(120);

/// The most resident memory of one run in KiB. Buffers are told to stay within 64 MiB; a debug build, its threads and
/// the documents come on top.
const MAX_RESIDENT: u64 = 400 << 10;

/// An archive with `hello` and the library that it needs.
fn good() -> Archive {
    Archive::new(9)
        .deb(deb("hello", "1.0").depends("libgreet1").file("/usr/bin/hello", 0o755, "hello\n"))
        .deb(deb("libgreet1", "1.0").file("/usr/lib/libgreet.so.1", 0o644, "greet\n"))
}

/// A place with a good archive, a spec that asks for `hello`, and its lock.
fn locked() -> (Place, String) {
    let place = Place::new();
    good().write(&place);
    spec(&place, "web", "packages: [hello]\nkeep: runtime\n");
    place.ok(&["lock", "web.yaml"]);
    let lock = std::fs::read_to_string(place.path("web.lock")).unwrap();
    (place, lock)
}

/// Runs the program within bounds of time and memory.
fn bounded(place: &Place, arguments: &[&str]) -> Ran {
    let mut child = place
        .tarsia(arguments)
        .args(["--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let status = format!("/proc/{}/status", child.id());
    let start = Instant::now();
    let mut resident = 0;
    let read = |from: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (out, err, code) = std::thread::scope(|scope| {
        let (out, err) = (scope.spawn(|| read(&mut out)), scope.spawn(|| read(&mut err)));
        let code = loop {
            if let Some(code) = child.try_wait().unwrap() {
                break code;
            }
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let peak =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
            resident = resident.max(peak.unwrap_or(0));
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{arguments:?} hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        (out.join().unwrap(), err.join().unwrap(), code)
    });
    assert!(resident <= MAX_RESIDENT, "{arguments:?} held {resident} KiB");
    Ran { status: code.code().unwrap_or(-1), out, err }
}

const BUILD: &[&str] = &["build", "web.yaml", "-o", "web.oci", "--memory", "64MiB"];

/// Runs the program, which must refuse with `code` and say `said`; nothing new stands beside the spec.
fn refused(place: &Place, case: &str, arguments: &[&str], code: &str, said: &str) {
    let before = names(&place.path("."));
    let ran = bounded(place, arguments);
    judge(case, &ran, code, said);
    let mut after = names(&place.path("."));
    // The lock is an output of its own, and whole where it stands.
    after.retain(|name| before.contains(name) || !matches!(name.as_str(), "store" | "web.lock"));
    assert_eq!(after, before, "{case}: something was left behind");
}

/// Judges how a run ended that must have refused.
fn judge(case: &str, ran: &Ran, code: &str, said: &str) {
    assert!(!ran.err.contains("panicked"), "{case}: {}", ran.err);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{case}: {}", ran.err);
    let errors: Vec<serde_json::Value> = ran
        .err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{case}: {error} in {line}")))
        .filter(|line: &serde_json::Value| line["level"] == "error")
        .collect();
    // A code that ends in `::` means any of its room: which check meets a broken file first is the room's affair.
    let is_code = |found: &str| found == code || (code.ends_with("::") && found.starts_with(code));
    let found = errors.iter().any(|error| {
        error["code"].as_str().is_some_and(is_code) && format!("{}{}", error["message"], error["hints"]).contains(said)
    });
    assert!(found, "{case}: no {code} with `{said}` in\n{}", ran.err);
    let named = errors.iter().all(|error| error["message"].as_str().is_some_and(|text| text.starts_with("cannot ")));
    assert!(named, "{case}: {}", ran.err);
}

/// Puts everything right: the next build works with the store that has seen the worst, and gives what a fresh one gives.
fn mends(place: &Place, case: &str) {
    let _ = std::fs::remove_dir_all(place.path("archive"));
    good().write(place);
    spec(place, "web", "packages: [hello]\nkeep: runtime\n");
    let _ = std::fs::remove_file(place.path("web.lock"));
    let again = bounded(place, BUILD);
    assert_eq!(again.status, 0, "{case}: {}", again.err);
    assert_eq!(digest(&again), expected(), "{case}: the next build differs");
    std::fs::remove_dir_all(place.path("web.oci")).unwrap();
}

fn digest(ran: &Ran) -> String {
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    json[0]["digest"].as_str().unwrap().to_owned()
}

/// Returns the digest of the good build.
fn expected() -> String {
    static DIGEST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let make = || {
        let (place, _) = locked();
        digest(&bounded(&place, BUILD))
    };
    DIGEST.get_or_init(make).clone()
}
