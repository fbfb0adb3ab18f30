//! The real programs, started and talked to: an installation of its own for every test, a clock that
//! its programs believe, devices made by the test, and real agents.

mod activation;
mod admin;
mod agent;
mod backup;
mod cable;
mod ceremony;
mod channel;
mod clerk;
mod clock;
mod database;
mod device;
mod device_acts;
mod edge;
mod forwarding;
mod installation;
mod invariant;
mod mqtt;
mod openssl;
mod pebble;
mod relay;
mod shown;
mod split;
mod waiting;

pub(crate) use activation::HeldSockets;
pub(crate) use admin::{Admin, done, read};
pub(crate) use agent::{AgentHome, program as agent_program};
pub(crate) use backup::{RESTORE, RESTORE_WITHOUT_LISTS, private};
pub(crate) use cable::Cable;
pub(crate) use ceremony::{OfflineMachine, PASSPHRASE, printed, refused, secret_file};
pub(crate) use channel::{Channel, WISH, ack, completed};
pub(crate) use clerk::Clerk;
pub(crate) use clock::{FakeTime, days, hours};
pub(crate) use database::Database;
pub(crate) use device::{Device, csr_pem, enrolment, identity_pem};
pub(crate) use edge::Edge;
pub(crate) use forwarding::Forwarding;
pub(crate) use installation::{Installation, Time};
pub(crate) use invariant::assert_sound;
pub(crate) use mqtt::{Mosquitto, MqttDevice};
pub(crate) use openssl::{openssl, revoked_serials, serial_of};
pub(crate) use pebble::Pebble;
pub(crate) use relay::Relay;
pub(crate) use shown::{ShowingServer, self_signed};
pub(crate) use waiting::{eventually, until, within};
