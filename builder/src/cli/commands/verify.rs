//! `tarsia verify`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tarsia::diag::{Problems, Warning};
use tarsia::ops::{self, RebuildInputs, VerdictSigner, Verification, VerifyOptions};
use tarsia::verify::{Identity, Keys, Outcome, Requirement};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, WorldFlags};
use crate::cli::commands::diff;
use crate::cli::keys;
use crate::cli::output::plain;
use crate::cli::session::Session;

/// Flags of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image to check: docker://HOST/NAME[:TAG|@DIGEST], a directory, an archive, or oci:DIR[:TAG],
    /// oci-archive:FILE[:TAG]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Public key of who signs it: a file, or env://VARIABLE; may be repeated
    #[arg(long = "key", value_name = "PUB")]
    pub(crate) keys: Vec<String>,

    /// How many different keys must agree
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threshold: u32,

    /// What it must have: signature, sbom, provenance, rebuild; a signature always [default:
    /// signature]
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = requirement)]
    pub(crate) require: Vec<Requirement>,

    /// How near a signature's reference must be to IMAGE's: exact, repository, any
    #[arg(long, value_name = "RULE", default_value = "repository", value_parser = identity)]
    pub(crate) identity: Identity,

    /// File with more bundles or envelopes; may be repeated
    #[arg(long = "bundle", value_name = "FILE")]
    pub(crate) bundles: Vec<PathBuf>,

    /// Another build, which must be the same
    #[arg(long, value_name = "IMAGE")]
    pub(crate) against: Option<String>,

    /// Build it again, from its rebuild kit, and compare
    #[arg(long)]
    pub(crate) rebuild: bool,

    #[command(flatten)]
    pub(crate) inputs: InputFlags,

    #[command(flatten)]
    pub(crate) verdict: VerdictFlags,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// What is built again, and from what.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rebuild options")]
pub(crate) struct InputFlags {
    /// Rebuild kit to take in place of the image's own
    #[arg(long, value_name = "DIR|FILE", requires = "rebuild", conflicts_with = "spec")]
    pub(crate) kit: Option<PathBuf>,

    /// Spec to take in place of a kit
    #[arg(long, value_name = "SPEC", requires = "rebuild")]
    pub(crate) spec: Option<PathBuf>,

    /// Lock of that spec [default: beside it]
    #[arg(long, value_name = "LOCK", requires = "spec")]
    pub(crate) lock: Option<PathBuf>,

    /// Directory that the spec's paths start from [default: its own]
    #[arg(long, value_name = "DIR", requires = "spec")]
    pub(crate) context: Option<PathBuf>,

    /// Variant of that spec
    #[arg(long, value_name = "NAME", requires = "spec")]
    pub(crate) variant: Option<String>,

    /// Refuse a lock that signed metadata cannot prove
    #[arg(long, requires = "rebuild")]
    pub(crate) require_proof: bool,
}

/// Who signs that a rebuild gave the same.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rebuild options")]
pub(crate) struct VerdictFlags {
    /// Key of a verifier, never a release's, that signs a match: a file, env://VARIABLE,
    /// ssh-agent:[FINGERPRINT|COMMENT] or exec:PROGRAM
    #[arg(long, value_name = "KEY", requires = "rebuild")]
    pub(crate) verifier_key: Option<String>,

    /// URI of who that verifier is [default: one made of the key's id]
    #[arg(long, value_name = "URI", requires = "verifier_key")]
    pub(crate) verifier_id: Option<String>,

    /// File for what it signs [default: the registry, or beside the image]
    #[arg(short, long, value_name = "FILE", requires = "verifier_key")]
    pub(crate) output: Option<PathBuf>,
}

/// Beginning of the URI of a verifier that says no other.
const VERIFIER: &str = "https://tarsia.dev/verifiers/v1/";

fn requirement(text: &str) -> Result<Requirement, String> {
    Requirement::parse(text).ok_or_else(|| "known are signature, sbom, provenance and rebuild".to_owned())
}

fn identity(text: &str) -> Result<Identity, String> {
    Identity::parse(text).ok_or_else(|| "known are exact, repository and any".to_owned())
}

/// Checks an image, and prints what holds and what does not.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let named = arguments.keys.iter().map(|text| Ok((text.clone(), keys::public(session, text)?)));
    let trusted = Keys::new(named.collect::<Result<_, Problems>>()?);
    if !trusted.is_empty() && trusted.len() < arguments.threshold as usize {
        session.warnings(&[Warning {
            code: "verify::threshold",
            message: match trusted.len() {
                1 => format!("no {} keys can agree: 1 different key is named", arguments.threshold),
                count => format!("no {} keys can agree: {count} different keys are named", arguments.threshold),
            },
            hints: Vec::new(),
        }]);
    }
    let InputFlags { kit, spec, lock, context, variant, require_proof } = &arguments.inputs;
    let (kit, spec, lock, context) = (kit.clone(), spec.clone(), lock.clone(), context.clone());
    let inputs = RebuildInputs { kit, spec, lock, context, variant: variant.clone(), require_proof: *require_proof };
    let signer = arguments.verdict.verifier_key.as_deref().map(|key| keys::signer(session, key)).transpose()?;
    let verdict = signer.as_deref().map(|signer| VerdictSigner {
        signer,
        id: match &arguments.verdict.verifier_id {
            Some(id) => id.clone(),
            None => format!("{VERIFIER}{}", signer.public().id().hex()),
        },
        output: arguments.verdict.output.clone(),
    });
    let options = VerifyOptions {
        keys: trusted,
        threshold: arguments.threshold as usize,
        require: arguments.require.iter().copied().collect::<BTreeSet<_>>(),
        identity: arguments.identity,
        platforms: arguments.platform.platforms.clone(),
        bundles: arguments.bundles.clone(),
        against: arguments.against.clone(),
        rebuild: arguments.rebuild.then_some(inputs),
        verdict,
    };
    let found =
        session.in_world(&arguments.world, Path::new("."), |world| ops::verify(world, &arguments.image, &options))?;
    session.warnings(&found.warnings);
    session.answer(&found, &text(&found, session.globals.verbose))?;
    Ok(match found.outcome {
        Outcome::Yes => Answer::Yes,
        Outcome::No => Answer::No,
        Outcome::Unknown => Answer::Unknown,
    })
}

/// Returns a verification as a person reads it. What comes from elsewhere is shown without control characters.
fn text(found: &Verification, all: bool) -> String {
    let mut text = format!("{}\n\n", found.digest);
    let width = found.checks.iter().map(|check| check.platform.chars().count()).max().unwrap_or(0);
    for check in &found.checks {
        let outcome = word(check.outcome);
        let _ = writeln!(
            text,
            "  {outcome:<8} {:<10}  {:<width$}  {}",
            check.requirement.as_str(),
            plain(&check.platform),
            plain(&check.says)
        );
        for hint in &check.hints {
            let _ = writeln!(text, "  {:<8} {hint}", "hint");
        }
    }
    for note in &found.notes {
        let _ = writeln!(text, "  {:<8} {}", "note", plain(note));
    }
    let rebuilt = found.rebuild.as_ref();
    let comparisons = [found.against.as_ref(), rebuilt.and_then(|rebuilt| rebuilt.comparison.as_ref())];
    for comparison in comparisons.into_iter().flatten().filter(|comparison| !comparison.same) {
        text.push('\n');
        for line in diff::lines(comparison, if all { usize::MAX } else { diff::SHOWN }) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(place) = rebuilt.and_then(|rebuilt| rebuilt.verdict.as_ref()) {
        let _ = writeln!(text, "  {:<8} signed to `{}`", "verdict", plain(place));
    }
    let answer = match found.outcome {
        Outcome::Yes => "verified",
        Outcome::No => "not verified",
        Outcome::Unknown => "it could not be told",
    };
    let _ = writeln!(text, "\n{answer}");
    text
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Yes => "yes",
        Outcome::No => "no",
        Outcome::Unknown => "unknown",
    }
}
