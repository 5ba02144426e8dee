//! One tree from a spec, from what it extends, and from one of its variants.
//!
//! Maps merge, lists append, everything else is replaced, and `null` removes. A command line (`entrypoint`, `cmd`) is
//! one value: it is replaced, since half of two commands is none. `name` is a file's own and never inherited. A variant
//! is a part that is laid over the spec in the same way; where two files give one variant, their parts are put together
//! and keep their `null`s, which remove from the spec and not from the other part.
//!
//! A path stands for a place beside the file that says it: here the paths of a file in a directory below are rewritten
//! to the spec's directory, so that nobody behind this room knows of other files. Nothing above the spec's directory is
//! ever read; so a spec extends what stands beside it or below.

use super::error::{Error, Report, nearest};
use super::form::{BASE, DEB, LOCAL};
use super::lower::local;
use super::node::{self, Key, Node, Value};
use super::shape::{self, Shape};
use super::{ReadFile, table};
use crate::diag::{Source, Span};

/// The most specs that extend each other in a row.
const MAX_CHAIN: usize = 16;

/// Command lines: lists that are replaced.
const COMMANDS: &[&str] = &["entrypoint", "cmd"];

/// What is a file's own.
const OWN: &[&str] = &["name", "extends"];

/// Returns the tree of everything that `root` says, with what it extends and `variant`, each part held against the
/// table of the language; mistakes go to `report`.
pub(super) fn whole(root: Node, variant: Option<&str>, read: ReadFile<'_>, report: &mut Report) -> Node {
    let name = report.source().name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut tree = Chain { read, report: &mut *report, files: vec![name] }.tree(root, "");
    if let Some(name) = variant {
        tree = with_variant(tree, name, report);
    }
    tree
}

fn with_variant(tree: Node, name: &str, report: &mut Report) -> Node {
    let variants = tree.get("variants");
    let Some(part) = variants.and_then(|variants| variants.get(name)).cloned() else {
        let entries = variants.map(Node::entries).unwrap_or_default();
        let names: Vec<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
        let span = variants.map(|node| node.span).unwrap_or_default();
        let problem = report.add(Error::NoVariant, span, format!("there is no variant `{name}`"));
        match nearest(name, names.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if names.is_empty() => problem.hint("the spec has no `variants`"),
            None => problem.hint(format!("variants: {}", names.join(", "))),
        };
        return tree;
    };
    let tree = merge(tree, part, false);
    check_sum(&tree, report);
    tree
}

/// Checks that nothing is missing in a sum of parts; where parts are wrong themselves, that has been said.
fn check_sum(tree: &Node, report: &mut Report) {
    if report.is_empty() {
        shape::check_sum(tree, &table::SPEC, report);
    }
}

/// Files that extend each other.
struct Chain<'a> {
    read: ReadFile<'a>,
    report: &'a mut Report,
    /// Paths from the spec's directory, the spec itself first.
    files: Vec<String>,
}

impl Chain<'_> {
    /// Returns the tree of a file that stands in `directory`, with what it extends beneath it.
    fn tree(&mut self, mut root: Node, directory: &str) -> Node {
        let extends = local(root.get("extends"));
        match extends {
            None => shape::check(&root, &Shape::Map(&table::SPEC), &table::SPEC, self.report),
            Some(_) => shape::check_part(&root, &table::SPEC, self.report),
        }
        if !directory.is_empty() {
            rebase(&mut root, &Shape::Map(&table::SPEC), directory);
        }
        let Some(extends) = extends else { return root };
        let path = beside(directory, &extends.value);
        let Some(base) = self.file(&path, extends.span) else { return root };
        let tree = merge(base, root, false);
        check_sum(&tree, self.report);
        tree
    }

    /// Reads a file that is extended at `span`, without what is its own.
    fn file(&mut self, path: &str, span: Span) -> Option<Node> {
        if let Some(at) = self.files.iter().position(|known| known == path) {
            let circle = [&self.files[at..], &[path.to_owned()]].concat().join("` extends `");
            let problem = self.report.add(Error::Extends, span, "specs extend each other in a circle");
            problem.label(format!("`{circle}`")).hint("move what they share into a spec that extends none of them");
            return None;
        }
        if self.files.len() > MAX_CHAIN {
            self.report.add(Error::Limit, span, format!("more than {MAX_CHAIN} specs extend each other"));
            return None;
        }
        let text = match (self.read)(path) {
            Ok(text) => text,
            Err(problem) => {
                self.report
                    .add(Error::Extends, span, format!("it extends `{path}`, which cannot be read"))
                    .label(problem);
                return None;
            }
        };
        let shown = beside(self.report.source().name.rsplit_once('/').map_or("", |(parent, _)| parent), path);
        let mut own = Report::new(&Source::new(shown, text));
        let root = node::parse(&mut own);
        let base = self.report.absorb(own);
        let mut root = root?;
        root.shift(base);
        self.files.push(path.to_owned());
        let mut tree = self.tree(root, path.rsplit_once('/').map_or("", |(parent, _)| parent));
        self.files.pop();
        if let Value::Map(entries) = &mut tree.value {
            entries.retain(|(key, _)| !OWN.contains(&key.text.as_str()));
        }
        Some(tree)
    }
}

/// Returns a path beside others of a directory.
fn beside(directory: &str, path: &str) -> String {
    if directory.is_empty() { path.to_owned() } else { format!("{directory}/{path}") }
}

/// Returns `over` laid over `under`. With `part`, both are parts, and the sum keeps its `null`s.
fn merge(under: Node, over: Node, part: bool) -> Node {
    match (under.value, over.value) {
        (Value::Map(under), Value::Map(over_entries)) => {
            Node { span: over.span, value: Value::Map(merge_maps(under, over_entries, part)) }
        }
        (Value::List(mut under), Value::List(items)) => {
            under.extend(items);
            Node { span: over.span, value: Value::List(under) }
        }
        (_, value) => Node { span: over.span, value },
    }
}

fn merge_maps(mut under: Vec<(Key, Node)>, over: Vec<(Key, Node)>, part: bool) -> Vec<(Key, Node)> {
    for (key, node) in over {
        let known = under.iter().position(|(known, _)| known.text == key.text);
        let node = match known {
            Some(at) if !COMMANDS.contains(&key.text.as_str()) && node.value != Value::Null => {
                let (_, below) = under.remove(at);
                let node = if key.text == "variants" { merge_variants(below, node) } else { merge(below, node, part) };
                under.insert(at, (key, node));
                continue;
            }
            _ => node,
        };
        if let Some(at) = known {
            under.remove(at);
        }
        if node.value != Value::Null || part {
            let node = if part || key.text == "variants" { node } else { without_nulls(node) };
            under.push((key, node));
        }
    }
    under
}

/// Variants of one name are parts that are put together; `null` for one removes it.
fn merge_variants(under: Node, over: Node) -> Node {
    let (span, Value::Map(mut all), Value::Map(entries)) = (over.span, under.value, over.value.clone()) else {
        return over;
    };
    for (key, node) in entries {
        let known = all.iter().position(|(known, _)| known.text == key.text).map(|at| all.remove(at).1);
        match known {
            Some(below) if node.value != Value::Null => all.push((key, merge(below, node, true))),
            _ if node.value == Value::Null => {}
            _ => all.push((key, node)),
        }
    }
    Node { span, value: Value::Map(all) }
}

/// Takes out what removes something that is not there.
fn without_nulls(mut node: Node) -> Node {
    if let Value::Map(entries) = &mut node.value {
        let kept = std::mem::take(entries).into_iter().filter(|(_, node)| node.value != Value::Null);
        *entries = kept.map(|(key, node)| (key, without_nulls(node))).collect();
    }
    node
}

/// Rewrites the paths of a file in `directory` as paths from the spec's directory.
fn rebase(node: &mut Node, shape: &Shape, directory: &str) {
    match (shape, &mut node.value) {
        (Shape::Text(form), Value::Text(text)) if (form.valid)(text) => {
            if form.pattern == LOCAL.pattern || form.pattern == DEB.pattern {
                let bare = text.strip_prefix("./").unwrap_or(text);
                *text = if bare == "." { format!("{directory}/") } else { beside(directory, bare) };
            } else if form.pattern == BASE.pattern
                && let Some((transport @ ("oci" | "oci-archive"), path)) = text.split_once(':')
                && !path.starts_with('/')
            {
                *text = format!("{transport}:{}", beside(directory, path.strip_prefix("./").unwrap_or(path)));
            }
        }
        (Shape::OrNull(inner), _) => rebase(node, inner, directory),
        (Shape::List(inner) | Shape::Some(inner), Value::List(items)) => {
            items.iter_mut().for_each(|item| rebase(item, inner, directory));
        }
        (Shape::Map(fields), Value::Map(entries)) => rebase_map(entries, fields, directory),
        (Shape::Tagged(kinds), Value::Map(entries)) => {
            let tag = kinds.iter().find(|(tag, _)| entries.iter().any(|(key, _)| key.text == *tag));
            if let Some((_, fields)) = tag {
                rebase_map(entries, fields, directory);
            }
        }
        (Shape::Free(_, inner) | Shape::Partial(_, inner), Value::Map(entries)) => {
            entries.iter_mut().for_each(|(_, node)| rebase(node, inner, directory));
        }
        (Shape::Either(shapes), _) => {
            let fitting = shapes.iter().find(|shape| shape::fits(&node.value, shape));
            if let Some(shape) = fitting {
                rebase(node, shape, directory);
            }
        }
        _ => {}
    }
}

fn rebase_map(entries: &mut [(Key, Node)], fields: &'static shape::Fields, directory: &str) {
    for (key, node) in entries {
        // What a file extends is read by that file.
        let field = fields.keys.iter().find(|field| field.name == key.text && field.name != "extends");
        if let Some(field) = field {
            rebase(node, &field.shape, directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FileSource, Spec};
    use super::*;

    const COMMON: &str = "version: 1\nname: common\ndistro: debian/13\npackages: [ca-certificates]\n\
                          files:\n  - {copy: conf/, to: /etc/app}\n\
                          run:\n  env: {A: a, B: b}\n  entrypoint: [/bin/common]\n\
                          variants:\n  debug: {packages: [strace], run: {env: {B: null}}}\n";

    fn load(files: &[(&str, &str)], variant: Option<&str>) -> Result<Spec, String> {
        let read = |path: &str| {
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "there is none".to_owned())
        };
        Spec::load(&Source::new("specs/web.yaml", files[0].1), "web", variant, &read).map_err(|problems| {
            let told = problems.iter().map(|problem| {
                let labels: Vec<String> = problem
                    .labels()
                    .iter()
                    .map(|label| {
                        let label = label.located();
                        let text = &label.source.text[label.span.start..label.span.end];
                        format!("\n  {}: `{text}` {}", label.source.name, label.text).trim_end().to_owned()
                    })
                    .collect();
                format!("{} {problem}{}", problem.code(), labels.concat())
            });
            told.collect::<Vec<_>>().join("\n")
        })
    }

    fn names(spec: &Spec) -> Vec<&str> {
        spec.packages.iter().map(|package| package.value.name.as_str()).collect()
    }

    #[test]
    fn maps_merge_lists_append_null_removes() {
        let web = "version: 1\nextends: ./base/common.yaml\npackages: [nginx]\n\
                   run: {env: {A: null, C: c}, entrypoint: [/bin/web]}\n";
        let files = [("web.yaml", web), ("base/common.yaml", COMMON)];
        let spec = load(&files, None).unwrap();
        assert_eq!(spec.name, "web");
        assert_eq!(names(&spec), ["ca-certificates", "nginx"]);
        assert_eq!(spec.run.entrypoint, ["/bin/web"]);
        let env: Vec<&str> = spec.run.env.keys().map(String::as_str).collect();
        assert_eq!(env, ["B", "C", "PATH"]);
        assert!(matches!(&spec.files[0].value.what, FileSource::Copy { path, .. } if path == "base/conf"));

        // The digest is of what the spec says as a whole, however it is cut into files.
        let whole = "version: 1\ndistro: debian/13\npackages: [ca-certificates, nginx]\n\
                     files:\n  - {copy: base/conf/, to: /etc/app}\n\
                     run: {env: {B: b, C: c}, entrypoint: [/bin/web]}\n";
        assert_eq!(spec.digest, load(&[("web.yaml", whole)], None).unwrap().digest);
    }

    #[test]
    fn a_variant_is_laid_over_the_spec() {
        let web = "version: 1\nextends: common.yaml\npackages: [nginx]\n\
                   variants:\n  debug: {packages: [gdb], run: {entrypoint: [/bin/sh]}}\n  test: {keep: all}\n";
        let files = [("web.yaml", web), ("common.yaml", COMMON)];
        let base = load(&files, None).unwrap();
        assert_eq!(
            (base.image_name().as_str(), &*base.variants),
            ("web", &["debug".to_owned(), "test".to_owned()][..])
        );
        let debug = load(&files, Some("debug")).unwrap();
        assert_eq!(names(&debug), ["ca-certificates", "nginx", "strace", "gdb"]);
        assert_eq!(debug.image_name(), "web-debug");
        assert!(!debug.run.env.contains_key("B") && base.run.env.contains_key("B"));
        assert_eq!(debug.run.entrypoint, ["/bin/sh"]);
        assert_ne!(base.digest, debug.digest);
        let other = web.replace("test: {keep: all}", "test: {keep: runtime}");
        assert_eq!(load(&[("web.yaml", &other), files[1]], None).unwrap().digest, base.digest);
        insta::assert_snapshot!(load(&files, Some("debgu")).unwrap_err(), @r"
        spec::no-variant cannot read spec `specs/web.yaml`: there is no variant `debgu`
          specs/web.yaml: `debug: {packages: [gdb], run: {entrypoint: [/bin/sh]}}
          test: {keep: all}`
        ");
    }

    #[test]
    fn a_merged_spec_stands_for_itself_and_has_the_same_digest() {
        let web = "version: 1\nextends: base/common.yaml\npackages: [nginx, \"less >= 590\"]\n\
                   files:\n  - {text: \"<&>\\u2028\\t\\x7f\\\"é\\n\", to: /etc/motd, mode: \"0640\"}\n\
                   labels: {a: \"1.0\", b: \"yes\"}\n\
                   variants:\n  debug: {packages: [gdb], base: null, keep: all}\n  test: {keep: all}\n";
        let files = [("web.yaml", web), ("base/common.yaml", COMMON)];
        for variant in [None, Some("debug")] {
            let spec = load(&files, variant).unwrap();
            let merged = spec.merged();
            let again = load(&[("other.yaml", merged.as_str())], None).unwrap();
            assert_eq!((again.digest, again.name.clone()), (spec.digest, spec.image_name()), "{merged}");
            assert_eq!(again.merged(), merged);
            assert!(again.variants.is_empty() && !merged.contains("extends"));
            assert!(matches!(&again.files[0].value.what, FileSource::Copy { path, .. } if path == "base/conf"));
            assert_eq!(again.files[1].value.what, spec.files[1].value.what);
        }
    }

    #[test]
    fn mistakes_point_into_the_file_that_makes_them() {
        let web = "version: 1\nextends: common.yaml\npackages: [nginx, ca-certificates]\nrun: {user: wbe}\n";
        let common = COMMON.replace("/bin/common", "/bin/c, 8080").replace("strace", "X");
        insta::assert_snapshot!(load(&[("web.yaml", web), ("common.yaml", &common)], None).unwrap_err(), @r"
        spec::conflict cannot read spec `specs/web.yaml`: package `ca-certificates` is given twice
          specs/web.yaml: `ca-certificates` again here
          specs/common.yaml: `ca-certificates` first here
        spec::ambiguous-scalar cannot read spec `specs/common.yaml`: `8080` is a number to YAML, not a text
          specs/common.yaml: `8080` expected a text
        spec::value cannot read spec `specs/common.yaml`: `X` is not a package: a name, perhaps with a relation and a version, or with a slice, or `!name`
          specs/common.yaml: `X` expected a package: a name, perhaps with a relation and a version, or with a slice, or `!name`
        ");
    }

    #[test]
    fn what_cannot_be_extended_is_refused_where_it_is_named() {
        let a = "version: 1\nextends: b.yaml\n";
        let b = "version: 1\nextends: ./web.yaml\n";
        insta::assert_snapshot!(load(&[("web.yaml", a), ("b.yaml", b)], None).unwrap_err(), @r"
        spec::extends cannot read spec `specs/b.yaml`: specs extend each other in a circle
          specs/b.yaml: `./web.yaml` `web.yaml` extends `b.yaml` extends `web.yaml`
        ");
        insta::assert_snapshot!(load(&[("web.yaml", a)], None).unwrap_err(), @r"
        spec::extends cannot read spec `specs/web.yaml`: it extends `b.yaml`, which cannot be read
          specs/web.yaml: `b.yaml` there is none
        ");
        insta::assert_snapshot!(load(&[("web.yaml", a), ("b.yaml", "version: [\n")], None).unwrap_err(), @r"
        spec::syntax cannot read spec `specs/b.yaml`: while parsing a node, did not find expected node content
          specs/b.yaml: `` here
        ");
        let up = "version: 1\nextends: ../b.yaml\n";
        insta::assert_snapshot!(load(&[("web.yaml", up)], None).unwrap_err(), @r"
        spec::value cannot read spec `specs/web.yaml`: `../b.yaml` is not a path beneath the spec's directory, relative and without `..`
          specs/web.yaml: `../b.yaml` expected a path beneath the spec's directory, relative and without `..`
        ");
        let long: Vec<(String, String)> =
            (0..40).map(|n| (format!("{n}.yaml"), format!("version: 1\nextends: {}.yaml\n", n + 1))).collect();
        let mut files: Vec<(&str, &str)> = vec![("web.yaml", "version: 1\nextends: 0.yaml\n")];
        files.extend(long.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        insta::assert_snapshot!(load(&files, None).unwrap_err(), @r"
        spec::limit cannot read spec `specs/15.yaml`: more than 16 specs extend each other
          specs/15.yaml: `16.yaml`
        ");
    }

    #[test]
    fn a_sum_needs_what_a_whole_spec_needs() {
        let web = "version: 1\nextends: b.yaml\narchives: {acme: {suite: stable}}\n";
        let b = "version: 1\narchives: {acme: {uri: \"file:/x\", suite: s, components: [main], signed-by: k.asc}}\n";
        let spec = load(&[("web.yaml", web), ("b.yaml", b)], None).unwrap();
        assert_eq!(spec.archives["acme"].suite, "stable");
        insta::assert_snapshot!(load(&[("web.yaml", web), ("b.yaml", "version: 1\n")], None).unwrap_err(), @r"
        spec::missing-key cannot read spec `specs/web.yaml`: an archive needs the key `uri`
          specs/web.yaml: `{suite: stable}` `uri` is missing
        spec::missing-key cannot read spec `specs/web.yaml`: an archive needs the key `signed-by`
          specs/web.yaml: `{suite: stable}` `signed-by` is missing
        ");
        insta::assert_snapshot!(load(&[("web.yaml", "extends: b.yaml\n"), ("b.yaml", b)], None).unwrap_err(), @r"
        spec::missing-key cannot read spec `specs/web.yaml`: a spec needs the key `version`
          specs/web.yaml: `extends: b.yaml` `version` is missing
        ");
    }
}
