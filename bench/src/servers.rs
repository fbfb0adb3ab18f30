//! The door and the peers that take turns at the same work.

use std::net::SocketAddr;

use crate::arguments::{Arguments, Scale};
use crate::client::Profile;
use crate::installation::Installation;
use crate::peers::{Front, Peer};
use crate::process::Process;
use crate::site::{Server, Site};
use crate::table::{Row, Target, Unit};
use crate::work::Work;

/// The door and all peers.
pub(crate) const ALL: usize = Peer::COUNT + 1;

/// Something for each server: the door's first, then the peers' in the order of [`Peer::ALL`].
pub(crate) type Each<T> = [T; ALL];

/// The servers that take turns.
pub(crate) struct Servers<'a> {
    pub(crate) site: &'a Site,
    pub(crate) profile: Profile,
    pub(crate) scale: Scale,
    peers: [Option<Server>; Peer::COUNT],
}

impl<'a> Servers<'a> {
    /// All peers that are installed and can do what the door in question does.
    pub(crate) async fn start(
        site: &'a Site,
        (profile, front): (Profile, Front<'_>),
        (arguments, scale): (&Arguments, Scale),
    ) -> anyhow::Result<Self> {
        let mut peers: [Option<Server>; Peer::COUNT] = Default::default();
        if !arguments.alone {
            for (peer, server) in Peer::ALL.into_iter().zip(&mut peers) {
                *server = peer.start(site, profile, front).await?;
            }
        }
        Ok(Self { site, profile, scale, peers })
    }

    /// What is said of the profile in the table.
    pub(crate) const fn words(&self) -> &'static str {
        match self.profile {
            Profile::LikeForLike => "like for like",
            Profile::AsTheyCome => "as they come",
        }
    }

    /// The door of the installation first, then those of the wanted peers that there are.
    pub(crate) fn each<'s>(
        &'s self,
        (door, address): (&'s Installation, SocketAddr),
        wanted: impl Fn(Peer) -> bool,
    ) -> Each<Option<(&'s Process, SocketAddr)>> {
        let mut all = [None; ALL];
        let peers = Peer::ALL.into_iter().zip(&self.peers).map(|(peer, server)| {
            server.as_ref().filter(|_| wanted(peer)).map(|server| (&server.process, server.address))
        });
        let servers = std::iter::once(Some((door.process(), address))).chain(peers);
        all.iter_mut().zip(servers).for_each(|(place, server)| *place = server);
        all
    }

    /// A row of what they did, with targets that are said of like for like.
    pub(crate) fn row(&self, what: &str, unit: Unit, values: Each<Option<f64>>, targets: &[Target]) -> Row {
        let [own, peers @ ..] = values;
        let targets = if self.profile == Profile::LikeForLike { targets.to_vec() } else { Vec::new() };
        let (what, own) = (format!("{what}, {}", self.words()), own.unwrap_or(f64::NAN));
        Row { what, unit, own, peers, targets }
    }

    /// A row of rates per core.
    pub(crate) fn rates(&self, what: &str, works: &Each<Work>, targets: &[Target]) -> Row {
        self.row(what, Unit::Rate, works.each_ref().map(Work::any_per_core), targets)
    }
}
