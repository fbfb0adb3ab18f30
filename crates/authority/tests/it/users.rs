//! People: nobody gives or takes a role above their own, every change ends what a person had, and the
//! last owner stays.

use countersign_authority::api_tokens::WantedToken;
use countersign_authority::sign_in::LoginError;
use countersign_authority::users::{
    AccountStanding, CreateUserError, Sight, UserChange, UserError, WantedUser,
};
use countersign_authority::{Administer, Authorized, Caller, Forbidden};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::{TenantId, UserId};
use countersign_store::{AuditFilter, Role};
use futures_util::future::join_all;
use zeroize::Zeroizing;

use super::house::{DAY, House, address, refused};

const PASSWORD: &str = "correct horse battery";

fn password() -> Zeroizing<String> {
    Zeroizing::new(PASSWORD.to_owned())
}

fn wanted(email: &str, role: Role) -> WantedUser {
    WantedUser { email: email.to_owned(), role, tenant: None, password: Some(password()) }
}

fn role(role: Role) -> UserChange {
    UserChange { role: Some(role), ..UserChange::default() }
}

fn standing(standing: AccountStanding) -> UserChange {
    UserChange { standing: Some(standing), ..UserChange::default() }
}

impl House {
    pub(crate) async fn tenant_called(&self, slug: &str) -> TenantId {
        let made = self.authority.create_tenant(&self.own(), slug.parse().unwrap(), slug.into()).await;
        made.unwrap().id
    }

    async fn admin(&self, role: Role, tenant: Option<TenantId>) -> Authorized<Administer> {
        self.person(role, tenant).await.authorize().unwrap()
    }

    async fn signed_in(&self, email: &str) -> (Zeroizing<String>, Caller) {
        let signed_in = self.authority.log_in(email, password(), address()).await.unwrap();
        (signed_in.token, signed_in.caller)
    }

    async fn refused_change(&self, by: &Authorized<Administer>, id: UserId, change: UserChange) -> UserError {
        refused(self.authority.change_user(by, id, change).await)
    }
}

#[tokio::test]
async fn an_invited_person_signs_in_only_after_setting_a_password() {
    let house = House::new().await;
    let invited = WantedUser { password: None, ..wanted("Ada@example.com", Role::Operator) };
    let created = house.authority.create_user(&house.administer(), invited).await.unwrap();
    assert_eq!(created.user.row.email, "ada@example.com");
    let invitation = created.invitation.unwrap();
    assert_eq!(invitation.expires_at, house.now() + DAY);
    for guess in ["", "-", PASSWORD] {
        let guess = Zeroizing::new(guess.to_owned());
        let error = refused(house.authority.log_in("ada@example.com", guess, address()).await);
        assert!(matches!(error, LoginError::Invalid), "{error}");
    }
    house.authority.set_password(&invitation.token, password(), address()).await.unwrap();
    let (_, caller) = house.signed_in("ada@example.com").await;
    assert_eq!(caller.role(), Role::Operator);
    let again =
        house.authority.create_user(&house.administer(), wanted("ADA@example.com", Role::Viewer)).await;
    assert!(matches!(refused(again), CreateUserError::Taken));
}

#[tokio::test]
async fn nobody_makes_people_with_more_rights_than_their_own() {
    let house = House::new().await;
    let acme = house.tenant_called("acme").await;
    let (admin, bound) = (house.admin(Role::Admin, None).await, house.admin(Role::Admin, Some(acme)).await);
    for (by, role, tenant, expected) in [
        (&admin, Role::Owner, None, Forbidden::AboveOwn),
        (&bound, Role::Owner, None, Forbidden::AboveOwn),
        (&bound, Role::Viewer, Some("default"), Forbidden::OtherTenant),
    ] {
        let user = WantedUser { tenant: tenant.map(str::to_owned), ..wanted("eve@example.com", role) };
        let error = refused(house.authority.create_user(by, user).await);
        assert!(matches!(error, CreateUserError::Forbidden(said) if said == expected), "{error}");
    }
    let owner = WantedUser { tenant: Some("acme".into()), ..wanted("eve@example.com", Role::Owner) };
    let error = refused(house.authority.create_user(&house.administer(), owner).await);
    assert!(matches!(error, CreateUserError::BoundOwner), "{error}");
    let nowhere = WantedUser { tenant: Some("nowhere".into()), ..wanted("eve@example.com", Role::Viewer) };
    let error = refused(house.authority.create_user(&house.administer(), nowhere).await);
    assert!(matches!(error, CreateUserError::UnknownTenant), "{error}");

    let made = house.authority.create_user(&bound, wanted("bob@example.com", Role::Admin)).await.unwrap();
    assert_eq!(made.user.row.tenant, Some(acme), "bound like who made them");
    assert!(made.invitation.is_none());
    let listed = house.authority.list_users(&bound).await.unwrap();
    assert!(listed.iter().all(|user| user.row.tenant == Some(acme)) && listed.len() == 2);
    assert!(house.authority.list_users(&admin).await.unwrap().len() > 2);
}

#[tokio::test]
async fn nobody_changes_people_above_or_beyond_them_and_nobody_raises_themselves() {
    let house = House::new().await;
    let acme = house.tenant_called("acme").await;
    let owner = house.person(Role::Owner, None).await.user().id;
    let admin = house.person(Role::Admin, None).await;
    let bound = house.person(Role::Admin, Some(acme)).await;
    let viewer = house.person(Role::Viewer, Some(acme)).await.user().id;
    let (by_admin, by_bound) = (admin.authorize().unwrap(), bound.authorize().unwrap());
    let all = || UserChange { tenant: Some(Sight::All), ..UserChange::default() };
    for (by, id, change, expected) in [
        (&by_admin, owner, standing(AccountStanding::Disabled), Forbidden::AboveOwn),
        (&by_admin, owner, role(Role::Viewer), Forbidden::AboveOwn),
        (&by_admin, viewer, role(Role::Owner), Forbidden::AboveOwn),
        (&by_admin, admin.user().id, role(Role::Owner), Forbidden::AboveOwn),
        (&by_bound, admin.user().id, role(Role::Viewer), Forbidden::OtherTenant),
        (&by_bound, viewer, all(), Forbidden::OtherTenant),
        (&by_bound, bound.user().id, all(), Forbidden::OtherTenant),
    ] {
        let said = format!("{change:?}");
        let error = house.refused_change(by, id, change).await;
        assert!(matches!(error, UserError::Forbidden(said) if said == expected), "{said}: {error}");
    }
    let looked = house.authority.user(&by_bound, owner).await;
    assert!(matches!(refused(looked), UserError::Forbidden(Forbidden::OtherTenant)));
    let unknown = house.refused_change(&by_admin, UserId::random(), role(Role::Viewer)).await;
    assert!(matches!(unknown, UserError::Unknown));
    let bound_owner = UserChange { tenant: Some(Sight::One("acme".into())), ..UserChange::default() };
    let error = house.refused_change(&house.administer(), owner, bound_owner).await;
    assert!(matches!(error, UserError::BoundOwner), "{error}");
    let raised = house.authority.change_user(&by_bound, viewer, role(Role::Operator)).await.unwrap();
    assert_eq!(raised.row.role, Role::Operator);
}

#[tokio::test]
async fn every_change_ends_sessions_and_api_tokens_at_once() {
    let house = House::new().await;
    house.tenant_called("acme").await;
    let by = house.administer();
    let id =
        house.authority.create_user(&by, wanted("ada@example.com", Role::Admin)).await.unwrap().user.row.id;
    let bind = UserChange { tenant: Some(Sight::One("acme".into())), ..UserChange::default() };
    for change in [role(Role::Operator), bind, standing(AccountStanding::Disabled)] {
        let (session, caller) = house.signed_in("ada@example.com").await;
        let token = WantedToken { name: "ci".into(), role: None, tenant: None, scopes: None, life: DAY };
        let token = house.api_token(&caller, token).await.token;
        for text in [&*session, &*token] {
            assert!(house.authority.caller(text).await.unwrap().is_some());
        }
        let said = format!("{change:?}");
        house.authority.change_user(&by, id, change).await.unwrap();
        for text in [&*session, &*token] {
            assert!(house.authority.caller(text).await.unwrap().is_none(), "{said}");
        }
        // Evidence from before makes no new token either.
        let late = WantedToken { name: "late".into(), role: None, tenant: None, scopes: None, life: DAY };
        let late = house.authority.create_api_token(&caller.authorize().unwrap(), late).await;
        assert!(late.is_err(), "{said}");
    }
    let error = refused(house.authority.log_in("ada@example.com", password(), address()).await);
    assert!(matches!(error, LoginError::Invalid), "disabled: {error}");
    house.authority.change_user(&by, id, standing(AccountStanding::Enabled)).await.unwrap();
    house.signed_in("ada@example.com").await;

    let entries =
        house.audit(AuditFilter { event: Some(AuditEvent::UserChanged), ..AuditFilter::default() }).await;
    let told: Vec<_> = entries.iter().rev().map(|entry| entry.details.clone()).collect();
    assert_eq!(told[0]["role"], "admin -> operator");
    assert_eq!((&*told[0]["sessionsEnded"], &*told[0]["apiTokensRevoked"]), ("1", "1"));
    // A move is told to both, who see each their own audit.
    assert_eq!((&*told[1]["tenant"], &*told[2]["tenant"]), ("all -> acme", "all -> acme"));
    assert_eq!((&*told[3]["standing"], &*told[4]["standing"]), ("disabled", "enabled"));
    let revoked = AuditFilter { event: Some(AuditEvent::ApiTokenRevoked), ..AuditFilter::default() };
    assert_eq!(house.audit(revoked).await.len(), 3);
    // What changes nothing ends nothing.
    let (session, _) = house.signed_in("ada@example.com").await;
    house.authority.change_user(&by, id, UserChange::default()).await.unwrap();
    assert!(house.authority.caller(&session).await.unwrap().is_some());
}

#[tokio::test]
async fn the_last_owner_who_can_sign_in_stays_one() {
    let house = House::new().await;
    let by = house.administer();
    let last = by.user();
    let invited = WantedUser { password: None, ..wanted("invited@example.com", Role::Owner) };
    house.authority.create_user(&by, invited).await.unwrap();
    let gone =
        house.authority.create_user(&by, wanted("gone@example.com", Role::Owner)).await.unwrap().user.row.id;
    house.authority.change_user(&by, gone, standing(AccountStanding::Disabled)).await.unwrap();
    for change in [role(Role::Admin), standing(AccountStanding::Disabled)] {
        let error = house.refused_change(&by, last, change).await;
        assert!(matches!(error, UserError::LastOwner), "{error}");
    }
    house.authority.change_user(&by, gone, standing(AccountStanding::Enabled)).await.unwrap();
    house.authority.change_user(&by, last, role(Role::Admin)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_owners_who_demote_each_other_at_once_one_is_left() {
    let house = House::new().await;
    let other = house.person(Role::Owner, None).await;
    let (one, two) = (house.administer(), other.authorize::<Administer>().unwrap());
    let outcomes = join_all(
        [(&one, two.user()), (&two, one.user())]
            .map(|(by, id)| house.authority.change_user(by, id, role(Role::Viewer))),
    )
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let owners = house.authority.list_users(&one).await.unwrap();
    assert_eq!(owners.iter().filter(|user| user.row.role == Role::Owner).count(), 1);
}
