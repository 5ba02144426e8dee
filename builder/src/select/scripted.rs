//! All maintainer scripts of an image, read in the order in which dpkg would call them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::account::AccountRequest;
use super::error::Error;
use super::merge::Diversions;
use super::scripts::{self, Effect, Findings, Root, Scripts, Thing};
use super::{HandledScript, Report, SelectInput, paths};
use crate::deb822::parse_dependencies;
use crate::lock::Why;
use crate::package::{EntryKind, PackIndex};
use crate::spec::Platform;

/// Scripts that dpkg calls on a first installation, in its order: all `preinst` before any `postinst`.
const CALLS: [&str; 2] = ["preinst", "postinst"];

/// One script and what it comes to.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) package: String,
    pub(super) script: &'static str,
    pub(super) findings: Findings,
}

/// What all scripts come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripted {
    pub(super) readings: Vec<Reading>,
}

impl Scripted {
    /// Reads the scripts of every package that takes part.
    pub(super) fn read(input: &SelectInput<'_>) -> Result<Self, Error> {
        let locked = &input.platform_lock()?.packages;
        let taking_part: BTreeSet<&str> = locked
            .iter()
            .filter(|package| !package.script_only || package.why == Why::Requested)
            .map(|package| package.name.as_str())
            .collect();
        let packs: BTreeMap<&str, &PackIndex> = locked
            .iter()
            .filter_map(|package| Some((package.name.as_str(), input.packs.get(&package.name)?)))
            .collect();
        Ok(Self::of(input.platform, &packs, |name| taking_part.contains(name)))
    }

    /// Reads the scripts of those packages that take part; the others' files are there as well.
    pub(super) fn of(
        platform: Platform,
        packs: &BTreeMap<&str, &PackIndex>,
        takes_part: impl Fn(&str) -> bool,
    ) -> Self {
        let mut root = root(platform, packs);
        let order = order(packs);
        let mut readings = Vec::new();
        for script in CALLS {
            for name in order.iter().filter(|name| takes_part(name)) {
                let index = packs[name];
                let package = Scripts {
                    package: name,
                    scripts: &index.scripts,
                    questions: &index.questions,
                    triggers: &index.triggers,
                };
                if let Some(findings) = scripts::read(&mut root, &package, script) {
                    readings.push(Reading { package: (*name).to_owned(), script, findings });
                }
            }
        }
        Self { readings }
    }

    /// Leaves out the scripts of packages that take no part after all.
    pub(super) fn retain(&mut self, takes_part: impl Fn(&str) -> bool) {
        self.readings.retain(|reading| takes_part(&reading.package));
    }

    /// Returns every effect with who has it.
    pub(super) fn effects(&self) -> impl Iterator<Item = (&Reading, &'static str, &Effect)> {
        let of = |reading| move |(rule, effect)| (reading, rule, effect);
        self.readings.iter().flat_map(move |reading: &Reading| {
            reading.findings.effects.iter().map(|(rule, effect)| (*rule, effect)).map(of(reading))
        })
    }

    /// Returns the accounts that scripts ask for, in their order.
    pub(super) fn requests(&self) -> Vec<AccountRequest> {
        let accounts = self.effects().filter_map(|(_, _, effect)| match effect {
            Effect::Account(request) => Some(request.clone()),
            _ => None,
        });
        accounts.collect()
    }

    /// Returns where files are moved aside to, by path, and the package whose file stays.
    pub(super) fn diversions(&self) -> Diversions {
        let rewritten = |path: &str| {
            let path = path.trim_start_matches('/');
            paths::rewrite(path, false).unwrap_or_else(|| path.to_owned())
        };
        let diverted = self.effects().filter_map(|(_, _, effect)| match effect {
            Effect::Divert { path, to, by } => Some((rewritten(path), (rewritten(to), by.clone()))),
            _ => None,
        });
        diverted.collect()
    }

    /// Returns a report that says of every script what it comes to.
    pub(super) fn report(&self) -> Report {
        let mut report = Report::default();
        for Reading { package, script, findings } in &self.readings {
            let (package, script) = (package.clone(), (*script).to_owned());
            if findings.unhandled.is_empty() {
                let rules = findings
                    .covered
                    .iter()
                    .map(|(rule, lines)| ((*rule).to_owned(), lines.iter().cloned().collect()))
                    .collect();
                report.handled.push(HandledScript { package, script, rules });
            } else {
                report.unhandled.push((package, script, findings.unhandled.clone()));
            }
        }
        report.handled.sort_by(|a, b| (&a.package, &a.script).cmp(&(&b.package, &b.script)));
        report.unhandled.sort();
        report
    }
}

/// Returns the root that the scripts find.
fn root(platform: Platform, packs: &BTreeMap<&str, &PackIndex>) -> Root {
    let mut root = match platform {
        Platform::Amd64 => Root::new("amd64", "x86_64-linux-gnu"),
        Platform::Arm64 => Root::new("arm64", "aarch64-linux-gnu"),
    };
    for (name, index) in packs {
        root.begin(name);
        let mut texts: BTreeMap<usize, Rc<[u8]>> = BTreeMap::new();
        for (at, text) in &index.texts {
            texts.insert(usize::try_from(*at).unwrap_or(usize::MAX), Rc::from(text.as_slice()));
        }
        for (at, entry) in index.entries.iter().enumerate() {
            let directory = entry.kind == EntryKind::Directory;
            let path = paths::rewrite(&entry.path, directory);
            let thing = match &entry.kind {
                EntryKind::Directory => Thing::Directory,
                EntryKind::Symlink(target) => Thing::Link(target.clone()),
                EntryKind::File(_) | EntryKind::Hardlink(_) => Thing::File(texts.get(&at).cloned()),
            };
            root.add(path.as_deref().unwrap_or(&entry.path), thing);
        }
    }
    if let Some(index) = packs.get("base-passwd") {
        for (number, entry) in index.entries.iter().enumerate() {
            let text = index.texts.iter().find(|(at, _)| usize::try_from(*at) == Ok(number));
            let Some((_, text)) = text else { continue };
            let lines = String::from_utf8_lossy(text);
            for fields in lines.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
                match (entry.path.rsplit('/').next(), fields.as_slice()) {
                    (Some("passwd.master"), [name, _, _, _, _, home, ..]) => {
                        root.users.insert((*name).to_owned(), Some((*home).to_owned()));
                    }
                    (Some("group.master"), [name, ..]) => drop(root.groups.insert((*name).to_owned())),
                    _ => {}
                }
            }
        }
    }
    for name in ["root", "nobody"] {
        root.users.entry(name.to_owned()).or_insert(None);
    }
    for name in ["root", "nogroup"] {
        root.groups.insert(name.to_owned());
    }
    root
}

/// Returns the packages so that each comes after what it depends on; circles are cut where they are entered.
fn order<'a>(packs: &BTreeMap<&'a str, &'a PackIndex>) -> Vec<&'a str> {
    let mut provided: BTreeMap<String, &'a str> = BTreeMap::new();
    let mut needs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, index) in packs {
        let names = |field: &str| -> Vec<String> {
            let relations = index.field(field).and_then(|text| parse_dependencies(text).ok()).unwrap_or_default();
            relations.into_iter().flat_map(|any| any.0).map(|relation| relation.name).collect()
        };
        for virtual_name in names("Provides") {
            provided.entry(virtual_name).or_insert(name);
        }
        needs.insert(name, ["Pre-Depends", "Depends"].into_iter().flat_map(names).collect());
    }
    let mut order = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for start in packs.keys() {
        // (package, how many of its needs have been looked at).
        let mut path: Vec<(&'a str, usize)> = Vec::new();
        if seen.insert(start) {
            path.push((start, 0));
        }
        while let Some((name, at)) = path.last_mut() {
            let Some(need) = needs[*name].get(*at) else {
                order.push(*name);
                path.pop();
                continue;
            };
            *at += 1;
            let known = packs.get_key_value(need.as_str()).map(|(name, _)| *name);
            if let Some(next) = known.or_else(|| provided.get(need).copied())
                && seen.insert(next)
            {
                path.push((next, 0));
            }
        }
    }
    order
}
