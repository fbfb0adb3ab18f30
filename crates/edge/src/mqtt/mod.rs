//! The MQTT door: every packet that names a topic is checked against the identity in the certificate, and
//! what is allowed goes on to a stock broker, or to the hub that needs none.
//!
//! Start reading at [`wire`] for how packets are read, [`Rights`] for what an identity may; then `session`
//! for what becomes of each packet, `pump` for how both sides are carried, `farewell` for how it ends.

pub mod topics;

mod budget;
mod client;
mod door;
mod farewell;
mod grant;
mod hear;
mod holder;
mod holdings;
mod hub;
mod leftovers;
mod leg;
mod letters;
mod listeners;
mod party;
mod pump;
mod retained;
mod rights;
mod serve;
mod session;
mod sink;
mod terms;
mod tokens;
mod upstream;

pub use client::{BrokerAccount, BrokerClient, ClientError, Delivered, EarlierSession};
pub use countersign_api::mqtt as wire;
pub use door::{MqttDoor, MqttDoorConfig, PayloadTokens};
pub use grant::Grant;
pub use holdings::Holdings;
pub use hub::Hub;
pub use letters::{Letter, PostError, Posted};
pub use listeners::Listeners;
pub use rights::{Denial, Layout, LayoutError, Rights, Shared};
pub use sink::{Fate, Message, SetAside, Sink, SinkError, Taking};
pub use terms::{OnDenial, Terms};
pub use tokens::{Login, Recognising, TokenRefusal, Tokens};
pub use upstream::{Account, Broker, MqttUpstream, Password};
