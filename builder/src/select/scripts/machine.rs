//! Follows a script's commands, as far as what they do is known, and notes what each comes to.
//!
//! Nothing is run. A condition that nothing here decides leads down both ways, and what then has an effect is reported
//! as unhandled; a way that ends in a failure is not taken, since installations succeed. Steps, depth and the length of
//! texts are bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::effects::Effect;
use super::expand::{MAX_TEXT, Truth};
use super::root::{Root, Thing, UNKNOWN};
use super::tools;
use crate::shell::{self, Command, Kind, List, Operator, Redirect};

/// The most commands that are followed in one script.
const MAX_STEPS: u32 = 100_000;
/// How deep functions and files may call each other.
const MAX_CALLS: u32 = 24;
/// The most lines of one script that a report repeats.
const MAX_LINES: usize = 20;
/// The longest line of a report.
const MAX_LINE: usize = 200;

/// What one script comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::select) struct Findings {
    pub(in crate::select) effects: Vec<(&'static str, Effect)>,
    /// By rule, the lines that it covers.
    pub(in crate::select) covered: BTreeMap<&'static str, BTreeSet<String>>,
    /// Lines that nothing covers, in the script's order.
    pub(in crate::select) unhandled: Vec<String>,
}

/// How a command goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break(u32),
    Continue(u32),
    Return,
    /// Whether the script succeeds.
    Exit(bool),
}

/// What one call of a script starts from.
pub(super) struct Machine<'r> {
    pub(super) root: &'r mut Root,
    pub(super) package: &'r str,
    pub(super) script: &'r str,
    /// debconf's questions with their default answers; `None` where a script computes the answer.
    pub(super) questions: &'r mut BTreeMap<String, Option<String>>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) arguments: Vec<String>,
    functions: BTreeMap<String, (Rc<Command>, Rc<str>)>,
    pub(super) findings: Findings,
    pub(super) last: Truth,
    /// What the running command reads, where it is known.
    pub(super) input: Option<String>,
    pub(super) output: Vec<String>,
    source: Rc<str>,
    /// The text of the running command.
    line: String,
    steps: u32,
    pub(super) calls: u32,
    /// How many undecided conditions stand around the running command.
    pub(super) undecided: u32,
    /// Whether an undecided exit, return or break came before it.
    pub(super) after: (bool, bool, bool),
    locals: Vec<BTreeMap<String, Option<String>>>,
}

impl<'r> Machine<'r> {
    pub(super) fn new(
        root: &'r mut Root,
        (package, script): (&'r str, &'r str),
        questions: &'r mut BTreeMap<String, Option<String>>,
        arguments: &[&str],
    ) -> Self {
        let mut variables = BTreeMap::new();
        for (name, value) in [
            ("DPKG_MAINTSCRIPT_NAME", script),
            ("DPKG_MAINTSCRIPT_PACKAGE", package),
            ("DPKG_MAINTSCRIPT_ARCH", &root.architecture),
            ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            ("DPKG_ADMINDIR", "/var/lib/dpkg"),
            ("DPKG_ROOT", ""),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("HOME", "/root"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        Self {
            root,
            package,
            script,
            questions,
            variables,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            functions: BTreeMap::new(),
            findings: Findings::default(),
            last: Truth::Yes,
            input: None,
            output: Vec::new(),
            source: "".into(),
            line: String::new(),
            steps: 0,
            calls: 0,
            undecided: 0,
            after: (false, false, false),
            locals: Vec::new(),
        }
    }

    /// Follows a whole script.
    pub(super) fn run(mut self, text: &str) -> Findings {
        self.follow(text);
        self.findings
    }

    /// Follows a text in this machine: the script, a file that it reads, an `eval`.
    pub(super) fn follow(&mut self, text: &str) -> Flow {
        let list = match shell::parse(text) {
            Ok(list) => list,
            Err(error) => {
                let line = text.lines().nth(error.line - 1).unwrap_or_default();
                let line = format!("{} # {}", shorten(line), error.problem);
                self.push_unhandled(line);
                return Flow::Next;
            }
        };
        if self.calls >= MAX_CALLS {
            self.push_unhandled(format!("{} # calls are nested too deep", self.line));
            return Flow::Next;
        }
        self.calls += 1;
        let source = std::mem::replace(&mut self.source, text.into());
        let flow = self.list(&list);
        self.source = source;
        self.calls -= 1;
        flow
    }

    /// Follows a script that another one calls as a program.
    pub(super) fn program(&mut self, text: &str, arguments: &[String]) -> Truth {
        let outer = std::mem::replace(&mut self.arguments, arguments.to_vec());
        let functions = std::mem::take(&mut self.functions);
        self.last = Truth::Yes;
        let line = self.line.clone();
        self.apart(|machine| machine.follow(text));
        self.line = line;
        self.functions = functions;
        self.arguments = outer;
        self.last
    }

    /// Returns whether it is sure that the running command runs.
    pub(super) fn is_sure(&self) -> bool {
        self.undecided == 0 && self.after == (false, false, false)
    }

    /// Notes that a rule covers the running command.
    pub(super) fn cover(&mut self, rule: &'static str) {
        let lines = self.findings.covered.entry(rule).or_default();
        if lines.len() < MAX_LINES {
            lines.insert(self.line.clone());
        }
    }

    /// Notes an effect that a rule brings about; where it may not come about, that nothing covers it.
    pub(super) fn effect(&mut self, rule: &'static str, effect: Effect) {
        if !self.is_sure() {
            self.unhandled("a condition around it is not decided");
        } else if self.findings.effects.len() < MAX_STEPS as usize {
            self.cover(rule);
            self.findings.effects.push((rule, effect));
        }
    }

    /// Notes that nothing covers the running command.
    pub(super) fn unhandled(&mut self, why: &str) {
        let line = if why.is_empty() { self.line.clone() } else { format!("{} # {why}", self.line) };
        self.push_unhandled(line);
    }

    fn push_unhandled(&mut self, line: String) {
        if self.findings.unhandled.len() < MAX_LINES && !self.findings.unhandled.contains(&line) {
            self.findings.unhandled.push(line);
        }
    }

    /// Writes to the running command's standard output.
    pub(super) fn print(&mut self, text: &str) {
        let sure = self.is_sure();
        if let Some(output) = self.output.last_mut() {
            if output.len() + text.len() > MAX_TEXT || !sure {
                output.push(UNKNOWN);
                output.truncate(MAX_TEXT);
            } else {
                output.push_str(text);
            }
        }
    }

    pub(super) fn assign(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value);
    }

    /// Makes a variable local to the running function.
    pub(super) fn local(&mut self, name: &str) {
        let old = self.variables.get(name).cloned();
        if let Some(locals) = self.locals.last_mut() {
            locals.entry(name.to_owned()).or_insert(old);
        }
    }

    pub(super) fn is_function(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    pub(super) fn list(&mut self, list: &List) -> Flow {
        for command in list {
            let flow = self.command(command);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    pub(super) fn command(&mut self, command: &Command) -> Flow {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            self.push_unhandled(format!("{} # it does not end within {MAX_STEPS} commands", self.line));
            return Flow::Exit(true);
        }
        match &command.kind {
            Kind::Simple { assignments, words, redirects } => {
                let text = self.source.get(command.start..command.end).unwrap_or_default();
                let line = std::mem::replace(&mut self.line, shorten(text));
                let flow = self.simple(assignments, words, redirects);
                self.line = line;
                flow
            }
            Kind::Pipeline { negated, stages } => {
                let flow = self.pipeline(stages);
                if *negated {
                    self.last = self.last.not();
                }
                flow
            }
            Kind::And(left, right) | Kind::Or(left, right) => {
                let flow = self.command(left);
                if flow != Flow::Next {
                    return flow;
                }
                let wanted = if matches!(command.kind, Kind::And(..)) { Truth::Yes } else { Truth::No };
                if self.last == wanted {
                    self.command(right)
                } else if self.last == Truth::Unknown {
                    let flow = self.either(&[&|machine| machine.command(right), &|_| Flow::Next]);
                    if self.last == Truth::Yes && wanted == Truth::Yes || wanted == Truth::No && self.last != Truth::Yes
                    {
                        self.last = Truth::Unknown;
                    }
                    flow
                } else {
                    Flow::Next
                }
            }
            Kind::Group(list, redirects) => self.redirected(redirects, |machine| machine.list(list)),
            Kind::Subshell(list, redirects) => self.redirected(redirects, |machine| machine.apart(|m| m.list(list))),
            Kind::If { arms, otherwise, redirects } => {
                self.redirected(redirects, |machine| machine.if_(arms, otherwise))
            }
            Kind::For { name, words, body, redirects } => {
                let fields = match words {
                    Some(words) => self.fields(words),
                    None => self.arguments.clone(),
                };
                self.redirected(redirects, |machine| machine.rounds(name, &fields, body))
            }
            Kind::While { until, condition, body, redirects } => {
                self.redirected(redirects, |machine| machine.while_(*until, condition, body))
            }
            Kind::Case { word, arms, redirects } => {
                let text = self.one(word);
                self.redirected(redirects, |machine| machine.case(&text, arms))
            }
            Kind::Function { name, body } => {
                self.functions.insert(name.clone(), (Rc::new((**body).clone()), self.source.clone()));
                self.last = Truth::Yes;
                Flow::Next
            }
        }
    }

    /// Follows commands whose variables and exits stay their own.
    pub(super) fn apart(&mut self, inside: impl FnOnce(&mut Self) -> Flow) -> Flow {
        let (variables, arguments, after) = (self.variables.clone(), self.arguments.clone(), self.after);
        let flow = inside(self);
        (self.variables, self.arguments, self.after) = (variables, arguments, after);
        match flow {
            Flow::Exit(false) => self.last = Truth::No,
            Flow::Exit(true) => self.last = Truth::Yes,
            _ => {}
        }
        Flow::Next
    }

    fn pipeline(&mut self, stages: &[Command]) -> Flow {
        if let [only] = stages {
            return self.command(only);
        }
        let outer = self.input.take();
        let mut flow = Flow::Next;
        let mut piped = outer.clone();
        for (number, stage) in stages.iter().enumerate() {
            self.input = piped.take();
            let last = number + 1 == stages.len();
            if !last {
                self.output.push(String::new());
            }
            flow = self.apart(|machine| machine.command(stage));
            if !last {
                piped = self.output.pop();
            }
        }
        self.input = outer;
        flow
    }

    /// Returns what a command substitution gives.
    pub(super) fn substitute(&mut self, list: &List, text: &str) -> String {
        if self.calls >= MAX_CALLS {
            return UNKNOWN.to_string();
        }
        self.calls += 1;
        let source = std::mem::replace(&mut self.source, text.into());
        self.output.push(String::new());
        self.apart(|machine| machine.list(list));
        self.source = source;
        self.calls -= 1;
        let output = self.output.pop().unwrap_or_default();
        output.trim_end_matches('\n').to_owned()
    }

    /// Follows something whose input and output are redirected.
    fn redirected(&mut self, redirects: &[Redirect], inside: impl FnOnce(&mut Self) -> Flow) -> Flow {
        if redirects.is_empty() {
            return inside(self);
        }
        let outer = self.input.clone();
        let mut target: Option<Option<(String, bool)>> = None;
        for redirect in redirects {
            let word = self.one(&redirect.word);
            match (redirect.descriptor, redirect.operator) {
                (0, Operator::Here) => self.input = Some(word),
                (0, Operator::Read) => {
                    let text = self.root.text(&word).and_then(|text| String::from_utf8(text.to_vec()).ok());
                    self.input = Some(text.unwrap_or_else(|| UNKNOWN.to_string()));
                }
                (0, _) => self.input = Some(UNKNOWN.to_string()),
                (1, Operator::Write | Operator::Both) => target = Some(Some((word, false))),
                (1, Operator::Append) => target = Some(Some((word, true))),
                (1, Operator::Duplicate) if word != "1" => target = Some(None),
                _ => {}
            }
        }
        if target.is_some() {
            self.output.push(String::new());
        }
        let flow = inside(self);
        self.input = outer;
        if let Some(target) = target {
            let output = self.output.pop().unwrap_or_default();
            if let Some((path, append)) = target {
                tools::files::write(self, &path, output, append);
            }
        }
        flow
    }

    fn simple(&mut self, assignments: &[(String, shell::Word)], words: &[shell::Word], redirects: &[Redirect]) -> Flow {
        let fields = self.fields(words);
        let Some((name, arguments)) = fields.split_first() else {
            self.last = Truth::Yes;
            for (name, word) in assignments {
                let value = self.one(word);
                self.assign(name, value);
            }
            return self.redirected(redirects, |_| Flow::Next);
        };
        let mut saved = Vec::new();
        for (variable, word) in assignments {
            let value = self.one(word);
            saved.push((variable.clone(), self.variables.insert(variable.clone(), value)));
        }
        let flow = self.redirected(redirects, |machine| machine.call(name, arguments));
        for (variable, value) in saved.into_iter().rev() {
            match value {
                Some(value) => drop(self.variables.insert(variable, value)),
                None => drop(self.variables.remove(&variable)),
            }
        }
        flow
    }

    /// Follows a command by its name: a function, a word of the shell, a tool.
    pub(super) fn call(&mut self, name: &str, arguments: &[String]) -> Flow {
        if let Some((body, source)) = self.functions.get(name).filter(|_| !tools::is_known_function(name)).cloned() {
            if self.calls >= MAX_CALLS {
                self.unhandled("calls are nested too deep");
                return Flow::Next;
            }
            self.calls += 1;
            let outer = std::mem::replace(&mut self.arguments, arguments.to_vec());
            let source = std::mem::replace(&mut self.source, source);
            let after = self.after.1;
            self.locals.push(BTreeMap::new());
            let flow = self.command(&body);
            for (variable, value) in self.locals.pop().unwrap_or_default() {
                match value {
                    Some(value) => drop(self.variables.insert(variable, value)),
                    None => drop(self.variables.remove(&variable)),
                }
            }
            self.after.1 = after;
            self.source = source;
            self.arguments = outer;
            self.calls -= 1;
            return if flow == Flow::Return { Flow::Next } else { flow };
        }
        self.last = Truth::Yes;
        match self.builtin(name, arguments) {
            Some(flow) => flow,
            None => {
                self.last = tools::run(self, name, arguments);
                Flow::Next
            }
        }
    }

    /// Returns a file's kind at a path; `None` where the path is not known.
    pub(super) fn thing(&self, path: &str) -> Option<Option<Thing>> {
        (!path.contains(UNKNOWN)).then(|| self.root.find(path).map(|place| place.thing.clone()))
    }
}

/// Returns a command's text on one line.
fn shorten(text: &str) -> String {
    let joined = text.replace("\\\n", " ");
    let mut line: String = joined.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MAX_LINE {
        line = line.chars().take(MAX_LINE).chain(['…']).collect();
    }
    line
}
