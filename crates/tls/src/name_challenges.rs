//! What a CA is shown that asks over TLS whose a name is (RFC 8737): a certificate made for the question, for
//! whoever asks by that protocol and for nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::door::DoorTlsError;
use crate::provider::{VERSIONS, provider};

/// By what it asks (RFC 8737 section 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

type Answers = HashMap<String, Arc<ServerConfig>>;

/// Answers that doors have ready, by the name that is asked about. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct NameChallenges(Arc<ArcSwap<Answers>>);

/// An answer that is ready until this is dropped.
#[derive(Debug)]
pub struct NameAnswer {
    challenges: NameChallenges,
    name: String,
}

impl NameChallenges {
    /// Has a certificate (DER) with its key (PKCS#8) ready for whoever asks about `name`. It may say what only
    /// a CA understands.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn answer(&self, name: &str, certificate: &[u8], pkcs8: &[u8]) -> Result<NameAnswer, DoorTlsError> {
        let key = PrivatePkcs8KeyDer::from(pkcs8.to_vec());
        let key = provider().key_provider.load_private_key(key.into()).map_err(DoorTlsError)?;
        let shown = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key);
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS);
        let builder = builder.map_err(DoorTlsError)?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::new(shown))));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.send_tls13_tickets = 0;
        let (name, config) = (name.to_ascii_lowercase(), Arc::new(config));
        self.change(|answers| drop(answers.insert(name.clone(), Arc::clone(&config))));
        Ok(NameAnswer { challenges: self.clone(), name })
    }

    /// Whether there is nothing to be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// How such a question is answered, if this is one. Whoever offers another protocol beside that one asks nothing.
    pub(crate) fn find(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut offered = hello.alpn()?;
        if offered.next() != Some(PROTOCOL) || offered.next().is_some() {
            return None;
        }
        self.0.load().get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }

    fn change(&self, change: impl Fn(&mut Answers)) {
        self.0.rcu(|answers| {
            let mut answers = Answers::clone(answers);
            change(&mut answers);
            answers
        });
    }
}

impl Drop for NameAnswer {
    fn drop(&mut self) {
        self.challenges.change(|answers| drop(answers.remove(&self.name)));
    }
}
