//! `why` of an image: what the evidence beside it, or attached to it, says.
//!
//! The reasons tell of what is kept. What is not there, or stands behind a link, is looked for in a selection made again
//! from the rebuild kit.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diag::{Problems, Warning};
use crate::evidence::{self, Document, Evidence, Reasons};
use crate::image::{self, Destination};
use crate::kit::Kit;
use crate::lock::RULES;
use crate::spec::Platform;
use crate::tree::ImagePath;

use super::evidence::graph as read_graph;
use super::inspect::{chosen, platform_name};
use super::sbom::attached;
use super::source::ImageSource;
use super::why::{self, Answer, Kept, PackageReason, PathReason, WhyOptions, WhyOutcome, chains, steps};
use super::{Error, World, kit, supply::supply};

/// Returns the image of this name, where it names one that can be explained, and not a spec.
pub fn image_path(name: &Path) -> Option<Destination> {
    let text = name.to_str()?;
    if text.starts_with("docker://") {
        return Destination::parse(text).ok();
    }
    if matches!(name.extension().and_then(|extension| extension.to_str()), Some("yaml" | "yml")) {
        return None;
    }
    let found = Destination::parse(text).ok()?;
    let stands = match &found {
        Destination::Layout(path, _) => path.is_dir(),
        Destination::Archive(path, _) | Destination::DockerArchive(path, _) => path.exists(),
        _ => false,
    };
    stands.then_some(found)
}

/// Explains `subject` in `image` by the evidence beside it, or attached to it in a registry.
///
/// # Errors
/// No evidence of the image, or evidence that does not hold together.
pub fn why_image(
    world: &World<'_>,
    image: &Destination,
    subject: &str,
    options: &WhyOptions,
) -> Result<WhyOutcome, Problems> {
    let mut warnings = Vec::new();
    let name = image.to_string();
    let (found, documents) = documents(world, image, &options.platforms)?;
    let mut answers = BTreeMap::new();
    for (platform, bytes) in documents {
        let invalid = |problem: String| evidence::Error::Invalid { path: name.clone(), problem };
        let document = Reasons::parse(&bytes).map_err(invalid)?;
        let graph = read_graph(&document);
        let answer = if subject.contains('/') && !options.package {
            let path = ImagePath::parse(subject).map_err(|error| Error::NoPath {
                path: subject.to_owned(),
                problem: format!("it {}", error.problem),
            })?;
            match document.paths.get(&path.to_string()) {
                None => match selected_again(world, found.as_ref(), image, &platform, &path, options) {
                    Ok(answer) => answer,
                    Err(problems) => {
                        let said = problems.iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("; ");
                        warnings.push(Warning {
                            code: "why::unknown",
                            message: format!("`{path}`: {said}"),
                            hints: vec![format!("`tarsia why SPEC {path}` tells of the image that a spec gives")],
                        });
                        Answer::Unknown { path: path.to_string() }
                    }
                },
                Some(reason) => Answer::Path(Box::new(PathReason {
                    path: path.to_string(),
                    links: Vec::new(),
                    target: None,
                    origin: origin(reason),
                    package: None,
                    replaced: Vec::new(),
                    reason: reason.reason.clone(),
                    chains: chains(&graph, &path, options.all),
                    size: 0,
                    digest: None,
                    layer: None,
                })),
            }
        } else {
            let files = document.paths.values().filter(|reason| reason.package.as_deref() == Some(subject)).count();
            match graph.packages.get(subject) {
                None if files == 0 => Answer::NoPackage { hints: Vec::new() },
                reasons => Answer::Package(Box::new(PackageReason {
                    package: subject.to_owned(),
                    version: String::new(),
                    why: reasons.and_then(|all| all.first()).map(ToString::to_string).unwrap_or_default(),
                    rule: None,
                    source: String::new(),
                    archive: String::new(),
                    layer: String::new(),
                    script_only: false,
                    kept: Some(Kept {
                        files,
                        size: 0,
                        chain: steps(&graph.package_chain(subject)),
                        reasons: reasons.into_iter().flatten().map(ToString::to_string).collect(),
                    }),
                })),
            }
        };
        answers.insert(platform, answer);
    }
    if answers.is_empty() {
        let where_looked = if found.is_some() { "beside it" } else { "attached to it" };
        let problem = format!("no evidence {where_looked} says why its files are in it");
        return Err(evidence::Error::Invalid { path: name, problem }.into());
    }
    warnings.extend(world.store.take_warnings());
    Ok(WhyOutcome { subject: subject.to_owned(), answers, warnings })
}

/// A document's bytes by platform.
type ByPlatform = Vec<(String, Vec<u8>)>;

/// Returns the reasons of an image by platform, and the evidence beside it where it stands on the disk.
///
/// Those in a registry are as somebody attached them; whether they are to be believed is `verify`'s to say.
fn documents(
    world: &World<'_>,
    image: &Destination,
    platforms: &[Platform],
) -> Result<(Option<Evidence>, ByPlatform), Problems> {
    let mut documents = ByPlatform::new();
    let Some(path) = image.path() else {
        let source = ImageSource::in_world(world, &image.to_string())?;
        for one in chosen(&source.open, platforms)? {
            let (repository, _) = source.remote().ok_or_else(|| evidence::Error::Invalid {
                path: image.to_string(),
                problem: "images of engines have none".to_owned(),
            })?;
            documents.extend(attached(repository, one, Document::Reasons)?.map(|bytes| (platform_name(one), bytes)));
        }
        return Ok((None, documents));
    };
    // Evidence of another image says nothing of this one.
    let found = Evidence::open_for(&Evidence::beside(path), &image::open(image)?.descriptor().digest)?;
    for manifest in found.manifests() {
        let wanted = |platform: &Platform| platform.oci() == manifest.platform;
        if platforms.is_empty() || platforms.iter().any(wanted) {
            let bytes = found.read(&manifest.digest, Document::Reasons)?;
            documents.extend(bytes.map(|bytes| (manifest.platform.clone(), bytes)));
        }
    }
    Ok((Some(found), documents))
}

/// Selects what the image was made of again, and explains a path that its reasons do not name.
fn selected_again(
    world: &World<'_>,
    evidence: Option<&Evidence>,
    image: &Destination,
    platform: &str,
    path: &ImagePath,
    options: &WhyOptions,
) -> Result<Answer, Problems> {
    let invalid = |problem: &str| evidence::Error::Invalid { path: image.to_string(), problem: problem.into() };
    let (file, _) =
        evidence.and_then(Evidence::kit).ok_or_else(|| invalid("there is no rebuild kit beside it, and so no lock"))?;
    let kit = Kit::open(&file, world.store.root())?;
    let (place, room) = (world.store.temporary_directory()?, world.store.temporary_directory()?);
    let mut project = kit::unpacked(&kit, place.path())?;
    supply(&mut project, &image::open(image)?, room.path())?;
    let lock = project.locked()?.clone();
    let platform = Platform::from_oci(platform).filter(|platform| lock.platform.contains_key(platform.oci()));
    let platform = platform.ok_or_else(|| invalid("its lock does not hold the image's platform"))?;
    if lock.rules != RULES {
        return Err(invalid("it was selected by the rules of another release").into());
    }
    why::of_path(world, &project, &lock, platform, &path.to_string(), options.all)
}

fn origin(reason: &crate::evidence::Reason) -> String {
    match (&reason.package, &reason.rule, &reason.entry) {
        (Some(name), ..) => format!("package `{name}`"),
        (_, Some(rule), _) => format!("made by rule `{rule}`"),
        (_, _, Some(entry)) => format!("`{entry}` of the spec"),
        _ => "the base image".to_owned(),
    }
}
