//! The MQTT door in front of Mosquitto, beside Mosquitto's own TLS listener and HAProxy in front of it: all on
//! one processor, in turns; between either of the two and the broker is a Unix socket. What is said of a core is
//! the processor time of all processes that a message goes through, the broker's too.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::arguments::{Arguments, Scale};
use crate::client::Profile;
use crate::doors::Cast;
use crate::falls::cut_rows;
use crate::installation::{HUB, Installation, Room};
use crate::measures::cut;
use crate::measures::messages::{self, Load, Way};
use crate::measures::sessions::{Qos, Session};
use crate::peers::{Broker, Front, Peer};
use crate::report::progress;
use crate::site::Site;
use crate::table::{Row, Target, Unit};
use crate::work::{Work, percentile};

/// What is sent: sizes and numbers of publishers.
const PAYLOADS: [usize; 2] = [64, 1024];
const PUBLISHERS: [usize; 2] = [1, 500];

/// The door, HAProxy and Mosquitto itself, as far as they are there.
struct Ways<'a> {
    site: &'a Site,
    scale: Scale,
    all: [Option<Way<'a>>; 3],
}

/// Measures it; the door that it leaves has no broker.
pub(crate) async fn measure(
    site: &Site,
    door: Installation,
    cast: &Cast<'_>,
    (arguments, scale, rows): (&Arguments, Scale, &mut Vec<Row>),
) -> anyhow::Result<Installation> {
    let mut door = door;
    if let Some(broker) = Broker::start(site).await? {
        let upstream = format!("upstream = \"unix:{}\"", broker.socket.display());
        door = door.start_after(site, Room::OneCore, |folder| replace(folder, HUB, &upstream)).await?;
        let with_peers = !arguments.alone;
        let haproxy = if with_peers {
            Peer::Haproxy.start(site, Profile::LikeForLike, Front::Socket(&broker.socket)).await?
        } else {
            None
        };
        let way = |address, front| Way { address, front, broker: &broker.process };
        let all = [
            Some(way(door.mqtt_door, Some(door.process()))),
            haproxy.as_ref().map(|server| way(server.address, Some(&server.process))),
            with_peers.then(|| way(broker.tls, None)),
        ];
        rows.extend(Ways { site, scale, all }.measure(cast).await?);
        door = door.start_after(site, Room::OneCore, |folder| replace(folder, &upstream, HUB)).await?;
    } else {
        progress("no Mosquitto, no messages to it");
    }
    progress(&format!("revocations with {} live sessions of MQTT", scale.sessions));
    let devices = cast.others(scale.sessions);
    let sessions = messages::open(site, door.mqtt_door, devices).await?;
    let sessions = sessions.into_iter().map(Session::ended).collect();
    let times = cut::measure(&door, (devices, sessions), scale.cuts).await?;
    rows.extend(cut_rows("MQTT session", devices.len(), times));
    Ok(door)
}

fn replace(folder: &Path, old: &str, new: &str) -> anyhow::Result<()> {
    let file = folder.join("countersign.toml");
    let text = fs_err::read_to_string(&file).context("read a configuration")?;
    fs_err::write(&file, text.replace(old, new)).context("write a configuration")
}

impl Ways<'_> {
    async fn measure(&self, cast: &Cast<'_>) -> anyhow::Result<Vec<Row>> {
        // First: nobody has been there yet, so that there is no memory to be used again.
        progress("memory of idle sessions");
        let mut rows = vec![self.memory(cast).await?];
        for (qos, number) in [(Qos::AtMostOnce, 0), (Qos::AtLeastOnce, 1)] {
            for payload in PAYLOADS {
                for publishers in PUBLISHERS {
                    let load = Load { qos, payload, publishers };
                    let words = format!(
                        "messages/s per core, QoS {number}, {payload} bytes, publishers: {publishers}"
                    );
                    progress(&words);
                    rows.push(self.messages(&words, load, cast).await?);
                }
            }
        }
        progress("connections of MQTT");
        rows.push(self.arrivals(cast).await?);
        progress("the time of a message");
        rows.extend(self.times(cast).await?);
        Ok(rows)
    }

    async fn messages(&self, words: &str, load: Load, cast: &Cast<'_>) -> anyhow::Result<Row> {
        let mut works: [Work; 3] = Default::default();
        let devices = cast.last(load.publishers);
        for _round in 0..self.scale.rounds {
            for (way, work) in self.there(&mut works) {
                let measured = messages::measure(self.site, way, devices, (load, self.scale.slice));
                work.extend(measured.await?);
            }
        }
        let rates = works.each_ref().map(Work::any_per_core);
        Ok(row(words, Unit::Rate, rates, Target::Times(Peer::Mosquitto, 0.8)))
    }

    async fn arrivals(&self, cast: &Cast<'_>) -> anyhow::Result<Row> {
        let mut works: [Work; 3] = Default::default();
        for _round in 0..self.scale.rounds {
            for (way, work) in self.there(&mut works) {
                let measured = messages::arrivals(self.site, way, cast.regulars(), self.scale.slice);
                work.extend(measured.await?);
            }
        }
        let rates = works.each_ref().map(Work::any_per_core);
        let what = "full handshakes with CONNECT and DISCONNECT/s per core, known devices";
        Ok(row(what, Unit::Rate, rates, Target::Times(Peer::Mosquitto, 2.0)))
    }

    async fn times(&self, cast: &Cast<'_>) -> anyhow::Result<[Row; 2]> {
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _round in 0..self.scale.rounds {
            for (way, times) in self.there(&mut times) {
                times.extend(messages::times(self.site, way, cast.last(500), self.scale.slice).await?);
            }
        }
        let mut share = |share| {
            times
                .each_mut()
                .map(|times| (!times.is_empty()).then(|| percentile(times, share).as_secs_f64() * 1000.0))
        };
        let (middle, late) = (share(0.5), share(0.99));
        let what = |words| format!("PUBLISH → PUBACK at {} messages/s, {words}", messages::PACE);
        let target = Target::Above(Peer::Mosquitto, 1.0);
        let mut median = row(&what("median"), Unit::Milliseconds, middle, target);
        median.targets.clear();
        Ok([median, row(&what("p99"), Unit::Milliseconds, late, target)])
    }

    async fn memory(&self, cast: &Cast<'_>) -> anyhow::Result<Row> {
        let devices = cast.last(self.scale.idle);
        let mut values: [Option<f64>; 3] = Default::default();
        for (way, value) in self.there(&mut values) {
            *value = Some(messages::memory(self.site, way, devices).await? / 1000.0);
        }
        let what = format!("memory per idle session of {}, without the broker behind", devices.len());
        Ok(row(&what, Unit::Kilobytes, values, Target::AtMost(30.0)))
    }

    /// Those that are there, with their places.
    fn there<'t, T>(&self, places: &'t mut [T; 3]) -> impl Iterator<Item = (Way<'_>, &'t mut T)> {
        self.all.into_iter().zip(places).filter_map(|(way, place)| way.map(|way| (way, place)))
    }
}

fn row(what: &str, unit: Unit, values: [Option<f64>; 3], target: Target) -> Row {
    let [own, haproxy, mosquitto] = values;
    let of = |peer| match peer {
        Peer::Haproxy => haproxy,
        Peer::Mosquitto => mosquitto,
        Peer::Nginx | Peer::Envoy | Peer::Stunnel | Peer::Caddy | Peer::Traefik => None,
    };
    let what = format!("{what}, like for like");
    Row { what, unit, own: own.unwrap_or(f64::NAN), peers: Peer::ALL.map(of), targets: vec![target] }
}
