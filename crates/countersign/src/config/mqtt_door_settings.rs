//! The settings of `[mqtt_door]` in words.

use super::settings::{Setting, Shown};

const fn limit(key: &'static str, sample: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, "", sample, Shown::Default, doc)
}

const fn example(key: &'static str, sample: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, "", sample, Shown::Example, doc)
}

/// Every one, in the order of the sample.
pub(super) const MQTT_DOOR: &[Setting] = &[
    limit(
        "mqtt_door.enabled",
        "true",
        "Whether there is a door for MQTT 3.1.1 and 5 over mTLS. It checks every packet that names a topic\nagainst the device in the certificate, and shows the HTTP door's certificate.",
    ),
    limit("mqtt_door.listen", "\"0.0.0.0:8883\"", "Its address."),
    example(
        "mqtt_door.token_listen",
        "\"0.0.0.0:8884\"",
        "Address of a listener for devices without a certificate, over TLS too: the user name is tenant/device, the\npassword the device's provisioning token. Tenants that enforce certificates are refused. Default: none.",
    ),
    limit(
        "mqtt_door.require_token",
        "false",
        "Whether messages without a certificate have to bear the token in their payload, too (provision_token).",
    ),
    limit(
        "mqtt_door.certificate_suffices",
        "true",
        "false: with require_token, messages have to bear the token also where a certificate was shown.",
    ),
    limit(
        "mqtt_door.upstream",
        "\"hub\"",
        "What stands behind it: tcp://HOST:PORT, tls://HOST:PORT or unix:/PATH of a stock broker, on a listener that\nonly this door can reach; or hub: no broker, devices publish to the database and are sent commands.",
    ),
    example(
        "mqtt_door.messages_file",
        "\"messages.jsonl\"",
        "File to which accepted messages are appended, one JSON object a line, before they are acknowledged,\ninstead of the database. Default: none.",
    ),
    example(
        "mqtt_door.ingest",
        "\"database\"",
        "database: accepted messages are checked, go to each ingest_sink, and are kept in the database before they are\nacknowledged; sinks: the same without the database; none: they go to the broker alone. Default: database\nwith hub; with a broker sinks if there are any, else none.",
    ),
    limit(
        "mqtt_door.upstream_account",
        "\"none\"",
        "How the broker knows the door's connections: none, door (upstream_user and its password for all),\nidentity (the user name is tenant/device). What devices say of themselves is dropped.",
    ),
    example(
        "mqtt_door.upstream_user",
        "\"countersign-door\"",
        "User name of the account door. Default: none.",
    ),
    example(
        "mqtt_door.upstream_password_file",
        "\"broker-password\"",
        "File with the password of the account. Default: none.",
    ),
    limit(
        "mqtt_door.upstream_proxy_protocol",
        "\"none\"",
        "v2: the broker is told the client's address and the certificate's CN by a PROXY header first.",
    ),
    example(
        "mqtt_door.upstream_server_name",
        "\"broker.example.com\"",
        "The name that a tls:// broker's certificate must be for. Default: the broker's host.",
    ),
    example(
        "mqtt_door.upstream_ca",
        "\"broker-ca.pem\"",
        "The CA by which it is recognised, PEM. Default: those that the system trusts.",
    ),
    example(
        "mqtt_door.upstream_certificate",
        "\"door-cert.pem\"",
        "The certificate that it is shown, PEM, leaf first, looked at with every connection. Default: none.",
    ),
    example(
        "mqtt_door.upstream_key",
        "\"door-key.pem\"",
        "Private key of mqtt_door.upstream_certificate, PEM.",
    ),
    limit(
        "mqtt_door.topic_prefix",
        "\"tenant/{tenant}/device/{device}/\"",
        "Below which topics each device is: {tenant} and {device} are each one level, it ends in /.",
    ),
    example(
        "mqtt_door.devices_write",
        "[\"telemetry\", \"telemetry/#\", \"shadow/reported\", \"commands/ack\"]",
        "What a device may write below its own prefix: topic filters. Default: these.",
    ),
    example(
        "mqtt_door.devices_read",
        "[\"shadow/desired\", \"commands\", \"jobs/#\"]",
        "What a device may read there, and subscribe to. Default: these.",
    ),
    limit(
        "mqtt_door.denied_messages",
        "\"ack-and-quarantine\"",
        "What becomes of a denied message of MQTT 3.1.1, which has no answer that says no:\nack-and-quarantine (acknowledged, goes nowhere, is written down) or disconnect.",
    ),
    limit(
        "mqtt_door.max_denied_messages",
        "10",
        "After how many denied messages a connection of MQTT 5 ends.",
    ),
    limit("mqtt_door.max_sessions_per_device", "4", "Connections of one device at once."),
    limit("mqtt_door.max_packet_bytes", "262144", "The longest packet, both ways."),
    limit(
        "mqtt_door.max_packets_per_second",
        "1000",
        "Packets a second from one connection; what is above waits.",
    ),
    limit(
        "mqtt_door.max_bytes_per_second",
        "4194304",
        "Bytes a second from one connection; what is above waits.",
    ),
    limit(
        "mqtt_door.max_inflight",
        "64",
        "Messages of QoS 1 and 2 from one connection that may be under way.",
    ),
    limit("mqtt_door.max_topic_aliases", "16", "Topic aliases of one connection; the broker sees none."),
    limit(
        "mqtt_door.max_keep_alive_seconds",
        "1200",
        "The longest keep-alive; a device that is silent for one and a half is gone.",
    ),
    limit("mqtt_door.max_will_delay_seconds", "3600", "The longest delay of a will."),
    limit("mqtt_door.max_retained_messages", "16", "Topics on which a device may leave a retained message."),
    limit("mqtt_door.max_retained_bytes", "65536", "Bytes of its retained messages together."),
    limit(
        "mqtt_door.slow_reader_seconds",
        "30",
        "How long a device may take nothing of what waits for it before it is cut.",
    ),
    limit("mqtt_door.connect_timeout_seconds", "5", "How long the first packet may take."),
    limit(
        "mqtt_door.upstream_timeout_seconds",
        "5",
        "How long the broker may take to be there and to answer.",
    ),
    limit(
        "mqtt_door.handshake_timeout_seconds",
        "5",
        "How long a PROXY header and a TLS handshake may take together.",
    ),
    example("mqtt_door.workers", "4", "How many threads serve it. Default: one for each processor."),
    limit("mqtt_door.max_connections", "100000", "Connections in all."),
    limit("mqtt_door.max_connections_per_ip", "4096", "Connections from one address (IPv6: from one /64)."),
    example(
        "mqtt_door.proxy_protocol_networks",
        "[\"10.0.0.0/8\"]",
        "Networks whose connections begin with a PROXY header; all others must not. Default: none.",
    ),
];
