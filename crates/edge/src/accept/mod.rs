//! From a listening socket to a finished handshake.

pub(crate) mod entrance;
pub(crate) mod frontage;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod proxy;

pub(crate) use entrance::{Entered, Entrance, EntryTerms, Inside, work};
pub(crate) use frontage::{Frontage, FrontageTerms};
