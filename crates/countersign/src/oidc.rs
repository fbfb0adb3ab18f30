//! The identity provider over the network: few questions, a connection each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::oidc::{Answered, OidcConfig, OidcTransport, Unanswered};
use countersign_tls::{ClientTls, ServerTrust};
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::{HttpUrl, Oidc};
use crate::http_client::{open, request};
use crate::system_roots::roots;

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read.
const LARGEST_ANSWER: usize = 1 << 20;

/// What the authority needs to ask the provider.
pub(crate) fn provider(config: &Oidc) -> anyhow::Result<(OidcConfig, Arc<dyn OidcTransport>)> {
    let client_secret = config.client_secret.read_line().context("read oidc.client_secret_file")?;
    let trust = ServerTrust::Roots(roots(config.ca_file.as_deref(), "oidc.ca_file")?);
    let tls = ClientTls::new(&trust, None).context("set up TLS to the identity provider")?;
    let asked = OidcConfig {
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        client_secret,
        console_url: config.console_url.clone(),
        scopes: config.scopes.clone(),
        name: config.name.clone(),
        people: config.people.clone(),
    };
    Ok((asked, Arc::new(HttpTransport { tls })))
}

struct HttpTransport {
    tls: ClientTls,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpTransport")
    }
}

impl OidcTransport for HttpTransport {
    fn get(&self, url: String) -> BoxFuture<'_, Result<Answered, Unanswered>> {
        Box::pin(async move { Ok(self.carry(&url, Asked { form: None, authorization: None }).await?) })
    }

    fn post(
        &self,
        url: String,
        form: Zeroizing<String>,
        authorization: Option<Zeroizing<String>>,
    ) -> BoxFuture<'_, Result<Answered, Unanswered>> {
        Box::pin(async move { Ok(self.carry(&url, Asked { form: Some(form), authorization }).await?) })
    }
}

/// What is asked.
struct Asked {
    form: Option<Zeroizing<String>>,
    authorization: Option<Zeroizing<String>>,
}

impl HttpTransport {
    async fn carry(&self, url: &str, asked: Asked) -> anyhow::Result<Answered> {
        // Endpoints are the provider's to name: where they lead is for us to refuse. Their queries stay.
        let (place, _) = url.split_once('?').unwrap_or((url, ""));
        let place: HttpUrl = place.parse().context("read the URL")?;
        anyhow::ensure!(place.is_confidential(), "plain HTTP leaves this machine");
        let request = asking(&place, url, asked)?;
        timeout(PATIENCE, self.exchange(&place, request)).await.context("no answer in time")?
    }

    async fn exchange(&self, place: &HttpUrl, request: Request<Full<Bytes>>) -> anyhow::Result<Answered> {
        let mut sender = open(place, Some(&self.tls)).await?;
        let response = sender.send_request(request).await.context("send")?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error)).context("read the answer")?;
        Ok(Answered { status, body: Zeroizing::new(body.to_bytes().to_vec()) })
    }
}

fn asking(place: &HttpUrl, url: &str, asked: Asked) -> anyhow::Result<Request<Full<Bytes>>> {
    let uri: http::Uri = url.parse().context("read the URL")?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let method = if asked.form.is_some() { Method::POST } else { Method::GET };
    let mut request = request(place, method, path).header(header::ACCEPT, "application/json");
    if let Some(authorization) = asked.authorization {
        let mut value = HeaderValue::from_str(&authorization).context("build the request")?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    if asked.form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let form = asked.form.map(|form| form.to_string()).unwrap_or_default();
    request.body(Full::from(form)).context("build the request")
}
