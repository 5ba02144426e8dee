//! The ways in which one spec becomes an image: here, as a graph by `buildctl`, by `--engine buildkit`, by the frontend.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tarsia::lock::Lock;

use super::daemon::Daemon;
use super::files::Files;
use super::solve::{Solved, read, solve};
use crate::container::must;
use crate::program::{Place, Ran};
use crate::world::Archive;

/// Returns the digest of what a layout holds.
pub(crate) fn digest_of(layout: &Path) -> String {
    let text = std::fs::read(layout.join("index.json")).unwrap_or_else(|error| panic!("{}: {error}", layout.display()));
    let index: Value = serde_json::from_slice(&text).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

/// Holds two directories to be the same, names and bytes.
pub(crate) fn same(one: &Path, other: &Path) {
    must(Command::new("diff").arg("-r").arg(one).arg(other));
}

/// A place whose archive is served over HTTP.
pub(crate) struct Served {
    pub(crate) place: Place,
    pub(crate) files: Files,
}

impl Served {
    /// Writes an archive and serves it.
    pub(crate) fn new(archive: &Archive) -> Self {
        let place = Place::new();
        let files = Files::serve(&archive.write(&place));
        Self { place, files }
    }

    /// Writes a spec over the served archive: `rest` is what follows it.
    pub(crate) fn spec(&self, name: &str, rest: &str) {
        let uri = format!("http://{}", self.files.host);
        let archives =
            format!("archives:\n  test: {{uri: \"{uri}\", suite: test, components: [main], signed-by: archive.asc}}\n");
        self.place.write(
            &format!("{name}.yaml"),
            format!("version: 1\nname: {name}\nplatforms: [linux/amd64]\n{archives}{rest}"),
        );
    }

    /// Builds a spec here, and returns its digest; the image is `<name>.oci`.
    pub(crate) fn local(&self, name: &str) -> String {
        let image = format!("{name}.oci");
        self.place.ok(&["build", &format!("{name}.yaml"), "-o", &image]).trim().to_owned()
    }

    /// How often the bytes of each package were asked for since the last call, by file name.
    pub(crate) fn debs(&self) -> Vec<String> {
        let mut debs: Vec<String> = self.files.taken().into_iter().filter(|path| path.ends_with(".deb")).collect();
        debs.sort();
        debs
    }
}

/// Serves the packages of locks out of a store, at the paths that archives have them, on this machine's loopback.
pub(crate) fn pool(locks: &[PathBuf], store: &Path) -> (Place, Files) {
    let place = Place::new();
    for path in locks {
        let lock = Lock::parse("lock", &std::fs::read_to_string(path).unwrap()).unwrap();
        for package in lock.platform.values().flat_map(|platform| &platform.packages) {
            let (hex, to) = (package.digest.hex(), place.path(&package.path));
            if package.local_path().is_some() || to.exists() {
                continue;
            }
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(store.join("blobs/sha256").join(&hex[..2]).join(&hex), to).unwrap();
        }
    }
    let files = Files::serve(&place.path("."));
    (place, files)
}

/// A daemon, and what it runs.
pub(crate) struct Way<'a> {
    pub(crate) daemon: &'a Daemon,
    /// As `--worker` takes it.
    pub(crate) worker: String,
    /// More flags of `llb` and `build`, as `--mirror` and its value.
    pub(crate) flags: Vec<String>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(daemon: &'a Daemon, worker: String) -> Self {
        Self { daemon, worker, flags: Vec::new() }
    }

    /// Writes the graph of a locked spec, and returns where.
    pub(crate) fn graph(&self, place: &Place, spec: &str, more: &[&str]) -> PathBuf {
        let mut command = place.tarsia(["llb", spec, "--locked", "--worker", &self.worker]);
        command.args(&self.flags).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", Ran::from(output).err);
        place.write("graph", output.stdout)
    }

    /// Has `buildctl` build a locked spec of a place into the directory `to`.
    pub(crate) fn by_graph(&self, place: &Place, spec: &str, more: &[&str], to: &Path) -> Solved {
        let graph = self.graph(place, spec, more);
        let context = place.path(spec).parent().unwrap().to_owned();
        solve(self.daemon, &graph, &[("context", &context)], to, &[])
    }

    /// Returns `build --engine buildkit` of a spec, with a store that holds no package, to a layout in the place.
    pub(crate) fn engine(&self, place: &Place, spec: &str, store: &Path, to: &Path) -> Command {
        let engine = format!("buildkit={}", self.daemon.address());
        let mut command = place.tarsia(["build", spec, "--locked", "--engine", &engine, "--worker", &self.worker]);
        command.args(&self.flags).arg("-o").arg(to).env("TARSIA_STORE", store).stdin(Stdio::null());
        command
    }

    /// Builds a locked spec of a place by `--engine buildkit`, and returns its digest.
    pub(crate) fn by_engine(&self, place: &Place, spec: &str, store: &Path, to: &Path) -> String {
        must(&mut self.engine(place, spec, store, to)).trim().to_owned()
    }

    /// Has the frontend, an image of a registry, build the target `oci` of a locked spec, as `buildctl` would be told.
    pub(crate) fn by_frontend(&self, image: &str, place: &Place, spec: &str, options: &[&str], to: &Path) -> Solved {
        let path = place.path(spec);
        let (directory, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        let mut command = self.daemon.buildctl(["build", "--progress=rawjson", "--frontend=gateway.v0"]);
        command.args(["--opt", &format!("source={image}"), "--opt", &format!("filename={name}")]);
        command.args(["--opt", "target=oci"]).args(options.iter().flat_map(|option| ["--opt", option]));
        for local in ["context", "dockerfile"] {
            command.arg("--local").arg(format!("{local}={}", directory.display()));
        }
        command.arg("--output").arg(format!("type=local,dest={}", to.display()));
        let output = command.output().unwrap();
        read(&String::from_utf8_lossy(&output.stderr), output.status.success())
    }
}
