//! `adduser`, `useradd` and their kin.

use super::super::effects::Effect;
use super::super::expand::Truth;
use super::super::machine::Machine;
use super::super::root::UNKNOWN;
use super::{has, options, value};
use crate::select::account::{AccountKind, AccountRequest, Primary};

const RULE: &str = "accounts";

/// Follows the command where it is one of these.
pub(super) fn run(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Option<Truth> {
    const VALUED: [&str; 34] = [
        "--home",
        "--shell",
        "--gecos",
        "--comment",
        "--uid",
        "--gid",
        "--ingroup",
        "--firstuid",
        "--lastuid",
        "--conf",
        "--firstgid",
        "--lastgid",
        "--home-dir",
        "--groups",
        "--key",
        "--base-dir",
        "--skel",
        "--expiredate",
        "-u",
        "-g",
        "-d",
        "-s",
        "-c",
        "-G",
        "-K",
        "-b",
        "-k",
        "-e",
        "-p",
        "-f",
        "--password",
        "--add-subuids",
        "--inactive",
        "-U_",
    ];
    let adduser = matches!(name, "adduser" | "addgroup");
    if !adduser
        && !matches!(
            name,
            "useradd"
                | "groupadd"
                | "usermod"
                | "gpasswd"
                | "groupmod"
                | "deluser"
                | "delgroup"
                | "userdel"
                | "groupdel"
                | "update-passwd"
                | "chage"
                | "passwd"
                | "chsh"
                | "chfn"
        )
    {
        return None;
    }
    if machine.root.program(name).is_none() && !adduser && !matches!(name, "useradd" | "groupadd" | "usermod") {
        return Some(Truth::No);
    }
    let valued: Vec<&str> = VALUED
        .iter()
        .copied()
        .filter(|option| {
            // `-a` and `-d` of gpasswd take a user; `adduser` knows no letters with values but these.
            !adduser || option.len() > 2
        })
        .collect();
    let (options, operands) = options(words, &valued);
    if words.iter().any(|word| word.contains(UNKNOWN)) {
        machine.unhandled("an argument is not known");
        return Some(Truth::Unknown);
    }
    // To the kernel, the highest number is no number.
    if ["--uid", "u", "--gid", "g"].iter().any(|name| value(&options, &[name]).is_some_and(is_nobodys)) {
        machine.unhandled("its number is none");
        return Some(Truth::Unknown);
    }
    let by = format!("{} of {}", machine.script, machine.package);
    let system = has(&options, &["--system", "-r", "r"]);
    let number = |names: &[&str]| value(&options, names).and_then(|number| number.parse().ok());
    match (name, operands.as_slice()) {
        ("addgroup", [group]) => {
            let gid = number(&["--gid"]);
            add(machine, AccountRequest { system, gid, ..AccountRequest::group(group, by) });
        }
        ("adduser", [group]) if has(&options, &["--group"]) && !system => {
            add(machine, AccountRequest { system, gid: number(&["--gid"]), ..AccountRequest::group(group, by) });
        }
        ("adduser" | "addgroup", [user, group]) => join(machine, user, group, by),
        ("adduser", [user]) => {
            let uid = number(&["--uid"]);
            let group = value(&options, &["--ingroup"]).or_else(|| value(&options, &["--gid"]));
            let primary = match (group, has(&options, &["--group"]) || !system) {
                (Some(group), _) => Primary::Named(group.to_owned()),
                (None, true) => Primary::Own,
                (None, false) => Primary::Named("nogroup".to_owned()),
            };
            let home = match (value(&options, &["--home"]), system) {
                (Some(home), _) => home.to_owned(),
                (None, true) => "/nonexistent".to_owned(),
                (None, false) => format!("/home/{user}"),
            };
            let shell = value(&options, &["--shell"]).map(str::to_owned);
            let made = !has(&options, &["--no-create-home"]) && home != "/nonexistent";
            add(
                machine,
                AccountRequest {
                    system,
                    uid,
                    primary,
                    create_home: made.then_some(if system { 0o755 } else { 0o700 }),
                    home: Some(home),
                    shell: shell.or_else(|| (!system).then(|| "/bin/bash".to_owned())),
                    gecos: value(&options, &["--gecos", "--comment"]).map(str::to_owned),
                    ..AccountRequest::user(user, by)
                },
            );
        }
        ("groupadd", [group]) => {
            let gid = number(&["g", "--gid"]);
            add(machine, AccountRequest { system, gid, ..AccountRequest::group(group, by) });
        }
        ("useradd", [user]) => {
            let group = value(&options, &["g", "--gid"]);
            let own = !has(&options, &["N", "--no-user-group"]);
            let primary = match (group, own) {
                (Some(group), _) => Primary::Named(group.to_owned()),
                (None, true) => Primary::Own,
                (None, false) => Primary::Named("users".to_owned()),
            };
            let groups = value(&options, &["G", "--groups"]).unwrap_or_default();
            add(
                machine,
                AccountRequest {
                    system,
                    uid: number(&["u", "--uid"]),
                    primary,
                    home: Some(
                        value(&options, &["d", "--home-dir", "--home"])
                            .map_or_else(|| format!("/home/{user}"), str::to_owned),
                    ),
                    shell: Some(value(&options, &["s", "--shell"]).unwrap_or("/bin/sh").to_owned()),
                    gecos: value(&options, &["c", "--comment"]).map(str::to_owned),
                    groups: groups.split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect(),
                    create_home: has(&options, &["m", "--create-home"]).then_some(0o700),
                    ..AccountRequest::user(user, by)
                },
            );
        }
        ("usermod", [user]) if has(&options, &["a", "--append"]) || has(&options, &["G", "--groups"]) => {
            let groups = value(&options, &["G", "--groups"]).unwrap_or_default().to_owned();
            if options.iter().any(|(name, _)| !matches!(*name, "a" | "--append" | "G" | "--groups")) {
                machine.unhandled("it changes an account that is there");
            }
            for group in groups.split(',').filter(|group| !group.is_empty()) {
                join(machine, user, group, by.clone());
            }
        }
        ("usermod", [user]) if !machine.root.users.contains_key(*user) => return Some(Truth::No),
        ("gpasswd", [user, group]) if has(&options, &["a", "--add"]) => join(machine, user, group, by),
        ("deluser" | "delgroup" | "userdel" | "groupdel", [name, ..]) => {
            if machine.root.users.contains_key(*name) || machine.root.groups.contains(*name) {
                machine.unhandled("it takes an account away");
            }
        }
        ("passwd" | "chage" | "update-passwd", _) => {}
        _ => machine.unhandled("this form is not read"),
    }
    Some(Truth::Yes)
}

fn add(machine: &mut Machine<'_>, request: AccountRequest) {
    let user = request.kind == AccountKind::User;
    let known =
        if user { machine.root.users.contains_key(&request.name) } else { machine.root.groups.contains(&request.name) };
    if known {
        // The tools leave an account alone that is there.
        machine.cover(RULE);
        return;
    }
    if machine.is_sure() {
        if user {
            machine.root.users.insert(request.name.clone(), request.home.clone());
            if let (Some(home), Some(_)) = (&request.home, request.create_home) {
                machine.root.make(home, super::super::root::Thing::Directory);
            }
            for group in &request.groups {
                machine.root.members.insert((request.name.clone(), group.clone()));
            }
        }
        if !user || request.primary == Primary::Own {
            machine.root.groups.insert(request.name.clone());
        }
    }
    machine.effect(RULE, Effect::Account(request));
}

fn join(machine: &mut Machine<'_>, user: &str, group: &str, by: String) {
    if !machine.root.users.contains_key(user) || !machine.root.groups.contains(group) {
        machine.unhandled("the user or the group is not known");
        return;
    }
    // A user's own group needs no line of its own; the tools say that the user is a member already.
    if user == group || machine.root.members.contains(&(user.to_owned(), group.to_owned())) {
        machine.cover(RULE);
        return;
    }
    if machine.is_sure() {
        machine.root.members.insert((user.to_owned(), group.to_owned()));
    }
    machine.effect(RULE, Effect::Account(AccountRequest::member(user, group, by)));
}

fn is_nobodys(number: &str) -> bool {
    number.parse() == Ok(u32::MAX)
}
