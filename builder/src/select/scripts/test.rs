//! Conditions: `[`, `test`, `[[` (POSIX XCU test).

use super::expand::{Truth, matches};
use super::machine::Machine;
use super::root::{Thing, UNKNOWN};

/// Returns whether the condition in these words holds.
pub(super) fn test(machine: &Machine<'_>, words: &[String], double: bool) -> Truth {
    let mut parser = Parser { machine, words, at: 0, double, depth: 0 };
    if words.is_empty() {
        return Truth::No;
    }
    let result = parser.or();
    if parser.at == words.len() { result } else { Truth::Unknown }
}

struct Parser<'m> {
    machine: &'m Machine<'m>,
    words: &'m [String],
    at: usize,
    double: bool,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<&str> {
        self.words.get(self.at + ahead).map(String::as_str)
    }

    fn or(&mut self) -> Truth {
        let mut result = self.and();
        while matches!(self.peek(0), Some("-o" | "||")) {
            self.at += 1;
            result = match (result, self.and()) {
                (Truth::Yes, _) | (_, Truth::Yes) => Truth::Yes,
                (Truth::No, Truth::No) => Truth::No,
                _ => Truth::Unknown,
            };
        }
        result
    }

    fn and(&mut self) -> Truth {
        let mut result = self.primary();
        while matches!(self.peek(0), Some("-a" | "&&")) {
            self.at += 1;
            result = match (result, self.primary()) {
                (Truth::No, _) | (_, Truth::No) => Truth::No,
                (Truth::Yes, Truth::Yes) => Truth::Yes,
                _ => Truth::Unknown,
            };
        }
        result
    }

    fn primary(&mut self) -> Truth {
        self.depth += 1;
        if self.depth > 64 {
            self.at = self.words.len();
            return Truth::Unknown;
        }
        let result = self.term();
        self.depth -= 1;
        result
    }

    fn term(&mut self) -> Truth {
        let Some(word) = self.peek(0).map(str::to_owned) else { return Truth::Unknown };
        let binary = self.peek(1).map(str::to_owned).filter(|operator| {
            matches!(
                operator.as_str(),
                "=" | "=="
                    | "!="
                    | "-eq"
                    | "-ne"
                    | "-lt"
                    | "-le"
                    | "-gt"
                    | "-ge"
                    | "-nt"
                    | "-ot"
                    | "-ef"
                    | "=~"
                    | "<"
                    | ">"
            )
        });
        if let (Some(operator), Some(right)) = (binary, self.peek(2).map(str::to_owned)) {
            self.at += 3;
            return self.compare(&word, &operator, &right);
        }
        match word.as_str() {
            "!" if self.peek(1).is_some() => {
                self.at += 1;
                self.primary().not()
            }
            "(" => {
                self.at += 1;
                let result = self.or();
                self.at += 1;
                result
            }
            operator if operator.len() == 2 && operator.starts_with('-') && self.peek(1).is_some() => {
                let operand = self.peek(1).unwrap_or_default().to_owned();
                self.at += 2;
                self.unary(operator, &operand)
            }
            _ => {
                self.at += 1;
                filled(&word)
            }
        }
    }

    fn compare(&self, left: &str, operator: &str, right: &str) -> Truth {
        let numbers = || -> Option<(i64, i64)> { Some((left.trim().parse().ok()?, right.trim().parse().ok()?)) };
        match operator {
            "=" | "==" if self.double => self.machine.root.meter.matches(right, left),
            "!=" if self.double => self.machine.root.meter.matches(right, left).not(),
            "=" | "==" | "!=" => {
                let equal = if left.contains(UNKNOWN) {
                    let escaped: String = right.chars().flat_map(|c| ['\\', c]).collect();
                    if right.contains(UNKNOWN) {
                        Truth::Unknown
                    } else {
                        matches(&escaped, left).min_unknown(left, right)
                    }
                } else if right.contains(UNKNOWN) {
                    Truth::Unknown.min_unknown(right, left)
                } else {
                    Truth::from(left == right)
                };
                if operator == "!=" { equal.not() } else { equal }
            }
            "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => {
                let Some((left, right)) = numbers() else { return Truth::Unknown };
                Truth::from(match operator {
                    "-eq" => left == right,
                    "-ne" => left != right,
                    "-lt" => left < right,
                    "-le" => left <= right,
                    "-gt" => left > right,
                    _ => left >= right,
                })
            }
            _ => Truth::Unknown,
        }
    }

    fn unary(&self, operator: &str, operand: &str) -> Truth {
        match operator {
            "-n" => return filled(operand),
            "-z" => return filled(operand).not(),
            "-t" | "-v" => return Truth::Unknown,
            _ => {}
        }
        if operand.is_empty() {
            return Truth::No;
        }
        if !self.machine.is_known(operand) {
            return Truth::Unknown;
        }
        if matches!(operator, "-h" | "-L") {
            let place = self.machine.root.find_link(operand);
            return Truth::from(place.is_some_and(|place| matches!(place.thing, Thing::Link(_))));
        }
        if matches!(operator, "-x") && self.machine.root.program(operand).is_some() {
            return Truth::Yes;
        }
        let real = self.machine.root.real(operand, true).unwrap_or_default();
        // What the kernel and a running system have there is not for a build to say.
        if ["proc/", "sys/", "dev/"].iter().any(|tree| real.starts_with(tree)) {
            return Truth::Unknown;
        }
        let place = self.machine.root.find(operand).map(|place| &place.thing);
        match (operator, place) {
            (
                "-e" | "-r" | "-w" | "-x" | "-d" | "-f" | "-s" | "-b" | "-c" | "-p" | "-S" | "-u" | "-g" | "-k" | "-O"
                | "-G",
                None,
            ) => Truth::No,
            ("-e" | "-r" | "-w", Some(_)) => Truth::Yes,
            ("-d", Some(thing)) => Truth::from(*thing == Thing::Directory),
            ("-f", Some(thing)) => Truth::from(matches!(thing, Thing::File(_))),
            ("-x", Some(Thing::Directory)) => Truth::Yes,
            // Whoever asks this of a file asks for a program or a script.
            ("-x", Some(_)) => Truth::Yes,
            ("-s", Some(Thing::File(Some(text)))) => Truth::from(!text.is_empty()),
            ("-b" | "-c" | "-p" | "-S", Some(_)) => Truth::No,
            _ => Truth::Unknown,
        }
    }
}

impl Truth {
    /// A text that is partly known can still differ from a known one for sure.
    fn min_unknown(self, partly: &str, known: &str) -> Self {
        let head = partly.split(UNKNOWN).next().unwrap_or_default();
        let tail = partly.rsplit(UNKNOWN).next().unwrap_or_default();
        if known.contains(UNKNOWN) || self == Truth::No {
            return self;
        }
        if known.starts_with(head) && known.ends_with(tail) { Truth::Unknown } else { Truth::No }
    }
}

fn filled(text: &str) -> Truth {
    if text.is_empty() {
        Truth::No
    } else if text.chars().all(|c| c == UNKNOWN) {
        Truth::Unknown
    } else {
        Truth::Yes
    }
}
