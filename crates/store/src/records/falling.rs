//! Revoking many certificates at once, in a fixed number of statements.
//!
//! What falls is gathered in two temporary tables of the writing connection, which are gone again
//! before the transaction ends: the certificates, and the devices that are left with nothing usable.

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::{
    CertificateId, DeviceId, IssuerKeyId, SerialNumber, SpkiSha256, Tenant, TenantId,
};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::error::StoreError;
use crate::postgres;
use crate::row::{FromRow, Row, certificate_state};
use crate::statement::{Statement, sql};
use crate::transaction::{Reading, Writing};
use crate::value::Value;

const TABLE: &str = "device_certificates";

/// How many values a list of a statement has at most: SQLite looks its parameters up one after the other.
const AT_ONCE: usize = 256;

/// Which certificates are to be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationSelector {
    /// These.
    Certificates(Vec<CertificateId>),
    /// Those with these serial numbers, of whichever issuer.
    Serials(Vec<SerialNumber>),
    /// Those with these keys.
    Keys(Vec<SpkiSha256>),
    /// All of these devices.
    Devices(Vec<DeviceId>),
    /// All of this tenant.
    Tenant(TenantId),
    /// All that this CA signed.
    Issuer(IssuerKeyId),
}

/// What falls together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Falling {
    /// The certificates, by tenant, device and id.
    pub certificates: Vec<FallingCertificate>,
    /// The devices that are left with nothing usable, by tenant and id.
    pub stranded: Vec<StrandedDevice>,
}

/// A certificate that falls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallingCertificate {
    /// Its record.
    pub id: CertificateId,
    /// Whose it is.
    pub device: DeviceId,
    /// The tenant it names.
    pub tenant: Tenant,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Where it stands before it falls.
    pub state: CertificateState,
}

/// A device that is left with nothing usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrandedDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Whether it was in quarantine before.
    pub was_quarantined: bool,
}

/// How certificates fall.
#[derive(Clone, Copy, Debug)]
pub struct Fall {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// A certificate that falls, and where its device stands when that is left with nothing usable.
struct Fallen {
    certificate: FallingCertificate,
    stranded: Option<DeviceStatus>,
}

/// All of it in one text: a row of many columns takes far longer to hand over than to find.
impl FromRow for Fallen {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let text = row.text("fallen")?;
        Self::parsed(&text).ok_or_else(|| row.corrupt("fallen", &text))
    }
}

impl Fallen {
    fn parsed(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let certificate = FallingCertificate {
            id: words.next()?.parse().ok()?,
            device: words.next()?.parse().ok()?,
            tenant: words.next()?.parse().ok()?,
            serial: words.next()?.parse().ok()?,
            state: certificate_state(words.next()?)?,
        };
        let stranded = match words.next()? {
            "-" => None,
            status => Some(status.parse().ok()?),
        };
        Some(Self { certificate, stranded })
    }
}

/// Where a certificate of a list stands, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStanding {
    /// Its record.
    pub id: CertificateId,
    /// The tenant of its device.
    pub tenant: TenantId,
    /// Its state.
    pub state: CertificateState,
}

impl FromRow for CertificateStanding {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("org_id")?,
            state: row.certificate_state("status")?,
        })
    }
}

impl Reading<'_> {
    /// Where these certificates stand; those that are not on record are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificate_standings(
        &mut self,
        ids: &[CertificateId],
    ) -> Result<Vec<CertificateStanding>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(AT_ONCE) {
            let rows: Vec<CertificateStanding> = Statement::over_list(
                TABLE,
                "SELECT c.id, d.org_id, c.status FROM device_certificates c
                 JOIN devices d ON d.id = c.device_uuid WHERE c.id IN ({})",
                some.iter().copied(),
            )
            .all(&mut self.connection)
            .await?;
            found.extend(rows);
        }
        Ok(found)
    }
}

/// SQL: the devices of what falls that are left with nothing usable: their active certificate falls,
/// or the pending one and there is no other.
const STRANDED: &str = "INSERT INTO stranded_devices SELECT f.device_uuid
    FROM falling_certificates f
    GROUP BY f.device_uuid
    HAVING max(CASE WHEN f.status = 'ACTIVE' THEN 1 ELSE 0 END) = 1
        OR (max(CASE WHEN f.status = 'PENDING_ACTIVATION' THEN 1 ELSE 0 END) = 1
            AND NOT EXISTS (SELECT 1 FROM device_certificates k
                WHERE k.device_uuid = f.device_uuid AND k.status = 'ACTIVE' AND k.not_after >= $1))";

/// SQL: the temporary tables, with the columns' types of the records. What is gathered holds all that is
/// asked of it later, so that the records are read once and written once.
const TEMPORARY: [&str; 2] = [
    "CREATE TEMPORARY TABLE falling_certificates AS
     SELECT id, device_uuid, tenant_id, issuer_key_id, serial_number, spki_sha256, status, not_after
     FROM device_certificates LIMIT 0",
    "CREATE TEMPORARY TABLE stranded_devices AS
     SELECT device_uuid FROM device_certificates LIMIT 0",
];

/// SQL: ends them. Emptied, they would keep their former rows' place on PostgreSQL.
const ENDED: [&str; 2] =
    ["DROP TABLE IF EXISTS falling_certificates", "DROP TABLE IF EXISTS stranded_devices"];

const FALLS_ONCE: &str = "CREATE UNIQUE INDEX falling_certificates_idx ON falling_certificates (id)";
const STRANDED_ONCE: &str = "CREATE UNIQUE INDEX stranded_devices_idx ON stranded_devices (device_uuid)";

/// SQL: takes those certificates of `c` along that are neither revoked nor expired; `$source` says which
/// rows are `c`, `$which` which of them.
macro_rules! gather {
    ($source:literal, $which:literal) => {
        concat!(
            "INSERT INTO falling_certificates
             SELECT c.id, c.device_uuid, c.tenant_id, c.issuer_key_id, c.serial_number, c.spki_sha256,
                 c.status, c.not_after
             FROM ",
            $source,
            " WHERE ",
            $which,
            " AND c.status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED') ON CONFLICT DO NOTHING"
        )
    };
}

const LISTED_IDS: &str = gather!("device_certificates c", "c.id IN ({})");
const LISTED_SERIALS: &str = gather!("device_certificates c", "c.serial_number IN ({})");
const LISTED_KEYS: &str = gather!("device_certificates c", "c.spki_sha256 IN ({})");
const LISTED_DEVICES: &str = gather!("device_certificates c", "c.device_uuid IN ({})");
const OF_TENANT: &str =
    gather!("device_certificates c JOIN devices d ON d.id = c.device_uuid", "d.org_id = $1");
const OF_ISSUER: &str = gather!("device_certificates c", "c.issuer_key_id = $1");
const OF_SAME_KEY: &str = gather!(
    "falling_certificates f JOIN device_certificates c
         ON c.device_uuid = f.device_uuid AND c.spki_sha256 = f.spki_sha256",
    "true"
);
const OF_STRANDED: &str =
    gather!("stranded_devices s JOIN device_certificates c ON c.device_uuid = s.device_uuid", "true");

impl RevocationSelector {
    /// Whether it selects, of any device, all certificates or none: then nothing can fall with them.
    const fn takes_whole_devices(&self) -> bool {
        match self {
            Self::Devices(_) | Self::Tenant(_) => true,
            Self::Certificates(_) | Self::Serials(_) | Self::Keys(_) | Self::Issuer(_) => false,
        }
    }

    /// Whether it may select the same one more than once.
    const fn is_a_list(&self) -> bool {
        match self {
            Self::Certificates(_) | Self::Serials(_) | Self::Keys(_) | Self::Devices(_) => true,
            Self::Tenant(_) | Self::Issuer(_) => false,
        }
    }
}

impl Writing<'_> {
    /// Gathers what falls when the selected certificates are revoked: these, unless they merely are
    /// replaced those of the same device with the same key, and every certificate of a device that
    /// would be left with nothing usable. With a `scope` only devices of that tenant are selected.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn gather_falling(
        &mut self,
        selector: &RevocationSelector,
        scope: Option<TenantId>,
        fall: Fall,
    ) -> Result<Falling, StoreError> {
        take_room(&mut self.connection).await?;
        self.run_all(&ENDED).await?;
        self.run_all(&TEMPORARY).await?;
        if selector.is_a_list() {
            self.run_all(&[FALLS_ONCE]).await?;
            self.gather_selected(selector).await?;
        } else {
            // Nothing is found twice, and an index over what is there already is made more quickly.
            self.gather_selected(selector).await?;
            self.run_all(&[FALLS_ONCE]).await?;
        }
        if let Some(tenant) = scope {
            sql(
                "falling_certificates",
                "DELETE FROM falling_certificates
                 WHERE device_uuid NOT IN (SELECT id FROM devices WHERE org_id = $1)",
            )
            .bind(tenant)
            .run(&mut self.connection)
            .await?;
        }
        self.run_all(&["ANALYZE falling_certificates"]).await?;
        let falls_alone = selector.takes_whole_devices();
        if !falls_alone && fall.reason != RevocationReason::Superseded {
            self.run_all(&[OF_SAME_KEY]).await?;
        }
        sql("stranded_devices", STRANDED).bind(fall.at).run(&mut self.connection).await?;
        self.run_all(&[STRANDED_ONCE, "ANALYZE stranded_devices"]).await?;
        if !falls_alone {
            self.run_all(&[OF_STRANDED]).await?;
        }
        self.falling().await
    }

    async fn falling(&mut self) -> Result<Falling, StoreError> {
        let fallen: Vec<Fallen> = sql(
            TABLE,
            "SELECT CAST(f.id AS text) || ' ' || CAST(f.device_uuid AS text) || ' ' || f.tenant_id || ' '
                 || f.serial_number || ' ' || f.status || ' ' || coalesce(CAST(d.status AS text), '-') AS fallen
             FROM falling_certificates f
             LEFT JOIN stranded_devices s ON s.device_uuid = f.device_uuid
             LEFT JOIN devices d ON d.id = s.device_uuid
             ORDER BY f.tenant_id, f.device_uuid, f.id",
        )
        .all(&mut self.connection)
        .await?;
        let mut falling = Falling::default();
        for Fallen { certificate, stranded } in fallen {
            let is_next = falling.stranded.last().is_none_or(|last| last.id != certificate.device);
            if let Some(status) = stranded.filter(|_status| is_next) {
                falling.stranded.push(StrandedDevice {
                    id: certificate.device,
                    tenant: certificate.tenant.clone(),
                    was_quarantined: status == DeviceStatus::Quarantined,
                });
            }
            falling.certificates.push(certificate);
        }
        Ok(falling)
    }

    async fn gather_selected(&mut self, selector: &RevocationSelector) -> Result<(), StoreError> {
        match selector {
            RevocationSelector::Certificates(ids) => self.gather_listed(LISTED_IDS, ids).await,
            RevocationSelector::Serials(serials) => self.gather_listed(LISTED_SERIALS, serials).await,
            RevocationSelector::Keys(keys) => self.gather_listed(LISTED_KEYS, keys).await,
            RevocationSelector::Devices(devices) => self.gather_listed(LISTED_DEVICES, devices).await,
            RevocationSelector::Tenant(tenant) => {
                let one = sql(TABLE, OF_TENANT).bind(*tenant);
                one.run(&mut self.connection).await.map(drop)
            }
            RevocationSelector::Issuer(issuer) => {
                let one = sql(TABLE, OF_ISSUER).bind(*issuer);
                one.run(&mut self.connection).await.map(drop)
            }
        }
    }

    async fn gather_listed<V: Clone + Into<Value>>(
        &mut self,
        text: &'static str,
        values: &[V],
    ) -> Result<(), StoreError> {
        for some in values.chunks(AT_ONCE) {
            let listed = Statement::over_list(TABLE, text, some.iter().cloned());
            listed.run(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Lets everything fall that was gathered in this transaction: the certificates are revoked, and
    /// in the deny set; the devices that are left with nothing usable are in quarantine with no key
    /// that counts. The epoch is raised once, for all of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn let_fall(&mut self, fall: Fall) -> Result<(), StoreError> {
        sql(
            TABLE,
            "UPDATE certificate_states SET status = 'REVOKED', revoked_at = $1, revocation_reason = $2
             WHERE certificate_id IN (SELECT id FROM falling_certificates)",
        )
        .bind(fall.at)
        .bind(fall.reason)
        .run(&mut self.connection)
        .await?;
        sql(
            "revocations",
            "INSERT INTO revocations
                 (issuer_key_id, serial_number, spki_sha256, revoked_at, reason, expires_at)
             SELECT issuer_key_id, serial_number, CASE WHEN $1 = 'superseded' THEN NULL ELSE spki_sha256 END,
                 $2, $1, not_after
             FROM falling_certificates WHERE true
             ON CONFLICT (issuer_key_id, serial_number) DO NOTHING",
        )
        .bind(fall.reason)
        .bind(fall.at)
        .run(&mut self.connection)
        .await?;
        if fall.reason == RevocationReason::Superseded {
            self.deny_stranded_keys(fall.at).await?;
        }
        self.bar_stranded(fall.at).await?;
        self.forget_falling().await
    }

    /// The devices that are left with nothing usable are in quarantine, and doors must hear of all whose
    /// certificates fall. Each row is written once: whoever has the new epoch already is done.
    async fn bar_stranded(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let epoch = self.raise_epoch().await?.epoch;
        sql(
            "devices",
            "UPDATE devices SET status = 'quarantined', quarantined_at = $1, quarantined_reason = $2,
                 pending_key = NULL, grant_until = NULL, revision = revision + 1, trust_epoch = $3
             WHERE id IN (SELECT device_uuid FROM stranded_devices) AND status <> 'decommissioned'",
        )
        .bind(at)
        .bind(QuarantineReason::known(QuarantineReason::REVOKED))
        .bind(epoch)
        .run(&mut self.connection)
        .await?;
        sql(
            "devices",
            "UPDATE devices SET trust_epoch = $1
             WHERE id IN (SELECT device_uuid FROM falling_certificates) AND trust_epoch <> $1",
        )
        .bind(epoch)
        .run(&mut self.connection)
        .await
        .map(drop)
    }

    /// A key that was in use proves nothing once an admin has revoked it, even for the reason
    /// `superseded`, which denies no key by itself.
    async fn deny_stranded_keys(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.run_all(&["DELETE FROM denied_keys WHERE lifted_at IS NOT NULL AND spki_sha256 IN
             (SELECT c.spki_sha256 FROM stranded_devices s
              JOIN device_certificates c ON c.device_uuid = s.device_uuid)"])
            .await?;
        sql(
            "denied_keys",
            "INSERT INTO denied_keys (spki_sha256, org_id, device_id, at)
             SELECT c.spki_sha256, d.org_id, d.id, $1 FROM stranded_devices s
             JOIN devices d ON d.id = s.device_uuid
             JOIN device_certificates c ON c.device_uuid = d.id
             JOIN falling_certificates f ON f.id = c.id
             WHERE c.spki_sha256 IS NOT NULL
             ON CONFLICT (spki_sha256) DO NOTHING",
        )
        .bind(at)
        .run(&mut self.connection)
        .await
        .map(drop)
    }

    /// Lets nothing fall of what was gathered in this transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_falling(&mut self) -> Result<(), StoreError> {
        self.run_all(&ENDED).await
    }

    async fn run_all(&mut self, texts: &[&'static str]) -> Result<(), StoreError> {
        for text in texts {
            sql("falling_certificates", text).run(&mut self.connection).await?;
        }
        Ok(())
    }
}

/// Room to work in, for this transaction, where that has to be asked for.
async fn take_room(connection: &mut Connection<'_>) -> Result<(), StoreError> {
    match connection {
        Connection::Sqlite(_) => Ok(()),
        Connection::Postgres(inner) => postgres::settings::take_room(inner)
            .await
            .map_err(|source| StoreError::of_statement("falling_certificates", source)),
    }
}
