//! Metrics: what the doors, the database and the installation count, as OpenMetrics text for Prometheus.
//!
//! Labels have few values, all of them known: doors of the configuration, CAs, words for states and codes.
//! Never a device, a serial number, an address or a tenant.

mod listener;
mod measure;
mod numbers;
mod page;
mod traffic;
mod work;

pub(crate) use listener::listen;
pub(crate) use measure::Measure;
pub(crate) use work::{WorkRecorder, tell_work};
