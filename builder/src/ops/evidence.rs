//! The documents of a finished build, made or found again.
//!
//! What takes a selection to make is kept in the store by the image that it is about; a build that finds its image finds
//! them too. What depends on more than that, the provenance, is made every time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attest::{self, Byproduct, LocalFile, ProvenanceInput, SourceRevision};
use crate::diag::Problems;
use crate::digest::{Digest, Hasher};
use crate::engine::local::{self, BuildInput, Built, Selected};
use crate::evidence::{Because, Contents, Document, KIT, KIT_MEDIA_TYPE, Reasons, Stored};
use crate::image::Image;
use crate::package::local::SourceKind;
use crate::sbom::{self, Inventory};
use crate::select::{self, Cause, Reason};
use crate::spec::Platform;
use crate::store::{Kind, Store};
use crate::tree::ImagePath;
use crate::{fetch, lock::Lock, spec::Spec};

use super::Project;
use super::kit::stored_kit;

/// Version of what is kept in the store and of how documents are written; part of its key, so that no store hides a writer
/// that was mended. Between two releases it is raised with every change of a document.
const FORMAT: u32 = 3;

/// What documents say beside what the image is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    /// Whether the lock was proved.
    pub(super) proved: bool,
    /// The checkout's revision, where it is to be told.
    pub(super) source: Option<&'a SourceRevision>,
    /// Who builds.
    pub(super) builder: &'a str,
}

/// Returns the documents of a finished build; their bytes stand in the store.
///
/// # Errors
/// The store; whatever would stop a selection.
pub(super) fn contents(
    project: &Project,
    input: &BuildInput<'_>,
    built: &Built,
    told: &Told<'_>,
) -> Result<Contents, Problems> {
    let name = project.spec.image_name();
    let kit = stored_kit(project, input.lock, &built.sources, input.store)?;
    let mut manifests = BTreeMap::new();
    for image in built.image.images() {
        let platform = image.platform();
        let selected = built.selected.get(&platform).and_then(Option::as_ref);
        let Kept { documents, purls } = kept(input, &name, image, selected)?;
        let mut documents = listed(&documents);
        let statement = attest::provenance(&ProvenanceInput {
            name: &name,
            manifest: image.digest(),
            platform,
            spec: input.spec,
            lock: input.lock,
            report: &built.reports[&platform],
            local: &local_files(built),
            proved: told.proved,
            location: &|archive, date, path| location(input.spec, archive, date, path),
            purl: &|package| purls.get(&owner(&package.name, &package.architecture)).cloned(),
            byproducts: &byproducts(&documents, &kit),
            source: told.source,
            builder: told.builder,
        });
        let mut bytes = statement.to_bytes();
        bytes.push(b'\n');
        documents.insert(Document::Provenance, put(input.store, &bytes)?);
        let config = Digest::of(image.config());
        manifests.insert(platform.oci().to_owned(), (image.digest(), config, documents));
    }
    Ok(Contents { name, digest: built.digest(), manifests, kit: Some(kit) })
}

/// Returns where a file of an archive is published for good.
pub(super) fn location(spec: &Spec, archive: &str, date: i64, path: &str) -> Option<String> {
    fetch::published(archive, spec.archives.get(archive).map(|archive| archive.uri.as_str()), date, path)
}

/// Returns what was copied from beneath the spec's directory.
pub(super) fn local_files(built: &Built) -> Vec<LocalFile> {
    let files = built.sources.iter().filter_map(|source| match source.kind {
        SourceKind::File { digest, .. } => Some(LocalFile { path: source.path.clone(), digest }),
        SourceKind::Directory | SourceKind::Symlink(_) => None,
    });
    files.collect()
}

/// What is kept of a manifest's documents.
#[derive(Serialize, Deserialize)]
struct Kept {
    documents: Vec<(Document, Digest, u64)>,
    /// By package and architecture, how the SBOMs call it.
    purls: BTreeMap<String, String>,
}

/// Returns the key of a package in [`Kept::purls`].
fn owner(name: &str, architecture: &str) -> String {
    format!("{name}:{architecture}")
}

fn listed(documents: &[(Document, Digest, u64)]) -> BTreeMap<Document, Stored> {
    documents.iter().map(|(document, digest, size)| (*document, Stored { digest: *digest, size: *size })).collect()
}

/// Returns the documents that are a function of image, spec and lock: found in the store, or made now.
fn kept(input: &BuildInput<'_>, name: &str, image: &Image, selected: Option<&Selected>) -> Result<Kept, Problems> {
    let key = key(input.spec, input.lock, name, &image.digest(), image.platform());
    if let Some(found) = find(input.store, &key)? {
        return Ok(found);
    }
    let again;
    let selected = match selected {
        Some(selected) => selected,
        None => {
            again = local::select(input, image.platform())?;
            &again
        }
    };
    let inventory = local::inventory(input, selected, image)?;
    let mut kept = Kept { documents: Vec::new(), purls: BTreeMap::new() };
    for (document, bytes) in made(input, name, image, selected, &inventory) {
        let Stored { digest, size } = put(input.store, &bytes)?;
        kept.documents.push((document, digest, size));
    }
    for component in &inventory.components {
        if let (Some(purl), Some(architecture)) = (&component.purl, &component.architecture) {
            kept.purls.insert(owner(&component.name, architecture), purl.clone());
        }
    }
    let bytes = postcard::to_stdvec(&kept).expect("plain data can always be written");
    input.store.put_entry(Kind::Images, &key, &bytes)?;
    Ok(kept)
}

/// Makes the documents of one manifest.
fn made(
    input: &BuildInput<'_>,
    name: &str,
    image: &Image,
    selected: &Selected,
    inventory: &Inventory,
) -> Vec<(Document, Vec<u8>)> {
    let nodes = selected.selection.nodes.iter().map(|(path, kept)| (path, &kept.origin, kept.reason.as_str()));
    let mut reasons = Reasons::new(name, image.digest(), image.platform().oci(), nodes);
    let graph = &selected.selection.reasons;
    for (path, all) in &graph.files {
        if let Some(reason) = reasons.paths.get_mut(&path.to_string()) {
            reason.because = all.iter().map(because).collect();
        }
    }
    reasons.packages =
        graph.packages.iter().map(|(name, all)| (name.clone(), all.iter().map(because).collect())).collect();
    let mut documents = vec![(Document::Reasons, reasons.to_bytes())];
    let formats = &input.spec.sbom.formats;
    let wanted = |document: Document| formats.is_empty() || formats.iter().any(|format| format == document.as_str());
    if wanted(Document::Spdx) {
        let full = sbom::spdx(inventory);
        documents.extend(sbom::spdx_packages(inventory, &full).map(|bytes| (Document::SpdxPackages, bytes)));
        documents.push((Document::Spdx, full));
    }
    if wanted(Document::Cyclonedx) {
        documents.push((Document::Cyclonedx, sbom::cyclonedx(inventory, sbom::Version::V1_6)));
    }
    if wanted(Document::Spdx3) {
        documents.push((Document::Spdx3, sbom::spdx3(inventory)));
    }
    documents
}

fn because(reason: &Reason) -> Because {
    let (on, what) = match &reason.cause {
        Cause::Spec(entry) => ("spec", entry.clone()),
        Cause::Rule(name) => ("rule", name.clone()),
        Cause::Package(name) => ("package", name.clone()),
        Cause::File(path) => ("file", path.to_string()),
    };
    Because { how: reason.how.clone(), on: on.to_owned(), what }
}

/// Returns the graph that a document holds.
pub(super) fn graph(document: &Reasons) -> select::Reasons {
    let read = |because: &Because| {
        let cause = match because.on.as_str() {
            "package" => Cause::Package(because.what.clone()),
            "rule" => Cause::Rule(because.what.clone()),
            "file" => Cause::File(ImagePath::parse(&because.what).ok()?),
            _ => Cause::Spec(because.what.clone()),
        };
        Some(Reason { how: because.how.clone(), cause })
    };
    let all = |all: &Vec<Because>| all.iter().filter_map(read).collect();
    let files = document.paths.iter().filter(|(_, reason)| !reason.because.is_empty());
    select::Reasons {
        files: files.filter_map(|(path, reason)| Some((ImagePath::parse(path).ok()?, all(&reason.because)))).collect(),
        packages: document.packages.iter().map(|(name, because)| (name.clone(), all(because))).collect(),
    }
}

fn find(store: &Store, key: &Digest) -> Result<Option<Kept>, Problems> {
    let Some(kept) = store.entry(Kind::Images, key).and_then(|bytes| postcard::from_bytes::<Kept>(&bytes).ok()) else {
        return Ok(None);
    };
    for (_, digest, _) in &kept.documents {
        if store.blob(digest)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(kept))
}

fn key(spec: &Spec, lock: &Lock, name: &str, manifest: &Digest, platform: Platform) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia documents\n");
    hasher.update(&FORMAT.to_be_bytes());
    hasher.update(manifest.as_bytes());
    hasher.update(spec.digest.as_bytes());
    hasher.update(Digest::of(lock.to_text().as_bytes()).as_bytes());
    let text = format!("{} {} {name}", env!("CARGO_PKG_VERSION"), platform.oci());
    hasher.update(text.as_bytes());
    hasher.digest()
}

fn put(store: &Store, bytes: &[u8]) -> Result<Stored, Problems> {
    let digest = Digest::of(bytes);
    if store.blob(&digest)?.is_none() {
        store.put_blob(bytes)?;
    }
    Ok(Stored { digest, size: bytes.len() as u64 })
}

/// Returns the SBOMs among the documents: they name the image, so they were made beside it. And the rebuild kit, so that
/// whoever signs the provenance says which one is the maker's.
fn byproducts(documents: &BTreeMap<Document, Stored>, kit: &Stored) -> Vec<Byproduct> {
    let sboms = [Document::Spdx, Document::Cyclonedx, Document::Spdx3];
    let made = sboms.iter().filter_map(|document| Some((document, documents.get(document)?)));
    let all = made.map(|(document, stored)| Byproduct {
        name: document.file_name().to_owned(),
        media_type: document.media_type().to_owned(),
        digest: stored.digest,
    });
    let kit = Byproduct { name: KIT.to_owned(), media_type: KIT_MEDIA_TYPE.to_owned(), digest: kit.digest };
    all.chain([kit]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number and the digest of the golden documents that are written under it.
    const WRITTEN: (u32, &str) = (3, "sha256:d1ce1714b2b28339ea0ce339e1742fdf1352a29f1243a74c109c4090afe1f223");

    #[test]
    fn documents_that_change_raise_their_number() {
        let mut hasher = Hasher::new();
        for golden in [
            include_str!("../../tests/it/snapshots/it__sbom__spdx.snap"),
            include_str!("../../tests/it/snapshots/it__sbom__cyclonedx.snap"),
            include_str!("../../tests/it/snapshots/it__sbom__spdx3.snap"),
        ] {
            // The head says where the snapshot was taken.
            hasher.update(golden.splitn(3, "---\n").last().unwrap_or_default().as_bytes());
        }
        let found = hasher.digest().to_string();
        assert_eq!((FORMAT, found.as_str()), WRITTEN, "raise `FORMAT`, and write both here");
    }
}
