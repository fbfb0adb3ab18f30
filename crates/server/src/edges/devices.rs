//! POST `/edges/self/messages`, `/edges/self/letters` and `/edges/self/logins`: what devices at the MQTT door of an
//! edge say, are to be told, and show in the place of a certificate.

use std::error::Error;
use std::fmt::Debug;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::ErrorBody;
use countersign_api::wire::edge_devices::{
    DEVICES_AT_ONCE, EdgeLetter, EdgeLetters, EdgeLettersRequest, EdgeLogin, EdgeLoginRequest, EdgeMessage,
    EdgeMessages, EdgeMessagesTaken, MESSAGES_AT_ONCE,
};
use countersign_authority::errands::Errand;
use countersign_authority::ingest::{Incoming, Rejection, Taken, TokenAsked};
use countersign_authority::provisioning_tokens::TokenRefused;
use countersign_core::access::Refusal;
use countersign_core::identity::Identity;
use countersign_core::ids::CertificateRef;
use futures_util::future::{BoxFuture, try_join_all};

use super::arrive::{ByEdge, serves};
use crate::failure::{Failure, Outcome};
use crate::request::Unread;
use crate::state::ControlPlane;

/// How much is said of letters in one answer; that of the last device may go beyond.
const LETTERS_ROOM: usize = 512 << 10;

/// The codes for which the door of an edge refuses messages.
const REFUSED: [&str; 4] =
    ["TOPIC_IDENTITY_MISMATCH", "TOPIC_NOT_ALLOWED", "PAYLOAD_INVALID_JSON", "MQTT_QUOTA_EXCEEDED"];

/// Takes what devices say at doors elsewhere, as what they say at the doors of this process.
pub trait TakesMessages: Debug + Send + Sync {
    /// Takes a message; `suffix` is what follows the device's own prefix in its topic. Whoever is to have it has
    /// it once the promise is kept, which says what became of it. Whether it has to bear a token is for the taker
    /// to say.
    fn take(&self, message: Incoming, suffix: &str) -> Taking;
}

/// The promise of [`TakesMessages`].
pub type Taking = BoxFuture<'static, Result<Taken, Box<dyn Error + Send + Sync>>>;

/// Takes messages of devices that an edge let in, or refused. Whoever is to have them has all of them when this
/// is answered: before that no device is told that its message arrived.
#[utoipa::path(post, path = "/api/v1/edges/self/messages", tag = "edges", operation_id = "handOverMessages",
    request_body = EdgeMessages,
    responses(
        (status = 200, body = EdgeMessagesTaken),
        (status = 401, body = ErrorBody, description = "No edge's certificate was shown"),
        (status = 403, body = ErrorBody,
            description = "`EDGE_REVOKED`; `EDGE_SCOPE`: a device of another tenant, and none of them is taken"),
    ), security(("edgeCertificate" = [])))]
pub(crate) async fn messages(
    State(state): State<ControlPlane>,
    by: ByEdge,
    body: Unread,
) -> Outcome<Json<EdgeMessagesTaken>> {
    let EdgeMessages { messages } = body.typed().await?;
    if messages.len() > MESSAGES_AT_ONCE {
        return Err(Failure::invalid_field("messages", format!("must be at most {MESSAGES_AT_ONCE}")));
    }
    let mut said = Vec::with_capacity(messages.len());
    for message in messages {
        serves(&by.edge, &message.tenant)?;
        said.push(Said::of(&state, message)?);
    }
    let senders = said.iter().map(|said| (said.message.identity.clone(), said.message.certificate.clone()));
    let verdicts = state.authority.judge_senders(senders.collect()).await;
    let verdicts = verdicts.map_err(|error| Failure::internal(&error))?;
    let taken = said.into_iter().zip(verdicts).map(|(said, verdict)| said.take(&state, verdict));
    let taken = try_join_all(taken).await?;
    let is_aside = |(_place, taken): &(usize, Taken)| matches!(taken, Taken::SetAside(_));
    let set_aside = taken.into_iter().enumerate().filter(is_aside).map(|(place, _taken)| place);
    Ok(Json(EdgeMessagesTaken { set_aside: set_aside.collect() }))
}

/// A message that an edge hands over.
struct Said {
    message: Incoming,
    suffix: String,
    payload_bytes: usize,
    refused: Option<String>,
}

impl Said {
    fn of(state: &ControlPlane, said: EdgeMessage) -> Outcome<Self> {
        let unfit = |problem: &str| Failure::invalid_field("messages", problem);
        let suffix =
            said.topic.get(said.prefix_bytes..).ok_or_else(|| unfit("prefixBytes: too many"))?.to_owned();
        let payload = STANDARD.decode(&said.payload).map_err(|_base64| unfit("payload: no base64"))?;
        let message = Incoming {
            identity: Identity::new(state.authority.trust_domain().clone(), said.tenant, said.device),
            certificate: CertificateRef { issuer: said.issuer, serial: said.serial_number },
            topic: said.topic,
            qos: said.qos,
            is_dup: said.dup,
            // No edge's clock is ahead of ours on record.
            received_at: said.received_at.min(state.authority.now()),
            token: TokenAsked::No,
            payload,
        };
        Ok(Self { message, suffix, payload_bytes: said.payload_bytes, refused: said.refused })
    }

    /// Why it is set aside, whatever it says.
    fn refusal(&self, verdict: Option<Refusal>) -> Option<&'static str> {
        if let Some(refusal) = verdict {
            return Some(refusal.code());
        }
        if let Some(refused) = &self.refused {
            // What a newer edge refuses for another reason is set aside all the same.
            let known = REFUSED.into_iter().find(|code| code == refused);
            return Some(known.unwrap_or(Rejection::SchemaInvalid.code()));
        }
        (self.payload_bytes > self.message.payload.len()).then_some(Rejection::PayloadTooLarge.code())
    }

    async fn take(self, state: &ControlPlane, verdict: Option<Refusal>) -> Outcome<Taken> {
        if let Some(code) = self.refusal(verdict) {
            let aside = state.authority.set_message_aside(self.message, code, self.payload_bytes);
            return aside.await.map_err(|error| Failure::internal(&error));
        }
        let taker = state.taker().ok_or_else(|| Failure::not_found("taker of messages"))?;
        taker.take(self.message, &self.suffix).await.map_err(|error| Failure::internal(&*error))
    }
}

/// What there is for devices that listen at an edge: commands, parts of jobs, and the state that they are to
/// have.
#[utoipa::path(post, path = "/api/v1/edges/self/letters", tag = "edges", operation_id = "listLetters",
    request_body = EdgeLettersRequest,
    responses(
        (status = 200, body = EdgeLetters),
        (status = 401, body = ErrorBody, description = "No edge's certificate was shown"),
        (status = 403, body = ErrorBody, description = "`EDGE_REVOKED`, `EDGE_SCOPE`"),
    ), security(("edgeCertificate" = [])))]
pub(crate) async fn letters(
    State(state): State<ControlPlane>,
    by: ByEdge,
    body: Unread,
) -> Outcome<Json<EdgeLetters>> {
    let EdgeLettersRequest { devices } = body.typed().await?;
    if devices.len() > DEVICES_AT_ONCE {
        return Err(Failure::invalid_field("devices", format!("must be at most {DEVICES_AT_ONCE}")));
    }
    let (mut letters, mut room) = (Vec::with_capacity(devices.len()), LETTERS_ROOM);
    for device in devices {
        serves(&by.edge, &device.tenant)?;
        let errands = state.authority.errands_for(&device.into()).await;
        let own: Vec<EdgeLetter> =
            errands.map_err(|error| Failure::internal(&error))?.into_iter().map(letter).collect();
        let bytes: usize = own.iter().map(|letter| letter.payload.to_string().len()).sum();
        letters.push(own);
        room = room.saturating_sub(bytes);
        if room == 0 {
            break;
        }
    }
    Ok(Json(EdgeLetters { letters }))
}

fn letter(Errand { about, topic, payload, life }: Errand) -> EdgeLetter {
    EdgeLetter { about, topic, payload, life_seconds: life.map(|life| life.as_secs()) }
}

/// Which token a device shows at an edge. Whether it is let in is the door's to judge.
#[utoipa::path(post, path = "/api/v1/edges/self/logins", tag = "edges", operation_id = "logDeviceIn",
    request_body = EdgeLoginRequest,
    responses(
        (status = 200, body = EdgeLogin),
        (status = 401, body = ErrorBody, description = "No edge's certificate was shown"),
        (status = 403, body = ErrorBody, description = "`EDGE_REVOKED`, `EDGE_SCOPE`"),
    ), security(("edgeCertificate" = [])))]
pub(crate) async fn logins(
    State(state): State<ControlPlane>,
    by: ByEdge,
    body: Unread,
) -> Outcome<Json<EdgeLogin>> {
    let EdgeLoginRequest { tenant, device, token, address } = body.typed().await?;
    serves(&by.edge, &tenant)?;
    let token = zeroize::Zeroizing::new(token);
    let found = state.authority.recognise_token((tenant, device), &token, address).await;
    match found {
        Ok(claim) => Ok(Json(EdgeLogin::Recognised(claim.reference.serial))),
        Err(TokenRefused::Store(error)) => Err(Failure::internal(&error)),
        Err(refused) => Ok(Json(EdgeLogin::Refused(refused.code().to_owned()))),
    }
}
