//! Prints how long a build takes beside the bound that the machine sets and beside `dpkg-deb`, `tar` and `zstd`.
//!
//! `cargo run --release -p tarsia-benches --bin compare [SPEC [RUNS]]`, after `cargo build --release`. Nothing here
//! judges; the table says what was measured. The bound is counted from rates measured in this same run, in this
//! process: xz of all bytes, SHA-256 of the packages and of every file, DiffID, compression and digest of the kept
//! bytes, one write and one read of the unpacked bytes through the page cache; divided by the cores.

use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tarsia::codec::{Format, Limits, decoder, encode};
use tarsia::digest::Digest;
use tarsia::lock::Lock;
use tarsia::spec::Compression;

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
    let spec = arguments.next().map_or_else(|| PathBuf::from("specs/python.yaml"), PathBuf::from);
    let runs: usize = arguments.next().and_then(|text| text.to_str()?.parse().ok()).unwrap_or(5);
    let tarsia = std::env::current_exe()?.with_file_name("tarsia");
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    let build = |output: &str, threads: Option<&str>| {
        let mut command = vec![tarsia.display().to_string(), "build".into(), "-q".into(), spec.display().to_string()];
        command.extend(["-o".into(), work.path().join(output).display().to_string()]);
        command.extend(["--store".into(), store.display().to_string()]);
        if let Some(threads) = threads {
            command.extend(["--threads".into(), threads.into()]);
        }
        command
    };
    measure(&build("first.oci", None), work.path())?;
    let lock = std::fs::read_to_string(spec.with_extension("lock"))?;
    let lock = Lock::parse("lock", &lock).map_err(|problems| problems.to_string())?;
    let debs: Vec<PathBuf> = lock
        .platform
        .values()
        .flat_map(|platform| &platform.packages)
        .map(|package| blob(&store, &package.digest.hex()))
        .collect();

    let cores = std::thread::available_parallelism()?.get();
    let (bound, parts) = bound(&debs, work.path(), cores)?;
    println!("{}: {} packages, {cores} cores, median of {runs}", spec.display(), debs.len());
    println!("bound {bound:.3} s = ({parts}) / {cores}");
    println!();
    println!("| what | wall s | CPU s | peak MiB | wall / bound |");
    println!("|---|--:|--:|--:|--:|");
    let cold = |threads: Option<&str>| -> Result<Run> {
        repeat(runs, || {
            for derived in ["packs", "frames", "images"] {
                let _ = std::fs::remove_dir_all(store.join(derived));
            }
            measure(&build("cold.oci", threads), work.path())
        })
    };
    row("cold packs", &cold(None)?, bound);
    for threads in ["1", "2", "64"] {
        row(&format!("cold packs, {threads} threads"), &cold(Some(threads))?, bound);
    }
    row("nothing changed", &repeat(runs, || measure(&build("cold.oci", None), work.path()))?, bound);
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
    let output =
        Command::new("/usr/bin/time").args(["-q", "-f", "%e %U %S %M", "-o"]).arg(&account).args(command).output()?;
    let _ = &output.stdout;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = std::fs::read_to_string(&account)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, user, system, kib] = numbers[..] else { return Err(format!("GNU time said `{text}`").into()) };
    Ok(Run { wall, cpu: user + system, peak_mib: kib / 1024.0 })
}

/// Returns the run of median wall time, with the largest peak.
fn repeat(runs: usize, mut run: impl FnMut() -> Result<Run>) -> Result<Run> {
    let mut all: Vec<Run> = (0..runs.max(1)).map(|_| run()).collect::<Result<_>>()?;
    all.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    let peak_mib = all.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
    Ok(Run { peak_mib, ..all[all.len() / 2] })
}

fn blob(store: &Path, hex: &str) -> PathBuf {
    let sharded = store.join("blobs/sha256").join(&hex[..2]).join(hex);
    if sharded.exists() { sharded } else { store.join("blobs/sha256").join(hex) }
}

/// Returns the bound in seconds, and its parts in words.
fn bound(debs: &[PathBuf], work: &Path, cores: usize) -> Result<(f64, String)> {
    let (mut xz, mut sha_debs, mut sha_files, mut encode_time, mut diff, mut digest, mut page) =
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for deb in debs {
        let bytes = std::fs::read(deb)?;
        sha_debs += timed(|| Digest::of(&bytes)).0;
        for member in members(&bytes) {
            let (seconds, data) = timed(|| -> Result<Vec<u8>> {
                let mut data = Vec::new();
                decoder(Format::sniff(member), member, Limits::default())?.read_to_end(&mut data)?;
                Ok(data)
            });
            let data = data?;
            xz += seconds;
            // Files are all but a few hundredths of a tar; what is kept is taken as all of it.
            sha_files += timed(|| Digest::of(&data)).0;
            diff += timed(|| Digest::of(&data)).0;
            let (seconds, frames) = timed(|| {
                data.chunks(4 << 20)
                    .map(|cut| encode(Compression::Zstd(3), cut))
                    .collect::<std::result::Result<Vec<_>, _>>()
            });
            encode_time += seconds;
            digest += timed(|| frames.map(|frames| Digest::of(&frames.concat()))).0;
            let mut file = tempfile::tempfile_in(work)?;
            page += timed(|| -> Result<()> {
                file.write_all(&data)?;
                file.rewind()?;
                let mut buffer = vec![0; 1 << 20];
                while file.read(&mut buffer)? > 0 {}
                Ok(())
            })
            .0;
        }
    }
    let total = xz + sha_debs + sha_files + diff + encode_time + digest + page;
    let parts = format!(
        "xz {xz:.3} + packages {sha_debs:.3} + files {sha_files:.3} + DiffID {diff:.3} + zstd {encode_time:.3} + digest {digest:.3} + pages {page:.3}"
    );
    Ok((total / cores as f64, parts))
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = work();
    (start.elapsed().as_secs_f64(), value)
}

/// Returns the compressed members of a `.deb`, without the first.
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
