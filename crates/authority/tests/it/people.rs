//! People: the first owner once, sign-ins that tell nothing, sessions that end.

use std::net::IpAddr;
use std::time::Duration;

use countersign_authority::IssuerMode;
use countersign_authority::people::{SetupError, SetupState};
use countersign_authority::sign_in::LoginError;
use countersign_core::audit::AuditEvent;
use countersign_store::{AuditFilter, ChainScope};
use futures_util::future::join_all;
use zeroize::Zeroizing;

use super::house::{HOUR, House, SECOND, SESSION, address, refused};

const EMAIL: &str = "Ada@example.com";

fn password(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

#[tokio::test]
async fn the_first_owner_is_made_once_with_the_token() {
    let house = House::unfurnished(IssuerMode::Embedded).await;
    let authority = &house.authority;
    let token = authority.take_setup_token().unwrap();
    assert!(authority.take_setup_token().is_none(), "shown once");
    assert_eq!(authority.setup_state().await.unwrap(), SetupState::Open);
    let wrong = authority.set_up("csetup_guess", EMAIL, password("correct horse")).await;
    assert!(matches!(refused(wrong), SetupError::Token));

    let signed_in = authority.set_up(&token, EMAIL, password("correct horse")).await.unwrap();
    assert_eq!(authority.person(&signed_in.caller).await.unwrap().role, "owner");
    assert!(authority.caller(&signed_in.token).await.unwrap().is_some());
    let again = authority.set_up(&token, "eve@example.com", password("correct horse")).await;
    assert!(matches!(refused(again), SetupError::Done));
    assert_eq!(authority.setup_state().await.unwrap(), SetupState::Done);
    let next = house.reopened(IssuerMode::Embedded).await;
    assert!(next.take_setup_token().is_none(), "not after a restart either");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_at_once_one_is_made() {
    let house = House::unfurnished(IssuerMode::Embedded).await;
    let token = house.authority.take_setup_token().unwrap();
    let emails = ["a@example.com", "b@example.com", "c@example.com"];
    let outcomes =
        join_all(emails.map(|email| house.authority.set_up(&token, email, password("correct horse")))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let users = house.read(|r| Box::pin(async move { r.count_users().await })).await;
    assert_eq!(users, 1);
}

#[tokio::test]
async fn the_setup_token_lasts_an_hour() {
    let house = House::unfurnished(IssuerMode::Embedded).await;
    let token = house.authority.take_setup_token().unwrap();
    house.pass(HOUR + SECOND);
    assert_eq!(house.authority.setup_state().await.unwrap(), SetupState::Over);
    let late = house.authority.set_up(&token, EMAIL, password("correct horse")).await;
    assert!(matches!(refused(late), SetupError::Token));
    let next = house.reopened(IssuerMode::Embedded).await;
    let fresh = next.take_setup_token().unwrap();
    next.set_up(&fresh, EMAIL, password("correct horse")).await.unwrap();
}

async fn with_ada() -> House {
    let house = House::unfurnished(IssuerMode::Embedded).await;
    let token = house.authority.take_setup_token().unwrap();
    house.authority.set_up(&token, EMAIL, password("correct horse")).await.unwrap();
    house
}

impl House {
    async fn log_in(&self, email: &str, text: &str, from: IpAddr) -> Result<Zeroizing<String>, LoginError> {
        self.authority.log_in(email, password(text), from).await.map(|signed_in| signed_in.token)
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_look_the_same() {
    let house = with_ada().await;
    for (email, text) in [(EMAIL, "wrong"), (EMAIL, ""), ("nobody@example.com", "correct horse")] {
        let error = refused(house.log_in(email, text, address()).await);
        assert!(matches!(error, LoginError::Invalid), "{email}: {error}");
    }
    house.log_in("ADA@EXAMPLE.COM", "correct horse", address()).await.unwrap();
    let filter = AuditFilter { scope: ChainScope::Platform, limit: 100, ..AuditFilter::default() };
    let records = house.read(move |r| Box::pin(async move { r.audit_entries(&filter).await })).await;
    let count = |event| records.iter().filter(|record| record.event == event).count();
    assert_eq!((count(AuditEvent::LoginFailed), count(AuditEvent::LoginSucceeded)), (3, 1));
    assert!(records.iter().all(|record| !record.details.values().any(|text| text.contains("horse"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_throttled_even_when_they_come_at_once() {
    let house = with_ada().await;
    let addresses: Vec<IpAddr> = (0..14).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    let guesses = join_all(addresses.iter().map(|from| house.log_in(EMAIL, "guess", *from))).await;
    let (mut invalid, mut too_many) = (0, 0);
    for guess in guesses {
        let error = refused(guess);
        if matches!(error, LoginError::TooMany(_)) {
            too_many += 1;
        } else {
            assert!(matches!(error, LoginError::Invalid), "{error}");
            invalid += 1;
        }
    }
    assert_eq!((invalid, too_many), (10, 4));
    let right = house.log_in(EMAIL, "correct horse", address()).await;
    assert!(matches!(refused(right), LoginError::TooMany(_)), "not even the right one");
    house.pass(Duration::from_secs(91));
    for _ in 0..20 {
        house.log_in(EMAIL, "correct horse", address()).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_ends_with_its_time_with_the_sign_out_and_never_opens_by_its_record() {
    let house = with_ada().await;
    let (one, two) = (
        house.log_in(EMAIL, "correct horse", address()).await.unwrap(),
        house.log_in(EMAIL, "correct horse", address()).await.unwrap(),
    );
    let caller = house.authority.caller(&one).await.unwrap().unwrap();
    house.authority.log_out(&caller, &one).await.unwrap();
    assert!(house.authority.caller(&one).await.unwrap().is_none());
    assert!(house.authority.caller(&two).await.unwrap().is_some());
    let hash = countersign_core::ids::SecretHash::of(&two).to_string();
    for text in ["", "css_", hash.as_str(), two.trim_start_matches("css_")] {
        assert!(house.authority.caller(text).await.unwrap().is_none(), "{text}");
    }
    house.pass(SESSION + SECOND);
    assert!(house.authority.caller(&two).await.unwrap().is_none());
    house.authority.sweep().await.unwrap();
    house.pass(SECOND);
    assert!(house.authority.caller(&two).await.unwrap().is_none());
}
