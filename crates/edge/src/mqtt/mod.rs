//! The MQTT door: every packet that names a topic is checked against the identity in the certificate, and
//! what is allowed goes on to a stock broker, or to the hub that needs none.

pub mod topics;
pub mod wire;

mod rights;

pub use rights::{Denial, Layout, LayoutError, Rights, Shared};
