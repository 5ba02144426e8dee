//! Builds an image again and compares: whether what stands there is what its inputs give.
//!
//! Nothing is taken from the user's store but fetched bytes, each hashed again; everything else is made anew in a store
//! that is gone afterwards. What comes out is a verdict and, of a match, the statements that a verifier may sign.

use std::path::Path;

use crate::attest::{self, Statement};
use crate::compare::{self, Comparison};
use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::engine::local::{self, BuildInput, Built};
use crate::evidence::Document;
use crate::image::{self, CONFIG, OpenImage};
use crate::kit::Kit;
use crate::layer::Workers;
use crate::lock::{ENCODING, Lock, RULES};
use crate::spec::Platform;
use crate::store::Store;

use super::evidence::{Told, contents};
use super::lock::stale;
use super::prove::{judge, prove_anew};
use super::supply::supply;
use super::{Project, Proof, World, fetch, kit, project::read_text, shown};

/// Where a rebuild takes its inputs from.
#[derive(Debug, Clone, Copy)]
pub enum RebuildSource<'a> {
    /// A rebuild kit: a directory, a tar, or a tar in Zstandard.
    Kit(&'a Path),
    /// A spec that stands on disk.
    Spec {
        /// The spec.
        spec: &'a Path,
        /// Its lock; beside it where nothing is said.
        lock: Option<&'a Path>,
        /// The directory that its relative paths start from; its own where nothing is said.
        context: Option<&'a Path>,
        /// Which variant of the spec.
        variant: Option<&'a str>,
    },
}

/// How a rebuild is made and told.
#[derive(Debug, Clone, Default)]
pub struct RebuildOptions {
    /// A lock that cannot be proved is an error.
    pub require_proof: bool,
    /// Who builds, as a URI, in the statements about a match; without it there are none.
    pub builder: Option<String>,
}

/// What building again gave.
#[derive(Debug)]
pub struct Rebuilt {
    /// The answer.
    pub verdict: RebuildVerdict,
    /// The image's name in its spec.
    pub name: String,
    /// Digest of the image that was asked about.
    pub expected: Digest,
    /// Digest of what was built; `None` where nothing was.
    pub built: Option<Digest>,
    /// Whether every package stands in signed metadata as the lock says it.
    pub proved: bool,
    /// Local files that nobody supplied and that were taken from the image itself.
    pub assumed: Vec<String>,
    /// Of a match, what a verifier may sign, by the digest of each manifest: the rebuilder's provenance and a simple
    /// verification result. Never to be signed with a release's key.
    pub statements: Vec<(Digest, Statement)>,
    /// Worth saying.
    pub warnings: Vec<Warning>,
}

/// Whether the image is what its inputs give.
#[derive(Debug)]
pub enum RebuildVerdict {
    /// To the bit.
    Same,
    /// It is not, and how it differs from what was built; the image is the first of the two.
    Different(Box<Comparison>),
    /// It could not be told, and why.
    CannotTell(Vec<String>),
}

/// Builds `expected` again, for all its platforms, and compares. Its layers must be at hand where it differs.
///
/// # Errors
/// Inputs that cannot be had or do not hold together; whatever would stop a build.
pub fn rebuild(
    world: &World<'_>,
    source: RebuildSource<'_>,
    expected: &OpenImage,
    options: &RebuildOptions,
) -> Result<Rebuilt, Problems> {
    let place = world.store.temporary_directory()?;
    let opened = match source {
        RebuildSource::Kit(path) => Some(Kit::open(path, world.store.root())?),
        RebuildSource::Spec { .. } => None,
    };
    let mut project = match (&opened, source) {
        (Some(kit), _) => kit::unpacked(kit, place.path())?,
        (None, RebuildSource::Spec { spec, lock, context, variant }) => read(spec, lock, context, variant)?,
        (None, RebuildSource::Kit(_)) => unreachable!("a kit was opened"),
    };
    let mut rebuilt = Rebuilt {
        verdict: RebuildVerdict::CannotTell(Vec::new()),
        name: project.spec.image_name(),
        expected: expected.descriptor().digest,
        built: None,
        proved: false,
        assumed: Vec::new(),
        statements: Vec::new(),
        warnings: Vec::new(),
    };
    let lock = project.locked()?.clone();
    let platforms = match platforms(expected, &lock) {
        Ok(platforms) => platforms,
        Err(reason) => return Ok(Rebuilt { verdict: RebuildVerdict::CannotTell(vec![reason]), ..rebuilt }),
    };
    let own = kits(world, opened.as_ref());
    let supplied = world.store.temporary_directory()?;
    rebuilt.assumed = supply(&mut project, expected, supplied.path())?;
    let reasons = stale(&project)?;
    if !reasons.is_empty() {
        let reasons = reasons.into_iter().map(|reason| format!("the lock does not fit the spec: {reason}")).collect();
        return Ok(Rebuilt { verdict: RebuildVerdict::CannotTell(reasons), ..rebuilt });
    }
    let asked = |name: &str| platforms.iter().any(|platform| platform.oci() == name);
    fetch::locked_inputs(&own, &project, &lock, &asked)?;
    let fresh = Store::fresh_over(world.store)?;
    let anew = World { store: &fresh, ..own };
    rebuilt.proved = proved(&anew, &project, options.require_proof, &mut rebuilt.warnings)?;
    let workers = Workers::new(world.threads, world.memory)?;
    let input = BuildInput {
        spec: &project.spec,
        lock: &lock,
        platforms: &platforms,
        store: &fresh,
        workers: &workers,
        directory: &project.directory,
        progress: world.progress,
        remote: None,
    };
    let built = local::build(&input)?;
    rebuilt.built = Some(built.digest());
    rebuilt.verdict = verdict(&fresh, expected, &built, &rebuilt.assumed)?;
    if let (RebuildVerdict::Same, Some(builder)) = (&rebuilt.verdict, &options.builder) {
        rebuilt.statements = statements(&project, &input, &built, &rebuilt, builder, world.now)?;
    }
    rebuilt.warnings.extend(fresh.take_warnings());
    rebuilt.warnings.extend(world.store.take_warnings());
    Ok(rebuilt)
}

/// Returns the world in which a full kit is asked by digest before the network, in place of what was vendored.
fn kits<'a>(world: &World<'a>, kit: Option<&'a Kit>) -> World<'a> {
    World { vendor: kit.filter(|kit| kit.has_blobs()).or(world.vendor), ..*world }
}

/// Reads a spec with a lock and a context that may stand elsewhere.
fn read(spec: &Path, lock: Option<&Path>, context: Option<&Path>, variant: Option<&str>) -> Result<Project, Problems> {
    let mut project = Project::read(spec, variant)?;
    if let Some(path) = lock {
        let text = read_text(path)?;
        let whole = Lock::parse(&shown(path), &text)?;
        project.lock = whole.section(variant);
        (project.lock_path, project.whole, project.lock_text) = (path.to_owned(), Some(whole), Some(text));
    }
    if let Some(context) = context {
        project.directory = context.to_owned();
    }
    Ok(project)
}

/// Returns the platforms to build, or why that cannot be done.
fn platforms(expected: &OpenImage, lock: &Lock) -> Result<Vec<Platform>, String> {
    if (lock.encoding, lock.rules) != (ENCODING, RULES) {
        return Err(format!(
            "the lock was made by tarsia {} for encoding {} and rules {}; this release has {ENCODING} and {RULES}",
            lock.tarsia, lock.encoding, lock.rules
        ));
    }
    let mut platforms = Vec::new();
    for one in expected.images() {
        if one.descriptor.media_type == CONFIG {
            return Err("an archive for Docker holds no manifest to compare with".to_owned());
        }
        let platform = one.platform.filter(|platform| lock.platform.contains_key(platform.oci()));
        let platform = platform.ok_or_else(|| {
            let held = lock.platform.keys().cloned().collect::<Vec<_>>().join(", ");
            format!("the image has a platform that the lock does not hold; it holds {held}")
        })?;
        platforms.push(platform);
    }
    Ok(platforms)
}

fn proved(world: &World<'_>, project: &Project, required: bool, warnings: &mut Vec<Warning>) -> Result<bool, Problems> {
    let lock = project.locked()?;
    let proof = if lock.archives.is_empty() { Proof::Proved } else { prove_anew(world, project)? };
    judge(proof, project, required, warnings)
}

fn verdict(store: &Store, expected: &OpenImage, built: &Built, assumed: &[String]) -> Result<RebuildVerdict, Problems> {
    let blobs = |digest: &Digest| store.blob(digest).map_err(std::io::Error::other);
    let again = image::built("built again", &built.image, &blobs)?;
    let manifests = |open: &OpenImage| open.images().iter().map(|one| one.descriptor.digest).collect::<Vec<_>>();
    let same = expected.descriptor().digest == built.digest() && manifests(expected) == manifests(&again);
    if same && assumed.is_empty() {
        return Ok(RebuildVerdict::Same);
    }
    let mut reasons: Vec<String> = assumed
        .iter()
        .map(|path| format!("`{path}` is nowhere but in the image itself: nothing can be said of its content"))
        .collect();
    if same {
        reasons.push("all else is the same".to_owned());
        return Ok(RebuildVerdict::CannotTell(reasons));
    }
    let comparison = compare::images(expected, &again, &[], store.root())?;
    if assumed.is_empty() {
        return Ok(RebuildVerdict::Different(Box::new(comparison)));
    }
    // What was taken may not be all that was copied, and so be why the two differ.
    let count: u64 = comparison.counts().values().sum();
    reasons.push(format!("with it, what was built differs in {count} places"));
    Ok(RebuildVerdict::CannotTell(reasons))
}

/// Returns what a verifier may sign about a match.
fn statements(
    project: &Project,
    input: &BuildInput<'_>,
    built: &Built,
    rebuilt: &Rebuilt,
    builder: &str,
    now: i64,
) -> Result<Vec<(Digest, Statement)>, Problems> {
    let told = Told { proved: rebuilt.proved, source: None, builder };
    let contents = contents(project, input, built, &told)?;
    let mut statements = Vec::new();
    for (digest, _, documents) in contents.manifests.values() {
        let stored = documents.get(&Document::Provenance).expect("a provenance is always made");
        let bytes = input.store.blob_bytes(&stored.digest, attest::MAX_STATEMENT as u64)?.unwrap_or_default();
        statements.push((*digest, Statement::parse(&bytes)?));
        statements.push((*digest, attest::reproduced(&rebuilt.name, *digest, builder, now)));
    }
    Ok(statements)
}
