//! What crosses between Countersign's programs: the wire types of the control-plane API, its error
//! body with the stable codes, how a door hands an admitted request to the control plane behind
//! it, and the typed client.
//!
//! This crate decides nothing and stores nothing. Wire names are those of the seeds and the
//! contract. Start reading at [`wire`], then [`error`] and [`arrival`].

pub mod arrival;
pub mod client;
pub mod edge;
pub mod error;
pub mod mqtt;
pub mod upgrade;
pub mod wire;

pub use arrival::{Arrival, ObservedRule};
pub use error::ErrorBody;
pub use upgrade::{DoorEnd, OfferedUpgrade, UpgradedConnection};
