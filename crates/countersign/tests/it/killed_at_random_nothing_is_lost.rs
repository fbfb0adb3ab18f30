//! Proves that an installation under load of which now one process, now another is killed, its database too, comes
//! back by itself each time, and that in the end it all adds up: nothing that was acknowledged is lost, nothing
//! that was signed is forgotten, and nobody who was revoked came in at a door that had said that it knows.
//!
//! `COUNTERSIGN_TEST_CHAOS_SECONDS` says for how long processes are killed, `COUNTERSIGN_TEST_SEED` which.

use std::time::Duration;

use countersign_testkit::PostgresMachine;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::harness::{AgentHome, Cable, Device, Edge, Installation, RunningAgent, Time, eventually};
use crate::upstream::Upstream;
use load::Load;

mod load;
mod reckoning;

const PATIENCE: Duration = Duration::from_secs(120);
/// Without a wish each of them is killed once.
const VICTIMS: [Victim; 5] = [Victim::First, Victim::Edge, Victim::Database, Victim::Agent, Victim::Second];

/// Whom it may hit.
#[derive(Clone, Copy, Debug)]
enum Victim {
    First,
    Second,
    Edge,
    Database,
    Agent,
}

/// The same numbers for the same seed (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn seeded() -> Self {
        let seed = std::env::var("COUNTERSIGN_TEST_SEED").ok().map_or(2027, |seed| seed.parse().unwrap());
        Self(seed | 1)
    }

    /// A number below this.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Everything that can be killed.
struct House {
    database: PostgresMachine,
    /// Two authorities.
    authorities: [Installation; 2],
    /// Their address for edges: that of one that runs.
    address: Cable,
    edge: Edge,
    agent: AgentHome,
    running: Option<RunningAgent>,
    _upstream: Upstream,
}

impl House {
    async fn build() -> Self {
        let (database, upstream) = (PostgresMachine::start(), Upstream::start().await);
        let first = Installation::at(database.url(), &upstream.routes(), Time::Fake).await;
        let second = first.beside().await;
        let address = Cable::to(first.own_door()).await;
        let mut edge = Edge::unstarted(&first, "berlin", json!({})).await.by_way_of(address.address());
        edge.start_again().await;
        edge.until(&first.admin(), "attached").await;
        let agent = AgentHome::enrolled(&first).await;
        let running = Some(agent.run());
        Self { database, authorities: [first, second], address, edge, agent, running, _upstream: upstream }
    }

    /// Kills one, and starts it again after a while.
    async fn kill(&mut self, victim: Victim, pause: Duration) {
        match victim {
            Victim::First => self.kill_authority(0, pause).await,
            Victim::Second => self.kill_authority(1, pause).await,
            Victim::Edge => {
                self.edge.kill().await;
                sleep_until(Instant::now() + pause).await;
                self.edge.start_again().await;
            }
            Victim::Database => {
                self.database.kill();
                sleep_until(Instant::now() + pause).await;
                self.database.start_again();
            }
            Victim::Agent => {
                drop(self.running.take());
                sleep_until(Instant::now() + pause).await;
                self.running = Some(self.agent.run());
            }
        }
    }

    async fn kill_authority(&mut self, which: usize, pause: Duration) {
        self.authorities[which].kill().await;
        self.address.lead_to(self.authorities[1 - which].own_door());
        sleep_until(Instant::now() + pause).await;
        self.authorities[which].start_again().await;
    }

    /// Everything serves again.
    async fn is_back(&self) {
        for authority in &self.authorities {
            eventually(PATIENCE, "the authority is ready", async || {
                (authority.get_plain("/health/ready").await.status == 200).then_some(())
            })
            .await;
        }
        self.edge.until(&self.authorities[0].admin(), "attached").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_end_it_all_adds_up() {
    let mut house = House::build().await;
    let sensors = [
        Device::enrol(&house.authorities[0], "sensor-0").await,
        Device::enrol(&house.authorities[0], "sensor-1").await,
    ];
    let load = Load::start(&house, &sensors).await;
    let mut dice = Dice::seeded();
    let wanted = std::env::var("COUNTERSIGN_TEST_CHAOS_SECONDS").ok();
    let end = wanted.map(|seconds| Instant::now() + Duration::from_secs(seconds.parse().unwrap()));
    let mut kills = 0;
    loop {
        let victim = match end {
            None => VICTIMS[kills],
            Some(_) => VICTIMS[usize::try_from(dice.below(5)).unwrap()],
        };
        let (before, down) = (500 + dice.below(2_000), dice.below(1_500));
        sleep_until(Instant::now() + Duration::from_millis(before)).await;
        house.kill(victim, Duration::from_millis(down)).await;
        kills += 1;
        load.check();
        match end {
            None if kills == VICTIMS.len() => break,
            Some(end) if Instant::now() > end => break,
            _ => {}
        }
    }
    house.is_back().await;
    load.goes_on().await;
    let held = load.stop().await;
    reckoning::adds_up(&house, &held).await;
    let said = format!("{kills} kills: {held}\n");
    std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
}
