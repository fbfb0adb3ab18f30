//! What is told about a connection's client with each of its requests, worked out once.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use parking_lot::Mutex;

use super::connection::Arrived;
use super::host::{HostError, RequestedHost};
use super::refusal::Answer;
use crate::admit::Admitted;
use crate::headers::{ClientFacts, IdentityHeaders, IdentityValues, Judged, Origin, Provenance, Scheme};

/// What is told with the requests of a connection for one host.
#[derive(Debug)]
pub(crate) struct Told {
    host: RequestedHost,
    pub(crate) host_value: HeaderValue,
    pub(crate) provenance: Provenance,
    /// The device that the certificate names, whose standing is judged with every request.
    device: Option<IdentityValues>,
    /// The guest that it makes.
    guest: OnceLock<IdentityValues>,
    /// What routes that chose other families say of it: few routes, and one verdict as a rule.
    others: Mutex<Vec<Said>>,
}

/// What one choice of families says under one verdict.
#[derive(Debug)]
struct Said {
    chosen: Arc<IdentityHeaders>,
    judged: Judged,
    headers: SaidHeaders,
}

/// Headers that are the same for many requests.
#[derive(Clone, Debug)]
pub(crate) struct SaidHeaders(Arc<[(HeaderName, HeaderValue)]>);

impl SaidHeaders {
    /// Sets them.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        for (name, value) in &*self.0 {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl Told {
    /// The host that a request asks for, without reading it again where it is asked for as it was last over this
    /// connection.
    pub(crate) fn host<B>(arrived: &Arrived, request: &Request<B>) -> Result<RequestedHost, HostError> {
        let last = arrived.told.lock().as_ref().map(|told| told.host.clone());
        match last.filter(|host| host.is_asked_by(request.uri(), request.headers())) {
            Some(same) => Ok(same),
            None => RequestedHost::of(request.uri(), request.headers()),
        }
    }

    /// What was told last over this connection, if it was for the same host.
    ///
    /// # Errors
    /// When the host cannot stand in a header.
    pub(crate) fn over(arrived: &Arrived, host: &RequestedHost) -> Result<Arc<Self>, Answer> {
        let mut last = arrived.told.lock();
        if let Some(told) = last.as_ref().filter(|told| told.host == *host) {
            return Ok(Arc::clone(told));
        }
        let told = Arc::new(Self::new(arrived, host)?);
        *last = Some(Arc::clone(&told));
        Ok(told)
    }

    /// What may be told of whoever was admitted.
    pub(crate) fn client(&self, admitted: &Admitted) -> Option<&IdentityValues> {
        match admitted.guest() {
            Some(claim) => Some(self.guest.get_or_init(|| {
                let leaf = admitted.peer().chain_der().first().map(AsRef::as_ref);
                IdentityValues::guest(claim, leaf)
            })),
            None => admitted.certificate().and(self.device.as_ref()),
        }
    }

    fn new(arrived: &Arrived, host: &RequestedHost) -> Result<Self, Answer> {
        let host = host.clone();
        let host_value =
            HeaderValue::from_str(&host.authority).map_err(|error| Answer::bad_request("BAD_HOST", error))?;
        let origin = Origin {
            client: arrived.address,
            scheme: Scheme::Https,
            host: Some(&host.authority),
            port: arrived.local.port(),
        };
        let provenance = Provenance::from(&origin);
        let peer = &arrived.peer;
        let leaf = peer.chain_der().first().map(AsRef::as_ref);
        let device = peer.claim().map(|claim| IdentityValues::new(&claim.identity, leaf, peer.issuer_der()));
        let (guest, others) = (OnceLock::new(), Mutex::default());
        Ok(Self { host, host_value, provenance, device, guest, others })
    }

    /// What the families besides RFC 9440's say of the client, worked out once for each verdict.
    pub(crate) fn others(&self, chosen: &Arc<IdentityHeaders>, admitted: &Admitted) -> SaidHeaders {
        let judged = Judged::of(admitted);
        let mut others = self.others.lock();
        let known = others.iter().find(|said| Arc::ptr_eq(&said.chosen, chosen) && said.judged == judged);
        if let Some(said) = known {
            return said.headers.clone();
        }
        let facts = ClientFacts { issuer: admitted.issuer_der(), ..ClientFacts::from(admitted.peer()) };
        let headers = SaidHeaders(chosen.others(&facts, judged).into());
        others.push(Said { chosen: Arc::clone(chosen), judged, headers: headers.clone() });
        headers
    }
}
