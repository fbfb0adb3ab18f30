//! The TCP door beside the peers that have one, one processor each, in turns.

use crate::arguments::{Arguments, Scale};
use crate::client::Profile;
use crate::fleet::Device;
use crate::installation::Installation;
use crate::measures::bulk::{self, Direction};
use crate::peers::{Front, Peer};
use crate::report::progress;
use crate::servers::{Each, Servers};
use crate::site::Site;
use crate::table::{Row, Target};
use crate::work::Work;

/// Bytes to the clients and from them.
pub(crate) async fn measure(
    site: &Site,
    door: &Installation,
    devices: &[Device],
    (arguments, scale): (&Arguments, Scale),
) -> anyhow::Result<Vec<Row>> {
    progress("bytes through the TCP door");
    let servers =
        Servers::start(site, (Profile::LikeForLike, Front::Tcp(site.bulk)), (arguments, scale)).await?;
    let targets = [Target::Times(Peer::Haproxy, 1.6), Target::Times(Peer::Envoy, 1.05)];
    let mut rows = Vec::new();
    for (direction, words, targets) in
        [(Direction::Down, "to the client", &targets[..]), (Direction::Up, "from the client", &[])]
    {
        let mut works: Each<Work> = Default::default();
        for _round in 0..scale.rounds {
            let all = servers.each((door, door.tcp_door), |_every| true);
            for (server, work) in all.into_iter().zip(&mut works) {
                let Some(server) = server else { continue };
                let measured = bulk::measure(site, server, devices, (direction, scale.slice));
                work.extend(measured.await?);
            }
        }
        let sessions = bulk::SESSIONS;
        let what = format!("MB/s per core through the TCP door, {words}, {sessions} sessions");
        rows.push(servers.rates(&what, &works, targets));
    }
    Ok(rows)
}
