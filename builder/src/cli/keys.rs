//! Keys as the command line names them.

use tarsia::diag::Problems;
use tarsia::sign::PublicKey;

use super::session::Session;

pub(crate) fn public(_: &Session, text: &str) -> Result<PublicKey, Problems> {
    let pem = std::fs::read(text).map_err(|cause| super::error::Error::Authorities(text.to_owned(), cause))?;
    Ok(PublicKey::from_pem(text, &pem)?)
}
