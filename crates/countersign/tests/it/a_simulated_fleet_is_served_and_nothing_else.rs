//! Proves, with a small fleet of the simulator in each of its ways to behave, that honest devices get in whatever
//! goes on beside them, and that nothing gets in that must not.

use std::time::Duration;

use countersign_fleet::{Admin, Plan, Profile, Report, Site, run};

use crate::harness::Installation;

const DEVICES: usize = 12;

/// What the simulator reports of a small fleet; no violation is among it.
async fn behaves(installation: &Installation, profile: Profile) -> Report {
    let site = Site {
        door: installation.door(),
        roots_pem: installation.root_pem().to_owned(),
        admin: Admin {
            address: installation.admin_address(),
            token: installation.owner_session().to_owned(),
        },
    };
    let plan = Plan {
        profile,
        devices: DEVICES,
        tenant: format!("{profile:?}").to_lowercase(),
        at_once: 6,
        duration: Duration::from_secs(3),
        interval: Duration::from_secs(1),
    };
    let report = run(&site, &plan, |_said| {}).await.unwrap();
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.act("enrol").map(|act| act.count), Some(DEVICES), "{report}");
    report
}

fn done(report: &Report, what: &str) -> usize {
    report.act(what).unwrap_or_else(|| panic!("no {what}: {report}")).count
}

fn refused(report: &Report, what: &str) -> Vec<String> {
    let act = report.act(what).unwrap_or_else(|| panic!("no {what}: {report}"));
    act.refused.keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_peace_and_after_an_outage() {
    let installation = Installation::start().await;
    assert!(done(&behaves(&installation, Profile::Steady).await, "heartbeat") >= 2 * DEVICES);
    assert_eq!(done(&behaves(&installation, Profile::Storm).await, "back after"), DEVICES);
    let renewed = behaves(&installation, Profile::RenewalWave).await;
    assert_eq!((done(&renewed, "renew"), done(&renewed, "heartbeat")), (DEVICES, DEVICES));
    let flapping = behaves(&installation, Profile::Flapping).await;
    assert!(done(&flapping, "broken off") > 0 && done(&flapping, "settle") == DEVICES, "{flapping}");
    let skewed = behaves(&installation, Profile::ClockSkewed).await;
    assert!(done(&skewed, "heartbeat") >= DEVICES / 4, "{skewed}");
    assert_eq!(refused(&skewed, "connect"), ["NO_CONNECTION"], "by their own clocks: {skewed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_attack_and_when_all_fall() {
    let installation = Installation::start().await;
    let hostile = behaves(&installation, Profile::Hostile).await;
    assert!(done(&hostile, "heartbeat of the others") >= 2 * (DEVICES - 1), "{hostile}");
    assert_eq!(refused(&hostile, "stolen token without a certificate"), ["MTLS_REQUIRED"], "{hostile}");
    let attacks = hostile.acts.iter().filter(|act| act.count == 0 && !act.refused.is_empty());
    assert!(attacks.count() >= 9, "each was tried: {hostile}");
    let fallen = behaves(&installation, Profile::MassRevoke).await;
    assert_eq!(done(&fallen, "closed after the call"), DEVICES, "{fallen}");
    let after: u64 = fallen.act("come back").unwrap().refused.values().sum();
    assert_eq!(after, DEVICES as u64, "{fallen}");
}
