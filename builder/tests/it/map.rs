//! Holds the modules to the map in ARCHITECTURE.md: who may name whom, and how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The longest file in lines; past it, look for the second idea.
const MAX_LINES: usize = 600;

/// Who may name whom.
#[derive(Debug, Default, PartialEq, Eq)]
struct Map {
    /// The ground floor; each may name those before it.
    ground: Vec<String>,
    /// Stages, each with the stages whose output it reads; `None` for all.
    stages: BTreeMap<String, Option<BTreeSet<String>>>,
}

impl Map {
    /// Reads the map from the text of ARCHITECTURE.md: the first cells of the table headed `ground floor`, and the rows
    /// of the table headed `stage`.
    fn parse(text: &str) -> Self {
        let mut map = Self::default();
        let mut table = "";
        for line in text.lines() {
            let Some(row) = line.strip_prefix('|') else {
                table = "";
                continue;
            };
            let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
            let name = cells[0].trim_matches('`').to_owned();
            match (table, cells[0]) {
                ("", header) => table = header,
                (_, rule) if rule.starts_with("---") => {}
                ("ground floor", _) => map.ground.push(name),
                ("stage", _) => {
                    let reads = match cells[cells.len() - 1] {
                        "all" => None,
                        "–" => Some(BTreeSet::new()),
                        list => Some(list.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()),
                    };
                    map.stages.insert(name, reads);
                }
                _ => {}
            }
        }
        map
    }

    /// Returns what is wrong with `source` as a file of `module`, which names `named`.
    fn judge(&self, module: &str, named: &BTreeSet<String>) -> Vec<String> {
        let ground = |name: &str| self.ground.iter().position(|other| other == name);
        if ground(module).is_none() && !self.stages.contains_key(module) {
            return vec![format!("`{module}` is not in the map")];
        }
        let mut wrong = Vec::new();
        for name in named.iter().filter(|name| *name != module) {
            let allowed = match (ground(module), ground(name)) {
                (Some(own), Some(other)) => other < own,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (None, None) => match &self.stages[module] {
                    Some(reads) => reads.contains(name),
                    None => self.stages.contains_key(name),
                },
            };
            if !allowed {
                wrong.push(format!("`{module}` names `{name}`"));
            }
        }
        wrong
    }
}

/// Returns the modules of the library that a file names: `crate::x`, `crate::{x, y::z}`, `super::` as far as the root,
/// and, in the program, `tarsia::x`. Comments, text literals and `#[cfg(test)]` modules do not count.
fn named(path: &Path, text: &str) -> BTreeSet<String> {
    let code = code(text);
    let program = module(path) == "cli";
    let mut roots = vec![if program { "tarsia::".to_owned() } else { "crate::".to_owned() }];
    if !program {
        roots.push("super::".repeat(depth(path)));
    }
    let mut names = BTreeSet::new();
    for root in roots {
        for (at, _) in code.match_indices(&root) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || before == '_' || before == ':' {
                continue;
            }
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => names.extend(first_names(group)),
                None => names.extend(identifier(rest)),
            }
        }
    }
    // A macro, type or function at the root is not a module.
    names.retain(|name| name.chars().next().is_some_and(|first| first.is_lowercase()));
    names.remove("super");
    names.remove("self");
    names
}

/// Returns the first name of each member of a group in `use crate::{…}`.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut level, mut fresh) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => fresh = true,
            c if c.is_whitespace() => {}
            _ if level == 0 && fresh => {
                names.extend(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// Returns the code alone: without comments, without what stands between double quotes on one line, and without
/// modules for tests (`#[cfg(test)]` and, at the same indentation, `mod name {` to `}`).
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod ")) {
            let head = lines.next().unwrap_or_default();
            if head.trim_end().ends_with('{') {
                let end = format!("{}}}", &line[..indent]);
                lines.by_ref().find(|line| *line == end);
            }
            continue;
        }
        code.push_str(&code_of_line(line));
        code.push('\n');
    }
    code
}

fn code_of_line(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => {
                chars.next();
            }
            '\'' if !quoted && chars.peek() == Some(&'"') => {
                chars.next();
            }
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            _ if quoted => {}
            c => code.push(c),
        }
    }
    code
}

/// Returns the module that a file below `src/` belongs to; the program's own files are `cli`.
fn module(path: &Path) -> String {
    let first = path.components().next().expect("a file has a name").as_os_str().to_string_lossy().into_owned();
    match first.strip_suffix(".rs").unwrap_or(&first) {
        "main" => "cli".to_owned(),
        name => name.to_owned(),
    }
}

/// Returns how many `super::` lead from a file's top to the root of the crate.
fn depth(path: &Path) -> usize {
    let parts = path.components().count();
    if path.file_name().is_some_and(|name| name == "mod.rs") { parts - 1 } else { parts }
}

/// Returns every Rust file below `directory`, by path relative to it, sorted, with its text.
fn sources(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        #[expect(clippy::disallowed_methods, reason = "the order does not matter: what is found is sorted by path")]
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(directory).unwrap().to_owned(), text);
            }
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in a workspace")
}

/// Returns whether a file holds tests alone.
fn holds_tests(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

#[test]
fn modules_name_only_what_the_map_lets_them() {
    let map = Map::parse(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    assert!(map.ground.len() > 5 && map.stages.len() > 5, "ARCHITECTURE.md holds no map: {map:?}");
    let sources = sources(&root().join("builder/src"));
    let mut wrong = BTreeSet::new();
    let mut modules = BTreeSet::new();
    for (path, text) in &sources {
        let module = module(path);
        if module == "lib" {
            continue;
        }
        if !holds_tests(path) {
            for problem in map.judge(&module, &named(path, text)) {
                wrong.insert(format!("{}: {problem}", path.display()));
            }
        }
        modules.insert(module);
    }
    for name in map.ground.iter().chain(map.stages.keys()).filter(|name| !modules.contains(*name)) {
        wrong.insert(format!("ARCHITECTURE.md: there is no module `{name}`"));
    }
    assert!(wrong.is_empty(), "not as the map has it:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn no_file_is_too_long_to_hold_in_the_head() {
    let mut long = Vec::new();
    for directory in ["builder/src", "builder/tests", "benches"] {
        for (path, text) in sources(&root().join(directory)) {
            let lines = text.lines().count();
            if lines > MAX_LINES {
                long.push(format!("{directory}/{} has {lines} lines", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "longer than {MAX_LINES} lines:\n{}", long.join("\n"));
}

const FAKE: &str = "\
Text with `crate::words`.

| ground floor | in one sentence |
|---|---|
| `diag` | errors |
| `digest` | names |

| stage | in one sentence | reads |
|---|---|---|
| `spec` | asks | – |
| `lock` | chooses | `spec` |
| `ops` | does | all |
| `cli` | talks | `ops` |
";

/// Returns what the map in [`FAKE`] says against a file.
fn judged(path: &str, text: &str) -> Vec<String> {
    let path = Path::new(path);
    Map::parse(FAKE).judge(&module(path), &named(path, text))
}

#[test]
fn the_map_is_read_from_its_tables() {
    let map = Map::parse(FAKE);
    assert_eq!(map.ground, ["diag", "digest"]);
    assert_eq!(map.stages["spec"], Some(BTreeSet::new()));
    assert_eq!(map.stages["lock"], Some(["spec".to_owned()].into()));
    assert_eq!(map.stages["ops"], None);
}

#[test]
fn an_arrow_that_is_not_in_the_map_is_found_however_it_is_written() {
    let wrong = ["`spec` names `lock`"];
    for text in [
        "use crate::lock::Lock;",
        "fn f() -> crate::lock::Lock {}",
        "use crate::{diag, lock::Lock};",
        "use crate::{\n    digest::{Digest, DiffId},\n    lock,\n};",
        "use super::super::lock;",
        "const A: &str = \"//\"; use crate::lock;",
        "const A: char = '\"'; use crate::lock;",
        "#[cfg(test)]\nmod tests {\n    use crate::ops;\n}\nuse crate::lock;",
    ] {
        assert_eq!(judged("spec/parse.rs", text), wrong, "{text}");
    }
    assert_eq!(judged("spec/mod.rs", "use super::lock;"), wrong);
    assert_eq!(judged("spec.rs", "use super::lock;"), wrong);
    assert_eq!(judged("diag.rs", "use crate::digest::Digest;"), ["`diag` names `digest`"]);
    assert_eq!(judged("digest.rs", "use crate::spec::Spec;"), ["`digest` names `spec`"]);
    assert_eq!(judged("cli/mod.rs", "use tarsia::lock::Lock;"), ["`cli` names `lock`"]);
    assert_eq!(judged("main.rs", "use tarsia::lock::Lock;"), ["`cli` names `lock`"]);
    assert_eq!(judged("new/mod.rs", ""), ["`new` is not in the map"]);
    assert_eq!(judged("lock.rs", "use crate::elsewhere::X;"), ["`lock` names `elsewhere`"]);
}

#[test]
fn what_the_map_allows_and_what_is_no_code_pass() {
    for (path, text) in [
        ("lock/mod.rs", "use crate::{diag, spec::Spec};\nuse crate::digest::Digest;\nuse self::write::x;"),
        ("ops/build.rs", "use crate::{lock, spec};\nuse super::Error;"),
        ("spec/parse.rs", "/// Like [`crate::lock::Lock`].\nuse super::lock_words; // crate::lock"),
        ("spec/parse.rs", "const A: &str = \"crate::lock\"; use crate::spec::mine;"),
        ("spec/parse.rs", "#[cfg(test)]\nmod tests {\n    use crate::lock::Lock;\n}\n"),
        ("digest.rs", "use crate::diag::Diagnose;"),
        ("cli/mod.rs", "use tarsia::{diag, ops};\nuse crate::cli::output;"),
    ] {
        assert_eq!(judged(path, text), [""; 0], "{path}: {text}");
    }
}
