//! What `systemd-sysusers` would make: requests for accounts out of sysusers.d(5).
//!
//! Type, name, number, description, home, shell. Numbers that the tool would pick follow from names here; a range (`r`)
//! therefore means nothing.

use super::account::{AccountKind, AccountRequest, Primary};
use super::merge::Tree;
use super::systemd::{Line, Lines};
use crate::spec::Platform;

/// Returns the requests, and reports the lines that are none.
pub(super) fn requests(tree: &mut Tree<'_>, platform: Platform) -> Vec<AccountRequest> {
    let Lines { lines, mut unread } = Lines::read(tree, "sysusers.d", 6, platform);
    let mut requests = Vec::new();
    for line in lines {
        match request(&line) {
            Ok(found) => requests.extend(found),
            Err(problem) => unread.push((line, problem)),
        }
    }
    tree.report_lines(unread);
    requests
}

fn request(line: &Line) -> Result<Option<AccountRequest>, &'static str> {
    let field = |at: usize| line.words.get(at).map(String::as_str).filter(|word| !word.is_empty() && *word != "-");
    let kind = field(0).unwrap_or_default();
    let (Some(name), by) = (field(1), line.place()) else {
        return if kind == "r" { Ok(None) } else { Err("it names nobody") };
    };
    let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX).ok_or("its number is none");
    match kind {
        "u" | "u!" => {
            let mut request = AccountRequest::user(name, by);
            match field(2).map(|id| id.split_once(':').unwrap_or((id, ""))) {
                None => {}
                Some((path, _)) if path.starts_with('/') => return Err("its number is that of a file's owner"),
                Some((uid, "")) => (request.uid, request.gid) = (Some(number(uid)?), Some(number(uid)?)),
                Some((uid, group)) => {
                    request.uid = if uid == "-" { None } else { Some(number(uid)?) };
                    request.primary = Primary::Named(group.to_owned());
                }
            }
            request.gecos = field(3).map(str::to_owned);
            request.home = Some(field(4).unwrap_or("/").to_owned());
            request.shell = field(5).map(str::to_owned);
            Ok(Some(request))
        }
        "g" => {
            let mut request = AccountRequest::group(name, by);
            request.gid = match field(2) {
                Some(path) if path.starts_with('/') => return Err("its number is that of a file's group"),
                Some(gid) => Some(number(gid)?),
                None => None,
            };
            Ok(Some(request))
        }
        "m" => {
            let group = field(2).ok_or("it names no group")?;
            Ok(Some(AccountRequest { kind: AccountKind::Member, ..AccountRequest::member(name, group, by) }))
        }
        "r" => Ok(None),
        _ => Err("its type is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<AccountRequest>, &'static str> {
        let words = text.split_whitespace().map(|word| word.replace('_', " ")).collect();
        request(&Line { words, text: text.into(), package: "p".into(), file: "usr/lib/sysusers.d/p.conf".into() })
    }

    #[test]
    fn users_groups_and_members_are_asked_for() {
        let user = read("u web 33:www Web_server /srv/www /bin/false").unwrap().unwrap();
        assert_eq!((user.uid, user.gid, user.primary), (Some(33), None, Primary::Named("www".into())));
        assert_eq!((user.home.as_deref(), user.shell.as_deref()), (Some("/srv/www"), Some("/bin/false")));
        assert_eq!(user.by, "usr/lib/sysusers.d/p.conf of p");
        let plain = read("u! web -").unwrap().unwrap();
        assert_eq!((plain.uid, plain.primary, plain.home.as_deref()), (None, Primary::Own, Some("/")));
        assert_eq!(read("g render 104").unwrap().unwrap().gid, Some(104));
        assert_eq!(read("m web render").unwrap().unwrap().groups, ["render"]);
        assert_eq!(read("r - 500-900"), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_no_request() {
        for line in ["u web /usr/bin/x", "u web many", "x web", "m web", "u"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
