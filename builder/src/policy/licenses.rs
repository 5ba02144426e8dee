//! Holds the licences of what an image has against rules.
//!
//! Packages are those that the image's own databases name (dpkg's, apk's), those whose documentation alone is there, the
//! languages' own packages that none of them owns, and what the spec says of its own files.

use std::collections::{BTreeMap, BTreeSet};

use globset::Glob;

use super::judge::{Allowed, Found, Judgement, Rule};
use super::survey::{Content, Survey};
use crate::deb822::parse_loosely;
use crate::diag::Span;
use crate::image::RootNode;
use crate::languages;
use crate::license::{self, At, LicenseName, NOASSERTION, Package, Terms};
use crate::spec::LicenseRules;
use crate::tar::read::Kind;

/// A package, and what it is under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Licensed {
    /// Its name.
    pub name: String,
    /// Its version, where a database has it.
    pub version: String,
    /// What it is under: an SPDX expression or `NOASSERTION`.
    pub license: String,
    /// What says so, where that is no package database: the path of a language's metadata, an entry of the spec.
    pub from: Option<String>,
}

/// A package as a database has it.
#[derive(Debug, Clone, Default)]
struct Entry {
    version: String,
    source: String,
    architecture: String,
}

/// Returns the packages of an image with their licences, by name. The image was surveyed by its contents.
pub fn licensed(survey: &Survey) -> Vec<Licensed> {
    let nodes = &survey.rootfs.nodes;
    let text = |node: &RootNode<Content>| node.content.text.clone();
    let mut packages: BTreeMap<String, Entry> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (path, node) in nodes {
        let Some(bytes) = text(node) else { continue };
        let Ok(database) = std::str::from_utf8(&bytes) else { continue };
        if path == "var/lib/dpkg/status" || path.starts_with("var/lib/dpkg/status.d/") && !path.ends_with(".md5sums") {
            packages.extend(dpkg(database));
        } else if path.ends_with("apk/db/installed") {
            all.extend(apk(database));
        }
    }
    // Without a database, the documentation still says which packages are there.
    for (path, node) in nodes.range("usr/share/doc/".to_owned()..) {
        let Some(rest) = path.strip_prefix("usr/share/doc/") else { break };
        let name = match rest.split_once('/') {
            None if matches!(node.kind, Kind::Symlink(_)) => rest,
            Some((name, "copyright")) => name,
            _ => continue,
        };
        packages.entry(name.to_owned()).or_default();
    }
    let owners = survey.owners();
    let owned = owners.by_package();
    for (name, entry) in packages {
        let look = |path: &str| {
            let node = nodes.get(path)?;
            match &node.kind {
                Kind::Symlink(target) => Some(At::Link(target)),
                _ => node.content.text.as_deref().map(At::Text),
            }
        };
        let files = owned.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let package = Package { name: &name, source: &entry.source, architecture: &entry.architecture, files };
        let license = match license::follow(&name, look) {
            Some(text) => license::read(text, &package).concluded,
            // A directory that another package's documentation is linked to, and no package.
            None if entry.version.is_empty() => continue,
            None => NOASSERTION.to_owned(),
        };
        all.insert(Licensed { name, version: entry.version, license, from: None });
    }
    let metadata = nodes.iter().filter(|(path, _)| languages::is_read(path) && owners.of(path).is_none());
    let texts: Vec<_> = metadata.filter_map(|(path, node)| Some((path.as_str(), text(node)?))).collect();
    for package in languages::find(texts.iter().map(|(path, text)| (*path, &**text))) {
        let license = package.license.unwrap_or_else(|| NOASSERTION.to_owned());
        let from = Some(format!("`/{}`", package.metadata));
        all.insert(Licensed { name: package.name, version: package.version, license, from });
    }
    all.extend(survey.components.iter().cloned());
    all.into_iter().collect()
}

/// Reads dpkg's database: stanzas of installed packages.
fn dpkg(text: &str) -> impl Iterator<Item = (String, Entry)> {
    let (stanzas, _) = parse_loosely(text);
    stanzas.into_iter().filter_map(|stanza| {
        let field = |name: &str| stanza.lines(name).and_then(<[&str]>::first).map_or("", |value| *value);
        if stanza.has("Status") && !field("Status").ends_with(" installed") {
            return None;
        }
        let name = field("Package");
        let source = field("Source").split(' ').next().unwrap_or_default();
        let entry = Entry {
            version: field("Version").to_owned(),
            source: if source.is_empty() { name } else { source }.to_owned(),
            architecture: field("Architecture").to_owned(),
        };
        (!name.is_empty() && !name.contains('/')).then(|| (name.to_owned(), entry))
    })
}

/// Reads apk's database, which has SPDX expressions: stanzas of `P:` package, `V:` version, `L:` licence.
fn apk(text: &str) -> Vec<Licensed> {
    let stanzas = text.split("\n\n").filter_map(|stanza| {
        let field = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
        let license = license::read_spdx(field("L:")).map_or_else(|| NOASSERTION.to_owned(), |found| found.to_string());
        let name = field("P:").to_owned();
        (!name.is_empty()).then(|| Licensed { name, version: field("V:").to_owned(), license, from: None })
    });
    stanzas.collect()
}

/// Holds packages against rules: what breaks them goes to `judgement`, with what exceptions allow.
pub(super) fn judge(packages: &[Licensed], rules: &LicenseRules, judgement: &mut Judgement) {
    let allow: Option<Vec<&LicenseName>> = rules.allow.as_ref().map(|allow| allow.value.iter().collect());
    let deny: Vec<&LicenseName> = rules.deny.iter().map(|rule| &rule.value).collect();
    let terms = Terms { allow: allow.as_deref(), deny: &deny };
    let globs: Vec<_> = rules
        .exceptions
        .iter()
        .map(|one| Glob::new(&one.value.package).ok().map(|glob| glob.compile_matcher()))
        .collect();
    let mut used = BTreeSet::new();
    for package in packages {
        let covering: Vec<usize> = (0..rules.exceptions.len())
            .filter(|number| globs[*number].as_ref().is_some_and(|glob| glob.is_match(&package.name)))
            .collect();
        let found = |what: String, span: Span| Found {
            rule: Rule::Licenses,
            path: None,
            package: Some(package.name.clone()),
            what,
            from: package.from.clone(),
            layer: None,
            hidden: false,
            span,
        };
        // Each licence that is refused is allowed by an exception, or breaks the contract.
        let mut settle = |license: Option<&str>, one: Found| {
            let exception = covering.iter().copied().find(|number| match &rules.exceptions[*number].value.license {
                None => true,
                Some(name) => license.is_some_and(|license| name.names(license)),
            });
            match exception {
                Some(number) => {
                    used.insert(number);
                    let because = rules.exceptions[number].value.because.clone();
                    judgement.allowed.push(Allowed { found: one, because });
                }
                None => judgement.broken.push(one),
            }
        };
        let Some(expression) = license::read_spdx(&package.license) else {
            // What nobody knows can be denied by no name; among names that are allowed it is not.
            if let Some(allow) = &rules.allow {
                settle(None, found("is under a licence that is not known".to_owned(), allow.span));
            }
            continue;
        };
        let all = terms.refused(&expression, &|_| false);
        let whole = expression.to_string();
        // With an exception for one arm, a choice may be open.
        let excepted = |license: &str| {
            covering.iter().any(|number| {
                let name = &rules.exceptions[*number].value.license;
                name.as_ref().is_some_and(|name| name.names(license))
            })
        };
        let still = terms.refused(&expression, &excepted);
        for refused in all {
            let part = if whole == refused.license { String::new() } else { format!(" (of `{}`)", short(&whole)) };
            let (what, span) = match refused.denied {
                Some(number) => {
                    let rule = &rules.deny[number];
                    let name = rule.value.as_str();
                    let named = if name == refused.license { String::new() } else { format!(" as `{name}`") };
                    (format!("is under `{}`{part}, which `deny` names{named}", refused.license), rule.span)
                }
                None => {
                    let span = rules.allow.as_ref().map_or(Span::default(), |allow| allow.span);
                    (format!("is under `{}`{part}, which `allow` does not name", refused.license), span)
                }
            };
            if still.is_empty() && !excepted(&refused.license) {
                continue;
            }
            settle(Some(&refused.license), found(what, span));
        }
    }
    judgement.unused_licenses = (0..rules.exceptions.len()).filter(|number| !used.contains(number)).collect();
}

/// Returns the start of a long expression.
fn short(text: &str) -> String {
    const MOST: usize = 120;
    if text.len() <= MOST { text.to_owned() } else { format!("{}…", text.chars().take(MOST).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;
    use crate::spec::Policy;

    fn judged(rules: &str, packages: &[(&str, &str)]) -> (Vec<String>, Vec<String>, Vec<usize>) {
        let text = format!("version: 1\nchecks: {{licenses: {rules}}}\n");
        let policy = Policy::parse(&Source::new("policy.yaml", text)).unwrap();
        let packages: Vec<Licensed> = packages
            .iter()
            .map(|(name, license)| Licensed {
                name: (*name).to_owned(),
                version: "1".to_owned(),
                license: (*license).to_owned(),
                from: None,
            })
            .collect();
        let mut judgement = Judgement::default();
        judge(&packages, &policy.checks.licenses.unwrap(), &mut judgement);
        let shown = |one: &Found| format!("{} {}", one.subject(), one.what);
        let allowed = judgement.allowed.iter().map(|one| format!("{}; {}", shown(&one.found), one.because));
        (judgement.broken.iter().map(shown).collect(), allowed.collect(), judgement.unused_licenses)
    }

    #[test]
    fn breaches_name_package_licence_and_rule() {
        let packages =
            [("a", "MIT"), ("b", "AGPL-3.0-or-later AND MIT"), ("c", "NOASSERTION"), ("d", "AGPL-3.0-only OR MIT")];
        let (broken, ..) = judged("{deny: [AGPL-3.0-only]}", &packages);
        assert_eq!(
            broken,
            [
                "package `b` is under `AGPL-3.0-or-later` (of `AGPL-3.0-or-later AND MIT`), which `deny` names as `AGPL-3.0-only`"
            ]
        );
        let (broken, ..) = judged("{allow: [MIT]}", &packages);
        assert_eq!(
            broken,
            [
                "package `b` is under `AGPL-3.0-or-later` (of `AGPL-3.0-or-later AND MIT`), which `allow` does not name",
                "package `c` is under a licence that is not known",
            ]
        );
    }

    #[test]
    fn exceptions_are_for_packages_and_perhaps_one_licence() {
        let packages = [("liba", "ISC AND Zlib"), ("libb", "NOASSERTION")];
        let rules = "{allow: [MIT], exceptions: [{package: liba, license: ISC, because: one}, {package: \"libb*\", because: two}, \
                     {package: x, because: three}]}";
        let (broken, allowed, unused) = judged(rules, &packages);
        assert_eq!(broken, ["package `liba` is under `Zlib` (of `ISC AND Zlib`), which `allow` does not name"]);
        assert_eq!(
            allowed,
            [
                "package `liba` is under `ISC` (of `ISC AND Zlib`), which `allow` does not name; one",
                "package `libb` is under a licence that is not known; two",
            ]
        );
        assert_eq!(unused, [2]);
        // An exception for one arm leaves the choice open.
        let (broken, allowed, unused) =
            judged("{allow: [MIT], exceptions: [{package: x, license: ISC, because: why}]}", &[("x", "ISC OR Zlib")]);
        assert_eq!((broken.len(), allowed.len(), unused.len()), (0, 1, 0));
    }

    #[test]
    fn databases_name_packages() {
        let text = "Package: a\nStatus: install ok installed\nSource: s (1)\nVersion: 1\nArchitecture: all\n\nPackage: \
                    b\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: c\nVersion: 2\n";
        let all: Vec<_> = dpkg(text).map(|(name, entry)| (name, entry.source)).collect();
        assert_eq!(all, [("a".to_owned(), "s".to_owned()), ("c".to_owned(), "c".to_owned())]);
        let all = apk("P:musl\nV:1.2\nL:MIT\n\nP:x\nV:1\nL:odd\n");
        assert_eq!(all.iter().map(|one| one.license.as_str()).collect::<Vec<_>>(), ["MIT", "NOASSERTION"]);
    }
}
