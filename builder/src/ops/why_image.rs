//! `why` of an image: what the evidence beside it says.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diag::Problems;
use crate::evidence::{self, Document, Evidence, Reasons};
use crate::image::{self, Destination};
use crate::tree::ImagePath;

use super::Error;
use super::evidence::graph as read_graph;
use super::why::{Answer, Kept, PackageReason, PathReason, WhyOptions, WhyOutcome, chains, steps};

/// Returns the image on disk of this name, where it names one and not a spec.
pub fn image_named(name: &Path) -> Option<Destination> {
    let text = name.to_str()?;
    if matches!(name.extension().and_then(|extension| extension.to_str()), Some("yaml" | "yml")) {
        return None;
    }
    let destination = Destination::parse(text).ok()?;
    let stands = match &destination {
        Destination::Layout(path, _) => path.is_dir(),
        Destination::Archive(path, _) | Destination::DockerArchive(path, _) => path.exists(),
        _ => false,
    };
    stands.then_some(destination)
}

/// Explains `subject` in an image on disk by the evidence beside it.
///
/// # Errors
/// No image; no evidence beside it, evidence of another image, or evidence that does not hold together.
pub fn why_image(image: &Destination, subject: &str, options: &WhyOptions) -> Result<WhyOutcome, Problems> {
    let (path, _) = super::sign::on_disk(image)?;
    let digest = image::open(image)?.descriptor().digest;
    let found = Evidence::open_for(&Evidence::beside(&path), &digest)?;
    let mut answers = BTreeMap::new();
    for manifest in found.manifests() {
        let wanted = |platform: &crate::spec::Platform| platform.oci() == manifest.platform;
        if !options.platforms.is_empty() && !options.platforms.iter().any(wanted) {
            continue;
        }
        let Some(bytes) = found.read(&manifest.digest, Document::Reasons)? else { continue };
        let invalid = |problem: String| evidence::Error::Invalid { path: path.display().to_string(), problem };
        let document = Reasons::parse(&bytes).map_err(invalid)?;
        let graph = read_graph(&document);
        let answer = if subject.contains('/') && !options.package {
            let path = ImagePath::parse(subject).map_err(|error| Error::NoPath {
                path: subject.to_owned(),
                problem: format!("it {}", error.problem),
            })?;
            match document.paths.get(&path.to_string()) {
                None => Answer::NoPath { path: path.to_string(), dropped: Vec::new() },
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
        answers.insert(manifest.platform.clone(), answer);
    }
    if answers.is_empty() {
        let problem = "the evidence beside it does not say why its files are in it".to_owned();
        return Err(evidence::Error::Invalid { path: path.display().to_string(), problem }.into());
    }
    Ok(WhyOutcome { subject: subject.to_owned(), answers, warnings: Vec::new() })
}

fn origin(reason: &crate::evidence::Reason) -> String {
    match (&reason.package, &reason.rule, &reason.entry) {
        (Some(name), ..) => format!("package `{name}`"),
        (_, Some(rule), _) => format!("made by rule `{rule}`"),
        (_, _, Some(entry)) => format!("`{entry}` of the spec"),
        _ => "the base image".to_owned(),
    }
}
