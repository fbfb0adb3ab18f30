//! A client's TLS, made of what is on disk at the moment: who connects rarely and runs for months follows
//! renewals by looking each time.

use std::error::Error;
use std::fmt;

use parking_lot::Mutex;
use thiserror::Error;
use tracing::warn;

use crate::client::{ClientError, ClientIdentity, ClientTls, ServerTrust};

/// What a client's TLS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsMaterial {
    /// Which servers it trusts.
    pub trust: ServerTrust,
    /// What it shows.
    pub identity: Option<ClientIdentity>,
}

/// There is no TLS to connect with.
#[derive(Debug, Error)]
pub enum SourceError {
    /// What it is made of cannot be read.
    #[error("read certificate, key and CA")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
    /// What was read cannot be used.
    #[error("use certificate, key and CA")]
    Unusable(#[from] ClientError),
}

type Read = dyn Fn() -> Result<TlsMaterial, Box<dyn Error + Send + Sync>> + Send + Sync;

/// Makes a client's TLS of what is there now, and keeps it for as long as that stays the same, with the
/// sessions that it remembers.
pub struct TlsSource {
    read: Box<Read>,
    last: Mutex<Option<(TlsMaterial, ClientTls)>>,
}

impl fmt::Debug for TlsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSource").finish_non_exhaustive()
    }
}

impl TlsSource {
    /// One that reads with `read`, each time that it is asked. No ALPN is offered.
    pub fn new(
        read: impl Fn() -> Result<TlsMaterial, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self { read: Box::new(read), last: Mutex::new(None) }
    }

    /// The TLS to connect with now.
    ///
    /// # Errors
    /// When there has never been any that could be used. Later the last one that could be is gone on with,
    /// and a warning says why: a swap of the files may be half done.
    pub fn current(&self) -> Result<ClientTls, SourceError> {
        let read = (self.read)().map_err(SourceError::Unreadable);
        let mut last = self.last.lock();
        if let (Ok(material), Some((known, tls))) = (&read, &*last)
            && material == known
        {
            return Ok(tls.clone());
        }
        let made = read.and_then(|material| {
            let tls = ClientTls::new(&material.trust, material.identity.as_ref())?.with_protocols(&[]);
            Ok((material, tls))
        });
        match (made, &*last) {
            (Ok((material, tls)), _) => {
                *last = Some((material, tls.clone()));
                Ok(tls)
            }
            (Err(error), Some((_, tls))) => {
                let reason = error.source().map(tracing::field::display);
                warn!(%error, reason, "new certificate refused, old one kept");
                Ok(tls.clone())
            }
            (Err(error), None) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_testkit::TestCa;

    use super::*;

    #[test]
    fn what_is_new_is_taken_over_and_what_is_bad_is_not() {
        let ca = TestCa::new("countersign.internal");
        let identity = |name: &str| {
            let device = ca.device("acme", name);
            ClientIdentity::from_pem(device.chain_pem(), device.key_pem())
        };
        let trust = ServerTrust::Roots(ca.root_pem());
        let shelf = Arc::new(Mutex::new(None::<TlsMaterial>));
        let shown = Arc::clone(&shelf);
        let source = TlsSource::new(move || shown.lock().clone().ok_or_else(|| "nothing there".into()));
        assert!(matches!(source.current(), Err(SourceError::Unreadable(_))));
        let put = |material: TlsMaterial| *shelf.lock() = Some(material);
        let first = TlsMaterial { trust: trust.clone(), identity: Some(identity("d1")) };
        let bad = TlsMaterial { trust: ServerTrust::Roots("no root".to_owned()), identity: None };
        put(bad.clone());
        assert!(matches!(source.current(), Err(SourceError::Unusable(_))));
        put(first.clone());
        let one = source.current().unwrap();
        assert!(one.is(&source.current().unwrap()), "the same, with its sessions");
        put(bad);
        assert!(one.is(&source.current().unwrap()), "kept");
        put(TlsMaterial { trust, identity: Some(identity("d2")) });
        assert!(!one.is(&source.current().unwrap()), "taken over");
    }
}
