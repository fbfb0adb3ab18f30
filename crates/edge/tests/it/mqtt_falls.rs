//! Whatever takes a device's standing ends its live MQTT session within a second, in both versions: without its
//! will, and with an answer to the next CONNECT at which good clients stop.

use std::time::{Duration, Instant};

use countersign_core::snapshot::{Bar, TenantService, TrustSnapshot};
use countersign_edge::mqtt::wire::Version;
use countersign_testkit::TestCertificate;

use crate::mqtt_site::{BOTH, MqttSite, connect};
use crate::site::let_expire;

const OWN: &str = "tenant/acme/device/d1/telemetry";

type Fall = fn(&mut TrustSnapshot, &TestCertificate);

/// What happens, the code of the refusal, and what MQTT 5 is answered from then on.
const FALLS: [(&str, Fall, &str, u8); 5] = [
    ("quarantine", |snapshot, _| bar(snapshot, Bar::Quarantined), "DEVICE_QUARANTINED", 0x8a),
    (
        "deny and decommission",
        |snapshot, _| bar(snapshot, Bar::Decommissioned),
        "DEVICE_DECOMMISSIONED",
        0x8a,
    ),
    ("revoke by serial number", deny, "CERTIFICATE_REVOKED", 0x8a),
    (
        "revoke by key",
        |snapshot, own| {
            snapshot.denied_keys.insert(own.spki());
        },
        "CERTIFICATE_REVOKED",
        0x8a,
    ),
    ("tenant suspended", |snapshot, _| suspend(snapshot), "TENANT_SUSPENDED", 0x8a),
];

fn bar(snapshot: &mut TrustSnapshot, bar: Bar) {
    snapshot.barred.insert(("acme".parse().unwrap(), "d1".parse().unwrap()), bar);
}

fn deny(snapshot: &mut TrustSnapshot, own: &TestCertificate) {
    snapshot.denied.insert(own.reference.clone());
}

fn suspend(snapshot: &mut TrustSnapshot) {
    snapshot.tenants.get_mut(&"acme".parse().unwrap()).unwrap().service = TenantService::Suspended;
}

#[tokio::test]
async fn nothing_that_is_sent_after_the_certificates_end_goes_on() {
    for version in BOTH {
        let (site, broker) = MqttSite::usual().await;
        let mut witness = broker.witness().await;
        let certificate = site.certificate("acme", "d1");
        let mut device = site.connected(&certificate, version, &connect(version, "id", true, None)).await;
        device.publish(OWN, None, b"before").await;
        assert_eq!(witness.message().await.1, b"before");
        let_expire(&site.clock);
        device.publish(OWN, None, b"after").await;
        device.end().await;
        let mut own = broker.client("own", version, true).await;
        own.publish(OWN, None, b"later").await;
        assert_eq!(witness.message().await.1, b"later", "nothing between");
    }
}

#[tokio::test]
async fn every_fall_ends_a_live_session_without_its_will() {
    for (what, fall, code, said) in FALLS {
        for version in BOTH {
            let (mut site, broker) = MqttSite::usual().await;
            let mut witness = broker.witness().await;
            let certificate = site.certificate("acme", "d1");
            let will = connect(version, "id", true, Some((OWN, false)));
            let mut device = site.connected(&certificate, version, &will).await;
            let other = site.certificate("other", "d1");
            let mut other = site.connected(&other, version, &connect(version, "id", true, None)).await;
            let began = Instant::now();
            site.apply(|snapshot| fall(snapshot, &certificate)).await;
            let last = device.end().await;
            assert!(began.elapsed() < Duration::from_secs(1), "{what}: {:?}", began.elapsed());
            match version {
                Version::V311 => assert!(last.is_empty(), "{what}: {last:x?}"),
                Version::V5 => assert_eq!(last, [[0xe0, 2, 0x98, 0]], "{what}"),
            }
            assert!(other.until_pong().await.is_empty(), "{what}: the others stay");
            let mut again = site.open(Some(&certificate), version).await;
            again.send(&connect(version, "id", true, None)).await;
            let answer = again.end().await;
            assert_eq!(answer[0][3], if version == Version::V5 { said } else { 5 }, "{what}");
            assert_eq!(site.refused().await.code, code, "{what}");
            other.publish("tenant/other/device/d1/telemetry", None, b"alive").await;
            assert_eq!(witness.message().await.1, b"alive", "{what}: no will before it");
        }
    }
}
