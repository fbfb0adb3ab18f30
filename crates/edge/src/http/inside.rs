//! What is behind the entrance of an HTTP door.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::connection::{self, Arrived};
use super::service::{Gate, Worker};
use super::wire::Framing;
use crate::accept::{Entered, Inside};
use crate::registry::Registry;

/// The gate that requests go through: whichever it is at the time.
#[derive(Debug)]
pub(crate) struct HttpInside {
    pub(crate) gates: Arc<ArcSwap<Gate>>,
}

impl Inside for HttpInside {
    type Worker = Worker;

    fn worker(&self) -> Worker {
        Worker::new(Arc::clone(&self.gates))
    }

    async fn serve(&self, entered: Entered, registry: &Arc<Registry>, worker: Arc<Worker>) {
        let Entered { stream, peer, address, local, slot } = entered;
        let gate = worker.gate();
        let live = gate.lasting.register(registry, &peer);
        let framing = Framing::default();
        let (told, share) = (Mutex::default(), OnceLock::new());
        let arrived = Arrived { peer, address, local, worker, live, framing, told, share, _slot: slot };
        connection::serve(stream, arrived, gate.timing).await;
    }

    fn tell_of_connection(&self, address: SocketAddr, code: &str) {
        self.gates.load().lasting.tell_of_connection(address, code);
    }
}
