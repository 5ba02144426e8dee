//! dpkg's database, trimmed to what is kept, in one of its forms.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::merge::{Node, Owner, Package, Tree, What};
use super::paths;
use crate::spec::DpkgDb;
use crate::tree::{ImagePath, Meta};

/// Adds the metadata of each package that keeps something.
///
/// `status.d`: control fields and checksums in the package's own layer, with its date. `status`: lists of paths and
/// checksums likewise, and one file with the stanzas of all packages in `state`, as dpkg writes it.
pub(super) fn derive(tree: &mut Tree<'_>, form: DpkgDb, source_date: i64) -> Result<(), Error> {
    let mut files: Vec<(usize, String, String)> = Vec::new();
    let mut stanzas = String::new();
    for (number, package) in tree.packages.iter().enumerate().filter(|(_, package)| package.keeps) {
        let sums = checksums(tree, number);
        match form {
            DpkgDb::None => {}
            DpkgDb::StatusD => {
                files.push((number, format!("status.d/{}", package.name), stanza(package, None)));
                if !sums.is_empty() {
                    files.push((number, format!("status.d/{}.md5sums", package.name), sums));
                }
            }
            DpkgDb::Status => {
                stanzas.push_str(&stanza(package, Some("install ok installed")));
                stanzas.push('\n');
                let name = info_name(package);
                files.push((number, format!("info/{name}.list"), list(tree, number)));
                if !sums.is_empty() {
                    files.push((number, format!("info/{name}.md5sums"), sums));
                }
            }
        }
    }
    for (number, name, text) in files {
        let path =
            ImagePath::parse(&format!("var/lib/dpkg/{name}")).map_err(|error| Error::Local(error.to_string()))?;
        let meta = Meta::root(0o644, tree.packages[number].index.date.max(0));
        let node = Node { owner: Owner::Status(number), meta, what: What::Inline(text.into_bytes()) };
        tree.insert(path, node, None)?;
    }
    if form == DpkgDb::Status && !tree.packages.is_empty() {
        let mut derive = |path: &str, text: String| {
            tree.derive("dpkg-status", path, Meta::root(0o644, source_date), What::Inline(text.into_bytes()))
        };
        derive("var/lib/dpkg/status", stanzas)?;
        // Names in info/ have an architecture where several can be installed beside each other.
        derive("var/lib/dpkg/info/format", "1\n".to_owned())?;
    }
    Ok(())
}

/// Returns a package's control fields as a stanza; `status` stands behind the first one, as in dpkg's own file.
fn stanza(package: &Package<'_>, status: Option<&str>) -> String {
    let mut control = String::new();
    for (name, value) in &package.index.control {
        if name.eq_ignore_ascii_case("Status") {
            continue;
        }
        let mut lines = value.lines();
        let first = lines.next().unwrap_or_default();
        control.push_str(name);
        control.push(':');
        if !first.is_empty() {
            control.push(' ');
            control.push_str(first.trim_start());
        }
        control.push('\n');
        for line in lines {
            match line.chars().next() {
                Some(' ' | '\t') => {}
                Some(_) => control.push(' '),
                None => control.push_str(" ."),
            }
            control.push_str(line);
            control.push('\n');
        }
        if name.eq_ignore_ascii_case("Package")
            && let Some(status) = status
        {
            control.push_str(&format!("Status: {status}\n"));
        }
    }
    control
}

/// Returns the package's own lines of `md5sums` of what is kept, paths after the merged-/usr rewrite, sorted.
fn checksums(tree: &Tree<'_>, number: usize) -> String {
    let mut sums = BTreeMap::new();
    for (sum, path) in &tree.packages[number].index.md5sums {
        let path = paths::rewrite(path, false).unwrap_or_else(|| path.clone());
        if let Some(node) = tree.nodes.get(path.as_str())
            && node.owner == Owner::Package(number)
        {
            sums.insert(path, sum);
        }
    }
    sums.iter().map(|(path, sum)| format!("{sum}  {path}\n")).collect()
}

/// Returns the paths of a package that are kept, with the directories above them, as dpkg lists them.
fn list(tree: &Tree<'_>, number: usize) -> String {
    let mut paths: BTreeSet<ImagePath> = tree.packages[number].bare.iter().cloned().collect();
    for (path, node) in &tree.nodes {
        if node.owner == Owner::Package(number) && node.what != What::Directory {
            paths.insert(path.clone());
        }
    }
    let above: Vec<ImagePath> = paths.iter().flat_map(ImagePath::ancestors).collect();
    paths.extend(above);
    std::iter::once("/.\n".to_owned()).chain(paths.iter().map(|path| format!("{path}\n"))).collect()
}

/// Returns what a package's files in `info/` are called: with its architecture where it is `Multi-Arch: same`.
fn info_name(package: &Package<'_>) -> String {
    match package.index.field("Multi-Arch") {
        Some("same") => format!("{}:{}", package.name, package.locked.architecture),
        _ => package.name.to_owned(),
    }
}
