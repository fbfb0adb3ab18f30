//! HTTP to the CA, over our own TLS.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use countersign_tls::{ClientTls, HttpsConnector, ServerTrust};
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;

use crate::system_roots::roots;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of the CA.
pub(super) struct AcmeHttp(Client<HttpsConnector, BodyWrapper<Bytes>>);

impl AcmeHttp {
    /// One that trusts these roots, or the system's.
    pub(super) fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let roots = roots(ca_file, "acme.ca_file")?;
        let tls = ClientTls::new(&ServerTrust::Roots(roots), None).context("set up TLS to the CA")?;
        Ok(Self(Client::builder(TokioExecutor::new()).build(tls.connector())))
    }
}

impl HttpClient for AcmeHttp {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let answer = self.0.request(request);
        Box::pin(async move {
            match timeout(PATIENCE, answer).await {
                Ok(Ok(answer)) => Ok(BytesResponse::from(answer)),
                Ok(Err(error)) => Err(Error::Other(Box::new(error))),
                Err(_late) => Err(Error::Other(Box::new(io::Error::from(io::ErrorKind::TimedOut)))),
            }
        })
    }
}
