//! Edges that run elsewhere: who they are, what they are told about, and how far they are.

use std::collections::BTreeSet;
use std::str::FromStr;

use countersign_core::door_work::DoorLoad;
use countersign_core::ids::{AuthorityId, CertificateRef, EdgeId, EdgeName, SecretHash, Tenant};
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::{Statement, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "edges";
const CERTIFICATES: &str = "edge_certificates";

/// An edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRow {
    /// Its record.
    pub id: EdgeId,
    /// What it is called.
    pub name: EdgeName,
    /// The tenants that it is told about; `None`: all.
    pub tenants: Option<BTreeSet<Tenant>>,
    /// Host names and addresses that its doors may have in their certificate.
    pub public_names: Vec<String>,
    /// The hash of the token that it enrols with; `None`: it was used.
    pub token: Option<SecretHash>,
    /// The moment from which on that is refused.
    pub token_expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Where it stands.
    pub attachment: EdgeAttachment,
    /// How busy it is; `None`: it has not said so.
    pub load: Option<EdgeLoad>,
}

impl EdgeRow {
    /// Whether it serves devices of this tenant.
    #[must_use]
    pub fn serves(&self, tenant: &Tenant) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    }
}

/// Where an edge stands, as far as an authority knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeAttachment {
    /// Since when it is attached; `None`: it never was, or took its leave.
    pub since: Option<Timestamp>,
    /// Which authority it is connected to; `None`: none that knows of it.
    pub authority: Option<AuthorityId>,
    /// When something was last heard of it.
    pub seen_at: Option<Timestamp>,
    /// What it said last that it enforces.
    pub applied: SnapshotVersion,
}

/// How busy an edge said that its doors are, and when.
pub type EdgeLoad = (DoorLoad, Timestamp);

impl FromRow for EdgeRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let tenants = row.optional_text("tenants")?;
        Ok(Self {
            id: row.parsed("id")?,
            name: row.parsed("name")?,
            tenants: tenants.map(|text| parts(row, "tenants", &text)).transpose()?,
            public_names: row.text("public_names")?.split_whitespace().map(str::to_owned).collect(),
            token: row.optional_parsed("token_sha256")?,
            token_expires_at: row.time("token_expires_at")?,
            created_at: row.time("created_at")?,
            enrolled_at: row.optional_time("enrolled_at")?,
            revoked_at: row.optional_time("revoked_at")?,
            attachment: EdgeAttachment {
                since: row.optional_time("attached_at")?,
                authority: row.optional_parsed("authority_id")?,
                seen_at: row.optional_time("seen_at")?,
                applied: SnapshotVersion {
                    generation: row.number("applied_generation")?,
                    epoch: row.number("applied_epoch")?,
                },
            },
            load: load(row)?,
        })
    }
}

fn load(row: &Row) -> Result<Option<EdgeLoad>, StoreError> {
    let Some(at) = row.optional_time("load_at")? else { return Ok(None) };
    let load = DoorLoad {
        connections: row.number("connections")?,
        handshakes_per_minute: row.number("handshakes_per_minute")?,
        requests_per_minute: row.number("requests_per_minute")?,
    };
    Ok(Some((load, at)))
}

fn parts<T: FromStr + Ord>(row: &Row, column: &'static str, text: &str) -> Result<BTreeSet<T>, StoreError> {
    let parsed = text.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    parsed.map_err(|_invalid| row.corrupt(column, text))
}

impl Reading<'_> {
    /// Every edge that is not revoked, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn edges(&mut self) -> Result<Vec<EdgeRow>, StoreError> {
        sql(TABLE, "SELECT * FROM edges WHERE revoked_at IS NULL ORDER BY name LIMIT 10000")
            .all(&mut self.connection)
            .await
    }

    /// An edge, revoked or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn edge(&mut self, id: EdgeId) -> Result<Option<EdgeRow>, StoreError> {
        sql(TABLE, "SELECT * FROM edges WHERE id = $1").bind(id).optional(&mut self.connection).await
    }

    /// The edge that has not used this token yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn edge_by_token(&mut self, token: SecretHash) -> Result<Option<EdgeRow>, StoreError> {
        sql(TABLE, "SELECT * FROM edges WHERE token_sha256 = $1 AND revoked_at IS NULL")
            .bind(token)
            .optional(&mut self.connection)
            .await
    }

    /// The edge whose certificate this is, revoked or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn edge_of_certificate(
        &mut self,
        certificate: &CertificateRef,
    ) -> Result<Option<EdgeRow>, StoreError> {
        sql(
            TABLE,
            "SELECT e.* FROM edge_certificates c JOIN edges e ON e.id = c.edge_id
             WHERE c.issuer_key_id = $1 AND c.serial_number = $2",
        )
        .bind(certificate.issuer)
        .bind(&certificate.serial)
        .optional(&mut self.connection)
        .await
    }

    /// The certificates that an edge was given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificates_of_edge(&mut self, edge: EdgeId) -> Result<Vec<CertificateRef>, StoreError> {
        sql(CERTIFICATES, "SELECT issuer_key_id, serial_number FROM edge_certificates WHERE edge_id = $1")
            .bind(edge)
            .all(&mut self.connection)
            .await
    }

    /// The certificates of the devices of some tenants of which doors know more than what they say
    /// themselves: those that are revoked, replaced or before their first use.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn marked_certificates_of(
        &mut self,
        tenants: &BTreeSet<Tenant>,
    ) -> Result<Vec<CertificateRef>, StoreError> {
        Statement::over_list(
            "device_certificates",
            "SELECT issuer_key_id, serial_number FROM device_certificates
             WHERE status IN ('REVOKED', 'SUPERSEDED', 'PENDING_ACTIVATION') AND tenant_id IN ({})",
            tenants,
        )
        .all(&mut self.connection)
        .await
    }

    /// Every certificate of the devices of some tenants.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificates_of_tenants(
        &mut self,
        tenants: &BTreeSet<Tenant>,
    ) -> Result<Vec<CertificateRef>, StoreError> {
        Statement::over_list(
            "device_certificates",
            "SELECT issuer_key_id, serial_number FROM device_certificates WHERE tenant_id IN ({})",
            tenants,
        )
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records an edge; `false` when there is one of its name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_edge(&mut self, edge: &EdgeRow) -> Result<bool, StoreError> {
        let tenants = edge.tenants.as_ref();
        let tenants = tenants.map(|slugs| slugs.iter().map(Tenant::as_str).collect::<Vec<_>>().join(" "));
        sql(
            TABLE,
            "INSERT INTO edges (id, name, tenants, public_names, token_sha256, token_expires_at, created_at,
                 enrolled_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8
             WHERE NOT EXISTS (SELECT 1 FROM edges WHERE name = $2 AND revoked_at IS NULL)",
        )
        .bind(edge.id)
        .bind(&edge.name)
        .bind(tenants)
        .bind(edge.public_names.join(" "))
        .bind(edge.token)
        .bind(edge.token_expires_at)
        .bind(edge.created_at)
        .bind(edge.enrolled_at)
        .changed(&mut self.connection)
        .await
    }

    /// Records that an edge enrolled, and forgets its token; `false` when it was used or the edge revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrol_edge(&mut self, edge: EdgeId, at: Timestamp) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE edges SET token_sha256 = NULL, enrolled_at = $2
             WHERE id = $1 AND token_sha256 IS NOT NULL AND revoked_at IS NULL",
        )
        .bind(edge)
        .bind(at)
        .changed(&mut self.connection)
        .await
    }

    /// Records that a certificate is an edge's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_edge_certificate(
        &mut self,
        edge: EdgeId,
        certificate: &CertificateRef,
    ) -> Result<(), StoreError> {
        sql(
            CERTIFICATES,
            "INSERT INTO edge_certificates (issuer_key_id, serial_number, edge_id) VALUES ($1, $2, $3)",
        )
        .bind(certificate.issuer)
        .bind(&certificate.serial)
        .bind(edge)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Revokes an edge, its token too; `false` when there is none or it is revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_edge(&mut self, edge: EdgeId, at: Timestamp) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE edges SET revoked_at = $2, token_sha256 = NULL, attached_at = NULL, authority_id = NULL
             WHERE id = $1 AND revoked_at IS NULL",
        )
        .bind(edge)
        .bind(at)
        .changed(&mut self.connection)
        .await
    }

    /// Records where an edge that is not revoked stands; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_edge_attachment(
        &mut self,
        edge: EdgeId,
        attachment: &EdgeAttachment,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE edges SET attached_at = $2, authority_id = $3, seen_at = $4, applied_generation = $5,
                 applied_epoch = $6
             WHERE id = $1 AND revoked_at IS NULL",
        )
        .bind(edge)
        .bind(attachment.since)
        .bind(attachment.authority)
        .bind(attachment.seen_at)
        .bind(attachment.applied.generation)
        .bind(attachment.applied.epoch)
        .changed(&mut self.connection)
        .await
    }

    /// Records how busy an edge is that is not revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_edge_load(
        &mut self,
        edge: EdgeId,
        load: DoorLoad,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sql(
            TABLE,
            "UPDATE edges SET connections = $2, handshakes_per_minute = $3, requests_per_minute = $4, load_at = $5
             WHERE id = $1 AND revoked_at IS NULL",
        )
        .bind(edge)
        .bind(load.connections)
        .bind(load.handshakes_per_minute)
        .bind(load.requests_per_minute)
        .bind(at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }
}
