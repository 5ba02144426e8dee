//! What is said of an image that was built again, bit for bit.
//!
//! Only a match is ever said: whoever reads statements of a key takes each for a word in favour of the image.

use std::collections::BTreeSet;

use serde_json::json;

use super::{REPRODUCED, Statement, VERIFICATION};
use crate::digest::Digest;

/// Predicate of a verification summary (SLSA 1.2, verification summary attestation).
pub const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// Returns the simple verification result (in-toto attestation framework, SVR v0.2) that `verifier`, a URI, has built
/// the image `digest` again and got the same bytes; `time` in seconds since 1970-01-01 UTC.
pub fn reproduced(name: &str, digest: Digest, verifier: &str, time: i64) -> Statement {
    let predicate = json!({
        "verifier": { "id": verifier, "policies": [] },
        "timeCreated": written(time),
        "properties": [REPRODUCED],
    });
    Statement::new(name, digest, VERIFICATION, predicate)
}

/// Returns the verification summary that several builders agree on the image `digest`: of each the URI and the digest of
/// the attestation that it signed. `None` where they are not at least two different ones, because SLSA's
/// `SLSA_BUILD_REPRODUCED` must not be said then (SLSA 1.2, verified properties). That they are independent of each
/// other is the caller's word.
pub fn summary(
    name: &str,
    digest: Digest,
    verifier: &str,
    resource: &str,
    time: i64,
    agreeing: &[(String, Digest)],
) -> Option<Statement> {
    let builders: BTreeSet<&str> = agreeing.iter().map(|(builder, _)| builder.as_str()).collect();
    if builders.len() < 2 {
        return None;
    }
    let inputs: BTreeSet<Digest> = agreeing.iter().map(|(_, attestation)| *attestation).collect();
    let inputs: Vec<_> = inputs.iter().map(|one| json!({ "digest": { "sha256": one.hex() } })).collect();
    let predicate = json!({
        "verifier": { "id": verifier },
        "timeVerified": written(time),
        "resourceUri": resource,
        "policy": { "uri": REPRODUCED_POLICY },
        "inputAttestations": inputs,
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_BUILD_LEVEL_1", "SLSA_BUILD_REPRODUCED"],
        "slsaVersion": "1.2",
    });
    Some(Statement::new(name, digest, SUMMARY, predicate))
}

/// The policy of a summary: two or more builders, each by its own key, name the same manifest.
const REPRODUCED_POLICY: &str = "https://tarsia.dev/policies/reproduced/v1";

fn written(time: i64) -> String {
    jiff::Timestamp::from_second(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_is_told_as_verifiers_read_it() {
        let statement = reproduced("web", Digest::of(b"image"), "https://example.org/rebuilder", 1_700_000_000);
        assert_eq!(statement.predicate_type(), VERIFICATION);
        let expected = json!({
            "verifier": { "id": "https://example.org/rebuilder", "policies": [] },
            "timeCreated": "2023-11-14T22:13:20Z",
            "properties": ["TARSIA_REPRODUCED_BIT_FOR_BIT"],
        });
        assert_eq!(statement.predicate(), &expected);
    }

    #[test]
    fn one_builder_is_no_agreement_however_often_it_speaks() {
        let of = |names: &[&str]| {
            let agreeing: Vec<_> =
                names.iter().enumerate().map(|(n, name)| ((*name).to_owned(), Digest::of(&n.to_be_bytes()))).collect();
            summary("web", Digest::of(b"image"), "https://example.org/v", "pkg:oci/web", 0, &agreeing)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["https://a.example", "https://a.example"]), None);
        let both = of(&["https://a.example", "https://b.example"]).unwrap();
        assert_eq!(both.predicate()["verifiedLevels"][1], "SLSA_BUILD_REPRODUCED");
        assert_eq!(both.predicate()["inputAttestations"].as_array().unwrap().len(), 2);
    }
}
