//! The same questions and changes as elsewhere, for many records at once: what many callers want at the
//! same moment costs as many statements as if one did. Lists are to be bounded by the caller.

use std::collections::{BTreeMap, HashSet};

use countersign_core::ids::{
    CertificateRef, DeviceName, EnrollmentKeyId, IssuerKeyId, SecretHash, SerialNumber, SpkiSha256, TenantId,
};

use super::denials::{TraitKind, normalised};
use super::devices::{DeviceRow, select_devices};
use super::enrollment_keys::EnrollmentKeyRow;
use super::intents::IntentRow;
use super::tenants::TenantRow;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
use crate::statement::Statement;
use crate::transaction::{Reading, Writing};

/// By what a machine may resemble a device that was denied.
#[derive(Clone, Debug)]
pub struct Traits {
    /// The tenant it wants to join.
    pub tenant: TenantId,
    /// Its host name.
    pub hostname: String,
    /// Its hardware's serial number, if that says something.
    pub hardware_serial: Option<String>,
}

/// A trait of a denied device.
#[derive(PartialEq, Eq, Hash)]
struct DeniedTrait {
    tenant: TenantId,
    kind: TraitKind,
    value: String,
}

impl FromRow for DeniedTrait {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { tenant: row.parsed("org_id")?, kind: row.parsed("kind")?, value: row.text("value")? })
    }
}

/// SQL: those with an issuer and one of many serial numbers, each pair looked up by itself (as in
/// [`Reading::taken_among`]).
macro_rules! of_issuer {
    () => {
        " WHERE (issuer_key_id, serial_number) IN
              (WITH wanted (serial) AS (VALUES {rows}) SELECT $1, serial FROM wanted)"
    };
}

impl Reading<'_> {
    /// The records of enrolment keys, in whatever condition they are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrollment_keys_by_hash(
        &mut self,
        keys: &[SecretHash],
    ) -> Result<Vec<EnrollmentKeyRow>, StoreError> {
        let text = "SELECT * FROM enrollment_keys WHERE key_sha256 IN ({})";
        self.listed("enrollment_keys", text, keys).await
    }

    /// The records of enrolment keys with these ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrollment_keys_by_id(
        &mut self,
        ids: &[EnrollmentKeyId],
    ) -> Result<Vec<EnrollmentKeyRow>, StoreError> {
        self.listed("enrollment_keys", "SELECT * FROM enrollment_keys WHERE id IN ({})", ids).await
    }

    /// The tenants with these ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tenants_by_id(&mut self, ids: &[TenantId]) -> Result<Vec<TenantRow>, StoreError> {
        self.listed("tenants", "SELECT * FROM tenants WHERE id IN ({})", ids).await
    }

    /// The devices whose tokens have these hashes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_by_token(&mut self, tokens: &[SecretHash]) -> Result<Vec<DeviceRow>, StoreError> {
        let text = select_devices!(
            " WHERE d.id IN (SELECT device_id FROM device_lookup WHERE token_sha256 IN ({}))"
        );
        self.listed("devices", text, tokens).await
    }

    /// Those of the keys that were denied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn denied_among(&mut self, keys: &[SpkiSha256]) -> Result<HashSet<SpkiSha256>, StoreError> {
        let text =
            "SELECT spki_sha256 AS item FROM denied_keys WHERE spki_sha256 IN ({}) AND lifted_at IS NULL";
        let found: Vec<Item<SpkiSha256>> = self.listed("denied_keys", text, keys).await?;
        Ok(found.into_iter().map(|Item(key)| key).collect())
    }

    /// Those of the keys that a certificate had which was revoked other than for being replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoked_among(&mut self, keys: &[SpkiSha256]) -> Result<HashSet<SpkiSha256>, StoreError> {
        let text = "SELECT spki_sha256 AS item FROM revocations WHERE spki_sha256 IN ({})";
        let found: Vec<Item<SpkiSha256>> = self.listed("revocations", text, keys).await?;
        Ok(found.into_iter().map(|Item(key)| key).collect())
    }

    /// Those of the names that are, or were, a device's in the tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn taken_among(
        &mut self,
        tenant: TenantId,
        names: &[DeviceName],
    ) -> Result<HashSet<DeviceName>, StoreError> {
        if names.is_empty() {
            return Ok(HashSet::new());
        }
        // Each name is looked up by itself, in the index over both columns: as a list, or joined, they would be
        // looked for among all of the tenant's by a plan that PostgreSQL made while it had few and keeps.
        let text = "WITH wanted (name) AS (VALUES {rows})
                    SELECT wanted.name AS item FROM wanted
                    WHERE (SELECT count(*) FROM devices WHERE org_id = $1 AND devices.name = wanted.name) > 0";
        let found: Vec<Item<DeviceName>> =
            Statement::over_list_after("devices", text, tenant, names).all(&mut self.connection).await?;
        Ok(found.into_iter().map(|Item(name)| name).collect())
    }

    /// For each machine, whether a host name or hardware serial is that of a device that the tenant
    /// denied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resembling_denied(&mut self, machines: &[Traits]) -> Result<Vec<bool>, StoreError> {
        let values = |machine: &Traits| {
            let serial = machine.hardware_serial.as_deref().map(normalised);
            [Some(normalised(&machine.hostname)), serial].into_iter().flatten()
        };
        let mut wanted: BTreeMap<TenantId, Vec<String>> = BTreeMap::new();
        for machine in machines {
            wanted.entry(machine.tenant).or_default().extend(values(machine));
        }
        let mut denied: HashSet<DeniedTrait> = HashSet::new();
        for (tenant, values) in wanted {
            let text = "SELECT org_id, kind, value FROM denied_traits WHERE org_id = $1
                        AND kind IN ('hostname', 'hardware_serial') AND value IN ({})";
            let found: Vec<DeniedTrait> = Statement::over_list_after("denied_traits", text, tenant, values)
                .all(&mut self.connection)
                .await?;
            denied.extend(found);
        }
        let is_denied = |tenant, kind, value| denied.contains(&DeniedTrait { tenant, kind, value });
        let resembles = |machine: &Traits| {
            let (tenant, serial) = (machine.tenant, machine.hardware_serial.as_deref());
            is_denied(tenant, TraitKind::Hostname, normalised(&machine.hostname))
                || serial
                    .is_some_and(|serial| is_denied(tenant, TraitKind::HardwareSerial, normalised(serial)))
        };
        Ok(machines.iter().map(resembles).collect())
    }

    /// Those of the references that have an intent without an outcome.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn intended_among(
        &mut self,
        references: &[CertificateRef],
    ) -> Result<HashSet<CertificateRef>, StoreError> {
        let mut intended = HashSet::new();
        for (issuer, serials) in by_issuer(references) {
            let text = concat!("SELECT issuer_key_id, serial_number FROM issuance_intents", of_issuer!());
            let found: Vec<CertificateRef> =
                Statement::over_list_after("issuance_intents", text, issuer, serials)
                    .all(&mut self.connection)
                    .await?;
            intended.extend(found);
        }
        Ok(intended)
    }

    async fn listed<T: FromRow, V: Copy + Into<crate::value::Value>>(
        &mut self,
        table: &'static str,
        text: &'static str,
        values: &[V],
    ) -> Result<Vec<T>, StoreError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        Statement::over_list(table, text, values.iter().copied()).all(&mut self.connection).await
    }
}

impl Writing<'_> {
    /// Reserves serials.
    ///
    /// # Errors
    /// [`StoreError`], also when one of them is reserved already.
    pub async fn insert_intents(&mut self, intents: &[IntentRow]) -> Result<(), StoreError> {
        IntentRow::rows(intents).insert(&mut self.connection, "").await.map(|_all| ())
    }

    /// Removes intents that have their outcome, and says of how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_intents(&mut self, references: &[CertificateRef]) -> Result<u64, StoreError> {
        let mut finished = 0;
        for (issuer, serials) in by_issuer(references) {
            let text = concat!("DELETE FROM issuance_intents", of_issuer!());
            let statement = Statement::over_list_after("issuance_intents", text, issuer, serials);
            finished += statement.run(&mut self.connection).await?;
        }
        Ok(finished)
    }

    /// Records new devices whose names are free, each with what it says of its certificate.
    ///
    /// # Errors
    /// [`StoreError`], also when a name, id, agent id or token is on record already.
    pub async fn insert_devices(&mut self, devices: &[DeviceRow]) -> Result<(), StoreError> {
        DeviceRow::rows(devices).insert(&mut self.connection, "").await.map(|_all| ())
    }
}

fn by_issuer(references: &[CertificateRef]) -> BTreeMap<IssuerKeyId, Vec<&SerialNumber>> {
    let mut sorted: BTreeMap<IssuerKeyId, Vec<&SerialNumber>> = BTreeMap::new();
    for reference in references {
        sorted.entry(reference.issuer).or_default().push(&reference.serial);
    }
    sorted
}
