//! What the programs that scripts call do, as far as it is derived; the tables of [`crate::rules::scripts`] say the rest.

mod accounts;
mod dpkg;
pub(super) mod files;
mod find;
mod modules;
mod text;

use super::expand::Truth;
use super::machine::Machine;
use super::root::UNKNOWN;
use super::test;
use crate::rules::scripts::{self, Effect as Known};

/// Follows one command; returns its status.
pub(super) fn run(machine: &mut Machine<'_>, name: &str, arguments: &[String]) -> Truth {
    if name.contains(UNKNOWN) {
        machine.unhandled("which command it is is not known");
        return Truth::Unknown;
    }
    let base = match name.rsplit_once('/') {
        Some(("/bin" | "/sbin" | "/usr/bin" | "/usr/sbin" | "", base)) => base,
        _ => name,
    };
    let arguments_text: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let words = arguments_text.as_slice();
    match base {
        "[" => {
            let end = arguments.len().saturating_sub(usize::from(words.last() == Some(&"]")));
            return test::test(machine, &arguments[..end], false);
        }
        "[[" => {
            let end = arguments.len().saturating_sub(usize::from(words.last() == Some(&"]]")));
            return test::test(machine, &arguments[..end], true);
        }
        "test" => return test::test(machine, arguments, false),
        "true" | ":" => return Truth::Yes,
        "false" => return Truth::No,
        _ => {}
    }
    let answer = text::run(machine, base, words)
        .or_else(|| files::run(machine, base, words))
        .or_else(|| accounts::run(machine, base, words))
        .or_else(|| dpkg::run(machine, base, words))
        .or_else(|| modules::run(machine, base, words));
    if let Some(answer) = answer {
        return answer;
    }
    if is_byte_compiler(base, words) {
        return Truth::Yes;
    }
    // A shell script of a package is read as one of its own.
    let path = if name.contains('/') { Some(name.to_owned()) } else { machine.root.program(name) };
    if scripts::command(base).is_none()
        && let Some(text) = path.and_then(|path| machine.root.text(&path))
        && let Ok(text) = std::str::from_utf8(&text)
        && super::is_shell(text.lines().next().unwrap_or_default())
        && text.starts_with("#!")
    {
        return machine.program(text, arguments);
    }
    let known = match machine.root.program(name) {
        // What is not there does nothing, and says so by failing.
        None if scripts::is_absent_without_package(base) => return Truth::No,
        _ => scripts::command(base),
    };
    match known {
        Some((Known::Covered, rule)) => {
            machine.cover(rule);
            Truth::Yes
        }
        Some((Known::LeftOut, _)) => {
            machine.cover("left-out");
            Truth::Yes
        }
        Some((Known::None, _)) => Truth::Yes,
        Some((Known::Query, _)) => {
            machine.print(&UNKNOWN.to_string());
            Truth::Unknown
        }
        None => {
            machine.unhandled("");
            machine.print(&UNKNOWN.to_string());
            Truth::Unknown
        }
    }
}

/// Returns whether a function of a known library is followed here, whatever its text says.
pub(super) fn is_known_function(name: &str) -> bool {
    matches!(
        name,
        "php_invoke"
            | "apache2_invoke"
            | "configure_version"
            | "configure_client_version"
            | "configure_doc_version"
            | "configure_contrib_version"
    )
}

/// Returns whether the command makes byte code: a cache that an interpreter does without.
fn is_byte_compiler(name: &str, words: &[&str]) -> bool {
    let python = name.starts_with("python") || name.starts_with("pypy");
    let module = words.windows(2).any(|pair| matches!(pair, ["-m", "compileall" | "py_compile"]));
    let file = words.iter().any(|word| word.ends_with("/py_compile.py") || word.ends_with("/compileall.py"));
    python && (module || file) || name.starts_with("/usr/share/python3/runtime.d/")
}

/// Splits options from operands as `getopt` does; `valued` lists the options that take a value.
pub(super) fn options<'w>(words: &[&'w str], valued: &[&str]) -> (Vec<(&'w str, Option<&'w str>)>, Vec<&'w str>) {
    let mut options = Vec::new();
    let mut operands = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "--" {
            operands.extend(words.copied());
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            match long.split_once('=') {
                Some((name, value)) => options.push((&word[..name.len() + 2], Some(value))),
                None if valued.contains(word) => options.push((*word, words.next().copied())),
                None => options.push((*word, None)),
            }
        } else if word.len() > 1 && word.starts_with('-') && word.is_ascii() {
            let mut at = 1;
            while at < word.len() {
                let letter = &word[at..=at];
                let name = valued.iter().find(|name| name.strip_prefix('-') == Some(letter));
                if name.is_some() {
                    let rest = &word[at + 1..];
                    let value = if rest.is_empty() { words.next().copied() } else { Some(rest) };
                    options.push((letter, value));
                    break;
                }
                options.push((letter, None));
                at += 1;
            }
        } else {
            operands.push(*word);
        }
    }
    (options, operands)
}

/// Returns the value of the last option of one of these names.
pub(super) fn value<'w>(options: &[(&'w str, Option<&'w str>)], names: &[&str]) -> Option<&'w str> {
    options.iter().rev().find(|(name, _)| names.contains(name)).and_then(|(_, value)| *value)
}

/// Returns whether an option of one of these names stands there.
pub(super) fn has(options: &[(&str, Option<&str>)], names: &[&str]) -> bool {
    options.iter().any(|(name, _)| names.contains(name))
}
