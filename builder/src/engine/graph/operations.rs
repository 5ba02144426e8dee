//! The operations of a build, each with its mounts.

use super::{Error, Input, LANES, LayerGroup};
use crate::engine::worker::{BASE, FILES, Job, PLAN, needs_local, platform_directory};
use crate::llb::{Exec, Graph, Http, Local, Mount, Output, Step, Vertex, pattern};
use crate::lock::{LockedPackage, PlatformLock, Reference};
use crate::spec::{FileSource, Platform};

/// How many packages the name of an open tells.
const TOLD: usize = 3;

/// The layer of what scripts would have made.
pub(super) const STATE: &str = "state";

/// The directory that never changes.
const LANE: &str = "/lane";

/// The outputs of an open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    /// What its packages hold.
    pub(super) index: Output,
    /// Their bytes, by layer.
    pub(super) data: Output,
}

/// One platform's image before it is put together.
#[derive(Debug)]
pub(super) struct Stacked {
    pub(super) platform: Platform,
    pub(super) indexes: Vec<Output>,
    pub(super) base: Option<Opened>,
    /// In the lock's order; then `state` and `files`.
    pub(super) layers: Vec<Output>,
}

/// A graph that grows.
pub(super) struct Lowering<'a> {
    pub(super) graph: Graph,
    input: &'a Input<'a>,
    platforms: &'a [Platform],
    worker: Output,
    /// The directory that never changes, twice: as what the first ones of a lane wait for, and as what each hands on.
    /// They are two operations, so that the places of an execution's inputs are the same wherever it stands in a lane.
    lane: (Output, Output),
    /// What the opens so far hand on, and the layers.
    opens: Vec<Output>,
    layers: Vec<Output>,
    context: Option<Option<Output>>,
    job: Option<Output>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(input: &'a Input<'a>, platforms: &'a [Platform]) -> Self {
        let mut graph = Graph::new();
        let worker = input.worker.add(&mut graph);
        let directory = || Step::Directory { path: LANE.to_owned() };
        let vertex = |name: &str| Vertex::new(name, "the lanes");
        let lane =
            (graph.files(&[directory()], vertex("lane")), graph.files(&[directory(), directory()], vertex("lanes")));
        Self { graph, input, platforms, worker, lane, opens: Vec::new(), layers: Vec::new(), context: None, job: None }
    }

    /// Returns a platform's share of the lock.
    pub(super) fn locked(&self, platform: Platform) -> Result<&'a PlatformLock, Error> {
        let share = self.input.lock.platform.get(platform.oci());
        share.ok_or_else(|| Error::Platform(platform.oci().to_owned()))
    }

    /// Returns what tells one platform's operations from another's, where there are several.
    fn of(&self, platform: Platform) -> String {
        if self.platforms.len() > 1 { format!(" ({})", platform.oci()) } else { String::new() }
    }

    fn exec(&mut self, arguments: Vec<String>, mounts: Vec<Mount>, vertex: Vertex) -> Vec<Output> {
        self.graph.exec(&Exec { root: self.worker, arguments, mounts }, vertex)
    }

    /// Adds an execution that waits for the one [`LANES`] places before it in `lane`, and leaves what the next waits for.
    fn in_lane(
        &mut self,
        lane: fn(&mut Self) -> &mut Vec<Output>,
        arguments: Vec<String>,
        mut mounts: Vec<Mount>,
        vertex: Vertex,
    ) -> Vec<Output> {
        let before = lane(self);
        let before = before.len().checked_sub(LANES).map(|place| before[place]);
        mounts.push(Mount::select("/after", before.unwrap_or(self.lane.0), LANE));
        mounts.push(Mount::Write { at: "/done".to_owned(), over: Some(self.lane.1) });
        let mut outputs = self.exec(arguments, mounts, vertex);
        let done = outputs.pop().expect("the last mount is an output");
        lane(self).push(done);
        outputs
    }

    /// Adds the opening of a group's packages.
    pub(super) fn open(&mut self, group: &LayerGroup) -> Result<Opened, Error> {
        let packages = group.packages(self.locked(group.platform)?);
        let mut arguments = self.input.worker.command("open");
        let mut mounts = Vec::new();
        for package in &packages {
            let at = format!("/in/{}", package.name);
            mounts.push(match package.local_path() {
                // The file alone, so that nothing else in its directory counts.
                Some(path) => {
                    let context = self.context().expect("the lock names a file there");
                    Mount::select(format!("{at}/deb"), context, format!("/{}", self.beneath(path)))
                }
                None => Mount::read(at, self.package(package)?),
            });
            arguments.push(format!("{}/{}={}", package.layer, package.name, package.digest));
        }
        mounts.extend([Mount::write("/index"), Mount::write("/data")]);
        let mut told: Vec<String> =
            packages.iter().take(TOLD).map(|package| format!("{} {}", package.name, package.version)).collect();
        if packages.len() > TOLD {
            told.push(format!("{} more", packages.len() - TOLD));
        }
        let layers = group.layers.join(", ");
        let name = format!("open {layers}{}: {}", self.of(group.platform), told.join(", "));
        let quoted: Vec<String> = group.layers.iter().map(|layer| format!("`{layer}`")).collect();
        let word = if quoted.len() == 1 { "layer" } else { "layers" };
        let subject = format!("the packages of {word} {}{}", quoted.join(", "), self.of(group.platform));
        let outputs = self.in_lane(|lowering| &mut lowering.opens, arguments, mounts, Vertex::new(name, subject));
        Ok(opened(&outputs))
    }

    /// Adds the download of a package.
    fn package(&mut self, package: &LockedPackage) -> Result<Output, Error> {
        let (name, archive) = (package.name.clone(), package.archive.clone());
        let urls = self.input.mirrors.urls(&archive, &package.path);
        let Some(url) = urls.into_iter().next() else { return Err(Error::NoMirror { package: name, archive }) };
        if !is_http(&url) {
            return Err(Error::Path { what: format!("package `{name}`"), url });
        }
        if self.input.mirrors.private.get(&archive).is_some_and(|private| private.auth)
            // Another mirror than the archive itself is taken to be open.
            && self.input.spec.archives.get(&archive).is_some_and(|known| url.starts_with(&known.uri))
        {
            return Err(Error::Login { package: name, archive });
        }
        let vertex = Vertex::new(fetch_name(package), format!("package `{name}` {}", package.version));
        // A daemon takes a download of the same bytes for the one that failed in the same job, or that still hangs, wherever
        // it comes from: what is asked of another mirror has another mode. Workers do not look at it, but caches do, so
        // that what was opened so is opened again where the first mirror is back.
        let mode =
            self.input.in_vain.get(&package.digest).filter(|times| **times > 0).map(|times| 0o600 + (times & 0o77));
        Ok(self.graph.http(&Http { url, digest: package.digest, name: "deb".to_owned(), mode }, vertex))
    }

    /// Adds the opening of the spec's own files, where it has any.
    pub(super) fn open_local(&mut self) -> Result<Option<Opened>, Error> {
        if !needs_local(self.input.spec) {
            return Ok(None);
        }
        let mut mounts = vec![Mount::read("/job", self.own_job()), self.mounted_context()];
        for file in &self.input.spec.files {
            let FileSource::Fetch { url, digest, .. } = &file.value.what else { continue };
            let at = format!("/fetched/{}", digest.hex());
            if mounts.iter().any(|mount| matches!(mount, Mount::Read { at: other, .. } if *other == at)) {
                continue;
            }
            if !is_http(url) {
                return Err(Error::Path { what: "a file".to_owned(), url: url.clone() });
            }
            let http = Http { url: url.clone(), digest: *digest, name: "file".to_owned(), mode: None };
            let from = self.graph.http(&http, Vertex::new(format!("fetch {url}"), format!("`{url}`")));
            mounts.push(Mount::read(at, from));
        }
        mounts.extend([Mount::write("/index"), Mount::write("/data")]);
        let arguments = self.input.worker.command("open-local");
        let vertex = Vertex::new("open the spec's own files", "the spec's own files");
        let outputs = self.in_lane(|lowering| &mut lowering.opens, arguments, mounts, vertex);
        Ok(Some(opened(&outputs)))
    }

    /// Adds the opening of the spec's base, where it has one.
    pub(super) fn open_base(&mut self, platform: Platform) -> Option<Opened> {
        let base = self.input.spec.base.as_ref()?;
        let mut arguments = self.input.worker.command("open-base");
        arguments.extend(["--platform".to_owned(), platform.oci().to_owned()]);
        let mounts = vec![
            Mount::read("/job", self.own_job()),
            self.mounted_context(),
            Mount::write("/index"),
            Mount::write("/data"),
        ];
        let name = format!("open base {}{}", base.text, self.of(platform));
        let vertex = Vertex::new(name, format!("base `{}`{}", base.text, self.of(platform)));
        let outputs = self.in_lane(|lowering| &mut lowering.opens, arguments, mounts, vertex);
        Some(opened(&outputs))
    }

    /// Adds the selection of one platform's files; its output holds a directory with a plan for every layer.
    pub(super) fn select(
        &mut self,
        platform: Platform,
        indexes: &[Output],
        local: Option<Opened>,
        base: Option<Opened>,
    ) -> Output {
        let mut arguments = self.input.worker.command("select");
        arguments.extend(["--platform".to_owned(), platform.oci().to_owned()]);
        let mut mounts = vec![Mount::read("/job", self.job())];
        mounts.extend(indexes.iter().enumerate().map(|(n, index)| Mount::read(format!("/indexes/{n}"), *index)));
        mounts.extend(local.map(|local| Mount::read("/local", local.index)));
        mounts.extend(base.map(|base| Mount::read("/base", base.index)));
        mounts.push(Mount::write("/plans"));
        let name = format!("select files{}", self.of(platform));
        let vertex = Vertex::new(name, format!("the selection of files{}", self.of(platform)));
        self.exec(arguments, mounts, vertex)[0]
    }

    /// Adds a file with a layer's plan, as [`Lowering::select`] would have made it.
    pub(super) fn plan(&mut self, platform: Platform, layer: &str, plan: &[u8]) -> Output {
        let steps = [
            Step::Directory { path: format!("/{layer}") },
            Step::File { path: format!("/{layer}/{PLAN}"), bytes: plan.to_vec() },
        ];
        let vertex = Vertex::new(
            format!("plan {layer}{}", self.of(platform)),
            format!("the plan of layer `{layer}`{}", self.of(platform)),
        );
        self.graph.files(&steps, vertex)
    }

    /// Adds the writing of a layer; `data` is what holds the bytes of its packages.
    pub(super) fn layer(&mut self, platform: Platform, layer: &str, plans: Output, data: Option<Output>) -> Output {
        let mut arguments = self.input.worker.command("layer");
        arguments.extend(["--compression".to_owned(), self.input.spec.layers.compression.to_string()]);
        let at = format!("/{layer}");
        let mut mounts = vec![Mount::select("/plan", plans, &at)];
        mounts.extend(data.map(|data| Mount::select("/data", data, &at)));
        mounts.push(Mount::write("/layer"));
        let vertex =
            Vertex::new(format!("layer {layer}{}", self.of(platform)), format!("layer `{layer}`{}", self.of(platform)));
        self.in_lane(|lowering| &mut lowering.layers, arguments, mounts, vertex)[0]
    }

    /// Adds the last operation; its outputs are the image as a layout, and the documents about it.
    pub(super) fn assemble(&mut self, stacked: &[Stacked], local: Option<Opened>) -> (Output, Output) {
        let mut mounts = vec![Mount::read("/job", self.job()), self.mounted_context()];
        mounts.extend(local.map(|local| Mount::read("/local", local.index)));
        if let Some(told) = self.input.told {
            let steps = [Step::File { path: "/told".to_owned(), bytes: told.to_vec() }];
            let vertex = Vertex::new("what else the documents say", "what else the documents say");
            mounts.push(Mount::read("/told", self.graph.files(&steps, vertex)));
        }
        for Stacked { platform, indexes, base, layers } in stacked {
            let directory = platform_directory(*platform);
            for (number, index) in indexes.iter().enumerate() {
                mounts.push(Mount::read(format!("/indexes/{directory}/{number}"), *index));
            }
            if let Some(base) = base {
                mounts.push(Mount::read(format!("/base/{directory}"), base.index));
                mounts.push(Mount::select(format!("/blobs/{directory}"), base.data, format!("/{BASE}")));
            }
            let locked = self.input.lock.platform.get(platform.oci()).map(|share| share.layers.as_slice());
            let names = locked.unwrap_or_default().iter().map(String::as_str).chain([STATE, FILES]);
            for (name, layer) in names.zip(layers) {
                mounts.push(Mount::read(format!("/layers/{directory}/{name}"), *layer));
            }
        }
        mounts.extend([Mount::write("/oci"), Mount::write("/evidence")]);
        let name = self.input.spec.image_name();
        let vertex = Vertex::new(format!("assemble {name}"), format!("image `{name}`"));
        let arguments = self.input.worker.command("assemble");
        let outputs = self.exec(arguments, mounts, vertex);
        (outputs[0], outputs[1])
    }

    /// Returns spec and lock as the operations read them.
    fn job(&mut self) -> Output {
        if let Some(job) = self.job {
            return job;
        }
        let files = Job::files(self.input.spec, self.input.lock, self.platforms);
        let steps = files.into_iter().map(|(name, bytes)| Step::File { path: format!("/{name}"), bytes });
        let steps: Vec<Step> = steps.collect();
        *self.job.insert(self.graph.files(&steps, Vertex::new("spec and lock", "spec and lock")))
    }

    /// Returns what of spec and lock is read where the spec's own files and its base are opened: neither packages nor
    /// dates, so that it stays where these move.
    fn own_job(&mut self) -> Output {
        let files = Job::own_files(self.input.spec, self.input.lock, self.platforms);
        let steps = files.into_iter().map(|(name, bytes)| Step::File { path: format!("/{name}"), bytes });
        let steps: Vec<Step> = steps.collect();
        self.graph.files(&steps, Vertex::new("spec and its own inputs", "spec and lock"))
    }

    /// Returns what the spec names beneath its own directory; nothing where it names nothing.
    fn context(&mut self) -> Option<Output> {
        if let Some(context) = self.context {
            return context;
        }
        let context = self.paths().map(|paths| {
            let local = Local { name: self.input.context.name.to_owned(), paths };
            let vertex = Vertex::new("files beside the spec", "the files beside the spec");
            self.graph.local(&local, vertex)
        });
        *self.context.insert(context)
    }

    /// Returns the mount of the spec's directory, an empty one where the spec names nothing there.
    fn mounted_context(&mut self) -> Mount {
        match self.context() {
            Some(context) => match self.beneath("") {
                path if path.is_empty() => Mount::read("/context", context),
                path => Mount::select("/context", context, format!("/{path}")),
            },
            None => Mount::select("/context", self.lane.0, LANE),
        }
    }

    /// Returns the path of a file beneath the spec's directory in what the client sends.
    fn beneath(&self, path: &str) -> String {
        bare(&format!("{}/{path}", self.input.context.directory))
    }

    /// Returns patterns for all paths beneath the spec's directory that it or the lock names, as the client sees them:
    /// empty where only all will do, and `None` where there are none.
    fn paths(&self) -> Option<Vec<String>> {
        let Input { spec, lock, .. } = self.input;
        let mut paths: Vec<&str> = Vec::new();
        for file in &spec.files {
            if let FileSource::Copy { path, .. } = &file.value.what {
                paths.push(path);
            }
        }
        paths.extend(spec.certificates.iter().map(|path| path.value.as_str()));
        paths.extend(spec.rules.iter().chain(&spec.slices).map(|path| path.value.as_str()));
        paths.extend(spec.archives.values().filter_map(|archive| archive.ca.as_ref()).map(|ca| ca.value.as_str()));
        paths.extend(spec.base.iter().map(|base| base.path.as_str()));
        let inputs = lock.inputs.iter().filter(|input| Reference::Input(input).is_local() && input.kind != "base");
        paths.extend(inputs.map(|input| input.name.as_str()));
        let shares = lock.platform.values();
        paths.extend(shares.flat_map(|share| &share.packages).filter_map(LockedPackage::local_path));
        if paths.is_empty() {
            return None;
        }
        // What a way up leads to depends on links, and no pattern says it.
        let up = paths.iter().any(|path| path.split('/').any(|component| component == ".."));
        let mut patterns: Vec<String> =
            paths.iter().map(|path| pattern(&self.beneath(if up { "" } else { path }))).collect();
        patterns.sort();
        patterns.dedup();
        Some(if patterns.iter().any(String::is_empty) { Vec::new() } else { patterns })
    }
}

/// Returns the name of the operation that fetches a package.
pub fn fetch_name(package: &LockedPackage) -> String {
    format!("{} {} ({})", package.name, package.version, package.architecture)
}

/// Returns a path without what says nothing: `./`, doubled slashes, a slash at its end.
fn bare(path: &str) -> String {
    let components: Vec<&str> = path.split('/').filter(|component| !matches!(*component, "" | ".")).collect();
    components.join("/")
}

fn opened(outputs: &[Output]) -> Opened {
    Opened { index: outputs[0], data: outputs[1] }
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}
