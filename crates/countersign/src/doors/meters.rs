//! What the doors of a process count, by kind and name.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_edge::{DoorMeter, DoorNumbers};

use super::certificates::{Acquiring, Shown};
use super::tcp_doors::TcpDoors;

/// Reads the numbers of doors that may come and go.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    pub(super) http: Option<DoorMeter>,
    pub(super) mqtt: Option<DoorMeter>,
    pub(super) mqtt_tokens: Option<DoorMeter>,
    pub(super) tcp: TcpDoors,
    pub(super) shown: Arc<Shown>,
}

impl Meters {
    /// How it goes with the certificate from a public CA, if one is kept.
    pub(crate) fn acquiring(&self) -> Option<Acquiring> {
        self.shown.acquiring()
    }

    /// The numbers now, by the door's kind and name.
    pub(crate) fn read(&self) -> BTreeMap<(&'static str, String), DoorNumbers> {
        let of = |kind: &'static str, name: &str, meter: &Option<DoorMeter>| {
            meter.as_ref().map(|meter| ((kind, name.to_owned()), meter.read()))
        };
        let own = [
            of("http", "http", &self.http),
            of("mqtt", "mqtt", &self.mqtt),
            of("mqtt", "tokens", &self.mqtt_tokens),
        ];
        let own = own.into_iter().flatten();
        let tcp = self.tcp.meters().into_iter().map(|(name, meter)| (("tcp", name), meter.read()));
        own.chain(tcp).collect()
    }
}
