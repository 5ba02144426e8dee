//! Who makes and who supplies something.

/// A person or an organisation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Which of the two.
    pub kind: PartyKind,
    /// Its name.
    pub name: String,
    /// Its e-mail address.
    pub email: Option<String>,
}

/// What a party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartyKind {
    /// One human being.
    Person,
    /// Several, or a legal body.
    Organization,
}

/// Words that only groups have in their names.
const GROUPS: [&str; 22] = [
    "maintainer",
    "maintainers",
    "team",
    "group",
    "developers",
    "packagers",
    "packaging",
    "project",
    "debian",
    "foundation",
    "taskforce",
    "force",
    "uploaders",
    "admins",
    "committee",
    "ltd",
    "ltd.",
    "inc",
    "inc.",
    "gmbh",
    "company",
    "community",
];

/// What the addresses of lists begin their domain with.
const LISTS: [&str; 5] = ["lists.", "tracker.", "packages.", "alioth-lists.", "teams."];

impl Party {
    /// Returns an organisation of this name.
    pub fn organization(name: &str) -> Self {
        Self { kind: PartyKind::Organization, name: name.to_owned(), email: None }
    }

    /// Reads `Name <address>` as a Debian control file has it (policy 5.6.2); of several, the first. `None` where
    /// nothing is said.
    ///
    /// Debian does not say whether a maintainer is a person or a team; a mailing list, or a word that only groups have in
    /// their names, tells.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, email) = match text.split_once('<') {
            Some((name, rest)) => (name, rest.split('>').next()),
            None => (text, None),
        };
        let email = email.map(str::trim).filter(|email| email.contains('@') && !email.contains(char::is_whitespace));
        let name = name.trim().trim_matches('"').trim();
        let name = if name.is_empty() { email? } else { name };
        let clean: String = name.chars().filter(|c| !c.is_control() && !matches!(c, '(' | ')')).take(256).collect();
        let domain = email.and_then(|email| email.split_once('@')).map_or("", |(_, domain)| domain);
        let words: Vec<String> = clean.split([' ', '-', '/', ',']).map(str::to_lowercase).collect();
        let group = LISTS.iter().any(|list| domain.starts_with(list) || domain.contains(&format!(".{list}")))
            || words.iter().any(|word| GROUPS.contains(&word.as_str()));
        let kind = if group { PartyKind::Organization } else { PartyKind::Person };
        Some(Self { kind, name: clean, email: email.map(str::to_owned) })
    }

    /// Reads a spec's `author` or `supplier`: as [`Party::parse`], but an organisation.
    pub fn parse_organization(text: &str) -> Option<Self> {
        Some(Self { kind: PartyKind::Organization, ..Self::parse(text)? })
    }

    /// Returns the party as SPDX 2.3 writes it (7.5): `Organization: Name (address)`.
    pub(crate) fn spdx(&self) -> String {
        let kind = match self.kind {
            PartyKind::Person => "Person",
            PartyKind::Organization => "Organization",
        };
        match &self.email {
            Some(email) => format!("{kind}: {} ({email})", self.name),
            None => format!("{kind}: {}", self.name),
        }
    }

    /// Returns the party as Debian writes it: `Name <address>`.
    pub(crate) fn mailbox(&self) -> String {
        match &self.email {
            Some(email) => format!("{} <{email}>", self.name),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintainers_are_persons_or_groups() {
        for (text, spdx) in [
            ("Nobody Known <nobody@example.org>", "Person: Nobody Known (nobody@example.org)"),
            ("\"A, B\" <a@example.org>, C <c@example.org>", "Person: A, B (a@example.org)"),
            (
                "GNU Libc Maintainers <glibc@lists.example.org>",
                "Organization: GNU Libc Maintainers (glibc@lists.example.org)",
            ),
            ("X (really) <x@alioth-lists.example.net>", "Organization: X really (x@alioth-lists.example.net)"),
            ("<only@example.org>", "Person: only@example.org (only@example.org)"),
            ("Without Address", "Person: Without Address"),
        ] {
            assert_eq!(Party::parse(text).unwrap().spdx(), spdx);
        }
        assert_eq!(Party::parse(" "), None);
        assert_eq!(Party::parse_organization("Acme Ltd <a@b.example>").unwrap().mailbox(), "Acme Ltd <a@b.example>");
    }
}
