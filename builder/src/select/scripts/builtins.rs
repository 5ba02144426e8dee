//! The shell's own words (POSIX XCU 2.14), and commands that only run another one.

use super::expand::Truth;
use super::machine::{Flow, Machine};
use super::root::{Thing, UNKNOWN};
use crate::rules::scripts::is_known_library;

impl Machine<'_> {
    /// Follows the command where it is one of these; `None` where it is not.
    pub(super) fn builtin(&mut self, name: &str, arguments: &[String]) -> Option<Flow> {
        let first = arguments.first().map(String::as_str);
        let level = || first.and_then(|level| level.parse().ok()).unwrap_or(1_u32).max(1);
        match name {
            "break" => return Some(Flow::Break(level())),
            "continue" => return Some(Flow::Continue(level())),
            "exit" | "return" => {
                self.last = match first {
                    None => self.last,
                    Some("0") => Truth::Yes,
                    Some(text) if text.contains(UNKNOWN) => Truth::Unknown,
                    Some(_) => Truth::No,
                };
                let exits = name == "exit" || self.calls <= 1;
                return Some(if exits { Flow::Exit(self.last != Truth::No) } else { Flow::Return });
            }
            "shift" => {
                let count = first.and_then(|count| count.parse().ok()).unwrap_or(1).min(self.arguments.len());
                self.arguments.drain(..count);
            }
            "set" => {
                if let Some(at) = arguments.iter().position(|argument| argument == "--") {
                    self.arguments = arguments[at + 1..].to_vec();
                } else if first.is_some_and(|first| !first.starts_with(['-', '+'])) {
                    self.arguments = arguments.to_vec();
                }
            }
            "unset" => {
                for name in arguments.iter().filter(|name| !name.starts_with('-')) {
                    self.variables.remove(name);
                }
            }
            "export" | "readonly" | "local" | "declare" | "typeset" => {
                for argument in arguments.iter().filter(|argument| !argument.starts_with('-')) {
                    let (variable, value) = match argument.split_once('=') {
                        Some((variable, value)) => (variable, Some(value)),
                        None => (argument.as_str(), None),
                    };
                    if name == "local" {
                        self.local(variable);
                    }
                    if let Some(value) = value {
                        self.assign(variable, value.to_owned());
                    }
                }
            }
            "read" => {
                let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
                self.root.meter.spend(self.input.as_ref().map_or(0, String::len));
                let line = match self.input.take() {
                    Some(input) if input.is_empty() => {
                        self.input = Some(input);
                        self.last = Truth::No;
                        String::new()
                    }
                    Some(input) if !input.contains(UNKNOWN) => {
                        let (line, rest) = input.split_once('\n').unwrap_or((&input, ""));
                        self.input = Some(rest.to_owned());
                        line.to_owned()
                    }
                    input => {
                        self.input = input;
                        self.last = Truth::Unknown;
                        UNKNOWN.to_string()
                    }
                };
                let mut rest = line.trim();
                for (number, name) in names.iter().enumerate() {
                    let (word, tail) = match number + 1 < names.len() {
                        true => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
                        false => (rest, ""),
                    };
                    let value = if line.contains(UNKNOWN) { UNKNOWN.to_string() } else { word.to_owned() };
                    self.assign(name, value);
                    rest = tail.trim_start();
                }
            }
            "exec" if first.is_some_and(|f| !f.starts_with('-')) => {
                // The shell ends with what takes its place, and what it would have done at its end is left undone.
                self.trap = None;
                let flow = self.call(&arguments[0], &arguments[1..]);
                return Some(if flow == Flow::Next { Flow::Exit(self.last != Truth::No) } else { flow });
            }
            "command" | "builtin" | "nice" | "ionice" | "nohup" | "env"
                if first.is_none_or(|f| !f.starts_with('-')) =>
            {
                let at = arguments.iter().position(|argument| !argument.contains('='));
                return match at {
                    Some(at) => Some(self.call(&arguments[at], &arguments[at + 1..])),
                    None => Some(Flow::Next),
                };
            }
            "cd" => {
                let to =
                    arguments.iter().find(|word| !word.starts_with('-')).map_or("/root", String::as_str).to_owned();
                match self.thing(&to) {
                    Some(Some(Thing::Directory)) => self.root.working = self.root.real(&to, true).unwrap_or_default(),
                    Some(_) => self.last = Truth::No,
                    None => self.root.working = UNKNOWN.to_string(),
                }
                if first == Some("-") {
                    self.root.working = UNKNOWN.to_string();
                }
            }
            "trap" => {
                let (text, signals) = match arguments {
                    [text, signals @ ..] if text != "--" => (text, signals),
                    [_, text, signals @ ..] => (text, signals),
                    _ => return Some(Flow::Next),
                };
                if signals.iter().any(|signal| matches!(signal.as_str(), "EXIT" | "0")) {
                    self.trap = Some(text.clone()).filter(|text| text != "-" && !text.contains(UNKNOWN));
                    if text.contains(UNKNOWN) {
                        self.unhandled("what it runs at the end is not known");
                    }
                }
            }
            "xargs" => return Some(self.xargs(arguments)),
            "eval" => {
                let text = arguments.join(" ");
                if text.contains(UNKNOWN) {
                    self.unhandled("what it evaluates is not known");
                } else {
                    return Some(self.follow(&text));
                }
            }
            "." | "source" => {
                let Some(path) = first else { return Some(Flow::Next) };
                if is_known_library(path) {
                    return Some(Flow::Next);
                }
                let text = self.root.text(path).and_then(|text| String::from_utf8(text.to_vec()).ok());
                match text {
                    Some(text) => {
                        let flow = self.follow(&text);
                        return Some(if flow == Flow::Return { Flow::Next } else { flow });
                    }
                    None => self.unhandled("what it reads is not at hand"),
                }
            }
            _ => return None,
        }
        Some(Flow::Next)
    }

    /// Follows `xargs` over what it reads: a command that is given files, all at once.
    fn xargs(&mut self, arguments: &[String]) -> Flow {
        let mut rest = arguments.iter().peekable();
        let (mut zero, mut skip, mut plain) = (false, false, true);
        while let Some(option) = rest.next_if(|word| word.starts_with('-')) {
            match option.as_str() {
                "-0" | "--null" => zero = true,
                "-r" | "--no-run-if-empty" => skip = true,
                "-r0" | "-0r" => (zero, skip) = (true, true),
                _ => plain = false,
            }
        }
        let command: Vec<String> = rest.cloned().collect();
        let Some((name, given)) = command.split_first() else { return Flow::Next };
        let input = self.input.take().unwrap_or_else(|| UNKNOWN.to_string());
        if input.is_empty() && skip {
            self.last = Truth::Yes;
            return Flow::Next;
        }
        // A command that only answers does nothing to what it is given.
        let answers = matches!(name.as_str(), "basename" | "cat" | "dirname" | "echo" | "grep" | "ls" | "stat");
        if !plain || input.contains(UNKNOWN) || !zero && input.contains(['\'', '"', '\\']) {
            if answers {
                self.print(&UNKNOWN.to_string());
            } else {
                self.unhandled("what it is given is not known");
            }
            self.last = Truth::Unknown;
            return Flow::Next;
        }
        let items: Vec<String> = match zero {
            true => input.split('\0').filter(|item| !item.is_empty()).map(str::to_owned).collect(),
            false => input.split_whitespace().map(str::to_owned).collect(),
        };
        self.root.meter.keep(input.len());
        self.call(name, &[given.to_vec(), items].concat())
    }
}
