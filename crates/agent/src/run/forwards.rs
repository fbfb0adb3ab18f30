//! The forwards of the running agent.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_api::wire::reported::AccessReportRequest;
use countersign_core::ids::SpkiSha256;
use countersign_tls::tunnel::{Forward, ForwardWatch};
use tokio::task::JoinHandle;

use super::agent::Agent;
use crate::chain::Chain;
use crate::disk::Disk;
use crate::forward::{ForwardSettings, source};
use crate::state::ForwardState;

/// What the control plane's audit calls a door that shows another key than the pinned one.
const KEY_CHANGED: &str = "server_key_changed";

/// The forwards that are open, and those that should be.
#[derive(Default)]
pub(super) struct Forwards {
    wanted: Vec<ForwardSettings>,
    open: Vec<Open>,
    /// Where, and which key: told to the control plane already.
    told: BTreeSet<(String, SpkiSha256)>,
}

struct Open {
    settings: ForwardSettings,
    watch: ForwardWatch,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forwards {
    /// Opens what is wanted and not open, and closes what is open and not wanted. What went wrong.
    async fn follow(&mut self, wanted: &[ForwardSettings], disk: &Arc<dyn Disk>) -> Option<String> {
        if self.wanted != wanted {
            self.wanted = wanted.to_vec();
            self.open.retain(|open| wanted.contains(&open.settings));
        }
        let mut failure = None;
        for settings in &self.wanted {
            if self.open.iter().any(|open| open.settings == *settings) {
                continue;
            }
            let source = Arc::new(source(Arc::clone(disk), settings.pins.clone()));
            match Forward::bind(settings.config(), source).await {
                Ok(forward) => {
                    tracing::info!(listen = forward.listens_at(), to = %settings.to, "forward open");
                    let (settings, watch) = (settings.clone(), forward.watch());
                    self.open.push(Open { settings, watch, task: tokio::spawn(forward.run()) });
                }
                Err(error) => failure = Some(Chain(&error).to_string()),
            }
        }
        failure
    }

    /// How they get on.
    pub(super) fn states(&self) -> Vec<ForwardState> {
        self.open.iter().map(|open| ForwardState::from(open.watch.now())).collect()
    }
}

impl Agent {
    /// Keeps the forwards as the configuration has them.
    pub(super) async fn keep_forwards(&mut self) {
        let failure = self.forwards.follow(&self.config.forwards, &self.disk).await;
        if let Some(failure) = failure {
            tracing::warn!(error = failure, "forward not open, trying again");
            self.report.failure(self.clock.now(), &failure);
        }
        self.report.forwards(self.forwards.states());
    }

    /// Tells the control plane once of each key that stands in the place of a pinned one.
    pub(super) async fn tell_of_keys(&mut self) {
        let changes: Vec<_> = self
            .forwards
            .open
            .iter()
            .filter_map(|open| Some((open.watch.now().to, open.watch.now().key_change?.got)))
            .filter(|change| !self.forwards.told.contains(change))
            .collect();
        for (to, got) in changes {
            let Ok((client, enrolment)) = self.session() else { return };
            let facts = [("to", to.clone()), ("key", got.to_string())];
            let request = AccessReportRequest {
                timestamp: self.clock.now().floor_to_second(),
                action: KEY_CHANGED.to_owned(),
                data_type: "forward".to_owned(),
                user_id: enrolment.name.to_string(),
                certificate_used: true,
                additional_data: Some(
                    facts.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect(),
                ),
            };
            match client.report_access(&request).await {
                Ok(_recorded) => {
                    self.forwards.told.insert((to, got));
                }
                Err(error) => {
                    return tracing::warn!(error = %Chain(&error), "changed key not reported, trying again");
                }
            }
        }
    }
}
