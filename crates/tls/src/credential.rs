//! What a door shows its clients: certificate chains with their keys, replaceable while running.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::name_challenges::NameChallenges;
use crate::pem::{self, PemError};
use crate::policy;
use crate::provider::provider;

/// Why a chain and a key are no credential.
#[derive(Debug, Error)]
#[error("load a TLS certificate and its key")]
pub struct CredentialError(#[source] CredentialProblem);

#[derive(Debug, Error)]
enum CredentialProblem {
    #[error("read the certificate chain")]
    Chain(#[source] PemError),
    #[error("read the private key (PKCS#8, SEC1 or PKCS#1 PEM)")]
    Key(#[source] PemError),
    #[error("use the private key with the first certificate of the chain")]
    Mismatch(#[source] rustls::Error),
}

/// A certificate chain and its private key, EC or RSA, found to belong together.
#[derive(Clone)]
pub struct ServerCredential(pub(crate) Arc<CertifiedKey>);

impl fmt::Debug for ServerCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCredential").field("certificates", &self.0.cert.len()).finish_non_exhaustive()
    }
}

impl ServerCredential {
    /// From DER: the chain leaf first (with the root last, if clients are to pin it) and the key in
    /// PKCS#8.
    ///
    /// # Errors
    /// Refuses an empty chain, a key that cannot be used and one that is not the leaf's.
    pub fn from_der(chain: Vec<Vec<u8>>, pkcs8: &[u8]) -> Result<Self, CredentialError> {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Self::build(chain, PrivatePkcs8KeyDer::from(pkcs8.to_vec()).into())
    }

    /// From PEM: the chain leaf first, and the key in PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// Refuses unreadable PEM, an empty chain, a key that cannot be used and one that is not the leaf's.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, CredentialError> {
        let chain = pem::certificates(chain).map_err(|e| CredentialError(CredentialProblem::Chain(e)))?;
        let key = pem::private_key(key).map_err(|e| CredentialError(CredentialProblem::Key(e)))?;
        Self::build(chain, key)
    }

    fn build(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialError> {
        let mismatch = |e| CredentialError(CredentialProblem::Mismatch(e));
        if chain.is_empty() {
            return Err(CredentialError(CredentialProblem::Chain(PemError::NoCertificate)));
        }
        // Fails closed: refuses a key whose match with the certificate cannot be told.
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(mismatch)?;
        key.keys_match().map_err(mismatch)?;
        Ok(Self(Arc::new(key)))
    }
}

struct Served {
    default: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

/// The credentials of a door: one by default, others by the name the client asks for (SNI).
/// Replacing them serves new connections at once and leaves open ones alone.
pub struct ServerCredentials {
    served: ArcSwap<Served>,
    challenges: NameChallenges,
}

impl fmt::Debug for ServerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCredentials")
            .field("names", &self.served.load().by_name.keys())
            .finish_non_exhaustive()
    }
}

impl ServerCredentials {
    /// One credential for every name.
    #[must_use]
    pub fn new(default: ServerCredential) -> Self {
        let served = ArcSwap::from_pointee(Served { default: default.0, by_name: HashMap::new() });
        Self { served, challenges: NameChallenges::default() }
    }

    /// Replaces all: `default` for whoever asks for no name or an unknown one, and one for each DNS
    /// name in `named` (`*.example.com` stands for one label).
    pub fn replace(
        &self,
        default: ServerCredential,
        named: impl IntoIterator<Item = (String, ServerCredential)>,
    ) {
        let by_name =
            named.into_iter().map(|(name, credential)| (name.to_ascii_lowercase(), credential.0)).collect();
        self.served.store(Arc::new(Served { default: default.0, by_name }));
    }

    /// Replaces the default and keeps the named ones.
    pub fn replace_default(&self, default: ServerCredential) {
        let default = default.0;
        self.served.rcu(|served| Served { default: Arc::clone(&default), by_name: served.by_name.clone() });
    }

    /// Replaces the named ones and keeps the default.
    pub fn replace_named(&self, named: impl IntoIterator<Item = (String, ServerCredential)>) {
        let by_name: HashMap<_, _> =
            named.into_iter().map(|(name, credential)| (name.to_ascii_lowercase(), credential.0)).collect();
        self.served.rcu(|served| Served { default: Arc::clone(&served.default), by_name: by_name.clone() });
    }

    /// What CAs are shown that ask whose a name is.
    #[must_use]
    pub const fn challenges(&self) -> &NameChallenges {
        &self.challenges
    }

    /// What whoever asks for no name is shown.
    pub(crate) fn default_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.served.load().default)
    }

    /// What whoever asks for this name is shown.
    pub(crate) fn choose(&self, server_name: Option<&str>) -> Arc<CertifiedKey> {
        let served = self.served.load();
        let named = server_name
            .filter(|_| !served.by_name.is_empty())
            .and_then(|name| policy::named(&served.by_name, name));
        Arc::clone(named.unwrap_or(&served.default))
    }
}

impl ResolvesServerCert for ServerCredentials {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name()))
    }
}
