//! What start-up mends after a crash, and the places where tests crash the process.

use countersign_core::time::Timestamp;
use countersign_store::{Company, IntentRow, StoreError};

use crate::authority::Authority;
use crate::issue::abandon_intent;
use crate::sweep::INTENT_LIFE;

impl Authority {
    /// Abandons every issuance that did not reach its record: whatever was signed under its serial
    /// was never handed out, and is revoked. Where other authorities write the same database an open
    /// intent may be one that they are about to record: there only those are abandoned that are older
    /// than any issuance takes, and the sweep takes the rest when they are.
    pub(crate) async fn repair(&self) -> Result<(), StoreError> {
        let (now, company) = (self.now(), self.store.company());
        let mut abandoned = 0;
        loop {
            let batch = self
                .store
                .write(move |w| {
                    Box::pin(async move {
                        let mut dead = w.unfinished_intents().await?;
                        dead.retain(|intent| is_dead(intent, company, now));
                        for intent in &dead {
                            abandon_intent(w, intent, now).await?;
                        }
                        Ok::<_, StoreError>(dead.len())
                    })
                })
                .await?;
            if batch == 0 {
                break;
            }
            abandoned += batch;
        }
        if abandoned > 0 {
            tracing::warn!(abandoned, "abandoned issuances that a crash left open");
            self.crl.want_now();
        }
        Ok(())
    }
}

/// Whether nobody can be about to record what was intended. The oldest intents come first, so that a
/// batch without a dead one has none behind it.
fn is_dead(intent: &IntentRow, company: Company, now: Timestamp) -> bool {
    match company {
        Company::Alone => true,
        Company::Others => now > intent.at + INTENT_LIFE,
    }
}

/// Ends the process here, as a power cut would, when the file that `CS_TEST_CRASH_AT` names
/// holds `name`. Only in test builds; nothing otherwise.
#[cfg(all(feature = "crash-points", debug_assertions))]
pub fn crash_point(name: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test hook, absent from release builds")]
    let Some(file) = std::env::var_os("CS_TEST_CRASH_AT") else { return };
    if std::fs::read_to_string(file).is_ok_and(|wanted| wanted.trim() == name) {
        std::process::abort();
    }
}

/// Ends the process here in test builds; nothing otherwise.
#[cfg(not(all(feature = "crash-points", debug_assertions)))]
pub const fn crash_point(_name: &str) {}
