//! Proves the contract's table "who may reach what through the door": every route × every kind of
//! certificate × every mode × full handshake, resumed session, and a connection that was open before
//! things changed. [`table`] is the contract's text; [`cast`] makes the devices.

mod attempt;
mod cast;
mod table;
mod walk;
