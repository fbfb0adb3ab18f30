//! Services at the MQTT door: they have the topics of their grant and no others, a name of their own at the broker, and
//! end with their certificates.

use std::time::{Duration, Instant};

use countersign_edge::mqtt::wire::{Packet, PropertyId, Value, Version};
use countersign_edge::mqtt::{Grant, Rights, Shared};
use countersign_edge::{Audience, Devices};
use countersign_testkit::{LeafSpec, TestCertificate};

use crate::mqtt_site::{BOTH, Mosquitto, MqttSite, connect};
use crate::site::NOW;

const ALL: &str = "tenant/+/device/+/#";
const OF_D1: &str = "tenant/acme/device/d1/telemetry";

fn ingest() -> Grant {
    let audience = Audience {
        devices: Devices::Admitted,
        guests: vec!["services".parse().unwrap()],
        common_names: vec!["ingest".to_owned()],
        ..Audience::default()
    };
    let filters = |text: &str| vec![text.parse().unwrap()];
    let rights = Rights::of_service(filters("tenant/+/device/+/commands"), filters(ALL), Shared::Allowed);
    Grant::new("ingest", audience, rights)
}

async fn house() -> (MqttSite, Mosquitto) {
    let (mut site, broker) = MqttSite::with(|config| config.grants = vec![ingest()]).await;
    let services = site.ca.trusted_service_issuer();
    site.apply(|snapshot| snapshot.service_issuers.push_back(services)).await;
    (site, broker)
}

fn service(site: &MqttSite, name: &str) -> TestCertificate {
    let span = Duration::from_secs(1000);
    site.ca.mint(&LeafSpec { not_before: NOW - span, not_after: NOW + span, ..LeafSpec::service(name) })
}

#[tokio::test]
async fn a_service_hears_every_device_and_writes_what_it_was_granted() {
    let (mut site, broker) = house().await;
    let certificate = service(&site, "ingest");
    let mut witness = broker.witness().await;
    for version in BOTH {
        let mut ingest = site.connected(&certificate, version, &connect(version, "a", true, None)).await;
        let denied = if version == Version::V5 { 0x87 } else { 0x80 };
        let codes =
            ingest.subscribe(1, &[ALL, "#", "$SYS/#", "$share/g/tenant/acme/device/+/telemetry"]).await;
        assert_eq!(codes, [1, denied, denied, 1]);
        let mut device = site.device("d1", version).await;
        device.publish(OF_D1, None, b"22.5").await;
        assert_eq!(ingest.message().await, (OF_D1.to_owned(), b"22.5".to_vec()));
        ingest.publish("tenant/acme/device/d1/commands", None, b"reboot").await;
        ingest.publish(OF_D1, None, b"forged").await;
        assert_eq!(site.refused().await.code, "FILTER_NOT_ALLOWED");
        assert_eq!(site.refused().await.code, "FILTER_NOT_ALLOWED");
        assert_eq!(site.refused().await.code, "TOPIC_NOT_ALLOWED");
        assert_eq!(witness.message().await.1, b"22.5");
        assert_eq!(witness.message().await.1, b"reboot", "and nothing forged");
    }
}

#[tokio::test]
async fn what_a_service_says_bears_its_name_and_no_devices() {
    let (site, broker) = house().await;
    let mut witness = broker.witness().await;
    let hello = connect(Version::V5, "a", true, None);
    let mut ingest = site.connected(&service(&site, "ingest"), Version::V5, &hello).await;
    ingest.publish("tenant/acme/device/d1/commands", None, b"reboot").await;
    let bytes = witness.next().await;
    let Packet::Publish(publish) = witness.read(&bytes) else { panic!("{bytes:x?}") };
    let pairs: Vec<(&str, &str)> = publish
        .properties
        .iter()
        .filter(|property| property.id == PropertyId::UserProperty)
        .filter_map(|property| match property.value {
            Value::Pair(name, value) => Some((name, value)),
            Value::Number(_) | Value::Text(_) | Value::Binary(_) => None,
        })
        .collect();
    assert_eq!(pairs.first(), Some(&("countersign-service", "ingest")));
    assert!(
        pairs.iter().all(|(name, _)| !["countersign-tenant", "countersign-device"].contains(name)),
        "{pairs:?}"
    );
}

#[tokio::test]
async fn another_service_and_a_fallen_one_are_turned_away() {
    let (mut site, _broker) = house().await;
    for version in BOTH {
        let refused = if version == Version::V5 { 0x87 } else { 5 };
        let mut other = site.open(Some(&service(&site, "billing")), version).await;
        other.send(&connect(version, "a", true, None)).await;
        assert_eq!(other.next().await.get(3), Some(&refused));
        assert_eq!(site.refused().await.code, "NOT_ADMITTED_HERE");
    }
    let certificate = service(&site, "ingest");
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    let mut fallen = site.open(Some(&certificate), Version::V5).await;
    fallen.send(&connect(Version::V5, "a", true, None)).await;
    assert_eq!(fallen.next().await.get(3), Some(&0x8a), "banned: good clients stop");
    assert_eq!(site.refused().await.code, "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn a_revoked_service_is_cut_off_and_devices_stay() {
    let (mut site, _broker) = house().await;
    let certificate = service(&site, "ingest");
    let hello = connect(Version::V5, "a", true, None);
    let mut ingest = site.connected(&certificate, Version::V5, &hello).await;
    let mut device = site.device("d1", Version::V5).await;
    let began = Instant::now();
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    assert_eq!(ingest.end().await, [vec![0xe0, 2, 0x98, 0]]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(device.until_pong().await.is_empty());
}
