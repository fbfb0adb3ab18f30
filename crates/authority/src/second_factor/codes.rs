//! What somebody shows as their second factor, and using it up.

use countersign_ca::{KeyError, SealError, SealedKey, random_bytes};
use countersign_core::ids::{SecretHash, UserId};
use countersign_core::time::Timestamp;
use countersign_store::{StoreError, TotpKeyRow, Writing};
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::people::PeopleError;
use crate::totp::{self, TotpKey};

/// How many recovery codes somebody gets.
const RECOVERY_CODES: usize = 10;

/// 80 bits: what their hashes are good for even to whoever has the database.
const RECOVERY_OCTETS: usize = 10;

/// A code that is somebody's, unless it was used before.
pub(crate) enum Shown {
    /// The one-time code of a time step.
    Totp(u64),
    /// It looks like a recovery code; which there are, the store knows.
    Recovery(SecretHash),
}

impl Shown {
    /// As the audit calls it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Recovery(_) => "recovery_code",
        }
    }
}

/// Under what name the key of somebody's one-time codes is sealed.
pub(crate) fn sealed_name(user: UserId) -> String {
    format!("key of the one-time codes of {user}")
}

impl Authority {
    /// What a code is, with somebody's key; `None` for what is wrong already.
    pub(crate) fn shown(
        &self,
        row: &TotpKeyRow,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Shown>, PeopleError> {
        let code = plain(code);
        if totp::is_code(&code) {
            return Ok(self.opened(row)?.step_of(&code, now).map(Shown::Totp));
        }
        Ok((code.len() == RECOVERY_OCTETS * 8 / 5).then(|| Shown::Recovery(SecretHash::of(&code))))
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
pub(crate) async fn use_up(w: &mut Writing<'_>, key: &TotpKeyRow, shown: &Shown) -> Result<bool, StoreError> {
    match shown {
        Shown::Totp(step) => w.take_totp_step(key, *step).await,
        Shown::Recovery(code) => w.take_recovery_code(key.user, code).await,
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
