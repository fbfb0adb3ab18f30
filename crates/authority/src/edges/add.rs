//! Add, list and revoke: the edges that may attach.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_ca::KeyError;
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::{EdgeId, EdgeName};
use countersign_core::time::Timestamp;
pub use countersign_store::EdgeRow;
use countersign_store::{EdgeAttachment, RevocationRow, ServiceState, StoreError, Writing};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::names::FreshSecret;
use crate::revoke::Revoked;
use crate::tenants::TenantError;

/// The prefix of the tokens that edges enrol with.
const TOKEN_PREFIX: &str = "cse_";

/// The edge that somebody wants.
#[derive(Clone, Debug)]
pub struct WantedEdge {
    /// What it is to be called.
    pub name: EdgeName,
    /// Slugs or ids of the tenants that it is told about; empty: all.
    pub tenants: Vec<String>,
    /// Host names and addresses that its doors may have in their certificate.
    pub public_names: Vec<String>,
    /// How long its token works.
    pub life: Duration,
}

/// A new edge.
pub struct AddedEdge {
    /// Its record.
    pub row: EdgeRow,
    /// What it enrols with, shown this once.
    pub token: Zeroizing<String>,
}

/// No edge was added.
#[derive(Debug, Error)]
pub enum AddEdgeError {
    /// There is no such tenant.
    #[error("unknown tenant {0:?}")]
    UnknownTenant(String),
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// There is one of this name.
    #[error("there is an edge {0} already")]
    NameTaken(EdgeName),
    /// No token could be made.
    #[error("cannot make a token")]
    Secret(#[from] KeyError),
    /// The store failed.
    #[error("cannot keep the edge")]
    Store(#[from] StoreError),
}

/// An edge was not revoked; nothing changed.
#[derive(Debug, Error)]
pub enum RevokeEdgeError {
    /// There is no such edge.
    #[error("unknown edge")]
    Unknown,
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It is revoked already.
    #[error("already revoked")]
    AlreadyRevoked,
    /// The store failed.
    #[error("cannot revoke the edge")]
    Store(#[from] StoreError),
}

/// An edge, and how it is doing.
#[derive(Clone, Debug)]
pub struct ListedEdge {
    /// Its record, with what this authority knows better.
    pub row: EdgeRow,
    /// How it is doing.
    pub status: EdgeStatus,
}

/// How an edge is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeStatus {
    /// It has not enrolled yet.
    Waiting,
    /// It has not enrolled, and its token works no more.
    Lapsed,
    /// It is connected.
    Attached,
    /// It is attached and cannot be reached: it goes by what it heard last.
    Silent,
    /// It took its leave, or never came.
    Detached,
}

impl EdgeStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Lapsed, Self::Attached, Self::Silent, Self::Detached];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Lapsed => "lapsed",
            Self::Attached => "attached",
            Self::Silent => "silent",
            Self::Detached => "detached",
        }
    }
}

impl Authority {
    /// Adds an edge, which enrols with the token that is returned. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`AddEdgeError`].
    pub async fn add_edge(
        &self,
        by: &Authorized<Administer>,
        wanted: WantedEdge,
    ) -> Result<AddedEdge, AddEdgeError> {
        by.covers_all()?;
        let now = self.now();
        let mut tenants = BTreeSet::new();
        for tenant in &wanted.tenants {
            let found = self.find_tenant(by, tenant).await.map_err(|error| match error {
                TenantError::Unknown => AddEdgeError::UnknownTenant(tenant.clone()),
                TenantError::Forbidden(forbidden) => forbidden.into(),
                TenantError::Store(error) => error.into(),
            })?;
            tenants.insert(found.slug);
        }
        let secret = FreshSecret::new(TOKEN_PREFIX)?;
        let row = EdgeRow {
            id: EdgeId::random(),
            name: wanted.name,
            tenants: (!tenants.is_empty()).then_some(tenants),
            public_names: wanted.public_names,
            token: Some(secret.hash),
            token_expires_at: now + wanted.life,
            created_at: now,
            enrolled_at: None,
            revoked_at: None,
            attachment: EdgeAttachment::default(),
            load: None,
        };
        let entry = AuditEntry::new(None, now, AuditEvent::EdgeAdded, by.actor())
            .detail("edge", &row.name)
            .detail("id", row.id)
            .detail("tenants", scope_text(&row))
            .detail("publicNames", row.public_names.join(" "))
            .detail("expiresAt", row.token_expires_at);
        let stored = row.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.insert_edge(&stored).await? {
                        return Err(AddEdgeError::NameTaken(stored.name));
                    }
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await?;
        Ok(AddedEdge { row, token: Zeroizing::new(secret.text) })
    }

    /// Every edge that is not revoked, by name. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// When the caller may not see them, or the store fails.
    pub async fn list_edges(&self, by: &Authorized<View>) -> Result<Vec<ListedEdge>, RevokeEdgeError> {
        by.covers_all()?;
        let now = self.now();
        let rows = self.store.read(|r| Box::pin(async move { r.edges().await })).await?;
        Ok(rows.into_iter().map(|row| self.listed_edge(row, now)).collect())
    }

    pub(crate) fn listed_edge(&self, mut row: EdgeRow, now: Timestamp) -> ListedEdge {
        let reached = self.publisher.remote.reached(row.id);
        if let Some(applied) = reached {
            row.attachment.applied = applied;
            row.attachment.seen_at = Some(now);
        }
        let is_elsewhere = row.attachment.authority.is_some_and(|authority| authority != self.edges.id);
        let status = match (row.enrolled_at, row.attachment.since) {
            (None, _) if now >= row.token_expires_at => EdgeStatus::Lapsed,
            (None, _) => EdgeStatus::Waiting,
            (Some(_), _) if reached.is_some() => EdgeStatus::Attached,
            (Some(_), Some(_)) if is_elsewhere => EdgeStatus::Attached,
            (Some(_), Some(_)) => EdgeStatus::Silent,
            (Some(_), None) => EdgeStatus::Detached,
        };
        ListedEdge { row, status }
    }

    /// Revokes an edge: its certificates, those of its doors, and its connection. It knows nothing new of
    /// trust from this moment on; that it goes on by what it knows is for whoever runs it to end. Not for
    /// whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`RevokeEdgeError`]; of two calls at once one wins.
    pub async fn revoke_edge(
        &self,
        by: &Authorized<Administer>,
        id: EdgeId,
    ) -> Result<Revoked, RevokeEdgeError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.edge(id).await?.ok_or(RevokeEdgeError::Unknown)?;
                    if !w.revoke_edge(id, now).await? {
                        return Err(RevokeEdgeError::AlreadyRevoked);
                    }
                    let revoked = revoke_certificates(w, id, now).await?;
                    let entry = AuditEntry::new(None, now, AuditEvent::EdgeRevoked, actor)
                        .detail("edge", &row.name)
                        .detail("id", id)
                        .detail("serials", revoked.join(" "));
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await?;
        self.publisher.remote.forget(id);
        let applied = self.publish_changes().await?;
        self.crl.want_now();
        Ok(Revoked { at: now, applied })
    }
}

/// Revokes whatever an edge was given: the serial numbers.
async fn revoke_certificates(
    w: &mut Writing<'_>,
    edge: EdgeId,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let mut serials = Vec::new();
    for reference in w.certificates_of_edge(edge).await? {
        let Some(known) = w.service_certificate_of(&reference).await? else { continue };
        if known.row.state == ServiceState::Revoked || known.row.lifetime.is_expired(now) {
            continue;
        }
        let revocation = RevocationRow {
            reference: reference.clone(),
            spki: Some(known.row.spki),
            revoked_at: now,
            reason: RevocationReason::CessationOfOperation,
            expires_at: known.row.lifetime.expires_at,
        };
        if w.revoke_service_certificate(&revocation).await?.is_some() {
            serials.push(reference.serial.to_string());
        }
    }
    Ok(serials)
}

/// The tenants of an edge, for the record.
pub(super) fn scope_text(row: &EdgeRow) -> String {
    row.tenants.as_ref().map_or_else(
        || "all".to_owned(),
        |tenants| tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    )
}
