//! Passkeys: what people show besides their password with a device of theirs, several if they like. The
//! console asks for them; nothing else can.

use std::net::IpAddr;

use countersign_ca::{KeyError, random_bytes};
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::{PasskeyId, SecretHash, UserId};
use countersign_store::{PasskeyChallenge, PasskeyPurpose, PasskeyRow, StoreError};
use data_encoding::BASE64URL_NOPAD;

mod ceremony;

pub use ceremony::PasskeyFault;
pub(crate) use ceremony::RelyingParty;

use crate::api_tokens::chain_of;
use crate::authority::Authority;
use crate::authorized::{Account, Authorized};
use crate::second_factor::codes::FreshCodes;
use crate::second_factor::{Change, RecoveryCodes, SET_UP_LIFE, SecondFactorError, SecondFactorProof};
use crate::sign_in::BegunSignIn;

/// Begins what the challenge of a sign-in is the hash of, so that it is the hash of nothing else.
const SIGN_IN_DOMAIN: &str = "countersign passkey sign-in v1\n";

/// What a browser answers when it has made a passkey.
#[derive(Clone, Debug)]
pub struct MadePasskey {
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `getAuthenticatorData()`.
    pub authenticator_data: Vec<u8>,
    /// `getPublicKey()`: a SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
}

/// What a browser answers when somebody shows a passkey.
#[derive(Clone, Debug)]
pub struct ShownPasskey {
    /// Which one, as its device calls it.
    pub credential: Vec<u8>,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `signature`.
    pub signature: Vec<u8>,
}

/// What a browser is asked.
#[derive(Clone, Debug)]
pub struct PasskeyAsked {
    /// What is to be signed, in base64url.
    pub challenge: String,
    /// The name that passkeys are made for.
    pub relying_party: String,
    /// The passkeys that there are, as their devices call them.
    pub credentials: Vec<Vec<u8>>,
}

/// What a browser is asked to make.
#[derive(Clone, Debug)]
pub struct PasskeyWanted {
    /// What it is asked, and which passkeys there are already.
    pub asked: PasskeyAsked,
    /// For whom.
    pub user: UserId,
    /// Their e-mail address.
    pub email: String,
}

impl Authority {
    /// Asks the browser of the caller, who has shown what they have, to make a passkey. The answer is waited for
    /// for 15 minutes.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn begin_passkey(
        &self,
        by: &Authorized<Account>,
        proof: SecondFactorProof,
        address: IpAddr,
    ) -> Result<PasskeyWanted, SecondFactorError> {
        let user = self.own_row(by).await?;
        let challenge = fresh_challenge()?;
        let asked = asked_of(user.id, PasskeyPurpose::Make, &challenge);
        self.change_proved(by, proof, address, Change::PasskeyAsked(asked)).await?;
        let asked = self.asked(challenge, &self.passkeys_of(user.id).await?);
        Ok(PasskeyWanted { asked, user: user.id, email: user.email })
    }

    /// Puts the passkey on record that the caller's browser has made. For the first second factor that somebody
    /// has there are recovery codes, and their other sessions end.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn confirm_passkey(
        &self,
        by: &Authorized<Account>,
        session: &str,
        name: String,
        made: &MadePasskey,
    ) -> Result<Option<RecoveryCodes>, SecondFactorError> {
        let (user, now) = (self.own_row(by).await?, self.now());
        let made = self.relying_party.made(made)?;
        let asked = asked_of(user.id, PasskeyPurpose::Make, &made.challenge);
        let row = PasskeyRow {
            id: PasskeyId::random(),
            user: user.id,
            name,
            credential: made.credential,
            public_key: made.public_key.spki_der().to_vec(),
            sign_count: made.count,
            created_at: now,
            last_used_at: None,
        };
        let FreshCodes { shown, kept } = FreshCodes::new()?;
        let (session, actor) = (SecretHash::of(session), by.actor());
        let is_first = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let is_asked = w.take_passkey_challenge(&asked, now).await?;
                    let is_first = !w.has_second_factor(user.id).await?;
                    if !is_asked || !w.insert_passkey(&row).await? {
                        return Err(PasskeyFault::Used.into());
                    }
                    let chain = chain_of(w, user.tenant).await?;
                    let entry = AuditEntry::new(chain, now, AuditEvent::SecondFactorSet, actor);
                    let mut entry = entry.detail("id", user.id).detail("kind", "passkey");
                    if is_first {
                        w.put_recovery_codes(user.id, &kept).await?;
                        let ended = w.delete_sessions_besides(user.id, &session).await?;
                        entry = entry.detail("sessionsEnded", ended);
                    }
                    w.append_audit(&entry.detail("name", &row.name)).await?;
                    Ok::<_, SecondFactorError>(is_first)
                })
            })
            .await?;
        Ok(is_first.then_some(RecoveryCodes(shown)))
    }

    /// Asks the browser of the caller to show a passkey, before something about the second factor changes.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn ask_for_passkey(&self, by: &Authorized<Account>) -> Result<PasskeyAsked, SecondFactorError> {
        let (challenge, until) = (fresh_challenge()?, self.now() + SET_UP_LIFE);
        let passkeys = self.passkeys_of(by.user()).await?;
        if passkeys.is_empty() {
            return Err(SecondFactorError::Missing);
        }
        let asked = asked_of(by.user(), PasskeyPurpose::Show, &challenge);
        self.store
            .write(move |w| Box::pin(async move { w.put_passkey_challenge(&asked, until).await }))
            .await?;
        Ok(self.asked(challenge, &passkeys))
    }

    /// Removes one of the caller's passkeys; with the last second factor the recovery codes go too.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn remove_passkey(
        &self,
        by: &Authorized<Account>,
        id: PasskeyId,
        proof: SecondFactorProof,
        address: IpAddr,
    ) -> Result<(), SecondFactorError> {
        self.change_proved(by, proof, address, Change::PasskeyRemoval(id)).await
    }

    /// What the browser is asked of whoever waits to show a second factor; `None`: they have no passkey, or the
    /// sign-in is over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn passkeys_at_sign_in(&self, begun: &BegunSignIn) -> Result<Option<PasskeyAsked>, StoreError> {
        let (hash, now) = (SecretHash::of(&begun.0), self.now());
        let passkeys = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    match r.begun_sign_in(&hash, now).await? {
                        Some(user) => r.passkeys(user).await,
                        None => Ok(Vec::new()),
                    }
                })
            })
            .await?;
        Ok((!passkeys.is_empty()).then(|| self.asked(challenge_of(begun), &passkeys)))
    }

    pub(crate) async fn passkeys_of(&self, user: UserId) -> Result<Vec<PasskeyRow>, StoreError> {
        self.store.read(move |r| Box::pin(async move { r.passkeys(user).await })).await
    }

    fn asked(&self, challenge: String, passkeys: &[PasskeyRow]) -> PasskeyAsked {
        PasskeyAsked {
            challenge,
            relying_party: self.relying_party.id().to_owned(),
            credentials: passkeys.iter().map(|passkey| passkey.credential.clone()).collect(),
        }
    }
}

fn fresh_challenge() -> Result<String, KeyError> {
    Ok(BASE64URL_NOPAD.encode(&random_bytes::<32>()?))
}

/// What a sign-in asks to sign: nothing of it is on record but the sign-in, and it ends with that.
pub(crate) fn challenge_of(begun: &BegunSignIn) -> String {
    let hash = SecretHash::of(&format!("{SIGN_IN_DOMAIN}{}", *begun.0));
    BASE64URL_NOPAD.encode(hash.as_bytes())
}

/// A challenge as it is on record.
pub(crate) fn asked_of(user: UserId, purpose: PasskeyPurpose, challenge: &str) -> PasskeyChallenge {
    PasskeyChallenge { user, purpose, hash: SecretHash::of(challenge) }
}
