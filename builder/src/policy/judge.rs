//! Holds what was found against a contract.

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobMatcher};
use serde::Serialize;

use super::licenses;
use super::survey::{Content, Survey};
use super::tables::{CAPABILITIES, PACKAGE_MANAGERS, SHELLS};
use crate::diag::Span;
use crate::image::{RootNode, Rootfs};
use crate::spec::{Checks, Finding};
use crate::tar::read::Kind;

/// How many links to a program are named.
const MAX_LINKS: usize = 3;

/// Which rule of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// `forbid`.
    Forbid(Finding),
    /// `max-size`.
    MaxSize,
    /// `licenses`.
    Licenses,
    /// `files`.
    Files,
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Rule {
    /// Returns the word used in specs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbid(finding) => finding.as_str(),
            Self::MaxSize => "max-size",
            Self::Licenses => "licenses",
            Self::Files => "files",
        }
    }
}

/// What breaks a contract, or would without an exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The rule.
    pub rule: Rule,
    /// Where, with a leading slash; the path or glob of `files`; `None` for the image as a whole.
    pub path: Option<String>,
    /// The package that it is about, where it is about no path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What is there, in words that follow the path: `is a shell (dash)`.
    pub what: String,
    /// The package that the image's own database names, or what the caller knows better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Number of the layer that holds it, the lowest being 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Whether an upper layer hides it: no container sees it, and everybody can read it in the image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// The rule's place in the contract's text.
    #[serde(skip)]
    pub span: Span,
}

impl Found {
    /// Returns the path for a message, or the package, or `the image`.
    pub fn subject(&self) -> String {
        if let Some(package) = &self.package {
            return format!("package `{package}`");
        }
        self.path.as_ref().map_or_else(|| "the image".to_owned(), |path| format!("`{path}`"))
    }
}

/// What an exception allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Allowed {
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
    /// Why it may be there.
    pub because: String,
}

/// A contract's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Judgement {
    /// What breaks it, by rule and path.
    pub broken: Vec<Found>,
    /// What exceptions allow.
    pub allowed: Vec<Allowed>,
    /// Exceptions that nothing needs, by their number in `allow`.
    pub unused: Vec<usize>,
    /// Exceptions for licences that nothing needs, by their number in `licenses: exceptions`.
    pub unused_licenses: Vec<usize>,
    /// Worth knowing, and no breach.
    pub notes: Vec<String>,
    /// Bytes of regular files, hidden ones included.
    pub size: u64,
    /// Bytes of regular files that upper layers hide.
    pub hidden: u64,
}

/// Holds an image against a contract. Its forms of secrets and programs need a survey of the contents.
pub fn judge(survey: &Survey, checks: &Checks) -> Judgement {
    let rootfs = &survey.rootfs;
    let mut found = Vec::new();
    for forbidden in &checks.forbid {
        let before = found.len();
        match forbidden.value {
            Finding::Shell => programs(rootfs, Finding::Shell, SHELLS, &mut found),
            Finding::PackageManager => programs(rootfs, Finding::PackageManager, PACKAGE_MANAGERS, &mut found),
            Finding::Setuid => special(rootfs, Finding::Setuid, 0o4000, &mut found),
            Finding::Setgid => special(rootfs, Finding::Setgid, 0o2000, &mut found),
            Finding::Capability => capabilities(rootfs, &mut found),
            Finding::WorldWritable => world_writable(rootfs, &mut found),
            Finding::Secrets => secrets(survey, &mut found),
            Finding::RootUser => root_user(survey, &mut found),
        }
        found[before..].iter_mut().for_each(|one| one.span = forbidden.span);
    }
    let mut judgement = Judgement { size: survey.size(), hidden: survey.hidden(), ..Judgement::default() };
    judgement.notes = notes(survey);

    let exceptions: Vec<(Finding, Vec<GlobMatcher>)> =
        checks.allow.iter().map(|one| (one.value.finding, globs(rootfs, &one.value.path))).collect();
    let mut used = BTreeSet::new();
    for one in found {
        let allowed = exceptions.iter().position(|(finding, globs)| {
            let path = one.path.as_deref().and_then(|path| path.strip_prefix('/'));
            Rule::Forbid(*finding) == one.rule && path.is_some_and(|path| globs.iter().any(|glob| glob.is_match(path)))
        });
        match allowed {
            Some(number) => {
                used.insert(number);
                let because = checks.allow[number].value.because.clone();
                judgement.allowed.push(Allowed { found: one, because });
            }
            None => judgement.broken.push(one),
        }
    }
    judgement.unused = (0..checks.allow.len()).filter(|number| !used.contains(number)).collect();

    if let Some(rules) = &checks.licenses {
        licenses::judge(&licenses::licensed(survey), rules, &mut judgement);
    }
    if let Some(most) = &checks.max_size
        && judgement.size > most.value
    {
        let what = format!("holds {} bytes, more than {}", judgement.size, most.value);
        judgement.broken.push(whole(Rule::MaxSize, what, most.span));
    }
    for rule in &checks.files {
        let globs = globs(rootfs, &rule.value.path);
        let first = rootfs.nodes.keys().find(|path| globs.iter().any(|glob| glob.is_match(path.as_str())));
        let what = match (rule.value.present, first) {
            (true, None) => "must be there, and is not".to_owned(),
            (false, Some(path)) if *path == rule.value.path[1..] => "must not be there, and is".to_owned(),
            (false, Some(path)) => format!("must not be there, and `/{path}` is"),
            _ => continue,
        };
        let path = if rule.value.present { None } else { first };
        judgement.broken.push(Found {
            path: Some(rule.value.path.clone()),
            layer: path.and_then(|path| rootfs.nodes.get(path)).map(|node| node.layer + 1),
            ..whole(Rule::Files, what, rule.span)
        });
    }
    let owners = if judgement.broken.is_empty() && judgement.allowed.is_empty() { None } else { Some(survey.owners()) };
    if let Some(owners) = owners {
        let all = judgement.broken.iter_mut().chain(judgement.allowed.iter_mut().map(|one| &mut one.found));
        for one in all {
            if let Some(path) = one.path.as_deref().map(|path| path.trim_start_matches('/')) {
                one.from = owners.of(path).map(|package| format!("package `{package}`"));
            }
        }
    }
    judgement
        .broken
        .sort_by(|a, b| (a.rule, &a.path, &a.package, &a.what).cmp(&(b.rule, &b.path, &b.package, &b.what)));
    judgement
}

fn whole(rule: Rule, what: String, span: Span) -> Found {
    Found { rule, path: None, package: None, what, from: None, layer: None, hidden: false, span }
}

fn at(finding: Finding, path: &str, what: String, node: &RootNode<Content>) -> Found {
    let path = Some(format!("/{path}"));
    Found { path, layer: Some(node.layer + 1), ..whole(Rule::Forbid(finding), what, Span::default()) }
}

/// Returns the globs that a pattern stands for: itself, and where its fixed directories lead by links of the image
/// (`/bin/*` also means `/usr/bin/*` where `/bin` leads there).
fn globs(rootfs: &Rootfs<Content>, pattern: &str) -> Vec<GlobMatcher> {
    let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
    let fixed = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    let mut all = vec![pattern.to_owned()];
    if let Some(end) = pattern[..fixed].rfind('/')
        && let Some(real) = rootfs.resolve(&pattern[..end])
        && real != pattern[..end]
    {
        all.push(format!("{}{}", globset::escape(&real), &pattern[end..]));
    }
    let built = all.iter().map(|pattern| GlobBuilder::new(pattern).literal_separator(true).build());
    built.flatten().map(|glob| glob.compile_matcher()).collect()
}

/// Returns whether the path is that of a shell: its name, in a directory of programs.
pub fn is_shell(path: &str) -> bool {
    is_named(path, SHELLS)
}

fn is_named(path: &str, names: &[&str]) -> bool {
    path.rsplit_once('/').is_some_and(|(parent, name)| {
        matches!(parent.rsplit('/').next(), Some("bin" | "sbin")) && names.contains(&name)
    })
}

/// Finds programs of a kind by their names and by what they are.
fn programs(rootfs: &Rootfs<Content>, kind: Finding, names: &[&str], found: &mut Vec<Found>) {
    let is = if kind == Finding::Shell { "a shell" } else { "a package manager" };
    let named = |path: &str| is_named(path, names);
    let mut files: BTreeMap<&str, (String, Vec<&str>)> = BTreeMap::new();
    let mut links = Vec::new();
    for (path, node) in &rootfs.nodes {
        match &node.kind {
            Kind::Directory => {}
            Kind::Symlink(_) => links.push(path),
            Kind::File | Kind::Hardlink(_) => {
                let by_content = node.content.program.filter(|(other, _)| *other == kind);
                let what = match (by_content, named(path)) {
                    (Some((_, name)), _) if path.ends_with(name) => format!("is {is}"),
                    (Some((_, name)), _) => format!("is {is}: {name}, by its content"),
                    (None, true) => format!("is {is}, by its name"),
                    (None, false) => continue,
                };
                files.insert(path, (what, Vec::new()));
            }
        }
    }
    for link in links {
        let Some(target) = rootfs.resolve(link) else { continue };
        if let Some((_, links)) = files.get_mut(target.as_str()) {
            links.push(link);
        } else if named(link)
            && let Some(node) = rootfs.nodes.get(&target)
            && node.kind != Kind::Directory
        {
            found.push(at(kind, link, format!("is {is}, by its name: it leads to `/{target}`"), &rootfs.nodes[link]));
        }
    }
    for (path, (mut what, links)) in files {
        if !links.is_empty() {
            let shown: Vec<String> = links.iter().take(MAX_LINKS).map(|link| format!("`/{link}`")).collect();
            let more = links.len().saturating_sub(MAX_LINKS);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            what.push_str(&format!(", also as {}{more}", shown.join(", ")));
        }
        found.push(at(kind, path, what, &rootfs.nodes[path]));
    }
}

fn special(rootfs: &Rootfs<Content>, finding: Finding, bit: u32, found: &mut Vec<Found>) {
    for (path, node) in &rootfs.nodes {
        if matches!(node.kind, Kind::File | Kind::Hardlink(_)) && node.mode & bit != 0 {
            let what = if finding == Finding::Setuid {
                format!("runs as user {} whoever starts it (mode {:04o})", node.uid, node.mode)
            } else {
                format!("runs as group {} whoever starts it (mode {:04o})", node.gid, node.mode)
            };
            found.push(at(finding, path, what, node));
        }
    }
}

fn capabilities(rootfs: &Rootfs<Content>, found: &mut Vec<Found>) {
    for (path, node) in &rootfs.nodes {
        if let Some((_, value)) = node.xattrs.iter().find(|(name, _)| name == "security.capability") {
            found.push(at(Finding::Capability, path, format!("has capabilities: {}", capability_names(value)), node));
        }
    }
}

/// Returns the names in `security.capability` (linux/capability.h, `vfs_cap_data`: a magic number, then permitted and
/// inheritable bits in turns of 32).
fn capability_names(value: &[u8]) -> String {
    let word = |at: usize| {
        value.get(at * 4..at * 4 + 4).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().expect("it has 4 bytes")))
    };
    let bits = u64::from(word(1) | word(2)) | u64::from(word(3) | word(4)) << 32;
    let names: Vec<String> = (0..64)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(|bit| CAPABILITIES.get(bit).map_or_else(|| bit.to_string(), |name| format!("cap_{name}")))
        .collect();
    if names.is_empty() { "of an unknown form".to_owned() } else { names.join(", ") }
}

fn world_writable(rootfs: &Rootfs<Content>, found: &mut Vec<Found>) {
    for (path, node) in &rootfs.nodes {
        let sticky = node.kind == Kind::Directory && node.mode & 0o1000 != 0;
        if node.mode & 0o002 != 0 && !sticky && !matches!(node.kind, Kind::Symlink(_)) {
            let what = format!("may be written to by everybody (mode {:04o})", node.mode);
            found.push(at(Finding::WorldWritable, path, what, node));
        }
    }
}

fn secrets(survey: &Survey, found: &mut Vec<Found>) {
    for (path, node) in &survey.rootfs.nodes {
        for secret in &node.content.secrets {
            found.push(at(Finding::Secrets, path, format!("holds {secret}"), node));
        }
    }
    for file in &survey.rootfs.hidden {
        for secret in &file.content.secrets {
            let what =
                format!("holds {secret}; layer {} hides it, and layer {} still has it", file.by + 1, file.layer + 1);
            found.push(Found {
                path: Some(format!("/{}", file.path)),
                layer: Some(file.layer + 1),
                hidden: true,
                ..whole(Rule::Forbid(Finding::Secrets), what, Span::default())
            });
        }
    }
    for secret in &survey.config_secrets {
        let what = format!("holds {secret} in its config");
        found.push(whole(Rule::Forbid(Finding::Secrets), what, Span::default()));
    }
}

fn root_user(survey: &Survey, found: &mut Vec<Found>) {
    let user = survey.config["config"]["User"].as_str().unwrap_or_default();
    let name = user.split(':').next().unwrap_or_default();
    let is_root = match name.parse::<u64>() {
        Ok(number) => number == 0,
        Err(_) if matches!(name, "" | "root") => true,
        Err(_) => {
            let passwd = survey.rootfs.file("etc/passwd").and_then(|node| node.content.text.as_deref());
            let lines = passwd.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default().lines();
            let mut fields = lines.map(|line| line.split(':').collect::<Vec<_>>());
            fields.any(|fields| fields.first() == Some(&name) && fields.get(2).is_some_and(|uid| *uid == "0"))
        }
    };
    if is_root {
        let what = if user.is_empty() { "names no user, so root".to_owned() } else { format!("runs as `{user}`") };
        found.push(whole(Rule::Forbid(Finding::RootUser), what, Span::default()));
    }
}

fn notes(survey: &Survey) -> Vec<String> {
    let mut notes = Vec::new();
    for (path, node) in &survey.rootfs.nodes {
        for owner in &node.content.test_keys {
            notes.push(format!("`/{path}` holds private keys that everybody has: those of {owner}"));
        }
    }
    for path in &survey.rootfs.unclear {
        notes.push(format!("`/{path}` lies below a link of a lower layer: engines differ on where it ends up"));
    }
    let hidden = survey.rootfs.hidden.len();
    if hidden > 0 {
        notes.push(format!("{hidden} files of lower layers are hidden by upper ones, {} bytes", survey.hidden()));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_known_by_name_and_place() {
        for (path, shell) in
            [("usr/bin/dash", true), ("bin/sh", true), ("etc/sh", false), ("usr/bin/shred", false), ("sh", false)]
        {
            assert_eq!(is_shell(path), shell, "{path}");
        }
    }

    #[test]
    fn capabilities_have_names() {
        let value = |low: u32| [&0x0200_0001_u32.to_le_bytes()[..], &low.to_le_bytes(), &[0; 12]].concat();
        assert_eq!(capability_names(&value(1 << 13 | 1 << 10)), "cap_net_bind_service, cap_net_raw");
        assert_eq!(capability_names(&[1, 2]), "of an unknown form");
    }
}
