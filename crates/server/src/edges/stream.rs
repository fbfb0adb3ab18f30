//! GET `/edges/self/stream`: the connection over which an edge is told of trust and says how far it is.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::edge::frame::{
    BEAT, FromEdge, NEWS_AT_ONCE, PATIENCE, PROTOCOL, Report, ReportOutcome, SignedTrust, ToEdge,
};
use countersign_api::{ErrorBody, OfferedUpgrade, UpgradedConnection};
use countersign_authority::commands::Ear;
use countersign_authority::edges::SignedMessage;
use countersign_authority::edges::attach::{AttachError, AttachedEdge};
use countersign_authority::refusals::{Outcome as RefusalOutcome, RefusalReport};
use countersign_core::ids::{CertificateRef, DeviceId};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::arrive::ByEdge;
use super::work::WorkNotes;
use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// How long a whole snapshot may take to get out.
const SENDING: Duration = Duration::from_secs(60);

/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_millis(500);

/// How many facts of a refusal are taken.
const FACTS: usize = 32;

/// Tells an edge what changes of trust from now on.
#[utoipa::path(get, path = "/api/v1/edges/self/stream", tag = "edges", operation_id = "openEdgeStream",
    description = "After the upgrade to `countersign-edge/1` both sides send frames: a length of four octets, a kind \
        of one, and the content. What the authority says of trust is signed.",
    responses(
        (status = 101, description = "Frames from here on"),
        (status = 401, body = ErrorBody, description = "No edge's certificate was shown"),
        (status = 403, body = ErrorBody, description = "`EDGE_REVOKED`"),
        (status = 426, body = ErrorBody, description = "`UPGRADE_REQUIRED`: not asked for `countersign-edge/1` over HTTP/1.1"),
    ), security(("edgeCertificate" = [])))]
pub(crate) async fn open(State(state): State<ControlPlane>, by: ByEdge, parts: Parts) -> Outcome<Response> {
    let offer = parts.extensions.get::<OfferedUpgrade>();
    let offer = offer.filter(|offer| offer.protocol().trim().eq_ignore_ascii_case(PROTOCOL));
    let offer = offer.ok_or_else(upgrade_required)?;
    let attached = state.authority.attach(by.edge, by.certificate).await?;
    let connection = offer.accept().ok_or_else(upgrade_required)?;
    tokio::spawn(serve(state, attached, connection));
    let headers = [(header::UPGRADE, HeaderValue::from_static(PROTOCOL))];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

fn upgrade_required() -> Failure {
    Failure::new(
        StatusCode::UPGRADE_REQUIRED,
        "UPGRADE_REQUIRED",
        "Ask for an edge's connection: HTTP/1.1 with Connection: Upgrade and Upgrade: countersign-edge/1",
    )
    .saying(header::UPGRADE, HeaderValue::from_static(PROTOCOL))
}

/// How a connection ends.
enum End {
    /// The edge is gone, or went in order.
    Gone,
    /// It is told why.
    Told(&'static str),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "connection of an edge ended");
        Self::Gone
    }
}

impl From<AttachError> for End {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Revoked => Self::Told("revoked"),
            AttachError::Replaced => Self::Told("replaced by another connection"),
            AttachError::GoingAway => Self::Told("the authority is going away"),
            AttachError::TooFarBehind => Self::Told("too far behind"),
            AttachError::Sign(_) | AttachError::Store(_) => {
                tracing::error!(%error, "edge not told");
                Self::Told("something went wrong on our side")
            }
        }
    }
}

/// Serves the connection to its end.
async fn serve(state: ControlPlane, attached: AttachedEdge, connection: UpgradedConnection) {
    let UpgradedConnection { stream, notice } = connection;
    let name = attached.edge().name.clone();
    let (reader, mut writer) = tokio::io::split(stream);
    let (sender, mut heard) = mpsc::channel(16);
    let reading = tokio::spawn(hear(reader, sender));
    tracing::info!(edge = %name, "edge attached");
    let end = converse(&state, attached, &mut heard, &mut writer).await;
    if let Err(End::Told(why)) = end {
        tracing::info!(edge = %name, why, "edge is told no more");
        let said = timeout(LAST_WORD, ToEdge::End(why.to_owned()).send(&mut writer)).await;
        tracing::debug!(edge = %name, is_said = said.is_ok(), "last word");
    }
    reading.abort();
    drop((writer, notice));
}

/// Reads frames by itself: reading one cannot be broken off without losing the next.
async fn hear(mut reader: impl AsyncRead + Unpin + Send, sender: mpsc::Sender<FromEdge>) {
    loop {
        let frame = match FromEdge::receive(&mut reader).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "frame of an edge not read");
                return;
            }
        };
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

async fn converse(
    state: &ControlPlane,
    mut attached: AttachedEdge,
    heard: &mut mpsc::Receiver<FromEdge>,
    writer: &mut (impl AsyncWrite + Unpin + Send),
) -> Result<(), End> {
    let ear = match timeout(PATIENCE, heard.recv()).await {
        Ok(Some(FromEdge::Hello(hello))) => {
            attached.resume(hello.known);
            hello.hears_news.then(|| state.authority.hear_of_news())
        }
        Ok(Some(_)) => return Err(End::Told("it did not say where it is")),
        Ok(None) | Err(_) => return Err(End::Gone),
    };
    let notes = WorkNotes::of(Arc::clone(&state.authority), attached.edge().clone());
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silence = Instant::now() + PATIENCE;
    loop {
        let to_say = tokio::select! {
            frame = heard.recv() => {
                silence = Instant::now() + PATIENCE;
                match frame {
                    None | Some(FromEdge::Hello(_)) => return Err(End::Gone),
                    Some(FromEdge::Leave) => {
                        attached.leave().await.map_err(AttachError::from)?;
                        return Err(End::Gone);
                    }
                    Some(FromEdge::Beat(work)) => {
                        if let Some(work) = work {
                            notes.take(work);
                        }
                        continue;
                    }
                    Some(FromEdge::Applied(position)) => {
                        attached.applied(position);
                        continue;
                    }
                    Some(FromEdge::Reports(number, reports)) => {
                        take(state, &attached, reports).await;
                        ToEdge::Taken(number)
                    }
                }
            }
            message = attached.next() => ToEdge::Trust(signed(message?)),
            devices = news(ear.as_ref()) => {
                for frame in frames_of(state, &attached, devices).await? {
                    say(&frame, writer).await?;
                }
                continue;
            }
            _tick = beat.tick() => match attached.still_holds()? {
                Some(message) => ToEdge::Trust(signed(message)),
                None => ToEdge::Beat,
            },
            () = sleep_until(silence) => return Err(End::Told("nothing was heard of it")),
        };
        say(&to_say, writer).await?;
    }
}

async fn say(frame: &ToEdge, writer: &mut (impl AsyncWrite + Unpin + Send)) -> Result<(), End> {
    match timeout(SENDING, frame.send(writer)).await {
        Ok(sent) => Ok(sent?),
        Err(_elapsed) => Err(End::Gone),
    }
}

/// Devices for which there is something; for an edge that does not want to hear of them never any.
async fn news(ear: Option<&Ear>) -> HashSet<DeviceId> {
    match ear {
        Some(ear) => ear.heard().await,
        None => std::future::pending().await,
    }
}

/// What an edge is told of devices for which there is something: which of those that it serves.
async fn frames_of(
    state: &ControlPlane,
    attached: &AttachedEdge,
    devices: HashSet<DeviceId>,
) -> Result<Vec<ToEdge>, AttachError> {
    let mut served = Vec::with_capacity(devices.len());
    for device in devices {
        let key = state.authority.device_for_commands(device).await?;
        served.extend(key.filter(|(tenant, _name)| attached.edge().serves(tenant)));
    }
    Ok(served.chunks(NEWS_AT_ONCE).map(|part| ToEdge::News(part.to_vec())).collect())
}

fn signed(message: SignedMessage) -> SignedTrust {
    SignedTrust { message: message.message, signature: message.signature }
}

/// Takes what happened at an edge's doors: first uses are recorded when this returns.
async fn take(state: &ControlPlane, attached: &AttachedEdge, reports: Vec<Report>) {
    for report in reports {
        match report {
            Report::FirstUse { certificate } => note_first_use(state, attached, certificate).await,
            Report::Unseen { count } => state.authority.count_unseen_refusals(count.min(1 << 20)),
            Report::Refusal { request, at, code, outcome, tenant, address, facts, certificate } => {
                let edge = attached.edge();
                let is_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                if code.len() > 64 || !code.bytes().all(is_code) {
                    continue;
                }
                let mut facts: BTreeMap<_, _> = facts.into_iter().take(FACTS).collect();
                facts.insert("edge".to_owned(), edge.name.to_string());
                let tenant = tenant.filter(|tenant| edge.serves(tenant));
                if let (Some(certificate), Some(rule), ReportOutcome::WouldRefuse) =
                    (certificate, facts.get("rule"), outcome)
                {
                    note_rule(state, attached, certificate, rule).await;
                }
                let outcome = match outcome {
                    ReportOutcome::Refused => RefusalOutcome::Refused,
                    ReportOutcome::WouldRefuse => RefusalOutcome::WouldRefuse,
                    ReportOutcome::Failed => RefusalOutcome::Failed,
                };
                // No edge's clock is ahead of ours on record.
                let at = at.min(state.authority.now());
                state.report(RefusalReport { request, at, code, outcome, tenant, address, facts });
            }
        }
    }
}

async fn note_rule(state: &ControlPlane, attached: &AttachedEdge, certificate: CertificateRef, rule: &str) {
    let edge = attached.edge();
    if let Err(error) = state.authority.rule_would_block_at(edge, certificate, rule).await {
        tracing::error!(%error, edge = %edge.name, rule, "observed rule not noted for the rollout report");
    }
}

async fn note_first_use(state: &ControlPlane, attached: &AttachedEdge, certificate: CertificateRef) {
    let edge = attached.edge();
    match state.authority.first_use_at(edge, certificate).await {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(edge = %edge.name, "first use reported of a certificate that is not its business")
        }
        Err(error) => tracing::error!(%error, edge = %edge.name, "first use not recorded"),
    }
}
