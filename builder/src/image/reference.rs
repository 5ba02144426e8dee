//! Names of images, in container engines and in registries.

use std::fmt;

use crate::digest::Digest;

/// The most bytes of a name (distribution's reference grammar).
const MAX_NAME: usize = 255;
/// The tag that is meant where none is said, as every tool has it.
const LATEST: &str = "latest";

/// The name of an image: `[HOST[:PORT]/]NAME[:TAG][@DIGEST]` (OCI distribution-spec 1.1, pulling manifests; the grammar
/// of distribution's references).
///
/// What may be left out depends on who is asked: see [`Reference::of_engine`] and [`Reference::of_registry`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    host: Option<String>,
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses the name of an image in a container engine: the tag is `latest` where none is said, and there is no
    /// digest. The error says what is wrong with it.
    pub fn of_engine(text: &str) -> Result<Self, &'static str> {
        let mut reference = Self::parse(text)?;
        if reference.digest.is_some() {
            return Err("a digest is not chosen by who names an image");
        }
        // An engine takes it for the id of an image.
        let is_id = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if reference.host.is_none() && is_id(&reference.name) {
            return Err("64 hexadecimal digits are an id, and no name");
        }
        reference.tag.get_or_insert_with(|| LATEST.to_owned());
        Ok(reference)
    }

    /// Parses the name of an image in a registry, with or without `docker://` before it. The host is always written: no
    /// registry is a default. The error says what is wrong with it.
    pub fn of_registry(text: &str) -> Result<Self, &'static str> {
        let reference = Self::parse(text.strip_prefix("docker://").unwrap_or(text))?;
        match reference.host {
            Some(_) => Ok(reference),
            None => Err("it names no host: write `HOST/NAME:TAG` or `HOST/NAME@sha256:…`"),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| "its digest is none: `sha256:` and 64 lower-case digits")?))
            }
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("its tag is none");
        }
        let (host, name) = match path.split_once('/') {
            Some((host, name)) if host == "localhost" || host.contains(['.', ':']) => (Some(host), name),
            _ => (None, path),
        };
        if host.is_some_and(|host| !is_host(host)) {
            return Err("its host is none");
        }
        if path.len() > MAX_NAME || !name.split('/').all(is_component) {
            return Err("a name is made of a-z and 0-9, with `.`, `_`, `-` and `/` between them");
        }
        Ok(Self { host: host.map(str::to_owned), name: name.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// Returns host and port; empty where none is named, which a registry's name always does.
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or_default()
    }

    /// Returns the name, without host and tag.
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

    /// Returns what a registry is asked for: the digest where one is named, else the tag, `latest` where none is.
    pub fn wanted(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag.as_deref().unwrap_or(LATEST).to_owned(),
        }
    }

    /// Returns host and name: what every tag and digest of it has in common.
    pub fn repository(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Returns the same image by a digest alone.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Returns the reference with a host: `localhost` where it names none, as podman names what was built here. So it
    /// is never taken for what a registry holds.
    pub fn with_host(&self) -> Self {
        Self { host: self.host.clone().or_else(|| Some("localhost".to_owned())), ..self.clone() }
    }

    /// Returns whether `full`, as an archive writes it, is this name: itself, or with a host and a path before it.
    pub(super) fn names(&self, full: &str) -> bool {
        let own = self.to_string();
        full.strip_suffix(&own).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// Returns whether a text is a tag (OCI distribution-spec 1.1, pulling manifests).
pub(super) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|&first| word(first))
        && bytes.iter().all(|&byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Returns whether a text is a part of a name: words of a-z and 0-9 with `.`, `_`, `__` or dashes between them.
fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = text.split(word).filter(|between| !between.is_empty());
    text.starts_with(word)
        && text.ends_with(word)
        && separators
            .into_iter()
            .all(|between| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

/// Returns whether a text is a host with or without a port: a name, an address, or one in brackets.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_some_and(|port| !digits(port) || port.parse::<u16>().map_or(true, |port| port == 0)) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_those_of_container_engines() {
        for (text, shown, full) in [
            ("web", "web:latest", "localhost/web:latest"),
            ("acme/web:1.2", "acme/web:1.2", "localhost/acme/web:1.2"),
            ("localhost/web", "localhost/web:latest", "localhost/web:latest"),
            ("registry.example:5000/a/b__c:V1", "registry.example:5000/a/b__c:V1", "registry.example:5000/a/b__c:V1"),
            ("host:5000/web", "host:5000/web:latest", "host:5000/web:latest"),
            ("a--b.c_d", "a--b.c_d:latest", "localhost/a--b.c_d:latest"),
        ] {
            let parsed = Reference::of_engine(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((parsed.to_string().as_str(), parsed.with_host().to_string().as_str()), (shown, full));
        }
        let id = "a".repeat(64);
        let long = format!("a/{}", "b".repeat(254));
        let digest = format!("web@{}", Digest::of(b""));
        for wrong in [
            "",
            ":1",
            "Web",
            "web:",
            "web:a b",
            "a..b",
            "a/",
            "/a",
            "a//b",
            "-a",
            "a-",
            "x.y:/a",
            "-.x/a",
            "web@sha256:0",
            "a___b",
            &id,
            &long,
            &digest,
        ] {
            assert!(Reference::of_engine(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn references_to_registries_are_whole() {
        let digest = Digest::of(b"");
        for (text, wanted) in [
            ("registry.example.org/web".to_owned(), "latest".to_owned()),
            ("registry.example.org/team/web:1.2".to_owned(), "1.2".to_owned()),
            ("localhost:5000/web:latest".to_owned(), "latest".to_owned()),
            ("localhost/a.b/c__d-e".to_owned(), "latest".to_owned()),
            ("[::1]:5000/web".to_owned(), "latest".to_owned()),
            (format!("127.0.0.1:5000/web:v1@{digest}"), digest.to_string()),
            (format!("registry.example.org/web@{digest}"), digest.to_string()),
        ] {
            let parsed = Reference::of_registry(&format!("docker://{text}")).unwrap();
            assert_eq!((parsed.to_string(), parsed.wanted()), (text, wanted));
        }
        for wrong in [
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
            "example.org:+5/a",
            "example.org:99999/a",
            "example.org/a@sha256:00",
            "example.org/a@sha512:00",
            "user@example.org/a",
            "example.org/../a",
            "example.org/a___b",
        ] {
            assert!(Reference::of_registry(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_short_name_finds_a_long_one_and_not_another() {
        let web = Reference::of_engine("web:1").unwrap();
        assert!(web.names("web:1") && web.names("registry.example/library/web:1"));
        assert!(!web.names("cobweb:1") && !web.names("web:12"));
    }
}
