//! Licences that SPDX's list does not have, with their texts.

use std::collections::BTreeMap;

use super::expression::Expression;
use super::names;

/// The most bytes of one text.
const MAX_TEXT: usize = 256 << 10;
/// The most texts of one copyright file.
const MAX_REFS: usize = 2_000;

/// A licence that stands on no list, with its text (SPDX 2.3, 10: other licensing information detected).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LicenseRef {
    /// `LicenseRef-Debian-SOURCE-NAME`.
    pub id: String,
    /// The name as the copyright file writes it.
    pub name: String,
    /// The text; where the copyright file has none, a sentence that says so. At most 256 KiB.
    pub text: String,
}

/// Texts by id, so that one id has one text: for the documents of all packages of an image.
///
/// Packages of one source share their ids. Where two of them have other texts under one name, both stand there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs(BTreeMap<String, LicenseRef>);

impl Refs {
    /// Adds a licence with its text and returns the expression that stands for it.
    pub(super) fn add(&mut self, source: &str, name: &str, text: &str) -> Expression {
        let base = format!("LicenseRef-Debian-{}-{}", names::idstring(source), names::idstring(name));
        let text = match text.trim_matches('\n').trim_end() {
            "" => format!(
                "The copyright file of Debian's source package {source} names this licence `{name}` and gives no text."
            ),
            text => cut(text).to_owned(),
        };
        if self.0.len() >= MAX_REFS {
            return Expression::License(base);
        }
        // One name with two texts in one file: each has an id.
        let mut id = base.clone();
        for number in 2.. {
            match self.0.get(&id) {
                Some(known) if known.text != text => id = format!("{base}-{number}"),
                _ => break,
            }
        }
        self.0.entry(id.clone()).or_insert(LicenseRef { id: id.clone(), name: name.to_owned(), text });
        Expression::License(id)
    }

    /// Adds what [`read`](super::read) returned for one package.
    pub fn extend(&mut self, refs: &[LicenseRef]) {
        for one in refs {
            match self.0.get_mut(&one.id) {
                None => {
                    self.0.insert(one.id.clone(), one.clone());
                }
                Some(known) if known.text.contains(&one.text) => {}
                Some(known) if known.text.len() + one.text.len() <= 2 * MAX_TEXT => {
                    known.text.push_str("\n\nor, in another package:\n\n");
                    known.text.push_str(&one.text);
                }
                Some(_) => {}
            }
        }
    }

    /// Returns the licences, sorted by id.
    pub fn into_sorted(self) -> Vec<LicenseRef> {
        self.0.into_values().collect()
    }

    /// Adds the text of an id that has none yet.
    pub(super) fn add_text(&mut self, id: &str, text: &str) {
        let name = id.rsplit('-').next().unwrap_or(id).to_owned();
        let one = || LicenseRef { id: id.to_owned(), name, text: cut(text.trim_end()).to_owned() };
        self.0.entry(id.to_owned()).or_insert_with(one);
    }

    pub(super) fn keep_named(self, expressions: &[&str]) -> Vec<LicenseRef> {
        let named: Vec<&str> = expressions.iter().flat_map(|text| text.split([' ', '(', ')'])).collect();
        self.0.into_values().filter(|one| named.contains(&one.id.as_str())).collect()
    }
}

/// Returns at most [`MAX_TEXT`] bytes of `text`, whole characters.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_has_one_text() {
        let mut refs = Refs::default();
        let ids: Vec<String> =
            ["a", "b", "a", ""].iter().map(|text| refs.add("x", "permissive", text).to_string()).collect();
        let base = "LicenseRef-Debian-x-permissive";
        assert_eq!(ids, [base.to_owned(), format!("{base}-2"), base.to_owned(), format!("{base}-3")]);
        let kept = refs.keep_named(&[&format!("MIT AND ({base}-3 OR {base})")]);
        assert_eq!(kept.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [base, &format!("{base}-3")]);
        assert!(kept[1].text.contains("gives no text"));

        let mut all = Refs::default();
        all.extend(&kept);
        all.extend(&[LicenseRef { text: "other".to_owned(), ..kept[0].clone() }]);
        all.extend(&kept);
        assert_eq!(all.into_sorted()[0].text, "a\n\nor, in another package:\n\nother");
    }
}
