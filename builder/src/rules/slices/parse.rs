//! Reads definitions of slices, as chisel's releases have them.

use std::sync::Arc;

use super::{Content, ContentKind, Essential, Name, Package, Slice, Slices};
use crate::diag::{Diagnose, Label, Problems, Source, Span};
use crate::spec::{Plain, PlainValue, read_plain};

/// The formats that are read.
const FORMATS: [&str; 4] = ["v1", "v2", "v3", "chisel-v1"];

/// A mistake in a definition.
#[derive(Debug, thiserror::Error)]
#[error("cannot read slices `{}`: {problem}", source_text.locate(*span).0.name)]
pub struct Mistake {
    source_text: Arc<Source>,
    span: Span,
    problem: String,
}

impl Diagnose for Mistake {
    fn code(&self) -> &'static str {
        "slices::definition"
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label { source: self.source_text.clone(), span: self.span, text: String::new() }]
    }
}

/// Parses the definitions of a directory: a release's `chisel.yaml`, whose format must be known, and one file per
/// package.
///
/// # Errors
/// All mistakes of the first file that has any.
pub fn parse(sources: &[Arc<Source>]) -> Result<Slices, Problems> {
    let mut slices = Slices::default();
    for source in sources {
        let root = read_plain("slices", source)?;
        let mut reader = Reader { source, mistakes: Vec::new() };
        let file = source.name.rsplit('/').next().unwrap_or_default();
        if file == "chisel.yaml" {
            reader.release(&root);
        } else {
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            let (name, package) = reader.package(&root, stem);
            if let Some(other) = slices.packages.get(&name) {
                let problem = format!("`{}` has slices of `{name}` already", other.file);
                reader.wrong(root.span, problem);
            }
            slices.packages.insert(name, package);
        }
        let mistakes = reader.mistakes.into_iter().map(|mistake| Box::new(mistake) as Box<dyn Diagnose>);
        if let Some(problems) = Problems::from_vec(mistakes.collect()) {
            return Err(problems);
        }
    }
    Ok(slices)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Span, problem: String) {
        self.mistakes.push(Mistake { source_text: self.source.clone(), span, problem });
    }

    fn release(&mut self, root: &Plain) {
        let format = self.map(root).iter().find(|(key, ..)| key == "format").map(|(_, _, value)| value.clone());
        match format.as_ref().map(|value| (value.span, text(value))) {
            Some((_, Some(format))) if FORMATS.contains(&format.as_str()) => {}
            Some((span, format)) => {
                let format = format.unwrap_or_default();
                self.wrong(span, format!("format `{format}` is not known, only v1 to v3"));
            }
            None => self.wrong(root.span, "it says no `format`".to_owned()),
        }
    }

    fn map<'v>(&mut self, value: &'v Plain) -> &'v [(String, Span, Plain)] {
        match &value.value {
            PlainValue::Map(entries) => entries,
            PlainValue::Null => &[],
            _ => {
                self.wrong(value.span, "this is to be a mapping".to_owned());
                &[]
            }
        }
    }

    fn package(&mut self, root: &Plain, stem: &str) -> (String, Package) {
        let mut package = Package { file: self.source.name.clone(), ..Package::default() };
        let mut named = None;
        for (key, span, value) in self.map(root) {
            match key.as_str() {
                "package" => named = Some((value.span, text(value).unwrap_or_default())),
                // Where it comes from is the lock's to say.
                "archive" => {}
                "essential" | "v3-essential" => package.essential.extend(self.essential(value)),
                "slices" => {
                    for (name, span, value) in self.map(value) {
                        if !Name::is_slice(name) {
                            self.wrong(*span, format!("`{name}` is no name of a slice"));
                        }
                        let slice = self.slice(value);
                        package.slices.insert(name.clone(), slice);
                    }
                }
                other => self.wrong(*span, format!("`{other}` is no key of a package's slices")),
            }
        }
        match named {
            Some((_, name)) if name == stem => {}
            Some((span, name)) => self.wrong(span, format!("the file is named for `{stem}`, and the package `{name}`")),
            None => self.wrong(root.span, "it names no `package`".to_owned()),
        }
        (stem.to_owned(), package)
    }

    fn slice(&mut self, root: &Plain) -> Slice {
        let mut slice = Slice::default();
        for (key, span, value) in self.map(root) {
            match key.as_str() {
                "essential" | "v3-essential" => slice.essential.extend(self.essential(value)),
                "contents" => {
                    for (path, span, value) in self.map(value) {
                        if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
                            self.wrong(*span, format!("`{path}` is no absolute path"));
                            continue;
                        }
                        let content = self.content(path, *span, value);
                        slice.contents.insert(path.clone(), content);
                    }
                }
                "mutate" => slice.mutate = text(value),
                "hint" => {}
                // One definition of a release has it, and chisel takes no notice.
                "content" => {}
                other => self.wrong(*span, format!("`{other}` is no key of a slice")),
            }
        }
        slice
    }

    fn content(&mut self, path: &str, span: Span, root: &Plain) -> Content {
        let mut content = Content::default();
        let mut kinds = Vec::new();
        for (key, span, value) in self.map(root) {
            let said = text(value);
            match (key.as_str(), said) {
                ("arch", _) => content.arch = self.words(value),
                ("copy", Some(from)) => kinds.push(ContentKind::Copy(from)),
                ("symlink", Some(target)) => kinds.push(ContentKind::Symlink(target)),
                ("text", Some(text)) => kinds.push(ContentKind::Text(text)),
                ("text", None) if value.value == PlainValue::Null => kinds.push(ContentKind::Text(String::new())),
                ("make", Some(word)) if word == "true" => kinds.push(ContentKind::Make),
                ("make", Some(word)) if word == "false" => {}
                ("generate", Some(what)) => kinds.push(ContentKind::Generate(what)),
                ("mutable", Some(word)) => content.mutable = word == "true",
                ("until", Some(word)) if word == "mutate" => content.until_mutate = true,
                ("prefer", Some(package)) => content.prefer = Some(package),
                // YAML 1.1, which chisel reads, takes a leading zero for octal.
                ("mode", Some(mode)) => {
                    let digits = mode.strip_prefix("0o").or_else(|| mode.strip_prefix('0'));
                    let bits = match digits {
                        Some(digits) => u32::from_str_radix(digits, 8),
                        None => mode.parse(),
                    };
                    match bits {
                        Ok(bits) if bits <= 0o7777 => content.mode = Some(bits),
                        _ => self.wrong(value.span, format!("`{mode}` is no mode")),
                    }
                }
                (other, _) => self.wrong(*span, format!("`{other}` is no key of a content, or has no such value")),
            }
        }
        if kinds.len() > 1 {
            self.wrong(span, format!("`{path}` is said to be several things"));
        }
        content.kind = kinds.pop().unwrap_or_default();
        let made = !matches!(content.kind, ContentKind::Shipped | ContentKind::Generate(_));
        if made && super::is_glob(path) {
            self.wrong(span, format!("`{path}` is a glob, and nothing can be made there"));
        }
        if content.kind == ContentKind::Make && !path.ends_with('/') {
            self.wrong(span, format!("`{path}` is to be made, and no directory: those end in a slash"));
        }
        content
    }

    /// Reads a list of names (v1, v2), or a mapping of names with what limits each (v3).
    fn essential(&mut self, value: &Plain) -> Vec<Essential> {
        let mut all = Vec::new();
        match &value.value {
            PlainValue::List(items) => {
                for item in items {
                    all.extend(self.needed(item.span, &text(item).unwrap_or_default(), Vec::new()));
                }
            }
            PlainValue::Map(entries) => {
                for (name, span, value) in entries {
                    let mut arch = Vec::new();
                    for (key, span, value) in self.map(value) {
                        match key.as_str() {
                            "arch" => arch = self.words(value),
                            other => self.wrong(*span, format!("`{other}` limits no essential slice")),
                        }
                    }
                    all.extend(self.needed(*span, name, arch));
                }
            }
            PlainValue::Null => {}
            _ => self.wrong(value.span, "this is to be a list or a mapping of slices".to_owned()),
        }
        all
    }

    fn needed(&mut self, span: Span, name: &str, arch: Vec<String>) -> Option<Essential> {
        let slice = Name::parse(name);
        if slice.is_none() {
            self.wrong(span, format!("`{name}` is no slice: those are named PACKAGE_SLICE"));
        }
        Some(Essential { slice: slice?, arch })
    }

    /// Reads a word or a list of words.
    fn words(&mut self, value: &Plain) -> Vec<String> {
        let words: Vec<String> = match &value.value {
            PlainValue::List(items) => items.iter().filter_map(text).collect(),
            _ => text(value).into_iter().collect(),
        };
        if words.is_empty() {
            self.wrong(value.span, "this is to be a word or a list of words".to_owned());
        }
        words
    }
}

/// Returns a scalar as it is written.
fn text(value: &Plain) -> Option<String> {
    match &value.value {
        PlainValue::Text(text) | PlainValue::Scalar(text) => Some(text.clone()),
        _ => None,
    }
}
