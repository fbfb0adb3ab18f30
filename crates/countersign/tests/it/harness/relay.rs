//! A public address: it is known before the server has its port.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes connections on to a server; ended when dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    to: Arc<OnceLock<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, to) = (listener.local_addr().unwrap(), Arc::new(OnceLock::<SocketAddr>::new()));
        let target = Arc::clone(&to);
        let task = tokio::spawn(async move {
            while let Ok((mut inner, _peer)) = listener.accept().await {
                let Some(target) = target.get().copied() else { continue };
                tokio::spawn(async move {
                    if let Ok(mut outer) = TcpStream::connect(target).await {
                        drop(tokio::io::copy_bidirectional(&mut inner, &mut outer).await);
                    }
                });
            }
        });
        Self { address, to, task }
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where to from now on; the first call counts.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        self.to.set(server).unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
