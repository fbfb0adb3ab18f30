//! `[[mqtt_grant]]`: the topics that services may write and read through the MQTT door.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use countersign_core::guest::GuestOf;
use countersign_core::settings::Enforcement;
use countersign_edge::mqtt::{Rights, Shared, topics::TopicFilter};
use countersign_edge::{Audience, Devices};
use serde::Deserialize;
use toml::Spanned;

use super::audience::{self, Keys, RawAudience};
use super::mqtt_door::{MqttDoor, MqttUpstream};
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::Place;
use super::settings::{Setting, Shown};
use super::tcp_doors::DoorName;

/// `[[mqtt_grant]]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGrant {
    pub(super) name: Place<String>,
    pub(super) admit: Place<Vec<String>>,
    pub(super) allow_sans: Place<Vec<String>>,
    pub(super) allow_names: Place<Vec<String>>,
    pub(super) require_subject: Place<BTreeMap<String, String>>,
    pub(super) subscribe: Place<Vec<String>>,
    pub(super) publish: Place<Vec<String>>,
    pub(super) shared_subscriptions: Place<bool>,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MqttGrant {
    /// What those whom it fits are called at the broker.
    pub(crate) name: DoorName,
    /// Whom it fits.
    pub(crate) audience: Audience,
    /// What they may.
    pub(crate) rights: Rights,
}

const KEYS: Keys = Keys {
    admit: "mqtt_grant.admit",
    allow_tenants: "mqtt_grant.allow_tenants",
    allow_devices: "mqtt_grant.allow_devices",
    allow_sans: "mqtt_grant.allow_sans",
    allow_names: "mqtt_grant.allow_names",
    require_subject: "mqtt_grant.require_subject",
    require_identity: "mqtt_grant.require_identity",
};

/// The grants, in order; names are unique. Only a broker has something for services.
pub(super) fn grants(
    pick: &mut Picker<'_>,
    raw: Vec<Spanned<RawGrant>>,
    door: Option<&MqttDoor>,
) -> Vec<MqttGrant> {
    let mut names = BTreeSet::new();
    let mut grants = Vec::with_capacity(raw.len());
    for entry in raw {
        let origin = pick.origin(&entry.span());
        if door.is_none_or(|door| door.upstream == MqttUpstream::Hub) {
            let message =
                "there is no broker behind the MQTT door, so nobody to hear: set mqtt_door.upstream";
            pick.refuse(&origin, "mqtt_grant.name", message);
        }
        let Some(grant) = grant(pick, &origin, entry.into_inner()) else { continue };
        if !names.insert(grant.name.clone()) {
            pick.refuse(&origin, "mqtt_grant.name", format!("{} is the name of another grant", grant.name));
        }
        grants.push(grant);
    }
    grants
}

fn grant(pick: &mut Picker<'_>, origin: &Origin, raw: RawGrant) -> Option<MqttGrant> {
    if raw.name.is_none() {
        pick.refuse(origin, "mqtt_grant.name", "missing: what the service is called at the broker");
    }
    let name = Layers::new("mqtt_grant.name", raw.name).only_in_file();
    let name = pick.optional(name, |text| text.parse::<DoorName>()).map(|(name, _)| name);
    let is_of_services = raw.admit.is_none();
    let whom = RawAudience {
        admit: raw.admit,
        allow_sans: raw.allow_sans,
        allow_names: raw.allow_names,
        require_subject: raw.require_subject,
        ..RawAudience::default()
    };
    let audience = audience::audience(pick, whom, &KEYS, Enforcement::Enforce);
    let mut audience = audience.map(Arc::unwrap_or_clone).unwrap_or_default();
    if is_of_services {
        (audience.devices, audience.guests) = (Devices::Refused, vec![GuestOf::Services]);
    }
    if audience.devices == Devices::Admitted {
        pick.refuse(
            origin,
            KEYS.admit,
            "devices have rights of their own: mqtt_door.devices_write and devices_read",
        );
    }
    let is_narrow =
        !(audience.names.is_empty() && audience.common_names.is_empty() && audience.subject.is_empty());
    if !is_narrow {
        let message =
            "missing: which service it is for; or mqtt_grant.allow_names, or mqtt_grant.require_subject";
        pick.refuse(origin, KEYS.allow_sans, message);
    }
    let mut filters = |key, place| {
        let list = pick.list::<TopicFilter>(Layers::new(key, place).only_in_file());
        list.map(|(filters, _)| filters).unwrap_or_default()
    };
    let read = filters("mqtt_grant.subscribe", raw.subscribe);
    let write = filters("mqtt_grant.publish", raw.publish);
    if read.is_empty() && write.is_empty() {
        pick.refuse(origin, "mqtt_grant.subscribe", "grants nothing; or mqtt_grant.publish");
    }
    let shared = Layers::new("mqtt_grant.shared_subscriptions", raw.shared_subscriptions).only_in_file();
    let (is_shared, _) = pick.value(shared, true, Ok::<bool, std::convert::Infallible>);
    let shared = if is_shared { Shared::Allowed } else { Shared::Denied };
    Some(MqttGrant { name: name?, audience, rights: Rights::of_service(write, read, shared) })
}

const fn example(key: &'static str, sample: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, "", sample, Shown::Example, doc)
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    example(
        "mqtt_grant.name",
        "\"ingest\"",
        "A grant of topics to services, through the MQTT door to the broker behind it: what the service is\ncalled there (client _service:NAME:…, account _service/NAME). Of several that fit, the first counts.",
    ),
    Setting::new(
        "mqtt_grant.admit",
        "",
        "[\"services\"]",
        Shown::Default,
        "Whose certificates: services (of this installation), trust:NAME (of a CA of somebody else's).",
    ),
    example(
        "mqtt_grant.allow_sans",
        "[\"dns:ingest.internal\"]",
        "Alternative names, one of which the certificate must have: dns:NAME or uri:URI.",
    ),
    example("mqtt_grant.allow_names", "[\"ingest\"]", "Common names, one of which it must have."),
    example(
        "mqtt_grant.require_subject",
        "{ O = \"acme\" }",
        "Attributes that its subject must have; \"*\" is any value. One of these three is needed.",
    ),
    example(
        "mqtt_grant.subscribe",
        "[\"tenant/+/device/+/#\"]",
        "What it may read, and subscribe to: topic filters from the top. Default: nothing.",
    ),
    example("mqtt_grant.publish", "[\"tenant/+/device/+/commands\"]", "What it may write. Default: nothing."),
    Setting::new(
        "mqtt_grant.shared_subscriptions",
        "",
        "true",
        Shown::Default,
        "Whether $share/GROUP/FILTER is allowed where FILTER is.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;

    const BROKER: &str = "[mqtt_door]\nupstream = \"tcp://127.0.0.1:1883\"\n";
    const INGEST: &str = "[[mqtt_grant]]\nname = \"ingest\"\nallow_sans = [\"dns:ingest.internal\"]\n\
                          subscribe = [\"tenant/+/device/+/#\"]\n";

    #[test]
    fn a_service_gets_what_is_written() {
        let resolved = read(&format!("{BROKER}{INGEST}")).unwrap().resolved;
        let [grant] = &resolved.mqtt_grants[..] else { panic!("one") };
        assert_eq!(grant.name.to_string(), "ingest");
        assert_eq!(grant.rights.may_subscribe("tenant/+/device/+/#"), Ok(()));
        assert_eq!(grant.rights.may_subscribe("$share/g/tenant/acme/device/+/telemetry"), Ok(()));
        assert!(grant.rights.may_subscribe("#").is_err());
        assert!(grant.rights.may_write("tenant/acme/device/d1/commands").is_err());
    }

    #[test]
    fn a_grant_for_nobody_or_everybody_is_refused() {
        for (text, said) in [
            (INGEST.to_owned(), "mqtt_grant.name: there is no broker"),
            (format!("{BROKER}{INGEST}{INGEST}"), "is the name of another grant"),
            (
                format!("{BROKER}[[mqtt_grant]]\nname = \"a\"\nsubscribe = [\"#\"]\n"),
                "mqtt_grant.allow_sans: missing: which",
            ),
            (
                format!("{BROKER}[[mqtt_grant]]\nname = \"a\"\nallow_names = [\"a\"]\n"),
                "mqtt_grant.subscribe: grants nothing",
            ),
            (format!("{BROKER}{INGEST}admit = [\"devices\"]\n"), "mqtt_grant.admit: devices have rights"),
            (format!("{BROKER}{INGEST}publish = [\"a#\"]\n"), "mqtt_grant.publish"),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&text) else { panic!("{text}") };
            assert!(problems.iter().any(|one| one.to_string().contains(said)), "{said}: {problems:#?}");
        }
    }
}
