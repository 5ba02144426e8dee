//! Names of images in a container engine.

use std::fmt;

/// The most bytes of a name (distribution's reference grammar).
const MAX_NAME: usize = 255;

/// The name of an image in a container engine: `[HOST[:PORT]/]NAME[:TAG]`, the tag `latest` where none is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    host: Option<String>,
    name: String,
    tag: String,
}

impl Reference {
    /// Parses a reference; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('@') {
            return Err("a digest is not chosen by who names an image");
        }
        let (path, tag) = match text.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (text, "latest"),
        };
        if !is_tag(tag) {
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
        // An engine takes it for the id of an image.
        if host.is_none() && name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("64 hexadecimal digits are an id, and no name");
        }
        Ok(Self { host: host.map(str::to_owned), name: name.to_owned(), tag: tag.to_owned() })
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
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        write!(f, "{}:{}", self.name, self.tag)
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

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "1"));
    let label = |label: &str| {
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        label.starts_with(alphanumeric)
            && label.ends_with(alphanumeric)
            && label.chars().all(|c| alphanumeric(c) || c == '-')
    };
    name.split('.').all(label) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
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
            let parsed = Reference::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((parsed.to_string().as_str(), parsed.with_host().to_string().as_str()), (shown, full));
        }
        let id = "a".repeat(64);
        let long = format!("a/{}", "b".repeat(254));
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
        ] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_short_name_finds_a_long_one_and_not_another() {
        let web = Reference::parse("web:1").unwrap();
        assert!(web.names("web:1") && web.names("registry.example/library/web:1"));
        assert!(!web.names("cobweb:1") && !web.names("web:12"));
    }
}
