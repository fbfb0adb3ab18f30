//! The embedded CAs: made and sealed on first start, opened on every other.

use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{CertificateRequest, Issuer};
use countersign_ca::{KeyAlgorithm, SigningKey, random_bytes, random_serial};
use countersign_ca::{KeyEncryptionKey, SealedKey};
use countersign_ca::{Profile, Publication};
use countersign_core::agent_settings::AgentSettings;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{SiteId, TenantId};
use countersign_core::settings::MtlsSettings;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;
use countersign_store::Installation;
use countersign_store::{IssuerRole, IssuerRow};
use countersign_store::{SiteRow, TenantRow};
use countersign_store::{Store, StoreError};

use crate::anchors::{Anchors, installation_of};
use crate::authority::{AuthorityConfig, DEFAULT_TENANT, OpenError};
use crate::issue::IssuanceError;

/// The life of an issuing CA: five years.
const ISSUING_LIFE: Duration = Duration::from_secs(5 * 365 * 86_400);

/// The root and the CAs under it.
pub(crate) struct Hierarchy {
    pub(crate) root: Issuer,
    pub(crate) device: Issuer,
    pub(crate) service: Issuer,
}

struct Sealed {
    role: IssuerRole,
    issuer: Issuer,
    key: SealedKey,
}

impl Hierarchy {
    pub(crate) async fn open_or_create(
        store: &Store,
        config: &AuthorityConfig,
        now: Timestamp,
    ) -> Result<(Self, Installation, Arc<Anchors>), OpenError> {
        let known = store.read(|r| Box::pin(async move { r.installation().await })).await?;
        let kek_path = &config.key_encryption_key;
        if known.is_some() && !kek_path.exists() {
            return Err(OpenError::NoKeyEncryptionKey(kek_path.clone()));
        }
        let kek = KeyEncryptionKey::load_or_create(kek_path)?;
        let installation = match known {
            Some(installation) if installation.trust_domain != config.trust_domain => {
                return Err(OpenError::OtherTrustDomain {
                    stored: installation.trust_domain.to_string(),
                    configured: config.trust_domain.to_string(),
                });
            }
            Some(installation) => installation,
            None => create(store, &kek, config, now).await?,
        };
        let rows = store.read(|r| Box::pin(async move { r.issuers().await })).await?;
        let hierarchy = Self {
            root: open(&rows, IssuerRole::Root, "root", &kek)?,
            device: open(&rows, IssuerRole::Device, "device", &kek)?,
            service: open(&rows, IssuerRole::Service, "service", &kek)?,
        };
        let anchored = (installation.trust_domain.clone(), installation_of(&hierarchy.root));
        let anchors = Anchors::open(store, &kek, anchored, now).await?;
        Ok((hierarchy, installation, anchors))
    }

    /// Root first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Issuer> {
        [&self.root, &self.device, &self.service].into_iter()
    }

    /// What goes with a device certificate: the device CA and the root, PEM.
    pub(crate) fn device_chain_pem(&self) -> String {
        format!("{}{}", self.device.certificate_pem(), self.root.certificate_pem())
    }
}

fn open(
    rows: &[IssuerRow],
    role: IssuerRole,
    name: &'static str,
    kek: &KeyEncryptionKey,
) -> Result<Issuer, OpenError> {
    let row = rows.iter().find(|row| row.role == role).ok_or(OpenError::MissingCa(name))?;
    let key = kek.open(&SealedKey::from(row.sealed_key.clone()), row.key_id)?;
    Ok(Issuer::open(&row.certificate, key)?)
}

async fn create(
    store: &Store,
    kek: &KeyEncryptionKey,
    config: &AuthorityConfig,
    now: Timestamp,
) -> Result<Installation, OpenError> {
    let [random] = random_bytes::<1>()?;
    let node = 1 + random % 0x7f;
    let sealed = make_issuers(kek, config, node, now)?;
    let installation = Installation {
        trust_domain: config.trust_domain.clone(),
        node,
        created_at: now,
        version: SnapshotVersion { generation: 1, epoch: 1 },
    };
    let mut entry = AuditEntry::new(None, now, AuditEvent::InstallationCreated, Actor::System)
        .detail("trustDomain", &config.trust_domain);
    let mut rows = Vec::new();
    for Sealed { role, issuer, key } in sealed {
        entry = entry.detail(&format!("{role:?}").to_lowercase(), issuer.key_id());
        rows.push(IssuerRow {
            key_id: issuer.key_id(),
            role,
            certificate: issuer.certificate_der().to_vec(),
            sealed_key: key.into(),
            created_at: now,
        });
    }
    let created = installation.clone();
    store
        .write(move |w| {
            Box::pin(async move {
                // Of two authorities that start on an empty database at once, one makes it.
                if !w.insert_installation(&created).await? {
                    return Err(StoreError::raced("installation", &created.trust_domain));
                }
                for row in &rows {
                    w.insert_issuer(row).await?;
                }
                insert_default_tenant(w, now).await?;
                w.append_audit(&entry).await?;
                Ok::<_, StoreError>(())
            })
        })
        .await?;
    Ok(installation)
}

async fn insert_default_tenant(
    w: &mut countersign_store::Writing<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let slug = DEFAULT_TENANT.parse().map_err(|_invalid| StoreError::raced("tenant", DEFAULT_TENANT))?;
    let tenant = TenantRow {
        id: TenantId::random(),
        slug,
        name: "Default".to_owned(),
        created_at: now,
        suspended_at: None,
        settings: MtlsSettings::default(),
        agent_settings: AgentSettings::default(),
    };
    w.insert_tenant(&tenant).await?;
    w.insert_site(&default_site(tenant.id)).await?;
    Ok(())
}

/// The short name of the site that every tenant has from the beginning.
pub(crate) const DEFAULT_SITE: &str = "default";

/// That site.
pub(crate) fn default_site(tenant: TenantId) -> SiteRow {
    SiteRow { id: SiteId::random(), tenant, slug: DEFAULT_SITE.to_owned(), name: "Default".to_owned() }
}

fn make_issuers(
    kek: &KeyEncryptionKey,
    config: &AuthorityConfig,
    node: u8,
    now: Timestamp,
) -> Result<Vec<Sealed>, OpenError> {
    let domain = &config.trust_domain;
    let root_key = SigningKey::generate(KeyAlgorithm::P256)?;
    let root_copy = SigningKey::from_pkcs8_der(root_key.pkcs8_der())?;
    let root = Issuer::create_root(&format!("{domain} root CA"), root_key, random_serial(node)?, now)?;
    let device = make_issuing(
        &root,
        kek,
        IssuerRole::Device,
        Profile::IssuingDevice { name: format!("{domain} device CA") },
        node,
        now,
    )?;
    let service = make_issuing(
        &root,
        kek,
        IssuerRole::Service,
        Profile::IssuingService { name: format!("{domain} service CA") },
        node,
        now,
    )?;
    let key = kek.seal(&root_copy, root.key_id())?;
    Ok(vec![Sealed { role: IssuerRole::Root, issuer: root, key }, device, service])
}

fn make_issuing(
    root: &Issuer,
    kek: &KeyEncryptionKey,
    role: IssuerRole,
    profile: Profile,
    node: u8,
    now: Timestamp,
) -> Result<Sealed, OpenError> {
    let signing_key = SigningKey::generate(KeyAlgorithm::P256)?;
    let prepared = root
        .prepare(CertificateRequest {
            profile,
            public_key: signing_key.public_key(),
            serial: random_serial(node)?,
            issued_at: now,
            lifetime: ISSUING_LIFE,
            publication: Publication::default(),
        })
        .map_err(IssuanceError::from)?;
    let certificate = root.sign(prepared).map_err(IssuanceError::from)?;
    let key = kek.seal(&signing_key, signing_key.public_key().sha256().into())?;
    let issuer = Issuer::open(certificate.der(), signing_key)?;
    Ok(Sealed { role, issuer, key })
}
