//! What an image holds, by path: [`ImagePath`], [`Meta`], [`Origin`].

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest path in bytes.
pub const MAX_PATH: usize = 4096;
/// The longest path component in bytes.
pub const MAX_COMPONENT: usize = 255;
/// The most components in a path.
pub const MAX_DEPTH: usize = 256;

/// A path that has no place in an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path `{path}` {problem}")]
pub struct PathError {
    /// The path as it was written.
    pub path: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A path in an image: UTF-8, relative to the root, without `.`, `..`, empty components, or slashes at its ends.
///
/// The root is the empty path. Ordered bytewise over the whole text (`a-b` before `a/b`), the order of a layer.
/// Debian policy 10.10 asks for UTF-8 names; others are refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ImagePath(Arc<str>);

impl ImagePath {
    /// Returns the root.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// Parses a path, with or without a leading `/` or `./` and a trailing `/`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |problem| Err(PathError { path: text.to_owned(), problem });
        let mut rest = text.strip_prefix('.').filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(text);
        rest = rest.strip_prefix('/').unwrap_or(rest);
        rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return if text.is_empty() { wrong("is empty") } else { Ok(Self::root()) };
        }
        if rest.len() > MAX_PATH {
            return wrong("is longer than 4096 bytes");
        }
        if rest.contains('\0') {
            return wrong("holds a NUL byte");
        }
        let mut depth = 0;
        for component in rest.split('/') {
            depth += 1;
            match component {
                "" => return wrong("has an empty component"),
                "." => return wrong("has a `.` component"),
                ".." => return wrong("has a `..` component"),
                long if long.len() > MAX_COMPONENT => return wrong("has a component longer than 255 bytes"),
                _ => {}
            }
        }
        if depth > MAX_DEPTH {
            return wrong("is deeper than 256 components");
        }
        Ok(Self(Arc::from(rest)))
    }

    /// Returns the path without a leading slash; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the parent; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(Self(Arc::from(self.0.rsplit_once('/').map_or("", |(parent, _)| parent))))
    }

    /// Returns the last component; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// Returns this path with `tail` (one or more components) below it.
    pub fn join(&self, tail: &str) -> Result<Self, PathError> {
        if self.is_root() {
            Self::parse(tail)
        } else {
            Self::parse(&format!("{}/{}", self.0, tail.trim_start_matches('/')))
        }
    }

    /// Returns every ancestor from the first component down to the parent, without the root.
    pub fn ancestors(&self) -> impl Iterator<Item = ImagePath> + '_ {
        self.0.match_indices('/').map(|(at, _)| Self(Arc::from(&self.0[..at])))
    }

    /// Returns whether this path is `other` or lies below it.
    pub fn is_within(&self, other: &ImagePath) -> bool {
        other.is_root() || self == other || self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Borrow<str> for ImagePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<ImagePath> for String {
    fn from(path: ImagePath) -> Self {
        path.0.to_string()
    }
}

impl TryFrom<String> for ImagePath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        if text.is_empty() { Ok(Self::root()) } else { Self::parse(&text) }
    }
}

/// Owner, mode, time and extended attributes of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky; no file type.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since 1970-01-01 UTC.
    pub mtime: i64,
    /// Extended attributes, sorted by name (`security.capability`, `user.…`), raw values.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl Meta {
    /// Returns root's metadata with this mode and time.
    pub fn root(mode: u32, mtime: i64) -> Self {
        Self { mode, uid: 0, gid: 0, mtime, xattrs: Vec::new() }
    }
}

/// Where a node of an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A package of the lock, by name.
    Package(String),
    /// Made by tarsia in place of a maintainer script; the rule's name.
    Derived(String),
    /// An entry of the spec: which one, as `files[3]` or `certificates[0]`.
    Spec(String),
    /// The image that this one is built on.
    Base,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_or_refused() {
        for (text, path) in [("./usr/bin/", "/usr/bin"), ("/", "/"), ("./", "/"), ("etc", "/etc"), (".x/y", "/.x/y")] {
            assert_eq!(ImagePath::parse(text).unwrap().to_string(), path, "{text}");
        }
        for text in ["", "../x", "a/../b", "a//b", "a/./b", "a\0", "..", &"x".repeat(256), &"x/".repeat(300)] {
            assert!(ImagePath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ancestors_go_down_to_the_parent() {
        let path = ImagePath::parse("usr/lib/x").unwrap();
        assert_eq!(path.ancestors().map(|p| p.to_string()).collect::<Vec<_>>(), ["/usr", "/usr/lib"]);
        assert!(path.is_within(&ImagePath::parse("usr/lib").unwrap()));
        assert!(!path.is_within(&ImagePath::parse("usr/li").unwrap()));
    }
}
