//! A resumed session is judged like a new one, and never crosses from one policy to another.

use countersign_core::access::{Holder, Shown};
use countersign_core::snapshot::Standing;
use countersign_core::time::Timestamp;
use countersign_testkit::{LeafSpec, TestCa};
use countersign_tls::ClientAuth;

use crate::meeting::{Client, DOMAIN, Door, NOW, VERSIONS};

#[tokio::test]
async fn a_certificate_revoked_in_between_is_revoked_on_the_resumed_session() {
    let ca = TestCa::new(DOMAIN);
    let certificate = ca.device("acme", "d1");
    for version in VERSIONS {
        let door = Door::new(&ca, ClientAuth::Optional);
        let client = Client::showing(&ca, version, &certificate);
        assert!(!door.meet(&client).await.peer().is_resumed());
        let peer = door.meet(&client).await.peer();
        assert!(peer.is_resumed(), "resumption stays on");
        assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Valid));

        door.change(|snapshot| snapshot.denied.insert(certificate.reference.clone()));
        let peer = door.meet(&client).await.peer();
        assert!(peer.is_resumed());
        assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Revoked));
    }
}

#[tokio::test]
async fn fails_closed_on_resumption_where_a_certificate_is_required() {
    let ca = TestCa::new(DOMAIN);
    let spec = LeafSpec { not_after: Timestamp::from_secs(NOW.secs() + 60), ..ca.device_spec("acme", "d1") };
    let certificate = ca.mint(&spec);
    for version in VERSIONS {
        let door = Door::new(&ca, ClientAuth::Required);
        let client = Client::showing(&ca, version, &certificate);
        door.meet(&client).await.peer();
        assert!(door.meet(&client).await.peer().is_resumed());

        door.clock.set(Timestamp::from_secs(NOW.secs() + 61));
        let expired = door.meet(&client).await;
        assert_eq!(expired.peer.unwrap_err().code(), "CERTIFICATE_EXPIRED");
        assert!(expired.heard.is_err());

        let door = Door::new(&ca, ClientAuth::Required);
        let client = Client::showing(&ca, version, &certificate);
        door.meet(&client).await.peer();
        door.change(|snapshot| snapshot.device_issuers.clear());
        assert_eq!(door.meet(&client).await.peer.unwrap_err().code(), "CERTIFICATE_UNTRUSTED");
    }
}

#[tokio::test]
async fn no_session_of_one_policy_resumes_under_another() {
    let ca = TestCa::new(DOMAIN);
    let certificate = ca.device("acme", "d1");
    for version in VERSIONS {
        let open = Door::new(&ca, ClientAuth::None);
        let optional = Door::new(&ca, ClientAuth::Optional);
        let required = Door::new(&ca, ClientAuth::Required);

        let anonymous = Client::anonymous(&ca, version);
        open.meet(&anonymous).await.peer();
        assert!(open.meet(&anonymous).await.peer().is_resumed());
        assert!(!optional.meet(&anonymous).await.peer().is_resumed());
        open.meet(&anonymous).await.peer();
        assert_eq!(required.meet(&anonymous).await.refusal().0, "MTLS_REQUIRED");

        let device = Client::showing(&ca, version, &certificate);
        open.meet(&device).await.peer();
        let peer = required.meet(&device).await.peer();
        assert!(!peer.is_resumed() && peer.claim().is_some());
        let peer = open.meet(&device).await.peer();
        assert!(!peer.is_resumed() && !peer.is_presented());
    }
}
