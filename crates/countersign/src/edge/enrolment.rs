//! Enrols an edge, and renews what it has at two thirds of its life.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_api::client::Client;
use countersign_api::wire::edges::{EnrollEdgeRequest, RenewEdgeRequest};
use countersign_ca::{KeyAlgorithm, SigningKey};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_edge::attach::{Feed, Relay};
use countersign_tls::{ClientTls, ServerCredentials, ServerTrust};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

use super::equipment::{Equipment, Keys, path};
use crate::cli::request_of;
use crate::config::{DoorCertificate, Resolved};

/// How often it is looked whether the certificates are to be renewed: clocks can jump.
const LOOK: Duration = Duration::from_secs(60);

/// What the edge has, enrolling it if it has nothing yet.
pub(super) async fn equip(config: &Resolved) -> anyhow::Result<Equipment> {
    if let Some(known) = Equipment::load(&config.data_dir)? {
        return Ok(known);
    }
    let settings = &config.edge;
    let server = settings.authority.clone().context("name the authority: --authority https://HOST:PORT")?;
    let pin = settings.ca_fingerprint.context(
        "name the authority's root: --ca-fingerprint, as the answer to `countersign edge add` has it",
    )?;
    let token_file =
        settings.token_file.as_ref().context("name the file with the edge's token: --token-file")?;
    let token = Zeroizing::new(fs_err::read_to_string(token_file).context("read the edge's token")?);
    let (keys, request) = fresh_keys(config)?;
    let request =
        EnrollEdgeRequest { token: token.trim().to_owned(), csr: request.csr, door_csr: request.door_csr };
    let tls = ClientTls::new(&ServerTrust::Pinned(pin), None).context("prepare to reach the authority")?;
    let given = Client::new(server, &tls).enroll_edge(&request).await.context("enrol this edge")?;
    let equipment = Equipment::new(given, keys);
    equipment.save(&config.data_dir)?;
    tracing::info!(edge = %equipment.name(), path = %path(&config.data_dir).display(), "edge enrolled");
    Ok(equipment)
}

/// Keys that nobody has seen, and what is asked for with them.
fn fresh_keys(config: &Resolved) -> anyhow::Result<(Keys, RenewEdgeRequest)> {
    let wants_door = match config.http_door.certificate {
        DoorCertificate::Issued => true,
        DoorCertificate::Files { .. } => false,
    };
    let make = || -> anyhow::Result<(Zeroizing<String>, String)> {
        let key = SigningKey::generate(KeyAlgorithm::P256).context("make a key")?;
        Ok((Zeroizing::new(key.pkcs8_pem().to_string()), request_of(&key)?))
    };
    let (own, csr) = make()?;
    let (door, door_csr) = if wants_door { Some(make()?).unzip() } else { (None, None) };
    Ok((Keys { own, door }, RenewEdgeRequest { csr, door_csr }))
}

/// What changes with the certificates.
pub(super) struct Renewal {
    pub(super) config: Arc<Resolved>,
    pub(super) equipment: Equipment,
    pub(super) clients: watch::Sender<Client>,
    pub(super) relay: Relay,
    pub(super) credentials: Arc<ServerCredentials>,
    pub(super) feed: Arc<Mutex<Feed>>,
}

impl Renewal {
    /// Renews the certificates when they are due, for ever.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match self.equipment.lifetime() {
                Ok(life) if !life.renewal_due(SystemClock.now()) => continue,
                Ok(_) => {}
                Err(error) => tracing::error!(error = format!("{error:#}"), "edge certificate not read"),
            }
            if let Err(error) = self.renew().await {
                tracing::error!(error = format!("{error:#}"), "edge certificate not renewed");
            }
        }
    }

    async fn renew(&mut self) -> anyhow::Result<()> {
        let (keys, request) = fresh_keys(&self.config)?;
        let client = self.clients.borrow().clone();
        let given = client.renew_edge(&request).await.context("renew this edge's certificates")?;
        let renewed = Equipment::new(given, keys);
        renewed.save(&PathBuf::from(&self.config.data_dir))?;
        let tls = renewed.client_tls()?;
        let server = self.config.edge.authority.clone().context("name the authority")?;
        self.feed.lock().trust(renewed.trust_key()?);
        self.relay.show(&tls);
        self.clients.send_replace(Client::new(server, &tls));
        if let Some(credential) = renewed.door_credential()? {
            self.credentials.replace_default(credential);
        }
        let expires_at = renewed.lifetime()?.expires_at;
        self.equipment = renewed;
        tracing::info!(%expires_at, "edge certificates renewed");
        Ok(())
    }
}
