//! Where a daemon gets the program from that its operations run.

use std::fmt;

use super::Error;
use crate::digest::Digest;
use crate::engine::worker::Contract;
use crate::image::Reference;
use crate::llb::{Definition, Graph, Http, Output, Step, Vertex};

/// The name of the operation that fetches the worker.
pub const FETCH: &str = "worker";

/// Tarsia as a daemon gets it: always by digest, so that what runs is part of every operation's key.
#[derive(Debug, Clone, PartialEq)]
pub enum Worker {
    /// An image in a registry, with `/usr/bin/tarsia` in it.
    Image(Reference),
    /// The program itself, statically linked.
    Http {
        /// Its address.
        url: String,
        /// Its SHA-256.
        digest: Digest,
    },
    /// What this definition ends with: an image with `/usr/bin/tarsia` in it.
    Definition(Definition),
}

impl Worker {
    /// Parses `IMAGE@sha256:…`, with the registry's host and perhaps `docker://` before it, or `URL#sha256=HEX`.
    ///
    /// # Errors
    /// Anything else; the error says what is wanted.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| Error::Worker { worker: text.to_owned(), problem: problem.to_owned() };
        if text.starts_with("http://") || text.starts_with("https://") {
            let (url, fragment) = text.rsplit_once('#').ok_or_else(|| wrong("its address names no digest"))?;
            let hex = fragment.strip_prefix("sha256=").ok_or_else(|| wrong("its address names no digest"))?;
            let digest = Digest::from_hex(hex).map_err(|_| wrong("its digest is not 64 lower-case digits"))?;
            if url.split_once("://").is_none_or(|(_, rest)| rest.is_empty() || rest.starts_with('/')) {
                return Err(wrong("its address names no host"));
            }
            if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
                return Err(wrong("its address has a space or a control character in it"));
            }
            return Ok(Self::Http { url: url.to_owned(), digest });
        }
        let reference = Reference::of_registry(text).map_err(wrong)?;
        match reference.digest() {
            // The tag says nothing that the digest does not.
            Some(digest) => Ok(Self::Image(reference.with_digest(*digest))),
            None => Err(wrong("it names no digest")),
        }
    }

    /// Returns the path of the program in the file system that the worker is.
    pub fn program(&self) -> &'static str {
        match self {
            Self::Image(_) | Self::Definition(_) => "/usr/bin/tarsia",
            Self::Http { .. } => "/tarsia",
        }
    }

    /// Returns the words that run one of the worker's operations, as far as they are the same for all graphs.
    pub fn command(&self, operation: &str) -> Vec<String> {
        let contract = Contract::OWN.to_string();
        [self.program(), "worker", operation, "--contract", &contract].map(str::to_owned).to_vec()
    }

    /// Adds the worker's file system to a graph; operations that run it have it as their root.
    pub fn add(&self, graph: &mut Graph) -> Output {
        let vertex = |name: &str| Vertex::new(name, "the worker");
        let image = match self {
            Self::Image(reference) => graph.image(&reference.to_string(), vertex(FETCH)),
            Self::Http { url, digest } => {
                let http = Http { url: url.clone(), digest: *digest, name: "tarsia".to_owned(), mode: Some(0o755) };
                return graph.http(&http, vertex(FETCH));
            }
            Self::Definition(definition) => graph.include(definition),
        };
        // A copy, which is no image: Docker 20.10 asks again for each operation that reads an image whether that is
        // unpacked, under one key, and fails with `flightcontrol: exceeded retry timeout` where many ask at once.
        let copy = Step::Copy { from: image, source: "/".to_owned(), to: "/".to_owned() };
        graph.files(&[copy], Vertex::new("unpack worker", "the worker's files"))
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(reference) => write!(f, "{reference}"),
            Self::Http { url, digest } => write!(f, "{url}#sha256={}", digest.hex()),
            Self::Definition(_) => f.write_str("the frontend's own image"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_worker_is_named_by_digest() {
        for (text, shown) in [
            (format!("registry.example.org/a/tarsia@sha256:{HEX}"), None),
            (
                format!("docker://localhost:5000/tarsia:1.2@sha256:{HEX}"),
                Some(format!("localhost:5000/tarsia@sha256:{HEX}")),
            ),
            (format!("https://example.org/tarsia?a=b#c#sha256={HEX}"), None),
        ] {
            let worker = Worker::parse(&text).unwrap();
            assert_eq!(worker.to_string(), shown.unwrap_or(text));
        }
    }

    #[test]
    fn anything_else_says_what_is_wanted() {
        let problem = |text: &str| Worker::parse(text).unwrap_err().to_string();
        let ends = |text: &str, end: &str| assert!(problem(text).ends_with(end), "{}", problem(text));
        ends("registry.example.org/tarsia:1", "it names no digest");
        ends(&format!("tarsia@sha256:{HEX}"), "write `HOST/NAME:TAG` or `HOST/NAME@sha256:…`");
        ends("registry.example.org/tarsia@sha256:12", "its digest is none: `sha256:` and 64 lower-case digits");
        ends("https://example.org/tarsia", "its address names no digest");
        ends("https://example.org/tarsia#md5=12", "its address names no digest");
        ends("https://example.org/tarsia#sha256=12", "its digest is not 64 lower-case digits");
        ends(&format!("https://#sha256={HEX}"), "its address names no host");
        ends(&format!("https://example.org/a b#sha256={HEX}"), "its address has a space or a control character in it");
        ends("/usr/bin/tarsia", "with `.`, `_`, `-` and `/` between them");
        ends("", "with `.`, `_`, `-` and `/` between them");
    }
}
