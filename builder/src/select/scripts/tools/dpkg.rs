//! dpkg's own tools, debconf's words, and `update-alternatives`.

use super::super::effects::{Alternative, Effect};
use super::super::expand::Truth;
use super::super::machine::Machine;
use super::super::root::{Thing, UNKNOWN};
use super::{has, options, value};
use crate::deb822::Version;

/// Follows the command where it is one of these.
pub(super) fn run(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Option<Truth> {
    Some(match name {
        "update-alternatives" => alternatives(machine, words),
        "dpkg" => return Some(dpkg(machine, words)),
        "dpkg-architecture" => {
            let asked = words.iter().find_map(|word| word.strip_prefix("-q"));
            let text = match asked.filter(|asked| !asked.is_empty()).or_else(|| words.last().copied()) {
                Some("DEB_HOST_ARCH" | "DEB_BUILD_ARCH") => machine.root.architecture.clone(),
                Some("DEB_HOST_MULTIARCH" | "DEB_BUILD_MULTIARCH" | "DEB_HOST_GNU_TYPE") => machine.root.tuple.clone(),
                _ => UNKNOWN.to_string(),
            };
            machine.print(&format!("{text}\n"));
            Truth::Yes
        }
        "dpkg-query" => {
            let installed = words.iter().rev().find(|word| !word.starts_with('-') && !word.contains(['$', '{']));
            machine.print(&UNKNOWN.to_string());
            match installed {
                Some(name) if !name.contains(['*', UNKNOWN, '/']) => {
                    let name = name.split(':').next().unwrap_or(name);
                    if machine.root.packages.contains(name) { Truth::Unknown } else { Truth::No }
                }
                _ => Truth::Unknown,
            }
        }
        "dpkg-maintscript-helper" => return Some(Truth::Yes),
        "dpkg-statoverride" => statoverride(machine, words),
        "dpkg-divert" => divert(machine, words),
        "db_get" => {
            let answer = words.first().and_then(|name| machine.questions.get(*name)).cloned();
            let value = match answer {
                Some(Some(value)) => value,
                _ => UNKNOWN.to_string(),
            };
            machine.assign("RET", value);
            Truth::Yes
        }
        "db_set" => {
            if let [name, value @ ..] = words {
                let value = value.join(" ");
                let known = machine.is_sure() && !value.contains(UNKNOWN) && !name.contains(UNKNOWN);
                machine.questions.insert((*name).to_owned(), known.then_some(value));
            }
            Truth::Yes
        }
        "db_fget" | "db_metaget" | "db_capb" | "db_version" | "db_progress" | "db_subst" => {
            machine.assign("RET", UNKNOWN.to_string());
            Truth::Yes
        }
        "db_input"
        | "db_go"
        | "db_fset"
        | "db_reset"
        | "db_purge"
        | "db_stop"
        | "db_title"
        | "db_settitle"
        | "db_register"
        | "db_unregister"
        | "db_clear"
        | "db_beginblock"
        | "db_endblock"
        | "db_info"
        | "db_x_loadtemplatefile" => Truth::Yes,
        _ => return None,
    })
}

fn dpkg(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    match words {
        ["--print-architecture", ..] => {
            let text = format!("{}\n", machine.root.architecture);
            machine.print(&text);
            Truth::Yes
        }
        ["--print-foreign-architectures", ..] => Truth::Yes,
        ["--compare-versions", left, operator, right, ..] => compare(left, operator, right),
        ["--validate-version" | "--validate-pkgname" | "--assert-multi-arch" | "--assert-support-predepends", ..] => {
            Truth::Yes
        }
        ["-s" | "--status" | "-L" | "--listfiles" | "-l" | "--list", rest @ ..] => {
            machine.print(&UNKNOWN.to_string());
            match rest.iter().find(|word| !word.starts_with('-')) {
                Some(name) if !name.contains(['*', UNKNOWN]) => {
                    let name = name.split(':').next().unwrap_or(name);
                    Truth::from(machine.root.packages.contains(name))
                }
                _ => Truth::Unknown,
            }
        }
        ["-S" | "--search", ..] => {
            machine.print(&UNKNOWN.to_string());
            Truth::Unknown
        }
        _ => {
            machine.unhandled("");
            Truth::Unknown
        }
    }
}

/// Compares as `dpkg --compare-versions` does; the old version is empty on a first installation.
fn compare(left: &str, operator: &str, right: &str) -> Truth {
    use std::cmp::Ordering;
    if left.contains(UNKNOWN) || right.contains(UNKNOWN) {
        return Truth::Unknown;
    }
    let later = operator.ends_with("-nl");
    let plain = operator.trim_end_matches("-nl");
    let ordering = match (left.is_empty(), right.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) if later => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, true) if later => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => match (Version::parse(left), Version::parse(right)) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            _ => return Truth::Unknown,
        },
    };
    match plain {
        "lt" | "<<" => Truth::from(ordering == Ordering::Less),
        "le" | "<=" | "<" => Truth::from(ordering != Ordering::Greater),
        "eq" | "=" => Truth::from(ordering == Ordering::Equal),
        "ne" => Truth::from(ordering != Ordering::Equal),
        "ge" | ">=" | ">" => Truth::from(ordering != Ordering::Less),
        "gt" | ">>" => Truth::from(ordering == Ordering::Greater),
        _ => Truth::Unknown,
    }
}

fn alternatives(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let action = words.iter().find(|word| {
        matches!(
            **word,
            "--install"
                | "--remove"
                | "--remove-all"
                | "--auto"
                | "--set"
                | "--query"
                | "--list"
                | "--display"
                | "--config"
                | "--get-selections"
                | "--set-selections"
        )
    });
    match action.copied() {
        Some("--install") => {}
        // A fresh root has no alternative but those that scripts install.
        Some("--query" | "--list" | "--display") => {
            let known = words.last().and_then(|name| machine.root.alternatives.get(*name)).cloned();
            let Some(paths) = known else {
                let unknown = words.iter().any(|word| word.contains(UNKNOWN));
                return if unknown { Truth::Unknown } else { Truth::No };
            };
            let name = words.last().copied().unwrap_or_default();
            match action.copied() {
                Some("--list") => paths.iter().for_each(|(_, path, _)| machine.print(&format!("{path}\n"))),
                Some("--query") => {
                    let highest = paths.iter().map(|(priority, ..)| *priority).max();
                    if let Some((_, best, link)) = paths.iter().find(|(priority, ..)| Some(*priority) == highest) {
                        let head = format!("Name: {name}\nLink: {link}\nStatus: auto\nBest: {best}\nValue: {best}\n");
                        machine.print(&head);
                    }
                    for (priority, path, _) in &paths {
                        machine.print(&format!("\nAlternative: {path}\nPriority: {priority}\n"));
                    }
                }
                _ => machine.print(&UNKNOWN.to_string()),
            }
            return Truth::Yes;
        }
        Some("--get-selections") => {
            machine.print(&UNKNOWN.to_string());
            return Truth::Unknown;
        }
        Some("--set") => {
            machine.unhandled("a choice by hand is not derived");
            return Truth::Yes;
        }
        _ => return Truth::Yes,
    }
    match alternative(words) {
        Some(alternative) => {
            if machine.is_sure() {
                let paths = machine.root.alternatives.entry(alternative.name.clone()).or_default();
                paths.push((alternative.priority, alternative.path.clone(), alternative.link.clone()));
                let through = format!("/etc/alternatives/{}", alternative.name);
                if machine.root.find_link(&alternative.link).is_none() && machine.root.find(&alternative.path).is_some()
                {
                    machine.root.make(&alternative.link, Thing::Link(through.clone()));
                    machine.root.make(&through, Thing::Link(alternative.path.clone()));
                }
            }
            machine.effect("alternatives", Effect::Alternative(alternative));
        }
        None => machine.unhandled("this form is not read"),
    }
    Truth::Yes
}

/// Returns the alternative that the words install.
fn alternative(words: &[&str]) -> Option<Alternative> {
    let at = words.iter().position(|word| *word == "--install")?;
    if words.iter().any(|word| word.contains(UNKNOWN)) {
        return None;
    }
    let [link, name, path, priority, rest @ ..] = words.get(at + 1..)? else { return None };
    let absolute = |path: &str| path.starts_with('/');
    let priority = priority.parse().ok()?;
    let named = |name: &str| !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..");
    if !absolute(link) || !absolute(path) || !named(name) {
        return None;
    }
    let mut slaves = Vec::new();
    let mut rest = rest;
    while let Some((first, tail)) = rest.split_first() {
        match (*first, tail) {
            ("--slave" | "--follower", [link, name, path, tail @ ..])
                if absolute(link) && absolute(path) && named(name) =>
            {
                slaves.push(((*link).to_owned(), (*name).to_owned(), (*path).to_owned()));
                rest = tail;
            }
            ("--quiet" | "--force" | "--skip-auto" | "--verbose", _) => rest = tail,
            ("--altdir" | "--admindir" | "--log" | "--root" | "--instdir", _) => return None,
            _ => return None,
        }
    }
    let [link, name, path] = [link, name, path].map(|text| (*text).to_owned());
    Some(Alternative { link, name, path, priority, slaves })
}

fn statoverride(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let (options, operands) = options(words, &["--admindir"]);
    if words.iter().any(|word| word.contains(UNKNOWN)) {
        machine.unhandled("an argument is not known");
        return Truth::Unknown;
    }
    if has(&options, &["--list"]) {
        let Some(path) = operands.first() else { return Truth::Yes };
        let there = machine.root.overrides.contains(*path);
        if there {
            machine.print(&UNKNOWN.to_string());
        }
        return Truth::from(there);
    }
    if has(&options, &["--remove"]) {
        return Truth::Yes;
    }
    let [user, group, mode, path] = operands[..] else {
        machine.unhandled("this form is not read");
        return Truth::Unknown;
    };
    if machine.root.overrides.contains(path) && !has(&options, &["--force", "--force-all", "--force-statoverride-add"])
    {
        return Truth::No;
    }
    let account = |name: &str, known: bool| known || name.parse::<u32>().is_ok();
    if machine.script == "postinst" && !has(&options, &["--update"]) {
        // It then counts from the next unpacking on.
        machine.cover("dpkg-statoverride");
        return Truth::Yes;
    }
    let known =
        account(user, machine.root.users.contains_key(user)) && account(group, machine.root.groups.contains(group));
    if !known {
        machine.unhandled("the user or the group is not known");
        return Truth::Yes;
    }
    if machine.is_sure() {
        machine.root.overrides.insert(path.to_owned());
    }
    let (user, group) = (user.trim_start_matches('#').to_owned(), group.trim_start_matches('#').to_owned());
    machine.effect("dpkg-statoverride", Effect::Owner { path: path.to_owned(), user: Some(user), group: Some(group) });
    machine.effect("dpkg-statoverride", Effect::Mode { path: path.to_owned(), change: mode.to_owned() });
    Truth::Yes
}

fn divert(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let (options, operands) = options(words, &["--package", "--divert", "--admindir"]);
    if words.iter().any(|word| word.contains(UNKNOWN)) {
        machine.unhandled("an argument is not known");
        return Truth::Unknown;
    }
    let Some(path) = operands.first() else { return Truth::Yes };
    if has(&options, &["--list", "--listpackage", "--truename"]) {
        let there = machine.root.diversions.contains(*path);
        if has(&options, &["--truename"]) || there {
            machine.print(&if there { UNKNOWN.to_string() } else { format!("{path}\n") });
        }
        return Truth::Yes;
    }
    if has(&options, &["--remove"]) {
        return Truth::Yes;
    }
    let to = value(&options, &["--divert"]).map_or_else(|| format!("{path}.distrib"), str::to_owned);
    let by = if has(&options, &["--local"]) {
        None
    } else {
        Some(value(&options, &["--package"]).unwrap_or(machine.package).to_owned())
    };
    if machine.is_sure() {
        machine.root.diversions.insert((*path).to_owned());
    }
    machine.effect("dpkg-divert", Effect::Divert { path: (*path).to_owned(), to, by });
    Truth::Yes
}
