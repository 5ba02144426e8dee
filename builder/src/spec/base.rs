//! `base`: the image that a spec builds on.

use std::collections::BTreeSet;

use super::error::{Error, Report};
use super::form;
use super::node::Node;
use super::shape::not_yet;
use crate::diag::Span;

/// An image to build on: a layout or an archive beneath the spec's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// As the spec says it: `oci:./dir:tag`.
    pub text: String,
    /// Its path relative to the spec's directory, without `./`.
    pub path: String,
    /// Which image of a layout that holds several.
    pub tag: Option<String>,
    /// Whether it is an archive rather than a directory.
    pub archive: bool,
    /// Where the spec says it.
    pub span: Span,
    /// Keys of `run` that the spec says itself, and `PATH` where its `env` does; what else the base says, stays.
    pub explicit: BTreeSet<String>,
}

impl BaseImage {
    /// Returns whether the spec itself says this key of `run`.
    pub fn says(&self, key: &str) -> bool {
        self.explicit.contains(key)
    }
}

/// Returns what `base` of a spec says; mistakes go to `report`.
pub(super) fn base(root: &Node, report: &mut Report) -> Option<BaseImage> {
    let node = root.get("base")?;
    let text = node.text().filter(|text| (form::BASE.valid)(text))?;
    if text.starts_with("docker://") {
        not_yet(report, node.span, "base: docker://…");
        return None;
    }
    let (archive, rest) = match text.strip_prefix("oci-archive:") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("oci:")?),
    };
    let (path, tag) = rest.split_once(':').map_or((rest, None), |(path, tag)| (path, Some(tag)));
    if !(form::LOCAL.valid)(path) || tag.is_some_and(|tag| tag.is_empty() || tag.contains([':', '/'])) {
        report
            .add(Error::Value, node.span, format!("`{text}` names no image beneath the spec's directory"))
            .hint("write `oci:./DIR[:TAG]` or `oci-archive:./FILE[:TAG]`, with a path that has no `..`");
        return None;
    }
    let run = root.get("run").map(Node::entries).unwrap_or_default();
    let mut explicit: BTreeSet<String> = run
        .iter()
        .map(|(key, _)| key.text.clone())
        .filter(|key| root.get("run").is_some_and(|run| run.get(key).is_some()))
        .collect();
    let env = root.get("run").and_then(|run| run.get("env")).map(Node::entries).unwrap_or_default();
    if env.iter().any(|(key, _)| key.text == "PATH") {
        explicit.insert("PATH".to_owned());
    }
    let bare = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
    Some(BaseImage {
        text: text.to_owned(),
        path: if bare.is_empty() { "." } else { bare }.to_owned(),
        tag: tag.map(str::to_owned),
        archive,
        span: node.span,
        explicit,
    })
}
