//! `tarsia sign`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops;

use crate::cli::Answer;
use crate::cli::arguments::RegistryFlags;
use crate::cli::keys::KeyFlag;
use crate::cli::session::Session;
use crate::cli::size::counted;

/// Flags of `sign`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image to sign: docker://HOST/NAME[:TAG|@DIGEST], a directory, an archive, or oci:DIR[:TAG],
    /// oci-archive:FILE[:TAG]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Where signatures of an image on disk go [default: IMAGE.sigstore.json]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) key: KeyFlag,

    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

/// Signs an image and prints its digest.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let registry = session.registry(&arguments.registry, false)?;
    let signer = arguments.key.signer(session)?;
    let signed = ops::sign(&registry, &arguments.image, &*signer, arguments.output.clone())?;
    let file = signed.file.as_ref().map(|path| path.display().to_string());
    session.answer(
        &json!({
            "digest": signed.digest.to_string(),
            "signed": signed.signed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "written": signed.written,
            "key": signer.public().id().to_string(),
            "file": file,
        }),
        &format!("{}\n", signed.digest),
    )?;
    let place = file.unwrap_or_else(|| arguments.image.clone());
    session.finished(&match signed.written {
        0 => format!("Found every signature in `{place}`"),
        count => format!("Wrote {} to `{place}`", counted(count as u64, "signature")),
    });
    Ok(Answer::Yes)
}
