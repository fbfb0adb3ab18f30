//! People's records: API tokens and one-time tokens that fail closed, owners that are counted, sites that
//! leave nothing behind.

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{ApiTokenId, PasskeyId, SecretHash, SiteId, UserId};
use countersign_core::scope::{Scope, Scopes};
use countersign_store::{
    ApiTokenFilter, ApiTokenRow, DeviceFilter, OidcSubject, PasskeyChallenge, PasskeyPurpose, PasskeyRow,
    PasswordHash, PasswordTokenRow, Role, SecondFactorPolicy, SessionRow, SiteFilter, SiteRow, TotpKeyRow,
    UserRow,
};

use super::fixture::{DAY, Fixture, HOUR, insert_tenant, now, random, read, write};

async fn person(fixture: &Fixture, email: &str, role: Role) -> UserRow {
    let user = UserRow {
        id: UserId::random(),
        email: email.into(),
        password_hash: PasswordHash::new("$argon2id$x".into()),
        role,
        tenant: None,
        created_at: now(),
        disabled_at: None,
    };
    let row = user.clone();
    assert!(write!(fixture.store, |w| w.insert_user(&row)).unwrap());
    user
}

async fn update(fixture: &Fixture, user: &UserRow) {
    let row = user.clone();
    assert!(write!(fixture.store, |w| w.update_user(&row)).unwrap());
}

async fn api_token(fixture: &Fixture, user: &UserRow, minutes: u32) -> ApiTokenRow {
    let token = ApiTokenRow {
        id: ApiTokenId::random(),
        token: SecretHash::from(random()),
        user: user.id,
        user_email: user.email.clone(),
        name: "CI".into(),
        role: Role::Viewer,
        tenant: Some(fixture.tenant.id),
        tenant_slug: Some(fixture.tenant.slug.clone()),
        scopes: Scopes::new([Scope::DevicesRead, Scope::AuditRead]),
        created_at: now() + HOUR / 60 * minutes,
        expires_at: now() + DAY,
        last_used_at: None,
        revoked_at: None,
    };
    let row = token.clone();
    write!(fixture.store, |w| w.insert_api_token(&row)).unwrap();
    token
}

#[tokio::test]
async fn fails_closed_on_api_tokens_that_ended_or_whose_person_was_disabled() {
    let fixture = Fixture::new().await;
    let mut ada = person(&fixture, "ada@example.org", Role::Admin).await;
    let (one, two) = (api_token(&fixture, &ada, 0).await, api_token(&fixture, &ada, 1).await);
    let found = |token: SecretHash, at| {
        let store = fixture.store.clone();
        async move { read!(store, |r| r.live_api_token(&token, at)).unwrap() }
    };
    assert_eq!(found(one.token, now()).await, Some((one.clone(), ada.clone())));
    assert_eq!(found(one.token, now() + DAY).await, None, "ended");
    assert_eq!(found(SecretHash::from(random()), now()).await, None, "unknown");
    let id = one.id;
    assert!(write!(fixture.store, |w| w.revoke_api_token(id, now())).unwrap());
    assert!(!write!(fixture.store, |w| w.revoke_api_token(id, now())).unwrap(), "once");
    assert_eq!(found(one.token, now()).await, None, "revoked");
    assert_eq!(read!(fixture.store, |r| r.api_token(id)).unwrap().unwrap().revoked_at, Some(now()));
    ada.disabled_at = Some(now());
    update(&fixture, &ada).await;
    assert_eq!(found(two.token, now()).await, None, "disabled");
    let user = ada.id;
    let revoked = write!(fixture.store, |w| w.revoke_api_tokens_of(user, now())).unwrap();
    assert_eq!(revoked, [two.id], "those that still worked");
}

#[tokio::test]
async fn api_tokens_are_listed_by_person_and_by_the_tenant_of_their_people() {
    let fixture = Fixture::new().await;
    let ada = person(&fixture, "ada@example.org", Role::Admin).await;
    let mut bob = person(&fixture, "bob@example.org", Role::Viewer).await;
    bob.tenant = Some(fixture.tenant.id);
    update(&fixture, &bob).await;
    let old = api_token(&fixture, &ada, 0).await;
    let (new, bobs) = (api_token(&fixture, &ada, 2).await, api_token(&fixture, &bob, 1).await);
    let list = async |filter| read!(fixture.store, |r| r.api_tokens(filter)).unwrap();
    assert_eq!(list(ApiTokenFilter::default()).await, [new.clone(), bobs.clone(), old.clone()]);
    let own = ApiTokenFilter { user: Some(ada.id), of_people_in: None };
    assert_eq!(list(own).await, [new, old.clone()]);
    let tenants = ApiTokenFilter { user: None, of_people_in: Some(fixture.tenant.id) };
    assert_eq!(list(tenants).await, [bobs]);

    let id = old.id;
    for (at, expected) in [(now() + HOUR, now() + HOUR), (now(), now() + HOUR), (now() + DAY, now() + DAY)] {
        write!(fixture.store, |w| w.api_token_used(id, at)).unwrap();
        let used = read!(fixture.store, |r| r.api_token(id)).unwrap().unwrap().last_used_at;
        assert_eq!(used, Some(expected), "never earlier");
    }
}

#[tokio::test]
async fn a_one_time_token_is_taken_once_in_time_and_replaced_by_the_next() {
    let fixture = Fixture::new().await;
    let user = person(&fixture, "ada@example.org", Role::Viewer).await.id;
    let put = async || {
        let token = SecretHash::from(random());
        let row = PasswordTokenRow { user, token, created_at: now(), expires_at: now() + DAY };
        write!(fixture.store, |w| w.put_password_token(&row)).unwrap();
        token
    };
    let take =
        async |token: SecretHash, at| write!(fixture.store, |w| w.take_password_token(&token, at)).unwrap();
    let (replaced, token) = (put().await, put().await);
    assert_eq!(read!(fixture.store, |r| r.password_token(&replaced, now())).unwrap(), None);
    assert_eq!(read!(fixture.store, |r| r.password_token(&token, now())).unwrap(), Some(user));
    assert_eq!(read!(fixture.store, |r| r.password_token(&token, now() + DAY)).unwrap(), None, "over");
    assert_eq!(take(replaced, now()).await, None);
    assert_eq!(take(token, now() + DAY).await, None, "over");
    assert_eq!(take(token, now()).await, Some(user));
    assert_eq!(take(token, now()).await, None, "used");
    put().await;
    assert_eq!(write!(fixture.store, |w| w.prune_password_tokens(now())).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.prune_password_tokens(now() + DAY)).unwrap(), 1);
    put().await;
    assert!(write!(fixture.store, |w| w.delete_password_token_of(user)).unwrap());
    assert!(!write!(fixture.store, |w| w.delete_password_token_of(user)).unwrap());
}

#[tokio::test]
async fn only_owners_of_everything_who_can_sign_in_are_counted() {
    let fixture = Fixture::new().await;
    let first = person(&fixture, "first@example.org", Role::Owner).await;
    let mut second = person(&fixture, "second@example.org", Role::Owner).await;
    person(&fixture, "admin@example.org", Role::Admin).await;
    let besides = async |id| read!(fixture.store, |r| r.count_owners_besides(id)).unwrap();
    assert_eq!(besides(first.id).await, 1);
    assert_eq!(besides(UserId::random()).await, 2);
    second.tenant = Some(fixture.tenant.id);
    update(&fixture, &second).await;
    assert_eq!(besides(first.id).await, 0, "bound");
    (second.tenant, second.disabled_at) = (None, Some(now()));
    update(&fixture, &second).await;
    assert_eq!(besides(first.id).await, 0, "disabled");
    second.disabled_at = None;
    update(&fixture, &second).await;
    let id = second.id;
    assert!(write!(fixture.store, |w| w.set_password(id, &PasswordHash::none())).unwrap());
    assert_eq!(besides(first.id).await, 0, "invited");
    assert!(read!(fixture.store, |r| r.user(id)).unwrap().unwrap().password_hash.is_none());
    let emails = |users: Vec<UserRow>| users.into_iter().map(|user| user.email).collect::<Vec<_>>();
    let all = emails(read!(fixture.store, |r| r.users(None)).unwrap());
    assert_eq!(all, ["admin@example.org", "first@example.org", "second@example.org"]);
    let tenant = fixture.tenant.id;
    assert!(read!(fixture.store, |r| r.users(Some(tenant))).unwrap().is_empty());
}

#[tokio::test]
async fn the_other_sessions_of_a_person_end_and_one_stays() {
    let fixture = Fixture::new().await;
    let (ada, bob) = (
        person(&fixture, "ada@example.org", Role::Viewer).await,
        person(&fixture, "bob@example.org", Role::Viewer).await,
    );
    for (token, user) in [(1, &ada), (2, &ada), (3, &bob)] {
        let token = SecretHash::from([token; 32]);
        let row = SessionRow { token, user: user.id, created_at: now(), expires_at: now() + HOUR };
        write!(fixture.store, |w| w.insert_session(&row)).unwrap();
    }
    let (id, kept) = (ada.id, SecretHash::from([1; 32]));
    assert_eq!(write!(fixture.store, |w| w.delete_sessions_besides(id, &kept)).unwrap(), 1);
    for (token, is_there) in [(1, true), (2, false), (3, true)] {
        let token = SecretHash::from([token; 32]);
        assert_eq!(read!(fixture.store, |r| r.session(&token, now())).unwrap().is_some(), is_there);
    }
}

fn totp_key(user: UserId, sealed: u8) -> TotpKeyRow {
    TotpKeyRow { user, sealed_key: vec![sealed], created_at: now(), confirmed_at: None, last_step: 0 }
}

#[tokio::test]
async fn a_key_of_codes_counts_once_confirmed_and_takes_each_step_once() {
    let fixture = Fixture::new().await;
    let user = person(&fixture, "ada@example.org", Role::Viewer).await.id;
    let put = async |key: &TotpKeyRow| {
        let key = key.clone();
        write!(fixture.store, |w| w.put_totp_key(&key)).unwrap()
    };
    let confirm = async |key: &TotpKeyRow, step| {
        let key = key.clone();
        write!(fixture.store, |w| w.confirm_totp_key(&key, step, now())).unwrap()
    };
    let take = async |key: &TotpKeyRow, step| {
        let key = key.clone();
        write!(fixture.store, |w| w.take_totp_step(&key, step)).unwrap()
    };
    let (replaced, key) = (totp_key(user, 1), totp_key(user, 2));
    assert!(put(&replaced).await && put(&key).await);
    assert!(!take(&key, 7).await, "not confirmed");
    assert!(!confirm(&replaced, 7).await, "replaced");
    assert!(confirm(&key, 7).await && !confirm(&key, 8).await, "once");
    assert!(!put(&totp_key(user, 3)).await, "there is one that counts");
    assert!(!take(&key, 7).await && take(&key, 9).await && !take(&key, 9).await && !take(&key, 8).await);
    assert!(!take(&replaced, 10).await);
    let row = read!(fixture.store, |r| r.totp_key(user)).unwrap().unwrap();
    assert_eq!((row.confirmed_at, row.last_step), (Some(now()), 9));
    assert!(!format!("{row:?}").contains("[2]"));
    assert!(write!(fixture.store, |w| w.set_sealed_totp_key(user, &[4])).unwrap());
    assert_eq!(read!(fixture.store, |r| r.totp_keys()).unwrap()[0].sealed_key, [4]);
    assert_eq!(read!(fixture.store, |r| r.people_with_second_factor()).unwrap(), [user]);
    assert!(write!(fixture.store, |w| w.delete_second_factor(user)).unwrap());
    assert!(!write!(fixture.store, |w| w.delete_second_factor(user)).unwrap());
}

fn passkey(user: UserId, credential: u8) -> PasskeyRow {
    PasskeyRow {
        id: PasskeyId::random(),
        user,
        name: "security key".into(),
        credential: vec![credential],
        public_key: vec![credential, 0, 255],
        sign_count: 0,
        created_at: now(),
        last_used_at: None,
    }
}

#[tokio::test]
async fn a_passkey_is_its_owners_and_counts_forwards_alone() {
    let fixture = Fixture::new().await;
    let ada = person(&fixture, "ada@example.org", Role::Viewer).await.id;
    let bob = person(&fixture, "bob@example.org", Role::Viewer).await.id;
    let insert = async |row: &PasskeyRow| {
        let row = row.clone();
        write!(fixture.store, |w| w.insert_passkey(&row)).unwrap()
    };
    let taken = async |id, count| write!(fixture.store, |w| w.take_passkey_use(id, count, now())).unwrap();
    let one = passkey(ada, 1);
    assert!(insert(&one).await && insert(&passkey(ada, 2)).await);
    assert!(!insert(&passkey(bob, 1)).await, "its device made it for somebody else");
    assert_eq!(read!(fixture.store, |r| r.passkeys(ada)).unwrap().len(), 2);
    assert!(read!(fixture.store, |r| r.passkeys(bob)).unwrap().is_empty());
    assert_eq!(read!(fixture.store, |r| r.people_with_second_factor()).unwrap(), [ada]);

    assert!(taken(one.id, 0).await && taken(one.id, 0).await, "a device that does not count");
    assert!(taken(one.id, 3).await);
    for (count, why) in [(3, "as far as before"), (2, "back"), (0, "to nothing")] {
        assert!(!taken(one.id, count).await, "{why}");
    }
    assert!(taken(one.id, 4).await && !taken(PasskeyId::random(), 9).await);
    let kept = read!(fixture.store, |r| r.passkeys(ada)).unwrap();
    assert!(kept.contains(&PasskeyRow { sign_count: 4, last_used_at: Some(now()), ..one.clone() }));

    let remove = async |user, id| write!(fixture.store, |w| w.delete_passkey(user, id)).unwrap();
    assert!(!remove(bob, one.id).await, "somebody else's");
    assert!(remove(ada, one.id).await && !remove(ada, one.id).await);
    assert!(write!(fixture.store, |w| w.delete_second_factor(ada)).unwrap(), "the other one goes too");
    assert!(!write!(fixture.store, |w| w.delete_second_factor(ada)).unwrap());
}

#[tokio::test]
async fn a_challenge_is_its_persons_and_purposes_and_taken_once() {
    let fixture = Fixture::new().await;
    let ada = person(&fixture, "ada@example.org", Role::Viewer).await.id;
    let bob = person(&fixture, "bob@example.org", Role::Viewer).await.id;
    let challenge = |user, purpose, byte| PasskeyChallenge { user, purpose, hash: [byte; 32].into() };
    let put = async |challenge: PasskeyChallenge| {
        write!(fixture.store, |w| w.put_passkey_challenge(&challenge, now() + HOUR)).unwrap();
    };
    let take = async |challenge: PasskeyChallenge, at| {
        write!(fixture.store, |w| w.take_passkey_challenge(&challenge, at)).unwrap()
    };
    let (make, show) = (PasskeyPurpose::Make, PasskeyPurpose::Show);
    put(challenge(ada, make, 1)).await;
    for wrong in [challenge(bob, make, 1), challenge(ada, show, 1), challenge(ada, make, 2)] {
        assert!(!take(wrong, now()).await, "{wrong:?}");
    }
    assert!(!take(challenge(ada, make, 1), now() + HOUR).await, "over");
    assert!(take(challenge(ada, make, 1), now()).await && !take(challenge(ada, make, 1), now()).await);
    put(challenge(ada, show, 3)).await;
    put(challenge(ada, show, 4)).await;
    assert!(!take(challenge(ada, show, 3), now()).await, "replaced");
    assert!(take(challenge(ada, show, 4), now()).await);
}

#[tokio::test]
async fn recovery_codes_are_their_owners_and_taken_once() {
    let fixture = Fixture::new().await;
    let ada = person(&fixture, "ada@example.org", Role::Viewer).await.id;
    let bob = person(&fixture, "bob@example.org", Role::Viewer).await.id;
    let codes = [1, 2, 3].map(|byte| SecretHash::from([byte; 32]));
    let put = async |user, codes: &[SecretHash]| {
        let codes = codes.to_vec();
        write!(fixture.store, |w| w.put_recovery_codes(user, &codes)).unwrap();
    };
    let take = async |user, code| write!(fixture.store, |w| w.take_recovery_code(user, &code)).unwrap();
    put(ada, &codes[..2]).await;
    put(bob, &codes[2..]).await;
    assert!(!take(bob, codes[0]).await, "somebody else's");
    assert!(take(ada, codes[0]).await && !take(ada, codes[0]).await);
    put(ada, &codes[..1]).await;
    assert!(!take(ada, codes[1]).await, "from before");
    assert_eq!(read!(fixture.store, |r| r.count_recovery_codes(ada)).unwrap(), 1);
    write!(fixture.store, |w| w.delete_second_factor(ada)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.count_recovery_codes(ada)).unwrap(), 0);
    assert_eq!(read!(fixture.store, |r| r.count_recovery_codes(bob)).unwrap(), 1);
}

#[tokio::test]
async fn a_sign_in_waits_until_its_time_and_a_policy_tells_who_lacks_what() {
    let fixture = Fixture::new().await;
    let user = person(&fixture, "ada@example.org", Role::Viewer).await.id;
    let begin = async |byte| {
        let token = SecretHash::from([byte; 32]);
        write!(fixture.store, |w| w.insert_begun_sign_in(&token, user, now() + HOUR)).unwrap();
        token
    };
    let found = async |token, at| read!(fixture.store, |r| r.begun_sign_in(&token, at)).unwrap();
    let (one, two) = (begin(1).await, begin(2).await);
    assert_eq!((found(one, now()).await, found(one, now() + HOUR).await), (Some(user), None));
    assert!(write!(fixture.store, |w| w.delete_begun_sign_in(&one)).unwrap());
    assert!(!write!(fixture.store, |w| w.delete_begun_sign_in(&one)).unwrap());
    assert_eq!(write!(fixture.store, |w| w.prune_begun_sign_ins(now())).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.delete_begun_sign_ins_of(user)).unwrap(), 1);
    assert_eq!(found(two, now()).await, None);
    begin(3).await;
    assert_eq!(write!(fixture.store, |w| w.prune_begun_sign_ins(now() + HOUR)).unwrap(), 1);

    let lacks = async || read!(fixture.store, |r| r.lacks_second_factor(user)).unwrap();
    let set = async |policy| write!(fixture.store, |w| w.set_second_factor_policy(policy)).unwrap();
    assert!(!lacks().await && !set(SecondFactorPolicy::Optional).await);
    assert!(set(SecondFactorPolicy::Required).await && lacks().await);
    let key = totp_key(user, 1);
    write!(fixture.store, |w| w.put_totp_key(&key)).unwrap();
    assert!(lacks().await, "not confirmed");
    let key = totp_key(user, 1);
    write!(fixture.store, |w| w.confirm_totp_key(&key, 1, now())).unwrap();
    assert!(!lacks().await);
    write!(fixture.store, |w| w.delete_second_factor(user)).unwrap();
    assert!(lacks().await);
    let passkey = passkey(user, 1);
    write!(fixture.store, |w| w.insert_passkey(&passkey)).unwrap();
    assert!(!lacks().await);
    let policy = read!(fixture.store, |r| r.second_factor_policy()).unwrap();
    assert_eq!(policy, SecondFactorPolicy::Required);
}

#[tokio::test]
async fn a_providers_name_is_one_persons_and_frees_them_from_a_second_factor_here() {
    let fixture = Fixture::new().await;
    let ada = person(&fixture, "ada@example.org", Role::Viewer).await;
    let bob = person(&fixture, "bob@example.org", Role::Viewer).await;
    let named = |issuer: &str, subject: &str| OidcSubject { issuer: issuer.into(), subject: subject.into() };
    let link = async |named: &OidcSubject, user: &UserRow| {
        let (named, user) = (named.clone(), user.id);
        write!(fixture.store, |w| w.insert_oidc_link(&named, user, now())).unwrap()
    };
    let found = async |named: &OidcSubject| {
        let named = named.clone();
        read!(fixture.store, |r| r.user_of_oidc(&named)).unwrap()
    };
    let one = named("https://id.example.com", "7");
    assert_eq!(found(&one).await, None);
    assert!(link(&one, &ada).await && !link(&one, &bob).await, "it is somebody else's");
    assert!(!link(&named("https://id.example.com", "8"), &ada).await, "one name a person");
    assert_eq!(found(&one).await, Some(ada.clone()));
    assert_eq!(found(&named("https://other.example.com", "7")).await, None);
    let (ada, bob) = (ada.id, bob.id);
    assert_eq!(read!(fixture.store, |r| r.people_of_oidc()).unwrap(), [ada]);
    assert!(read!(fixture.store, |r| r.is_of_oidc(ada)).unwrap());
    assert!(!read!(fixture.store, |r| r.is_of_oidc(bob)).unwrap());
    write!(fixture.store, |w| w.set_second_factor_policy(SecondFactorPolicy::Required)).unwrap();
    assert!(!read!(fixture.store, |r| r.lacks_second_factor(ada)).unwrap());
    assert!(read!(fixture.store, |r| r.lacks_second_factor(bob)).unwrap());
}

#[tokio::test]
async fn a_site_lists_its_devices_and_leaves_what_is_over_to_its_heir() {
    let fixture = Fixture::new().await;
    let (other, _) = insert_tenant(&fixture.store, "other").await;
    let site = |tenant, slug: &str| SiteRow {
        id: SiteId::random(),
        tenant,
        slug: slug.into(),
        name: slug.to_uppercase(),
    };
    let (berlin, elsewhere) = (site(fixture.tenant.id, "berlin"), site(other.id, "berlin"));
    for row in [berlin.clone(), elsewhere] {
        assert!(write!(fixture.store, |w| w.insert_site(&row)).unwrap());
    }
    let tenant = fixture.tenant.id;
    let own = read!(fixture.store, |r| r.sites(Some(tenant))).unwrap();
    assert_eq!(own.iter().map(|listed| &*listed.site.slug).collect::<Vec<_>>(), ["berlin", "default"]);
    assert_eq!(read!(fixture.store, |r| r.sites(None)).unwrap().len(), 4);

    let mut device = fixture.device("d1").await;
    fixture.device("d2").await;
    device.site = berlin.id;
    let row = device.clone();
    assert!(write!(fixture.store, |w| w.update_device(&row)).unwrap());
    for filter in [SiteFilter::Id(berlin.id), SiteFilter::Slug("berlin".parse().unwrap())] {
        let filter = DeviceFilter { site: Some(filter), limit: 9, ..DeviceFilter::default() };
        let page = read!(fixture.store, |r| r.list_devices(&filter)).unwrap();
        assert_eq!(page.devices.iter().map(|found| found.id).collect::<Vec<_>>(), [device.id]);
    }
    let mut key = fixture.new_enrollment_key(1);
    key.site = berlin.id;
    let row = key.clone();
    write!(fixture.store, |w| w.insert_enrollment_key(&row)).unwrap();
    let id = berlin.id;
    assert!(read!(fixture.store, |r| r.site_has_devices(id)).unwrap());
    assert!(read!(fixture.store, |r| r.site_has_live_keys(id, now())).unwrap());
    assert!(!read!(fixture.store, |r| r.site_has_live_keys(id, now() + HOUR)).unwrap(), "expired");

    let mut device = read!(fixture.store, |r| r.device(device.id)).unwrap().unwrap();
    device.status = DeviceStatus::Decommissioned;
    let row = device.clone();
    assert!(write!(fixture.store, |w| w.update_device(&row)).unwrap());
    assert!(!read!(fixture.store, |r| r.site_has_devices(id)).unwrap());
    let heir = fixture.site.id;
    assert!(write!(fixture.store, |w| w.rename_site(id, "Berlin works")).unwrap());
    assert_eq!(read!(fixture.store, |r| r.site(id)).unwrap().unwrap().site.name, "Berlin works");
    assert!(write!(fixture.store, |w| w.delete_site(id, heir)).unwrap());
    assert!(!write!(fixture.store, |w| w.delete_site(id, heir)).unwrap(), "once");
    assert_eq!(read!(fixture.store, |r| r.device(device.id)).unwrap().unwrap().site, heir);
    assert_eq!(read!(fixture.store, |r| r.enrollment_key(key.id)).unwrap().unwrap().site, heir);
}
