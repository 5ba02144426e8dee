//! What can be wrong with an archive's metadata.

use super::date;
use crate::deb822;
use crate::diag::Diagnose;
use crate::digest::Digest;

/// Why an archive's metadata is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key file holds no usable certificate, or is none.
    #[error("cannot use `{name}` as a keyring: {what}")]
    Keyring {
        /// The key file as the user wrote it.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The bytes are not one clear-signed message in its strict form.
    #[error("cannot read the signed Release{}: {what}", at(*line))]
    Frame {
        /// Line, counted from 1; 0 where no line is to blame.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Too few signatures hold.
    #[error(
        "cannot trust `{archive}` `{suite}`: {good} good signature{} where {needed} {} needed",
        if *good == 1 { "" } else { "s" },
        if *needed == 1 { "is" } else { "are" }
    )]
    Signatures {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Different certificates whose signature holds.
        good: usize,
        /// How many the policy asks for.
        needed: u32,
        /// What is wrong with each of the others, in the order of the signatures.
        refused: Vec<String>,
    },
    /// A key that the policy requires has not signed.
    #[error("cannot trust `{archive}` `{suite}`: no good signature by the required key `{key}`")]
    RequiredKey {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Fingerprint as the policy has it.
        key: String,
        /// What is wrong with signatures that do not hold.
        refused: Vec<String>,
    },
    /// The signed text is not well-formed control data.
    #[error("cannot read the Release of `{archive}` `{suite}`")]
    ReleaseSyntax {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// What is wrong.
        #[source]
        source: deb822::Error,
    },
    /// A field of the Release is missing or malformed.
    #[error("cannot read the Release of `{archive}` `{suite}`: {what}")]
    Release {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// What is wrong.
        what: String,
    },
    /// The Release is of another suite.
    #[error("cannot use `{archive}` `{suite}`: its Release is for {found}")]
    OtherSuite {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Suite and codename found.
        found: String,
    },
    /// `Valid-Until` has passed.
    #[error("cannot use `{archive}` `{suite}`: its metadata expired on {}", date::shown(*valid_until))]
    Expired {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// The end of its validity.
        valid_until: i64,
    },
    /// `Date` is in the future.
    #[error("cannot use `{archive}` `{suite}`: its metadata is dated {}, and it is {} now", date::shown(*date), date::shown(*now))]
    Future {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Date of the Release.
        date: i64,
        /// The time passed in.
        now: i64,
    },
    /// The metadata is older than what was seen before.
    #[error(
        "cannot use `{archive}` `{suite}`: its metadata is dated {}, the lock stands on {}",
        date::shown(*date),
        date::shown(*not_before)
    )]
    Rollback {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Date of the Release.
        date: i64,
        /// Date in the lock.
        not_before: i64,
    },
    /// The Release signs no such list.
    #[error(
        "cannot read `{archive}` `{suite}`: its Release signs no Packages file for `{component}` and `{architecture}`"
    )]
    NoPackages {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Component asked for.
        component: String,
        /// Architecture asked for.
        architecture: String,
        /// What the Release has instead, in words.
        offered: String,
    },
    /// The Release of a flat archive signs no list.
    #[error("cannot read `{archive}` `{suite}`: its Release signs no Packages file beside it")]
    NoFlatPackages {
        /// Archive.
        archive: String,
        /// Directory asked for.
        suite: String,
    },
    /// A Packages file that this Release does not sign.
    #[error("cannot use `{path}`: the Release of `{archive}` `{suite}` does not sign it")]
    NotSigned {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Path below the suite.
        path: String,
    },
    /// A Packages file could not be read.
    #[error("cannot read `{path}` of `{archive}` `{suite}`")]
    IndexRead {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Path below the suite.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A Packages file is not the one that was signed.
    #[error(
        "cannot use `{path}` of `{archive}` `{suite}`: signed are {} and {} bytes, read were {} and {} bytes",
        signed.0, signed.1, found.0, found.1
    )]
    IndexDigest {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Path below the suite.
        path: String,
        /// Digest and size signed.
        signed: Box<(Digest, u64)>,
        /// Digest and length of what was read, which is at most one byte more than signed.
        found: Box<(Digest, u64)>,
    },
    /// A Packages file is signed but cannot be unpacked as it says.
    #[error("cannot unpack `{path}` of `{archive}` `{suite}`: {what}")]
    IndexContent {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Path below the suite.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A Packages file is not well-formed control data.
    #[error("cannot read `{path}` of `{archive}` `{suite}`")]
    IndexSyntax {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Path below the suite.
        path: String,
        /// What is wrong.
        #[source]
        source: deb822::Error,
    },
    /// One package's stanza is malformed.
    #[error("cannot read package `{package}` in `{path}` of `{archive}` `{suite}`, line {line}: {what}")]
    Package {
        /// Archive.
        archive: String,
        /// Suite asked for.
        suite: String,
        /// Path below the suite.
        path: String,
        /// The package, or what stands in its place.
        package: Box<str>,
        /// Line the stanza starts on.
        line: u64,
        /// What is wrong.
        what: Box<str>,
    },
}

fn at(line: u64) -> String {
    if line == 0 { String::new() } else { format!(", line {line}") }
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Keyring { .. } => "archive::keyring",
            Self::Frame { .. } => "archive::frame",
            Self::Signatures { .. } => "archive::signatures",
            Self::RequiredKey { .. } => "archive::required-key",
            Self::ReleaseSyntax { .. } | Self::Release { .. } => "archive::release",
            Self::OtherSuite { .. } => "archive::other-suite",
            Self::Expired { .. } => "archive::expired",
            Self::Future { .. } => "archive::future",
            Self::Rollback { .. } => "archive::rollback",
            Self::NoPackages { .. } | Self::NoFlatPackages { .. } => "archive::no-packages",
            Self::NotSigned { .. } => "archive::not-signed",
            Self::IndexRead { .. } => "archive::index-read",
            Self::IndexDigest { .. } => "archive::index-digest",
            Self::IndexContent { .. } => "archive::index-content",
            Self::IndexSyntax { .. } => "archive::index-syntax",
            Self::Package { .. } => "archive::package",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Signatures { refused, .. } | Self::RequiredKey { refused, .. } => refused.clone(),
            Self::Expired { .. } => vec![
                "the mirror is stale, or this machine's clock is wrong: try another mirror with `--mirror`".to_owned(),
            ],
            Self::Future { .. } => vec!["check this machine's clock".to_owned()],
            Self::Rollback { .. } => {
                vec!["the mirror is behind the one the lock was made from: try another with `--mirror`".to_owned()]
            }
            Self::NoPackages { offered, .. } => vec![offered.clone()],
            Self::NoFlatPackages { .. } => {
                vec!["the `suite` of an archive that is not flat has no slash at its end".to_owned()]
            }
            Self::IndexDigest { .. } => {
                vec!["the mirror may be in the middle of an update: try again, or another with `--mirror`".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}
