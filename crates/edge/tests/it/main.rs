//! The doors over real sockets: who gets in, what passes through, and how connections end.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod access_log;
mod access_table;
mod control_plane;
mod cut;
mod drain;
mod egress;
mod endings;
mod guests;
mod hand_over;
mod handed_over;
mod identity_families;
mod identity_headers;
mod limits;
mod mqtt_codecs;
mod paths;
mod proxy_protocol;
mod redirect;
mod resting;
mod rules;
mod screens;
mod site;
mod smuggling;
mod streaming;
mod tcp_door;
mod tcp_ends;
mod tcp_guests;
mod tcp_rules;
mod tcp_site;
mod tcp_upstreams;
mod unreadable;
mod upstream_groups;
mod upstream_tls;
mod upstreams;
mod visitor;
mod websockets;
