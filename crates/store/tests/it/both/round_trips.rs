//! The smaller records: what is written reads back, and what is taken is taken.

use countersign_core::ids::{RequestId, SecretHash, TenantId, UserId};
use countersign_core::settings::{
    Days, Enforcement, ExpiredCertPolicy, MtlsSettings, OverlapHours, Permission,
};
use countersign_store::{PasswordHash, RefusalRow, Role, SessionRow, TenantRow, UserRow};

use super::fixture::{Fixture, HOUR, insert_tenant, now, read, write};

fn user(email: &str) -> UserRow {
    UserRow {
        id: UserId::random(),
        email: email.into(),
        password_hash: PasswordHash::new("$argon2id$secret".into()),
        role: Role::Owner,
        tenant: None,
        created_at: now(),
        disabled_at: None,
    }
}

#[tokio::test]
async fn the_installation_is_made_once() {
    let fixture = Fixture::new().await;
    let mut installation = read!(fixture.store, |r| r.installation()).unwrap().unwrap();
    installation.node = 9;
    assert!(!write!(fixture.store, |w| w.insert_installation(&installation)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.installation()).unwrap().unwrap().node, 1);
}

#[tokio::test]
async fn a_tenant_reads_back_with_its_settings_and_its_slug_is_taken() {
    let fixture = Fixture::new().await;
    let (id, slug) = (fixture.tenant.id, fixture.tenant.slug.clone());
    let settings = MtlsSettings {
        cert_lifetime_days: Days::new(7).unwrap(),
        expired_cert_policy: ExpiredCertPolicy::Quarantine,
        enforcement: Enforcement::Enforce,
        allow_server_generated_keys: Permission::Allowed,
        allow_bearer_only_renewal: Permission::Allowed,
        renewal_overlap_hours: OverlapHours::new(0).unwrap(),
        recovery_window_days: Some(Days::new(3).unwrap()),
    };
    assert!(write!(fixture.store, |w| w.update_settings(id, &settings)).unwrap());
    let expected = TenantRow { settings, ..fixture.tenant.clone() };
    assert_eq!(read!(fixture.store, |r| r.tenant_by_id(id)).unwrap(), Some(expected.clone()));
    assert_eq!(read!(fixture.store, |r| r.tenant_by_slug(&slug)).unwrap(), Some(expected.clone()));

    let copy = TenantRow { id: TenantId::random(), ..expected.clone() };
    assert!(!write!(fixture.store, |w| w.insert_tenant(&copy)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.tenants()).unwrap(), [expected]);
    let unknown = TenantId::random();
    assert!(!write!(fixture.store, |w| w.update_settings(unknown, &settings)).unwrap());
}

#[tokio::test]
async fn a_sites_short_name_is_unique_in_its_tenant() {
    let fixture = Fixture::new().await;
    let (other, other_site) = insert_tenant(&fixture.store, "other").await;
    let mut copy = fixture.site.clone();
    copy.id = countersign_core::ids::SiteId::random();
    assert!(!write!(fixture.store, |w| w.insert_site(&copy)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.site_by_slug(other.id, "default")).unwrap(), Some(other_site));
    assert_eq!(read!(fixture.store, |r| r.site_by_slug(other.id, "none")).unwrap(), None);
}

#[tokio::test]
async fn people_are_found_by_address_in_any_case_and_print_without_their_hash() {
    let fixture = Fixture::new().await;
    let row = user("Ada@example.org");
    let written = row.clone();
    assert_eq!(read!(fixture.store, |r| r.count_users()).unwrap(), 0);
    assert!(write!(fixture.store, |w| w.insert_user(&written)).unwrap());
    assert!(!write!(fixture.store, |w| w.insert_user(&user("ada@EXAMPLE.org"))).unwrap());
    assert_eq!(read!(fixture.store, |r| r.count_users()).unwrap(), 1);
    assert!(!format!("{row:?}").contains("secret"));
    let id = row.id;
    assert_eq!(read!(fixture.store, |r| r.user(id)).unwrap(), Some(row.clone()));
    assert_eq!(read!(fixture.store, |r| r.user_by_email("ADA@example.org")).unwrap(), Some(row));
    assert_eq!(read!(fixture.store, |r| r.user_by_email("' OR ''='")).unwrap(), None);
}

#[tokio::test]
async fn fails_closed_on_sessions_that_ended_or_whose_person_was_disabled() {
    let fixture = Fixture::new().await;
    let mut disabled = user("gone@example.org");
    disabled.disabled_at = Some(now());
    let active = user("here@example.org");
    let session = |user: &UserRow, token: u8| SessionRow {
        token: SecretHash::from([token; 32]),
        user: user.id,
        created_at: now(),
        expires_at: now() + HOUR,
    };
    let rows = [session(&active, 1), session(&active, 2), session(&disabled, 3)];
    let (users, written) = ([active.clone(), disabled], rows.clone());
    for user in users {
        assert!(write!(fixture.store, |w| w.insert_user(&user)).unwrap());
    }
    for row in written {
        write!(fixture.store, |w| w.insert_session(&row)).unwrap();
    }
    let found = |token: u8, at| {
        let store = fixture.store.clone();
        async move { read!(store, |r| r.session(&SecretHash::from([token; 32]), at)).unwrap() }
    };
    assert_eq!(found(1, now()).await, Some((rows[0].clone(), active.clone())));
    assert_eq!(found(1, now() + HOUR).await, None, "ended");
    assert_eq!(found(3, now()).await, None, "disabled");
    assert_eq!(found(9, now()).await, None, "unknown");

    let token = SecretHash::from([1; 32]);
    assert!(write!(fixture.store, |w| w.delete_session(&token)).unwrap());
    assert_eq!(found(1, now()).await, None);
    let id = active.id;
    assert_eq!(write!(fixture.store, |w| w.delete_sessions_of(id)).unwrap(), 1);
    assert_eq!(write!(fixture.store, |w| w.prune_sessions(now())).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.prune_sessions(now() + HOUR)).unwrap(), 1);
}

#[tokio::test]
async fn an_enrolment_key_reads_back_by_hash_and_in_its_tenants_list() {
    let fixture = Fixture::new().await;
    let mut key = fixture.new_enrollment_key(2);
    key.name_pattern = Some("kiosk-*".into());
    key.device = Some(fixture.device("d1").await.id);
    key.spki = Some([4; 32].into());
    let row = key.clone();
    write!(fixture.store, |w| w.insert_enrollment_key(&row)).unwrap();
    let (hash, tenant) = (key.key, key.tenant);
    assert_eq!(read!(fixture.store, |r| r.enrollment_key_by_hash(&hash)).unwrap(), Some(key.clone()));
    assert_eq!(read!(fixture.store, |r| r.enrollment_keys(tenant)).unwrap(), [key]);
    let elsewhere = TenantId::random();
    assert!(read!(fixture.store, |r| r.enrollment_keys(elsewhere)).unwrap().is_empty());
}

#[tokio::test]
async fn refusals_are_explained_for_a_while() {
    let fixture = Fixture::new().await;
    let refusal = RefusalRow {
        id: RequestId::random(),
        at: now(),
        code: "MTLS_REQUIRED".into(),
        facts: serde_json::json!({"route": "/api/v1/agents/x/heartbeat", "shown": null}),
    };
    let second = RefusalRow { code: "OTHER".into(), ..refusal.clone() };
    let rows = [refusal.clone(), second];
    write!(fixture.store, |w| w.insert_refusals(&rows)).unwrap();
    let id = refusal.id;
    assert_eq!(read!(fixture.store, |r| r.refusal(id)).unwrap(), Some(refusal));
    assert_eq!(write!(fixture.store, |w| w.prune_refusals(now())).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.prune_refusals(now() + HOUR)).unwrap(), 1);
    assert_eq!(read!(fixture.store, |r| r.refusal(id)).unwrap(), None);
}
