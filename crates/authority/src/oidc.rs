//! Signing in at an identity provider: OpenID Connect Core 1.0, the authorization code flow with PKCE (RFC 7636).
//!
//! Who somebody is, the provider says; what they may do here, the mapping of the configuration says, and
//! nobody is let in whom it does not name. People are known by the provider's name for them, never by an
//! e-mail address.

use std::fmt;
use std::net::IpAddr;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::Tenant;
use countersign_core::time::Timestamp;
use countersign_store::{OidcSubject, PasswordHash, Role, StoreError, UserRow, Writing};
use thiserror::Error;
use zeroize::Zeroizing;

mod attempt;
mod id_token;
mod provider;

pub use id_token::IdTokenFault;
pub use provider::{Answered, OidcTransport, Unanswered};

pub(crate) use self::provider::Provider;

use self::attempt::OidcSecret;
use self::id_token::{Claims, Expected};
use crate::authority::Authority;
use crate::authorized::{Caller, Factors};
use crate::limits::{Limited, Network, TooMany};
use crate::people::{PeopleError, SignedIn};
use crate::users::write_down;

/// How people sign in at an identity provider.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// The provider, exactly as it calls itself.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// With what we show that we are it.
    pub client_secret: Zeroizing<String>,
    /// Where browsers reach the console: `https://host`, without a path.
    pub console_url: String,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// What people call the provider.
    pub name: String,
    /// Who is let in as what; the first that fits counts.
    pub people: Vec<OidcMapping>,
}

impl fmt::Debug for OidcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcConfig").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What a claim makes of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcMapping {
    /// The claim: a text, or a list of them.
    pub claim: String,
    /// What it has to be, or to have in its list.
    pub value: String,
    /// What they may do then.
    pub role: Role,
    /// The only tenant that they see; `None`: all.
    pub tenant: Option<Tenant>,
}

/// A sign-in that goes on at the provider.
pub struct BegunOidc {
    /// Where the browser goes.
    pub url: String,
    /// What the browser keeps meanwhile, and shows when it comes back.
    pub secret: Zeroizing<String>,
}

/// What the provider sent the browser back with.
pub struct OidcReturn {
    /// The code, worth something to us alone.
    pub code: Zeroizing<String>,
    /// Says which sign-in it belongs to.
    pub state: String,
}

/// Signing in at the provider failed.
#[derive(Debug, Error)]
pub enum OidcError {
    /// There is none.
    #[error("no identity provider is configured")]
    Off,
    /// The provider cannot be reached, or answers what cannot be read.
    #[error("the identity provider cannot be asked")]
    Provider(#[from] ProviderFault),
    /// The sign-in was not begun in this browser, or too long ago.
    #[error("this browser has not begun this sign-in")]
    NotBegun,
    /// What the provider's word is not worth.
    #[error("the identity provider's word is refused")]
    Refused(#[from] IdTokenFault),
    /// The provider knows the person, and nothing here says what they may do.
    #[error("nobody here has said what this person may do")]
    NotLetIn(NotLetIn),
    /// Too many failures.
    #[error("too many failed sign-ins")]
    TooMany(TooMany),
    /// The platform failed.
    #[error("cannot sign in")]
    Internal(#[from] PeopleError),
}

/// Why somebody whom the provider knows is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotLetIn {
    /// No mapping fits.
    #[error("not_mapped")]
    NotMapped,
    /// The mapping names a tenant that is not there.
    #[error("unknown_tenant")]
    UnknownTenant,
    /// There is no e-mail address of theirs that can be trusted to be theirs.
    #[error("no_email")]
    NoEmail,
    /// Somebody else here has the e-mail address.
    #[error("email_taken")]
    EmailTaken,
    /// They are disabled here.
    #[error("disabled")]
    Disabled,
}

/// The provider cannot be asked.
#[derive(Debug, Error)]
pub enum ProviderFault {
    /// It cannot be reached.
    #[error("no answer from {url}")]
    Unanswered {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: Unanswered,
    },
    /// It answered something else.
    #[error("{url} answered {what}")]
    Answer {
        /// What was asked.
        url: String,
        /// What was wrong with it; nothing of what it holds.
        what: String,
    },
}

impl From<StoreError> for OidcError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl Authority {
    /// What people call the identity provider, if there is one.
    #[must_use]
    pub fn oidc_name(&self) -> Option<&str> {
        self.oidc.as_ref().map(|provider| provider.config.name.as_str())
    }

    /// Where browsers reach the console, if people sign in at a provider.
    #[must_use]
    pub fn oidc_console_url(&self) -> Option<&str> {
        self.oidc.as_ref().map(|provider| provider.config.console_url.as_str())
    }

    /// Begins a sign-in at the provider.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn begin_oidc(&self) -> Result<BegunOidc, OidcError> {
        let provider = self.provider()?;
        let secret = OidcSecret::fresh().map_err(PeopleError::from)?;
        let url = provider.authorization_url(&secret).await?;
        Ok(BegunOidc { url, secret: secret.into_text() })
    }

    /// Where the browser goes to be signed out at the provider too, if it offers that.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn oidc_sign_out_url(&self) -> Result<Option<String>, OidcError> {
        Ok(self.provider()?.sign_out_url().await?)
    }

    /// Signs a person in who comes back from the provider. Whoever comes for the first time is put on record.
    ///
    /// # Errors
    /// See [`OidcError`]. Fails closed: nobody is let in who is not mapped.
    pub async fn finish_oidc(
        &self,
        secret: &str,
        back: OidcReturn,
        address: IpAddr,
    ) -> Result<SignedIn, OidcError> {
        let now = self.now();
        let limit = Limited::FailedLoginFrom(Network::from(address));
        self.limits.take(limit.clone(), now).map_err(OidcError::TooMany)?;
        let finished = self.finish(secret, back, address).await;
        match &finished {
            Ok(_) | Err(OidcError::Provider(_) | OidcError::Internal(_) | OidcError::Off) => {
                self.limits.give_back(&limit);
            }
            Err(OidcError::Refused(fault)) => self.note_refused_oidc(fault, address, now).await?,
            Err(OidcError::NotLetIn(why)) => self.note_refused_oidc(why, address, now).await?,
            Err(OidcError::NotBegun) => self.note_refused_oidc(&"not_begun", address, now).await?,
            Err(OidcError::TooMany(_)) => {}
        }
        finished
    }

    async fn finish(&self, secret: &str, back: OidcReturn, address: IpAddr) -> Result<SignedIn, OidcError> {
        let provider = self.provider()?;
        let secret = OidcSecret::of(secret).filter(|secret| secret.is_state(&back.state));
        let secret = secret.ok_or(OidcError::NotBegun)?;
        let token = provider.id_token(&secret, &back.code).await?;
        let config = &provider.config;
        let now = self.now();
        let expected = Expected { issuer: &config.issuer, client: &config.client_id, secret: &secret, now };
        let claims = provider.verified(&token, &expected).await?;
        let mapping = config.people.iter().find(|mapping| claims.has(&mapping.claim, &mapping.value));
        let mapping = mapping.ok_or(OidcError::NotLetIn(NotLetIn::NotMapped))?;
        self.enter(&claims, mapping, address).await
    }

    /// Signs in whom the provider named, with what the mapping makes of them.
    async fn enter(
        &self,
        claims: &Claims,
        mapping: &OidcMapping,
        address: IpAddr,
    ) -> Result<SignedIn, OidcError> {
        let now = self.now();
        let named = OidcSubject { issuer: claims.issuer.clone(), subject: claims.subject.clone() };
        let (email, mapping) = (claims.email.clone(), mapping.clone());
        let draft = UserRow {
            id: countersign_core::ids::UserId::random(),
            email: String::new(),
            password_hash: PasswordHash::none(),
            role: mapping.role,
            tenant: None,
            created_at: now,
            disabled_at: None,
        };
        let (secret, session) = self.fresh_session(draft.id, now)?;
        let expires_at = session.expires_at;
        let user = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let user = on_record(w, (&named, email), draft, (&mapping, now)).await?;
                    w.insert_session(&countersign_store::SessionRow { user: user.id, ..session }).await?;
                    let entry = AuditEntry::new(None, now, AuditEvent::LoginSucceeded, Actor::User(user.id))
                        .detail("address", address)
                        .detail("issuer", &named.issuer)
                        .detail("subject", &named.subject);
                    w.append_audit(&entry).await?;
                    Ok::<_, OidcError>(user)
                })
            })
            .await?;
        let caller = Caller::new(user, Factors::Complete);
        Ok(SignedIn { token: Zeroizing::new(secret.text), expires_at, caller })
    }

    async fn note_refused_oidc(
        &self,
        reason: &(dyn fmt::Display + Sync),
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), PeopleError> {
        let entry = AuditEntry::new(None, now, AuditEvent::LoginFailed, Actor::Peer(address));
        Ok(self.note(entry.detail("by", "oidc").detail("reason", reason)).await?)
    }

    fn provider(&self) -> Result<&Provider, OidcError> {
        self.oidc.as_ref().ok_or(OidcError::Off)
    }
}

/// The person of a provider's name, as the mapping wants them: found, changed or made.
async fn on_record(
    w: &mut Writing<'_>,
    (named, email): (&OidcSubject, Option<String>),
    draft: UserRow,
    (mapping, now): (&OidcMapping, Timestamp),
) -> Result<UserRow, OidcError> {
    let refused = |why| OidcError::NotLetIn(why);
    let tenant = match &mapping.tenant {
        Some(slug) => Some(w.tenant_by_slug(slug).await?.ok_or(refused(NotLetIn::UnknownTenant))?.id),
        None => None,
    };
    if let Some(known) = w.user_of_oidc(named).await? {
        if known.disabled_at.is_some() {
            return Err(refused(NotLetIn::Disabled));
        }
        let wanted = UserRow { role: mapping.role, tenant, ..known.clone() };
        if wanted != known {
            write_down(w, &known, &wanted, now, Actor::System).await?;
        }
        return Ok(wanted);
    }
    let email = email.ok_or(refused(NotLetIn::NoEmail))?;
    let user = UserRow { email: email.to_lowercase(), tenant, ..draft };
    if !w.insert_user(&user).await? {
        return Err(refused(NotLetIn::EmailTaken));
    }
    if !w.insert_oidc_link(named, user.id, now).await? {
        return Err(StoreError::raced("link to an identity provider", &named.subject).into());
    }
    let chain = mapping.tenant.clone();
    let entry = AuditEntry::new(chain, now, AuditEvent::UserCreated, Actor::System)
        .detail("id", user.id)
        .detail("email", &user.email)
        .detail("role", user.role)
        .detail("issuer", &named.issuer)
        .detail("subject", &named.subject);
    w.append_audit(&entry).await?;
    Ok(user)
}
