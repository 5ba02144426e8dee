//! Under which reference an image has to be signed (containers/image `docs/containers-policy.json.5.md`,
//! `signedIdentity`).
//!
//! Only payloads of cosign's first format name a reference, so only they are asked.

use crate::digest::Digest;

/// How near a signature's reference must be to the one that was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    /// The same reference: `repo:tag` where a tag was asked for, `repo@digest` where a digest was.
    Exact,
    /// The same repository.
    #[default]
    Repository,
    /// Any reference, or none.
    Any,
}

impl Identity {
    /// Parses the word used in flags.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Exact, Self::Repository, Self::Any].into_iter().find(|identity| identity.as_str() == word)
    }

    /// Returns the word used in flags and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Repository => "repository",
            Self::Any => "any",
        }
    }
}

/// The reference that a signature has to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    identity: Identity,
    /// `HOST/NAME`.
    repository: String,
    /// The references that are exact ones.
    exact: Vec<String>,
}

impl Wanted {
    /// Returns what accepts every signature: of what has no reference, such as a layout.
    pub fn any() -> Self {
        Self { identity: Identity::Any, repository: String::new(), exact: Vec::new() }
    }

    /// Returns what a signature of the image asked for by `tag`, or else by its digest, has to name.
    pub fn image(identity: Identity, repository: &str, tag: Option<&str>, digest: &Digest) -> Self {
        let exact = match tag {
            Some(tag) => format!("{repository}:{tag}"),
            None => format!("{repository}@{digest}"),
        };
        Self { identity, repository: repository.to_owned(), exact: vec![exact] }
    }

    /// Returns what a signature of a manifest that an index lists has to name: it may be known by its digest, since that
    /// stands in the index.
    pub fn listed(&self, manifest: &Digest) -> Self {
        let mut listed = self.clone();
        listed.exact.push(format!("{}@{manifest}", self.repository));
        listed
    }

    /// Returns whether a signature need name no reference.
    pub fn is_any(&self) -> bool {
        self.identity == Identity::Any
    }

    /// Returns whether a signature's reference is near enough.
    pub fn accepts(&self, reference: &str) -> bool {
        match self.identity {
            Identity::Any => true,
            Identity::Repository => repository_of(reference) == self.repository,
            Identity::Exact => self.exact.iter().any(|exact| exact == reference),
        }
    }

    /// Returns what would be accepted, in words.
    pub fn words(&self) -> String {
        match self.identity {
            Identity::Any => "any reference".to_owned(),
            Identity::Repository => format!("`{}`", self.repository),
            Identity::Exact => self.exact.iter().map(|exact| format!("`{exact}`")).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// Returns host and name of a reference, without its tag and digest.
fn repository_of(reference: &str) -> &str {
    let reference = reference.split('@').next().unwrap_or_default();
    match reference.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_near_enough_by_rule() {
        let (own, other) = (Digest::of(b"own"), Digest::of(b"other"));
        let by_digest = format!("h:1/a/web@{own}");
        let by_other = format!("h:1/a/web@{other}");
        let wanted = |identity, tag| Wanted::image(identity, "h:1/a/web", tag, &own);
        for (reference, exact_tag, exact_digest, repository) in [
            ("h:1/a/web:v2", true, false, true),
            ("h:1/a/web:v1", false, false, true),
            (by_digest.as_str(), false, true, true),
            (by_other.as_str(), false, false, true),
            ("h:1/a/web", false, false, true),
            ("h:1/a/webs:v2", false, false, false),
            ("h:2/a/web:v2", false, false, false),
            ("h/a/web:v2", false, false, false),
            ("evil/h:1/a/web:v2", false, false, false),
            ("", false, false, false),
        ] {
            let accepts = |identity, tag| wanted(identity, tag).accepts(reference);
            assert_eq!(accepts(Identity::Exact, Some("v2")), exact_tag, "{reference}");
            assert_eq!(accepts(Identity::Exact, None), exact_digest, "{reference}");
            assert_eq!(accepts(Identity::Repository, Some("v2")), repository, "{reference}");
            assert!(accepts(Identity::Any, None), "{reference}");
        }
        let listed = wanted(Identity::Exact, Some("v2")).listed(&other);
        assert!(listed.accepts(&by_other) && listed.accepts("h:1/a/web:v2") && !listed.accepts(&by_digest));
        assert_eq!(Identity::parse("exact"), Some(Identity::Exact));
        assert_eq!(Identity::parse("Exact"), None);
    }
}
