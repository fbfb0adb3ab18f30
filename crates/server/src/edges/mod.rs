//! Edges that run elsewhere: people add and revoke them, they enrol and attach themselves, and hand on what
//! devices ask for.

pub(crate) mod admin;
pub(crate) mod arrive;
pub(crate) mod equip;
pub(crate) mod stream;
