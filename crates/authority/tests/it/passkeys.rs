//! Passkeys: somebody shows one at the waiting sign-in, made for this console and no other page; a signature is
//! good once and for what was asked, a device that counts backwards is refused, and whoever has one shows
//! what they have before it changes.

use countersign_authority::passkeys::{MadePasskey, PasskeyAsked, PasskeyFault, ShownPasskey};
use countersign_authority::people::SignedIn;
use countersign_authority::second_factor::{
    OwnSecondFactor, RecoveryCodes, SecondFactorError, SecondFactorProof, ShownFactor,
    remove_second_factor_on_the_machine,
};
use countersign_authority::sign_in::{BegunSignIn, LoginError};
use countersign_authority::{Account, Authority, Authorized, OpenWith};
use countersign_core::audit::AuditEvent;
use countersign_store::{AuditFilter, Role};
use countersign_testkit::SecurityKey;

use super::house::{House, MINUTE, address, refused};
use super::second_factor::{EMAIL, PASSWORD, secret};

fn account(session: &SignedIn) -> Authorized<Account> {
    session.caller.authorize().unwrap()
}

fn proof(shown: Option<ShownFactor>) -> SecondFactorProof {
    SecondFactorProof { password: secret(PASSWORD), shown }
}

fn made(key: &SecurityKey, challenge: &str) -> MadePasskey {
    let answer = key.make(challenge);
    MadePasskey {
        client_data: answer.client_data,
        authenticator_data: answer.authenticator_data,
        public_key: answer.proof,
    }
}

fn shown(key: &SecurityKey, challenge: &str) -> ShownFactor {
    let answer = key.show(challenge);
    ShownFactor::Passkey(ShownPasskey {
        credential: key.credential.clone(),
        client_data: answer.client_data,
        authenticator_data: answer.authenticator_data,
        signature: answer.proof,
    })
}

impl House {
    /// Makes a passkey for whoever signed in, who shows this first.
    async fn add(
        &self,
        session: &SignedIn,
        key: &SecurityKey,
        first: Option<ShownFactor>,
    ) -> Result<Option<RecoveryCodes>, SecondFactorError> {
        let by = account(session);
        let wanted = self.authority.begin_passkey(&by, proof(first), address()).await?;
        let made = made(key, &wanted.asked.challenge);
        self.authority.confirm_passkey(&by, &session.token, "blue key".into(), &made).await
    }

    /// Somebody with a passkey.
    async fn with_passkey(&self) -> (SignedIn, SecurityKey, Vec<String>) {
        let (_, session) = self.grace_without(Role::Operator).await;
        let key = SecurityKey { count: 5, ..SecurityKey::new() };
        let codes = self.add(&session, &key, None).await.unwrap().unwrap();
        (session, key, codes.0.iter().map(|code| code.to_string()).collect())
    }

    async fn asked_at(&self, begun: &BegunSignIn) -> PasskeyAsked {
        self.authority.passkeys_at_sign_in(begun).await.unwrap().unwrap()
    }

    async fn show(&self, begun: &BegunSignIn, given: ShownFactor) -> Result<SignedIn, LoginError> {
        self.authority.finish_sign_in(begun, &given, address()).await
    }

    async fn own_factors(&self, session: &SignedIn) -> OwnSecondFactor {
        self.authority.own_second_factor(&account(session)).await.unwrap()
    }
}

#[tokio::test]
async fn whoever_has_a_passkey_signs_in_with_it_and_not_without() {
    let house = House::new().await;
    let (session, mut key, codes) = house.with_passkey().await;
    assert_eq!(codes.len(), 10);
    let begun = house.begin().await;
    let asked = house.asked_at(&begun).await;
    assert_eq!((&*asked.relying_party, &asked.credentials), ("localhost", &vec![key.credential.clone()]));
    key.count += 1;
    let entered = house.show(&begun, shown(&key, &asked.challenge)).await.unwrap();
    assert!(house.callers(&entered.token).await.is_some());
    let own = house.own_factors(&session).await;
    assert_eq!((&*own.passkeys[0].name, own.passkeys[0].last_used_at), ("blue key", Some(house.now())));
    let filter = AuditFilter { event: Some(AuditEvent::LoginSucceeded), limit: 1, ..AuditFilter::default() };
    assert_eq!(house.audit(filter).await[0].details["secondFactor"], "passkey");

    key.count += 1;
    let again = house.show(&begun, shown(&key, &asked.challenge)).await;
    assert!(matches!(refused(again), LoginError::Over), "one sign-in");
    assert!(house.authority.passkeys_at_sign_in(&begun).await.unwrap().is_none());
    house.finish(&codes[0]).await.unwrap();
}

#[tokio::test]
async fn what_was_signed_for_anything_else_is_refused() {
    let house = House::new().await;
    let (_, mut key, _) = house.with_passkey().await;
    let former = house.asked_at(&house.begin().await).await.challenge;
    let begun = house.begin().await;
    let challenge = house.asked_at(&begun).await.challenge;
    key.count += 1;
    let twin = SecurityKey { credential: key.credential.clone(), count: 9, ..SecurityKey::new() };
    let mut wrong = vec![
        ("a key that only claims to be it", shown(&twin, &challenge)),
        ("an unknown one", shown(&SecurityKey::new(), &challenge)),
        ("another sign-in's challenge", shown(&key, &former)),
        ("no challenge", shown(&key, "")),
    ];
    let honest = (key.origin.clone(), key.relying_party.clone());
    key.origin = "https://evil.example".into();
    wrong.push(("another origin", shown(&key, &challenge)));
    key.origin = "http://localhost.evil.example".into();
    wrong.push(("an origin that begins alike", shown(&key, &challenge)));
    (key.origin, key.relying_party) = (honest.0, "evil.example".into());
    wrong.push(("another name", shown(&key, &challenge)));
    (key.relying_party, key.is_touched) = (honest.1, false);
    wrong.push(("nobody there", shown(&key, &challenge)));
    (key.is_touched, key.count) = (true, 5);
    wrong.push(("a count that stands still", shown(&key, &challenge)));
    key.count = 4;
    wrong.push(("a count that goes back", shown(&key, &challenge)));
    let attempts = wrong.len();
    for (why, given) in wrong {
        let refusal = refused(house.show(&begun, given).await);
        assert!(matches!(refusal, LoginError::Code), "{why}: {refusal}");
    }
    assert_eq!(house.entries(AuditEvent::LoginFailed).await, attempts);
}

#[tokio::test]
async fn a_passkey_is_made_once_for_this_console_and_in_time() {
    let house = House::new().await;
    let (_, session) = house.grace_without(Role::Operator).await;
    let other = house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();
    let by = account(&session);
    let begin =
        async || house.authority.begin_passkey(&by, proof(None), address()).await.unwrap().asked.challenge;
    let confirm = async |made: MadePasskey| {
        house.authority.confirm_passkey(&by, &session.token, "key".into(), &made).await
    };
    let guess = SecondFactorProof { password: secret("guess"), shown: None };
    let guess = house.authority.begin_passkey(&by, guess, address()).await;
    assert!(matches!(refused(guess), SecondFactorError::Password));

    let key = SecurityKey::new();
    let (replaced, challenge) = (begin().await, begin().await);
    let foreign = SecurityKey { origin: "https://evil.example".into(), ..SecurityKey::new() };
    let fault = refused(confirm(made(&foreign, &challenge)).await);
    assert!(matches!(fault, SecondFactorError::Passkey(PasskeyFault::Origin(_))), "{fault}");
    let fault = refused(confirm(MadePasskey { client_data: b"{}".to_vec(), ..made(&key, &challenge) }).await);
    assert!(matches!(fault, SecondFactorError::Passkey(PasskeyFault::Malformed)), "{fault}");
    let fault = refused(confirm(MadePasskey { public_key: vec![48, 0], ..made(&key, &challenge) }).await);
    assert!(matches!(fault, SecondFactorError::Passkey(PasskeyFault::Key(_))), "{fault}");
    let shown = MadePasskey { client_data: key.show(&challenge).client_data, ..made(&key, &challenge) };
    let fault = refused(confirm(shown).await);
    assert!(matches!(fault, SecondFactorError::Passkey(PasskeyFault::OtherCeremony)), "{fault}");
    for late in [replaced.as_str(), "x"] {
        let fault = refused(confirm(made(&key, late)).await);
        assert!(matches!(fault, SecondFactorError::Passkey(PasskeyFault::Used)), "{fault}");
    }
    house.pass(MINUTE * 15);
    let fault = refused(confirm(made(&key, &challenge)).await);
    assert!(matches!(fault, SecondFactorError::Passkey(PasskeyFault::Used)), "late: {fault}");
    assert!(house.own_factors(&session).await.is_none());

    let challenge = begin().await;
    assert!(confirm(made(&key, &challenge)).await.unwrap().is_some());
    assert!(
        matches!(refused(confirm(made(&key, &challenge)).await), SecondFactorError::Passkey(_)),
        "replayed"
    );
    assert!(house.callers(&session.token).await.is_some());
    assert!(house.callers(&other.token).await.is_none(), "other sessions end");
}

#[tokio::test]
async fn whoever_has_one_shows_it_before_anything_changes() {
    let house = House::new().await;
    let (session, mut key, codes) = house.with_passkey().await;
    let by = account(&session);
    let second = SecurityKey::new();
    assert!(matches!(refused(house.add(&session, &second, None).await), SecondFactorError::Code));
    let totp = house.authority.begin_totp(&by, proof(None), address()).await;
    assert!(matches!(refused(totp), SecondFactorError::Code));
    let ask = async || house.authority.ask_for_passkey(&by).await.unwrap().challenge;
    key.count += 1;
    let challenge = ask().await;
    let used = || Some(shown(&key, &challenge));
    assert!(house.add(&session, &second, used()).await.unwrap().is_none(), "no new codes");
    assert!(matches!(refused(house.add(&session, &second, used()).await), SecondFactorError::Code), "used");
    // What a sign-in asks is not what a session asks.
    key.count += 1;
    let begun = house.begin().await;
    let elsewhere = Some(shown(&key, &house.asked_at(&begun).await.challenge));
    let refusal = house.authority.begin_totp(&by, proof(elsewhere), address()).await;
    assert!(matches!(refused(refusal), SecondFactorError::Code));

    let ids: Vec<_> = house.own_factors(&session).await.passkeys.iter().map(|own| own.id).collect();
    let remove =
        async |id, given| house.authority.remove_passkey(&by, id, proof(Some(given)), address()).await;
    key.count += 1;
    remove(ids[1], shown(&key, &ask().await)).await.unwrap();
    let gone = refused(remove(ids[1], shown(&key, &ask().await)).await);
    assert!(matches!(gone, SecondFactorError::Missing), "{gone}");
    let code = ShownFactor::Code(secret(&codes[0]));
    remove(ids[0], code).await.unwrap();
    let own = house.own_factors(&session).await;
    assert!(own.is_none() && own.recovery_codes_left == 0);
    house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();
    assert_eq!(house.entries(AuditEvent::SecondFactorRemoved).await, 2);
}

#[tokio::test]
async fn where_everybody_needs_one_a_passkey_is_one_and_the_operator_removes_it() {
    let house = House::new().await;
    house.require().await;
    let (session, _, _) = house.with_passkey().await;
    let caller = house.callers(&session.token).await.unwrap();
    assert!(!caller.lacks_second_factor());
    remove_second_factor_on_the_machine(&house.store, EMAIL, house.now()).await.unwrap();
    let entered = house.authority.log_in(EMAIL, secret(PASSWORD), address()).await.unwrap();
    assert!(entered.caller.lacks_second_factor() && house.own_factors(&entered).await.is_none());
}

#[tokio::test]
async fn passkeys_are_made_for_the_place_where_the_console_is_said_to_be() {
    let mut house = House::new().await;
    let with = OpenWith { console_url: Some("https://console.example.com/".into()), ..OpenWith::default() };
    let authority = Authority::open_with(house.store.clone(), house.clock.clone(), house.config(), with);
    house.authority = authority.await.unwrap();
    let (_, session) = house.grace_without(Role::Operator).await;
    let (origin, relying_party) =
        ("https://console.example.com".to_owned(), "console.example.com".to_owned());
    let local = house.add(&session, &SecurityKey::new(), None).await;
    assert!(matches!(refused(local), SecondFactorError::Passkey(PasskeyFault::Origin(_))));
    let key = SecurityKey { origin, relying_party, ..SecurityKey::new() };
    house.add(&session, &key, None).await.unwrap().unwrap();
}
