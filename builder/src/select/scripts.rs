//! Maintainer scripts, read and never run: which lines no rule covers, and the alternatives they would install.
//!
//! A reader of literal lines: what depends on a variable is reported, not guessed.

use super::merge::Package;
use crate::rules::scripts::{covered_by, is_harmless, snippet};

/// The most lines of one script that a report repeats.
const MAX_LINES: usize = 20;

/// One `update-alternatives --install` of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) link: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) priority: i64,
    /// (link, name, path) of each `--slave`.
    pub(super) slaves: Vec<(String, String, String)>,
}

/// What the scripts of one package come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) alternatives: Vec<Alternative>,
    /// (script, lines) that no rule covers.
    pub(super) unhandled: Vec<(String, Vec<String>)>,
}

/// Reads the scripts that dpkg would run on a first installation.
pub(super) fn read(package: &Package<'_>) -> Findings {
    let mut findings = Findings::default();
    if covered_by(package.name).is_some() {
        return findings;
    }
    for (name, text) in &package.index.scripts {
        if name != "postinst" && name != "preinst" {
            continue;
        }
        let mut lines = read_script(text, &mut findings.alternatives);
        if !text.starts_with("#!/bin/sh") && !text.starts_with("#! /bin/sh") && !text.starts_with("#!/bin/bash") {
            lines = vec![text.lines().next().unwrap_or_default().to_owned()];
        }
        if !lines.is_empty() {
            findings.unhandled.push((name.clone(), lines));
        }
    }
    findings
}

/// Returns the lines of a shell script that nothing covers, and adds the alternatives it installs.
fn read_script(text: &str, alternatives: &mut Vec<Alternative>) -> Vec<String> {
    let mut unhandled = Vec::new();
    let mut skip = false;
    let mut here: Option<String> = None;
    let mut joined = String::new();
    for line in text.lines() {
        if let Some(end) = &here {
            if line.trim_start_matches('\t') == end {
                here = None;
            }
            continue;
        }
        let trimmed = line.trim();
        if let Some(tool) = trimmed.strip_prefix("# Automatically added by ") {
            skip = snippet(tool.split('/').next().unwrap_or(tool)).is_some();
            continue;
        }
        if trimmed.starts_with("# End automatically added section") {
            skip = false;
            continue;
        }
        if skip || (joined.is_empty() && (trimmed.is_empty() || trimmed.starts_with('#'))) {
            continue;
        }
        if let Some(part) = trimmed.strip_suffix('\\') {
            joined.push_str(part);
            joined.push(' ');
            continue;
        }
        joined.push_str(trimmed);
        let whole = std::mem::take(&mut joined);
        if let Some((_, end)) = whole.split_once("<<") {
            let end = end.trim_start_matches('-').split_whitespace().next().unwrap_or_default();
            here = Some(end.trim_matches(['\'', '"', '\\']).to_owned()).filter(|end| !end.is_empty());
        }
        if !is_covered(&whole, alternatives) && unhandled.len() < MAX_LINES {
            unhandled.push(whole);
        }
    }
    unhandled
}

/// Returns whether every command of the line is covered or has no effect.
fn is_covered(line: &str, alternatives: &mut Vec<Alternative>) -> bool {
    commands(line).into_iter().all(|command| {
        let Some(words) = words(&command) else { return false };
        let mut words = words.as_slice();
        while let Some((first, rest)) = words.split_first() {
            let assignment = first.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            });
            let keyword = matches!(
                first.as_str(),
                "if" | "then"
                    | "else"
                    | "elif"
                    | "fi"
                    | "do"
                    | "done"
                    | "while"
                    | "until"
                    | "!"
                    | "{"
                    | "}"
                    | "esac"
                    | "exec"
                    | "command"
            );
            if assignment && !first.contains("$(") && !first.contains('`') || keyword {
                words = rest;
            } else {
                break;
            }
        }
        let Some(first) = words.first() else { return true };
        match first.as_str() {
            "case" | "for" => true,
            "." => words.get(1).is_some_and(|file| file == "/usr/share/debconf/confmodule"),
            "-v" => true,
            pattern if pattern.ends_with(')') && !pattern.contains('(') => true,
            function if function.ends_with("()") => true,
            "update-alternatives" | "/usr/bin/update-alternatives" | "/usr/sbin/update-alternatives" => {
                match alternative(words) {
                    Some(Some(found)) => {
                        alternatives.push(found);
                        true
                    }
                    Some(None) => true,
                    None => false,
                }
            }
            "dpkg" => words.get(1).is_some_and(|word| word.starts_with("--compare-versions")),
            "dpkg-divert" | "dpkg-statoverride" => words.iter().any(|word| word == "--remove" || word == "--list"),
            "rm" | "rmdir" => true,
            "cat" => !command.contains('>'),
            name => is_harmless(name),
        }
    })
}

/// Returns the alternative that the words install, `Some(None)` where they only remove or query, `None` where they
/// cannot be read.
fn alternative(words: &[String]) -> Option<Option<Alternative>> {
    if words.iter().any(|word| matches!(word.as_str(), "--remove" | "--remove-all" | "--auto" | "--query" | "--list")) {
        return Some(None);
    }
    let at = words.iter().position(|word| word == "--install")?;
    if words.iter().any(|word| word.contains(['$', '`', '*'])) {
        return None;
    }
    let [link, name, path, priority, rest @ ..] = words.get(at + 1..)? else { return None };
    let absolute = |path: &String| path.starts_with('/');
    let priority = priority.parse().ok()?;
    if !absolute(link) || !absolute(path) || name.contains('/') {
        return None;
    }
    let mut slaves = Vec::new();
    let mut rest = rest;
    while let Some((first, tail)) = rest.split_first() {
        match (first.as_str(), tail) {
            ("--slave", [link, name, path, tail @ ..]) if absolute(link) && absolute(path) && !name.contains('/') => {
                slaves.push((link.clone(), name.clone(), path.clone()));
                rest = tail;
            }
            ("--quiet" | "--force" | "--skip-auto" | "||" | "true" | "2>/dev/null" | ">/dev/null", _) => rest = tail,
            _ => return None,
        }
    }
    Some(Some(Alternative { link: link.clone(), name: name.clone(), path: path.clone(), priority, slaves }))
}

/// Splits a line at `;`, `&&`, `||`, `|` and `&` outside quotes.
fn commands(line: &str) -> Vec<String> {
    let mut commands = vec![String::new()];
    let mut quote = None;
    let mut escaped = false;
    let mut previous = ' ';
    for c in line.chars() {
        let current = commands.last_mut().expect("there is always a current command");
        if escaped {
            escaped = false;
            current.push(c);
        } else if let Some(end) = quote {
            if c == end {
                quote = None;
            }
            current.push(c);
        } else {
            match c {
                '\\' => {
                    escaped = true;
                    current.push(c);
                }
                '\'' | '"' => {
                    quote = Some(c);
                    current.push(c);
                }
                '#' if previous.is_whitespace() => break,
                // `>&2` and `2>&1` are no separators.
                '&' if previous == '>' => current.push(c),
                ';' | '|' | '&' => commands.push(String::new()),
                _ => current.push(c),
            }
        }
        previous = c;
    }
    commands.retain(|command| !command.trim().is_empty());
    commands
}

/// Splits a command into words without their quotes; `None` where a quote stays open.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> (Vec<String>, Vec<Alternative>) {
        let mut alternatives = Vec::new();
        let lines = read_script(text, &mut alternatives);
        (lines, alternatives)
    }

    #[test]
    fn literal_alternatives_are_read() {
        let (lines, found) = run("#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n\
             \tupdate-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n\
             \t  --slave /usr/bin/nawk nawk /usr/bin/mawk\nfi\nexit 0\n");
        assert_eq!(lines, Vec::<String>::new());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].priority), ("awk", 5));
        assert_eq!(found[0].slaves[0], ("/usr/bin/nawk".into(), "nawk".into(), "/usr/bin/mawk".into()));
    }

    #[test]
    fn what_no_rule_covers_is_reported() {
        let (lines, found) = run("#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ncase \"$1\" in\n configure)\n\
             chown web /var/lib/web\nupdate-alternatives --install /usr/bin/x x $path 5\n;;\nesac\n\
             # Automatically added by dh_installsystemd/13.0\nrm -rf /run/x\nfoo\n# End automatically added section\n\
             cat <<EOF\nnot a command\nEOF\n");
        assert_eq!(lines, ["chown web /var/lib/web", "update-alternatives --install /usr/bin/x x $path 5"]);
        assert!(found.is_empty());
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(words(r#"a "b c" 'd"e' f\ g"#).unwrap(), ["a", "b c", "d\"e", "f g"]);
        assert_eq!(words("a \"b"), None);
        assert_eq!(commands("a && b; c 'x;y' >&2 # d"), ["a ", " b", " c 'x;y' >&2 "]);
    }
}
