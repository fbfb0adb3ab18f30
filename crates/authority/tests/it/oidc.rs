//! Signing in at an identity provider: only its own fresh word about this very sign-in counts, keys change,
//! nobody is let in who is not mapped, and people are known by the provider's name for them alone.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_authority::oidc::{
    Answered, IdTokenFault, NotLetIn, OidcConfig, OidcError, OidcMapping, OidcReturn, OidcTransport,
    Unanswered,
};
use countersign_authority::passwords::ResetPasswordError;
use countersign_authority::people::SignedIn;
use countersign_authority::users::{AccountStanding, SignsIn, UserChange, WantedUser};
use countersign_authority::{Authority, OpenWith, View};
use countersign_ca::{KeyAlgorithm, SigningKey};
use countersign_core::audit::AuditEvent;
use countersign_store::{AuditFilter, Role};
use futures_util::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::house::{HOUR, House, MINUTE, SECOND, address, refused};

const ISSUER: &str = "https://id.example.com";
const CLIENT: &str = "countersign";
const SECRET: &str = "between us two";

/// A key of the provider's.
struct Key {
    name: String,
    key: SigningKey,
}

impl Key {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), key: SigningKey::generate(KeyAlgorithm::P256).unwrap() }
    }

    fn published(&self) -> Value {
        let spki = self.key.public_key().spki_der().to_vec();
        // The last 64 octets of a P-256 key are its point.
        let (x, y) = spki.split_at(spki.len() - 64).1.split_at(32);
        let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.name, "x": text(x), "y": text(y) })
    }

    fn signs(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.name.clone());
        encode(&header, claims, &EncodingKey::from_ec_der(self.key.pkcs8_der())).unwrap()
    }
}

/// What the provider does now.
struct Doing {
    published: Vec<Value>,
    /// What the code of the sign-in is worth.
    token: String,
    /// What came with the question for it.
    challenge: String,
    asked_for_keys: usize,
}

/// An identity provider without a network.
struct Fake(Mutex<Doing>);

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

fn answer(status: u16, body: &Value) -> Result<Answered, Unanswered> {
    Ok(Answered { status, body: Zeroizing::new(body.to_string().into_bytes()) })
}

impl OidcTransport for Fake {
    fn get(&self, url: String) -> BoxFuture<'_, Result<Answered, Unanswered>> {
        Box::pin(async move {
            let mut doing = self.0.lock();
            match url.strip_prefix(ISSUER) {
                Some("/.well-known/openid-configuration") => answer(
                    200,
                    &json!({
                        "issuer": ISSUER,
                        "authorization_endpoint": format!("{ISSUER}/auth?prompt=login"),
                        "token_endpoint": format!("{ISSUER}/token"),
                        "jwks_uri": format!("{ISSUER}/keys"),
                        "end_session_endpoint": format!("{ISSUER}/out"),
                    }),
                ),
                Some("/keys") => {
                    doing.asked_for_keys += 1;
                    answer(200, &json!({ "keys": doing.published }))
                }
                _ => answer(404, &json!({})),
            }
        })
    }

    fn post(
        &self,
        url: String,
        form: Zeroizing<String>,
        authorization: Option<Zeroizing<String>>,
    ) -> BoxFuture<'_, Result<Answered, Unanswered>> {
        Box::pin(async move {
            assert_eq!(url, format!("{ISSUER}/token"));
            let pair = STANDARD.encode(format!("{CLIENT}:{}", SECRET.replace(' ', "+")));
            assert_eq!(authorization.unwrap().as_str(), format!("Basic {pair}"));
            let field = |name| field(&form, name);
            let doing = self.0.lock();
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
            if field("code") != "good" || challenge != doing.challenge {
                return answer(400, &json!({ "error": "invalid_grant" }));
            }
            answer(200, &json!({ "access_token": "x", "token_type": "Bearer", "id_token": doing.token }))
        })
    }
}

/// A field of a query or a form.
fn field(text: &str, name: &str) -> String {
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs.into_owned().find(|(one, _)| one == name).unwrap_or_default().1
}

/// A house whose people may sign in at a provider.
struct Site {
    house: House,
    authority: Arc<Authority>,
    fake: Arc<Fake>,
    key: Key,
}

/// What a browser has while it is at the provider.
struct Begun {
    secret: Zeroizing<String>,
    state: String,
    nonce: String,
}

impl Site {
    async fn new() -> Self {
        let house = House::new().await;
        let key = Key::new("one");
        let doing = Doing {
            published: vec![json!({ "kty": "oct", "k": "AAAA", "kid": "other" }), key.published()],
            token: String::new(),
            challenge: String::new(),
            asked_for_keys: 0,
        };
        let fake = Arc::new(Fake(Mutex::new(doing)));
        let mapping = |value: &str, role, tenant: Option<&str>| OidcMapping {
            claim: "groups".to_owned(),
            value: value.to_owned(),
            role,
            tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        };
        let config = OidcConfig {
            issuer: ISSUER.to_owned(),
            client_id: CLIENT.to_owned(),
            client_secret: Zeroizing::new(SECRET.to_owned()),
            console_url: "https://console.example.com".to_owned(),
            scopes: vec!["email".to_owned()],
            name: "ours".to_owned(),
            people: vec![
                mapping("admins", Role::Admin, None),
                mapping("operators", Role::Operator, Some("default")),
                mapping("elsewhere", Role::Viewer, Some("nowhere")),
            ],
        };
        let transport: Arc<dyn OidcTransport> = fake.clone();
        let with = OpenWith { oidc: Some((config, transport)), ..OpenWith::default() };
        let (store, clock) = (house.store.clone(), house.clock.clone());
        let authority = Authority::open_with(store, clock, house.config(), with).await.unwrap();
        Self { house, authority, fake, key }
    }

    async fn begin(&self) -> Begun {
        let begun = self.authority.begin_oidc().await.unwrap();
        let (place, query) = begun.url.split_once('?').unwrap();
        assert_eq!(place, format!("{ISSUER}/auth"));
        assert!(query.starts_with("prompt=login&response_type=code&"), "{query}");
        assert_eq!(field(query, "redirect_uri"), "https://console.example.com/console/oidc/callback");
        assert_eq!((field(query, "scope"), field(query, "code_challenge_method")), {
            ("openid email".to_owned(), "S256".to_owned())
        });
        assert!(!begun.url.contains(&*begun.secret));
        self.fake.0.lock().challenge = field(query, "code_challenge");
        Begun { secret: begun.secret, state: field(query, "state"), nonce: field(query, "nonce") }
    }

    /// What the provider says of somebody in a sign-in.
    fn claims(&self, begun: &Begun, subject: &str, groups: &[&str]) -> Value {
        let now = self.house.now().secs();
        json!({
            "iss": ISSUER, "aud": CLIENT, "sub": subject, "iat": now, "exp": now + 300,
            "nonce": begun.nonce, "email": format!("{subject}@example.com"), "groups": groups,
        })
    }

    async fn finish(&self, begun: &Begun, token: String) -> Result<SignedIn, OidcError> {
        self.fake.0.lock().token = token;
        let back = OidcReturn { code: Zeroizing::new("good".to_owned()), state: begun.state.clone() };
        self.authority.finish_oidc(&begun.secret, back, address()).await
    }

    async fn enter(&self, subject: &str, groups: &[&str]) -> Result<SignedIn, OidcError> {
        let begun = self.begin().await;
        let token = self.key.signs(&self.claims(&begun, subject, groups));
        self.finish(&begun, token).await
    }

    /// What becomes of a token whose claims were changed.
    async fn changed(&self, change: impl FnOnce(&mut Value)) -> Result<SignedIn, OidcError> {
        let begun = self.begin().await;
        let mut claims = self.claims(&begun, "ada", &["admins"]);
        change(&mut claims);
        let token = self.key.signs(&claims);
        self.finish(&begun, token).await
    }
}

fn fault(outcome: Result<SignedIn, OidcError>) -> IdTokenFault {
    let error = refused(outcome);
    let OidcError::Refused(fault) = error else { panic!("{error:?}") };
    fault
}

fn not_let_in(outcome: Result<SignedIn, OidcError>) -> NotLetIn {
    let error = refused(outcome);
    let OidcError::NotLetIn(why) = error else { panic!("{error:?}") };
    why
}

#[tokio::test]
async fn whoever_is_mapped_is_let_in_as_that_and_put_on_record_once() {
    let site = Site::new().await;
    let first = site.enter("ada", &["staff", "admins", "operators"]).await.unwrap();
    let again = site.enter("ada", &["admins"]).await.unwrap();
    let (one, two) = (first.caller.user(), again.caller.user());
    assert_eq!((one.id, one.role, &*one.email), (two.id, Role::Admin, "ada@example.com"));
    assert!(site.authority.caller(&first.token).await.unwrap().unwrap().authorize::<View>().is_ok());
    let listed = site.authority.user(&site.house.administer(), one.id).await.unwrap();
    assert_eq!(listed.signs_in, SignsIn::AtProvider);
    let bound = site.enter("bob", &["operators"]).await.unwrap();
    assert!(bound.caller.tenant().is_some() && bound.caller.role() == Role::Operator);
    let all = AuditFilter { event: Some(AuditEvent::LoginSucceeded), limit: 9, ..AuditFilter::default() };
    let entries = site.house.audit(all).await;
    assert!(
        entries.iter().any(|entry| entry.details["subject"] == "ada" && entry.details["issuer"] == ISSUER)
    );
}

#[tokio::test]
async fn nobody_is_let_in_who_is_not_mapped() {
    let site = Site::new().await;
    assert_eq!(not_let_in(site.enter("eve", &[]).await), NotLetIn::NotMapped);
    assert_eq!(not_let_in(site.enter("eve", &["admin", "Admins"]).await), NotLetIn::NotMapped);
    assert_eq!(not_let_in(site.enter("eve", &["elsewhere"]).await), NotLetIn::UnknownTenant);
    let unmapped = site.changed(|claims| claims["groups"] = json!({ "admins": true })).await;
    assert_eq!(not_let_in(unmapped), NotLetIn::NotMapped);
    assert!(site.changed(|claims| claims["groups"] = json!("admins")).await.is_ok(), "a text will do");
    let failed = AuditFilter { event: Some(AuditEvent::LoginFailed), limit: 9, ..AuditFilter::default() };
    assert_eq!(site.house.audit(failed).await.len(), 4);
}

#[tokio::test]
async fn people_are_known_by_the_providers_name_and_never_by_an_address() {
    let site = Site::new().await;
    let wanted = WantedUser {
        email: "ada@example.com".into(),
        role: Role::Owner,
        tenant: None,
        password: Some(Zeroizing::new("correct horse battery".to_owned())),
    };
    site.house.authority.create_user(&site.house.administer(), wanted).await.unwrap();
    assert_eq!(not_let_in(site.enter("ada", &["admins"]).await), NotLetIn::EmailTaken);
    let unverified = |claims: &mut Value| {
        claims["sub"] = json!("mallory");
        claims["email"] = json!("ceo@example.com");
        claims["email_verified"] = json!(false);
    };
    assert_eq!(not_let_in(site.changed(unverified).await), NotLetIn::NoEmail);

    let bob = site.enter("bob", &["admins"]).await.unwrap().caller.user().id;
    let renamed = |claims: &mut Value| {
        claims["sub"] = json!("bob");
        claims["email"] = json!("robert@example.com");
    };
    assert_eq!(site.changed(renamed).await.unwrap().caller.user().id, bob);
    let other = |claims: &mut Value| {
        claims["sub"] = json!("another-bob");
        claims["email"] = json!("bob@example.com");
    };
    assert_eq!(not_let_in(site.changed(other).await), NotLetIn::EmailTaken);
    let reset = site.authority.reset_password(&site.house.administer(), bob).await;
    assert!(matches!(refused(reset), ResetPasswordError::AtProvider), "there is no way round the provider");
}

#[tokio::test]
async fn what_the_mapping_says_now_counts_and_a_disabled_person_stays_out() {
    let site = Site::new().await;
    let before = site.enter("ada", &["admins"]).await.unwrap();
    let after = site.enter("ada", &["operators"]).await.unwrap();
    assert_eq!((before.caller.user().id, after.caller.role()), (after.caller.user().id, Role::Operator));
    assert!(site.authority.caller(&before.token).await.unwrap().is_none(), "the wider session ends");
    let off = UserChange { standing: Some(AccountStanding::Disabled), ..UserChange::default() };
    site.authority.change_user(&site.house.administer(), after.caller.user().id, off).await.unwrap();
    assert_eq!(not_let_in(site.enter("ada", &["admins"]).await), NotLetIn::Disabled);
}

#[tokio::test]
async fn only_the_providers_fresh_word_about_this_sign_in_counts() {
    let site = Site::new().await;
    let now = site.house.now().secs();
    for (expected, claim, value) in [
        (IdTokenFault::Nonce, "nonce", json!("another")),
        (IdTokenFault::Nonce, "nonce", Value::Null),
        (IdTokenFault::Issuer, "iss", json!("https://id.example.com.evil.example")),
        (IdTokenFault::Audience, "aud", json!("another")),
        (IdTokenFault::Audience, "aud", json!([CLIENT, "another"])),
        (IdTokenFault::Audience, "azp", json!("another")),
        (IdTokenFault::Time, "exp", json!(now - 60)),
        (IdTokenFault::Time, "iat", json!(now + 61)),
        (IdTokenFault::Time, "nbf", json!(now + 61)),
        (IdTokenFault::Malformed, "sub", json!("")),
        (IdTokenFault::Malformed, "exp", Value::Null),
    ] {
        assert_eq!(fault(site.changed(|claims| claims[claim] = value).await), expected, "{claim}");
    }
    let several = |claims: &mut Value| {
        claims["aud"] = json!([CLIENT, "another"]);
        claims["azp"] = json!(CLIENT);
    };
    assert!(site.changed(several).await.is_ok());
    assert!(site.changed(|claims| claims["exp"] = json!(now - 59)).await.is_ok(), "clocks differ");
}

#[tokio::test]
async fn only_signatures_of_the_providers_keys_count() {
    let site = Site::new().await;
    let twin = Key::new("one");
    let forged = async |sign: &dyn Fn(&Value) -> String| {
        let begun = site.begin().await;
        let token = sign(&site.claims(&begun, "ada", &["admins"]));
        fault(site.finish(&begun, token).await)
    };
    assert_eq!(forged(&|claims| twin.signs(claims)).await, IdTokenFault::Signature);
    assert_eq!(forged(&|claims| Key::new("two").signs(claims)).await, IdTokenFault::UnknownKey);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "HS256"] {
        let header = part(&json!({ "alg": alg, "kid": "one" }));
        let unsigned = |claims: &Value| format!("{header}.{}.", part(claims));
        assert_eq!(forged(&unsigned).await, IdTokenFault::Algorithm, "{alg}");
    }
    // The public key as the secret of a shared one.
    let point = site.key.published()["x"].as_str().unwrap().to_owned();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("one".to_owned());
    let shared =
        |claims: &Value| encode(&header, claims, &EncodingKey::from_secret(point.as_bytes())).unwrap();
    assert_eq!(forged(&shared).await, IdTokenFault::Algorithm);
    let cut = |claims: &Value| {
        let token = site.key.signs(claims);
        let (signed, _) = token.rsplit_once('.').unwrap();
        format!("{signed}.")
    };
    assert_eq!(forged(&cut).await, IdTokenFault::Signature);
    assert_eq!(forged(&|_claims| "x".to_owned()).await, IdTokenFault::Algorithm);
    site.enter("ada", &["admins"]).await.unwrap();
}

#[tokio::test]
async fn a_provider_changes_its_keys() {
    let mut site = Site::new().await;
    site.enter("ada", &["admins"]).await.unwrap();
    site.enter("ada", &["admins"]).await.unwrap();
    assert_eq!(site.fake.0.lock().asked_for_keys, 1, "they are kept");
    let former = std::mem::replace(&mut site.key, Key::new("two"));
    site.fake.0.lock().published = vec![former.published(), site.key.published()];
    site.enter("ada", &["admins"]).await.unwrap();
    assert_eq!(site.fake.0.lock().asked_for_keys, 2, "asked for again at once");

    site.fake.0.lock().published = vec![site.key.published()];
    site.house.pass(HOUR);
    let begun = site.begin().await;
    let token = former.signs(&site.claims(&begun, "ada", &["admins"]));
    assert_eq!(fault(site.finish(&begun, token).await), IdTokenFault::UnknownKey, "taken back");
}

#[tokio::test]
async fn a_sign_in_is_of_the_browser_that_began_it() {
    let site = Site::new().await;
    let (victim, attacker) = (site.begin().await, site.begin().await);
    let token = site.key.signs(&site.claims(&attacker, "mallory", &["admins"]));
    site.fake.0.lock().token = token.clone();
    let good = || Zeroizing::new("good".to_owned());
    let back = || OidcReturn { code: good(), state: attacker.state.clone() };
    for secret in [&*victim.secret, "", "cso_guess"] {
        let outcome = site.authority.finish_oidc(secret, back(), address()).await;
        assert!(matches!(refused(outcome), OidcError::NotBegun), "{secret}");
    }
    let wrong = OidcReturn { code: Zeroizing::new("bad".to_owned()), state: attacker.state.clone() };
    let outcome = site.authority.finish_oidc(&attacker.secret, wrong, address()).await;
    assert!(matches!(refused(outcome), OidcError::NotBegun), "a code that the provider refuses");
    // The code of one sign-in with the secret of another: the verifier does not fit.
    site.begin().await;
    assert!(matches!(refused(site.finish(&attacker, token.clone()).await), OidcError::NotBegun));
    for _ in 0..30 {
        drop(site.authority.finish_oidc("", back(), address()).await);
    }
    let outcome = site.authority.finish_oidc("", back(), address()).await;
    assert!(matches!(refused(outcome), OidcError::TooMany(_)));
    site.house.pass(MINUTE + SECOND);
    assert!(site.enter("ada", &["admins"]).await.is_ok());
    let out = site.authority.oidc_sign_out_url().await.unwrap().unwrap();
    assert!(out.starts_with(&format!("{ISSUER}/out?client_id={CLIENT}&")), "{out}");
    let none = refused(site.house.authority.begin_oidc().await);
    assert!(matches!(none, OidcError::Off), "where none is configured");
}
