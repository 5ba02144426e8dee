//! Chooses versions, explains why, plans layers.
//!
//! In: a spec and the verified indexes of its archives. Out: one platform's share of a lock. The answer is what
//! `apt-get install --no-install-recommends` would install into an empty root, plus the implicit packages of
//! [`rules::implicit`](crate::rules::implicit); Essential packages are not implied. Nothing is read or fetched here.
//!
//! `straight` goes apt's way; where that is blocked, `solve` searches everything there is.

mod catalogue;
mod error;
mod explain;
mod installed;
mod layers;
mod near;
mod prove;
mod reasons;
mod solve;
mod stale;
mod straight;
mod universe;

pub use catalogue::Catalogue;
pub use error::{Error, Missing};
pub use installed::installed;
pub use layers::{Plan, Planned, plan as plan_layers};
pub use prove::{Contradiction, prove, unproved};
pub use stale::stale;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::archive::{Candidate, Index};
use crate::deb822::{Op, Relation, Version};
use crate::lock::{LOCAL, LockedPackage, PlatformLock};
use crate::spec::{Keep, PackageRequest, Platform, Spanned, Spec};
use solve::Roots;
use universe::{Bounds, Choice, Request, Universe};

/// Which locked packages may move.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Update {
    /// None: what is locked stays where it can still be had and fits.
    #[default]
    None,
    /// Those of these names, and what they force.
    Some(BTreeSet<String>),
    /// Everything takes its newest version.
    All,
}

/// What resolution starts from beside spec and archives.
#[derive(Debug, Clone, Default)]
pub struct ResolveOptions<'a> {
    /// The platform's share of the lock that is there already.
    pub previous: Option<&'a PlatformLock>,
    /// What may move away from it.
    pub update: Update,
    /// Packages that the base has: they meet dependencies at their version, and are neither locked nor copied.
    pub installed: &'a [Candidate],
    /// Packages of the spec's own directory; [`with_local`] asks for them.
    pub local: &'a [Candidate],
}

/// Returns the packages of `spec` on `platform`, why each is in, and the layer it goes to.
///
/// The same arguments give the same answer; the order of `indexes` does not matter.
pub fn resolve(
    spec: &Spec,
    platform: Platform,
    indexes: &[Index],
    options: &ResolveOptions<'_>,
) -> Result<PlatformLock, Error> {
    if spec.packages.is_empty() {
        return Ok(PlatformLock::default());
    }
    resolve_from(spec, &Catalogue::beside(options.installed, options.local, indexes, platform), options)
}

/// As [`resolve`], from a catalogue that several resolutions share, and that holds what is installed.
pub fn resolve_from(
    spec: &Spec,
    catalogue: &Catalogue<'_>,
    options: &ResolveOptions<'_>,
) -> Result<PlatformLock, Error> {
    if spec.packages.is_empty() {
        return Ok(PlatformLock::default());
    }
    let excluded: BTreeSet<&str> = spec.excluded.iter().map(|name| name.value.as_str()).collect();
    let requests: Vec<Request<'_>> =
        spec.packages.iter().map(|request| asked(spec, request)).collect::<Result<_, _>>()?;
    let bounds = Bounds {
        excluded: &excluded,
        requests: &requests,
        kept: options.previous.filter(|_| options.update != Update::All),
        moving: match &options.update {
            Update::Some(names) => Some(names),
            Update::None | Update::All => None,
        },
        older: false,
    };
    let universe = Universe::new(catalogue, &bounds);
    let roots = roots(spec, &requests, &universe)?;
    let chosen = choose(&universe, &roots, &options.update).ok_or_else(|| {
        let mut proof = explain::explain(spec, catalogue.platform, &universe, &excluded, &roots);
        proof.hints.extend(older(spec, &requests, catalogue, &bounds));
        Error::Unsatisfiable(Box::new(proof))
    })?;

    let required: Vec<&[Choice]> = roots.required.iter().map(Vec::as_slice).collect();
    let mut reasons = reasons::reasons(&universe, &chosen, &required[..spec.packages.len()]);
    reasons.retain(|id, _| !installed::is_installed(universe.candidate(*id)));
    let planned: Vec<layers::Planned<'_>> = reasons
        .iter()
        .map(|(id, reason)| {
            let candidate = universe.candidate(*id);
            layers::Planned {
                name: &candidate.name,
                source: &candidate.source,
                source_version: &candidate.source_version,
                installed_kib: candidate.installed_size_kib,
                script_only: reason.script_only,
            }
        })
        .collect();
    let mut keeps: BTreeMap<universe::Id, Keep> = BTreeMap::new();
    for (request, choices) in spec.packages.iter().zip(&required) {
        if let (Some(keep), Some(id)) = (request.value.keep, reasons::first_chosen(choices, &chosen)) {
            keeps.insert(id, keep);
        }
    }
    let plan = layers::plan(&planned, spec.layers.max, options.previous);
    let mut packages: Vec<LockedPackage> = reasons
        .into_iter()
        .map(|(id, reason)| {
            let candidate = universe.candidate(id);
            let version = candidate.version.to_string();
            LockedPackage {
                name: candidate.name.clone(),
                architecture: candidate.architecture.clone(),
                source: candidate.source.clone(),
                source_version: Some(candidate.source_version.clone()).filter(|source| *source != version),
                version,
                archive: candidate.archive.clone(),
                in_release: candidate.in_release,
                path: candidate.path.clone(),
                size: candidate.size,
                digest: candidate.digest,
                why: reason.why,
                script_only: reason.script_only,
                keep: keeps.get(&id).map(|keep| keep.as_str().to_owned()),
                layer: plan.layer_of.get(&candidate.name).cloned().unwrap_or_default(),
            }
        })
        .collect();
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    Ok(PlatformLock { layers: plan.layers, packages })
}

/// Returns the edits that an answer with older versions would take, where there is one.
fn older(spec: &Spec, requests: &[Request<'_>], catalogue: &Catalogue<'_>, bounds: &Bounds<'_>) -> Vec<String> {
    let universe = Universe::new(catalogue, &Bounds { older: true, ..*bounds });
    let Ok(roots) = roots(spec, requests, &universe) else { return Vec::new() };
    let Some(chosen) = solve(&universe, &roots) else { return Vec::new() };
    let candidates = chosen.iter().map(|id| (*id, universe.candidate(*id)));
    let old = candidates.filter(|(id, _)| universe.candidates_of(universe.name_of(*id)).next() != Some(*id));
    old.map(|(_, candidate)| {
        let (name, version) = (&candidate.name, &candidate.version);
        format!("an older `{name}` would do: ask for `{name} = {version}`")
    })
    .collect()
}

/// Returns `spec` as asking for these packages of its own directory, each in the place of the entry that names its
/// file, and for no other version of them.
pub fn with_local(spec: &Spec, local: &[(Spanned<Option<Keep>>, Candidate)]) -> Spec {
    let asked = local.iter().map(|(entry, candidate)| {
        let version = Some(("=".to_owned(), candidate.version.to_string()));
        let (name, from) = (candidate.name.clone(), Some(LOCAL.to_owned()));
        Spanned { value: PackageRequest { name, version, from, keep: entry.value }, span: entry.span }
    });
    Spec { packages: spec.packages.iter().cloned().chain(asked).collect(), ..spec.clone() }
}

fn solve(universe: &Universe<'_, '_>, roots: &Roots) -> Option<BTreeSet<universe::Id>> {
    straight::walk(universe, roots).or_else(|| solve::solve(universe, roots))
}

/// Searches with the packages that are to move at their newest, and without that for those that cannot have it.
fn choose(universe: &Universe<'_, '_>, roots: &Roots, update: &Update) -> Option<BTreeSet<universe::Id>> {
    let Update::Some(names) = update else { return solve(universe, roots) };
    let newest: Vec<Choice> = names
        .iter()
        .filter_map(|name| universe.find(name))
        .map(|name| Choice { name, ids: universe.candidates_of(name).take(1).collect() })
        .collect();
    let with = |limits: &[Choice]| Roots { limits: limits.to_vec(), ..roots.clone() };
    if let Some(chosen) = solve(universe, &with(&newest)) {
        return Some(chosen);
    }
    let mut limits: Vec<Choice> = Vec::new();
    for limit in newest {
        limits.push(limit);
        if solve(universe, &with(&limits)).is_none() {
            limits.pop();
        }
    }
    solve(universe, &with(&limits))
}

/// Returns the requests as choices, in the spec's order, then the packages that always come.
fn roots(spec: &Spec, requests: &[Request<'_>], universe: &Universe<'_, '_>) -> Result<Roots, Error> {
    let mut required = Vec::new();
    let mut missing = Vec::new();
    for (request, asked) in spec.packages.iter().zip(requests) {
        let mut choices = Vec::new();
        universe.matches(&asked.relation, &mut choices);
        // A virtual name is a request only where it has one meaning, as for apt.
        if choices.is_empty() || (choices.len() > 1 && universe.find(&asked.relation.name).is_none()) {
            missing.push(near::missing(spec, request, universe, &choices));
        }
        required.push(choices);
    }
    if !missing.is_empty() {
        return Err(Error::Missing { spec: spec.name.clone(), source_text: Arc::clone(&spec.source), missing });
    }
    let requests = required.len();
    for (name, _) in universe.always() {
        required.push(vec![Choice { name, ids: universe.candidates_of(name).collect() }]);
    }
    // What a base has stays: nothing is chosen that it excludes, or that excludes it.
    for name in 0..universe.names().len() {
        let ids: BTreeSet<_> =
            universe.candidates_of(name).filter(|id| installed::is_installed(universe.candidate(*id))).collect();
        if !ids.is_empty() {
            required.push(vec![Choice { name, ids: ids.into_iter().collect() }]);
        }
    }
    Ok(Roots { required, requests, limits: Vec::new() })
}

fn asked<'a>(spec: &Spec, request: &'a Spanned<PackageRequest>) -> Result<Request<'a>, Error> {
    let wrong = |text: String| Error::Request {
        spec: spec.name.clone(),
        source_text: Arc::clone(&spec.source),
        span: request.span,
        text,
    };
    let version = match &request.value.version {
        None => None,
        Some((op, version)) => {
            let parsed = Op::parse(op).ok_or_else(|| wrong(format!("`{op}` is no version relation")))?;
            let version = Version::parse(version).map_err(|error| wrong(error.to_string()))?;
            Some((parsed, version))
        }
    };
    let relation = Relation { name: request.value.name.clone(), qualifier: None, version, architectures: Vec::new() };
    Ok(Request { relation, from: request.value.from.as_deref() })
}

#[cfg(test)]
mod tests;
