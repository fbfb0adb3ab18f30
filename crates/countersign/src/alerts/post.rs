//! One JSON body, POSTed over a connection of its own.

use anyhow::Context as _;
use countersign_tls::{ClientTls, ServerTrust};
use http::{Method, header};
use http_body_util::{BodyExt as _, Full};

use crate::config::AlertPlace;
use crate::http_client::{open, request};
use crate::system_roots::roots;

/// POSTs to a place, or below it.
pub(super) async fn post(place: &AlertPlace, below: &str, body: &serde_json::Value) -> anyhow::Result<()> {
    let url = place.url()?;
    let path = match below {
        "" => url.path().to_owned(),
        below => format!("{}{below}", url.path().trim_end_matches('/')),
    };
    let request = request(&url, Method::POST, &path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
        .context("build the request")?;
    let tls = url.is_tls().then(|| {
        let trust = ServerTrust::Roots(roots(place.ca_file.as_deref(), "alert_to.ca_file")?);
        ClientTls::new(&trust, None).context("set up TLS")
    });
    let mut sender = open(&url, tls.transpose()?.as_ref()).await?;
    let response = sender.send_request(request).await.context("send")?;
    let status = response.status();
    // What it says is not looked at: it is not ours to log.
    response.into_body().collect().await.context("read the answer")?;
    anyhow::ensure!(status.is_success(), "the answer is {status}");
    Ok(())
}
