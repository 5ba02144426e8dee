//! Keeps files, with a reason for each; derives what maintainer scripts would have made; cuts the result into one
//! self-contained plan per layer.

mod account;
mod adjust;
mod apply;
mod base;
mod caches;
mod certificates;
mod choice;
mod closure;
mod error;
mod follow;
mod gconv;
mod keystore;
mod ldcache;
mod local;
mod merge;
mod pam;
mod paths;
mod plan;
mod replaces;
mod scripted;
mod scripts;
mod slices;
mod state;
mod status;
mod stored;
mod suggest;
mod systemd;
mod sysusers;
#[cfg(test)]
mod tests;
mod tmpfiles;
mod users;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Sha1};
use crate::lock::{Lock, PlatformLock};
use crate::package::PackIndex;
use crate::package::local::LocalPack;
use crate::spec::{Keep, Platform, Spec};
use crate::tree::{ImagePath, Meta, Origin};

pub use closure::{Cause, Reason, Reasons};
pub use error::{Error, Place};
pub use slices::{Forgotten, forgotten};
pub use suggest::{MAX_SUGGESTIONS, Suggestion, suggestions};

/// What selection works on: indexes and texts, never a file's bytes.
#[derive(Debug, Clone, Copy)]
pub struct SelectInput<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// Its lock.
    pub lock: &'a Lock,
    /// Which of the lock's platforms.
    pub platform: Platform,
    /// Opened packages of that platform by name.
    pub packs: &'a BTreeMap<String, PackIndex>,
    /// Key of each pack, by package name.
    pub pack_keys: &'a BTreeMap<String, Digest>,
    /// The spec's own files.
    pub local: &'a LocalPack,
    /// Key of the local pack.
    pub local_key: Digest,
    /// What stands in the image that is built on: nodes by path, and the texts that selection reads.
    pub base: Option<&'a PackIndex>,
}

impl<'a> SelectInput<'a> {
    fn platform_lock(&self) -> Result<&'a PlatformLock, Error> {
        let name = self.platform.oci();
        self.lock.platform.get(name).ok_or_else(|| Error::Platform(name.to_owned()))
    }
}

/// Selects one platform's files and cuts them into plans.
///
/// A package layer's plan depends on the packages of the lock, and on what the spec says of their paths; the lock's `source_date` and the spec's files
/// reach `state` and `files`, and take entries out of package layers only where a spec's file stands in their place.
pub fn select(input: &SelectInput<'_>) -> Result<Selection, Error> {
    let keep = Keep::from_word(&input.lock.keep).ok_or_else(|| Error::Keep(input.lock.keep.clone()))?;
    let source_date = input.lock.source_date;
    let mut scripted = scripted::Scripted::read(input)?;
    let (mut choice, mut report) = (choice::Choice::of(input.spec, has_packages(input)?)?, Report::default());
    let diversions = scripted.diversions();
    let sliced = slices::Sliced::of(input)?;
    let closure = closure::Closure::of(input, keep, &scripted, &diversions, &mut choice, &sliced, &mut report)?;
    scripted.retain(|package| closure.takes_part(package));
    let mut tree = merge::Tree::merge(input, keep, &scripted, &closure, diversions, choice, report)?;
    let mut requests = scripted.requests();
    requests.extend(sysusers::requests(&mut tree, input.platform));
    let accounts = users::Accounts::gather(input.spec, &tree, &requests)?;
    let user = match &input.spec.base {
        // Where the base says who runs, that stays; where it does not, `nonroot` is who `run` says by default.
        Some(base) if !base.says("user") => accounts.ids(Some("nonroot"), None, None).unwrap_or((65532, 65532)),
        _ => run_user(input.spec, &accounts)?,
    };
    sliced.derive(&mut tree, source_date)?;
    state::links(&mut tree, input.platform, source_date)?;
    apply::apply(&mut tree, &scripted, &accounts, keep, &closure, source_date)?;
    local::overlay(&mut tree, input, &accounts, source_date)?;
    tmpfiles::derive(&mut tree, &accounts, input.platform, source_date)?;
    state::defaults(&mut tree, &accounts, source_date)?;
    certificates::derive(&mut tree, input, source_date)?;
    gconv::derive(&mut tree, input.spec, input.platform, source_date)?;
    ldcache::derive(&mut tree, input.platform, source_date)?;
    caches::report(&mut tree);
    status::derive(&mut tree, input.spec.sbom.dpkg_db, source_date)?;
    state::drop_derived(&mut tree);
    let layers = plan::layers(&tree, input, &input.platform_lock()?.layers)?;
    let reasons = closure.reasons;
    let nodes = plan::nodes(&tree, &reasons);
    let dropped = tree.refused.iter().filter(|(path, _)| !tree.nodes.contains_key(path.as_str()));
    let dropped = dropped.map(|(path, refused)| (path.clone(), format!("never[{}]", refused.never))).collect();
    let packages =
        tree.packages.iter().filter(|package| package.keeps).map(|package| package.name.to_owned()).collect();
    let mut report = tree.report;
    report.notes.sort();
    report.unmatched.extend(tree.choice.unmatched());
    report.unmatched.sort();
    report.unhandled.sort();
    Ok(Selection { layers, nodes, dropped, reasons, packages, user, report })
}

/// Returns, for something that packages ship and the image does not hold, each package with why it does not bring it.
///
/// # Errors
/// As of [`select`].
pub fn absent(input: &SelectInput<'_>, path: &ImagePath) -> Result<Vec<(String, String)>, Error> {
    let keep = Keep::from_word(&input.lock.keep).ok_or_else(|| Error::Keep(input.lock.keep.clone()))?;
    let scripted = scripted::Scripted::read(input)?;
    let (mut choice, mut report) = (choice::Choice::of(input.spec, has_packages(input)?)?, Report::default());
    let sliced = slices::Sliced::of(input)?;
    let diversions = scripted.diversions();
    let closure = closure::Closure::of(input, keep, &scripted, &diversions, &mut choice, &sliced, &mut report)?;
    Ok(closure.absent(path.as_str()))
}

fn has_packages(input: &SelectInput<'_>) -> Result<bool, Error> {
    Ok(!input.platform_lock()?.packages.is_empty())
}

/// Reads the maintainer scripts of packages, by name, as if they were installed together into a fresh root.
pub fn classify_scripts(platform: Platform, packs: &BTreeMap<String, PackIndex>) -> Report {
    let packs: BTreeMap<&str, &PackIndex> = packs.iter().map(|(name, index)| (name.as_str(), index)).collect();
    scripted::Scripted::of(platform, &packs, |_| true).report()
}

/// Returns the numbers of `run.user`: a name or number, with or without a group after a colon.
fn run_user(spec: &Spec, accounts: &users::Accounts) -> Result<(u32, u32), Error> {
    let place = Place { source: spec.source.clone(), span: spec.run.user.span };
    let (user, group) = match spec.run.user.value.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec.run.user.value.as_str(), None),
    };
    accounts.ids(Some(user), group, Some(&place))
}

/// What goes into one platform's image.
#[derive(Debug, Clone)]
pub struct Selection {
    /// One plan per layer of the lock in its order, then `state`, then `files`; plans may be empty.
    pub layers: Vec<LayerPlan>,
    /// Every node of the image by path, with its origin and reason.
    pub nodes: BTreeMap<ImagePath, Kept>,
    /// What would be in the image but for an entry of `never`, with that entry (`never[1]`).
    pub dropped: BTreeMap<ImagePath, String>,
    /// Why each file and each package is kept.
    pub reasons: Reasons,
    /// Names of the locked packages that the image has: those of which something is kept, sorted.
    pub packages: Vec<String>,
    /// `uid:gid` of `run.user`.
    pub user: (u32, u32),
    /// What was left out, by class, and which scripts no rule covers.
    pub report: Report,
}

/// A kept node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where it comes from.
    pub origin: Origin,
    /// Why it is kept, in words (`keep: runtime`, the rule's sentence, `files[2]`).
    pub reason: String,
    /// Size in bytes of a regular file, else 0.
    pub size: u64,
    /// Digest of a regular file's bytes.
    pub digest: Option<Digest>,
    /// SHA-1 of a regular file's bytes, for documents alone.
    pub sha1: Option<Sha1>,
    /// A regular file that a processor or an interpreter runs: ELF, a script, or one with an execute bit.
    pub executable: bool,
}

/// What [`Report::unmatched`] calls the program that the image runs.
pub const RUNS: &str = "run";

/// What selection has to say beside the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Entries and bytes dropped, by class (`doc`, `admin`, `script-only`) or by `never`.
    pub dropped: BTreeMap<String, (u64, u64)>,
    /// Maintainer scripts that no rule covers: (package, script, the lines concerned).
    pub unhandled: Vec<(String, String, Vec<String>)>,
    /// Entries of `also` and `never` that fit nothing: (`never[1]`, glob); and under [`RUNS`] the program that the image runs
    /// and that nothing puts into it.
    pub unmatched: Vec<(String, String)>,
    /// Maintainer scripts that rules cover, or that have no effect in a fresh root.
    #[serde(default)]
    pub handled: Vec<HandledScript>,
    /// Programs that are left out because what runs them is: (path, package, first line).
    #[serde(default)]
    pub scripts: Vec<(String, String, String)>,
    /// What kept files name and nothing keeps: (path, who names it).
    #[serde(default)]
    pub suggestions: Vec<(String, String)>,
    /// Rules of the spec that fit nothing.
    #[serde(default)]
    pub idle: Vec<String>,
    /// Notes for a person, sorted.
    pub notes: Vec<String>,
}

/// A maintainer script that is taken care of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandledScript {
    /// The package.
    pub package: String,
    /// `preinst` or `postinst`.
    pub script: String,
    /// By rule, the lines that it covers; without any, the script has no effect in a fresh root.
    pub rules: BTreeMap<String, Vec<String>>,
}

/// One layer's share: self-contained, and a function of that layer's packages alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPlan {
    /// The layer's name in the lock, or `state` or `files`.
    pub name: String,
    /// Every ancestor directory of the entries, sorted bytewise; mtime 0.
    pub directories: Vec<PlanEntry>,
    /// Package by package in name order (one group for `state` and `files`).
    pub groups: Vec<PlanGroup>,
}

impl LayerPlan {
    /// Returns whether nothing stands in the layer (a layer of bare ancestors does not occur).
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.groups.iter().all(|group| group.entries.is_empty())
    }
}

/// The entries of one package in a layer; a segment of the layer's tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanGroup {
    /// Key of the pack whose data [`Body::Pack`] offsets point into; `None` where no body does.
    pub pack: Option<Digest>,
    /// Sorted bytewise by path; a hard link's target comes before it.
    pub entries: Vec<PlanEntry>,
}

/// One tar entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    /// Where it goes.
    pub path: ImagePath,
    /// Owner, mode, time, xattrs; final, nothing is clamped later.
    pub meta: Meta,
    /// What it is.
    pub body: Body,
}

/// What a plan entry is, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink(String),
    /// A hard link to an entry of the same layer.
    Hardlink(ImagePath),
    /// A regular file from the group's pack.
    Pack {
        /// Where its bytes start in the pack's data.
        offset: u64,
        /// Size in bytes.
        size: u64,
        /// SHA-256, checked on the way through.
        digest: Digest,
    },
    /// A regular file made here.
    Inline(#[serde(with = "bytes")] Vec<u8>),
}

mod bytes {
    use serde::{Deserialize as _, Serialize as _};
    pub(super) fn serialize<S: serde::Serializer>(bytes: &Vec<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.serialize(serializer)
    }
    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Vec::<u8>::deserialize(deserializer)
    }
}
