//! What comes through MQTT doors, here or at edges elsewhere, handed to the authority: in the database before its
//! device hears of it.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::commands::{CommandWord, RecordResultError};
use countersign_authority::ingest::{Incoming, Rejection, Taken, TokenAsked};
use countersign_core::ids::{CertificateRef, IssuerKeyId};
use countersign_edge::mqtt::{Fate, Message, SetAside, Sink, SinkError, Taking};
use countersign_server::TakesMessages;
use countersign_store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::config::Proofs;
use crate::sinks::{Record, SinkEnded, SinkQueue};

/// How many messages that a door refused may wait to be written down.
const ASIDE_WAITING: usize = 1024;

/// Where the topics of telemetry begin, below a device's own prefix.
const TELEMETRY: &str = "telemetry";

/// Where devices say what came of commands.
const ACK: &str = "commands/ack";

/// Where devices say what their state is.
const REPORTED: &str = "shadow/reported";

/// Whether telemetry is kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// It is.
    Database,
    /// It is what sinks have alone.
    Nothing,
}

/// Takes messages for the authority.
#[derive(Debug)]
pub(crate) struct Ingest {
    ways: Arc<Ways>,
    runtime: Handle,
    aside: Arc<Semaphore>,
}

/// Where accepted messages go.
#[derive(Debug)]
struct Ways {
    authority: Arc<Authority>,
    sinks: Vec<SinkQueue>,
    keeps: Keeps,
    proofs: Proofs,
}

impl Ingest {
    /// For this authority; must be called on the runtime that its work is to be done on.
    pub(super) fn new(
        authority: Arc<Authority>,
        sinks: Vec<SinkQueue>,
        keeps: Keeps,
        proofs: Proofs,
    ) -> Self {
        let aside = Arc::new(Semaphore::new(ASIDE_WAITING));
        Self { ways: Arc::new(Ways { authority, sinks, keeps, proofs }), runtime: Handle::current(), aside }
    }
}

impl TakesMessages for Ingest {
    fn take(&self, message: Incoming, suffix: &str) -> countersign_server::Taking {
        let (ways, kind) = (Arc::clone(&self.ways), Kind::of(suffix));
        let message = Incoming { token: asked(ways.proofs, &message.certificate), ..message };
        // What was handed over is written even if its device, or its edge, goes meanwhile.
        let taking = self.runtime.spawn(async move { take(&ways, kind, message).await });
        Box::pin(async move { Ok(taking.await??) })
    }
}

impl Sink for Ingest {
    fn take(&self, message: Message) -> Taking {
        let suffix = message.suffix.clone();
        let taking = TakesMessages::take(self, incoming(message), &suffix);
        Box::pin(async move {
            match taking.await.map_err(SinkError)? {
                Taken::SetAside(_) => Ok(Fate::SetAside),
                Taken::Telemetry(_) | Taken::CommandWord | Taken::KnownState | Taken::HandedOn => {
                    Ok(Fate::Kept)
                }
            }
        })
    }

    fn set_aside(&self, denied: SetAside) {
        let Ok(permit) = Arc::clone(&self.aside).try_acquire_owned() else {
            tracing::debug!(code = denied.code, "denied message not written down");
            return;
        };
        let authority = Arc::clone(&self.ways.authority);
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

/// What a message is, by its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    CommandWord,
    Reported,
    Telemetry,
    State,
}

impl Kind {
    fn of(suffix: &str) -> Self {
        if suffix == ACK {
            Self::CommandWord
        } else if suffix == REPORTED {
            Self::Reported
        } else if suffix.split('/').next() == Some(TELEMETRY) {
            Self::Telemetry
        } else {
            Self::State
        }
    }
}

async fn take(ways: &Ways, kind: Kind, message: Incoming) -> Result<Taken, TakeError> {
    let (tenant, device) = (message.identity.tenant().clone(), message.identity.device().clone());
    let taken = match kind {
        Kind::CommandWord => take_word(&ways.authority, message).await?,
        Kind::Telemetry | Kind::Reported | Kind::State if ways.sinks.is_empty() => {
            keep(ways, kind, message).await?
        }
        Kind::Telemetry | Kind::Reported | Kind::State => hand_on(ways, kind, message).await?,
    };
    if let Taken::SetAside(reason) = taken {
        tracing::info!(%tenant, %device, reason, "message set aside");
    }
    Ok(taken)
}

async fn keep(ways: &Ways, kind: Kind, message: Incoming) -> Result<Taken, StoreError> {
    match kind {
        Kind::State => ways.authority.take_state(message).await,
        Kind::Reported => ways.authority.take_reported_state(message).await,
        Kind::Telemetry | Kind::CommandWord => ways.authority.take_telemetry(message).await,
    }
}

/// To each sink, and then to the database. Whoever hears that it arrived knows that all of them have it.
async fn hand_on(ways: &Ways, kind: Kind, message: Incoming) -> Result<Taken, TakeError> {
    let judged = match kind {
        Kind::State | Kind::Reported => ways.authority.judge_state(&message).await?,
        Kind::Telemetry | Kind::CommandWord => ways.authority.judge_telemetry(&message).await?,
    };
    let accepted = match judged {
        Ok(accepted) => accepted,
        Err(rejection) => {
            let bytes = message.payload.len();
            return Ok(ways.authority.set_message_aside(message, rejection.code(), bytes).await?);
        }
    };
    let record = Record::of(&message, &accepted);
    for sink in &ways.sinks {
        sink.take(record.clone()).await?;
    }
    match (ways.keeps, kind) {
        // What a device is set to is asked for here, whoever else has it.
        (Keeps::Database, _) | (Keeps::Nothing, Kind::Reported) => Ok(keep(ways, kind, message).await?),
        (Keeps::Nothing, Kind::Telemetry | Kind::State | Kind::CommandWord) => Ok(Taken::HandedOn),
    }
}

/// A message was not taken by all that are to have it.
#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error("keep a message")]
    Store(#[from] StoreError),
    #[error("hand a message on")]
    Sink(#[from] SinkEnded),
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

/// Whether a message has to bear a token.
fn asked(proofs: Proofs, certificate: &CertificateRef) -> TokenAsked {
    match proofs {
        Proofs::Never => TokenAsked::No,
        Proofs::WithoutCertificate if certificate.issuer != IssuerKeyId::OF_TOKENS => TokenAsked::No,
        Proofs::WithoutCertificate | Proofs::Always => TokenAsked::Yes,
    }
}

fn incoming(message: Message) -> Incoming {
    Incoming {
        token: TokenAsked::No,
        identity: message.identity,
        certificate: message.certificate,
        topic: message.topic,
        qos: message.qos.bits(),
        is_dup: message.is_dup,
        received_at: message.received_at,
        payload: message.payload,
    }
}
