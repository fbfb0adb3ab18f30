//! What a Mosquitto that serves devices itself reads: its listener, whom it trusts, who is revoked, and its
//! first accounts.

mod account;
mod folder;
mod listener;
mod told;
mod trust;

pub(crate) use account::first_accounts;
pub(crate) use folder::{Folder, Secrecy, Version};
pub(crate) use listener::{Existing, Listener, lines_for_everybody, services_acl};
pub(crate) use told::{Told, tell};
pub(crate) use trust::{RevocationList, device_cas};
