//! Maintainer scripts, read and never run: each is followed as dpkg would call it on a first installation into a fresh
//! root, and comes to effects that are derived, to nothing, or to lines that nothing covers.
//!
//! In: the scripts' text, debconf's questions, and a [`Root`]. Out: [`Findings`]. `prerm` and `postrm` are not looked
//! at: dpkg does not call them on a first installation.

mod bounds;
mod builtins;
mod effects;
mod expand;
#[cfg(test)]
mod hostile;
mod machine;
mod root;
mod test;
#[cfg(test)]
mod tests;
mod tools;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use effects::{Alternative, Effect, changed_mode};
pub(super) use machine::Findings;
pub(super) use root::{Root, Thing};

use crate::rules::scripts::covered_by;

/// What a package brings that is read here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scripts<'a> {
    pub(super) package: &'a str,
    /// By name.
    pub(super) scripts: &'a [(String, String)],
    /// debconf's questions with their defaults.
    pub(super) questions: &'a [(String, String)],
    /// The package's `triggers`.
    pub(super) triggers: &'a str,
}

/// Reads one script of a package that dpkg calls on a first installation; `None` where the package has it not.
pub(super) fn read(root: &mut Root, package: &Scripts<'_>, name: &str) -> Option<Findings> {
    let (_, text) = package.scripts.iter().find(|(script, _)| script == name)?;
    if let Some((rule, how)) = covered_by(package.package) {
        let mut findings = Findings::default();
        findings.covered.entry(rule).or_default().insert(how.to_owned());
        return Some(findings);
    }
    let shebang = text.lines().next().unwrap_or_default();
    if !is_shell(shebang) {
        return Some(Findings { unhandled: vec![shebang.chars().take(120).collect()], ..Findings::default() });
    }
    let mut questions = questions(root, package);
    // dpkg names the version that was configured last: none.
    let arguments: &[&str] = if name == "preinst" { &["install"] } else { &["configure", ""] };
    root.hide((name == "preinst").then_some(package.package));
    let mut findings = machine::Machine::new(root, (package.package, name), &mut questions, arguments).run(text);
    root.hide(None);
    if name == "postinst" {
        for interest in interests(package.triggers) {
            let arguments = ["triggered", interest];
            let more = machine::Machine::new(root, (package.package, name), &mut questions, &arguments).run(text);
            join(&mut findings, more);
        }
    }
    Some(findings)
}

fn join(findings: &mut Findings, more: Findings) {
    let known: BTreeSet<_> = findings.effects.iter().collect();
    let new: Vec<_> = more.effects.iter().filter(|effect| !known.contains(effect)).cloned().collect();
    findings.effects.extend(new);
    for (rule, lines) in more.covered {
        findings.covered.entry(rule).or_default().extend(lines);
    }
    for line in more.unhandled {
        if !findings.unhandled.contains(&line) {
            findings.unhandled.push(line);
        }
    }
}

/// Returns whether a first line names a shell.
fn is_shell(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("#!") else { return line.starts_with('#') || line.is_empty() };
    let mut words = rest.split_whitespace();
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    let name = if name == "env" { words.next().unwrap_or_default() } else { name };
    matches!(name, "sh" | "bash" | "dash" | "ash")
}

/// Returns the triggers that a package waits for (deb-triggers(5)), at most a few.
fn interests(triggers: &str) -> impl Iterator<Item = &str> {
    let lines = triggers.lines().filter_map(|line| {
        let (directive, name) = line.trim().split_once([' ', '\t'])?;
        directive.starts_with("interest").then_some(name.trim())
    });
    lines.take(8)
}

/// Returns the answers that questions have when nobody is asked: the defaults, and what the `config` script sets.
fn questions(root: &mut Root, package: &Scripts<'_>) -> BTreeMap<String, Option<String>> {
    let defaults = package.questions.iter().map(|(name, default)| (name.clone(), Some(default.clone())));
    let mut answers: BTreeMap<String, Option<String>> = defaults.collect();
    if let Some((_, text)) = package.scripts.iter().find(|(name, _)| name == "config") {
        if is_shell(text.lines().next().unwrap_or_default()) {
            // It only asks; what else it does is not an installation's.
            let mut scratch = root.clone();
            machine::Machine::new(&mut scratch, (package.package, "config"), &mut answers, &["configure", ""])
                .run(text);
        } else {
            answers.values_mut().for_each(|answer| *answer = None);
        }
    }
    answers
}
