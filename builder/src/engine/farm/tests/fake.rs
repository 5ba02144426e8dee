//! A daemon in this process: it solves graphs as BuildKit does, and runs the worker's functions over directories.
//!
//! As BuildKit's, its cache goes by what an operation reads: arguments, mounts, and the content of what they select.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bollard_buildkit_proto::pb::{self, file_action::Action, op::Op};
use prost::Message as _;

use super::super::{Ask, Daemon};
use crate::buildkit::{self, Event, Failure};
use crate::digest::{Digest, Hasher};
use crate::engine::worker::{self, Asked, Contract};
use crate::layer::Workers;

/// What a daemon does that it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vice {
    /// It is lost once it is to run an operation whose name begins so.
    LostAt(&'static str),
    /// It changes a byte of every file of this name that it sends.
    Changes(&'static str),
    /// It sends no file of this name.
    Withholds(&'static str),
    /// It sends these bytes as every file of this name.
    Sends(&'static str, &'static [u8]),
    /// It says that the layer has another tar.
    LiesAboutTar,
    /// It does not reach what begins so.
    CannotReach(&'static str),
    /// What begins so hangs.
    HangsAt(&'static str),
    /// What begins so hangs, once; then it does not reach the other.
    HangsOnce(&'static str, &'static str),
    /// What begins so hangs, and it does not reach the other.
    HangsOr(&'static str, &'static str),
    /// It takes no message with a plan in it.
    TakesLess,
    /// An operation whose name begins so gives up, once.
    StumblesAt(&'static str),
}

/// A daemon.
pub(super) struct Fake {
    address: String,
    /// Everything that can be downloaded, by address; what is wanted is told by its digest.
    internet: BTreeMap<Digest, Vec<u8>>,
    room: tempfile::TempDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    vice: Option<Vice>,
    /// Results by what they were made from.
    cache: BTreeMap<Digest, Vec<PathBuf>>,
    /// Operations that ran, by name.
    ran: Vec<String>,
    /// What was asked for and hangs.
    hung: BTreeSet<BTreeMap<String, String>>,
    /// Graphs that were solved.
    solves: usize,
    /// Whether it writes caches; those of the last graph with one, by name.
    exports: bool,
    exported: Vec<String>,
}

impl Fake {
    pub(super) fn new(address: &str, internet: &BTreeMap<Digest, Vec<u8>>) -> Self {
        Self {
            address: address.to_owned(),
            internet: internet.clone(),
            room: tempfile::tempdir().unwrap(),
            state: Mutex::default(),
        }
    }

    pub(super) fn vice(&self, vice: Option<Vice>) {
        self.state.lock().unwrap().vice = vice;
    }

    /// Takes what ran since the last call, sorted.
    pub(super) fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut self.state.lock().unwrap().ran);
        ran.sort();
        ran
    }

    pub(super) fn solves(&self) -> usize {
        self.state.lock().unwrap().solves
    }

    /// Has it write caches from now on.
    pub(super) fn export(&self) {
        self.state.lock().unwrap().exports = true;
    }

    /// Returns the operations that its cache holds, sorted.
    pub(super) fn exported(&self) -> Vec<String> {
        self.state.lock().unwrap().exported.clone()
    }

    fn lost(&self) -> buildkit::Error {
        buildkit::Error::Lost { address: self.address.clone(), problem: "it was killed".to_owned() }
    }

    fn stalled(&self, ask: &Ask<'_>, digest: &str, name: &str) -> buildkit::Error {
        (ask.events)(&Event::Started { vertex: digest.to_owned(), name: name.to_owned() });
        let failure = Failure { vertex: digest.to_owned(), name: name.to_owned(), log: Vec::new() };
        let (address, waited) = (self.address.clone(), std::time::Duration::from_secs(300));
        buildkit::Error::Stalled { address, failure: Box::new(failure), waited }
    }

    fn failed(&self, digest: &str, name: &str, message: &str, log: &str) -> buildkit::Error {
        buildkit::Error::Solve {
            address: self.address.clone(),
            message: message.to_owned(),
            code: 2,
            failure: Some(Box::new(Failure {
                vertex: digest.to_owned(),
                name: name.to_owned(),
                log: log.lines().map(str::to_owned).collect(),
            })),
        }
    }

    fn solve_all(&self, ask: &Ask<'_>, state: &mut State) -> Result<(), buildkit::Error> {
        let message = pb::Definition::decode(&ask.definition.bytes()[..]).unwrap();
        let mut made: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let (last, operations) = message.def.split_last().unwrap();
        for bytes in operations {
            let digest = Digest::of(bytes).to_string();
            let op = pb::Op::decode(&bytes[..]).unwrap();
            let name = message.metadata.get(&digest).and_then(|meta| meta.description.get("llb.customname"));
            let name = name.cloned().unwrap_or_default();
            let inputs: Vec<PathBuf> = op
                .inputs
                .iter()
                .map(|input| made[&input.digest][usize::try_from(input.index).unwrap()].clone())
                .collect();
            match state.vice {
                Some(Vice::LostAt(at)) if name.starts_with(at) => return Err(self.lost()),
                Some(Vice::StumblesAt(at)) if name.starts_with(at) => {
                    state.vice = None;
                    return Err(self.failed(&digest, &name, "flightcontrol: exceeded retry timeout", ""));
                }
                Some(Vice::TakesLess) if name.starts_with("plan ") => {
                    let mut error = self.failed(&digest, &name, "grpc: received message larger than max (5 vs. 4)", "");
                    if let buildkit::Error::Solve { failure, .. } = &mut error {
                        *failure = None;
                    }
                    return Err(error);
                }
                Some(Vice::CannotReach(at) | Vice::HangsOr(_, at)) if matches!(&op.op, Some(Op::Source(source)) if source.identifier.starts_with(at)) =>
                {
                    return Err(self.failed(&digest, &name, "connection refused", ""));
                }
                Some(Vice::HangsAt(at) | Vice::HangsOnce(at, _) | Vice::HangsOr(at, _)) => {
                    if let Some(Op::Source(source)) = &op.op
                        && source.identifier.starts_with(at)
                    {
                        if let Some(Vice::HangsOnce(_, other)) = state.vice {
                            state.vice = Some(Vice::CannotReach(other));
                        }
                        state.hung.insert(source.attrs.clone());
                        return Err(self.stalled(ask, &digest, &name));
                    }
                }
                _ => {}
            }
            if let Some(Op::Source(source)) = &op.op {
                // As BuildKit joins what is the same, wherever it comes from.
                if state.hung.contains(&source.attrs) {
                    return Err(self.stalled(ask, &digest, &name));
                }
                let wanted: Digest = source.attrs["http.checksum"].parse().unwrap();
                let size = self.internet.get(&wanted).map(|bytes| bytes.len() as u64);
                let told = ask.downloads.get(&digest).copied();
                assert!(told.is_some() && (name == "worker" || size.is_none() || told == size), "{name}: {told:?}");
            } else {
                assert!(!ask.downloads.contains_key(&digest), "{name}");
            }
            let key = cache_key(&op, &inputs);
            let cached = state.cache.contains_key(&key);
            let outputs = match state.cache.get(&key) {
                Some(outputs) => outputs.clone(),
                None => {
                    let outputs = self.make(&op, &inputs, &digest, &name)?;
                    state.cache.insert(key, outputs.clone());
                    state.ran.push(name.clone());
                    outputs
                }
            };
            (ask.events)(&Event::Completed { vertex: digest.clone(), name: name.clone(), cached });
            made.insert(digest, outputs);
        }
        let last = pb::Op::decode(&last[..]).unwrap();
        if state.exports && ask.is_whole {
            // A cache has the outputs that the result is made of.
            state.exported =
                message.metadata.values().filter_map(|meta| meta.description.get("llb.customname")).cloned().collect();
            state.exported.sort();
        }
        let from = &made[&last.inputs[0].digest][usize::try_from(last.inputs[0].index).unwrap()];
        copy(from, ask.directory, &|name, bytes| altered(state.vice, name, bytes));
        Ok(())
    }

    fn make(&self, op: &pb::Op, inputs: &[PathBuf], digest: &str, name: &str) -> Result<Vec<PathBuf>, buildkit::Error> {
        let place = || tempfile::Builder::new().tempdir_in(self.room.path()).unwrap().keep();
        match op.op.as_ref().unwrap() {
            Op::Source(source) => {
                let out = place();
                if let Some(wanted) = source.attrs.get("http.checksum") {
                    assert!(source.identifier.starts_with("http"), "{}", source.identifier);
                    let wanted: Digest = wanted.parse().unwrap();
                    match self.internet.get(&wanted) {
                        Some(bytes) => fs::write(out.join(&source.attrs["http.filename"]), bytes).unwrap(),
                        None => return Err(self.failed(digest, name, "invalid response status 404", "")),
                    }
                }
                Ok(vec![out])
            }
            Op::Exec(exec) => {
                let meta = exec.meta.as_ref().unwrap();
                assert_eq!((exec.network, meta.user.as_str(), meta.env.len()), (pb::NetMode::None.into(), "", 0));
                let mut mounts: BTreeMap<&str, PathBuf> = BTreeMap::new();
                let mut outputs = BTreeMap::new();
                for mount in &exec.mounts {
                    let below = usize::try_from(mount.input).ok().map(|number| &inputs[number]);
                    let path = match (mount.output, below) {
                        (0.., below) => {
                            let out = place();
                            if let Some(below) = below {
                                copy(below, &out, &|_, bytes| Some(bytes.to_vec()));
                            }
                            outputs.insert(mount.output, out.clone());
                            out
                        }
                        (_, Some(below)) => below.join(mount.selector.trim_start_matches('/')),
                        (_, None) => panic!("a mount of nothing"),
                    };
                    assert!(path.exists(), "{name}: {} has no {}", mount.dest, mount.selector);
                    mounts.insert(&mount.dest, path);
                }
                let ran = run(&meta.args, &mounts, &place());
                ran.map_err(|log| self.failed(digest, name, "exit code: 2", &log))?;
                Ok(outputs.into_values().collect())
            }
            Op::File(files) => {
                let out = place();
                for action in &files.actions {
                    let at = |path: &str| out.join(path.trim_start_matches('/'));
                    match action.action.as_ref().unwrap() {
                        Action::Mkdir(made) => fs::create_dir_all(at(&made.path)).unwrap(),
                        Action::Mkfile(made) => fs::write(at(&made.path), &made.data).unwrap(),
                        Action::Copy(copied) => {
                            let from = &inputs[usize::try_from(action.secondary_input).unwrap()];
                            let from = from.join(copied.src.trim_matches('/'));
                            fs::create_dir_all(at(&copied.dest)).unwrap();
                            copy(&from, &at(&copied.dest), &|_, bytes| Some(bytes.to_vec()));
                        }
                        other => panic!("{other:?}"),
                    }
                }
                Ok(vec![out])
            }
            other => panic!("{other:?}"),
        }
    }
}

impl Daemon for Fake {
    fn address(&self) -> &str {
        &self.address
    }

    fn exports(&self) -> bool {
        self.state.lock().unwrap().exports
    }

    fn solve(&self, ask: &Ask<'_>) -> Result<(), buildkit::Error> {
        let mut state = self.state.lock().unwrap();
        state.solves += 1;
        self.solve_all(ask, &mut state)
    }
}

/// Runs a worker, and returns what it writes to standard error where it fails.
fn run(arguments: &[String], mounts: &BTreeMap<&str, PathBuf>, scratch: &Path) -> Result<(), String> {
    let workers = Workers::new(1, 64 << 20).unwrap();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["/tarsia", "worker", operation, "--contract", contract, rest @ ..] = &words[..] else { panic!("{words:?}") };
    let contract: Contract = contract.parse().unwrap();
    let ran = match (*operation, rest) {
        ("open", packages) => {
            let asked: Vec<Asked> = packages.iter().map(|text| text.parse().unwrap()).collect();
            for (at, path) in mounts {
                if let Some(name) = at.strip_prefix("/in/") {
                    std::os::unix::fs::symlink(path, scratch.join(name)).unwrap();
                }
            }
            worker::open(contract, &asked, scratch, (&mounts["/index"], &mounts["/data"]), &workers)
        }
        ("layer", ["--compression", word]) => {
            let nothing = scratch.to_owned();
            let data = mounts.get("/data").unwrap_or(&nothing);
            let compression = word.parse().unwrap();
            worker::layer(contract, compression, (&mounts["/plan"], data), &mounts["/layer"], &workers)
        }
        other => panic!("{other:?}"),
    };
    ran.map_err(|error| format!("error: {}\nhint: ask somebody", crate::diag::causes(&error)))
}

/// Returns what a result is found by.
fn cache_key(op: &pb::Op, inputs: &[PathBuf]) -> Digest {
    let mut hasher = Hasher::new();
    match op.op.as_ref().unwrap() {
        Op::Source(source) => {
            // With a checksum the address does not count.
            if !source.attrs.contains_key("http.checksum") {
                hasher.update(source.identifier.as_bytes());
            }
            hasher.update(format!("{:?}", source.attrs).as_bytes());
        }
        Op::Exec(exec) => {
            hasher.update(format!("{:?}", exec.meta.as_ref().unwrap().args).as_bytes());
            for mount in &exec.mounts {
                hasher.update(format!("{} {} {}\n", mount.dest, mount.selector, mount.output).as_bytes());
                if let Ok(number) = usize::try_from(mount.input) {
                    content(&inputs[number].join(mount.selector.trim_start_matches('/')), &mut hasher);
                }
            }
        }
        Op::File(files) => {
            hasher.update(&files.encode_to_vec());
            inputs.iter().for_each(|input| content(input, &mut hasher));
        }
        other => panic!("{other:?}"),
    }
    hasher.digest()
}

/// Hashes what stands at a path, times aside.
fn content(path: &Path, hasher: &mut Hasher) {
    if path.is_dir() {
        for name in names(path) {
            hasher.update(format!("{name}/").as_bytes());
            content(&path.join(&name), hasher);
        }
    } else {
        hasher.update(Digest::of(&fs::read(path).unwrap()).as_bytes());
    }
    hasher.update(b"\n");
}

#[expect(clippy::disallowed_methods, reason = "sorted by the set")]
fn names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Says what becomes of a file of this name and these bytes.
type Change<'a> = dyn Fn(&str, &[u8]) -> Option<Vec<u8>> + 'a;

/// Copies what a directory holds; `change` says what becomes of each file.
fn copy(from: &Path, to: &Path, change: &Change<'_>) {
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&from, &to, change);
        } else if let Some(bytes) = change(&name, &fs::read(&from).unwrap()) {
            fs::write(&to, bytes).unwrap();
        }
    }
}

/// Returns what becomes of a file that is sent.
fn altered(vice: Option<Vice>, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    match vice {
        Some(Vice::Changes(file)) if file == name => {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            Some(bytes)
        }
        Some(Vice::Withholds(file)) if file == name => None,
        Some(Vice::Sends(file, other)) if file == name => Some(other.to_vec()),
        Some(Vice::LiesAboutTar) if name == "layer" => {
            let mut record: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            record["layer"]["diff_id"] = Digest::of(b"another").to_string().into();
            Some(record.to_string().into_bytes())
        }
        _ => Some(bytes.to_vec()),
    }
}
