//! Replays the updates of a stable release, and prints how many bytes they make others pull again, by the rule that cuts
//! layers.
//!
//! `cargo build --release --workspace`, then `target/release/replay [--store DIR] [--since DATE] [--max N] SPEC…`; with `--locks`, one
//! SPEC and its locks in the order in which they were made. Nothing here judges; the tables say what was counted.
//!
//! Each spec is built once, in a store of its own where none is named. What a package weighs is measured: its
//! entries in the image, compressed as tarsia compresses them, on their own; so a layer weighs what its packages weigh
//! (the directories of a layer are left out of account). When a package moved is read from the changelogs that the
//! packages carry: each entry after `--since` is an update of its source. Sizes stay what they are today. Updates of one
//! day, or of thirty, are pulled together. What tarsia's own two layers weigh is added to every update of every rule.
//!
//! A rule sees what is known when the image is first built: at the beginning, or when half of the updates have
//! happened. From then on every package stays where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tarsia::codec::decode::{Format, Limits, decoder};
use tarsia::codec::encode::encode;
use tarsia::digest::Digest;
use tarsia::image::{Destination, OpenImage, Opened, open};
use tarsia::lock::{Lock, LockedPackage};
use tarsia::spec::Compression;
use tarsia::tar::read::{Kind, Options, Reader};

mod changelog;
mod rules;

use rules::{RULES, Unit};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The beginning of a release's life, by the word in its versions and suites.
const RELEASED: [(&str, &str); 2] = [("bookworm", "2023-06-10"), ("trixie", "2025-08-09")];

/// A package of an image.
struct Package {
    unit: Unit,
    /// Digest of its entries.
    content: Digest,
}

/// One update: the day, and the sources that moved.
type Update = (i64, BTreeSet<String>);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut since, mut max, mut series, mut paths, mut store) = (None, 12, false, Vec::new(), None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--since" => since = arguments.next(),
            "--max" => max = arguments.next().and_then(|text| text.parse().ok()).ok_or("--max wants a number")?,
            "--store" => store = arguments.next().map(PathBuf::from),
            "--locks" => series = true,
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    let work = tempfile::tempdir()?;
    let store = store.unwrap_or_else(|| work.path().join("store"));
    if series {
        let (spec, locks) = paths.split_first().ok_or("--locks wants a spec and its locks")?;
        return replay_locks(spec, locks, max, work.path(), &store);
    }
    let mut totals: BTreeMap<(&'static str, usize), [f64; 3]> = BTreeMap::new();
    for spec in &paths {
        let (lock, image) = build(spec, None, work.path(), &store)?;
        let (mut packages, own) = weigh(&lock, &image)?;
        let suite = lock.archives.first().map_or("", |set| set.suite.as_str());
        let begin = match &since {
            Some(date) => changelog::day(date).ok_or("--since wants YYYY-MM-DD")?,
            None => {
                let known = RELEASED.iter().find(|(name, _)| suite.starts_with(name));
                known.and_then(|(_, date)| changelog::day(date)).ok_or("--since is needed for this suite")?
            }
        };
        let histories = histories(&lock, &store)?;
        for package in &mut packages {
            package.unit.history = histories.get(&package.unit.source).cloned().unwrap_or_default();
        }
        let units: Vec<Unit> = packages.into_iter().map(|package| package.unit).collect();
        let updates = updates(&units, begin);
        let bytes: u64 = units.iter().map(|unit| unit.size).sum();
        println!(
            "\n### {}: {} packages, {} of packages and {} of tarsia's own layers, {} days with updates",
            spec.display(),
            units.len(),
            size(bytes),
            size(own),
            updates.len()
        );
        if updates.is_empty() {
            continue;
        }
        let half = updates[updates.len() / 2].0;
        for (start, (name, from)) in [("the beginning", begin), ("the middle", half)].into_iter().enumerate() {
            let later: Vec<Update> = updates.iter().filter(|(day, _)| *day > from).cloned().collect();
            println!("\nBuilt at {name}, {} days with updates follow:\n", later.len());
            println!("| rule | layers | a day's update | a month's update | all, day by day |\n|---|--:|--:|--:|--:|");
            for (rule, cut) in RULES {
                let groups = cut(&units, max, from);
                let daily = cost(&units, &groups, &later, own);
                let monthly = cost(&units, &groups, &batched(&later, 30), own);
                let mean = |all: &[u64]| all.iter().sum::<u64>() as f64 / all.len().max(1) as f64;
                let layers: BTreeSet<&usize> = groups.iter().collect();
                let sum: u64 = daily.iter().sum();
                println!(
                    "| {rule} | {} | {} | {} | {} |",
                    layers.len(),
                    size(mean(&daily) as u64),
                    size(mean(&monthly) as u64),
                    size(sum)
                );
                let total = totals.entry((rule, start)).or_default();
                total[0] += mean(&daily);
                total[1] += mean(&monthly);
                total[2] += sum as f64;
            }
        }
    }
    println!("\n### All together: means of the specs' means");
    for (start, name) in ["the beginning", "the middle"].iter().enumerate() {
        println!(
            "\nBuilt at {name}:\n\n| rule | a day's update | a month's update | all, day by day |\n|---|--:|--:|--:|"
        );
        for (rule, _) in RULES {
            let Some(total) = totals.get(&(rule, start)) else { continue };
            let count = paths.len() as f64;
            let [daily, monthly, sum] = [total[0] / count, total[1] / count, total[2]].map(|bytes| size(bytes as u64));
            println!("| {rule} | {daily} | {monthly} | {sum} |");
        }
    }
    Ok(())
}

/// Replays a series of locks as they are: what changed from one to the next.
fn replay_locks(spec: &Path, locks: &[PathBuf], max: usize, work: &Path, store: &Path) -> Result<()> {
    let mut before: Option<BTreeMap<String, Digest>> = None;
    let mut groups: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    println!("| lock | moved |{} locked layers |", RULES.map(|(rule, _)| format!(" {rule} |")).concat());
    println!("|---|--:|{}--:|", "--:|".repeat(RULES.len()));
    for lock_path in locks {
        let (lock, image) = build(spec, Some(lock_path), work, store)?;
        let (packages, own) = weigh(&lock, &image)?;
        let units: Vec<Unit> = packages.iter().map(|package| package.unit.clone()).collect();
        let now: BTreeMap<String, Digest> =
            packages.iter().map(|package| (package.unit.name.clone(), package.content)).collect();
        let moved: BTreeSet<&str> = match &before {
            Some(before) => now
                .iter()
                .filter(|(name, content)| before.get(*name) != Some(content))
                .map(|(name, _)| name.as_str())
                .collect(),
            None => now.keys().map(String::as_str).collect(),
        };
        let mut cells = Vec::new();
        let count = |of: &dyn Fn(&Unit) -> Option<usize>| {
            let touched: BTreeSet<Option<usize>> =
                units.iter().filter(|unit| moved.contains(unit.name.as_str())).map(of).collect();
            let pulled = units.iter().filter(|unit| touched.contains(&of(unit))).map(|unit| unit.size).sum::<u64>();
            if moved.is_empty() { 0 } else { pulled + own }
        };
        for (rule, cut) in RULES {
            // What was there stays; what is new is cut anew.
            let fresh = cut(&units, max, i64::MAX);
            let known = groups.entry(rule).or_default();
            for (unit, group) in units.iter().zip(fresh) {
                known.entry(unit.name.clone()).or_insert(group);
            }
            cells.push(size(count(&|unit| known.get(&unit.name).copied())));
        }
        let names: BTreeMap<&str, usize> = lock
            .platform
            .values()
            .flat_map(|share| &share.packages)
            .map(|package| {
                (
                    package.name.as_str(),
                    package.layer.bytes().fold(7, |hash: usize, byte| hash.wrapping_mul(31) + usize::from(byte)),
                )
            })
            .collect();
        cells.push(size(count(&|unit| names.get(unit.name.as_str()).copied())));
        println!("| {} | {} | {} |", lock_path.display(), moved.len(), cells.join(" | "));
        before = Some(now);
    }
    Ok(())
}

/// Builds a spec, and returns its lock and its image.
fn build(spec: &Path, lock: Option<&Path>, work: &Path, store: &Path) -> Result<(Lock, OpenImage)> {
    // The spec's files stand beneath its directory.
    let directory = spec.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = tempfile::tempdir_in(work)?;
    let copied = Command::new("cp").arg("-r").arg(directory.join(".")).arg(context.path()).status()?;
    if !copied.success() {
        return Err(format!("{}: its directory cannot be copied", spec.display()).into());
    }
    let here = context.path().join(spec.file_name().ok_or("a spec has a name")?);
    let beside = here.with_extension("lock");
    let own = spec.with_extension("lock");
    let lock = lock.or(own.exists().then_some(&*own));
    if let Some(lock) = lock {
        std::fs::copy(lock, &beside)?;
    }
    let layout = work.join("image.oci");
    let mut command = Command::new(std::env::current_exe()?.with_file_name("tarsia"));
    command.args(["build", "-q", "--platform", "linux/amd64", "-o"]).arg(&layout).arg(&here).arg("--store").arg(store);
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", spec.display(), String::from_utf8_lossy(&output.stderr)).into());
    }
    let lock = Lock::parse(&beside.display().to_string(), &std::fs::read_to_string(&beside)?)?;
    Ok((lock, open(&Destination::Layout(layout, None))?))
}

/// Returns the packages of a lock that the image holds something of, and the bytes of the layers that hold none.
fn weigh(lock: &Lock, image: &OpenImage) -> Result<(Vec<Package>, u64)> {
    let one: &Opened = image.images().first().ok_or("an image")?;
    let mut tars = Vec::new();
    for layer in &one.layers {
        let mut tar = Vec::new();
        image.tar(layer)?.read_to_end(&mut tar)?;
        tars.push(tar);
    }
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for tar in &tars {
        entries(tar, |path, _, body| {
            if let Some(name) = path.strip_prefix("var/lib/dpkg/status.d/") {
                let package = name.trim_end_matches(".md5sums");
                owners.insert(path.to_owned(), package.to_owned());
                if name.ends_with(".md5sums") {
                    let text = String::from_utf8_lossy(body).into_owned();
                    let lines = text.lines().filter_map(|line| line.split_once("  "));
                    owners.extend(lines.map(|(_, path)| (path.to_owned(), package.to_owned())));
                }
            }
        })?;
    }
    let mut held: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut own = 0;
    for (tar, layer) in tars.iter().zip(&one.layers) {
        let mut any = false;
        entries(tar, |path, whole, _| {
            // Links and what dpkg lists no sum for go with the layer's first package; they weigh little.
            if let Some(owner) = owners.get(path) {
                any = true;
                held.entry(owner.clone()).or_default().extend_from_slice(whole);
            }
        })?;
        own += if any { 0 } else { layer.descriptor.size };
    }
    let share = lock.platform.get("linux/amd64").ok_or("a lock for linux/amd64")?;
    let mut packages = Vec::new();
    for package in &share.packages {
        let Some(bytes) = held.get(&package.name) else { continue };
        let mut weight = 0;
        for cut in bytes.chunks(4 << 20) {
            weight += encode(Compression::Zstd(3), cut)?.len() as u64;
        }
        let unit = Unit {
            name: package.name.clone(),
            source: package.source.clone(),
            version: package.source_version.clone().unwrap_or_else(|| package.version.clone()),
            installed: bytes.len() as u64,
            size: weight,
            history: Vec::new(),
        };
        packages.push(Package { unit, content: Digest::of(bytes) });
    }
    Ok((packages, own))
}

/// Hands every entry that is no directory to `visit`: path, header with body, body.
fn entries(tar: &[u8], mut visit: impl FnMut(&str, &[u8], &[u8])) -> Result<()> {
    let options = Options { third_party: true, layer: true, ..Options::default() };
    let mut reader = Reader::new(tar, options);
    let mut end = 0;
    while let Some(entry) = reader.next()? {
        let (start, size) = (entry.offset as usize, entry.size as usize);
        let begin = std::mem::replace(&mut end, start + size.next_multiple_of(512));
        if entry.kind != Kind::Directory {
            visit(entry.path.as_str(), &tar[begin..end], &tar[start..start + size]);
        }
    }
    Ok(())
}

/// Returns what the changelogs of a lock's packages say, by source: days and versions, oldest first.
fn histories(lock: &Lock, store: &Path) -> Result<BTreeMap<String, Vec<(i64, String)>>> {
    let mut histories: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for package in lock.platform.values().flat_map(|share| &share.packages) {
        if histories.get(&package.source).is_some_and(|history| !history.is_empty()) {
            continue;
        }
        let found = read_changelog(package, store)?;
        histories.insert(package.source.clone(), found);
    }
    Ok(histories)
}

fn read_changelog(package: &LockedPackage, store: &Path) -> Result<Vec<(i64, String)>> {
    let hex = package.digest.hex();
    let deb = store.join("blobs/sha256").join(&hex[..2]).join(hex);
    let mut child = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped()).spawn()?;
    let mut tar = Vec::new();
    child.stdout.take().ok_or("a pipe")?.read_to_end(&mut tar)?;
    child.wait()?;
    let mut found = Vec::new();
    entries(&tar, |path, _, body| {
        let name = path.rsplit('/').next().unwrap_or_default();
        // Upstream's own changelog has the second name too, and another form.
        if path.starts_with("usr/share/doc/") && matches!(name, "changelog.Debian.gz" | "changelog.gz") {
            let mut text = Vec::new();
            let decoded =
                decoder(Format::sniff(body), body, &Limits::default()).map(|mut it| it.read_to_end(&mut text));
            if decoded.is_ok_and(|read| read.is_ok()) {
                let entries = changelog::entries(&String::from_utf8_lossy(&text), &package.source);
                if entries.len() > found.len() {
                    found = entries;
                }
            }
        }
    })?;
    Ok(found)
}

/// Returns the updates since a day, by day.
fn updates(units: &[Unit], begin: i64) -> Vec<Update> {
    let mut days: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for unit in units {
        for (day, _) in unit.history.iter().filter(|(day, _)| *day > begin) {
            days.entry(*day).or_default().insert(unit.source.clone());
        }
    }
    days.into_iter().collect()
}

/// Puts updates of `days` days together.
fn batched(updates: &[Update], days: i64) -> Vec<Update> {
    let mut batches: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for (day, sources) in updates {
        batches.entry(day / days).or_default().extend(sources.iter().cloned());
    }
    batches.into_iter().collect()
}

/// Returns the bytes that each update makes others pull again.
fn cost(units: &[Unit], groups: &[usize], updates: &[Update], own: u64) -> Vec<u64> {
    let mut weights: BTreeMap<usize, u64> = BTreeMap::new();
    for (unit, group) in units.iter().zip(groups) {
        *weights.entry(*group).or_insert(0) += unit.size;
    }
    let cost = |(_, sources): &Update| {
        let moved = units.iter().zip(groups).filter(|(unit, _)| sources.contains(&unit.source));
        let touched: BTreeSet<&usize> = moved.map(|(_, group)| group).collect();
        touched.iter().map(|group| weights[*group]).sum::<u64>() + own
    };
    updates.iter().map(cost).collect()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.2} MB", bytes as f64 / 1e6),
    }
}
