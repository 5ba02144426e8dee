//! Writes SPDX 3.0.1 as JSON-LD.
//!
//! Each component that is given out as a file has that file as its distribution artifact, with name, SHA-512 and what
//! kind of file it is: BSI TR-03183-2 asks for them there (`container` says that an archive keeps what it holds apart).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::spdx::note;
use super::{Component, File, Inventory, Kind, Known, Party, PartyKind, expression};
use crate::canon::{self, Sorted};

/// What `@context` names (SPDX 3.0.1, serialization in JSON-LD).
const CONTEXT: &str = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";
/// The one creation info.
const CREATION: &str = "_:creationInfo";

/// A document; fields are written in this order.
#[derive(Serialize)]
struct Document {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "@graph")]
    graph: Vec<Element>,
}

/// An element of the graph; objects are written in the order of their keys.
#[derive(Serialize)]
#[serde(untagged)]
enum Element {
    File(FileElement),
    Relationship(RelationshipElement),
    Other(#[serde(serialize_with = "sorted")] Value),
}

fn sorted<S: serde::Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    Sorted(value).serialize(serializer)
}

/// A file of the image; of these there are many.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileElement {
    comment: String,
    creation_info: &'static str,
    name: String,
    #[serde(rename = "software_primaryPurpose", skip_serializing_if = "Option::is_none")]
    purpose: Option<&'static str>,
    spdx_id: String,
    r#type: &'static str,
    verified_using: Vec<Hash>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hash {
    algorithm: &'static str,
    hash_value: String,
    r#type: &'static str,
}

fn hash(algorithm: &'static str, hash_value: String) -> Hash {
    Hash { algorithm, hash_value, r#type: "Hash" }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RelationshipElement {
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<&'static str>,
    creation_info: &'static str,
    from: String,
    relationship_type: &'static str,
    spdx_id: String,
    to: Vec<String>,
    r#type: &'static str,
}

/// Returns the SPDX 3.0.1 document that lists every file of the image.
pub fn spdx3(inventory: &Inventory) -> Vec<u8> {
    Writer::new(inventory).document()
}

struct Writer<'a> {
    inventory: &'a Inventory,
    namespace: String,
    /// Of each component, its id.
    ids: Vec<String>,
    graph: Vec<Element>,
    relationships: usize,
    /// Agents that stand in the graph, and their ids.
    agents: BTreeMap<Party, String>,
    /// Expressions that stand in the graph, and their ids.
    expressions: BTreeMap<String, String>,
    /// Ids of the texts that stand in the graph.
    texts: BTreeSet<String>,
    /// Sources that stand in the graph by location, and their ids.
    sources: BTreeMap<String, String>,
    complete: &'static str,
}

impl<'a> Writer<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let namespace = inventory.namespace();
        let ids = inventory.ids().iter().map(|id| format!("{namespace}#{id}")).collect();
        let complete = match inventory.known {
            Known::Built => "complete",
            Known::Analysed | Known::Scanned => "noAssertion",
        };
        Self {
            inventory,
            namespace,
            ids,
            graph: Vec::new(),
            relationships: 0,
            agents: BTreeMap::new(),
            expressions: BTreeMap::new(),
            texts: BTreeSet::new(),
            sources: BTreeMap::new(),
            complete,
        }
    }

    fn id(&self, name: &str) -> String {
        format!("{}#{name}", self.namespace)
    }

    /// Adds an element of this type and name, and returns its id.
    fn add(&mut self, kind: &str, id: String, mut fields: Value) -> String {
        fields["type"] = kind.into();
        fields["spdxId"] = id.clone().into();
        fields["creationInfo"] = CREATION.into();
        self.graph.push(Element::Other(fields));
        id
    }

    fn relate(&mut self, from: &str, kind: &'static str, to: Vec<String>, comment: Option<String>) {
        if to.is_empty() {
            return;
        }
        self.relationships += 1;
        let completeness = matches!(kind, "contains" | "dependsOn").then_some(self.complete);
        let spdx_id = self.id(&format!("relationship-{}", self.relationships));
        self.graph.push(Element::Relationship(RelationshipElement {
            comment,
            completeness,
            creation_info: CREATION,
            from: from.to_owned(),
            relationship_type: kind,
            spdx_id,
            to,
            r#type: "Relationship",
        }));
    }

    fn document(mut self) -> Vec<u8> {
        let inventory = self.inventory;
        let tool = self.id("tool");
        self.add("Tool", tool.clone(), json!({ "name": Inventory::tool() }));
        let author = match &inventory.author {
            Some(party) => self.agent(party),
            None => {
                let id = self.id("agent-tarsia");
                self.add("SoftwareAgent", id, json!({ "name": Inventory::tool() }))
            }
        };
        self.graph.push(Element::Other(json!({
            "type": "CreationInfo", "@id": CREATION, "specVersion": "3.0.1", "created": inventory.created(),
            "createdBy": [author], "createdUsing": [tool],
        })));
        for number in 0..inventory.components.len() {
            self.component(number);
        }
        self.files();
        self.relations();
        let sbom = self.id("sbom");
        let sbom_type = match inventory.known {
            Known::Built => "build",
            Known::Analysed | Known::Scanned => "analyzed",
        };
        let image = self.ids[0].clone();
        self.relate(&sbom, "describes", vec![image.clone()], None);
        let data_license = self.id("CC0-1.0");
        let license = json!({ "name": "CC0-1.0", "simplelicensing_licenseExpression": "CC0-1.0" });
        self.add("simplelicensing_LicenseExpression", data_license.clone(), license);
        let elements = self.element_ids();
        self.add(
            "software_Sbom",
            sbom.clone(),
            json!({ "name": inventory.name, "rootElement": [image], "element": elements,
                    "software_sbomType": [sbom_type], "profileConformance": PROFILES }),
        );
        let mut all = elements;
        all.push(sbom.clone());
        let mut document = json!({ "name": inventory.name, "rootElement": [sbom], "element": all,
                                   "dataLicense": data_license, "profileConformance": PROFILES });
        if !inventory.remarks.is_empty() {
            document["comment"] = inventory.remarks.join(". ").into();
        }
        self.add("SpdxDocument", self.namespace.clone(), document);
        canon::ordered(&Document { context: CONTEXT, graph: self.graph })
    }

    /// Returns the ids of all elements so far.
    fn element_ids(&self) -> Vec<String> {
        let ids = self.graph.iter().filter_map(|element| match element {
            Element::File(file) => Some(file.spdx_id.clone()),
            Element::Relationship(relationship) => Some(relationship.spdx_id.clone()),
            Element::Other(value) => value["spdxId"].as_str().map(str::to_owned),
        });
        ids.collect()
    }

    /// Adds a party once, and returns its id.
    fn agent(&mut self, party: &Party) -> String {
        if let Some(id) = self.agents.get(party) {
            return id.clone();
        }
        let id = self.id(&format!("agent-{}", self.agents.len() + 1));
        let kind = match party.kind {
            PartyKind::Person => "Person",
            PartyKind::Organization => "Organization",
        };
        let mut fields = json!({ "name": party.name });
        if let Some(email) = &party.email {
            fields["externalIdentifier"] = json!([identifier("email", email)]);
        }
        self.agents.insert(party.clone(), id.clone());
        self.add(kind, id, fields)
    }

    /// Adds a licence expression once, with the texts that it refers to, and returns its id.
    fn expression(&mut self, text: &str) -> String {
        if let Some(id) = self.expressions.get(text) {
            return id.clone();
        }
        let id = self.id(&format!("license-{}", self.expressions.len() + 1));
        self.expressions.insert(text.to_owned(), id.clone());
        let mut map = Vec::new();
        for reference in expression::references(text).collect::<BTreeSet<_>>() {
            let target = self.id(reference);
            map.push(json!({ "type": "DictionaryEntry", "key": reference, "value": target }));
            if let Some(text) = self.inventory.license_texts.get(reference)
                && self.texts.insert(reference.to_owned())
            {
                let fields = json!({ "name": text.name, "simplelicensing_licenseText": text.text });
                self.add("simplelicensing_SimpleLicensingText", target, fields);
            }
        }
        let mut fields = json!({ "name": text, "simplelicensing_licenseExpression": text });
        if !map.is_empty() {
            fields["simplelicensing_customIdToUri"] = map.into();
        }
        self.add("simplelicensing_LicenseExpression", id, fields)
    }

    fn component(&mut self, number: usize) {
        let component = &self.inventory.components[number];
        let mut fields = json!({
            "name": component.name,
            "software_packageVersion": component.version,
            "software_primaryPurpose": match component.kind {
                Kind::Image | Kind::Base => "container",
                Kind::Spec => "application",
                Kind::Debian | Kind::Language(_) => "library",
            },
        });
        let source = match (&component.source, component.kind) {
            (None, Kind::Image) if self.inventory.known == Known::Built => {
                Some(format!("built by {} from the packages and files that it contains", Inventory::tool()))
            }
            (source, _) => source.as_ref().map(|source| source.sentence()),
        };
        for (key, value) in [
            ("software_packageUrl", &component.purl),
            ("software_downloadLocation", &component.download),
            ("software_homePage", &component.homepage),
            ("software_copyrightText", &component.licensing.copyright),
            ("software_sourceInfo", &source),
            ("summary", &component.summary),
            ("comment", &note(component)),
        ] {
            if let Some(value) = value {
                fields[key] = value.as_str().into();
            }
        }
        if let Some(party) = &component.supplier {
            fields["suppliedBy"] = self.agent(party).into();
        }
        if let Some(party) = &component.originator {
            fields["originatedBy"] = json!([self.agent(party)]);
        }
        let names = [("packageUrl", &component.purl), ("cpe23", &component.cpe)];
        let names: Vec<Value> =
            names.iter().filter_map(|(kind, name)| Some(identifier(kind, name.as_deref()?))).collect();
        if !names.is_empty() {
            fields["externalIdentifier"] = names.into();
        }
        let hashes = hashes(component);
        if !hashes.is_empty() {
            fields["verifiedUsing"] = json!(hashes);
        }
        let id = self.ids[number].clone();
        self.add("software_Package", id.clone(), fields);
        if let Some(location) = component.source.as_ref().and_then(|source| source.location.as_deref()) {
            self.source(location, &id);
        }
        for (kind, expression) in [
            ("hasDeclaredLicense", &component.licensing.declared),
            ("hasConcludedLicense", &component.licensing.concluded),
        ] {
            if let Some(expression) = expression {
                let to = self.expression(expression);
                self.relate(&id, kind, vec![to], component.licensing.comment.clone());
            }
        }
        self.artifact(number, &id);
    }

    /// Adds where the source of a component is, once; a file, since nothing that was verified tells a digest of it, and
    /// nobody takes a file for an installed package.
    fn source(&mut self, location: &str, package: &str) {
        let id = match self.sources.get(location) {
            Some(id) => id.clone(),
            None => {
                let id = self.id(&format!("source-{}", self.sources.len() + 1));
                self.sources.insert(location.to_owned(), id.clone());
                let name = location.trim_end_matches('/').rsplit('/').next().unwrap_or(location);
                let fields = json!({
                    "name": name,
                    "software_primaryPurpose": "source",
                    "externalRef": [external("sourceArtifact", location)],
                });
                self.add("software_File", id, fields)
            }
        };
        self.relate(&id, "generates", vec![package.to_owned()], None);
    }

    /// Adds the file in which a component is given out.
    fn artifact(&mut self, number: usize, package: &str) {
        let component = &self.inventory.components[number];
        let Some(name) = &component.file_name else { return };
        let mut purposes: Vec<&str> = Vec::new();
        let executable = self.inventory.files.iter().any(|file| file.owner == number && file.executable);
        match component.kind {
            // An archive whose parts keep their names.
            Kind::Debian | Kind::Language(_) => purposes.extend(["archive", "container"]),
            Kind::Image | Kind::Base | Kind::Spec => purposes.push("container"),
        }
        if executable && component.kind != Kind::Image {
            purposes.push("executable");
        }
        let primary = match component.kind {
            Kind::Debian | Kind::Language(_) => "archive",
            Kind::Image | Kind::Base => "manifest",
            Kind::Spec => "file",
        };
        let mut fields = json!({
            "name": name,
            "software_primaryPurpose": primary,
            "software_additionalPurpose": purposes,
            "verifiedUsing": hashes(component),
        });
        if let Some(location) = &component.download {
            fields["externalRef"] = json!([external("binaryArtifact", location)]);
        }
        let id = self.add("software_File", format!("{package}-artifact"), fields);
        self.relate(package, "hasDistributionArtifact", vec![id], None);
    }

    fn files(&mut self) {
        for file in &self.inventory.files {
            let spdx_id = self.id(&format!("file-{}", Inventory::file_id(file)));
            self.graph.push(Element::File(file_element(file, spdx_id)));
        }
    }

    fn relations(&mut self) {
        let inventory = self.inventory;
        let owned = inventory.files_by_owner();
        let base = inventory.components.iter().position(|component| component.kind == Kind::Base);
        let mut contained = vec![Vec::new(); inventory.components.len()];
        for number in 1..inventory.components.len() {
            contained[inventory.above(number)].push(self.ids[number].clone());
        }
        for (number, files) in owned.into_iter().enumerate() {
            let files = files.iter().map(|at| self.id(&format!("file-{}", Inventory::file_id(&inventory.files[*at]))));
            let all = std::mem::take(&mut contained[number]).into_iter().chain(files).collect();
            let id = self.ids[number].clone();
            self.relate(&id, "contains", all, None);
        }
        for (number, component) in inventory.components.iter().enumerate() {
            let (choices, plain): (Vec<_>, Vec<_>) =
                component.depends.iter().partition(|depends| depends.relation.is_some());
            let id = self.ids[number].clone();
            let to = plain.iter().map(|depends| self.ids[depends.on].clone()).collect();
            self.relate(&id, "dependsOn", to, None);
            for depends in choices {
                let comment = depends.relation.as_ref().map(|relation| format!("for the relation {relation}"));
                let to = self.ids[depends.on].clone();
                self.relate(&id, "dependsOn", vec![to], comment);
            }
        }
        if let Some(base) = base {
            let (image, base) = (self.ids[0].clone(), self.ids[base].clone());
            self.relate(&base, "ancestorOf", vec![image], None);
        }
    }
}

/// What a document conforms to.
const PROFILES: [&str; 3] = ["core", "simpleLicensing", "software"];

fn identifier(kind: &str, name: &str) -> Value {
    json!({ "type": "ExternalIdentifier", "externalIdentifierType": kind, "identifier": name })
}

fn external(kind: &str, location: &str) -> Value {
    json!({ "type": "ExternalRef", "externalRefType": kind, "locator": [location] })
}

fn hashes(component: &Component) -> Vec<Value> {
    let sha256 = component.sha256.map(|digest| ("sha256", digest.hex()));
    let sha512 = component.sha512.map(|digest| ("sha512", digest.hex()));
    let all = sha256.into_iter().chain(sha512);
    all.map(|(algorithm, value)| json!({ "type": "Hash", "algorithm": algorithm, "hashValue": value })).collect()
}

fn file_element(file: &File, spdx_id: String) -> FileElement {
    FileElement {
        comment: file.note(),
        creation_info: CREATION,
        name: file.path.to_string(),
        purpose: file.executable.then_some("executable"),
        spdx_id,
        r#type: "software_File",
        verified_using: vec![hash("sha1", file.sha1.hex()), hash("sha256", file.sha256.hex())],
    }
}
