//! `iconv:CHARSET`: the modules by which the C library converts a character set, found as iconv_open(3) finds them.
//!
//! The table by which glibc finds them is derived later, for the modules that are kept (`select::gconv`).

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Root, Why};
use super::universe::Item;
use super::{Closer, Error};

/// What glibc itself knows.
const BUILT_IN: [&str; 8] = ["INTERNAL", "UTF-8", "UTF8", "UCS-4", "UCS-2", "ASCII", "UNICODELITTLE", "ANSI_X3.4-1968"];

impl Closer<'_, '_> {
    /// Keeps the modules of the character sets that the spec asks for.
    pub(super) fn gconv(&mut self) -> Result<(), Error> {
        let universe = self.universe;
        let features = &self.input.spec.features;
        let asked: Vec<(u32, String)> = features
            .iter()
            .enumerate()
            .filter(|(_, feature)| feature.value.name == "iconv")
            .filter_map(|(at, feature)| Some((at as u32, feature.value.value.clone()?)))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let Some((directory, configuration)) = ["x86_64-linux-gnu", "aarch64-linux-gnu"].iter().find_map(|triplet| {
            let directory = universe.find(&format!("usr/lib/{triplet}/gconv"))?;
            let below = &universe.places[directory as usize].below;
            let more = below.get("gconv-modules.d").map(|place| &universe.places[*place as usize].below);
            let files = below.get("gconv-modules").into_iter().chain(more.into_iter().flat_map(|more| more.values()));
            Some((directory, files.flat_map(|place| universe.at(*place)).collect::<Vec<Item>>()))
        }) else {
            return Ok(());
        };
        let mut aliases: BTreeMap<String, String> = BTreeMap::new();
        let mut modules: Vec<(String, String, String)> = Vec::new();
        for item in &configuration {
            let text = String::from_utf8_lossy(universe.text(*item).unwrap_or_default()).into_owned();
            for line in text.lines() {
                let line = line.split('#').next().unwrap_or_default();
                let words: Vec<&str> = line.split_whitespace().collect();
                let name = |word: &str| word.trim_end_matches("//").to_uppercase();
                match words.as_slice() {
                    ["alias", alias, name_of, ..] => drop(aliases.insert(name(alias), name(name_of))),
                    ["module", from, to, module, ..] => modules.push((name(from), name(to), (*module).to_owned())),
                    _ => {}
                }
            }
        }
        for (feature, charset) in asked {
            let wanted = charset.to_uppercase();
            let mut names: BTreeSet<String> = BTreeSet::from([wanted.clone()]);
            names.extend(aliases.get(&wanted).cloned());
            let of: BTreeSet<&String> = modules
                .iter()
                .filter(|(from, to, _)| names.contains(from) || names.contains(to))
                .map(|m| &m.2)
                .collect();
            if of.is_empty() && !BUILT_IN.contains(&wanted.as_str()) {
                return Err(Error::Charset { charset, known: aliases.len() });
            }
            for module in of {
                let place = universe.places[directory as usize].below.get(format!("{module}.so").as_str()).copied();
                if let Some(place) = place {
                    for item in universe.at(place).collect::<Vec<_>>() {
                        self.keep(item, Why::Root(Root::Feature(feature)));
                    }
                }
            }
        }
        Ok(())
    }
}
