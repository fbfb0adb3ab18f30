//! What is told about a connection's client with each of its requests, worked out once.

use std::sync::Arc;

use http::HeaderValue;

use super::connection::Arrived;
use super::host::RequestedHost;
use super::refusal::Answer;
use crate::headers::{IdentityValues, Origin, Provenance, Scheme};

/// What is told with the requests of a connection for one host.
#[derive(Debug)]
pub(crate) struct Told {
    authority: String,
    pub(crate) host_value: HeaderValue,
    pub(crate) provenance: Provenance,
    /// The device that the certificate names, whose standing is judged with every request.
    pub(crate) device: Option<IdentityValues>,
}

impl Told {
    /// What was told last over this connection, if it was for the same host.
    ///
    /// # Errors
    /// When the host cannot stand in a header.
    pub(crate) fn over(arrived: &Arrived, host: &RequestedHost) -> Result<Arc<Self>, Answer> {
        let mut last = arrived.told.lock();
        if let Some(told) = last.as_ref().filter(|told| told.authority == host.authority) {
            return Ok(Arc::clone(told));
        }
        let told = Arc::new(Self::new(arrived, host)?);
        *last = Some(Arc::clone(&told));
        Ok(told)
    }

    fn new(arrived: &Arrived, host: &RequestedHost) -> Result<Self, Answer> {
        let authority = host.authority.clone();
        let host_value =
            HeaderValue::from_str(&authority).map_err(|error| Answer::bad_request("BAD_HOST", error))?;
        let origin = Origin {
            client: arrived.address,
            scheme: Scheme::Https,
            host: Some(&authority),
            port: arrived.local.port(),
        };
        let provenance = Provenance::from(&origin);
        let peer = &arrived.peer;
        let leaf = peer.chain_der().first().map(AsRef::as_ref);
        let device = peer.claim().map(|claim| IdentityValues::new(&claim.identity, leaf, peer.issuer_der()));
        Ok(Self { authority, host_value, provenance, device })
    }
}
