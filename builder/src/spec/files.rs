//! `files` of a spec: where each entry goes, and what its parts say together.
//!
//! `copy: a/b` places `b` itself, file or directory; `copy: a/b/` places what the directory `a/b` holds. A trailing
//! slash of `to` means "into that directory": `copy: a/b`, `to: /x/` makes `/x/b`. So no disk is needed to say where
//! a source goes: a directory's content always goes below [`FileEntry::to`].

use std::collections::BTreeMap;

use super::error::{Error, Report};
use super::form;
use super::lower::{image_path, local, number, texts, twice};
use super::node::Node;
use super::{Component, FileEntry, FileSource, Spanned};
use crate::diag::Span;
use crate::digest::Digest;
use crate::tree::ImagePath;

/// Returns the entries of `files`; mistakes go to `report`.
pub(super) fn files(root: &Node, report: &mut Report) -> Vec<Spanned<FileEntry>> {
    let mut all = Vec::new();
    let mut taken: BTreeMap<ImagePath, Span> = BTreeMap::new();
    for node in root.get("files").map(Node::items).unwrap_or_default() {
        let Some((what, to)) = entry(node, report) else { continue };
        let single = match &what {
            FileSource::Text(_) | FileSource::Symlink(_) | FileSource::Directory => true,
            FileSource::Fetch { unpack, .. } => !unpack,
            FileSource::Copy { .. } => false,
        };
        if single {
            let place = node.get("to").or_else(|| node.get("dir")).or_else(|| node.get("symlink"));
            let span = place.map_or(node.span, |node| node.span);
            match taken.get(&to) {
                Some(first) => twice(report, span, *first, &format!("path `{to}`")),
                None => drop(taken.insert(to.clone(), span)),
            }
        }
        let value = FileEntry {
            what,
            to,
            owner: owner(node.get("owner"), report),
            group: owner(node.get("group"), report),
            mode: node.get("mode").and_then(Node::text).and_then(form::parse_mode),
            component: component(node.get("component"), report),
        };
        all.push(Spanned { value, span: node.span });
    }
    all
}

fn component(node: Option<&Node>, report: &mut Report) -> Option<Component> {
    if let Some(license) = node.and_then(|node| node.get("license"))
        && let Some(text) = license.text()
        && crate::license::read_spdx(text).is_none()
    {
        report
            .add_unless_known(Error::Value, license.span, format!("`{text}` is no SPDX licence expression"))
            .hint("a licence of your own is named `LicenseRef-…`");
    }
    let text = |name: &str| node.and_then(|node| node.get(name)?.text()).map(str::to_owned);
    Some(Component {
        name: text("name")?,
        version: text("version")?,
        license: text("license"),
        supplier: text("supplier"),
    })
}

/// Returns what an entry writes and where; `None` where its shape is wrong, which has been reported.
fn entry(node: &Node, report: &mut Report) -> Option<(FileSource, ImagePath)> {
    if let Some(source) = node.get("copy") {
        let path = local(Some(source))?.value;
        let whole = source.text()?.ends_with('/') || path == ".";
        let include = globs(node, "include", report);
        let exclude = globs(node, "exclude", report);
        let own_name = if whole { None } else { path.rsplit('/').next() };
        let to = destination(node, own_name, true, report)?;
        return Some((FileSource::Copy { path, include, exclude }, to));
    }
    if let Some(url) = node.get("fetch") {
        let url = url.text()?;
        let digest = Digest::from_hex(node.get("sha256")?.text()?).ok()?;
        let unpack = node.get("unpack").and_then(Node::bool).unwrap_or(false);
        let strip = number(node.get("strip")).unwrap_or(0);
        if !unpack && let Some(strip) = node.get("strip") {
            report
                .add(Error::Conflict, strip.span, "`strip` means nothing without `unpack: true`")
                .hint("add `unpack: true`, or remove `strip`");
        }
        if unpack && let Some(mode) = node.get("mode") {
            report
                .add(Error::Conflict, mode.span, "`mode` and `unpack` exclude each other")
                .label("an unpacked file keeps its own mode")
                .hint("remove `mode`");
        }
        let path = url.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().filter(|name| !name.is_empty());
        let to = destination(node, if unpack { None } else { name }, unpack, report)?;
        return Some((FileSource::Fetch { url: url.to_owned(), digest, unpack, strip }, to));
    }
    if let Some(text) = node.get("text") {
        let text = text.text()?.to_owned();
        return Some((FileSource::Text(text), destination(node, None, false, report)?));
    }
    if let Some(dir) = node.get("dir") {
        return Some((FileSource::Directory, image_path(Some(dir), report)?));
    }
    let link = node.get("symlink")?;
    let target = node.get("target")?.text()?.to_owned();
    if link.text()?.ends_with('/') {
        report
            .add_unless_known(Error::Value, link.span, "a link needs a name")
            .label("this names a directory")
            .hint("remove the trailing slash");
    }
    Some((FileSource::Symlink(target), image_path(Some(link), report)?))
}

/// Returns `to`; with a trailing slash, `own_name` below it. `directory` says whether an entry without a name of its
/// own may go to a directory.
fn destination(node: &Node, own_name: Option<&str>, directory: bool, report: &mut Report) -> Option<ImagePath> {
    let to = node.get("to")?;
    let path = image_path(Some(to), report)?;
    if !to.text()?.ends_with('/') {
        return Some(path);
    }
    match own_name {
        Some(name) => match path.join(name) {
            Ok(path) => Some(path),
            Err(error) => {
                report.add_unless_known(Error::Value, to.span, error.to_string());
                None
            }
        },
        None if directory => Some(path),
        None => {
            report
                .add(Error::Value, to.span, format!("`{path}` is a directory, and the file has no name"))
                .label("expected a path that ends in a file name")
                .hint(format!("write `to: {}/NAME`", path.to_string().trim_end_matches('/')));
            None
        }
    }
}

fn globs(node: &Node, key: &str, report: &mut Report) -> Vec<String> {
    for glob in node.get(key).map(Node::items).unwrap_or_default() {
        if let Some(text) = glob.text()
            && let Err(error) = globset::Glob::new(text)
        {
            report.add_unless_known(Error::Value, glob.span, format!("`{text}` is no glob: {}", error.kind()));
        }
    }
    texts(node.get(key))
}

fn owner(node: Option<&Node>, report: &mut Report) -> Option<String> {
    let node = node?;
    if let Some(number) = node.int() {
        return Some(number.to_string());
    }
    let text = node.text()?;
    if text.starts_with(|first: char| first.is_ascii_digit())
        && !text.parse::<i64>().is_ok_and(|id| id <= super::table::MAX_ID)
    {
        report.add_unless_known(Error::Value, node.span, format!("`{text}` is out of range"));
    }
    Some(text.to_owned())
}
