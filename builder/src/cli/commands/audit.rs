//! `tarsia audit`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tarsia::diag::Problems;
use tarsia::ops::{self, Audit, AuditOptions};
use tarsia::policy::Found;

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::engine::EngineFlags;
use crate::cli::error::Error;
use crate::cli::output::plain;
use crate::cli::session::Session;
use crate::cli::size::{counted, human_size};

/// Flags of `audit`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image to check (a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE,
    /// docker://HOST/NAME[:TAG|@DIGEST]), or a locked spec
    #[arg(value_name = "IMAGE|SPEC")]
    pub(crate) subject: String,

    /// Contract to check against [default: the spec's own, else all that can be forbidden]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) engine: EngineFlags,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Checks an image, and prints what breaks its contract; the answer is no where something does.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let options = AuditOptions {
        policy: arguments.policy.clone(),
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
    };
    let path = Path::new(&arguments.subject);
    let is_spec = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") && !path.is_dir();
    let audit = if is_spec {
        session
            .in_world_with(&arguments.world, &arguments.engine, path, |world| ops::audit_spec(world, path, &options))?
    } else if options.variant.is_some() {
        return Err(Error::ImageVariant(arguments.subject.clone()).into());
    } else {
        let WorldFlags { store, network, .. } = &arguments.world;
        session.reaching(store, &network.registry, network.offline, |reach| {
            ops::audit(reach, &arguments.subject, &options)
        })?
    };
    session.warnings(&audit.warnings);
    for image in &audit.images {
        session.warnings(&image.warnings);
    }
    session.answer(&audit, &text(&audit))?;
    Ok(if audit.accepted { Answer::Yes } else { Answer::No })
}

/// Returns an audit as a person reads it. What comes from the image is shown without control characters.
fn text(audit: &Audit) -> String {
    let mut text = format!("{}\n", audit.digest);
    for one in &audit.images {
        let judgement = &one.judgement;
        let _ = writeln!(text, "\n{} {}", plain(&one.platform), one.digest);
        for found in &judgement.broken {
            line(&mut text, found, "");
        }
        for allowed in &judgement.allowed {
            line(&mut text, &allowed.found, &format!("; allowed: {}", allowed.because));
        }
        for note in &judgement.notes {
            let _ = writeln!(text, "  {:<15} {}", "note", plain(note));
        }
        let verdict = match judgement.broken.len() {
            0 => "keeps the contract".to_owned(),
            1 => "1 breach".to_owned(),
            count => format!("{count} breaches"),
        };
        let allowed = judgement.allowed.len() as u64;
        let allowed = if allowed > 0 { format!(", {} allowed", counted(allowed, "finding")) } else { String::new() };
        let _ = writeln!(text, "  {verdict}{allowed}, {} of files", human_size(judgement.size));
    }
    text
}

fn line(text: &mut String, found: &Found, behind: &str) {
    let from = found.from.as_ref().map(|from| format!(", from {from}")).unwrap_or_default();
    let package = found.package.as_ref().map(|package| format!("package {package}"));
    let path = found.path.as_deref().or(package.as_deref()).unwrap_or("the image");
    let _ = writeln!(text, "  {:<15} {}", found.rule.as_str(), plain(&format!("{path} {}{from}{behind}", found.what)));
}
