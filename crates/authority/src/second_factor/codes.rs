//! What somebody can show as their second factor, what they show, and using that up.

use countersign_ca::{KeyError, SealError, SealedKey, random_bytes};
use countersign_core::ids::{PasskeyId, SecretHash, UserId};
use countersign_core::time::Timestamp;
use countersign_store::{PasskeyChallenge, PasskeyPurpose, PasskeyRow, StoreError, TotpKeyRow, Writing};
use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::ShownFactor;
use crate::authority::Authority;
use crate::passkeys::{ShownPasskey, asked_of};
use crate::people::PeopleError;
use crate::totp::{self, TotpKey};

/// How many recovery codes somebody gets.
const RECOVERY_CODES: usize = 10;

/// 80 bits: what their hashes are good for even to whoever has the database.
const RECOVERY_OCTETS: usize = 10;

/// What somebody can show.
pub(crate) struct OwnFactors {
    user: UserId,
    /// The key of their one-time codes, if it counts.
    pub(crate) totp: Option<TotpKeyRow>,
    pub(crate) passkeys: Vec<PasskeyRow>,
}

impl OwnFactors {
    pub(crate) const fn is_empty(&self) -> bool {
        self.totp.is_none() && self.passkeys.is_empty()
    }
}

/// Where somebody is asked for a passkey.
#[derive(Clone, Copy)]
pub(crate) enum AskedAt<'a> {
    /// At a sign-in with this challenge.
    SignIn(&'a str),
    /// In their session, with a challenge that is on record.
    Session,
}

/// What is somebody's, unless it was used before.
pub(crate) enum Shown {
    /// The one-time code of a time step.
    Totp(u64),
    /// It looks like a recovery code; which there are, the store knows.
    Recovery(SecretHash),
    /// A passkey.
    Passkey {
        /// Which.
        id: PasskeyId,
        /// How far its device has counted.
        count: u32,
        /// The challenge, where that is on record.
        challenge: Option<PasskeyChallenge>,
    },
}

impl Shown {
    /// As the audit calls it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Recovery(_) => "recovery_code",
            Self::Passkey { .. } => "passkey",
        }
    }
}

/// Under what name the key of somebody's one-time codes is sealed.
pub(crate) fn sealed_name(user: UserId) -> String {
    format!("key of the one-time codes of {user}")
}

impl Authority {
    /// What somebody can show besides their password.
    pub(crate) async fn factors_of(&self, user: UserId) -> Result<OwnFactors, StoreError> {
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let totp = r.totp_key(user).await?.filter(|key| key.confirmed_at.is_some());
                    Ok(OwnFactors { user, totp, passkeys: r.passkeys(user).await? })
                })
            })
            .await
    }

    /// What it is that somebody shows; `None` for what is wrong already.
    pub(crate) fn shown(
        &self,
        factors: &OwnFactors,
        given: &ShownFactor,
        at: AskedAt<'_>,
        now: Timestamp,
    ) -> Result<Option<Shown>, PeopleError> {
        match given {
            ShownFactor::Code(code) => self.shown_code(factors, code, now),
            ShownFactor::Passkey(passkey) => Ok(self.shown_passkey(factors, passkey, at)),
        }
    }

    fn shown_code(
        &self,
        factors: &OwnFactors,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Shown>, PeopleError> {
        let code = plain(code);
        if totp::is_code(&code) {
            let Some(key) = &factors.totp else { return Ok(None) };
            return Ok(self.totp_step(key, &code, now)?.map(Shown::Totp));
        }
        Ok((code.len() == RECOVERY_OCTETS * 8 / 5).then(|| Shown::Recovery(SecretHash::of(&code))))
    }

    fn shown_passkey(&self, factors: &OwnFactors, shown: &ShownPasskey, at: AskedAt<'_>) -> Option<Shown> {
        let passkey = factors.passkeys.iter().find(|passkey| passkey.credential == shown.credential)?;
        let signed = match self.relying_party.shown(shown, passkey) {
            Ok(signed) => signed,
            Err(fault) => {
                tracing::warn!(user = %factors.user, error = %fault, "passkey refused");
                return None;
            }
        };
        let challenge = match at {
            AskedAt::Session => Some(asked_of(factors.user, PasskeyPurpose::Show, &signed.challenge)),
            AskedAt::SignIn(asked) => {
                if !bool::from(asked.as_bytes().ct_eq(signed.challenge.as_bytes())) {
                    return None;
                }
                None
            }
        };
        Some(Shown::Passkey { id: passkey.id, count: signed.count, challenge })
    }

    /// The time step of a one-time code, if it is one of now.
    pub(crate) fn totp_step(
        &self,
        key: &TotpKeyRow,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, PeopleError> {
        Ok(self.opened(key)?.step_of(&plain(code), now))
    }

    pub(crate) fn opened(&self, row: &TotpKeyRow) -> Result<TotpKey, SealError> {
        let sealed = SealedKey::from(row.sealed_key.clone());
        let opened = self.registry.keys.kek.open_secret(&sealed, &sealed_name(row.user))?;
        Ok(TotpKey::from_octets(opened))
    }
}

/// A code without what people put between its parts.
fn plain(code: &str) -> Zeroizing<String> {
    let kept = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    Zeroizing::new(kept.map(|c| c.to_ascii_lowercase()).collect())
}

/// Uses up what was shown. Fails closed: `false` when it was used before.
pub(crate) async fn use_up(
    w: &mut Writing<'_>,
    factors: &OwnFactors,
    shown: &Shown,
    now: Timestamp,
) -> Result<bool, StoreError> {
    match shown {
        Shown::Totp(step) => match &factors.totp {
            Some(key) => w.take_totp_step(key, *step).await,
            None => Ok(false),
        },
        Shown::Recovery(code) => w.take_recovery_code(factors.user, code).await,
        Shown::Passkey { id, count, challenge } => {
            let is_asked = match challenge {
                Some(challenge) => w.take_passkey_challenge(challenge, now).await?,
                None => true,
            };
            Ok(is_asked && w.take_passkey_use(*id, *count, now).await?)
        }
    }
}

/// Recovery codes: as they are shown, once, and as they are kept.
pub(crate) struct FreshCodes {
    pub(crate) shown: Vec<Zeroizing<String>>,
    pub(crate) kept: Vec<SecretHash>,
}

impl FreshCodes {
    pub(crate) fn new() -> Result<Self, KeyError> {
        let (mut shown, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..RECOVERY_CODES {
            let octets = Zeroizing::new(random_bytes::<RECOVERY_OCTETS>()?);
            let code = Zeroizing::new(BASE32_NOPAD.encode(&*octets).to_lowercase());
            kept.push(SecretHash::of(&code));
            shown.push(grouped(&code));
        }
        Ok(Self { shown, kept })
    }
}

/// In groups of four.
fn grouped(code: &str) -> Zeroizing<String> {
    let dash = |place: usize| (place > 0 && place.is_multiple_of(4)).then_some('-');
    Zeroizing::new(
        code.chars().enumerate().flat_map(|(place, c)| dash(place).into_iter().chain([c])).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_differ_and_are_read_however_they_are_typed() {
        let codes = FreshCodes::new().unwrap();
        assert_eq!((codes.shown.len(), codes.kept.len()), (RECOVERY_CODES, RECOVERY_CODES));
        for (shown, kept) in codes.shown.iter().zip(&codes.kept) {
            assert_eq!((shown.len(), shown.matches('-').count()), (19, 3), "{}", **shown);
            for typed in [shown.to_string(), shown.to_uppercase(), format!(" {} ", shown.replace('-', " "))] {
                assert_eq!(SecretHash::of(&plain(&typed)), *kept);
            }
        }
        let unique: std::collections::HashSet<_> = codes.shown.iter().map(|code| code.to_string()).collect();
        assert_eq!(unique.len(), RECOVERY_CODES);
    }
}
