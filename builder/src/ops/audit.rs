//! `audit`: checks an image against a contract; and the same for what `build` has built.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::diag::{Diagnose, Problems, Source, Warning};
use crate::digest::{Digest, Hasher};
use crate::engine::Remote;
use crate::engine::farm::Farm;
use crate::engine::local::{self, BuildInput, Built};
use crate::image::{self, BlobSource, OpenImage, Opened};
use crate::layer::Workers;
use crate::license;
use crate::policy::{self, Broken, Depth, Found, Judgement, Licensed, Rule};
use crate::select::Selection;
use crate::spec::{Checks, Finding, Platform, Policy, Spec};
use crate::store::Kind;
use crate::tree::Origin;

use super::build::refresh;
use super::inspect::platform_name;
use super::project::read_text;
use super::prove::prove_for_build;
use super::source::{ImageSource, Reach};
use super::{Project, World, fetch, shown};

/// The most breaches that are shown one by one.
const MAX_SHOWN: usize = 100;

/// What `audit` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// File of the contract; without it, a spec's own, and else all that can be forbidden is.
    pub policy: Option<std::path::PathBuf>,
    /// Only these platforms; all where empty.
    pub platforms: Vec<Platform>,
    /// Which variant of a spec; none for the spec itself.
    pub variant: Option<String>,
}

/// What `audit` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The image or spec as the user named it.
    pub subject: String,
    /// Digest of the whole.
    pub digest: String,
    /// Whether no image breaks the contract.
    pub accepted: bool,
    /// One per platform.
    pub images: Vec<AuditedImage>,
    /// Worth saying of the whole.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// One platform's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditedImage {
    /// `linux/amd64`.
    pub platform: String,
    /// Digest of the manifest.
    pub digest: String,
    /// What was found.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Exceptions that nothing needs, in words.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// Checks an image, wherever it stands, against a contract.
///
/// # Errors
/// No such image, one that does not hold together, a policy that does not parse. A broken contract is no error.
pub fn audit(reach: &Reach<'_>, name: &str, options: &AuditOptions) -> Result<Audit, Problems> {
    let checks = match &options.policy {
        Some(path) => read_policy(path)?.checks,
        None => Checks::strict(),
    };
    let source = ImageSource::open(reach, name)?;
    let mut images = Vec::new();
    for one in source.images(&options.platforms)? {
        images.push(judged(&source.open, one, &checks, None)?);
    }
    Ok(finished(name, source.open.descriptor().digest, images))
}

/// Builds the spec at `path` into the store, writing no image, and checks it against its contract.
///
/// # Errors
/// Whatever would stop a build, a stale lock among it. A broken contract is no error.
pub fn audit_spec(world: &World<'_>, path: &Path, options: &AuditOptions) -> Result<Audit, Problems> {
    let policy = options.policy.as_deref().map(read_policy).transpose()?;
    let mut project = Project::read(path, options.variant.as_deref())?;
    let mut warnings = Vec::new();
    refresh(world, path, &mut project, true, &mut warnings)?;
    prove_for_build(world, &project, false, &mut warnings)?;
    let lock = project.locked()?;
    let wanted = super::build::wanted_platforms(lock, &options.platforms)?;
    let farm =
        fetch::build_inputs(world, &project, lock, &|name| wanted.iter().any(|platform| platform.oci() == name))?;
    let workers = Workers::new(world.threads, world.memory)?;
    let input = BuildInput {
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
    warnings.extend(farm.iter().flat_map(Farm::warnings));
    let checks = match (policy, &project.spec.checks) {
        (Some(policy), _) => policy.checks,
        (None, Some(checks)) => checks.clone(),
        (None, None) => Checks::strict(),
    };
    let blobs = |digest: &Digest| world.store.blob(digest).map_err(std::io::Error::other);
    let open = image::built(&shown(path), &built.image, &blobs)?;
    let mut images = Vec::new();
    for one in open.images() {
        let mut image = judged(&open, one, &checks, Some(&project.spec))?;
        if !(image.judgement.broken.is_empty() && image.judgement.allowed.is_empty()) {
            let platform = one.platform.expect("a built image has a platform");
            name_origins(&input, platform, &built, &mut image.judgement)?;
        }
        images.push(image);
    }
    Ok(Audit { warnings, ..finished(&shown(path), built.digest(), images) })
}

/// Holds a finished build against the contract of its spec, before it is written anywhere.
///
/// # Errors
/// Each breach, as a "no".
pub(super) fn contract(
    input: &BuildInput<'_>,
    name: &str,
    built: &Built,
    warnings: &mut Vec<Warning>,
) -> Result<(), Problems> {
    let blobs = |digest: &Digest| input.store.blob(digest).map_err(std::io::Error::other);
    contract_with(input, name, built, &blobs, warnings)
}

/// As [`contract`], where `blobs` gives the layers.
///
/// # Errors
/// Each breach, as a "no".
pub(super) fn contract_with(
    input: &BuildInput<'_>,
    name: &str,
    built: &Built,
    blobs: &BlobSource<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Problems> {
    let Some(checks) = &input.spec.checks else { return Ok(()) };
    let open = image::built(name, &built.image, blobs)?;
    let mut broken: Vec<Box<dyn Diagnose>> = Vec::new();
    for one in open.images() {
        let key = key(&one.descriptor.digest, &input.spec.digest);
        if let Some(Kept { unused, unused_licenses }) =
            input.store.entry(Kind::Images, &key).and_then(|bytes| postcard::from_bytes(&bytes).ok())
        {
            warnings.extend(unused_exceptions(checks, &unused));
            warnings.extend(unused_license_exceptions(checks, &unused_licenses));
            continue;
        }
        let mut image = judged(&open, one, checks, Some(input.spec))?;
        warnings.append(&mut image.warnings);
        if image.judgement.broken.is_empty() {
            let kept = Kept { unused: image.judgement.unused, unused_licenses: image.judgement.unused_licenses };
            let bytes = postcard::to_stdvec(&kept).expect("plain data can always be written");
            input.store.put_entry(Kind::Images, &key, &bytes)?;
            continue;
        }
        let platform = one.platform.expect("a built image has a platform");
        name_origins(input, platform, built, &mut image.judgement)?;
        let rest = image.judgement.broken.len().saturating_sub(MAX_SHOWN);
        for found in image.judgement.broken.into_iter().take(MAX_SHOWN) {
            let fixes = fixes(input.spec, &found);
            let source_text = input.spec.source.clone();
            let (image, platform) = (name.to_owned(), image.platform.clone());
            broken.push(Box::new(Broken { image, platform, found, source_text, fixes }));
        }
        if rest > 0 {
            warnings.push(Warning {
                code: "policy::more",
                message: format!("{rest} more breaches on {} are not shown", image.platform),
                hints: Vec::new(),
            });
        }
    }
    match Problems::from_vec(broken) {
        Some(problems) => Err(problems),
        None => Ok(()),
    }
}

/// What is remembered of an image that keeps its contract.
#[derive(Serialize, Deserialize)]
struct Kept {
    unused: Vec<usize>,
    unused_licenses: Vec<usize>,
}

fn key(manifest: &Digest, spec: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia contract\n");
    hasher.update(&policy::TABLES.to_be_bytes());
    hasher.update(manifest.as_bytes());
    hasher.update(spec.as_bytes());
    hasher.digest()
}

/// Judges one image; `spec` is the one that it was built from.
fn judged(open: &OpenImage, one: &Opened, checks: &Checks, spec: Option<&Spec>) -> Result<AuditedImage, Problems> {
    let mut survey = policy::survey(open, one, Depth::Contents)?;
    let files = spec.into_iter().flat_map(|spec| spec.files.iter().enumerate());
    let components = files.filter_map(|(number, file)| Some((number, file.value.component.as_ref()?)));
    survey.components = components
        .map(|(number, component)| Licensed {
            name: component.name.clone(),
            version: component.version.clone(),
            license: component.license.clone().unwrap_or_else(|| license::NOASSERTION.to_owned()),
            from: Some(format!("`files[{number}]` of the spec")),
        })
        .collect();
    let judgement = policy::judge(&survey, checks);
    let warnings = unused_exceptions(checks, &judgement.unused)
        .chain(unused_license_exceptions(checks, &judgement.unused_licenses))
        .collect();
    let digest = one.descriptor.digest.to_string();
    Ok(AuditedImage { platform: platform_name(one), digest, judgement, warnings })
}

fn finished(subject: &str, digest: Digest, images: Vec<AuditedImage>) -> Audit {
    let accepted = images.iter().all(|image| image.judgement.broken.is_empty());
    Audit { subject: subject.to_owned(), digest: digest.to_string(), accepted, images, warnings: Vec::new() }
}

fn unused_exceptions<'a>(checks: &'a Checks, unused: &'a [usize]) -> impl Iterator<Item = Warning> + 'a {
    unused.iter().filter_map(|number| checks.allow.get(*number)).map(|exception| {
        let exception = &exception.value;
        Warning {
            code: "policy::unused-exception",
            message: format!(
                "the exception for `{}` at `{}` allows nothing",
                exception.finding.as_str(),
                exception.path
            ),
            hints: vec!["remove it from `checks: allow`".to_owned()],
        }
    })
}

fn unused_license_exceptions<'a>(checks: &'a Checks, unused: &'a [usize]) -> impl Iterator<Item = Warning> + 'a {
    let exceptions = checks.licenses.iter().flat_map(|rules| rules.exceptions.iter().enumerate());
    exceptions.filter(|(number, _)| unused.contains(number)).map(|(_, exception)| Warning {
        code: "policy::unused-exception",
        message: format!("the exception for the licence of `{}` allows nothing", exception.value.package),
        hints: vec!["remove it from `checks: licenses: exceptions`".to_owned()],
    })
}

fn read_policy(path: &Path) -> Result<Policy, Problems> {
    let source: Arc<Source> = Source::new(shown(path), read_text(path)?);
    Policy::parse(&source)
}

/// Names for each path what selection knows of it, which is more than the image's databases say.
fn name_origins(
    input: &BuildInput<'_>,
    platform: Platform,
    built: &Built,
    judgement: &mut Judgement,
) -> Result<(), Problems> {
    let again;
    let selection: &Selection = match built.selected.get(&platform) {
        Some(Some(selected)) => &selected.selection,
        _ => {
            again = local::select(input, platform)?;
            &again.selection
        }
    };
    let origins: BTreeMap<&str, &Origin> =
        selection.nodes.iter().map(|(path, kept)| (path.as_str(), &kept.origin)).collect();
    let allowed = judgement.allowed.iter_mut().map(|one| &mut one.found);
    for found in judgement.broken.iter_mut().chain(allowed) {
        let path = found.path.as_deref().and_then(|path| path.strip_prefix('/'));
        if let Some(origin) = path.and_then(|path| origins.get(path)) {
            found.from = Some(match origin {
                Origin::Package(name) => format!("package `{name}`"),
                Origin::Derived(rule) => format!("rule `{rule}`"),
                Origin::Spec(entry) => format!("`{entry}` of the spec"),
                Origin::Base => "the base image".to_owned(),
            });
        }
    }
    Ok(())
}

/// Returns what settles a breach in the spec that built the image.
fn fixes(spec: &Spec, found: &Found) -> Vec<String> {
    let Some(from) = &found.from else {
        return found.package.iter().map(|name| keeping_out(spec, name)).collect();
    };
    let Rule::Forbid(finding) = found.rule else { return Vec::new() };
    if let Some(name) = from.strip_prefix("package `").and_then(|rest| rest.strip_suffix('`')) {
        return vec![keeping_out(spec, name)];
    }
    if from.ends_with(" of the spec") {
        return vec![match finding {
            Finding::WorldWritable | Finding::Setuid | Finding::Setgid => format!("give {from} another `mode`"),
            _ => format!("take it out of {from}"),
        }];
    }
    Vec::new()
}

/// Returns how a package is kept out of the image of a spec.
fn keeping_out(spec: &Spec, name: &str) -> String {
    if spec.packages.iter().any(|package| package.value.name == name) {
        format!("take `{name}` out of `packages`")
    } else {
        format!(
            "`tarsia why {} {name}` says why the package is in; `\"!{name}\"` under `packages` keeps it out",
            spec.source.name
        )
    }
}
