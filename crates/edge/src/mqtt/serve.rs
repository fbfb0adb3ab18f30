//! One connection at the door: heard, brought to the broker, carried, and ended as its end asks for.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use countersign_core::ids::RequestId;
use countersign_core::snapshot::{CertificateClaim, Standing};
use countersign_core::time::Clock;
use countersign_tls::{Peer, ServerStream};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use super::farewell::Farewell;
use super::hear::Entry;
use super::holder::Holder;
use super::holdings::Seat;
use super::leg::{Leg, ReceiveError};
use super::party::{Credential, Party};
use super::pump::{Pump, Tap};
use super::rights::{Layout, Rights};
use super::session::{Context, End, Greeted, Greeting, Incident, Stamp, State, Tapped, Turned};
use super::sink::{Message, Sink};
use super::upstream::{MqttUpstream, ReachError, UpstreamStream};
use super::wire::{Encoder, Fault, Packet, Reason, Version, next_frame};
use crate::accept::{Entered, Inside};
use crate::admit::Admitted;
use crate::registry::{Ending, Registration, Registry};
use crate::report::{EdgeReport, RefusedRequest, Reports};
use crate::trust::Current;

/// What the MQTT door is in the place of a route.
pub(super) const ROUTE: &str = "mqtt_door";

/// What is behind the entrance of an MQTT door.
#[derive(Debug)]
pub(crate) struct MqttInside {
    pub(crate) current: Arc<Current>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reports: Reports,
    pub(super) entry: Entry,
    pub(crate) upstream: MqttUpstream,
    pub(crate) layout: Layout,
    pub(super) context: Arc<Context>,
    pub(crate) sink: Option<Arc<dyn Sink>>,
}

type Device = Leg<ServerStream<TcpStream>>;

/// Who came, and from where.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) id: RequestId,
    pub(super) peer: Peer,
    pub(super) address: SocketAddr,
    local: SocketAddr,
    /// What the token says that was shown in the place of a certificate.
    pub(super) token: OnceLock<CertificateClaim>,
}

impl Arrival {
    /// What was shown of a device.
    fn claim(&self) -> Option<&CertificateClaim> {
        self.token.get().or(self.peer.claim())
    }
}

/// Who was let in, and what it may.
pub(super) struct Welcomed {
    pub(super) admitted: Admitted,
    pub(super) party: Party,
    pub(super) credential: Credential,
    pub(super) rights: Rights,
    /// A device's place among its sessions.
    pub(super) seat: Option<Seat>,
}

/// A conversation that the broker agreed to.
struct Begun {
    pump: Pump<ServerStream<TcpStream>, UpstreamStream>,
    greeting: Greeting,
    holder: Arc<Holder>,
    /// What is to be said if the device is gone without a word, where no broker says it.
    will: Option<Message>,
    seat: Option<Seat>,
}

/// The broker did not agree to a conversation.
#[derive(Debug, Error)]
enum IntroduceError {
    #[error("the broker does not answer")]
    Silent(#[source] ReceiveError),
    #[error("the broker does not answer in time")]
    Timeout,
    #[error("the broker is not understood")]
    Fault(#[source] Fault),
    #[error("the broker answers with another packet")]
    OtherPacket,
    #[error("the broker refuses the door with code {0}: look at the door's account there")]
    Refused(u8),
}

/// Nothing begins: what the device is told, in which version; `None`: nothing.
struct NotBegun(Option<(Version, Reason)>);

impl Inside for MqttInside {
    type Worker = ();

    fn worker(&self) {}

    async fn serve(&self, entered: Entered, registry: &Arc<Registry>, _worker: Arc<()>) {
        let live = registry.register_peer(&entered.peer, &self.current, &*self.clock);
        let Entered { stream, peer, address, local, slot } = entered;
        let arrival = Arrival { id: RequestId::random(), peer, address, local, token: OnceLock::new() };
        let device = Leg::new(stream);
        let begun = Box::pin(self.begin(device, &arrival, &live));
        let begun = tokio::select! {
            biased;
            () = live.told(Ending::Retire) => None,
            begun = begun => begun,
        };
        if let Some(begun) = begun {
            self.carry(begun, arrival, live).await;
        }
        drop(slot);
    }

    fn tell_of_connection(&self, address: SocketAddr, code: &str) {
        let bare = RefusedRequest::bare(self.clock.now(), address, code);
        let facts = RefusedRequest { route: Some(ROUTE.to_owned()), ..bare };
        self.reports.tell(EdgeReport::Refused(Box::new(facts)));
    }
}

impl MqttInside {
    async fn begin(&self, mut device: Device, arrival: &Arrival, live: &Registration) -> Option<Box<Begun>> {
        let terms = &self.context.terms;
        let packet = match timeout(terms.connect_timeout, device.receive(terms.packet_bytes)).await {
            Ok(Ok(packet)) => packet,
            Ok(Err(fault)) => {
                debug!(peer = %arrival.address, error = %fault, "no connect");
                return None;
            }
            Err(_elapsed) => {
                debug!(peer = %arrival.address, "no connect in time");
                return None;
            }
        };
        let greeted = self.greet(&packet, arrival, live).await;
        let (upstream, greeting, welcomed) = match greeted {
            Ok(greeted) => greeted,
            Err(NotBegun(answer)) => {
                if let Some((version, reason)) = answer {
                    Encoder::new(version, &mut device.outbox).refusal(reason);
                }
                Farewell::say_last(&mut device).await;
                return None;
            }
        };
        let (upstream, answer) = match self.introduce(upstream, &greeting).await {
            Ok(answered) => answered,
            Err(error) => {
                error!(request = %arrival.id, %error, reason = error.source().map(tracing::field::display), "broker of no use");
                self.tell(EdgeReport::Failed, arrival, "UPSTREAM_UNREACHABLE", None);
                Encoder::new(greeting.version, &mut device.outbox).refusal(Reason::ServerUnavailable);
                Farewell::say_last(&mut device).await;
                return None;
            }
        };
        let Welcomed { party, credential, rights, seat, .. } = welcomed;
        device.outbox.extend_from_slice(&answer.bytes);
        if let Party::Device(key) = &party {
            self.context.holdings.leftovers.is_back(key, &greeting.client_id);
        }
        if answer.is_remembered {
            self.context.listens(&party);
        }
        let stamp = Stamp::of(&party, credential.certificate());
        let own = (party, rights, stamp);
        let state = State::new(greeting.version, Arc::clone(&self.context), own, answer.inflight);
        let will = credential.device().and_then(|claim| self.will_of(&packet, claim));
        let tap = credential.device().and_then(|claim| self.tap(claim));
        let (current, clock) = (Arc::clone(&self.current), Arc::clone(&self.clock));
        let holder = Arc::new(Holder { credential, current, clock });
        let legs = (device, upstream);
        let pump = Pump::new(legs, state, (Arc::clone(&holder), tap), terms, answer.silence);
        Some(Box::new(Begun { pump, greeting, holder, will, seat }))
    }

    /// Judges the first packet and whoever sent it, and finds the broker.
    async fn greet(
        &self,
        packet: &[u8],
        arrival: &Arrival,
        live: &Registration,
    ) -> Result<(UpstreamStream, Greeting, Welcomed), NotBegun> {
        let limit = self.context.terms.packet_bytes;
        let read = next_frame(packet, limit).map(|frame| frame.map(|frame| Packet::read(frame, Version::V5)));
        let connect = match read {
            Ok(Some(Ok(Packet::Connect(connect)))) => connect,
            Ok(Some(Err(fault @ Fault::UnsupportedLevel(_)))) => {
                debug!(peer = %arrival.address, %fault, "connect refused");
                return Err(NotBegun(Some((Version::V311, Reason::UnsupportedVersion))));
            }
            Ok(_) | Err(_) => {
                debug!(peer = %arrival.address, "first packet is no connect");
                return Err(NotBegun(None));
            }
        };
        let turn = |reason| NotBegun(Some((connect.version, reason)));
        let mut welcomed = self.hear(&connect, arrival, live).await.map_err(turn)?;
        if let Some(key) = welcomed.party.device() {
            welcomed.seat = self.context.holdings.seat(key, self.context.terms.sessions);
            if welcomed.seat.is_none() {
                self.tell(EdgeReport::Refused, arrival, "TOO_MANY_CONNECTIONS", None);
                return Err(turn(Reason::QuotaExceeded));
            }
        }
        let Welcomed { party, credential, rights, .. } = &welcomed;
        let stamp = Stamp::of(party, credential.certificate());
        let greeting =
            Greeting::of(&connect, (party, rights, &stamp), self.upstream.account(), &self.context);
        let greeting = greeting.map_err(|Turned { reason, incident }| {
            if let Some(incident) = &incident {
                self.tell(EdgeReport::Refused, arrival, incident.code, Some(incident));
            }
            turn(reason)
        })?;
        match self.reach(&welcomed.admitted, arrival).await {
            Ok(upstream) => Ok((upstream, greeting, welcomed)),
            Err(error) => {
                let reason = error.source().map(tracing::field::display);
                error!(request = %arrival.id, %error, reason, "broker out of reach");
                self.tell(EdgeReport::Failed, arrival, "UPSTREAM_UNREACHABLE", None);
                Err(turn(Reason::ServerUnavailable))
            }
        }
    }

    async fn reach(&self, admitted: &Admitted, arrival: &Arrival) -> Result<UpstreamStream, ReachError> {
        let header = self.upstream.proxy_header(admitted, (arrival.address, arrival.local), arrival.id);
        let header = header.map_err(ReachError::Header)?;
        self.upstream.reach(&header, self.context.terms.upstream_timeout).await
    }

    /// Tells the broker of the device, and hears what it says.
    async fn introduce(
        &self,
        upstream: UpstreamStream,
        greeting: &Greeting,
    ) -> Result<(Leg<UpstreamStream>, Greeted), IntroduceError> {
        let terms = &self.context.terms;
        let mut upstream = Leg::new(upstream);
        upstream.outbox.extend_from_slice(&greeting.bytes);
        let asked = async {
            upstream.drain().await?;
            upstream.receive(terms.packet_bytes).await
        };
        let asked = timeout(terms.upstream_timeout, asked).await;
        let packet = asked.map_err(|_elapsed| IntroduceError::Timeout)?.map_err(IntroduceError::Silent)?;
        let read = next_frame(&packet, terms.packet_bytes);
        let read =
            read.and_then(|frame| frame.map(|frame| Packet::read(frame, greeting.version)).transpose());
        let Some(Packet::Connack(connack)) = read.map_err(IntroduceError::Fault)? else {
            return Err(IntroduceError::OtherPacket);
        };
        let answer = greeting.answered(&connack, &self.context).map_err(IntroduceError::Fault)?;
        Ok((upstream, answer.ok_or(IntroduceError::Refused(connack.code))?))
    }

    fn tap(&self, claim: &CertificateClaim) -> Option<Tap> {
        let sink = Arc::clone(self.sink.as_ref()?);
        let (claim, clock) = (claim.clone(), Arc::clone(&self.clock));
        let rights = self.layout.rights_of(&claim.identity);
        let of = move |tapped: Tapped| Message {
            identity: claim.identity.clone(),
            certificate: claim.reference.clone(),
            suffix: rights.suffix(&tapped.topic).to_owned(),
            topic: tapped.topic,
            qos: tapped.qos,
            is_dup: tapped.is_dup,
            received_at: clock.now(),
            payload: tapped.payload,
        };
        Some(Tap { sink, of: Box::new(of) })
    }

    /// The will, where the sink is to have it.
    fn will_of(&self, packet: &[u8], claim: &CertificateClaim) -> Option<Message> {
        if self.sink.is_none() || matches!(self.upstream, MqttUpstream::Broker(_)) {
            return None;
        }
        let frame = next_frame(packet, packet.len()).ok()??;
        let Ok(Packet::Connect(connect)) = Packet::read(frame, Version::V5) else { return None };
        let will = connect.will?;
        Some(Message {
            identity: claim.identity.clone(),
            certificate: claim.reference.clone(),
            topic: will.topic.to_owned(),
            suffix: self.layout.rights_of(&claim.identity).suffix(will.topic).to_owned(),
            qos: will.qos,
            is_dup: false,
            received_at: self.clock.now(),
            payload: will.payload.to_vec(),
        })
    }

    async fn carry(&self, mut begun: Box<Begun>, arrival: Arrival, live: Arc<Registration>) {
        let Begun { pump, holder, .. } = &mut *begun;
        let mut heeds_retirement = true;
        let end = loop {
            tokio::select! {
                biased;
                () = live.told(Ending::Kill) => break holder.end(),
                () = live.told(Ending::Retire), if heeds_retirement => {
                    // A replaced certificate's session goes on until its time is over.
                    if holder.standing() == Standing::Superseded {
                        heeds_retirement = false;
                    } else {
                        Farewell::jitter(&live).await;
                        break holder.end();
                    }
                }
                ended = pump.carry() => {
                    for incident in std::mem::take(&mut pump.incidents) {
                        warn!(
                            request = %arrival.id, client = pump.state.party().account(), code = incident.code,
                            packet = incident.packet, topic = incident.topic, "topic refused"
                        );
                        self.tell(EdgeReport::Refused, &arrival, incident.code, Some(&incident));
                    }
                    if let Some(end) = ended {
                        break end;
                    }
                }
            }
        };
        // Boxed: a session has no room for its end while it lasts.
        Box::pin(self.part(end, begun, &arrival, live)).await;
    }

    async fn part(&self, end: End, begun: Box<Begun>, arrival: &Arrival, live: Arc<Registration>) {
        let Begun { pump, greeting, holder, will, seat: _until_the_end } = *begun;
        self.say_will(end, will).await;
        let farewell = Farewell { upstream: &self.upstream, context: &self.context, greeting: &greeting };
        farewell.part(end, pump, arrival, (&holder.credential, live)).await;
    }

    pub(super) fn standing(&self, claim: &CertificateClaim) -> Standing {
        self.current.load().snapshot.standing(claim, self.clock.now())
    }

    async fn say_will(&self, end: End, will: Option<Message>) {
        let is_due = match end {
            End::Vanished | End::Refused(_) | End::UpstreamLost | End::Dismissed(_) => true,
            End::Goodbye | End::Cut | End::Lapsed | End::Drained => false,
        };
        if let (Some(sink), Some(will), true) = (&self.sink, will, is_due)
            && let Err(error) = sink.take(will).await
        {
            warn!(%error, "will not kept");
        }
    }

    pub(super) fn tell(
        &self,
        kind: fn(Box<RefusedRequest>) -> EdgeReport,
        arrival: &Arrival,
        code: &str,
        incident: Option<&Incident>,
    ) {
        let peer = &arrival.peer;
        let host = peer.server_name().unwrap_or_default();
        let facts = RefusedRequest {
            request_id: if incident.is_some() { RequestId::random() } else { arrival.id },
            certificate: arrival.claim().map(Into::into),
            untrusted: peer.untrusted().map(|reason| reason.code()),
            standing: arrival.claim().map(|claim| self.standing(claim)),
            route: Some(ROUTE.to_owned()),
            host: host.chars().take(RefusedRequest::TEXT_LIMIT).collect(),
            method: incident.map(|incident| incident.packet.to_owned()).unwrap_or_default(),
            path: incident.map(|incident| incident.topic.clone()).unwrap_or_default(),
            ..RefusedRequest::bare(self.clock.now(), arrival.address, code)
        };
        self.reports.tell(kind(Box::new(facts)));
    }
}
