//! What is said of PostgreSQL alone.

mod adoption;
mod archiving;
mod copying;
pub(crate) mod database;
mod groups;
mod lookup;
mod migrating;
mod same_records;
mod seed_queries;
mod several_processes;
mod telemetry_days;
