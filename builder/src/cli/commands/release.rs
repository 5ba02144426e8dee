//! `tarsia release`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, ReleaseOptions};

use crate::cli::Answer;
use crate::cli::arguments::WorldFlags;
use crate::cli::keys::KeyFlag;
use crate::cli::session::Session;
use crate::cli::size::{counted, human_size};

/// Flags of `release`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image with its evidence beside it: a directory, an archive, or oci:DIR[:TAG],
    /// oci-archive:FILE[:TAG]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Where to: docker://HOST/NAME[:TAG]
    #[arg(value_name = "DEST")]
    pub(crate) target: String,

    /// Directory for what others take: SBOMs, signatures, sums and the public key
    #[arg(long, value_name = "DIR")]
    pub(crate) assets: PathBuf,

    /// Evidence of the image [default: IMAGE.evidence]
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence: Option<PathBuf>,

    /// Rebuild kit to attach: what no digest can bring, or also all packages and signed metadata
    #[arg(long, value_name = "KIT", value_enum, default_value_t = KitForm::Local)]
    pub(crate) kit: KitForm,

    /// Release an image whose archives were not proved; its provenance says so
    #[arg(long)]
    pub(crate) unproved: bool,

    /// Write no .att tag, which cosign before 3 and admission controllers read
    #[arg(long)]
    pub(crate) no_legacy_att: bool,

    /// Take blobs from this repository of the same registry, where it has them
    #[arg(long, value_name = "NAME")]
    pub(crate) mount_from: Option<String>,

    #[command(flatten)]
    pub(crate) key: KeyFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// What a rebuild kit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KitForm {
    Local,
    Full,
}

/// Releases an image, prints its digest, and says how others check it.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let signer = arguments.key.signer(session)?;
    let options = ReleaseOptions {
        assets: arguments.assets.clone(),
        evidence: arguments.evidence.clone(),
        full_kit: arguments.kit == KitForm::Full,
        unproved: arguments.unproved,
        legacy: !arguments.no_legacy_att,
        mount_from: arguments.mount_from.clone(),
    };
    let released = session.in_world(&arguments.world, &arguments.assets, |world| {
        ops::release(world, &arguments.image, &arguments.target, &*signer, &options)
    })?;
    session.warnings(&released.warnings);
    session.answer(
        &json!({
            "digest": released.digest.to_string(),
            "reference": released.reference.to_string(),
            "sent": released.pushed.sent,
            "documents": released.pushed.documents,
            "attached": released.attached,
            "tagged": released.tagged,
            "assets": arguments.assets.display().to_string(),
            "changed": released.changed,
            "key": signer.public().id().to_string(),
            "commands": released.commands,
        }),
        &format!("{}\n", released.digest),
    )?;
    let place = released.reference.to_string();
    session.note(&format!("How others check it:\n\n{}", released.commands));
    session.finished(&match (released.pushed.sent, released.attached, released.tagged || released.changed) {
        (0, 0, false) => format!("Found all of it in `{place}`"),
        (sent, attached, _) => {
            let attached = counted(attached as u64, "document");
            format!("Released `{place}`, {} sent, {attached} attached", human_size(sent))
        }
    });
    Ok(Answer::Yes)
}
