//! A packet whose topic the door and a broker read differently is a way past the door: what the door takes,
//! two other codecs read as it does, or not at all.

mod compare;

use std::panic::catch_unwind;

use countersign_edge::mqtt::wire::{
    Connect, Encoder, Properties, PropertyId, PropertyWriter, Publish, Qos, Subscription, Version, Will,
};
use proptest::prelude::*;

use compare::{Codec, bytes_crate, ours, proto};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// Holds the other codecs to how the door reads a packet; how many of them took it.
fn compare(bytes: &[u8], version: Version) -> Result<usize, TestCaseError> {
    let Some(read) = ours(bytes, version) else { return Ok(0) };
    let mut taken = 0;
    let others: [(&str, Codec); 2] = [("mqtt-proto", proto), ("mqttbytes", bytes_crate)];
    for (name, other) in others {
        // One that panics takes nothing.
        if let Ok(Some(theirs)) = catch_unwind(|| other(bytes, version)) {
            prop_assert_eq!(&read, &theirs, "{} reads {:x?} differently", name, bytes);
            taken += 1;
        }
    }
    Ok(taken)
}

fn topics() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/é\u{feff}]{1,12}", "tenant/acme/device/d[12]/telemetry", "\\$SYS/x", "[ -\\*,-~]{1,9}"]
}

fn filters() -> impl Strategy<Value = String> {
    prop_oneof![topics(), Just("#".to_owned()), Just("+/a/#".to_owned()), Just("$share/g/a/+".to_owned())]
}

fn connect(version: Version, client_id: &str, will: Option<(&str, &[u8])>) -> Vec<u8> {
    let properties = Properties::default();
    let will = will.map(|(topic, payload)| Will {
        qos: Qos::AtLeastOnce,
        is_retained: false,
        properties,
        topic,
        payload,
    });
    let is_clean = true;
    let connect = Connect {
        version,
        is_clean,
        keep_alive: 60,
        properties,
        client_id,
        will,
        user_name: None,
        password: None,
    };
    let (mut bytes, none) = (Vec::new(), PropertyWriter::new());
    Encoder::new(version, &mut bytes).connect(
        &connect,
        &none,
        connect.will.as_ref().map(|will| (will, &none)),
    );
    bytes
}

fn publish(
    version: Version,
    topic: &str,
    id: Option<u16>,
    payload: &[u8],
    response: Option<&str>,
) -> Vec<u8> {
    let mut properties = PropertyWriter::new();
    properties.two(PropertyId::TopicAlias, 3);
    if let Some(response) = response {
        properties.text(PropertyId::ResponseTopic, response);
    }
    properties.pair("name", "value");
    let qos = if id.is_some() { Qos::ExactlyOnce } else { Qos::AtMostOnce };
    let message = Publish {
        is_dup: false,
        qos,
        is_retained: true,
        topic,
        packet_id: id,
        properties: Properties::default(),
        payload,
    };
    let mut bytes = Vec::new();
    Encoder::new(version, &mut bytes).publish(&message, topic, &properties);
    bytes
}

fn subscribe(version: Version, filters: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let subscriptions = filters.iter().map(|filter| Subscription { filter, options: 1 });
    Encoder::new(version, &mut bytes).subscribe(7, Properties::default(), subscriptions);
    bytes
}

fn packets() -> impl Strategy<Value = (Vec<u8>, Version)> {
    let payload = proptest::collection::vec(any::<u8>(), 0..20);
    let version = prop_oneof![Just(Version::V311), Just(Version::V5)];
    let message = (topics(), proptest::option::of(1_u16..), payload, proptest::option::of(topics()));
    let client = ("[a-z:é]{1,8}", proptest::option::of((topics(), "[ -~]{0,9}")));
    let wanted = proptest::collection::vec(filters(), 1..4);
    prop_oneof![
        (message, version.clone()).prop_map(|((topic, id, payload, response), version)| {
            (publish(version, &topic, id, &payload, response.as_deref()), version)
        }),
        (client, version.clone()).prop_map(|((id, will), version)| {
            let will = will.as_ref().map(|(topic, payload)| (topic.as_str(), payload.as_bytes()));
            (connect(version, &id, will), version)
        }),
        (wanted, version).prop_map(|(filters, version)| (subscribe(version, &filters), version)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn packets_are_read_as_others_read_them((bytes, version) in packets()) {
        compare(&bytes, version)?;
    }

    #[test]
    fn bent_packets_are_read_as_others_read_them(
        (mut bytes, version) in packets(),
        bends in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (at, byte) in bends {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        compare(&bytes, version)?;
    }

    #[test]
    fn any_bytes_are_read_as_others_read_them(
        first in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = vec![first, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        for version in BOTH {
            compare(&bytes, version)?;
        }
    }
}

#[test]
fn both_other_codecs_take_what_is_ordinary() {
    for version in BOTH {
        let filters = ["a/+".to_owned(), "b/#".to_owned()];
        for bytes in [
            publish(version, "tenant/acme/device/d1/telemetry", Some(7), b"{}", None),
            publish(version, "é/x", None, b"", Some("a/b")),
            connect(version, "id", Some(("w", b"gone"))),
            subscribe(version, &filters),
        ] {
            assert_eq!(compare(&bytes, version).unwrap(), 2, "{bytes:x?}");
        }
    }
}
