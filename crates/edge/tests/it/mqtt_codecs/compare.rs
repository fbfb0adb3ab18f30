//! What a packet names, as the door and two other codecs read it. The fuzz target uses this, too.

use bytes::BytesMut;
use countersign_edge::mqtt::wire::{Packet, PropertyId, Version, next_frame};

const LIMIT: usize = 1 << 20;

/// Topics, filters and what else counts, in order.
pub(crate) type Names = Vec<Vec<u8>>;

/// How a codec reads a packet; `None`: it refuses it.
pub(crate) type Codec = fn(&[u8], Version) -> Option<Names>;

/// How the door reads a packet; `None`: it refuses it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others name nothing")]
pub(crate) fn ours(bytes: &[u8], version: Version) -> Option<Names> {
    let frame = next_frame(bytes, LIMIT).ok()??;
    if frame.bytes.len() != bytes.len() {
        return None;
    }
    let text = |text: &str| text.as_bytes().to_vec();
    Some(match Packet::read(frame, version).ok()? {
        Packet::Connect(connect) if connect.version == version => {
            let mut names = vec![text(connect.client_id)];
            if let Some(will) = connect.will {
                names.extend([text(will.topic), will.payload.to_vec()]);
            }
            names
        }
        Packet::Publish(publish) => {
            let response = publish.properties.text(PropertyId::ResponseTopic).map(text);
            let alias = publish
                .properties
                .number(PropertyId::TopicAlias)
                .map(|alias| format!("{alias}").into_bytes());
            [Some(text(publish.topic)), response, alias, Some(publish.payload.to_vec())]
                .into_iter()
                .flatten()
                .collect()
        }
        Packet::Subscribe(subscribe) => subscribe.subscriptions.iter().map(|one| text(one.filter)).collect(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().map(|filter| text(filter)).collect(),
        _ => return None,
    })
}

/// How `mqtt-proto` reads it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others name nothing")]
pub(crate) fn proto(bytes: &[u8], version: Version) -> Option<Names> {
    let text = |text: &str| text.as_bytes().to_vec();
    Some(match version {
        Version::V311 => match mqtt_proto::v3::Packet::decode(bytes).ok()?? {
            mqtt_proto::v3::Packet::Connect(connect) => {
                let will = connect.last_will.map(|will| [text(&will.topic_name), will.message.to_vec()]);
                [text(&connect.client_id)].into_iter().chain(will.into_iter().flatten()).collect()
            }
            mqtt_proto::v3::Packet::Publish(publish) => {
                vec![text(&publish.topic_name), publish.payload.to_vec()]
            }
            mqtt_proto::v3::Packet::Subscribe(all) => all.topics.iter().map(|(one, _)| text(one)).collect(),
            mqtt_proto::v3::Packet::Unsubscribe(all) => all.topics.iter().map(|one| text(one)).collect(),
            _ => return None,
        },
        Version::V5 => match mqtt_proto::v5::Packet::decode(bytes).ok()?? {
            mqtt_proto::v5::Packet::Connect(connect) => {
                let will = connect.last_will.map(|will| [text(&will.topic_name), will.payload.to_vec()]);
                [text(&connect.client_id)].into_iter().chain(will.into_iter().flatten()).collect()
            }
            mqtt_proto::v5::Packet::Publish(publish) => {
                let response = publish.properties.response_topic.map(|topic| text(&topic));
                let alias = publish.properties.topic_alias.map(|alias| format!("{alias}").into_bytes());
                let all = [Some(text(&publish.topic_name)), response, alias, Some(publish.payload.to_vec())];
                all.into_iter().flatten().collect()
            }
            mqtt_proto::v5::Packet::Subscribe(all) => all.topics.iter().map(|(one, _)| text(one)).collect(),
            mqtt_proto::v5::Packet::Unsubscribe(all) => all.topics.iter().map(|one| text(one)).collect(),
            _ => return None,
        },
    })
}

/// How `mqttbytes` reads it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others name nothing")]
pub(crate) fn bytes_crate(bytes: &[u8], version: Version) -> Option<Names> {
    let mut stream = BytesMut::from(bytes);
    let text = |text: String| text.into_bytes();
    Some(match version {
        Version::V311 => match mqttbytes::v4::read(&mut stream, LIMIT).ok()? {
            mqttbytes::v4::Packet::Connect(connect) => {
                let will = connect.last_will.map(|will| [text(will.topic), will.message.to_vec()]);
                [text(connect.client_id)].into_iter().chain(will.into_iter().flatten()).collect()
            }
            mqttbytes::v4::Packet::Publish(publish) => vec![text(publish.topic), publish.payload.to_vec()],
            mqttbytes::v4::Packet::Subscribe(all) => {
                all.filters.into_iter().map(|one| text(one.path)).collect()
            }
            mqttbytes::v4::Packet::Unsubscribe(all) => all.topics.into_iter().map(text).collect(),
            _ => return None,
        },
        Version::V5 => match mqttbytes::v5::read(&mut stream, LIMIT).ok()? {
            mqttbytes::v5::Packet::Connect(connect) => {
                let will = connect.last_will.map(|will| [text(will.topic), will.message.to_vec()]);
                [text(connect.client_id)].into_iter().chain(will.into_iter().flatten()).collect()
            }
            mqttbytes::v5::Packet::Publish(publish) => {
                // It counts a subscription identifier twice and takes what is behind for the payload. The door
                // takes none from clients.
                let identifiers = publish.properties.as_ref().map(|all| &all.subscription_identifiers);
                if identifiers.is_some_and(|identifiers| !identifiers.is_empty()) {
                    return None;
                }
                let (response, alias) =
                    publish.properties.map(|all| (all.response_topic, all.topic_alias)).unwrap_or_default();
                let (response, alias) =
                    (response.map(text), alias.map(|alias| format!("{alias}").into_bytes()));
                let all = [Some(text(publish.topic)), response, alias, Some(publish.payload.to_vec())];
                all.into_iter().flatten().collect()
            }
            mqttbytes::v5::Packet::Subscribe(all) => {
                all.filters.into_iter().map(|one| text(one.path)).collect()
            }
            mqttbytes::v5::Packet::Unsubscribe(all) => all.filters.into_iter().map(text).collect(),
            _ => return None,
        },
    })
}
