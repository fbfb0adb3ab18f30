//! What tests of every crate share: a certificate authority with its evil twin, a clock that stands
//! still, a client of doors that can be told to do what no good client does, PostgreSQL servers, a
//! PKCS #11 token, Cloudflare's API, an app of one-time codes, and how often a property is tried.
//!
//! For tests and the simulator of fleets only: no crate that is shipped may depend on it, and it knows nothing but `core`, so that what
//! it makes is not made by the code under test.
//!
//! Start reading at [`TestCa`] and [`DoorClient`].
#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

mod authenticator;
mod ca;
mod client;
mod clock;
mod cloudflare;
mod der_writer;
mod key;
mod leaf;
mod postgres;
mod postgres_machine;
mod property;
mod security_key;
mod soft_token;
mod vacancy;

pub use authenticator::AuthenticatorApp;
pub use ca::{TestCa, TestCertificate};
pub use client::{Answer, ClientFailure, Connection, DoorClient, HttpVersion, TlsVersion};
pub use clock::ManualClock;
pub use cloudflare::{
    Asked, CLOUDFLARE_ACCOUNT, CLOUDFLARE_TOKEN, CLOUDFLARE_ZONE, FakeCloudflare, KnownCertificate, Trouble,
};
pub use key::{KeyKind, TestKey};
pub use leaf::{LeafSpec, NOT_AFTER, NOT_BEFORE, Signer, purpose, usage};
pub use postgres::{PostgresDatabase, PostgresServer};
pub use postgres_machine::PostgresMachine;
pub use property::property_cases;
pub use security_key::{SecurityKey, SecurityKeyAnswer};
pub use soft_token::{SoftToken, TOKEN_LABEL, TOKEN_PIN};
pub use vacancy::vacant_address;
