//! Second factors: codes are taken once and in time, recovery codes once, wrong ones are counted; keys lie
//! sealed; and where everybody needs one, nothing is done without.

use countersign_authority::people::SignedIn;
use countersign_authority::reseal::reseal;
use countersign_authority::second_factor::{
    RemoveError, SecondFactorError, SecondFactorPolicy, SecondFactorProof, ShownFactor,
    remove_second_factor_on_the_machine,
};
use countersign_authority::sign_in::{BegunSignIn, LoginError};
use countersign_authority::users::WantedUser;
use countersign_authority::{Account, Authority, Caller, Forbidden, IssuerMode, KeySource, Own, View};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::UserId;
use countersign_store::{AuditFilter, Role};
use countersign_testkit::AuthenticatorApp;
use futures_util::future::join_all;
use zeroize::Zeroizing;

use super::house::{HOUR, House, MINUTE, SECOND, address, refused};

pub(super) const EMAIL: &str = "grace@example.com";
pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn proof(password: &str, code: &str) -> SecondFactorProof {
    SecondFactorProof { password: secret(password), shown: Some(typed(code)) }
}

fn typed(code: &str) -> ShownFactor {
    ShownFactor::Code(secret(code))
}

/// Somebody with an app.
struct Grace {
    id: UserId,
    session: SignedIn,
    app: AuthenticatorApp,
    codes: Vec<String>,
}

impl House {
    pub(super) async fn grace_without(&self, role: Role) -> (UserId, SignedIn) {
        let password = Some(secret(PASSWORD));
        let wanted = WantedUser { email: EMAIL.into(), role, tenant: None, password };
        let id = self.authority.create_user(&self.administer(), wanted).await.unwrap().user.row.id;
        (id, self.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap())
    }

    async fn grace(&self) -> Grace {
        let (id, session) = self.grace_without(Role::Operator).await;
        let (app, codes) = self.set_up(&session).await;
        // The code that confirmed it was taken.
        self.pass(MINUTE);
        Grace { id, session, app, codes }
    }

    async fn set_up(&self, session: &SignedIn) -> (AuthenticatorApp, Vec<String>) {
        let by = session.caller.authorize::<Account>().unwrap();
        let pending = self.authority.begin_totp(&by, proof(PASSWORD, ""), address()).await.unwrap();
        assert!(pending.uri.contains(&format!("secret={}", *pending.key)), "{}", *pending.uri);
        assert!(pending.uri.starts_with("otpauth://totp/countersign.internal:grace%40example.com?"));
        let app = AuthenticatorApp::with_key(&pending.key);
        let code = app.code_at(self.now());
        let codes = self.authority.confirm_totp(&by, &session.token, &code).await.unwrap();
        (app, codes.0.iter().map(|code| code.to_string()).collect())
    }

    /// What the second factor is sent with, for whoever has the password.
    pub(super) async fn begin(&self) -> BegunSignIn {
        let error = refused(self.authority.log_in(EMAIL, secret(PASSWORD), address()).await);
        let LoginError::SecondFactor(begun) = error else { panic!("{error}") };
        begun
    }

    pub(super) async fn finish(&self, code: &str) -> Result<SignedIn, LoginError> {
        self.authority.finish_sign_in(&self.begin().await, &typed(code), address()).await
    }

    pub(super) async fn callers(&self, token: &str) -> Option<Caller> {
        self.authority.caller(token).await.unwrap()
    }

    pub(super) async fn require(&self) {
        let policy = SecondFactorPolicy::Required;
        self.authority.set_second_factor_policy(&self.own(), policy).await.unwrap();
    }

    pub(super) async fn entries(&self, event: AuditEvent) -> usize {
        self.audit(AuditFilter { event: Some(event), limit: 100, ..AuditFilter::default() }).await.len()
    }
}

#[tokio::test]
async fn the_password_alone_lets_nobody_in_who_has_a_second_factor() {
    let house = House::new().await;
    let grace = house.grace().await;
    let begun = house.begin().await;
    assert!(house.callers(&begun.0).await.is_none(), "it is no session");
    assert!(!format!("{begun:?}").contains(&*begun.0));
    let code = grace.app.code_at(house.now());
    let signed_in = house.authority.finish_sign_in(&begun, &typed(&code), address()).await.unwrap();
    assert_eq!(house.callers(&signed_in.token).await.unwrap().user().id, grace.id);
    let entries = house.audit(AuditFilter {
        event: Some(AuditEvent::LoginSucceeded),
        limit: 100,
        ..AuditFilter::default()
    });
    assert_eq!(entries.await[0].details["secondFactor"], "totp");
    let again = house.authority.finish_sign_in(&begun, &typed(&grace.codes[0]), address()).await;
    assert!(matches!(refused(again), LoginError::Over), "one sign-in");
    let unknown = BegunSignIn(secret("csb_guess"));
    let unknown = house.authority.finish_sign_in(&unknown, &typed(&grace.codes[0]), address()).await;
    assert!(matches!(refused(unknown), LoginError::Over));
}

#[tokio::test]
async fn a_code_is_taken_once_and_one_step_early_or_late() {
    let house = House::new().await;
    let grace = house.grace().await;
    let step = SECOND * 30;
    let now = house.now();
    let (early, late, present) =
        (grace.app.code_at(now + step), grace.app.code_at(now - step), grace.app.code_at(now));
    assert!(matches!(refused(house.finish(&grace.app.code_at(now - step * 2)).await), LoginError::Code));
    assert!(matches!(refused(house.finish(&grace.app.code_at(now + step * 2)).await), LoginError::Code));
    house.finish(&late).await.unwrap();
    assert!(matches!(refused(house.finish(&late).await), LoginError::Code), "used");
    let (first, rest) = early.split_at(3);
    house.finish(&format!(" {first} {rest} ")).await.unwrap();
    assert!(matches!(refused(house.finish(&present).await), LoginError::Code), "older than the last one");
    assert_eq!(house.entries(AuditEvent::LoginFailed).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_one_code_at_once_one_gets_in() {
    let house = House::new().await;
    let grace = house.grace().await;
    let code = grace.app.code_at(house.now());
    for code in [&code, &grace.codes[0]] {
        let outcomes = join_all([code, code, code].map(|code| house.finish(code))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
}

#[tokio::test]
async fn a_recovery_code_is_good_once_and_until_there_are_new_ones() {
    let house = House::new().await;
    let grace = house.grace().await;
    let own = async || {
        let by = grace.session.caller.authorize::<Account>().unwrap();
        house.authority.own_second_factor(&by).await.unwrap()
    };
    assert_eq!((grace.codes.len(), own().await.recovery_codes_left), (10, 10));
    house.finish(&grace.codes[3].to_uppercase()).await.unwrap();
    assert!(matches!(refused(house.finish(&grace.codes[3]).await), LoginError::Code), "used");
    assert!(matches!(refused(house.finish("abcd-efgh-ijkl-mnop").await), LoginError::Code), "unknown");
    assert_eq!(own().await.recovery_codes_left, 9);

    let by = grace.session.caller.authorize::<Account>().unwrap();
    let renew = |password, code| house.authority.renew_recovery_codes(&by, proof(password, code), address());
    assert!(matches!(refused(renew("guess", &grace.codes[4]).await), SecondFactorError::Password));
    assert!(matches!(refused(renew(PASSWORD, "000000").await), SecondFactorError::Code));
    let fresh = renew(PASSWORD, &grace.codes[4]).await.unwrap();
    assert!(matches!(refused(house.finish(&grace.codes[5]).await), LoginError::Code), "from before");
    house.finish(&fresh.0[5]).await.unwrap();
    assert_eq!(house.entries(AuditEvent::RecoveryCodesMade).await, 1);
}

#[tokio::test]
async fn guesses_at_codes_are_throttled_with_those_at_passwords() {
    let house = House::new().await;
    let grace = house.grace().await;
    let begun = house.begin().await;
    let guess =
        async |code: &str| refused(house.authority.finish_sign_in(&begun, &typed(code), address()).await);
    for number in 0..10 {
        assert!(matches!(guess(&format!("wrong-{number}")).await, LoginError::Code), "{number}");
    }
    assert!(matches!(guess(&grace.codes[0]).await, LoginError::TooMany(_)), "not even a right one");
    let password = house.authority.log_in(EMAIL, secret(PASSWORD), address()).await;
    assert!(matches!(refused(password), LoginError::TooMany(_)));
    house.pass(HOUR);
    assert!(matches!(guess(&grace.codes[0]).await, LoginError::Over), "waited too long");
    house.finish(&grace.codes[0]).await.unwrap();
}

#[tokio::test]
async fn a_key_counts_once_its_first_code_was_shown_in_time() {
    let house = House::new().await;
    let (_, session) = house.grace_without(Role::Operator).await;
    let other = house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();
    let by = session.caller.authorize::<Account>().unwrap();
    let begin = |password| house.authority.begin_totp(&by, proof(password, ""), address());
    assert!(matches!(refused(begin("guess").await), SecondFactorError::Password));
    let missing = refused(house.authority.confirm_totp(&by, &session.token, "000000").await);
    assert!(matches!(missing, SecondFactorError::Missing), "{missing}");

    let replaced = AuthenticatorApp::with_key(&begin(PASSWORD).await.unwrap().key);
    let late = AuthenticatorApp::with_key(&begin(PASSWORD).await.unwrap().key);
    let confirm = async |app: &AuthenticatorApp| {
        house.authority.confirm_totp(&by, &session.token, &app.code_at(house.now())).await
    };
    assert!(matches!(refused(confirm(&replaced).await), SecondFactorError::Code), "replaced");
    house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();
    house.pass(MINUTE * 15);
    assert!(matches!(refused(confirm(&late).await), SecondFactorError::Missing), "late");
    house.set_up(&session).await;
    assert!(house.callers(&session.token).await.is_some());
    assert!(house.callers(&other.token).await.is_none(), "other sessions end");
    assert!(matches!(refused(begin(PASSWORD).await), SecondFactorError::Present));
    let shown = refused(house.authority.pending_totp(&by).await);
    assert!(matches!(shown, SecondFactorError::Missing), "never shown again: {shown}");
    assert_eq!(house.entries(AuditEvent::SecondFactorSet).await, 1);
}

#[tokio::test]
async fn keys_and_codes_are_on_record_sealed_and_hashed_and_outlive_a_restart() {
    let house = House::new().await;
    let grace = house.grace().await;
    let key = house.read(move |r| Box::pin(async move { r.totp_key(grace.id).await })).await.unwrap();
    let other = house.read(move |r| Box::pin(async move { r.totp_key(UserId::random()).await })).await;
    assert!(key.sealed_key.starts_with(b"CSK") && key.sealed_key.len() > 40 && other.is_none());
    let house = house.restarted(IssuerMode::Embedded).await;
    house.finish(&grace.app.code_at(house.now())).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let to = KeySource::File(folder.path().join("new"));
    let mut config = house.config();
    let resealed = reseal(&house.store, (&config.key_encryption_key, &to), house.now()).await.unwrap();
    assert_eq!(resealed.totp_keys, 1);
    house.pass(MINUTE);
    config.key_encryption_key = to;
    let anew = Authority::open(house.store.clone(), house.clock.clone(), config).await.unwrap();
    let code = grace.app.code_at(house.now());
    anew.finish_sign_in(&house.begin().await, &typed(&code), address()).await.unwrap();
    let stale = house.finish(&code).await;
    assert!(matches!(refused(stale), LoginError::Internal(_)), "with the former key nothing opens");
}

#[tokio::test]
async fn ones_own_is_removed_with_a_code_and_anothers_by_an_owner_alone() {
    let house = House::new().await;
    let grace = house.grace().await;
    let by = grace.session.caller.authorize::<Account>().unwrap();
    let remove = |code| house.authority.remove_own_second_factor(&by, proof(PASSWORD, code), address());
    assert!(matches!(refused(remove("000000").await), SecondFactorError::Code));
    remove(&grace.codes[0]).await.unwrap();
    assert!(matches!(refused(remove(&grace.codes[1]).await), SecondFactorError::Missing));
    let session = house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();

    house.set_up(&session).await;
    let begun = house.begin().await;
    house.authority.remove_second_factor(&house.own(), grace.id).await.unwrap();
    assert!(house.callers(&session.token).await.is_none(), "sessions end");
    let late = house.authority.finish_sign_in(&begun, &typed(&grace.codes[1]), address()).await;
    assert!(matches!(refused(late), LoginError::Over));
    let none = house.authority.remove_second_factor(&house.own(), grace.id).await;
    assert!(matches!(refused(none), RemoveError::Missing));
    let own = house.own().user();
    let own = house.authority.remove_second_factor(&house.own(), own).await;
    assert!(matches!(refused(own), RemoveError::Own));
    assert_eq!(house.entries(AuditEvent::SecondFactorRemoved).await, 2);
}

#[tokio::test]
async fn the_operator_of_the_machine_lets_an_owner_in_who_lost_it() {
    let house = House::new().await;
    house.grace().await;
    let remove = |email| remove_second_factor_on_the_machine(&house.store, email, house.now());
    assert!(matches!(refused(remove("nobody@example.com").await), RemoveError::Unknown));
    remove("Grace@example.com").await.unwrap();
    assert!(matches!(refused(remove(EMAIL).await), RemoveError::Missing));
    house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();
    let filter = AuditFilter { event: Some(AuditEvent::SecondFactorRemoved), ..AuditFilter::default() };
    assert_eq!(house.audit(filter).await[0].actor, "operator");
}

#[tokio::test]
async fn where_everybody_needs_one_nothing_is_done_without() {
    let house = House::new().await;
    let (_, session) = house.grace_without(Role::Owner).await;
    let admin = house.person(Role::Owner, Some(house.tenant_called("acme").await)).await;
    let bound = admin.authorize::<Own>().unwrap();
    let refusal = house.authority.set_second_factor_policy(&bound, SecondFactorPolicy::Required).await;
    assert!(matches!(refused(refusal), RemoveError::Forbidden(Forbidden::OtherTenant)));
    house.require().await;
    house.require().await;
    assert_eq!(house.entries(AuditEvent::SignInSettingsChanged).await, 1, "once");

    let caller = house.callers(&session.token).await.unwrap();
    assert!(caller.lacks_second_factor());
    assert_eq!(caller.authorize::<View>().unwrap_err(), Forbidden::SecondFactor);
    assert_eq!(caller.authorize::<Own>().unwrap_err(), Forbidden::SecondFactor);
    let signed_in = house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();
    assert!(signed_in.caller.lacks_second_factor(), "a new session as well");

    house.set_up(&signed_in).await;
    let caller = house.callers(&signed_in.token).await.unwrap();
    assert!(!caller.lacks_second_factor() && caller.authorize::<Own>().is_ok());
}
