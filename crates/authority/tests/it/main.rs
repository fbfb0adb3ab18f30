//! What the use cases promise, on a real database with real keys and a clock that stands still.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod a_change_is_published;
mod agent_settings;
mod anchors;
mod api_tokens;
mod challenge;
mod channels;
mod commands;
mod confirm;
mod crl;
mod decide;
mod door_certificate;
mod enrol;
mod enrol_again;
mod enrollment_keys;
mod grant;
mod heartbeat;
mod house;
mod invariants;
mod one_step;
mod passwords;
mod people;
mod possession;
mod races;
mod random_lives;
mod renew;
mod repair;
mod revoke;
mod settings;
mod several_authorities;
mod sites;
mod start;
mod sweep;
mod tenants;
mod users;
