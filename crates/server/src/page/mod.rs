//! What browsers get on the admin listener.

pub(crate) mod description;
pub(crate) mod setup;
