//! What was attached to an image (OCI distribution-spec 1.1, listing referrers, and the referrers tag schema).
//!
//! Where a registry keeps no list itself, the list is an index under the tag `sha256-<hex>`, which every writer reads,
//! adds to and writes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Error;
use super::keep::Merged;
use super::repository::{Document, MAX_DOCUMENT, Repository};
use super::wire::Payload;
use crate::canon;
use crate::digest::Digest;
use crate::image::{Descriptor, INDEX, MANIFEST};
use reqwest::Method;
use reqwest::header::HeaderMap;

/// Media type of the empty config (OCI image-spec 1.1, guidance for an empty descriptor).
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The empty config's bytes.
pub const EMPTY_BYTES: &[u8] = b"{}";
/// The most referrers that are read of one image.
pub const MAX_REFERRERS: usize = 64;
/// The most pages of a list.
const MAX_PAGES: usize = 16;

/// A referrer in a list. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// Media type of the manifest.
    pub media_type: String,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Size of the manifest in bytes.
    pub size: u64,
    /// What it holds.
    #[serde(default, deserialize_with = "null_is_none", skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
    /// The manifest's annotations.
    #[serde(default, deserialize_with = "null_is_none", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The manifest of something attached. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerManifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`].
    #[serde(default)]
    pub media_type: String,
    /// What it holds.
    #[serde(default, deserialize_with = "null_is_none", skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
    /// The empty config, or another's.
    pub config: Descriptor,
    /// The blobs.
    pub layers: Vec<Descriptor>,
    /// What it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_is_none", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ReferrerManifest {
    /// Returns the manifest that attaches one blob to `subject`.
    pub fn new(
        artifact_type: &str,
        subject: &Descriptor,
        blob: Descriptor,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        let subject = Descriptor { annotations: BTreeMap::new(), platform: None, ..subject.clone() };
        Self {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: artifact_type.to_owned(),
            config: Descriptor::of(EMPTY, EMPTY_BYTES),
            layers: vec![blob],
            subject: Some(subject),
            annotations,
        }
    }

    /// Returns the manifest's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        canon::indented(self)
    }

    /// Returns how a list names the manifest: with what it holds and all its annotations.
    pub fn referrer(&self) -> Referrer {
        let bytes = self.to_bytes();
        Referrer {
            media_type: MANIFEST.to_owned(),
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

/// A list of referrers. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default, deserialize_with = "null_is_none")]
    manifests: Vec<Referrer>,
    #[serde(default, deserialize_with = "null_is_none", skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Repository<'_> {
    /// Returns what is attached to `subject`, of one kind where `artifact_type` names it, in the list's order.
    ///
    /// Entries that name no kind, or the empty one that some writers put there, are opened for it.
    ///
    /// # Errors
    /// Where the registry fails, or lists more than can be meant well.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Referrer>, Error> {
        let mut all = self.listed(subject)?.unwrap_or_default();
        // Where the registry keeps a list, writers that do not know may still have kept the other.
        for one in self.tagged(subject)? {
            if !all.iter().any(|known| known.digest == one.digest) {
                all.push(one);
            }
        }
        if all.len() > MAX_REFERRERS {
            return Err(
                self.strange(&format!("{} things are attached to {subject}, more than {MAX_REFERRERS}", all.len()))
            );
        }
        for one in &mut all {
            if matches!(one.artifact_type.as_str(), "" | EMPTY)
                && let Some(document) = self.document(&one.digest.to_string())?
                && let Ok(manifest) = serde_json::from_slice::<ReferrerManifest>(&document.bytes)
            {
                one.artifact_type = match manifest.artifact_type.as_str() {
                    "" => manifest.config.media_type,
                    kind => kind.to_owned(),
                };
                one.annotations = manifest.annotations;
            }
        }
        all.retain(|one| artifact_type.is_none_or(|wanted| one.artifact_type == wanted));
        Ok(all)
    }

    /// Attaches one manifest, as [`Repository::attach_all`] several. Returns whether it was not attached before.
    ///
    /// # Errors
    /// As [`Repository::attach_all`].
    pub fn attach(&self, manifest: &ReferrerManifest) -> Result<bool, Error> {
        if manifest.subject.is_none() {
            return Err(self.strange("what is attached names no subject"));
        }
        Ok(self.attach_all(std::slice::from_ref(manifest))? > 0)
    }

    /// Attaches manifests whose blobs are there to the subject that they all name: writes them, and their entries in the
    /// list where the registry does not keep that itself. Returns how many of them were not attached before.
    ///
    /// # Errors
    /// Where the registry fails, or other writers leave no room.
    pub fn attach_all(&self, manifests: &[ReferrerManifest]) -> Result<usize, Error> {
        let subject = manifests.iter().find_map(|manifest| Some(manifest.subject.as_ref()?.digest));
        let Some(subject) = subject else { return Ok(0) };
        if manifests.iter().any(|one| one.subject.as_ref().map(|subject| subject.digest) != Some(subject)) {
            return Err(self.strange("what is attached names several subjects, or none"));
        }
        let mut own = None;
        let (mut new, mut unlisted) = (BTreeSet::new(), Vec::new());
        for manifest in manifests {
            let referrer = manifest.referrer();
            let noted = if self.has_document(&referrer.digest)? {
                if own.is_none() {
                    own = Some(self.listed(&subject)?);
                }
                own.iter().flatten().flatten().any(|one| one.digest == referrer.digest)
            } else {
                new.insert(referrer.digest);
                self.put_document(&referrer.digest.to_string(), MANIFEST, &manifest.to_bytes())?
            };
            if !noted {
                unlisted.push(referrer);
            }
        }
        new.extend(self.add(&subject, &unlisted)?);
        Ok(new.len())
    }

    /// Returns the registry's own list; `None` where it keeps none.
    fn listed(&self, subject: &Digest) -> Result<Option<Vec<Referrer>>, Error> {
        let mut url = self.url(&["referrers", &subject.to_string()])?;
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self.request("read", Method::GET, url.clone(), &HeaderMap::new(), &|| Ok(Payload::None))?;
            match answer.status {
                200 => {}
                // Some that keep no list say so in other words.
                400 | 404 | 405 | 501 => return Ok(None),
                _ => return Err(self.refused("read", answer)),
            }
            if !answer.header("content-type").is_some_and(|kind| kind.starts_with(INDEX)) {
                return Ok(None);
            }
            let next = answer.header("link").and_then(next_page).and_then(|next| url.join(&next).ok());
            let bytes = self.bounded(answer, MAX_DOCUMENT)?;
            let list: List = serde_json::from_slice(&bytes)
                .map_err(|error| self.strange(&format!("its list of referrers is broken: {error}")))?;
            all.extend(list.manifests);
            match next {
                Some(next) if next.origin() == url.origin() => url = next,
                _ => return Ok(Some(all)),
            }
        }
        Err(self.strange("its list of referrers has no end"))
    }

    /// Returns the list under the referrers tag; empty where there is none.
    fn tagged(&self, subject: &Digest) -> Result<Vec<Referrer>, Error> {
        let Some(document) = self.document(&tag(subject))? else { return Ok(Vec::new()) };
        self.list(&tag(subject), &document)
    }

    fn list(&self, tag: &str, document: &Document) -> Result<Vec<Referrer>, Error> {
        let list: List = serde_json::from_slice(&document.bytes)
            .map_err(|error| self.strange(&format!("the list under `{tag}` is broken: {error}")))?;
        Ok(list.manifests)
    }

    /// Adds entries to the list under the referrers tag. Returns those that were not there.
    fn add(&self, subject: &Digest, referrers: &[Referrer]) -> Result<BTreeSet<Digest>, Error> {
        let Some(first) = referrers.first() else { return Ok(BTreeSet::new()) };
        let tag = tag(subject);
        let mut added = BTreeSet::new();
        self.keep(&tag, INDEX, first.digest.as_bytes()[0], &mut |there| {
            let mut all = match there {
                Some(document) => self.list(&tag, document)?,
                None => Vec::new(),
            };
            let missing: Vec<&Referrer> = referrers.iter().filter(|one| !all.contains(one)).collect();
            if missing.is_empty() {
                return Ok(None);
            }
            added.extend(missing.iter().map(|one| one.digest));
            all.retain(|one| missing.iter().all(|new| new.digest != one.digest));
            all.extend(missing.into_iter().cloned());
            all.sort_by_key(|one| one.digest);
            let list =
                List { schema_version: 2, media_type: INDEX.to_owned(), manifests: all, annotations: BTreeMap::new() };
            Ok(Some(Merged { bytes: canon::indented(&list), blob: None }))
        })?;
        Ok(added)
    }
}

/// Returns the referrers tag of a digest.
fn tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// Reads `null` as what is not there: writers in other languages do not tell the two apart.
fn null_is_none<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Returns the next page of a `Link` header (RFC 8288).
fn next_page(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters.replace([' ', '"'], "").contains(";rel=next").then(|| address.to_owned())
    })
}
