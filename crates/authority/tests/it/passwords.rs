//! Passwords: one-time tokens work once and for a day, and changing one's own needs the current one.

use countersign_authority::passwords::{
    ChangePasswordError, Passwords, ResetPasswordError, SetPasswordError, reset_password_on_the_machine,
};
use countersign_authority::users::{AccountStanding, UserChange, WantedUser};
use countersign_authority::{Caller, Forbidden, View};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::UserId;
use countersign_store::{AuditFilter, Role};
use futures_util::future::join_all;
use zeroize::Zeroizing;

use super::house::{DAY, House, SECOND, address, refused};

const EMAIL: &str = "ada@example.com";
const OLD: &str = "correct horse battery";
const NEW: &str = "another horse, another battery";

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

impl House {
    /// Ada, an operator with a password.
    async fn ada(&self) -> UserId {
        let wanted = WantedUser {
            email: EMAIL.into(),
            role: Role::Operator,
            tenant: None,
            password: Some(secret(OLD)),
        };
        self.authority.create_user(&self.administer(), wanted).await.unwrap().user.row.id
    }

    async fn ada_signs_in(&self, password: &str) -> Option<(Zeroizing<String>, Caller)> {
        let signed_in = self.authority.log_in(EMAIL, secret(password), address()).await.ok()?;
        Some((signed_in.token, signed_in.caller))
    }

    async fn lives(&self, token: &str) -> bool {
        self.authority.caller(token).await.unwrap().is_some()
    }

    async fn set(&self, token: &str, password: &str) -> Result<(), SetPasswordError> {
        self.authority.set_password(token, secret(password), address()).await
    }
}

#[tokio::test]
async fn a_reset_changes_nothing_until_it_is_used_and_then_ends_every_session() {
    let house = House::new().await;
    let ada = house.ada().await;
    let (session, _) = house.ada_signs_in(OLD).await.unwrap();
    let first = house.authority.reset_password(&house.administer(), ada).await.unwrap();
    let second = house.authority.reset_password(&house.administer(), ada).await.unwrap();
    assert!(house.lives(&session).await && house.ada_signs_in(OLD).await.is_some());
    assert!(matches!(refused(house.set(&first.token, NEW).await), SetPasswordError::Token), "replaced");
    assert!(house.ada_signs_in(NEW).await.is_none());

    house.set(&second.token, NEW).await.unwrap();
    assert!(!house.lives(&session).await);
    assert!(house.ada_signs_in(OLD).await.is_none() && house.ada_signs_in(NEW).await.is_some());
    assert!(matches!(refused(house.set(&second.token, OLD).await), SetPasswordError::Token), "used");
    for event in [AuditEvent::PasswordResetIssued, AuditEvent::PasswordChanged] {
        let entries = house.audit(AuditFilter { event: Some(event), ..AuditFilter::default() }).await;
        let is_secret = |text: &String| text.contains("csp_") || text.contains("horse");
        assert!(!entries.is_empty() && !entries.iter().any(|entry| entry.details.values().any(is_secret)));
    }
}

#[tokio::test]
async fn a_one_time_token_works_for_a_day_and_not_for_a_disabled_person() {
    let house = House::new().await;
    let (ada, by) = (house.ada().await, house.administer());
    let late = house.authority.reset_password(&by, ada).await.unwrap();
    house.pass(DAY);
    assert!(matches!(refused(house.set(&late.token, NEW).await), SetPasswordError::Token));
    let early = house.authority.reset_password(&by, ada).await.unwrap();
    house.pass(DAY - SECOND);
    house.authority.sweep().await.unwrap();
    house.set(&early.token, NEW).await.unwrap();

    let token = house.authority.reset_password(&by, ada).await.unwrap();
    let off = UserChange { standing: Some(AccountStanding::Disabled), ..UserChange::default() };
    house.authority.change_user(&by, ada, off).await.unwrap();
    assert!(matches!(refused(house.set(&token.token, OLD).await), SetPasswordError::Token));
    let error = refused(house.authority.reset_password(&by, ada).await);
    assert!(matches!(error, ResetPasswordError::Disabled), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_use_one_token_at_once_one_wins() {
    let house = House::new().await;
    let ada = house.ada().await;
    let token = house.authority.reset_password(&house.administer(), ada).await.unwrap().token;
    let outcomes = join_all([NEW, OLD, NEW].map(|password| house.set(&token, password))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn nobody_resets_their_own_password_or_that_of_people_above_them() {
    let house = House::new().await;
    let owner = house.person(Role::Owner, None).await;
    let admin = house.person(Role::Admin, None).await.authorize().unwrap();
    let above = refused(house.authority.reset_password(&admin, owner.user().id).await);
    assert!(matches!(above, ResetPasswordError::Forbidden(Forbidden::AboveOwn)), "{above}");
    let own = refused(house.authority.reset_password(&owner.authorize().unwrap(), owner.user().id).await);
    assert!(matches!(own, ResetPasswordError::Own), "{own}");
    let unknown = refused(house.authority.reset_password(&admin, UserId::random()).await);
    assert!(matches!(unknown, ResetPasswordError::Unknown), "{unknown}");
}

#[tokio::test]
async fn guesses_at_one_time_tokens_are_throttled() {
    let house = House::new().await;
    for _ in 0..30 {
        assert!(matches!(refused(house.set("csp_guess", NEW).await), SetPasswordError::Token));
    }
    assert!(matches!(refused(house.set("csp_guess", NEW).await), SetPasswordError::TooMany(_)));
}

#[tokio::test]
async fn changing_ones_own_password_needs_the_current_one_and_ends_the_other_sessions() {
    let house = House::new().await;
    let ada = house.ada().await;
    let (one, caller) = house.ada_signs_in(OLD).await.unwrap();
    let (two, _) = house.ada_signs_in(OLD).await.unwrap();
    let by = caller.authorize::<View>().unwrap();
    let reset = house.authority.reset_password(&house.administer(), ada).await.unwrap();
    let change = async |current: &str| {
        let passwords = Passwords { current: secret(current), new: secret(NEW) };
        house.authority.change_password(&by, &one, passwords, address()).await
    };
    assert!(matches!(refused(change("guess").await), ChangePasswordError::Wrong));
    assert!(house.lives(&two).await);
    change(OLD).await.unwrap();
    assert!(house.lives(&one).await && !house.lives(&two).await);
    assert!(house.ada_signs_in(OLD).await.is_none() && house.ada_signs_in(NEW).await.is_some());
    assert!(matches!(refused(house.set(&reset.token, OLD).await), SetPasswordError::Token), "used up");
    for _ in 0..8 {
        assert!(matches!(refused(change("guess").await), ChangePasswordError::Wrong));
    }
    assert!(matches!(refused(change(NEW).await), ChangePasswordError::TooMany(_)), "like failed sign-ins");
}

#[tokio::test]
async fn the_operator_of_the_machine_resets_anybody_who_may_sign_in() {
    let house = House::new().await;
    let ada = house.ada().await;
    let token = reset_password_on_the_machine(&house.store, "ADA@example.com", house.now()).await.unwrap();
    let filter = AuditFilter { event: Some(AuditEvent::PasswordResetIssued), ..AuditFilter::default() };
    assert_eq!(house.audit(filter).await[0].actor, "operator");
    house.set(&token.token, NEW).await.unwrap();
    assert!(house.ada_signs_in(NEW).await.is_some());
    let unknown = reset_password_on_the_machine(&house.store, "eve@example.com", house.now()).await;
    assert!(matches!(refused(unknown), ResetPasswordError::Unknown));
    let off = UserChange { standing: Some(AccountStanding::Disabled), ..UserChange::default() };
    house.authority.change_user(&house.administer(), ada, off).await.unwrap();
    let disabled = reset_password_on_the_machine(&house.store, EMAIL, house.now()).await;
    assert!(matches!(refused(disabled), ResetPasswordError::Disabled));
}
