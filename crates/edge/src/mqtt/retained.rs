//! What devices left at the broker for those who come later, by device: so that it stays within its quota,
//! and can be taken away with them.

use std::collections::HashMap;

use countersign_core::snapshot::DeviceKey;
use parking_lot::Mutex;

use super::terms::Terms;

/// The retained messages that passed this door.
#[derive(Debug, Default)]
pub(super) struct Retained(Mutex<HashMap<DeviceKey, HashMap<Box<str>, usize>>>);

/// A device's quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QuotaUsedUp;

impl Retained {
    /// Notes a retained message; an empty one takes the topic's away.
    pub(super) fn note(
        &self,
        device: &DeviceKey,
        topic: &str,
        bytes: usize,
        terms: &Terms,
    ) -> Result<(), QuotaUsedUp> {
        let mut all = self.0.lock();
        if bytes == 0 {
            if let Some(own) = all.get_mut(device) {
                own.remove(topic);
                if own.is_empty() {
                    all.remove(device);
                }
            }
            return Ok(());
        }
        let own = all.get(device);
        let others = || own.into_iter().flatten().filter(|(other, _)| &***other != topic);
        let held: usize = others().map(|(_, bytes)| *bytes).sum();
        if others().count() >= terms.retained_messages || held.saturating_add(bytes) > terms.retained_bytes {
            return Err(QuotaUsedUp);
        }
        all.entry(device.clone()).or_default().insert(topic.into(), bytes);
        Ok(())
    }

    /// Whose there are.
    pub(super) fn devices(&self) -> Vec<DeviceKey> {
        self.0.lock().keys().cloned().collect()
    }

    /// Forgets what a device left, and says where it was.
    pub(super) fn take(&self, device: &DeviceKey) -> Vec<Box<str>> {
        self.0.lock().remove(device).map(|own| own.into_keys().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_stays_within_its_quota_and_others_have_their_own() {
        let terms = Terms { retained_messages: 2, retained_bytes: 100, ..Terms::default() };
        let device = |name: &str| ("acme".parse().unwrap(), name.parse().unwrap());
        let (retained, d1, d2) = (Retained::default(), device("d1"), device("d2"));
        assert_eq!(retained.note(&d1, "a", 60, &terms), Ok(()));
        assert_eq!(retained.note(&d1, "a", 90, &terms), Ok(()), "in place of the earlier one");
        assert_eq!(retained.note(&d1, "b", 11, &terms), Err(QuotaUsedUp), "too many bytes");
        assert_eq!(retained.note(&d1, "b", 10, &terms), Ok(()));
        assert_eq!(retained.note(&d1, "c", 0, &terms), Ok(()), "nothing is there to be taken away");
        retained.note(&d1, "a", 1, &terms).unwrap();
        assert_eq!(retained.note(&d1, "c", 1, &terms), Err(QuotaUsedUp), "too many");
        assert_eq!(retained.note(&d2, "c", 1, &terms), Ok(()));
        retained.note(&d1, "b", 0, &terms).unwrap();
        assert_eq!(retained.note(&d1, "c", 1, &terms), Ok(()));
        assert_eq!(retained.take(&d1).len(), 2);
        assert!(retained.take(&d1).is_empty());
    }
}
