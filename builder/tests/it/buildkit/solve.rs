//! A graph sent to a daemon by `buildctl`, and what came of each of its operations, by the status stream.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use bollard_buildkit_proto::pb;
use prost::Message as _;
use tarsia::digest::Digest;

use super::daemon::Daemon;

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Source,
    Exec,
    File,
    Other,
}

/// One operation of a solved graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vertex {
    pub(crate) name: String,
    /// What it is, where it is one of the definition's own.
    pub(crate) operation: Option<Operation>,
    pub(crate) completed: bool,
    pub(crate) cached: bool,
    pub(crate) error: String,
}

/// A graph that was solved, or not.
#[derive(Debug)]
pub(crate) struct Solved {
    pub(crate) good: bool,
    /// By digest.
    pub(crate) vertices: BTreeMap<String, Vertex>,
    /// What the operations wrote.
    pub(crate) logs: String,
    /// All that `buildctl` said beside the stream.
    pub(crate) said: String,
}

impl Solved {
    /// Returns the names of the execs that ran, sorted: not those whose result was there.
    pub(crate) fn ran(&self) -> Vec<&str> {
        self.named(|vertex| vertex.operation == Some(Operation::Exec) && vertex.completed && !vertex.cached)
    }

    /// Returns the names of the execs whose result was there, sorted.
    pub(crate) fn cached(&self) -> Vec<&str> {
        self.named(|vertex| vertex.operation == Some(Operation::Exec) && vertex.cached)
    }

    /// Returns the names of the operations that failed, each with what was said.
    pub(crate) fn failed(&self) -> Vec<(&str, &str)> {
        let failed = self.vertices.values().filter(|vertex| !vertex.error.is_empty());
        failed.map(|vertex| (vertex.name.as_str(), vertex.error.as_str())).collect()
    }

    fn named(&self, which: impl Fn(&Vertex) -> bool) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.vertices.values().filter(|vertex| which(vertex)).map(|vertex| vertex.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Returns this, which must be good.
    pub(crate) fn ok(self) -> Self {
        assert!(self.good, "{}\n{}\n{:#?}", self.said, self.logs, self.failed());
        self
    }
}

/// Has a daemon solve a definition, whose result is written to the directory `to`. `locals` are the directories that the
/// graph's `local` sources name, `flags` what else `buildctl build` is told.
pub(crate) fn solve(daemon: &Daemon, definition: &Path, locals: &[(&str, &Path)], to: &Path, flags: &[&str]) -> Solved {
    let mut command = daemon.buildctl(["build", "--progress=rawjson"]);
    for (name, path) in locals {
        command.arg("--local").arg(format!("{name}={}", path.display()));
    }
    command.arg("--output").arg(format!("type=local,dest={}", to.display())).args(flags);
    command.stdin(Stdio::from(std::fs::File::open(definition).unwrap()));
    let output = command.output().unwrap();
    let mut solved = read(&String::from_utf8_lossy(&output.stderr), output.status.success());
    for (digest, operation) in operations(&std::fs::read(definition).unwrap()) {
        if let Some(vertex) = solved.vertices.get_mut(&digest) {
            vertex.operation = Some(operation);
        }
    }
    solved
}

/// Reads a status stream in the form of `--progress=rawjson`: one status a line, each with what is new.
pub(crate) fn read(stream: &str, good: bool) -> Solved {
    let mut solved = Solved { good, vertices: BTreeMap::new(), logs: String::new(), said: String::new() };
    for line in stream.lines() {
        let Ok(status) = serde_json::from_str::<serde_json::Value>(line) else {
            solved.said.push_str(line);
            solved.said.push('\n');
            continue;
        };
        let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
        for one in list("vertexes") {
            let vertex = solved.vertices.entry(one["digest"].as_str().unwrap().to_owned()).or_default();
            one["name"].as_str().unwrap_or_default().clone_into(&mut vertex.name);
            vertex.completed |= one["completed"].is_string();
            vertex.cached |= one["cached"].as_bool().unwrap_or(false);
            if let Some(error) = one["error"].as_str() {
                error.clone_into(&mut vertex.error);
            }
        }
        for one in list("logs") {
            let bytes = base64(one["data"].as_str().unwrap_or_default());
            solved.logs.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    solved
}

/// Returns the operations of a definition, by digest.
pub(crate) fn operations(definition: &[u8]) -> BTreeMap<String, Operation> {
    let definition = pb::Definition::decode(definition).unwrap();
    let all = definition.def.iter().map(|bytes| {
        let operation = match pb::Op::decode(bytes.as_slice()).unwrap().op {
            Some(pb::op::Op::Source(_)) => Operation::Source,
            Some(pb::op::Op::Exec(_)) => Operation::Exec,
            Some(pb::op::Op::File(_)) => Operation::File,
            _ => Operation::Other,
        };
        (Digest::of(bytes).to_string(), operation)
    });
    all.collect()
}

/// Decodes RFC 4648's base64, as far as it is well formed.
fn base64(text: &str) -> Vec<u8> {
    use base64ct::Encoding as _;
    base64ct::Base64::decode_vec(text).unwrap_or_default()
}
