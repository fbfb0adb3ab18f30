//! The HTTP door beside the peers, one processor each, in turns.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::{Arguments, Measure, Scale};
use crate::client::Profile;
use crate::fleet::{self, Device};
use crate::installation::{Admin, AdminLine, Installation, Room, text};
use crate::measures::handshakes::{self, Visitors};
use crate::measures::{cut, idle, requests};
use crate::peers::Peer;
use crate::process::Process;
use crate::report::progress;
use crate::site::{Server, Site};
use crate::store::Stocked;
use crate::table::{Row, Target, Unit};
use crate::work::{Work, percentile};

/// How many devices come back again and again.
const REGULARS: usize = 64;
/// How many certificates are revoked each second where some are.
const REVOCATIONS: u64 = 10;
/// How many calls revoke at once where all are.
const REVOKERS: usize = 32;

/// The devices, by what they are for.
struct Cast<'a> {
    all: &'a [Device],
    /// From here on nobody has been seen by a door yet.
    strangers: usize,
}

impl<'a> Cast<'a> {
    fn regulars(&self) -> &'a [Device] {
        self.all.get(..REGULARS).unwrap_or(self.all)
    }

    /// Whose certificates are revoked while others come: none of the others.
    fn victims(&self) -> &'a [Device] {
        self.all.get(REGULARS..REGULARS + 600).unwrap_or_default()
    }

    /// From the end of the list: none of them is among the victims.
    fn last(&self, count: usize) -> &'a [Device] {
        self.all.get(self.all.len().saturating_sub(count)..).unwrap_or_default()
    }

    fn strangers(&self) -> &'a [Device] {
        self.all.get(self.strangers..).unwrap_or_default()
    }
}

/// Measures what was asked for; appends its rows.
pub(crate) async fn measure(
    site: &Site,
    stocked: Stocked,
    (arguments, scale): (&Arguments, Scale),
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let Stocked { installation, devices } = stocked;
    let mut cast = Cast { all: &devices, strangers: REGULARS + 600 };
    let mut door = installation.start_again(site, Room::OneCore).await?;
    for (profile, words) in [(Profile::LikeForLike, "like for like"), (Profile::AsTheyCome, "as they come")] {
        let bench =
            Bench { site, profile, words, scale, peers: start_peers(site, profile, arguments).await? };
        if arguments.wants(Measure::Handshakes) {
            rows.extend(bench.handshakes(&door, &mut cast).await?);
        }
        if arguments.wants(Measure::Requests) {
            rows.extend(bench.requests(&door, &cast).await?);
        }
    }
    if arguments.wants(Measure::Handshakes) {
        rows.push(with_revocations(site, &door, &cast, scale).await?);
    }
    if arguments.wants(Measure::Memory) {
        door = door.start_again(site, Room::OneCore).await?;
        let profile = Profile::LikeForLike;
        let peers = start_peers(site, profile, arguments).await?;
        let bench = Bench { site, profile, words: "like for like", scale, peers };
        rows.push(bench.memory(&door, &cast).await?);
    }
    if arguments.wants(Measure::Cut) {
        rows.extend(cut_sessions(site, &door, &cast, scale).await?);
    }
    if arguments.wants(Measure::Revoked) {
        door = door.start_again(site, Room::OneCore).await?;
        rows.extend(with_all_revoked(site, &door, &cast, scale).await?);
    }
    drop(door);
    Ok(())
}

/// All peers that are installed, with like-for-like settings or as they come.
async fn start_peers(
    site: &Site,
    profile: Profile,
    arguments: &Arguments,
) -> anyhow::Result<[Option<Server>; 3]> {
    let mut servers = [None, None, None];
    if !arguments.alone {
        for (peer, server) in Peer::ALL.into_iter().zip(&mut servers) {
            *server = peer.start(site, profile).await?;
        }
    }
    Ok(servers)
}

/// The servers that take turns.
struct Bench<'a> {
    site: &'a Site,
    profile: Profile,
    words: &'static str,
    scale: Scale,
    peers: [Option<Server>; 3],
}

impl Bench<'_> {
    /// The door first, then the peers that there are.
    fn servers<'a>(&'a self, door: &'a Installation) -> [Option<(&'a Process, SocketAddr)>; 4] {
        let [nginx, haproxy, envoy] = &self.peers;
        let of = |server: &'a Option<Server>| server.as_ref().map(|server| (&server.process, server.address));
        [Some((door.process(), door.door)), of(nginx), of(haproxy), of(envoy)]
    }

    fn row(&self, what: &str, unit: Unit, values: [Option<f64>; 4], targets: &[Target]) -> Row {
        let [own, nginx, haproxy, envoy] = values;
        // What must be reached is said of like for like.
        let targets = if self.profile == Profile::LikeForLike { targets.to_vec() } else { Vec::new() };
        let (what, own) = (format!("{what}, {}", self.words), own.unwrap_or(f64::NAN));
        Row { what, unit, own, peers: [nginx, haproxy, envoy], targets }
    }

    async fn handshakes(&self, door: &Installation, cast: &mut Cast<'_>) -> anyhow::Result<Vec<Row>> {
        progress(&format!("handshakes, {}", self.words));
        let mut works: [[Work; 4]; 3] = Default::default();
        for _round in 0..self.scale.rounds {
            let visitors = [
                Visitors::Strangers(cast.strangers()),
                Visitors::Regulars(cast.regulars()),
                Visitors::Resuming(cast.regulars()),
            ];
            for (visitors, works) in visitors.into_iter().zip(&mut works) {
                let time = match visitors {
                    Visitors::Strangers(_) => self.scale.slice / 2,
                    Visitors::Regulars(_) | Visitors::Resuming(_) => self.scale.slice,
                };
                for (server, work) in self.servers(door).into_iter().zip(works) {
                    let Some(server) = server else { continue };
                    let is_door = server.1 == door.door;
                    let measured = handshakes::measure(self.site, self.profile, server, visitors, time);
                    let (round, came) = measured.await?;
                    work.extend(round);
                    if is_door && matches!(visitors, Visitors::Strangers(_)) {
                        cast.strangers += came;
                    }
                }
            }
        }
        let [first, known, resumed] = works.map(|works| works.map(|work| work.any_per_core()));
        let at_least = |nginx, envoy| [Target::Times(Peer::Nginx, nginx), Target::Times(Peer::Envoy, envoy)];
        let fast = [Target::Times(Peer::Nginx, 3.5), Target::MoreThan(Peer::Envoy)];
        Ok(vec![
            self.row(
                "full handshakes/s per core, first-seen devices",
                Unit::Rate,
                first,
                &at_least(2.5, 1.3),
            ),
            self.row("full handshakes/s per core, known devices", Unit::Rate, known, &at_least(3.5, 1.9)),
            self.row("resumed handshakes/s per core", Unit::Rate, resumed, &fast),
        ])
    }

    async fn requests(&self, door: &Installation, cast: &Cast<'_>) -> anyhow::Result<Vec<Row>> {
        progress(&format!("requests, {}", self.words));
        let mut works: [Work; 4] = Default::default();
        let mut times: [Vec<Duration>; 4] = Default::default();
        for _round in 0..self.scale.rounds {
            let servers = self.servers(door).into_iter().zip(works.iter_mut().zip(&mut times));
            for (server, (work, times)) in servers {
                let Some(server) = server else { continue };
                let measured =
                    requests::measure(self.site, self.profile, server, cast.regulars(), self.scale.slice);
                let (round, own) = measured.await?;
                work.extend(round);
                times.extend(own);
            }
        }
        let rates = works.map(|work| work.any_per_core());
        let mut latencies = |share| {
            times
                .each_mut()
                .map(|times| (!times.is_empty()).then(|| percentile(times, share).as_secs_f64() * 1000.0))
        };
        let (middle, late) = (latencies(0.5), latencies(0.99));
        let connections = requests::CONNECTIONS;
        let what = format!("requests/s per core, {connections} connections");
        let targets = [Target::MoreThan(Peer::Haproxy), Target::Times(Peer::Nginx, 1.4)];
        Ok(vec![
            self.row(&what, Unit::Rate, rates, &targets),
            self.row("their time, median", Unit::Milliseconds, middle, &[]),
            self.row("their time, p99", Unit::Milliseconds, late, &[Target::NotAbove(Peer::Haproxy)]),
        ])
    }

    async fn memory(&self, door: &Installation, cast: &Cast<'_>) -> anyhow::Result<Row> {
        progress("memory of idle connections");
        let devices = cast.last(self.scale.idle);
        let mut values = [None; 4];
        for (server, value) in self.servers(door).into_iter().zip(&mut values) {
            if let Some(server) = server {
                let bytes = idle::measure(self.site, self.profile, server, devices).await?;
                *value = Some(bytes / 1000.0);
            }
        }
        let what = format!("memory per idle connection of {}", devices.len());
        Ok(self.row(&what, Unit::Kilobytes, values, &[Target::AtMost(20.0)]))
    }
}

/// Known devices shake hands while certificates of others are revoked.
async fn with_revocations(
    site: &Site,
    door: &Installation,
    cast: &Cast<'_>,
    scale: Scale,
) -> anyhow::Result<Row> {
    progress(&format!("handshakes with {REVOCATIONS} revocations a second"));
    let mut line = AdminLine::open(&door.admin).await?;
    let mut certificates = Vec::new();
    let wanted = scale.rounds as f64 * scale.slice.as_secs_f64() * REVOCATIONS as f64 + 10.0;
    for device in cast.victims().iter().take(wanted as usize) {
        certificates.push(cut::certificate(&mut line, device).await?);
    }
    let revoking = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs(1) / u32::try_from(REVOCATIONS)?);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for certificate in certificates {
            ticks.tick().await;
            line.call("POST", &format!("/certificates/{certificate}/revoke"), &json!({})).await?;
        }
        anyhow::Ok(())
    });
    let known = regulars(site, door, cast.regulars(), scale).await?;
    revoking.abort();
    if let Ok(outcome) = revoking.await {
        outcome?;
    }
    let what =
        format!("full handshakes/s per core, known devices, {REVOCATIONS} revocations/s, like for like");
    Ok(Row::alone(&what, Unit::Rate, known.per_core(), None))
}

/// Full handshakes of known devices at the door alone.
async fn regulars(
    site: &Site,
    door: &Installation,
    devices: &[Device],
    scale: Scale,
) -> anyhow::Result<Work> {
    let mut work = Work::default();
    for _round in 0..scale.rounds {
        let server = (door.process(), door.door);
        let visitors = Visitors::Regulars(devices);
        let (round, _) =
            handshakes::measure(site, Profile::LikeForLike, server, visitors, scale.slice).await?;
        work.extend(round);
    }
    Ok(work)
}

async fn cut_sessions(
    site: &Site,
    door: &Installation,
    cast: &Cast<'_>,
    scale: Scale,
) -> anyhow::Result<Vec<Row>> {
    progress(&format!("revocations with {} live sessions", scale.sessions));
    let devices = cast.last(scale.sessions);
    let mut times = cut::measure(site, door, devices, scale.cuts).await?;
    let sessions = devices.len();
    let mut row = |share, words: &str, target| {
        let time = percentile(&mut times, share).as_secs_f64() * 1000.0;
        Row::alone(
            &format!("revoke → session closed, {sessions} live sessions, {words}"),
            Unit::Milliseconds,
            time,
            target,
        )
    };
    Ok(vec![row(0.5, "median", None), row(0.99, "p99", Some(Target::AtMost(1000.0)))])
}

/// The same handshakes before and after all certificates of the fleet are revoked.
async fn with_all_revoked(
    site: &Site,
    door: &Installation,
    cast: &Cast<'_>,
    scale: Scale,
) -> anyhow::Result<Vec<Row>> {
    let (fresh, _) = fleet::enrol_named(site, door, REGULARS, "fresh").await?;
    let before = regulars(site, door, &fresh, scale).await?.per_core();
    progress(&format!("{} certificates are revoked", cast.all.len()));
    let spared: Vec<&str> = fresh.iter().map(|device| &*device.id).collect();
    let began = Instant::now();
    let count = revoke_all(&door.admin, &spared).await?;
    progress(&format!("{count} revoked in {:.1} s", began.elapsed().as_secs_f64()));
    let lists = settled(door.process()).await;
    progress(&format!("what follows took {:.1} s of a processor", lists.as_secs_f64()));
    let after = regulars(site, door, &fresh, scale).await?.per_core();
    let loss = (1.0 - after / before) * 100.0;
    let what = format!("full handshakes/s per core, known devices, {count} revoked, like for like");
    Ok(vec![
        Row::alone(&what, Unit::Rate, after, None),
        Row::alone("loss by it", Unit::Percent, loss, Some(Target::AtMost(2.0))),
    ])
}

/// Waits until a server has nothing more to do by itself, a minute at most: its processor time until then.
/// The signing of revocation lists is no loss of handshakes.
async fn settled(process: &Process) -> Duration {
    let began = process.cpu_time();
    let mut last = began;
    let mut ticks = interval(Duration::from_secs(1));
    // The first one comes at once.
    ticks.tick().await;
    for _second in 0..60 {
        ticks.tick().await;
        let now = process.cpu_time();
        if now.saturating_sub(last) < Duration::from_millis(30) {
            break;
        }
        last = now;
    }
    last.saturating_sub(began)
}

/// Revokes every active certificate but those of the spared devices; how many.
async fn revoke_all(admin: &Admin, spared: &[&str]) -> anyhow::Result<usize> {
    let mut certificates = Vec::new();
    let mut line = AdminLine::open(admin).await?;
    let mut cursor = String::new();
    loop {
        let page = line.call("GET", &format!("/devices?limit=200{cursor}"), &Value::Null).await?;
        let devices = page.get("devices").and_then(Value::as_array).context("a list without devices")?;
        for device in devices.iter().filter(|device| text(device, "id").is_ok_and(|id| !spared.contains(&id)))
        {
            let Some(certificate) = device.get("certificate").filter(|certificate| !certificate.is_null())
            else {
                continue;
            };
            if text(certificate, "state")? == "active" {
                certificates.push(text(certificate, "id")?.to_owned());
            }
        }
        match page.get("nextCursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let count = certificates.len();
    let mut revokers = tokio::task::JoinSet::new();
    for group in certificates.chunks(count.div_ceil(REVOKERS).max(1)) {
        let (group, admin) = (group.to_vec(), admin.clone());
        revokers.spawn(async move {
            let mut line = AdminLine::open(&admin).await?;
            for certificate in group {
                line.call("POST", &format!("/certificates/{certificate}/revoke"), &json!({})).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = revokers.join_next().await {
        done.context("revoke")??;
    }
    Ok(count)
}
