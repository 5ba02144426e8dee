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
use super::tools::{self, files};
use crate::shell::{self, Command, Kind, List, Operator, Redirect};
use crate::tree::ImagePath;

/// The most commands that are followed in one script.
const MAX_STEPS: u32 = 100_000;
/// How deep functions and files may call each other.
const MAX_CALLS: u32 = 24;
/// How deep commands may stand in each other, those of called functions and files included.
const MAX_NESTED: u32 = 96;
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

impl Findings {
    /// Returns what was found so far, to be gone back to.
    pub(super) fn noted(&self) -> (usize, Self) {
        let noted = Self { effects: Vec::new(), covered: self.covered.clone(), unhandled: self.unhandled.clone() };
        (self.effects.len(), noted)
    }

    /// Goes back to what had been found then.
    pub(super) fn forget(&mut self, (effects, noted): (usize, Self)) {
        self.effects.truncate(effects);
        (self.covered, self.unhandled) = (noted.covered, noted.unhandled);
    }
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
    /// How deep the running command stands.
    nested: u32,
    /// What a `trap` runs at the end.
    pub(super) trap: Option<String>,
    pub(super) calls: u32,
    /// How many undecided conditions stand around the running command.
    pub(super) undecided: u32,
    /// Whether an undecided exit, return or break came before it.
    pub(super) after: (bool, bool, bool),
    locals: Vec<BTreeMap<String, Option<String>>>,
    /// Bits that new files and directories do not get.
    pub(super) umask: u32,
}

/// What dpkg calls scripts with.
pub(super) const UMASK: u32 = 0o022;

impl<'r> Machine<'r> {
    pub(super) fn new(
        root: &'r mut Root,
        (package, script): (&'r str, &'r str),
        questions: &'r mut BTreeMap<String, Option<String>>,
        arguments: &[&str],
    ) -> Self {
        root.meter.reset();
        // dpkg calls scripts there.
        root.working.clear();
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
            nested: 0,
            trap: None,
            calls: 0,
            undecided: 0,
            after: (false, false, false),
            locals: Vec::new(),
            umask: UMASK,
        }
    }

    /// Follows a whole script.
    pub(super) fn run(mut self, text: &str) -> Findings {
        self.follow(text);
        if let Some(text) = self.trap.take() {
            self.follow(&text);
        }
        self.findings
    }

    /// Follows a text in this machine: the script, a file that it reads, an `eval`.
    pub(super) fn follow(&mut self, text: &str) -> Flow {
        self.root.meter.spend(text.len() * 16);
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
        let mut effect = effect;
        let mut size = effect.size();
        let follows = !matches!(effect, Effect::Link { .. } | Effect::Remove { .. } | Effect::Alternative(_));
        for path in effect.paths_mut() {
            size += path.len();
            if follows && self.is_known(path) && self.root.real(path, true).is_none() {
                return self.unhandled("its path has no place in an image");
            }
            match self.placed(path) {
                Ok(Some(placed)) if files::is_scratch(&placed) => return,
                Ok(Some(placed)) => *path = placed,
                Ok(None) => {}
                Err(problem) => return self.unhandled(problem),
            }
        }
        if !self.is_sure() {
            self.unhandled("a condition around it is not decided");
        } else if !self.root.meter.is_spent() {
            self.root.meter.keep(size);
            self.cover(rule);
            self.findings.effects.push((rule, effect));
        }
    }

    /// Returns a path as one that has a place in an image, `None` where it is one already.
    fn placed(&self, path: &str) -> Result<Option<String>, &'static str> {
        if path.starts_with('/') && !path.ends_with('/') && ImagePath::parse(path).is_ok() {
            return Ok(None);
        }
        if path.contains(UNKNOWN) || !path.starts_with('/') && self.root.working.contains(UNKNOWN) {
            return Err("which file it is about is not known");
        }
        let real = self.root.real(path, false).filter(|real| !real.is_empty() && ImagePath::parse(real).is_ok());
        real.map(|real| Some(format!("/{real}"))).ok_or("its path has no place in an image")
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
                output.clear();
                output.push(UNKNOWN);
            } else {
                output.push_str(text);
            }
        }
    }

    pub(super) fn assign(&mut self, name: &str, value: String) {
        self.root.meter.keep(value.len());
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
        if self.steps > MAX_STEPS || self.root.meter.is_spent() {
            self.push_unhandled(format!("{} # it does not end within the bounds of what is followed", self.line));
            return Flow::Exit(true);
        }
        self.deeper(|machine| machine.kind(command))
    }

    /// Follows what stands inside the running command.
    pub(super) fn deeper(&mut self, inside: impl FnOnce(&mut Self) -> Flow) -> Flow {
        if self.nested >= MAX_NESTED {
            self.push_unhandled(format!("{} # commands are nested too deep", self.line));
            self.last = Truth::Unknown;
            return Flow::Next;
        }
        self.nested += 1;
        let flow = inside(self);
        self.nested -= 1;
        flow
    }

    fn kind(&mut self, command: &Command) -> Flow {
        match &command.kind {
            Kind::Simple { assignments, words, redirects } => {
                let text = self.source.get(command.start..command.end).unwrap_or_default();
                self.root.meter.spend(text.len() + 64);
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
            Kind::Chain { first, rest } => self.chain(first, rest),
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
                self.root.meter.keep((command.end - command.start) * 4);
                self.functions.insert(name.clone(), (Rc::new((**body).clone()), self.source.clone()));
                self.last = Truth::Yes;
                Flow::Next
            }
        }
    }

    /// Follows commands whose variables and exits stay their own.
    pub(super) fn apart(&mut self, inside: impl FnOnce(&mut Self) -> Flow) -> Flow {
        self.spend_state();
        let (variables, arguments, after) = (self.variables.clone(), self.arguments.clone(), self.after);
        let (umask, working, trap) = (self.umask, self.root.working.clone(), self.trap.take());
        let flow = inside(self);
        if let Some(text) = std::mem::replace(&mut self.trap, trap) {
            self.follow(&text);
        }
        (self.variables, self.arguments, self.after) = (variables, arguments, after);
        (self.umask, self.root.working) = (umask, working);
        match flow {
            Flow::Exit(false) => self.last = Truth::No,
            Flow::Exit(true) => self.last = Truth::Yes,
            _ => {}
        }
        Flow::Next
    }

    /// Counts what it costs to remember the variables.
    pub(super) fn spend_state(&self) {
        let texts = self.variables.values().chain(&self.arguments).chain(&self.input);
        self.root.meter.spend(texts.map(|text| text.len() + 32).sum());
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
        self.root.meter.spend(text.len());
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
        self.root.meter.spend(self.input.as_ref().map_or(0, String::len));
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
            self.root.meter.keep(value.len());
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

    /// Returns whether it is known which path a text is.
    pub(super) fn is_known(&self, path: &str) -> bool {
        !path.contains(UNKNOWN) && (path.starts_with('/') || !self.root.working.contains(UNKNOWN))
    }

    /// Returns a name that nothing else has.
    pub(super) fn unique(&self) -> String {
        format!("{}.{}.{}", self.package, self.script, self.steps)
    }

    /// Returns a file's kind at a path; `None` where the path is not known.
    pub(super) fn thing(&self, path: &str) -> Option<Option<Thing>> {
        self.is_known(path).then(|| self.root.find(path).map(|place| place.thing.clone()))
    }
}

/// Returns a command's text on one line.
fn shorten(text: &str) -> String {
    let text = shell::head(text, MAX_LINE * 8);
    let joined = text.replace("\\\n", " ");
    let mut line: String = joined.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MAX_LINE {
        line = line.chars().take(MAX_LINE).chain(['…']).collect();
    }
    line
}
