//! Rules of the closure: what no file says of itself, one sentence each, as data.
//!
//! A file of rules is a YAML list. Each rule has a name (`rule`) and a sentence (`why`); conditions, of which all that
//! are there must hold: `with` (a package of such a name keeps something), `when` (such a path is kept), `feature` (the
//! spec asks for it); and one of these:
//!
//! - `keep`: such paths are kept, whichever package ships them. `{}` stands for the feature's value.
//! - `off`: such paths are kept by need alone, however much is kept of their package; not so where the spec asks for
//!   the feature `unless`.
//! - `wait`: such paths are kept, where their package keeps them, once something of `for` is.
//! - `implicit`: the package is locked with a package of `with`, or `always`; it keeps `files` and what is needed.
//!
//! A feature with `narrows` drops of such paths what it does not keep. Rules only ever add to what is kept once the
//! spec's features are known, so their order means nothing.

use std::sync::{Arc, LazyLock};

use super::glob::{self, Pattern};
use crate::diag::{Diagnose, Label, Problems, Source, Span};
use crate::spec::{Plain, PlainValue, read_plain};

/// The built-in files, in the order of their names.
const BUILT_IN: &[(&str, &str)] = &[
    ("certificates.yaml", include_str!("closure/certificates.yaml")),
    ("glibc.yaml", include_str!("closure/glibc.yaml")),
    ("implicit.yaml", include_str!("closure/implicit.yaml")),
    ("languages.yaml", include_str!("closure/languages.yaml")),
    ("libraries.yaml", include_str!("closure/libraries.yaml")),
    ("services.yaml", include_str!("closure/services.yaml")),
];

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique among the rules that hold together.
    pub name: String,
    /// Why, as a sentence.
    pub why: String,
    /// Names of packages, as patterns of one component.
    pub with: Vec<String>,
    /// Holds for every image with packages.
    pub always: bool,
    /// Paths of which one must be kept.
    pub when: Vec<Pattern>,
    /// The feature that must be asked for.
    pub feature: Option<String>,
    /// What is kept, as text: `{}` is not filled in yet.
    pub keep: Vec<String>,
    /// What is kept by need alone.
    pub off: Vec<Pattern>,
    /// The feature that lifts `off`.
    pub unless: Option<String>,
    /// What waits.
    pub wait: Vec<Pattern>,
    /// What it waits for.
    pub wait_for: Vec<Pattern>,
    /// The package that is locked.
    pub implicit: Option<String>,
    /// What that package keeps.
    pub files: Vec<Pattern>,
    /// What the feature narrows.
    pub narrows: Vec<Pattern>,
    /// Where it stands.
    pub span: Span,
}

impl Rule {
    /// Returns whether a package of this name is one of `with`.
    pub fn is_with(&self, package: &str) -> bool {
        self.with.iter().any(|pattern| glob::component(pattern, package))
    }

    /// Returns what is kept, `{}` filled in with the value of a feature.
    pub fn keeps(&self, value: Option<&str>) -> Vec<Pattern> {
        let fill = |text: &String| text.replace("{}", value.unwrap_or("*"));
        self.keep.iter().filter_map(|text| Pattern::parse(&fill(text))).collect()
    }
}

/// What is wrong with a rule.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot read rule{}: {problem}", name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default())]
pub struct Error {
    name: Option<String>,
    problem: String,
    source_text: Arc<Source>,
    span: Span,
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        "rules::closure"
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label { source: self.source_text.clone(), span: self.span, text: String::new() }]
    }

    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Returns the built-in rules.
pub fn built_in() -> impl Iterator<Item = &'static Rule> {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let parsed = BUILT_IN.iter().map(|(name, text)| parse(&Source::new(*name, *text)));
        parsed.flat_map(|rules| rules.expect("the built-in rules are tested")).collect()
    });
    let rules = RULES.iter();
    #[cfg(test)]
    let rules = rules.filter(|rule| !taken_out::is(&rule.name));
    rules
}

/// Takes one built-in rule out, so that a test can tell what it does.
#[cfg(test)]
pub(crate) mod taken_out {
    use std::cell::RefCell;

    thread_local! {
        static RULE: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    pub(super) fn is(name: &str) -> bool {
        RULE.with_borrow(|rule| rule.as_deref() == Some(name))
    }

    /// Does something without the rule of this name, in this thread.
    pub(crate) fn without<T>(name: &str, deed: impl FnOnce() -> T) -> T {
        struct Back;
        impl Drop for Back {
            fn drop(&mut self) {
                RULE.replace(None);
            }
        }
        RULE.replace(Some(name.to_owned()));
        let _back = Back;
        deed()
    }
}

/// Returns the names of the features that `rules` know, each with its sentence, sorted.
pub fn features(rules: &[&Rule]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = rules
        .iter()
        .filter_map(|rule| Some((rule.feature.clone().or_else(|| rule.unless.clone())?, rule.why.clone())))
        .collect();
    all.sort();
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

/// Parses a file of rules.
///
/// # Errors
/// What is no YAML; unknown keys; a rule without name, sentence or deed; a pattern that is none.
pub fn parse(source: &Arc<Source>) -> Result<Vec<Rule>, Problems> {
    let root = read_plain("rules", source)?;
    let mut errors: Vec<Box<dyn Diagnose>> = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    let PlainValue::List(items) = &root.value else {
        return Err(error(source, None, root.span, "a file of rules is a list").into());
    };
    for item in items {
        match rule(source, item) {
            Ok(rule) if rules.iter().any(|known| known.name == rule.name) => {
                errors.push(Box::new(error(source, Some(&rule.name), rule.span, "its name is taken")));
            }
            Ok(rule) => rules.push(rule),
            Err(problem) => errors.push(Box::new(problem)),
        }
    }
    match Problems::from_vec(errors) {
        Some(problems) => Err(problems),
        None => Ok(rules),
    }
}

fn error(source: &Arc<Source>, name: Option<&str>, span: Span, problem: impl Into<String>) -> Error {
    Error { name: name.map(str::to_owned), problem: problem.into(), source_text: source.clone(), span }
}

fn rule(source: &Arc<Source>, item: &Plain) -> Result<Rule, Error> {
    let PlainValue::Map(entries) = &item.value else {
        return Err(error(source, None, item.span, "a rule is a mapping"));
    };
    let name = entries.iter().find_map(|(key, _, value)| match &value.value {
        PlainValue::Text(text) if key == "rule" => Some(text.clone()),
        _ => None,
    });
    let wrong = |span: Span, problem: String| error(source, name.as_deref(), span, problem);
    let name_text = name.clone().ok_or_else(|| wrong(item.span, "it has no name: `rule: …`".to_owned()))?;
    let mut rule = Rule {
        name: name_text,
        why: String::new(),
        with: Vec::new(),
        always: false,
        when: Vec::new(),
        feature: None,
        keep: Vec::new(),
        off: Vec::new(),
        unless: None,
        wait: Vec::new(),
        wait_for: Vec::new(),
        implicit: None,
        files: Vec::new(),
        narrows: Vec::new(),
        span: item.span,
    };
    for (key, span, value) in entries {
        let texts = match &value.value {
            PlainValue::Text(text) => vec![(text.as_str(), value.span)],
            PlainValue::List(items) => items
                .iter()
                .map(|item| match &item.value {
                    PlainValue::Text(text) => Ok((text.as_str(), item.span)),
                    _ => Err(wrong(item.span, format!("`{key}` takes texts"))),
                })
                .collect::<Result<_, _>>()?,
            _ => return Err(wrong(value.span, format!("`{key}` takes texts"))),
        };
        let one = || match texts.as_slice() {
            [(text, _)] => Ok((*text).to_owned()),
            _ => Err(wrong(value.span, format!("`{key}` takes one text"))),
        };
        let patterns = || -> Result<Vec<Pattern>, Error> {
            let parse = |(text, span): &(&str, Span)| {
                let pattern = Pattern::parse(text).filter(|_| text.starts_with('/'));
                pattern.ok_or_else(|| wrong(*span, format!("`{text}` is no pattern of absolute paths")))
            };
            texts.iter().map(parse).collect()
        };
        match key.as_str() {
            "rule" => {}
            "why" => rule.why = one()?,
            "with" if texts.len() == 1 && texts[0].0 == "always" => rule.always = true,
            "with" => rule.with = texts.iter().map(|(text, _)| (*text).to_owned()).collect(),
            "when" => rule.when = patterns()?,
            "feature" => rule.feature = Some(one()?),
            "keep" => {
                patterns()?;
                rule.keep = texts.iter().map(|(text, _)| (*text).to_owned()).collect();
            }
            "off" => rule.off = patterns()?,
            "unless" => rule.unless = Some(one()?),
            "wait" => rule.wait = patterns()?,
            "for" => rule.wait_for = patterns()?,
            "implicit" => rule.implicit = Some(one()?),
            "files" => rule.files = patterns()?,
            "narrows" => rule.narrows = patterns()?,
            _ => return Err(wrong(*span, format!("there is no key `{key}`"))),
        }
    }
    let problem = if rule.why.is_empty() {
        Some("it does not say why: `why: …`")
    } else if rule.implicit.is_some() && rule.with.is_empty() && !rule.always {
        Some("`implicit` goes with a package: `with: …`")
    } else if rule.wait.is_empty() != rule.wait_for.is_empty() {
        Some("`wait` and `for` go together")
    } else if rule.keep.is_empty() && rule.off.is_empty() && rule.wait.is_empty() && rule.implicit.is_none() {
        Some("it keeps nothing: add `keep`, `off`, `wait` or `implicit`")
    } else if !rule.keep.is_empty() && rule.with.is_empty() && rule.when.is_empty() && rule.feature.is_none() {
        Some("`keep` needs a condition: `with`, `when` or `feature`")
    } else {
        None
    };
    match problem {
        Some(problem) => Err(wrong(item.span, problem.to_owned())),
        None => Ok(rule),
    }
}

#[cfg(test)]
mod tests;
