//! An authority on a fresh database, people who may act on it, and devices with real keys.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use countersign_authority::agent::{AgentCaller, Possession};
use countersign_authority::confirm::ConfirmError;
use countersign_authority::enrol::{EnrolError, Enrolled, Enrolment};
use countersign_authority::enrollment_keys::{Approval, CreatedKey, WantedKey};
use countersign_authority::renew::{RenewError, Renewed};
use countersign_authority::settings::{Precondition, SettingsChange};
use countersign_authority::{
    Administer, Authority, AuthorityConfig, Authorized, Caller, IssuerMode, KeySource, Operate, Own, View,
};
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::ids::{CertificateId, DeviceId, SecretHash, SpkiSha256, TenantId, UserId};
use countersign_core::proof::{ProofMessage, ProofSubject};
use countersign_core::snapshot::{CertificateClaim, Standing, TenantService};
use countersign_core::time::{Clock as _, Timestamp};
use countersign_core::{Identity, TrustDomain};
use countersign_store::{
    AuditFilter, AuditRecord, CertificateRow, DeviceRow, PasswordHash, Reading, Role, SessionRow, Store,
    StoreError, StoreUrl, UserRow, Writing,
};
use countersign_testkit::{KeyKind, ManualClock, PostgresDatabase, PostgresServer, TestKey};
use futures_util::future::BoxFuture;
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// When tests begin.
pub(crate) fn start() -> Timestamp {
    Timestamp::parse("2026-02-11T10:00:00Z").unwrap()
}

/// Where devices come from.
pub(crate) fn address() -> IpAddr {
    IpAddr::from([192, 0, 2, 7])
}

pub(crate) struct House {
    pub(crate) authority: Arc<Authority>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    owner: Option<Caller>,
    url: StoreUrl,
    directory: TempDir,
    _database: Option<PostgresDatabase>,
}

/// How long sessions last.
pub(crate) const SESSION: Duration = Duration::from_secs(12 * 3600);

impl House {
    pub(crate) async fn new() -> Self {
        Self::with_issuer(IssuerMode::Embedded).await
    }

    pub(crate) async fn with_issuer(issuer: IssuerMode) -> Self {
        let mut house = Self::unfurnished(issuer).await;
        house.owner = Some(house.person(Role::Owner, None).await);
        house
    }

    /// Without anybody in it: the setup token is still to be used.
    pub(crate) async fn unfurnished(issuer: IssuerMode) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = if is_on_postgres() { Some(migrated().await.copy()) } else { None };
        let url = match &database {
            Some(database) => database.url().parse().unwrap(),
            None => StoreUrl::sqlite(directory.path().join("countersign.db")),
        };
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::at(start()));
        let kek = directory.path().join("kek");
        let authority = Authority::open(store.clone(), clock.clone(), config(kek, issuer)).await.unwrap();
        Self { authority, store, clock, owner: None, url, directory, _database: database }
    }

    /// Its database: the kind that its copy of the tests is about.
    pub(crate) fn url(&self) -> &StoreUrl {
        &self.url
    }

    pub(crate) fn config(&self) -> AuthorityConfig {
        config(self.directory.path().join("kek"), IssuerMode::Embedded)
    }

    /// What a restart would make of the records, with the same clock.
    pub(crate) async fn reopened(&self, issuer: IssuerMode) -> Arc<Authority> {
        let config = config(self.directory.path().join("kek"), issuer);
        Authority::open(self.store.clone(), self.clock.clone(), config).await.unwrap()
    }

    /// The same with that authority in the place of this one.
    pub(crate) async fn restarted(mut self, issuer: IssuerMode) -> Self {
        self.authority = self.reopened(issuer).await;
        self
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) fn view(&self) -> Authorized<View> {
        self.owner.as_ref().unwrap().authorize().unwrap()
    }

    pub(crate) fn operate(&self) -> Authorized<Operate> {
        self.owner.as_ref().unwrap().authorize().unwrap()
    }

    pub(crate) fn administer(&self) -> Authorized<Administer> {
        self.owner.as_ref().unwrap().authorize().unwrap()
    }

    pub(crate) fn own(&self) -> Authorized<Own> {
        self.owner.as_ref().unwrap().authorize().unwrap()
    }

    /// Somebody who may act for one tenant alone, or for all.
    pub(crate) async fn person(&self, role: Role, tenant: Option<TenantId>) -> Caller {
        let id = UserId::random();
        let user = UserRow {
            id,
            email: format!("{id}@example.com"),
            // Of a password that nobody needs.
            password_hash: PasswordHash::new("unused".to_owned()),
            role,
            tenant,
            created_at: start(),
            disabled_at: None,
        };
        let token = format!("css_{id}");
        let (hash, expires_at) = (SecretHash::of(&token), start() + DAY * 4000);
        let session = SessionRow { token: hash, user: id, created_at: start(), expires_at };
        self.write(move |w| {
            Box::pin(async move {
                assert!(w.insert_user(&user).await?);
                w.insert_session(&session).await
            })
        })
        .await;
        self.authority.caller(&token).await.unwrap().unwrap()
    }

    pub(crate) async fn read<T, F>(&self, work: F) -> T
    where
        F: for<'r> FnOnce(&'r mut Reading<'_>) -> BoxFuture<'r, Result<T, StoreError>>,
    {
        self.store.read(work).await.unwrap()
    }

    pub(crate) async fn write<T, F>(&self, work: F) -> T
    where
        F: for<'w> FnOnce(&'w mut Writing<'_>) -> BoxFuture<'w, Result<T, StoreError>> + Send + 'static,
        T: Send + 'static,
    {
        self.store.write(work).await.unwrap()
    }

    pub(crate) async fn change(&self, change: SettingsChange) {
        let by = self.administer();
        self.authority.change_settings(&by, "default", change, Precondition::None).await.unwrap();
    }

    pub(crate) async fn suspend(&self, tenant: &str) {
        self.authority.set_tenant_service(&self.own(), tenant, TenantService::Suspended).await.unwrap();
    }

    pub(crate) async fn resume(&self, tenant: &str) {
        self.authority.set_tenant_service(&self.own(), tenant, TenantService::Running).await.unwrap();
    }

    /// An enrolment key for one device.
    pub(crate) async fn key(&self) -> String {
        self.key_like(wanted_key()).await.key.to_string()
    }

    /// An enrolment key with which a known device comes back.
    pub(crate) async fn key_for(&self, device: DeviceId) -> String {
        self.key_like(WantedKey { device: Some(device), ..wanted_key() }).await.key.to_string()
    }

    pub(crate) async fn key_like(&self, wanted: WantedKey) -> CreatedKey {
        self.authority.create_enrollment_key(&self.operate(), wanted).await.unwrap()
    }

    pub(crate) async fn enrol(&self, request: &Enrolment) -> Result<Enrolled, EnrolError> {
        self.authority.enrol(request).await
    }

    /// A device with a certificate.
    pub(crate) async fn device(&self, name: &str) -> Device {
        let key = TestKey::generate(KeyKind::P256);
        let enrolled = self.enrol(&request(&self.key().await, name, Some(&key))).await.unwrap();
        assert!(enrolled.mtls.is_ok());
        Device::new(&enrolled, key)
    }

    pub(crate) async fn row(&self, device: DeviceId) -> DeviceRow {
        self.read(move |r| Box::pin(async move { r.device(device).await })).await.unwrap()
    }

    /// A device's certificates, newest first.
    pub(crate) async fn certificates(&self, device: DeviceId) -> Vec<CertificateRow> {
        self.read(move |r| Box::pin(async move { r.certificates_of(device).await })).await
    }

    pub(crate) async fn certificate(&self, id: CertificateId) -> CertificateRow {
        self.read(move |r| Box::pin(async move { r.certificate(id).await })).await.unwrap()
    }

    /// How many certificates of a device are in each of these states, in their order.
    pub(crate) async fn states(&self, device: DeviceId) -> Vec<CertificateState> {
        let mut states: Vec<_> = self.certificates(device).await.into_iter().map(|row| row.state).collect();
        states.sort_by_key(|state| CertificateState::ALL.iter().position(|one| one == state));
        states
    }

    /// The one certificate of a device in a state.
    pub(crate) async fn in_state(&self, device: DeviceId, state: CertificateState) -> CertificateRow {
        let rows = self.certificates(device).await;
        let found: Vec<_> = rows.into_iter().filter(|row| row.state == state).collect();
        let [one] = found.as_slice() else { panic!("{} certificates are {state}", found.len()) };
        one.clone()
    }

    /// What the doors think of a certificate at this moment.
    pub(crate) async fn standing(&self, row: &CertificateRow) -> Standing {
        self.authority.snapshot().standing(&claim(row), self.now())
    }

    /// The events in the audit about a device, oldest first.
    pub(crate) async fn events(&self, device: DeviceId) -> Vec<AuditEvent> {
        let entries = self.audit(AuditFilter { device: Some(device), ..AuditFilter::default() }).await;
        entries.into_iter().rev().map(|record| record.event).collect()
    }

    pub(crate) async fn audit(&self, filter: AuditFilter) -> Vec<AuditRecord> {
        let filter = AuditFilter { limit: 1000, ..filter };
        self.authority.audit(&self.view(), filter).await.unwrap()
    }

    // What a device does.

    pub(crate) async fn caller(&self, device: &Device) -> AgentCaller {
        self.authority.authenticate_agent(&device.token).await.unwrap()
    }

    /// Renews over the active certificate.
    pub(crate) async fn renew(&self, device: &Device, key: &TestKey) -> Result<Renewed, RenewError> {
        let caller = self.caller(device).await;
        let shown = self.in_state(device.id, CertificateState::Active).await;
        let possession = Possession::Handshake(claim(&shown));
        self.authority.renew(&caller, &Csr::of(key).pem, &possession).await
    }

    /// Renews by a signature with `signer`.
    pub(crate) async fn renew_by_proof(
        &self,
        device: &Device,
        signer: &TestKey,
        key: &TestKey,
    ) -> Result<Renewed, RenewError> {
        let csr = Csr::of(key);
        let possession = self.proof(device, signer, csr.subject()).await;
        let caller = self.caller(device).await;
        self.authority.renew(&caller, &csr.pem, &possession).await
    }

    /// A signature over a fresh challenge.
    pub(crate) async fn proof(&self, device: &Device, signer: &TestKey, subject: ProofSubject) -> Possession {
        let caller = self.caller(device).await;
        let challenge = self.authority.challenge(&caller).await.unwrap();
        let message = ProofMessage {
            subject,
            trust_domain: self.authority.trust_domain(),
            device: device.id,
            challenge: challenge.id,
            nonce: &challenge.nonce,
            expires_at: challenge.expires_at,
        };
        let signature = signer.sign_p256(&message.signing_bytes());
        Possession::Signature { challenge: challenge.id, signature, beside: None }
    }

    /// Confirms over the certificate itself.
    pub(crate) async fn confirm(&self, device: &Device, id: CertificateId) -> Result<(), ConfirmError> {
        let caller = self.caller(device).await;
        let row = self.certificate(id).await;
        self.authority.confirm(&caller, id, &Possession::Handshake(claim(&row))).await
    }

    /// Renews with a fresh key and confirms it.
    pub(crate) async fn renewed(&self, device: Device) -> Device {
        let key = TestKey::generate(KeyKind::P256);
        let renewed = self.renew(&device, &key).await.unwrap();
        self.confirm(&device, renewed.id).await.unwrap();
        Device { key, ..device }
    }

    pub(crate) async fn heartbeat(&self, device: &Device) {
        let caller = self.caller(device).await;
        self.authority.heartbeat(&caller, None, address()).await.unwrap();
        self.authority.flush_presence().await.unwrap();
    }
}

/// Whether this is the copy of the tests that PostgreSQL is for.
pub(crate) fn is_on_postgres() -> bool {
    module_path!().contains("::on_postgres::")
}

/// A PostgreSQL database with every migration, for the houses to copy.
async fn migrated() -> &'static PostgresDatabase {
    static MIGRATED: OnceCell<PostgresDatabase> = OnceCell::const_new();
    let migrate = async || {
        let database = PostgresServer::shared().passing_database();
        let store = Store::open(&database.url().parse().unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        database
    };
    MIGRATED.get_or_init(migrate).await
}

/// A device as its agent knows itself.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) token: String,
    pub(crate) key: TestKey,
}

impl Device {
    pub(crate) fn new(enrolled: &Enrolled, key: TestKey) -> Self {
        Self { id: enrolled.device.id, token: enrolled.token.to_string(), key }
    }
}

fn config(key_encryption_key: PathBuf, issuer: IssuerMode) -> AuthorityConfig {
    AuthorityConfig {
        trust_domain: TrustDomain::default(),
        key_encryption_key: KeySource::File(key_encryption_key),
        token: None,
        issuer,
        public_base_url: None,
        rules: Vec::new(),
        lists: Vec::new(),
        session_life: SESSION,
    }
}

/// A key for one new device, for an hour.
pub(crate) fn wanted_key() -> WantedKey {
    WantedKey {
        tenant: None,
        site: None,
        max_uses: 1,
        life: HOUR,
        approval: Approval::NotNeeded,
        name_pattern: None,
        device: None,
        spki: None,
        networks: Vec::new(),
    }
}

/// What a machine called `hostname` sends.
pub(crate) fn request(enrollment_key: &str, hostname: &str, key: Option<&TestKey>) -> Enrolment {
    Enrolment {
        key: Zeroizing::new(enrollment_key.to_owned()),
        hostname: hostname.to_owned(),
        os_type: "linux".to_owned(),
        os_version: "6.12".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "0.1.0".to_owned(),
        csr: key.map(|key| Csr::of(key).pem),
        name: None,
        hardware_serial: None,
        address: address(),
    }
}

/// A signing request; every one is signed anew, so no two of one key are the same.
pub(crate) struct Csr {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

impl Csr {
    pub(crate) fn of(key: &TestKey) -> Self {
        let der = key.signing_request_der("ignored");
        let body = base64::engine::general_purpose::STANDARD.encode(&der);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            lines.join("\n")
        );
        Self { pem, der }
    }

    /// What a proof for this request is about.
    pub(crate) fn subject(&self) -> ProofSubject {
        ProofSubject::Renew { csr_sha256: sha2::Sha256::digest(&self.der).into() }
    }
}

/// The error of what must not succeed.
pub(crate) fn refused<T, E>(outcome: Result<T, E>) -> E {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}

pub(crate) fn fresh_key() -> TestKey {
    TestKey::generate(KeyKind::P256)
}

pub(crate) fn spki(key: &TestKey) -> SpkiSha256 {
    SpkiSha256::of(key.spki_der())
}

/// What the relying side makes of a certificate.
pub(crate) fn claim(row: &CertificateRow) -> CertificateClaim {
    CertificateClaim {
        reference: row.reference.clone(),
        identity: Identity::new(TrustDomain::default(), row.tenant.clone(), row.device_name.clone()),
        spki: row.spki,
        not_before: row.lifetime.issued_at - MINUTE * 5,
        not_after: row.lifetime.expires_at,
    }
}
