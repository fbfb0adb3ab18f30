//! What stands behind the door: a stock broker on a private listener, or the hub of this process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use countersign_core::ids::RequestId;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroizing;

use super::hub::{Hub, HubEnd};
use super::party::Party;
use crate::admit::Admitted;
use crate::tcp::proxy_header::{self, ProxyHeader};
use crate::tcp::upstream::{self, TcpUpstream};

/// What stands behind the door.
#[derive(Clone, Debug)]
pub enum MqttUpstream {
    /// A stock broker.
    Broker(Broker),
    /// Nothing: messages go to the sink, and commands come from the hub's handle.
    Hub(Arc<Hub>),
}

/// A stock broker. Only doors may reach its listener: whoever else does is whoever it says.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Where it is, and by what it is recognised.
    pub server: TcpUpstream,
    /// Who the door says it is.
    pub account: Account,
    /// Whether it is told of the client and its certificate before the first packet, and before TLS.
    pub proxy_header: ProxyHeader,
}

/// A password that is not shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Of this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Shown to whoever has to send it, or to compare it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The user name and password under which the broker knows a device's connection; what the device says is
/// dropped.
#[derive(Clone, Debug)]
pub enum Account {
    /// None.
    Anonymous,
    /// One account for all.
    Door {
        /// Its name.
        name: String,
        /// Its password.
        password: Password,
    },
    /// `tenant/device`, or `_service/NAME`, for brokers with rules by user name.
    Identity {
        /// The same for all.
        password: Option<Password>,
    },
}

impl Broker {
    /// What a connection of the door's own begins with: that there is nobody behind it.
    pub(super) const fn own_header(&self) -> &'static [u8] {
        match self.proxy_header {
            ProxyHeader::None => &[],
            ProxyHeader::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        }
    }
}

/// What is said for one client.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) name: Option<String>,
    pub(super) password: Option<Password>,
}

impl Account {
    pub(super) fn for_party(&self, party: &Party) -> Credentials {
        match self {
            Self::Anonymous => Credentials { name: None, password: None },
            Self::Door { name, password } => {
                Credentials { name: Some(name.clone()), password: Some(password.clone()) }
            }
            Self::Identity { password } => {
                Credentials { name: Some(party.account()), password: password.clone() }
            }
        }
    }
}

/// The broker cannot be reached.
#[derive(Debug, Error)]
pub(super) enum ReachError {
    #[error("say to the broker who is there")]
    Header(#[source] io::Error),
    #[error("reach the broker at {0}")]
    Reach(TcpUpstream, #[source] upstream::ReachError),
}

impl MqttUpstream {
    pub(super) const fn account(&self) -> &Account {
        match self {
            Self::Broker(broker) => &broker.account,
            Self::Hub(_) => &Account::Anonymous,
        }
    }

    /// What a connection of the door's own begins with.
    pub(super) const fn own_header(&self) -> &'static [u8] {
        match self {
            Self::Broker(broker) => broker.own_header(),
            Self::Hub(_) => &[],
        }
    }

    /// What the broker is told before the first packet.
    pub(super) fn proxy_header(
        &self,
        admitted: &Admitted,
        addresses: (SocketAddr, SocketAddr),
        id: RequestId,
    ) -> io::Result<Vec<u8>> {
        match self {
            Self::Broker(Broker { proxy_header: ProxyHeader::V2, .. }) => {
                proxy_header::v2(admitted, addresses, id)
            }
            Self::Broker(_) | Self::Hub(_) => Ok(Vec::new()),
        }
    }

    /// Connects, with this header first.
    pub(super) async fn reach(
        &self,
        header: &[u8],
        patience: Duration,
    ) -> Result<UpstreamStream, ReachError> {
        match self {
            Self::Hub(hub) => Ok(UpstreamStream::Hub(Box::new(hub.connect()))),
            Self::Broker(Broker { server, .. }) => {
                let stream = server.reach(header, patience).await;
                stream.map(UpstreamStream::Broker).map_err(|error| ReachError::Reach(server.clone(), error))
            }
        }
    }
}

/// A connection to what stands behind the door.
#[derive(Debug)]
pub(super) enum UpstreamStream {
    Broker(upstream::UpstreamStream),
    Hub(Box<HubEnd>),
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Broker(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Hub(end) => Pin::new(end.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Broker(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Hub(end) => Pin::new(end.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Broker(stream) => Pin::new(stream).poll_flush(cx),
            Self::Hub(end) => Pin::new(end.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Broker(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Hub(end) => Pin::new(end.as_mut()).poll_shutdown(cx),
        }
    }
}
