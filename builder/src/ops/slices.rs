//! Slices at lock time: which packages they lead to, and which definitions that depends on.

use std::collections::BTreeSet;

use crate::diag::{Diagnose, Label, Problems};
use crate::package::local;
use crate::rules::slices::{self, Chosen, Name, Slices};
use crate::spec::{PackageRequest, Platform, Spanned, Spec};

use super::Project;

/// A spec whose slices cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock `{}`: {error}", spec.source.name)]
struct Refused {
    spec: Box<Spec>,
    error: slices::Error,
}

impl Diagnose for Refused {
    fn code(&self) -> &'static str {
        "slices::request"
    }

    fn labels(&self) -> Vec<Label> {
        let named = match &self.error {
            slices::Error::NoSlice { name, .. } => Some(name),
            _ => None,
        };
        let at = self.spec.sliced.iter().find(|asked| Some(&asked.value) == named).or(self.spec.sliced.first());
        let source = self.spec.source.clone();
        at.map(|asked| Label { source, span: asked.span, text: String::new() }).into_iter().collect()
    }

    fn hints(&self) -> Vec<String> {
        match &self.error {
            slices::Error::NoSlice { name, known, .. } if !known.is_empty() => {
                let names: Vec<String> = known.iter().map(|slice| format!("`{}_{slice}`", name.package)).collect();
                vec![format!("there are {}", names.join(", "))]
            }
            slices::Error::Generate { .. } => {
                vec!["leave the slice out: tarsia writes SBOMs beside the image".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

fn choose(spec: &Spec, slices: &Slices, platform: Platform) -> Result<Chosen, Problems> {
    let asked: Vec<Name> = spec.sliced.iter().map(|name| name.value.clone()).collect();
    let refused = |error| Problems::from(Refused { spec: Box::new(spec.clone()), error });
    slices.choose(&asked, platform.architecture()).map_err(refused)
}

/// Returns the spec as it is resolved: with the packages of all slices that its own lead to.
///
/// # Errors
/// A slice that is not there, or cannot be made here.
pub(super) fn with_packages(spec: &Spec, slices: &Slices, platform: Platform) -> Result<Spec, Problems> {
    let Some(first) = spec.sliced.first() else { return Ok(spec.clone()) };
    let chosen = choose(spec, slices, platform)?;
    let named: BTreeSet<&str> = spec.packages.iter().map(|request| request.value.name.as_str()).collect();
    let more = chosen.packages().into_iter().filter(|name| !named.contains(name)).map(|name| Spanned {
        value: PackageRequest { name: name.to_owned(), version: None, from: None, keep: None },
        span: first.span,
    });
    Ok(Spec { packages: spec.packages.iter().cloned().chain(more).collect(), ..spec.clone() })
}

/// Returns the files of definitions that the spec's slices depend on, on any platform, sorted: those of the packages
/// that they lead to, and a release's `chisel.yaml`.
///
/// # Errors
/// A definition that cannot be read; a slice that is not there.
pub(super) fn files(project: &Project) -> Result<Vec<String>, Problems> {
    if project.spec.sliced.is_empty() {
        return Ok(Vec::new());
    }
    let (slices, _) = local::slices(&project.spec, &project.directory)?;
    let mut files: BTreeSet<String> = BTreeSet::new();
    for platform in [Platform::Amd64, Platform::Arm64] {
        let chosen = choose(&project.spec, &slices, platform)?;
        files.extend(chosen.packages().iter().filter_map(|name| Some(slices.packages.get(*name)?.file.clone())));
    }
    let release = local::slice_files(&project.spec, &project.directory)?;
    files.extend(release.into_iter().filter(|path| path.ends_with("/chisel.yaml")));
    Ok(files.into_iter().collect())
}
