//! The network, opened when something asks for it: a build whose inputs are all in the store starts no threads and reads
//! no certificates.

use std::sync::{Arc, Mutex, PoisonError};

use tarsia::fetch::{HttpOptions, HttpTransport, Request, Response, Transport, TransportError};

/// A transport that comes to be with its first request.
pub(crate) struct Network {
    options: HttpOptions,
    opened: Mutex<Option<Arc<HttpTransport>>>,
}

impl Network {
    /// Returns a network that will be opened so.
    pub(crate) fn new(options: HttpOptions) -> Self {
        Self { options, opened: Mutex::default() }
    }

    fn opened(&self) -> Result<Arc<HttpTransport>, TransportError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = &*opened {
            return Ok(transport.clone());
        }
        let transport = Arc::new(HttpTransport::new(&self.options)?);
        *opened = Some(transport.clone());
        Ok(transport)
    }
}

impl Transport for Network {
    fn get(&self, request: &Request) -> Result<Response, TransportError> {
        self.opened()?.get(request)
    }
}
