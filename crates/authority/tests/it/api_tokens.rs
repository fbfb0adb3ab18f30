//! API tokens: no more rights than their maker, none at all once revoked, over, or their maker gone.

use std::time::Duration;

use countersign_authority::api_tokens::{
    CreateApiTokenError, CreatedToken, RevokeApiTokenError, WantedToken,
};
use countersign_authority::{Administer, Caller, Forbidden, Operate, View};
use countersign_core::audit::AuditEvent;
use countersign_core::scope::{Scope, Scopes};
use countersign_store::{AuditFilter, Role};

use super::house::{DAY, House, MINUTE, SECOND, refused};

fn wanted(name: &str) -> WantedToken {
    WantedToken { name: name.to_owned(), role: None, tenant: None, scopes: None, life: DAY * 90 }
}

impl House {
    pub(crate) async fn api_token(&self, maker: &Caller, wanted: WantedToken) -> CreatedToken {
        self.authority.create_api_token(&maker.authorize().unwrap(), wanted).await.unwrap()
    }

    async fn with(&self, token: &CreatedToken) -> Option<Caller> {
        self.authority.caller(&token.token).await.unwrap()
    }

    async fn audited(&self, event: AuditEvent) -> Vec<countersign_store::AuditRecord> {
        self.audit(AuditFilter { event: Some(event), ..AuditFilter::default() }).await
    }
}

#[tokio::test]
async fn a_token_acts_as_its_maker_within_its_scopes_and_the_audit_names_it() {
    let house = House::new().await;
    let maker = house.person(Role::Operator, None).await;
    let scopes = Scopes::new([Scope::DevicesRead, Scope::EnrollmentKeysWrite]);
    let made = house.api_token(&maker, WantedToken { scopes, ..wanted("ci") }).await;
    assert_eq!(made.token.len(), "cst_".len() + 64);
    let caller = house.with(&made).await.unwrap();
    let by = caller.authorize_within::<Operate>(Scope::EnrollmentKeysWrite).unwrap();
    let role = caller.authorize_within::<Administer>(Scope::EnrollmentKeysWrite);
    assert_eq!(refused(role), Forbidden::Role("admin"));
    let scope = caller.authorize_within::<View>(Scope::CertificatesRead);
    assert_eq!(refused(scope), Forbidden::Scope(Scope::CertificatesRead));
    assert_eq!(refused(caller.authorize::<View>()), Forbidden::Session);

    house.authority.create_enrollment_key(&by, super::house::wanted_key()).await.unwrap();
    let record = &house.audited(AuditEvent::EnrollmentKeyCreated).await[0];
    assert_eq!(record.actor, format!("user:{}/token:{}", maker.user().id, made.row.id));
    let created = &house.audited(AuditEvent::ApiTokenCreated).await[0];
    assert_eq!(created.details["scopes"], "enrollment-keys:write devices:read");
    assert!(created.details.values().all(|text| !text.contains(made.token.trim_start_matches("cst_"))));
}

#[tokio::test]
async fn a_token_gets_no_higher_role_and_no_wider_view_than_its_maker() {
    let house = House::new().await;
    let by = house.own();
    let acme = house.authority.create_tenant(&by, "acme".parse().unwrap(), "Acme".into()).await.unwrap();
    let maker = house.person(Role::Operator, Some(acme.id)).await;
    let view = maker.authorize::<View>().unwrap();
    let above = WantedToken { role: Some(Role::Admin), ..wanted("above") };
    let error = refused(house.authority.create_api_token(&view, above).await);
    assert!(matches!(error, CreateApiTokenError::Forbidden(Forbidden::AboveOwn)), "{error}");
    let elsewhere = WantedToken { tenant: Some("default".into()), ..wanted("elsewhere") };
    let error = refused(house.authority.create_api_token(&view, elsewhere).await);
    assert!(matches!(error, CreateApiTokenError::Forbidden(Forbidden::OtherTenant)), "{error}");
    let nowhere = WantedToken { tenant: Some("nowhere".into()), ..wanted("nowhere") };
    let error = refused(house.authority.create_api_token(&view, nowhere).await);
    assert!(matches!(error, CreateApiTokenError::UnknownTenant), "{error}");

    let own = house.api_token(&maker, wanted("own")).await;
    assert_eq!(own.row.tenant, Some(acme.id), "bound like its maker");
    // An owner's token that is narrowed sees one tenant and acts as what it was made for.
    let owner = house.person(Role::Owner, None).await;
    let narrow = WantedToken { role: Some(Role::Viewer), tenant: Some("acme".into()), ..wanted("narrow") };
    let narrow = house.with(&house.api_token(&owner, narrow).await).await.unwrap();
    assert_eq!((narrow.role(), narrow.tenant()), (Role::Viewer, Some(acme.id)));
    assert!(narrow.authorize_within::<Operate>(Scope::DevicesWrite).is_err());
    let default = house.authority.find_tenant(&house.view(), "default").await.unwrap().id;
    let view = narrow.authorize_within::<View>(Scope::DevicesRead).unwrap();
    assert_eq!(view.covers(default), Err(Forbidden::OtherTenant));
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_its_revocation() {
    let house = House::new().await;
    let maker = house.person(Role::Viewer, None).await;
    let short = house.api_token(&maker, WantedToken { life: DAY, ..wanted("short") }).await;
    let long = house.api_token(&maker, wanted("long")).await;
    house.pass(DAY - SECOND);
    assert!(house.with(&short).await.is_some());
    house.pass(SECOND);
    assert!(house.with(&short).await.is_none());
    assert!(house.with(&long).await.is_some());

    let view = maker.authorize().unwrap();
    let revoked = house.authority.revoke_api_token(&view, long.row.id).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(house.now()));
    assert!(house.with(&long).await.is_none());
    let again = house.authority.revoke_api_token(&view, long.row.id).await;
    assert!(matches!(refused(again), RevokeApiTokenError::AlreadyRevoked));
    let unknown = house.authority.revoke_api_token(&view, countersign_core::ids::ApiTokenId::random()).await;
    assert!(matches!(refused(unknown), RevokeApiTokenError::Unknown));
    assert_eq!(house.audited(AuditEvent::ApiTokenRevoked).await.len(), 1);
    // A record is no token, and neither is a part of one.
    let hash = long.row.token.to_string();
    for text in ["cst_", &format!("cst_{hash}"), long.token.trim_start_matches("cst_")] {
        assert!(house.authority.caller(text).await.unwrap().is_none(), "{text}");
    }
}

#[tokio::test]
async fn a_token_is_revoked_by_its_maker_and_by_who_manages_its_maker_alone() {
    let house = House::new().await;
    let by = house.own();
    let acme = house.authority.create_tenant(&by, "acme".parse().unwrap(), "Acme".into()).await.unwrap();
    let maker = house.person(Role::Admin, Some(acme.id)).await;
    let default = house.authority.find_tenant(&house.view(), "default").await.unwrap().id;
    for (role, tenant, expected) in [
        (Role::Viewer, Some(acme.id), Forbidden::AboveOwn),
        (Role::Operator, None, Forbidden::AboveOwn),
        (Role::Owner, Some(default), Forbidden::OtherTenant),
    ] {
        let token = house.api_token(&maker, wanted("kept")).await;
        let stranger = house.person(role, tenant).await.authorize().unwrap();
        let error = refused(house.authority.revoke_api_token(&stranger, token.row.id).await);
        assert!(matches!(error, RevokeApiTokenError::Forbidden(said) if said == expected), "{role}: {error}");
        let listed = house.authority.list_api_tokens(&stranger).await.unwrap();
        assert_eq!(listed, [], "{role}");
        assert!(house.with(&token).await.is_some());
    }
    for (role, tenant) in [(Role::Admin, Some(acme.id)), (Role::Admin, None), (Role::Owner, None)] {
        let token = house.api_token(&maker, wanted("gone")).await;
        let admin = house.person(role, tenant).await.authorize().unwrap();
        let listed = house.authority.list_api_tokens(&admin).await.unwrap();
        assert!(listed.iter().any(|row| row.id == token.row.id), "{role}");
        house.authority.revoke_api_token(&admin, token.row.id).await.unwrap();
        assert!(house.with(&token).await.is_none());
    }
    // A peer of one's own level who is an operator manages nobody.
    let operator = house.person(Role::Operator, Some(acme.id)).await;
    let token = house.api_token(&operator, wanted("operator's")).await;
    let peer = house.person(Role::Operator, Some(acme.id)).await.authorize().unwrap();
    let error = refused(house.authority.revoke_api_token(&peer, token.row.id).await);
    assert!(matches!(error, RevokeApiTokenError::Forbidden(Forbidden::Role("admin"))), "{error}");
}

#[tokio::test]
async fn the_last_use_is_noted_to_the_minute_and_not_at_every_call() {
    let house = House::new().await;
    let maker = house.person(Role::Viewer, None).await;
    let token = house.api_token(&maker, wanted("ci")).await;
    let used = async || {
        house.authority.sweep().await.unwrap();
        let id = token.row.id;
        house.read(move |r| Box::pin(async move { r.api_token(id).await })).await.unwrap().last_used_at
    };
    assert_eq!(used().await, None);
    let first = house.now();
    assert!(house.with(&token).await.is_some());
    assert_eq!(used().await, Some(first));
    for step in [SECOND, MINUTE - SECOND] {
        house.pass(step);
        assert!(house.with(&token).await.is_some());
        assert_eq!(used().await, Some(first), "within the minute");
    }
    house.pass(Duration::from_millis(1));
    assert!(house.with(&token).await.is_some());
    assert_eq!(used().await, Some(house.now()));
}
