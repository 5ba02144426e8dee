//! What a policy makes of the findings: one answer per requirement and image.

use std::collections::BTreeSet;

use serde::Serialize;

use super::document::{Predicate, Said};
use super::findings::Findings;
use crate::digest::Digest;

/// What an image must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// A signature of it.
    Signature,
    /// A signed list of what is in it.
    Sbom,
    /// A signed account of how it was built.
    Provenance,
    /// A signed word that building it again gave the same, or that it did so just now.
    Rebuild,
    /// That another build is the same.
    Against,
    /// That its layers are what its documents name.
    Contents,
}

impl Requirement {
    /// Parses the word that a policy requires it by.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Signature, Self::Sbom, Self::Provenance, Self::Rebuild].into_iter().find(|one| one.as_str() == word)
    }

    /// Returns the word used in flags and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Provenance => "provenance",
            Self::Rebuild => "rebuild",
            Self::Against => "against",
            Self::Contents => "contents",
        }
    }
}

/// The answer to one requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It could not be told.
    Unknown,
}

/// One requirement of one image, and the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was asked.
    pub requirement: Requirement,
    /// `linux/amd64`; of an index, `index`.
    pub platform: String,
    /// Digest of the manifest or index.
    pub digest: String,
    /// The answer.
    pub outcome: Outcome,
    /// Why, in words.
    pub says: String,
    /// Ids of the keys that say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// What would settle it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Check {
    /// Returns an answer that no key gave.
    pub fn new(requirement: Requirement, platform: &str, digest: &str, outcome: Outcome, says: String) -> Self {
        let (platform, digest) = (platform.to_owned(), digest.to_owned());
        Self { requirement, platform, digest, outcome, says, keys: Vec::new(), hints: Vec::new() }
    }

    fn hint(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
    }
}

/// Returns whether at least `threshold` different keys signed the image.
pub fn signature(findings: &Findings<'_>, platform: &str, threshold: usize) -> Check {
    let signers = findings.signers();
    let enough = signers.len() >= threshold;
    let mut hint = None;
    let says = if !signers.is_empty() {
        let names: BTreeSet<&str> = findings
            .signatures()
            .iter()
            .filter(|signature| signature.counts)
            .filter_map(|signature| signature.reference.as_deref())
            .collect();
        // By its digest an image is signed beside every tag: that is told where it is all there is.
        let tags = names.iter().any(|name| !name.contains('@'));
        let names: Vec<String> =
            names.into_iter().filter(|name| !(tags && name.contains('@'))).map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { String::new() } else { format!(", as {}", names.join(" and ")) };
        format!("{}{}{names}", share(&signers, threshold, enough), by(findings, &signers))
    } else if let Some(name) = findings.signatures().iter().find_map(|signature| signature.reference.as_deref()) {
        format!("it is signed as `{name}`, and not as {}", findings.wanted().words())
    } else if !findings.signatures().is_empty() {
        hint = Some("`--identity any` takes what names no reference".to_owned());
        let all = findings.signatures().iter().map(|signature| signature.key).collect();
        format!(
            "{} in a bundle alone, which names no reference, and {} is wanted",
            by(findings, &all),
            findings.wanted().words()
        )
    } else {
        nothing(findings, "signature")
    };
    settle(findings, Requirement::Signature, platform, enough, says, &signers).hint(hint)
}

/// Returns whether one of the keys stands for an SBOM of the image.
pub fn sbom(findings: &Findings<'_>, platform: &str) -> Check {
    document(findings, Requirement::Sbom, platform, "SBOM", Predicate::is_sbom)
}

/// Returns whether one of the keys stands for provenance of the image.
pub fn provenance(findings: &Findings<'_>, platform: &str) -> Check {
    document(findings, Requirement::Provenance, platform, "provenance", |kind| *kind == Predicate::Provenance)
}

/// Returns whether at least `threshold` different keys say that building again gave the same; `here` says that it did so
/// just now, which counts for one.
pub fn rebuild(findings: &Findings<'_>, platform: &str, threshold: usize, here: bool) -> Check {
    let verdicts: Vec<&Said> =
        findings.said().iter().filter(|said| said.reproduced && said.problem.is_none()).collect();
    let keys: BTreeSet<Digest> = verdicts.iter().map(|said| said.key).collect();
    let count = keys.len() + usize::from(here);
    let enough = count >= threshold;
    let says = if count == 0 {
        nothing(findings, "verdict of a rebuild")
    } else {
        let share = if enough { String::new() } else { format!("{count} of {threshold}: ") };
        let by = if keys.is_empty() { String::new() } else { format!("the same {}", by(findings, &keys)) };
        let here = if here { "the same here" } else { "" };
        format!("{share}{here}{}{by}", if !here.is_empty() && !by.is_empty() { ", " } else { "" })
    };
    settle(findings, Requirement::Rebuild, platform, enough, says, &keys)
}

fn document(
    findings: &Findings<'_>,
    requirement: Requirement,
    platform: &str,
    what: &str,
    is: impl Fn(&Predicate) -> bool,
) -> Check {
    let all: Vec<&Said> = findings.said().iter().filter(|said| is(&said.predicate)).collect();
    let good: Vec<&&Said> = all.iter().filter(|said| said.problem.is_none()).collect();
    let keys: BTreeSet<Digest> = good.iter().map(|said| said.key).collect();
    let says = match (good.is_empty(), all.first()) {
        (false, _) => {
            let words: BTreeSet<&str> = good.iter().map(|said| said.words.as_str()).collect();
            format!("{} {}", words.into_iter().collect::<Vec<_>>().join("; "), by(findings, &keys))
        }
        (true, Some(Said { problem: Some(problem), key, .. })) => {
            format!("`{}` says what is worth nothing: {problem}", findings.keys().name(key))
        }
        (true, _) => nothing(findings, what),
    };
    settle(findings, requirement, platform, !good.is_empty(), says, &keys)
}

/// Says that there is nothing, and what there is in its place.
fn nothing(findings: &Findings<'_>, what: &str) -> String {
    match (findings.heard(), findings.foreign()) {
        (0, _) => format!("no {what}: nothing is signed"),
        (_, 0) => format!("no {what}"),
        (_, 1) => format!("no {what} by these keys, and 1 claim that none of them made"),
        (_, foreign) => format!("no {what} by these keys, and {foreign} claims that none of them made"),
    }
}

fn share(keys: &BTreeSet<Digest>, threshold: usize, enough: bool) -> String {
    if enough { String::new() } else { format!("{} of {threshold} keys: ", keys.len()) }
}

fn by(findings: &Findings<'_>, keys: &BTreeSet<Digest>) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("`{}`", findings.keys().name(key))).collect();
    format!("by {}", names.join(" and "))
}

/// Returns the answer; a no is one only where everything was read that could have made it a yes.
fn settle(
    findings: &Findings<'_>,
    requirement: Requirement,
    platform: &str,
    enough: bool,
    says: String,
    keys: &BTreeSet<Digest>,
) -> Check {
    let (outcome, says) = match (enough, findings.unread_claims().first()) {
        (true, _) => (Outcome::Yes, says),
        (false, None) => (Outcome::No, says),
        (false, Some(unread)) => (Outcome::Unknown, format!("{says}; not all could be read: {unread}")),
    };
    let mut check = Check::new(requirement, platform, &findings.digest().to_string(), outcome, says);
    check.keys = keys.iter().map(ToString::to_string).collect();
    check
}
