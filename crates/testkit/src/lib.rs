//! What tests of every crate share: a certificate authority with its evil twin, and a clock that
//! stands still.
//!
//! For tests only: no crate may depend on it otherwise, and it knows nothing but `core`, so that what
//! it makes is not made by the code under test.
//!
//! Start reading at [`TestCa`].
#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

mod ca;
mod clock;
mod der_writer;
mod key;
mod leaf;

pub use ca::{TestCa, TestCertificate};
pub use clock::ManualClock;
pub use key::{KeyKind, TestKey};
pub use leaf::{LeafSpec, NOT_AFTER, NOT_BEFORE, Signer, purpose, usage};
