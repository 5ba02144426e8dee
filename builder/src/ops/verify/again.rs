//! Building an image again, and what a verifier signs of a match.
//!
//! A kit is no statement of anybody's: it is taken from whoever has one, since what is built from it is held against the
//! image's digest. Those that a key's provenance names are tried first, so that no number of others hides them; and of an
//! image that the keys did not sign, none is fetched.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::attest::Statement;
use crate::compare::Comparison;
use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::evidence::{self, Evidence, KIT_MEDIA_TYPE};
use crate::image::{Descriptor, Opened, Reference};
use crate::registry::{ReferrerManifest, Repository};
use crate::sign::{Bundle, Envelope, Signer};
use crate::verify::{self, Check, Findings, Keys, Outcome, Requirement, Wanted};

use super::super::bundles::{self, statements_beside};
use super::super::published::Published;
use super::super::rebuild::{RebuildOptions, RebuildSource, RebuildVerdict, Rebuilt, rebuild};
use super::super::{World, shown};
use super::collect::Claims;
use super::{ImageSource, Subject};

/// The most bytes of a kit in a registry.
const MAX_KIT: u64 = 64 << 30;
/// The most kits of one image that are tried beside those that a provenance names.
const MAX_KITS: usize = 4;
/// The most kits that provenances name and that are tried.
const MAX_NAMED: usize = 8;

/// Where the inputs of a rebuild come from.
#[derive(Debug, Clone, Default)]
pub struct RebuildInputs {
    /// A kit; without it, and without a spec, the image's own.
    pub kit: Option<PathBuf>,
    /// A spec.
    pub spec: Option<PathBuf>,
    /// Its lock, where it does not stand beside it.
    pub lock: Option<PathBuf>,
    /// The directory that its paths start from, where that is not its own.
    pub context: Option<PathBuf>,
    /// Which variant of the spec.
    pub variant: Option<String>,
    /// A lock that cannot be proved is an error.
    pub require_proof: bool,
}

/// Who signs a match, and where that goes.
pub struct VerdictSigner<'a> {
    /// The verifier's own key.
    pub signer: &'a dyn Signer,
    /// Who the verifier is, as a URI.
    pub id: String,
    /// A file for the bundles; without it they go to the registry, or beside an image on disk.
    pub output: Option<PathBuf>,
}

/// What building again gave, as an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebuildAnswer {
    /// Digest of what was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built: Option<String>,
    /// Whether every package stands in signed metadata as the lock says it.
    pub proved: bool,
    /// Local files that were taken from the image itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// How the image differs from what was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Where the signed verdict is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// What keys have said already when an image is built again.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Why kits that anybody may have attached are not asked; `None` where they are.
    pub(super) refused: Option<String>,
    /// Digests of kits that a signed provenance names.
    pub(super) kits: BTreeSet<Digest>,
}

impl Heard {
    /// Returns what these findings say, one for each subject by its name.
    pub(super) fn of<'f>(
        findings: impl Iterator<Item = (&'f str, &'f Findings<'f>)> + Clone,
        threshold: usize,
        with_keys: bool,
    ) -> Self {
        let checks = findings.clone().map(|(name, findings)| verify::signature(findings, name, threshold));
        let unsigned = checks.filter(|check| with_keys && check.outcome != Outcome::Yes).map(|check| {
            let platform = check.platform;
            format!("no kit that is attached to it is built, since the signature of {platform} does not hold")
        });
        let provenances = findings.flat_map(|(_, findings)| findings.said()).filter(|said| said.problem.is_none());
        let kits = provenances.flat_map(|said| &said.byproducts);
        let kits = kits.filter(|(media_type, _)| media_type == KIT_MEDIA_TYPE).map(|(_, digest)| *digest);
        Self { refused: unsigned.into_iter().next(), kits: kits.take(MAX_NAMED).collect() }
    }
}

/// A rebuild that was tried.
pub(super) struct Again {
    /// The answer for each manifest, where it is not that they are the same.
    pub(super) checks: Vec<Check>,
    /// Whether all is the same.
    pub(super) same: bool,
    pub(super) answer: RebuildAnswer,
    pub(super) statements: Vec<(Digest, Statement)>,
    pub(super) warnings: Vec<Warning>,
    pub(super) notes: Vec<String>,
}

/// Builds the image again.
///
/// # Errors
/// Layers that cannot be fetched; a kit that was named and cannot be read is a rebuild that could not be told.
pub(super) fn again(
    world: &World<'_>,
    source: &ImageSource<'_>,
    images: &[&Opened],
    inputs: &RebuildInputs,
    id: Option<String>,
    heard: &Heard,
) -> Result<Again, Problems> {
    let options = RebuildOptions { require_proof: inputs.require_proof, builder: id };
    let tried = match (&inputs.kit, &inputs.spec) {
        (None, Some(spec)) => {
            source.fetch(images)?;
            let from = RebuildSource::Spec {
                spec,
                lock: inputs.lock.as_deref(),
                context: inputs.context.as_deref(),
                variant: inputs.variant.as_deref(),
            };
            rebuild(world, from, &source.open, &options)
        }
        (kit, _) => {
            let (kits, unread) = match kit {
                Some(kit) => (vec![kit.clone()], Vec::new()),
                None => match (source.remote(), &heard.refused) {
                    (Some(_), Some(refused)) => {
                        let hint = "`--kit` names one to take all the same".to_owned();
                        return Ok(Again::unknown(images, refused.clone(), vec![hint]));
                    }
                    _ => kits(world, source, images, heard)?,
                },
            };
            if kits.is_empty() {
                let none = "it has no rebuild kit; name one with `--kit`, or a spec with `--spec`".to_owned();
                let says = unread.into_iter().next().unwrap_or(none);
                return Ok(Again::unknown(images, says, Vec::new()));
            }
            source.fetch(images)?;
            let mut tried = None;
            for kit in &kits {
                let one = rebuild(world, RebuildSource::Kit(kit), &source.open, &options);
                let (own, best) = (worth(&one), tried.as_ref().map_or(-1, worth));
                // Anybody may attach a kit: one that gives something else does not hide one that gives this.
                if own > best {
                    tried = Some(one);
                }
                if own == SAME {
                    break;
                }
            }
            tried.expect("at least one kit was tried")
        }
    };
    Ok(match tried {
        Ok(rebuilt) => Again::of(images, rebuilt),
        Err(problems) => {
            let mut all: Vec<String> = problems.iter().map(|problem| crate::diag::causes(problem)).collect();
            let hints = problems.iter().flat_map(|problem| problem.hints()).collect();
            Again { notes: all.split_off(1), ..Again::unknown(images, all.swap_remove(0), hints) }
        }
    })
}

/// What [`worth`] says of a match.
const SAME: i32 = 2;

/// Returns how much the outcome of a rebuild tells.
fn worth(rebuilt: &Result<Rebuilt, Problems>) -> i32 {
    match rebuilt.as_ref().map(|rebuilt| &rebuilt.verdict) {
        Ok(RebuildVerdict::Same) => SAME,
        Ok(RebuildVerdict::Different(_)) => 1,
        Ok(RebuildVerdict::CannotTell(_)) | Err(_) => 0,
    }
}

impl Again {
    fn unknown(images: &[&Opened], says: String, hints: Vec<String>) -> Self {
        let answer = RebuildAnswer { built: None, proved: false, assumed: Vec::new(), comparison: None, verdict: None };
        let check = |one: &&Opened| {
            let mut check = check(one, Outcome::Unknown, says.clone());
            check.hints.clone_from(&hints);
            check
        };
        let checks = images.iter().map(check).collect();
        Self { checks, same: false, answer, statements: Vec::new(), warnings: Vec::new(), notes: Vec::new() }
    }

    fn of(images: &[&Opened], rebuilt: Rebuilt) -> Self {
        let mut answer = RebuildAnswer {
            built: rebuilt.built.map(|digest| digest.to_string()),
            proved: rebuilt.proved,
            assumed: rebuilt.assumed,
            comparison: None,
            verdict: None,
        };
        let mut notes = Vec::new();
        if !answer.proved && answer.built.is_some() {
            notes.push("the rebuild stands on an archive chain that was not proved".to_owned());
        }
        let (same, checks) = match rebuilt.verdict {
            RebuildVerdict::Same => (true, Vec::new()),
            RebuildVerdict::Different(comparison) => {
                let checks = super::against::checks(Requirement::Rebuild, &comparison);
                answer.comparison = Some(*comparison);
                (false, checks)
            }
            RebuildVerdict::CannotTell(mut reasons) => {
                let first = if reasons.is_empty() { String::new() } else { reasons.remove(0) };
                notes.append(&mut reasons);
                (false, images.iter().map(|one| check(one, Outcome::Unknown, first.clone())).collect())
            }
        };
        Self { checks, same, answer, statements: rebuilt.statements, warnings: rebuilt.warnings, notes }
    }
}

fn check(one: &Opened, outcome: Outcome, says: String) -> Check {
    let platform = super::platform_name(one);
    Check::new(Requirement::Rebuild, &platform, &one.descriptor.digest.to_string(), outcome, says)
}

/// Kits that can be tried, and what is wrong with others.
type Kits = (Vec<PathBuf>, Vec<String>);

/// Returns the kits that stand with the image: beside it on disk, or attached to it in its registry.
fn kits(world: &World<'_>, source: &ImageSource<'_>, images: &[&Opened], heard: &Heard) -> Result<Kits, Problems> {
    let whole = source.open.descriptor().digest;
    if let Some((repository, _)) = source.remote() {
        let digests = std::iter::once(whole).chain(images.iter().map(|one| one.descriptor.digest));
        let (mut listed, mut unread) = (Vec::new(), Vec::new());
        for digest in digests {
            for kit in attached(repository, &digest, &mut unread)? {
                if !listed.iter().any(|other: &Descriptor| other.digest == kit.digest) {
                    listed.push(kit);
                }
            }
        }
        return Ok(fetched(world, repository, listed, heard, unread));
    }
    let Some(path) = source.destination.path() else { return Ok(Kits::default()) };
    let beside = Evidence::beside(path);
    Ok(match Evidence::open_for(&beside, &whole) {
        Ok(evidence) => (evidence.kit().map(|(path, _)| path).into_iter().collect(), Vec::new()),
        Err(evidence::Error::Absent { .. }) => Kits::default(),
        Err(error) => (Vec::new(), vec![crate::diag::causes(&error)]),
    })
}

/// Returns the kits attached to one digest. One that cannot be read is passed by: anybody may attach one, and it must not
/// stand before a good one.
fn attached(
    repository: &Repository<'_>,
    digest: &Digest,
    unread: &mut Vec<String>,
) -> Result<Vec<Descriptor>, Problems> {
    let mut kits = Vec::new();
    for referrer in repository.referrers(digest, Some(KIT_MEDIA_TYPE))? {
        let document = match repository.document(&referrer.digest.to_string()) {
            Ok(Some(document)) => document,
            Ok(None) => continue,
            Err(error) => {
                unread.push(crate::diag::causes(&error));
                continue;
            }
        };
        let Ok(manifest) = serde_json::from_slice::<ReferrerManifest>(&document.bytes) else { continue };
        kits.extend(manifest.layers.into_iter().next().filter(|layer| layer.size <= MAX_KIT));
    }
    Ok(kits)
}

/// Brings kits into the store, those that a provenance names first, and returns where they are.
fn fetched(
    world: &World<'_>,
    repository: &Repository<'_>,
    mut listed: Vec<Descriptor>,
    heard: &Heard,
    mut unread: Vec<String>,
) -> Kits {
    let named = |kit: &Descriptor| heard.kits.contains(&kit.digest);
    listed.sort_by_key(|kit| !named(kit));
    let (mut kits, mut others) = (Vec::new(), 0);
    for kit in listed {
        if !named(&kit) && others == MAX_KITS {
            break;
        }
        match repository.pull_layers(std::iter::once(&kit), world.store, world.progress) {
            Ok(()) => {
                kits.push(world.store.blob_path(&kit.digest));
                others += usize::from(!named(&kit));
            }
            // What is not there, or is another, is none of those that are tried.
            Err(error) => unread.push(crate::diag::causes(&error)),
        }
    }
    (kits, unread)
}

/// Refuses a key that must not sign a verdict on this image: one that signed the image itself. Whoever reads signatures
/// by key alone would take the verdict for one, and a maker's own word is no second opinion.
///
/// # Errors
/// [`verify::Error::VerifierKey`] where it is one.
pub(super) fn check_key(
    source: &ImageSource<'_>,
    claims: &Claims,
    subjects: &[Subject<'_>],
    verdict: &VerdictSigner<'_>,
) -> Result<SaidBefore, Problems> {
    let key = verdict.signer.public();
    let keys = Keys::new(vec![("verifier".to_owned(), key.clone())]);
    let mut said = SaidBefore::new();
    for subject in subjects {
        let mut findings = Findings::new(subject.digest, Wanted::any(), &keys);
        findings.beside(subjects.iter().map(|subject| subject.digest));
        claims.hear(source, &mut findings)?;
        if !findings.signatures().is_empty() {
            let problem = "it signed the image itself";
            return Err(verify::Error::VerifierKey { key: key.id().to_string(), problem }.into());
        }
        if findings.said().iter().any(|said| said.reproduced && said.problem.is_none()) {
            said.insert(subject.digest);
        }
    }
    Ok(said)
}

/// Digests of manifests that the verifier has said before to be reproduced.
pub(super) type SaidBefore = BTreeSet<Digest>;

/// Signs what a match lets a verifier say, and puts it where it belongs; returns where that is.
///
/// # Errors
/// Where the key does not sign, or the registry or the disk refuses.
pub(super) fn tell(
    world: &World<'_>,
    source: &ImageSource<'_>,
    statements: &[(Digest, Statement)],
    said: &SaidBefore,
    verdict: &VerdictSigner<'_>,
) -> Result<String, Problems> {
    // A verdict holds the time; said again, it would be another one.
    let new: Vec<&(Digest, Statement)> = statements.iter().filter(|(digest, _)| !said.contains(digest)).collect();
    let (file, lines) = match (&verdict.output, source.destination.path()) {
        (None, None) => return attach(world, source, &new, verdict.signer),
        (Some(output), _) => {
            let bundles = new.iter().map(|(_, one)| Ok(Bundle::sign(one, verdict.signer)?.to_bytes()));
            (output.clone(), bundles.collect::<Result<Vec<_>, Problems>>()?)
        }
        (None, Some(path)) => {
            let envelopes = new.iter().map(|(_, one)| Ok(Envelope::sign(one, verdict.signer)?.to_bytes()));
            (statements_beside(path), envelopes.collect::<Result<Vec<_>, Problems>>()?)
        }
    };
    bundles::add(&file, &lines)?;
    Ok(shown(&file))
}

fn attach(
    world: &World<'_>,
    source: &ImageSource<'_>,
    statements: &[&(Digest, Statement)],
    signer: &dyn Signer,
) -> Result<String, Problems> {
    let Some((_, reference)) = source.remote() else {
        return Err(verify::Error::NoOutput { image: source.open.name().to_owned() }.into());
    };
    // Whatever the tag names by now, it is this image that was built again.
    let pinned: Reference = reference.with_digest(source.open.descriptor().digest);
    let published = Published::open(world.registry, &pinned)?;
    let mut said = Vec::new();
    for (descriptor, _) in &published.documents {
        for (_, statement) in statements.iter().filter(|(digest, _)| *digest == descriptor.digest) {
            said.push(published.say(descriptor, statement, signer)?);
        }
    }
    published.publish(&said, true)?;
    Ok(pinned.repository())
}
