//! Whether an enrolment is admitted, and as what: decided before anything is signed.

use std::net::IpAddr;

use countersign_ca::VerifiedCsr;
use countersign_core::device::{DeviceEvent, DeviceStatus, QuarantineReason};
use countersign_core::ids::{DeviceId, DeviceName, SecretHash, SpkiSha256, TenantId};
use countersign_core::name_pattern;
use countersign_core::time::Timestamp;
use countersign_store::{AgentReport, Approval, DeviceRow, EnrollmentKeyRow, StoreError, TenantRow, Traits};

use super::facts::Applicant;
use super::{EnrolError, Enrolment, KeyRefusal};
use crate::authority::Authority;
use crate::names::{fresh_agent_id, fresh_suffix};

/// Hardware serials that vendors leave unset say nothing about the device.
const PLACEHOLDER_SERIALS: [&str; 12] = [
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "system serial number",
    "chassis serial number",
    "none",
    "not specified",
    "not applicable",
    "not available",
    "unknown",
    "123456789",
    "0123456789",
];

/// What an enrolment has come to before anything is signed.
pub(super) struct Admission {
    pub(super) key: EnrollmentKeyRow,
    pub(super) tenant: TenantRow,
    pub(super) csr: Option<VerifiedCsr>,
    pub(super) seat: Seat,
    /// Why the device starts, or stays, in quarantine.
    pub(super) bar: Option<QuarantineReason>,
}

/// As what a device enrols.
pub(super) enum Seat {
    /// A new one, by a name that is free.
    New(DeviceName),
    /// One that is on record: the enrolment key was made for it.
    Returning(Box<DeviceRow>),
}

impl Authority {
    pub(super) async fn admit_enrolment(&self, request: &Enrolment) -> Result<Admission, EnrolError> {
        let now = self.now();
        let (key, tenant) = self.find_key(SecretHash::of(&request.key)).await?;
        if let Some(refusal) = key_refusal(&key, now) {
            return Err(EnrolError::Key(refusal));
        }
        if !network_allows(&key, request.address) {
            return Err(EnrolError::Key(KeyRefusal::NotFound));
        }
        if tenant.suspended_at.is_some() {
            return Err(EnrolError::TenantSuspended);
        }
        let csr = request.csr.as_deref().map(VerifiedCsr::from_pem).transpose()?;
        let wanted = wanted_name(request, &key);
        let spki = csr.as_ref().map(|csr| csr.public_key().sha256());
        let facts =
            self.together.applicants.ask(applicant(request, &key, spki, wanted.as_ref().ok())).await?;
        let (returning, had_key) = self.returning(key.device, spki).await?;
        if facts.is_key_denied || had_key || wrong_bound_key(&key, csr.as_ref()) {
            return Err(EnrolError::KeyDenied);
        }
        let seat = match returning {
            Some(device) if device.status == DeviceStatus::Decommissioned => {
                return Err(EnrolError::Key(KeyRefusal::Revoked));
            }
            Some(device) => Seat::Returning(Box::new(device)),
            None if facts.is_name_taken => Seat::New(self.other_name(request, &key, &wanted?).await?),
            None => Seat::New(wanted?),
        };
        let bar = bar(&key, &seat, facts.resembles_denied);
        Ok(Admission { key, tenant, csr, seat, bar })
    }

    async fn find_key(&self, hash: SecretHash) -> Result<(EnrollmentKeyRow, TenantRow), EnrolError> {
        let found = self.together.enrollment_keys.ask(hash).await?;
        match found {
            Some(found) if found.0.key.matches(&hash) => Ok(found),
            Some(_) | None => Err(EnrolError::Key(KeyRefusal::NotFound)),
        }
    }

    /// The device that an enrolment key was made for, and whether it ever had this public key: coming
    /// back takes a fresh one.
    async fn returning(
        &self,
        device: Option<DeviceId>,
        spki: Option<SpkiSha256>,
    ) -> Result<(Option<DeviceRow>, bool), StoreError> {
        let Some(id) = device else { return Ok((None, false)) };
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let device = r.device(id).await?.ok_or_else(|| StoreError::raced("device", id))?;
                    let certificates = r.certificates_of(id).await?;
                    let had_key = certificates.iter().any(|row| Some(row.spki) == spki);
                    Ok((Some(device), had_key))
                })
            })
            .await
    }

    /// The name that a new device gets whose first one is taken: one like its host name.
    async fn other_name(
        &self,
        request: &Enrolment,
        key: &EnrollmentKeyRow,
        taken: &DeviceName,
    ) -> Result<DeviceName, EnrolError> {
        if request.name.is_some() {
            return Err(EnrolError::NameTaken);
        }
        let other = taken.with_suffix(&fresh_suffix()?);
        check_pattern(key, &other).map_err(|_only_one_name_fits| EnrolError::NameTaken)?;
        if self.is_taken(key.tenant, other.clone()).await? { Err(EnrolError::NameTaken) } else { Ok(other) }
    }

    async fn is_taken(&self, tenant: TenantId, name: DeviceName) -> Result<bool, StoreError> {
        self.store
            .read(move |r| Box::pin(async move { Ok(r.device_by_name(tenant, &name).await?.is_some()) }))
            .await
    }
}

/// The name that a new device asks for, or one like its host name.
fn wanted_name(request: &Enrolment, key: &EnrollmentKeyRow) -> Result<DeviceName, EnrolError> {
    let wanted = match &request.name {
        Some(name) if name.is_reserved() => {
            return Err(EnrolError::Name("this device name is reserved"));
        }
        Some(name) => name.clone(),
        None => DeviceName::sanitised(&request.hostname),
    };
    check_pattern(key, &wanted)?;
    Ok(wanted)
}

fn applicant(
    request: &Enrolment,
    key: &EnrollmentKeyRow,
    spki: Option<SpkiSha256>,
    name: Option<&DeviceName>,
) -> Applicant {
    let traits = Traits {
        tenant: key.tenant,
        hostname: request.hostname.clone(),
        hardware_serial: telling_serial(request.hardware_serial.as_deref()),
    };
    Applicant { spki, name: name.cloned(), traits }
}

impl Admission {
    /// Whether doors must hear of it: a device that is new to them and not barred is trusted like any.
    pub(super) const fn changes_trust(&self) -> bool {
        match self.seat {
            Seat::New(_) => self.bar.is_some(),
            Seat::Returning(_) => true,
        }
    }

    /// The device's row as the enrolment leaves it, without a key that waits for a certificate.
    pub(super) fn row(
        &self,
        request: &Enrolment,
        token: SecretHash,
        now: Timestamp,
    ) -> Result<DeviceRow, EnrolError> {
        let mut device = match &self.seat {
            Seat::New(name) => self.new_row(request, name.clone(), now)?,
            Seat::Returning(known) => (**known).clone(),
        };
        device.hostname.clone_from(&request.hostname);
        device.os_type.clone_from(&request.os_type);
        device.os_version.clone_from(&request.os_version);
        device.architecture.clone_from(&request.architecture);
        device.agent_version.clone_from(&request.agent_version);
        if request.hardware_serial.is_some() {
            device.hardware_serial.clone_from(&request.hardware_serial);
        }
        device.token = Some(token);
        device.pending_key = None;
        device.grant_until = None;
        let event = if self.bar.is_some() { DeviceEvent::Quarantine } else { DeviceEvent::Approve };
        if let Ok(status) = device.status.apply(event) {
            device.status = status;
            device.quarantined_at = self.bar.is_some().then_some(now);
            device.quarantined_reason.clone_from(&self.bar);
        }
        Ok(device)
    }

    fn new_row(
        &self,
        request: &Enrolment,
        name: DeviceName,
        now: Timestamp,
    ) -> Result<DeviceRow, EnrolError> {
        Ok(DeviceRow {
            id: DeviceId::random(),
            tenant: self.tenant.id,
            tenant_slug: self.tenant.slug.clone(),
            site: self.key.site,
            // Read with the row, not written.
            site_slug: String::new(),
            agent: fresh_agent_id()?,
            name,
            hostname: request.hostname.clone(),
            os_type: String::new(),
            os_version: String::new(),
            architecture: String::new(),
            agent_version: String::new(),
            hardware_serial: None,
            status: DeviceStatus::Pending,
            token: None,
            last_seen_at: None,
            last_ip: None,
            quarantined_at: None,
            quarantined_reason: None,
            pending_key: None,
            grant_until: None,
            certificate: None,
            reported: AgentReport::default(),
            commands_until: None,
            enrolled_at: now,
            decommissioned_at: None,
            revision: 0,
        })
    }
}

/// Why a device starts, or stays, in quarantine.
fn bar(key: &EnrollmentKeyRow, seat: &Seat, resembles_denied: bool) -> Option<QuarantineReason> {
    let known = QuarantineReason::known;
    match seat {
        // A key made after the quarantine is an admin's approval of it.
        Seat::Returning(device)
            if device.status == DeviceStatus::Quarantined
                && device.quarantined_at.is_none_or(|at| key.created_at <= at) =>
        {
            let reason = device.quarantined_reason.clone();
            Some(reason.unwrap_or_else(|| known(QuarantineReason::AWAITING_APPROVAL)))
        }
        Seat::New(_) | Seat::Returning(_) if key.approval == Approval::Required => {
            Some(known(QuarantineReason::AWAITING_APPROVAL))
        }
        Seat::New(_) if resembles_denied => Some(known(QuarantineReason::RESEMBLES_DENIED)),
        Seat::New(_) | Seat::Returning(_) => None,
    }
}

/// Why an enrolment key does not work at this moment, if it does not.
pub(super) fn key_refusal(key: &EnrollmentKeyRow, now: Timestamp) -> Option<KeyRefusal> {
    if key.revoked_at.is_some() {
        Some(KeyRefusal::Revoked)
    } else if now >= key.expires_at {
        Some(KeyRefusal::Expired)
    } else if key.uses >= key.max_uses {
        Some(KeyRefusal::Exhausted)
    } else {
        None
    }
}

fn network_allows(key: &EnrollmentKeyRow, address: IpAddr) -> bool {
    let address = address.to_canonical();
    key.networks.is_empty()
        || key
            .networks
            .iter()
            .any(|network| network.parse::<ipnet::IpNet>().is_ok_and(|network| network.contains(&address)))
}

fn wrong_bound_key(key: &EnrollmentKeyRow, csr: Option<&VerifiedCsr>) -> bool {
    key.spki.is_some_and(|bound| csr.is_none_or(|csr| csr.public_key().sha256() != bound))
}

fn check_pattern(key: &EnrollmentKeyRow, name: &DeviceName) -> Result<(), EnrolError> {
    match &key.name_pattern {
        Some(pattern) if !name_pattern::matches(pattern, name.as_str()) => {
            Err(EnrolError::Name("the enrolment key does not allow this device name"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A hardware serial that says something about the device.
pub(crate) fn telling_serial(serial: Option<&str>) -> Option<String> {
    let serial = serial?.trim();
    let mut characters = serial.chars();
    let first = characters.next();
    let is_placeholder = serial.len() < 4
        || characters.all(|one| Some(one) == first)
        || PLACEHOLDER_SERIALS.contains(&serial.to_lowercase().as_str());
    (!is_placeholder).then(|| serial.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vendors_leave_unset_says_nothing() {
        for serial in
            ["", "  ", "0", "none", "N/A", "To Be Filled By O.E.M.", " default string ", "00000000", "xxxx"]
        {
            assert_eq!(telling_serial(Some(serial)), None, "{serial}");
        }
        assert_eq!(telling_serial(None), None);
        assert_eq!(telling_serial(Some(" C02XK1 ")).as_deref(), Some("C02XK1"));
    }
}
