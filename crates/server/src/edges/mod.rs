//! Edges that run elsewhere: people add and revoke them, they enrol and attach themselves, hand on what
//! devices ask for, and what they say over MQTT.

pub(crate) mod admin;
pub(crate) mod arrive;
pub(crate) mod devices;
pub(crate) mod equip;
pub(crate) mod stream;
mod work;
