//! What a signed statement holds: the kind of its predicate, whether that is what it claims to be, and of which image it
//! speaks inside.
//!
//! A document that names another image than the statement around it does is worth nothing, whoever signed it; so is
//! provenance of a type of build or with parameters that we do not know (SLSA v1.0, "Verifying artifacts": unknown external
//! parameters are refused).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::attest::{self, Statement};
use crate::digest::Digest;

/// The most values of a list that are looked through.
const MAX_VALUES: usize = 1_000_000;
/// The most byproducts of a provenance.
const MAX_BYPRODUCTS: usize = 64;

/// What a statement is about, by its predicate type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Predicate {
    /// An image signature.
    Signature,
    /// An SPDX 2 document.
    Spdx,
    /// An SPDX 3 document.
    Spdx3,
    /// A CycloneDX document.
    Cyclonedx,
    /// SLSA provenance.
    Provenance,
    /// A simple verification result.
    Verdict,
    /// Something else, by its URI.
    Other(String),
}

impl Predicate {
    /// Returns the kind of a predicate type.
    pub fn of(uri: &str) -> Self {
        match uri {
            attest::SIGNATURE => Self::Signature,
            attest::SPDX3 => Self::Spdx3,
            attest::SPDX => Self::Spdx,
            // in-toto's list of predicates puts the version behind it.
            versioned if versioned.starts_with("https://spdx.dev/Document/v2.") => Self::Spdx,
            attest::CYCLONEDX => Self::Cyclonedx,
            versioned if versioned.starts_with("https://cyclonedx.org/bom/v1.") => Self::Cyclonedx,
            attest::PROVENANCE => Self::Provenance,
            attest::VERIFICATION => Self::Verdict,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Returns what it is, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Signature => "an image signature".to_owned(),
            Self::Spdx => "an SPDX document".to_owned(),
            Self::Spdx3 => "an SPDX 3 document".to_owned(),
            Self::Cyclonedx => "a CycloneDX document".to_owned(),
            Self::Provenance => "provenance".to_owned(),
            Self::Verdict => "a verification result".to_owned(),
            Self::Other(uri) => format!("a `{uri}`"),
        }
    }

    /// Returns whether it is a list of what is in an image.
    pub fn is_sbom(&self) -> bool {
        matches!(self, Self::Spdx | Self::Spdx3 | Self::Cyclonedx)
    }
}

/// What a key said of an image beside that it signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The key's id.
    pub key: Digest,
    /// What it is.
    pub predicate: Predicate,
    /// Why it is not worth what it claims; `None` where it is.
    pub problem: Option<String>,
    /// What it says, in a few words.
    pub words: String,
    /// Whether it says that the image was built again bit for bit.
    pub reproduced: bool,
    /// What a provenance says was made beside the image, by media type and digest.
    pub byproducts: Vec<(String, Digest)>,
}

/// Reads what a key stated about the image `digest`, which is a subject of the statement.
pub(super) fn read(key: Digest, predicate: Predicate, statement: &Statement, digest: &Digest) -> Said {
    let nested;
    let value = match statement.predicate() {
        // Cosign's `spdx` puts the document in as a text.
        Value::String(text) => {
            nested = serde_json::from_str(text).unwrap_or_default();
            &nested
        }
        value => value,
    };
    let mut reproduced = false;
    let mut byproducts = Vec::new();
    let read = match &predicate {
        Predicate::Spdx => spdx(value, digest),
        Predicate::Spdx3 => spdx3(value, digest),
        Predicate::Cyclonedx => cyclonedx(value, digest),
        Predicate::Provenance => provenance(value).inspect(|_| byproducts = made_beside(value)),
        Predicate::Verdict => verdict(value).inspect(|_| reproduced = says_reproduced(value)),
        Predicate::Signature | Predicate::Other(_) => Ok(String::new()),
    };
    let (problem, words) = match read {
        Ok(words) => (None, words),
        Err(problem) => (Some(problem), String::new()),
    };
    Said { key, predicate, problem, words, reproduced, byproducts }
}

/// What a document says of itself: a few words, or what is wrong with it.
type Read = Result<String, String>;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten().take(MAX_VALUES)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Refuses a document that speaks of images by digest, and not of this one.
fn speaks_of(named: impl Iterator<Item = Digest>, digest: &Digest) -> Result<(), String> {
    let named: Vec<Digest> = named.collect();
    match named.first() {
        Some(other) if !named.contains(digest) => Err(format!("inside it speaks of another image, {other}")),
        _ => Ok(()),
    }
}

/// Returns the digest that a package URL names an image by (purl-spec, type `oci`).
fn image_of(purl: &str) -> Option<Digest> {
    let version = purl.strip_prefix("pkg:oci/")?.split_once('@')?.1;
    let version = version.split(['?', '#']).next().unwrap_or_default();
    version.replace("%3A", ":").replace("%3a", ":").parse().ok()
}

fn hex(text: &str) -> Option<Digest> {
    Digest::from_hex(text).ok()
}

/// SPDX 2.2 and 2.3, JSON.
fn spdx(document: &Value, digest: &Digest) -> Read {
    let version = text(document, "spdxVersion");
    if !version.starts_with("SPDX-2.") {
        return Err("its predicate is no SPDX 2 document".to_owned());
    }
    let packages = list(document, "packages").count();
    if text(document, "SPDXID") != "SPDXRef-DOCUMENT" || packages == 0 {
        return Err("its SPDX document describes no package".to_owned());
    }
    let mut roots: Vec<&str> = list(document, "documentDescribes").filter_map(Value::as_str).collect();
    roots.extend(list(document, "relationships").filter_map(|relation| {
        let (from, kind) = (text(relation, "spdxElementId"), text(relation, "relationshipType"));
        (from == "SPDXRef-DOCUMENT" && kind == "DESCRIBES").then(|| text(relation, "relatedSpdxElement"))
    }));
    let described = list(document, "packages").filter(|package| roots.contains(&text(package, "SPDXID")));
    let named = described.flat_map(|package| {
        let purls = list(package, "externalRefs").filter_map(|one| image_of(text(one, "referenceLocator")));
        let container = text(package, "primaryPackagePurpose") == "CONTAINER";
        let sums = list(package, "checksums").filter(move |_| container);
        let sums = sums.filter(|sum| text(sum, "algorithm") == "SHA256");
        purls.chain(sums.filter_map(|sum| hex(text(sum, "checksumValue")))).collect::<Vec<_>>()
    });
    speaks_of(named, digest)?;
    let files = list(document, "files").count();
    let files = if files == 0 { String::new() } else { format!(", {}", counted(files, "file")) };
    Ok(format!("{version}: {}{files}", counted(packages, "package")))
}

/// SPDX 3.0, JSON-LD in its serialised form of one graph.
fn spdx3(document: &Value, digest: &Digest) -> Read {
    let context = text(document, "@context");
    if !context.starts_with("https://spdx.org/rdf/3.") {
        return Err("its predicate is no SPDX 3 document".to_owned());
    }
    let of = |kind: &'static str| list(document, "@graph").filter(move |one| text(one, "type") == kind);
    let packages = of("software_Package").count();
    if of("SpdxDocument").count() != 1 || packages == 0 {
        return Err("its SPDX 3 document describes no package".to_owned());
    }
    // From the document to its SBOM, and from there to what that is of.
    let roots_of = |kind| of(kind).flat_map(|one| list(one, "rootElement")).filter_map(Value::as_str);
    let roots: Vec<&str> = roots_of("SpdxDocument").chain(roots_of("software_Sbom")).collect();
    let described = of("software_Package").filter(|package| roots.contains(&text(package, "spdxId")));
    let named = described.flat_map(|package| {
        let sums = list(package, "verifiedUsing").filter(|sum| text(sum, "algorithm") == "sha256");
        let container = text(package, "software_primaryPurpose") == "container";
        let sums = sums.filter(move |_| container).filter_map(|sum| hex(text(sum, "hashValue")));
        image_of(text(package, "software_packageUrl")).into_iter().chain(sums).collect::<Vec<_>>()
    });
    speaks_of(named, digest)?;
    Ok(format!("SPDX-3: {}", counted(packages, "package")))
}

/// CycloneDX 1.x, JSON.
fn cyclonedx(document: &Value, digest: &Digest) -> Read {
    let version = text(document, "specVersion");
    if text(document, "bomFormat") != "CycloneDX" || version.is_empty() {
        return Err("its predicate is no CycloneDX document".to_owned());
    }
    let root = &document["metadata"]["component"];
    let sums = list(root, "hashes").filter(|_| text(root, "type") == "container");
    let sums = sums.filter(|sum| text(sum, "alg") == "SHA-256").filter_map(|sum| hex(text(sum, "content")));
    speaks_of(image_of(text(root, "purl")).into_iter().chain(sums), digest)?;
    let components = list(document, "components").count();
    if components == 0 && root.is_null() {
        return Err("its CycloneDX document describes nothing".to_owned());
    }
    Ok(format!("CycloneDX {version}: {}", counted(components, "component")))
}

/// SLSA provenance v1, of the type of build that tarsia's own is.
fn provenance(predicate: &Value) -> Read {
    let definition = &predicate["buildDefinition"];
    let builder = text(&predicate["runDetails"]["builder"], "id");
    let build_type = text(definition, "buildType");
    if builder.is_empty() || build_type.is_empty() {
        return Err("it names no builder or no type of build".to_owned());
    }
    if build_type != attest::BUILD_TYPE {
        return Err(format!("its type of build is not known: `{build_type}`"));
    }
    let external = definition["externalParameters"].as_object();
    if let Some(unknown) = external.into_iter().flatten().map(|(name, _)| name).find(|name| !is_parameter(name)) {
        return Err(format!("it was built with a parameter that is not known: `{unknown}`"));
    }
    if external.is_none_or(|external| !external.contains_key("spec")) {
        return Err("it does not say from which spec it was built".to_owned());
    }
    let dependencies = list(definition, "resolvedDependencies").count();
    let relaxed: BTreeSet<&str> =
        list(&definition["internalParameters"], "relaxed").map(|relaxed| text(relaxed, "check")).collect();
    let relaxed = if relaxed.is_empty() {
        String::new()
    } else {
        format!(", with checks relaxed: {}", relaxed.into_iter().collect::<Vec<_>>().join(", "))
    };
    Ok(format!("built by `{builder}` from {}{relaxed}", counted(dependencies, "input")))
}

/// Returns the byproducts that SLSA provenance names by their SHA-256.
fn made_beside(predicate: &Value) -> Vec<(String, Digest)> {
    let all = list(&predicate["runDetails"], "byproducts").take(MAX_BYPRODUCTS);
    all.filter_map(|one| Some((text(one, "mediaType").to_owned(), hex(text(&one["digest"], "sha256"))?))).collect()
}

/// Returns whether an external parameter is one of those that [`attest::BUILD_TYPE`] has.
fn is_parameter(name: &str) -> bool {
    matches!(name, "spec" | "platform" | "variant")
}

/// A simple verification result (in-toto attestation framework, SVR v0.2).
fn verdict(predicate: &Value) -> Read {
    let verifier = text(&predicate["verifier"], "id");
    if verifier.is_empty() {
        return Err("it names no verifier".to_owned());
    }
    Ok(format!("by `{verifier}`"))
}

/// Returns whether a verification result says that building again gave the same bits. Each rebuilder may put a name of its
/// own before it (SVR v0.2 leaves properties to the verifier).
fn says_reproduced(predicate: &Value) -> bool {
    let ending = &attest::REPRODUCED["TARSIA".len()..];
    list(predicate, "properties").filter_map(Value::as_str).any(|property| property.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn images_are_named_by_package_urls() {
        let digest = Digest::of(b"");
        for purl in [format!("pkg:oci/web@{digest}?arch=amd64"), format!("pkg:oci/web@sha256%3A{}", digest.hex())] {
            assert_eq!(image_of(&purl), Some(digest));
        }
        for purl in ["pkg:deb/debian/libc6@2.36", "pkg:oci/web", "pkg:oci/web@1.2", ""] {
            assert_eq!(image_of(purl), None, "{purl}");
        }
    }

    #[test]
    fn documents_are_what_their_type_says_and_of_this_image() {
        let (own, other) = (Digest::of(b"own"), Digest::of(b"other"));
        let spdx = |digest: &Digest| {
            json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT",
                "packages": [{"SPDXID": "SPDXRef-image", "primaryPackagePurpose": "CONTAINER",
                    "checksums": [{"algorithm": "SHA256", "checksumValue": digest.hex()}]},
                    {"SPDXID": "SPDXRef-base", "externalRefs": [
                        {"referenceLocator": format!("pkg:oci/base@{other}")}]}],
                "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                    "relatedSpdxElement": "SPDXRef-image"}]})
        };
        let cyclonedx = |digest: &Digest| {
            json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}],
                "metadata": {"component": {"type": "container", "purl": format!("pkg:oci/web@{digest}")}}})
        };
        let spdx3 = |digest: &Digest| {
            json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [
                {"type": "SpdxDocument", "rootElement": ["s"]},
                {"type": "software_Sbom", "spdxId": "s", "rootElement": ["p"]},
                {"type": "software_Package", "spdxId": "p", "software_packageUrl": format!("pkg:oci/web@{digest}")}]})
        };
        let slsa = |parameter: &str, build_type: &str| {
            json!({"buildDefinition": {"buildType": build_type, "externalParameters": {"spec": {}, parameter: "x"},
                "resolvedDependencies": [{}]}, "runDetails": {"builder": {"id": "https://example.org/builder"}}})
        };
        let judge = |uri: &str, predicate: Value| {
            let statement = Statement::new("web", own, uri, predicate);
            read(Digest::of(b"key"), Predicate::of(uri), &statement, &own)
        };
        for (uri, good, wrong) in [
            (attest::SPDX, spdx(&own), spdx(&other)),
            ("https://spdx.dev/Document/v2.3", Value::String(spdx(&own).to_string()), json!({})),
            (attest::SPDX3, spdx3(&own), spdx3(&other)),
            (attest::CYCLONEDX, cyclonedx(&own), cyclonedx(&other)),
            (attest::PROVENANCE, slsa("variant", attest::BUILD_TYPE), slsa("mirror", attest::BUILD_TYPE)),
            (attest::PROVENANCE, slsa("platform", attest::BUILD_TYPE), slsa("variant", "https://example.org/x")),
        ] {
            let said = judge(uri, good);
            assert!(said.problem.is_none() && !said.words.is_empty(), "{uri} {said:?}");
            assert!(judge(uri, wrong).problem.is_some(), "{uri}");
        }
        // A document under the type of another.
        for (uri, predicate) in [
            (attest::SPDX, cyclonedx(&own)),
            (attest::SPDX3, spdx(&own)),
            (attest::CYCLONEDX, spdx3(&own)),
            (attest::PROVENANCE, spdx(&own)),
            (attest::SPDX, json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": []})),
            (attest::SPDX, Value::String("SPDXVersion: SPDX-2.3".to_owned())),
            (attest::VERIFICATION, json!({})),
        ] {
            assert!(judge(uri, predicate.clone()).problem.is_some(), "{uri} {predicate}");
        }
    }
}
