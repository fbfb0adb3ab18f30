//! Each name has its own certificate and its own client authentication, and no session of one crosses over
//! to another.

use countersign_testkit::TestCa;
use countersign_tls::{ClientAuth, HostPolicies};

use crate::meeting::{Client, DOMAIN, Door, VERSIONS, credential};

fn door(ca: &TestCa) -> Door {
    let door = Door::new(ca, ClientAuth::Optional);
    door.tls.go_by(HostPolicies::new(ClientAuth::Optional).with([
        ("open.test".to_owned(), ClientAuth::None),
        ("strict.test".to_owned(), ClientAuth::Required),
        ("also-strict.test".to_owned(), ClientAuth::Required),
    ]));
    door
}

#[tokio::test]
async fn what_is_asked_depends_on_the_name() {
    let ca = TestCa::new(DOMAIN);
    let certificate = ca.device("acme", "d1");
    for version in VERSIONS {
        let door = door(&ca);
        let device = || Client::showing(&ca, version, &certificate);
        let anonymous = || Client::anonymous(&ca, version);
        let peer = door.meet_as("open.test", &device()).await.peer();
        assert!(!peer.is_presented());
        assert_eq!(peer.client_auth(), ClientAuth::None);
        let peer = door.meet(&device()).await.peer();
        assert!(peer.claim().is_some());
        assert_eq!(peer.client_auth(), ClientAuth::Optional);
        assert!(!door.meet(&anonymous()).await.peer().is_presented());
        let peer = door.meet_as("strict.test", &device()).await.peer();
        assert_eq!(peer.client_auth(), ClientAuth::Required);
        assert_eq!(door.meet_as("strict.test", &anonymous()).await.refusal().0, "MTLS_REQUIRED");
    }
}

#[tokio::test]
async fn fails_closed_on_a_session_of_a_name_that_asks_for_less() {
    let ca = TestCa::new(DOMAIN);
    for version in VERSIONS {
        let door = door(&ca);
        // One memory of sessions for all names, as a client has who wants to get in.
        let anonymous = Client::anonymous(&ca, version);
        door.meet_as("open.test", &anonymous).await.peer();
        assert!(door.meet_as("open.test", &anonymous).await.peer().is_resumed());
        assert_eq!(door.meet_as("strict.test", &anonymous).await.refusal().0, "MTLS_REQUIRED");

        // A name that becomes strict takes no session from before.
        door.tls.go_by(HostPolicies::new(ClientAuth::Required));
        assert_eq!(door.meet_as("open.test", &anonymous).await.refusal().0, "MTLS_REQUIRED");
    }
}

#[tokio::test]
async fn a_strict_name_judges_its_resumed_sessions() {
    let ca = TestCa::new(DOMAIN);
    let certificate = ca.device("acme", "d1");
    for version in VERSIONS {
        let door = door(&ca);
        let device = Client::showing(&ca, version, &certificate);
        door.meet_as("strict.test", &device).await.peer();
        let peer = door.meet_as("strict.test", &device).await.peer();
        assert!(peer.is_resumed() && peer.claim().is_some());
        door.change(|snapshot| snapshot.denied.insert(certificate.reference.clone()));
        let refused = door.meet_as("strict.test", &device).await.peer.unwrap_err();
        assert_eq!(refused.code(), "CERTIFICATE_REVOKED");
    }
}

#[tokio::test]
async fn a_name_has_a_certificate_of_its_own_that_can_be_replaced() {
    let (ca, other) = (TestCa::new(DOMAIN), TestCa::new("elsewhere.test"));
    let (ours, theirs) = (Client::anonymous(&ca, VERSIONS[1]), Client::anonymous(&other, VERSIONS[1]));
    let door = door(&ca);
    door.meet_as("open.test", &ours).await.peer();
    let own = credential(&other.server(&["open.test"]));
    door.credentials.replace_named([("Open.test".to_owned(), own)]);
    door.meet_as("open.test", &theirs).await.peer();
    assert!(door.meet_as("open.test", &Client::anonymous(&ca, VERSIONS[1])).await.heard.is_err());
    door.meet_as("door.test", &ours).await.peer();
    door.credentials.replace_named([]);
    assert!(door.meet_as("open.test", &Client::anonymous(&other, VERSIONS[1])).await.heard.is_err());
}
