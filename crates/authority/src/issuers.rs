//! The CAs of the installation: a registry by name and by key, replaced whole when one of them changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_ca::{Issuer, IssuerKind, KeyAlgorithm, certificate_pem, serial_of};
use countersign_core::ids::{
    CaName, CertificateRef, DeviceId, Environment, IssuerKeyId, Tenant, TrustBundleHash,
};
use countersign_core::time::Timestamp;
use countersign_store::{DeviceRow, IssuerRole, IssuerRow, IssuerState, KeptKey, Origin, Store, StoreError};
use thiserror::Error;

use crate::authority::OpenError;
use crate::enrol::Chain;
use crate::keys::{Keys, MadeKey, MakeKeyError, on_a_thread};
use crate::rotation::open::OpenRotation;

/// A CA of the installation, with its key if that is at hand.
#[derive(Debug)]
pub(crate) struct Ca {
    row: IssuerRow,
    issuer: Option<Issuer>,
}

/// Nobody is there to sign.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoIssuer {
    /// No CA of this name.
    #[error("there is no CA {0}")]
    Unknown(CaName),
    /// A CA, but not its key.
    #[error("the key of the CA {0} is not at hand: it is kept elsewhere or could not be opened")]
    KeyAway(CaName),
    /// No CA that makes this kind of certificate is active.
    #[error("no {0} CA is active")]
    NoneActive(IssuerRole),
}

impl Ca {
    pub(crate) const fn key_id(&self) -> IssuerKeyId {
        self.row.key_id
    }

    pub(crate) const fn name(&self) -> &CaName {
        &self.row.name
    }

    pub(crate) const fn role(&self) -> IssuerRole {
        self.row.role
    }

    pub(crate) const fn state(&self) -> IssuerState {
        self.row.state
    }

    pub(crate) const fn origin(&self) -> Origin {
        self.row.origin
    }

    pub(crate) const fn environment(&self) -> Option<&Environment> {
        self.row.environment.as_ref()
    }

    pub(crate) const fn parent(&self) -> Option<IssuerKeyId> {
        self.row.parent
    }

    pub(crate) const fn kept_key(&self) -> &KeptKey {
        &self.row.key
    }

    pub(crate) const fn created_at(&self) -> Timestamp {
        self.row.created_at
    }

    pub(crate) fn certificate_der(&self) -> &[u8] {
        &self.row.certificate
    }

    pub(crate) fn certificate_pem(&self) -> String {
        certificate_pem(&self.row.certificate)
    }

    /// What signs for it, whatever its state.
    ///
    /// # Errors
    /// [`NoIssuer::KeyAway`].
    pub(crate) fn issuer(&self) -> Result<&Issuer, NoIssuer> {
        self.issuer.as_ref().ok_or_else(|| NoIssuer::KeyAway(self.row.name.clone()))
    }
}

/// All CAs as they were at one moment; never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Issuers {
    /// A parent before what it signed.
    all: Vec<Arc<Ca>>,
    /// The rotations that go on.
    rotations: Vec<OpenRotation>,
    /// The hash of what devices pin, worked out once: every heartbeat asks for it.
    trust_bundle: TrustBundleHash,
}

impl Issuers {
    fn new(all: Vec<Arc<Ca>>, rotations: Vec<OpenRotation>) -> Self {
        let mut issuers = Self { all, rotations, trust_bundle: TrustBundleHash::of("") };
        issuers.trust_bundle = TrustBundleHash::of(&issuers.root_pem());
        issuers
    }

    /// Every CA, a parent before what it signed, otherwise oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Ca>> {
        self.all.iter()
    }

    pub(crate) fn by_key(&self, key_id: IssuerKeyId) -> Option<&Arc<Ca>> {
        self.all.iter().find(|ca| ca.key_id() == key_id)
    }

    pub(crate) fn by_name(&self, name: &CaName) -> Result<&Arc<Ca>, NoIssuer> {
        self.all.iter().find(|ca| ca.name() == name).ok_or_else(|| NoIssuer::Unknown(name.clone()))
    }

    /// The CA of a role that signs new certificates in an environment.
    pub(crate) fn active(
        &self,
        role: IssuerRole,
        environment: Option<&Environment>,
    ) -> Result<&Arc<Ca>, NoIssuer> {
        self.all
            .iter()
            .find(|ca| {
                ca.role() == role && ca.state() == IssuerState::Active && ca.environment() == environment
            })
            .ok_or(NoIssuer::NoneActive(role))
    }

    /// The CA that signs new device certificates.
    pub(crate) fn active_device(&self) -> Result<&Arc<Ca>, NoIssuer> {
        self.active(IssuerRole::Device, None)
    }

    /// The CA that signs the doors and, unless another is named, services.
    pub(crate) fn active_service(&self) -> Result<&Arc<Ca>, NoIssuer> {
        self.active(IssuerRole::Service, None)
    }

    /// The CAs whose certificates make a device: of the role, and not retired.
    pub(crate) fn device_trust(&self) -> impl Iterator<Item = &Arc<Ca>> {
        self.all.iter().filter(|ca| ca.role() == IssuerRole::Device && ca.state() != IssuerState::Retired)
    }

    /// The CAs whose certificates make a service: of the role, and not retired.
    pub(crate) fn service_trust(&self) -> impl Iterator<Item = &Arc<Ca>> {
        self.all.iter().filter(|ca| ca.role() == IssuerRole::Service && ca.state() != IssuerState::Retired)
    }

    /// A CA and those above it as far as they are on record, itself first.
    pub(crate) fn chain(&self, key_id: IssuerKeyId) -> Vec<&Arc<Ca>> {
        let mut chain: Vec<&Arc<Ca>> = Vec::new();
        let mut next = self.by_key(key_id);
        while let Some(ca) = next {
            // Nothing on record may send us round in a circle.
            if chain.iter().any(|below| below.key_id() == ca.key_id()) {
                break;
            }
            chain.push(ca);
            next = ca.parent().and_then(|parent| self.by_key(parent));
        }
        chain
    }

    /// The same in PEM: what goes with a certificate that the CA issued.
    pub(crate) fn chain_pem(&self, key_id: IssuerKeyId) -> String {
        self.chain(key_id).iter().map(|ca| ca.certificate_pem()).collect()
    }

    /// Whether a CA on record has this certificate.
    pub(crate) fn has_signed_a_ca(&self, reference: &CertificateRef) -> bool {
        self.all.iter().any(|ca| {
            ca.parent() == Some(reference.issuer)
                && serial_of(ca.certificate_der()).is_ok_and(|serial| serial == reference.serial)
        })
    }

    /// What devices pin: the root above the CA of the doors. The registry is not opened without one.
    pub(crate) fn root(&self) -> Option<&Arc<Ca>> {
        let doors = self.active_service().ok()?;
        self.chain(doors.key_id()).last().copied()
    }

    /// The same in PEM; empty when no CA signs the doors, and then no device takes it.
    pub(crate) fn root_pem(&self) -> String {
        self.root().map(|root| root.certificate_pem()).unwrap_or_default()
    }

    /// The hash of that.
    pub(crate) const fn trust_bundle(&self) -> TrustBundleHash {
        self.trust_bundle
    }
}

impl Issuers {
    /// The rotations that go on, oldest first.
    pub(crate) fn rotations(&self) -> &[OpenRotation] {
        &self.rotations
    }

    /// The CA that signs a new certificate of a device: while a canary goes on, the new one for those
    /// that go first, unless its key is not at hand.
    pub(crate) fn device_ca_for(&self, tenant: &Tenant, device: DeviceId) -> Result<&Arc<Ca>, NoIssuer> {
        let active = self.active_device()?;
        let wanted = self
            .rotations
            .iter()
            .find(|rotation| rotation.row.old == active.key_id())
            .and_then(|rotation| self.by_key(rotation.ca_for(tenant, device)))
            .filter(|ca| ca.issuer().is_ok());
        Ok(wanted.unwrap_or(active))
    }

    /// Whether a device is to renew now, because its certificate is of the other CA of a rotation than
    /// the one that it is to be of, and its turn has come.
    pub(crate) fn calls(&self, device: &DeviceRow, now: Timestamp) -> bool {
        let Some(issuer) = device.certificate.as_ref().and_then(|summary| summary.issuer) else {
            return false;
        };
        self.rotations.iter().any(|rotation| rotation.calls((&device.tenant_slug, device.id), issuer, now))
    }

    /// The root that the installation began with: what its anchors name, whatever has come since.
    pub(crate) fn first_root(&self) -> Option<&Arc<Ca>> {
        self.all
            .iter()
            .filter(|ca| ca.role() == IssuerRole::Root && ca.origin() == Origin::Made)
            .min_by_key(|ca| (ca.created_at(), ca.key_id()))
    }
}

/// The registry, and what opens the keys of what is added to it.
pub(crate) struct Registry {
    current: ArcSwap<Issuers>,
    /// What makes and opens the keys of CAs.
    pub(crate) keys: Arc<Keys>,
}

impl Registry {
    /// Opens every CA. Fails closed: with a sealed key that does not open, or without an active CA for
    /// devices and one for services, nothing starts.
    pub(crate) async fn open(store: &Store, keys: Arc<Keys>) -> Result<Self, OpenError> {
        let (rows, rotations) = on_record(store).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in parents_first(rows) {
            let issuer = opened(&row, &keys)?;
            all.push(Arc::new(Ca { row, issuer }));
        }
        let issuers = Issuers::new(all, rotations);
        issuers.active_device().map_err(|_none| OpenError::MissingCa("device"))?;
        issuers.root().ok_or(OpenError::MissingCa("service"))?;
        Ok(Self { current: ArcSwap::from_pointee(issuers), keys })
    }

    /// Makes a key for a CA where new ones are kept.
    pub(crate) async fn make_key(
        &self,
        algorithm: KeyAlgorithm,
        ca: &CaName,
    ) -> Result<MadeKey, MakeKeyError> {
        let (keys, ca) = (Arc::clone(&self.keys), ca.clone());
        on_a_thread(move || keys.make(algorithm, &ca)).await
    }

    /// The CAs as they are now.
    pub(crate) fn current(&self) -> Arc<Issuers> {
        self.current.load_full()
    }

    /// Reads the CAs anew. One whose key does not open is there without it, so that it signs nothing
    /// and the others go on.
    pub(crate) async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let (rows, rotations) = on_record(store).await?;
        let before = self.current();
        let all = parents_first(rows)
            .into_iter()
            .map(|row| match before.by_key(row.key_id) {
                Some(ca) if ca.row == row => Arc::clone(ca),
                known => Arc::new(self.reopened(row, known.map(AsRef::as_ref))),
            })
            .collect();
        self.current.store(Arc::new(Issuers::new(all, rotations)));
        Ok(())
    }

    /// One whose key does not open any more keeps the key that is in memory: it was sealed anew, with
    /// what this process has not got.
    fn reopened(&self, row: IssuerRow, known: Option<&Ca>) -> Ca {
        let issuer = opened(&row, &self.keys).unwrap_or_else(|error| {
            tracing::error!(error = %Chain(&error), ca = %row.name, issuer = %row.key_id, "cannot open the key of a ca");
            let sealed = matches!(row.key, KeptKey::Sealed(_));
            known.filter(|ca| sealed && ca.row.certificate == row.certificate).and_then(|ca| ca.issuer.clone())
        });
        Ca { row, issuer }
    }
}

/// The CAs and what goes on with them, of one moment.
async fn on_record(store: &Store) -> Result<(Vec<IssuerRow>, Vec<OpenRotation>), StoreError> {
    store
        .read(|r| {
            Box::pin(async move {
                let rows = r.issuers().await?;
                Ok((rows, OpenRotation::read_all(r).await?))
            })
        })
        .await
}

/// A CA's signing half; `None` when its key is not with us.
fn opened(row: &IssuerRow, keys: &Keys) -> Result<Option<Issuer>, OpenError> {
    let Some(key) = keys.open(row)? else { return Ok(None) };
    Ok(Some(Issuer::open(&row.certificate, key, kind_of(row.role))?))
}

pub(crate) const fn kind_of(role: IssuerRole) -> IssuerKind {
    match role {
        IssuerRole::Root => IssuerKind::Root,
        IssuerRole::Device => IssuerKind::Device,
        IssuerRole::Service => IssuerKind::Service,
        IssuerRole::Intermediate => IssuerKind::Intermediate,
    }
}

/// Parents before children, otherwise in the order given: CAs made together have one time.
fn parents_first(mut rows: Vec<IssuerRow>) -> Vec<IssuerRow> {
    let mut sorted: Vec<IssuerRow> = Vec::with_capacity(rows.len());
    while !rows.is_empty() {
        let waits = |row: &IssuerRow| rows.iter().any(|other| Some(other.key_id) == row.parent);
        let ready = rows.iter().position(|row| !waits(row)).unwrap_or(0);
        sorted.push(rows.remove(ready));
    }
    sorted
}
