//! Scripts: which of them are kept, and what they bring.
//!
//! A script in a directory of programs is kept where its interpreter is kept anyway. It brings its interpreter where
//! nothing of its source is an ELF program; what the image runs and what the spec puts there itself always do.

use std::collections::BTreeSet;

use super::graph::{How, Root, Why};
use super::role::{PATH, Role};
use super::universe::{Body, Holder, Item, Place, ROOT};
use super::{Closer, Error, Keep, Waiting};
use crate::tree::ImagePath;

/// Where programs are looked for, unless the spec says otherwise.
pub(super) const PATH_VARIABLE: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a script is run by.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// The file that holds the text.
    text: Item,
    /// What decides, with the links that lead to it; `None` where it is not there.
    interpreter: Option<(Vec<Item>, Item)>,
    /// `env`, where that is how the interpreter is found.
    env: Option<(Vec<Item>, Item)>,
    /// The interpreter as the script names it.
    word: String,
}

impl Closer<'_, '_> {
    /// Returns the links to a program of this name, and where it stands.
    pub(super) fn program(&self, name: &str, path: &str) -> Option<(Vec<Item>, Place)> {
        let universe = self.universe;
        path.split(':').find_map(|directory| {
            let directory = universe.follow(ROOT, directory, &mut |_| {})?;
            universe.places[directory as usize].below.get(name)?;
            let mut via = Vec::new();
            let place = universe.follow(directory, name, &mut |link| via.push(link))?;
            let winner = universe.places[place as usize].winner?;
            matches!(universe.things[winner as usize].body, Body::File(_)).then_some((via, place))
        })
    }

    fn file(&self, (via, place): (Vec<Item>, Place)) -> Option<(Vec<Item>, Item)> {
        let winner = self.universe.places[place as usize].winner?;
        matches!(self.universe.things[winner as usize].body, Body::File(_)).then_some((via, winner))
    }

    /// Returns what runs an item, a script or a link to one.
    pub(super) fn script(&self, item: Item) -> Option<Script> {
        let universe = self.universe;
        let text = match &universe.things[item as usize].body {
            Body::File(_) => item,
            Body::Link(target) => {
                let here = universe.parent(universe.things[item as usize].place);
                universe.file(here, target)?
            }
            Body::Directory(_) => return None,
        };
        let shebang = universe.facts(text)?.shebang.as_deref()?;
        let mut words = shebang.split_whitespace();
        let first = words.next()?;
        let at = |path: &str| {
            let mut via = Vec::new();
            let place = universe.follow(ROOT, path, &mut |link| via.push(link))?;
            self.file((via, place))
        };
        if first.rsplit('/').next() == Some("env") {
            let word = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
            let variable = self.input.spec.run.env.get("PATH").map_or(PATH_VARIABLE, String::as_str);
            let interpreter = self.program(word, variable).and_then(|found| self.file(found));
            return Some(Script { text, interpreter, env: at(first), word: word.to_owned() });
        }
        Some(Script { text, interpreter: at(first), env: None, word: first.to_owned() })
    }

    /// Keeps a program that is a script, now or once its interpreter is kept.
    pub(super) fn decide(&mut self, item: Item, script: Script, package: u32) {
        let Some((_, interpreter)) = &script.interpreter else { return };
        let universe = self.universe;
        let pack = universe.pack(*interpreter).map(|pack| &universe.packages[pack as usize]);
        let essential = pack
            .is_some_and(|pack| pack.index.field("Essential").is_some_and(|value| value.eq_ignore_ascii_case("yes")));
        let perl = universe.file_name(*interpreter).starts_with("perl");
        let alone = !self.state.group_program[self.state.group[package as usize] as usize];
        if alone && (!essential || perl) {
            self.keep(item, Why::Level(package));
            self.keep_interpreter(&script);
        } else if self.state.kept[*interpreter as usize] {
            self.offer_script(item, *interpreter);
        } else {
            self.wait(*interpreter, Waiting::Script(item));
        }
    }

    /// Keeps a script whose interpreter is kept.
    pub(super) fn offer_script(&mut self, item: Item, _: Item) {
        let (Some(script), Some(package)) = (self.script(item), self.universe.pack(item)) else { return };
        self.keep(item, Why::Level(package));
        self.keep_interpreter(&script);
    }

    fn keep_interpreter(&mut self, script: &Script) {
        let why = Why::Need(How::Shebang, script.text);
        for (via, item) in script.interpreter.iter().chain(&script.env) {
            via.iter().for_each(|link| self.keep(*link, why));
            self.keep(*item, why);
        }
    }

    /// Brings what a script needs that the image runs, or that the spec puts there itself.
    pub(super) fn pull(&mut self, item: Item) {
        // Scripts may run each other in a ring, or in a chain too long for the stack.
        let (mut seen, mut next) = (BTreeSet::from([item]), vec![item]);
        while let Some(item) = next.pop() {
            next.extend(self.pull_one(item).into_iter().filter(|found| seen.insert(*found)));
        }
    }

    /// Brings what one script needs, and returns the programs that were not kept before.
    fn pull_one(&mut self, item: Item) -> Vec<Item> {
        let mut more = Vec::new();
        let Some(script) = self.script(item) else { return more };
        if script.interpreter.is_none() {
            self.no_interpreter(item, &script.word);
            return more;
        }
        self.keep_interpreter(&script);
        let Some(scan) = self.universe.scan(script.text) else { return more };
        let own = self.universe.pack(script.text);
        let near = |closer: &Self, found: Item| match (closer.universe.pack(found), own) {
            (Some(package), Some(own)) => {
                package == own
                    || closer.state.implicit[package as usize]
                    || closer.state.depends[own as usize].binary_search(&package).is_ok()
            }
            // The spec's own script is written for what the spec asks for.
            (Some(package), None) => !closer.universe.packages[package as usize].falls_away,
            (None, _) => true,
        };
        let commands = scan.commands.iter().filter_map(|word| Some((word, self.program(word, PATH_VARIABLE)?)));
        let paths = scan.paths.iter().filter(|path| {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).trim_start_matches('/');
            PATH.contains(&parent) || PATH.contains(&format!("usr/{parent}").as_str())
        });
        let paths = paths.filter_map(|path| {
            let mut via = Vec::new();
            let place = self.universe.follow(ROOT, path, &mut |link| via.push(link))?;
            Some((path, (via, place)))
        });
        let found: Vec<(String, Vec<Item>, Item)> = commands
            .chain(paths)
            .filter_map(|(word, found)| self.file(found).map(|(via, item)| (word.clone(), via, item)))
            .filter(|(_, _, item)| near(self, *item))
            .collect();
        for (word, via, item) in found {
            let why = Why::Need(How::Command(self.state.words.number(&word)), script.text);
            via.into_iter().for_each(|link| self.keep(link, why));
            let known = self.state.kept[item as usize];
            self.keep(item, why);
            if !known && self.state.kept[item as usize] {
                more.push(item);
            }
        }
        more
    }

    fn no_interpreter(&mut self, item: Item, word: &str) {
        let universe = self.universe;
        let path = universe.path_of(item);
        let owner = match universe.things[item as usize].holder {
            Holder::Package(package) => universe.packages[package as usize].name.to_owned(),
            Holder::File(number) => format!("files[{number}]"),
            _ => return,
        };
        if self.input.lock.keep != Keep::Needed.as_str() {
            return;
        }
        let Ok(image_path) = ImagePath::parse(&path) else { return };
        let executable = match universe.things[item as usize].holder {
            // A copied file that nobody may execute is read by something else.
            Holder::File(_) => {
                self.state.why.iter().any(|(known, why)| *known == item && matches!(why, Why::Root(Root::Entrypoint)))
            }
            _ => true,
        };
        if !executable {
            self.state.notes.insert(format!("/{path} of `{owner}` is run by `{word}`, which is not there"));
            return;
        }
        let error = Error::Interpreter { path: image_path, owner, interpreter: word.to_owned() };
        self.state.errors.insert((path, word.to_owned()), error);
    }

    /// Returns whether a package has nothing but modules that wait for a program.
    pub(super) fn is_only_modules(&self, package: u32) -> bool {
        let pack = &self.universe.packages[package as usize];
        let mut modules = false;
        for item in pack.first..pack.first + pack.index.entries.len() as Item {
            let thing = &self.universe.things[item as usize];
            if matches!(thing.body, Body::Directory(_)) || !thing.role.is_payload() {
                continue;
            }
            if self.state.rules.tree(item).is_some() {
                modules = true;
            } else if thing.role == Role::Program && self.script(item).is_none() {
                return false;
            }
        }
        modules && !self.state.group_program[self.state.group[package as usize] as usize]
    }

    /// Keeps the program that reads the modules of a package that has nothing else.
    pub(super) fn pull_reader(&mut self, package: u32) {
        let pack = &self.universe.packages[package as usize];
        let mut items = pack.first..pack.first + pack.index.entries.len() as Item;
        let Some((item, tree)) = items.find_map(|item| Some((item, self.state.rules.tree(item)?))) else { return };
        let readers = self.state.rules.readers(tree);
        let program = |item: &&Item| {
            let thing = &self.universe.things[**item as usize];
            thing.role == Role::Program && matches!(thing.body, Body::File(_))
        };
        if let Some(reader) = readers.iter().find(program) {
            self.keep(*reader, Why::Need(How::Shebang, item));
        }
    }
}
