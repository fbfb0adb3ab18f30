//! A device under test: a directory of its own, and the agent's library against a control plane.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_agent::config::{Config, Enrolment};
use countersign_agent::connect::Connect;
use countersign_agent::disk::{ConfigFile, Disk};
use countersign_agent::enrol::{EnrolError, Enrolled, Enrolling, Former, Trust, enrol};
use countersign_agent::host::Host;
use countersign_agent::key::DeviceKey;
use countersign_agent::renew::Renewal;
use countersign_agent::secret::Secret;
use countersign_core::ids::SpkiSha256;
use countersign_core::time::{Clock, SystemClock};
use countersign_testkit::ManualClock;
use tempfile::TempDir;

use crate::control_plane::ControlPlane;

pub(crate) struct Device {
    /// Removed with the device.
    _root: TempDir,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Device {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let disk = Arc::new(ConfigFile::new(root.path().join("countersign/agent.yaml")));
        Self { _root: root, disk, clock: Arc::new(ManualClock::at(SystemClock.now())) }
    }

    /// One that has enrolled.
    pub(crate) async fn enrolled(plane: &ControlPlane) -> Self {
        let device = Self::new();
        device.enrol(plane, "key").await.unwrap();
        device
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.disk.path().to_owned()
    }

    pub(crate) async fn enrol(&self, plane: &ControlPlane, key: &str) -> Result<Enrolled, EnrolError> {
        enrol_on(&self.disk, plane, key, Trust::Fingerprint(plane.ca.root_sha256()), Former::Keep).await
    }

    pub(crate) fn renewal(&self) -> Renewal {
        renewal_on(&self.disk, &self.clock)
    }

    pub(crate) fn config(&self) -> Config {
        self.disk.load().unwrap().unwrap()
    }

    pub(crate) fn enrolment(&self) -> Enrolment {
        self.config().enrolment.unwrap()
    }

    pub(crate) fn yaml(&self) -> String {
        fs_err::read_to_string(self.config_path()).unwrap()
    }

    /// The public key of the certificate in use.
    pub(crate) fn current_key(&self) -> SpkiSha256 {
        let current = self.enrolment().current.unwrap();
        public_key(&current.key)
    }
}

pub(crate) fn public_key(pem: &Secret) -> SpkiSha256 {
    SpkiSha256::of(&DeviceKey::from_pem(pem).unwrap().public_key_der().unwrap())
}

pub(crate) fn connect() -> Connect {
    Connect::with_timeout(Duration::from_secs(10))
}

pub(crate) async fn enrol_on(
    disk: &Arc<dyn Disk>,
    plane: &ControlPlane,
    key: &str,
    trust: Trust,
    former: Former,
) -> Result<Enrolled, EnrolError> {
    let host = Host { name: "ws-01".to_owned(), os_type: "linux", ..Host::default() };
    let enrolling =
        Enrolling { key: Secret::new(key), server: plane.url().parse().unwrap(), trust, name: None, former };
    enrol(disk, &SystemClock, connect(), &host, &enrolling).await
}

pub(crate) fn renewal_on(disk: &Arc<dyn Disk>, clock: &Arc<ManualClock>) -> Renewal {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Renewal::new(Arc::clone(disk), clock, connect(), "ws-01")
}
