//! Which licences may be there: rules, and what they say of an expression.

use super::expression::{Expression, read_spdx};
use super::names;

/// One licence that a rule names.
///
/// `GPL-2.0-only`, `GPL-3.0-or-later WITH GCC-exception-3.1`, `LicenseRef-Debian-*-public-domain`. A licence with an
/// exception is another licence: `GPL-3.0-or-later` does not name `GPL-3.0-or-later WITH GCC-exception-3.1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LicenseName(String);

/// Why a text names no licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotALicense {
    /// No list has it.
    Unknown,
    /// SPDX's list calls it otherwise.
    Renamed(String),
    /// An expression of several.
    Several,
}

impl LicenseName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, NotALicense> {
        if let Some(rest) = text.strip_prefix("LicenseRef-") {
            let valid =
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-*".contains(&byte));
            return if valid { Ok(Self(text.to_owned())) } else { Err(NotALicense::Unknown) };
        }
        match read_spdx(text) {
            Some(Expression::License(name)) if name == text => Ok(Self(name)),
            Some(Expression::License(name)) => Err(NotALicense::Renamed(name)),
            Some(_) => Err(NotALicense::Several),
            None => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let near = names::spdx_name(&names::parse(&words)).filter(|near| !near.contains(" OR "));
                Err(near.map_or(NotALicense::Unknown, NotALicense::Renamed))
            }
        }
    }

    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this names `license`, one licence of an expression.
    pub fn names(&self, license: &str) -> bool {
        if self.0.contains('*') { matches(&self.0, license) } else { self.0 == license }
    }
}

/// Returns whether `text` is `pattern`, where `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Rules on licences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms<'a> {
    /// The only ones that may be there, where it is said.
    pub allow: Option<&'a [&'a LicenseName]>,
    /// Those that must not be there.
    pub deny: &'a [&'a LicenseName],
}

/// A licence that rules do not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The licence.
    pub license: String,
    /// The number of the rule in `deny` that names it; `None` where `allow` does not.
    pub denied: Option<usize>,
}

impl Terms<'_> {
    /// Returns the licences that stand in the way of using something under `expression`: none where an allowed way is left.
    ///
    /// All operands of an `AND` must be accepted, one of an `OR`. `X-or-later` is a choice between the versions of `X` that
    /// SPDX's list has, beside its own name. `X WITH E` is allowed where `X` is, since an exception only gives more;
    /// it is denied under its whole name alone. A licence that `accept` holds for is accepted whatever the rules say.
    pub fn refused(&self, expression: &Expression, accept: &dyn Fn(&str) -> bool) -> Vec<Refused> {
        match expression {
            Expression::License(name) => self.refused_license(name, accept),
            Expression::And(parts) => {
                let mut all: Vec<Refused> = Vec::new();
                for one in parts.iter().flat_map(|part| self.refused(part, accept)) {
                    if !all.contains(&one) {
                        all.push(one);
                    }
                }
                all
            }
            Expression::Or(arms) => {
                let mut ways: Vec<Vec<Refused>> = Vec::new();
                for arm in arms {
                    match self.refused(arm, accept) {
                        refused if refused.is_empty() => return refused,
                        refused => ways.push(refused),
                    }
                }
                let mut all: Vec<Refused> = ways.into_iter().flatten().collect();
                all.sort_by(|a, b| (&a.license, a.denied).cmp(&(&b.license, b.denied)));
                all.dedup();
                all
            }
        }
    }

    fn refused_license(&self, name: &str, accept: &dyn Fn(&str) -> bool) -> Vec<Refused> {
        if accept(name) {
            return Vec::new();
        }
        let (base, exception) =
            name.split_once(" WITH ").map_or((name, None), |(base, exception)| (base, Some(exception)));
        let with = |base: &str| exception.map_or(base.to_owned(), |exception| format!("{base} WITH {exception}"));
        let denies = |name: &str| self.deny.iter().position(|rule| rule.names(name));
        let allows = |base: &str| {
            self.allow.is_none_or(|allow| allow.iter().any(|rule| rule.names(base) || rule.names(&with(base))))
        };
        let versions = versions(base);
        let denied = denies(name).or_else(|| {
            // A choice between versions is denied where each of them is.
            let all: Option<Vec<usize>> = versions.iter().map(|base| denies(&with(base))).collect();
            all.and_then(|all| all.first().copied())
        });
        if denied.is_some() {
            return vec![Refused { license: name.to_owned(), denied }];
        }
        let open = versions.iter().any(|base| denies(&with(base)).is_none() && allows(base));
        if allows(base) || open { Vec::new() } else { vec![Refused { license: name.to_owned(), denied: None }] }
    }
}

/// Returns the versions between which `X-or-later` leaves the choice, by their `-only` names; none of any other name.
fn versions(name: &str) -> Vec<String> {
    let Some(first) = name.strip_suffix("-or-later") else { return Vec::new() };
    let Some((family, version)) = first.split_once('-') else { return Vec::new() };
    let (version, invariants) =
        version.split_once('-').map_or((version, String::new()), |(version, rest)| (version, format!("-{rest}")));
    let all = ["1.0", "1.1", "1.2", "1.3", "2.0", "2.1", "3.0"].iter().filter(|other| **other >= version);
    all.map(|other| format!("{family}-{other}{invariants}-only"))
        .filter(|name| spdx::license_id(name).is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<LicenseName> {
        all.iter().map(|name| LicenseName::parse(name).unwrap()).collect()
    }

    fn refused(allow: Option<&[&str]>, deny: &[&str], expression: &str) -> String {
        let (allow, deny) = (allow.map(names), names(deny));
        let allow: Option<Vec<&LicenseName>> = allow.as_ref().map(|all| all.iter().collect());
        let deny: Vec<&LicenseName> = deny.iter().collect();
        let terms = Terms { allow: allow.as_deref(), deny: &deny };
        let all = terms.refused(&read_spdx(expression).unwrap(), &|_| false);
        let shown = |one: &Refused| format!("{}{}", one.license, if one.denied.is_some() { "!" } else { "" });
        all.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn all_of_and_and_one_of_or_must_be_accepted() {
        let allow = Some(&["MIT", "GPL-2.0-only"][..]);
        assert_eq!(refused(allow, &[], "MIT AND ISC"), "ISC");
        assert_eq!(refused(allow, &[], "MIT OR ISC"), "");
        assert_eq!(refused(allow, &[], "Zlib OR ISC"), "ISC Zlib");
        assert_eq!(refused(allow, &["MIT"], "MIT"), "MIT!");
        assert_eq!(refused(None, &["MIT"], "MIT OR ISC"), "");
        assert_eq!(refused(None, &["MIT"], "MIT AND (ISC OR Zlib)"), "MIT!");
        assert_eq!(refused(None, &["ISC", "Zlib"], "MIT AND (ISC OR Zlib)"), "ISC! Zlib!");
        assert_eq!(refused(Some(&[]), &[], "MIT"), "MIT");
    }

    #[test]
    fn later_versions_are_a_choice_and_exceptions_give_more() {
        assert_eq!(refused(Some(&["GPL-3.0-only"]), &[], "GPL-2.0-or-later"), "");
        assert_eq!(refused(Some(&["GPL-2.0-only"]), &[], "GPL-3.0-or-later"), "GPL-3.0-or-later");
        assert_eq!(refused(None, &["AGPL-3.0-only"], "AGPL-3.0-or-later"), "AGPL-3.0-or-later!");
        assert_eq!(refused(None, &["GPL-2.0-only"], "GPL-2.0-or-later"), "");
        assert_eq!(refused(None, &["GPL-2.0-only", "GPL-3.0-only"], "GPL-2.0-or-later"), "GPL-2.0-or-later!");
        assert_eq!(refused(None, &["GPL-3.0-only"], "GPL-3.0-or-later WITH GCC-exception-3.1"), "");
        assert_eq!(refused(Some(&["GPL-3.0-or-later"]), &[], "GPL-3.0-or-later WITH GCC-exception-3.1"), "");
        let whole = "GPL-3.0-or-later WITH GCC-exception-3.1";
        assert_eq!(refused(None, &[whole], whole), format!("{whole}!"));
    }

    #[test]
    fn names_are_on_the_list_or_of_ones_own() {
        assert_eq!(
            refused(Some(&["LicenseRef-Debian-*-public-domain"]), &[], "LicenseRef-Debian-tzdata-public-domain"),
            ""
        );
        assert_eq!(refused(Some(&["LicenseRef-a*c"]), &[], "LicenseRef-abcd"), "LicenseRef-abcd");
        for (text, expected) in [
            ("GPL-2.0", NotALicense::Renamed("GPL-2.0-only".to_owned())),
            ("GPL-2+", NotALicense::Renamed("GPL-2.0-or-later".to_owned())),
            ("Expat", NotALicense::Renamed("MIT".to_owned())),
            ("mit", NotALicense::Renamed("MIT".to_owned())),
            ("MIT OR ISC", NotALicense::Several),
            ("Nonsense", NotALicense::Unknown),
            ("LicenseRef-", NotALicense::Unknown),
        ] {
            assert_eq!(LicenseName::parse(text), Err(expected), "{text}");
        }
    }
}
