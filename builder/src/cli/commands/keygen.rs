//! `tarsia keygen`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use tarsia::diag::Problems;
use tarsia::ops::{self, KeygenOptions};
use tarsia::sign::{Algorithm, Sealing};
use zeroize::Zeroizing;

use crate::cli::error::Error;
use crate::cli::session::Session;
use crate::cli::{Answer, keys, password};

/// Flags of `keygen`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the pair goes: NAME.key, readable by you alone, and NAME.pub
    #[arg(short, long, value_name = "NAME")]
    pub(crate) output: PathBuf,

    /// What the key computes; p256 where a verifier knows no Ed25519
    #[arg(long, value_name = "ALGORITHM", value_enum, default_value_t = Kind::Ed25519)]
    pub(crate) algorithm: Kind,

    /// Encrypt the private key, as cosign does, by COSIGN_PASSWORD or a password asked for
    #[arg(long)]
    pub(crate) encrypt: bool,

    /// Make no key; write the public half of this one: a file, env://VARIABLE, ssh-agent:[KEY] or
    /// exec:PROGRAM
    #[arg(long, value_name = "KEY", conflicts_with_all = ["algorithm", "encrypt"])]
    pub(crate) public_of: Option<String>,
}

/// The algorithms as flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Ed25519,
    P256,
}

/// Makes a key pair and prints where its public half is.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let pair = match &arguments.public_of {
        Some(key) => ops::keygen_public(&arguments.output, keys::signer(session, key)?.public())?,
        None => {
            let algorithm = match arguments.algorithm {
                Kind::Ed25519 => Algorithm::Ed25519,
                Kind::P256 => Algorithm::P256,
            };
            let sealed = match arguments.encrypt {
                true => Some((new_password(session)?, Sealing { salt: *random()?, nonce: *random()? })),
                false => None,
            };
            ops::keygen(&arguments.output, &KeygenOptions { algorithm, random: random()?, sealed })?
        }
    };
    let private = pair.private.as_ref().map(|path| path.display().to_string());
    let public = pair.public.display().to_string();
    session
        .answer(&json!({"private": private, "public": public, "id": pair.id.to_string()}), &format!("{public}\n"))?;
    if let Some(private) = private {
        session.note(&format!("The private key is `{private}`: keep it, and keep it to yourself"));
    }
    Ok(Answer::Yes)
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(bytes)
}

fn new_password(session: &Session) -> Result<Zeroizing<String>, Error> {
    if let Some(password) = &session.environment.password {
        return Ok(password.0.clone());
    }
    if !session.environment.terminal {
        return Err(Error::NoPassword);
    }
    let first = password::ask("Password of the new key").ok_or(Error::NoPassword)?;
    let second = password::ask("The same again").ok_or(Error::NoPassword)?;
    if first == second { Ok(first) } else { Err(Error::NoPassword) }
}
