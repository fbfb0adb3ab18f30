//! The identity provider: what it says of itself, its keys, and changing a code for an ID token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::time::{Clock, Timestamp};
use data_encoding::BASE64;
use form_urlencoded::{Serializer, byte_serialize};
use futures_util::future::BoxFuture;
use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::attempt::OidcSecret;
use super::id_token::{Claims, Expected, IdTokenFault, verify};
use super::{OidcConfig, OidcError, ProviderFault};

/// Below the issuer (OpenID Connect Discovery 1.0 section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Where the provider sends browsers back to, below the console's URL.
const CALLBACK: &str = "/console/oidc/callback";

/// How long what the provider said of itself is believed; a key that is not known is asked for at once.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What a provider answered.
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there was no answer.
pub type Unanswered = Box<dyn std::error::Error + Send + Sync>;

/// Carries questions to the provider: the one place that knows the network. It goes nowhere in the clear but
/// within this machine, and gives up by itself after seconds.
pub trait OidcTransport: fmt::Debug + Send + Sync {
    /// GETs a URL.
    fn get(&self, url: String) -> BoxFuture<'_, Result<Answered, Unanswered>>;

    /// POSTs a form, with a value for `Authorization` if there is one.
    fn post(
        &self,
        url: String,
        form: Zeroizing<String>,
        authorization: Option<Zeroizing<String>>,
    ) -> BoxFuture<'_, Result<Answered, Unanswered>>;
}

/// The identity provider.
pub(crate) struct Provider {
    pub(super) config: OidcConfig,
    transport: Arc<dyn OidcTransport>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

/// What the provider said last, and when.
#[derive(Default)]
struct Known {
    itself: Option<(Arc<Metadata>, Timestamp)>,
    keys: Option<(Arc<JwkSet>, Timestamp)>,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0 section 3).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

impl Provider {
    pub(crate) fn new(config: OidcConfig, transport: Arc<dyn OidcTransport>, clock: Arc<dyn Clock>) -> Self {
        Self { config, transport, clock, known: Mutex::default() }
    }

    fn callback(&self) -> String {
        format!("{}{CALLBACK}", self.config.console_url)
    }

    /// Where the browser goes to begin (RFC 6749 section 4.1.1).
    pub(super) async fn authorization_url(&self, secret: &OidcSecret) -> Result<String, ProviderFault> {
        let provider = self.itself().await?;
        let scope: Vec<&str> =
            std::iter::once("openid").chain(self.config.scopes.iter().map(String::as_str)).collect();
        let (state, nonce, challenge) = (secret.state(), secret.nonce(), secret.challenge());
        let asked = query(&[
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", &self.callback()),
            ("scope", &scope.join(" ")),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(below(&provider.authorization_endpoint, &asked))
    }

    /// Where the browser goes to be signed out there (OpenID Connect RP-Initiated Logout 1.0).
    pub(super) async fn sign_out_url(&self) -> Result<Option<String>, ProviderFault> {
        let provider = self.itself().await?;
        let back = format!("{}/console/login", self.config.console_url);
        let asked = query(&[("client_id", &self.config.client_id), ("post_logout_redirect_uri", &back)]);
        Ok(provider.end_session_endpoint.as_ref().map(|url| below(url, &asked)))
    }

    /// Changes a code for the ID token (RFC 6749 section 4.1.3, with the verifier of RFC 7636).
    pub(super) async fn id_token(
        &self,
        secret: &OidcSecret,
        code: &str,
    ) -> Result<Zeroizing<String>, OidcError> {
        let provider = self.itself().await?;
        let (callback, verifier) = (self.callback(), secret.verifier());
        let (id, own_secret) = (&self.config.client_id, &self.config.client_secret);
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let methods = provider.token_endpoint_auth_methods_supported.as_deref();
        let is_basic = methods.is_none_or(|all| all.iter().any(|one| one == "client_secret_basic"));
        let authorization = is_basic.then(|| {
            let pair = Zeroizing::new(format!("{}:{}", form(id), form(own_secret)));
            Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())))
        });
        if !is_basic {
            fields.extend([("client_id", id.as_str()), ("client_secret", own_secret.as_str())]);
        }
        let url = provider.token_endpoint.clone();
        let sent = self.transport.post(url.clone(), Zeroizing::new(query(&fields)), authorization).await;
        let answered = sent.map_err(|source| ProviderFault::Unanswered { url: url.clone(), source })?;
        // A code that is wrong, used or over: not the provider's fault.
        if answered.status == 400 {
            return Err(OidcError::NotBegun);
        }
        Ok(Zeroizing::new(read::<TokenAnswer>(&url, &answered)?.id_token))
    }

    /// What an ID token says. A key that is not known yet is asked for once: providers change theirs.
    pub(super) async fn verified(&self, token: &str, expected: &Expected<'_>) -> Result<Claims, OidcError> {
        match verify(token, &*self.keys(Freshness::Believed).await?, expected) {
            Err(IdTokenFault::UnknownKey) => {
                Ok(verify(token, &*self.keys(Freshness::Asked).await?, expected)?)
            }
            verified => Ok(verified?),
        }
    }

    async fn itself(&self) -> Result<Arc<Metadata>, ProviderFault> {
        let now = self.clock.now();
        let known = self.known.lock().itself.clone();
        if let Some((itself, _)) = known.filter(|(_, at)| now < *at + BELIEVED) {
            return Ok(itself);
        }
        let url = format!("{}{DISCOVERY}", self.config.issuer.trim_end_matches('/'));
        let said: Metadata = self.ask(&url).await?;
        if said.issuer != self.config.issuer {
            return Err(ProviderFault::Answer {
                url,
                what: "as another issuer than is configured".to_owned(),
            });
        }
        let said = Arc::new(said);
        self.known.lock().itself = Some((Arc::clone(&said), now));
        Ok(said)
    }

    async fn keys(&self, freshness: Freshness) -> Result<Arc<JwkSet>, ProviderFault> {
        let now = self.clock.now();
        let known = self.known.lock().keys.clone();
        let is_good = |at: Timestamp| freshness == Freshness::Believed && now < at + BELIEVED;
        if let Some((keys, _)) = known.filter(|(_, at)| is_good(*at)) {
            return Ok(keys);
        }
        let keys: Arc<JwkSet> = Arc::new(self.ask(&self.itself().await?.jwks_uri).await?);
        self.known.lock().keys = Some((Arc::clone(&keys), now));
        Ok(keys)
    }

    async fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<T, ProviderFault> {
        let answered = self.transport.get(url.to_owned()).await;
        let answered =
            answered.map_err(|source| ProviderFault::Unanswered { url: url.to_owned(), source })?;
        read(url, &answered)
    }
}

/// How new the keys have to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// Those of before will do.
    Believed,
    /// Asked for now.
    Asked,
}

fn read<T: DeserializeOwned>(url: &str, answered: &Answered) -> Result<T, ProviderFault> {
    let odd = |what: String| ProviderFault::Answer { url: url.to_owned(), what };
    if answered.status != 200 {
        return Err(odd(format!("{}", answered.status)));
    }
    // The error would quote what is in it.
    serde_json::from_slice(&answered.body).map_err(|_unreadable| odd("what cannot be read".to_owned()))
}

/// Fields as a query or a form.
fn query(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// One of them, as it stands before and behind the colon of `Authorization: Basic` (RFC 6749 section 2.3.1).
fn form(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// An endpoint with a query, behind its own if it has one.
fn below(endpoint: &str, asked: &str) -> String {
    let mark = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{mark}{asked}")
}
