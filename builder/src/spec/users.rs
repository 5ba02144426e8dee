//! `users` and `groups` of a spec: no number and no name stands for two things.

use std::collections::BTreeMap;

use super::error::{Error, Report};
use super::lower::{image_path, number, texts};
use super::node::Node;
use super::{GroupSpec, UserSpec};
use crate::diag::Span;

/// Users that every image has.
pub(super) const BUILT_IN: &[(&str, u32)] = &[("root", 0), ("nonroot", 65532), ("nobody", 65534)];

/// Returns the users by name; mistakes go to `report`.
pub(super) fn users(root: &Node, report: &mut Report) -> BTreeMap<String, UserSpec> {
    let entries = root.get("users").map(Node::entries).unwrap_or_default();
    let mut all = BTreeMap::new();
    let mut numbers: BTreeMap<u32, (&str, Option<Span>)> = BTreeMap::new();
    for (name, uid) in BUILT_IN {
        if *name == "root" || !entries.iter().any(|(key, _)| key.text == *name) {
            numbers.insert(*uid, (name, None));
        }
    }
    for (key, node) in entries {
        let Some(uid) = number(node.get("uid")) else { continue };
        let span = node.get("uid").map_or(key.span, |node| node.span);
        if key.text == "root" && uid != 0 {
            report.add(Error::Conflict, span, "`root` has the number 0").hint("write `uid: 0`, or another name");
        }
        match numbers.get(&uid) {
            Some((other, first)) if *other != key.text => taken(report, span, *first, "user", uid, other),
            _ => drop(numbers.insert(uid, (&key.text, Some(span)))),
        }
        let user = UserSpec {
            uid,
            gid: number(node.get("gid")),
            home: image_path(node.get("home"), report),
            shell: image_path(node.get("shell"), report).map(|path| path.to_string()),
            span: key.span,
        };
        all.insert(key.text.clone(), user);
    }
    all
}

/// Returns the groups by name, held against each other and against the users' own groups.
pub(super) fn groups(
    root: &Node,
    users: &BTreeMap<String, UserSpec>,
    report: &mut Report,
) -> BTreeMap<String, GroupSpec> {
    let entries = root.get("groups").map(Node::entries).unwrap_or_default();
    let mut all = BTreeMap::new();
    let mut numbers: BTreeMap<u32, (&str, Option<Span>)> = BTreeMap::from([(0, ("root", None))]);
    for (name, gid) in &BUILT_IN[1..] {
        if !entries.iter().any(|(key, _)| key.text == *name) && !users.contains_key(*name) {
            numbers.insert(*gid, (name, None));
        }
    }
    let declared: BTreeMap<&str, &Node> = entries.iter().map(|(key, node)| (key.text.as_str(), node)).collect();
    for (name, user) in users.iter().filter(|(_, user)| user.gid.is_none()) {
        match declared.get(name.as_str()).and_then(|node| Some((number(node.get("gid"))?, node.get("gid")?.span))) {
            Some((gid, span)) if gid != user.uid => {
                report
                    .add(Error::Conflict, span, format!("group `{name}` has the number {gid}, its user {}", user.uid))
                    .also(user.span, "this user's own group has the user's number")
                    .hint(format!("give user `{name}` a `gid`, or the group the number {}", user.uid));
            }
            Some(_) => {}
            // A number that another user's own group has was reported with the users.
            None => drop(numbers.entry(user.uid).or_insert((name, Some(user.span)))),
        }
    }
    for (key, node) in entries {
        let Some(gid) = number(node.get("gid")) else { continue };
        let span = node.get("gid").map_or(key.span, |node| node.span);
        if key.text == "root" && gid != 0 {
            report.add(Error::Conflict, span, "group `root` has the number 0").hint("write `gid: 0`, or another name");
        }
        match numbers.get(&gid) {
            Some((other, first)) if *other != key.text => taken(report, span, *first, "group", gid, other),
            _ => drop(numbers.insert(gid, (&key.text, Some(span)))),
        }
        all.insert(key.text.clone(), GroupSpec { gid, members: texts(node.get("members")), span: key.span });
    }
    all
}

fn taken(report: &mut Report, span: Span, first: Option<Span>, what: &str, id: u32, other: &str) {
    let problem = report.add(Error::Conflict, span, format!("{what} number {id} is taken by `{other}`"));
    problem.label("taken");
    if let Some(first) = first {
        problem.also(first, "first here");
    }
    problem.hint("take another number");
}
