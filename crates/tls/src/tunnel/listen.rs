//! Where the near end of a tunnel listens: on loopback or at a Unix socket, unless danger is asked for.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// Who may reach a listener that asks nobody who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Reach {
    /// This machine.
    #[default]
    Loopback,
    /// Whoever can reach the address: they all get the identity.
    DangerBeyondLoopback,
}

/// Where a forward listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardListen(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A text that is no place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ForwardListenError {
    /// Neither an address nor a socket.
    #[error("not an address to listen on, such as 127.0.0.1:8787 or unix:/run/app.sock: {0:?}")]
    Unreadable(String),
    /// Others could reach it.
    #[error("{0} can be reached from other machines, and whoever reaches it gets this machine's identity")]
    BeyondLoopback(SocketAddr),
}

impl ForwardListen {
    /// Reads `ADDRESS:PORT` or `unix:/PATH`.
    ///
    /// # Errors
    /// Fails closed: an address beyond loopback is refused unless `reach` asks for the danger.
    pub fn parse(text: &str, reach: Reach) -> Result<Self, ForwardListenError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| cfg!(unix) && path.starts_with('/')) {
            return Ok(Self(Place::Unix(path.into())));
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_invalid| ForwardListenError::Unreadable(text.chars().take(160).collect()))?;
        match reach {
            Reach::Loopback if !address.ip().is_loopback() => {
                Err(ForwardListenError::BeyondLoopback(address))
            }
            Reach::Loopback | Reach::DangerBeyondLoopback => Ok(Self(Place::Tcp(address))),
        }
    }
}

impl fmt::Display for ForwardListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listener cannot be bound.
#[derive(Debug, Error)]
#[error("listen on {place}")]
pub struct ListenError {
    /// Where.
    pub place: String,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// A bound listener.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener, SocketAddr),
    #[cfg(unix)]
    Unix(UnixListener, Socket),
}

/// A socket's file; it is gone with this.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Socket(PathBuf);

#[cfg(unix)]
impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "socket not removed");
        }
    }
}

impl Listener {
    pub(super) async fn bind(listen: &ForwardListen) -> Result<Self, ListenError> {
        let failed = |source| ListenError { place: listen.to_string(), source };
        match &listen.0 {
            Place::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                Ok(Self::Tcp(listener, bound))
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let listener = bind_socket(path).await.map_err(failed)?;
                Ok(Self::Unix(listener, Socket(path.clone())))
            }
            #[cfg(not(unix))]
            Place::Unix(_) => Err(failed(io::ErrorKind::Unsupported.into())),
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Tcp(_, address) => address.to_string(),
            #[cfg(unix)]
            Self::Unix(_, Socket(path)) => format!("unix:{}", path.display()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, _peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

/// A socket that its owner alone can open, at no moment anybody else; in the place of one that nobody
/// listens at any more.
#[cfg(unix)]
async fn bind_socket(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let listener = UnixListener::bind(&beside)?;
    let put = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&beside, path));
    if put.is_err() {
        // What is left of it is nobody's.
        let _gone = std::fs::remove_file(&beside);
    }
    put.map(|()| listener)
}

/// Somebody who has connected.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_closed_on_an_address_that_others_can_reach() {
        for text in ["127.0.0.1:8787", "[::1]:0", "unix:/run/app.sock"] {
            assert_eq!(ForwardListen::parse(text, Reach::Loopback).unwrap().to_string(), text);
        }
        for text in ["0.0.0.0:8787", "192.0.2.1:1", "[::]:1", "[2001:db8::1]:1"] {
            let refused = ForwardListen::parse(text, Reach::Loopback);
            assert!(matches!(refused, Err(ForwardListenError::BeyondLoopback(_))), "{text}");
            assert!(ForwardListen::parse(text, Reach::DangerBeyondLoopback).is_ok(), "{text}");
        }
        for text in ["", "8787", "localhost:8787", "unix:relative", "unix:"] {
            let refused = ForwardListen::parse(text, Reach::DangerBeyondLoopback);
            assert!(matches!(refused, Err(ForwardListenError::Unreadable(_))), "{text}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_takes_the_place_of_a_dead_one_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("cs-socket-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("app.sock");
        let listen = ForwardListen::parse(&format!("unix:{}", path.display()), Reach::Loopback).unwrap();
        // A process that was killed leaves one behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&listen).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let taken = Listener::bind(&listen).await.unwrap_err();
        assert_eq!(taken.source.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
