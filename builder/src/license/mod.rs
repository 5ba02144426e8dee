//! What a package may be used under: copyright files in, SPDX expressions and texts out.
//!
//! In: the bytes of a Debian copyright file (policy 12.5) and which files of the package are in the image. Out:
//! [`Licenses`]: what the file declares of its source tree, what is concluded of the package, the texts of licences
//! that SPDX's list does not have, and the holders of copyright.
//!
//! How, the first that holds:
//! 1. a conclusion that a person drew from this very file (`reviewed.tsv`);
//! 2. the stanzas of a machine-readable file (DEP-5, copyright format 1.0). Declared is the conjunction of all of them;
//!    concluded that of those which can be in the package: packaging, tests, documentation that is not shipped, the
//!    build system, code for other systems and scripts that the package does not have are left out (`shipped`);
//! 3. texts and grants that are known word by word, where every term of the file is accounted for (`known`).
//!
//! Else nothing is concluded. Names are mapped only where SPDX's list has that very licence; everything else becomes a
//! `LicenseRef-` with its text. Hostile input is assumed: no file is an error, and none takes more than its bounds.

mod expression;
mod follow;
mod known;
mod names;
mod refs;
mod reviewed;
mod shipped;
mod stanzas;
mod terms;
#[cfg(test)]
mod tests;

use crate::deb822::parse_loosely;

use reviewed::Review;

pub use expression::{Expression, read_spdx};
pub use follow::{At, follow};
pub use refs::{LicenseRef, Refs};
pub use terms::{LicenseName, NotALicense, Refused, Terms};

/// SPDX's word for what nobody says (SPDX 2.3, 7.13).
pub const NOASSERTION: &str = "NOASSERTION";

/// The most bytes of a copyright file that are read; the largest of Debian 13 in wide use has 250 KiB.
pub const MAX_FILE: usize = 1 << 20;
/// The most bytes of what is said of holders of copyright.
const MAX_COPYRIGHT: usize = 32 << 10;

/// The package that a copyright file belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Name of its source package; empty where it is not known.
    pub source: &'a str,
    /// Debian's name of its architecture; `all` too.
    pub architecture: &'a str,
    /// Paths of the package's files in the image, without leading slash; empty where they are not known.
    pub files: &'a [&'a str],
}

/// How a conclusion was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// By a person, from this very file.
    Reviewed,
    /// From the stanzas of a machine-readable file.
    Stanzas,
    /// From texts and grants that are known word by word.
    Texts,
    /// Not at all.
    None,
}

/// What is known of a package's licences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licenses {
    /// What the copyright file says of the source tree: an SPDX expression or [`NOASSERTION`].
    pub declared: String,
    /// What the package in the image is under: an SPDX expression or [`NOASSERTION`].
    pub concluded: String,
    /// The licences of both that stand on no list, sorted by id.
    pub refs: Vec<LicenseRef>,
    /// Lines that name the holders of copyright, at most 32 KiB; [`NOASSERTION`] where there is none.
    pub copyright: String,
    /// How the conclusion was drawn.
    pub basis: Basis,
    /// How, in one sentence, with what was left out; empty where nothing was concluded.
    pub comment: String,
    /// What a person should look at.
    pub notes: Vec<String>,
}

impl Licenses {
    /// Returns what is known of a package without a copyright file.
    pub fn unknown() -> Self {
        Self {
            declared: NOASSERTION.to_owned(),
            concluded: NOASSERTION.to_owned(),
            refs: Vec::new(),
            copyright: NOASSERTION.to_owned(),
            basis: Basis::None,
            comment: String::new(),
            notes: Vec::new(),
        }
    }
}

/// Reads a copyright file.
pub fn read(text: &[u8], package: &Package<'_>) -> Licenses {
    let mut licenses = Licenses::unknown();
    if text.len() > MAX_FILE {
        licenses.notes.push(format!("the copyright file of `{}` has more than {MAX_FILE} bytes", package.name));
        return licenses;
    }
    let text = String::from_utf8_lossy(text);
    let text = text.as_ref();
    let mut refs = Refs::default();
    let review = reviewed::review(package.source, package.name, text);
    // Where nobody says what a package was built from, its licences are named for itself.
    let package = &if package.source.is_empty() { Package { source: package.name, ..*package } } else { *package };

    let (stanzas, whole) = parse_loosely(text);
    if !whole {
        licenses.notes.push(format!("the copyright file of `{}` has more stanzas than are read", package.name));
        return licenses;
    }
    let described =
        if stanzas::are_machine_readable(&stanzas) { stanzas::read(&stanzas, package, &mut refs) } else { None };
    let (declared, copyright) = match &described {
        Some(described) => (Some(described.declared.clone()), stanzas::unique(described.copyright.clone())),
        None => (known::certain(text), stanzas::unique(holders(text))),
    };
    licenses.copyright = bounded(copyright);
    let concluded = match (&review, &described) {
        (Review::Holds(expression), _) => {
            licenses.basis = Basis::Reviewed;
            licenses.comment = "Concluded by review of the copyright file.".to_owned();
            add_reviewed_refs(expression, text, &mut refs);
            read_spdx(expression)
        }
        (_, Some(described)) => {
            licenses.basis = Basis::Stanzas;
            licenses.comment = comment(described);
            Some(described.concluded.clone())
        }
        (_, None) => {
            let found = declared.clone();
            if found.is_some() {
                licenses.basis = Basis::Texts;
                licenses.comment =
                    "Concluded from the texts of the copyright file, every term of which is known.".to_owned();
            }
            found
        }
    };
    if let Review::Stale { fingerprint } = review {
        licenses.notes.push(format!(
            "the copyright file of `{}` is not the one that was reviewed (source `{}`, fingerprint {fingerprint})",
            package.name, package.source
        ));
    }
    // A file that nothing is concluded from still declares what it says.
    let declared = match declared.or_else(|| if described.is_none() { concluded.clone() } else { None }) {
        Some(declared) if declared.is_bounded() => declared,
        _ => refs.add(package.source, "copyright", text),
    };
    licenses.declared = declared.to_string();
    if let Some(concluded) = concluded.filter(Expression::is_bounded) {
        licenses.concluded = concluded.to_string();
    }
    licenses.refs = refs.keep_named(&[&licenses.declared, &licenses.concluded]);
    licenses
}

/// Adds the texts of a reviewed expression that the stanzas have not added: the whole file is the text.
fn add_reviewed_refs(expression: &str, text: &str, refs: &mut Refs) {
    for id in expression.split([' ', '(', ')']).filter(|part| part.starts_with("LicenseRef-")) {
        refs.add_text(id, text);
    }
}

fn comment(described: &stanzas::Described) -> String {
    let mut comment = "Concluded from the machine-readable copyright file".to_owned();
    if !described.absent.is_empty() {
        let left: Vec<String> =
            described.absent.iter().map(|(reason, count)| format!("{count} on {}", reason.as_str())).collect();
        comment.push_str(&format!("; stanzas left out of the conclusion: {}", left.join(", ")));
    }
    comment.push('.');
    comment
}

/// Returns the lines of a text that name a holder of copyright.
fn holders(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches(|c: char| c.is_whitespace() || "*#;/%-".contains(c)).trim_end());
    lines.filter(|line| known::is_copyright(line) && line.len() > 12).map(str::to_owned).collect()
}

/// Joins lines within [`MAX_COPYRIGHT`]; says how many were left out.
fn bounded(lines: Vec<String>) -> String {
    let mut joined = String::new();
    for (number, line) in lines.iter().enumerate() {
        if joined.len() + line.len() + 1 > MAX_COPYRIGHT {
            joined.push_str(&format!("(and {} more lines)", lines.len() - number));
            return joined;
        }
        joined.push_str(line);
        joined.push('\n');
    }
    if joined.is_empty() { NOASSERTION.to_owned() } else { joined.trim_end().to_owned() }
}
