//! What packages ask for in users and groups: by `adduser`, `useradd` and their kin in scripts, and by sysusers.d.
//!
//! A system account without a number of its own gets one that its name alone decides, so that no package ever moves
//! another's number.

use crate::digest::Digest;

/// First number of system accounts that are not Debian's own (Debian policy 9.2.2), and how many there are.
const SYSTEM: (u32, u32) = (100, 900);
/// First number of other accounts, and how many there are.
const REGULAR: (u32, u32) = (1000, 59000);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AccountKind {
    /// A user, with a group of its own where [`AccountRequest::primary`] says so.
    User,
    /// A group.
    Group,
    /// That an existing user joins [`AccountRequest::groups`].
    Member,
}

/// A user's primary group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Primary {
    /// A group of the user's name, made with it.
    Own,
    /// An existing group, by name or number.
    Named(String),
}

/// One request for a user, a group or a membership.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AccountRequest {
    pub(super) name: String,
    pub(super) kind: AccountKind,
    /// A system account: its number is below 1000.
    pub(super) system: bool,
    /// A fixed number of the user.
    pub(super) uid: Option<u32>,
    /// A fixed number of the group, or of the user's own group.
    pub(super) gid: Option<u32>,
    pub(super) primary: Primary,
    /// `/nonexistent` where it is left out.
    pub(super) home: Option<String>,
    /// A shell that lets nobody in where it is left out.
    pub(super) shell: Option<String>,
    pub(super) gecos: Option<String>,
    /// Groups that the user joins beside the primary one.
    pub(super) groups: Vec<String>,
    /// Mode of the home, where it is made.
    pub(super) create_home: Option<u32>,
    /// Who asks, in words: `postinst of redis-server`, `usr/lib/sysusers.d/x.conf of x`.
    pub(super) by: String,
}

impl AccountRequest {
    /// Returns a request for a system user with a group of its own.
    pub(super) fn user(name: &str, by: String) -> Self {
        Self {
            name: name.to_owned(),
            kind: AccountKind::User,
            system: true,
            uid: None,
            gid: None,
            primary: Primary::Own,
            home: None,
            shell: None,
            gecos: None,
            groups: Vec::new(),
            create_home: None,
            by,
        }
    }

    /// Returns a request for a system group.
    pub(super) fn group(name: &str, by: String) -> Self {
        Self { kind: AccountKind::Group, ..Self::user(name, by) }
    }

    /// Returns a request that an existing user joins a group.
    pub(super) fn member(name: &str, group: &str, by: String) -> Self {
        Self { kind: AccountKind::Member, groups: vec![group.to_owned()], ..Self::user(name, by) }
    }

    /// Returns the number that the name decides.
    pub(super) fn number(&self) -> u32 {
        if self.system { system_number(&self.name) } else { name_number(&self.name, REGULAR) }
    }
}

/// Returns a system account's number: 100 and the first eight bytes of the name's SHA-256, big-endian, modulo 900.
pub(super) fn system_number(name: &str) -> u32 {
    name_number(name, SYSTEM)
}

fn name_number(name: &str, (first, count): (u32, u32)) -> u32 {
    let digest = Digest::of(name.as_bytes());
    let head: [u8; 8] = digest.as_bytes()[..8].try_into().expect("a SHA-256 has 32 bytes");
    let rest = u64::from_be_bytes(head) % u64::from(count);
    first + u32::try_from(rest).expect("it is below a 32-bit number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_from_the_name() {
        // printf postgres | sha256sum: a942b37ccfaf5a81…
        assert_eq!(system_number("postgres"), 100 + (0xa942_b37c_cfaf_5a81_u64 % 900) as u32);
        let regular = AccountRequest { system: false, ..AccountRequest::user("postgres", String::new()) };
        assert!((1000..60000).contains(&regular.number()));
    }
}
