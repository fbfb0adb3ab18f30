//! What devices sent over MQTT: telemetry that was taken, and messages that were set aside.

use countersign_core::identity::Identity;
use countersign_core::ids::{
    CertificateRef, DeviceId, DeviceName, IssuerKeyId, SerialNumber, Tenant, TenantId,
};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::devices::{DeviceRow, TABLE as DEVICES, select_devices};
use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const TELEMETRY: &str = "telemetry";
const SET_ASIDE: &str = "quarantine_messages";

/// Among how many messages of a device an earlier one is looked for that came again.
const RECENT: u32 = 128;

/// Telemetry that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryRow {
    /// Its number: they count up in the order in which they were taken.
    pub id: u64,
    /// Whose device sent it.
    pub tenant: TenantId,
    /// Its tenant's slug; read with the row, not written.
    pub tenant_slug: Tenant,
    /// Which device.
    pub device: DeviceId,
    /// The device's name; read with the row, not written.
    pub device_name: DeviceName,
    /// With which certificate.
    pub certificate: CertificateRef,
    /// On which topic.
    pub topic: String,
    /// At which QoS.
    pub qos: u8,
    /// The earlier message that this one is once more.
    pub duplicate_of: Option<u64>,
    /// When it came.
    pub received_at: Timestamp,
    /// When the device says it was.
    pub sent_at: Option<Timestamp>,
    /// What it says, as JSON.
    pub payload: String,
}

/// Telemetry that is to be taken.
#[derive(Clone, Debug)]
pub struct NewTelemetry {
    /// With which certificate it was sent.
    pub certificate: CertificateRef,
    /// On which topic.
    pub topic: String,
    /// At which QoS.
    pub qos: u8,
    /// Whether the device says that it may have come before.
    pub is_dup: bool,
    /// When it came.
    pub received_at: Timestamp,
    /// When the device says it was.
    pub sent_at: Option<Timestamp>,
    /// What it says, as JSON.
    pub payload: String,
}

/// A message that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAsideRow {
    /// Its number; 0 for a new one.
    pub id: u64,
    /// Its tenant, if there is such.
    pub tenant: Option<TenantId>,
    /// The tenant in the certificate.
    pub tenant_slug: Tenant,
    /// The device in the certificate.
    pub device_name: DeviceName,
    /// The device on record, if there is such.
    pub device: Option<DeviceId>,
    /// With which certificate it was sent.
    pub certificate: CertificateRef,
    /// The topic that it named.
    pub topic: String,
    /// At which QoS.
    pub qos: u8,
    /// The stable code of why.
    pub reason: String,
    /// When it came.
    pub received_at: Timestamp,
    /// The beginning of what it says.
    pub payload: Vec<u8>,
    /// How long all of it was.
    pub payload_bytes: u64,
    /// When it was released after all, and as which telemetry.
    pub released: Option<(Timestamp, u64)>,
}

/// Which telemetry is wanted.
#[derive(Clone, Debug, Default)]
pub struct TelemetryFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this device.
    pub device: Option<DeviceId>,
    /// Received from this moment on.
    pub from: Option<Timestamp>,
    /// Received before this moment.
    pub to: Option<Timestamp>,
    /// Which part.
    pub part: MessagePart,
    /// At most so many.
    pub limit: u32,
}

/// Which messages that were set aside are wanted, newest first.
#[derive(Clone, Debug, Default)]
pub struct SetAsideFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// With this reason.
    pub reason: Option<String>,
    /// Older than the one with this number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// A part of the telemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessagePart {
    /// The newest, newest first.
    #[default]
    Newest,
    /// What is older than the one with this number, newest first.
    Before(u64),
    /// What came after the one with this number, oldest first.
    After(u64),
}

impl FromRow for TelemetryRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.number("id")?,
            tenant: row.parsed("org_id")?,
            tenant_slug: row.parsed("tenant_slug")?,
            device: row.parsed("device_id")?,
            device_name: row.parsed("device_name")?,
            certificate: reference(row)?,
            topic: row.text("topic")?,
            qos: row.number("qos")?,
            duplicate_of: optional_number(row, "duplicate_of")?,
            received_at: row.time("received_at")?,
            sent_at: row.optional_time("sent_at")?,
            payload: row.text("payload")?,
        })
    }
}

impl FromRow for SetAsideRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.number("id")?,
            tenant: row.optional_parsed("org_id")?,
            tenant_slug: row.parsed("tenant")?,
            device_name: row.parsed("device_name")?,
            device: row.optional_parsed("device_id")?,
            certificate: reference(row)?,
            topic: row.text("topic")?,
            qos: row.number("qos")?,
            reason: row.text("reason")?,
            received_at: row.time("received_at")?,
            payload: row.bytes("payload")?,
            payload_bytes: row.number("payload_bytes")?,
            released: row.optional_time("released_at")?.zip(optional_number(row, "released_as")?),
        })
    }
}

fn reference(row: &Row) -> Result<CertificateRef, StoreError> {
    let issuer: IssuerKeyId = row.parsed("certificate_issuer")?;
    let serial: SerialNumber = row.parsed("serial_number")?;
    Ok(CertificateRef { issuer, serial })
}

fn optional_number(row: &Row, column: &'static str) -> Result<Option<u64>, StoreError> {
    let Some(number) = row.optional_integer(column)? else { return Ok(None) };
    u64::try_from(number).map(Some).map_err(|_negative| row.corrupt(column, &number.to_string()))
}

impl Reading<'_> {
    /// The device that an identity names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn device_by_identity(&mut self, identity: &Identity) -> Result<Option<DeviceRow>, StoreError> {
        sql(DEVICES, select_devices!(" WHERE t.slug = $1 AND d.name = $2"))
            .bind(identity.tenant())
            .bind(identity.device())
            .optional(&mut self.connection)
            .await
    }

    /// A part of the telemetry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn telemetry(&mut self, filter: &TelemetryFilter) -> Result<Vec<TelemetryRow>, StoreError> {
        const SELECT: &str = "SELECT m.*, t.slug AS tenant_slug, d.name AS device_name FROM telemetry m
             JOIN tenants t ON t.id = m.org_id JOIN devices d ON d.id = m.device_id";
        let (before, after) = match filter.part {
            MessagePart::Newest => (None, None),
            MessagePart::Before(id) => (Some(id), None),
            MessagePart::After(id) => (None, Some(id)),
        };
        let order = if after.is_some() { "ORDER BY m.id" } else { "ORDER BY m.id DESC" };
        Conditions::none()
            .and("m.org_id = ?", filter.tenant)
            .and("m.device_id = ?", filter.device)
            .and("m.received_at >= ?", filter.from)
            .and("m.received_at < ?", filter.to)
            .and("m.id < ?", before)
            .and("m.id > ?", after)
            .select(TELEMETRY, SELECT, order, filter.limit.clamp(1, LIST_LIMIT))
            .all(&mut self.connection)
            .await
    }

    /// Messages that were set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_aside(&mut self, filter: &SetAsideFilter) -> Result<Vec<SetAsideRow>, StoreError> {
        Conditions::none()
            .and("org_id = ?", filter.tenant)
            .and("reason = ?", filter.reason.as_deref())
            .and("id < ?", filter.before)
            .select(
                SET_ASIDE,
                "SELECT * FROM quarantine_messages",
                "ORDER BY id DESC",
                filter.limit.clamp(1, LIST_LIMIT),
            )
            .all(&mut self.connection)
            .await
    }

    /// One message that was set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_aside_message(&mut self, id: u64) -> Result<Option<SetAsideRow>, StoreError> {
        sql(SET_ASIDE, "SELECT * FROM quarantine_messages WHERE id = $1")
            .bind(id)
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Takes telemetry of a device, and says which number it has. Writers take turns, so numbers follow the
    /// order of commits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_telemetry(
        &mut self,
        device: &DeviceRow,
        new: &NewTelemetry,
    ) -> Result<u64, StoreError> {
        let earlier: Option<Number> =
            if new.is_dup { self.earlier(device.id, &new.topic, &new.payload).await? } else { None };
        let Number(id) = sql(
            TELEMETRY,
            "INSERT INTO telemetry (id, org_id, device_id, certificate_issuer, serial_number, topic, qos,
                 duplicate_of, received_at, sent_at, payload)
             VALUES ((SELECT coalesce(max(id), 0) + 1 FROM telemetry), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             RETURNING id AS number",
        )
        .bind(device.tenant)
        .bind(device.id)
        .bind(new.certificate.issuer)
        .bind(&new.certificate.serial)
        .bind(new.topic.as_str())
        .bind(new.qos)
        .bind(earlier.map(|Number(id)| id))
        .bind(new.received_at)
        .bind(new.sent_at)
        .bind(new.payload.as_str())
        .one(&mut self.connection)
        .await?;
        Ok(id)
    }

    async fn earlier(
        &mut self,
        device: DeviceId,
        topic: &str,
        payload: &str,
    ) -> Result<Option<Number>, StoreError> {
        sql(
            TELEMETRY,
            "SELECT m.id AS number FROM
                 (SELECT id, topic, payload FROM telemetry WHERE device_id = $1 ORDER BY id DESC LIMIT $2) m
             WHERE m.topic = $3 AND m.payload = $4 ORDER BY m.id LIMIT 1",
        )
        .bind(device)
        .bind(RECENT)
        .bind(topic)
        .bind(payload)
        .optional(&mut self.connection)
        .await
    }

    /// Sets a message aside, unless so many of its device's are there already. Whether it was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_set_aside(&mut self, row: &SetAsideRow, most: u32) -> Result<bool, StoreError> {
        let Number(held) = sql(
            SET_ASIDE,
            "SELECT count(*) AS number FROM quarantine_messages WHERE tenant = $1 AND device_name = $2",
        )
        .bind(&row.tenant_slug)
        .bind(&row.device_name)
        .one(&mut self.connection)
        .await?;
        if held >= u64::from(most) {
            return Ok(false);
        }
        sql(
            SET_ASIDE,
            "INSERT INTO quarantine_messages (id, org_id, tenant, device_name, certificate_issuer,
                 serial_number, device_id, topic, qos, reason, received_at, payload, payload_bytes)
             VALUES ((SELECT coalesce(max(id), 0) + 1 FROM quarantine_messages),
                 $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(row.tenant)
        .bind(&row.tenant_slug)
        .bind(&row.device_name)
        .bind(row.certificate.issuer)
        .bind(&row.certificate.serial)
        .bind(row.device)
        .bind(row.topic.as_str())
        .bind(row.qos)
        .bind(row.reason.as_str())
        .bind(row.received_at)
        .bind(row.payload.as_slice())
        .bind(row.payload_bytes)
        .changed(&mut self.connection)
        .await
    }

    /// Notes that a message was released; `false` when it had been.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_set_aside(
        &mut self,
        id: u64,
        at: Timestamp,
        telemetry: u64,
    ) -> Result<bool, StoreError> {
        sql(
            SET_ASIDE,
            "UPDATE quarantine_messages SET released_at = $2, released_as = $3
             WHERE id = $1 AND released_at IS NULL",
        )
        .bind(id)
        .bind(at)
        .bind(telemetry)
        .changed(&mut self.connection)
        .await
    }

    /// Removes telemetry and set-aside messages that were received before a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_messages(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let taken = sql(TELEMETRY, "DELETE FROM telemetry WHERE received_at < $1")
            .bind(before)
            .run(&mut self.connection)
            .await?;
        let aside = sql(SET_ASIDE, "DELETE FROM quarantine_messages WHERE received_at < $1")
            .bind(before)
            .run(&mut self.connection)
            .await?;
        Ok(taken + aside)
    }
}
