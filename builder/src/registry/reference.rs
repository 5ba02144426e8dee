//! Names of images in registries.

use std::fmt;

use super::Error;
use crate::digest::Digest;

/// `HOST[:PORT]/NAME[:TAG][@DIGEST]` (OCI distribution-spec 1.1, pulling manifests). The host is always written: no
/// registry is a default.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    host: String,
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference, with or without `docker://` before it.
    ///
    /// # Errors
    /// Where a part is missing, or not of the specification's form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem: &str| Error::Reference { text: text.to_owned(), problem: problem.to_owned() };
        let rest = text.strip_prefix("docker://").unwrap_or(text);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| refuse(&error.to_string()))?)),
            None => (rest, None),
        };
        let (host, path) = rest.split_once('/').ok_or_else(|| refuse("it names no host"))?;
        if !is_host(host) {
            return Err(refuse("what stands before the first `/` is no host"));
        }
        let (name, tag) = match path.rsplit_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (path, None),
        };
        if name.len() > 255 || !name.split('/').all(is_component) {
            return Err(refuse("its name is none: lower-case letters, digits and single `.`, `_`, `-`, `__` between"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse("its tag is none"));
        }
        Ok(Self { host: host.to_owned(), name: name.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// Returns host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the repository's name, without the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the tag, where one is named.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, where one is named.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns host and name: what every tag and digest of it has in common.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }

    /// Returns the reference of another image in the same repository.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// Returns whether a text is a host with or without a port: a name, an address, or one in brackets. A name without a dot
/// needs a port, or to be `localhost`, so that `library/web` is not taken for one.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_is_one = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return port_is_one && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    port_is_one
        && host.len() <= 253
        && host.split('.').all(label)
        && (host.contains('.') || port.is_some() || host == "localhost")
}

/// Returns whether a text is one component of a name.
fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !word(first) || !word(last) {
        return false;
    }
    let mut separators = bytes.split(|&byte| word(byte)).filter(|run| !run.is_empty());
    separators.all(|run| matches!(run, b"." | b"_" | b"__") || run.iter().all(|&byte| byte == b'-'))
}

/// Returns whether a text is a tag.
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
    fn references_are_whole() {
        let digest = Digest::of(b"");
        for text in [
            "registry.example.org/web".to_owned(),
            "registry.example.org/team/web:1.2".to_owned(),
            "localhost:5000/web:latest".to_owned(),
            "localhost/a.b/c__d-e".to_owned(),
            "[::1]:5000/web".to_owned(),
            format!("127.0.0.1:5000/web:v1@{digest}"),
            format!("registry.example.org/web@{digest}"),
        ] {
            assert_eq!(Reference::parse(&format!("docker://{text}")).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "web",
            "team/web",
            "registry.example.org/",
            "registry.example.org/Web",
            "registry.example.org/a..b",
            "registry.example.org/-a",
            "registry.example.org/a:",
            "registry.example.org/a:-b",
            "exa mple.org/a",
            "example.org:0/a",
            "example.org:99999/a",
            "example.org/a@sha256:00",
            "example.org/a@sha512:00",
            "user@example.org/a",
            "example.org/../a",
            "example.org/a___b",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
