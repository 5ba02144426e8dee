//! Dependencies as they were really resolved: which alternative, and who provides it (Debian policy 7.1, 7.5).

use std::collections::BTreeMap;

use crate::deb822::{Dependency, Op, Relation, Version, parse_dependencies};

/// What dependencies ask of an installed package.
pub(super) struct Installed<'a> {
    pub(super) name: &'a str,
    pub(super) version: Version,
    /// The relations of `Pre-Depends` and `Depends`.
    pub(super) depends: Vec<Dependency>,
    /// Names that it provides, some with a version.
    pub(super) provides: Vec<(String, Option<Version>)>,
}

impl<'a> Installed<'a> {
    /// Reads the fields of a package's stanza; relations that do not parse name nothing.
    pub(super) fn new(name: &'a str, version: &str, field: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let relations = |name: &str| field(name).and_then(|text| parse_dependencies(&text).ok()).unwrap_or_default();
        let mut depends = relations("Pre-Depends");
        depends.extend(relations("Depends"));
        let provides = relations("Provides").into_iter().flat_map(|group| group.0).map(|relation| {
            let version = relation.version.filter(|(op, _)| *op == Op::Equal).map(|(_, version)| version);
            (relation.name, version)
        });
        Some(Self { name, version: Version::parse(version).ok()?, provides: provides.collect(), depends })
    }
}

/// What satisfies one relation of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Satisfied {
    /// The package that satisfies it.
    pub(super) by: String,
    /// The relation, where it leaves a choice: alternatives, or a name that others provide.
    pub(super) choice: Option<String>,
}

/// All packages that were installed together.
pub(super) struct Universe<'a> {
    packages: BTreeMap<&'a str, &'a Installed<'a>>,
    /// Who provides a name, in the order of names.
    providers: BTreeMap<&'a str, Vec<(&'a str, Option<&'a Version>)>>,
}

impl<'a> Universe<'a> {
    pub(super) fn new(installed: &'a [Installed<'a>]) -> Self {
        let packages: BTreeMap<&str, &Installed<'_>> = installed.iter().map(|one| (one.name, one)).collect();
        let mut providers: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for one in packages.values() {
            for (name, version) in &one.provides {
                providers.entry(name).or_default().push((one.name, version.as_ref()));
            }
        }
        Self { packages, providers }
    }

    /// Returns what satisfies each relation of `package`. A relation that nothing satisfies is left out: the package
    /// manager would not have let it come to that.
    pub(super) fn resolved(&self, package: &Installed<'_>) -> Vec<Satisfied> {
        let mut all = Vec::new();
        for group in &package.depends {
            let found = group.0.iter().find_map(|relation| Some((relation, self.satisfies(relation)?)));
            let Some((relation, by)) = found else { continue };
            if by != package.name {
                let plain = group.0.len() == 1 && relation.name == by;
                let choice = (!plain).then(|| group.to_string());
                all.push(Satisfied { by: by.to_owned(), choice });
            }
        }
        all
    }

    /// Returns the package that satisfies a relation: a real one before one that provides the name.
    fn satisfies(&self, relation: &Relation) -> Option<&'a str> {
        let fits = |version: &Version| relation.version.as_ref().is_none_or(|(op, bound)| op.holds(version, bound));
        if let Some(real) = self.packages.get(relation.name.as_str())
            && fits(&real.version)
        {
            return Some(real.name);
        }
        let providers = self.providers.get(relation.name.as_str())?;
        let fitting = providers.iter().find(|(_, version)| match version {
            Some(version) => fits(version),
            // What provides a name without a version satisfies no relation that asks for one.
            None => relation.version.is_none(),
        });
        fitting.map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_and_providers_are_told() {
        let package = |name: &'static str, version: &str, depends: &str, provides: &str| {
            let fields = [("Depends", depends.to_owned()), ("Provides", provides.to_owned())];
            Installed::new(name, version, &|field| {
                fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value.clone())
            })
            .unwrap()
        };
        let all = [
            package(
                "app",
                "1",
                "libssl4 | libssl3 (>= 3.0), mta, libc6, mail-api (>= 2), mail-api (>= 1) | nothing",
                "",
            ),
            package("libssl3", "3.0.1", "", ""),
            package("exim", "4", "", "mta, mail-api (= 1.5)"),
            package("libc6", "2.41", "app", "libc6-nothing"),
            package("postfix", "3", "", "mta"),
        ];
        let universe = Universe::new(&all);
        let told: Vec<_> =
            universe.resolved(&all[0]).into_iter().map(|one| (one.by, one.choice.unwrap_or_default())).collect();
        let expected = [
            ("libssl3", "libssl4 | libssl3 (>= 3.0)"),
            ("exim", "mta"),
            ("libc6", ""),
            ("exim", "mail-api (>= 1) | nothing"),
        ];
        assert_eq!(told, expected.map(|(by, choice)| (by.to_owned(), choice.to_owned())));
        assert_eq!(universe.resolved(&all[3]).len(), 1);
    }
}
