//! How many there are of everything, for metrics.

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::Reading;

/// How many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CensusRow {
    /// Devices, by where they stand.
    pub devices: Vec<(DeviceStatus, u64)>,
    /// Certificates of devices, by where they stand.
    pub certificates: Vec<(CertificateState, u64)>,
    /// Active certificates of devices that end before each of the moments that were asked for.
    pub ending: Vec<u64>,
    /// Entries of the audit.
    pub audit_entries: u64,
}

struct Status(DeviceStatus, u64);

impl FromRow for Status {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self(row.parsed("status")?, row.number("number")?))
    }
}

struct State(CertificateState, u64);

impl FromRow for State {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self(row.certificate_state("status")?, row.number("number")?))
    }
}

impl Reading<'_> {
    /// Counts everything; `ends` are moments in rising order. It reads whole tables: not for every request.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn census(&mut self, ends: &[Timestamp]) -> Result<CensusRow, StoreError> {
        let devices: Vec<Status> =
            sql("devices", "SELECT status, count(*) AS number FROM devices GROUP BY status")
                .all(&mut self.connection)
                .await?;
        let certificates: Vec<State> = sql(
            "device_certificates",
            "SELECT status, count(*) AS number FROM device_certificates GROUP BY status",
        )
        .all(&mut self.connection)
        .await?;
        let mut ending = Vec::with_capacity(ends.len());
        for end in ends {
            let Number(number) = sql(
                "device_certificates",
                "SELECT count(*) AS number FROM device_certificates WHERE status = 'ACTIVE' AND not_after < $1",
            )
            .bind(*end)
            .one(&mut self.connection)
            .await?;
            ending.push(number);
        }
        let Number(audit_entries) = sql(
            "audit_heads",
            "SELECT CAST(coalesce(sum(sequence), 0) AS bigint) AS number FROM audit_heads",
        )
        .one(&mut self.connection)
        .await?;
        Ok(CensusRow {
            devices: devices.into_iter().map(|Status(status, number)| (status, number)).collect(),
            certificates: certificates.into_iter().map(|State(state, number)| (state, number)).collect(),
            ending,
            audit_entries,
        })
    }
}
