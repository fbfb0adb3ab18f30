//! Tells each target what is due to it, in order, for as long as the process runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::alerts::{AlertRow, AlertTarget, DeliveryRow, News};
use tokio::time::{MissedTickBehavior, timeout};

use super::{alertmanager, mail, webhook};
use crate::config::{AlertTo, AlertWay};

/// How often it is asked what is due.
const LOOK: Duration = Duration::from_secs(1);

/// How long telling one may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom the authority queues alerts for.
pub(crate) fn whom(targets: &[AlertTo]) -> Vec<AlertTarget> {
    targets.iter().map(|target| AlertTarget { name: target.name.clone(), from: target.from }).collect()
}

/// Tells one target, for ever.
pub(crate) async fn tell(authority: Arc<Authority>, target: AlertTo) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = look(&authority, &target).await {
            tracing::error!(target = %target.name, error = format!("{error:#}"), "alerts not looked for");
        }
    }
}

async fn look(authority: &Authority, target: &AlertTo) -> anyhow::Result<()> {
    for (row, alert) in authority.alerts_to_tell(&target.name).await? {
        let told = timeout(PATIENCE, send(target, &row, &alert)).await.context("wait for an answer");
        match told.and_then(|told| told) {
            Ok(()) => authority.told(row).await?,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(target = %target.name, error, attempts = row.attempts, "alert not told, trying again");
                authority.not_told(row, &alert).await?;
            }
        }
    }
    Ok(())
}

async fn send(target: &AlertTo, row: &DeliveryRow, alert: &AlertRow) -> anyhow::Result<()> {
    match &target.way {
        AlertWay::Webhook(place) => webhook::send(place, row.news, alert).await,
        AlertWay::Alertmanager(place) => alertmanager::send(place, row.news, alert).await,
        AlertWay::Mail(mail) => mail::send(mail, row.news, alert).await,
    }
}

/// One line for people.
pub(super) fn headline(news: News, alert: &AlertRow) -> String {
    match news {
        News::Raised => format!("[{}] {}", alert.severity, alert.summary),
        News::Resolved => format!("[resolved] {}", alert.summary),
    }
}
