//! Writes SPDX 2.3 as JSON.
//!
//! A package whose files are listed is one whose files were analysed, with a verification code over them (7.8, 7.9); the
//! image itself is such a package and owns what was made in the build. Source packages are named and are no packages of
//! the document: nothing that was verified tells their digests, and a node with a purl would be taken for an installed
//! package.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Component, File, Inventory, Kind, Known, expression};
use crate::canon;
use crate::digest::{Digest, Sha1};

/// Up to so many files, the document that is attested lists them; above, it names the one that does.
///
/// A statement in an envelope is a third larger than the document, and admission controllers read at most 10 MB.
pub const MAX_ATTESTED_FILES: usize = 10_000;

/// What stands where nothing is said (SPDX 2.3, 7.7 and others).
const NOASSERTION: &str = "NOASSERTION";

/// Returns the SPDX 2.3 document that lists every file of the image.
pub fn spdx(inventory: &Inventory) -> Vec<u8> {
    write(inventory, &Files::Listed)
}

/// Returns the document that is attested in the place of `full`, which [`spdx()`] returned: of packages alone, and naming
/// `full` by its checksums. `None` where the image has so few files that `full` itself is attested.
pub fn spdx_packages(inventory: &Inventory, full: &[u8]) -> Option<Vec<u8>> {
    (inventory.files.len() > MAX_ATTESTED_FILES).then(|| write(inventory, &Files::Elsewhere(full)))
}

/// Returns the document that lists every file where it has at most `limit` bytes; else one of packages alone, which says
/// that files are left out of it.
pub fn spdx_within(inventory: &Inventory, limit: usize) -> Vec<u8> {
    let full = spdx(inventory);
    if full.len() <= limit { full } else { write(inventory, &Files::LeftOut) }
}

/// What a document says of files.
enum Files<'a> {
    /// It lists them.
    Listed,
    /// It names the document that lists them, which has these bytes.
    Elsewhere(&'a [u8]),
    /// It says how many there are.
    LeftOut,
}

/// A document; fields are written in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    document_namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    creation_info: CreationInfo,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_document_refs: Vec<ExternalDocument>,
    packages: Vec<Package<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileEntry>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedLicense<'a>>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
    comment: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalDocument {
    external_document_id: &'static str,
    checksum: Checksum,
    spdx_document: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    version_info: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    originator: Option<String>,
    download_location: &'a str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'a str,
    license_declared: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_comments: Option<&'a str>,
    copyright_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalReference<'a>>,
    primary_package_purpose: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalReference<'a> {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileEntry {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_types: Option<[&'static str; 1]>,
    checksums: [Checksum; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedLicense<'a> {
    license_id: &'a str,
    name: &'a str,
    extracted_text: &'a str,
}

fn write(inventory: &Inventory, listing: &Files<'_>) -> Vec<u8> {
    let ids: Vec<String> = inventory.ids().iter().map(|id| format!("SPDXRef-{id}")).collect();
    let listed = matches!(listing, Files::Listed);
    let owned = if listed { inventory.files_by_owner() } else { vec![Vec::new(); inventory.components.len()] };
    let mut packages = Vec::with_capacity(ids.len());
    for ((component, id), files) in inventory.components.iter().zip(&ids).zip(&owned) {
        let files = files.iter().map(|at| &inventory.files[*at]);
        packages.push(package(inventory, component, id.clone(), files));
    }
    let mut relationships = Vec::new();
    let mut relate = |from: &str, kind: &'static str, to: &str, comment: Option<String>| {
        relationships.push(Relationship {
            spdx_element_id: from.to_owned(),
            relationship_type: kind,
            related_spdx_element: to.to_owned(),
            comment,
        });
    };
    relate("SPDXRef-DOCUMENT", "DESCRIBES", &ids[0], None);
    for (number, component) in inventory.components.iter().enumerate().skip(1) {
        if component.kind == Kind::Base {
            relate(&ids[0], "DESCENDANT_OF", &ids[number], None);
        }
        relate(&ids[inventory.above(number)], "CONTAINS", &ids[number], None);
    }
    for (component, id) in inventory.components.iter().zip(&ids) {
        for depends in &component.depends {
            let comment = depends.relation.as_ref().map(|relation| format!("for the relation {relation}"));
            relate(id, "DEPENDS_ON", &ids[depends.on], comment);
        }
    }
    let mut files = Vec::new();
    if listed {
        for file in &inventory.files {
            let id = format!("SPDXRef-File-{}", Inventory::file_id(file));
            relate(&ids[file.owner], "CONTAINS", &id, None);
            files.push(file_entry(inventory, file, id));
        }
    }
    let used: BTreeSet<&str> = inventory
        .components
        .iter()
        .flat_map(|component| [&component.licensing.declared, &component.licensing.concluded])
        .flatten()
        .flat_map(|expression| expression::references(expression))
        .collect();
    let texts = inventory.license_texts.iter().filter(|(id, _)| used.contains(id.as_str()));
    let namespace = inventory.namespace();
    let mut remarks = inventory.remarks.clone();
    let (external, document_namespace) = match listing {
        Files::Listed => (Vec::new(), namespace),
        Files::LeftOut => {
            remarks.push(format!(
                "The {} files are left out, since the document would be too large",
                inventory.files.len()
            ));
            (Vec::new(), format!("{namespace}-packages"))
        }
        Files::Elsewhere(full) => {
            let checksum = Checksum { algorithm: "SHA1", checksum_value: Sha1::of(full).hex() };
            remarks.push(format!(
                "The image has {} files; DocumentRef-files, of SHA-256 {}, lists them",
                inventory.files.len(),
                Digest::of(full).hex()
            ));
            let packages = format!("{namespace}-packages");
            let external =
                ExternalDocument { external_document_id: "DocumentRef-files", checksum, spdx_document: namespace };
            (vec![external], packages)
        }
    };
    let author = inventory.author.iter().map(|author| author.spdx());
    canon::ordered(&Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: "SPDXRef-DOCUMENT",
        name: &inventory.name,
        document_namespace,
        comment: (!remarks.is_empty()).then(|| remarks.join(". ")),
        creation_info: CreationInfo {
            created: inventory.created(),
            creators: author.chain([format!("Tool: {}", Inventory::tool())]).collect(),
            comment: match inventory.known {
                Known::Built => "SBOM Type: Build",
                Known::Analysed | Known::Scanned => "SBOM Type: Analyzed",
            },
        },
        external_document_refs: external,
        packages,
        files,
        relationships,
        has_extracted_licensing_infos: texts
            .map(|(id, text)| ExtractedLicense { license_id: id, name: &text.name, extracted_text: &text.text })
            .collect(),
    })
}

fn package<'a>(
    inventory: &Inventory,
    component: &'a Component,
    id: String,
    files: impl Iterator<Item = &'a File>,
) -> Package<'a> {
    let mut sums: Vec<String> = files.map(|file| file.sha1.hex()).collect();
    sums.sort_unstable();
    // 7.9: the SHA-1 of all files' SHA-1s, sorted and joined.
    let code = (!sums.is_empty()).then(|| Sha1::of(sums.concat().as_bytes()).hex());
    let licensing = &component.licensing;
    let mut checksums = Vec::new();
    if let Some(digest) = &component.sha256 {
        checksums.push(Checksum { algorithm: "SHA256", checksum_value: digest.hex() });
    }
    if let Some(sha512) = &component.sha512 {
        checksums.push(Checksum { algorithm: "SHA512", checksum_value: sha512.hex() });
    }
    let reference = |category, kind, locator: &'a Option<String>| {
        let reference_locator = locator.as_deref()?;
        Some(ExternalReference { reference_category: category, reference_type: kind, reference_locator })
    };
    let references =
        [reference("PACKAGE-MANAGER", "purl", &component.purl), reference("SECURITY", "cpe23Type", &component.cpe)];
    let source = match component.kind {
        Kind::Image if component.source.is_none() && inventory.known == Known::Built => {
            format!("built by {} from the packages and files that it contains", Inventory::tool())
        }
        Kind::Image => {
            let location = |source: &super::Source| source.location.clone().unwrap_or_else(|| source.sentence());
            component.source.as_ref().map(location).unwrap_or_default()
        }
        _ => component.source.as_ref().map(|source| source.sentence()).unwrap_or_default(),
    };
    Package {
        id,
        name: &component.name,
        version_info: &component.version,
        package_file_name: component.file_name.as_deref(),
        supplier: component.supplier.as_ref().map(|party| party.spdx()),
        originator: component.originator.as_ref().map(|party| party.spdx()),
        download_location: component.download.as_deref().unwrap_or(NOASSERTION),
        files_analyzed: code.is_some(),
        package_verification_code: code
            .map(|package_verification_code_value| VerificationCode { package_verification_code_value }),
        checksums,
        homepage: component.homepage.as_deref(),
        source_info: Some(source).filter(|source| !source.is_empty()),
        license_concluded: licensing.concluded.as_deref().unwrap_or(NOASSERTION),
        license_declared: licensing.declared.as_deref().unwrap_or(NOASSERTION),
        license_comments: licensing.comment.as_deref(),
        copyright_text: licensing.copyright.as_deref().unwrap_or(NOASSERTION),
        summary: component.summary.as_deref(),
        comment: note(component),
        external_refs: references.into_iter().flatten().collect(),
        primary_package_purpose: match component.kind {
            Kind::Image | Kind::Base => "CONTAINER",
            Kind::Spec => "APPLICATION",
            Kind::Debian | Kind::Language(_) => "LIBRARY",
        },
    }
}

/// Returns why a component is in, and what it names and does not need, in words.
pub(super) fn note(component: &Component) -> Option<String> {
    let mut parts = Vec::new();
    if !component.reason.is_empty() {
        parts.push(format!("in the image: {}", component.reason));
    }
    if !component.absent.is_empty() {
        parts.push(format!("not in the image, and not needed at run time: {}", component.absent.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn file_entry(inventory: &Inventory, file: &File, id: String) -> FileEntry {
    FileEntry {
        id,
        file_name: format!("./{}", file.path.as_str()),
        file_types: file.executable.then_some(["APPLICATION"]),
        checksums: [
            Checksum { algorithm: "SHA1", checksum_value: file.sha1.hex() },
            Checksum { algorithm: "SHA256", checksum_value: file.sha256.hex() },
        ],
        // BuildKit writes the layer here where nothing is said (its `sbom-protocol.md`).
        comment: (inventory.known != Known::Scanned).then(|| file.note()),
    }
}
