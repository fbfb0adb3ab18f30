//! What is done about upstreams whether or not anybody asks for them: health checks, and reading
//! credentials again that have changed.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, StatusCode, Uri, header};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::body::Passing;
use super::group::{HealthCheck, UpstreamProtocol};
use super::members::{Found, Group, Member};
use super::upstream_tls::ClientSide;
use super::upstreams::{UpstreamError, Upstreams};
use crate::door::Phase;

/// How often files with credentials are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest that a check may take.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

/// The groups that need it; none where nobody need be looked after.
#[derive(Debug)]
pub(crate) struct Upkeep {
    groups: Vec<Arc<Group>>,
    count: usize,
}

impl Upkeep {
    /// Of these groups, with so many members in all.
    pub(crate) fn of<'a>(groups: impl Iterator<Item = &'a Arc<Group>>, count: usize) -> Option<Self> {
        let needs_it = |group: &&Arc<Group>| {
            group.health.is_some() || group.tls.as_ref().is_some_and(|tls| tls.has_files())
        };
        let groups: Vec<_> = groups.filter(needs_it).cloned().collect();
        (!groups.is_empty()).then_some(Self { groups, count })
    }

    /// Until the door is closed, or nobody holds the lease any more.
    pub(crate) async fn run(self, mut phases: watch::Receiver<Phase>, ended: oneshot::Receiver<()>) {
        let upstreams = Upstreams::new(self.count);
        let mut tasks = JoinSet::new();
        for group in &self.groups {
            if let Some(tls) = group.tls.as_ref().filter(|tls| tls.has_files()) {
                tasks.spawn(refresh(Arc::clone(tls)));
            }
            if let Some(check) = &group.health {
                for member in group.members() {
                    let (group, member) = (Arc::clone(group), Arc::clone(member));
                    tasks.spawn(watch_over(Arc::clone(&upstreams), group, member, check.clone()));
                }
            }
        }
        tokio::select! {
            // An error means that the door's handle is gone: closed as well.
            _closed = phases.wait_for(|phase| *phase == Phase::Closed) => {}
            _ended = ended => {}
        }
    }
}

async fn refresh(tls: Arc<ClientSide>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tls.refresh();
    }
}

async fn watch_over(upstreams: Arc<Upstreams>, group: Arc<Group>, member: Arc<Member>, check: HealthCheck) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut good, mut bad) = (0_u32, 0_u32);
    loop {
        ticks.tick().await;
        match ask(&upstreams, &group, &member, &check).await {
            Ok(status) if status.is_success() || status.is_redirection() => {
                (good, bad) = (good.saturating_add(1), 0);
                if good >= check.well_after && member.is_found(Found::Well) {
                    info!(upstream = %member.address, "upstream well again");
                }
            }
            result => {
                (good, bad) = (0, bad.saturating_add(1));
                if bad >= check.unwell_after && member.is_found(Found::Unwell) {
                    let (status, error) = match &result {
                        Ok(status) => (Some(status.as_u16()), None),
                        Err(error) => (None, Some(error)),
                    };
                    let reason = error.map(ToString::to_string);
                    warn!(upstream = %member.address, status, reason, "upstream unwell");
                }
            }
        }
    }
}

async fn ask(
    upstreams: &Arc<Upstreams>,
    group: &Group,
    member: &Arc<Member>,
    check: &HealthCheck,
) -> Result<StatusCode, UpstreamError> {
    let refused = |error: http::Error| UpstreamError::Connect(error.into());
    let mut parts = member.uri.clone().into_parts();
    let path = check.path.parse().map_err(|error: http::uri::InvalidUri| refused(error.into()))?;
    parts.path_and_query = Some(path);
    let mut request = Request::new(Passing::nothing());
    match group.protocol {
        UpstreamProtocol::Http1 => {
            let host = parts.authority.as_ref().map_or("localhost", |authority| authority.as_str());
            let host = HeaderValue::from_str(host).map_err(|error| refused(error.into()))?;
            request.headers_mut().insert(header::HOST, host);
            (parts.scheme, parts.authority) = (None, None);
        }
        UpstreamProtocol::Http2 => *request.version_mut() = http::Version::HTTP_2,
    }
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| refused(error.into()))?;
    let patience = check.interval.min(CHECK_PATIENCE);
    let response = upstreams.try_out(group, member, request, patience).await?;
    Ok(response.status())
}
