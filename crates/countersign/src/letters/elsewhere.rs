//! What there is for devices, from an authority elsewhere: it says for whom there is something, and is asked for
//! it about those that listen here.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use countersign_api::client::Client;
use countersign_api::wire::edge_devices::{EdgeLetter, EdgeLettersRequest};
use countersign_authority::errands::Errand;
use countersign_core::snapshot::DeviceKey;
use countersign_edge::attach::{Heard, News};
use tokio::sync::watch;

use super::offers::{Source, Whom};

/// The authority of an edge.
#[derive(Debug)]
pub(crate) struct FromAuthority {
    news: News,
    clients: watch::Receiver<Client>,
}

impl FromAuthority {
    /// Reached so, and heard of by these news.
    pub(crate) const fn new(news: News, clients: watch::Receiver<Client>) -> Self {
        Self { news, clients }
    }
}

impl Source for FromAuthority {
    type News = Heard;

    async fn news(&self) -> Heard {
        self.news.heard().await
    }

    async fn whom(&self, heard: Heard) -> Whom {
        match heard {
            Heard::Of(devices) => Whom::OfThoseHere(devices),
            Heard::Anybody => Whom::AllHere,
        }
    }

    async fn errands(&self, mut devices: &[DeviceKey]) -> anyhow::Result<Vec<Vec<Errand>>> {
        let mut all = Vec::with_capacity(devices.len());
        while !devices.is_empty() {
            let client = self.clients.borrow().clone();
            let request = EdgeLettersRequest { devices: devices.iter().map(Into::into).collect() };
            let said = client.letters(&request).await.context("ask the authority")?;
            let (rest, count) = (devices.get(said.letters.len()..), said.letters.len());
            ensure!(count > 0, "the authority says nothing of any device");
            devices = rest.context("the authority speaks of more devices than it was asked about")?;
            all.extend(said.letters.into_iter().map(|own| own.into_iter().map(errand).collect::<Vec<_>>()));
        }
        Ok(all)
    }
}

fn errand(EdgeLetter { about, topic, payload, life_seconds }: EdgeLetter) -> Errand {
    Errand { about, topic, payload, life: life_seconds.map(Duration::from_secs) }
}
