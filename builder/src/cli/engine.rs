//! `--engine` and what belongs to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use tarsia::buildkit::{Address, Login, Tls};
use tarsia::engine::farm;
use tarsia::engine::graph::Worker;
use tarsia::load::Engines;
use tarsia::registry::{Credential, CredentialFiles};

use super::environment::Environment;
use super::error::Error;

/// Which engine builds.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Engine options")]
pub(crate) struct EngineFlags {
    /// What opens packages and writes layers: `local`, this process, or `buildkit[=ADDR,…]`, the
    /// daemons at unix:///PATH, tcp://HOST:PORT or docker+unix:///PATH, without an address
    /// Docker's own; the image is the same [default: local]
    #[arg(long, value_name = "ENGINE", env = "TARSIA_ENGINE", hide_env_values = true)]
    #[arg(value_parser = parse_engine)]
    pub(crate) engine: Option<Engine>,

    /// The tarsia that BuildKit runs: IMAGE@sha256:HEX, or a static program as URL#sha256=HEX
    #[arg(long, value_name = "WORKER", env = "TARSIA_WORKER", hide_env_values = true)]
    pub(crate) worker: Option<String>,

    /// Trust the authority in this PEM file for daemons reached by tcp://
    #[arg(long, value_name = "FILE")]
    pub(crate) engine_ca: Option<PathBuf>,

    /// Certificate that is shown to daemons reached by tcp://
    #[arg(long, value_name = "FILE", requires = "engine_key")]
    pub(crate) engine_cert: Option<PathBuf>,

    /// Key of that certificate
    #[arg(long, value_name = "FILE", requires = "engine_cert")]
    pub(crate) engine_key: Option<PathBuf>,

    /// Cache that daemons look into, as type=registry,ref=HOST/NAME; may be repeated
    #[arg(long, value_name = "CACHE")]
    pub(crate) cache_from: Vec<String>,

    /// Cache that daemons write, as type=registry,ref=HOST/NAME,mode=max; may be repeated; an
    /// `n` in braces stands for a daemon's number in --engine
    #[arg(long, value_name = "CACHE")]
    pub(crate) cache_to: Vec<String>,
}

/// A parsed `--engine`.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    /// In this process.
    Local,
    /// On the daemons at these addresses; on Docker's where there are none.
    Buildkit(Vec<Address>),
}

/// Parses `--engine`.
fn parse_engine(text: &str) -> Result<Engine, String> {
    match text.split_once('=').unwrap_or((text, "")) {
        ("local", "") if text == "local" => Ok(Engine::Local),
        ("buildkit", "") if text == "buildkit" => Ok(Engine::Buildkit(Vec::new())),
        ("buildkit", addresses) => {
            let parsed: Result<Vec<Address>, _> = addresses.split(',').map(Address::parse).collect();
            let parsed = parsed.map_err(|error| error.to_string())?;
            match parsed.iter().enumerate().find(|(number, address)| parsed[..*number].contains(address)) {
                Some((_, twice)) => Err(format!("`{twice}` is named twice")),
                None => Ok(Engine::Buildkit(parsed)),
            }
        }
        _ => Err("it is `local`, `buildkit` or `buildkit=ADDR[,ADDR…]`".to_owned()),
    }
}

/// Returns the address of the Docker daemon that is used where none is named: what `DOCKER_HOST` says, else the first of
/// the known sockets that is there.
fn docker(known: &Engines) -> Result<Address, tarsia::buildkit::Error> {
    match &known.docker_host {
        Some(host) => match host.split_once("://") {
            Some(("unix", path)) => Ok(Address::docker(Path::new(path))),
            Some(("tcp", host)) => Address::parse(&format!("docker+tcp://{host}")),
            _ => Address::parse(host),
        },
        None => {
            let socket = known.docker_sockets.iter().find(|socket| socket.exists());
            Ok(socket.map_or_else(Address::default, |socket| Address::docker(socket)))
        }
    }
}

/// Returns the logins that daemons may ask for: those of the registries that the worker and caches are in.
fn logins(
    known: &CredentialFiles,
    worker: &Worker,
    caches: &[&String],
) -> Result<BTreeMap<String, Login>, tarsia::registry::Error> {
    let mut names: Vec<String> = match worker {
        Worker::Image(reference) => vec![reference.to_string()],
        Worker::Http { .. } | Worker::Definition(_) => Vec::new(),
    };
    names.extend(caches.iter().flat_map(|cache| cache.split(',')).filter_map(|field| {
        let (key, value) = field.trim_matches('"').split_once('=').unwrap_or(("ref", field));
        (key == "ref").then(|| value.to_owned())
    }));
    let mut logins = BTreeMap::new();
    for name in names {
        let Some((host, repository)) = name.split_once('/') else { continue };
        if let Some(Credential::Password { user, password }) = known.find(host, repository)? {
            logins.insert(host.to_owned(), Login { user, password: password.to_string() });
        }
    }
    Ok(logins)
}

impl EngineFlags {
    /// Returns the daemons that build; none where this process does.
    pub(crate) fn daemons(&self, environment: &Environment) -> Result<Option<farm::Options>, tarsia::diag::Problems> {
        let Some(Engine::Buildkit(addresses)) = &self.engine else {
            let idle = [
                ("--engine-ca", self.engine_ca.is_some()),
                ("--engine-cert", self.engine_cert.is_some()),
                ("--cache-from", !self.cache_from.is_empty()),
                ("--cache-to", !self.cache_to.is_empty()),
            ];
            return match idle.iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(Error::LocalEngine(flag).into()),
                None => Ok(None),
            };
        };
        let worker = Worker::parse(self.worker.as_deref().ok_or(Error::NoWorker)?)?;
        let read = |path: &Option<PathBuf>| {
            let read = |path: &PathBuf| {
                std::fs::read(path).map_err(|cause| Error::Authorities(path.display().to_string(), cause))
            };
            path.as_ref().map(read).transpose()
        };
        let tls = Tls {
            authority: read(&self.engine_ca)?,
            certificate: read(&self.engine_cert)?,
            key: read(&self.engine_key)?,
        };
        let caches: Vec<&String> = self.cache_from.iter().chain(&self.cache_to).collect();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::Random(error.to_string()))?;
        let options = farm::Options {
            addresses: if addresses.is_empty() { vec![docker(&environment.engines)?] } else { addresses.clone() },
            tls,
            logins: logins(&environment.registries, &worker, &caches)?,
            seed,
            worker,
            cache_from: self.cache_from.clone(),
            cache_to: self.cache_to.clone(),
        };
        options.check()?;
        Ok(Some(options))
    }
}
