//! Registries: push, pull and referrers (OCI distribution-spec 1.1).
//!
//! What goes in are finished documents and blobs by digest; what comes out is checked against its digest before anyone
//! sees it. A tag is written last, so that none ever points at what is missing, and all that is there already is left
//! alone: pushing again finishes what was cut off, or does nothing.
//!
//! Credentials go to the origin that they were stored for, and to a token service on that host, on a host that it is a
//! subdomain of, or on one that the user named; never along a redirect. Foreign `urls` of layers are not followed.

mod auth;
mod cosign;
mod credentials;
mod error;
mod keep;
mod pull;
mod push;
mod referrers;
mod repository;
mod upload;
mod wire;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::image::Reference;

pub use cosign::{CosignLayer, CosignTag};
pub use credentials::{Credential, CredentialFiles};
pub use error::Error;
pub use push::{PushedImage, documents};
pub use referrers::{EMPTY, EMPTY_BYTES, MAX_REFERRERS, Referrer, ReferrerManifest};
pub use repository::{BlobSource, Document, Repository};
pub use upload::Pushed;

/// How registries are talked to.
#[derive(Debug, Clone)]
pub struct Options {
    /// PEM texts of further certificate authorities.
    pub certificates: Vec<Vec<u8>>,
    /// Plain HTTP is spoken to every registry, not to those of this machine alone.
    pub plain_http: bool,
    /// No network is used at all: every request is refused.
    pub offline: bool,
    /// Hosts that may be given credentials for a token, beside those that a registry's own name allows.
    pub token_hosts: BTreeSet<String>,
    /// How often a request is tried again after it failed for a reason that may pass.
    pub retries: u32,
    /// The wait before the first retry; each further one waits twice as long.
    pub pause: Duration,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest time in which nothing comes or goes.
    pub idle_timeout: Duration,
    /// How long a list of referrers that is kept under a tag must stand before it counts as written.
    pub settle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            plain_http: false,
            offline: false,
            token_hosts: BTreeSet::new(),
            retries: 5,
            pause: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            settle: Duration::from_millis(400),
        }
    }
}

/// The registries of one run: connections and credentials. Nothing is opened before something is asked.
pub struct Registry {
    wire: Mutex<Option<Arc<wire::Wire>>>,
    credentials: CredentialFiles,
    options: Options,
}

impl Registry {
    /// Returns a client that will have connections and threads of its own.
    pub fn new(options: Options, credentials: CredentialFiles) -> Self {
        Self { wire: Mutex::new(None), credentials, options }
    }

    /// Returns the connections, opened with the first request.
    ///
    /// # Errors
    /// Where a certificate is none, or the machine gives no threads.
    fn wire(&self) -> Result<Arc<wire::Wire>, Error> {
        let mut opened = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wire) = &*opened {
            return Ok(wire.clone());
        }
        let wire = Arc::new(wire::Wire::new(&self.options)?);
        *opened = Some(wire.clone());
        Ok(wire)
    }

    /// Returns whether plain HTTP is spoken to the registry of a reference.
    pub fn is_plain(&self, reference: &Reference) -> bool {
        self.options.plain_http || repository::is_loopback(reference.host())
    }

    /// Returns the repository of a reference to a registry; nothing is asked yet.
    pub fn repository(&self, reference: &Reference) -> Repository<'_> {
        Repository::new(self, reference)
    }
}
