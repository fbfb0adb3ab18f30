//! Handshakes in one process: what a door makes of what a peer shows, and what a client makes of a
//! server. Every "accepts" has a "refuses" beside it, most by the test CA's evil twin.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod bound;
mod certificates;
mod chains;
mod clients;
mod credentials;
mod guests;
mod https;
mod leaf_details;
mod meeting;
mod names;
mod probes;
mod required;
mod resumption;
