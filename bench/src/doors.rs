//! The HTTP door beside the peers, one processor each, in turns.

use std::time::Duration;

use crate::arguments::{Arguments, Measure, Scale};
use crate::client::Profile;
use crate::fleet::Device;
use crate::installation::{Installation, Room};
use crate::measures::handshakes::{self, Visitors};
use crate::measures::{idle, requests, streams};
use crate::peers::{Front, Peer};
use crate::report::progress;
use crate::run::Tables;
use crate::servers::{Each, Servers};
use crate::site::Site;
use crate::store::Stocked;
use crate::table::{Row, Target, Unit};
use crate::work::{Work, percentile};
use crate::{falls, mqtt, rules, tcp};

/// How many devices come back again and again.
pub(crate) const REGULARS: usize = 64;

/// The devices, by what they are for.
pub(crate) struct Cast<'a> {
    pub(crate) all: &'a [Device],
    /// From here on nobody has been seen by a door yet.
    strangers: usize,
}

impl<'a> Cast<'a> {
    pub(crate) fn regulars(&self) -> &'a [Device] {
        self.all.get(..REGULARS).unwrap_or(self.all)
    }

    /// Whose certificates are revoked while others come: none of the others.
    pub(crate) fn victims(&self) -> &'a [Device] {
        self.all.get(REGULARS..REGULARS + 600).unwrap_or_default()
    }

    /// From the end of the list: none of them is among the victims.
    pub(crate) fn last(&self, count: usize) -> &'a [Device] {
        self.all.get(self.all.len().saturating_sub(count)..).unwrap_or_default()
    }

    /// As many that come before the last ones.
    pub(crate) fn before_last(&self, count: usize) -> &'a [Device] {
        let end = self.all.len().saturating_sub(count);
        self.all.get(end.saturating_sub(count)..end).unwrap_or_default()
    }

    /// As many whom no other measure takes.
    pub(crate) fn others(&self, count: usize) -> &'a [Device] {
        let all = self.strangers();
        all.get(..count).unwrap_or(all)
    }

    fn strangers(&self) -> &'a [Device] {
        self.all.get(self.strangers..).unwrap_or_default()
    }
}

/// Measures what was asked for; adds its rows.
pub(crate) async fn measure(
    site: &Site,
    stocked: Stocked,
    (arguments, scale): (&Arguments, Scale),
    tables: &mut Tables,
) -> anyhow::Result<()> {
    let Stocked { installation, devices } = stocked;
    let mut cast = Cast { all: &devices, strangers: REGULARS + 600 };
    let mut door = installation.start_again(site, Room::OneCore).await?;
    for profile in [Profile::LikeForLike, Profile::AsTheyCome] {
        let wants_handshakes = arguments.wants(Measure::Handshakes);
        if !wants_handshakes && !arguments.wants(Measure::Requests) {
            break;
        }
        let servers = Servers::start(site, (profile, Front::Http), (arguments, scale)).await?;
        if wants_handshakes {
            tables.of(Measure::Handshakes).extend(handshakes(&servers, &door, &mut cast).await?);
        }
        if arguments.wants(Measure::Requests) {
            let rows = tables.of(Measure::Requests);
            rows.extend(requests(&servers, &door, &cast).await?);
            if profile == Profile::LikeForLike {
                rows.extend(streams(&servers, &door, &cast).await?);
            }
        }
    }
    if arguments.wants(Measure::Handshakes) {
        let row = falls::with_revocations(site, &door, &cast, scale).await?;
        tables.of(Measure::Handshakes).push(row);
    }
    if arguments.wants(Measure::Rules) {
        let rows = tables.of(Measure::Rules);
        door = rules::measure(site, door, cast.regulars(), (scale, rows)).await?;
    }
    if arguments.wants(Measure::Tcp) {
        let rows = tcp::measure(site, &door, cast.regulars(), (arguments, scale)).await?;
        tables.of(Measure::Tcp).extend(rows);
    }
    if arguments.wants(Measure::Memory) {
        door = door.start_again(site, Room::OneCore).await?;
        let with = (Profile::LikeForLike, Front::Http);
        let servers = Servers::start(site, with, (arguments, scale)).await?;
        tables.of(Measure::Memory).push(memory(&servers, &door, &cast).await?);
    }
    if arguments.wants(Measure::Mqtt) {
        let rows = tables.of(Measure::Mqtt);
        door = mqtt::measure(site, door, &cast, (arguments, scale, rows)).await?;
    }
    if arguments.wants(Measure::Cut) {
        let rows = falls::cut_sessions(site, &door, &cast, scale).await?;
        tables.of(Measure::Cut).extend(rows);
    }
    if arguments.wants(Measure::Revoked) {
        door = door.start_again(site, Room::OneCore).await?;
        let rows = falls::with_all_revoked(site, &door, &cast, scale).await?;
        tables.of(Measure::Revoked).extend(rows);
    }
    drop(door);
    Ok(())
}

async fn handshakes(
    servers: &Servers<'_>,
    door: &Installation,
    cast: &mut Cast<'_>,
) -> anyhow::Result<Vec<Row>> {
    progress(&format!("handshakes, {}", servers.words()));
    let slice = servers.scale.slice;
    let mut works: [Each<Work>; 3] = Default::default();
    for _round in 0..servers.scale.rounds {
        let visitors = [
            Visitors::Strangers(cast.strangers()),
            Visitors::Regulars(cast.regulars()),
            Visitors::Resuming(cast.regulars()),
        ];
        for (visitors, works) in visitors.into_iter().zip(&mut works) {
            let time = match visitors {
                Visitors::Strangers(_) => slice / 2,
                Visitors::Regulars(_) | Visitors::Resuming(_) => slice,
            };
            let all = servers.each((door, door.door), |_every| true);
            for (server, work) in all.into_iter().zip(works) {
                let Some(server) = server else { continue };
                let is_door = server.1 == door.door;
                let measured = handshakes::measure(servers.site, servers.profile, server, visitors, time);
                let (round, came) = measured.await?;
                work.extend(round);
                if is_door && matches!(visitors, Visitors::Strangers(_)) {
                    cast.strangers += came;
                }
            }
        }
    }
    let [first, known, resumed] = &works;
    let at_least = |nginx, envoy| [Target::Times(Peer::Nginx, nginx), Target::Times(Peer::Envoy, envoy)];
    let fast = [Target::Times(Peer::Nginx, 3.5), Target::MoreThan(Peer::Envoy)];
    Ok(vec![
        servers.rates("full handshakes/s per core, first-seen devices", first, &at_least(2.5, 1.3)),
        servers.rates("full handshakes/s per core, known devices", known, &at_least(3.5, 1.9)),
        servers.rates("resumed handshakes/s per core", resumed, &fast),
    ])
}

async fn requests(servers: &Servers<'_>, door: &Installation, cast: &Cast<'_>) -> anyhow::Result<Vec<Row>> {
    progress(&format!("requests, {}", servers.words()));
    let (mut works, mut times): (Each<Work>, Each<Vec<Duration>>) = Default::default();
    for _round in 0..servers.scale.rounds {
        let all = servers.each((door, door.door), Peer::speaks_http);
        for (server, (work, times)) in all.into_iter().zip(works.iter_mut().zip(&mut times)) {
            let Some(server) = server else { continue };
            let (site, slice) = (servers.site, servers.scale.slice);
            let measured = requests::measure(site, servers.profile, server, cast.regulars(), slice);
            let (round, own) = measured.await?;
            work.extend(round);
            times.extend(own);
        }
    }
    let what = format!("requests/s per core, {} connections", requests::CONNECTIONS);
    let targets = [Target::MoreThan(Peer::Haproxy), Target::Times(Peer::Nginx, 1.4)];
    let mut rows = vec![servers.rates(&what, &works, &targets)];
    rows.extend(latencies(servers, "their time", times, &[Target::NotAbove(Peer::Haproxy)]));
    Ok(rows)
}

async fn streams(servers: &Servers<'_>, door: &Installation, cast: &Cast<'_>) -> anyhow::Result<Vec<Row>> {
    progress(&format!("requests over HTTP/2, {}", servers.words()));
    let (mut works, mut times): (Each<Work>, Each<Vec<Duration>>) = Default::default();
    for _round in 0..servers.scale.rounds {
        let all = servers.each((door, door.door), Peer::speaks_http);
        for (server, (work, times)) in all.into_iter().zip(works.iter_mut().zip(&mut times)) {
            let Some(server) = server else { continue };
            let (site, slice) = (servers.site, servers.scale.slice);
            let measured = streams::measure(site, servers.profile, server, cast.regulars(), slice);
            let (round, own) = measured.await?;
            work.extend(round);
            times.extend(own);
        }
    }
    let (connections, streams) = (streams::CONNECTIONS, streams::STREAMS);
    let what = format!("requests/s per core over HTTP/2, {connections} connections of {streams} streams");
    let mut rows = vec![servers.rates(&what, &works, &[])];
    rows.extend(latencies(servers, "their time over HTTP/2", times, &[]));
    Ok(rows)
}

/// The median and the 99th percentile, with what the latter must reach.
fn latencies(
    servers: &Servers<'_>,
    what: &str,
    mut times: Each<Vec<Duration>>,
    targets: &[Target],
) -> [Row; 2] {
    let mut share = |share| {
        times
            .each_mut()
            .map(|times| (!times.is_empty()).then(|| percentile(times, share).as_secs_f64() * 1000.0))
    };
    let (middle, late) = (share(0.5), share(0.99));
    [
        servers.row(&format!("{what}, median"), Unit::Milliseconds, middle, &[]),
        servers.row(&format!("{what}, p99"), Unit::Milliseconds, late, targets),
    ]
}

async fn memory(servers: &Servers<'_>, door: &Installation, cast: &Cast<'_>) -> anyhow::Result<Row> {
    progress("memory of idle connections");
    let devices = cast.last(servers.scale.idle);
    let mut values: Each<Option<f64>> = Default::default();
    let all = servers.each((door, door.door), |_every| true);
    for (server, value) in all.into_iter().zip(&mut values) {
        if let Some(server) = server {
            let bytes = idle::measure(servers.site, servers.profile, server, devices).await?;
            *value = Some(bytes / 1000.0);
        }
    }
    let what = format!("memory per idle connection of {}", devices.len());
    Ok(servers.row(&what, Unit::Kilobytes, values, &[Target::AtMost(20.0)]))
}
