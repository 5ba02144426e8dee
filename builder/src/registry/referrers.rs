//! What was attached to an image (OCI distribution-spec 1.1, listing referrers, and the referrers tag schema).
//!
//! Where a registry keeps no list itself, the list is an index under the tag `sha256-<hex>`, which every writer reads,
//! adds to and writes. Nothing in the specification keeps two writers apart. So ours reads and writes without a pause,
//! looks again after a while that is longer than that takes, and adds once more what another's writing has dropped.

use std::collections::BTreeMap;
use std::thread;

use serde::{Deserialize, Serialize};

use super::Error;
use super::repository::{MAX_DOCUMENT, Repository};
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
/// How often a list under a tag is written before we give in.
const MAX_ROUNDS: u32 = 12;

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

    /// Attaches a manifest whose blobs are there to its subject: writes it, and its entry in the list where the registry
    /// does not keep that itself. Returns whether anything was written.
    ///
    /// # Errors
    /// Where the registry fails, or other writers leave no room.
    pub fn attach(&self, manifest: &ReferrerManifest) -> Result<bool, Error> {
        let subject =
            manifest.subject.as_ref().ok_or_else(|| self.strange("what is attached names no subject"))?.digest;
        let (bytes, referrer) = (manifest.to_bytes(), manifest.referrer());
        let mut wrote = false;
        let listed = match self.has_document(&referrer.digest)? {
            true => self.listed(&subject)?.is_some_and(|all| all.iter().any(|one| one.digest == referrer.digest)),
            false => {
                wrote = true;
                self.put_document(&referrer.digest.to_string(), MANIFEST, &bytes)?
            }
        };
        Ok(if listed { wrote } else { self.add(&subject, &referrer)? || wrote })
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
        let list: List = serde_json::from_slice(&document.bytes)
            .map_err(|error| self.strange(&format!("the list under `{}` is broken: {error}", tag(subject))))?;
        Ok(list.manifests)
    }

    /// Adds an entry to the list under the referrers tag, until it stays. Returns whether it had to be written.
    fn add(&self, subject: &Digest, referrer: &Referrer) -> Result<bool, Error> {
        let mut wrote = false;
        for round in 0..MAX_ROUNDS {
            let mut all = self.tagged(subject)?;
            if all.contains(referrer) {
                if !wrote {
                    return Ok(false);
                }
                // Another writer that read before we wrote may still write; the second look is after it has.
                thread::sleep(self.registry.options.settle);
                if self.tagged(subject)?.contains(referrer) {
                    return Ok(true);
                }
                continue;
            }
            all.retain(|one| one.digest != referrer.digest);
            all.push(referrer.clone());
            all.sort_by_key(|one| one.digest);
            let list =
                List { schema_version: 2, media_type: INDEX.to_owned(), manifests: all, annotations: BTreeMap::new() };
            self.put_document(&tag(subject), INDEX, &canon::indented(&list))?;
            wrote = true;
            if round > 0 {
                // Writers that met once part here: each waits a time of its own.
                let own = u32::from(referrer.digest.as_bytes()[0]) + 64;
                thread::sleep(self.registry.options.settle * own / 256);
            }
        }
        Err(self.strange(&format!("others write the list under `{}` as fast as we do", tag(subject))))
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
