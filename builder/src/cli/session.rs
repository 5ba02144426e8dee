//! What every command is given: the environment, the flags on how to speak, and a way to speak.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use tarsia::diag::{Problems, Warning};
use tarsia::digest::Digest;
use tarsia::engine::farm;
use tarsia::fetch::{FetchOptions, HttpOptions, MachineClock, apt_sources};
use tarsia::kit::Kit;
use tarsia::lock::MAX_TIME;
use tarsia::ops::{Reach, World};
use tarsia::registry::{self, Registry};
use tarsia::store::{Store, StoreOptions};

use super::arguments::{Globals, RegistryFlags, StoreFlags, WorldFlags};
use super::engine::EngineFlags;
use super::environment::Environment;
use super::error::Error;
use super::network::Network;
use super::progress::Bars;
use super::{output, render};

/// The outside of one run.
pub(crate) struct Session {
    /// Read once, at the start.
    pub(crate) environment: Environment,
    /// `--json`, `-q`, `-v`.
    pub(crate) globals: Globals,
    bars: Bars,
    started: Instant,
}

impl Session {
    /// Returns the session of this run.
    pub(crate) fn new(environment: Environment, globals: Globals) -> Self {
        let drawn = environment.terminal && !globals.quiet && !globals.json;
        let bars = Bars::new(drawn, globals.verbose);
        Self { environment, globals, bars, started: Instant::now() }
    }

    /// Opens the store, and does `work` in the world that the flags and the environment make.
    ///
    /// Where the store can only be read, or not be made at all, a private one stands in beside `output`, and is gone
    /// with the command.
    pub(crate) fn in_world<T>(
        &self,
        flags: &WorldFlags,
        output: &Path,
        work: impl FnOnce(&World<'_>) -> Result<T, Problems>,
    ) -> Result<T, Problems> {
        self.in_world_of(flags, None, output, work)
    }

    fn in_world_of<T>(
        &self,
        flags: &WorldFlags,
        daemons: Option<&farm::Options>,
        output: &Path,
        work: impl FnOnce(&World<'_>) -> Result<T, Problems>,
    ) -> Result<T, Problems> {
        let WorldFlags { store, network, machine } = flags;
        let store = self.open_store(store, daemons.map(farm::Options::party), output)?;
        let vendor = network.vendor.as_ref().map(|path| Kit::open(path, store.root())).transpose()?;
        let world = World {
            store: &store,
            vendor: vendor.as_ref(),
            transport: &Network::new(HttpOptions {
                certificates: authorities(&network.registry)?,
                ..HttpOptions::default()
            }),
            registry: &self.registry(&network.registry, network.offline)?,
            now: self.environment.now,
            host: self.environment.platform.ok_or(Error::NoPlatform)?,
            apt: &self.apt_mirrors(),
            mirrors: &network.mirrors,
            fetch: &FetchOptions {
                offline: network.offline,
                credentials: self.environment.credentials.clone(),
                ..FetchOptions::default()
            },
            clock: &MachineClock::starting_at(self.environment.now),
            offline: network.offline,
            source_date_epoch: self.source_date_epoch()?,
            engines: &self.environment.engines,
            daemons,
            threads: machine.threads.unwrap_or(self.environment.threads).max(1) as usize,
            memory: machine.memory,
            progress: &self.bars,
        };
        let done = work(&world);
        self.warnings(&store.take_warnings());
        done
    }

    /// As [`Session::in_world`], where packages may be opened and layers written by an engine that is not this process.
    pub(crate) fn in_world_with<T>(
        &self,
        flags: &WorldFlags,
        engine: &EngineFlags,
        output: &Path,
        work: impl FnOnce(&World<'_>) -> Result<T, Problems>,
    ) -> Result<T, Problems> {
        let daemons = engine.daemons(&self.environment)?;
        self.in_world_of(flags, daemons.as_ref(), output, work)
    }

    /// Does `work` with what reading an image may need: registries, and for what is fetched from them the store.
    pub(crate) fn reaching<T>(
        &self,
        flags: &StoreFlags,
        registries: &RegistryFlags,
        offline: bool,
        work: impl FnOnce(&Reach<'_>) -> Result<T, Problems>,
    ) -> Result<T, Problems> {
        let registry = self.registry(registries, offline)?;
        let directory = self.store_directory(flags.directory.store.as_ref());
        let options = StoreOptions { paranoid: flags.paranoid, ..StoreOptions::default() };
        let store = || {
            // Without a directory of the user's own, a private one here stands in.
            let directory = directory.as_deref().unwrap_or_else(|_| Path::new("/nonexistent"));
            Store::open_or_private(directory, options.clone(), Path::new("."))
        };
        work(&Reach { registry: &registry, store: &store, progress: &self.bars })
    }

    /// Returns the registries as the flags and the environment make them. Nothing is opened before something is asked.
    pub(crate) fn registry(&self, flags: &RegistryFlags, offline: bool) -> Result<Registry, Error> {
        let options = registry::Options {
            certificates: authorities(flags)?,
            plain_http: flags.plain_http,
            offline,
            token_hosts: flags.token_hosts.iter().cloned().collect(),
            ..registry::Options::default()
        };
        Ok(Registry::new(options, self.environment.registries.clone()))
    }

    /// Returns the directory of the store: the flag, `TARSIA_STORE`, or `tarsia` in the user's cache.
    pub(crate) fn store_directory(&self, named: Option<&PathBuf>) -> Result<PathBuf, Error> {
        match (named, &self.environment.cache) {
            (Some(named), _) => Ok(named.clone()),
            (None, Some(cache)) => Ok(cache.join("tarsia")),
            (None, None) => Err(Error::NoStore),
        }
    }

    fn open_store(&self, flags: &StoreFlags, party: Option<Digest>, output: &Path) -> Result<Store, Problems> {
        let directory = self.store_directory(flags.directory.store.as_ref())?;
        let beside = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let options = StoreOptions { paranoid: flags.paranoid, party, ..StoreOptions::default() };
        Ok(Store::open_or_private(&directory, options, beside)?)
    }

    /// Returns the mirrors that the machine's apt sources name, by archive.
    fn apt_mirrors(&self) -> BTreeMap<String, Vec<String>> {
        let parsed = self.environment.apt_sources.iter().flat_map(|(name, text)| {
            if name.ends_with(".sources") { apt_sources::parse_deb822(text) } else { apt_sources::parse_list(text) }
        });
        apt_sources::mirrors(&parsed.collect::<Vec<_>>())
    }

    /// Returns `SOURCE_DATE_EPOCH` in seconds.
    fn source_date_epoch(&self) -> Result<Option<i64>, Error> {
        let Some(value) = &self.environment.source_date_epoch else { return Ok(None) };
        match value
            .to_str()
            .and_then(|text| text.parse::<i64>().ok())
            .filter(|seconds| (0..=MAX_TIME).contains(seconds))
        {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(Error::SourceDateEpoch(value.to_string_lossy().into_owned())),
        }
    }

    /// Prints the answer: `text`, or `value` with `--json`.
    pub(crate) fn answer<T: Serialize>(&self, value: &T, text: &str) -> Result<(), Error> {
        if self.globals.json {
            let mut json = serde_json::to_string_pretty(value).expect("answers are plain trees with text keys");
            json.push('\n');
            output::print(&json)
        } else {
            output::print(text)
        }
    }

    /// Says one line about finished work, `Locked 34 packages`, with the time it took.
    pub(crate) fn finished(&self, line: &str) {
        if !self.globals.quiet && !self.globals.json {
            let seconds = self.started.elapsed().as_secs_f64();
            self.bars.around(|| output::say(&format!("{line} in {seconds:.1}s")));
        }
    }

    /// Says one more line where `-v` asks for it.
    pub(crate) fn detail(&self, line: &str) {
        if self.globals.verbose {
            self.bars.around(|| output::say(line));
        }
    }

    /// Says lines that belong to what a command has done, such as what moved.
    pub(crate) fn note(&self, lines: &str) {
        if !self.globals.quiet && !self.globals.json && !lines.is_empty() {
            self.bars.around(|| output::say(lines.trim_end()));
        }
    }

    /// Shows warnings.
    pub(crate) fn warnings(&self, warnings: &[Warning]) {
        for warning in warnings {
            let text = if self.globals.json {
                render::warning_json(warning)
            } else if self.globals.quiet {
                return;
            } else {
                render::warning(warning, self.style())
            };
            self.bars.around(|| output::say(&text));
        }
    }

    /// Shows why a command did not do what it was asked.
    pub(crate) fn problems(&self, problems: &Problems) {
        for problem in problems.iter() {
            let text =
                if self.globals.json { render::error_json(problem) } else { render::error(problem, self.style()) };
            self.bars.around(|| output::say(&text));
        }
    }

    /// Returns why a command did not do what it was asked, for a person who sees it elsewhere: without colour.
    pub(crate) fn told(&self, problems: &Problems) -> String {
        let style = render::Style { colour: false, code: false };
        let all = problems.iter().map(|problem| {
            let text = render::error(problem, style);
            text.strip_prefix("error: ").map_or(text.clone(), str::to_owned)
        });
        all.collect::<Vec<_>>().join("\n")
    }

    fn style(&self) -> render::Style {
        render::Style { colour: self.environment.colour, code: self.globals.verbose }
    }
}

/// Reads the file of certificate authorities that the flag names.
fn authorities(flags: &RegistryFlags) -> Result<Vec<Vec<u8>>, Error> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|cause| Error::Authorities(path.display().to_string(), cause));
    flags.ca.iter().map(read).collect()
}
