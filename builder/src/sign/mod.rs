//! Keys, and what they sign: DSSE envelopes, Sigstore bundles, cosign's simple signing.
//!
//! Pure Ed25519 (RFC 8032; never the prehashed kind, which verifiers refuse), and P-256 with RFC 6979 for those who need
//! it: both sign the same bytes twice alike, so that signing again is no change. Private keys are zeroised, never shown,
//! and may stay where they are: in an ssh-agent, or behind a program of the user's.
//!
//! Only [`PublicKey::open`] makes a [`Verified`] statement. Transparency logs and certificates are not read: a key is
//! trusted because it was named.

mod agent;
mod bundle;
mod dsse;
mod error;
mod key;
mod plugin;
mod sealed;
mod simple;
#[cfg(test)]
mod tests;

pub use agent::AgentSigner;
pub use bundle::{BUNDLE, Bundle};
pub use dsse::{ENVELOPE, Envelope, Verified, pae};
pub use error::Error;
pub use key::{Algorithm, PrivateKey, PublicKey, Signer};
pub use plugin::PluginSigner;
pub use sealed::Sealing;
pub use simple::{SIMPLE_SIGNING, SimpleSigning};
