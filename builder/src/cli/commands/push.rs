//! `tarsia push`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, PushOptions};

use crate::cli::Answer;
use crate::cli::arguments::SourceFlags;
use crate::cli::session::Session;
use crate::cli::size::human_size;

/// Flags of `push`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image to publish: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Where to: docker://HOST/NAME[:TAG]
    #[arg(value_name = "DEST", required = true)]
    pub(crate) targets: Vec<String>,

    /// Take blobs from this repository of the same registry, where it has them
    #[arg(long, value_name = "NAME")]
    pub(crate) mount_from: Option<String>,

    /// Evidence of the image, whose documents are attached to it [default: IMAGE.evidence]
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence: Option<PathBuf>,

    /// Push the image alone
    #[arg(long, conflicts_with = "evidence")]
    pub(crate) no_evidence: bool,

    #[command(flatten)]
    pub(crate) source: SourceFlags,
}

/// Pushes an image and prints its digest.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let SourceFlags { store, registry } = &arguments.source;
    let options = PushOptions {
        mount_from: arguments.mount_from.clone(),
        evidence: arguments.evidence.clone(),
        no_evidence: arguments.no_evidence,
    };
    let mut answers = Vec::new();
    let mut digest = String::new();
    for target in &arguments.targets {
        let done =
            session.reaching(store, registry, false, |reach| ops::push(reach, &arguments.image, target, &options))?;
        digest = done.digest.to_string();
        let place = done.reference.to_string();
        session.finished(&match (done.pushed.sent, done.pushed.documents + done.attached, done.tagged) {
            (0, 0, false) => format!("Found the image in `{place}`"),
            (sent, ..) => format!("Pushed `{place}`, {} sent", human_size(sent)),
        });
        answers.push(json!({
            "reference": place,
            "digest": digest,
            "sent": done.pushed.sent,
            "mounted": done.pushed.mounted,
            "present": done.pushed.present,
            "documents": done.pushed.documents,
            "attached": done.attached,
            "tagged": done.tagged,
        }));
    }
    session.answer(&answers, &format!("{digest}\n"))?;
    Ok(Answer::Yes)
}
