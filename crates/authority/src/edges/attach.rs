//! Attach: an edge elsewhere is told what changes, and says how far it is.

use std::collections::VecDeque;
use std::sync::Arc;

use countersign_ca::KeyError;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{AuthorityId, CertificateRef};
use countersign_core::snapshot::changes::TrustChanges;
use countersign_core::snapshot::wire::TrustMessage;
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot, TrustedIssuer};
use countersign_core::time::Timestamp;
use countersign_store::{EdgeAttachment, EdgeRow, StoreError};
use thiserror::Error;
use tokio::sync::watch;

use super::remote::Place;
use super::signing::SignedMessage;
use crate::authority::Authority;
use crate::enrol::Chain;
use crate::trust_log::LoggedStep;

/// How many messages may be on their way to an edge without its word that it applied them.
const UNANSWERED: usize = 8192;

/// An edge is told no more.
#[derive(Debug, Error)]
pub enum AttachError {
    /// It, or the certificate that it came with, is revoked.
    #[error("the edge is revoked")]
    Revoked,
    /// A newer connection of it has taken the place of this one.
    #[error("another connection of the edge has taken this one's place")]
    Replaced,
    /// This authority ends.
    #[error("the authority is going away")]
    GoingAway,
    /// It says nothing about what it was told.
    #[error("the edge is too far behind")]
    TooFarBehind,
    /// Nothing can be signed.
    #[error("cannot sign what the edge is to be told")]
    Sign(#[from] KeyError),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// A connected edge. Dropped without [`Self::leave`], it counts as attached and silent.
#[derive(Debug)]
pub struct AttachedEdge {
    authority: Arc<Authority>,
    edge: Arc<EdgeRow>,
    certificate: CertificateRef,
    place: Place,
    positions: watch::Receiver<u64>,
    told: Option<u64>,
    waiting: VecDeque<Arc<LoggedStep>>,
    unanswered: VecDeque<(u64, SnapshotVersion)>,
    attachment: EdgeAttachment,
    has_left: bool,
}

impl Authority {
    /// The CAs whose certificates can be an edge's.
    #[must_use]
    pub fn edge_issuers(&self) -> Vec<TrustedIssuer> {
        let issuers = self.issuers();
        let trusted = issuers.all().filter(|ca| {
            ca.role() == countersign_store::IssuerRole::Service
                && ca.state() != countersign_store::IssuerState::Retired
        });
        trusted
            .map(|ca| TrustedIssuer {
                key_id: ca.key_id(),
                certificate: Arc::from(ca.certificate_der()),
                tenants: None,
            })
            .collect()
    }

    /// The edge whose certificate this is.
    ///
    /// Fails closed: `None` for one that is not on record as an edge's, is revoked, or whose edge is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn known_edge(&self, certificate: &CertificateRef) -> Result<Option<Arc<EdgeRow>>, StoreError> {
        if self.snapshot().denied.contains(certificate) {
            return Ok(None);
        }
        if let Some(known) = self.publisher.remote.known(certificate) {
            return Ok(Some(known));
        }
        let wanted = certificate.clone();
        let found =
            self.store.read(move |r| Box::pin(async move { r.edge_of_certificate(&wanted).await })).await?;
        let Some(edge) = found.filter(|edge| edge.revoked_at.is_none()).map(Arc::new) else {
            return Ok(None);
        };
        self.publisher.remote.remember(certificate.clone(), Arc::clone(&edge));
        Ok(Some(edge))
    }

    /// Connects an edge that came with this certificate, and says so on record.
    ///
    /// # Errors
    /// When it is revoked, or the store fails.
    pub async fn attach(
        self: &Arc<Self>,
        edge: Arc<EdgeRow>,
        certificate: CertificateRef,
    ) -> Result<AttachedEdge, AttachError> {
        let (id, now) = (edge.id, self.now());
        let known = self.store.read(move |r| Box::pin(async move { r.edge(id).await })).await?;
        let known = known.filter(|known| known.revoked_at.is_none()).ok_or(AttachError::Revoked)?;
        let attachment = EdgeAttachment {
            since: known.attachment.since.or(Some(now)),
            authority: Some(self.edges.id),
            seen_at: Some(now),
            ..known.attachment
        };
        let is_news = known.attachment.since.is_none();
        self.note_attachment(&edge, attachment, is_news.then_some(AuditEvent::EdgeAttached)).await?;
        let positions = self.publisher.log.follow();
        let place = self.publisher.remote.connected(id);
        Ok(AttachedEdge {
            authority: Arc::clone(self),
            certificate,
            place,
            positions,
            edge,
            told: None,
            waiting: VecDeque::new(),
            unanswered: VecDeque::new(),
            attachment,
            has_left: false,
        })
    }

    async fn note_attachment(
        &self,
        edge: &EdgeRow,
        attachment: EdgeAttachment,
        event: Option<AuditEvent>,
    ) -> Result<(), StoreError> {
        let (id, now) = (edge.id, self.now());
        let entry =
            event.map(|event| AuditEntry::new(None, now, event, Actor::System).detail("edge", &edge.name));
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.set_edge_attachment(id, &attachment).await? {
                        return Ok(());
                    }
                    match entry {
                        Some(entry) => w.append_audit(&entry).await,
                        None => Ok(()),
                    }
                })
            })
            .await
    }

    /// The first use of a certificate at an edge; `false` when it is not that edge's business.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn first_use_at(
        &self,
        edge: &EdgeRow,
        certificate: CertificateRef,
    ) -> Result<bool, StoreError> {
        if let Some(tenants) = edge.tenants.clone() {
            let theirs =
                self.store.read(move |r| Box::pin(async move { r.marked_certificates_of(&tenants).await }));
            if !theirs.await?.contains(&certificate) {
                return Ok(false);
            }
        }
        self.first_use(certificate).await.map(|()| true)
    }

    /// Notes that a rule, which an edge only observes, would have blocked whoever has this certificate. What is
    /// no rule, or not that edge's business, is not noted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rule_would_block_at(
        &self,
        edge: &EdgeRow,
        certificate: CertificateRef,
        rule: &str,
    ) -> Result<(), StoreError> {
        if !self.has_rule(rule) || !self.usage.is_news(&certificate, rule, self.now()) {
            return Ok(());
        }
        let found =
            self.store.read(move |r| Box::pin(async move { r.certificate_by_reference(&certificate).await }));
        if let Some(row) = found.await?.filter(|row| edge.serves(&row.tenant)) {
            self.note_rule_would_block(row.device, rule);
        }
        Ok(())
    }

    /// Whether a rule of this name is in force.
    #[must_use]
    pub fn has_rule(&self, name: &str) -> bool {
        self.snapshot().rules.iter().any(|rule| rule.name == name)
    }

    /// Ends the connections of all edges: this authority ends.
    pub fn close_edges(&self) {
        self.edges.closing.send_replace(true);
    }
}

impl AttachedEdge {
    /// The edge.
    #[must_use]
    pub fn edge(&self) -> &EdgeRow {
        &self.edge
    }

    /// Goes on where the edge says that it is: what it knows was told by this authority, up to a position.
    /// Otherwise it is told everything.
    pub fn resume(&mut self, known: Option<(AuthorityId, u64)>) {
        let position = known.and_then(|(by, position)| (by == self.authority.edges.id).then_some(position));
        self.told = position.filter(|position| self.authority.publisher.log.after(*position).is_some());
        if let Some(position) = self.told {
            let version = self.authority.publisher.log.newest();
            if version.0 == position {
                self.unanswered.push_back((position, version.1.version));
            }
        }
    }

    /// The next message for it, once there is one.
    ///
    /// # Errors
    /// When it is to be told no more.
    pub async fn next(&mut self) -> Result<SignedMessage, AttachError> {
        loop {
            self.check()?;
            let (newest, snapshot) = self.authority.publisher.log.newest();
            match self.told {
                None => return self.tell_everything(newest, &snapshot).await,
                Some(told) if self.waiting.is_empty() && told < newest => {
                    match self.authority.publisher.log.after(told) {
                        Some(steps) => self.waiting.extend(steps),
                        None => return self.tell_everything(newest, &snapshot).await,
                    }
                }
                Some(_) => {}
            }
            if let (Some(told), Some(step)) = (self.told, self.waiting.pop_front()) {
                return self.tell_step(told, &step);
            }
            let mut closing = self.authority.edges.closing.subscribe();
            tokio::select! {
                changed = self.positions.changed() => if changed.is_err() { return Err(AttachError::GoingAway) },
                _over = self.place.held.changed() => {}
                _closing = closing.wait_for(|is_closing| *is_closing) => {}
            }
        }
    }

    /// Says that what it was told last still holds; `None` before it was told anything, and while there is
    /// something newer.
    ///
    /// # Errors
    /// When it is to be told no more.
    pub fn still_holds(&mut self) -> Result<Option<SignedMessage>, AttachError> {
        self.check()?;
        let (newest, snapshot) = self.authority.publisher.log.newest();
        let Some(told) = self.told.filter(|told| *told == newest && self.waiting.is_empty()) else {
            return Ok(None);
        };
        let message = self.message(Some(told), (told, snapshot.version), TrustChanges::default());
        Ok(Some(self.authority.signer.sign(&message)?))
    }

    /// It has applied what it was told up to a position. A position that it was not told counts for
    /// nothing.
    pub fn applied(&mut self, position: u64) {
        let mut reached = None;
        while self.unanswered.front().is_some_and(|(told, _version)| *told <= position) {
            reached = self.unanswered.pop_front();
        }
        if let Some((_position, version)) = reached {
            self.attachment.applied = self.attachment.applied.max(version);
            self.authority.publisher.remote.applied(self.edge.id, version);
        }
    }

    /// It takes its leave: its doors are closed, and it counts no more.
    ///
    /// # Errors
    /// When the store fails; then it counts as silent.
    pub async fn leave(mut self) -> Result<(), StoreError> {
        let attachment = EdgeAttachment { since: None, authority: None, ..self.seen() };
        let (authority, edge) = (Arc::clone(&self.authority), Arc::clone(&self.edge));
        authority.note_attachment(&edge, attachment, Some(AuditEvent::EdgeLeft)).await?;
        self.has_left = true;
        authority.publisher.remote.forget(edge.id);
        Ok(())
    }

    fn seen(&self) -> EdgeAttachment {
        EdgeAttachment { seen_at: Some(self.authority.now()), ..self.attachment }
    }

    /// Whether it may be told anything.
    fn check(&self) -> Result<(), AttachError> {
        if self.authority.snapshot().denied.contains(&self.certificate) {
            return Err(AttachError::Revoked);
        }
        if *self.authority.edges.closing.borrow() {
            return Err(AttachError::GoingAway);
        }
        if self.place.held.has_changed().is_err() {
            return Err(AttachError::Replaced);
        }
        if self.unanswered.len() > UNANSWERED { Err(AttachError::TooFarBehind) } else { Ok(()) }
    }

    async fn tell_everything(
        &mut self,
        position: u64,
        snapshot: &TrustSnapshot,
    ) -> Result<SignedMessage, AttachError> {
        let mut changes = TrustChanges::all_of(snapshot);
        if let Some(tenants) = self.edge.tenants.clone() {
            let is_whole = !snapshot.unproved.is_empty();
            let scope = tenants.clone();
            let read = self.authority.store.read(move |r| {
                Box::pin(async move {
                    if is_whole {
                        r.certificates_of_tenants(&scope).await
                    } else {
                        r.marked_certificates_of(&scope).await
                    }
                })
            });
            let theirs: std::collections::HashSet<CertificateRef> = read.await?.into_iter().collect();
            let devices: Vec<_> = snapshot.device_issuers.iter().map(|issuer| issuer.key_id).collect();
            // What no device CA signed is a service's, and no tenant's.
            changes = changes.of_tenants(&tenants, |reference| {
                theirs.contains(reference) || !devices.contains(&reference.issuer)
            });
        }
        let message = self.message(None, (position, snapshot.version), changes);
        let signed = self.authority.signer.sign(&message)?;
        self.waiting.clear();
        self.was_told(position, snapshot.version);
        Ok(signed)
    }

    fn tell_step(&mut self, told: u64, step: &LoggedStep) -> Result<SignedMessage, AttachError> {
        let mut changes = step.changes.clone();
        if let Some(tenants) = &self.edge.tenants {
            changes = changes.of_tenants(tenants, |reference| {
                let owner = step.owners.get(reference).and_then(Option::as_ref);
                owner.is_none_or(|owner| tenants.contains(owner))
            });
        }
        let message = self.message(Some(told), (step.position, step.version), changes);
        let signed = self.authority.signer.sign(&message)?;
        self.was_told(step.position, step.version);
        Ok(signed)
    }

    fn was_told(&mut self, position: u64, version: SnapshotVersion) {
        self.told = Some(position);
        self.unanswered.push_back((position, version));
    }

    fn message(
        &self,
        base: Option<u64>,
        (position, version): (u64, SnapshotVersion),
        changes: TrustChanges,
    ) -> TrustMessage {
        let made_at: Timestamp = self.authority.now();
        TrustMessage {
            edge: self.edge.name.clone(),
            authority: self.authority.edges.id,
            base,
            position,
            version,
            made_at,
            trust_domain: self.authority.trust_domain().clone(),
            changes,
        }
    }
}

impl Drop for AttachedEdge {
    fn drop(&mut self) {
        if self.has_left || !self.authority.publisher.remote.fell_silent(self.edge.id, &self.place) {
            return;
        }
        let attachment = EdgeAttachment { authority: None, ..self.seen() };
        let (authority, edge) = (Arc::clone(&self.authority), Arc::clone(&self.edge));
        tracing::warn!(edge = %edge.name, "edge fell silent");
        tokio::spawn(async move {
            if let Err(error) = authority.note_attachment(&edge, attachment, None).await {
                tracing::error!(edge = %edge.name, error = %Chain(&error), "silence of an edge not recorded");
            }
        });
    }
}
