//! What devices at an MQTT door are told: by the authority beside it, or by one elsewhere.

mod elsewhere;
mod here;
mod offers;
mod start;

pub(crate) use elsewhere::FromAuthority;
pub(crate) use here::Here;
pub(crate) use start::start;
