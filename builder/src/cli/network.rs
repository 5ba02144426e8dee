//! The network, opened when something asks for it: a build whose inputs are all in the store starts no threads and reads
//! no certificates.

use std::sync::{Arc, Mutex, PoisonError};

use tarsia::fetch::{HttpOptions, HttpTransport, Request, Response, Transport, TransportError};

/// A transport that comes to be with its first request.
#[derive(Default)]
pub(crate) struct Network(Mutex<Option<Arc<HttpTransport>>>);

impl Network {
    fn opened(&self) -> Result<Arc<HttpTransport>, TransportError> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = &*opened {
            return Ok(transport.clone());
        }
        let transport = Arc::new(HttpTransport::new(&HttpOptions::default())?);
        *opened = Some(transport.clone());
        Ok(transport)
    }
}

impl Transport for Network {
    fn get(&self, request: &Request) -> Result<Response, TransportError> {
        self.opened()?.get(request)
    }
}
