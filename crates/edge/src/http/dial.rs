//! Connecting to an upstream.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use super::body::BodyError;
use super::group::UpstreamAddress;
use super::members::Member;
use super::multiplexed::Multiplexed;
use super::open::Open;
use super::upstream_tls::ClientSide;
use super::upstreams::UpstreamError;
use crate::unix;

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Dialer(HttpConnector);

impl Dialer {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        Self(connector)
    }

    /// Over HTTP/1.1, in the time that the upstream has for it.
    pub(crate) async fn http1(&self, member: &Member, end: Instant) -> Result<Open, UpstreamError> {
        let generation = member.generation();
        match (&member.address, &member.tls) {
            (UpstreamAddress::Unix(path), _) => {
                let stream = within(member.connect_timeout, unix::connect(path)).await?;
                Open::over(TokioIo::new(stream), generation, end).await
            }
            (_, None) => {
                let stream = within(member.connect_timeout, self.tcp(member)).await?;
                Open::over(stream, generation, end).await
            }
            (_, Some(tls)) => {
                let (stream, generation) = within(member.connect_timeout, self.tls(member, tls)).await?;
                Open::over(TokioIo::new(stream), generation, end).await
            }
        }
    }

    /// Over HTTP/2, in the time that the upstream has for it; the connection is among those kept.
    pub(crate) async fn http2(&self, member: &Member, kept: &Multiplexed) -> Result<(), UpstreamError> {
        let generation = member.generation();
        match (&member.address, &member.tls) {
            (UpstreamAddress::Unix(path), _) => {
                let stream = within(member.connect_timeout, unix::connect(path)).await?;
                kept.begin(TokioIo::new(stream), generation).await
            }
            (_, None) => {
                let stream = within(member.connect_timeout, self.tcp(member)).await?;
                kept.begin(stream, generation).await
            }
            (_, Some(tls)) => {
                let (stream, generation) = within(member.connect_timeout, self.tls(member, tls)).await?;
                if !stream.is_http2() {
                    return Err(UpstreamError::Connect("the upstream does not speak HTTP/2".into()));
                }
                kept.begin(TokioIo::new(stream), generation).await
            }
        }
    }

    async fn tcp(&self, member: &Member) -> Result<TokioIo<TcpStream>, BodyError> {
        self.0.clone().oneshot(member.uri.clone()).await.map_err(Into::into)
    }

    async fn tls(
        &self,
        member: &Member,
        tls: &ClientSide,
    ) -> Result<(countersign_tls::ClientStream<TcpStream>, u64), BodyError> {
        let in_use = tls.in_use();
        let host = member.uri.host().unwrap_or_default();
        let name = tls.server_name().unwrap_or_else(|| host.trim_start_matches('[').trim_end_matches(']'));
        let stream = self.tcp(member).await?.into_inner();
        Ok((in_use.tls.handshake(name, stream).await?, in_use.generation()))
    }
}

async fn within<T, E: Into<BodyError>>(
    limit: Duration,
    connecting: impl Future<Output = Result<T, E>>,
) -> Result<T, UpstreamError> {
    match timeout(limit, connecting).await {
        Ok(connected) => connected.map_err(|error| UpstreamError::Connect(error.into())),
        Err(elapsed) => Err(UpstreamError::Connect(elapsed.into())),
    }
}
