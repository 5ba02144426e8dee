//! An image in a registry, and what is attached to it: signatures, attestations, documents.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;

use base64ct::{Base64, Encoding as _};

use crate::attest::{self, Statement};
use crate::diag::Problems;
use crate::digest::Digest;
use crate::evidence::{Document, Evidence};
use crate::image::{Descriptor, INDEX, Index, MANIFEST, OpenImage, Reference};
use crate::registry::{CosignLayer, CosignTag, EMPTY_BYTES, ReferrerManifest, Registry, Repository, documents};
use crate::sign::{BUNDLE, Bundle, ENVELOPE, PublicKey, SIMPLE_SIGNING, Signer, SimpleSigning};
use crate::spec::Platform;

use super::{Error, shown};

/// Annotation of a `.sig` or `.att` layer.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Annotation of an `.att` layer.
const PREDICATE: &str = "predicateType";
/// Annotations of a bundle's manifest, as cosign 3 writes and wants them.
const BUNDLE_CONTENT: (&str, &str) = ("dev.sigstore.bundle.content", "dsse-envelope");
const BUNDLE_PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// Annotation of a blob that is a file: its name.
const TITLE: &str = "org.opencontainers.image.title";
/// The most manifests of an index that are signed.
const MAX_MANIFESTS: usize = 64;
/// What is done to a registry at once.
const AT_ONCE: usize = 8;
/// The most bytes of a bundle that is read, to see whether it says what is to be said.
const MAX_BUNDLE: u64 = 96 << 20;

/// An image of a registry by its documents: each manifest, then the index over several; the last is the whole.
pub(super) struct Published<'a> {
    pub(super) repository: Repository<'a>,
    pub(super) reference: Reference,
    pub(super) documents: Vec<(Descriptor, Vec<u8>)>,
}

/// A signed statement, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) subject: Descriptor,
    pub(super) predicate_type: String,
    pub(super) bundle: Bundle,
}

/// Something that is to be attached to a manifest, with its blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attachment {
    pub(super) manifest: ReferrerManifest,
    blob: Blob,
}

/// Where the bytes of something attached are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Blob {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl<'a> Published<'a> {
    /// Reads what a reference names, down to its manifests; each is checked against its digest.
    pub(super) fn open(registry: &'a Registry, reference: &Reference) -> Result<Self, Error> {
        let repository = registry.repository(reference);
        let invalid = |problem: String| Error::Published { reference: reference.to_string(), problem };
        let wanted = reference.wanted();
        let whole = repository.document(&wanted)?.ok_or_else(|| invalid(format!("there is no `{wanted}`")))?;
        if let (Some(tag), Some(digest)) = (reference.tag(), reference.digest())
            && repository.resolve(tag)? != Some(*digest)
        {
            return Err(invalid(format!("its tag `{tag}` names another image than its digest")));
        }
        let mut documents = Vec::new();
        if is_index(&whole.media_type) {
            let index: Index = serde_json::from_slice(&whole.bytes)
                .map_err(|error| invalid(format!("its index is malformed: {error}")))?;
            let listed: Vec<Descriptor> = index.manifests.into_iter().filter(is_image).collect();
            if listed.len() > MAX_MANIFESTS {
                return Err(invalid(format!("its index lists {} images, more than {MAX_MANIFESTS}", listed.len())));
            }
            for one in listed {
                let found = repository.document(&one.digest.to_string())?;
                let found = found.ok_or_else(|| invalid(format!("its manifest {} is missing", one.digest)))?;
                documents.push((Descriptor { platform: one.platform, ..found.descriptor() }, found.bytes));
            }
        }
        documents.push((whole.descriptor(), whole.bytes));
        Ok(Self { repository, reference: reference.clone(), documents })
    }

    /// Returns an image that has been, or is about to be, pushed to `reference`.
    pub(super) fn of(registry: &'a Registry, reference: &Reference, image: &OpenImage) -> Self {
        let repository = registry.repository(reference);
        Self { repository, reference: reference.clone(), documents: documents(image) }
    }

    /// Returns the descriptor of the whole.
    pub(super) fn whole(&self) -> &Descriptor {
        &self.documents.last().expect("an image has a document").0
    }

    /// Returns what is meant: the whole, or the manifest of a platform.
    pub(super) fn subject(&self, platform: Option<Platform>) -> Result<&Descriptor, Error> {
        subject(self.documents.iter().map(|(descriptor, _)| descriptor), platform, &self.reference.to_string())
    }

    /// Signs the whole and every manifest, for the tag `tag` where one is meant. Returns how much was written: layers of
    /// cosign's and bundles.
    ///
    /// containers/image holds the reference that it was asked for against the payloads of the very manifest that it
    /// copies: so those of a manifest name the tag, the index and the manifest itself.
    pub(super) fn sign(&self, tag: Option<&str>, signer: &dyn Signer) -> Result<usize, Problems> {
        let bundles = || self.publish(&self.signatures(signer)?, false);
        at_once::<Problems>(vec![Box::new(|| self.sign_names(tag, signer)), Box::new(bundles)])
    }

    /// Signs the whole and every manifest as cosign's `.sig`, by all the names that they may be asked for.
    pub(super) fn sign_names(&self, tag: Option<&str>, signer: &dyn Signer) -> Result<usize, Problems> {
        let repository = self.reference.repository();
        let whole = self.whole().digest;
        let mut jobs: Vec<Job<'_, Problems>> = Vec::new();
        for (descriptor, _) in &self.documents {
            let mut names: Vec<String> = tag.map(|tag| format!("{repository}:{tag}")).into_iter().collect();
            names.push(format!("{repository}@{whole}"));
            if descriptor.digest != whole {
                names.push(format!("{repository}@{}", descriptor.digest));
            }
            jobs.push(Box::new(move || self.sign_simply(&descriptor.digest, names, signer)));
        }
        at_once(jobs)
    }

    /// Returns the signatures of every manifest and of the whole as bundles, the whole's last.
    pub(super) fn signatures(&self, signer: &dyn Signer) -> Result<Vec<Said>, Problems> {
        let signatures = self
            .documents
            .iter()
            .map(|(descriptor, _)| self.say(descriptor, &Statement::signature(descriptor.digest), signer));
        signatures.collect()
    }

    fn sign_simply(&self, digest: &Digest, names: Vec<String>, signer: &dyn Signer) -> Result<usize, Problems> {
        let tag = CosignTag::Signatures;
        let there = if signer.repeats() { Vec::new() } else { self.repository.cosign_layers(digest, tag)? };
        let mut layers = Vec::new();
        for reference in names {
            let signing = SimpleSigning { reference, digest: *digest };
            let payload = signing.to_bytes();
            let of_payload = Digest::of(&payload);
            let signed = there.iter().filter(|layer| layer.digest == of_payload).any(|layer| {
                let text = layer.annotations.get(SIGNATURE).map(String::as_str).unwrap_or_default();
                Base64::decode_vec(text).is_ok_and(|signature| signer.public().verifies(&payload, &signature))
            });
            if !signed {
                let (payload, signature) = signing.sign(signer)?;
                let annotation = (SIGNATURE.to_owned(), Base64::encode_string(&signature));
                layers.push(CosignLayer::new(SIMPLE_SIGNING, payload, [annotation]));
            }
        }
        Ok(self.repository.add_cosign_layers(digest, tag, &layers)?)
    }

    /// Signs a statement about `subject`, or finds it said before.
    pub(super) fn say(
        &self,
        subject: &Descriptor,
        statement: &Statement,
        signer: &dyn Signer,
    ) -> Result<Said, Problems> {
        let bundle = match self.said_before(subject, statement, signer)? {
            Some(bundle) => bundle,
            None => Bundle::sign(statement, signer)?,
        };
        let predicate_type = statement.predicate_type().to_owned();
        Ok(Said { subject: subject.clone(), predicate_type, bundle })
    }

    /// Attaches what was said to what it is about; with `legacy`, as cosign's `.att` too. Returns how much was written.
    pub(super) fn publish(&self, said: &[Said], legacy: bool) -> Result<usize, Problems> {
        let attachments: Vec<Attachment> = said.iter().map(Said::attachment).collect();
        let envelopes = || if legacy { self.write_envelopes(said) } else { Ok(0) };
        at_once::<Problems>(vec![Box::new(|| Ok(self.attach(&attachments)?)), Box::new(envelopes)])
    }

    /// Writes what was said as cosign's `.att`. Returns how much was written.
    pub(super) fn write_envelopes(&self, said: &[Said]) -> Result<usize, Problems> {
        let mut layers: BTreeMap<Digest, Vec<CosignLayer>> = BTreeMap::new();
        for one in said {
            let annotations =
                [(SIGNATURE.to_owned(), String::new()), (PREDICATE.to_owned(), one.predicate_type.clone())];
            let layer = CosignLayer::new(ENVELOPE, one.bundle.envelope().to_bytes(), annotations);
            layers.entry(one.subject.digest).or_default().push(layer);
        }
        let write = |(subject, layers)| -> Job<'_, Problems> {
            let (subject, layers): (&Digest, &Vec<CosignLayer>) = (subject, layers);
            Box::new(move || Ok(self.repository.add_cosign_layers(subject, CosignTag::Attestations, layers)?))
        };
        at_once(layers.iter().map(write).collect())
    }

    /// Returns the bundle in which this key has said this before; looked for only where it would sign in other words
    /// every time.
    fn said_before(
        &self,
        subject: &Descriptor,
        statement: &Statement,
        signer: &dyn Signer,
    ) -> Result<Option<Bundle>, Error> {
        if signer.repeats() {
            return Ok(None);
        }
        for referrer in self.repository.referrers(&subject.digest, Some(BUNDLE))? {
            let Some(document) = self.repository.document(&referrer.digest.to_string())? else { continue };
            let Ok(manifest) = serde_json::from_slice::<ReferrerManifest>(&document.bytes) else { continue };
            let [layer] = manifest.layers.as_slice() else { continue };
            if layer.size > MAX_BUNDLE {
                continue;
            }
            let mut bytes = Vec::new();
            self.repository.blob(layer, &mut bytes)?;
            if let Ok(bundle) = Bundle::parse(&bytes)
                && says(&bundle, statement, signer.public())
            {
                return Ok(Some(bundle));
            }
        }
        Ok(None)
    }

    /// Returns the documents of `evidence` about this image's manifests, to be attached as they are: what says what is in
    /// it, and why. The provenance is nothing without a signature.
    pub(super) fn evident(&self, evidence: &Evidence) -> Result<Vec<Attachment>, Problems> {
        let mut attachments = Vec::new();
        for one in evidence.manifests() {
            let Some((subject, _)) = self.documents.iter().find(|(own, _)| own.digest == one.digest) else { continue };
            for document in [Document::Spdx, Document::Cyclonedx, Document::Spdx3, Document::Reasons] {
                if let Some(bytes) = evidence.read(&one.digest, document)? {
                    attachments.push(Attachment::raw(subject, document.media_type(), document.file_name(), bytes));
                }
            }
        }
        Ok(attachments)
    }

    /// Attaches to their subjects what is not attached yet. Returns how much that was.
    pub(super) fn attach(&self, attachments: &[Attachment]) -> Result<usize, Error> {
        let mut by_subject: BTreeMap<Digest, Vec<ReferrerManifest>> = BTreeMap::new();
        if !attachments.is_empty() {
            self.repository.push_bytes(EMPTY_BYTES)?;
        }
        for Attachment { manifest, blob } in attachments {
            match blob {
                Blob::Bytes(bytes) => {
                    self.repository.push_bytes(bytes)?;
                }
                Blob::File(path) => {
                    let open = || Ok(Box::new(File::open(path)?) as Box<dyn Read + Send>);
                    for layer in &manifest.layers {
                        self.repository.push_blob(&layer.digest, layer.size, None, &open)?;
                    }
                }
            }
            let subject = manifest.subject.as_ref().expect("what is attached has a subject").digest;
            by_subject.entry(subject).or_default().push(manifest.clone());
        }
        at_once::<Error>(
            by_subject
                .values()
                .map(|manifests| Box::new(|| Ok(self.repository.attach_all(manifests)?)) as Job<'_, Error>)
                .collect(),
        )
    }
}

impl Attachment {
    /// Returns a file as it is attached for itself, called `title`.
    pub(super) fn raw(subject: &Descriptor, media_type: &str, title: &str, blob: Vec<u8>) -> Self {
        Self { manifest: raw_manifest(subject, Descriptor::of(media_type, &blob), title), blob: Blob::Bytes(blob) }
    }

    /// As [`Attachment::raw`], of a file that may be large, by its digest.
    pub(super) fn file(
        subject: &Descriptor,
        media_type: &str,
        title: &str,
        path: &Path,
        digest: Digest,
    ) -> Result<Self, Error> {
        let meta = std::fs::metadata(path).map_err(|source| Error::Read { path: shown(path), source })?;
        let blob = Descriptor { digest, size: meta.len(), ..Descriptor::of(media_type, b"") };
        Ok(Self { manifest: raw_manifest(subject, blob, title), blob: Blob::File(path.to_owned()) })
    }
}

fn raw_manifest(subject: &Descriptor, blob: Descriptor, title: &str) -> ReferrerManifest {
    let media_type = blob.media_type.clone();
    let layer = Descriptor { annotations: BTreeMap::from([(TITLE.to_owned(), title.to_owned())]), ..blob };
    ReferrerManifest::new(&media_type, subject, layer, BTreeMap::new())
}

/// Something that counts what it wrote.
pub(super) type Job<'a, E> = Box<dyn FnOnce() -> Result<usize, E> + Send + 'a>;

/// Does several things at once, since each waits for a registry for longer than it works. Returns the sum of what they
/// wrote, or the first of their errors.
pub(super) fn at_once<E: Send>(jobs: Vec<Job<'_, E>>) -> Result<usize, E> {
    let mut written = 0;
    let mut jobs = jobs.into_iter();
    loop {
        let some: Vec<Job<'_, E>> = jobs.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return Ok(written);
        }
        written += thread::scope(|scope| {
            let running: Vec<_> = some.into_iter().map(|job| scope.spawn(job)).collect();
            let ended = running.into_iter().map(|job| match job.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.sum::<Result<usize, E>>()
        })?;
    }
}

fn says(bundle: &Bundle, statement: &Statement, key: &PublicKey) -> bool {
    bundle.open(key).is_ok_and(|said| said.value() == statement)
}

impl Said {
    /// Returns it as a bundle that is attached to what it is about.
    pub(super) fn attachment(&self) -> Attachment {
        let blob = self.bundle.to_bytes();
        let annotations = BTreeMap::from([
            (BUNDLE_CONTENT.0.to_owned(), BUNDLE_CONTENT.1.to_owned()),
            (BUNDLE_PREDICATE.to_owned(), self.predicate_type.clone()),
        ]);
        let manifest = ReferrerManifest::new(BUNDLE, &self.subject, Descriptor::of(BUNDLE, &blob), annotations);
        Attachment { manifest, blob: Blob::Bytes(blob) }
    }
}

/// Returns what is meant of an image's documents: the last, which is the whole, or the manifest of a platform.
pub(super) fn subject<'d>(
    documents: impl Iterator<Item = &'d Descriptor>,
    platform: Option<Platform>,
    name: &str,
) -> Result<&'d Descriptor, Error> {
    let documents: Vec<&Descriptor> = documents.collect();
    let Some(platform) = platform else { return Ok(documents.last().expect("an image has a document")) };
    let fits = |one: &&&Descriptor| {
        let named = one.platform.as_ref();
        named.is_some_and(|named| Platform::from_oci(&format!("{}/{}", named.os, named.architecture)) == Some(platform))
    };
    let found = documents.iter().find(fits).copied();
    found.ok_or_else(|| Error::Published {
        reference: name.to_owned(),
        problem: format!("it has no manifest for {}", platform.oci()),
    })
}

/// Returns the URI of a predicate by its short name, or the URI itself.
///
/// # Errors
/// Where it is neither.
pub fn predicate_type(text: &str) -> Result<&str, String> {
    Ok(match text {
        "spdx" => attest::SPDX,
        "spdx3" => attest::SPDX3,
        "cyclonedx" => attest::CYCLONEDX,
        "provenance" => attest::PROVENANCE,
        uri if uri.contains("://") => uri,
        _ => return Err("a type is spdx, spdx3, cyclonedx, provenance, or a URI".to_owned()),
    })
}

fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | "application/vnd.docker.distribution.manifest.list.v2+json")
}

/// Returns whether an entry of an index is an image: a manifest, and for a platform (BuildKit's attestations are for
/// `unknown`).
fn is_image(entry: &Descriptor) -> bool {
    matches!(entry.media_type.as_str(), MANIFEST | "application/vnd.docker.distribution.manifest.v2+json")
        && entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}
