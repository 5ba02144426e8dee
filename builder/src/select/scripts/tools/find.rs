//! `find` (POSIX XCU find), as far as scripts use it.

use super::super::expand::Truth;
use super::super::machine::{Flow, Machine};
use super::super::root::{Place, Thing, UNKNOWN};
use super::files::{MAX_FILES, remove};

/// What is asked of a file.
enum Question<'w> {
    Kind(&'w str),
    Name(&'w str),
    Path(&'w str),
    Empty,
    /// What nobody knows of a file here: owner, mode, age.
    Unknown,
}

/// What is done with what is found.
enum Action<'w> {
    Print(&'static str),
    Delete,
    /// The command, and whether it takes all files at once.
    Run(Vec<&'w str>, bool),
}

/// Follows `find`.
pub(super) fn find(machine: &mut Machine<'_>, words: &[&str]) -> Truth {
    let count = words.iter().take_while(|word| !word.starts_with(['-', '(', '!'])).count();
    let (starts, rest) = words.split_at(count);
    let mut depth = (0, usize::MAX);
    let mut questions: Vec<(bool, Question<'_>)> = Vec::new();
    let mut actions = Vec::new();
    let mut plain = true;
    let mut rest = rest.iter().copied();
    let mut negated = false;
    while let Some(word) = rest.next() {
        let mut ask = |question| questions.push((std::mem::take(&mut negated), question));
        match word {
            "!" | "-not" => negated = true,
            "-a" | "-and" | "-xdev" | "-mount" | "-depth" | "-P" | "-H" | "-noleaf" => {}
            "-maxdepth" => depth.1 = rest.next().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX),
            "-mindepth" => depth.0 = rest.next().and_then(|number| number.parse().ok()).unwrap_or(0),
            "-type" => ask(Question::Kind(rest.next().unwrap_or("f"))),
            "-name" => ask(Question::Name(rest.next().unwrap_or("*"))),
            "-path" | "-wholename" => ask(Question::Path(rest.next().unwrap_or("*"))),
            "-empty" => ask(Question::Empty),
            "-user" | "-group" | "-uid" | "-gid" | "-perm" | "-mtime" | "-newer" | "-size" | "-iname" | "-regex" => {
                rest.next();
                ask(Question::Unknown);
            }
            "-nouser" | "-nogroup" => ask(Question::Unknown),
            "-print" => actions.push(Action::Print("\n")),
            "-print0" => actions.push(Action::Print("\0")),
            "-delete" => actions.push(Action::Delete),
            "-exec" => {
                let mut command = Vec::new();
                let mut all = false;
                for word in rest.by_ref() {
                    match word {
                        ";" => break,
                        "+" => {
                            all = true;
                            break;
                        }
                        word => command.push(word),
                    }
                }
                actions.push(Action::Run(command, all));
            }
            _ => plain = false,
        }
    }
    if actions.is_empty() {
        actions.push(Action::Print("\n"));
    }
    let mut found: Vec<String> = Vec::new();
    let mut sure = true;
    let mut there = false;
    let mut over = 0;
    for start in starts {
        let Some(real) = machine.root.real(start, true) else { continue };
        let Some(place) = machine.root.find(start) else { continue };
        let own = [(real.as_str(), place)];
        for (path, place) in own.into_iter().chain(machine.root.below(&real)).take(MAX_FILES + 1) {
            machine.root.meter.spend(path.len() + 64);
            over += 1;
            sure &= over <= MAX_FILES;
            let tail = path[real.len().min(path.len())..].trim_start_matches('/');
            let level = if tail.is_empty() { 0 } else { tail.matches('/').count() + 1 };
            if level < depth.0 || level > depth.1 {
                continue;
            }
            there = true;
            let mut answer = Truth::Yes;
            for (negated, question) in &questions {
                let held = holds(machine, question, path, place);
                match if *negated { held.not() } else { held } {
                    Truth::No => answer = Truth::No,
                    Truth::Unknown if answer == Truth::Yes => answer = Truth::Unknown,
                    _ => {}
                }
            }
            match answer {
                Truth::Yes => found.push(if tail.is_empty() {
                    (*start).to_owned()
                } else {
                    format!("{}/{tail}", start.trim_end_matches('/'))
                }),
                Truth::Unknown => sure = false,
                Truth::No => {}
            }
        }
    }
    let acts = actions.iter().any(|action| !matches!(action, Action::Print(_)));
    if !there || found.is_empty() && sure && plain {
        return Truth::Yes;
    }
    if !sure || !plain {
        if acts {
            machine.unhandled("what it finds is not decided");
        }
        machine.print(&UNKNOWN.to_string());
        return Truth::Yes;
    }
    for action in actions {
        match action {
            Action::Print(end) => found.iter().for_each(|path| machine.print(&format!("{path}{end}"))),
            Action::Delete => {
                // What is deeper goes first.
                for path in found.iter().rev() {
                    remove(machine, "rm", &["-d", path]);
                }
            }
            Action::Run(command, all) => {
                let Some((name, arguments)) = command.split_first() else { continue };
                let rounds: Vec<&[String]> = if all { vec![&found] } else { found.chunks(1).collect() };
                for files in rounds {
                    let mut words: Vec<String> = Vec::new();
                    for argument in arguments {
                        if *argument == "{}" {
                            words.extend_from_slice(files);
                        } else {
                            words.push(argument.replace("{}", &files[0]));
                        }
                    }
                    if machine.call(name, &words) != Flow::Next {
                        return Truth::Unknown;
                    }
                }
            }
        }
    }
    Truth::Yes
}

fn holds(machine: &Machine<'_>, question: &Question<'_>, path: &str, place: &Place) -> Truth {
    match question {
        Question::Kind(kind) => Truth::from(match &place.thing {
            Thing::Directory => *kind == "d",
            Thing::File(_) => *kind == "f",
            Thing::Link(_) => *kind == "l",
        }),
        Question::Name(pattern) => machine.root.meter.matches(pattern, path.rsplit('/').next().unwrap_or(path)),
        Question::Path(pattern) => machine.root.meter.matches(pattern, &format!("/{path}")),
        Question::Empty => match &place.thing {
            Thing::Directory => Truth::from(machine.root.below(path).next().is_none()),
            Thing::File(Some(text)) => Truth::from(text.is_empty()),
            Thing::File(None) => Truth::Unknown,
            Thing::Link(_) => Truth::No,
        },
        Question::Unknown => Truth::Unknown,
    }
}
