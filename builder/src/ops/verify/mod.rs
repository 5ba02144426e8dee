//! `verify`: whether an image is what its makers signed, and what it claims to be.
//!
//! In: an image wherever it stands, keys, and what it must have. Out: one [`Check`] per requirement and image, each with
//! a yes, a no, or that it could not be told. Documents and signatures are fetched for that, layers only where they are
//! compared; those of a layout or an archive are read, since nobody else will hold them against their digests.

mod again;
mod against;
mod collect;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::compare::Comparison;
use crate::diag::{Problems, Warning};
use crate::digest::Digest;
use crate::image::{self, CONFIG, Opened};
use crate::spec::Platform;
use crate::verify::{self, Check, Findings, Identity, Keys, Outcome, Requirement, Wanted};

use super::World;
use super::inspect::{chosen, platform_name};
use super::source::ImageSource;

pub use again::{RebuildAnswer, RebuildInputs, VerdictSigner};

/// What `verify` is asked to do.
pub struct VerifyOptions<'a> {
    /// The keys that are trusted.
    pub keys: Keys,
    /// How many different keys must agree.
    pub threshold: usize,
    /// What the image must have; with keys, always a signature.
    pub require: BTreeSet<Requirement>,
    /// How near a signature's reference must be to the one that was asked for.
    pub identity: Identity,
    /// Only these platforms; all where empty.
    pub platforms: Vec<Platform>,
    /// Files that hold bundles or envelopes.
    pub bundles: Vec<PathBuf>,
    /// Another build, to compare with.
    pub against: Option<String>,
    /// Build it again, from these inputs.
    pub rebuild: Option<RebuildInputs>,
    /// Who signs that building again gave the same.
    pub verdict: Option<VerdictSigner<'a>>,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The image as the user named it.
    pub image: String,
    /// Digest of the whole.
    pub digest: String,
    /// The answer to all of it.
    pub outcome: Outcome,
    /// The answers one by one, the whole first.
    pub checks: Vec<Check>,
    /// What else is worth saying.
    pub notes: Vec<String>,
    /// How another build differs, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Comparison>,
    /// What building it again gave, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<RebuildAnswer>,
    /// What the rebuild had to say on its way.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// One digest that must be signed.
struct Subject<'a> {
    /// `linux/amd64`, or `index`.
    name: String,
    digest: Digest,
    /// The image; `None` of an index.
    one: Option<&'a Opened>,
}

/// Verifies the image named `name`.
///
/// # Errors
/// No such image, one whose documents do not hold together, nothing to check against. That a check does not hold is no
/// error.
pub fn verify(world: &World<'_>, name: &str, options: &VerifyOptions<'_>) -> Result<Verification, Problems> {
    if options.keys.is_empty() && options.against.is_none() && options.rebuild.is_none() {
        return Err(verify::Error::NothingAsked { image: name.to_owned() }.into());
    }
    // Without a key nobody says anything; building again is an answer of its own.
    let signed = |one: &&Requirement| **one != Requirement::Rebuild || options.rebuild.is_none();
    if let Some(requirement) = options.require.iter().find(signed).filter(|_| options.keys.is_empty()) {
        let requirement = requirement.as_str();
        return Err(verify::Error::NoKey { image: name.to_owned(), requirement }.into());
    }
    let source = ImageSource::in_world(world, name)?;
    let whole = source.open.descriptor();
    if whole.media_type == CONFIG && !options.keys.is_empty() {
        let problem = "an archive of Docker's holds no manifest, and only manifests are signed".to_owned();
        return Err(verify::Error::Image { image: name.to_owned(), problem }.into());
    }
    let images = chosen(&source.open, &options.platforms)?;
    let mut subjects = Vec::new();
    if source.open.index().is_some() {
        subjects.push(Subject { name: "index".to_owned(), digest: whole.digest, one: None });
    }
    subjects.extend(images.iter().map(|one| Subject {
        name: platform_name(one),
        digest: one.descriptor.digest,
        one: Some(one),
    }));
    let mut checks = Vec::new();
    let mut notes = Notes::default();
    if source.remote().is_none() {
        checks.extend(contents(&source, &images));
    }
    match (options.keys.is_empty(), source.remote()) {
        (true, _) => notes.add("signatures were not checked: no key was named".to_owned()),
        (false, None) => {
            notes.add("it stands in no registry: under which name it is signed was not checked".to_owned())
        }
        (false, Some(_)) => {}
    }
    let claims = collect::Claims::read(&source, &options.bundles)?;
    let said = match &options.verdict {
        Some(verdict) => again::check_key(&source, &claims, &subjects, verdict)?,
        None => again::SaidBefore::new(),
    };
    let mut heard = Vec::new();
    for subject in &subjects {
        let wanted = wanted(&source, options.identity, whole.digest, subject);
        let mut findings = Findings::new(subject.digest, wanted, &options.keys);
        findings.beside(subjects.iter().map(|subject| subject.digest));
        claims.hear(&source, &mut findings)?;
        heard.push(findings);
    }
    let again = match &options.rebuild {
        Some(inputs) => {
            let id = options.verdict.as_ref().map(|verdict| verdict.id.clone());
            let names = subjects.iter().map(|subject| subject.name.as_str());
            let heard = again::Heard::of(names.zip(&heard), options.threshold, !options.keys.is_empty());
            Some(again::again(world, &source, &images, inputs, id, &heard)?)
        }
        None => None,
    };
    for (subject, findings) in subjects.iter().zip(&heard) {
        checks.extend(answers(options, subject, findings, again.as_ref()));
        findings.notes().iter().cloned().for_each(|note| notes.add(note));
    }
    let mut against = None;
    if let Some(other) = &options.against {
        let (answers, comparison) = against::against(world, &source, other, &options.platforms)?;
        checks.extend(answers);
        against = Some(comparison);
    }
    let (mut rebuild, mut warnings) = (None, Vec::new());
    let outcome = outcome(&checks);
    if let Some(again) = again {
        again.notes.into_iter().for_each(|note| notes.add(note));
        warnings = again.warnings;
        let mut answer = again.answer;
        if let Some(verdict) = options.verdict.as_ref().filter(|_| again.same && outcome == Outcome::Yes) {
            answer.verdict = Some(again::tell(world, &source, &again.statements, &said, verdict)?);
        }
        rebuild = Some(answer);
    }
    let (image, digest) = (name.to_owned(), whole.digest.to_string());
    Ok(Verification { image, digest, outcome, checks, notes: notes.0, against, rebuild, warnings })
}

/// Notes, each once.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn add(&mut self, note: String) {
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }
}

/// Returns the reference that a signature of the subject has to name.
fn wanted(source: &ImageSource<'_>, identity: Identity, whole: Digest, subject: &Subject<'_>) -> Wanted {
    let Some((_, reference)) = source.remote() else { return Wanted::any() };
    let tag = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => Some(tag.to_owned()),
        (None, Some(_)) => None,
        (None, None) => Some(reference.wanted()),
    };
    let wanted = Wanted::image(identity, &reference.repository(), tag.as_deref(), &whole);
    if subject.digest == whole { wanted } else { wanted.listed(&subject.digest) }
}

/// Returns what the keys say to everything that was asked of a subject, and what they say unasked.
fn answers(
    options: &VerifyOptions<'_>,
    subject: &Subject<'_>,
    findings: &Findings<'_>,
    again: Option<&again::Again>,
) -> Vec<Check> {
    let with_keys = !options.keys.is_empty();
    let mut checks = Vec::new();
    if with_keys {
        checks.push(verify::signature(findings, &subject.name, options.threshold));
    }
    // Building again answers by itself where it gave something else, or could not be done.
    let own = again.into_iter().flat_map(|again| &again.checks).filter(|own| own.digest == subject.digest.to_string());
    checks.extend(own.cloned());
    if subject.one.is_none() {
        return checks;
    }
    let required = |requirement| options.require.contains(&requirement);
    for (requirement, check) in [
        (Requirement::Sbom, verify::sbom(findings, &subject.name)),
        (Requirement::Provenance, verify::provenance(findings, &subject.name)),
    ] {
        // What nobody asked for is told where it is there.
        if with_keys && required(requirement) || check.outcome == Outcome::Yes {
            checks.push(check);
        }
    }
    let same = again.is_some_and(|again| again.same);
    let threshold = if required(Requirement::Rebuild) { options.threshold } else { 1 };
    let verdicts = verify::rebuild(findings, &subject.name, threshold, same);
    if same || required(Requirement::Rebuild) && again.is_none() || verdicts.outcome == Outcome::Yes && again.is_none()
    {
        checks.push(verdicts);
    }
    checks
}

/// Returns whether the layers of an image on disk are what its documents name.
fn contents(source: &ImageSource<'_>, images: &[&Opened]) -> Vec<Check> {
    let check = |one: &&Opened| {
        let read = one.layers.iter().try_for_each(|layer| {
            source.open.entries(layer, |_, body| {
                std::io::copy(body, &mut std::io::sink())
                    .map(|_| ())
                    .map_err(|cause| image::Error::Read { image: source.open.name().to_owned(), source: cause })
            })
        });
        let (outcome, says) = match read {
            Ok(()) => (Outcome::Yes, format!("{} hold what the manifest names", layers(one.layers.len()))),
            Err(error @ image::Error::Invalid { .. }) => (Outcome::No, error.to_string()),
            Err(error) => (Outcome::Unknown, crate::diag::causes(&error)),
        };
        Check::new(Requirement::Contents, &platform_name(one), &one.descriptor.digest.to_string(), outcome, says)
    };
    images.iter().map(check).collect()
}

fn layers(count: usize) -> String {
    if count == 1 { "1 layer".to_owned() } else { format!("{count} layers") }
}

/// Returns the answer to all: a no where anything is one.
fn outcome(checks: &[Check]) -> Outcome {
    let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
    match (any(Outcome::No), any(Outcome::Unknown)) {
        (true, _) => Outcome::No,
        (false, true) => Outcome::Unknown,
        (false, false) => Outcome::Yes,
    }
}
