//! How conversations end on both sides: what the device is told, and what is left at the broker.

use std::sync::Arc;
use std::time::Duration;

use countersign_tls::ServerStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::leftovers::{leave, purge, take_away};
use super::leg::Leg;
use super::party::{Credential, Party};
use super::pump::Pump;
use super::serve::Arrival;
use super::session::{Context, End, Greeting};
use super::upstream::{MqttUpstream, UpstreamStream};
use super::wire::{PropertyId, PropertyWriter, Reason, Version};
use crate::registry::{Ending, Registration};

/// How long a last word may take to get out.
const LAST_WORD: Duration = Duration::from_millis(250);

/// Within which time devices come back that lost the door together.
const JITTER: u64 = 1000;

/// What is known at the end.
pub(super) struct Farewell<'a> {
    pub(super) upstream: &'a MqttUpstream,
    pub(super) context: &'a Context,
    pub(super) greeting: &'a Greeting,
}

type Ended = Pump<ServerStream<TcpStream>, UpstreamStream>;

impl Farewell<'_> {
    /// Waits a moment of its own, unless the connection is to end at once: thousands that end together do not
    /// come back together.
    pub(super) async fn jitter(live: &Registration) {
        let random = u64::from_le_bytes(Uuid::new_v4().as_u64_pair().0.to_le_bytes()) % JITTER;
        let until = Instant::now() + Duration::from_millis(random);
        tokio::select! {
            biased;
            () = live.told(Ending::Kill) => {}
            () = sleep_until(until) => {}
        }
    }

    /// Lets out what was said last, and closes.
    pub(super) async fn say_last<S: AsyncRead + AsyncWrite + Unpin>(device: &mut Leg<S>) {
        let said = async {
            device.drain().await?;
            device.shutdown().await
        };
        if let Ok(Err(error)) = timeout(LAST_WORD, said).await {
            debug!(%error, "last word not said");
        }
    }

    /// Ends both sides. The device's comes first: it is gone from the list of live connections before the
    /// broker is cleared of what it left.
    pub(super) async fn part(
        self,
        end: End,
        pump: Ended,
        arrival: &Arrival,
        (credential, live): (&Credential, Arc<Registration>),
    ) {
        let Pump { mut device, upstream, state, .. } = pump;
        // Before the device sees its end: whatever comes then finds what it left.
        if let Party::Device(device) = state.party()
            && end != End::Cut
            && self.greeting.is_persistent
        {
            self.context.holdings.leftovers.left(device, &self.greeting.client_id);
        }
        let version = state.version();
        if end == End::UpstreamLost {
            Self::jitter(&live).await;
        }
        if let Some(code) = code_of(end).filter(|_code| version == Version::V5) {
            // DISCONNECT with a reason and no properties.
            device.outbox.extend([0xe0, 0x02, code, 0x00]);
        }
        Self::say_last(&mut device).await;
        drop((device, live));
        info!(
            request = %arrival.id, client = state.party().account(), serial = %credential.serial(),
            peer = %arrival.address, ?end, "session ended"
        );
        match end {
            End::Cut => self.clear(upstream, state.party()).await,
            End::Lapsed | End::Drained => self.leave(upstream).await,
            // The broker sees a client that is gone, and says its will.
            End::Goodbye | End::Vanished | End::Refused(_) | End::Dismissed(_) | End::UpstreamLost => {}
        }
    }

    /// Tells the broker that the client goes, so that no will is said.
    async fn leave(&self, upstream: Leg<UpstreamStream>) {
        leave(upstream, self.greeting.version, &PropertyWriter::new()).await;
    }

    /// Takes away what a fallen client left: its will, its retained messages, and what waits for it.
    async fn clear(&self, mut upstream: Leg<UpstreamStream>, party: &Party) {
        let (version, is_persistent) = (self.greeting.version, self.greeting.is_persistent);
        if let Party::Device(device) = party {
            take_away(&mut upstream, version, &self.context.holdings.retained.take(device));
        }
        let mut properties = PropertyWriter::new();
        if version == Version::V5 && is_persistent {
            properties.four(PropertyId::SessionExpiry, 0);
        }
        leave(upstream, version, &properties).await;
        if let (MqttUpstream::Hub(hub), Party::Device(device)) = (self.upstream, party) {
            hub.forget(device);
        } else if version == Version::V311 && is_persistent {
            // MQTT 3.1.1 forgets a session only when its client comes anew.
            let client_id = &self.greeting.client_id;
            if !purge((self.upstream, &self.context.terms), party, client_id, &[]).await {
                warn!(client = client_id, "session of a fallen client not purged at the broker");
            }
        }
    }
}

/// What the device is told, in MQTT 5.
const fn code_of(end: End) -> Option<u8> {
    match end {
        End::Goodbye | End::Vanished => None,
        End::Refused(reason) => Some(reason.code()),
        End::Dismissed(code) => Some(code),
        End::UpstreamLost | End::Drained => Some(Reason::ServerShuttingDown.code()),
        End::Cut => Some(Reason::AdministrativeAction.code()),
        End::Lapsed => Some(Reason::NotAuthorized.code()),
    }
}
