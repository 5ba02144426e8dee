//! Whether what `never` drops is needed by what is kept.
//!
//! Needed are the entrypoint with its interpreter, what a kept ELF file is loaded by and linked to (DT_NEEDED, looked
//! for where ld.so would), and the targets of kept links. A `never` with `force` drops even so.

use std::borrow::Cow;

use super::error::{Error, Place};
use super::merge::{Node, Tree, What};
use super::{SelectInput, ldcache};
use crate::elf::Facts;
use crate::package::FileFacts;
use crate::tree::ImagePath;

/// The most symbolic links followed in one path.
const MAX_LINKS: usize = 40;

/// Returns an error for the first thing, in the order of paths, that is needed and dropped.
pub(super) fn check(tree: &Tree<'_>, input: &SelectInput<'_>) -> Result<(), Error> {
    if tree.refused.is_empty() {
        return Ok(());
    }
    let needs = Needs { tree, input, libraries: ldcache::search_path(tree, input.platform) };
    needs.entrypoint()?;
    for (path, node) in &tree.nodes {
        match &node.what {
            What::File { facts, .. } => {
                if let Some(elf) = &facts.elf {
                    needs.elf(path, node, elf)?;
                }
            }
            What::Symlink(target) => {
                let target = beside(path, target);
                let lost = needs.follow(&target).lost;
                needs.refuse(lost, || format!("{path} of `{}` links to it", tree.owner_name(node.owner)))?;
            }
            What::Directory | What::Inline(_) => {}
        }
    }
    Ok(())
}

struct Needs<'t, 'a> {
    tree: &'t Tree<'a>,
    input: &'t SelectInput<'a>,
    libraries: Vec<String>,
}

/// Where a path leads in the tree as it was before anything was dropped.
struct Followed<'t, 'a> {
    /// The first place on the way, or at the end, that was dropped.
    lost: Option<ImagePath>,
    /// What stands at the end.
    end: Option<&'t Node<'a>>,
}

impl<'t, 'a> Needs<'t, 'a> {
    fn node(&self, path: &str) -> Option<(&'t Node<'a>, bool)> {
        let kept = self.tree.nodes.get(path).map(|node| (node, true));
        kept.or_else(|| self.tree.refused.get(path).map(|refused| (&refused.node, false)))
    }

    /// Follows a path without leading slash through every link.
    fn follow(&self, path: &str) -> Followed<'t, 'a> {
        let mut rest: Vec<Cow<'_, str>> = path.rsplit('/').map(|part| Cow::Owned(part.to_owned())).collect();
        let mut followed = Followed { lost: None, end: None };
        let (mut done, mut links) = (String::new(), 0);
        while let Some(part) = rest.pop() {
            match part.as_ref() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let above = done.len();
            if above > 0 {
                done.push('/');
            }
            done.push_str(&part);
            let found = self.node(&done);
            if let Some((node, kept)) = found {
                if !kept && followed.lost.is_none() {
                    followed.lost = ImagePath::parse(&done).ok();
                }
                if let What::Symlink(target) = &node.what {
                    links += 1;
                    if links > MAX_LINKS {
                        return Followed { end: None, ..followed };
                    }
                    done.truncate(if target.starts_with('/') { 0 } else { above });
                    rest.extend(target.rsplit('/').map(|part| Cow::Owned(part.to_owned())));
                    continue;
                }
            }
            followed.end = if rest.is_empty() { found.map(|(node, _)| node) } else { None };
        }
        followed
    }

    /// Looks for a file in `directories`, as the loader or a shell would; the first that is whole is taken, and where
    /// none is, the first that was dropped.
    fn search(&self, directories: &[String], name: &str, fits: impl Fn(&FileFacts) -> bool) -> Followed<'t, 'a> {
        let mut none = Followed { lost: None, end: None };
        for directory in directories {
            let found = self.follow(&format!("{directory}/{name}"));
            let fitting = matches!(found.end, Some(Node { what: What::File { facts, .. }, .. }) if fits(facts));
            match found.lost {
                None if fitting => return found,
                Some(_) if fitting && none.lost.is_none() => none = found,
                _ => {}
            }
        }
        none
    }

    fn entrypoint(&self) -> Result<(), Error> {
        let run = &self.input.spec.run;
        let Some(command) = run.entrypoint.first().or_else(|| run.cmd.first()) else { return Ok(()) };
        let found = self.program(command);
        self.refuse(found.lost, || format!("the image runs `{command}`"))?;
        let Some(Node { what: What::File { facts, .. }, .. }) = found.end else { return Ok(()) };
        let mut words = facts.shebang.as_deref().unwrap_or_default().split_whitespace();
        let Some(interpreter) = words.next() else { return Ok(()) };
        let runs = || format!("it runs `{command}`, which the image runs");
        self.refuse(self.program(interpreter).lost, runs)?;
        let by_env = words.find(|word| !word.starts_with('-') && !word.contains('='));
        match by_env.filter(|_| interpreter.ends_with("/env")) {
            Some(program) => self.refuse(self.program(program).lost, runs),
            None => Ok(()),
        }
    }

    fn program(&self, command: &str) -> Followed<'t, 'a> {
        let run = &self.input.spec.run;
        if command.contains('/') {
            return self.follow(&format!("{}/{command}", if command.starts_with('/') { "" } else { &run.workdir }));
        }
        let path: Vec<String> =
            run.env.get("PATH").map(|path| path.split(':').map(str::to_owned).collect()).unwrap_or_default();
        self.search(&path, command, |_| true)
    }

    fn elf(&self, path: &ImagePath, node: &Node<'_>, elf: &Facts) -> Result<(), Error> {
        let who = |what: &str| format!("{path} of `{}` {what}", self.tree.owner_name(node.owner));
        if let Some(interpreter) = &elf.interpreter {
            self.refuse(self.follow(interpreter).lost, || who("is loaded by it"))?;
        }
        let origin = path.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut directories: Vec<String> = elf
            .rpath
            .iter()
            .chain(&elf.runpath)
            .map(|path| path.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin))
            .collect();
        directories.extend(self.libraries.iter().cloned());
        for needed in &elf.needed {
            let found = if needed.contains('/') {
                self.follow(needed)
            } else {
                self.search(&directories, needed, |facts| {
                    facts.elf.as_ref().is_some_and(|other| (other.class, other.machine) == (elf.class, elf.machine))
                })
            };
            self.refuse(found.lost, || who(&format!("needs `{needed}`")))?;
        }
        Ok(())
    }

    fn refuse(&self, lost: Option<ImagePath>, who: impl Fn() -> String) -> Result<(), Error> {
        let Some(path) = lost else { return Ok(()) };
        let Some(refused) = self.tree.refused.get(path.as_str()) else { return Ok(()) };
        if self.tree.choice.is_forced(refused.never) {
            return Ok(());
        }
        let place = self.input.spec.never.get(refused.never).map(|never| never.span);
        Err(Error::Never {
            never: format!("never[{}]", refused.never),
            owner: self.tree.owner_name(refused.node.owner),
            path,
            needed: who(),
            place: place.map(|span| Place { source: self.input.spec.source.clone(), span }),
        })
    }
}

/// Returns a link's target as a path from the root, links and `..` still in it.
fn beside(link: &ImagePath, target: &str) -> String {
    let parent = link.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
    if target.starts_with('/') { target.to_owned() } else { format!("{parent}/{target}") }
}
