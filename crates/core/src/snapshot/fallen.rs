//! What fell: the certificates that are denied and the devices that are barred, a set for each issuer and each bar.

use std::borrow::Cow;
use std::collections::BTreeMap;

use imbl::HashMap;

use super::edits::Edits;
use super::packed::{Packed, PackedSet};
use super::{Bar, DeviceKey};
use crate::ids::{CertificateRef, IssuerKeyId, SerialNumber};

/// Certificates, by issuer.
#[derive(Clone, Debug, Default)]
pub struct DeniedCertificates(HashMap<IssuerKeyId, PackedSet<SerialNumber>>);

impl DeniedCertificates {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(PackedSet::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.values().all(PackedSet::is_empty)
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, certificate: &CertificateRef) -> bool {
        self.0.get(&certificate.issuer).is_some_and(|serials| serials.contains(&certificate.serial))
    }

    /// Puts one in.
    pub fn insert(&mut self, certificate: CertificateRef) {
        self.0.entry(certificate.issuer).or_default().insert(certificate.serial);
    }

    /// Takes one out.
    pub fn remove(&mut self, certificate: &CertificateRef) {
        if let Some(serials) = self.0.get_mut(&certificate.issuer) {
            serials.remove(&certificate.serial);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = CertificateRef> {
        let of = |issuer: IssuerKeyId| move |serial| CertificateRef { issuer, serial };
        self.0.iter().flat_map(move |(issuer, serials)| serials.iter().map(of(*issuer)))
    }

    /// See [`PackedSet::edit`].
    pub(super) fn edit(&mut self, edits: &Edits<CertificateRef, ()>) {
        if !self.is_empty() {
            edits.iter().for_each(|(certificate, now)| match now {
                Some(()) => self.insert(certificate.clone()),
                None => self.remove(certificate),
            });
            return;
        }
        // They are in order: those of one issuer are beside each other.
        for of_issuer in edits.as_slice().chunk_by(|(one, _), (next, _)| one.issuer == next.issuer) {
            let Some((CertificateRef { issuer, .. }, _)) = of_issuer.first() else { continue };
            let there = || of_issuer.iter().filter(|(_, now)| now.is_some()).map(|(one, _)| &one.serial);
            self.0.insert(*issuer, PackedSet::of(there));
        }
    }

    /// See [`PackedSet::settle`].
    pub(super) fn settle(&mut self) {
        self.0.iter_mut().for_each(|(_issuer, serials)| serials.settle());
    }
}

impl Extend<CertificateRef> for DeniedCertificates {
    fn extend<I: IntoIterator<Item = CertificateRef>>(&mut self, certificates: I) {
        let mut of_issuers: BTreeMap<IssuerKeyId, Vec<SerialNumber>> = BTreeMap::new();
        for CertificateRef { issuer, serial } in certificates {
            of_issuers.entry(issuer).or_default().push(serial);
        }
        for (issuer, serials) in of_issuers {
            self.0.entry(issuer).or_default().extend(serials);
        }
    }
}

impl FromIterator<CertificateRef> for DeniedCertificates {
    fn from_iter<I: IntoIterator<Item = CertificateRef>>(certificates: I) -> Self {
        let mut denied = Self::default();
        denied.extend(certificates);
        denied
    }
}

/// Devices that are refused whatever they present.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarredDevices {
    quarantined: PackedSet<DeviceKey>,
    decommissioned: PackedSet<DeviceKey>,
}

impl BarredDevices {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.quarantined.len() + self.decommissioned.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.quarantined.is_empty() && self.decommissioned.is_empty()
    }

    /// Why it is refused; `None`: it is not.
    #[must_use]
    pub fn get(&self, device: &DeviceKey) -> Option<Bar> {
        if self.decommissioned.contains(device) {
            Some(Bar::Decommissioned)
        } else {
            self.quarantined.contains(device).then_some(Bar::Quarantined)
        }
    }

    /// Whether it is refused.
    #[must_use]
    pub fn contains_key(&self, device: &DeviceKey) -> bool {
        self.get(device).is_some()
    }

    /// Refuses one for this reason and no other.
    pub fn insert(&mut self, device: DeviceKey, bar: Bar) {
        let (one, other) = match bar {
            Bar::Quarantined => (&mut self.quarantined, &mut self.decommissioned),
            Bar::Decommissioned => (&mut self.decommissioned, &mut self.quarantined),
        };
        other.remove(&device);
        one.insert(device);
    }

    /// Refuses one no more.
    pub fn remove(&mut self, device: &DeviceKey) {
        self.quarantined.remove(device);
        self.decommissioned.remove(device);
    }

    /// Refuses none any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceKey, Bar)> {
        let quarantined = self.quarantined.iter().map(|device| (device, Bar::Quarantined));
        quarantined.chain(self.decommissioned.iter().map(|device| (device, Bar::Decommissioned)))
    }

    /// See [`PackedSet::edit`].
    pub(super) fn edit(&mut self, edits: &Edits<DeviceKey, Bar>) {
        if self.is_empty() {
            let barred =
                |bar| edits.iter().filter(move |(_, now)| **now == Some(bar)).map(|(device, _)| device);
            self.quarantined = PackedSet::of(|| barred(Bar::Quarantined));
            self.decommissioned = PackedSet::of(|| barred(Bar::Decommissioned));
        } else {
            edits.iter().for_each(|(device, now)| match now {
                Some(bar) => self.insert(device.clone(), *bar),
                None => self.remove(device),
            });
        }
    }

    /// See [`PackedSet::settle`].
    pub(super) fn settle(&mut self) {
        self.quarantined.settle();
        self.decommissioned.settle();
    }
}

/// Neither part has a slash.
impl Packed for DeviceKey {
    fn packed(&self) -> Cow<'_, [u8]> {
        let (tenant, device) = self;
        [tenant.as_str(), device.as_str()].join("/").into_bytes().into()
    }

    fn unpacked(bytes: &[u8]) -> Option<Self> {
        let (tenant, device) = std::str::from_utf8(bytes).ok()?.split_once('/')?;
        Some((tenant.parse().ok()?, device.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(issuer: u8, serial: &str) -> CertificateRef {
        CertificateRef { issuer: [issuer; 32].into(), serial: serial.parse().unwrap() }
    }

    fn device(tenant: &str, name: &str) -> DeviceKey {
        (tenant.parse().unwrap(), name.parse().unwrap())
    }

    #[test]
    fn a_serial_number_is_denied_of_its_issuer_and_of_no_other() {
        let mut denied = DeniedCertificates::default();
        denied.insert(reference(1, "07"));
        assert!(denied.contains(&reference(1, "07")));
        for other in [reference(2, "07"), reference(1, "0700"), reference(1, "70")] {
            assert!(!denied.contains(&other), "{other:?}");
            denied.remove(&other);
        }
        denied.extend([reference(2, "07"), reference(1, "07")]);
        assert_eq!(denied.len(), 2);
        let mut all: Vec<_> = denied.iter().collect();
        all.sort();
        assert_eq!(all, [reference(1, "07"), reference(2, "07")]);
        all.iter().for_each(|one| denied.remove(one));
        assert!(denied.is_empty());
        assert_eq!(denied.len(), 0);
    }

    #[test]
    fn edits_make_the_same_of_nothing_as_of_something() {
        let edits = Edits::from([
            (reference(1, "07"), Some(())),
            (reference(1, "08"), None),
            (reference(2, "07"), Some(())),
            (reference(3, "01"), None),
        ]);
        let before: DeniedCertificates = [reference(1, "08"), reference(3, "01")].into_iter().collect();
        for mut denied in [DeniedCertificates::default(), before] {
            denied.edit(&edits);
            let mut all: Vec<_> = denied.iter().collect();
            all.sort();
            assert_eq!(all, [reference(1, "07"), reference(2, "07")]);
        }
        let edits = Edits::from([
            (device("acme", "d1"), Some(Bar::Decommissioned)),
            (device("acme", "d2"), None),
            (device("acme", "d3"), Some(Bar::Quarantined)),
        ]);
        let mut before = BarredDevices::default();
        for name in ["d1", "d2"] {
            before.insert(device("acme", name), Bar::Quarantined);
        }
        for mut barred in [BarredDevices::default(), before] {
            barred.edit(&edits);
            let bar = |name| barred.get(&device("acme", name));
            assert_eq!(
                ["d1", "d2", "d3"].map(bar),
                [Some(Bar::Decommissioned), None, Some(Bar::Quarantined)]
            );
        }
    }

    #[test]
    fn a_device_is_barred_for_one_reason_and_its_name_is_its_tenants() {
        let mut barred = BarredDevices::default();
        barred.insert(device("acme", "d1"), Bar::Quarantined);
        for other in
            [device("acme", "d"), device("acm", "d1"), device("acme", "d11"), device("acme-d1", "d1")]
        {
            assert_eq!(barred.get(&other), None, "{other:?}");
        }
        assert_eq!(barred.get(&device("acme", "d1")), Some(Bar::Quarantined));
        barred.insert(device("acme", "d1"), Bar::Decommissioned);
        assert_eq!((barred.get(&device("acme", "d1")), barred.len()), (Some(Bar::Decommissioned), 1));
        barred.insert(device("acme", "d2"), Bar::Quarantined);
        let all: Vec<_> = barred.iter().collect();
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|(device, bar)| barred.get(device) == Some(*bar)));
        barred.remove(&device("acme", "d1"));
        assert!(!barred.contains_key(&device("acme", "d1")) && barred.contains_key(&device("acme", "d2")));
        barred.clear();
        assert!(barred.is_empty());
    }
}
