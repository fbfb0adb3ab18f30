//! What a device may write and read through the MQTT door, tried in both versions in front of a real broker.

use countersign_edge::mqtt::wire::{Packet, PropertyId, PropertyWriter, Qos, Value, Version};
use countersign_edge::mqtt::{OnDenial, Terms};

use crate::mqtt_site::{BOTH, MqttSite, connect, publish, retained};

const OWN: &str = "tenant/acme/device/d1/telemetry";

const FOREIGN: [&str; 9] = [
    "tenant/acme/device/d2/telemetry",
    "tenant/other/device/d1/telemetry",
    "tenant/acme/device/d1/commands",
    "$SYS/broker/x",
    "$CONTROL/dynamic-security/v1",
    "$share/g/tenant/acme/device/d1/telemetry",
    "\u{FEFF}tenant/acme/device/d1/telemetry",
    "tenant/acme/device/d1\u{FEFF}/telemetry",
    "tenant//acme/device/d1/telemetry",
];

#[tokio::test]
async fn own_topics_arrive_and_those_of_others_do_not() {
    let (mut site, broker) = MqttSite::with(|config| config.terms.strikes = 100).await;
    let mut witness = broker.witness().await;
    for version in BOTH {
        let mut device = site.device("d1", version).await;
        for topic in FOREIGN {
            device.publish(topic, None, b"stolen").await;
            device.publish(topic, Some((Qos::AtLeastOnce, 5)), b"stolen").await;
            let answer = device.next().await;
            match version {
                // 3.1.1 has no word for no: it is acknowledged, goes nowhere and is written down.
                Version::V311 => assert_eq!(answer, [0x40, 2, 0, 5], "{topic}"),
                Version::V5 => assert_eq!(answer, [0x40, 3, 0, 5, 0x87], "{topic}"),
            }
            device.publish(topic, Some((Qos::ExactlyOnce, 6)), b"stolen").await;
            let answer = device.next().await;
            if version == Version::V311 {
                assert_eq!(answer, [0x50, 2, 0, 6], "{topic}");
                device.send(&[0x62, 2, 0, 6]).await;
                assert_eq!(device.next().await, [0x70, 2, 0, 6], "completed here");
            } else {
                assert_eq!(answer, [0x50, 3, 0, 6, 0x87], "{topic}");
            }
            let facts = site.refused().await;
            assert!(
                facts.code == "TOPIC_IDENTITY_MISMATCH" || facts.code == "TOPIC_NOT_ALLOWED",
                "{facts:?}"
            );
            assert_eq!((facts.method.as_str(), facts.path.as_str()), ("PUBLISH", topic));
            assert_eq!(facts.certificate.unwrap().identity.device().as_str(), "d1");
            for _more in 0..2 {
                site.refused().await;
            }
        }
        device.publish(OWN, Some((Qos::AtLeastOnce, 7)), b"mine").await;
        assert_eq!(device.next().await[..4], [0x40, 2, 0, 7]);
        assert_eq!(witness.message().await, (OWN.to_owned(), b"mine".to_vec()), "and nothing before it");
        device.publish(OWN, Some((Qos::ExactlyOnce, 8)), b"once").await;
        assert_eq!(device.next().await, [0x50, 2, 0, 8]);
        device.send(&[0x62, 2, 0, 8]).await;
        assert_eq!(device.next().await, [0x70, 2, 0, 8]);
        assert_eq!(witness.message().await.1, b"once");
    }
}

/// In MQTT 5 a PUBREC that says no ends the exchange. Some clients go on with it all the same.
#[tokio::test]
async fn a_denied_exchange_that_is_gone_on_with_ends_at_the_door() {
    let (site, broker) = MqttSite::usual().await;
    let mut witness = broker.witness().await;
    let mut device = site.device("d1", Version::V5).await;
    for _again in 0..2 {
        device.publish(FOREIGN[0], Some((Qos::ExactlyOnce, 6)), b"stolen").await;
        assert_eq!(device.next().await, [0x50, 3, 0, 6, 0x87]);
        device.send(&[0x62, 2, 0, 6]).await;
        assert_eq!(device.next().await, [0x70, 3, 0, 6, 0x92], "there is no such exchange");
    }
    device.publish(FOREIGN[0], Some((Qos::ExactlyOnce, 6)), b"stolen").await;
    assert_eq!(device.next().await, [0x50, 3, 0, 6, 0x87]);
    // Its identifier is free: the next exchange is the broker's.
    device.publish(OWN, Some((Qos::ExactlyOnce, 6)), b"once").await;
    assert_eq!(device.next().await, [0x50, 2, 0, 6]);
    device.send(&[0x62, 2, 0, 6]).await;
    assert_eq!(device.next().await, [0x70, 2, 0, 6]);
    assert_eq!(witness.message().await, (OWN.to_owned(), b"once".to_vec()));
}

#[tokio::test]
async fn denied_messages_end_the_connection_where_that_is_wanted() {
    let (site, _broker) = MqttSite::with(|config| {
        config.terms = Terms { on_denial: OnDenial::Disconnect, strikes: 3, ..Terms::default() };
    })
    .await;
    let mut old = site.device("d1", Version::V311).await;
    old.publish(FOREIGN[0], Some((Qos::AtLeastOnce, 1)), b"").await;
    assert!(old.end().await.is_empty());
    let mut new = site.device("d1", Version::V5).await;
    for _strike in 0..3 {
        new.publish(FOREIGN[0], None, b"").await;
    }
    assert_eq!(new.end().await, [[0xe0, 2, 0x87, 0]]);
}

#[tokio::test]
async fn behind_the_door_it_is_known_who_sent_a_message() {
    let (site, broker) = MqttSite::usual().await;
    let mut witness = broker.witness().await;
    let certificate = site.certificate("acme", "d1");
    let mut device = site.connected(&certificate, Version::V5, &connect(Version::V5, "id", true, None)).await;
    let mut forged = PropertyWriter::new();
    forged.pair("countersign-device", "d2");
    forged.pair("Countersign-Tenant", "other");
    forged.pair("colour", "blue");
    device.send(&publish(Version::V5, OWN, None, b"x", &forged)).await;
    let bytes = witness.next().await;
    let Packet::Publish(seen) = witness.read(&bytes) else { panic!("{bytes:x?}") };
    let pairs: Vec<_> = seen
        .properties
        .iter()
        .filter_map(|property| match property.value {
            Value::Pair(name, value) => Some((name, value)),
            Value::Number(_) | Value::Text(_) | Value::Binary(_) => None,
        })
        .collect();
    let expected = [("colour", "blue"), ("countersign-tenant", "acme"), ("countersign-device", "d1")];
    assert_eq!(pairs[..3], expected);
    assert_eq!((pairs.len(), pairs[3].0), (4, "countersign-serial"));
}

#[tokio::test]
async fn subscriptions_stay_below_the_own_prefix() {
    let (site, broker) = MqttSite::usual().await;
    for version in BOTH {
        let no = if version == Version::V5 { 0x87 } else { 0x80 };
        let mut device = site.device("d1", version).await;
        for filter in [
            "#",
            "+/#",
            "tenant/+/device/+/commands",
            "tenant/acme/device/+/commands",
            "tenant/acme/device/d2/commands",
            "tenant/other/device/d1/commands",
            "tenant/acme/device/d1/#",
            "$SYS/#",
            "$CONTROL/#",
            "$share/g/tenant/acme/device/d1/commands",
            "\u{FEFF}tenant/acme/device/d1/commands",
        ] {
            assert_eq!(device.subscribe(9, &[filter]).await, [no], "{filter}");
        }
        let own = ["tenant/acme/device/d1/commands", "tenant/acme/device/d1/jobs/+"];
        assert_eq!(device.subscribe(10, &[own[0], "#", own[1], "$SYS/#"]).await, [1, no, 1, no], "in order");
        assert_eq!(device.subscribe(10, &own).await, [1, 1], "and nothing of the last one is left");
        let mut service = broker.client("service", Version::V311, true).await;
        for topic in ["tenant/acme/device/d2/commands", "tenant/acme/device/d1/telemetry", own[0]] {
            service.publish(topic, None, topic.as_bytes()).await;
        }
        assert_eq!(device.message().await.0, own[0], "and nothing before it");
        // The same prefix rule when it ends.
        match version {
            Version::V311 => {
                device.send(b"\xa2\x05\x00\x0b\x00\x01#").await;
                assert_eq!(device.next().await, [0xb0, 2, 0, 11]);
            }
            Version::V5 => {
                device.send(b"\xa2\x26\x00\x0b\x00\x00\x01#\x00\x1etenant/acme/device/d1/commands").await;
                assert_eq!(device.next().await, [0xb0, 5, 0, 11, 0, 0x87, 0]);
            }
        }
    }
}

#[tokio::test]
async fn what_a_broker_sends_by_mistake_goes_nowhere() {
    let (mut site, broker) = MqttSite::usual().await;
    for version in BOTH {
        // A session under the very name that the door gives, made behind its back.
        let mut planted = broker.client("acme:d1:id", version, true).await;
        planted.send(&[0xe0, 0]).await;
        planted.end().await;
        let keep = keep(version);
        let planted = broker.client("acme:d1:id", version, true).await;
        drop(planted);
        let stream = tokio::net::TcpStream::connect(broker.address).await.unwrap();
        let mut planted = crate::mqtt_site::Client::new(stream, version);
        planted.send(&keep).await;
        planted.next().await;
        assert_eq!(planted.subscribe(1, &["#"]).await, [1]);
        planted.send(&[0xe0, 0]).await;
        planted.end().await;
        let mut service = broker.client("service", Version::V311, true).await;
        service.publish("tenant/acme/device/d2/telemetry", Some((Qos::AtLeastOnce, 1)), b"foreign").await;
        service.publish("tenant/acme/device/d1/commands", Some((Qos::AtLeastOnce, 2)), b"own").await;
        service.until_pong().await;
        let certificate = site.certificate("acme", "d1");
        let resume = match version {
            Version::V311 => connect(version, "id", false, None),
            Version::V5 => {
                let mut properties = PropertyWriter::new();
                properties.four(PropertyId::SessionExpiry, 100);
                crate::mqtt_site::connect_with(version, "id", false, None, &properties)
            }
        };
        let mut device = site.connected(&certificate, version, &resume).await;
        assert_eq!(device.message().await.1, b"own", "and nothing before it");
        assert_eq!(site.refused().await.code, "MQTT_MISDIRECTED_MESSAGE");
        device.send(&[0xe0, 0]).await;
        device.end().await;
    }
}

fn keep(version: Version) -> Vec<u8> {
    let mut properties = PropertyWriter::new();
    properties.four(PropertyId::SessionExpiry, 100);
    crate::mqtt_site::connect_with(version, "acme:d1:id", false, None, &properties)
}

#[tokio::test]
async fn topic_aliases_are_the_doors() {
    let (site, broker) = MqttSite::usual().await;
    let mut witness = broker.witness().await;
    let mut device = site.device("d1", Version::V5).await;
    let with = |alias: u16, topic: &str| {
        let mut properties = PropertyWriter::new();
        properties.two(PropertyId::TopicAlias, alias);
        publish(Version::V5, topic, Some((Qos::AtLeastOnce, 3)), b"x", &properties)
    };
    for topic in [OWN, ""] {
        device.send(&with(1, topic)).await;
        assert_eq!(device.next().await[..4], [0x40, 2, 0, 3]);
        assert_eq!(witness.message().await.0, OWN);
    }
    // An alias hides no topic.
    for topic in [FOREIGN[0], ""] {
        device.send(&with(2, topic)).await;
        assert_eq!(device.next().await, [0x40, 3, 0, 3, 0x87]);
    }
    for (alias, topic) in [(3, ""), (0, OWN), (17, OWN)] {
        let mut device = site.device("d1", Version::V5).await;
        device.send(&with(alias, topic)).await;
        assert_eq!(device.end().await, [[0xe0, 2, 0x94, 0]], "{alias}");
    }
}

#[tokio::test]
async fn answers_go_where_the_asker_may_be() {
    let (mut site, broker) = MqttSite::usual().await;
    let mut witness = broker.witness().await;
    let mut device = site.device("d1", Version::V5).await;
    let asking = |response: &str| {
        let mut properties = PropertyWriter::new();
        properties.text(PropertyId::ResponseTopic, response);
        publish(Version::V5, OWN, Some((Qos::AtLeastOnce, 3)), b"x", &properties)
    };
    for response in ["tenant/acme/device/d2/commands", "$SYS/x", "a"] {
        device.send(&asking(response)).await;
        assert_eq!(device.next().await, [0x40, 3, 0, 3, 0x87], "{response}");
        assert_eq!(site.refused().await.path, response);
    }
    device.send(&asking("tenant/acme/device/d1/jobs/1")).await;
    assert_eq!(device.next().await[..4], [0x40, 2, 0, 3]);
    assert_eq!(witness.message().await.0, OWN);
}

#[tokio::test]
async fn what_is_kept_at_the_broker_has_a_quota_and_goes_with_its_device() {
    let (mut site, broker) = MqttSite::with(|config| config.terms.retained_messages = 2).await;
    for version in BOTH {
        let mut device = site.device("d1", version).await;
        let keep = |topic: &str| {
            retained(publish(version, topic, Some((Qos::AtLeastOnce, 1)), b"kept", &PropertyWriter::new()))
        };
        for rest in ["", "/a"] {
            device.send(&keep(&format!("{OWN}{rest}"))).await;
            let answer = device.next().await;
            // In MQTT 5 a broker may say that nobody listens.
            assert!(answer[0] == 0x40 && answer.get(4).is_none_or(|code| *code < 0x80), "{answer:x?}");
        }
        device.send(&keep(&format!("{OWN}/b"))).await;
        let answer = device.next().await;
        assert_eq!(answer[4..], if version == Version::V5 { vec![0x97] } else { Vec::new() });
        assert_eq!(site.refused().await.code, "MQTT_QUOTA_EXCEEDED");
        let mut later = broker.witness().await;
        assert_eq!(later.message().await.1, b"kept");
        assert_eq!(later.message().await.1, b"kept");
        let key = ("acme".parse().unwrap(), "d1".parse().unwrap());
        site.apply(|snapshot| snapshot.barred.insert(key, countersign_core::snapshot::Bar::Quarantined))
            .await;
        device.end().await;
        // The witness sees them go.
        for _one in 0..2 {
            assert_eq!(later.message().await.1, b"");
        }
        let mut last = broker.witness().await;
        assert!(last.until_pong().await.is_empty(), "nothing is kept any more");
        site.apply(|snapshot| snapshot.barred.clear()).await;
    }
}
