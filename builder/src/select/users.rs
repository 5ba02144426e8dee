//! Users and groups: base-passwd's table, `nonroot` and `nobody`, the spec's own; `/etc/passwd` and `/etc/group`.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{AccountKind, AccountRequest, Primary};
use super::error::{Error, Place};
use super::merge::Tree;
use crate::diag::Span;
use crate::spec::Spec;
use crate::tree::ImagePath;

/// A shell that lets nobody in; the path is the one base-passwd uses.
const NO_SHELL: &str = "/usr/sbin/nologin";
/// Number of `nonroot`, as in the distroless images.
const NONROOT: u32 = 65532;
/// Number of `nobody` and `nogroup` (Debian policy 9.2.2).
const NOBODY: u32 = 65534;

/// One line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) comment: String,
    pub(super) home: String,
    pub(super) shell: String,
    /// Mode of the home, where it is made.
    make_home: Option<u32>,
    place: Option<Place>,
}

/// One line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    gid: u32,
    members: Vec<String>,
    place: Option<Place>,
}

/// All users and groups of an image, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
    /// `/etc/passwd` and `/etc/group` of the base, each with a line break at its end.
    base: (String, String),
    /// Names that stand there.
    base_users: BTreeSet<String>,
    base_groups: BTreeSet<String>,
    /// (kind, name, who asked) of those whose number was made from their name.
    numbered: BTreeMap<(&'static str, String), String>,
}

impl Accounts {
    /// Gathers the accounts that packages, the requests of their scripts and files, and the spec bring.
    ///
    /// The first request for a name counts, as with the tools that make accounts; what the spec says of a name replaces
    /// it. Two names with one number are an error.
    pub(super) fn gather(spec: &Spec, tree: &Tree<'_>, requests: &[AccountRequest]) -> Result<Self, Error> {
        let mut accounts = Self::default();
        accounts.read_base(tree);
        let text = |name: &str| {
            let bytes = tree.text("base-passwd", &format!("usr/share/base-passwd/{name}.master"))?;
            std::str::from_utf8(bytes).ok()
        };
        if let (Some(passwd), Some(group)) = (text("passwd"), text("group")) {
            accounts.read_masters(passwd, group);
        }
        accounts.built_in();
        accounts.add_requests(requests)?;
        accounts.add_spec(spec)?;
        accounts.add_members(spec, requests);
        accounts.check()?;
        Ok(accounts)
    }

    /// Reads the accounts of the base: they keep their numbers and their lines.
    fn read_base(&mut self, tree: &Tree<'_>) {
        let text = |path: &str| {
            let path = tree.resolve(&ImagePath::parse(path).ok()?).ok()?;
            let text = std::str::from_utf8(tree.base?.text_at(path.as_str())?).ok()?;
            Some(if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") })
        };
        self.base = (text("etc/passwd").unwrap_or_default(), text("etc/group").unwrap_or_default());
        let (passwd, group) = self.base.clone();
        self.read_masters(&passwd, &group);
        for line in passwd.lines() {
            if let [name, .., shell] = line.split(':').collect::<Vec<_>>()[..]
                && let Some(user) = self.users.get_mut(name)
            {
                shell.clone_into(&mut user.shell);
            }
        }
        self.base_users = self.users.keys().cloned().collect();
        self.base_groups = self.groups.keys().cloned().collect();
    }

    /// Returns `/etc/passwd` of the base.
    pub(super) fn base_passwd(&self) -> &str {
        &self.base.0
    }

    /// Returns `/etc/group` of the base.
    pub(super) fn base_group(&self) -> &str {
        &self.base.1
    }

    fn read_masters(&mut self, passwd: &str, group: &str) {
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, gid, members, ..] = fields[..]
                && let Ok(gid) = gid.parse()
            {
                let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
                self.groups.entry(name.to_owned()).or_insert(Group { gid, members, place: None });
            }
        }
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, uid, gid, comment, home, _shell] = fields[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                self.users.entry(name.to_owned()).or_insert_with(|| User {
                    uid,
                    gid,
                    comment: comment.to_owned(),
                    home: home.to_owned(),
                    shell: NO_SHELL.to_owned(),
                    make_home: None,
                    place: None,
                });
            }
        }
    }

    /// Adds the users that every image has, where base-passwd does not bring them.
    fn built_in(&mut self) {
        for (name, id, home) in
            [("root", 0, "/root"), ("nobody", NOBODY, "/nonexistent"), ("nonroot", NONROOT, "/home/nonroot")]
        {
            // A base may have given the number to a name of its own.
            if self.base_users.iter().any(|known| known != name && self.users[known].uid == id) {
                continue;
            }
            self.users.entry(name.to_owned()).or_insert_with(|| User {
                uid: id,
                gid: id,
                comment: name.to_owned(),
                home: home.to_owned(),
                shell: NO_SHELL.to_owned(),
                make_home: (name == "nonroot").then_some(0o700),
                place: None,
            });
        }
        for (name, gid) in [("root", 0), ("nogroup", NOBODY), ("nonroot", NONROOT)] {
            if self.base_groups.iter().any(|known| known != name && self.groups[known].gid == gid) {
                continue;
            }
            self.groups.entry(name.to_owned()).or_insert_with(|| Group { gid, members: Vec::new(), place: None });
        }
    }

    fn add_requests(&mut self, requests: &[AccountRequest]) -> Result<(), Error> {
        // Fixed numbers first: whoever asks for one must not find it given away.
        for fixed in [true, false] {
            for request in requests {
                match request.kind {
                    AccountKind::Group if request.gid.is_some() == fixed => self.add_group(request)?,
                    AccountKind::User if request.uid.is_some() == fixed => self.add_user(request)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn add_group(&mut self, request: &AccountRequest) -> Result<(), Error> {
        let name = &request.name;
        if self.groups.contains_key(name) {
            return Ok(());
        }
        check_field("group", name, name, "/etc/group", None)?;
        let gid = request.gid.unwrap_or_else(|| {
            self.numbered.insert(("group", name.clone()), request.by.clone());
            request.number()
        });
        self.groups.insert(name.clone(), Group { gid, members: Vec::new(), place: None });
        Ok(())
    }

    fn add_user(&mut self, request: &AccountRequest) -> Result<(), Error> {
        let name = &request.name;
        if self.users.contains_key(name) {
            return Ok(());
        }
        let home = request.home.clone().unwrap_or_else(|| "/nonexistent".to_owned());
        let shell = request.shell.clone().unwrap_or_else(|| NO_SHELL.to_owned());
        for value in [name, &home, &shell] {
            check_field("user", name, value, "/etc/passwd", None)?;
        }
        let comment: String = request.gecos.clone().unwrap_or_default().replace([':', '\n', '\r', '\0'], " ");
        let uid = request.uid.unwrap_or_else(|| {
            self.numbered.insert(("user", name.clone()), request.by.clone());
            request.number()
        });
        let gid = match &request.primary {
            Primary::Own => match self.groups.get(name) {
                Some(group) => group.gid,
                None => {
                    let gid = request.gid.unwrap_or(uid);
                    if request.uid.is_none() && request.gid.is_none() {
                        self.numbered.insert(("group", name.clone()), request.by.clone());
                    }
                    self.groups.insert(name.clone(), Group { gid, members: Vec::new(), place: None });
                    gid
                }
            },
            Primary::Named(group) => match (self.groups.get(group), group.parse::<u32>()) {
                (Some(group), _) => group.gid,
                (None, Ok(gid)) => gid,
                (None, Err(_)) => {
                    let by = request.by.clone();
                    self.add_group(&AccountRequest { system: request.system, ..AccountRequest::group(group, by) })?;
                    self.groups.get(group).map_or(uid, |group| group.gid)
                }
            },
        };
        let make_home = request.create_home.filter(|_| home != "/nonexistent");
        self.users.insert(name.clone(), User { uid, gid, comment, home, shell, make_home, place: None });
        Ok(())
    }

    /// Adds users to further groups, once the spec has had its say on both.
    fn add_members(&mut self, spec: &Spec, requests: &[AccountRequest]) {
        for request in requests {
            for group in &request.groups {
                let known = self.users.contains_key(&request.name) && !spec.groups.contains_key(group);
                if let Some(group) = self.groups.get_mut(group).filter(|_| known)
                    && !group.members.contains(&request.name)
                {
                    group.members.push(request.name.clone());
                }
            }
        }
    }

    fn add_spec(&mut self, spec: &Spec) -> Result<(), Error> {
        let at = |span: Span| Some(Place { source: spec.source.clone(), span });
        let other = |kind, name: &String, number, known: u32, span| Error::Number {
            kind,
            name: name.clone(),
            number,
            other: format!("{known} in the base"),
            place: at(span),
        };
        for (name, user) in spec.users.iter().filter(|(name, _)| self.base_users.contains(*name)) {
            let known = &self.users[name];
            if (known.uid, known.gid) != (user.uid, user.gid.unwrap_or(user.uid)) {
                return Err(other("user", name, user.uid, known.uid, user.span));
            }
        }
        for (name, group) in spec.groups.iter().filter(|(name, _)| self.base_groups.contains(*name)) {
            if self.groups[name].gid != group.gid {
                return Err(other("group", name, group.gid, self.groups[name].gid, group.span));
            }
        }
        for (name, group) in &spec.groups {
            check_field("group", name, name, "/etc/group", at(group.span))?;
            self.groups
                .insert(name.clone(), Group { gid: group.gid, members: group.members.clone(), place: at(group.span) });
        }
        for (name, user) in &spec.users {
            check_field("user", name, name, "/etc/passwd", at(user.span))?;
            let home = user.home.as_ref().map_or_else(|| "/nonexistent".to_owned(), ToString::to_string);
            let shell = user.shell.clone().unwrap_or_else(|| NO_SHELL.to_owned());
            check_field("user", name, &home, "/etc/passwd", at(user.span))?;
            check_field("user", name, &shell, "/etc/passwd", at(user.span))?;
            let gid = user.gid.unwrap_or(user.uid);
            // A spec user in the place of a built-in one takes over its group as well.
            if !spec.groups.contains_key(name)
                && self
                    .users
                    .get(name)
                    .is_some_and(|old| self.groups.get(name).is_some_and(|group| group.gid == old.gid))
            {
                self.groups.remove(name);
            }
            let old = self.users.remove(name);
            // A user that a package asks for keeps its home where the spec says nothing of it.
            let (home, make_home, shell, comment) = match old.filter(|old| old.place.is_none() && name != "nonroot") {
                Some(old) => (
                    if user.home.is_some() { home } else { old.home },
                    if user.home.is_some() { Some(0o700) } else { old.make_home },
                    if user.shell.is_some() { shell } else { old.shell },
                    old.comment,
                ),
                None => (home, Some(0o700), shell, name.clone()),
            };
            self.numbered.remove(&("user", name.clone()));
            self.numbered.remove(&("group", name.clone()));
            self.users.insert(
                name.clone(),
                User { uid: user.uid, gid, comment, home, shell, make_home, place: at(user.span) },
            );
        }
        for (name, user) in &spec.users {
            let gid = user.gid.unwrap_or(user.uid);
            if user.gid.is_some() && self.groups.values().any(|group| group.gid == gid) {
                continue;
            }
            match self.groups.get(name) {
                Some(group) if group.gid == gid => {}
                Some(group) => {
                    return Err(Error::Number {
                        kind: "group",
                        name: name.clone(),
                        number: gid,
                        other: format!("{} elsewhere", group.gid),
                        place: at(user.span),
                    });
                }
                None => {
                    self.groups.insert(name.clone(), Group { gid, members: Vec::new(), place: at(user.span) });
                }
            }
        }
        for group in spec.groups.values() {
            if let Some(member) = group.members.iter().find(|member| !self.users.contains_key(*member)) {
                return Err(Error::Account { kind: "user", name: member.clone(), place: at(group.span) });
            }
        }
        Ok(())
    }

    /// Refuses a number that stands for two names.
    fn check(&self) -> Result<(), Error> {
        self.check_numbered()?;
        unique("user", &self.base_users, self.users.iter().map(|(name, user)| (name, user.uid, &user.place)))?;
        unique("group", &self.base_groups, self.groups.iter().map(|(name, group)| (name, group.gid, &group.place)))
    }

    /// Refuses a number that was made from a name and that another name has: the error says which lines settle it.
    fn check_numbered(&self) -> Result<(), Error> {
        for ((kind, name), by) in &self.numbered {
            let all: Vec<(&String, u32)> = match *kind {
                "user" => self.users.iter().map(|(name, user)| (name, user.uid)).collect(),
                _ => self.groups.iter().map(|(name, group)| (name, group.gid)).collect(),
            };
            let Some((_, number)) = all.iter().find(|(other, _)| *other == name) else { continue };
            let Some((other, _)) = all.iter().find(|(other, taken)| taken == number && *other != name) else {
                continue;
            };
            let taken: BTreeSet<u32> = all.iter().map(|(_, number)| *number).collect();
            let free = (100..1000).rev().find(|number| !taken.contains(number)).unwrap_or(10_000);
            let line = match *kind {
                "user" => format!("users: {{{name}: {{uid: {free}}}}}"),
                _ if self.users.contains_key(name) => format!("users: {{{name}: {{uid: {free}, gid: {free}}}}}"),
                _ => format!("groups: {{{name}: {{gid: {free}}}}}"),
            };
            return Err(Error::Taken {
                kind,
                name: name.clone(),
                number: *number,
                other: (*other).clone(),
                by: by.clone(),
                line,
            });
        }
        Ok(())
    }

    /// Returns `/etc/passwd`, by number, without what the base has.
    pub(super) fn passwd(&self) -> String {
        let mut users: Vec<_> = self.users.iter().filter(|(name, _)| !self.base_users.contains(*name)).collect();
        users.sort_by_key(|(name, user)| (user.uid, *name));
        users
            .iter()
            .map(|(name, user)| {
                format!("{name}:x:{}:{}:{}:{}:{}\n", user.uid, user.gid, user.comment, user.home, user.shell)
            })
            .collect()
    }

    /// Returns `/etc/group`, by number, without what the base has.
    pub(super) fn group(&self) -> String {
        let mut groups: Vec<_> = self.groups.iter().filter(|(name, _)| !self.base_groups.contains(*name)).collect();
        groups.sort_by_key(|(name, group)| (group.gid, *name));
        groups.iter().map(|(name, group)| format!("{name}:x:{}:{}\n", group.gid, group.members.join(","))).collect()
    }

    /// Returns the homes that are made, with owner, group and mode: `nonroot`'s, those that the spec gives its users,
    /// and those that packages ask for.
    pub(super) fn homes(&self) -> impl Iterator<Item = (&str, u32, u32, u32)> {
        self.users
            .values()
            .filter(|user| user.home != "/nonexistent")
            .filter_map(|user| Some((user.home.as_str(), user.uid, user.gid, user.make_home?)))
    }

    /// Returns the numbers of an owner and a group, each a name or a number.
    ///
    /// Without a group: the owner's primary one; a number that is nobody's stands for the group too.
    pub(super) fn ids(
        &self,
        owner: Option<&str>,
        group: Option<&str>,
        place: Option<&Place>,
    ) -> Result<(u32, u32), Error> {
        let unknown = |kind, name: &str| Error::Account { kind, name: name.to_owned(), place: place.cloned() };
        let (uid, primary) = match owner {
            None => (0, 0),
            Some(name) => match (self.users.get(name), name.parse::<u32>()) {
                (Some(user), _) => (user.uid, user.gid),
                (None, Ok(uid)) => (uid, self.users.values().find(|user| user.uid == uid).map_or(uid, |user| user.gid)),
                (None, Err(_)) => return Err(unknown("user", name)),
            },
        };
        let gid = match group {
            None => primary,
            Some(name) => match (self.groups.get(name), name.parse::<u32>()) {
                (Some(group), _) => group.gid,
                (None, Ok(gid)) => gid,
                (None, Err(_)) => return Err(unknown("group", name)),
            },
        };
        Ok((uid, gid))
    }
}

fn unique<'a>(
    kind: &'static str,
    base: &BTreeSet<String>,
    all: impl Iterator<Item = (&'a String, u32, &'a Option<Place>)>,
) -> Result<(), Error> {
    let mut seen: BTreeMap<u32, (&String, &Option<Place>)> = BTreeMap::new();
    for (name, number, place) in all {
        if let Some((other, other_place)) = seen.insert(number, (name, place)) {
            // A base's own doubles are its own affair.
            if base.contains(name) && base.contains(other) {
                continue;
            }
            // Point at the one that the spec brings.
            let (name, other, place) = if place.is_some() { (name, other, place) } else { (other, name, other_place) };
            return Err(Error::Number {
                kind,
                name: name.clone(),
                number,
                other: format!("`{other}`'s"),
                place: place.clone(),
            });
        }
    }
    Ok(())
}

fn check_field(
    kind: &'static str,
    name: &str,
    value: &str,
    file: &'static str,
    place: Option<Place>,
) -> Result<(), Error> {
    let forbidden: BTreeSet<char> = [':', '\n', '\r', '\0'].into();
    if value.is_empty() || value.chars().any(|c| forbidden.contains(&c)) {
        let problem = "a field there is not empty and has no `:` and no line break";
        return Err(Error::Field { kind, name: name.to_owned(), file, problem, place });
    }
    Ok(())
}
