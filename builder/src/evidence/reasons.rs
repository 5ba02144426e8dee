//! `reasons.json`: why each path is in an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::read::MAX_DOCUMENT;
use crate::canon;
use crate::digest::Digest;
use crate::tree::{ImagePath, Origin};

/// Why each path is in the image of one platform. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reasons {
    /// 1; a reader refuses any other.
    pub version: u32,
    /// The image's name in its spec.
    pub name: String,
    /// Digest of the manifest.
    pub image: Digest,
    /// Its platform, as `linux/amd64`.
    pub platform: String,
    /// By path from `/`, which every one begins with.
    pub paths: BTreeMap<String, Reason>,
    /// By package, every reason why it is kept as far as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, Vec<Because>>,
}

/// One reason, and what it hangs on: an edge of a graph whose ends are what the spec says, and rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Because {
    /// How, in words.
    pub how: String,
    /// `spec`, `rule`, `package` or `file`.
    pub on: String,
    /// The spec's entry, the rule's or the package's name, or the path from `/`.
    pub what: String,
}

/// Why a path is in. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// `package`, `derived`, `spec` or `base`.
    pub origin: String,
    /// The package that ships it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The rule that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The spec's entry that it is of, as `files[2]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Why it is kept, in words.
    pub reason: String,
    /// Every reason; the strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Because>,
}

impl Reasons {
    /// Returns the reasons of an image: of each path its origin and why it is kept.
    pub fn new<'a>(
        name: &str,
        image: Digest,
        platform: &str,
        paths: impl Iterator<Item = (&'a ImagePath, &'a Origin, &'a str)>,
    ) -> Self {
        let reason = |origin: &Origin, reason: &str| {
            let (origin, package, rule, entry) = match origin {
                Origin::Package(name) => ("package", Some(name), None, None),
                Origin::Derived(rule) => ("derived", None, Some(rule), None),
                Origin::Spec(entry) => ("spec", None, None, Some(entry)),
                Origin::Base => ("base", None, None, None),
            };
            Reason {
                origin: origin.to_owned(),
                package: package.cloned(),
                rule: rule.cloned(),
                entry: entry.cloned(),
                reason: reason.to_owned(),
                because: Vec::new(),
            }
        };
        Self {
            version: 1,
            name: name.to_owned(),
            image,
            platform: platform.to_owned(),
            paths: paths.map(|(path, origin, why)| (path.to_string(), reason(origin, why))).collect(),
            packages: BTreeMap::new(),
        }
    }

    /// Returns the document's bytes: compact JSON, paths sorted bytewise.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = canon::ordered(self);
        bytes.push(b'\n');
        bytes
    }

    /// Parses the document.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(format!("it has more than {MAX_DOCUMENT} bytes"));
        }
        let reasons: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if reasons.version != 1 {
            return Err(format!("it has version {}, and this release reads 1", reasons.version));
        }
        Ok(reasons)
    }
}
