//! Prints how long a build takes on a BuildKit daemon beside the same build in this process.
//!
//! `cargo build --release --workspace`, then `target/release/engines ADDRESS WORKER PRUNE SPEC...`: the daemon as `--engine
//! buildkit=` takes it, the worker as `--worker` does, a command that empties the daemon's cache (`buildctl --addr … prune
//! --all`, `docker builder prune -af`), and specs without local files. Nothing here judges; the table says what was
//! measured. Locks and packages may take the network, before anything is measured; then the daemon downloads from this
//! process, on this machine's loopback.
//!
//! *Here* has the packages in its store and nothing opened. *Cold* is a daemon that has nothing, packages included, and
//! *cached* one that has all, each with a client that has nothing but the signed lists. *Unchanged* is a client that has
//! the image, which asks no daemon.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use tarsia::lock::Lock;
use tarsia::store::Kind;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How often each is measured; the median counts.
const RUNS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, worker, prune, specs @ ..] = arguments.as_slice() else {
        return Err("engines ADDRESS WORKER PRUNE SPEC...".into());
    };
    println!("| spec | packages | layers | here | cold | cached | unchanged |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for spec in specs {
        let bench = Bench::new(Path::new(spec))?;
        let engine = ["--engine", &format!("buildkit={address}"), "--worker", worker, "--mirror", &bench.mirror]
            .map(str::to_owned);
        let here = median(|| bench.cold(&[]))?;
        let cold = median(|| {
            run(Command::new("sh").args(["-c", prune]))?;
            bench.cold(&engine)
        })?;
        let cached = median(|| bench.cold(&engine))?;
        let unchanged = median(|| bench.build(&engine))?;
        println!(
            "| `{}` | {} | {} | {here:.2} | {cold:.2} | {cached:.2} | {unchanged:.2} |",
            bench.name, bench.packages, bench.layers
        );
    }
    Ok(())
}

/// One spec in a place of its own, locked, with its packages in a store and served.
struct Bench {
    work: tempfile::TempDir,
    name: String,
    packages: usize,
    layers: usize,
    mirror: String,
}

impl Bench {
    fn new(original: &Path) -> Result<Self> {
        let work = tempfile::tempdir()?;
        let name = original.file_stem().ok_or("the spec has no name")?.to_string_lossy().into_owned();
        std::fs::copy(original, work.path().join("spec.yaml"))?;
        if original.with_extension("lock").exists() {
            std::fs::copy(original.with_extension("lock"), work.path().join("spec.lock"))?;
        }
        let mut bench = Self { work, name, packages: 0, layers: 0, mirror: String::new() };
        bench.build(&[])?;
        let lock = Lock::parse("lock", &std::fs::read_to_string(bench.work.path().join("spec.lock"))?)?;
        let mut pool = Vec::new();
        for platform in lock.platform.values() {
            bench.layers += platform.layers.len();
            bench.packages += platform.packages.len();
            for package in &platform.packages {
                let hex = package.digest.hex();
                let blob = bench.work.path().join("store/blobs/sha256").join(&hex[..2]).join(&hex);
                pool.push((format!("/{}", package.path), blob));
            }
        }
        bench.mirror = serve(pool)?;
        Ok(bench)
    }

    /// Builds with whatever the store holds, and returns how many seconds it took.
    fn build(&self, flags: &[String]) -> Result<f64> {
        let mut command = Command::new(std::env::current_exe()?.with_file_name("tarsia"));
        command.current_dir(self.work.path()).args(["build", "-q", "spec.yaml", "-o", "image.oci", "--store", "store"]);
        let start = Instant::now();
        run(command.args(flags))?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Builds with nothing but fetched bytes in the store.
    fn cold(&self, flags: &[String]) -> Result<f64> {
        for derived in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Checks) {
            let _ = std::fs::remove_dir_all(self.work.path().join("store").join(derived.room()));
        }
        self.build(flags)
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn median(mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut all: Vec<f64> = (0..RUNS).map(|_| run()).collect::<Result<_>>()?;
    all.sort_by(f64::total_cmp);
    Ok(all[RUNS / 2])
}

/// Serves these files, each at its path, and returns the address. The server ends with the process.
fn serve(files: Vec<(String, PathBuf)>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let files = Arc::new(files);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = Arc::clone(&files);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                while answer(&files, &mut reader, &stream).is_some() {}
            });
        }
    });
    Ok(address)
}

fn answer(files: &[(String, PathBuf)], reader: &mut BufReader<&TcpStream>, mut stream: &TcpStream) -> Option<()> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
    }
    let mut words = request.split(' ');
    // Paths of a pool hold nothing that an address would write otherwise.
    let (method, target) = (words.next()?, words.next()?);
    let found = files.iter().find(|(path, _)| path == target);
    let body = found.and_then(|(_, blob)| std::fs::read(blob).ok());
    let (status, body) = body.map_or((404, Vec::new()), |body| (200, body));
    write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
    if method == "GET" { stream.write_all(&body).ok() } else { Some(()) }
}
