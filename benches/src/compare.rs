//! Prints how long a build takes beside the bound that the machine sets and beside `dpkg-deb`, `tar` and `zstd`.
//!
//! `cargo build --release --workspace`, then `target/release/compare [SPEC [RUNS]]`; a SPEC without local files. Nothing
//! here judges; the table says what was measured. Only the first build, which fills a store of its own, may use the
//! network. Before each cold build all derived entries are removed from that store, and nothing else.
//!
//! The bound is counted from work done in this same run, in this process: xz of all bytes, SHA-256 of the packages and
//! of every file, DiffID, compression and digest of the kept bytes, one write and one read of the unpacked bytes
//! through the page cache; divided by the cores.

use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tarsia::codec::decode::{Format, Limits, decoder};
use tarsia::codec::encode::encode;
use tarsia::digest::{DiffId, Digest};
use tarsia::image::{Destination, open};
use tarsia::lock::Lock;
use tarsia::spec::Compression;
use tarsia::store::Kind;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One whole process, as the kernel accounts for it.
#[derive(Debug, Clone, Copy)]
struct Run {
    wall: f64,
    cpu: f64,
    peak_mib: f64,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let original = arguments.next().map_or_else(|| PathBuf::from("specs/python.yaml"), PathBuf::from);
    let runs: usize = arguments.next().and_then(|text| text.to_str()?.parse().ok()).unwrap_or(5);
    let tarsia = std::env::current_exe()?.with_file_name("tarsia");
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    let spec = work.path().join(original.file_name().ok_or("the spec has no name")?);
    std::fs::copy(&original, &spec)?;
    if original.with_extension("lock").exists() {
        std::fs::copy(original.with_extension("lock"), spec.with_extension("lock"))?;
    }
    let build = |flags: &[&str]| {
        let mut command = vec![tarsia.display().to_string(), "build".into(), "-q".into(), spec.display().to_string()];
        command.extend(["-o".into(), work.path().join("image.oci").display().to_string()]);
        command.extend(["--store".into(), store.display().to_string()]);
        command.extend(flags.iter().map(|flag| (*flag).to_owned()));
        command
    };
    measure(&build(&[]), work.path())?;
    let lock = std::fs::read_to_string(spec.with_extension("lock"))?;
    let lock = Lock::parse("lock", &lock)?;
    let mut packages: Vec<_> = lock.platform.values().flat_map(|platform| &platform.packages).collect();
    packages.sort_by_key(|package| std::cmp::Reverse(package.size));
    let debs: Vec<PathBuf> = packages.iter().map(|package| blob(&store, &package.digest)).collect();
    let layers: Vec<PathBuf> = layers(&work.path().join("image.oci"))?;

    let cores = std::thread::available_parallelism()?.get();
    let (bound, parts) = bound(&debs, &layers, work.path(), cores)?;
    println!("{}: {} packages, {cores} cores, median of {runs}", original.display(), debs.len());
    println!("bound {bound:.3} s = ({parts}) / {cores}");
    println!();
    println!("| what | wall s | CPU s | peak MiB | wall / bound |");
    println!("|---|--:|--:|--:|--:|");
    let cold = |flags: &[&str]| -> Result<Run> {
        repeat(runs, || {
            for derived in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Checks) {
                let _ = std::fs::remove_dir_all(store.join(derived.room()));
            }
            measure(&build(&[&["--offline", "--locked"], flags].concat()), work.path())
        })
    };
    row("cold packs", &cold(&[])?, bound);
    for threads in ["1", "2", "64"] {
        row(&format!("cold packs, {threads} threads"), &cold(&["--threads", threads])?, bound);
    }
    let again = build(&["--offline", "--locked"]);
    row("nothing changed", &repeat(runs, || measure(&again, work.path()))?, bound);
    let script = format!(
        "rm -rf tree && mkdir tree && for deb in {}; do dpkg-deb -x $deb tree; done && tar -C tree -c . | zstd -3 -q -f -o script.tar.zst",
        debs.iter().map(|deb| deb.display().to_string()).collect::<Vec<_>>().join(" ")
    );
    let script = vec!["sh".to_owned(), "-c".to_owned(), script];
    row("dpkg-deb -x, tar, zstd -3", &repeat(runs, || measure(&script, work.path()))?, bound);
    Ok(())
}

fn row(what: &str, run: &Run, bound: f64) {
    println!("| {what} | {:.3} | {:.3} | {:.0} | {:.2} |", run.wall, run.cpu, run.peak_mib, run.wall / bound);
}

/// Runs a command under GNU time and reads its account.
fn measure(command: &[String], directory: &Path) -> Result<Run> {
    let account = directory.join("account");
    let mut timed = Command::new("/usr/bin/time");
    timed.current_dir(directory).args(["-q", "-f", "%U %S %M", "-o"]).arg(&account).args(command);
    let start = Instant::now();
    let output = timed.output()?;
    let wall = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = std::fs::read_to_string(&account)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, system, kib] = numbers[..] else { return Err(format!("GNU time said `{text}`").into()) };
    Ok(Run { wall, cpu: user + system, peak_mib: kib / 1024.0 })
}

/// Returns the run of median wall time, with the largest peak.
fn repeat(runs: usize, mut run: impl FnMut() -> Result<Run>) -> Result<Run> {
    let mut all: Vec<Run> = (0..runs.max(1)).map(|_| run()).collect::<Result<_>>()?;
    all.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    let peak_mib = all.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
    Ok(Run { peak_mib, ..all[all.len() / 2] })
}

/// Returns where a store keeps a blob.
fn blob(store: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    store.join("blobs/sha256").join(&hex[..2]).join(hex)
}

/// Returns the layers of the image in a layout.
fn layers(layout: &Path) -> Result<Vec<PathBuf>> {
    let image = open(&Destination::Layout(layout.to_owned(), None))?;
    let layers = image.images().iter().flat_map(|image| &image.layers);
    Ok(layers.map(|layer| layout.join("blobs/sha256").join(layer.descriptor.digest.hex())).collect())
}

/// Returns the bound in seconds, and its parts in words.
fn bound(debs: &[PathBuf], layers: &[PathBuf], work: &Path, cores: usize) -> Result<(f64, String)> {
    let mut parts = ["xz", "packages", "files", "pages", "DiffID", "zstd", "digest"].map(|name| (name, 0.0));
    let mut count = |part: usize, seconds: f64| parts[part].1 += seconds;
    // Buffers serve all packages, largest first, so that the rates are not those of fresh memory.
    let (mut data, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    for deb in debs {
        let bytes = std::fs::read(deb)?;
        count(1, timed(|| Digest::of(&bytes)).0);
        for member in members(&bytes) {
            count(0, decode(member, &mut data)?);
            // Files are all of a tar but its headers.
            count(2, timed(|| Digest::of(&data)).0);
            let mut file = tempfile::tempfile_in(work)?;
            let (seconds, done) = timed(|| -> std::io::Result<()> {
                file.write_all(&data)?;
                file.rewind()?;
                while file.read(&mut buffer)? > 0 {}
                Ok(())
            });
            done?;
            count(3, seconds);
        }
    }
    for layer in layers {
        decode(&std::fs::read(layer)?, &mut data)?;
        count(4, timed(|| DiffId::of(&data)).0);
        for cut in data.chunks(4 << 20) {
            let (seconds, frame) = timed(|| encode(Compression::Zstd(3), cut));
            let frame = frame?;
            count(5, seconds);
            count(6, timed(|| Digest::of(&frame)).0);
        }
    }
    let total: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    let words: Vec<String> = parts.iter().map(|(name, seconds)| format!("{name} {seconds:.3}")).collect();
    Ok((total / cores as f64, words.join(" + ")))
}

/// Decompresses `packed` into `data` and returns how many seconds it took.
fn decode(packed: &[u8], data: &mut Vec<u8>) -> Result<f64> {
    data.clear();
    let start = Instant::now();
    decoder(Format::sniff(packed), packed, &Limits::default())?.read_to_end(data)?;
    Ok(start.elapsed().as_secs_f64())
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = work();
    (start.elapsed().as_secs_f64(), value)
}

/// Returns the compressed `data.tar` of a `.deb`.
fn members(deb: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    let mut at = 8;
    while at + 60 <= deb.len() {
        let size: usize =
            std::str::from_utf8(&deb[at + 48..at + 58]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let body = &deb[at + 60..(at + 60 + size).min(deb.len())];
        if deb[at..].starts_with(b"data.tar") {
            members.push(body);
        }
        at += 60 + size + size % 2;
    }
    members
}
