//! When a certificate is obtained, and what happens when that fails.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_edge::HttpChallenges;
use tokio::time::{MissedTickBehavior, interval};

use super::kept::{Kept, KeptCertificate};
use super::order;
use super::validation::Validation;
use crate::config::{AcmeChallenge, AcmeSettings};
use crate::doors::Shown;

/// How often it is looked whether something is due: clocks can jump.
const LOOK: Duration = Duration::from_secs(1);
/// How long is waited after a first failure; twice as long after each further one, up to half a day: CAs count
/// failures too.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(12 * 3600);

/// Keeps a certificate from a public CA.
pub(crate) struct Acme {
    settings: AcmeSettings,
    kept: Kept,
    validation: Validation,
    shown: Arc<Shown>,
    authority: Option<Arc<Authority>>,
}

/// When the next attempt is made.
struct Schedule {
    due: Timestamp,
    failures: u32,
}

impl Schedule {
    /// When the certificate that was just obtained is renewed. One that is due already, because a clock is
    /// wrong, ours or the CA's, is waited after as after a failure: CAs count orders.
    fn after(&self, certificate: &KeptCertificate) -> Self {
        let (due, now) = (renewal_of(certificate), SystemClock.now());
        if due > now {
            return Self { due, failures: 0 };
        }
        tracing::warn!(expires_at = %certificate.lifetime.expires_at, "a new certificate is due for renewal: look at the clock");
        Self { due: now + wait_after(self.failures), failures: self.failures.saturating_add(1) }
    }
}

impl Acme {
    /// One that keeps its files in the data directory. A certificate that is there is shown at once.
    ///
    /// # Errors
    /// When there can be no folder.
    pub(crate) fn new(
        settings: AcmeSettings,
        data_dir: &Path,
        (challenges, shown): (HttpChallenges, Arc<Shown>),
        authority: Option<Arc<Authority>>,
    ) -> anyhow::Result<Self> {
        let kept = Kept::new(data_dir, authority.clone()).context("keep what ACME needs")?;
        let validation = match settings.challenge {
            AcmeChallenge::Http => Validation::Http(challenges),
            AcmeChallenge::Tls => Validation::Tls(shown.challenges()),
        };
        Ok(Self { settings, kept, validation, shown, authority })
    }

    /// Whether the CA looks over plain HTTP, where the redirect has to be open.
    pub(crate) const fn needs_redirect(&self) -> bool {
        matches!(self.validation, Validation::Http(_))
    }

    /// Obtains the certificate and renews it at two thirds of its life, for ever. While that fails, the old
    /// one is shown; without one, what the doors show to everybody.
    pub(crate) async fn keep(self) {
        let mut schedule = self.begin();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if SystemClock.now() < schedule.due {
                continue;
            }
            match self.obtain().await {
                Ok(certificate) => {
                    schedule = schedule.after(&certificate);
                    let (expires_at, serial) = (certificate.lifetime.expires_at, &certificate.serial);
                    tracing::info!(%expires_at, serial, renewal_at = %schedule.due, "certificate obtained by ACME");
                    self.show(&certificate);
                }
                Err(error) => {
                    let wait = wait_after(schedule.failures);
                    let failures = schedule.failures.saturating_add(1);
                    schedule = Schedule { due: SystemClock.now() + wait, failures };
                    self.shown.not_acquired(failures);
                    let (error, minutes) = (format!("{error:#}"), wait.as_secs() / 60);
                    tracing::error!(
                        error,
                        minutes,
                        failures,
                        "certificate not obtained by ACME, trying again after minutes"
                    );
                }
            }
        }
    }

    /// Shows what is kept; gives when something is to be done.
    fn begin(&self) -> Schedule {
        let now = SystemClock.now();
        let kept = self.kept.certificate(now);
        let account = self.kept.account(&self.settings.directory.uri().to_string());
        let at_once = Schedule { due: now, failures: 0 };
        match (kept, account) {
            (Ok(Some(certificate)), Ok(account)) if certificate.is_for(&self.settings.hosts) => {
                let due = if account.is_some() { renewal_of(&certificate) } else { now };
                tracing::info!(expires_at = %certificate.lifetime.expires_at, renewal_at = %due, "certificate of ACME kept");
                self.show(&certificate);
                Schedule { due, failures: 0 }
            }
            (Ok(_), Ok(_)) => at_once,
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(error = format!("{error:#}"), "what is kept of ACME cannot be used");
                at_once
            }
        }
    }

    fn show(&self, certificate: &KeptCertificate) {
        let expires_at = certificate.lifetime.expires_at;
        self.shown.show_acquired(&self.settings.hosts, &certificate.credential, expires_at);
    }

    async fn obtain(&self) -> anyhow::Result<KeptCertificate> {
        let account = order::account(&self.settings, &self.kept).await?;
        let obtained = order::certificate(&account, &self.settings.hosts, &self.validation).await?;
        let pem = (obtained.chain.as_str(), obtained.key.as_str());
        let certificate = self.kept.save_certificate(pem, SystemClock.now())?;
        if let Some(authority) = &self.authority {
            let noted = authority.note_certificate_acquired(&self.settings.hosts, &certificate.serial).await;
            // It is there and good: another order would not mend the audit.
            if let Err(error) = noted {
                tracing::error!(%error, "certificate of ACME not written down in the audit");
            }
        }
        Ok(certificate)
    }
}

/// At two thirds of its life, and up to a twentieth of it earlier: not all at one moment.
fn renewal_of(certificate: &KeptCertificate) -> Timestamp {
    let lifetime = certificate.lifetime;
    let whole = lifetime.expires_at.since(lifetime.issued_at);
    lifetime.renewal_due_at() - fraction_of(whole / 20)
}

/// Between nothing and `most`, by chance.
fn fraction_of(most: Duration) -> Duration {
    let chance = RandomState::new().hash_one(()) % 1000;
    most * u32::try_from(chance).unwrap_or_default() / 1000
}

fn wait_after(failures: u32) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LONGEST_WAIT);
    wait + fraction_of(wait / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_waited_after_for_longer_up_to_half_a_day() {
        let waits: Vec<_> = (0..20).map(wait_after).collect();
        for (failures, wait) in waits.iter().enumerate() {
            let least = FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT);
            assert!(*wait >= least && *wait <= least * 5 / 4, "{failures}: {wait:?}");
        }
    }
}
