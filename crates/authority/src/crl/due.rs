//! Whether the lists of a CA whose key is offline will do for a while.

use std::fmt;
use std::time::Duration;

use countersign_core::certificate::Lifetime;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::CaName;
use countersign_core::time::Timestamp;
use countersign_store::{CrlName, CrlRow, IssuerState, KeptKey, StoreError};

use crate::authority::Authority;
use crate::enrol::Chain;

/// How often the log says again that a key is needed.
const AGAIN: Duration = Duration::from_secs(86_400);

/// What is wrong with the list of a CA whose key is offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlFault {
    /// Its last third has begun.
    EndsSoon,
    /// It is over: whoever wants a list refuses every CA below.
    Over,
    /// A CA below was revoked since, and it does not say so.
    Lacks,
}

impl CrlFault {
    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndsSoon => "ends_soon",
            Self::Over => "over",
            Self::Lacks => "lacks",
        }
    }
}

/// A list that must be signed anew where the key of its CA is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlDue {
    /// The CA.
    pub ca: CaName,
    /// Until when its list lasts.
    pub until: Timestamp,
    /// Why it is due.
    pub fault: CrlFault,
}

impl fmt::Display for CrlDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, until, fault } = self;
        match fault {
            CrlFault::EndsSoon => write!(f, "the revocation list of the offline CA {ca} ends at {until}")?,
            CrlFault::Over => write!(f, "the revocation list of the offline CA {ca} ended at {until}")?,
            CrlFault::Lacks => {
                write!(f, "the revocation list of the offline CA {ca} lacks a CA that was revoked since")?;
            }
        }
        write!(f, "; sign the next one: countersign ca crl-request {ca}")
    }
}

/// What is wrong with a list, when nobody here can sign the next one.
#[must_use]
pub fn crl_fault(crl: &CrlRow, is_marked: bool, now: Timestamp) -> Option<CrlFault> {
    let life = Lifetime { issued_at: crl.this_update, expires_at: crl.next_update };
    if now > crl.next_update {
        Some(CrlFault::Over)
    } else if is_marked {
        Some(CrlFault::Lacks)
    } else {
        life.renewal_due(now).then_some(CrlFault::EndsSoon)
    }
}

impl Authority {
    /// The lists that must be signed anew where the key of their CA is. A CA that was brought along without
    /// its key has none here, and is somebody else's to worry about.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crls_due(&self) -> Result<Vec<CrlDue>, StoreError> {
        let (issuers, now) = (self.issuers(), self.now());
        let is_away = |key: &KeptKey, state| *key == KeptKey::Offline && state != IssuerState::Retired;
        let mut due = Vec::new();
        for ca in issuers.all().filter(|ca| is_away(ca.kept_key(), ca.state())) {
            let list = CrlName { issuer: ca.key_id(), scope: CrlScope::Whole };
            let (crl, marks) = self
                .store
                .read(move |r| {
                    Box::pin(async move {
                        Ok::<_, StoreError>((
                            r.latest_crl(list).await?,
                            r.crl_marks(Some(list.issuer)).await?,
                        ))
                    })
                })
                .await?;
            let Some(crl) = crl else { continue };
            if let Some(fault) = crl_fault(&crl, !marks.is_empty(), now) {
                due.push(CrlDue { ca: ca.name().clone(), until: crl.next_update, fault });
            }
        }
        Ok(due)
    }

    /// Says so in the log, once a day.
    pub(super) async fn tell_of_due_crls(&self) {
        let now = self.now();
        if self.crl.told_at.lock().is_some_and(|at| at <= now && now < at + AGAIN) {
            return;
        }
        match self.crls_due().await {
            Ok(due) => {
                for one in &due {
                    let CrlDue { ca, until, .. } = one;
                    match one.fault {
                        CrlFault::EndsSoon => {
                            tracing::warn!(%ca, %until, "crl of an offline ca ends, its key is needed");
                        }
                        CrlFault::Over => {
                            tracing::error!(%ca, %until, "crl of an offline ca is over, its key is needed");
                        }
                        CrlFault::Lacks => {
                            tracing::error!(%ca, "crl of an offline ca lacks a revoked ca, its key is needed");
                        }
                    }
                }
                if !due.is_empty() {
                    *self.crl.told_at.lock() = Some(now);
                }
            }
            Err(error) => tracing::error!(error = %Chain(&error), "cannot look at the crls of offline cas"),
        }
    }
}
