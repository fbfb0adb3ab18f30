//! How conversations at the MQTT door begin and end, in both versions in front of a real broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::snapshot::Bar;
use countersign_edge::mqtt::Holdings;
use countersign_edge::mqtt::wire::{Packet, PropertyId, PropertyWriter, Qos, Version};

use crate::mqtt_site::{BOTH, Client, Mosquitto, MqttSite, Tls, connect, connect_with, publish, retained};
use crate::site::{PATIENCE, let_expire};

const OWN: &str = "tenant/acme/device/d1/telemetry";
const COMMANDS: &str = "tenant/acme/device/d1/commands";

#[tokio::test]
async fn only_a_connect_begins_a_conversation() {
    let (site, _broker) =
        MqttSite::with(|config| config.terms.connect_timeout = Duration::from_millis(300)).await;
    let certificate = site.certificate("acme", "d1");
    let first = |bytes: &'static [u8]| {
        let (site, certificate) = (&site, &certificate);
        async move {
            let mut device = site.open(Some(certificate), Version::V311).await;
            device.send(bytes).await;
            device.end().await
        }
    };
    assert!(first(b"").await.is_empty(), "nothing is said: the time is over");
    assert!(first(b"\x10\x0e\x00\x04MQ").await.is_empty(), "half of it is said");
    assert!(first(b"\xc0\x00").await.is_empty());
    assert!(first(b"\x30\x05\x00\x01a").await.is_empty());
    assert!(first(b"GET / HTTP/1.1\r\n\r\n").await.is_empty());
    assert_eq!(first(b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x02id").await, [[0x20, 2, 0, 1]]);
    assert_eq!(first(b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x3c\x00\x02id").await, [[0x20, 2, 0, 1]]);
    assert!(first(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02i\x00").await.is_empty(), "U+0000");
    assert!(first(b"\x10\xff\xff\xff\x7f").await.is_empty(), "oversize");
}

#[tokio::test]
async fn a_second_connect_and_other_misplaced_packets_end_it() {
    let (site, _broker) = MqttSite::usual().await;
    for version in BOTH {
        let again = connect(version, "id", true, None);
        let surrogate = match version {
            Version::V311 => b"\x30\x05\x00\x03\xed\xa0\x80".to_vec(),
            Version::V5 => b"\x30\x06\x00\x03\xed\xa0\x80\x00".to_vec(),
        };
        for (packet, code) in [
            (again, 0x82),
            (vec![0x20, 2, 0, 0], if version == Version::V5 { 0x81 } else { 0 }),
            (vec![0xd0, 0], 0x82),
            (surrogate, 0x81),
            (vec![0x36, 5, 0, 1, b'a', 0, 1], 0x81),
            (vec![0x30, 0xff, 0xff, 0xff, 0x7f], 0x95),
            (vec![0xf0, 0], 0x82),
        ] {
            let mut device = site.device("d1", version).await;
            device.send(&packet).await;
            let said = device.end().await;
            match version {
                Version::V311 => assert!(said.is_empty(), "{packet:x?} {said:x?}"),
                Version::V5 => assert_eq!(said, [[0xe0, 2, code, 0]], "{packet:x?}"),
            }
        }
    }
}

#[tokio::test]
async fn packets_may_come_in_pieces() {
    let (site, broker) = MqttSite::usual().await;
    let mut witness = broker.witness().await;
    for version in BOTH {
        let mut device = site.open(Some(&site.certificate("acme", "d1")), version).await;
        let mut bytes = connect(version, "id", true, None);
        bytes.extend(publish(
            version,
            OWN,
            Some((Qos::AtLeastOnce, 1)),
            b"piece by piece",
            &PropertyWriter::new(),
        ));
        for byte in bytes {
            device.send(&[byte]).await;
        }
        assert_eq!(device.next().await[3], 0);
        assert_eq!(device.next().await[..4], [0x40, 2, 0, 1]);
        assert_eq!(witness.message().await.1, b"piece by piece");
    }
}

#[tokio::test]
async fn the_certificate_is_the_only_credential() {
    let (mut site, _broker) = MqttSite::usual().await;
    for version in BOTH {
        let not_allowed = if version == Version::V5 { 0x87 } else { 5 };
        let mut nobody = site.open(None, version).await;
        nobody.send(&connect(version, "id", true, None)).await;
        assert_eq!(nobody.next().await[3], not_allowed);
        assert_eq!(site.refused().await.code, "MTLS_REQUIRED");
        let twin = site.ca.evil_twin().device("acme", "d1");
        let mut twin = site.open(Some(&twin), version).await;
        twin.send(&connect(version, "id", true, None)).await;
        assert_eq!(twin.next().await[3], not_allowed);
        assert_eq!(site.refused().await.code, "CERTIFICATE_UNTRUSTED");
    }
    let mut properties = PropertyWriter::new();
    properties.text(PropertyId::AuthenticationMethod, "SCRAM-SHA-1");
    let mut device = site.open(Some(&site.certificate("acme", "d1")), Version::V5).await;
    device.send(&connect_with(Version::V5, "id", true, None, &properties)).await;
    assert_eq!(device.end().await[0][3], 0x8c);
}

#[tokio::test]
async fn nobody_takes_over_the_session_of_another() {
    let (site, _broker) = MqttSite::usual().await;
    for version in BOTH {
        let mut first = site.device("d1", version).await;
        let _second = site.device("d2", version).await;
        let other = site.certificate("other", "d1");
        let _third = site.connected(&other, version, &connect(version, "id", true, None)).await;
        assert!(first.until_pong().await.is_empty(), "still there");
        let _own = site.device("d1", version).await;
        let said = first.end().await;
        assert_eq!(
            said.len(),
            usize::from(version == Version::V5),
            "its own second one takes over: {said:x?}"
        );
    }
    let mut nameless = site.open(Some(&site.certificate("acme", "d1")), Version::V5).await;
    nameless.send(&connect(Version::V5, "", true, None)).await;
    let bytes = nameless.next().await;
    let Packet::Connack(connack) = nameless.read(&bytes) else { panic!("{bytes:x?}") };
    let assigned = connack.properties.text(PropertyId::AssignedClientIdentifier).unwrap();
    assert!(assigned.len() == 32 && !assigned.contains(':'), "{assigned}");
    assert_eq!(connack.properties.number(PropertyId::TopicAliasMaximum), Some(16));
    assert_eq!(connack.properties.number(PropertyId::MaximumPacketSize), Some(256 * 1024));
    let mut nameless = site.open(Some(&site.certificate("acme", "d1")), Version::V311).await;
    nameless.send(&connect(Version::V311, "", false, None)).await;
    assert_eq!(nameless.next().await, [0x20, 2, 0, 2]);
}

#[tokio::test]
async fn one_device_holds_only_so_many_sessions() {
    let (mut site, _broker) = MqttSite::with(|config| config.terms.sessions = 2).await;
    let certificate = site.certificate("acme", "d1");
    let _first = site.connected(&certificate, Version::V5, &connect(Version::V5, "a", true, None)).await;
    let _second = site.connected(&certificate, Version::V311, &connect(Version::V311, "b", true, None)).await;
    for (version, code) in [(Version::V311, 3), (Version::V5, 0x97)] {
        let mut third = site.open(Some(&certificate), version).await;
        third.send(&connect(version, "c", true, None)).await;
        assert_eq!(third.next().await[3], code);
        assert_eq!(site.refused().await.code, "TOO_MANY_CONNECTIONS");
    }
}

#[tokio::test]
async fn listeners_of_one_process_count_a_devices_sessions_and_retained_messages_together() {
    let (holdings, broker) = (Holdings::new(), Mosquitto::start().await);
    let open = || {
        MqttSite::before(MqttSite::to(broker.address), |config| {
            config.terms.sessions = 1;
            config.terms.retained_messages = 1;
            config.holdings = Arc::clone(&holdings);
        })
    };
    let keep = |topic: &str| {
        let id = Some((Qos::AtLeastOnce, 1));
        retained(publish(Version::V5, topic, id, b"kept", &PropertyWriter::new()))
    };
    let is_kept = |answer: Vec<u8>| answer[0] == 0x40 && answer.get(4).is_none_or(|reason| *reason < 0x80);
    let (one, mut other) = (open(), open());
    let mut first = one.device("d1", Version::V5).await;
    first.send(&keep(OWN)).await;
    assert!(is_kept(first.next().await));
    let mut second = other.open(Some(&other.certificate("acme", "d1")), Version::V5).await;
    second.send(&connect(Version::V5, "b", true, None)).await;
    assert_eq!(second.next().await[3], 0x97);
    assert_eq!(other.refused().await.code, "TOO_MANY_CONNECTIONS");
    let mut another = other.device("d2", Version::V5).await;
    another.send(&keep("tenant/acme/device/d2/telemetry")).await;
    assert!(is_kept(another.next().await));

    first.send(&[0xe0, 0]).await;
    first.end().await;
    let mut again = until_seated(&other).await;
    again.send(&keep("tenant/acme/device/d1/telemetry/more")).await;
    assert_eq!(again.next().await.get(4), Some(&0x97), "what it left at the other listener counts");
}

/// A session of d1, once the end of its last one is through.
async fn until_seated(site: &MqttSite) -> Client<Tls> {
    let certificate = site.certificate("acme", "d1");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut device = site.open(Some(&certificate), Version::V5).await;
        device.send(&connect(Version::V5, "b", true, None)).await;
        if device.next().await.get(3) == Some(&0) {
            return device;
        }
        assert!(tokio::time::Instant::now() < deadline, "its place is never free");
    }
}

#[tokio::test]
async fn a_will_is_on_a_topic_of_its_own_and_said_only_for_those_who_vanish() {
    let (mut site, broker) = MqttSite::usual().await;
    let certificate = site.certificate("acme", "d1");
    for version in BOTH {
        let mut witness = broker.witness().await;
        for topic in ["tenant/acme/device/d2/telemetry", COMMANDS, "$SYS/x"] {
            let mut device = site.open(Some(&certificate), version).await;
            device.send(&connect(version, "id", true, Some((topic, false)))).await;
            assert_eq!(device.end().await[0][3], if version == Version::V5 { 0x87 } else { 5 });
            assert_eq!(site.refused().await.code, "WILL_NOT_ALLOWED");
        }
        let with_will = connect(version, "id", true, Some((OWN, false)));
        drop(site.connected(&certificate, version, &with_will).await);
        assert_eq!(witness.message().await, (OWN.to_owned(), b"gone".to_vec()));
        let mut device = site.connected(&certificate, version, &with_will).await;
        device.send(&[0xe0, 0]).await;
        device.end().await;
        let mut device = site.connected(&certificate, version, &with_will).await;
        let key = ("acme".parse().unwrap(), "d1".parse().unwrap());
        site.apply(|snapshot| snapshot.barred.insert(key, Bar::Quarantined)).await;
        device.end().await;
        site.apply(|snapshot| snapshot.barred.clear()).await;
        let mut device = site.connected(&certificate, version, &connect(version, "id", true, None)).await;
        device.publish(OWN, None, b"last").await;
        assert_eq!(witness.message().await.1, b"last", "neither a goodbye nor a fall is a will's");
    }
}

#[tokio::test]
async fn a_fall_ends_live_sessions_at_once_and_leaves_nothing_for_later() {
    let (mut site, broker) = MqttSite::usual().await;
    for version in BOTH {
        let certificate = site.certificate("acme", "d1");
        let persistent = match version {
            Version::V311 => connect(version, "id", false, None),
            Version::V5 => {
                let mut properties = PropertyWriter::new();
                properties.four(PropertyId::SessionExpiry, 1000);
                connect_with(version, "id", false, None, &properties)
            }
        };
        let mut device = site.connected(&certificate, version, &persistent).await;
        assert_eq!(device.subscribe(1, &[COMMANDS]).await, [1]);
        let mut other = site.device("d2", version).await;
        let began = Instant::now();
        let key = ("acme".parse().unwrap(), "d1".parse().unwrap());
        site.apply(|snapshot| snapshot.barred.insert(key, Bar::Quarantined)).await;
        let said = device.end().await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        match version {
            Version::V311 => assert!(said.is_empty(), "{said:x?}"),
            Version::V5 => assert_eq!(said, [[0xe0, 2, 0x98, 0]]),
        }
        assert!(other.until_pong().await.is_empty(), "the others stay");
        let mut again = site.open(Some(&certificate), version).await;
        again.send(&connect(version, "id", true, None)).await;
        assert_eq!(again.end().await[0][3], if version == Version::V5 { 0x8a } else { 5 });
        assert_eq!(site.refused().await.code, "DEVICE_QUARANTINED");
        site.apply(|snapshot| snapshot.barred.clear()).await;
        // Approved again: what was commanded meanwhile was for nobody.
        let mut session_is_gone = false;
        let deadline = Instant::now() + PATIENCE;
        while !session_is_gone && Instant::now() < deadline {
            let mut service = broker.client("service", Version::V311, true).await;
            service.publish(COMMANDS, Some((Qos::AtLeastOnce, 1)), b"late").await;
            service.until_pong().await;
            let mut device = site.open(Some(&certificate), version).await;
            device.send(&persistent).await;
            let connack = device.next().await;
            assert_eq!(connack[3], 0);
            session_is_gone = connack[2] == 0;
            if session_is_gone {
                assert!(device.until_pong().await.is_empty(), "nothing is delivered later");
            }
            device.send(&[0xe0, 0]).await;
            device.end().await;
        }
        assert!(session_is_gone);
    }
}

#[tokio::test]
async fn a_device_that_falls_while_it_is_away_leaves_nothing_either() {
    let (mut site, broker) = MqttSite::usual().await;
    for version in BOTH {
        let certificate = site.certificate("acme", "d1");
        let mut properties = PropertyWriter::new();
        if version == Version::V5 {
            properties.four(PropertyId::SessionExpiry, 1000);
        }
        let persistent = connect_with(version, "id", false, None, &properties);
        let mut device = site.connected(&certificate, version, &persistent).await;
        assert_eq!(device.subscribe(1, &[COMMANDS]).await, [1]);
        device.send(&retained(publish(version, OWN, None, b"kept", &PropertyWriter::new()))).await;
        device.until_pong().await;
        device.send(&[0xe0, 0]).await;
        device.end().await;
        let mut service = broker.client("service", Version::V311, true).await;
        service.publish(COMMANDS, Some((Qos::AtLeastOnce, 1)), b"queued").await;
        service.next().await;
        let key = ("acme".parse().unwrap(), "d1".parse().unwrap());
        site.apply(|snapshot| snapshot.barred.insert(key, Bar::Quarantined)).await;
        let deadline = Instant::now() + PATIENCE;
        let mut is_kept = true;
        while is_kept && Instant::now() < deadline {
            let mut witness = broker.witness().await;
            is_kept = !witness.until_pong().await.is_empty();
        }
        assert!(!is_kept, "what it retained is gone");
        site.apply(|snapshot| snapshot.barred.clear()).await;
        let mut session_is_gone = false;
        while !session_is_gone && Instant::now() < deadline {
            let mut device = site.open(Some(&certificate), version).await;
            device.send(&persistent).await;
            let connack = device.next().await;
            session_is_gone = connack[2] == 0;
            let said = device.until_pong().await;
            assert!(!session_is_gone || said.is_empty(), "{said:x?}");
            device.send(&[0xe0, 0]).await;
            device.end().await;
        }
        assert!(session_is_gone, "and its session");
    }
}

#[tokio::test]
async fn revocation_and_expiry_end_what_they_are_about() {
    let (mut site, _broker) = MqttSite::usual().await;
    let (old, new) = (site.certificate("acme", "d1"), site.certificate("acme", "d1"));
    let mut before = site.connected(&old, Version::V5, &connect(Version::V5, "a", true, None)).await;
    let mut after = site.connected(&new, Version::V5, &connect(Version::V5, "b", true, None)).await;
    let spki = old.spki();
    site.apply(|snapshot| snapshot.denied_keys.insert(spki)).await;
    assert_eq!(before.end().await, [[0xe0, 2, 0x98, 0]]);
    assert!(after.until_pong().await.is_empty(), "the other certificate stays");
    let_expire(&site.clock);
    assert_eq!(after.end().await, [[0xe0, 2, 0x87, 0]]);
}

#[tokio::test]
async fn without_a_broker_nobody_talks_into_the_void() {
    let (mut site, mut broker) = MqttSite::usual().await;
    let mut old = site.device("d1", Version::V311).await;
    let mut new = site.device("d2", Version::V5).await;
    broker.stop();
    assert!(old.end().await.is_empty());
    assert_eq!(new.end().await, [[0xe0, 2, 0x8b, 0]]);
    for (version, code) in [(Version::V311, 3), (Version::V5, 0x88)] {
        let mut device = site.open(Some(&site.certificate("acme", "d1")), version).await;
        device.send(&connect(version, "id", true, None)).await;
        assert_eq!(device.end().await[0][3], code);
    }
    let failed = tokio::time::timeout(PATIENCE, site.reports.recv()).await.unwrap().unwrap();
    assert!(
        matches!(failed, countersign_edge::EdgeReport::Failed(facts) if facts.code == "UPSTREAM_UNREACHABLE")
    );
}

#[tokio::test]
async fn a_closing_door_says_so() {
    let (site, broker) = MqttSite::usual().await;
    let mut witness = broker.witness().await;
    let certificate = site.certificate("acme", "d1");
    let mut device = site
        .connected(&certificate, Version::V5, &connect(Version::V5, "id", true, Some((OWN, false))))
        .await;
    let closing = tokio::spawn(site.door.drain(Duration::from_secs(10)));
    assert_eq!(device.end().await, [[0xe0, 2, 0x8b, 0]]);
    closing.await.unwrap();
    assert!(witness.until_pong().await.is_empty(), "no will");
}

#[tokio::test]
async fn a_device_that_says_too_much_at_once_is_stopped_or_waits() {
    let (site, broker) = MqttSite::with(|config| {
        config.terms.inflight = 2;
        config.terms.packets_per_second = 20;
    })
    .await;
    let mut witness = broker.witness().await;
    let began = Instant::now();
    let mut device = site.device("d1", Version::V311).await;
    for id in 1..=40 {
        device.publish(OWN, Some((Qos::AtLeastOnce, id)), b"x").await;
    }
    for _id in 1..=40 {
        assert_eq!(device.next().await[0], 0x40);
        witness.message().await;
    }
    assert!(began.elapsed() > Duration::from_millis(800), "they waited: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_device_that_asks_is_told_where_its_topics_are() {
    let (site, _broker) = MqttSite::usual().await;
    let certificate = site.certificate("acme", "d1");
    for asks in [0, 1] {
        let mut properties = PropertyWriter::new();
        properties.byte(PropertyId::RequestResponseInformation, asks);
        let mut device = site.open(Some(&certificate), Version::V5).await;
        device.send(&connect_with(Version::V5, "id", true, None, &properties)).await;
        let answer = device.next().await;
        let Packet::Connack(connack) = device.read(&answer) else { panic!("{answer:x?}") };
        let told = connack.properties.text(PropertyId::ResponseInformation);
        assert_eq!(told, (asks == 1).then_some("tenant/acme/device/d1/"));
    }
}
