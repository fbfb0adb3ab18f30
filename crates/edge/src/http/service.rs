//! One request: normalise, judge, apply the rules, forward.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_api::ObservedRule;
use countersign_core::access::Place;
use countersign_core::ids::RequestId;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::Standing;
use countersign_core::time::{Clock, Timestamp};
use countersign_tls::{ClientAuth, HostPolicies, Peer};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tracing::info;

use super::body::Answered;
use super::connection::Arrived;
use super::edges::Edges;
use super::forward::{self, Onward};
use super::host::RequestedHost;
use super::pace::BodyPace;
use super::read_ahead::Shelf;
use super::refusal::{self, Answer};
use super::request_ids;
use super::room::Room;
use super::route::{Routes, ServedRoute, Target};
use super::told::Told;
use super::upgrade::{self, Wanted};
use super::upstreams::Upstreams;
use super::wire::Timing;
use crate::admit::{Admitted, admit};
use crate::door::{Compat, DoorConfig, DoorInputs};
use crate::front::access_log::AccessLog;
use crate::front::cors::CorsReply;
use crate::front::entry::Entry;
use crate::front::meter::Meter;
use crate::front::screen::{Afterwards, Screen, Screened};
use crate::front::traces::Traces;
use crate::headers::{self, Scheme};
use crate::registry::{Live, Registration, Registry, RequestKind};
use crate::report::{EdgeReport, RefusedRequest, Reports};
use crate::rules::{CertificateState, Outcome, RequestFacts, TlsFacts};
use crate::trust::{Current, Trust};
use crate::url::{NormalisedPath, OddPaths};

/// The code of requests that the HTTP library could not read.
const UNREADABLE: &str = "UNREADABLE_REQUEST";

/// What every request of a door is judged by, until its settings change.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) routes: Arc<Routes>,
    hosts: Vec<String>,
    policies: HostPolicies,
    odd_paths: OddPaths,
    rules: Enforcement,
    compat: Compat,
    upstream_timeout: Duration,
    screen: Option<Screen>,
    pub(crate) body_pace: BodyPace,
    pub(crate) timing: Timing,
    pub(crate) lasting: Lasting,
}

/// What stays the same when a door's settings change.
#[derive(Clone, Debug)]
pub(crate) struct Lasting {
    current: Arc<Current>,
    clock: Arc<dyn Clock>,
    reports: Reports,
    pub(crate) room: Arc<Room>,
    pub(crate) shelf: Shelf,
    meter: Arc<Meter>,
    access_log: Option<AccessLog>,
    traces: Option<Traces>,
    edges: Arc<Edges>,
}

/// What the connections of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    gates: Arc<ArcSwap<Gate>>,
    serving: ArcSwap<Serving>,
}

/// A gate, and one worker's connections to the upstreams behind it.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) gate: Arc<Gate>,
    pub(crate) upstreams: Arc<Upstreams>,
}

impl Worker {
    /// To be made on its own thread.
    pub(crate) fn new(gates: Arc<ArcSwap<Gate>>) -> Self {
        let gate = gates.load_full();
        let upstreams = Upstreams::new(gate.routes.members());
        Self { gates, serving: ArcSwap::from_pointee(Serving { gate, upstreams }) }
    }

    /// What a request is judged by that begins now.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gates.load_full()
    }

    /// The same, with this worker's connections to the upstreams; on its own thread. Those to upstreams of
    /// routes that are gone end with the answers under way.
    fn serving(&self) -> Arc<Serving> {
        let serving = self.serving.load_full();
        let gate = self.gates.load();
        if Arc::ptr_eq(&serving.gate, &gate) {
            return serving;
        }
        let upstreams = if Arc::ptr_eq(&serving.gate.routes, &gate.routes) {
            Arc::clone(&serving.upstreams)
        } else {
            Upstreams::new(gate.routes.members())
        };
        let serving = Arc::new(Serving { gate: Arc::clone(&gate), upstreams });
        self.serving.store(Arc::clone(&serving));
        serving
    }
}

impl Gate {
    pub(crate) fn new(config: &DoorConfig, routes: Arc<Routes>, lasting: Lasting) -> Self {
        Self {
            routes,
            hosts: config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            policies: config.policies(),
            odd_paths: config.odd_paths,
            rules: config.rules,
            compat: config.compat,
            upstream_timeout: config.upstream_timeout,
            screen: Screen::of_door(config.rates),
            body_pace: config.body_pace,
            timing: Timing {
                header: config.header_timeout,
                idle: config.idle_timeout,
                write: config.write_timeout,
            },
            lasting,
        }
    }

    fn serves(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|own| own == host) || self.routes.names(host)
    }

    /// Whether a connection of which `asked` was asked may ask for `host`.
    fn is_asked_enough(&self, asked: ClientAuth, host: &str) -> bool {
        asked >= self.policies.of(Some(host))
    }
}

impl Lasting {
    pub(crate) fn new(config: &DoorConfig, inputs: &DoorInputs, current: Arc<Current>) -> Self {
        Self {
            current,
            clock: Arc::clone(&inputs.clock),
            reports: Reports::new(inputs.reports.clone(), Arc::clone(&inputs.counts)),
            room: Arc::new(Room::new()),
            shelf: Shelf::default(),
            meter: Arc::new(Meter::new()),
            access_log: config.access_log.clone(),
            traces: config.traces.clone(),
            edges: Arc::default(),
        }
    }

    /// The same with requests written down here from now on.
    pub(crate) fn writing_to(self, access_log: Option<AccessLog>) -> Self {
        Self { access_log, ..self }
    }

    /// Puts a connection on the list of live ones, by the standing it has now.
    pub(crate) fn register(&self, registry: &Arc<Registry>, peer: &Peer) -> Arc<Registration> {
        registry.register_peer(peer, &self.current, &*self.clock)
    }

    /// Writes down that a connection was refused before anything was asked for.
    pub(crate) fn tell_of_connection(&self, address: SocketAddr, code: &str) {
        self.reports.tell(EdgeReport::Refused(Box::new(self.bare(address, code))));
    }

    /// Writes down that the HTTP library could not read a request, and answered it without a body.
    pub(crate) fn tell_of_unreadable(&self, address: SocketAddr) {
        self.reports.tell(EdgeReport::Refused(Box::new(self.bare(address, UNREADABLE))));
    }

    /// Writes down the door's own answer to a request that was let in, and gives it.
    pub(crate) fn tell_of_failure(
        &self,
        arrived: &Arrived,
        id: RequestId,
        (host, path): (&RequestedHost, &NormalisedPath),
        answer: Answer,
    ) -> Answer {
        let facts = Box::new(RefusedRequest {
            request_id: id,
            certificate: arrived.peer.claim().map(Into::into),
            host: cut(&host.authority),
            path: cut(path.path()),
            ..self.bare(arrived.address, answer.code())
        });
        // Turning away for want of room is refusing; an upstream that is silent is not.
        let report = if answer.is_refusal() { EdgeReport::Refused } else { EdgeReport::Failed };
        self.reports.tell(report(facts));
        answer
    }

    fn bare(&self, address: SocketAddr, code: &str) -> RefusedRequest {
        RefusedRequest::bare(self.clock.now(), address, code)
    }
}

/// Answers one request.
pub(crate) async fn handle(
    arrived: Arc<Arrived>,
    mut request: Request<Incoming>,
) -> Result<Response<Answered>, Infallible> {
    arrived.live.turn();
    // Until there is an answer; then its body counts.
    let under_way = Live::request(&arrived.live, RequestKind::Plain);
    let id = request_ids::next();
    let marked = headers::id_value(id);
    let version = request.version();
    let serving = arrived.worker.serving();
    let Lasting { access_log, traces, clock, reports, .. } = &serving.gate.lasting;
    let traced = traces.as_ref().and_then(|traces| traces.begin(id, request.headers_mut()));
    let entry = (access_log.is_some() || traced.is_some())
        .then(|| Entry::begin((access_log.as_ref(), traced), &arrived, &request, (id, clock.now())));
    let mut afterwards = Afterwards { entry, ..Afterwards::default() };
    let mut response = match respond(arrived, request, (id, &marked), (&serving, &mut afterwards)).await {
        Ok(response) => response,
        Err(answer) => {
            if let Some(entry) = &mut afterwards.entry {
                entry.refused(answer.code());
            }
            answer.into_response(id)
        }
    };
    afterwards.write(response.headers_mut());
    reports.counts().request(afterwards.class, response.status());
    refusal::mark(response.headers_mut(), &marked);
    let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if version == Version::HTTP_2 {
        response.headers_mut().remove(header::CONNECTION);
    }
    if under_way.live().is_leaving() {
        match version {
            Version::HTTP_2 => under_way.live().retire(),
            _ if is_switch => {}
            _ => drop(response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"))),
        }
    }
    Ok(match afterwards.entry {
        Some(entry) => entry.follow(response),
        None => response,
    })
}

async fn respond(
    arrived: Arc<Arrived>,
    mut request: Request<Incoming>,
    (id, marked): (RequestId, &HeaderValue),
    (serving, afterwards): (&Serving, &mut Afterwards),
) -> Result<Response<Answered>, Answer> {
    let gate = &*serving.gate;
    let Cleared { host, path, route, admitted, wanted } =
        hear(gate, &arrived, &mut request, (id, afterwards))?;
    if admitted.standing() == Some(Standing::Pending)
        && arrived.live.claim_first_use()
        && let Some(claim) = admitted.peer().claim()
    {
        gate.lasting.reports.tell_first_use(claim.reference.clone()).await;
    }
    let guard = Live::request(&arrived.live, kind_of(route, &path));
    let patience = gate.upstream_timeout;
    let onward =
        Onward { admitted, arrived, request, id, marked, host, path, guard, patience, wanted, serving };
    match &route.target {
        Target::ControlPlane(local) => forward::to_control_plane(onward, local).await,
        Target::Http(group) => forward::to_http(onward, group).await,
    }
}

fn kind_of(route: &ServedRoute, path: &NormalisedPath) -> RequestKind {
    match route.place(path) {
        Place::Enroll | Place::Renew | Place::Confirm | Place::Credentials => RequestKind::Deciding,
        Place::Agent | Place::Upstream => RequestKind::Plain,
    }
}

/// A request that may go on.
struct Cleared<'a> {
    host: RequestedHost,
    path: NormalisedPath,
    route: &'a ServedRoute,
    admitted: Admitted,
    wanted: Option<Wanted>,
}

fn hear<'a>(
    gate: &'a Gate,
    arrived: &Arrived,
    request: &mut Request<Incoming>,
    (id, afterwards): (RequestId, &mut Afterwards),
) -> Result<Cleared<'a>, Answer> {
    let forwarded_for = headers::claimed_forwarded_for(request.headers());
    let now = gate.lasting.clock.now();
    let mut hearing = Hearing { gate, arrived, id, now, asked: None, route: None, forwarded_for };
    let is_edge = gate.lasting.edges.have(&arrived.peer, &gate.lasting.current, now);
    if let Some(screen) = gate.screen.as_ref().filter(|_screen| !is_edge) {
        hearing.count_address(request, screen)?;
    }
    let wanted = upgrade::take(request);
    let asked = hearing.read(request);
    let (host, path) = asked.map_err(|answer| hearing.refuse(request, answer, None))?;
    hearing.asked = Some((&host, &path));
    if !gate.serves(host.name()) {
        return Err(hearing.refuse(request, Answer::misdirected(), None));
    }
    if !gate.is_asked_enough(arrived.peer.client_auth(), host.name()) {
        return Err(hearing.refuse(request, Answer::asked_too_little(), None));
    }
    let found = gate.routes.find(host.name(), &path);
    let route = found.ok_or_else(|| hearing.refuse(request, Answer::not_found(), None))?;
    hearing.route = Some(&route.prefix);
    afterwards.class = route.place(&path).into();
    if let Some(entry) = &mut afterwards.entry {
        entry.routed(path.path(), &route.prefix);
    }
    if let Some(screen) = &route.screen {
        hearing.pass(request, screen, &host, afterwards)?;
    }
    let trust = gate.lasting.current.load();
    let admitted = hearing.admit(request, &trust, route, &path)?;
    for screen in [&gate.screen, &route.screen].into_iter().flatten() {
        hearing.count_identity(request, screen, &admitted)?;
    }
    if is_edge && matches!(route.target, Target::ControlPlane(_)) {
        // Its own doors have asked them about the device.
        return Ok(Cleared { host, path, route, admitted, wanted });
    }
    if let Some(observed) = hearing.apply_rules(request, &trust, &admitted, (&host, &path))? {
        request.extensions_mut().insert(observed);
    }
    Ok(Cleared { host, path, route, admitted, wanted })
}

/// A request on its way to being admitted, and what is known of it so far.
struct Hearing<'a> {
    gate: &'a Gate,
    arrived: &'a Arrived,
    id: RequestId,
    now: Timestamp,
    asked: Option<(&'a RequestedHost, &'a NormalisedPath)>,
    route: Option<&'a str>,
    /// What the client claimed; rules may look at it.
    forwarded_for: Option<HeaderValue>,
}

impl Hearing<'_> {
    /// What the request asks for, in one spelling; headers that only the door may set are gone.
    fn read(&self, request: &mut Request<Incoming>) -> Result<(RequestedHost, NormalisedPath), Answer> {
        if self.arrived.framing.is_ambiguous() {
            return Err(Answer::bad_request("BAD_FRAMING", "the end of the message is ambiguous"));
        }
        if request.method() == Method::CONNECT {
            return Err(Answer::bad_request("BAD_METHOD", "CONNECT is not served"));
        }
        headers::strip_request(request.headers_mut())
            .map_err(|error| Answer::bad_request(error.code(), error))?;
        let host =
            Told::host(self.arrived, request).map_err(|error| Answer::bad_request("BAD_HOST", error))?;
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let path = NormalisedPath::parse(target, self.gate.odd_paths)
            .map_err(|error| Answer::bad_request(error.code(), error))?;
        Ok((host, path))
    }

    /// What the route asks besides an identity. A browser's first question ends here: it comes without
    /// a certificate, and gets no further.
    fn pass(
        &self,
        request: &Request<Incoming>,
        screen: &Screen,
        host: &RequestedHost,
        afterwards: &mut Afterwards,
    ) -> Result<(), Answer> {
        self.count_address(request, screen)?;
        let cors = screen.of_page(request, host).map_err(|screened| self.turn_away(request, screened))?;
        let is_preflight = matches!(cors, Some(CorsReply::Preflight { .. }));
        afterwards.cors = cors.map(Box::new);
        afterwards.security_headers = screen.security_headers();
        if is_preflight { Err(Answer::preflight()) } else { Ok(()) }
    }

    fn count_address(&self, request: &Request<Incoming>, screen: &Screen) -> Result<(), Answer> {
        let passed = screen.of_address(self.arrived.address.ip(), &self.gate.lasting.meter);
        passed.map_err(|screened| self.turn_away(request, screened))
    }

    fn count_identity(
        &self,
        request: &Request<Incoming>,
        screen: &Screen,
        admitted: &Admitted,
    ) -> Result<(), Answer> {
        let Some(claim) = admitted.certificate().filter(|_| screen.asks_for_identity()) else {
            return Ok(());
        };
        let passed = screen.of_identity(&claim.identity, &self.gate.lasting.meter);
        passed.map_err(|screened| self.turn_away(request, screened))
    }

    fn turn_away(&self, request: &Request<Incoming>, screened: Screened) -> Answer {
        let answer = match screened {
            Screened::TooOften(wait) => Answer::too_often(wait),
            Screened::Address => Answer::address_not_allowed(),
            Screened::Origin => Answer::origin_not_allowed(),
        };
        self.refuse(request, answer, None)
    }

    fn admit(
        &self,
        request: &Request<Incoming>,
        trust: &Trust,
        route: &ServedRoute,
        path: &NormalisedPath,
    ) -> Result<Admitted, Answer> {
        let requirement = match self.gate.compat {
            Compat::None => route.requirement(path),
            Compat::DangerCloudflare => route.requirement(path).danger_left_to_rules(),
        };
        let admitted =
            admit(&self.arrived.peer, &trust.snapshot, &requirement, self.now).map_err(|refused| {
                let answer = Answer::refused(refused.refusal);
                let mut facts = self.facts(request, answer.code(), refused.standing, None);
                facts.untrusted = refused.untrusted.map(|reason| reason.code());
                self.gate.lasting.reports.tell(EdgeReport::Refused(Box::new(facts)));
                answer
            })?;
        if let Some(guest) = admitted.guest() {
            self.arrived.live.receive(guest, || {
                self.gate
                    .lasting
                    .current
                    .load()
                    .snapshot
                    .guest_may_go_on(guest, self.gate.lasting.clock.now())
            });
        }
        if let Some(refusal) = admitted.observed() {
            let facts = self.facts(request, refusal.code(), admitted.standing(), None);
            self.gate.lasting.reports.tell(EdgeReport::WouldRefuse(Box::new(facts)));
        }
        Ok(admitted)
    }

    fn rule_facts<'f>(
        &'f self,
        request: &'f Request<Incoming>,
        admitted: &'f Admitted,
        (host, path): (&'f RequestedHost, &'f NormalisedPath),
    ) -> RequestFacts<'f> {
        let peer = &self.arrived.peer;
        let standing = admitted.standing();
        RequestFacts {
            request_id: self.id,
            now: self.now,
            method: request.method().as_str(),
            version: version_text(request.version()),
            scheme: Scheme::Https,
            host: Some(host.name()),
            target: path,
            raw_target: request.uri().path_and_query().map_or("", |target| target.as_str()),
            headers: request.headers(),
            forwarded_for: self.forwarded_for.as_ref().map(HeaderValue::as_bytes),
            source: self.arrived.address.ip(),
            server_port: self.arrived.local.port(),
            tls: Some(TlsFacts::of(peer)),
            certificate: match admitted.guest() {
                Some(_good) => CertificateState { presented: true, verified: true, revoked: false },
                None => CertificateState::judged(peer, standing, self.now),
            },
            presented: if peer.is_presented() { Some(peer) } else { None },
            device: peer
                .claim()
                .filter(|_claim| standing.is_some_and(|standing| standing != Standing::Foreign))
                .map(|claim| &claim.identity),
            standing,
        }
    }

    /// Asks the rules. Gives the one that would have blocked, where they are only observed.
    fn apply_rules(
        &self,
        request: &Request<Incoming>,
        trust: &Trust,
        admitted: &Admitted,
        (host, path): (&RequestedHost, &NormalisedPath),
    ) -> Result<Option<ObservedRule>, Answer> {
        if self.gate.rules == Enforcement::Off || trust.rules.is_empty() {
            return Ok(None);
        }
        let facts = self.rule_facts(request, admitted, (host, path));
        let verdict = trust.rules.evaluate(&facts);
        for rule in verdict.logged {
            info!(rule, request = %self.id, path = path.path(), "rule matched");
        }
        let Outcome::Blocked { rule, response } = verdict.outcome else { return Ok(None) };
        let answer = Answer::blocked(response);
        let facts = Box::new(self.facts(request, answer.code(), admitted.standing(), Some(rule)));
        if self.gate.rules == Enforcement::Observe {
            self.gate.lasting.reports.tell(EdgeReport::WouldRefuse(facts));
            return Ok(Some(ObservedRule(rule.to_owned())));
        }
        self.gate.lasting.reports.tell(EdgeReport::Refused(facts));
        Err(answer)
    }

    /// Writes a refusal down and gives its answer.
    fn refuse(&self, request: &Request<Incoming>, answer: Answer, standing: Option<Standing>) -> Answer {
        let facts = self.facts(request, answer.code(), standing, None);
        self.gate.lasting.reports.tell(EdgeReport::Refused(Box::new(facts)));
        answer
    }

    fn facts(
        &self,
        request: &Request<Incoming>,
        code: &str,
        standing: Option<Standing>,
        rule: Option<&str>,
    ) -> RefusedRequest {
        let peer = &self.arrived.peer;
        let as_sent = |header| header_bytes(request.headers(), header).map(String::from_utf8_lossy);
        RefusedRequest {
            request_id: self.id,
            at: self.now,
            code: code.to_owned(),
            address: self.arrived.address,
            certificate: peer.claim().map(Into::into),
            untrusted: peer.untrusted().map(|reason| reason.code()),
            standing,
            route: self.route.map(str::to_owned),
            method: cut(request.method().as_str()),
            host: self.asked.map_or_else(
                || cut(&as_sent(&header::HOST).unwrap_or_default()),
                |(host, _)| cut(&host.authority),
            ),
            path: cut(self.asked.map_or_else(|| request.uri().path(), |(_, path)| path.path())),
            rule: rule.map(str::to_owned),
        }
    }
}

/// The beginning of what a stranger wrote: all that is kept of it.
fn cut(text: &str) -> String {
    text.chars().take(RefusedRequest::TEXT_LIMIT).collect()
}

fn header_bytes<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(|value| value.as_bytes())
}

const fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
