//! Proves that an authority goes on when a newer version has brought the schema up to date beside it, that it starts
//! again there as long as that only added something, and that it says why it does not where that is unsure.

use countersign_testkit::{KeyKind, PostgresMachine, TestKey};

use crate::harness::{Device, Installation, Time};

/// What a newer version adds, and that it has.
const NEWER: [&str; 4] = [
    "ALTER TABLE public.devices ADD COLUMN colour text NOT NULL DEFAULT 'none'",
    "ALTER TABLE countersign.audit_entries ADD COLUMN mood text",
    "CREATE TABLE countersign.colours (name text PRIMARY KEY)",
    "INSERT INTO countersign.schema_migrations
         SELECT max(version) + 1, '9998_colours.additive' FROM countersign.schema_migrations",
];

/// What a version after that does.
const NEWEST: &str = "INSERT INTO countersign.schema_migrations
    SELECT max(version) + 1, '9999_no_moods' FROM countersign.schema_migrations";

#[tokio::test]
async fn it_serves_on_and_starts_again_where_that_is_safe() {
    let machine = PostgresMachine::start();
    let mut installation = Installation::at(machine.url(), "", Time::Real).await;
    let device = Device::enrol(&installation, "pump").await;
    for statement in NEWER {
        machine.query(statement);
    }
    Device::enrol(&installation, "valve").await;
    let fresh = TestKey::generate(KeyKind::P256);
    let renewed =
        device.renewed(&installation, &fresh).await.unwrap_or_else(|answer| panic!("{}", answer.text()));
    let device = Device { key: fresh, mtls: Some(renewed.mtls), ..device };
    assert_eq!(device.heartbeat(&mut device.connect(&installation).await).await.status, 200);
    assert_eq!(installation.run(&["audit", "verify"]).code, 0);

    assert!(installation.terminate().await.success());
    installation.start_again().await;
    Device::enrol(&installation, "gauge").await;
    let log = installation.log();
    assert!(log.contains("going on beside it") && log.contains("9998_colours.additive"), "{log}");

    assert!(installation.terminate().await.success());
    machine.query(NEWEST);
    assert!(!installation.start_in_vain().await.success());
    let log = installation.log();
    assert!(log.contains("it has \"9999_no_moods\", which this version does not know"), "{log}");
    assert_eq!(machine.query("SELECT count(*) FROM public.devices"), "3", "nothing was changed");
}
