//! Whatever is done to devices in whatever order, the invariants hold after every step, and what is
//! published is what is on record.

use std::time::Duration;

use countersign_authority::enrollment_keys::{Approval, WantedKey};
use countersign_authority::quarantine::Maintenance;
use countersign_authority::settings::SettingsChange;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::DeviceId;
use countersign_core::proof::ProofSubject;
use countersign_core::settings::{Days, ExpiredCertPolicy, Permission};
use countersign_testkit::property_cases;
use proptest::prelude::*;
use proptest::sample::select;

use super::house::{DAY, Device, HOUR, House, MINUTE, fresh_key, is_on_postgres, request, wanted_key};

/// How many devices live.
const DEVICES: usize = 3;

/// One thing that happens, most of it to one of the devices.
#[derive(Clone, Debug)]
enum Step {
    Enrol { approval: Approval },
    Return(usize),
    Renew { who: usize, key: NextKey },
    Confirm(usize),
    FirstUse(usize),
    RenewWeakly(usize),
    Heartbeat(usize),
    Revoke { who: usize, which: CertificateState, reason: RevocationReason },
    Quarantine(usize),
    Approve(usize),
    Deny(usize),
    Decommission(usize),
    Maintenance { who: usize, way: Maintenance },
    Policy(ExpiredCertPolicy),
    Pass(Duration),
    Sweep,
}

#[derive(Clone, Copy, Debug)]
enum NextKey {
    Same,
    Fresh,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..DEVICES;
    let states = CertificateState::ALL.to_vec();
    prop_oneof![
        2 => select(vec![Approval::NotNeeded, Approval::Required]).prop_map(|approval| Step::Enrol { approval }),
        2 => who().prop_map(Step::Return),
        6 => (who(), select(vec![NextKey::Same, NextKey::Fresh])).prop_map(|(who, key)| Step::Renew { who, key }),
        5 => who().prop_map(Step::Confirm),
        1 => who().prop_map(Step::FirstUse),
        1 => who().prop_map(Step::RenewWeakly),
        2 => who().prop_map(Step::Heartbeat),
        3 => (who(), select(states), select(RevocationReason::ALL.to_vec()))
            .prop_map(|(who, which, reason)| Step::Revoke { who, which, reason }),
        2 => who().prop_map(Step::Quarantine),
        4 => who().prop_map(Step::Approve),
        1 => who().prop_map(Step::Deny),
        1 => who().prop_map(Step::Decommission),
        1 => (who(), select(vec![Maintenance::Enter, Maintenance::Leave]))
            .prop_map(|(who, way)| Step::Maintenance { who, way }),
        1 => select(vec![ExpiredCertPolicy::AutoReissue, ExpiredCertPolicy::Quarantine]).prop_map(Step::Policy),
        5 => select(vec![MINUTE, HOUR, HOUR * 13, DAY, DAY * 3]).prop_map(Step::Pass),
        3 => Just(Step::Sweep),
    ]
}

/// Devices as their agents know themselves, with the key of the renewal under way.
#[derive(Default)]
struct Lives {
    devices: Vec<(Device, Option<countersign_testkit::TestKey>)>,
    gone: Vec<DeviceId>,
}

impl Lives {
    /// Does one thing as far as it is possible; what is refused is no failure.
    async fn take(&mut self, house: &House, step: Step) {
        match step {
            Step::Enrol { approval } => self.enrol(house, approval).await,
            Step::Policy(policy) => {
                let change =
                    SettingsChange { expired_cert_policy: Some(policy), ..SettingsChange::default() };
                house.change(change).await;
            }
            Step::Pass(time) => house.pass(time),
            Step::Sweep => house.authority.sweep().await.unwrap(),
            Step::Return(who)
            | Step::Renew { who, .. }
            | Step::Confirm(who)
            | Step::FirstUse(who)
            | Step::RenewWeakly(who)
            | Step::Heartbeat(who)
            | Step::Revoke { who, .. }
            | Step::Quarantine(who)
            | Step::Approve(who)
            | Step::Deny(who)
            | Step::Decommission(who)
            | Step::Maintenance { who, .. } => {
                if let Some(life) = self.devices.get_mut(who) {
                    happen(house, life, step).await;
                }
            }
        }
    }

    async fn enrol(&mut self, house: &House, approval: Approval) {
        if self.devices.len() >= DEVICES {
            let (gone, _key) = self.devices.remove(0);
            self.gone.push(gone.id);
        }
        let key = fresh_key();
        let wanted = WantedKey { approval, ..wanted_key() };
        let enrollment_key = house.key_like(wanted).await.key;
        let enrolled = house.enrol(&request(&enrollment_key, "pump", Some(&key))).await.unwrap();
        self.devices.push((Device::new(&enrolled, key), None));
    }

    fn ids(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|(device, _)| device.id).chain(self.gone.iter().copied()).collect()
    }
}

/// An outcome that may be a refusal, and never an internal error.
fn may_be_refused<T, E: std::fmt::Debug>(outcome: Result<T, E>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            let text = format!("{error:?}");
            assert!(!text.contains("Internal") && !text.contains("Store("), "{text}");
            None
        }
    }
}

async fn happen(house: &House, life: &mut (Device, Option<countersign_testkit::TestKey>), step: Step) {
    let (authority, by, id) = (&house.authority, house.operate(), life.0.id);
    match step {
        Step::Return(_) => {
            let wanted = WantedKey { device: Some(id), ..wanted_key() };
            let Some(key) = may_be_refused(authority.create_enrollment_key(&by, wanted).await) else {
                return;
            };
            let fresh = fresh_key();
            let outcome = house.enrol(&request(&key.key, "pump", Some(&fresh))).await;
            if let Some(enrolled) = may_be_refused(outcome) {
                *life = (Device::new(&enrolled, fresh), None);
            }
        }
        Step::Renew { key, .. } => renew(house, life, key).await,
        Step::Confirm(_) => confirm(house, life).await,
        Step::FirstUse(_) => {
            for row in house.certificates(id).await {
                authority.first_use(row.reference).await.unwrap();
            }
        }
        Step::RenewWeakly(_) => {
            let Ok(caller) = authority.authenticate_agent(&life.0.token).await else { return };
            may_be_refused(authority.renew_unsafe_bearer_only(&caller).await);
        }
        Step::Heartbeat(_) => {
            let Ok(caller) = authority.authenticate_agent(&life.0.token).await else { return };
            may_be_refused(authority.heartbeat(&caller, None, super::house::address()).await);
            authority.flush_presence().await.unwrap();
        }
        Step::Revoke { which, reason, .. } => {
            let rows = house.certificates(id).await;
            if let Some(row) = rows.iter().find(|row| row.state == which) {
                may_be_refused(authority.revoke_certificate(&by, row.id, reason).await);
            }
        }
        Step::Quarantine(_) => {
            let reason = "for a reason".parse().unwrap();
            may_be_refused(authority.quarantine_device(&by, id, reason).await);
        }
        Step::Approve(_) => {
            may_be_refused(authority.approve(&by, id).await);
        }
        Step::Deny(_) => {
            may_be_refused(authority.deny(&by, id).await);
        }
        Step::Decommission(_) => {
            may_be_refused(authority.decommission(&by, id).await);
        }
        Step::Maintenance { way, .. } => {
            may_be_refused(authority.set_maintenance(&by, id, way).await);
        }
        Step::Enrol { .. } | Step::Policy(_) | Step::Pass(_) | Step::Sweep => {}
    }
}

async fn renew(house: &House, life: &mut (Device, Option<countersign_testkit::TestKey>), key: NextKey) {
    let device = &life.0;
    let Ok(caller) = house.authority.authenticate_agent(&device.token).await else { return };
    if caller.is_quarantined() {
        return;
    }
    let key = match key {
        NextKey::Same => device.key.clone(),
        NextKey::Fresh => fresh_key(),
    };
    let csr = super::house::Csr::of(&key);
    let proof = house.proof(device, &device.key, csr.subject()).await;
    if may_be_refused(house.authority.renew(&caller, &csr.pem, &proof).await).is_some() {
        life.1 = Some(key);
    }
}

async fn confirm(house: &House, life: &mut (Device, Option<countersign_testkit::TestKey>)) {
    let Ok(caller) = house.authority.authenticate_agent(&life.0.token).await else { return };
    let Some(key) = life.1.clone().filter(|_| !caller.is_quarantined()) else { return };
    let rows = house.certificates(life.0.id).await;
    let Some(row) = rows.iter().find(|row| row.state == CertificateState::PendingActivation) else { return };
    let proof = house.proof(&life.0, &key, ProofSubject::Confirm(row.id)).await;
    if may_be_refused(house.authority.confirm(&caller, row.id, &proof).await).is_some() {
        life.0.key = key;
        life.1 = None;
    }
}

/// Each step is followed by many questions, which take their time at a server.
fn cases() -> u32 {
    property_cases(if is_on_postgres() { 1 } else { 16 })
}

/// How many steps a life has at most.
fn most_steps() -> usize {
    if is_on_postgres() { 12 } else { 50 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_invariants_hold_after_every_step(steps in prop::collection::vec(step(), 1..most_steps())) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            let change = SettingsChange {
                cert_lifetime_days: Days::new(2).ok(),
                allow_bearer_only_renewal: Some(Permission::Allowed),
                ..SettingsChange::default()
            };
            house.change(change).await;
            let mut lives = Lives::default();
            for _ in 0..DEVICES {
                lives.enrol(&house, Approval::NotNeeded).await;
            }
            for step in steps {
                lives.take(&house, step).await;
                house.check_state(&lives.ids()).await;
            }
            house.check_audit().await;
        });
    }
}
