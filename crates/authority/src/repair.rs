//! What start-up mends after a crash, and the places where tests crash the process.

use countersign_store::StoreError;

use crate::authority::Authority;
use crate::issue::abandon_intent;

impl Authority {
    /// Abandons every issuance that did not reach its record: whatever was signed under its serial
    /// was never handed out, and is revoked.
    pub(crate) async fn repair(&self) -> Result<(), StoreError> {
        let now = self.now();
        let mut abandoned = 0;
        loop {
            let batch = self
                .store
                .write(move |w| {
                    Box::pin(async move {
                        let intents = w.unfinished_intents().await?;
                        for intent in &intents {
                            abandon_intent(w, intent, now).await?;
                        }
                        Ok::<_, StoreError>(intents.len())
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

/// Ends the process here, as a power cut would, when the file that `CS_TEST_CRASH_AT` names
/// holds `name`. Only in test builds; nothing otherwise.
#[cfg(all(feature = "crash-points", debug_assertions))]
pub(crate) fn crash_point(name: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test hook, absent from release builds")]
    let Some(file) = std::env::var_os("CS_TEST_CRASH_AT") else { return };
    if std::fs::read_to_string(file).is_ok_and(|wanted| wanted.trim() == name) {
        std::process::abort();
    }
}

/// Ends the process here in test builds; nothing otherwise.
#[cfg(not(all(feature = "crash-points", debug_assertions)))]
pub(crate) const fn crash_point(_name: &str) {}
