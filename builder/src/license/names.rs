//! Names of licences: what Debian's short names are called on SPDX's list.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// A licence as a copyright file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The name without `+` and without an exception, as written.
    pub base: String,
    /// Whether later versions will do.
    pub later: bool,
    /// The exception's name, without the word itself.
    pub exception: Option<String>,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.base, if self.later { "+" } else { "" })?;
        self.exception.as_ref().map_or(Ok(()), |exception| write!(f, " with {exception}"))
    }
}

/// Reads the words of one licence: `GPL-2+ with OpenSSL exception`, `GPL version 2 or later`.
pub(super) fn parse(words: &[&str]) -> Name {
    let with = words.iter().position(|word| word.eq_ignore_ascii_case("with"));
    let (own, rest) = words.split_at(with.unwrap_or(words.len()));
    let mut exception: Vec<&str> = rest.iter().skip(1).copied().collect();
    if exception.len() > 1 && exception.last().is_some_and(|last| is_exception_word(last)) {
        exception.pop();
    }
    let (mut base, mut exception) = (String::new(), exception.join(" "));
    let mut later = false;
    for word in own {
        match word.to_ascii_lowercase().as_str() {
            "or" => {
                later = true;
                break;
            }
            "version" | "v" | "licence" | "license" if !base.is_empty() => {}
            _ => {
                if !base.is_empty() {
                    base.push('-');
                }
                base.push_str(word);
            }
        }
    }
    // One word for all of it: `LGPL-2.1+-with-link-exception`, `GPL-3+-autoconf-exception`.
    if exception.is_empty() {
        let lower = base.to_ascii_lowercase();
        if let Some(at) = lower.find("-with-") {
            exception = trimmed_exception(&base[at + 6..]).to_owned();
            base.truncate(at);
        } else if let Some(at) = lower.find("+-").filter(|_| lower.ends_with("exception")) {
            exception = trimmed_exception(&base[at + 2..]).to_owned();
            base.truncate(at + 1);
        }
    }
    if let Some(cut) = base.strip_suffix('+') {
        base.truncate(cut.len());
        later = true;
    } else if let Some(cut) = base.to_ascii_lowercase().strip_suffix("-or-later") {
        base.truncate(cut.len());
        later = true;
    }
    Name { base, later, exception: if exception.is_empty() { None } else { Some(exception) } }
}

fn is_exception_word(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "exception" | "exceptions")
}

fn trimmed_exception(text: &str) -> &str {
    let lower = text.to_ascii_lowercase();
    let end = ["-exceptions", "-exception"].iter().find_map(|end| lower.strip_suffix(end)).map_or(text.len(), str::len);
    &text[..end]
}

/// SPDX's list by lower-case name, deprecated ones left out.
static LIST: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let all = spdx::identifiers::LICENSES.iter();
    all.filter(|license| license.flags & spdx::flags::IS_DEPRECATED == 0)
        .map(|license| (license.name.to_ascii_lowercase(), license.name))
        .filter(|(_, name)| !matches!(*name, "NONE" | "NOASSERTION"))
        .collect()
});

/// SPDX's exceptions by lower-case name, deprecated ones left out.
static EXCEPTIONS: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let all = spdx::identifiers::EXCEPTIONS.iter();
    all.filter(|exception| exception.flags & spdx::flags::IS_DEPRECATED == 0)
        .map(|exception| (exception.name.to_ascii_lowercase(), exception.name))
        .collect()
});

/// Everything that SPDX's lists have, by its lower-case name, deprecated names too.
static SPELLING: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let licenses = spdx::identifiers::LICENSES.iter().map(|license| license.name);
    let exceptions = spdx::identifiers::EXCEPTIONS.iter().map(|exception| exception.name);
    licenses.chain(exceptions).map(|name| (name.to_ascii_lowercase(), name)).collect()
});

/// Returns an expression with its names and operators in the case that SPDX writes them in.
pub(super) fn in_the_case_of_the_list(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for piece in text.split_inclusive([' ', '(', ')', '+']) {
        let word = piece.trim_end_matches([' ', '(', ')', '+']);
        let lower = word.to_ascii_lowercase();
        whole.push_str(match lower.as_str() {
            "and" => "AND",
            "or" => "OR",
            "with" => "WITH",
            _ => SPELLING.get(&lower).copied().unwrap_or(word),
        });
        whole.push_str(&piece[word.len()..]);
    }
    whole
}

/// What Debian calls otherwise. Lower-case name, SPDX's name; only where the two are one text.
const ALIASES: &[(&str, &str)] = &[
    ("apache", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache-2-llvm-exceptions", "Apache-2.0 WITH LLVM-exception"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-1", "Artistic-1.0-Perl"),
    ("artistic-2", "Artistic-2.0"),
    ("boost-1.0", "BSL-1.0"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd2", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd3", "BSD-3-Clause"),
    ("cc0", "CC0-1.0"),
    ("cpl-1", "CPL-1.0"),
    ("expat", "MIT"),
    ("mit/expat", "MIT"),
    ("fsf-unlimited-with-retention", "FSFULLR"),
    ("mpl-1", "MPL-1.0"),
    ("mpl-2", "MPL-2.0"),
    ("ofl-1", "OFL-1.1"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("same-as-perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("psf-2", "PSF-2.0"),
    ("python-2.0", "Python-2.0"),
    ("qpl-1", "QPL-1.0"),
    ("sil-1.1", "OFL-1.1"),
    ("sil-ofl-1.1", "OFL-1.1"),
    ("w3c-software", "W3C"),
    ("zlib/libpng", "Zlib"),
    ("zope-2.1", "ZPL-2.1"),
];

/// What Debian calls SPDX's exceptions, for the licences that they belong to.
const EXCEPTION_ALIASES: &[(&str, &str)] = &[
    ("bison", "Bison-exception-2.2"),
    ("classpath", "Classpath-exception-2.0"),
    ("font", "Font-exception-2.0"),
    ("gcc-runtime-library", "GCC-exception-3.1"),
    ("libtool", "Libtool-exception"),
    ("linux-syscall-note", "Linux-syscall-note"),
    ("llvm", "LLVM-exception"),
    ("texinfo", "Texinfo-exception"),
];

/// Families of the Free Software Foundation, whose names on SPDX's list end in `-only` or `-or-later`.
const FAMILIES: &[(&str, &[&str])] = &[
    ("AGPL", &["1.0", "3.0"]),
    ("GFDL", &["1.1", "1.2", "1.3"]),
    ("LGPL", &["2.0", "2.1", "3.0"]),
    ("GPL", &["1.0", "2.0", "3.0"]),
];

/// Returns what SPDX calls a licence (an expression where a name stands for two), or `None` where its list has none.
pub(super) fn spdx_name(name: &Name) -> Option<String> {
    let base = gnu(name).or_else(|| listed(name))?;
    let Some(exception) = &name.exception else { return Some(base) };
    if base.contains(' ') {
        return None;
    }
    Some(format!("{base} WITH {}", exception_name(&base, exception)?))
}

/// Returns SPDX's name of a licence of the families above.
fn gnu(name: &Name) -> Option<String> {
    let upper = name.base.to_ascii_uppercase();
    let text = upper.strip_prefix("GNU-").unwrap_or(&upper);
    let text = text.strip_prefix("FDL").map_or_else(|| text.to_owned(), |rest| format!("GFDL{rest}"));
    let (family, versions) = FAMILIES.iter().find(|(family, _)| text.starts_with(family))?;
    let mut rest = text[family.len()..].trim_start_matches('-').trim_start_matches('V');
    let mut invariants = "";
    let mut later = name.later;
    for (word, form) in [("NIV", "-no-invariants"), ("NO-INVARIANTS", "-no-invariants"), ("INVARIANTS", "-invariants")]
    {
        if *family == "GFDL"
            && let Some(other) = rest.strip_prefix(word).or_else(|| rest.strip_suffix(word))
        {
            (invariants, rest) = (form, other.trim_matches('-'));
            break;
        }
    }
    if let Some(cut) = rest.strip_suffix("-ONLY") {
        rest = cut;
    } else if let Some(cut) = rest.strip_suffix("-OR-LATER").or_else(|| rest.strip_suffix('+')) {
        (rest, later) = (cut, true);
    }
    // A family without a version: any that was ever published (GPL-2 section 9, LGPL-2.1 section 13).
    let version = if rest.is_empty() {
        later = true;
        if *family == "AGPL" { "3.0" } else { versions[0] }
    } else {
        versions.iter().find(|version| rest == **version || Some(rest) == version.strip_suffix(".0"))?
    };
    Some(format!("{family}-{version}{invariants}-{}", if later { "or-later" } else { "only" }))
}

fn listed(name: &Name) -> Option<String> {
    let lower = name.base.to_ascii_lowercase();
    let found = match ALIASES.iter().find(|(alias, _)| *alias == lower) {
        Some((_, found)) => (*found).to_owned(),
        None => {
            // `Apache-2.0`, and `MPL-1.1` where Debian writes `MPL-1.1.0`, `BSD-3-clause`.
            let found = LIST.get(&lower).or_else(|| LIST.get(&format!("{lower}.0")))?;
            (*found).to_owned()
        }
    };
    if !name.later {
        return Some(found);
    }
    let later = format!("{found}+");
    spdx::Expression::parse(&later).ok().map(|_| later)
}

/// Returns SPDX's name of an exception to the licence `base`.
fn exception_name(base: &str, text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase().replace([' ', '~'], "-");
    let lower = lower.trim_matches('-');
    let found = match lower {
        "autoconf" | "autoconf-2.0" | "autoconf-2.0-archive" | "autoconf-3.0" => match base {
            "GPL-2.0-or-later" | "GPL-2.0-only" => "Autoconf-exception-2.0",
            "GPL-3.0-or-later" | "GPL-3.0-only" if lower == "autoconf-2.0-archive" => "Autoconf-exception-macro",
            "GPL-3.0-or-later" | "GPL-3.0-only" => "Autoconf-exception-3.0",
            _ => return None,
        },
        "autoconf-data" | "autoconf-generic" => match base {
            "GPL-2.0-or-later" => "Autoconf-exception-generic",
            "GPL-3.0-or-later" => "Autoconf-exception-generic-3.0",
            _ => return None,
        },
        "autoconf-exception-macro" | "autoconf-macro" => "Autoconf-exception-macro",
        _ => match EXCEPTION_ALIASES.iter().find(|(alias, _)| *alias == lower) {
            Some((_, found)) => found,
            None => EXCEPTIONS.get(lower).or_else(|| EXCEPTIONS.get(&format!("{lower}-exception")))?,
        },
    };
    Some(found.to_owned())
}

/// Returns a licence that SPDX wrote itself under its present name.
pub(super) fn current(text: &str) -> Option<String> {
    let (license, exception) = match text.split_once(" WITH ") {
        Some((license, exception)) => (license, Some(exception)),
        None => (text, None),
    };
    let license = match license.trim_end_matches('+') {
        "NONE" | "NOASSERTION" => return None,
        base if license.contains("LicenseRef-") || LIST.contains_key(&base.to_ascii_lowercase()) => license.to_owned(),
        _ => spdx_name(&parse(&[license]))?,
    };
    Some(exception.map_or(license.clone(), |exception| format!("{license} WITH {exception}")))
}

/// Returns `text` with only what a `LicenseRef-` may have (SPDX 2.3, D.2: letters, digits, `.` and `-`).
pub(super) fn idstring(text: &str) -> String {
    let mut id = String::new();
    for c in text.chars().take(100) {
        match c {
            c if c.is_ascii_alphanumeric() || c == '.' => id.push(c),
            '+' if id.ends_with("-or-later") => {}
            '+' => id.push_str("-or-later"),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    let id = id.trim_matches('-');
    if id.is_empty() { "unnamed".to_owned() } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        let words: Vec<&str> = text.split_whitespace().collect();
        spdx_name(&parse(&words)).unwrap_or_else(|| "-".to_owned())
    }

    #[test]
    fn what_debian_calls_otherwise() {
        for (text, expected) in [
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2.0+", "GPL-2.0-or-later"),
            ("GPL2", "GPL-2.0-only"),
            ("GPLv3+", "GPL-3.0-or-later"),
            ("GNU-GPL-2", "GPL-2.0-only"),
            ("GPL-2.0-only", "GPL-2.0-only"),
            ("GPL", "GPL-1.0-or-later"),
            ("LGPL", "LGPL-2.0-or-later"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("LGPL-3", "LGPL-3.0-only"),
            ("AGPL-3+", "AGPL-3.0-or-later"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GFDL-1.2", "GFDL-1.2-only"),
            ("FDL-1.3", "GFDL-1.3-only"),
            ("Expat", "MIT"),
            ("zlib", "Zlib"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("Apache-2", "Apache-2.0"),
            ("Artistic", "Artistic-1.0-Perl"),
            ("MPL-2.0", "MPL-2.0"),
            ("curl", "curl"),
            ("OpenLDAP-2.8", "OLDAP-2.8"),
            ("PHP-3.01", "PHP-3.01"),
            ("GPL-3+ with Bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"),
            ("GPL-3+-WITH-BISON-EXCEPTION", "GPL-3.0-or-later WITH Bison-exception-2.2"),
            ("GPL-2+ with Autoconf-data exception", "GPL-2.0-or-later WITH Autoconf-exception-generic"),
            ("GPL-3+ with Autoconf-2.0~Archive exception", "GPL-3.0-or-later WITH Autoconf-exception-macro"),
            ("GPL-3+-autoconf-exception", "GPL-3.0-or-later WITH Autoconf-exception-3.0"),
            ("GPL2 with Classpath exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
            ("APACHE-2-LLVM-EXCEPTIONS", "Apache-2.0 WITH LLVM-exception"),
            ("Apache-2.0 with LLVM exception", "Apache-2.0 WITH LLVM-exception"),
            ("GPL-2+ with OpenSSL exception", "-"),
            ("LGPL-2.1+-with-link-exception", "-"),
            ("GPL-2.1", "-"),
            ("GPL-4+", "-"),
            ("public-domain", "-"),
            ("BSD", "-"),
        ] {
            let found = named(text);
            assert_eq!(found, expected, "{text}");
            assert!(found == "-" || spdx::Expression::parse(&found).is_ok(), "{text}: {found}");
        }
    }

    #[test]
    fn every_name_of_the_tables_is_on_the_list() {
        for (alias, name) in ALIASES {
            assert!(spdx::Expression::parse(name).is_ok(), "{alias}: {name}");
        }
        for (alias, name) in EXCEPTION_ALIASES {
            assert!(spdx::exception_id(name).is_some(), "{alias}: {name}");
        }
    }

    #[test]
    fn references_have_the_letters_they_may_have() {
        for (text, expected) in [
            ("public-domain", "public-domain"),
            ("BSD-3-clause~Intel", "BSD-3-clause-Intel"),
            ("LGPL-2.1+ with link", "LGPL-2.1-or-later-with-link"),
            ("__AUTO__", "AUTO"),
            ("", "unnamed"),
            ("ÄÖ", "unnamed"),
        ] {
            assert_eq!(idstring(text), expected, "{text}");
        }
    }
}
