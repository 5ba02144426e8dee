//! `checks`: the contract of an image, and documents that hold nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::error::{Error, Report};
use super::lower::texts;
use super::node::{self, Node};
use super::shape::{self, Field, Fields, Shape};
use super::{Spanned, table};
use crate::diag::{Problems, Source, Span};
use crate::license::{LicenseName, NotALicense};

/// What a contract can forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// A program that runs commands for whoever gets in.
    Shell,
    /// A program that installs packages into the system.
    PackageManager,
    /// A file that runs as its owner.
    Setuid,
    /// A file that runs as its group.
    Setgid,
    /// A file that brings capabilities of the kernel.
    Capability,
    /// What everybody may write to; directories with the sticky bit do not count.
    WorldWritable,
    /// A private key, a password or a token.
    Secrets,
    /// A program that starts as root.
    RootUser,
}

impl Finding {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Shell,
        Self::PackageManager,
        Self::Setuid,
        Self::Setgid,
        Self::Capability,
        Self::WorldWritable,
        Self::Secrets,
        Self::RootUser,
    ];

    /// Returns the word used in specs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::PackageManager => "package-manager",
            Self::Setuid => "setuid",
            Self::Setgid => "setgid",
            Self::Capability => "capability",
            Self::WorldWritable => "world-writable",
            Self::Secrets => "secrets",
            Self::RootUser => "root-user",
        }
    }

    /// Returns the finding for a word of a spec.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finding| finding.as_str() == word)
    }
}

/// A contract.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// `forbid`.
    pub forbid: Vec<Spanned<Finding>>,
    /// `allow`.
    pub allow: Vec<Spanned<Exception>>,
    /// `max-size` in bytes.
    pub max_size: Option<Spanned<u64>>,
    /// `licenses`.
    pub licenses: Option<LicenseRules>,
    /// `files`, by glob.
    pub files: Vec<Spanned<FileRule>>,
    /// `run`: made by `tarsia test`.
    pub run: Vec<Spanned<Trial>>,
}

impl Checks {
    /// Returns the contract that forbids all that can be forbidden, and says nothing else.
    pub fn strict() -> Self {
        let forbid = Finding::ALL.into_iter().map(|value| Spanned { value, span: Span::default() });
        Self { forbid: forbid.collect(), ..Self::default() }
    }
}

/// An exception of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Path or glob it holds for.
    pub path: String,
    /// What is allowed there.
    pub finding: Finding,
    /// Why.
    pub because: String,
}

/// Which licences may be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LicenseRules {
    /// `allow`, and where it stands.
    pub allow: Option<Spanned<Vec<LicenseName>>>,
    /// `deny`.
    pub deny: Vec<Spanned<LicenseName>>,
    /// `exceptions`.
    pub exceptions: Vec<Spanned<LicenseException>>,
}

/// An exception for packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseException {
    /// Name or glob of the packages.
    pub package: String,
    /// The licence that it is about; any where `None`.
    pub license: Option<LicenseName>,
    /// Why.
    pub because: String,
}

/// A path that must be there, or must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRule {
    /// Path or glob.
    pub path: String,
    /// Whether it must be there.
    pub present: bool,
}

/// A run of the image, and what it must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trial {
    /// The program in place of `entrypoint`, with its fixed arguments; `cmd` does not follow it.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments in place of `cmd`.
    pub args: Option<Vec<String>>,
    /// Variables over the image's own.
    pub env: BTreeMap<String, String>,
    /// What it reads from standard input; without it, nothing.
    pub stdin: Option<String>,
    /// Texts that standard output must hold.
    pub stdout: Vec<String>,
    /// Texts that standard error must hold.
    pub stderr: Vec<String>,
    /// Exit status; 0 where absent, and any for one that listens.
    pub exit: Option<u8>,
    /// Seconds that it may take; [`Trial::TIMEOUT`] where absent.
    pub timeout: Option<u32>,
    /// TCP port of its own loopback that it must listen on; it is stopped afterwards.
    pub listen: Option<u16>,
    /// What is sent to that port.
    pub send: Option<String>,
    /// Texts that what comes back must hold.
    pub answer: Vec<String>,
}

impl Trial {
    /// Seconds that a run may take where it does not say.
    pub const TIMEOUT: u32 = 60;
}

/// A contract that stands in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The text it was parsed from.
    pub source: Arc<Source>,
    /// What it asks.
    pub checks: Checks,
}

static POLICY: Fields = Fields {
    what: "a policy",
    keys: &[
        Field {
            name: "version",
            shape: Shape::Int(1, 1),
            about: "Version of the spec language.",
            required: true,
            later: false,
        },
        Field {
            name: "checks",
            shape: Shape::Map(&table::CHECKS),
            about: "A contract, as in a spec.",
            required: true,
            later: false,
        },
    ],
};

impl Policy {
    /// Parses a document of `version` and `checks`.
    ///
    /// # Errors
    /// All mistakes, in source order.
    pub fn parse(source: &Arc<Source>) -> Result<Self, Problems> {
        let mut report = Report::new(source);
        let checks = node::parse(&mut report).map(|root| {
            shape::check(&root, &Shape::Map(&POLICY), &POLICY, &mut report);
            checks(&root, &mut report).unwrap_or_default()
        });
        if checks.is_none() && report.is_empty() {
            report.add(Error::Syntax, Span::default(), "it is no YAML document");
        }
        match (report.into_problems(), checks) {
            (None, Some(checks)) => Ok(Self { source: source.clone(), checks }),
            (problems, _) => Err(problems.expect("a text without a tree has a problem")),
        }
    }
}

/// Returns what `checks` of a document says; mistakes go to `report`.
pub(super) fn checks(root: &Node, report: &mut Report) -> Option<Checks> {
    let node = root.get("checks")?;
    let mut checks = Checks::default();
    for item in items(node, "forbid") {
        let Some(value) = item.text().and_then(Finding::from_word) else { continue };
        match checks.forbid.iter().find(|known| known.value == value) {
            Some(first) => super::lower::twice(report, item.span, first.span, &format!("`{}`", value.as_str())),
            None => checks.forbid.push(Spanned { value, span: item.span }),
        }
    }
    for item in items(node, "allow") {
        let text = |key: &str| item.get(key).and_then(Node::text);
        let (Some(path), Some(finding), Some(because)) =
            (text("path"), text("finding").and_then(Finding::from_word), text("because"))
        else {
            continue;
        };
        if finding == Finding::RootUser {
            report
                .add(Error::Conflict, item.span, "`root-user` stands at no path, so no exception can hold for one")
                .hint("leave `root-user` out of `forbid`");
            continue;
        }
        check_glob(path, item.get("path").map_or(item.span, |node| node.span), report);
        let value = Exception { path: path.to_owned(), finding, because: because.to_owned() };
        checks.allow.push(Spanned { value, span: item.span });
    }
    if let Some(size) = node.get("max-size")
        && let Some(value) = size.text().and_then(bytes)
    {
        checks.max_size = Some(Spanned { value, span: size.span });
    }
    checks.licenses = node.get("licenses").map(|node| license_rules(node, report));
    for (key, value) in node.get("files").map(Node::entries).unwrap_or_default() {
        let present = match value.text() {
            Some("present") => true,
            Some("absent") => false,
            _ => continue,
        };
        check_glob(&key.text, key.span, report);
        checks.files.push(Spanned { value: FileRule { path: key.text.clone(), present }, span: key.span });
    }
    for item in items(node, "run") {
        checks.run.push(Spanned { value: trial(item, report), span: item.span });
    }
    Some(checks)
}

fn trial(item: &Node, report: &mut Report) -> Trial {
    let text = |key: &str| item.get(key).and_then(Node::text).map(str::to_owned);
    // One text, or a list of them.
    let held = |key: &str| text(key).map_or_else(|| texts(item.get(key)), |text| vec![text]);
    let listen = item.get("listen").and_then(Node::int).and_then(|port| u16::try_from(port).ok());
    for key in ["send", "answer"] {
        if let Some(node) = item.get(key).filter(|_| item.get("listen").is_none()) {
            report
                .add(Error::Conflict, node.span, format!("`{key}` needs a port to speak to"))
                .hint("add `listen:` with the TCP port that the program listens on");
        }
    }
    if let Some(node) = item.get("stdin").filter(|_| listen.is_some()) {
        report
            .add(Error::Conflict, node.span, "a program that listens is given no `stdin`")
            .hint("say with `send` what it is sent over its port");
    }
    Trial {
        entrypoint: item.get("entrypoint").map(|node| texts(Some(node))),
        args: item.get("args").map(|node| texts(Some(node))),
        env: super::lower::texts_by_key(item.get("env")),
        stdin: text("stdin"),
        stdout: held("stdout"),
        stderr: held("stderr"),
        exit: item.get("exit").and_then(Node::int).and_then(|exit| u8::try_from(exit).ok()),
        timeout: super::lower::number(item.get("timeout")),
        listen,
        send: text("send"),
        answer: held("answer"),
    }
}

fn license_rules(node: &Node, report: &mut Report) -> LicenseRules {
    let mut rules = LicenseRules::default();
    if let Some(list) = node.get("allow") {
        let all = list.items().iter().filter_map(|item| license(item, report)).collect();
        rules.allow = Some(Spanned { value: all, span: list.span });
    }
    for item in items(node, "deny") {
        rules.deny.extend(license(item, report).map(|value| Spanned { value, span: item.span }));
    }
    for item in items(node, "exceptions") {
        let text = |key: &str| item.get(key).and_then(Node::text);
        let (Some(package), Some(because)) = (text("package"), text("because")) else { continue };
        check_glob(package, item.get("package").map_or(item.span, |node| node.span), report);
        let license = item.get("license").map(|node| license(node, report));
        // A licence that was refused has been reported, and must not become an exception for all.
        let Some(license) = license.map_or(Some(None), |license| license.map(Some)) else { continue };
        let value = LicenseException { package: package.to_owned(), license, because: because.to_owned() };
        rules.exceptions.push(Spanned { value, span: item.span });
    }
    rules
}

fn license(node: &Node, report: &mut Report) -> Option<LicenseName> {
    let text = node.text()?;
    let wrong = match LicenseName::parse(text) {
        Ok(name) => return Some(name),
        Err(wrong) => wrong,
    };
    let problem = report.add_unless_known(Error::Value, node.span, format!("`{text}` is no licence of SPDX's list"));
    match wrong {
        NotALicense::Renamed(name) => problem.hint(format!("write `{name}`")),
        NotALicense::Several => problem.hint("name one licence an item"),
        NotALicense::Unknown => problem.hint("a licence that no list has is named `LicenseRef-…`, as in the SBOM"),
    };
    None
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map(Node::items).unwrap_or_default()
}

fn check_glob(text: &str, span: Span, report: &mut Report) {
    if let Err(error) = globset::Glob::new(text) {
        report.add_unless_known(Error::Value, span, format!("`{text}` is no glob: {}", error.kind()));
    }
}

/// Returns the bytes of `60MB`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy, String> {
        Policy::parse(&Source::new("policy.yaml", text)).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_policy_is_a_document_of_its_own() {
        let text = "version: 1\nchecks:\n  forbid: [shell, setuid]\n  allow: [{path: /usr/bin/ping, finding: setuid, \
                    because: x}]\n  max-size: 2MiB\n  files: {/etc/x: absent, \"/usr/**\": present}\n  run: [{args: \
                    [-v], exit: 3}]\n";
        let Policy { checks, .. } = policy(text).unwrap();
        assert_eq!(checks.forbid.iter().map(|one| one.value).collect::<Vec<_>>(), [Finding::Shell, Finding::Setuid]);
        assert_eq!(checks.allow[0].value.finding, Finding::Setuid);
        assert_eq!(checks.max_size.as_ref().map(|size| size.value), Some(2 << 20));
        assert_eq!((checks.files[0].value.present, checks.files[1].value.present), (false, true));
        assert_eq!((checks.run[0].value.exit, &checks.run[0].value.args), (Some(3), &Some(vec!["-v".to_owned()])));
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_fix() {
        for (text, expected) in [
            ("checks: {}\n", "a policy needs the key `version`"),
            ("version: 1\n", "a policy needs the key `checks`"),
            ("version: 1\nchecks: {}\npackages: [a]\n", "unknown key `packages`"),
            ("version: 1\nchecks: {forbid: [shells]}\n", "`shells` is not known here"),
            ("version: 1\nchecks: {forbid: [shell, shell]}\n", "`shell` is given twice"),
            ("version: 1\nchecks: {licenses: {deny: [GPL-2.0]}}\n", "`GPL-2.0` is no licence of SPDX's list"),
            ("version: 1\nchecks: {licenses: {allow: [Nonsense]}}\n", "`Nonsense` is no licence of SPDX's list"),
            ("version: 1\nchecks: {licenses: {allow: [\"a b\"]}}\n", "`a b` is not an SPDX licence identifier"),
            ("version: 1\nchecks: {licenses: {exceptions: [{package: x}]}}\n", "an exception needs the key `because`"),
            ("version: 1\nchecks: {files: {\"/[\": absent}}\n", "`/[` is no glob"),
            ("version: 1\nchecks: {allow: [{path: /x, finding: root-user, because: why}]}\n", "stands at no path"),
            ("", "it is empty"),
        ] {
            let found = policy(text).unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_trial_says_what_is_run_and_what_it_must_show() {
        let text = "version: 1\nchecks:\n  run:\n    - {entrypoint: [/bin/x], env: {A: b}, stdin: \"in\", stdout: [a, b], \
                    stderr: c, timeout: 5}\n    - {listen: 80, send: \"GET / HTTP/1.0\\r\\n\\r\\n\", answer: [\"200\"]}\n";
        let Policy { checks, .. } = policy(text).unwrap();
        let expected = Trial {
            entrypoint: Some(vec!["/bin/x".into()]),
            env: [("A".to_owned(), "b".to_owned())].into(),
            stdin: Some("in".into()),
            stdout: vec!["a".into(), "b".into()],
            stderr: vec!["c".into()],
            timeout: Some(5),
            ..Trial::default()
        };
        assert_eq!(checks.run[0].value, expected);
        assert_eq!(checks.run[1].value.send.as_deref(), Some("GET / HTTP/1.0\r\n\r\n"));
        assert_eq!((checks.run[1].value.listen, &checks.run[1].value.answer[..]), (Some(80), &["200".to_owned()][..]));
        for (run, expected) in [
            ("{send: x}", "`send` needs a port to speak to"),
            ("{listen: 1, stdin: x}", "a program that listens is given no `stdin`"),
        ] {
            let problem = policy(&format!("version: 1\nchecks:\n  run: [{run}]\n")).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn rules_on_licences_are_names_of_spdx_and_exceptions_have_reasons() {
        let text = "version: 1\nchecks:\n  licenses:\n    allow: [MIT, \"GPL-3.0-or-later WITH GCC-exception-3.1\", \
                    \"LicenseRef-Debian-*\"]\n    deny: [AGPL-3.0-only]\n    exceptions: [{package: \"lib*\", license: ISC, \
                    because: why}, {package: x, because: so}]\n";
        let rules = policy(text).unwrap().checks.licenses.unwrap();
        assert_eq!(rules.allow.unwrap().value.len(), 3);
        assert_eq!(rules.deny[0].value.as_str(), "AGPL-3.0-only");
        assert_eq!(rules.exceptions[0].value.license.as_ref().map(LicenseName::as_str), Some("ISC"));
        assert_eq!(
            (rules.exceptions[1].value.license.as_ref(), rules.exceptions[1].value.because.as_str()),
            (None, "so")
        );
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, expected) in [("60MB", 60_000_000), ("1KiB", 1024), ("1kB", 1000), ("7B", 7)] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
    }
}
