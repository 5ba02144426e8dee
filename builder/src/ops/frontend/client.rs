//! Files of the client's, read through BuildKit: only those that are asked for are ever handed over.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use crate::buildkit::Reference;
use crate::diag::{Problems, Source};
use crate::llb::{self, Graph, Local, Vertex};
use crate::lock::Lock;
use crate::ops::lock::reasons;
use crate::ops::project::MAX_TEXT;
use crate::ops::{self, Project};
use crate::spec::Spec;

use super::bridge::Bridge;
use super::error::Error;
use super::options::Options;

/// How deep directories of rules and slices may lie in each other.
const MAX_DEPTH: usize = 32;
/// The most files that are read to prepare a build.
const MAX_FILES: usize = 10_000;
/// What a file's mode says of its kind (stat(2)), as Go writes it (`io/fs`).
const GO_DIRECTORY: u32 = 1 << 31;
/// The same of a symbolic link.
const GO_SYMLINK: u32 = 1 << 27;

/// The directory that a spec stands in, on the client's side.
pub(super) struct Client<'a> {
    bridge: &'a dyn Bridge,
    /// What the client calls the directory that it hands over.
    local: &'a str,
    /// The spec's directory below that; empty where it is that itself.
    directory: &'a str,
    /// Where files stand that the build is prepared from.
    room: &'a Path,
}

impl<'a> Client<'a> {
    /// Returns the directory that these options name; `room` is an empty directory of our own.
    pub(super) fn new(bridge: &'a dyn Bridge, options: &'a Options, room: &'a Path) -> Self {
        Self { bridge, local: &options.local, directory: options.directory(), room }
    }

    /// Reads the spec, what it extends, its lock, and the small files that both are held against.
    ///
    /// # Errors
    /// What is wrong with the spec or the lock, each with its place; no lock, or one that is stale.
    pub(super) fn project(&self, options: &Options) -> Result<Project, Problems> {
        let name = options.filename.rsplit('/').next().unwrap_or_default();
        let lock_path = Path::new(name).with_extension("lock");
        let lock_name = lock_path.to_string_lossy().into_owned();
        let both = self.ask(&[name, &lock_name], "spec and lock")?;
        let text = self.text(&both, name)?.ok_or_else(|| self.absent(name))?;
        let lock_text = self.text(&both, &lock_name)?;

        let source = Source::new(self.shown(name), text);
        let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let read = |path: &str| {
            let found = self.ask(&[path], path).and_then(|found| self.text(&found, path));
            found.map_err(|error| error.to_string())?.ok_or_else(|| "there is no such file".to_owned())
        };
        let spec = Spec::load(&source, &stem, options.variant.as_deref(), &read)?;
        let whole = match &lock_text {
            Some(text) => Some(Lock::parse(&self.shown(&lock_name), text)?),
            None => return Err(ops::Error::NoLock { path: self.shown(&lock_name) }.into()),
        };
        let project = Project {
            lock: whole.as_ref().and_then(|whole| whole.section(options.variant.as_deref())),
            spec_text: source.text.clone(),
            directory: self.room.to_owned(),
            lock_path: self.shown(&lock_name).into(),
            spec,
            whole,
            lock_text,
        };
        self.bring(&small(&project.spec))?;
        // Packages and bases are held against the lock by the operations that open them.
        let reasons = reasons(&project, false)?;
        if reasons.is_empty() {
            Ok(project)
        } else {
            Err(ops::Error::Stale { path: self.shown(&lock_name), reasons }.into())
        }
    }

    /// Returns a path beneath the spec's directory as the client would write it.
    fn shown(&self, path: &str) -> String {
        if self.directory.is_empty() { path.to_owned() } else { format!("{}/{path}", self.directory) }
    }

    fn absent(&self, path: &str) -> Error {
        Error::Client { path: self.shown(path), problem: "there is no such file".to_owned() }
    }

    /// Returns a file system with these of the client's files and directories in it, as far as they are there.
    fn ask(&self, paths: &[&str], what: &str) -> Result<Reference, Error> {
        let paths: Vec<String> = paths.iter().map(|path| self.shown(path)).collect();
        let mut graph = Graph::new();
        let local = Local { name: self.local.to_owned(), paths: paths.iter().map(|path| llb::pattern(path)).collect() };
        let sent = graph.local(&local, Vertex::new(format!("read {what}"), what));
        let asked = self.bridge.solve(&graph.finish(sent).bytes(), &[]);
        asked.map_err(|refused| Error::Client { path: paths[0].clone(), problem: refused.message })
    }

    /// Returns a text of at most 16 MiB; nothing where there is none.
    fn text(&self, found: &Reference, path: &str) -> Result<Option<String>, Error> {
        let Some(bytes) = self.bytes(found, path)? else { return Ok(None) };
        let text = String::from_utf8(bytes);
        let problem = || Error::Client { path: self.shown(path), problem: "it is not UTF-8".to_owned() };
        text.map(Some).map_err(|_| problem())
    }

    fn bytes(&self, found: &Reference, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.bridge.read(found, &self.shown(path), MAX_TEXT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(refused) if refused.absent => Ok(None),
            Err(refused) => Err(Error::Client { path: self.shown(path), problem: refused.message }),
        }
    }

    /// Puts these of the client's files and directories into the room.
    fn bring(&self, paths: &[String]) -> Result<(), Error> {
        if paths.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = paths.iter().map(String::as_str).collect();
        let found = self.ask(&names, "keys, certificates, rules and slices")?;
        let mut count = 0;
        for path in paths {
            // What is not there is told by whoever needs it.
            match self.bridge.list(&found, &self.shown(path)) {
                Ok(entries) => self.bring_directory(&found, path, entries, 0, &mut count)?,
                Err(_) => {
                    if let Some(bytes) = self.bytes(&found, path)? {
                        self.keep(path, &bytes)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn bring_directory(
        &self,
        found: &Reference,
        path: &str,
        entries: BTreeMap<String, u32>,
        depth: usize,
        count: &mut usize,
    ) -> Result<(), Error> {
        let refuse = |problem: &str| Error::Client { path: self.shown(path), problem: problem.to_owned() };
        if depth > MAX_DEPTH {
            return Err(refuse("directories lie too deep in each other"));
        }
        let kept = |source: io::Error| Error::Room { path: path.to_owned(), source: Arc::new(source) };
        std::fs::create_dir_all(self.room.join(path)).map_err(kept)?;
        for (name, mode) in entries {
            *count += 1;
            if *count > MAX_FILES {
                return Err(refuse("there are too many files"));
            }
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                return Err(refuse("BuildKit tells a name that no file has"));
            }
            let below = format!("{path}/{name}");
            if mode & GO_DIRECTORY != 0 {
                let entries = self.bridge.list(found, &self.shown(&below));
                let entries = entries.map_err(|refused| refuse(&refused.message))?;
                self.bring_directory(found, &below, entries, depth + 1, count)?;
            } else if mode & GO_SYMLINK != 0 {
                // Whoever walks the directory refuses it, wherever it leads.
                symlink("symlink", self.room.join(&below)).map_err(kept)?;
            } else if let Some(bytes) = self.bytes(found, &below)? {
                self.keep(&below, &bytes)?;
            }
        }
        Ok(())
    }

    fn keep(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let place = self.room.join(path);
        let written =
            place.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&place, bytes));
        written.map_err(|source| Error::Room { path: path.to_owned(), source: Arc::new(source) })
    }
}

/// Returns the files and directories of a spec that are small, and that its lock is held against: keys, authorities,
/// certificates, rules and slices.
fn small(spec: &Spec) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for archive in spec.archives.values() {
        paths.push(archive.signed_by.value.clone());
        paths.extend(archive.ca.iter().map(|path| path.value.clone()));
    }
    paths.extend(spec.certificates.iter().map(|path| path.value.clone()));
    paths.extend(spec.rules.iter().chain(&spec.slices).map(|path| path.value.trim_end_matches('/').to_owned()));
    paths.sort();
    paths.dedup();
    paths
}
