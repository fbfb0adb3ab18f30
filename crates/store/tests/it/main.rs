//! What the records promise to the use cases, on a real database in a directory of its own.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod audit_tampering;
mod certificates;
mod challenges;
mod concurrency;
mod crash;
mod denials;
mod device_lists;
mod devices;
mod fixture;
mod group_commit;
mod issuers;
mod opening;
mod presence;
mod round_trips;
mod trust;
