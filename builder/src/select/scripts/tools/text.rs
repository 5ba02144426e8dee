//! Commands that only answer: with a text, or with yes and no.

use super::super::expand::{MAX_TEXT, Truth};
use super::super::machine::Machine;
use super::super::root::{Thing, UNKNOWN};
use super::options;

fn unknown() -> String {
    UNKNOWN.to_string()
}

/// Follows the command where it is one of these.
pub(super) fn run(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Option<Truth> {
    let first = words.first().copied();
    Some(match name {
        "echo" => {
            let quiet = first == Some("-n");
            let words = if matches!(first, Some("-n" | "-e")) { &words[1..] } else { words };
            let text = words.join(" ");
            machine.print(&if quiet { text } else { format!("{text}\n") });
            Truth::Yes
        }
        "printf" => {
            machine.print(&printf(words));
            Truth::Yes
        }
        "dirname" => {
            let path = first?.trim_end_matches('/');
            let parent = path.rsplit_once('/').map_or(".", |(parent, _)| if parent.is_empty() { "/" } else { parent });
            machine.print(&format!("{}\n", if path.contains(UNKNOWN) { unknown() } else { parent.to_owned() }));
            Truth::Yes
        }
        "basename" => {
            let path = words.iter().find(|word| !word.starts_with('-'))?.trim_end_matches('/');
            let name = path.rsplit('/').next().unwrap_or(path);
            let name = words.get(1).and_then(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            machine.print(&format!("{}\n", if path.contains(UNKNOWN) { unknown() } else { name.to_owned() }));
            Truth::Yes
        }
        "readlink" | "realpath" => {
            let path = words.iter().rev().find(|word| !word.starts_with('-'))?;
            if path.contains(UNKNOWN) {
                machine.print(&unknown());
                return Some(Truth::Unknown);
            }
            if name == "readlink" && !words.iter().any(|word| matches!(*word, "-f" | "-e" | "-m")) {
                let target = machine.root.find_link(path).and_then(|place| match &place.thing {
                    Thing::Link(target) => Some(target.clone()),
                    _ => None,
                });
                if let Some(target) = &target {
                    machine.print(&format!("{target}\n"));
                }
                return Some(Truth::from(target.is_some()));
            }
            let real = machine.root.real(path, true)?;
            machine.print(&format!("/{real}\n"));
            Truth::from(machine.root.find(path).is_some() || !words.contains(&"-e"))
        }
        "which" | "command" | "type" | "hash" => {
            let mut answer = Truth::Yes;
            for word in words.iter().filter(|word| !word.starts_with('-') && !word.starts_with(['>', '2'])) {
                if word.contains(UNKNOWN) {
                    machine.print(&unknown());
                    answer = Truth::Unknown;
                } else if machine.is_function(word) {
                    machine.print(&format!("{word}\n"));
                } else if let Some(path) = machine.root.program(word) {
                    machine.print(&format!("{path}\n"));
                } else if answer == Truth::Yes {
                    answer = Truth::No;
                }
            }
            answer
        }
        "cat" => {
            let (_, operands) = options(words, &[]);
            if operands.is_empty() || operands == ["-"] {
                let text = machine.input.take().unwrap_or_else(unknown);
                machine.print(&text);
                return Some(Truth::Yes);
            }
            let mut answer = Truth::Yes;
            for path in operands {
                match machine.thing(path) {
                    Some(None) => answer = Truth::No,
                    Some(Some(Thing::File(Some(text)))) => machine.print(&String::from_utf8_lossy(&text)),
                    _ => machine.print(&unknown()),
                }
            }
            answer
        }
        "mktemp" => {
            let directory = words.contains(&"-d") || words.contains(&"--directory");
            let path = format!("/tmp/tmp.{}", machine.unique());
            machine.root.make(&path, if directory { Thing::Directory } else { Thing::File(Some([].into())) });
            machine.print(&format!("{path}\n"));
            Truth::Yes
        }
        "tempfile" => return run(machine, "mktemp", words),
        "uname" => {
            let text = match first {
                Some("-s") | None => "Linux\n".to_owned(),
                Some("-o") => "GNU/Linux\n".to_owned(),
                Some("-m") => match machine.root.architecture.as_str() {
                    "amd64" => "x86_64\n".to_owned(),
                    "arm64" => "aarch64\n".to_owned(),
                    _ => unknown(),
                },
                _ => unknown(),
            };
            machine.print(&text);
            Truth::Yes
        }
        "ls" => {
            let (_, operands) = options(words, &[]);
            let mut answer = Truth::Yes;
            for path in operands {
                match machine.thing(path) {
                    Some(None) => answer = Truth::No,
                    Some(Some(Thing::Directory)) => {
                        for name in machine.root.names(path) {
                            machine.print(&format!("{name}\n"));
                        }
                    }
                    Some(Some(_)) => machine.print(&format!("{path}\n")),
                    None => machine.print(&unknown()),
                }
            }
            answer
        }
        "getent" => match words {
            [base @ ("passwd" | "group"), name, ..] => {
                if name.contains(UNKNOWN) {
                    machine.print(&unknown());
                    return Some(Truth::Unknown);
                }
                let there = match *base {
                    "passwd" => machine.root.users.contains_key(*name),
                    _ => machine.root.groups.contains(*name),
                };
                if there {
                    let home = machine.root.users.get(*name).cloned().flatten().unwrap_or_else(unknown);
                    let line = match *base {
                        "passwd" => format!("{name}:x:{UNKNOWN}:{UNKNOWN}:{UNKNOWN}:{home}:{UNKNOWN}\n"),
                        _ => format!("{name}:x:{UNKNOWN}:{UNKNOWN}\n"),
                    };
                    machine.print(&line);
                }
                Truth::from(there)
            }
            _ => {
                machine.print(&unknown());
                Truth::Unknown
            }
        },
        "id" | "groups" => {
            let (options, operands) = options(words, &[]);
            let Some(user) = operands.first() else {
                machine.print(if options.iter().any(|(name, _)| *name == "u") { "0\n" } else { "root\n" });
                return Some(Truth::Yes);
            };
            if user.contains(UNKNOWN) {
                machine.print(&unknown());
                return Some(Truth::Unknown);
            }
            if !machine.root.users.contains_key(*user) {
                return Some(Truth::No);
            }
            let names =
                options.iter().any(|(name, _)| matches!(*name, "n" | "Gn" | "nG" | "--name")) || name == "groups";
            let number = options.iter().any(|(name, _)| matches!(*name, "u" | "g"));
            if names && !number {
                let mut all: Vec<String> = vec![(*user).to_owned()];
                let members = machine.root.members.iter().filter(|(member, _)| member == user);
                all.extend(members.map(|(_, group)| group.clone()));
                machine.print(&format!("{}\n", all.join(" ")));
            } else if names {
                machine.print(&format!("{user}\n"));
            } else if number && *user != "root" {
                // No account that a package asks for is root's.
                machine.print("100\n");
            } else if number {
                machine.print("0\n");
            } else {
                machine.print(&unknown());
            }
            Truth::Yes
        }
        // No file of a fresh root has capabilities that a package did not set.
        "getcap" => Truth::Yes,
        "grep" | "egrep" | "fgrep" => return Some(grep(machine, words, name == "fgrep")),
        "cut" | "tr" | "sort" | "uniq" | "head" | "tail" | "awk" | "gawk" | "mawk" | "wc" | "expr" | "seq" | "tac"
        | "rev" | "md5sum" | "sha1sum" | "sha256sum" | "date" | "hostname" | "stat" | "nproc" | "locale" | "od"
        | "cmp" | "diff" | "comm" | "paste" | "join" | "xxd" | "bc" | "arch" | "tty" | "pwd" | "whoami" | "logname"
        | "column" | "fold" | "sleep" | "sync" | "lsb_release" | "runlevel" | "file" => {
            return Some(filter(machine, name, words));
        }
        "sed" => {
            let in_place = words.iter().any(|word| word.starts_with("-i") || word.starts_with("--in-place"));
            if !in_place {
                let text = edited(machine, words).unwrap_or_else(unknown);
                machine.print(&text);
                return Some(Truth::Yes);
            }
            let (_, operands) = options(words, &["-e", "-f", "--expression", "--file"]);
            for path in operands.iter().skip(usize::from(!words.contains(&"-e"))) {
                match machine.thing(path) {
                    Some(None) => {}
                    _ if super::files::is_scratch(path) => machine.root.make(path, Thing::File(None)),
                    _ => machine.unhandled("it edits a file"),
                }
            }
            Truth::Yes
        }
        _ => return None,
    })
}

/// Returns what `sed` prints where it is one plain `s` command and its input is known.
fn edited(machine: &mut Machine<'_>, words: &[&str]) -> Option<String> {
    let (options, mut operands) = options(words, &["-e", "--expression"]);
    if options.iter().any(|(name, _)| !matches!(*name, "e" | "--expression")) {
        return None;
    }
    let script = match super::value(&options, &["e", "--expression"]) {
        Some(script) if options.len() == 1 => script,
        None if !operands.is_empty() => operands.remove(0),
        _ => return None,
    };
    let input = match operands.as_slice() {
        [] => machine.input.take()?,
        [path] => String::from_utf8(machine.root.text(path)?.to_vec()).ok()?,
        _ => return None,
    };
    let rest = script.strip_prefix('s')?;
    let mark = rest.chars().next().filter(|c| c.is_ascii_punctuation() && *c != '\\')?;
    let parts: Vec<&str> = rest[1..].split(mark).collect();
    let [pattern, replacement, flags @ ("" | "g")] = parts.as_slice() else { return None };
    let special = ['*', '[', ']', '\\', '&', UNKNOWN];
    if input.contains(UNKNOWN) || replacement.contains(['\\', '&', UNKNOWN]) {
        return None;
    }
    let (start, body) = pattern.strip_prefix('^').map_or((false, *pattern), |body| (true, body));
    let (end, body) = body.strip_suffix('$').map_or((false, body), |body| (true, body));
    let (all, body) = body.strip_suffix(".*").map_or((false, body), |body| (true, body));
    if body.is_empty() || body.contains(special) || body.contains(['.', '^', '$']) {
        return None;
    }
    machine.root.meter.spend(input.len() * 2);
    if input.len() + input.matches(body).count().saturating_mul(replacement.len()) > MAX_TEXT {
        return None;
    }
    let lines = input.split_inclusive('\n').map(|line| {
        let (text, tail) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        let at = if start { text.starts_with(body).then_some(0) } else { text.find(body) };
        let at = at.filter(|at| all || !end || at + body.len() == text.len());
        match at {
            Some(at) if all => format!("{}{replacement}{tail}", &text[..at]),
            Some(at) if flags.is_empty() || start || end => {
                format!("{}{replacement}{}{tail}", &text[..at], &text[at + body.len()..])
            }
            Some(_) => format!("{}{tail}", text.replace(body, replacement)),
            None => line.to_owned(),
        }
    });
    Some(lines.collect())
}

fn printf(words: &[&str]) -> String {
    let Some((format, rest)) = words.split_first() else { return String::new() };
    let mut text = String::new();
    let mut rest = rest.iter();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        match (c, characters.clone().next()) {
            ('%', Some('s' | 'd' | 'b')) => {
                characters.next();
                text.push_str(rest.next().unwrap_or(&""));
            }
            ('%', Some('%')) => {
                characters.next();
                text.push('%');
            }
            ('%', _) => text.push(UNKNOWN),
            ('\\', Some('n')) => {
                characters.next();
                text.push('\n');
            }
            ('\\', Some('t')) => {
                characters.next();
                text.push('\t');
            }
            ('\\', _) => text.push(UNKNOWN),
            (c, _) => text.push(c),
        }
    }
    if rest.next().is_some() { unknown() } else { text }
}

fn filter(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Truth {
    let input = machine.input.take();
    machine.root.meter.spend(input.as_ref().map_or(0, String::len) * 4);
    let known = input.filter(|input| !input.contains(UNKNOWN) || matches!(name, "cut" | "head"));
    let output = match (name, known) {
        ("cut", Some(input)) => cut(&input, words),
        ("head", Some(input)) if words.is_empty() || matches!(words, ["-1" | "-n1"] | ["-n", "1"]) => {
            let lines = if words.is_empty() { 10 } else { 1 };
            Some(input.lines().take(lines).map(|line| format!("{line}\n")).collect())
        }
        ("tail", Some(input)) if matches!(words, ["-1" | "-n1"] | ["-n", "1"]) => {
            Some(input.lines().last().map(|line| format!("{line}\n")).unwrap_or_default())
        }
        ("sort", Some(input)) if words.is_empty() || words == ["-u"] => {
            let mut lines: Vec<&str> = input.lines().collect();
            lines.sort_unstable();
            if words == ["-u"] {
                lines.dedup();
            }
            Some(lines.iter().map(|line| format!("{line}\n")).collect())
        }
        ("tr", Some(input)) => match words {
            ["-d", set] => Some(input.chars().filter(|c| !set.contains(*c)).collect()),
            [from, to] if from.chars().count() == 1 && to.chars().count() == 1 => Some(input.replace(from, to)),
            ["A-Z", "a-z"] | ["[:upper:]", "[:lower:]"] => Some(input.to_lowercase()),
            _ => None,
        },
        ("expr", _) => match words {
            [left, operator @ ("+" | "-"), right] => match (left.parse::<i64>(), right.parse::<i64>()) {
                (Ok(left), Ok(right)) if *operator == "+" => left.checked_add(right).map(|sum| format!("{sum}\n")),
                (Ok(left), Ok(right)) => left.checked_sub(right).map(|sum| format!("{sum}\n")),
                _ => None,
            },
            _ => None,
        },
        ("seq", _) => {
            let numbers: Option<Vec<i64>> = words.iter().map(|word| word.parse().ok()).collect();
            let (first, step, last) = match numbers.as_deref() {
                Some([last]) => (1, 1, *last),
                Some([first, last]) => (*first, 1, *last),
                Some([first, step, last]) if *step != 0 => (*first, *step, *last),
                _ => (1, 1, i64::MAX),
            };
            let count = last.checked_sub(first).and_then(|span| span.checked_div(step)).unwrap_or(i64::MAX);
            (count < 1000).then(|| (0..=count).map(|at| format!("{}\n", first + at * step)).collect())
        }
        ("whoami" | "logname", _) => Some("root\n".to_owned()),
        ("sleep" | "sync", _) => return Truth::Yes,
        _ => None,
    };
    let known = output.is_some();
    machine.print(&output.unwrap_or_else(unknown));
    if known { Truth::Yes } else { Truth::Unknown }
}

fn cut(input: &str, words: &[&str]) -> Option<String> {
    let (options, _) = options(words, &["-d", "-f", "-c", "-b"]);
    let delimiter = super::value(&options, &["d"]).unwrap_or("\t");
    let field: usize = super::value(&options, &["f"])?.parse().ok()?;
    let field = field.checked_sub(1)?;
    let lines = input.lines().map(|line| {
        let text = if line.contains(delimiter) { line.split(delimiter).nth(field).unwrap_or_default() } else { line };
        format!("{text}\n")
    });
    Some(lines.collect())
}

/// Decides where the pattern is plain text and the input is known.
fn grep(machine: &mut Machine<'_>, words: &[&str], fixed: bool) -> Truth {
    let (options, operands) = options(words, &["-e", "-f", "-m", "-A", "-B", "-C", "--regexp", "--file"]);
    let mut operands = operands.into_iter();
    let pattern = super::value(&options, &["e", "--regexp"]).or_else(|| operands.next());
    let files: Vec<&str> = operands.collect();
    let input = if files.is_empty() { machine.input.take() } else { None };
    let quiet = super::has(&options, &["q", "--quiet", "--silent"]);
    let Some(pattern) = pattern else { return Truth::Unknown };
    let mut text = String::new();
    let mut known = !super::has(&options, &["f", "c", "L", "--file"]);
    match input {
        Some(input) => text = input,
        None if files.is_empty() => known = false,
        None => {}
    }
    for file in &files {
        match machine.thing(file) {
            Some(None) => {}
            Some(Some(Thing::File(Some(content)))) => text.push_str(&String::from_utf8_lossy(&content)),
            _ => known = false,
        }
    }
    machine.root.meter.spend(text.len() * 4);
    let anchored = pattern.starts_with('^');
    let ended = pattern.ends_with('$') && !pattern.ends_with("\\$");
    let plain = pattern.trim_start_matches('^').trim_end_matches('$');
    let special = !fixed && plain.contains(['.', '*', '[', ']', '\\', '^', '$', '+', '?', '(', ')', '|', '{']);
    // A text without any line fits nothing.
    if known && text.is_empty() {
        return Truth::No;
    }
    if !known || special || pattern.contains(UNKNOWN) || text.contains(UNKNOWN) {
        if !quiet {
            machine.print(&unknown());
        }
        return Truth::Unknown;
    }
    let fold = super::has(&options, &["i", "--ignore-case"]);
    let whole = super::has(&options, &["w", "--word-regexp"]);
    let line_whole = super::has(&options, &["x", "--line-regexp"]);
    let inverted = super::has(&options, &["v", "--invert-match"]);
    let fits = |line: &str| {
        let (line, plain) =
            if fold { (line.to_lowercase(), plain.to_lowercase()) } else { (line.to_owned(), plain.to_owned()) };
        match (anchored || line_whole, ended || line_whole) {
            (true, true) => line == plain,
            (true, false) => line.starts_with(&plain),
            (false, true) => line.ends_with(&plain),
            (false, false) if whole => {
                line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == plain)
                    || plain.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') && line.contains(&plain)
            }
            (false, false) => line.contains(&plain),
        }
    };
    let lines: Vec<&str> = text.lines().filter(|line| fits(line) != inverted).collect();
    if !quiet {
        for line in &lines {
            machine.print(&format!("{line}\n"));
        }
    }
    Truth::from(!lines.is_empty())
}
