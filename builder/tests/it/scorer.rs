//! Scores an SBOM as sbomqs 2.0 weighs it: seven categories, each a sum of shares of components, out of ten. What a
//! format has no field for leaves the sum.

use std::collections::BTreeMap;

use serde_json::Value;

/// What one component says, whatever the format.
#[derive(Debug, Default, Clone)]
struct Part {
    name: bool,
    version: bool,
    id: bool,
    supplier: bool,
    purpose: bool,
    source: bool,
    strong: bool,
    weak: bool,
    concluded: Option<String>,
    declared: Option<String>,
    names: bool,
}

/// What the document says of itself; `None` where the format has no field for it.
#[derive(Debug, Default)]
struct Whole {
    timestamp: bool,
    author: bool,
    tool: bool,
    supplier: Option<bool>,
    namespace: bool,
    lifecycle: Option<bool>,
    signature: Option<bool>,
    dependencies: Option<f64>,
    complete: Option<bool>,
    primary: bool,
    data_license: bool,
    structure: bool,
}

/// A score with what it is made of.
#[derive(Debug)]
pub(crate) struct Score {
    /// Out of ten.
    pub(crate) total: f64,
    /// By category, out of ten.
    pub(crate) categories: Vec<(&'static str, f64)>,
}

/// Scores a document of any of the three formats.
pub(crate) fn score(bytes: &[u8]) -> Score {
    let document: Value = serde_json::from_slice(bytes).unwrap();
    let (whole, parts) = if document["bomFormat"] == "CycloneDX" {
        cyclonedx(&document)
    } else if document["spdxVersion"] == "SPDX-2.3" {
        spdx(&document)
    } else {
        spdx3(&document)
    };
    weigh(&whole, &parts)
}

/// A category: its name, its weight, and of each feature the weight and the share that has it.
type Category = (&'static str, f64, Vec<(f64, Option<f64>)>);

fn weigh(whole: &Whole, parts: &[Part]) -> Score {
    assert!(!parts.is_empty());
    let share = |has: &dyn Fn(&Part) -> bool| parts.iter().filter(|part| has(part)).count() as f64 / parts.len() as f64;
    let yes = |said: bool| Some(f64::from(u8::from(said)));
    let hashed = parts.iter().filter(|part| part.strong || part.weak).count().max(1) as f64;
    let strong = parts.iter().filter(|part| part.strong).count() as f64 / hashed;
    let concluded = |part: &Part| part.concluded.as_deref().is_some_and(is_said);
    let valid = |part: &Part| {
        part.concluded.as_deref().is_some_and(|text| is_said(text) && spdx::Expression::parse(text).is_ok())
    };
    let listed = |part: &Part| valid(part) && !part.concluded.as_deref().unwrap_or_default().contains("LicenseRef-");
    let free = |part: &Part| concluded(part) && !is_restrictive(part.concluded.as_deref().unwrap_or_default());
    let categories: [Category; 7] = [
        (
            "identification",
            10.0,
            vec![
                (0.4, Some(share(&|part| part.name))),
                (0.35, Some(share(&|part| part.version))),
                (0.25, Some(share(&|part| part.id))),
            ],
        ),
        (
            "provenance",
            12.0,
            vec![
                (0.2, yes(whole.timestamp)),
                (0.2, yes(whole.author)),
                (0.2, yes(whole.tool)),
                (0.15, whole.supplier.and_then(yes)),
                (0.15, yes(whole.namespace)),
                (0.1, whole.lifecycle.and_then(yes)),
            ],
        ),
        (
            "integrity",
            15.0,
            vec![(0.5, Some(share(&|part| part.strong))), (0.4, Some(strong)), (0.1, whole.signature.and_then(yes))],
        ),
        (
            "completeness",
            12.0,
            vec![
                (0.25, whole.dependencies),
                (0.15, whole.complete.and_then(yes)),
                (0.2, yes(whole.primary)),
                (0.15, Some(share(&|part| part.source))),
                (0.15, Some(share(&|part| part.supplier))),
                (0.1, Some(share(&|part| part.purpose))),
            ],
        ),
        (
            "licensing",
            15.0,
            vec![
                (0.2, Some(share(&concluded))),
                (0.2, Some(share(&valid))),
                (0.2, Some(share(&listed))),
                (0.2, Some(share(&free))),
                (0.15, Some(share(&|part| part.declared.as_deref().is_some_and(is_said)))),
                (0.1, yes(whole.data_license)),
            ],
        ),
        ("vulnerability", 10.0, vec![(1.0, Some(share(&|part| part.names)))]),
        ("structural", 8.0, vec![(1.0, yes(whole.structure))]),
    ];
    let mut shown = Vec::new();
    let (mut sum, mut weights) = (0.0, 0.0);
    for (name, weight, features) in categories {
        let there: Vec<(f64, f64)> =
            features.into_iter().filter_map(|(weight, value)| Some((weight, value?))).collect();
        let value = there.iter().map(|(weight, value)| weight * value).sum::<f64>()
            / there.iter().map(|(weight, _)| weight).sum::<f64>();
        shown.push((name, 10.0 * value));
        sum += weight * value;
        weights += weight;
    }
    Score { total: 10.0 * sum / weights, categories: shown }
}

fn is_said(text: &str) -> bool {
    !matches!(text, "" | "NOASSERTION" | "NONE")
}

/// Families that AboutCode files under copyleft, limited copyleft or restricted.
fn is_restrictive(expression: &str) -> bool {
    const FAMILIES: [&str; 14] = [
        "GPL-",
        "LGPL-",
        "AGPL-",
        "MPL-",
        "Artistic-",
        "GFDL-",
        "EPL-",
        "CDDL-",
        "CC-BY-SA-",
        "CC-BY-NC-",
        "EUPL-",
        "OSL-",
        "SSPL-",
        "Sleepycat",
    ];
    expression.split([' ', '(', ')']).any(|id| FAMILIES.iter().any(|family| id.starts_with(family)))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).filter(|text| !text.is_empty())
}

fn has(value: &Value) -> bool {
    text(value).is_some()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
}

fn is_strong(algorithm: &str) -> bool {
    let plain = algorithm.to_uppercase().replace(['-', '_'], "");
    matches!(plain.as_str(), "SHA224" | "SHA256" | "SHA384" | "SHA512")
}

fn is_name(locator: &str) -> bool {
    locator.starts_with("pkg:") && locator.contains('/')
        || locator.starts_with("cpe:2.3:") && locator.matches(':').count() >= 12
}

fn spdx(document: &Value) -> (Whole, Vec<Part>) {
    let creators: Vec<&str> = list(&document["creationInfo"]["creators"]).filter_map(Value::as_str).collect();
    let versioned = |creator: &&str| {
        creator
            .strip_prefix("Tool: ")
            .and_then(|tool| tool.rsplit_once('-'))
            .is_some_and(|(_, version)| version.contains('.'))
    };
    let whole = Whole {
        timestamp: is_time(&document["creationInfo"]["created"]),
        author: creators.iter().any(|creator| !creator.starts_with("Tool: ")),
        tool: creators.iter().any(versioned),
        namespace: has(&document["documentNamespace"]),
        primary: list(&document["relationships"]).any(|one| one["relationshipType"] == "DESCRIBES"),
        data_license: document["dataLicense"] == "CC0-1.0",
        structure: true,
        ..Whole::default()
    };
    let parts = list(&document["packages"]).map(|package| {
        let checksums: Vec<&str> = list(&package["checksums"]).filter_map(|sum| sum["algorithm"].as_str()).collect();
        Part {
            name: has(&package["name"]),
            version: has(&package["versionInfo"]),
            id: has(&package["SPDXID"]),
            supplier: text(&package["supplier"]).is_some_and(|text| is_said(&text)),
            purpose: has(&package["primaryPackagePurpose"]),
            source: has(&package["sourceInfo"]),
            strong: checksums.iter().any(|algorithm| is_strong(algorithm)),
            weak: !checksums.is_empty(),
            concluded: text(&package["licenseConcluded"]),
            declared: text(&package["licenseDeclared"]),
            names: list(&package["externalRefs"])
                .any(|one| is_name(one["referenceLocator"].as_str().unwrap_or_default())),
        }
    });
    (whole, parts.collect())
}

fn cyclonedx(document: &Value) -> (Whole, Vec<Part>) {
    let metadata = &document["metadata"];
    let primary = &metadata["component"];
    let complete: Vec<&Value> = list(&document["compositions"]).filter(|one| one["aggregate"] == "complete").collect();
    let declared: Vec<&str> =
        complete.iter().flat_map(|one| list(&one["dependencies"])).filter_map(Value::as_str).collect();
    // The primary component, what it depends on directly, and of these what has dependencies itself.
    let depends = |bom_ref: &str| -> Vec<String> {
        let own = list(&document["dependencies"]).find(|one| one["ref"] == bom_ref);
        own.map(|own| list(&own["dependsOn"]).filter_map(text).collect()).unwrap_or_default()
    };
    let root = text(&primary["bom-ref"]).unwrap_or_default();
    let mut relevant = depends(&root);
    relevant.push(root);
    relevant.retain(|bom_ref| !depends(bom_ref).is_empty());
    let told = relevant.iter().filter(|bom_ref| declared.contains(&bom_ref.as_str())).count();
    let whole = Whole {
        timestamp: is_time(&metadata["timestamp"]),
        author: list(&metadata["authors"]).any(|author| has(&author["name"]) || has(&author["email"])),
        tool: list(&metadata["tools"]["components"]).any(|tool| has(&tool["name"]) && has(&tool["version"])),
        supplier: Some(has(&metadata["supplier"]["name"])),
        namespace: has(&document["serialNumber"]),
        lifecycle: Some(list(&metadata["lifecycles"]).any(|one| has(&one["phase"]))),
        signature: Some(document["signature"].is_object()),
        dependencies: Some(if relevant.is_empty() { 0.0 } else { told as f64 / relevant.len() as f64 }),
        complete: Some(complete.iter().any(|one| one.as_object().is_some_and(|one| one.len() == 1))),
        primary: has(&primary["name"]),
        data_license: list(&metadata["licenses"]).any(|one| one["license"]["id"] == "CC0-1.0"),
        structure: true,
    };
    let license = |component: &Value, how: &str| {
        list(&component["licenses"]).find_map(|one| {
            let expression = text(&one["expression"]).or_else(|| text(&one["license"]["id"]))?;
            let said = text(&one["acknowledgement"]).or_else(|| text(&one["license"]["acknowledgement"]));
            (said.as_deref().unwrap_or("concluded") == how).then_some(expression)
        })
    };
    let parts = std::iter::once(primary).chain(list(&document["components"])).map(|component| {
        let hashes: Vec<&str> = list(&component["hashes"]).filter_map(|hash| hash["alg"].as_str()).collect();
        let source = |one: &Value| matches!(one["type"].as_str(), Some("source-distribution" | "vcs"));
        Part {
            name: has(&component["name"]),
            version: has(&component["version"]),
            id: has(&component["bom-ref"]),
            supplier: has(&component["supplier"]["name"]),
            purpose: has(&component["type"]),
            source: list(&component["externalReferences"]).any(|one| source(one) && has(&one["url"])),
            strong: hashes.iter().any(|algorithm| is_strong(algorithm)),
            weak: !hashes.is_empty(),
            concluded: license(component, "concluded"),
            declared: license(component, "declared"),
            names: [&component["purl"], &component["cpe"]].into_iter().filter_map(Value::as_str).any(is_name),
        }
    });
    (whole, parts.collect())
}

fn spdx3(document: &Value) -> (Whole, Vec<Part>) {
    let graph: Vec<&Value> = list(&document["@graph"]).collect();
    let by_id: BTreeMap<&str, &Value> =
        graph.iter().filter_map(|element| Some((element["spdxId"].as_str()?, *element))).collect();
    let of = |kind: &str| graph.iter().copied().filter(|element| element["type"] == kind).collect::<Vec<_>>();
    let creation = of("CreationInfo")[0];
    let spdx_document = of("SpdxDocument")[0];
    let sbom = of("software_Sbom")[0];
    let named = |id: &Value| id.as_str().and_then(|id| by_id.get(id)).copied().unwrap_or(&Value::Null);
    let relationships = of("Relationship");
    let license = |package: &Value, kind: &str| {
        let found =
            relationships.iter().find(|one| one["relationshipType"] == kind && one["from"] == package["spdxId"])?;
        text(&named(&found["to"][0])["simplelicensing_licenseExpression"])
    };
    let edges: Vec<&&Value> = relationships
        .iter()
        .filter(|one| one["relationshipType"] == "dependsOn" || one["relationshipType"] == "contains")
        .collect();
    let told = edges.iter().filter(|one| one["completeness"] == "complete").count();
    let whole = Whole {
        timestamp: is_time(&creation["created"]),
        author: list(&creation["createdBy"])
            .any(|id| matches!(named(id)["type"].as_str(), Some("Organization" | "Person"))),
        tool: list(&creation["createdUsing"]).any(|id| text(&named(id)["name"]).is_some_and(|name| name.contains('-'))),
        namespace: has(&spdx_document["spdxId"]),
        lifecycle: Some(list(&sbom["software_sbomType"]).next().is_some()),
        dependencies: Some(if edges.is_empty() { 0.0 } else { told as f64 / edges.len() as f64 }),
        complete: Some(!edges.is_empty() && told == edges.len()),
        primary: list(&sbom["rootElement"]).any(|id| named(id)["type"] == "software_Package"),
        data_license: named(&spdx_document["dataLicense"])["simplelicensing_licenseExpression"] == "CC0-1.0",
        structure: true,
        ..Whole::default()
    };
    let parts = of("software_Package").into_iter().map(|package| {
        let hashes: Vec<&str> = list(&package["verifiedUsing"]).filter_map(|hash| hash["algorithm"].as_str()).collect();
        Part {
            name: has(&package["name"]),
            version: has(&package["software_packageVersion"]),
            id: has(&package["spdxId"]),
            supplier: has(&named(&package["suppliedBy"])["name"]),
            purpose: has(&package["software_primaryPurpose"]),
            source: has(&package["software_sourceInfo"]),
            strong: hashes.iter().any(|algorithm| is_strong(algorithm)),
            weak: !hashes.is_empty(),
            concluded: license(package, "hasConcludedLicense"),
            declared: license(package, "hasDeclaredLicense"),
            names: list(&package["externalIdentifier"])
                .any(|one| is_name(one["identifier"].as_str().unwrap_or_default())),
        }
    });
    (whole, parts.collect())
}

/// The scorer knows a bad document from a good one: what is taken away lowers it by its weight.
#[test]
fn what_a_document_lacks_costs_what_it_weighs() {
    let good = Part {
        name: true,
        version: true,
        id: true,
        supplier: true,
        purpose: true,
        source: true,
        strong: true,
        weak: true,
        concluded: Some("MIT".to_owned()),
        declared: Some("MIT".to_owned()),
        names: true,
    };
    let whole = || Whole {
        timestamp: true,
        author: true,
        tool: true,
        namespace: true,
        primary: true,
        data_license: true,
        structure: true,
        ..Whole::default()
    };
    let of = |whole: &Whole, parts: &[Part]| (weigh(whole, parts).total * 1000.0).round() / 1000.0;
    assert_eq!(of(&whole(), std::slice::from_ref(&good)), 10.0);
    // Half of the components without a name that scanners know: half of 10 of 82.
    let unnamed = Part { names: false, ..good.clone() };
    assert_eq!(of(&whole(), &[good.clone(), unnamed]), 9.39);
    let copyleft = Part { concluded: Some("GPL-2.0-or-later".to_owned()), ..good.clone() };
    assert_eq!(
        of(&whole(), &[copyleft]),
        (10.0 - 10.0 * 15.0 * 0.2 / 1.05 / 82.0_f64).mul_add(1000.0, 0.0).round() / 1000.0
    );
    assert!(of(&Whole { author: false, ..whole() }, &[good]) < 9.7);
    assert!(weigh(&Whole::default(), &[Part::default()]).total < 0.1);
}
