//! Ways through a script: conditions, cases, loops, and what is followed where nothing decides between them.

use std::collections::BTreeSet;

use super::expand::Truth;
use super::machine::{Flow, Machine};
use super::root::UNKNOWN;
use crate::shell::{self, Command, List};

/// The most rounds of one loop.
const MAX_ROUNDS: usize = 1000;

impl Machine<'_> {
    /// Follows several ways of which one is taken.
    pub(super) fn either(&mut self, ways: &[&dyn Fn(&mut Self) -> Flow]) -> Flow {
        self.spend_state();
        let (variables, findings, after) = (self.variables.clone(), self.findings.noted(), self.after);
        let (length, input) = (self.output.last().map(String::len), self.input.clone());
        let working = self.root.working.clone();
        let mut places: BTreeSet<String> = BTreeSet::new();
        let mut outcomes = Vec::new();
        let mut taken: Vec<usize> = Vec::new();
        for (number, way) in ways.iter().enumerate() {
            self.spend_state();
            self.variables = variables.clone();
            self.root.working.clone_from(&working);
            let before = self.findings.noted();
            self.undecided += 1;
            let flow = self.deeper(way);
            self.undecided -= 1;
            if flow == Flow::Exit(false) {
                // An installation succeeds, so this is not the way that it takes.
                self.findings.forget(before);
            } else {
                places.insert(self.root.working.clone());
                taken.push(number);
                outcomes.push((flow, std::mem::take(&mut self.variables), self.last));
            }
        }
        if let [only] = taken[..] {
            (self.variables, self.after) = (variables, after);
            self.findings.forget(findings);
            self.root.working = working;
            self.input = input;
            if let (Some(output), Some(length)) = (self.output.last_mut(), length) {
                output.truncate(length);
            }
            return self.deeper(ways[only]);
        }
        let Some((first, joined, last)) = outcomes.first().cloned() else {
            self.variables = variables;
            self.findings.forget(findings);
            return Flow::Exit(false);
        };
        if let [_, _, ..] = places.iter().collect::<Vec<_>>()[..] {
            self.root.working = UNKNOWN.to_string();
        }
        self.variables = joined;
        self.last = last;
        for (_, other, last) in &outcomes[1..] {
            let names: BTreeSet<String> = self.variables.keys().chain(other.keys()).cloned().collect();
            for name in names {
                if self.variables.get(&name) != other.get(&name) {
                    self.variables.insert(name, UNKNOWN.to_string());
                }
            }
            if *last != self.last {
                self.last = Truth::Unknown;
            }
        }
        if outcomes.iter().all(|(flow, ..)| *flow == first) {
            return first;
        }
        for (flow, ..) in &outcomes {
            match flow {
                Flow::Next => {}
                Flow::Break(_) | Flow::Continue(_) => self.after.2 = true,
                Flow::Return => self.after.1 = true,
                Flow::Exit(_) => self.after.0 = true,
            }
        }
        Flow::Next
    }

    pub(super) fn if_(&mut self, arms: &[(List, List)], otherwise: &List) -> Flow {
        let mut arms = arms;
        while let Some(((condition, body), rest)) = arms.split_first() {
            let flow = self.list(condition);
            if flow != Flow::Next {
                return flow;
            }
            match self.last {
                Truth::Yes => return self.list(body),
                Truth::No => arms = rest,
                Truth::Unknown => return self.either(&[&|m| m.list(body), &|m| m.if_(rest, otherwise)]),
            }
        }
        self.last = Truth::Yes;
        self.list(otherwise)
    }

    /// Follows commands that `&&` (`true`) and `||` join.
    pub(super) fn chain(&mut self, first: &Command, rest: &[(bool, Command)]) -> Flow {
        let mut flow = self.command(first);
        for (and, right) in rest {
            if flow != Flow::Next {
                return flow;
            }
            let wanted = Truth::from(*and);
            if self.last == wanted {
                flow = self.command(right);
            } else if self.last == Truth::Unknown {
                flow = self.either(&[&|machine| machine.command(right), &|_| Flow::Next]);
                if self.last == Truth::Yes && *and || !and && self.last != Truth::Yes {
                    self.last = Truth::Unknown;
                }
            }
        }
        flow
    }

    pub(super) fn case(&mut self, text: &str, arms: &[(Vec<shell::Word>, List)]) -> Flow {
        self.last = Truth::Yes;
        let mut possible: Vec<&List> = Vec::new();
        for (patterns, body) in arms {
            let mut fits = Truth::No;
            for pattern in patterns {
                let pattern = self.pattern(pattern);
                match self.root.meter.matches(&pattern, text) {
                    Truth::Yes => fits = Truth::Yes,
                    Truth::Unknown if fits == Truth::No => fits = Truth::Unknown,
                    _ => {}
                }
            }
            match fits {
                Truth::No => {}
                Truth::Unknown => possible.push(body),
                Truth::Yes if possible.is_empty() => return self.list(body),
                Truth::Yes => {
                    possible.push(body);
                    return self.arms(&possible, false);
                }
            }
        }
        self.arms(&possible, true)
    }

    fn arms(&mut self, possible: &[&List], none: bool) -> Flow {
        if possible.is_empty() {
            return Flow::Next;
        }
        let ways: Vec<_> = possible.iter().map(|list| |machine: &mut Self| machine.list(list)).collect();
        let nothing = |_: &mut Self| Flow::Next;
        let mut all: Vec<&dyn Fn(&mut Self) -> Flow> = ways.iter().map(|way| way as _).collect();
        if none {
            all.push(&nothing);
        }
        self.either(&all)
    }

    /// Counts one `break` or `continue` off; `None` where the loop goes on.
    fn loop_flow(flow: Flow) -> Option<Flow> {
        match flow {
            Flow::Next | Flow::Continue(1) => None,
            Flow::Break(1) => Some(Flow::Next),
            Flow::Break(number) => Some(Flow::Break(number - 1)),
            Flow::Continue(number) => Some(Flow::Continue(number - 1)),
            other => Some(other),
        }
    }

    pub(super) fn rounds(&mut self, name: &str, fields: &[String], body: &List) -> Flow {
        let outer = self.after.2;
        self.last = Truth::Yes;
        let mut result = Flow::Next;
        for field in fields.iter().take(MAX_ROUNDS) {
            self.assign(name, field.clone());
            // What is not known may be no word, or many.
            let flow = if field.contains(UNKNOWN) {
                self.either(&[&|m| Self::loop_flow(m.list(body)).unwrap_or(Flow::Next), &|_| Flow::Next])
            } else {
                self.list(body)
            };
            if let Some(flow) = Self::loop_flow(flow) {
                result = flow;
                break;
            }
        }
        if fields.len() > MAX_ROUNDS {
            self.unhandled("a loop of too many rounds");
        }
        self.after.2 = outer;
        result
    }

    pub(super) fn while_(&mut self, until: bool, condition: &List, body: &List) -> Flow {
        let outer = self.after.2;
        let mut result = Flow::Next;
        for round in 0.. {
            let flow = self.list(condition);
            if flow != Flow::Next {
                result = flow;
                break;
            }
            let goes_on = if until { self.last.not() } else { self.last };
            if goes_on == Truth::No {
                self.last = Truth::Yes;
                break;
            }
            if goes_on == Truth::Unknown || round >= MAX_ROUNDS {
                result = self.either(&[&|m| Self::loop_flow(m.list(body)).unwrap_or(Flow::Next), &|_| Flow::Next]);
                break;
            }
            if let Some(flow) = Self::loop_flow(self.list(body)) {
                result = flow;
                break;
            }
        }
        self.after.2 = outer;
        result
    }
}
