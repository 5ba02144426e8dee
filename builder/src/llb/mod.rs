//! A graph of BuildKit operations, written with stable bytes.
//!
//! In: sources, executions and file operations, each over outputs of earlier ones. Out: a [`Definition`], the message
//! that a BuildKit daemon solves (`pb.Definition` of its low-level build format). Equal operations are one; an operation
//! is named by the SHA-256 of its bytes, and stands behind all that it reads; so the same calls give the same bytes on
//! every machine. Only what every BuildKit since Docker 20.10 knows can be said here. It says nothing about what the
//! operations are for.

mod read;
mod show;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bollard_buildkit_proto::pb;
use prost::Message as _;

use crate::canon;
use crate::digest::Digest;

pub use read::Error;

/// The key under which a daemon looks for the name of an operation.
const NAME: &str = "llb.customname";
/// Nothing below: an empty file system.
const SCRATCH: i64 = -1;
/// A mount, or a step of a file operation, that is no output.
const NO_OUTPUT: i64 = -1;

/// One output of an operation of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Output {
    operation: Digest,
    index: i64,
}

/// What an operation is, for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vertex {
    /// How progress shows it: `open glibc: libc6 2.41-12`.
    pub name: String,
    /// What an error about it names: `package `libc6``. Not part of the bytes.
    pub subject: String,
}

impl Vertex {
    /// Returns a vertex of this name and subject.
    pub fn new(name: impl Into<String>, subject: impl Into<String>) -> Self {
        Self { name: name.into(), subject: subject.into() }
    }
}

/// A file that the daemon downloads, as the one file of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Its address, `http://` or `https://`.
    pub url: String,
    /// Its SHA-256: with it, the daemon's cache goes by content and not by address.
    pub digest: Digest,
    /// Its name below `/`.
    pub name: String,
    /// Its permission bits; the daemon gives 0600 where nothing is said.
    pub mode: Option<u32>,
}

/// Files that the client of the daemon sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The name by which the client knows the directory.
    pub name: String,
    /// Which paths below it are sent, with all that is beneath them; all where empty. See [`pattern`].
    pub paths: Vec<String>,
}

/// A program to run: without network, environment and user's name, in `/`, over a file system that it cannot write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The file system that it stands in.
    pub root: Output,
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// What else it sees, and where it writes.
    pub mounts: Vec<Mount>,
}

/// One mount of an [`Exec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Something that it reads. Its content, as far as the selector reaches, is what the daemon's cache goes by.
    Read {
        /// Where it stands.
        at: String,
        /// What stands there.
        from: Output,
        /// The file or directory of it that is meant: an absolute path; all where there is none.
        selector: Option<String>,
    },
    /// Something that it writes: an output.
    Write {
        /// Where it stands.
        at: String,
        /// What stands there before; nothing where there is none.
        over: Option<Output>,
    },
}

impl Mount {
    /// Returns a mount that reads all of `from`.
    pub fn read(at: impl Into<String>, from: Output) -> Self {
        Self::Read { at: at.into(), from, selector: None }
    }

    /// Returns a mount that reads what stands at `selector` of `from`.
    pub fn select(at: impl Into<String>, from: Output, selector: impl Into<String>) -> Self {
        Self::Read { at: at.into(), from, selector: Some(selector.into()) }
    }

    /// Returns an output that begins empty.
    pub fn write(at: impl Into<String>) -> Self {
        Self::Write { at: at.into(), over: None }
    }
}

/// One step of a file operation; each starts from what the step before left, the first from nothing. All that is made
/// belongs to 0:0 and has the time 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes a directory with mode 0755, and those above it.
    Directory {
        /// Its absolute path.
        path: String,
    },
    /// Writes a file with mode 0644.
    File {
        /// Its absolute path; the directory above it is there.
        path: String,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Copies what a directory holds.
    Copy {
        /// What it is copied from.
        from: Output,
        /// The directory there: an absolute path.
        source: String,
        /// The absolute path that its content goes below; directories on the way are made.
        to: String,
    },
}

/// Operations, each behind what it reads.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    operations: Vec<Operation>,
    known: BTreeSet<Digest>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
struct Operation {
    digest: Digest,
    bytes: Vec<u8>,
    inputs: Vec<Digest>,
    metadata: pb::OpMetadata,
    vertex: Vertex,
}

impl Graph {
    /// Returns an empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a download.
    pub fn http(&mut self, http: &Http, vertex: Vertex) -> Output {
        let mut caps = vec!["source.http", "source.http.checksum"];
        let mut attrs = BTreeMap::from([
            ("http.checksum".to_owned(), http.digest.to_string()),
            ("http.filename".to_owned(), http.name.clone()),
        ]);
        if let Some(mode) = http.mode {
            // Go reads it with any base: a number without a prefix is decimal.
            attrs.insert("http.perm".to_owned(), mode.to_string());
            caps.push("source.http.perm");
        }
        self.source(http.url.clone(), attrs, &caps, vertex)
    }

    /// Adds the file system of an image in a registry; `reference` is `HOST/NAME@sha256:…`.
    pub fn image(&mut self, reference: &str, vertex: Vertex) -> Output {
        self.source(format!("docker-image://{reference}"), BTreeMap::new(), &["source.image"], vertex)
    }

    /// Adds files that the client sends.
    pub fn local(&mut self, local: &Local, vertex: Vertex) -> Output {
        let mut caps = vec!["source.local", "source.local.sharedkeyhint"];
        // What is not changed is not sent again, whoever asks.
        let mut attrs = BTreeMap::from([("local.sharedkeyhint".to_owned(), local.name.clone())]);
        if !local.paths.is_empty() {
            let list = String::from_utf8(canon::ordered(&local.paths)).expect("JSON is UTF-8");
            // The second also sends what links on the way to these paths lead to.
            attrs.insert("local.includepattern".to_owned(), list.clone());
            attrs.insert("local.followpaths".to_owned(), list);
            caps.extend(["source.local.includepatterns", "source.local.followpaths"]);
        }
        self.source(format!("local://{}", local.name), attrs, &caps, vertex)
    }

    fn source(&mut self, identifier: String, attrs: BTreeMap<String, String>, caps: &[&str], vertex: Vertex) -> Output {
        let source = pb::SourceOp { identifier, attrs };
        self.add(Inputs::default(), pb::op::Op::Source(source), caps, vertex)
    }

    /// Adds an execution and returns its outputs, in the order of the mounts that it writes to.
    pub fn exec(&mut self, exec: &Exec, vertex: Vertex) -> Vec<Output> {
        let mut inputs = Inputs::default();
        let mut caps = vec!["exec.meta.base", "exec.meta.network", "exec.mount.bind"];
        let mut mounts = vec![mount("/", inputs.index(exec.root), "", true, NO_OUTPUT)];
        let mut outputs = 0;
        for one in &exec.mounts {
            mounts.push(match one {
                Mount::Read { at, from, selector } => {
                    if selector.is_some() {
                        caps.push("exec.mount.selector");
                    }
                    mount(at, inputs.index(*from), selector.as_deref().unwrap_or_default(), true, NO_OUTPUT)
                }
                Mount::Write { at, over } => {
                    let number = outputs;
                    outputs += 1;
                    mount(at, over.map_or(SCRATCH, |over| inputs.index(over)), "", false, number)
                }
            });
        }
        let meta = pb::Meta { args: exec.arguments.clone(), cwd: "/".to_owned(), ..pb::Meta::default() };
        let exec = pb::ExecOp { meta: Some(meta), mounts, network: pb::NetMode::None.into(), ..pb::ExecOp::default() };
        let first = self.add(inputs, pb::op::Op::Exec(exec), &caps, vertex);
        (0..outputs).map(|index| Output { index, ..first }).collect()
    }

    /// Adds a file operation of one step or more.
    pub fn files(&mut self, steps: &[Step], vertex: Vertex) -> Output {
        let mut inputs = Inputs::default();
        let copied: Vec<i64> = steps
            .iter()
            .map(|step| match step {
                Step::Copy { from, .. } => inputs.index(*from),
                _ => NO_OUTPUT,
            })
            .collect();
        let count = inputs.0.len() as i64;
        let last = steps.len().saturating_sub(1);
        let actions = steps.iter().zip(copied).enumerate().map(|(number, (step, secondary_input))| pb::FileAction {
            // What an earlier step made is numbered behind the inputs.
            input: if number == 0 { SCRATCH } else { count + number as i64 - 1 },
            secondary_input,
            output: if number == last { 0 } else { NO_OUTPUT },
            action: Some(action(step)),
        });
        let files = pb::FileOp { actions: actions.collect() };
        self.add(inputs, pb::op::Op::File(files), &["file.base"], vertex)
    }

    /// Adds all operations of a definition and returns the output that it ends with.
    pub fn include(&mut self, definition: &Definition) -> Output {
        for operation in &definition.operations {
            self.push(operation.clone());
        }
        definition.result
    }

    fn add(&mut self, inputs: Inputs, op: pb::op::Op, caps: &[&str], vertex: Vertex) -> Output {
        let message = pb::Op {
            inputs: inputs.0.iter().map(input).collect(),
            // None: what runs is the daemon's own platform, whatever image is made.
            platform: None,
            constraints: None,
            op: Some(op),
        };
        let bytes = message.encode_to_vec();
        let digest = Digest::of(&bytes);
        let caps = caps.iter().copied().chain(["meta.description"]);
        let metadata = pb::OpMetadata {
            description: BTreeMap::from([(NAME.to_owned(), vertex.name.clone())]),
            caps: caps.map(|cap| (cap.to_owned(), true)).collect(),
            ..pb::OpMetadata::default()
        };
        let inputs = inputs.0.iter().map(|input| input.operation).collect();
        self.push(Operation { digest, bytes, inputs, metadata, vertex });
        Output { operation: digest, index: 0 }
    }

    fn push(&mut self, operation: Operation) {
        if self.known.insert(operation.digest) {
            self.operations.push(operation);
        }
    }

    /// Returns the definition that ends with `result`: of all operations, those that lead to it.
    pub fn finish(&self, result: Output) -> Definition {
        let mut wanted = BTreeSet::from([result.operation]);
        // Whatever is read stands before its reader.
        for operation in self.operations.iter().rev() {
            if wanted.contains(&operation.digest) {
                wanted.extend(&operation.inputs);
            }
        }
        let operations = self.operations.iter().filter(|operation| wanted.contains(&operation.digest));
        Definition { operations: operations.cloned().collect(), result }
    }
}

/// The inputs of an operation, each once.
#[derive(Default)]
struct Inputs(Vec<Output>);

impl Inputs {
    fn index(&mut self, output: Output) -> i64 {
        let index = self.0.iter().position(|known| *known == output).unwrap_or_else(|| {
            self.0.push(output);
            self.0.len() - 1
        });
        index as i64
    }
}

fn input(output: &Output) -> pb::Input {
    pb::Input { digest: output.operation.to_string(), index: output.index }
}

fn mount(at: &str, input: i64, selector: &str, readonly: bool, output: i64) -> pb::Mount {
    pb::Mount {
        input,
        selector: selector.to_owned(),
        dest: at.to_owned(),
        output,
        readonly,
        mount_type: pb::MountType::Bind.into(),
        ..pb::Mount::default()
    }
}

fn action(step: &Step) -> pb::file_action::Action {
    use pb::file_action::Action;
    let id = |number| Some(pb::UserOpt { user: Some(pb::user_opt::User::ById(number)) });
    let owner = Some(pb::ChownOpt { user: id(0), group: id(0) });
    match step {
        Step::Directory { path } => Action::Mkdir(pb::FileActionMkDir {
            path: path.clone(),
            mode: 0o755,
            make_parents: true,
            owner,
            timestamp: 0,
        }),
        Step::File { path, bytes } => Action::Mkfile(pb::FileActionMkFile {
            path: path.clone(),
            mode: 0o644,
            data: bytes.clone(),
            owner,
            timestamp: 0,
        }),
        Step::Copy { source, to, .. } => Action::Copy(pb::FileActionCopy {
            src: source.clone(),
            dest: to.clone(),
            owner,
            mode: -1,
            dir_copy_contents: true,
            create_dest_path: true,
            timestamp: 0,
            ..pb::FileActionCopy::default()
        }),
    }
}

/// Returns a path below a local directory as a pattern that fits it, and hardly anything else.
///
/// BuildKit's clients have read patterns in two ways, by Go's `filepath.Match` and as regular expressions; `?`, one
/// character that is no slash, is the one sign that means the same to both.
pub fn pattern(path: &str) -> String {
    let plain = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '/' | '.' | '_' | '-' | '@' | '~' | ',' | '=' | '%')
    };
    path.chars().map(|character| if plain(character) { character } else { '?' }).collect()
}

/// What a daemon solves: operations, and which output is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    operations: Vec<Operation>,
    result: Output,
}

impl Definition {
    /// Returns the definition as `pb.Definition`: what `buildctl build` reads.
    pub fn bytes(&self) -> Vec<u8> {
        self.message().encode_to_vec()
    }

    /// Returns the definition as the message that a solve carries.
    pub fn message(&self) -> pb::Definition {
        // The last is no operation, and says which output is meant.
        let end = pb::Op { inputs: vec![input(&self.result)], ..pb::Op::default() }.encode_to_vec();
        let end_digest = Digest::of(&end).to_string();
        let described = self.operations.iter().map(|one| (one.digest.to_string(), one.metadata.clone()));
        pb::Definition {
            def: self.operations.iter().map(|one| one.bytes.clone()).chain([end]).collect(),
            metadata: described.chain([(end_digest, pb::OpMetadata::default())]).collect(),
            source: None,
        }
    }

    /// Returns the definition whose operations a daemon carries out again, whatever its cache holds.
    pub fn uncached(&self) -> Self {
        let mut again = self.clone();
        for operation in &mut again.operations {
            operation.metadata.ignore_cache = true;
        }
        again
    }

    /// Returns what every operation is, by the digest that a daemon calls it by.
    pub fn vertices(&self) -> BTreeMap<Digest, &Vertex> {
        self.operations.iter().map(|operation| (operation.digest, &operation.vertex)).collect()
    }

    /// Returns the digest that names the operation which the result comes from, and which of its outputs it is.
    pub fn result(&self) -> (Digest, i64) {
        (self.result.operation, self.result.index)
    }

    /// Returns how many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns whether there is no operation: a result out of nothing.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}
