//! Where an image goes, or comes from.

use std::fmt;
use std::path::PathBuf;

use super::Error;

/// Where an image goes, or comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// An OCI layout directory, with a tag where one is named.
    Layout(PathBuf, Option<String>),
    /// An OCI layout as a tar, with a tag where one is named.
    Archive(PathBuf, Option<String>),
}

/// Transports of other tools that are known by name and cannot be used yet.
const LATER: [&str; 4] = ["docker-archive:", "docker://", "docker-daemon:", "containers-storage:"];

impl Destination {
    /// Parses `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, or a path: an archive where it ends in `.tar`, else a layout.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem| Err(Error::Destination { text: text.to_owned(), problem });
        if LATER.iter().any(|transport| text.starts_with(transport)) {
            return refuse("this transport is not there yet");
        }
        let (path, tag, archive) = if let Some(rest) = text.strip_prefix("oci:") {
            let (path, tag) = split(rest);
            (path, tag, false)
        } else if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (path, tag) = split(rest);
            (path, tag, true)
        } else {
            (text, None, text.ends_with(".tar"))
        };
        if path.is_empty() {
            return refuse("it names no path");
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return refuse("its tag is none");
        }
        let (path, tag) = (PathBuf::from(path), tag.map(str::to_owned));
        Ok(if archive { Self::Archive(path, tag) } else { Self::Layout(path, tag) })
    }

    /// Returns the path that is written or read.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Layout(path, _) | Self::Archive(path, _) => path,
        }
    }

    /// Returns the tag.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Layout(_, tag) | Self::Archive(_, tag) => tag.as_deref(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self {
            Self::Layout(..) => "oci",
            Self::Archive(..) => "oci-archive",
        };
        write!(f, "{transport}:{}", self.path().display())?;
        self.tag().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

/// Splits a tag off a path, as containers/image does: at the first colon.
fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(path, tag)| (path, Some(tag)))
}

/// Returns whether a text is a tag (OCI distribution-spec 1.1, pulling manifests).
fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|&first| word(first))
        && bytes.iter().all(|&byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_have_the_names_people_know() {
        for (text, shown) in [
            ("web.oci", "oci:web.oci"),
            ("out/web.tar", "oci-archive:out/web.tar"),
            ("oci:web.tar", "oci:web.tar"),
            ("oci:web:1.2", "oci:web:1.2"),
            ("oci-archive:web", "oci-archive:web"),
            ("oci-archive:web.tar:v1", "oci-archive:web.tar:v1"),
        ] {
            assert_eq!(Destination::parse(text).unwrap().to_string(), shown);
        }
        for wrong in ["", "oci:", "oci::tag", "oci:web:", "oci:web:a b", "oci:web:a:b", "docker://example.org/web"] {
            assert!(Destination::parse(wrong).is_err(), "{wrong}");
        }
    }
}
