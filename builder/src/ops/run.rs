//! What `test` and `learn` share: a spec is built into the store, and its images are run from there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::container::{self, Bundle, Job, Listening, Machine};
use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::engine::Remote;
use crate::engine::farm::Farm;
use crate::engine::local::{self, BuildInput, Built};
use crate::image;
use crate::layer::Workers;
use crate::lock::Move;
use crate::spec::{Platform, Trial};

use super::build::{refresh, wanted_platforms};
use super::prove::prove_for_build;
use super::{Project, World, fetch, shown};

/// How an image is run.
#[derive(Debug, Clone)]
pub struct RunOptions<'a> {
    /// What this machine has to run containers with.
    pub machine: &'a Machine,
    /// The runtime, by name or path; the first of the search path where absent.
    pub runtime: Option<PathBuf>,
    /// Write no lock; a stale one is an error.
    pub locked: bool,
    /// Which of the lock's platforms; where empty, all that run here.
    pub platforms: Vec<Platform>,
    /// Which variant of the spec; none for the spec itself.
    pub variant: Option<String>,
}

/// What was built on the way.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Digest of the whole.
    pub(super) digest: Digest,
    /// What moved in the lock, where it was renewed.
    pub(super) moved: Vec<Move>,
    /// Worth saying.
    pub(super) warnings: Vec<Warning>,
}

/// One platform's image, unpacked.
pub(super) struct Ready<'a> {
    /// What it was built from.
    pub(super) input: &'a BuildInput<'a>,
    /// What was built.
    pub(super) built: &'a Built,
    /// Its platform.
    pub(super) platform: Platform,
    /// Digest of its manifest.
    pub(super) digest: Digest,
    /// Ready to be run.
    pub(super) bundle: Bundle,
}

/// What is done with each image; what is worth saying goes to the list.
pub(super) type Work<'w> = dyn FnMut(&Ready<'_>, &mut Vec<Warning>) -> Result<(), Problems> + 'w;

/// Builds the spec of `project` into the store, and hands each platform's image, unpacked, to `work`. `tracing` asks for
/// a runtime whose containers can be traced.
///
/// # Errors
/// Whatever would stop a build; no runtime; a platform that was asked for and does not run here; what `work` meets.
pub(super) fn each(
    world: &World<'_>,
    path: &Path,
    mut project: Project,
    options: &RunOptions<'_>,
    tracing: bool,
    work: &mut Work<'_>,
) -> Result<Prepared, Problems> {
    let machine = options.machine;
    // Before anything is built: without one, all else is in vain.
    let runtime = machine.runtime(options.runtime.as_deref(), tracing)?;
    let mut warnings = Vec::new();
    let moved = refresh(world, path, &mut project, options.locked, &mut warnings)?;
    let lock = project.locked()?;
    let mut platforms = wanted_platforms(lock, &options.platforms)?;
    if let Some(foreign) = platforms.iter().find(|platform| !machine.runs(**platform, world.host)) {
        let error = container::Error::Platform { platform: foreign.oci().to_owned() };
        if !options.platforms.is_empty() || !platforms.iter().any(|platform| machine.runs(*platform, world.host)) {
            return Err(error.into());
        }
        warnings.push(Warning { code: "container::platform", message: error.to_string(), hints: Vec::new() });
        platforms.retain(|platform| machine.runs(*platform, world.host));
    }
    prove_for_build(world, &project, false, &mut warnings)?;
    let farm =
        fetch::build_inputs(world, &project, lock, &|name| platforms.iter().any(|platform| platform.oci() == name))?;
    let workers = Workers::new(world.threads, world.memory)?;
    let input = BuildInput {
        spec: &project.spec,
        lock,
        platforms: &platforms,
        store: world.store,
        workers: &workers,
        directory: &project.directory,
        progress: world.progress,
        remote: farm.as_ref().map(|farm| farm as &dyn Remote),
    };
    let built = local::build(&input)?;
    let blobs = |digest: &Digest| world.store.blob(digest).map_err(std::io::Error::other);
    let open = image::built(&shown(path), &built.image, &blobs)?;
    for one in open.images() {
        let platform = one.platform.expect("a built image has a platform");
        let bundle = Bundle::unpack(machine, runtime.clone(), &open, one)?;
        warnings.extend(bundle.notes().iter().map(|note| Warning {
            code: "container::note",
            message: note.clone(),
            hints: Vec::new(),
        }));
        let digest = one.descriptor.digest;
        work(&Ready { input: &input, built: &built, platform, digest, bundle }, &mut warnings)?;
    }
    warnings.extend(farm.iter().flat_map(Farm::warnings));
    warnings.extend(world.store.take_warnings());
    Ok(Prepared { digest: built.digest(), moved, warnings })
}

/// Returns the run of a trial in an image.
pub(super) fn job<'a>(bundle: &Bundle, trial: &'a Trial) -> Result<Job<'a>, container::Error> {
    Ok(Job {
        arguments: bundle.arguments(trial.entrypoint.as_deref(), trial.args.as_deref())?,
        env: &trial.env,
        stdin: trial.stdin.as_deref(),
        timeout: Duration::from_secs(trial.timeout.unwrap_or(Trial::TIMEOUT).into()),
        listening: trial.listen.map(|port| Listening { port, send: trial.send.as_deref(), until: &trial.answer }),
    })
}
