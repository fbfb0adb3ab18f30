//! What a door shows its clients, and how it is replaced.

use countersign_testkit::{KeyKind, LeafSpec, TestCa};
use countersign_tls::{ClientAuth, ClientTls, ServerCredential, ServerTrust};

use crate::meeting::{Client, DOMAIN, Door, VERSIONS, credential};

async fn leaf_shown(door: &Door, ca: &TestCa, host: &str) -> Vec<u8> {
    let tls = ClientTls::new(&ServerTrust::Roots(ca.root_pem()), None).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (accepted, connected) = tokio::join!(door.tls.accept(far), tls.handshake(host, near));
    accepted.unwrap();
    connected.unwrap().server_chain_der()[0].to_vec()
}

#[tokio::test]
async fn a_replaced_credential_serves_new_connections() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::None);
    let (first, second) = (ca.server(&["door.test"]), ca.server(&["door.test"]));
    door.credentials.replace_default(credential(&first));
    assert_eq!(leaf_shown(&door, &ca, "door.test").await, first.der());
    door.credentials.replace_default(credential(&second));
    assert_eq!(leaf_shown(&door, &ca, "door.test").await, second.der());
}

#[tokio::test]
async fn the_name_asked_for_chooses_the_credential() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::None);
    let default = ca.server(&["door.test", "a.b.acme.test"]);
    let (exact, wild) = (ca.server(&["api.acme.test"]), ca.server(&["*.acme.test"]));
    let named =
        [("API.acme.test".to_owned(), credential(&exact)), ("*.acme.test".to_owned(), credential(&wild))];
    door.credentials.replace(credential(&default), named);
    assert_eq!(leaf_shown(&door, &ca, "door.test").await, default.der());
    assert_eq!(leaf_shown(&door, &ca, "api.acme.test").await, exact.der());
    assert_eq!(leaf_shown(&door, &ca, "web.acme.test").await, wild.der());
    assert_eq!(leaf_shown(&door, &ca, "a.b.acme.test").await, default.der(), "one label only");
    door.credentials.replace_default(credential(&ca.server(&["door.test"])));
    assert_eq!(leaf_shown(&door, &ca, "api.acme.test").await, exact.der(), "named ones stay");
}

#[tokio::test]
async fn a_ca_that_asks_whose_a_name_is_sees_its_answer_and_nobody_else_does() {
    const ASKING: &[u8] = b"acme-tls/1";
    let (ca, asker) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    let door = Door::new(&ca, ClientAuth::Required);
    let answer = asker.server(&["door.test"]);
    let asks = |protocols: &[&[u8]]| Client::trusting(&answer.chain[1], VERSIONS[1]).offering(protocols);
    assert_ne!(
        door.meet(&asks(&[ASKING])).await.peer.unwrap_err().code(),
        "TLS_NAME_ASKED",
        "nothing is asked"
    );

    let challenges = door.credentials.challenges();
    let ready = challenges.answer("Door.test", answer.der(), answer.key.pkcs8_der()).unwrap();
    let meeting = door.meet(&asks(&[ASKING])).await;
    assert_eq!(meeting.heard.unwrap(), b"", "the answer was shown, and nothing said");
    assert_eq!(meeting.peer.unwrap_err().code(), "TLS_NAME_ASKED");
    let others = [
        door.meet_as("open.test", &asks(&[ASKING])).await,
        door.meet(&asks(&[ASKING, b"h2"])).await,
        door.meet(&asks(&[b"h2"])).await,
    ];
    for other in others {
        assert_ne!(other.peer.unwrap_err().code(), "TLS_NAME_ASKED");
    }
    let device = ca.device("acme", "d1");
    door.meet(&Client::showing(&ca, VERSIONS[1], &device)).await.peer();

    drop(ready);
    assert_ne!(
        door.meet(&asks(&[ASKING])).await.peer.unwrap_err().code(),
        "TLS_NAME_ASKED",
        "it is answered"
    );
}

#[tokio::test]
async fn rsa_and_ec_keys_serve() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::None);
    for kind in [KeyKind::Rsa2048, KeyKind::P384] {
        let server = ca.mint(&LeafSpec { key_kind: kind, ..LeafSpec::server(&["door.test"]) });
        door.credentials.replace_default(credential(&server));
        for version in VERSIONS {
            door.meet(&Client::anonymous(&ca, version)).await.peer();
        }
    }
}

#[test]
fn refuses_a_key_that_is_not_the_certificates() {
    let ca = TestCa::new(DOMAIN);
    let (one, other) = (ca.server(&["door.test"]), ca.server(&["door.test"]));
    assert!(ServerCredential::from_pem(&one.chain_pem(), &other.key_pem()).is_err());
    assert!(ServerCredential::from_der(one.chain.clone(), other.key.pkcs8_der()).is_err());
    assert!(ServerCredential::from_der(one.chain.clone(), one.key.pkcs8_der()).is_ok());
    assert!(ServerCredential::from_der(Vec::new(), one.key.pkcs8_der()).is_err());
    for (chain, key) in [("", one.key_pem()), ("-----BEGIN", one.key_pem())] {
        assert!(ServerCredential::from_pem(chain, &key).is_err());
    }
    assert!(ServerCredential::from_pem(&one.chain_pem(), &one.chain_pem()).is_err());
    let shown = format!("{:?}", credential(&one));
    assert!(shown.contains("certificates: 3") && !shown.contains("key"), "{shown}");
}
