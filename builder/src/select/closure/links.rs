//! Links, and configuration that names files: what a kept one leads to.

use super::graph::{How, PackageWhy, Root, Why};
use super::role::Role;
use super::scripts::PATH_VARIABLE;
use super::universe::{Body, Holder, Item, ROOT};
use super::{Closer, Level, Waiting};

impl Closer<'_, '_> {
    /// Keeps what a link leads to, and every link on the way.
    pub(super) fn link(&mut self, item: Item, target: &str) {
        let universe = self.universe;
        let thing = &universe.things[item as usize];
        let mut via = Vec::new();
        let Some(place) = universe.follow(universe.parent(thing.place), target, &mut |link| via.push(link)) else {
            return;
        };
        let why = Why::Need(How::Link, item);
        let directory = |item: Item| matches!(universe.things[item as usize].body, Body::Directory(_));
        let winner = universe.places[place as usize].winner;
        if thing.role == Role::DocLink {
            // The licence text lies in another package's directory.
            via.into_iter().for_each(|link| self.keep(link, why));
            if let Some(text) = universe.places[place as usize].below.get("copyright") {
                self.keep_at(*text, why);
            }
            return;
        }
        via.into_iter().for_each(|link| self.keep(link, why));
        match winner {
            Some(winner) if directory(winner) => {
                self.keep_at(place, why);
                // A link to another package's directory is there for what lies in it.
                let holders = universe.places[place as usize].items.iter().filter_map(|item| universe.pack(*item));
                let holders: Vec<u32> = holders.collect();
                if let ([holder], Some(own)) = (holders.as_slice(), universe.pack(item))
                    && *holder != own
                    && self.state.level[*holder as usize] == Level::None
                {
                    self.raise(*holder, Level::Reached, PackageWhy::File(item));
                }
            }
            Some(_) => self.keep_at(place, why),
            None => {}
        }
    }

    /// Follows the links that a package's scripts would make, as if the package shipped them.
    pub(super) fn scripted_links(&mut self, package: u32) {
        for item in self.universe.script_items() {
            let thing = &self.universe.things[item as usize];
            let alternative = self.universe.path(thing.place).starts_with("etc/alternatives/");
            if thing.holder == Holder::Script(package) && thing.role == Role::Data && !alternative {
                self.keep(item, Why::Level(package));
            }
        }
    }

    /// Keeps what the image runs.
    pub(super) fn entrypoint(&mut self) {
        let run = &self.input.spec.run;
        let (program, arguments) = match run.entrypoint.split_first() {
            Some((program, arguments)) => (program, arguments.iter().chain(&run.cmd).collect::<Vec<_>>()),
            None => match run.cmd.split_first() {
                Some((program, arguments)) => (program, arguments.iter().collect()),
                None => return,
            },
        };
        let absolute = arguments.into_iter().filter(|word| word.starts_with('/'));
        for (number, command) in std::iter::once(program).chain(absolute).enumerate() {
            let found = if command.contains('/') {
                let mut via = Vec::new();
                let path =
                    if command.starts_with('/') { command.clone() } else { format!("{}/{command}", run.workdir) };
                let place = self.universe.follow(ROOT, &path, &mut |link| via.push(link));
                place.map(|place| (via, place))
            } else {
                self.program(command, run.env.get("PATH").map_or(PATH_VARIABLE, String::as_str))
            };
            let why = Why::Root(Root::Entrypoint);
            match found {
                Some((via, place)) => {
                    via.into_iter().for_each(|link| self.keep(link, why));
                    for item in self.universe.at(place).collect::<Vec<_>>() {
                        if matches!(self.universe.things[item as usize].body, Body::File(_)) {
                            self.keep(item, why);
                            self.pull(item);
                        }
                    }
                }
                None if number == 0 && !self.universe.things.is_empty() => {
                    self.state.runs_nothing = Some(command.clone());
                }
                None => {}
            }
        }
    }

    /// Looks at files that configuration names, where a kept file is such a configuration or what reads it.
    pub(super) fn read_by_name(&mut self, item: Item) {
        let universe = self.universe;
        let name = universe.file_name(item);
        if name == "libc.so.6" {
            self.state.libc = Some(item);
            self.services(item);
        } else if name.starts_with("libpam.so.") {
            if self.state.libpam.replace(item).is_none() {
                for package in 0..universe.packages.len() as u32 {
                    self.pam_configs(package, item);
                }
                for place in universe.find("etc/pam.d").into_iter().chain(universe.find("usr/lib/pam.d")) {
                    for below in universe.places[place as usize].below.values() {
                        for file in
                            universe.at(*below).filter(|file| self.state.kept[*file as usize]).collect::<Vec<_>>()
                        {
                            self.pam(file);
                        }
                    }
                }
            }
        } else if self.state.libpam.is_some() {
            let parent = universe.path(universe.parent(universe.things[item as usize].place));
            if parent == "etc/pam.d" || parent == "usr/lib/pam.d" {
                self.pam(item);
            }
        }
    }

    /// Keeps the libraries of the services that the name service's configuration names (nsswitch.conf(5)).
    fn services(&mut self, libc: Item) {
        let universe = self.universe;
        let standing = universe.find("etc/nsswitch.conf").and_then(|place| universe.places[place as usize].winner);
        let master = universe.find("usr/share/libc-bin/nsswitch.conf");
        let master = master.and_then(|place| universe.places[place as usize].winner);
        let Some(text) = standing.or(master).and_then(|item| universe.text(item)) else { return };
        let text = String::from_utf8_lossy(text).into_owned();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((_, services)) = line.split_once(':') else { continue };
            let mut bracket = false;
            for word in services.split_whitespace() {
                bracket |= word.starts_with('[');
                let action = bracket;
                bracket &= !word.ends_with(']');
                if action || word.contains('/') {
                    continue;
                }
                let how = How::Service(self.state.words.number(word));
                self.keep_library(&format!("libnss_{word}.so.2"), libc, how);
            }
        }
    }

    /// Keeps the modules that a service's configuration names (pam.conf(5)).
    fn pam(&mut self, item: Item) {
        let Some(text) = self.universe.text(item) else { return };
        self.pam_modules(&String::from_utf8_lossy(text), item);
    }

    /// Keeps the modules of a package's profiles, of which the common configuration is made.
    pub(super) fn pam_configs(&mut self, package: u32, libpam: Item) {
        if self.state.level[package as usize] == Level::None {
            return;
        }
        let pack = &self.universe.packages[package as usize];
        for (entry, text) in &pack.index.texts {
            let path = self.universe.path_of(pack.first + entry);
            if path.starts_with("usr/share/pam-configs/") || path.starts_with("usr/share/pam/common-") {
                self.pam_modules(&String::from_utf8_lossy(text), libpam);
            }
        }
    }

    fn pam_modules(&mut self, text: &str, by: Item) {
        let universe = self.universe;
        let words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
        for word in words.filter(|word| word.ends_with(".so")) {
            let name = word.rsplit('/').next().unwrap_or(word);
            let how = How::Pam(self.state.words.number(name));
            for directory in
                ["usr/lib/x86_64-linux-gnu/security", "usr/lib/aarch64-linux-gnu/security", "usr/lib/security"]
            {
                let place = universe.find(directory);
                let place = place.and_then(|place| universe.places[place as usize].below.get(name));
                if let Some(place) = place {
                    self.keep_at(*place, Why::Need(how, by));
                }
            }
        }
    }

    /// Has something done once an item is kept; at once where it is.
    pub(super) fn wait(&mut self, item: Item, waiting: Waiting) {
        self.state.waiting.entry(item).or_default().push(waiting);
        if self.state.kept[item as usize] {
            self.queue.push(super::Work::Item(item));
        }
    }
}
