//! Whether the lists of a CA whose key is offline will do for a while: the whole one, and those of shards,
//! which are the ones that certificates name.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use countersign_core::certificate::Lifetime;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CaName, IssuerKeyId};
use countersign_core::time::Timestamp;
use countersign_store::{CrlDate, CrlMark, IssuerState, KeptKey, StoreError};

use crate::authority::Authority;
use crate::enrol::Chain;
use crate::issuers::Ca;

/// How often the log says again that a key is needed.
const AGAIN: Duration = Duration::from_secs(86_400);

/// What is wrong with the list of a CA whose key is offline; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrlFault {
    /// Its last third has begun.
    EndsSoon,
    /// A CA below was revoked since, and it does not say so.
    Lacks,
    /// It is over: whoever wants a list refuses every CA below.
    Over,
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

/// Lists that must be signed anew where the key of their CA is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlDue {
    /// The CA.
    pub ca: CaName,
    /// Until when the list lasts that is in the worst state.
    pub until: Timestamp,
    /// Why it is due.
    pub fault: CrlFault,
}

impl fmt::Display for CrlDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, until, fault } = self;
        match fault {
            CrlFault::EndsSoon => write!(f, "a revocation list of the offline CA {ca} ends at {until}")?,
            CrlFault::Over => write!(f, "a revocation list of the offline CA {ca} ended at {until}")?,
            CrlFault::Lacks => {
                write!(f, "a revocation list of the offline CA {ca} lacks a CA that was revoked since")?;
            }
        }
        write!(f, "; sign the next one: countersign ca crl-request {ca}")
    }
}

/// Of the lists of a CA whose key is offline the one in the worst state, or else the one that ends first:
/// until when it lasts, and what is wrong with it. `None`: it has none.
#[must_use]
pub fn worst_list(
    issuer: IssuerKeyId,
    dates: &[CrlDate],
    marks: &[CrlMark],
    now: Timestamp,
) -> Option<(Timestamp, Option<CrlFault>)> {
    let lists = dates.iter().filter(|date| date.list.issuer == issuer);
    let states = lists.map(|date| (date.next_update, fault(date, marks, now)));
    states.max_by_key(|(until, fault)| (*fault, Reverse(*until)))
}

/// What is wrong with a list, when nobody here can sign the next one.
fn fault(date: &CrlDate, marks: &[CrlMark], now: Timestamp) -> Option<CrlFault> {
    let life = Lifetime { issued_at: date.this_update, expires_at: date.next_update };
    let is_marked = marks.iter().any(|mark| match date.list.scope {
        CrlScope::Whole => mark.list.issuer == date.list.issuer,
        CrlScope::Shard(_) => mark.list == date.list,
    });
    if now > date.next_update {
        Some(CrlFault::Over)
    } else if is_marked {
        Some(CrlFault::Lacks)
    } else {
        life.renewal_due(now).then_some(CrlFault::EndsSoon)
    }
}

impl Authority {
    /// The CAs whose lists must be signed anew where their keys are. A CA that was brought along without
    /// its key has none here, and is somebody else's to worry about.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crls_due(&self) -> Result<Vec<CrlDue>, StoreError> {
        let (issuers, now) = (self.issuers(), self.now());
        let (dates, marks) = self
            .store
            .read(|r| {
                Box::pin(async move { Ok::<_, StoreError>((r.crl_dates().await?, r.crl_marks(None).await?)) })
            })
            .await?;
        let is_away = |ca: &Ca| *ca.kept_key() == KeptKey::Offline && ca.state() != IssuerState::Retired;
        let due = issuers.all().filter(|ca| is_away(ca)).filter_map(|ca| {
            let (until, fault) = worst_list(ca.key_id(), &dates, &marks, now)?;
            Some(CrlDue { ca: ca.name().clone(), until, fault: fault? })
        });
        Ok(due.collect())
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
                            tracing::warn!(%ca, %until, "a crl of an offline ca ends, its key is needed");
                        }
                        CrlFault::Over => {
                            tracing::error!(%ca, %until, "a crl of an offline ca is over, its key is needed");
                        }
                        CrlFault::Lacks => {
                            tracing::error!(%ca, "a crl of an offline ca lacks a revoked ca, its key is needed");
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
