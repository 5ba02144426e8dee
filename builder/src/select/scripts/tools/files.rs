//! Commands that make, move, own and remove files.

use super::super::effects::{Effect, changed_mode};
use super::super::expand::Truth;
use super::super::machine::{Machine, UMASK};
use super::super::root::{Thing, UNKNOWN};
use super::{has, options, value};
use crate::tree::MAX_PATH;

const DIRECTORIES: &str = "directories";
const OWNERS: &str = "owners";
const LINKS: &str = "links";
const FILES: &str = "files";

/// The most files that one command is followed over.
pub(super) const MAX_FILES: usize = 20_000;

/// Trees whose contents are state of dpkg, of debconf or of a moment, never of an image.
const SCRATCH: [&str; 10] = [
    "tmp/",
    "var/tmp/",
    "dev/",
    "proc/",
    "sys/",
    "var/lib/dpkg/",
    "var/lib/ucf/",
    "var/cache/debconf/",
    "var/lib/systemd/deb-systemd",
    "var/lib/apt/",
];

/// Returns whether what stands at the path never reaches an image.
pub(in crate::select::scripts) fn is_scratch(path: &str) -> bool {
    let path = path.trim_start_matches('/');
    SCRATCH.iter().any(|tree| path.starts_with(tree))
}

/// Writes a command's output to a file.
pub(in crate::select::scripts) fn write(machine: &mut Machine<'_>, path: &str, mut text: String, append: bool) {
    if path.starts_with("/dev/") {
        return;
    }
    if path.contains(UNKNOWN) || !path.starts_with('/') {
        machine.unhandled("which file it writes is not known");
        return;
    }
    if append {
        match machine.thing(path) {
            Some(Some(Thing::File(Some(before)))) => {
                text = match String::from_utf8(before.to_vec()) {
                    Ok(before) => before + &text,
                    Err(_) => UNKNOWN.to_string(),
                }
            }
            Some(Some(_)) => text = UNKNOWN.to_string(),
            _ => {}
        }
    }
    let known = !text.contains(UNKNOWN);
    if is_scratch(path) {
        let content = (known && machine.is_sure()).then(|| text.into_bytes().into());
        machine.root.make(path, Thing::File(content));
    } else if known {
        put(machine, path, Source::Text(text.into_bytes()), None);
    } else {
        machine.unhandled("what it writes is not known");
    }
}

/// Stands in every private key in PEM form (RFC 7468, section 10).
const KEY: &[u8] = b"PRIVATE KEY-----";

/// Where the bytes of a file come from.
enum Source {
    /// They are known.
    Text(Vec<u8>),
    /// A file of the root.
    Path(String),
}

/// Notes a new file.
fn put(machine: &mut Machine<'_>, path: &str, source: Source, mode: Option<u32>) {
    let (content, like) = match source {
        Source::Text(text) => (Some(text.as_slice().into()), None),
        Source::Path(from) => (machine.root.text(&from), Some(from).filter(|from| !is_scratch(from))),
    };
    if machine.is_sure() {
        machine.root.make(path, Thing::File(content.clone()));
    }
    if is_scratch(path) {
        return;
    }
    let mode = mode.or_else(|| (like.is_none() && machine.umask != UMASK).then_some(0o666 & !machine.umask));
    match content {
        Some(text) if text.windows(KEY.len()).any(|window| window == KEY) => {
            machine.unhandled("a private key: whoever has the image has the key");
        }
        Some(text) => {
            machine.effect(FILES, Effect::File { path: path.to_owned(), text: text.to_vec(), mode, like });
        }
        None => machine.unhandled("what it copies is not at hand"),
    }
}

fn directory(machine: &mut Machine<'_>, path: &str, mode: Option<u32>) {
    let new = machine.umask != UMASK && matches!(machine.thing(path), Some(None));
    let mode = mode.or_else(|| new.then_some(0o777 & !machine.umask));
    if machine.is_sure() {
        machine.root.make(path, Thing::Directory);
    }
    if !is_scratch(path) {
        machine.effect(DIRECTORIES, Effect::Directory { path: path.to_owned(), mode });
    }
}

fn link(machine: &mut Machine<'_>, path: &str, target: &str) {
    // symlink(2): ENAMETOOLONG.
    if target.len() >= MAX_PATH {
        machine.unhandled("its target is too long");
        return;
    }
    if machine.is_sure() {
        machine.root.make(path, Thing::Link(target.to_owned()));
    }
    if !is_scratch(path) {
        machine.effect(LINKS, Effect::Link { path: path.to_owned(), target: target.to_owned() });
    }
}

/// Follows the command where it is one of these.
pub(super) fn run(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Option<Truth> {
    if !matches!(
        name,
        "mkdir"
            | "install"
            | "ln"
            | "touch"
            | "cp"
            | "mv"
            | "rm"
            | "rmdir"
            | "unlink"
            | "chown"
            | "chgrp"
            | "chmod"
            | "ucf"
            | "ucfr"
            | "tee"
            | "truncate"
            | "find"
            | "umask"
    ) {
        return None;
    }
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    let unknown = words.iter().any(|word| word.contains(UNKNOWN));
    if unknown && !matches!(name, "rm" | "rmdir" | "unlink" | "ucfr") {
        machine.unhandled("an argument is not known");
        return Some(Truth::Unknown);
    }
    Some(match name {
        "mkdir" => mkdir(machine, &words),
        "install" => install(machine, &words),
        "ln" => ln(machine, &words),
        "touch" => {
            let (_, operands) = options(&words, &["-t", "-d", "-r", "--date", "--reference"]);
            for path in operands {
                match machine.thing(path) {
                    Some(None) => put(machine, path, Source::Text(Vec::new()), None),
                    Some(Some(_)) => {}
                    None => machine.unhandled("which file it is about is not known"),
                }
            }
            Truth::Yes
        }
        "truncate" => {
            machine.unhandled("");
            Truth::Yes
        }
        "umask" => {
            match words.first().map(|word| u32::from_str_radix(word, 8)) {
                None => {}
                Some(Ok(bits)) if machine.is_sure() => machine.umask = bits & 0o777,
                Some(_) => machine.unhandled("which bits new files lose is not known"),
            }
            Truth::Yes
        }
        "cp" => copy(machine, &words),
        "mv" => rename(machine, &words),
        "rm" | "rmdir" | "unlink" => remove(machine, name, &words),
        "chown" | "chgrp" | "chmod" => own(machine, name, &words),
        "ucf" => {
            let (options, operands) =
                options(&words, &["--debconf-template", "--state-dir", "--src-dir", "--sum-file", "-S"]);
            if has(&options, &["p", "--purge"]) {
                return Some(Truth::Yes);
            }
            if let [source, target] = operands[..] {
                copy_one(machine, source, target, false);
            } else {
                machine.unhandled("this form is not read");
            }
            Truth::Yes
        }
        "tee" => {
            let text = machine.input.take().unwrap_or_else(|| UNKNOWN.to_string());
            let (options, operands) = options(&words, &[]);
            for path in operands {
                write(machine, path, text.clone(), has(&options, &["a", "--append"]));
            }
            machine.print(&text);
            Truth::Yes
        }
        "find" => super::find::find(machine, &words),
        _ => Truth::Yes,
    })
}

fn octal(text: &str) -> Option<u32> {
    changed_mode(0, text, true)
}

fn mkdir(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let (options, operands) = options(words, &["-m", "--mode"]);
    let mode = value(&options, &["m", "--mode"]);
    let number = mode.and_then(octal);
    if mode.is_some() && number.is_none() {
        machine.unhandled("its mode is not read");
        return Truth::Unknown;
    }
    for path in operands {
        if matches!(machine.thing(path), Some(Some(Thing::Directory))) {
            continue;
        }
        directory(machine, path, number);
    }
    Truth::Yes
}

fn owner_of(machine: &mut Machine<'_>, path: &str, user: Option<&str>, group: Option<&str>) {
    let known = |name: &str, all: bool| all || name.parse::<u32>().is_ok();
    let unknown_user = user.filter(|user| !known(user, machine.root.users.contains_key(*user)));
    let unknown_group = group.filter(|group| !known(group, machine.root.groups.contains(*group)));
    if unknown_user.is_some() || unknown_group.is_some() {
        machine.unhandled("the user or the group is not known");
        return;
    }
    let effect =
        Effect::Owner { path: path.to_owned(), user: user.map(str::to_owned), group: group.map(str::to_owned) };
    if !is_scratch(path) {
        machine.effect(OWNERS, effect);
    }
}

fn install(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let valued = ["-m", "-o", "-g", "-t", "-S", "--mode", "--owner", "--group", "--target-directory", "--suffix"];
    let (options, mut operands) = options(words, &valued);
    let (user, group) = (value(&options, &["o", "--owner"]), value(&options, &["g", "--group"]));
    let mode = value(&options, &["m", "--mode"]);
    let Some(number) = octal(mode.unwrap_or("755")) else {
        machine.unhandled("its mode is not read");
        return Truth::Unknown;
    };
    let mut made = Vec::new();
    if has(&options, &["d", "--directory"]) {
        for path in operands {
            // Unlike mkdir, it sets the mode of a directory that is there.
            directory(machine, path, Some(number));
            made.push(path.to_owned());
        }
    } else {
        let into = value(&options, &["t", "--target-directory"]);
        let Some(target) = into.or_else(|| operands.pop()) else { return Truth::No };
        let directory = into.is_some() || matches!(machine.thing(target), Some(Some(Thing::Directory)));
        for source in operands {
            let name = source.rsplit('/').next().unwrap_or(source);
            let path = if directory { format!("{}/{name}", target.trim_end_matches('/')) } else { target.to_owned() };
            if source == "/dev/null" {
                put(machine, &path, Source::Text(Vec::new()), Some(number));
            } else {
                put(machine, &path, Source::Path(source.to_owned()), Some(number));
            }
            made.push(path);
        }
    }
    if user.is_some() || group.is_some() {
        for path in made {
            owner_of(machine, &path, user, group);
        }
    }
    Truth::Yes
}

fn ln(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let (options, mut operands) = options(words, &["-t", "--target-directory", "-S", "--suffix"]);
    if !has(&options, &["s", "--symbolic"]) || has(&options, &["t", "--target-directory"]) {
        machine.unhandled("this form is not read");
        return Truth::Unknown;
    }
    let replace = has(&options, &["f", "--force"]);
    let plain = has(&options, &["n", "T", "--no-dereference", "--no-target-directory"]);
    let place = if operands.len() > 1 { operands.pop().unwrap_or(".") } else { "." };
    if place == "." {
        machine.unhandled("where it links is not known");
        return Truth::Unknown;
    }
    for target in operands {
        let inside = !plain && matches!(machine.thing(place), Some(Some(Thing::Directory)));
        let name = target.trim_end_matches('/').rsplit('/').next().unwrap_or(target);
        let path = if inside { format!("{}/{name}", place.trim_end_matches('/')) } else { place.to_owned() };
        match machine.root.find_link(&path).map(|found| (found.thing.clone(), found.made)) {
            Some((Thing::Link(old), _)) if old == target => machine.cover(LINKS),
            Some((Thing::Link(_) | Thing::File(_), false)) if replace => {
                clear(machine, &path);
                link(machine, &path, target);
            }
            Some(_) if !replace => return Truth::No,
            _ => link(machine, &path, target),
        }
    }
    Truth::Yes
}

/// Takes away what stands in the way of a file that replaces it.
fn clear(machine: &mut Machine<'_>, path: &str) {
    if machine.is_sure() {
        machine.root.remove(path);
    }
    machine.effect(FILES, Effect::Remove { path: path.to_owned() });
}

fn copy_one(machine: &mut Machine<'_>, source: &str, target: &str, no_clobber: bool) {
    let inside = matches!(machine.thing(target), Some(Some(Thing::Directory)));
    let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or(source);
    let target = if inside { format!("{}/{name}", target.trim_end_matches('/')) } else { target.to_owned() };
    match machine.thing(source) {
        Some(Some(Thing::File(_))) => {
            let there = machine.root.find(&target).map(|place| place.made);
            if no_clobber && there.is_some() {
                return;
            }
            if there == Some(false) && !is_scratch(&target) {
                clear(machine, &target);
            }
            put(machine, &target, Source::Path(source.to_owned()), None);
        }
        Some(Some(Thing::Directory)) => {
            let Some(real) = machine.root.real(source, true) else { return };
            let below: Vec<(String, Thing)> = machine
                .root
                .below(&real)
                .take(MAX_FILES + 1)
                .map(|(path, place)| (format!("/{}", path[real.len()..].trim_start_matches('/')), place.thing.clone()))
                .collect();
            machine.root.meter.spend(below.len() * 64);
            if below.len() > MAX_FILES {
                machine.unhandled("it goes over too many files");
                return;
            }
            directory(machine, &target, None);
            for (rest, thing) in below {
                let path = format!("{target}{rest}");
                match thing {
                    Thing::Directory => directory(machine, &path, None),
                    Thing::Link(to) => link(machine, &path, &to),
                    Thing::File(_) => {
                        let from = format!("/{real}{rest}").replace("//", "/");
                        put(machine, &path, Source::Path(from), None);
                    }
                }
            }
        }
        Some(None) => machine.unhandled("what it copies is not there"),
        _ => machine.unhandled("what it copies is not known"),
    }
}

fn copy(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let (options, mut operands) = options(words, &["-t", "--target-directory", "-S", "--suffix"]);
    let target = match value(&options, &["t", "--target-directory"]) {
        Some(target) => Some(target),
        None => operands.pop(),
    };
    let Some(target) = target else { return Truth::No };
    for source in operands {
        if matches!(machine.thing(source), Some(None)) {
            return Truth::No;
        }
        copy_one(machine, source, target, has(&options, &["n", "u", "--no-clobber", "--update"]));
    }
    Truth::Yes
}

fn rename(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let (options, mut operands) = options(words, &["-t", "--target-directory", "-S", "--suffix"]);
    let Some(target) = value(&options, &["t", "--target-directory"]).or_else(|| operands.pop()) else {
        return Truth::No;
    };
    for source in operands {
        match machine.root.find_link(source).map(|place| (place.thing.clone(), place.made)) {
            None => return Truth::No,
            Some((Thing::File(_), _)) if machine.is_sure() => {
                copy_one(machine, source, target, false);
                machine.root.remove(source);
                if !is_scratch(source) {
                    machine.effect(FILES, Effect::Remove { path: source.to_owned() });
                }
            }
            Some((Thing::File(_), true)) if is_scratch(source) && is_scratch(target) => {}
            Some(_) => machine.unhandled("it moves what a package ships"),
        }
    }
    Truth::Yes
}

pub(super) fn remove(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Truth {
    let (_, operands) = options(words, &[]);
    for path in operands {
        if path.contains(UNKNOWN) {
            // What a script does not know the name of, it has made for itself.
            continue;
        }
        if machine.root.real(path, false).is_some_and(|real| real.is_empty()) {
            machine.unhandled("it removes what a package ships");
            continue;
        }
        if !machine.is_known(path) {
            machine.unhandled("which file it is about is not known");
            continue;
        }
        let Some((thing, made)) = machine.root.find_link(path).map(|place| (place.thing.clone(), place.made)) else {
            continue;
        };
        let Some(real) = machine.root.real(path, false) else { continue };
        if thing == Thing::Directory {
            let filled = machine.root.below(&real).next().is_some();
            if name != "rm" && filled {
                continue;
            }
            if machine.root.below(&real).any(|(_, place)| !place.made) || !made {
                if !is_scratch(path) {
                    machine.unhandled("it removes what a package ships");
                }
                continue;
            }
        }
        if machine.is_sure() {
            machine.root.remove(path);
        }
        if !is_scratch(path) {
            machine.effect(FILES, Effect::Remove { path: path.to_owned() });
        }
    }
    Truth::Yes
}

/// Follows `chown`, `chgrp` and `chmod` over their operands.
fn own(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Truth {
    // `chmod -x file` has no option.
    let letters = |word: &str| {
        word[1..].bytes().all(|byte| matches!(byte, b'R' | b'f' | b'v' | b'c' | b'h' | b'L' | b'P' | b'H'))
    };
    let mut recursive = false;
    let mut link = false;
    let mut operands: Vec<&str> = Vec::new();
    for word in words {
        if word.starts_with("--") {
            if word.starts_with("--reference") || word.starts_with("--from") {
                machine.unhandled("this form is not read");
                return Truth::Unknown;
            }
            recursive |= *word == "--recursive";
            link |= *word == "--no-dereference";
        } else if word.len() > 1 && word.starts_with('-') && word.is_ascii() && letters(word) && operands.is_empty() {
            recursive |= word.contains('R');
            link |= word.contains('h');
        } else {
            operands.push(word);
        }
    }
    let Some((what, paths)) = operands.split_first() else { return Truth::No };
    if name == "chmod" && changed_mode(0, what, false).is_none() {
        machine.unhandled("its mode is not read");
        return Truth::Unknown;
    }
    let mut answer = Truth::Yes;
    for path in paths {
        let found = if link { machine.root.find_link(path) } else { machine.root.find(path) };
        if found.is_none() {
            answer = Truth::No;
            if path.contains(['*', '?', '[']) || is_scratch(path) {
                continue;
            }
            machine.unhandled("the file is not there");
            continue;
        }
        if machine.root.real(path, !link).is_some_and(|real| real.is_empty()) {
            machine.unhandled("it changes the root directory");
            continue;
        }
        let mut all = vec![(*path).to_owned()];
        if recursive && let Some(real) = machine.root.real(path, true) {
            let below = machine.root.below(&real).take(MAX_FILES + 1);
            // chmod -R leaves links alone.
            let below = below.filter(|(_, place)| name != "chmod" || !matches!(place.thing, Thing::Link(_)));
            all.extend(below.map(|(path, _)| format!("/{path}")));
            machine.root.meter.spend(all.len() * 64);
            if all.len() > MAX_FILES {
                machine.unhandled("it goes over too many files");
                continue;
            }
        }
        for path in all {
            if name == "chmod" {
                if !is_scratch(&path) {
                    machine.effect(OWNERS, Effect::Mode { path, change: (*what).to_owned() });
                }
                continue;
            }
            let (user, group) = match (name, what.split_once([':', '.'])) {
                ("chgrp", _) => (None, Some(*what)),
                (_, Some((user, ""))) => (Some(user), None),
                (_, Some((user, group))) => (Some(user).filter(|user| !user.is_empty()), Some(group)),
                (_, None) => (Some(*what), None),
            };
            owner_of(machine, &path, user, group);
        }
    }
    answer
}
