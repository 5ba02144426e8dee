//! `why` of an image: what the evidence beside it, or attached to it, says.
//!
//! Versions are those that its SBOM tells. Where a path stands in an image on the disk is looked up in its layers; those of
//! a registry are not fetched for it.
//!
//! The reasons tell of what is kept. What is not there, or stands behind a link, is looked for in a selection made again
//! from the rebuild kit.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::diag::{Problems, Warning};
use crate::digest::HashingReader;
use crate::evidence::{self, Document, Evidence, Reasons};
use crate::image::{self, Destination, OpenImage};
use crate::kit::Kit;
use crate::lock::RULES;
use crate::spec::Platform;
use crate::tar::read::Kind;
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
    for Told { platform, reasons, sbom } in documents {
        let invalid = |problem: String| evidence::Error::Invalid { path: name.clone(), problem };
        let document = Reasons::parse(&reasons).map_err(invalid)?;
        let version = |package: &str| version(sbom.as_deref().unwrap_or_default(), package).unwrap_or_default();
        let graph = read_graph(&document);
        let answer = if subject.contains('/') && !options.package {
            let path = ImagePath::parse(subject).map_err(|error| Error::NoPath {
                path: subject.to_owned(),
                problem: format!("it {}", error.problem),
            })?;
            match document.paths.get(&path.to_string()) {
                None => match selected_again(
                    world,
                    found.as_ref().map(|(evidence, _)| evidence),
                    image,
                    &platform,
                    &path,
                    options,
                ) {
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
                Some(reason) => {
                    let place = match &found {
                        Some((_, open)) => place(open, &platform, &path)?,
                        None => Place::default(),
                    };
                    let package = reason.package.as_deref();
                    Answer::Path(Box::new(PathReason {
                        path: path.to_string(),
                        links: Vec::new(),
                        target: place.target,
                        origin: origin(reason),
                        version: package.map(version).filter(|version| !version.is_empty()),
                        package: None,
                        replaced: Vec::new(),
                        reason: reason.reason.clone(),
                        chains: chains(&graph, &path, options.all),
                        size: place.size,
                        digest: place.digest,
                        layer: place.layer,
                    }))
                }
            }
        } else {
            let files = document.paths.values().filter(|reason| reason.package.as_deref() == Some(subject)).count();
            match graph.packages.get(subject) {
                None if files == 0 => Answer::NoPackage { hints: Vec::new() },
                reasons => Answer::Package(Box::new(PackageReason {
                    package: subject.to_owned(),
                    version: version(subject),
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

/// What the evidence says of the image of one platform.
struct Told {
    platform: String,
    /// The document of reasons.
    reasons: Vec<u8>,
    /// An SPDX 2 document, where there is one.
    sbom: Option<Vec<u8>>,
}

/// Evidence beside an image on the disk, and the image.
type Beside = (Evidence, OpenImage);

/// Returns what is said of an image by platform, and the evidence beside it where it stands on the disk.
///
/// Those in a registry are as somebody attached them; whether they are to be believed is `verify`'s to say.
fn documents(
    world: &World<'_>,
    image: &Destination,
    platforms: &[Platform],
) -> Result<(Option<Beside>, Vec<Told>), Problems> {
    let mut documents = Vec::new();
    let Some(path) = image.path() else {
        let source = ImageSource::in_world(world, &image.to_string())?;
        for one in chosen(&source.open, platforms)? {
            let (repository, _) = source.remote().ok_or_else(|| evidence::Error::Invalid {
                path: image.to_string(),
                problem: "images of engines have none".to_owned(),
            })?;
            if let Some(reasons) = attached(repository, one, Document::Reasons)? {
                let sbom = attached(repository, one, Document::Spdx)?;
                documents.push(Told { platform: platform_name(one), reasons, sbom });
            }
        }
        return Ok((None, documents));
    };
    // Evidence of another image says nothing of this one.
    let open = image::open(image)?;
    let found = Evidence::open_for(&Evidence::beside(path), &open.descriptor().digest)?;
    for manifest in found.manifests() {
        let wanted = |platform: &Platform| platform.oci() == manifest.platform;
        if platforms.is_empty() || platforms.iter().any(wanted) {
            let Some(reasons) = found.read(&manifest.digest, Document::Reasons)? else { continue };
            // Where there are very many files, one document has the packages alone.
            let sbom = match found.read(&manifest.digest, Document::SpdxPackages)? {
                Some(packages) => Some(packages),
                None => found.read(&manifest.digest, Document::Spdx)?,
            };
            documents.push(Told { platform: manifest.platform.clone(), reasons, sbom });
        }
    }
    Ok((Some((found, open)), documents))
}

/// Returns the version that an SPDX 2 document gives a Debian package.
fn version(sbom: &[u8], package: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Sbom {
        packages: Vec<Named>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        name: String,
        version_info: Option<String>,
        #[serde(default)]
        external_refs: Vec<Located>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Located {
        reference_locator: String,
    }
    let sbom: Sbom = serde_json::from_slice(sbom).ok()?;
    let is_debian = |named: &Named| named.external_refs.iter().any(|one| one.reference_locator.starts_with("pkg:deb/"));
    sbom.packages.into_iter().find(|named| named.name == package && is_debian(named))?.version_info
}

/// What stands at a path in an image.
#[derive(Debug, Default)]
struct Place {
    target: Option<String>,
    size: u64,
    digest: Option<String>,
    layer: Option<String>,
}

/// Looks a path up in the layers of an image, the highest first; each is read to its end, and so is what it should be.
fn place(open: &OpenImage, platform: &str, path: &ImagePath) -> Result<Place, Problems> {
    let mut place = Place::default();
    let Some(one) = open.images().iter().find(|one| platform_name(one) == platform) else { return Ok(place) };
    for layer in one.layers.iter().rev() {
        open.entries(layer, |entry, body| {
            if entry.path != *path {
                return Ok(());
            }
            // A directory stands in every layer that has something below it.
            match &entry.kind {
                Kind::Directory => return Ok(()),
                Kind::Symlink(target) => place.target = Some(target.clone()),
                Kind::Hardlink(_) => {}
                Kind::File => {
                    let mut bytes = HashingReader::new(body);
                    io::copy(&mut bytes, &mut io::sink())
                        .map_err(|source| image::Error::Read { image: open.name().to_owned(), source })?;
                    let (digest, size) = bytes.finish();
                    (place.digest, place.size) = (Some(digest.to_string()), size);
                }
            }
            place.layer = Some(layer.descriptor.digest.to_string());
            Ok::<_, image::Error>(())
        })?;
        if place.layer.is_some() {
            break;
        }
    }
    Ok(place)
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
