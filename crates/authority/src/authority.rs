//! The authority itself: what every use case needs, and how it starts.

use std::path::PathBuf;
use std::sync::Arc;

use countersign_ca::IssueError;
use countersign_ca::KeyError;
use countersign_ca::KeySource;
use countersign_ca::SealError;
use countersign_ca::TokenSettings;
use countersign_ca::upstream::Cloudflare;
use countersign_core::identity::TrustDomain;
use countersign_core::ids::TenantId;
use countersign_core::snapshot::{RuleList, RuleSource, TrustSnapshot};
use countersign_core::time::{Clock, Timestamp};
use countersign_store::{Store, StoreError};
use thiserror::Error;
use tokio::sync::watch;

use crate::anchors::{Anchors, hash_of};
use crate::channels::Channels;
use crate::commands_by_identity::{Ears, Rung};
use crate::counts::Counts;
use crate::crl::CrlWork;
use crate::edges::{EdgeReports, SnapshotSigner};
use crate::enrol::Chain;
use crate::expiry::ExpiryWatch;
use crate::glance::Glance;
use crate::import_ca::{CaImport, ImportCaError};
use crate::installation::{self, Opened};
use crate::issue::IssuanceError;
use crate::issuers::{Issuers, Registry};
use crate::limits::Limits;
use crate::monitors::{Monitors, Watch};
use crate::ocsp::Ocsp;
use crate::oidc::{OidcConfig, OidcTransport, Provider};
use crate::passkeys::RelyingParty;
use crate::plan::PlannedCa;
use crate::presence::PresenceQueue;
use crate::publish::Publisher;
use crate::questions::Questions;
use crate::rollout::Rollout;
use crate::rules::RulesInForce;
use crate::upstream::Upstream;
use crate::usage::UsageLog;

/// Who signs device certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerMode {
    /// The embedded CA.
    Embedded,
    /// A CA elsewhere, asked over [`Authority::open_with`]'s API.
    Cloudflare,
    /// Nobody: devices enrol with `mtls: null`.
    None,
}

/// How an authority is to run.
#[derive(Clone, Debug)]
pub struct AuthorityConfig {
    /// The installation's name; must be what the database says once it exists.
    pub trust_domain: TrustDomain,
    /// Where the key-encryption key comes from.
    pub key_encryption_key: KeySource,
    /// The token in which new keys of CAs are made, and in which those made before lie.
    pub token: Option<TokenSettings>,
    /// Who signs.
    pub issuer: IssuerMode,
    /// Where the world reaches `/pki`; written into certificates when known.
    pub public_base_url: Option<String>,
    /// The rules of the doors.
    pub rules: Vec<RuleSource>,
    /// The lists that these ask.
    pub lists: Vec<RuleList>,
    /// How long a session of a person lasts.
    pub session_life: std::time::Duration,
}

/// What an authority is opened with besides its configuration.
#[derive(Default)]
pub struct OpenWith<'a> {
    /// Other CAs than the usual ones on first start, each after its parent; a root, a device and a service
    /// CA that are not among them are made as usual.
    pub founding: &'a [PlannedCa],
    /// A CA elsewhere. It signs when the configuration says so; without it [`IssuerMode::Cloudflare`]
    /// signs nothing.
    pub upstream: Option<Cloudflare>,
    /// A CA that was made elsewhere and makes the devices from the first start on, instead of one of ours.
    /// On every other start it must be on record, or is left out with a warning.
    pub device_ca: Option<&'a CaImport>,
    /// Certificates elsewhere that are watched.
    pub monitors: Vec<Watch>,
    /// Where people sign in besides here, and how it is asked.
    pub oidc: Option<(OidcConfig, Arc<dyn OidcTransport>)>,
    /// Where browsers reach the console, `https://host`; without it they reach it on this machine. Passkeys are
    /// made for its host.
    pub console_url: Option<String>,
    /// How long telemetry and messages that were set aside are kept; 30 days, when absent.
    pub messages_kept: Option<std::time::Duration>,
}

/// Decides, signs and records.
pub struct Authority {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: AuthorityConfig,
    pub(crate) registry: Registry,
    pub(crate) anchors: Arc<Anchors>,
    pub(crate) signer: SnapshotSigner,
    pub(crate) publisher: Publisher,
    pub(crate) limits: Limits,
    pub(crate) presence: PresenceQueue,
    pub(crate) channels: Arc<Channels>,
    pub(crate) ears: Ears,
    pub(crate) newcomers: Rung,
    pub(crate) messages_kept: std::time::Duration,
    pub(crate) together: Questions,
    pub(crate) usage: UsageLog,
    pub(crate) setup: crate::people::SetupGate,
    pub(crate) token_uses: crate::api_tokens::TokenUses,
    pub(crate) crl: CrlWork,
    pub(crate) ocsp: Ocsp,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) unseen_refusals: crate::refusals::UnseenRefusals,
    pub(crate) edges: EdgeReports,
    pub(crate) expiry: ExpiryWatch,
    pub(crate) monitors: Monitors,
    pub(crate) glances: Arc<Counts<Glance>>,
    pub(crate) rollouts: Arc<Counts<Rollout>>,
    pub(crate) rules: RulesInForce,
    pub(crate) oidc: Option<Provider>,
    pub(crate) relying_party: RelyingParty,
    pub(crate) alerts: crate::alerts::AlertWatch,
    pub(crate) streams: crate::audit_streams::Streams,
    /// The last count of everything.
    pub(crate) census: crate::census::KeptCensus,
    pub(crate) node: u8,
}

/// The authority could not start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
    /// The key-encryption key is not there or does not fit.
    #[error("cannot open the sealed CA keys")]
    Seal(#[from] SealError),
    /// The installation exists, but not the key that opens its CA keys.
    #[error("there is no key-encryption key at {}: put back the file that belongs to this database", .0.display())]
    NoKeyEncryptionKey(PathBuf),
    /// A CA could not be made or read back.
    #[error("cannot make or open a CA")]
    Issue(#[from] IssueError),
    /// A CA certificate could not be issued.
    #[error("cannot issue a CA certificate")]
    Issuance(#[from] IssuanceError),
    /// No key could be made.
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    /// The device CA that was brought along was refused.
    #[error("cannot take in the device CA")]
    Import(#[from] ImportCaError),
    /// The database belongs to an installation of another name.
    #[error(
        "this database is the installation {stored:?}, not {configured:?}: start with --trust-domain {stored}"
    )]
    OtherTrustDomain {
        /// What the database says.
        stored: String,
        /// What was asked for.
        configured: String,
    },
    /// The database says there is a CA, but it is not in it.
    #[error("the database holds no {0} CA; restore it from a backup")]
    MissingCa(&'static str),
}

/// The tenant that exists from the beginning.
pub(crate) const DEFAULT_TENANT: &str = "default";

impl Authority {
    /// Opens the installation in `store`, making it on first start: root, device and service CA,
    /// sealed; the tenant `default`. Then repairs what a crash left half done and builds the first
    /// trust snapshot.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing is changed when the key-encryption key does not fit.
    pub async fn open(
        store: Store,
        clock: Arc<dyn Clock>,
        config: AuthorityConfig,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_with(store, clock, config, OpenWith::default()).await
    }

    /// The same, with what is not in the configuration.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        store: Store,
        clock: Arc<dyn Clock>,
        config: AuthorityConfig,
        with: OpenWith<'_>,
    ) -> Result<Arc<Self>, OpenError> {
        let now = clock.now();
        let opened = installation::open_or_create(&store, &config, &with, now).await?;
        let Opened { registry, installation, anchors, signer } = opened;
        let publisher = Publisher::new(TrustSnapshot::empty(config.trust_domain.clone(), now));
        let users = store.read(|r| Box::pin(async move { r.count_users().await })).await?;
        let authority = Arc::new(Self {
            presence: PresenceQueue::default(),
            channels: Arc::default(),
            ears: Ears::default(),
            newcomers: Rung::default(),
            messages_kept: with.messages_kept.unwrap_or(crate::ingest::KEPT),
            together: Questions::new(&store),
            usage: UsageLog::default(),
            limits: Limits::default(),
            setup: crate::people::SetupGate::new(users == 0, now)?,
            crl: CrlWork::default(),
            ocsp: Ocsp::default(),
            token_uses: crate::api_tokens::TokenUses::default(),
            upstream: with.upstream.map(Upstream::new),
            unseen_refusals: crate::refusals::UnseenRefusals::default(),
            edges: EdgeReports::default(),
            expiry: ExpiryWatch::default(),
            monitors: Monitors::new(with.monitors),
            glances: Arc::default(),
            rollouts: Arc::default(),
            rules: RulesInForce::new(&config),
            oidc: with.oidc.map(|(config, transport)| Provider::new(config, transport, Arc::clone(&clock))),
            relying_party: RelyingParty::at(with.console_url.as_deref()),
            alerts: crate::alerts::AlertWatch::default(),
            streams: crate::audit_streams::Streams::default(),
            census: crate::census::KeptCensus::default(),
            node: installation.node,
            anchors,
            signer,
            registry,
            publisher,
            clock,
            config,
            store,
        });
        authority.repair().await?;
        authority.publish_everything().await?;
        authority.look_for_silent_edges().await?;
        Ok(authority)
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The trust snapshots, newest last.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<TrustSnapshot>> {
        self.publisher.subscribe()
    }

    /// The present trust snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<TrustSnapshot> {
        self.publisher.current()
    }

    /// The installation's name.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.config.trust_domain
    }

    /// The CAs as they are now.
    pub(crate) fn issuers(&self) -> Arc<Issuers> {
        self.registry.current()
    }

    /// The root's certificate, PEM: what devices pin.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.issuers().root_pem()
    }

    /// SHA-256 of the root's certificate in DER, lower-case hex: what `--ca-fingerprint` takes.
    #[must_use]
    pub fn root_fingerprint(&self) -> String {
        self.issuers().root().map(|root| hex::encode(hash_of(root.certificate_der()))).unwrap_or_default()
    }

    /// Every CA certificate by its key id, a CA after the one that signed it.
    #[must_use]
    pub fn ca_certificates(&self) -> Vec<(countersign_core::ids::IssuerKeyId, String)> {
        self.issuers().all().map(|ca| (ca.key_id(), ca.certificate_pem())).collect()
    }

    /// The certificates of all CAs that are not retired, in PEM, a CA after the one that signed it.
    #[must_use]
    pub fn trusted_ca_certificates(&self) -> String {
        let issuers = self.issuers();
        let trusted = issuers.all().filter(|ca| ca.state() != countersign_store::IssuerState::Retired);
        trusted.map(|ca| ca.certificate_pem()).collect()
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        self.store.read(|r| Box::pin(async move { r.snapshot_version().await.map(|_version| ()) })).await
    }

    /// Writes down what waits, anchors the audit and closes the store.
    ///
    /// # Errors
    /// When the store fails; it is closed nevertheless.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (presence, uses) =
            (self.flush_presence().await.and(self.flush_usage().await), self.flush_token_uses().await);
        if let Err(error) = self.anchor_if_older(std::time::Duration::ZERO).await {
            tracing::error!(error = %Chain(&error), "audit not anchored");
        }
        if let Err(error) = self.forget_edges().await {
            tracing::error!(error = %Chain(&error), "word of the edges not taken back");
        }
        self.store.close().await;
        presence.and(uses)
    }

    pub(crate) async fn tenant(&self, id: TenantId) -> Result<countersign_store::TenantRow, StoreError> {
        self.store
            .read(move |r| Box::pin(async move { r.tenant_by_id(id).await }))
            .await?
            .ok_or_else(|| StoreError::raced("tenant", id))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("trust_domain", &self.config.trust_domain).finish_non_exhaustive()
    }
}
