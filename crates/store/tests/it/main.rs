//! What the records promise to the use cases, on a real database of each kind. Every test in `both/` is
//! run on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::duplicate_mod, reason = "the same promises, on either database")]

mod postgres;
mod sqlite;

#[path = "both"]
mod on_sqlite {
    pub(crate) use crate::sqlite::database;

    pub(crate) mod alerts;
    pub(crate) mod anchors;
    pub(crate) mod audit_cuts;
    pub(crate) mod audit_streams;
    mod audit_tampering;
    mod brokered;
    pub(crate) mod ca_requests;
    mod certificates;
    mod challenges;
    pub(crate) mod commands;
    mod concurrency;
    mod crash;
    mod crls;
    mod denials;
    mod device_lists;
    mod device_networks;
    mod devices;
    mod door_work;
    pub(crate) mod edges;
    mod falling;
    pub(crate) mod fixture;
    pub(crate) mod foreign_trusts;
    mod glance;
    mod group_commit;
    mod issuers;
    pub(crate) mod jobs_and_shadows;
    pub(crate) mod messages;
    pub(crate) mod monitors;
    mod opening;
    mod people;
    mod presence;
    mod restorations;
    mod rollout;
    mod round_trips;
    pub(crate) mod rules;
    pub(crate) mod service_certificates;
    mod service_keys;
    mod staged_tokens;
    mod standing;
    mod together;
    mod trust;
    mod upgrading;
    mod upstream;
}

#[path = "both"]
mod on_postgres {
    pub(crate) use crate::postgres::database;

    mod alerts;
    mod anchors;
    mod audit_cuts;
    mod audit_streams;
    mod audit_tampering;
    mod brokered;
    mod ca_requests;
    mod certificates;
    mod challenges;
    mod commands;
    mod concurrency;
    mod crash;
    mod crls;
    mod denials;
    mod device_lists;
    mod device_networks;
    mod devices;
    mod door_work;
    mod edges;
    mod falling;
    pub(crate) mod fixture;
    mod foreign_trusts;
    mod glance;
    mod group_commit;
    mod issuers;
    mod jobs_and_shadows;
    mod messages;
    mod monitors;
    mod opening;
    mod people;
    mod presence;
    mod restorations;
    mod rollout;
    mod round_trips;
    mod rules;
    mod service_certificates;
    mod service_keys;
    mod staged_tokens;
    mod standing;
    mod together;
    mod trust;
    pub(crate) mod upgrading;
    mod upstream;
}
