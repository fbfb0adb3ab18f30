//! Sends each place what it has not yet, in order, for as long as the process runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::audit_streams::{StreamBatch, WantedStream};
use tokio::time::{MissedTickBehavior, timeout};

use super::syslog::Syslog;
use crate::config::{AuditPlace, AuditTo};
use crate::hook::Hook;

/// How often is looked for what is new.
const LOOK: Duration = Duration::from_secs(1);

/// How long sending one batch may take: less than it belongs to whoever took it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is said of a body of JSON lines.
const JSON_LINES: &str = "application/x-ndjson";

/// The copies that the authority keeps positions of.
pub(crate) fn wanted(places: &[AuditTo]) -> Vec<WantedStream> {
    places.iter().map(|place| WantedStream { name: place.name.clone(), from: place.from }).collect()
}

/// Sends to one place.
pub(crate) struct Sender {
    name: String,
    way: Way,
}

enum Way {
    Webhook(Box<Hook>),
    Syslog(Syslog),
}

impl Sender {
    /// The way to a place; `host` is what syslog calls this machine.
    ///
    /// # Errors
    /// When a file cannot be read. Whether the place is there turns out when there is something to send.
    pub(crate) fn new(to: &AuditTo, host: &str) -> anyhow::Result<Self> {
        let way = match &to.place {
            AuditPlace::Webhook { url, secret, ca_file } => {
                let hook = Hook::new(url, secret, (ca_file.as_deref(), "audit_to.ca_file"));
                Way::Webhook(Box::new(
                    hook.with_context(|| format!("prepare the audit's way to {}", to.name))?,
                ))
            }
            AuditPlace::Syslog(to) => Way::Syslog(Syslog::new(to.clone(), host)),
        };
        Ok(Self { name: to.name.clone(), way })
    }

    /// Sends, for ever.
    pub(crate) async fn send(mut self, authority: Arc<Authority>) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.look(&authority).await {
                tracing::error!(stream = %self.name, error = format!("{error:#}"), "audit not looked for");
            }
        }
    }

    /// Sends all that there is.
    async fn look(&mut self, authority: &Authority) -> anyhow::Result<()> {
        while let Some(batch) = authority.audit_to_send(&self.name).await? {
            let arrived = timeout(PATIENCE, self.deliver(&batch)).await.context("wait for an answer");
            match arrived.and_then(|arrived| arrived) {
                Ok(()) => authority.audit_arrived(batch).await?,
                Err(error) => {
                    let (stream, error) = (&self.name, format!("{error:#}"));
                    tracing::warn!(stream, error, "audit has not arrived, sending it again");
                    authority.audit_not_arrived(batch, &error).await?;
                }
            }
        }
        Ok(())
    }

    async fn deliver(&mut self, batch: &StreamBatch) -> anyhow::Result<()> {
        match &mut self.way {
            Way::Webhook(hook) => {
                let lines: String = batch.entries.iter().map(|entry| format!("{}\n", entry.json)).collect();
                hook.send(&batch.name(), JSON_LINES, lines).await
            }
            Way::Syslog(syslog) => syslog.send(&batch.entries).await,
        }
    }
}
