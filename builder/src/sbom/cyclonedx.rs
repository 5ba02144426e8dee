//! Writes CycloneDX as JSON, in its versions 1.5, 1.6 (ECMA-424) and 1.7.
//!
//! Components are packages; files stand as occurrences of the package that they belong to, since a component per file
//! would need a supplier and a licence each. A distribution is a component of type `operating-system`, which is how
//! scanners tell what the packages belong to.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Component, Distro, Error, File, Inventory, Kind, Known, Party, expression, identity};
use crate::canon::{self, Sorted};

/// A version of CycloneDX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// 1.5, for readers that know nothing later.
    V1_5,
    /// 1.6.
    #[default]
    V1_6,
    /// 1.7.
    V1_7,
}

impl Version {
    /// Returns the version as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_5 => "1.5",
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
        }
    }

    /// Returns the version for a word: `1.6`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::V1_5, Self::V1_6, Self::V1_7].into_iter().find(|version| version.as_str() == word)
    }
}

/// A document; fields of all objects stand in the order of their names, so that a document that was read and written
/// again has the same bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: String,
    bom_format: &'static str,
    components: Vec<Entry<'a>>,
    #[serde(serialize_with = "sorted")]
    compositions: Value,
    dependencies: Vec<DependencyEntry>,
    metadata: Metadata<'a>,
    serial_number: String,
    spec_version: &'static str,
    version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authors: Vec<Contact<'a>>,
    component: Entry<'a>,
    #[serde(serialize_with = "sorted")]
    licenses: Value,
    lifecycles: [Lifecycle; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<Organization<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organization<'a>>,
    timestamp: String,
    #[serde(serialize_with = "sorted")]
    tools: Value,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize, Clone)]
struct Contact<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize, Clone)]
struct Organization<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contact: Vec<Contact<'a>>,
    name: &'a str,
}

/// A component.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    copyright: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpe: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "all_sorted")]
    licenses: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<Organization<'a>>,
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organization<'a>>,
    r#type: &'static str,
    version: &'a str,
}

#[derive(Serialize, Clone)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Reference {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    r#type: &'static str,
    url: String,
}

#[derive(Serialize)]
struct Evidence {
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "all_sorted")]
    licenses: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    occurrences: Vec<Occurrence>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Occurrence {
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_context: Option<String>,
    location: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DependencyEntry {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
    r#ref: String,
}

fn sorted<S: serde::Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    Sorted(value).serialize(serializer)
}

fn all_sorted<S: serde::Serializer>(values: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(Sorted))
}

/// Returns the CycloneDX 1.6 document `bytes`, one of [`cyclonedx`]'s, in another version: what [`cyclonedx`] writes in
/// that version.
///
/// # Errors
/// Bytes that are no CycloneDX 1.6 document.
pub fn cyclonedx_as(bytes: &[u8], version: Version) -> Result<Vec<u8>, Error> {
    let malformed = || Error::Malformed("CycloneDX 1.6");
    let mut document: Value = serde_json::from_slice(bytes).map_err(|_| malformed())?;
    if document["specVersion"] != Version::V1_6.as_str() || document["bomFormat"] != "CycloneDX" {
        return Err(malformed());
    }
    if version == Version::V1_6 {
        return Ok(bytes.to_vec());
    }
    document["specVersion"] = version.as_str().into();
    document["$schema"] = schema(version).into();
    let metadata = document.get_mut("metadata").and_then(Value::as_object_mut).ok_or_else(malformed)?;
    if version < Version::V1_6 {
        metadata.remove("manufacturer");
    }
    metadata.get_mut("component").into_iter().for_each(|component| convert(component, version));
    let components = document.get_mut("components").and_then(Value::as_array_mut);
    components.into_iter().flatten().for_each(|component| convert(component, version));
    Ok(canon::compact(&document))
}

/// Brings a component of 1.6 to another version.
fn convert(component: &mut Value, version: Version) {
    let Some(component) = component.as_object_mut() else { return };
    let list = |value: Option<Value>| match value {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    };
    let mut licenses = list(component.remove("licenses"));
    let mut evidence = component.remove("evidence").unwrap_or_else(|| json!({}));
    let mut observed = list(evidence.as_object_mut().and_then(|evidence| evidence.remove("licenses")));
    if version >= Version::V1_7 {
        observed.append(&mut licenses);
        licenses = std::mem::take(&mut observed);
    } else {
        component.remove("manufacturer");
        if licenses.len() > 1 {
            let concluded = licenses.split_off(1);
            observed = std::mem::replace(&mut licenses, concluded);
        }
        for license in licenses.iter_mut().chain(&mut observed) {
            if let Some(license) = license.as_object_mut() {
                license.remove("acknowledgement");
                license.get_mut("license").and_then(Value::as_object_mut).map(|one| one.remove("acknowledgement"));
            }
        }
        let occurrences = evidence.get_mut("occurrences").and_then(Value::as_array_mut);
        for occurrence in occurrences.into_iter().flatten().filter_map(Value::as_object_mut) {
            occurrence.remove("additionalContext");
        }
        let references = component.get_mut("externalReferences").and_then(Value::as_array_mut);
        for reference in references.into_iter().flatten() {
            if reference["type"] == "source-distribution" {
                reference["type"] = "other".into();
            }
        }
    }
    if !licenses.is_empty() {
        component.insert("licenses".to_owned(), licenses.into());
    }
    if !observed.is_empty() {
        evidence["licenses"] = observed.into();
    }
    if evidence.as_object().is_some_and(|evidence| !evidence.is_empty()) {
        component.insert("evidence".to_owned(), evidence);
    }
}

fn schema(version: Version) -> String {
    format!("http://cyclonedx.org/schema/bom-{}.schema.json", version.as_str())
}

/// Returns the CycloneDX document of an image.
pub fn cyclonedx(inventory: &Inventory, version: Version) -> Vec<u8> {
    let refs: Vec<String> = inventory.ids();
    let owned = inventory.files_by_owner();
    let mut entries = inventory.components.iter().zip(&refs).zip(&owned).map(|((component, bom_ref), files)| {
        let files: Vec<&File> = files.iter().map(|at| &inventory.files[*at]).collect();
        entry(component, bom_ref.clone(), &files, version)
    });
    let image = entries.next().expect("an inventory begins with the image");
    let mut components: Vec<Entry<'_>> = entries.collect();
    let distro_ref = "distro".to_owned();
    if let Some(distro) = &inventory.distro {
        components.push(operating_system(inventory, distro, distro_ref.clone(), version));
    }
    let mut dependencies: Vec<DependencyEntry> = inventory
        .components
        .iter()
        .zip(&refs)
        .map(|(component, bom_ref)| DependencyEntry {
            r#ref: bom_ref.clone(),
            depends_on: component.depends.iter().map(|depends| refs[depends.on].clone()).collect(),
        })
        .collect();
    if inventory.distro.is_some() {
        dependencies[0].depends_on.push(distro_ref.clone());
        dependencies.push(DependencyEntry { r#ref: distro_ref, depends_on: Vec::new() });
    }
    let all: Vec<&str> = dependencies.iter().map(|one| one.r#ref.as_str()).collect();
    let compositions = match inventory.known {
        Known::Built => json!([
            { "aggregate": "complete" },
            { "aggregate": "complete", "assemblies": [refs[0]] },
            { "aggregate": "complete", "dependencies": all },
        ]),
        Known::Analysed | Known::Scanned => json!([{ "aggregate": "unknown", "assemblies": [refs[0]] }]),
    };
    let author = inventory.author.as_ref();
    canon::ordered(&Document {
        schema: schema(version),
        bom_format: "CycloneDX",
        spec_version: version.as_str(),
        serial_number: format!("urn:uuid:{}", inventory.uuid()),
        version: 1,
        metadata: Metadata {
            timestamp: inventory.created(),
            lifecycles: [Lifecycle {
                phase: match inventory.known {
                    Known::Built => "build",
                    Known::Analysed | Known::Scanned => "discovery",
                },
            }],
            tools: json!({ "components": [{
                "type": "application", "name": "tarsia", "version": env!("CARGO_PKG_VERSION"),
            }] }),
            authors: author.map(contact).into_iter().collect(),
            component: image,
            manufacturer: author.filter(|_| version >= Version::V1_6).map(organization),
            supplier: author.map(organization),
            licenses: json!([{ "license": { "id": "CC0-1.0" } }]),
        },
        components,
        dependencies,
        compositions,
    })
}

fn contact(party: &Party) -> Contact<'_> {
    Contact { name: Some(&party.name), email: party.email.as_deref() }
}

fn organization(party: &Party) -> Organization<'_> {
    let contact = party.email.as_deref().map(|email| Contact { name: None, email: Some(email) });
    Organization { name: &party.name, contact: contact.into_iter().collect() }
}

fn entry<'a>(component: &'a Component, bom_ref: String, files: &[&'a File], version: Version) -> Entry<'a> {
    let hashes = hashes(component);
    let mut references = Vec::new();
    if let Some(url) = &component.homepage {
        references.push(Reference { r#type: "website", url: url.clone(), hashes: Vec::new() });
    }
    if let Some(url) = &component.download {
        references.push(Reference { r#type: "distribution", url: url.clone(), hashes: hashes.clone() });
    }
    if let Some(url) = component.source.as_ref().and_then(|source| source.location.clone()) {
        let kind = match component.kind {
            Kind::Image => "vcs",
            // 1.5 has no word for it.
            _ if version < Version::V1_6 => "other",
            _ => "source-distribution",
        };
        references.push(Reference { r#type: kind, url, hashes: Vec::new() });
    }
    let (licenses, observed) = licenses(component, version);
    let occurrences: Vec<Occurrence> = files
        .iter()
        .map(|file| Occurrence {
            location: file.path.to_string(),
            additional_context: (version >= Version::V1_6).then(|| file.note()),
        })
        .collect();
    let evidence =
        (!(observed.is_empty() && occurrences.is_empty())).then_some(Evidence { licenses: observed, occurrences });
    Entry {
        r#type: match component.kind {
            Kind::Image | Kind::Base => "container",
            Kind::Spec => "application",
            Kind::Debian | Kind::Language(_) => "library",
        },
        bom_ref,
        supplier: component.supplier.as_ref().map(organization),
        manufacturer: component.originator.as_ref().filter(|_| version >= Version::V1_6).map(organization),
        publisher: component.originator.as_ref().map(Party::mailbox),
        name: &component.name,
        version: &component.version,
        description: component.summary.as_deref(),
        hashes,
        licenses,
        copyright: component.licensing.copyright.as_deref(),
        cpe: component.cpe.as_deref().map(Cow::Borrowed),
        purl: component.purl.as_deref(),
        external_references: references,
        evidence,
        properties: properties(component, files),
    }
}

fn hashes(component: &Component) -> Vec<Hash> {
    let sha256 = component.sha256.map(|digest| Hash { alg: "SHA-256", content: digest.hex() });
    let sha512 = component.sha512.map(|digest| Hash { alg: "SHA-512", content: digest.hex() });
    sha256.into_iter().chain(sha512).collect()
}

/// Returns a component's licences, and what was observed beside them.
///
/// Up to 1.6 a component has either ids or one expression: the concluded one, unless both are the same id. The declared
/// one is what was observed. 1.7 lets both stand.
fn licenses(component: &Component, version: Version) -> (Vec<Value>, Vec<Value>) {
    let said = |expression: &str, how: &str| {
        let mut value = if expression::is_listed_id(expression) {
            json!({ "license": { "id": expression } })
        } else {
            json!({ "expression": expression })
        };
        if version >= Version::V1_6 {
            match value.get_mut("license") {
                Some(license) => license["acknowledgement"] = how.into(),
                None => value["acknowledgement"] = how.into(),
            }
        }
        value
    };
    let declared = component.licensing.declared.as_deref().map(|text| said(text, "declared"));
    let concluded = component.licensing.concluded.as_deref().map(|text| said(text, "concluded"));
    let ids = [&declared, &concluded].into_iter().flatten().all(|value| value.get("license").is_some());
    if version >= Version::V1_7 || version == Version::V1_6 && ids {
        return (declared.into_iter().chain(concluded).collect(), Vec::new());
    }
    match (declared, concluded) {
        (declared, Some(concluded)) => (vec![concluded], declared.into_iter().collect()),
        (declared, None) => (declared.into_iter().collect(), Vec::new()),
    }
}

/// Returns what CycloneDX has no fields for: ours under `tarsia:`, and what BSI TR-03183-2 asks for under the names of
/// its taxonomy.
fn properties(component: &Component, files: &[&File]) -> Vec<Property> {
    let mut all = Vec::new();
    let mut add = |name, value: String| all.push(Property { name, value });
    let executable = files.iter().any(|file| file.executable);
    let archive = matches!(component.kind, Kind::Debian | Kind::Language(_));
    if let Some(name) = &component.file_name {
        add("bsi:component:filename", name.clone());
    }
    add("bsi:component:executable", if executable { "executable" } else { "non-executable" }.to_owned());
    add("bsi:component:archive", if archive { "archive" } else { "no archive" }.to_owned());
    add("bsi:component:structured", "structured".to_owned());
    if let Some(license) = &component.licensing.concluded {
        add("bsi:component:effectiveLicence", license.clone());
    }
    if let Some(source) = &component.source {
        add("tarsia:source:name", source.name.clone());
        add("tarsia:source:version", source.version.clone());
    }
    if !component.reason.is_empty() {
        add("tarsia:reason", component.reason.clone());
    }
    if let Some(layer) = &component.layer {
        add("tarsia:layer", layer.to_string());
    }
    for name in &component.absent {
        add("tarsia:absent", name.clone());
    }
    for depends in &component.depends {
        if let Some(relation) = &depends.relation {
            add("tarsia:choice", relation.clone());
        }
    }
    if let Some(comment) = &component.licensing.comment {
        add("tarsia:license:comment", comment.clone());
    }
    all.retain(|property| !property.value.is_empty());
    all
}

/// Returns the distribution as a component. It is given out as nothing but its packages: what identifies it is its
/// `os-release`, whose digest stands for it, and whose package says the licence.
fn operating_system<'a>(inventory: &'a Inventory, distro: &'a Distro, bom_ref: String, version: Version) -> Entry<'a> {
    let file = inventory.files.iter().find(|file| file.path == distro.path);
    let package = file.map(|file| &inventory.components[file.owner]).filter(|owner| owner.kind == Kind::Debian);
    let (licenses, licenses_observed) = package.map(|package| licenses(package, version)).unwrap_or_default();
    let mut properties = vec![
        Property { name: "syft:distro:id", value: distro.id.clone() },
        Property { name: "syft:distro:prettyName", value: distro.pretty_name.clone() },
    ];
    if !distro.version.is_empty() {
        properties.push(Property { name: "syft:distro:versionID", value: distro.version.clone() });
    }
    Entry {
        r#type: "operating-system",
        bom_ref,
        supplier: package.and_then(|package| package.supplier.as_ref()).map(organization),
        manufacturer: None,
        publisher: None,
        name: &distro.id,
        version: &distro.version,
        description: Some(&distro.pretty_name),
        hashes: vec![Hash { alg: "SHA-256", content: distro.digest.hex() }],
        licenses,
        copyright: None,
        cpe: Some(Cow::Owned(identity::cpe_of_distro(&distro.id, &distro.version))),
        purl: None,
        external_references: Vec::new(),
        evidence: Some(Evidence {
            licenses: licenses_observed,
            occurrences: vec![Occurrence { location: distro.path.to_string(), additional_context: None }],
        }),
        properties,
    }
}
