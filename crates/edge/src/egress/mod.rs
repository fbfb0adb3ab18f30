//! The other way round: a local service reaches upstreams with a client certificate whose key it never sees.
//!
//! Never a general forward proxy: a listener knows a closed list of ways, host × certificate id, and
//! refuses whatever is not on it. Start reading at [`Egress::start`](crate::Egress::start).

pub(crate) mod changes;
pub(crate) mod listener;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod ways;
