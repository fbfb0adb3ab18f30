//! Watches certificates elsewhere: looks at those that are due, and tells the authority what was there.

use std::sync::Arc;
use std::time::Duration;

use countersign_authority::Authority;
use countersign_authority::monitors::Watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::look::look_at;

/// How often it is asked which are due; clocks can jump.
const LOOK: Duration = Duration::from_secs(2);

/// How many are looked at at once.
const AT_ONCE: usize = 16;

/// Watches for ever.
pub(super) async fn watch(authority: Arc<Authority>) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looking = JoinSet::new();
    loop {
        tick.tick().await;
        let due = match authority.monitors_to_look_at().await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "monitors not looked at");
                continue;
            }
        };
        for watch in due {
            if looking.len() >= AT_ONCE {
                looking.join_next().await;
            }
            looking.spawn(look(Arc::clone(&authority), watch));
        }
        while looking.try_join_next().is_some() {}
    }
}

async fn look(authority: Arc<Authority>, watch: Watch) {
    let shown = look_at(&watch.place).await;
    if let Err(error) = authority.saw(&watch, shown).await {
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::error!(monitor = %watch.name, error, "what was seen of a monitor is not recorded");
    }
}
