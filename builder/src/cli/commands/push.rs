//! `tarsia push`.

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops;

use crate::cli::Answer;
use crate::cli::arguments::RegistryFlags;
use crate::cli::session::Session;
use crate::cli::size::human_size;

/// Flags of `push`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image to publish: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:REF]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Where to: docker://HOST/NAME[:TAG]
    #[arg(value_name = "DEST", required = true)]
    pub(crate) targets: Vec<String>,

    /// Take blobs from this repository of the same registry, where it has them
    #[arg(long, value_name = "NAME")]
    pub(crate) mount_from: Option<String>,

    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

/// Pushes an image and prints its digest.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let registry = session.registry(&arguments.registry, false)?;
    let mut answers = Vec::new();
    let mut digest = String::new();
    for target in &arguments.targets {
        let from = arguments.mount_from.as_deref();
        let done = ops::push(&registry, session.progress(), &arguments.image, target, from)?;
        digest = done.digest.to_string();
        let place = done.reference.to_string();
        session.finished(&match (done.pushed.sent, done.pushed.documents, done.tagged) {
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
            "tagged": done.tagged,
        }));
    }
    session.answer(&answers, &format!("{digest}\n"))?;
    Ok(Answer::Yes)
}
