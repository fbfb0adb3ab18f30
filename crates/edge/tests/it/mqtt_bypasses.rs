//! Ways around the topic check that clients of the shelf cannot express, as bytes, in both versions: nothing of
//! them may reach the broker, and the door must say no where MQTT has a word for it.

use countersign_edge::mqtt::wire::{PropertyId, PropertyWriter, Qos, Version};

use crate::mqtt_site::{BOTH, MqttSite, connect, connect_with, publish, retained};

const OWN: &str = "tenant/acme/device/d1/telemetry";
const FOREIGN: &str = "tenant/acme/device/d2/telemetry";

/// A PUBLISH of these flags with any bytes for the topic.
fn raw(version: Version, flags: u8, topic: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend(topic);
    if flags & 0b110 != 0 {
        body.extend([0, 9]);
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(rest);
    let mut packet = vec![0x30 | flags, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

/// What a publish tries, and whether it ends the connection.
fn attempts(version: Version) -> Vec<(&'static str, Vec<u8>, Ends)> {
    let plain = |topic: &str| raw(version, 0, topic.as_bytes(), b"x");
    let mut all = vec![
        ("another device", plain(FOREIGN), Ends::No),
        ("another tenant", plain("tenant/other/device/d1/telemetry"), Ends::No),
        ("kept at the broker", retained(plain(FOREIGN)), Ends::No),
        ("a kept one taken away", retained(raw(version, 0, FOREIGN.as_bytes(), b"")), Ends::No),
        ("said again", raw(version, 0b1010, FOREIGN.as_bytes(), b"x"), Ends::No),
        ("upper case", plain("tenant/acme/device/D1/telemetry"), Ends::No),
        ("an empty level", plain("/tenant/acme/device/d1/telemetry"), Ends::No),
        ("dots", plain("tenant/acme/device/d1/../d2/telemetry"), Ends::No),
        ("one longer", plain("tenant/acme/device/d11/telemetry"), Ends::No),
        ("the prefix alone", plain("tenant/acme/device/d1/"), Ends::No),
        ("without the end of the prefix", plain("tenant/acme/device/d1"), Ends::No),
        ("a composed letter", plain("tenant/acme/device/d1\u{301}/telemetry"), Ends::No),
        ("a byte order mark", plain("\u{feff}tenant/acme/device/d1/telemetry"), Ends::No),
        ("the broker's own", plain("$SYS/broker/log"), Ends::No),
        ("its control", plain("$CONTROL/dynamic-security/v1"), Ends::No),
        ("a wildcard", plain("tenant/acme/device/+/telemetry"), Ends::Yes),
        ("all", plain("#"), Ends::Yes),
        ("U+0000", plain("tenant/acme/device/d1/telemetry\0"), Ends::Yes),
        ("no text", raw(version, 0, b"tenant/acme/device/d1/\xff", b"x"), Ends::Yes),
        ("overlong", raw(version, 0, b"tenant\xc0\xafacme/device/d1/telemetry", b"x"), Ends::Yes),
        ("QoS 3", raw(version, 0b110, OWN.as_bytes(), b"x"), Ends::Yes),
        ("a topic longer than its packet", vec![0x30, 4, 0, 200, b'a', b'b'], Ends::Yes),
        ("a length of five bytes", vec![0x30, 0x80, 0x80, 0x80, 0x80, 1], Ends::Yes),
    ];
    all.push(match version {
        Version::V311 => ("no topic", raw(version, 0, b"", b"x"), Ends::Yes),
        Version::V5 => ("an alias that was never set", alias(b"", 3), Ends::Yes),
    });
    all
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Yes,
    No,
}

fn alias(topic: &[u8], alias: u8) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend(topic);
    body.extend([3, 0x23, 0, alias, b'x']);
    let mut packet = vec![0x30, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

#[tokio::test]
async fn no_spelling_of_a_topic_reaches_another_devices() {
    let (site, broker) = MqttSite::with(|config| config.terms.strikes = 1000).await;
    for version in BOTH {
        let mut witness = broker.witness().await;
        for (what, bytes, ends) in attempts(version) {
            let mut device = site.device("d1", version).await;
            device.send(&bytes).await;
            match ends {
                Ends::No => assert!(device.until_pong().await.iter().all(|said| said[0] == 0x40), "{what}"),
                Ends::Yes => {
                    let said = device.end().await;
                    assert_eq!(said.len(), usize::from(version == Version::V5), "{what}: {said:x?}");
                }
            }
        }
        let mut device = site.device("d1", version).await;
        device.publish(OWN, Some((Qos::AtLeastOnce, 1)), b"mine").await;
        device.next().await;
        assert_eq!(witness.message().await, (OWN.to_owned(), b"mine".to_vec()), "and nothing before it");
    }
}

#[tokio::test]
async fn an_alias_carries_no_topic_past_the_check() {
    let (site, broker) = MqttSite::with(|config| config.terms.strikes = 1000).await;
    let mut witness = broker.witness().await;
    let mut device = site.device("d1", Version::V5).await;
    // Set by a message that is denied, used by the next, and changed under a topic that is its own.
    for packet in [alias(FOREIGN.as_bytes(), 1), alias(b"", 1), alias(OWN.as_bytes(), 1), alias(b"", 1)] {
        device.send(&packet).await;
    }
    for _own in 0..2 {
        assert_eq!(witness.message().await.0, OWN, "and nothing before it");
    }
    for (wrong, number) in [(OWN, 0), (OWN, 17)] {
        let mut device = site.device("d1", Version::V5).await;
        device.send(&alias(wrong.as_bytes(), number)).await;
        assert_eq!(device.end().await, [[0xe0, 2, 0x94, 0]], "{number}");
    }
}

#[tokio::test]
async fn no_filter_hides_another_in_its_packet() {
    let (site, broker) = MqttSite::with(|config| config.terms.sessions = 100).await;
    let own = "tenant/acme/device/d1/commands";
    for version in BOTH {
        let no = if version == Version::V5 { 0x87 } else { 0x80 };
        let mut device = site.device("d1", version).await;
        for filter in [
            "tenant/acme/device/d1/commands/#/x",
            "tenant/acme/device/d1/+/#",
            "tenant/acme/device/+",
            "$share//tenant/acme/device/d1/commands",
            "$share/g/#",
            "$share/g",
            "+",
            "/#",
        ] {
            let mut client = site.device("d1", version).await;
            let mut bytes = Vec::new();
            bytes.extend([0, 5]);
            if version == Version::V5 {
                bytes.push(0);
            }
            bytes.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
            bytes.extend(filter.as_bytes());
            bytes.push(0);
            let mut packet = vec![0x82, u8::try_from(bytes.len()).unwrap()];
            packet.extend(bytes);
            client.send(&packet).await;
            // What is no filter ends the connection; what is one is answered with no.
            let answer = client.try_next().await;
            let is_refused = answer.as_ref().is_none_or(|said| said[0] == 0xe0 || said.last() == Some(&no));
            assert!(is_refused, "{filter}: {answer:x?}");
            drop(device);
            device = site.device("d1", version).await;
        }
        assert_eq!(device.subscribe(6, &[own]).await, [1]);
        let mut service = broker.client("service", Version::V311, true).await;
        service.publish("tenant/acme/device/d2/commands", None, b"theirs").await;
        service.publish(own, None, b"mine").await;
        assert_eq!(device.message().await, (own.to_owned(), b"mine".to_vec()));
    }
    for reserved in [[0x80, 0], [0x82, 0]] {
        let mut device = site.device("d1", Version::V5).await;
        device.send(&reserved).await;
        assert_eq!(device.end().await[0][0], 0xe0, "no filter at all, or wrong flags");
    }
}

#[tokio::test]
async fn what_a_device_asks_for_at_its_beginning_is_bounded() {
    let (site, broker) = MqttSite::with(|config| {
        config.terms.keep_alive = std::time::Duration::from_secs(30);
        config.terms.will_delay = std::time::Duration::ZERO;
        config.terms.packet_bytes = 2000;
    })
    .await;
    let mut witness = broker.witness().await;
    let certificate = site.certificate("acme", "d1");
    let mut device = site.open(Some(&certificate), Version::V5).await;
    let mut expiry = PropertyWriter::new();
    expiry.four(PropertyId::SessionExpiry, 1000);
    device.send(&connect_with(Version::V5, "id", true, Some((OWN, false)), &expiry)).await;
    let bytes = device.next().await;
    let countersign_edge::mqtt::wire::Packet::Connack(connack) = device.read(&bytes) else {
        panic!("{bytes:x?}")
    };
    assert_eq!(connack.properties.number(PropertyId::ServerKeepAlive), Some(30));
    assert_eq!(connack.properties.number(PropertyId::MaximumPacketSize), Some(2000));
    assert_eq!(connack.properties.number(PropertyId::SharedAvailable), Some(0));
    drop(device);
    assert_eq!(witness.message().await.1, b"gone", "the will is not delayed beyond what may be");
    for version in BOTH {
        let mut device = site.device("d1", version).await;
        device.send(&publish(version, OWN, None, &[b'x'; 1990], &PropertyWriter::new())).await;
        let said = device.end().await;
        assert_eq!(said.first().map(|packet| packet[2]), (version == Version::V5).then_some(0x95));
        let mut long = site.open(Some(&certificate), version).await;
        long.send(&connect(version, &"i".repeat(300), true, None)).await;
        assert_eq!(long.next().await[3], if version == Version::V5 { 0x85 } else { 2 });
    }
}
