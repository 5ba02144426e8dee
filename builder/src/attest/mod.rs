//! in-toto statements: what is said about an image, before anyone signs it.
//!
//! A statement names its subject by digest and says one predicate about it (in-toto attestation framework, Statement
//! v1). What goes in are finished documents; what comes out are bytes that are a function of them. Who says it, and
//! whether it is believed, is the room `sign`.

mod error;
mod git;
mod provenance;
mod verdict;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canon;
use crate::digest::Digest;

pub use error::Error;
pub use provenance::{BUILD_TYPE, BUILDER, Byproduct, LocalFile, ProvenanceInput, SourceRevision, provenance};
pub use verdict::{SUMMARY, reproduced, summary};

/// `_type` of a statement (in-toto attestation framework, Statement v1).
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// `_type` of a statement of the version before, which cosign 2 still writes; its fields are the same.
const OLD_STATEMENT: &str = "https://in-toto.io/Statement/v0.1";
/// Media type of a statement inside an envelope (in-toto attestation framework, Envelope).
pub const PAYLOAD: &str = "application/vnd.in-toto+json";

/// Predicate of an image signature, as cosign 3 writes and wants it.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Predicate that holds an SPDX 2 document.
pub const SPDX: &str = "https://spdx.dev/Document";
/// Predicate that holds an SPDX 3 document.
pub const SPDX3: &str = "https://spdx.dev/Document/v3";
/// Predicate that holds a CycloneDX document.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// Predicate of SLSA provenance, version 1.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// Predicate of a simple verification result (in-toto attestation framework, SVR v0.2).
pub const VERIFICATION: &str = "https://in-toto.io/attestation/svr/v0.2";

/// Property of a verification result: the image was built again, and every bit of it was the same.
pub const REPRODUCED: &str = "TARSIA_REPRODUCED_BIT_FOR_BIT";
/// Predicate that says of every path why it is in an image; the form is that of `evidence::Reasons`.
pub const REASONS: &str = "https://tarsia.dev/reasons/v1";

/// The most bytes of a statement that is read.
pub const MAX_STATEMENT: usize = 64 << 20;
/// The most subjects of a statement that is read.
const MAX_SUBJECTS: usize = 1024;

/// What a statement is about. Fields are written in this order; what else a resource descriptor may hold is left out of
/// account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The name the image has in its spec; never where it is pushed, so that a statement is the same everywhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What names it for good.
    pub digest: SubjectDigest,
}

/// The digests of a subject (in-toto attestation framework, DigestSet); others than SHA-256 are left out of account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectDigest {
    /// 64 lower-case hexadecimal digits.
    #[serde(with = "hexadecimal")]
    pub sha256: Digest,
}

/// A statement about artifacts. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

impl Statement {
    /// Returns the statement that `predicate` holds of the artifact `digest`, called `name`.
    pub fn new(name: &str, digest: Digest, predicate_type: &str, predicate: Value) -> Self {
        Self {
            kind: STATEMENT.to_owned(),
            subject: vec![Subject { name: name.to_owned(), digest: SubjectDigest { sha256: digest } }],
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    /// Returns the bytes of a statement that names no subject yet: whoever hands it on knows of what it holds (BuildKit,
    /// `sbom-protocol.md` and `attestation-storage.md`). `predicate` is a JSON document.
    ///
    /// # Panics
    /// Where `predicate` is no JSON.
    pub fn without_subject(predicate_type: &str, predicate: &[u8]) -> Vec<u8> {
        let predicate = serde_json::from_slice(predicate).expect("a document of ours is JSON");
        let statement = Self {
            kind: STATEMENT.to_owned(),
            subject: Vec::new(),
            predicate_type: predicate_type.to_owned(),
            predicate,
        };
        statement.to_bytes()
    }

    /// Returns the statement that is an image signature: an empty predicate, as cosign 3 writes it.
    ///
    /// The subject has no name: the signature of an image is the same whatever the image is called.
    pub fn signature(digest: Digest) -> Self {
        Self::new("", digest, SIGNATURE, Value::Object(serde_json::Map::new()))
    }

    /// Parses a statement of version 1, or 0.1; what these do not have is refused.
    ///
    /// # Errors
    /// Where the bytes are too many, no JSON, another type of statement, or name no subject.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_STATEMENT {
            return Err(Error::Invalid(format!("it has {} bytes, more than {MAX_STATEMENT}", bytes.len())));
        }
        let statement: Self = serde_json::from_slice(bytes).map_err(|error| Error::Invalid(error.to_string()))?;
        if !matches!(statement.kind.as_str(), STATEMENT | OLD_STATEMENT) {
            return Err(Error::Invalid(format!("its type is `{}`, not `{STATEMENT}`", statement.kind)));
        }
        if statement.subject.is_empty() || statement.subject.len() > MAX_SUBJECTS {
            let count = statement.subject.len();
            return Err(Error::Invalid(format!("it names {count} subjects, not 1 to {MAX_SUBJECTS}")));
        }
        Ok(statement)
    }

    /// Returns the statement's bytes: compact JSON, the predicate's keys sorted.
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(rename = "_type")]
            kind: &'a str,
            subject: &'a [Subject],
            #[serde(rename = "predicateType")]
            predicate_type: &'a str,
            predicate: canon::Sorted<'a>,
        }
        canon::ordered(&Written {
            kind: &self.kind,
            subject: &self.subject,
            predicate_type: &self.predicate_type,
            predicate: canon::Sorted(&self.predicate),
        })
    }

    /// Returns what the statement is about.
    pub fn subjects(&self) -> &[Subject] {
        &self.subject
    }

    /// Returns whether the statement is about the artifact `digest`.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.subject.iter().any(|subject| subject.digest.sha256 == *digest)
    }

    /// Returns the URI that says what kind of predicate it makes.
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// Returns the predicate.
    pub fn predicate(&self) -> &Value {
        &self.predicate
    }
}

mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::digest::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        Digest::from_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_signature_has_cosigns_form() {
        let digest = Digest::of(b"manifest");
        let text = format!(
            "{{\"_type\":\"{STATEMENT}\",\"subject\":[{{\"digest\":{{\"sha256\":\"{}\"}}}}],\
             \"predicateType\":\"{SIGNATURE}\",\"predicate\":{{}}}}",
            digest.hex()
        );
        let statement = Statement::signature(digest);
        assert_eq!(String::from_utf8(statement.to_bytes()).unwrap(), text);
        assert_eq!(Statement::parse(text.as_bytes()).unwrap(), statement);
        assert!(statement.is_about(&digest) && !statement.is_about(&Digest::of(b"other")));
    }

    #[test]
    fn the_predicates_keys_are_sorted() {
        let value = serde_json::from_str(r#"{"b":{"z":1,"a":2},"a":[{"d":1,"c":2}]}"#).unwrap();
        let bytes = Statement::new("x", Digest::of(b""), SPDX, value).to_bytes();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with(r#""predicate":{"a":[{"c":2,"d":1}],"b":{"a":2,"z":1}}}"#), "{text}");
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        let hex = Digest::of(b"").hex();
        let with = |kind: &str, subject: &str, more: &str| {
            format!(r#"{{"_type":"{kind}","subject":[{subject}],"predicateType":"x","predicate":{{}}{more}}}"#)
        };
        let subject = format!(r#"{{"name":"a","digest":{{"sha256":"{hex}","sha512":"00"}}}}"#);
        assert!(Statement::parse(with(STATEMENT, &subject, "").as_bytes()).is_ok());
        assert!(Statement::parse(with(OLD_STATEMENT, &subject, "").as_bytes()).is_ok());
        for (text, problem) in [
            (with("https://in-toto.io/Statement/v2", &subject, ""), "its type is"),
            (with(STATEMENT, "", ""), "it names 0 subjects"),
            (with(STATEMENT, &subject, r#","extra":1"#), "unknown field `extra`"),
            (with(STATEMENT, &subject, r#","predicateType":"y""#), "duplicate field"),
            (
                with(STATEMENT, &format!(r#"{{"digest":{{"sha256":"{}"}}}}"#, hex.to_uppercase()), ""),
                "no SHA-256 digest",
            ),
            (with(STATEMENT, r#"{"digest":{"sha512":"00"}}"#, ""), "missing field `sha256`"),
            ("[]".to_owned(), "invalid length 0"),
        ] {
            let error = Statement::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}\n{error}");
        }
    }
}
