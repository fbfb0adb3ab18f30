//! The installation: made on first start with its CAs, opened on every other.

use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{CertificateRequest, DistinguishedName, IssueError, Issuer};
use countersign_ca::{KeyAlgorithm, SigningKey, random_bytes, random_serial};
use countersign_ca::{KeyEncryptionKey, SealedKey};
use countersign_ca::{Profile, Publication};
use countersign_core::agent_settings::AgentSettings;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{IssuerKeyId, SiteId, TenantId};
use countersign_core::settings::MtlsSettings;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;
use countersign_store::Installation;
use countersign_store::{IssuerRole, IssuerRow, IssuerState, KeptKey, Origin};
use countersign_store::{SiteRow, TenantRow};
use countersign_store::{Store, StoreError};

use crate::anchors::{Anchors, installation_of};
use crate::authority::{AuthorityConfig, DEFAULT_TENANT, OpenError};
use crate::issue::IssuanceError;
use crate::issuers::{Registry, kind_of};

/// The life of a root: ten years.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The life of an issuing CA: five years.
const ISSUING_LIFE: Duration = Duration::from_secs(5 * 365 * 86_400);

/// A CA that is made, and the row that keeps it.
struct Made {
    issuer: Issuer,
    row: IssuerRow,
}

/// Opens the installation in `store`, or makes it: a root with a device and a service CA, and the
/// tenant `default`.
pub(crate) async fn open_or_create(
    store: &Store,
    config: &AuthorityConfig,
    now: Timestamp,
) -> Result<(Registry, Installation, Arc<Anchors>), OpenError> {
    let known = store.read(|r| Box::pin(async move { r.installation().await })).await?;
    let kek_path = &config.key_encryption_key;
    if known.is_some() && !kek_path.exists() {
        return Err(OpenError::NoKeyEncryptionKey(kek_path.clone()));
    }
    let kek = Arc::new(KeyEncryptionKey::load_or_create(kek_path)?);
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
    let registry = Registry::open(store, Arc::clone(&kek)).await?;
    let issuers = registry.current();
    let first = issuers.first_root().ok_or(OpenError::MissingCa("root"))?;
    let anchored = (installation.trust_domain.clone(), installation_of(first.certificate_der()));
    let anchors = Anchors::open(store, &kek, anchored, now).await?;
    Ok((registry, installation, anchors))
}

async fn create(
    store: &Store,
    kek: &KeyEncryptionKey,
    config: &AuthorityConfig,
    now: Timestamp,
) -> Result<Installation, OpenError> {
    let [random] = random_bytes::<1>()?;
    let node = 1 + random % 0x7f;
    let made = make_issuers(kek, config, node, now)?;
    let installation = Installation {
        trust_domain: config.trust_domain.clone(),
        node,
        created_at: now,
        version: SnapshotVersion { generation: 1, epoch: 1 },
    };
    let mut entry = AuditEntry::new(None, now, AuditEvent::InstallationCreated, Actor::System)
        .detail("trustDomain", &config.trust_domain);
    for one in &made {
        entry = entry.detail(one.name.as_str(), one.key_id);
    }
    let created = installation.clone();
    store
        .write(move |w| {
            Box::pin(async move {
                // Of two authorities that start on an empty database at once, one makes it.
                if !w.insert_installation(&created).await? {
                    return Err(StoreError::raced("installation", &created.trust_domain));
                }
                for row in &made {
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
) -> Result<Vec<IssuerRow>, OpenError> {
    let domain = &config.trust_domain;
    let named = |what: &str| DistinguishedName::of_common_name(&format!("{domain} {what} CA"));
    let subject = named("root").map_err(IssueError::Name)?;
    let key = SigningKey::generate(KeyAlgorithm::P256)?;
    let sealed = kek.seal(&key, key.public_key().sha256().into())?;
    let issuer = Issuer::create_root(subject, Arc::new(key), random_serial(node)?, (now, ROOT_LIFE))?;
    let root = Made { row: row_of(&issuer, IssuerRole::Root, (None, sealed), now)?, issuer };
    let device = Profile::IssuingDevice { subject: named("device").map_err(IssueError::Name)? };
    let device = make_issuing(&root.issuer, kek, (IssuerRole::Device, device), node, now)?;
    let service = Profile::IssuingService { subject: named("service").map_err(IssueError::Name)? };
    let service = make_issuing(&root.issuer, kek, (IssuerRole::Service, service), node, now)?;
    Ok(vec![root.row, device, service])
}

fn make_issuing(
    root: &Issuer,
    kek: &KeyEncryptionKey,
    (role, profile): (IssuerRole, Profile),
    node: u8,
    now: Timestamp,
) -> Result<IssuerRow, OpenError> {
    let key = SigningKey::generate(KeyAlgorithm::P256)?;
    let prepared = root
        .prepare(CertificateRequest {
            profile,
            public_key: key.public_key(),
            serial: random_serial(node)?,
            issued_at: now,
            lifetime: ISSUING_LIFE,
            publication: Publication::default(),
        })
        .map_err(IssuanceError::from)?;
    let certificate = root.sign(prepared).map_err(IssuanceError::from)?;
    let sealed = kek.seal(&key, key.public_key().sha256().into())?;
    let issuer = Issuer::open(certificate.der(), Arc::new(key), kind_of(role))?;
    row_of(&issuer, role, (Some(root.key_id()), sealed), now)
}

/// The row of a CA of the first start; its name is its role.
fn row_of(
    issuer: &Issuer,
    role: IssuerRole,
    (parent, sealed): (Option<IssuerKeyId>, SealedKey),
    now: Timestamp,
) -> Result<IssuerRow, OpenError> {
    let name = role.as_str().parse().map_err(|_invalid| OpenError::MissingCa(role.as_str()))?;
    Ok(IssuerRow {
        key_id: issuer.key_id(),
        name,
        role,
        parent,
        environment: None,
        state: IssuerState::Active,
        origin: Origin::Made,
        certificate: issuer.certificate_der().to_vec(),
        key: KeptKey::Sealed(sealed.into()),
        created_at: now,
    })
}
