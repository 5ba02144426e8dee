//! What a graph is for: the spec, its lock, and what neither says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::error::broken;
use super::files::read;
use crate::canon;
use crate::diag::{Problems, Source};
use crate::engine::local::check_release;
use crate::lock::{Lock, LockedInput, PlatformLock};
use crate::spec::{Keep, Platform, Spec};

/// The largest of its files in bytes.
const MAX_TEXT: u64 = 16 << 20;
/// The spec that stands for itself.
const SPEC: &str = "spec.yaml";
/// Its section of the lock.
const LOCK: &str = "lock.toml";
/// The rest.
const JOB: &str = "job";

/// A spec that stands for itself, its lock, and which platforms are built.
///
/// As a directory it has three files, so that what reads one of them by selector does not depend on the others:
/// `spec.yaml` ([`Spec::merged`]), `lock.toml` (the section's own lock), and `job` (JSON: `name`, `platforms`, `variant`).
#[derive(Debug)]
pub struct Job {
    /// The spec, under its own name and with the name of its variant.
    pub spec: Spec,
    /// The spec's text.
    pub spec_text: String,
    /// Its lock.
    pub lock: Lock,
    /// The lock's text.
    pub lock_text: String,
    /// The platforms that are built, sorted; never empty, and each one of the lock's.
    pub platforms: Vec<Platform>,
}

/// `job`; keys in order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    name: String,
    platforms: Vec<String>,
    variant: Option<String>,
}

impl Job {
    /// Returns the names and the bytes of the files that [`Job::read`] reads. `lock` is the spec's own section.
    pub fn files(spec: &Spec, lock: &Lock, platforms: &[Platform]) -> Vec<(&'static str, Vec<u8>)> {
        let mut platforms: Vec<String> = platforms.iter().map(|platform| platform.oci().to_owned()).collect();
        platforms.sort();
        platforms.dedup();
        let rest = Rest { name: spec.name.clone(), platforms, variant: spec.variant.clone() };
        vec![(SPEC, spec.merged().into_bytes()), (LOCK, lock.to_text().into_bytes()), (JOB, canon::ordered(&rest))]
    }

    /// Returns the same for `open-local` and `open-base`, with what these read of a lock alone: so neither runs again
    /// where packages or dates move.
    pub fn own_files(spec: &Spec, lock: &Lock, platforms: &[Platform]) -> Vec<(&'static str, Vec<u8>)> {
        let is_read = |input: &&LockedInput| !matches!(input.kind.as_str(), "key" | "package");
        let bare = Lock {
            keep: Keep::Needed.as_str().to_owned(),
            source_date: 0,
            source_date_given: false,
            archives: Vec::new(),
            inputs: lock.inputs.iter().filter(is_read).cloned().collect(),
            platform: lock.platform.keys().map(|name| (name.clone(), PlatformLock::default())).collect(),
            variants: BTreeMap::new(),
            ..lock.clone()
        };
        Self::files(spec, &bare, platforms)
    }

    /// Reads a job.
    ///
    /// # Errors
    /// Files that are not there, do not parse, or do not belong together; a lock of another release.
    pub fn read(directory: &Path) -> Result<Self, Problems> {
        let text = |name: &str| {
            let bytes = read(&directory.join(name), MAX_TEXT, "the job")?;
            String::from_utf8(bytes).map_err(|_| broken(format!("`{name}` of the job"), "it is not UTF-8"))
        };
        let (spec_text, lock_text, rest) = (text(SPEC)?, text(LOCK)?, text(JOB)?);
        let wrong = |problem: String| Problems::from(broken("the job", problem));
        let rest: Rest = serde_json::from_str(&rest).map_err(|error| wrong(format!("`{JOB}`: {error}")))?;
        let mut spec = Spec::parse(&Source::new(SPEC, spec_text.clone()), "image")?;
        let lock = Lock::parse(LOCK, &lock_text)?;
        check_release(&lock)?;
        (spec.name, spec.variant) = match &rest.variant {
            Some(variant) if spec.name == format!("{}-{variant}", rest.name) => (rest.name, rest.variant),
            None if spec.name == rest.name => (rest.name, None),
            _ => return Err(wrong(format!("its spec is called `{}`, and should be `{}`", spec.name, rest.name))),
        };
        if lock.spec != spec.digest || !lock.variants.is_empty() {
            return Err(wrong(format!("its lock is for spec {}, and its spec is {}", lock.spec, spec.digest)));
        }
        let mut platforms = Vec::new();
        for name in &rest.platforms {
            let known = Platform::from_oci(name).filter(|_| lock.platform.contains_key(name));
            platforms.push(known.ok_or_else(|| wrong(format!("its lock is not for `{name}`")))?);
        }
        if platforms.is_empty() || !platforms.is_sorted_by(|a, b| a < b) {
            return Err(wrong("its platforms are none, or not in order".to_owned()));
        }
        Ok(Self { spec, spec_text, lock, lock_text, platforms })
    }

    /// Returns a platform, which must be one of those that are built.
    ///
    /// # Errors
    /// Where it is not.
    pub fn platform(&self, platform: Platform) -> Result<Platform, Error> {
        let is_built = self.platforms.contains(&platform);
        is_built.then_some(platform).ok_or_else(|| broken("the job", format!("it is not for `{}`", platform.oci())))
    }
}
