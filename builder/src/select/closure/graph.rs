//! Why each file, and each package, is kept: every reason, as a graph whose ends are what the spec says.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::role::Role;
use super::ruleset::Rules;
use super::universe::{Holder, Item, Universe};
use crate::lock::Why as Locked;
use crate::spec::Run;
use crate::tree::ImagePath;

/// What the spec says that keeps a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::select) enum Root {
    Entrypoint,
    /// A number of `files`.
    File(u32),
    /// A number of `also`.
    Also(u32),
    /// A number of `features`.
    Feature(u32),
    /// A number of [`Words`]: a slice that `packages` names or one of these needs.
    Slice(u32),
}

/// How one file needs another; words are numbers of [`Words`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::select) enum How {
    Interpreter,
    Needed(u32),
    /// A variant of a needed library for some processors.
    Variant(u32),
    Link,
    Shebang,
    Dlopen(u32, bool),
    Soname(u32),
    Service(u32),
    Pam(u32),
    Command(u32),
    /// It is the configuration that leads to it.
    Found,
}

/// Why an item is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::select) enum Why {
    Root(Root),
    /// Its package is kept whole.
    Whole(u32),
    /// Its package's level keeps it.
    Level(u32),
    Need(How, Item),
    /// A rule, and what makes it hold, where something does.
    Rule(u32, Option<Item>),
    Licence(u32),
}

impl Why {
    /// Returns whether this makes more of the item's package needed.
    pub(super) fn is_need(self, role: Role) -> bool {
        match self {
            Self::Need(..) | Self::Rule(..) | Self::Root(Root::Entrypoint | Root::Feature(_)) => true,
            // Who asks for a file asks for that file; a program is of no use alone.
            Self::Root(Root::Also(_)) => matches!(role, Role::Program | Role::Library | Role::Plugin),
            _ => false,
        }
    }

    /// Returns whether something breaks where the item is not there.
    pub(super) fn is_hard(self) -> bool {
        match self {
            Self::Root(root) => root == Root::Entrypoint,
            Self::Need(how, _) => {
                !matches!(how, How::Dlopen(_, false) | How::Soname(_) | How::Command(_) | How::Variant(_) | How::Found)
            }
            _ => false,
        }
    }

    /// Returns which item needs it.
    pub(super) fn by(self) -> Option<Item> {
        match self {
            Self::Need(_, by) => Some(by),
            Self::Rule(_, by) => by,
            _ => None,
        }
    }
}

/// Why a package is kept as far as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::select) enum PackageWhy {
    Requested,
    /// `keep` says so.
    Whole,
    /// Of the same source as a package that depends on it.
    Source(u32),
    /// A package without files depends on it.
    Meta(u32),
    /// A package depends on it, and it ships no library.
    Dependency(u32),
    /// One of its files is needed.
    File(Item),
}

/// Texts by number.
#[derive(Debug, Default)]
pub(in crate::select) struct Words {
    numbers: BTreeMap<String, u32>,
    all: Vec<String>,
}

impl Words {
    pub(super) fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.numbers.insert(word.to_owned(), number);
        self.all.push(word.to_owned());
        number
    }

    fn word(&self, number: u32) -> &str {
        self.all.get(number as usize).map_or("", String::as_str)
    }
}

/// Every reason of everything that is kept. Chains end at what the spec says, or at a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasons {
    /// By path, why it is kept; the strongest reason first.
    pub files: BTreeMap<ImagePath, Vec<Reason>>,
    /// By package, why it is kept as far as it is.
    pub packages: BTreeMap<String, Vec<Reason>>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// In words, from the file's or the package's side: "needed as `libssl.so.3` by".
    pub how: String,
    /// What it hangs on.
    pub cause: Cause,
}

/// What a reason hangs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The spec says so: `run.entrypoint`, `also[0]`, `packages: nginx`.
    Spec(String),
    /// A package that is kept so far.
    Package(String),
    /// A file that is kept.
    File(ImagePath),
    /// A rule, by name.
    Rule(String),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.cause {
            Cause::Spec(what) if self.how.is_empty() => write!(f, "{what}"),
            Cause::Spec(what) => write!(f, "{} `{what}`", self.how),
            Cause::Package(name) => write!(f, "{} `{name}`", self.how),
            Cause::File(path) => write!(f, "{} {path}", self.how),
            Cause::Rule(name) => write!(f, "rule {name}: {}", self.how),
        }
    }
}

impl Reasons {
    /// Returns the shortest chain from a path to what the spec says: (what, why), the path first.
    pub fn chain(&self, path: &ImagePath) -> Vec<(Cause, Reason)> {
        self.shortest(Cause::File(path.clone()))
    }

    /// As [`Self::chain`], from a package.
    pub fn package_chain(&self, name: &str) -> Vec<(Cause, Reason)> {
        self.shortest(Cause::Package(name.to_owned()))
    }

    fn of(&self, what: &Cause) -> &[Reason] {
        match what {
            Cause::File(path) => self.files.get(path.as_str()).map_or(&[], Vec::as_slice),
            Cause::Package(name) => self.packages.get(name).map_or(&[], Vec::as_slice),
            Cause::Spec(_) | Cause::Rule(_) => &[],
        }
    }

    /// Breadth first: the first end that is found is one of the nearest.
    fn shortest(&self, start: Cause) -> Vec<(Cause, Reason)> {
        let mut came: BTreeMap<Cause, (Cause, Reason)> = BTreeMap::new();
        let mut seen: BTreeSet<Cause> = BTreeSet::from([start.clone()]);
        let mut queue = std::collections::VecDeque::from([start.clone()]);
        while let Some(what) = queue.pop_front() {
            for reason in self.of(&what) {
                if matches!(reason.cause, Cause::Spec(_) | Cause::Rule(_)) {
                    let mut chain = vec![(what.clone(), reason.clone())];
                    let mut at = what;
                    while let Some((before, reason)) = came.get(&at) {
                        chain.push((before.clone(), reason.clone()));
                        at = before.clone();
                    }
                    chain.reverse();
                    return chain;
                }
                if seen.insert(reason.cause.clone()) {
                    came.insert(reason.cause.clone(), (what.clone(), reason.clone()));
                    queue.push_back(reason.cause.clone());
                }
            }
        }
        Vec::new()
    }

    /// Returns every chain without circles from a path to what the spec says, shortest first, at most `limit`.
    pub fn chains(&self, path: &ImagePath, limit: usize) -> Vec<Vec<(Cause, Reason)>> {
        /// The most steps that are looked at: chains are many where libraries need each other.
        const MAX_STEPS: usize = 200_000;
        let mut found = Vec::new();
        let mut steps = 0;
        let mut queue = std::collections::VecDeque::from([vec![]]);
        while let Some(chain) = queue.pop_front() {
            let last: Option<&(Cause, Reason)> = chain.last();
            let what = last.map_or_else(|| Cause::File(path.clone()), |(_, reason)| reason.cause.clone());
            for reason in self.of(&what) {
                steps += 1;
                if steps > MAX_STEPS || found.len() >= limit {
                    return found;
                }
                let circle = chain.iter().any(|(known, _): &(Cause, Reason)| *known == reason.cause);
                if circle || reason.cause == what {
                    continue;
                }
                let mut longer = chain.clone();
                longer.push((what.clone(), reason.clone()));
                if matches!(reason.cause, Cause::Spec(_) | Cause::Rule(_)) {
                    found.push(longer);
                } else {
                    queue.push_back(longer);
                }
            }
        }
        found
    }
}

/// Returns the graph as it is written down.
pub(super) fn reasons(
    universe: &Universe<'_>,
    why: &[(Item, Why)],
    packages: &[(u32, PackageWhy)],
    words: &Words,
    rules: &Rules<'_>,
    kept: &[bool],
) -> Reasons {
    let mut reasons = Reasons::default();
    let path = |item: Item| ImagePath::parse(&universe.path_of(item)).unwrap_or_else(|_| ImagePath::root());
    let package = |number: u32| Cause::Package(universe.packages[number as usize].name.to_owned());
    for (item, why) in why.iter().filter(|(item, _)| kept[*item as usize]) {
        let role = universe.things[*item as usize].role;
        let reason = match *why {
            Why::Root(root) => Reason { how: String::new(), cause: Cause::Spec(root_name(root, words)) },
            Why::Whole(number) => Reason { how: "belongs to".to_owned(), cause: package(number) },
            Why::Level(number) => Reason { how: format!("{} of", role_name(role)), cause: package(number) },
            Why::Licence(number) => Reason { how: "licence text of".to_owned(), cause: package(number) },
            Why::Need(how, by) => Reason { how: how_name(how, words), cause: Cause::File(path(by)) },
            Why::Rule(rule, _) => {
                let rule = &rules.all[rule as usize];
                Reason { how: rule.why.clone(), cause: Cause::Rule(rule.name.clone()) }
            }
        };
        let all = reasons.files.entry(path(*item)).or_default();
        if !all.contains(&reason) {
            all.push(reason);
        }
    }
    let mut sorted = packages.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    for (number, why) in sorted {
        let pack = &universe.packages[number as usize];
        let reason = match why {
            PackageWhy::Requested => {
                Reason { how: "named by the spec:".to_owned(), cause: Cause::Spec(format!("packages: {}", pack.name)) }
            }
            PackageWhy::Whole => Reason { how: "kept whole, by".to_owned(), cause: Cause::Spec("keep".to_owned()) },
            PackageWhy::Source(by) => Reason { how: "of the same source as".to_owned(), cause: package(by) },
            PackageWhy::Meta(by) => Reason { how: "stands for".to_owned(), cause: package(by) },
            PackageWhy::Dependency(by) => {
                Reason { how: "without a library of its own, and a dependency of".to_owned(), cause: package(by) }
            }
            PackageWhy::File(item) if !kept[item as usize] => continue,
            PackageWhy::File(item) => Reason { how: "needed for".to_owned(), cause: Cause::File(path(item)) },
        };
        reasons.packages.entry(pack.name.to_owned()).or_default().push(reason);
    }
    for pack in &universe.packages {
        if let Locked::Implicit(rule) = &pack.locked.why {
            let reason = Reason { how: "implicit".to_owned(), cause: Cause::Rule(rule.clone()) };
            reasons.packages.entry(pack.name.to_owned()).or_default().push(reason);
        }
    }
    reasons
}

fn root_name(root: Root, words: &Words) -> String {
    match root {
        Root::Entrypoint => "run.entrypoint".to_owned(),
        Root::File(number) => format!("files[{number}]"),
        Root::Also(number) => format!("also[{number}]"),
        Root::Feature(number) => format!("features[{number}]"),
        Root::Slice(number) => format!("slice {}", words.word(number)),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Program => "program",
        Role::Library => "library",
        Role::Plugin => "plugin",
        _ => "data",
    }
}

fn how_name(how: How, words: &Words) -> String {
    match how {
        How::Interpreter => "loads".to_owned(),
        How::Needed(word) => format!("needed as `{}` by", words.word(word)),
        How::Variant(word) => format!("variant of `{}` for", words.word(word)),
        How::Link => "linked to by".to_owned(),
        How::Shebang => "runs".to_owned(),
        How::Dlopen(word, true) => format!("loaded as `{}`, without which it does not work, by", words.word(word)),
        How::Dlopen(word, false) => format!("loaded as `{}`, where it is there, by", words.word(word)),
        How::Soname(word) => format!("named `{}` in", words.word(word)),
        How::Service(word) => format!("service `{}` of", words.word(word)),
        How::Pam(word) => format!("module `{}` of", words.word(word)),
        How::Command(word) => format!("run as `{}` by", words.word(word)),
        How::Found => "finds".to_owned(),
    }
}

/// Returns as a sentence what needs an item.
pub(super) fn needed(universe: &Universe<'_>, why: &Why, words: &Words, run: &Run) -> String {
    let command = run.entrypoint.first().or_else(|| run.cmd.first()).map_or("", String::as_str);
    let Why::Need(how, by) = why else { return format!("the image runs `{command}`") };
    let thing = &universe.things[*by as usize];
    let owner = match thing.holder {
        Holder::Package(number) | Holder::Script(number) => universe.packages[number as usize].name.to_owned(),
        Holder::File(number) => format!("files[{number}]"),
        Holder::Base => "the base image".to_owned(),
    };
    let who = format!("/{} of `{owner}`", universe.path_of(*by));
    match how {
        How::Interpreter => format!("{who} is loaded by it"),
        How::Needed(word) | How::Dlopen(word, _) | How::Pam(word) | How::Service(word) => {
            format!("{who} needs `{}`", words.word(*word))
        }
        How::Link => format!("{who} links to it"),
        _ => format!("{who} is run by it"),
    }
}
