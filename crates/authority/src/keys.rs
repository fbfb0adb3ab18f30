//! The keys of CAs: made and opened where they are kept, and asked to sign where waiting for them keeps
//! nobody else waiting.

use std::panic::resume_unwind;
use std::sync::Arc;

use countersign_ca::{
    Issuer, KeyAlgorithm, KeyEncryptionKey, KeyError, KeySource, KeyUri, Pace, PublicKey, SealError,
    SealedKey, Signer, SigningKey, Token, TokenKey, TokenSettings,
};
use countersign_core::ids::CaName;
use countersign_store::{IssuerRow, KeptKey, Store, StoreError};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::authority::OpenError;
use crate::enrol::Chain;

/// How many wait for keys at once on threads of their own; further ones wait without a thread.
static WAITING: Semaphore = Semaphore::const_new(64);

/// What seals keys, and the token in which new ones are made, if there is one.
pub(crate) struct Keys {
    pub(crate) kek: KeyEncryptionKey,
    token: Option<Arc<Token>>,
}

/// A fresh key of a CA, and what is to be stored of it.
pub(crate) struct MadeKey {
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) kept: KeptKey,
}

/// A CA got no key.
#[derive(Debug, Error)]
pub enum MakeKeyError {
    /// It could not be made.
    #[error("cannot make the key")]
    Make(#[from] KeyError),
    /// It could not be sealed.
    #[error("cannot seal the key")]
    Seal(#[from] SealError),
}

impl From<MakeKeyError> for OpenError {
    fn from(error: MakeKeyError) -> Self {
        match error {
            MakeKeyError::Make(error) => error.into(),
            MakeKeyError::Seal(error) => error.into(),
        }
    }
}

impl Keys {
    pub(crate) fn new(kek: KeyEncryptionKey, token: Option<TokenSettings>) -> Self {
        Self { kek, token: token.map(|settings| Arc::new(Token::new(settings))) }
    }

    /// Whether new keys come to lie in a token.
    pub(crate) const fn are_made_in_token(&self) -> bool {
        self.token.is_some()
    }

    /// Makes a key for a CA: in the token if there is one, sealed otherwise. May wait for a device.
    pub(crate) fn make(&self, algorithm: KeyAlgorithm, ca: &CaName) -> Result<MadeKey, MakeKeyError> {
        if let Some(token) = &self.token {
            let key = token.generate(algorithm, &format!("countersign {ca}"))?;
            let kept = KeptKey::Pkcs11(key.uri().to_string());
            return Ok(MadeKey { signer: Arc::new(key), kept });
        }
        let key = SigningKey::generate(algorithm)?;
        let kept = KeptKey::Sealed(self.kek.seal(&key, key.public_key().sha256().into())?.into());
        Ok(MadeKey { signer: Arc::new(key), kept })
    }

    /// The key of a CA on record; `None` when it is not with us. A token is not asked yet: it may be
    /// away, and come back.
    pub(crate) fn open(&self, row: &IssuerRow) -> Result<Option<Arc<dyn Signer>>, OpenError> {
        match &row.key {
            KeptKey::Sealed(sealed) => {
                let key = self.kek.open(&SealedKey::from(sealed.clone()), row.key_id)?;
                Ok(Some(Arc::new(key)))
            }
            KeptKey::Pkcs11(location) => self.in_token(row, location),
            KeptKey::Offline => Ok(None),
        }
    }

    fn in_token(&self, row: &IssuerRow, location: &str) -> Result<Option<Arc<dyn Signer>>, OpenError> {
        let uri: KeyUri = match location.parse() {
            Ok(uri) => uri,
            Err(error) => {
                tracing::error!(error = %Chain(&error), ca = %row.name, location, "cannot read where the key of a ca lies");
                return Ok(None);
            }
        };
        let Some(token) = self.token.as_ref().filter(|token| token.settings().holds(&uri)) else {
            tracing::warn!(ca = %row.name, location, "key of a ca lies in a token that is not configured");
            return Ok(None);
        };
        let public = PublicKey::from_certificate_der(&row.certificate)?;
        Ok(Some(Arc::new(TokenKey::new(Arc::clone(token), uri, public))))
    }
}

/// Opens the key-encryption key of the keys in `store`, or of those that will be.
pub(crate) async fn open_kek(store: &Store, source: &KeySource) -> Result<KeyEncryptionKey, OpenError> {
    let (is_new, sealed) = store
        .read(|r| {
            Box::pin(async move {
                let is_new = r.installation().await?.is_none();
                let anchor = r.anchor_key().await?.map(|row| row.sealed_key);
                Ok::<_, StoreError>((is_new, anchor.or(r.issuers().await?.into_iter().find_map(sealed_of))))
            })
        })
        .await?;
    if !is_new && !source.is_there().unwrap_or(true) {
        return Err(OpenError::NoKeyEncryptionKey(source.path().to_owned()));
    }
    let (source, sealed) = (source.clone(), sealed.map(SealedKey::from));
    Ok(on_a_thread(move || source.open(sealed.as_ref())).await?)
}

fn sealed_of(row: IssuerRow) -> Option<Vec<u8>> {
    match row.key {
        KeptKey::Sealed(sealed) => Some(sealed),
        KeptKey::Pkcs11(_) | KeptKey::Offline => None,
    }
}

/// Lets an issuer sign: here if that is quick, on a thread of its own if it may wait for a device.
pub(crate) async fn signing<T, F>(issuer: &Issuer, work: F) -> T
where
    F: FnOnce(&Issuer) -> T + Send + 'static,
    T: Send + 'static,
{
    match issuer.pace() {
        Pace::Quick => work(issuer),
        Pace::Slow => {
            let issuer = issuer.clone();
            on_a_thread(move || work(&issuer)).await
        }
    }
}

/// Does what blocks where that keeps nobody else waiting.
pub(crate) async fn on_a_thread<T, F>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // Never closed.
    let _place = WAITING.acquire().await;
    meanwhile(work).await
}

/// Does what takes a processor for a while on a thread of its own.
pub(crate) async fn meanwhile<T, F>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and this task with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
