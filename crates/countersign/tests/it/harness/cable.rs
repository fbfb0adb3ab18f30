//! A cable that a test can cut and mend.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to a server while it is whole; ended when dropped.
pub(crate) struct Cable {
    address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    whole: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Cable {
    /// A whole one to a server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        Self::from((Ipv4Addr::LOCALHOST, 0).into(), server).await
    }

    /// The same from a near end of the test's choice.
    pub(crate) async fn from(near: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(near).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, state) = watch::channel(true);
        let server = Arc::new(Mutex::new(server));
        let far_end = Arc::clone(&server);
        let task = tokio::spawn(async move {
            while let Ok((mut inner, _peer)) = listener.accept().await {
                let mut state = state.clone();
                if !*state.borrow() {
                    continue;
                }
                let server = *far_end.lock().unwrap();
                tokio::spawn(async move {
                    let Ok(mut outer) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _copied = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
                        _cut = state.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        Self { address, server, whole, task }
    }

    /// Its near end.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whoever comes from now on is led to another server.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = server;
    }

    /// Nothing goes through it any more, and what did is broken off.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// It is whole again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}
