//! Documents of inventories made by hand: what no fixture has.

use serde_json::Value;

use super::*;
use crate::digest::{Digest, Sha1};

fn component(kind: Kind, name: &str, depends: &[usize]) -> Component {
    Component {
        kind,
        name: name.to_owned(),
        version: "1".to_owned(),
        architecture: None,
        supplier: None,
        originator: None,
        purl: None,
        cpe: None,
        sha256: None,
        sha512: None,
        file_name: None,
        source: None,
        homepage: None,
        download: None,
        summary: None,
        licensing: Licensing::default(),
        depends: depends.iter().map(|on| Depends { on: *on, relation: None }).collect(),
        absent: Vec::new(),
        reason: String::new(),
        layer: None,
        of_base: false,
        within: None,
    }
}

fn inventory(files: usize) -> Inventory {
    let mut base = component(Kind::Base, "base", &[2]);
    base.of_base = true;
    let mut below = component(Kind::Debian, "libc6", &[]);
    below.of_base = true;
    let mut language = component(Kind::Language("pypi"), "requests", &[]);
    language.within = Some(3);
    language.licensing.concluded = Some("LicenseRef-a OR MIT".to_owned());
    let components = vec![
        component(Kind::Image, "web", &[1, 3]),
        base,
        below,
        component(Kind::Debian, "python3-requests", &[2]),
        language,
        component(Kind::Debian, "a_b", &[]),
        component(Kind::Debian, "libc6", &[]),
    ];
    let file = |number: usize| File {
        path: ImagePath::parse(&format!("usr/{number:06}")).unwrap(),
        sha1: Sha1::of(b""),
        sha256: Digest::of(b""),
        size: 0,
        executable: false,
        owner: number % 4,
        origin: Origin::Base,
        reason: "base".to_owned(),
    };
    let texts = [("LicenseRef-a", "a"), ("LicenseRef-unused", "b")];
    let text = |(id, text): (&str, &str)| (id.to_owned(), LicenseText { name: "A".to_owned(), text: text.to_owned() });
    Inventory {
        name: "web".to_owned(),
        digest: Digest::of(b"manifest"),
        platform: "linux/amd64".to_owned(),
        created: 1_767_323_045,
        author: None,
        known: Known::Built,
        remarks: Vec::new(),
        distro: None,
        components,
        files: (0..files).map(file).collect(),
        license_texts: texts.map(text).into(),
    }
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn ids_are_unique_and_of_spdx_s_letters() {
    let ids = inventory(0).ids();
    assert_eq!(
        ids,
        ["image", "base", "base-deb-libc6", "deb-python3-requests", "pypi-requests", "deb-a-x5fb", "deb-libc6"]
    );
    let mut twice = inventory(0);
    twice.components.push(component(Kind::Debian, "libc6", &[]));
    assert_eq!(twice.ids().pop().unwrap(), "deb-libc6-2");
}

#[test]
fn what_is_attested_names_the_whole_where_files_are_many() {
    let few = inventory(MAX_ATTESTED_FILES);
    assert_eq!(spdx_packages(&few, &spdx(&few)), None);
    let many = inventory(MAX_ATTESTED_FILES + 1);
    let full = spdx(&many);
    let short = spdx_packages(&many, &full).unwrap();
    assert!(short.len() * 100 < full.len());
    let (full_document, document) = (parsed(&full), parsed(&short));
    assert!(document.get("files").is_none());
    let reference = &document["externalDocumentRefs"][0];
    assert_eq!(reference["spdxDocument"], full_document["documentNamespace"]);
    assert_ne!(document["documentNamespace"], full_document["documentNamespace"]);
    assert_eq!(reference["checksum"]["checksumValue"], Sha1::of(&full).hex());
    assert!(document["comment"].as_str().unwrap().contains(&Digest::of(&full).hex()));
    assert!(document["packages"].as_array().unwrap().iter().all(|package| package["filesAnalyzed"] == false));
    assert_eq!(document["packages"].as_array().unwrap().len(), full_document["packages"].as_array().unwrap().len());
}

#[test]
fn a_base_and_a_language_s_packages_hang_where_they_belong() {
    let inventory = inventory(8);
    let document = parsed(&spdx(&inventory));
    let relationships: Vec<String> = document["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| !one["relatedSpdxElement"].as_str().unwrap().contains("File-"))
        .map(|one| format!("{} {} {}", one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"]))
        .map(|line| line.replace(['"'], "").replace("SPDXRef-", ""))
        .collect();
    insta::assert_snapshot!(relationships.join("\n"), @r"
    DOCUMENT DESCRIBES image
    image DESCENDANT_OF base
    image CONTAINS base
    base CONTAINS base-deb-libc6
    image CONTAINS deb-python3-requests
    deb-python3-requests CONTAINS pypi-requests
    image CONTAINS deb-a-x5fb
    image CONTAINS deb-libc6
    image DEPENDS_ON base
    image DEPENDS_ON deb-python3-requests
    base DEPENDS_ON base-deb-libc6
    deb-python3-requests DEPENDS_ON base-deb-libc6
    ");
    // Only texts that something refers to; and a package without files is one that was not analysed.
    let texts = document["hasExtractedLicensingInfos"].as_array().unwrap();
    assert_eq!(texts.len(), 1);
    let analysed: Vec<bool> =
        document["packages"].as_array().unwrap().iter().map(|one| one["filesAnalyzed"].as_bool().unwrap()).collect();
    assert_eq!(analysed, [true, true, true, true, false, false, false]);
    // 7.9: SHA-1 over the sorted SHA-1s of the two files.
    let code = Sha1::of(Sha1::of(b"").hex().repeat(2).as_bytes()).hex();
    assert_eq!(document["packages"][0]["packageVerificationCode"]["packageVerificationCodeValue"], code.as_str());
}

#[test]
fn a_document_that_is_too_large_leaves_its_files_out_and_says_so() {
    let all = inventory(20);
    let full = spdx(&all);
    assert_eq!(spdx_within(&all, full.len()), full);
    let document = parsed(&spdx_within(&all, full.len() - 1));
    assert_eq!(document.get("files"), None);
    assert_eq!(document["comment"], "The 20 files are left out, since the document would be too large");
    assert!(document["packages"].as_array().unwrap().iter().all(|package| package["filesAnalyzed"] == false));
    assert_ne!(document["documentNamespace"], parsed(&full)["documentNamespace"]);
}

#[test]
fn an_analysed_image_claims_no_completeness() {
    let analysed = Inventory { known: Known::Analysed, ..inventory(1) };
    let document = parsed(&spdx(&analysed));
    assert_eq!(document["creationInfo"]["comment"], "SBOM Type: Analyzed");
    assert_eq!(document["creationInfo"]["creators"].as_array().unwrap().len(), 1, "no author is made up");
    let document = parsed(&cyclonedx(&analysed, Version::V1_6));
    assert_eq!(document["metadata"]["lifecycles"][0]["phase"], "discovery");
    assert!(!document["compositions"].to_string().contains("complete"));
    let document = String::from_utf8(spdx3(&analysed)).unwrap();
    assert!(document.contains("\"analyzed\"") && !document.contains("\"complete\""));
}

#[test]
fn one_image_has_one_uuid_and_another_has_another() {
    let one = inventory(0);
    let other = Inventory { digest: Digest::of(b"other"), ..inventory(0) };
    assert_eq!(one.uuid(), inventory(3).uuid());
    assert_ne!(one.uuid(), other.uuid());
    assert_eq!(one.uuid().get_version_num(), 5);
    assert!(one.namespace().ends_with(&one.uuid().to_string()));
}
