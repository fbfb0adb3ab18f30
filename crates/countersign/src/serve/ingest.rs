//! What comes through the MQTT door, handed to the authority: in the database before its device hears of it.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::commands::{CommandWord, RecordResultError};
use countersign_authority::ingest::{Incoming, Rejection, Taken};
use countersign_edge::mqtt::{Message, SetAside, Sink, SinkError, Taking};
use countersign_store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How many messages that a door refused may wait to be written down.
const ASIDE_WAITING: usize = 1024;

/// Where the topics of telemetry begin, below a device's own prefix.
const TELEMETRY: &str = "telemetry";

/// Where devices say what came of commands.
const ACK: &str = "commands/ack";

/// Where devices say what their state is.
const REPORTED: &str = "shadow/reported";

/// Takes messages for the authority.
#[derive(Debug)]
pub(crate) struct Ingest {
    authority: Arc<Authority>,
    runtime: Handle,
    aside: Arc<Semaphore>,
}

impl Ingest {
    /// For this authority; must be called on the runtime that its work is to be done on.
    pub(super) fn new(authority: Arc<Authority>) -> Self {
        let aside = Arc::new(Semaphore::new(ASIDE_WAITING));
        Self { authority, runtime: Handle::current(), aside }
    }
}

impl Sink for Ingest {
    fn take(&self, message: Message) -> Taking {
        let authority = Arc::clone(&self.authority);
        // What was handed over is written even if its device goes meanwhile.
        let taking = self.runtime.spawn(async move { take(&authority, message).await });
        Box::pin(async move {
            let taken = taking.await.map_err(|error| SinkError(error.into()))?;
            taken.map_err(|error| SinkError(error.into()))
        })
    }

    fn set_aside(&self, denied: SetAside) {
        let Ok(permit) = Arc::clone(&self.aside).try_acquire_owned() else {
            tracing::debug!(code = denied.code, "denied message not written down");
            return;
        };
        let authority = Arc::clone(&self.authority);
        self.runtime.spawn(async move {
            if let Err(error) =
                authority.set_message_aside(incoming(denied.message), denied.code, denied.payload_bytes).await
            {
                tracing::error!(%error, "denied message not written down");
            }
            drop(permit);
        });
    }
}

async fn take(authority: &Authority, message: Message) -> Result<(), StoreError> {
    let suffix = message.suffix.clone();
    let message = incoming(message);
    let (tenant, device) = (message.identity.tenant().clone(), message.identity.device().clone());
    let taken = if suffix == ACK {
        take_word(authority, message).await?
    } else if suffix == REPORTED {
        authority.take_reported_state(message).await?
    } else if suffix.split('/').next() == Some(TELEMETRY) {
        authority.take_telemetry(message).await?
    } else {
        authority.take_state(message).await?
    };
    if let Taken::SetAside(reason) = taken {
        tracing::info!(%tenant, %device, reason, "message set aside");
    }
    Ok(())
}

/// What a device says of a command. What is none, or of no command of its own, is set aside.
async fn take_word(authority: &Authority, message: Incoming) -> Result<Taken, StoreError> {
    let said = match CommandWord::read(&message.payload) {
        Ok(word) => authority.take_command_word(message.identity.clone(), word).await,
        Err(_unreadable) => Err(RecordResultError::Unknown),
    };
    match said {
        Ok(()) => Ok(Taken::CommandWord),
        Err(RecordResultError::Store(error)) => Err(error),
        Err(RecordResultError::Unknown) => {
            let bytes = message.payload.len();
            authority.set_message_aside(message, Rejection::SchemaInvalid.code(), bytes).await
        }
    }
}

fn incoming(message: Message) -> Incoming {
    Incoming {
        identity: message.identity,
        certificate: message.certificate,
        topic: message.topic,
        qos: message.qos.bits(),
        is_dup: message.is_dup,
        received_at: message.received_at,
        payload: message.payload,
    }
}
