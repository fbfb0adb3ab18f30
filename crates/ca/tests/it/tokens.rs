//! Keys made in a real PKCS #11 token sign there, through a few sessions, and come back when it does.
//!
//! SoftHSM2 finds its tokens through the environment and keeps its state per process: each test runs as
//! a process of its own, which is this program again, told to run that one test.

use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::{
    Issuer, IssuerKind, KeyAlgorithm, KeyError, KeyUri, Pace, SecretFile, Signer as _, Token, TokenError,
    TokenKey, TokenSettings,
};
use countersign_testkit::{SoftToken, TOKEN_LABEL};

use crate::hierarchy::{ROOT_LIFE, device, key, now, request, subject};

const FOLDER: &str = "CS_TEST_TOKEN";

/// Runs `act` in a process that sees a token of its own.
fn in_a_process(test: &str, act: impl FnOnce(&Seen)) {
    if let Some(folder) = option(FOLDER) {
        return act(&Seen(folder.into()));
    }
    let token = SoftToken::new();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tokens::{test}"), "--nocapture"])
        .env("SOFTHSM2_CONF", token.configuration())
        .env(FOLDER, token.configuration().parent().unwrap())
        .output()
        .unwrap();
    let said = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(ran.status.success(), "{}{}", said(&ran.stdout), said(&ran.stderr));
    assert!(said(&ran.stdout).contains("1 passed"), "{}", said(&ran.stdout));
}

#[expect(clippy::disallowed_methods, reason = "how a test tells its own process where the token is")]
fn option(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The folder of the token that this process sees.
struct Seen(std::path::PathBuf);

impl Seen {
    fn settings(&self) -> TokenSettings {
        TokenSettings {
            module: SoftToken::module().to_owned(),
            label: Some(TOKEN_LABEL.to_owned()),
            serial: None,
            pin: SecretFile::Own(self.0.join("pin")),
            sessions: NonZeroUsize::new(3).unwrap(),
        }
    }

    fn token(&self) -> Arc<Token> {
        Arc::new(Token::new(self.settings()))
    }

    fn pull_out(&self) {
        fs_err::rename(self.0.join("tokens"), self.0.join("away")).unwrap();
    }

    fn put_in(&self) {
        fs_err::rename(self.0.join("away"), self.0.join("tokens")).unwrap();
    }
}

/// What a token said, when a key could not be used because of it.
fn refusal(error: &KeyError) -> TokenError {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<TokenError>().unwrap().clone()
}

/// Tries until it works: a token that is back is looked for once a second.
fn eventually(what: &str, mut works: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !works() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn every_kind_of_key_signs_and_is_found_again() {
    in_a_process("every_kind_of_key_signs_and_is_found_again", |seen| {
        let token = seen.token();
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048] {
            let made = token.generate(algorithm, &format!("ca {algorithm}")).unwrap();
            assert_eq!((made.public_key().algorithm(), made.pace()), (algorithm, Pace::Slow));
            let text = made.uri().to_string();
            assert!(text.starts_with("pkcs11:token=countersign%20test;object=ca%20"), "{text}");
            let uri: KeyUri = text.parse().unwrap();
            let again = TokenKey::new(Arc::clone(&token), uri, made.public_key().clone());
            for key in [&made, &again] {
                for message in 0..20_u8 {
                    let signature = key.sign(&[message]).unwrap();
                    key.public_key().verify(&[message], &signature).unwrap();
                }
            }
        }
        let refused = refusal(&token.generate(KeyAlgorithm::Ed25519, "ed").unwrap_err());
        assert!(matches!(refused, TokenError::Unfit { .. }), "{refused}");
    });
}

#[test]
fn a_ca_in_a_token_issues_and_openssl_agrees() {
    in_a_process("a_ca_in_a_token_issues_and_openssl_agrees", |seen| {
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048] {
            let signer = Arc::new(seen.token().generate(algorithm, "root").unwrap());
            let root = Issuer::create_root(
                subject("CN=acme root"),
                signer.clone(),
                countersign_ca::random_serial(1).unwrap(),
                (now(), ROOT_LIFE),
            );
            let root = root.unwrap();
            let again = Issuer::open(root.certificate_der(), signer, IssuerKind::Root).unwrap();
            let below = key(KeyAlgorithm::P256);
            let profile = countersign_ca::Profile::IssuingDevice { subject: subject("CN=acme devices") };
            let signed = again.sign(again.prepare(request(profile, below.public_key())).unwrap()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs_err::write(at("root.pem"), root.certificate_pem()).unwrap();
            fs_err::write(at("below.pem"), signed.pem()).unwrap();
            let time = now().secs().to_string();
            let verified = Command::new("openssl")
                .args(["verify", "-x509_strict", "-attime", &time, "-CAfile"])
                .args([at("root.pem"), at("below.pem")])
                .output()
                .unwrap();
            assert!(verified.status.success(), "{algorithm}: {}", String::from_utf8_lossy(&verified.stderr));
            assert!(
                again.prepare(request(device("d1"), below.public_key())).is_err(),
                "a root makes no devices"
            );
        }
    });
}

#[test]
fn another_key_of_the_same_name_makes_nothing_that_goes_out() {
    in_a_process("another_key_of_the_same_name_makes_nothing_that_goes_out", |seen| {
        let token = seen.token();
        let [right, wrong] =
            ["right", "wrong"].map(|label| token.generate(KeyAlgorithm::P256, label).unwrap());
        let root = Issuer::create_root(
            subject("CN=acme root"),
            Arc::new(right),
            countersign_ca::random_serial(1).unwrap(),
            (now(), ROOT_LIFE),
        );
        let root = root.unwrap();
        let public = countersign_ca::PublicKey::from_certificate_der(root.certificate_der()).unwrap();
        let swapped = Arc::new(TokenKey::new(token, wrong.uri().clone(), public));
        let swapped = Issuer::open(root.certificate_der(), swapped, IssuerKind::Root).unwrap();
        let below = key(KeyAlgorithm::P256);
        let profile = countersign_ca::Profile::IssuingDevice { subject: subject("CN=acme devices") };
        let prepared = swapped.prepare(request(profile, below.public_key())).unwrap();
        assert!(swapped.sign(prepared).is_err());
    });
}

#[test]
fn a_token_that_goes_away_fails_requests_and_comes_back_by_itself() {
    in_a_process("a_token_that_goes_away_fails_requests_and_comes_back_by_itself", |seen| {
        let key = seen.token().generate(KeyAlgorithm::P256, "ca").unwrap();
        key.sign(b"here").unwrap();
        for _round in 0..2 {
            seen.pull_out();
            eventually("a token that is out signs", || key.sign(b"out").is_err());
            eventually("its absence is not named", || {
                let said = refusal(&key.sign(b"out").unwrap_err()).to_string();
                said.contains("\"countersign test\"")
            });
            seen.put_in();
            eventually("a token that is back does not sign", || key.sign(b"back").is_ok());
        }
    });
}

#[test]
fn a_token_may_be_away_at_the_start() {
    in_a_process("a_token_may_be_away_at_the_start", |seen| {
        let made = seen.token().generate(KeyAlgorithm::P256, "ca").unwrap();
        seen.pull_out();
        let key = TokenKey::new(seen.token(), made.uri().clone(), made.public_key().clone());
        let refused = refusal(&key.sign(b"out").unwrap_err());
        assert!(matches!(refused, TokenError::Missing { .. } | TokenError::Failed { .. }), "{refused}");
        seen.put_in();
        eventually("a token that came does not sign", || key.sign(b"back").is_ok());
    });
}

#[test]
fn a_wrong_pin_is_tried_once_and_a_corrected_one_works() {
    in_a_process("a_wrong_pin_is_tried_once_and_a_corrected_one_works", |seen| {
        let right = fs_err::read(seen.0.join("pin")).unwrap();
        fs_err::write(seen.0.join("pin"), "000000").unwrap();
        let token = seen.token();
        for _try in 0..20 {
            let refused = refusal(&token.generate(KeyAlgorithm::P256, "ca").unwrap_err());
            assert!(matches!(refused, TokenError::Pin { .. }), "{refused}");
            assert!(!format!("{refused:?}").contains("000000"));
        }
        fs_err::write(seen.0.join("pin"), right).unwrap();
        eventually("the corrected PIN is not taken", || token.generate(KeyAlgorithm::P256, "ca").is_ok());
    });
}

#[test]
fn many_sign_at_once_through_a_few_sessions() {
    in_a_process("many_sign_at_once_through_a_few_sessions", |seen| {
        let key = seen.token().generate(KeyAlgorithm::P256, "ca").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..16_u8 {
                let key = &key;
                scope.spawn(move || {
                    for message in 0..50_u8 {
                        let signature = key.sign(&[thread, message]).unwrap();
                        key.public_key().verify(&[thread, message], &signature).unwrap();
                    }
                });
            }
        });
    });
}

#[test]
fn what_is_not_there_is_said() {
    in_a_process("what_is_not_there_is_said", |seen| {
        let made = seen.token().generate(KeyAlgorithm::P256, "ca").unwrap();
        let uri = KeyUri { id: Some(vec![1]), ..made.uri().clone() };
        let unknown = TokenKey::new(seen.token(), uri, made.public_key().clone());
        let refused = refusal(&unknown.sign(b"").unwrap_err());
        assert!(matches!(refused, TokenError::NoKey { found: 0, .. }), "{refused}");

        let other = TokenSettings { label: Some("another".to_owned()), ..seen.settings() };
        let refused = refusal(&Arc::new(Token::new(other)).generate(KeyAlgorithm::P256, "ca").unwrap_err());
        assert!(matches!(refused, TokenError::Missing { found: 0, .. }), "{refused}");
        assert!(refused.to_string().contains("\"another\""), "{refused}");

        let module = TokenSettings { module: "/nonexistent/module.so".into(), ..seen.settings() };
        let refused = refusal(&Arc::new(Token::new(module)).generate(KeyAlgorithm::P256, "ca").unwrap_err());
        assert!(refused.to_string().contains("/nonexistent/module.so"), "{refused}");
    });
}
