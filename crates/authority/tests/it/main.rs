//! What the use cases promise, on a real database of each kind, with real keys and a clock that stands
//! still. Every test in `both.rs` is run on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]
#![expect(clippy::duplicate_mod, reason = "the same promises, on either database")]

#[path = "both.rs"]
mod on_postgres;
#[path = "both.rs"]
mod on_sqlite;
mod races;
mod several_authorities;
mod several_authorities_rotate;

// What waits, and how often, is the same each time on SQLite alone: there the races are run.
use on_sqlite::house;
