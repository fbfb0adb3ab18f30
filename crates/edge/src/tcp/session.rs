//! One session: heard, brought to the upstream, carried, and told about once when it has ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_core::ids::{RequestId, SerialNumber};
use countersign_tls::tunnel::{Ended, SpliceLimits, Traffic, splice};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};
use tracing::{debug, field, info, warn};

use super::counters::Counters;
use super::hearing::Hearing;
use super::proxy_header::{self, ProxyHeader};
use super::upstream::{ReachError, TcpUpstream, UpstreamStream};
use crate::accept::{Entered, Inside};
use crate::admit::Admitted;
use crate::registry::{Ending, Registration, Registry};
use crate::report::{EdgeReport, RefusedRequest};

/// How long a goodbye may take to get out.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is behind the entrance of a TCP door: whatever it is at the time. A session keeps what it began with.
#[derive(Debug)]
pub(crate) struct TcpInside {
    pub(crate) services: Arc<ArcSwap<TcpService>>,
}

/// How sessions are served until the door's settings change.
#[derive(Debug)]
pub(crate) struct TcpService {
    pub(crate) hearing: Hearing,
    pub(crate) upstream: TcpUpstream,
    pub(crate) proxy_header: ProxyHeader,
    pub(crate) connect_timeout: Duration,
    pub(crate) limits: SpliceLimits,
    pub(crate) counters: Arc<Counters>,
}

impl Inside for TcpInside {
    type Worker = ();

    fn worker(&self) {}

    async fn serve(&self, entered: Entered, registry: &Arc<Registry>, _worker: Arc<()>) {
        self.services.load_full().serve(entered, registry).await;
    }

    fn tell_of_connection(&self, address: SocketAddr, code: &str) {
        let hearing = &self.services.load().hearing;
        let facts = RefusedRequest {
            route: Some(hearing.route()),
            ..RefusedRequest::bare(hearing.clock.now(), address, code)
        };
        hearing.reports.tell(EdgeReport::Refused(Box::new(facts)));
    }
}

impl TcpService {
    async fn serve(&self, mut entered: Entered, registry: &Arc<Registry>) {
        let hearing = &self.hearing;
        let live = registry.register_peer(&entered.peer, &hearing.current, &*hearing.clock);
        let id = RequestId::random();
        let heard = Box::pin(self.bring(&mut entered, &live, id)).await;
        match heard {
            Some((admitted, upstream)) => self.carry(entered, &live, (admitted, id), upstream).await,
            // The client's handshake was a good one: it is told that nothing follows.
            None => say_goodbye(&mut entered, &live).await,
        }
    }

    /// Hears a connection and brings it to the upstream.
    async fn bring(
        &self,
        entered: &mut Entered,
        live: &Registration,
        id: RequestId,
    ) -> Option<(Admitted, UpstreamStream)> {
        let Some(admitted) = self.hearing.hear(entered, live, id).await else {
            self.counters.refused();
            return None;
        };
        let reached = tokio::select! {
            biased;
            // It fell while it was brought there: whoever cut it has said so.
            () = live.told(Ending::Kill) => return None,
            reached = self.reach(entered, &admitted, id) => reached,
        };
        match reached {
            Ok(upstream) => Some((admitted, upstream)),
            Err(error) => {
                self.counters.failed();
                let reason = std::error::Error::source(&error).map(field::display);
                warn!(door = self.hearing.door, request = %id, peer = %entered.address, %error, reason, "upstream out of reach");
                self.hearing.tell_of_failure(entered, id, error.code());
                None
            }
        }
    }

    async fn reach(
        &self,
        entered: &Entered,
        admitted: &Admitted,
        id: RequestId,
    ) -> Result<UpstreamStream, ReachError> {
        let header = match self.proxy_header {
            ProxyHeader::None => Vec::new(),
            ProxyHeader::V2 => proxy_header::v2(admitted, (entered.address, entered.local), id)
                .map_err(ReachError::Header)?,
        };
        self.upstream.reach(&header, self.connect_timeout).await
    }

    async fn carry(
        &self,
        mut entered: Entered,
        live: &Registration,
        (admitted, id): (Admitted, RequestId),
        mut upstream: UpstreamStream,
    ) {
        let (began, traffic) = (Instant::now(), Traffic::default());
        self.counters.opened();
        let ended = tokio::select! {
            biased;
            // Retiring ends no session: nobody can tell where its next question begins.
            () = live.told(Ending::Kill) => None,
            ended = splice(&mut entered.stream, &mut upstream, self.limits, &traffic) => Some(ended),
        };
        self.counters.ended(traffic.forth(), traffic.back());
        let identity = admitted.device().map(|claim| &claim.identity);
        info!(
            door = self.hearing.door,
            request = %id,
            tenant = identity.map(|identity| field::display(identity.tenant())),
            device = identity.map(|identity| field::display(identity.device())),
            guest = admitted.guest().map(|guest| field::display(&guest.of)),
            serial = serial(&admitted).map(field::display),
            peer = %entered.address,
            resumed = entered.peer.is_resumed(),
            verdict = verdict(&admitted),
            milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            received = traffic.forth(),
            sent = traffic.back(),
            end = ended.as_ref().map_or("cut", Ended::as_str),
            "session ended"
        );
        match ended {
            Some(Ended::Idle | Ended::Lifetime) => say_goodbye(&mut entered, live).await,
            Some(Ended::Broken(error)) => debug!(request = %id, %error, "session broken"),
            Some(Ended::Done) | None => {}
        }
    }
}

/// What the session was let in as.
fn verdict(admitted: &Admitted) -> &'static str {
    match (admitted.may_be_told(), admitted.observed()) {
        (true, _) => "admitted",
        (false, Some(refusal)) => refusal.code(),
        (false, None) => "anonymous",
    }
}

fn serial(admitted: &Admitted) -> Option<&SerialNumber> {
    let device = admitted.device().map(|claim| &claim.reference);
    Some(&device.or(admitted.guest().map(|guest| &guest.reference))?.serial)
}

async fn say_goodbye(entered: &mut Entered, live: &Registration) {
    tokio::select! {
        biased;
        () = live.told(Ending::Kill) => {}
        said = timeout(GOODBYE, entered.stream.shutdown()) => {
            if let Ok(Err(error)) = said {
                debug!(%error, "goodbye not said");
            }
        }
    }
}
