//! `build`: builds images from specs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::attest::{BUILDER, SourceRevision};
use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::engine::farm::Farm;
use crate::engine::{Remote, local};
use crate::layer::Workers;
use crate::lock::Move;
use crate::resolve::Update;
use crate::select::{RUNS, Report};
use crate::spec::Platform;

use super::audit::contract;
use super::embed::embedded;
use super::evidence::{self, Told};
use super::lock::{LockOptions, lock, renew, stale};
use super::output::Outputs;
use super::prove::prove_for_build;
use super::{Error, Project, World, fetch, shown};

/// What `build` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Where the image goes; where nothing is said and nothing is loaded, `<name>.oci`, or `<name>-<variant>.oci`.
    pub outputs: Vec<String>,
    /// Load it into the container engine that is there, under the spec's name.
    pub load: bool,
    /// Write no lock; a stale one is an error.
    pub locked: bool,
    /// A lock that cannot be proved is an error.
    pub require_proof: bool,
    /// Which of the lock's platforms; all where empty.
    pub platforms: Vec<Platform>,
    /// Which variant of the spec; none for the spec itself.
    pub variant: Option<String>,
    /// Where the evidence goes; beside each file where nothing is said, and for a container engine nowhere.
    pub evidence: Option<PathBuf>,
    /// Layouts and archives hold the evidence too, as what is attached to an image in a registry.
    pub embed_referrers: bool,
    /// The checkout's revision, told in the provenance.
    pub source_revision: Option<Revision>,
}

/// Which commit is told in the provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// That of the checkout that the spec stands in.
    Checkout,
    /// This one.
    Given(SourceRevision),
}

impl Revision {
    /// Returns the commit for a spec in `directory`.
    ///
    /// # Errors
    /// No checkout, no commit, or one that cannot be read.
    pub(super) fn resolve(&self, directory: &Path) -> Result<SourceRevision, Error> {
        let problem = match self {
            Self::Given(revision) => return Ok(revision.clone()),
            Self::Checkout => match SourceRevision::of_checkout(directory) {
                Ok(Some(revision)) => return Ok(revision),
                Ok(None) => "there is no commit".to_owned(),
                Err(problem) => problem,
            },
        };
        Err(Error::NoCheckout { directory: shown(directory), problem })
    }
}

/// What `build` did.
#[derive(Debug)]
pub struct BuildOutcome {
    /// Digest of the manifest, or of the index over several.
    pub digest: Digest,
    /// Where the image stands, as the user would write it.
    pub outputs: Vec<String>,
    /// What moved in the lock, where it was renewed.
    pub moved: Vec<Move>,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Builds the spec at `path`, and puts the whole image at its destination or nothing.
///
/// # Errors
/// Anything between spec and image; what stood at the destination stays.
pub fn build(world: &World<'_>, path: &Path, options: &BuildOptions) -> Result<BuildOutcome, Problems> {
    let mut project = Project::read(path, options.variant.as_deref())?;
    let mut warnings = Vec::new();
    let mut texts = options.outputs.clone();
    let name = project.spec.image_name();
    if texts.is_empty() && !options.load {
        texts.push(format!("{name}.oci"));
    }
    let outputs = Outputs::parse(&texts, options.load.then_some(name.as_str()), options.evidence.as_deref())?;
    let engines = outputs.engines(world.engines)?;
    let source = options.source_revision.as_ref().map(|revision| revision.resolve(&project.directory)).transpose()?;
    let moved = refresh(world, path, &mut project, options.locked, &mut warnings)?;
    let lock = project.locked()?;
    outputs.check_platforms(&wanted_platforms(lock, &options.platforms)?)?;
    let proved = prove_for_build(world, &project, options.require_proof, &mut warnings)?;
    let asked =
        |name: &str| options.platforms.is_empty() || options.platforms.iter().any(|platform| platform.oci() == name);
    let farm = fetch::build_inputs(world, &project, lock, &asked)?;

    let workers = Workers::new(world.threads, world.memory)?;
    let input = local::BuildInput {
        spec: &project.spec,
        lock,
        platforms: &options.platforms,
        store: world.store,
        workers: &workers,
        directory: &project.directory,
        progress: world.progress,
        remote: farm.as_ref().map(|farm| farm as &dyn Remote),
    };
    let built = local::build(&input)?;
    warnings.extend(uncovered(path, built.reports.values()));
    warnings.extend(unmatched(built.reports.values()));
    contract(&input, &project.spec.name, &built, &mut warnings)?;
    let told = Told { proved, source: source.as_ref(), builder: BUILDER };
    let evidence =
        if outputs.want_evidence() { Some(evidence::contents(&project, &input, &built, &told)?) } else { None };
    let image = match &evidence {
        Some(contents) if options.embed_referrers => {
            let embedded = embedded(&built.image, contents);
            built.image.clone().with_embedded(embedded)
        }
        _ => built.image.clone(),
    };
    outputs.write(world, &image, evidence.as_ref(), &engines)?;
    warnings.extend(farm.iter().flat_map(Farm::warnings));
    warnings.extend(world.store.take_warnings());
    Ok(BuildOutcome { digest: built.digest(), outputs: outputs.shown(&texts, &engines), moved, warnings })
}

/// Brings the lock up to the spec, or refuses where it may not be written; returns what moved.
pub(super) fn refresh(
    world: &World<'_>,
    path: &Path,
    project: &mut Project,
    locked: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Move>, Problems> {
    let reasons = stale(project)?;
    if reasons.is_empty() {
        return Ok(Vec::new());
    }
    if locked {
        let path = shown(&project.lock_path);
        return Err(
            if project.whole.is_some() { Error::Stale { path, reasons } } else { Error::NoLock { path } }.into()
        );
    }
    let variant = project.spec.variant.clone();
    // A first lock has every section.
    let outcome = if project.whole.is_none() && (variant.is_some() || !project.spec.variants.is_empty()) {
        let outcome = lock(world, path, &LockOptions::default())?;
        *project = Project::read(path, variant.as_deref())?;
        outcome
    } else {
        renew(world, project, &Update::None)?
    };
    warnings.extend(outcome.warnings);
    Ok(outcome.moved)
}

/// Returns the platforms that are built: those asked for, else all of the lock's.
pub(super) fn wanted_platforms(lock: &crate::lock::Lock, wanted: &[Platform]) -> Result<Vec<Platform>, Error> {
    if let Some(absent) = wanted.iter().find(|platform| !lock.platform.contains_key(platform.oci())) {
        let held = lock.platform.keys().cloned().collect();
        return Err(Error::NoPlatform { platform: absent.oci().to_owned(), held });
    }
    let all = lock.platform.keys().filter_map(|name| Platform::from_oci(name));
    let mut platforms: Vec<_> = if wanted.is_empty() { all.collect() } else { wanted.to_vec() };
    platforms.sort();
    platforms.dedup();
    Ok(platforms)
}

/// Returns one warning that names the packages with maintainer scripts that no rule covers.
pub(super) fn uncovered<'a>(spec: &Path, reports: impl Iterator<Item = &'a Report>) -> Option<Warning> {
    let packages: BTreeSet<&str> =
        reports.flat_map(|report| &report.unhandled).map(|(package, ..)| package.as_str()).collect();
    if packages.is_empty() {
        return None;
    }
    Some(Warning {
        code: "select::unhandled-script",
        message: format!(
            "no rule covers what maintainer scripts of these packages do: {}",
            packages.into_iter().collect::<Vec<_>>().join(", ")
        ),
        hints: vec![format!("`tarsia check {}` shows the lines", shown(spec))],
    })
}

/// Returns a warning for each pattern of the spec that fits nothing on any platform.
pub(super) fn unmatched<'a>(reports: impl Iterator<Item = &'a Report>) -> Vec<Warning> {
    let mut everywhere: Option<BTreeSet<(String, String)>> = None;
    let mut runs = BTreeSet::new();
    for report in reports {
        // An image that does not start is one too many.
        runs.extend(report.unmatched.iter().filter(|(entry, _)| entry == RUNS).map(|(_, command)| command.clone()));
        let rules = report.idle.iter().map(|name| ("rules".to_owned(), name.clone()));
        let here: BTreeSet<(String, String)> = report.unmatched.iter().cloned().chain(rules).collect();
        everywhere = Some(match everywhere {
            None => here,
            Some(known) => known.intersection(&here).cloned().collect(),
        });
    }
    let all = everywhere.into_iter().flatten().filter(|(entry, _)| entry != RUNS).map(|(entry, glob)| Warning {
        code: "select::no-match",
        message: format!("`{entry}` fits nothing: `{glob}`"),
        hints: Vec::new(),
    });
    let runs = runs.into_iter().map(|command| Warning {
        code: "select::runs-nothing",
        message: format!("the image runs `{command}`, which nothing puts into it"),
        hints: Vec::new(),
    });
    runs.chain(all).collect()
}

/// Returns what a person may miss in an image: programs that nothing runs, and files that kept ones name.
pub(super) fn hints(report: &Report) -> Vec<Warning> {
    /// How many of each are told.
    const SHOWN: usize = 8;
    let mut all = Vec::new();
    let more = |count: usize| (count > SHOWN).then(|| format!("{} more: `--json` lists all", count - SHOWN));
    if !report.scripts.is_empty() {
        let line = |(path, package, shebang): &(String, String, String)| format!("{path} of `{package}`: {shebang}");
        all.push(Warning {
            code: "select::script-dropped",
            message: "programs are left out, since what runs them is not kept".to_owned(),
            hints: report.scripts.iter().take(SHOWN).map(line).chain(more(report.scripts.len())).collect(),
        });
    }
    if !report.suggestions.is_empty() {
        let line = |(path, who): &(String, String)| format!("{who}: `also: [{path}]` keeps it");
        all.push(Warning {
            code: "select::suggestion",
            message: "kept files name others that nothing keeps".to_owned(),
            hints: report.suggestions.iter().take(SHOWN).map(line).chain(more(report.suggestions.len())).collect(),
        });
    }
    all
}

/// Returns a warning for each package with maintainer scripts that no rule covers.
pub(super) fn unhandled(report: &Report) -> Vec<Warning> {
    report
        .unhandled
        .iter()
        .map(|(package, script, lines)| Warning {
            code: "select::unhandled-script",
            message: format!("`{package}` does in its {script} what no rule covers: {}", lines.join(" | ")),
            hints: Vec::new(),
        })
        .collect()
}
