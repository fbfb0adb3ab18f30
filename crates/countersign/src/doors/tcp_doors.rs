//! The TCP doors that are open: some can come and some can go while the process runs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_edge::{DoorMeter, TcpChanges, TcpDoor, TcpDoorConfig, TcpDoorHandle};
use countersign_supervisor::Sockets;
use parking_lot::Mutex;

use super::adoption::Leave;
use super::open::{Opening, unless_taken};
use super::{listening, tcp};
use crate::config::{self, Resolved};

/// Those of a process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct TcpDoors(Arc<Mutex<Vec<OpenDoor>>>);

#[derive(Debug)]
struct OpenDoor {
    listen: SocketAddr,
    door: TcpDoorHandle,
    leave: Leave,
}

/// A change that was found to be right; dropped, it changes nothing.
#[derive(Debug)]
pub(super) struct PreparedTcp {
    doors: TcpDoors,
    opening: Opening,
    changed: Vec<(TcpChanges, TcpDoorConfig)>,
    /// With their sockets, at which connections wait.
    opened: Vec<(SocketAddr, TcpDoorConfig, Vec<TcpListener>)>,
    closed: Vec<(String, SocketAddr)>,
    patience: Duration,
}

impl TcpDoors {
    /// Opens those of the configuration.
    ///
    /// # Errors
    /// Fails closed: when one cannot be as it is wanted.
    pub(super) fn open(config: &Resolved, opening: &Opening, sockets: &mut Sockets) -> anyhow::Result<Self> {
        let doors = Self::default();
        for door in &config.tcp_doors {
            let named = || format!("open the TCP door {}", door.name);
            let settings = tcp::settings(door, &config.hosts, &opening.roots).with_context(named)?;
            let here = sockets.take(&listening::tcp_door(&door.name), door.listen);
            doors.add(door.listen, settings, here, opening).with_context(named)?;
        }
        Ok(doors)
    }

    fn add(
        &self,
        listen: SocketAddr,
        settings: TcpDoorConfig,
        here: Vec<TcpListener>,
        opening: &Opening,
    ) -> anyhow::Result<()> {
        let started = TcpDoor::start_on(settings, opening.inputs(None), here);
        let door = unless_taken(started, &opening.adoption)?;
        let leave = opening.adoption.leave();
        self.0.lock().extend(door.map(|door| OpenDoor { listen, door, leave }));
        Ok(())
    }

    /// Checks what they are to become. The addresses of new ones are taken by this.
    ///
    /// # Errors
    /// Fails closed: refuses what a door would not be opened with, an address that is taken among it.
    pub(super) fn prepare(&self, config: &Resolved, opening: &Opening) -> anyhow::Result<PreparedTcp> {
        let open = self.0.lock();
        let mut prepared = PreparedTcp {
            doors: self.clone(),
            opening: opening.clone(),
            changed: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            patience: config.drain,
        };
        let is = |open: &OpenDoor, door: &config::TcpDoor| {
            open.door.name() == door.name.to_string() && open.listen == door.listen
        };
        for door in &config.tcp_doors {
            let settings = tcp::settings(door, &config.hosts, &opening.roots);
            let settings = settings.with_context(|| format!("change the TCP door {}", door.name))?;
            if let Some(open) = open.iter().find(|open| is(open, door)) {
                prepared.changed.push((open.door.changes(), settings));
                continue;
            }
            let sockets = TcpDoor::reserve(&settings);
            let sockets = sockets.with_context(|| format!("open the TCP door {}", door.name))?;
            prepared.opened.push((door.listen, settings, sockets));
        }
        let gone = open.iter().filter(|open| !config.tcp_doors.iter().any(|door| is(open, door)));
        prepared.closed = gone.map(|open| (open.door.name().to_owned(), open.listen)).collect();
        Ok(prepared)
    }

    /// Where each listens, by name.
    pub(super) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let open = self.0.lock();
        open.iter().map(|open| (open.door.name().to_owned(), open.door.door().local_addr())).collect()
    }

    /// What each counts, by name.
    pub(super) fn meters(&self) -> Vec<(String, DoorMeter)> {
        let open = self.0.lock();
        open.iter().map(|open| (open.door.name().to_owned(), open.door.door().meter())).collect()
    }

    /// Their sockets once more, by name.
    pub(super) fn sockets(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let mut all = Vec::new();
        for open in self.0.lock().iter() {
            let name = listening::tcp_door(open.door.name());
            all.extend(listening::named(&name, open.door.door().sockets()?));
        }
        Ok(all)
    }

    /// All of them, to be closed.
    pub(super) fn take(&self) -> Vec<TcpDoorHandle> {
        self.0.lock().drain(..).map(|open| open.door).collect()
    }
}

impl PreparedTcp {
    /// Puts it in force: sessions of doors that are gone end by themselves, or are cut when a drain's time is over.
    pub(super) fn publish(self) {
        for (door, settings) in self.changed {
            door.publish(settings);
        }
        for (name, listen) in self.closed {
            let gone = {
                let mut open = self.doors.0.lock();
                let at = open.iter().position(|open| open.door.name() == name && open.listen == listen);
                at.map(|at| open.remove(at))
            };
            let Some(gone) = gone else { continue };
            tracing::info!(door = name, "TCP door closes");
            gone.leave.announce();
            tokio::spawn(gone.door.drain(self.patience));
        }
        for (listen, settings, sockets) in self.opened {
            let name = settings.name.clone();
            match self.doors.add(listen, settings, sockets, &self.opening) {
                Ok(()) => tracing::info!(door = name, "TCP door opened"),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(door = name, error, "TCP door not opened");
                }
            }
        }
    }
}
