//! The installation: made on first start with its CAs, opened on every other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{CertificateRequest, DistinguishedName, IssueError, Issuer};
use countersign_ca::{KeyAlgorithm, Publication, random_bytes, random_serial};
use countersign_core::agent_settings::AgentSettings;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::identity::TrustDomain;
use countersign_core::ids::{CaName, SiteId, TenantId};
use countersign_core::settings::MtlsSettings;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;
use countersign_store::Installation;
use countersign_store::{IssuerRole, IssuerRow};
use countersign_store::{SiteRow, TenantRow};
use countersign_store::{Store, StoreError};

use crate::anchors::{Anchors, installation_of};
use crate::authority::{AuthorityConfig, DEFAULT_TENANT, OpenError, OpenWith};
use crate::edges::SnapshotSigner;
use crate::issue::IssuanceError;
use crate::issuers::{NoIssuer, Registry, kind_of};
use crate::keys::{Keys, MadeKey, on_a_thread, open_kek};
use crate::plan::PlannedCa;

/// The life of a root: ten years.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The life of an issuing CA: five years.
const ISSUING_LIFE: Duration = Duration::from_secs(5 * 365 * 86_400);

/// An installation, with what it signs with.
pub(crate) struct Opened {
    pub(crate) registry: Registry,
    pub(crate) installation: Installation,
    pub(crate) anchors: Arc<Anchors>,
    pub(crate) signer: SnapshotSigner,
}

/// Opens the installation in `store`, or makes it: a root with a device and a service CA, and the
/// tenant `default`.
pub(crate) async fn open_or_create(
    store: &Store,
    config: &AuthorityConfig,
    with: &OpenWith<'_>,
    now: Timestamp,
) -> Result<Opened, OpenError> {
    let known = store.read(|r| Box::pin(async move { r.installation().await })).await?;
    let kek = open_kek(store, &config.key_encryption_key).await?;
    let keys = Arc::new(Keys::new(kek, config.token.clone()));
    let installation = match known {
        Some(installation) if installation.trust_domain != config.trust_domain => {
            return Err(OpenError::OtherTrustDomain {
                stored: installation.trust_domain.to_string(),
                configured: config.trust_domain.to_string(),
            });
        }
        Some(installation) => installation,
        None => create(store, &keys, (config, with), now).await?,
    };
    let registry = Registry::open(store, Arc::clone(&keys)).await?;
    let issuers = registry.current();
    if let Some(import) = with.device_ca.filter(|import| issuers.by_key(import.key_id()).is_none()) {
        tracing::warn!(
            issuer = %import.key_id(),
            "device ca of the environment is not used: the installation has one already"
        );
    }
    let first = issuers.first_root().ok_or(OpenError::MissingCa("root"))?;
    let anchored = (installation.trust_domain.clone(), installation_of(first.certificate_der()));
    let anchors = Anchors::open(store, &keys.kek, anchored, now).await?;
    let signer = SnapshotSigner::open(store, &keys.kek, now).await?;
    Ok(Opened { registry, installation, anchors, signer })
}

async fn create(
    store: &Store,
    keys: &Arc<Keys>,
    (config, with): (&AuthorityConfig, &OpenWith<'_>),
    now: Timestamp,
) -> Result<Installation, OpenError> {
    let [random] = random_bytes::<1>()?;
    let node = 1 + random % 0x7f;
    let imported = match with.device_ca {
        // Those of here come first, in every list.
        Some(import) => Some(import.rows(&[], &keys.kek, now + Duration::from_millis(1))?),
        None => None,
    };
    let (keys, domain, founding) = (Arc::clone(keys), config.trust_domain.clone(), with.founding.to_vec());
    let made = on_a_thread(move || make_issuers(&keys, (&domain, &founding), imported, (node, now))).await?;
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

/// The CAs of a new installation: those that it is founded with, each signed by its parent among them, and
/// the usual ones for the roles that nobody else has. Of a device CA that was brought along there is no
/// second one.
fn make_issuers(
    keys: &Keys,
    (domain, founding): (&TrustDomain, &[PlannedCa]),
    imported: Option<Vec<IssuerRow>>,
    (node, now): (u8, Timestamp),
) -> Result<Vec<IssuerRow>, OpenError> {
    let has = |role| founding.iter().any(|planned| planned.role == role);
    let mut planned = Vec::new();
    if !has(IssuerRole::Root) {
        planned.push(usual(domain, IssuerRole::Root)?);
    }
    planned.extend(founding.iter().cloned());
    for role in [IssuerRole::Device, IssuerRole::Service] {
        if !has(role) {
            let parent = planned.iter().find(|one| one.role == IssuerRole::Root);
            planned.push(PlannedCa { parent: parent.map(|root| root.name.clone()), ..usual(domain, role)? });
        }
    }
    if imported.is_some() {
        planned.retain(|planned| planned.role != IssuerRole::Device);
    }
    let mut rows = Vec::new();
    let mut made: BTreeMap<CaName, Issuer> = BTreeMap::new();
    for planned in planned {
        let (row, issuer) = make_issuer(keys, &planned, &made, (node, now))?;
        rows.push(row);
        made.insert(planned.name, issuer);
    }
    rows.extend(imported.into_iter().flatten());
    Ok(rows)
}

/// The CA of a role that an installation begins with unless a plan has another; its name is its role.
fn usual(domain: &TrustDomain, role: IssuerRole) -> Result<PlannedCa, OpenError> {
    let name = |text: &str| text.parse().map_err(|_invalid| OpenError::MissingCa(role.as_str()));
    let subject = DistinguishedName::of_common_name(&format!("{domain} {role} CA"));
    let is_root = role == IssuerRole::Root;
    Ok(PlannedCa {
        name: name(role.as_str())?,
        role,
        parent: if is_root { None } else { Some(name("root")?) },
        subject: subject.map_err(IssueError::Name)?,
        algorithm: KeyAlgorithm::P256,
        lifetime: if is_root { ROOT_LIFE } else { ISSUING_LIFE },
        purposes: BTreeSet::new(),
        path_length: None,
        environment: None,
    })
}

/// Fails closed: a CA whose parent is not made before it is not made by another.
fn make_issuer(
    keys: &Keys,
    planned: &PlannedCa,
    made: &BTreeMap<CaName, Issuer>,
    (node, now): (u8, Timestamp),
) -> Result<(IssuerRow, Issuer), OpenError> {
    let MadeKey { signer, kept } = keys.make(planned.algorithm, &planned.name)?;
    let serial = random_serial(node)?;
    let Some(parent) = &planned.parent else {
        let life = (now, planned.lifetime);
        let root = Issuer::create_root(planned.subject.clone(), signer, serial, life)?;
        return Ok((planned.row(&root, (None, kept), now), root));
    };
    let parent = made.get(parent).ok_or_else(|| IssuanceError::from(NoIssuer::Unknown(parent.clone())))?;
    let prepared = parent
        .prepare(CertificateRequest {
            profile: planned.profile(),
            public_key: signer.public_key(),
            serial,
            issued_at: now,
            lifetime: planned.lifetime,
            publication: Publication::default(),
        })
        .map_err(IssuanceError::from)?;
    let certificate = parent.sign(prepared).map_err(IssuanceError::from)?;
    let issuer = Issuer::open(certificate.der(), signer, kind_of(planned.role))?;
    Ok((planned.row(&issuer, (Some(parent.key_id()), kept), now), issuer))
}
