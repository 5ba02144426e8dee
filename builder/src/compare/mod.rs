//! How two images or two locks differ, down to the byte.
//!
//! In: two open images, or two locks. Out: a [`Comparison`], or a [`LockComparison`]. Images are compared from the
//! outside in: digest of the whole, manifests by platform, keys of manifest and config, layers by DiffID, and of those
//! that differ the entries. Every difference has a [`Class`], both values, and the package that the images' own
//! databases say a path belongs to; where bytes of a file differ, [`Inside`] says where.
//!
//! What follows from something else is not said again: that a manifest names another layer, that a layer has another
//! DiffID. Hostile images are assumed: every layer that is looked into is checked against its digests, counts and names
//! are bounded, and bytes go through anonymous files of a scratch directory, never under a name of theirs. That two
//! layers have one DiffID is believed only after both were read, unless their blobs are one.

mod documents;
mod entries;
mod error;
mod inside;
mod layers;
mod locks;
mod order;
mod record;
mod spool;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::image::{CONFIG, OpenImage, Opened};
use crate::policy::{Depth, Owners, survey};
use crate::spec::Platform;

pub use error::Error;
pub use inside::{Inside, MemberDifference, SectionDifference};
pub use locks::{LockComparison, LockDifference, locks};

/// The most differences of one platform that are kept; all are counted.
pub const MAX_DIFFERENCES: usize = 100_000;

/// What a difference is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A key of an index or a manifest.
    Manifest,
    /// A key of a config.
    Config,
    /// The same in another order: layers, or entries of a layer; or an entry in another layer.
    Order,
    /// A name that only one side has: a platform, a layer, a path.
    Name,
    /// What stands at a path: a file, a directory, a symbolic or a hard link.
    Type,
    /// Bytes of a file, the target of a link.
    Content,
    /// Permission bits.
    Mode,
    /// Numeric owner or group.
    Owner,
    /// Time of the last change.
    Mtime,
    /// Extended attributes, capabilities among them.
    Xattr,
    /// How the same is written: form of a tar's headers, white space of a document.
    Format,
    /// The same tar, compressed otherwise.
    Encoding,
}

impl Class {
    /// Returns the class as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Order => "order",
            Self::Name => "name",
            Self::Type => "type",
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Mtime => "mtime",
            Self::Xattr => "xattr",
            Self::Format => "format",
            Self::Encoding => "encoding",
        }
    }
}

/// One thing in which two images differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is one of.
    pub class: Class,
    /// Where it is: an absolute path in the image, a key of a document (`config.User`), or nothing for a whole layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The number of the first image's layer that it is in, the lowest being 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_a: Option<usize>,
    /// The number of the second image's layer that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_b: Option<usize>,
    /// The package that the path belongs to, as the images' databases say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What is differently said, where the class alone does not tell: the fact of a header's form, the attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The first image's value; `None` where it has none.
    pub a: Option<String>,
    /// The second image's value; `None` where it has none.
    pub b: Option<String>,
    /// Where bytes of a file differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
}

impl Difference {
    fn new(class: Class, a: Option<String>, b: Option<String>) -> Self {
        Self { class, at: None, layer_a: None, layer_b: None, package: None, what: None, a, b, inside: None }
    }

    fn at(self, at: impl Into<String>) -> Self {
        Self { at: Some(at.into()), ..self }
    }

    fn what(self, what: impl Into<String>) -> Self {
        Self { what: Some(what.into()), ..self }
    }

    fn layers(self, layer_a: Option<usize>, layer_b: Option<usize>) -> Self {
        Self { layer_a, layer_b, ..self }
    }
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The image as it was named.
    pub image: String,
    /// Digest of the whole.
    pub digest: String,
}

/// How two images differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The first.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// Whether they do not differ at all.
    pub same: bool,
    /// Differences of the indexes, and platforms that one side alone has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The platforms that both have, in the first one's order.
    pub manifests: Vec<ManifestComparison>,
}

/// How two images of one platform differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestComparison {
    /// `linux/amd64`; both where they differ.
    pub platform: String,
    /// Digest of the first one's manifest.
    pub a: String,
    /// Digest of the second one's manifest.
    pub b: String,
    /// What differs, from the outside in; empty where nothing does.
    pub differences: Vec<Difference>,
    /// How many differences there are of each class, those beyond [`MAX_DIFFERENCES`] too.
    pub counts: BTreeMap<Class, u64>,
}

impl ManifestComparison {
    /// Returns whether the two hold the same files with the same config, whatever their tars look like and however
    /// these are compressed.
    pub fn is_same_content(&self) -> bool {
        self.counts.keys().all(|class| matches!(class, Class::Format | Class::Encoding | Class::Order))
    }

    /// Returns the verdict in a few words.
    pub fn verdict(&self) -> &'static str {
        match self.counts.keys().collect::<Vec<_>>().as_slice() {
            [] => "same",
            [Class::Encoding] => "same content, other encoding",
            [Class::Format] => "same content, written otherwise",
            [Class::Order] => "same content in another order",
            _ if self.is_same_content() => "same files, written otherwise",
            _ => "different",
        }
    }
}

impl Comparison {
    /// Returns all differences: of the indexes, then of each platform.
    pub fn all(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().chain(self.manifests.iter().flat_map(|one| &one.differences))
    }

    /// Returns how many differences there are of each class.
    pub fn counts(&self) -> BTreeMap<Class, u64> {
        let mut counts = BTreeMap::new();
        for difference in &self.differences {
            *counts.entry(difference.class).or_insert(0) += 1;
        }
        for (class, count) in self.manifests.iter().flat_map(|one| &one.counts) {
            *counts.entry(*class).or_insert(0) += count;
        }
        counts
    }
}

/// Compares two images.
///
/// `platforms` restricts the comparison to those; empty means all. `scratch` is a directory in which anonymous files
/// may be made; nothing is left there. Equal digests are an answer without reading anything.
///
/// # Errors
/// An image that does not hold together, or is beyond a bound; a scratch directory that cannot be written to.
pub fn images(a: &OpenImage, b: &OpenImage, platforms: &[Platform], scratch: &Path) -> Result<Comparison, Error> {
    let pairs = pairs(a, b, platforms);
    let mut manifests = Vec::new();
    for (one, other) in &pairs.matched {
        manifests.push(if one.descriptor.digest == other.descriptor.digest {
            same(one, other)
        } else {
            let owners = (survey(a, one, Depth::Surface)?.owners(), survey(b, other, Depth::Surface)?.owners());
            manifest((a, one), (b, other), (&owners.0, &owners.1), scratch)?
        });
    }
    Ok(whole(a, b, platforms, manifests))
}

/// Puts the comparison of two images together from those of their platforms; see [`pairs`].
pub fn whole(a: &OpenImage, b: &OpenImage, platforms: &[Platform], manifests: Vec<ManifestComparison>) -> Comparison {
    let pairs = pairs(a, b, platforms);
    let mut differences = Vec::new();
    for (one, side_a) in pairs.only_a.iter().map(|one| (one, true)).chain(pairs.only_b.iter().map(|one| (one, false))) {
        let digest = Some(one.descriptor.digest.to_string());
        let (a, b) = if side_a { (digest, None) } else { (None, digest) };
        differences.push(Difference::new(Class::Name, a, b).at(platform_name(one)).what("platform"));
    }
    if platforms.is_empty() && a.descriptor().digest != b.descriptor().digest {
        documents::indexes(a.index(), b.index(), &mut differences);
    }
    // Something that is not looked into: statements that an index holds beside its images.
    let unseen = differences.is_empty() && manifests.iter().all(|one| one.counts.is_empty());
    let made = |open: &OpenImage| open.descriptor().media_type == CONFIG;
    if unseen && platforms.is_empty() && a.descriptor().digest != b.descriptor().digest && !made(a) && !made(b) {
        let digest = |open: &OpenImage| Some(open.descriptor().digest.to_string());
        differences.push(Difference::new(Class::Manifest, digest(a), digest(b)).at("index").what("other entries"));
    }
    let side = |open: &OpenImage| Side { image: open.name().to_owned(), digest: open.descriptor().digest.to_string() };
    let same = differences.is_empty() && manifests.iter().all(|one| one.counts.is_empty());
    Comparison { a: side(a), b: side(b), same, differences, manifests }
}

/// Which images of two are compared with each other.
#[derive(Debug)]
pub struct Pairs<'a> {
    /// Those of one platform, and the only ones of both whatever their platforms.
    pub matched: Vec<(&'a Opened, &'a Opened)>,
    /// Those that the first alone has.
    pub only_a: Vec<&'a Opened>,
    /// Those that the second alone has.
    pub only_b: Vec<&'a Opened>,
}

/// Pairs the images of two by platform.
pub fn pairs<'a>(a: &'a OpenImage, b: &'a OpenImage, platforms: &[Platform]) -> Pairs<'a> {
    let wanted = |one: &&Opened| match platforms {
        [] => !one.is_attestation(),
        _ => one.platform.is_some_and(|platform| platforms.contains(&platform)),
    };
    let (all_a, all_b): (Vec<&Opened>, Vec<&Opened>) =
        (a.images().iter().filter(wanted).collect(), b.images().iter().filter(wanted).collect());
    let mut pairs = Pairs { matched: Vec::new(), only_a: Vec::new(), only_b: Vec::new() };
    if let ([one], [other]) = (&*all_a, &*all_b) {
        pairs.matched.push((one, other));
        return pairs;
    }
    let mut left = all_b;
    for one in all_a {
        match left.iter().position(|other| platform_name(other) == platform_name(one)) {
            Some(at) => pairs.matched.push((one, left.remove(at))),
            None => pairs.only_a.push(one),
        }
    }
    pairs.only_b = left;
    pairs
}

/// Returns the comparison of two images of one digest.
pub fn same(one: &Opened, other: &Opened) -> ManifestComparison {
    ManifestComparison {
        platform: platform_name(one),
        a: one.descriptor.digest.to_string(),
        b: other.descriptor.digest.to_string(),
        differences: Vec::new(),
        counts: BTreeMap::new(),
    }
}

/// Compares two images of one platform each; `owners` say which package a path of either belongs to.
///
/// # Errors
/// As [`images`].
pub fn manifest(
    a: (&OpenImage, &Opened),
    b: (&OpenImage, &Opened),
    owners: (&Owners, &Owners),
    scratch: &Path,
) -> Result<ManifestComparison, Error> {
    let mut found = Found::default();
    // An archive of Docker's has no manifest; what stands in for it is of our own making.
    if a.1.descriptor.media_type != CONFIG && b.1.descriptor.media_type != CONFIG {
        documents::manifests(a.1, b.1, &mut found);
    }
    documents::configs(a.1, b.1, &mut found);
    layers::compare(a, b, scratch, &mut found)?;
    let Found { mut differences, counts } = found;
    for difference in &mut differences {
        if let Some(path) = difference.at.as_deref().and_then(|at| at.strip_prefix('/')) {
            difference.package = owner(path, owners);
        }
    }
    let (one, other) = (platform_name(a.1), platform_name(b.1));
    Ok(ManifestComparison {
        platform: if one == other { one } else { format!("{one} and {other}") },
        a: a.1.descriptor.digest.to_string(),
        b: b.1.descriptor.digest.to_string(),
        differences,
        counts,
    })
}

/// Returns the package of a path, the second image's word before the first's.
fn owner(path: &str, owners: (&Owners, &Owners)) -> Option<String> {
    // What dpkg says of a package stands in no list of its files.
    let named = path.strip_prefix("var/lib/dpkg/status.d/").map(|name| name.trim_end_matches(".md5sums"));
    let known = owners.1.of(path).or_else(|| owners.0.of(path));
    known.or(named.filter(|name| !name.contains('/'))).map(str::to_owned)
}

/// Returns `os/architecture` of an image.
fn platform_name(one: &Opened) -> String {
    match one.platform {
        Some(platform) => platform.oci().to_owned(),
        None => {
            let text = |key: &str| one.config[key].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", text("os"), text("architecture"))
        }
    }
}

/// Differences so far.
#[derive(Debug, Default)]
struct Found {
    differences: Vec<Difference>,
    counts: BTreeMap<Class, u64>,
}

impl Found {
    /// Notes a difference, and returns its number where it is kept.
    fn push(&mut self, difference: Difference) -> Option<usize> {
        *self.counts.entry(difference.class).or_insert(0) += 1;
        (self.differences.len() < MAX_DIFFERENCES).then(|| {
            self.differences.push(difference);
            self.differences.len() - 1
        })
    }

    fn extend(&mut self, differences: impl IntoIterator<Item = Difference>) {
        for difference in differences {
            self.push(difference);
        }
    }
}

/// The most characters of a value that is shown.
const MAX_VALUE: usize = 400;

/// Returns a text cut to what is shown.
fn cut(text: &str) -> String {
    if text.len() <= MAX_VALUE {
        return text.to_owned();
    }
    let end = (0..=MAX_VALUE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// Returns a number of bytes in words.
fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}
