//! The group `real`: the maintainer scripts of packages drawn from the archive, and of what they depend on.
//!
//! Of a package without scripts, and of a very large one, only the head is fetched, where its control archive stands;
//! which files it ships is then taken from its md5sums and conffiles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tarsia::deb822::parse_dependencies;
use tarsia::digest::{Digest, Sha1};
use tarsia::package::{Entry, EntryKind, FileFacts, Limits, PackIndex, open_deb};
use tarsia::select::classify_scripts;
use tarsia::spec::Platform;

use crate::container::must;
use crate::deb::{Packing, Tar, ar, pack};
use crate::draw::draw;

/// The seed of the draws.
const SEED: u64 = 4;

/// Packages that stand beside those drawn: what the examples name.
const EXAMPLES: [&str; 15] = [
    "base-files",
    "base-passwd",
    "ca-certificates",
    "ca-certificates-java",
    "haproxy",
    "libc-bin",
    "netbase",
    "nginx-light",
    "nodejs",
    "openssl",
    "perl",
    "python3",
    "redis-server",
    "ruby",
    "tzdata",
];

/// The largest package that is fetched whole.
const MAX_WHOLE: u64 = 8 << 20;

type Stanza = BTreeMap<String, String>;

/// Returns the address of the archive that the machine's apt is set up for.
fn mirror() -> String {
    let read =
        "cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null; true";
    let text = must(Command::new("sh").args(["-c", read]));
    let mut words = text.split_whitespace().filter(|word| word.starts_with("http"));
    let found = words.find(|word| word.trim_end_matches('/').ends_with("/debian"));
    found.expect("apt has an archive of Debian").trim_end_matches('/').to_owned()
}

fn curl(arguments: &[&str]) -> Vec<u8> {
    let output =
        Command::new("curl").args(["-sfL", "--retry", "3"]).args(arguments).output().expect("curl is installed");
    assert!(output.status.success(), "curl {arguments:?}: {}", output.status);
    output.stdout
}

fn stanzas(mirror: &str, suite: &str) -> BTreeMap<String, Stanza> {
    let packed = tempfile::NamedTempFile::new().unwrap();
    let address = format!("{mirror}/dists/{suite}/main/binary-amd64/Packages.xz");
    curl(&["-o", packed.path().to_str().unwrap(), &address]);
    let text = must(Command::new("xz").arg("-dc").stdin(File::open(packed.path()).unwrap()));
    let mut all: BTreeMap<String, Stanza> = BTreeMap::new();
    for stanza in text.split("\n\n") {
        let fields: Stanza = stanza
            .lines()
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        if let Some(name) = fields.get("Package") {
            all.entry(name.clone()).or_insert(fields);
        }
    }
    all
}

/// Returns the names with all that they depend on: the first alternative that there is.
fn closure(all: &BTreeMap<String, Stanza>, names: &[String]) -> BTreeSet<String> {
    let relations = |stanza: &Stanza, field: &str| -> Vec<Vec<String>> {
        let parsed = stanza.get(field).and_then(|text| parse_dependencies(text).ok()).unwrap_or_default();
        parsed.into_iter().map(|any| any.0.into_iter().map(|relation| relation.name).collect()).collect()
    };
    let mut provided: BTreeMap<String, &String> = BTreeMap::new();
    for (name, stanza) in all {
        for virtual_name in relations(stanza, "Provides").into_iter().flatten() {
            provided.entry(virtual_name).or_insert(name);
        }
    }
    let mut seen = BTreeSet::new();
    let mut rest: Vec<String> = names.to_vec();
    while let Some(name) = rest.pop() {
        let Some(name) = all.get_key_value(&name).map(|(name, _)| name).or_else(|| provided.get(&name).copied()) else {
            continue;
        };
        if !seen.insert(name.clone()) {
            continue;
        }
        for any in ["Pre-Depends", "Depends"].into_iter().flat_map(|field| relations(&all[name], field)) {
            if !any.iter().any(|name| seen.contains(name)) {
                rest.extend(any.into_iter().find(|name| all.contains_key(name) || provided.contains_key(name)));
            }
        }
    }
    seen
}

/// Opens a package: whole where it has scripts that are called, else of its control archive alone.
fn package(mirror: &str, stanza: &Stanza) -> PackIndex {
    let head = head(mirror, stanza);
    let called = head.scripts.iter().any(|(name, _)| name == "preinst" || name == "postinst");
    if !called || stanza["Size"].parse::<u64>().unwrap() > MAX_WHOLE {
        return head;
    }
    let bytes = curl(&[&format!("{mirror}/{}", stanza["Filename"])]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    open_deb(&file, Digest::of(&bytes), &tempfile::tempfile().unwrap(), &Limits::default()).unwrap()
}

/// Opens a package of which only the control archive is fetched.
fn head(mirror: &str, stanza: &Stanza) -> PackIndex {
    let address = format!("{mirror}/{}", stanza["Filename"]);
    let mut bytes = curl(&["-r", "0-65535", &address]);
    let number =
        |bytes: &[u8], at: usize| -> usize { String::from_utf8_lossy(&bytes[at..at + 10]).trim().parse().unwrap() };
    // `!<arch>`, the member debian-binary and its four bytes, then the header of the control archive (ar(5)).
    let control = 8 + 60 + 4;
    let size = number(&bytes, control + 48);
    let end = control + 60 + size;
    if bytes.len() < end {
        bytes = curl(&["-r", &format!("0-{end}"), &address]);
    }
    let name = String::from_utf8_lossy(&bytes[control..control + 16]).trim().trim_end_matches('/').to_owned();
    let nothing = pack(Packing::Gzip, &Tar::new().build());
    let deb = ar(&[("debian-binary", b"2.0\n"), (&name, &bytes[control + 60..end]), ("data.tar.gz", &nothing)]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&deb).unwrap();
    let mut index = open_deb(&file, Digest::of(&deb), &tempfile::tempfile().unwrap(), &Limits::default()).unwrap();
    let paths: BTreeSet<String> =
        index.md5sums.iter().map(|(_, path)| path.clone()).chain(index.conffiles.iter().cloned()).collect();
    for path in paths {
        let facts =
            FileFacts { size: 1, offset: 0, digest: Digest::of(b""), sha1: Sha1::of(b""), elf: None, shebang: None };
        let kind = EntryKind::File(facts);
        index.entries.push(Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: Vec::new() });
    }
    index
}

/// Counts what the scripts of packages and of all they depend on come to; returns (covered, no effect, unhandled).
fn share(suite: &str, count: usize) -> (usize, usize, usize) {
    let mirror = mirror();
    let all = stanzas(&mirror, suite);
    let names: Vec<String> = all.keys().cloned().collect();
    let mut drawn = draw(&names, SEED, count);
    drawn.extend(EXAMPLES.iter().map(|name| (*name).to_owned()));
    let names: Vec<String> = closure(&all, &drawn).into_iter().collect();
    let packs: Mutex<BTreeMap<String, PackIndex>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let index = package(&mirror, &all[name]);
                    packs.lock().unwrap().insert(name.clone(), index);
                }
            });
        }
    });
    let report = classify_scripts(Platform::Amd64, &packs.into_inner().unwrap());
    let covered = report.handled.iter().filter(|script| !script.rules.is_empty()).count();
    let none = report.handled.len() - covered;
    let unhandled = report.unhandled.len();
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in report.handled.iter().flat_map(|script| script.rules.keys()) {
        *rules.entry(rule).or_default() += 1;
    }
    let total = (covered + none + unhandled) as f64 / 100.0;
    println!(
        "{suite}: {count} drawn, {} packages, {:.0} scripts: {covered} covered ({:.1} %), {none} without effect ({:.1} %), {unhandled} unhandled ({:.1} %)",
        names.len(),
        total * 100.0,
        covered as f64 / total,
        none as f64 / total,
        unhandled as f64 / total,
    );
    println!("rules: {rules:?}");
    for (package, script, lines) in &report.unhandled {
        lines.iter().for_each(|line| println!("  {script} of {package}: {line}"));
    }
    (covered, none, unhandled)
}

#[test]
fn most_scripts_of_a_draw_are_taken_care_of() {
    let (covered, none, unhandled) = share("trixie", 40);
    assert!(covered + none > 4 * unhandled, "{covered} {none} {unhandled}");
}

#[test]
#[ignore = "fetches the heads of some thousands of packages"]
fn most_scripts_of_large_draws_are_taken_care_of() {
    for suite in ["bookworm", "trixie"] {
        let (covered, none, unhandled) = share(suite, 300);
        assert!(covered + none > 4 * unhandled, "{suite}: {covered} {none} {unhandled}");
    }
}
