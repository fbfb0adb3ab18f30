//! Where requests are written down: opened, and exchanged while doors are open.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_edge::AccessLog;
use parking_lot::Mutex;

use crate::config::{AccessLogSettings, Resolved};

/// The access log of a process. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Mutex<OpenLog>>);

/// As it is wanted, and open.
#[derive(Clone, Debug)]
pub(super) struct OpenLog {
    wanted: Option<AccessLogSettings>,
    pub(super) log: Option<AccessLog>,
}

impl OpenLog {
    fn open(config: &Resolved) -> anyhow::Result<Self> {
        let wanted = config.access_log.clone();
        let open = |wanted: &AccessLogSettings| {
            let opened = AccessLog::open(wanted.target.clone(), wanted.queries);
            opened.with_context(|| format!("open the access log {}", wanted.target))
        };
        let log = wanted.as_ref().map(open).transpose()?;
        Ok(Self { wanted, log })
    }
}

impl Log {
    /// The one that is wanted.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(config: &Resolved) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(OpenLog::open(config)?))))
    }

    /// What it is to become: the same, or another that is open.
    ///
    /// # Errors
    /// When that cannot be opened.
    pub(super) fn prepare(&self, config: &Resolved) -> anyhow::Result<OpenLog> {
        let now = self.0.lock().clone();
        if now.wanted == config.access_log { Ok(now) } else { OpenLog::open(config) }
    }

    /// Writes there from now on. The former one ends with the requests that it is still to write down.
    pub(super) fn publish(&self, open: OpenLog) {
        *self.0.lock() = open;
    }

    /// The one that is open.
    pub(super) fn current(&self) -> Option<AccessLog> {
        self.0.lock().log.clone()
    }
}
