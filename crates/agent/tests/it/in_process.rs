//! The agent in this process, so that the test has its clock.

use std::sync::Arc;
use std::time::Duration;

use countersign_agent::host::Host;
use countersign_agent::run::{Agent, Timing};
use countersign_core::time::Clock;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::device::{Device, connect};

pub(crate) struct InProcess {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl InProcess {
    pub(crate) fn start(device: &Device, timing: Timing) -> Self {
        let clock: Arc<dyn Clock> = Arc::<countersign_testkit::ManualClock>::clone(&device.clock);
        let host = Host { name: "ws-01".to_owned(), os_type: "linux", ..Host::default() };
        let mut agent = Agent::new(Arc::clone(&device.disk), clock, connect(), timing, host).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            agent.run(async { drop(stopped.await) }).await;
        });
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

pub(crate) fn timing(heartbeat: Duration, retry_base: Duration) -> Timing {
    Timing { heartbeat: Some(heartbeat), retry_base, ..Timing::default() }
}
