//! Copying from SQLite loses nothing, or does not happen.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::crl_scope::CrlScope;
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::door_work::Slot;
use countersign_core::expiry::ExpiryStep;
use countersign_core::ids::{
    ApiTokenId, AuthorityId, ChallengeId, PasskeyId, RequestId, RotationId, SelectionId, TrustBundleHash,
    UpstreamIntentId, UserId,
};
use countersign_core::rotation::{Canary, RenewalCall, RotationStep};
use countersign_core::scope::{Scope, Scopes};
use countersign_core::snapshot::UnprovedPeriod;
use countersign_store::{
    AgentReport, ApiTokenRow, AuditFilter, CertificateSummary, ChallengeRow, CopyError, CopyReport, CrlRow,
    DeniedKeyRow, DeviceFilter, EdgeReportRow, IssuerRole, IssuerRow, KeptKey, OVER_CERTIFICATE, OidcSubject,
    Origin, PasskeyChallenge, PasskeyPurpose, PasskeyRow, PasswordHash, PasswordTokenRow, Presence,
    ProvisioningTokenRow, RefusalRow, RevocationSelector, Role, RotationRow, SealedServiceKey,
    SecondFactorPolicy, SelectionRow, ServiceCertificateFilter, ServiceCertificateRow, SessionRow,
    StagedTokenRow, Store, StoreError, StoreUrl, TelemetryFilter, TotpKeyRow, TraitKind, TrustBundleReport,
    UnprovedPeriodRow, UpstreamCertificateRow, UpstreamIntentRow, UpstreamRevocationRow, UsageRow, UserRow,
    copy,
};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::on_sqlite::alerts::{alert, delivery, silence};
use crate::on_sqlite::anchors;
use crate::on_sqlite::audit_cuts;
use crate::on_sqlite::audit_streams;
use crate::on_sqlite::ca_requests::request;
use crate::on_sqlite::commands::new_command;
use crate::on_sqlite::edges::{edge, snapshot_key};
use crate::on_sqlite::fixture::{
    DAY, Fixture, HOUR, device_ca, issuer, now, random, read, reference, whole, write,
};
use crate::on_sqlite::foreign_trusts::partner;
use crate::on_sqlite::jobs_and_shadows::{new_job, part};
use crate::on_sqlite::messages::{new_telemetry, set_aside};
use crate::on_sqlite::monitors::monitor;
use crate::on_sqlite::rules;
use crate::on_sqlite::service_certificates::server;
use crate::postgres::database::Database;
use crate::sqlite::database::drop_audit_triggers;

async fn copied(from: &StoreUrl, to: &Database) -> Result<CopyReport, CopyError> {
    copy(from, &to.url(), |_progress| ()).await
}

/// A database in which no table is empty.
pub(super) async fn filled() -> Fixture {
    let fixture = Fixture::new().await;
    for status in DeviceStatus::ALL {
        let mut device = fixture.new_device(status.as_str());
        device.status = status;
        device.hostname = "ünïcode \"quoted\" 'host'".into();
        device.pending_key = Some(vec![0, 1, 255]);
        if status == DeviceStatus::Quarantined {
            device.quarantined_at = Some(now());
            device.quarantined_reason = Some(QuarantineReason::known(QuarantineReason::EXPIRED));
        }
        let row = device.clone();
        write!(fixture.store, |w| w.insert_device(&row)).unwrap();
        for state in
            [CertificateState::Active, CertificateState::PendingActivation, CertificateState::Superseded]
        {
            fixture.certificate(&device, state).await;
        }
        let entry =
            AuditEntry::new(Some("acme".parse().unwrap()), now(), AuditEvent::DeviceEnrolled, Actor::System);
        let (id, tenant) = (device.id, device.tenant);
        let summary = CertificateSummary {
            serial: "0a".parse().unwrap(),
            issuer: Some(issuer()),
            issued_at: now(),
            expires_at: now() + DAY + std::time::Duration::from_millis(7),
        };
        let heard = Presence { device: id, at: now(), ip: Some([10, 0, 0, 1].into()), agent_version: None };
        let command = new_command(id);
        let bundle = TrustBundleReport { sha256: TrustBundleHash::of("pem"), at: now() };
        let report = AgentReport { config_version: Some(7), trust_bundle: Some(bundle) };
        let challenge =
            ChallengeRow { id: ChallengeId::random(), device: id, nonce: "n".into(), expires_at: now() };
        let provisioning = ProvisioningTokenRow {
            serial: reference().serial,
            device: id,
            token: random().into(),
            set_at: now(),
        };
        let staged = StagedTokenRow {
            device: id,
            token: random().into(),
            replaces: random().into(),
            expires_at: now() + DAY,
        };
        let done = fixture.store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                let entry = entry.device(id).detail("requestId", RequestId::random());
                w.append_audit(&entry.detail("text", "ä\0\n")).await?;
                w.append_audit(&AuditEntry::new(None, now(), AuditEvent::LoginFailed, Actor::System)).await?;
                w.set_certificate_summary(id, &summary).await?;
                w.record_presence(&[heard]).await?;
                w.insert_challenge(&challenge, now(), 8).await?;
                w.insert_command(&command).await?;
                w.record_report(id, &report).await?;
                let key = DeniedKeyRow { spki: random().into(), tenant, device: id, at: now() };
                w.insert_denied_key(&key).await?;
                w.insert_denied_trait(tenant, TraitKind::Hostname, "evil").await?;
                w.stage_token(&staged).await?;
                w.insert_provisioning_token(&provisioning).await?;
                w.record_usage(&[UsageRow { device: id, outcome: OVER_CERTIFICATE.into(), at: now() }])
                    .await?;
                w.device_trust_changed(id).await?;
                Ok(())
            })
        });
        done.await.unwrap();
    }
    let other = fixture.device("d1").await;
    let active = fixture.certificate(&other, CertificateState::Active).await;
    fixture.revoke(&active).await;
    fixture.enrollment_key(3).await;
    fill_the_rest(&fixture).await;
    fill_how_people_sign_in(&fixture).await;
    fill_the_pki(&fixture).await;
    fill_what_another_ca_signed(&fixture).await;
    fill_what_is_watched(&fixture).await;
    anchor(&fixture).await;
    fixture
}

async fn anchor(fixture: &Fixture) {
    let done = fixture.store.write::<_, StoreError, _>(|w| {
        Box::pin(async move {
            w.insert_anchor_key(&anchors::key()).await?;
            let ends = w.audit_heads().await?;
            let end = ends.last().unwrap().clone();
            w.insert_anchor(&anchors::anchor(1, ends)).await?;
            w.cut_audit(&audit_cuts::cut(end)).await.map(drop)
        })
    });
    done.await.unwrap();
}

async fn fill_the_rest(fixture: &Fixture) {
    let user = UserRow {
        id: UserId::random(),
        email: "Owner@Example".into(),
        password_hash: PasswordHash::new("$argon2id$x".into()),
        role: Role::Owner,
        tenant: Some(fixture.tenant.id),
        created_at: now(),
        disabled_at: Some(now()),
    };
    let session = SessionRow { token: random().into(), user: user.id, created_at: now(), expires_at: now() };
    let api_token = ApiTokenRow {
        id: ApiTokenId::random(),
        token: random().into(),
        user: user.id,
        user_email: user.email.clone(),
        name: "CI".into(),
        role: Role::Viewer,
        tenant: Some(fixture.tenant.id),
        tenant_slug: Some(fixture.tenant.slug.clone()),
        scopes: Scopes::new([Scope::DevicesRead, Scope::AuditRead]),
        created_at: now(),
        expires_at: now() + DAY,
        last_used_at: Some(now()),
        revoked_at: None,
    };
    let password_token = PasswordTokenRow {
        user: user.id,
        token: random().into(),
        created_at: now(),
        expires_at: now() + DAY,
    };
    let refusal = RefusalRow {
        id: RequestId::random(),
        at: now(),
        code: "X".into(),
        facts: serde_json::json!({"a": [1, "ü"]}),
    };
    let selection = SelectionRow {
        id: SelectionId::random(),
        actor: "user:x".into(),
        selector: RevocationSelector::Keys(vec![random().into()]),
        scope: Some(fixture.tenant.id),
        reason: RevocationReason::KeyCompromise,
        digest: "d".into(),
        expires_at: now() + DAY,
    };
    let intent = countersign_store::IntentRow {
        reference: reference(),
        device: None,
        profile: "device".into(),
        at: now(),
        expires_at: now() + DAY,
    };
    let done = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_user(&user).await?;
            w.insert_session(&session).await?;
            w.insert_api_token(&api_token).await?;
            w.put_password_token(&password_token).await?;
            w.insert_refusals(&[refusal]).await?;
            w.insert_selection(&selection, now()).await?;
            w.insert_intent(&intent).await
        })
    });
    done.await.unwrap();
}

async fn fill_how_people_sign_in(fixture: &Fixture) {
    let done = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            let user = w.user_by_email("owner@example").await?.unwrap();
            let key = TotpKeyRow {
                user: user.id,
                sealed_key: vec![1, 0, 255],
                created_at: now(),
                confirmed_at: Some(now()),
                last_step: 7,
            };
            w.put_totp_key(&key).await?;
            w.put_recovery_codes(user.id, &[random().into(), random().into()]).await?;
            w.insert_begun_sign_in(&random().into(), user.id, now() + DAY).await?;
            let passkey = PasskeyRow {
                id: PasskeyId::random(),
                user: user.id,
                name: "Schlüssel".into(),
                credential: vec![255, 0, 1],
                public_key: vec![48, 0],
                sign_count: 7,
                created_at: now(),
                last_used_at: Some(now()),
            };
            w.insert_passkey(&passkey).await?;
            let (purpose, hash) = (PasskeyPurpose::Show, random().into());
            let challenge = PasskeyChallenge { user: user.id, purpose, hash };
            w.put_passkey_challenge(&challenge, now() + DAY).await?;
            let named = OidcSubject { issuer: "https://id.example.com".into(), subject: "Ü".into() };
            w.insert_oidc_link(&named, user.id, now()).await?;
            w.set_second_factor_policy(SecondFactorPolicy::Required).await.map(drop)
        })
    });
    done.await.unwrap();
}

async fn fill_the_pki(fixture: &Fixture) {
    let issuing = device_ca(issuer(), "device");
    let token = KeptKey::Pkcs11("pkcs11:token=example;object=web".to_owned());
    let below = IssuerRow {
        role: IssuerRole::Intermediate,
        parent: Some(issuer()),
        environment: Some("staging".parse().unwrap()),
        key: token,
        ..device_ca([8; 32].into(), "web")
    };
    let devices = DeviceFilter { limit: 1, ..DeviceFilter::default() };
    let devices = read!(fixture.store, |r| r.list_devices(&devices)).unwrap().devices;
    let chosen: Vec<_> = devices.iter().map(|device| device.id).collect();
    let moved = *chosen.first().unwrap();
    let service = server("web");
    let imported = ServiceCertificateRow { origin: Origin::Imported, ..server("brought") };
    let key = SealedServiceKey { id: imported.id, spki: imported.spki, sealed_key: vec![1, 2] };
    let crl = CrlRow {
        issuer: issuer(),
        scope: CrlScope::Whole,
        number: 1,
        this_update: now(),
        next_update: now() + DAY,
        der: vec![1],
    };
    let rotation = RotationRow {
        id: RotationId::random(),
        old: issuing.key_id,
        new: below.key_id,
        step: RotationStep::Canary,
        canary: Some(Canary::Percent(5)),
        prepared_at: now(),
        prepared_epoch: 7,
        activated_at: None,
        ended_at: None,
        renewal: Some(RenewalCall { from: now(), over: HOUR }),
    };
    let edges = EdgeReportRow {
        authority: AuthorityId::random(),
        edges: 2,
        applied_epoch: 7,
        door_issuer: Some(issuer()),
        presence: 3,
        at: now(),
    };
    let period = UnprovedPeriod { from: now() - HOUR, until: now() };
    let unproved = UnprovedPeriodRow { issuer: issuer(), period };
    let done = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_issuer(&issuing).await?;
            w.insert_issuer(&below).await?;
            w.insert_ca_request(&request([7; 32], "waiting")).await?;
            w.insert_service_certificate(&service).await?;
            w.insert_service_certificate(&imported).await?;
            w.set_service_chain(imported.id, "-----BEGIN CERTIFICATE-----").await?;
            w.keep_service_key(&key).await?;
            w.insert_unproved_period(unproved, now()).await?;
            w.insert_rotation(&rotation).await?;
            w.set_rotation_devices(rotation.id, &chosen).await?;
            w.put_edge_report(&edges, now()).await?;
            w.put_door_work("edge/process", &BTreeMap::from([(Slot::new(7), 8)])).await?;
            w.note_network(moved, ("192.0.2.0/24", "2001:db8::/48"), now()).await?;
            w.next_crl_numbers(issuing.key_id, 1).await?;
            w.save_crl(&crl).await.map(|_first| ())
        })
    });
    done.await.unwrap();
}

async fn fill_what_another_ca_signed(fixture: &Fixture) {
    let upstream = UpstreamIntentRow {
        id: UpstreamIntentId::random(),
        zone: "zone".into(),
        spki: random().into(),
        device: None,
        at: now(),
    };
    let named = UpstreamCertificateRow { reference: reference(), zone: "zone".into(), id: "id-1".into() };
    let done = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_upstream_intent(&upstream).await?;
            w.insert_upstream_certificate(&named).await?;
            w.queue_upstream_revocation("zone", "id-1", now()).await?;
            let claimed = w.claim_upstream_revocations("zone", (now(), now() + DAY), 1).await?;
            let asked = claimed.first().cloned().map(|row| UpstreamRevocationRow {
                asked_at: Some(now()),
                problem: Some("failing".into()),
                ..row
            });
            w.put_back_upstream_revocation(&asked.unwrap(), now() + DAY).await?;
            w.queue_upstream_revocation("zone", "id-2", now()).await?;
            w.finish_upstream_revocation("zone", "id-2", now()).await.map(drop)
        })
    });
    done.await.unwrap();
}

async fn fill_what_is_watched(fixture: &Fixture) {
    let device = fixture.device("talks").await;
    let done = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.put_monitor(&monitor("web")).await?;
            let raised = alert("quarantine", "acme");
            w.raise_alert(&raised).await?;
            w.queue_delivery(&delivery(&raised, "on-call")).await?;
            w.insert_silence(&silence(now() + DAY)).await?;
            w.keep_rules(&rules::revision(1), 9).await?;
            w.begin_audit_stream("siem", 3, now()).await?;
            let taken = w.take_audit_stream("siem", (now(), now() + DAY)).await?;
            w.put_off_audit_stream(&taken.unwrap(), &audit_streams::failure(), now()).await?;
            w.insert_telemetry(&device, &new_telemetry("{}")).await?;
            w.insert_set_aside(&set_aside(Some(&device)), 1).await?;
            w.release_set_aside(1, now(), 1).await?;
            w.desire(device.id, &serde_json::json!({ "a": 1 }), now()).await?;
            let job = new_job(&device);
            w.insert_job(&job).await?;
            w.insert_command(&part(&job, &device)).await?;
            let edge = edge("berlin");
            w.insert_edge(&edge).await?;
            w.insert_edge_certificate(edge.id, &reference()).await?;
            w.insert_snapshot_key(&snapshot_key()).await?;
            w.add_foreign_trust(&partner("partner")).await?;
            w.note_expiry_of_issued("a:1", ExpiryStep::Week, (now() + DAY, now())).await?;
            w.count_expiring_until(ExpiryStep::Week, None, now() + DAY).await.map(drop)
        })
    });
    done.await.unwrap();
}

/// Everything that can be read of a store, as text.
pub(super) async fn everything(store: &Store) -> Vec<String> {
    let devices = DeviceFilter { limit: 1000, ..DeviceFilter::default() };
    let audit = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let mut facts = Vec::new();
    let material = read!(store, |r| r.trust_material(now())).unwrap();
    // Sets are in no order.
    let sets: BTreeSet<String> = std::iter::empty()
        .chain(material.tenants.iter().map(|item| format!("{item:?}")))
        .chain(material.barred.iter().map(|item| format!("{item:?}")))
        .chain(material.superseded.iter().map(|item| format!("{item:?}")))
        .chain(material.pending.iter().map(|item| format!("{item:?}")))
        .chain(material.revocations.iter().map(|item| format!("{item:?}")))
        .chain(material.unproved.iter().map(|item| format!("{item:?}")))
        .chain(material.proved.iter().map(|item| format!("proved {item:?}")))
        .chain(material.denied_keys.iter().map(|item| format!("{item:?}")))
        .collect();
    facts.push(format!("{:?}", material.version));
    facts.extend(sets);
    let page = read!(store, |r| r.list_devices(&devices)).unwrap();
    for device in &page.devices {
        let id = device.id;
        facts.push(format!("{device:?} {:?}", read!(store, |r| r.certificates_of(id)).unwrap()));
        facts.push(format!("{:?}", read!(store, |r| r.list_commands(id, None, 100)).unwrap()));
        facts.push(format!("{:?}", read!(store, |r| r.shadow(id)).unwrap()));
    }
    facts.push(format!("{:?}", read!(store, |r| r.audit_entries(&audit)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.verify_audit()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.issuers()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.ca_requests()).unwrap()));
    let services = ServiceCertificateFilter { limit: 10, ..ServiceCertificateFilter::default() };
    facts.push(format!("{:?}", read!(store, |r| r.service_certificate_page(&services)).unwrap()));
    for key in read!(store, |r| r.sealed_service_keys()).unwrap() {
        facts.push(format!("{key:?} {:?}", key.sealed_key));
    }
    facts.push(format!("{:?}", read!(store, |r| r.latest_crl(whole())).unwrap()));
    for rotation in read!(store, |r| r.open_rotations()).unwrap() {
        let chosen = read!(store, |r| r.rotation_devices(rotation.id)).unwrap();
        facts.push(format!("{rotation:?} {chosen:?}"));
    }
    facts.push(format!("{:?}", read!(store, |r| r.edge_reports(now())).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.door_work(Slot::new(0))).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.new_networks(now() - DAY, 10)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.unfinished_intents()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.user_by_email("owner@example")).unwrap()));
    for key in read!(store, |r| r.totp_keys()).unwrap() {
        facts.push(format!("{key:?} {:?}", key.sealed_key));
        facts.push(format!("{:?}", read!(store, |r| r.count_recovery_codes(key.user)).unwrap()));
        facts.push(format!("{:?}", read!(store, |r| r.passkeys(key.user)).unwrap()));
    }
    facts.push(format!("{:?}", read!(store, |r| r.people_of_oidc()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.second_factor_policy()).unwrap()));
    let web = "web".parse().unwrap();
    facts.push(format!("{:?}", read!(store, |r| r.monitor(&web, "web.example.com:443")).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.open_alerts()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.silences(now())).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.audit_streams()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.rule_revisions(9)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.audit_cuts()).unwrap()));
    let filter = TelemetryFilter { limit: 100, ..TelemetryFilter::default() };
    facts.push(format!("{:?}", read!(store, |r| r.telemetry(&filter)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.set_aside_message(1)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.list_jobs(None, None, 100)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.foreign_trusts()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.counted_until(ExpiryStep::Week)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.anchor_key()).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.anchors(None, 100)).unwrap()));
    facts.push(format!("{:?}", read!(store, |r| r.installation()).unwrap()));
    facts
}

#[tokio::test]
async fn everything_arrives_as_it_was() {
    let fixture = filled().await;
    let before = everything(&fixture.store).await;
    fixture.store.close().await;
    let target = Database::new();
    let mut steps = Vec::new();
    let report = copy(&fixture.url, &target.url(), |step| steps.push((step.done, step.total))).await.unwrap();

    assert!(steps.is_sorted() && steps.last().is_some_and(|(done, total)| done == total), "{steps:?}");
    let mut source = fixture.intruder().await;
    for table in &report.tables {
        let count = format!("SELECT count(*) FROM {}", table.name);
        let rows: i64 = source.fetch_one(AssertSqlSafe(count.clone())).await.unwrap().get(0);
        let there: i64 = target.intruder().await.fetch_one(AssertSqlSafe(count)).await.unwrap().get(0);
        assert_eq!((rows, there), (there, i64::try_from(table.rows).unwrap()), "{}", table.name);
        assert!(table.rows > 0, "{} is in no test", table.name);
    }
    let store = Store::open(&target.url()).await.unwrap();
    assert_eq!(everything(&store).await, before);
    assert_eq!(report.chains, read!(store, |r| r.verify_audit()).unwrap().chains);

    // And the records go on from there.
    let entry = AuditEntry::new(None, now(), AuditEvent::LoginFailed, Actor::System);
    write!(store, |w| w.append_audit(&entry)).unwrap();
    assert!(read!(store, |r| r.verify_audit()).unwrap().is_intact());
    let (number, key) = (write!(store, |w| w.next_crl_numbers(issuer(), 1)).unwrap(), issuer());
    assert_eq!((number, key), (2, issuer()));
    let reopened = Store::open(&fixture.url).await.unwrap();
    assert_eq!(everything(&reopened).await, before, "the source is as it was");
}

#[tokio::test]
async fn a_target_with_records_is_left_alone() {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    let target = Database::new();
    copied(&fixture.url, &target).await.unwrap();
    let again = copied(&fixture.url, &target).await.unwrap_err();
    assert!(matches!(again, CopyError::NotEmpty { .. }), "{again}");
    let adopted = Database::new();
    let devices = "CREATE TABLE devices (id uuid); INSERT INTO devices VALUES (gen_random_uuid())";
    adopted.intruder().await.execute(sqlx::raw_sql(devices)).await.unwrap();
    let refused = copied(&fixture.url, &adopted).await.unwrap_err();
    assert!(matches!(&refused, CopyError::NotEmpty { .. }), "{refused}");
}

#[tokio::test]
async fn a_source_that_is_open_or_not_there_is_not_copied() {
    let fixture = Fixture::new().await;
    let target = Database::new();
    let open = copied(&fixture.url, &target).await.unwrap_err();
    assert!(matches!(open, CopyError::Open(StoreError::Locked(_))), "{open:?}");
    let none = StoreUrl::sqlite(fixture.database.directory.path().join("none.db"));
    let missing = copied(&none, &target).await.unwrap_err();
    assert!(matches!(missing, CopyError::Open(StoreError::Open { .. })), "{missing:?}");
    assert!(!none.path().unwrap().exists());
    let backwards = copy(&target.url(), &fixture.url, |_| ()).await.unwrap_err();
    assert!(matches!(backwards, CopyError::Direction { .. }), "{backwards}");
}

/// Whatever goes wrong, even after some tables, leaves a target into which a copy still fits.
#[tokio::test]
async fn what_cannot_be_copied_leaves_the_target_empty() {
    for (damage, wanted) in [
        ("UPDATE audit_entries SET details = '{\"more\":\"1\"}' WHERE sequence = 1", "audit log is broken"),
        ("UPDATE devices SET id = 'no uuid' WHERE name = 'd1'", "corrupt value in devices.id"),
        ("UPDATE tenants SET created_at = 9223372036854775", "corrupt value in tenants.created_at"),
        ("UPDATE sessions SET user_id = '00000000-0000-4000-8000-000000000000'", "cannot copy sessions"),
        ("DELETE FROM schema_migrations WHERE version = 2", "run countersign migrate"),
        ("CREATE TABLE extra (x TEXT)", "extra.x is not known"),
    ] {
        let fixture = filled().await;
        fixture.store.close().await;
        let mut intruder = fixture.intruder().await;
        drop_audit_triggers(&mut intruder).await;
        intruder.execute(damage).await.unwrap();
        drop(intruder);
        let target = Database::new();
        let refused = copied(&fixture.url, &target).await.unwrap_err();
        assert!(refused.to_string().contains(wanted), "{damage}: {refused}");
        let good = Fixture::new().await;
        good.store.close().await;
        copied(&good.url, &target).await.unwrap();
    }
}
