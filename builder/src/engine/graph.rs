//! A lock as a graph of BuildKit operations.
//!
//! In: a spec, its lock, mirrors and a worker. Out: a definition whose operations are those of [`super::worker`], wired
//! so that a daemon's cache does what it can: a package is opened again where its bytes change and for no other reason,
//! a layer is written again where its own plan or its own packages do. Nothing is read from the disk and nothing is
//! asked of a network; the definition's bytes follow from what is handed in, and the keys of its operations do not
//! depend on the mirror.
//!
//! A wide fan of executions makes BuildKit fail, so opens and layers go in [`LANES`] lanes: each waits for the one that
//! many places before, by a mount of a directory that never changes. So the order is kept, and no operation's key has
//! to do with its place in it.

mod error;
mod groups;
mod operations;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::engine::worker::FILES;
use crate::fetch::Mirrors;
use crate::llb::{Definition, Output, Step, Vertex};
use crate::lock::{ENCODING, Lock, RULES};
use crate::spec::{Platform, Spec};

pub use error::Error;
pub use groups::{LayerGroup, MAX_OPENS, groups};
pub use operations::fetch_name;
use operations::{Lowering, Opened, STATE, Stacked};
pub use worker::{FETCH as FETCH_WORKER, Worker};

/// How many opens, and how many layers, run side by side.
pub const LANES: usize = 8;

/// What the daemon's client offers of the spec's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The name of a directory of the client's.
    pub name: &'a str,
    /// Where the spec's directory is in it; empty where it is that itself.
    pub directory: &'a str,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self { name: "context", directory: "" }
    }
}

/// What is lowered.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// Its section of the lock.
    pub lock: &'a Lock,
    /// Which of the lock's platforms; all where empty.
    pub platforms: &'a [Platform],
    /// Where packages are fetched from: the first address of each archive counts.
    pub mirrors: &'a Mirrors,
    /// What the operations run.
    pub worker: &'a Worker,
    /// Where the files beside the spec come from. Where the spec names none, nobody is asked for any.
    pub context: Context<'a>,
    /// By a package's SHA-256, how often a daemon asked for it in vain and may still be asking. What is asked of the next
    /// mirror then has to differ in more than its address.
    pub in_vain: &'a BTreeMap<Digest, u32>,
    /// What the documents say that is neither in the spec nor in its lock; see [`crate::ops::worker::Said`].
    pub told: Option<&'a [u8]>,
}

/// What a definition of a whole build ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The image, as a layout.
    Oci,
    /// The documents about it.
    Evidence,
}

/// A layer to write from a plan that is at hand.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// The platform.
    pub platform: Platform,
    /// The layer, one of the lock's.
    pub layer: &'a str,
    /// Its plan as the operation `select` writes it.
    pub plan: &'a [u8],
}

/// Lowers a whole build.
///
/// # Errors
/// A lock of another release, a platform that it does not have, a file that no daemon can fetch.
pub fn whole(input: &Input<'_>, target: Target) -> Result<Definition, Error> {
    let platforms = platforms(input)?;
    let mut lowering = Lowering::new(input, &platforms);
    let local = lowering.open_local()?;
    // All opens first: platform stands behind platform in the lanes.
    let mut opened = Vec::new();
    for platform in &platforms {
        let base = lowering.open_base(*platform);
        let mut all = Vec::new();
        for group in groups(*platform, lowering.locked(*platform)?) {
            all.push((lowering.open(&group)?, group));
        }
        opened.push((base, all));
    }
    let mut stacked: Vec<Stacked> = Vec::new();
    for (platform, (base, opens)) in platforms.iter().zip(opened) {
        let indexes: Vec<Output> = opens.iter().map(|(opened, _)| opened.index).collect();
        let plans = lowering.select(*platform, &indexes, local, base);
        let mut layers = Vec::new();
        for layer in &lowering.locked(*platform)?.layers {
            let data = opens.iter().find(|(_, group)| group.layers.contains(layer));
            layers.push(lowering.layer(*platform, layer, plans, data.map(|(opened, _)| opened.data)));
        }
        layers.push(lowering.layer(*platform, STATE, plans, None));
        layers.push(lowering.layer(*platform, FILES, plans, local.map(|local| local.data)));
        stacked.push(Stacked { platform: *platform, indexes, base, layers });
    }
    let result = match target {
        Target::Oci => lowering.assemble(&stacked, local).0,
        Target::Evidence => lowering.assemble(&stacked, local).1,
    };
    Ok(lowering.graph.finish(result))
}

/// Lowers the opening of these groups. The result holds their indexes: those of group N at `/N/`, by package.
///
/// # Errors
/// As of [`whole`].
pub fn opens(input: &Input<'_>, share: &[LayerGroup]) -> Result<Definition, Error> {
    let platforms = platforms(input)?;
    let mut lowering = Lowering::new(input, &platforms);
    let mut indexes = Vec::new();
    for group in share {
        indexes.push(lowering.open(group)?.index);
    }
    let result = gather(&mut lowering, &indexes, "indexes");
    Ok(lowering.graph.finish(result))
}

/// Lowers the writing of package layers from these plans, and the opening of their packages where the daemon does not
/// hold them any more. The result holds layer N, `blob` and `layer`, at `/N/`.
///
/// # Errors
/// As of [`whole`]; a layer that is none of the lock's.
pub fn layers(input: &Input<'_>, plans: &[Planned<'_>]) -> Result<Definition, Error> {
    written(input, plans, false)
}

/// As [`layers`]; behind the layers the result holds the indexes of the groups that are opened. A cache that is exported
/// with a solve knows no more outputs than the result needs, and who begins with that cache asks for indexes first.
///
/// # Errors
/// As of [`layers`].
pub fn layers_and_indexes(input: &Input<'_>, plans: &[Planned<'_>]) -> Result<Definition, Error> {
    written(input, plans, true)
}

fn written(input: &Input<'_>, plans: &[Planned<'_>], with_indexes: bool) -> Result<Definition, Error> {
    let platforms = platforms(input)?;
    let mut lowering = Lowering::new(input, &platforms);
    let mut opened: BTreeMap<LayerGroup, Opened> = BTreeMap::new();
    let mut written = Vec::new();
    for Planned { platform, layer, plan } in plans {
        let of = groups(*platform, lowering.locked(*platform)?);
        let group = of.into_iter().find(|group| group.layers.iter().any(|other| other == layer));
        let Some(group) = group else {
            return Err(Error::Layer { layer: (*layer).to_owned(), platform: platform.oci().to_owned() });
        };
        let data = match opened.get(&group) {
            Some(opened) => opened.data,
            None => {
                let now = lowering.open(&group)?;
                opened.insert(group, now);
                now.data
            }
        };
        let plans = lowering.plan(*platform, layer, plan);
        written.push(lowering.layer(*platform, layer, plans, Some(data)));
    }
    if with_indexes {
        written.extend(opened.values().map(|opened| opened.index));
    }
    let result = gather(&mut lowering, &written, "layers");
    Ok(lowering.graph.finish(result))
}

/// Copies outputs below `/0`, `/1` and so on.
fn gather(lowering: &mut Lowering<'_>, outputs: &[Output], what: &str) -> Output {
    let copy =
        |(number, from): (usize, &Output)| Step::Copy { from: *from, source: "/".to_owned(), to: format!("/{number}") };
    let mut steps: Vec<Step> = outputs.iter().enumerate().map(copy).collect();
    if steps.is_empty() {
        steps.push(Step::Directory { path: "/none".to_owned() });
    }
    lowering.graph.files(&steps, Vertex::new(format!("gather {what}"), format!("the {what}")))
}

/// Returns the platforms to build, each one of the lock's, sorted.
fn platforms(input: &Input<'_>) -> Result<Vec<Platform>, Error> {
    let Lock { encoding, rules, tarsia, .. } = input.lock;
    if (*encoding, *rules) != (ENCODING, RULES) {
        return Err(Error::OtherRelease { tarsia: tarsia.clone(), encoding: *encoding, rules: *rules });
    }
    let of = |name: &String| Platform::from_oci(name).ok_or_else(|| Error::Platform(name.clone()));
    let mut platforms: Vec<Platform> = match input.platforms {
        [] => input.lock.platform.keys().map(of).collect::<Result<_, _>>()?,
        asked => asked.to_vec(),
    };
    platforms.sort();
    platforms.dedup();
    match platforms.iter().find(|platform| !input.lock.platform.contains_key(platform.oci())) {
        Some(absent) => Err(Error::Platform(absent.oci().to_owned())),
        None if platforms.is_empty() => Err(Error::NoPlatform),
        None => Ok(platforms),
    }
}
