//! Who was admitted over its certificate, and whom `enforce` would have refused: what the rollout of
//! `enforce` is judged by. Exact, unlike the refusals in the audit, which are sampled.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use countersign_core::access::Refusal;
use countersign_core::ids::{CertificateRef, DeviceId};
use countersign_core::time::Timestamp;
use countersign_store::{OVER_CERTIFICATE, StoreError, UsageRow, rule_outcome};
use parking_lot::Mutex;

use crate::authority::Authority;

/// What was written down is not written again for this long.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

/// How long it is known who would have been refused.
pub(crate) const KEPT: Duration = Duration::from_secs(7 * 86_400);

#[derive(Debug, Default)]
pub(crate) struct UsageLog {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Use, Timestamp>,
    written: HashMap<Use, Written>,
    /// Whose certificates were looked up of late, and for which rule.
    looked_up: HashMap<(CertificateRef, String), Timestamp>,
}

/// Who, and the outcome.
type Use = (DeviceId, Cow<'static, str>);

#[derive(Debug)]
struct Written {
    at: Timestamp,
    /// A new certificate's first use is written at once.
    certificate: Option<CertificateRef>,
}

impl UsageLog {
    fn note(&self, key: Use, certificate: Option<&CertificateRef>, now: Timestamp) {
        let mut state = self.state.lock();
        let is_known = state.written.get(&key).is_some_and(|written| {
            now < written.at + AGAIN_AFTER && written.certificate.as_ref() == certificate
        });
        if !is_known {
            state.written.insert(key.clone(), Written { at: now, certificate: certificate.cloned() });
            state.waiting.insert(key, now);
        }
    }

    fn take(&self, now: Timestamp) -> Vec<UsageRow> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            return Vec::new();
        }
        state.written.retain(|_key, written| now < written.at + AGAIN_AFTER);
        state.looked_up.retain(|_key, at| now < *at + AGAIN_AFTER);
        state.waiting.drain().map(|((device, outcome), at)| UsageRow { device, outcome, at }).collect()
    }

    /// Whether it is time to look up whose certificate it is.
    pub(crate) fn is_news(&self, certificate: &CertificateRef, rule: &str, now: Timestamp) -> bool {
        let key = (certificate.clone(), rule.to_owned());
        let mut state = self.state.lock();
        let before = state.looked_up.get(&key).copied();
        let is_news = before.is_none_or(|at| now >= at + AGAIN_AFTER);
        if is_news {
            state.looked_up.insert(key, now);
        }
        is_news
    }

    /// What could not be written is written with the next use.
    fn forget(&self, rows: &[UsageRow]) {
        let mut state = self.state.lock();
        for row in rows {
            state.written.remove(&(row.device, row.outcome.clone()));
        }
    }
}

impl Authority {
    /// Notes that a device was admitted over its own certificate.
    pub fn note_certificate_use(&self, device: DeviceId, certificate: &CertificateRef) {
        self.usage.note((device, Cow::Borrowed(OVER_CERTIFICATE)), Some(certificate), self.now());
    }

    /// Notes that `enforce` would have refused a device.
    pub fn note_would_refuse(&self, device: DeviceId, refusal: Refusal) {
        self.usage.note((device, Cow::Borrowed(refusal.code())), None, self.now());
    }

    /// Notes that a rule, which is only observed, would have blocked a device.
    pub fn note_rule_would_block(&self, device: DeviceId, rule: &str) {
        self.usage.note((device, Cow::Owned(rule_outcome(rule))), None, self.now());
    }

    /// The same of whoever has this certificate.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_rule_would_block_holder(
        &self,
        certificate: CertificateRef,
        rule: &str,
    ) -> Result<(), StoreError> {
        if !self.usage.is_news(&certificate, rule, self.now()) {
            return Ok(());
        }
        let found =
            self.store.read(move |r| Box::pin(async move { r.certificate_by_reference(&certificate).await }));
        if let Some(row) = found.await? {
            self.note_rule_would_block(row.device, rule);
        }
        Ok(())
    }

    /// Writes down what was noted; the sweep does it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn flush_usage(&self) -> Result<(), StoreError> {
        let rows = self.usage.take(self.now());
        if rows.is_empty() {
            return Ok(());
        }
        let batch = rows.clone();
        let written = self.store.write(move |w| Box::pin(async move { w.record_usage(&batch).await })).await;
        if written.is_err() {
            self.usage.forget(&rows);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(byte: u8) -> CertificateRef {
        CertificateRef { issuer: [byte; 32].into(), serial: "0a".parse().unwrap() }
    }

    #[test]
    fn the_same_is_written_once_in_five_minutes_and_a_new_certificate_at_once() {
        let (log, device) = (UsageLog::default(), DeviceId::random());
        let (start, key) = (Timestamp::from_secs(1000), (device, Cow::Borrowed(OVER_CERTIFICATE)));
        let count = |certificate: u8, at: Timestamp| {
            log.note(key.clone(), Some(&reference(certificate)), at);
            log.take(at).len()
        };
        let minute = Duration::from_secs(60);
        assert_eq!([count(1, start), count(1, start + minute), count(2, start + minute * 2)], [1, 0, 1]);
        assert_eq!([count(2, start + minute * 6), count(2, start + minute * 7)], [0, 1]);
    }

    #[test]
    fn what_was_not_written_is_written_later() {
        let (log, now) = (UsageLog::default(), Timestamp::from_secs(1000));
        let key = (DeviceId::random(), Cow::Borrowed("MTLS_REQUIRED"));
        log.note(key.clone(), None, now);
        let rows = log.take(now);
        assert_eq!((rows.len(), log.take(now).len()), (1, 0));
        log.forget(&rows);
        log.note(key, None, now);
        assert_eq!(log.take(now), rows);
    }
}
