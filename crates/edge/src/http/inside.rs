//! What is behind the entrance of an HTTP door.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::connection::{self, Arrived};
use super::service::{Gate, Worker};
use super::wire::{Framing, Timing};
use crate::accept::{Entered, Inside};
use crate::registry::Registry;

/// The gate that requests go through, and how long a client may take.
#[derive(Debug)]
pub(crate) struct HttpInside {
    pub(crate) gate: Arc<Gate>,
    pub(crate) timing: Timing,
}

impl Inside for HttpInside {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        self.gate.worker()
    }

    async fn serve(&self, entered: Entered, registry: &Arc<Registry>, worker: Arc<Worker>) {
        let Entered { stream, peer, address, local, slot } = entered;
        let live = self.gate.register(registry, &peer);
        let framing = Framing::default();
        let (told, share) = (Mutex::default(), OnceLock::new());
        let arrived = Arrived { peer, address, local, worker, live, framing, told, share, _slot: slot };
        connection::serve(stream, arrived, self.timing).await;
    }

    fn tell_of_connection(&self, address: SocketAddr, code: &str) {
        self.gate.tell_of_connection(address, code);
    }
}
