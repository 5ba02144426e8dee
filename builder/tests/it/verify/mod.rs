//! `verify`: what is signed and what is not, by everything that can be wrong with it.
//!
//! What stands in the registry is made by the rooms `sign` and `registry`, so that it can be wrong in ways that no
//! command of ours would make it.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use tarsia::attest::{self, Statement};
use tarsia::digest::Digest;
use tarsia::image::{Descriptor, MANIFEST, Reference};
use tarsia::registry::{CredentialFiles, EMPTY, EMPTY_BYTES, Options, ReferrerManifest, Registry, Repository};
use tarsia::sign::{Algorithm, BUNDLE, Bundle, ENVELOPE, Envelope, PrivateKey, SIMPLE_SIGNING, Signer, SimpleSigning};

use crate::program::{Place, Ran};
use crate::server::{Manners, Server};

mod judges;
mod offline;
mod rebuild;
mod required;
mod signatures;
mod sources;

const SPEC: &str = "version: 1\nname: web\nplatforms: [linux/amd64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";
const TWO: &str =
    "version: 1\nname: web\nplatforms: [linux/amd64, linux/arm64]\nfiles:\n  - {text: \"hi\\n\", to: /srv/motd}\n";

/// A registry with an image at `team/web:v1`, and the public keys `1.pub`, `2.pub`, `3.pub` beside.
struct World {
    place: Place,
    server: Server,
    registry: Registry,
    /// Digest of the image.
    digest: Digest,
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519, &Zeroizing::new([seed; 32])).unwrap()
}

impl World {
    fn new(spec: &str, manners: Manners) -> Self {
        let place = Place::new();
        place.write("web.yaml", spec);
        for seed in 1..=3 {
            place.write(&format!("{seed}.pub"), key(seed).public().to_pem());
        }
        let server = Server::start(manners);
        let options =
            Options { pause: Duration::from_millis(1), settle: Duration::from_millis(1), ..Options::default() };
        let registry = Registry::new(options, CredentialFiles::default());
        let to = format!("docker://{}/team/web:v1", server.host);
        let digest = place.ok(&["build", "web.yaml", "-o", &to, "-o", "web.oci"]).trim().parse().unwrap();
        Self { place, server, registry, digest }
    }

    fn repository(&self) -> Repository<'_> {
        self.registry.repository(&Reference::of_registry(&self.name()).unwrap())
    }

    fn name(&self) -> String {
        format!("{}/team/web", self.server.host)
    }

    fn image(&self) -> String {
        format!("docker://{}:v1", self.name())
    }

    /// Returns the descriptor of a document.
    fn descriptor(&self, digest: &Digest) -> Descriptor {
        self.repository().document(&digest.to_string()).unwrap().unwrap().descriptor()
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let open = || Ok(Box::new(std::io::Cursor::new(bytes.to_vec())) as Box<dyn Read + Send>);
        self.repository().push_blob(&Digest::of(bytes), bytes.len() as u64, None, &open).unwrap();
        Descriptor::of(media_type, bytes)
    }

    /// Puts a manifest of these blobs under one of cosign's tags.
    fn tag(&self, digest: &Digest, ending: &str, layers: Vec<Descriptor>) {
        self.blob(EMPTY, EMPTY_BYTES);
        let manifest = ReferrerManifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: String::new(),
            config: Descriptor::of(EMPTY, EMPTY_BYTES),
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        };
        let tag = format!("sha256-{}.{ending}", digest.hex());
        self.repository().put_document(&tag, MANIFEST, &manifest.to_bytes()).unwrap();
    }

    /// Signs as cosign does, under these references.
    fn sign_as(&self, digest: &Digest, keys: &[&PrivateKey], references: &[String]) {
        let mut layers = Vec::new();
        for key in keys {
            for reference in references {
                let simple = SimpleSigning { reference: reference.clone(), digest: *digest };
                let (payload, signature) = simple.sign(*key).unwrap();
                layers.push(self.payload(&payload, &signature));
            }
        }
        self.tag(digest, "sig", layers);
    }

    fn payload(&self, payload: &[u8], signature: &[u8]) -> Descriptor {
        let mut layer = self.blob(SIMPLE_SIGNING, payload);
        let signature = <base64ct::Base64 as base64ct::Encoding>::encode_string(signature);
        layer.annotations.insert("dev.cosignproject.cosign/signature".to_owned(), signature);
        layer
    }

    /// Signs as tarsia does: by tag and by digest.
    fn sign(&self, digest: &Digest, keys: &[&PrivateKey]) {
        let name = self.name();
        self.sign_as(digest, keys, &[format!("{name}:v1"), format!("{name}@{digest}")]);
    }

    /// Attaches a bundle.
    fn attach(&self, digest: &Digest, bundle: &[u8]) {
        self.blob(EMPTY, EMPTY_BYTES);
        let blob = self.blob(BUNDLE, bundle);
        let manifest = ReferrerManifest::new(BUNDLE, &self.descriptor(digest), blob, BTreeMap::new());
        self.repository().attach(&manifest).unwrap();
    }

    fn attest(&self, digest: &Digest, key: &PrivateKey, statement: &Statement) {
        self.attach(digest, &Bundle::sign(statement, key).unwrap().to_bytes());
    }

    fn verify(&self, arguments: &[&str]) -> Ran {
        let image = self.image();
        self.place.run(&[&["verify", &image][..], arguments].concat())
    }

    fn yes(&self, arguments: &[&str]) -> String {
        let ran = self.verify(arguments);
        assert_eq!(ran.status, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
        assert!(ran.out.ends_with("\nverified\n"), "{}", ran.out);
        ran.out
    }

    /// The answer is no, and says so.
    fn no(&self, arguments: &[&str], said: &str) {
        let ran = self.verify(arguments);
        assert_eq!(ran.status, 1, "{arguments:?}\n{}{}", ran.out, ran.err);
        assert!(ran.out.contains(said), "`{said}` is missing in\n{}", ran.out);
        assert!(ran.out.ends_with("\nnot verified\n"), "{}", ran.out);
    }

    /// It could not be told, and says why.
    fn unknown(&self, arguments: &[&str], said: &str) {
        let ran = self.verify(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}\n{}{}", ran.out, ran.err);
        let text = format!("{}{}", ran.out, ran.err);
        assert!(text.contains(said), "`{said}` is missing in\n{text}");
        assert!(!text.contains("\nverified"), "{text}");
    }
}

fn referrers() -> Manners {
    Manners { referrers: true, ..Manners::default() }
}

fn spdx(digest: &Digest) -> Value {
    json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "documentDescribes": ["SPDXRef-image"],
        "packages": [{"SPDXID": "SPDXRef-image", "externalRefs": [
            {"referenceLocator": format!("pkg:oci/web@{digest}")}]}]})
}

const KEY: [&str; 2] = ["--key", "1.pub"];
