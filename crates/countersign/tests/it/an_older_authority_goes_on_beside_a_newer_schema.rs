//! Proves that an authority goes on when a newer version has brought the schema up to date beside it, and that it
//! does not start again there, and says why.

use countersign_testkit::{KeyKind, PostgresMachine, TestKey};

use crate::harness::{Device, Installation, Time};

/// What a newer version adds, and that it has.
const NEWER: [&str; 4] = [
    "ALTER TABLE public.devices ADD COLUMN colour text NOT NULL DEFAULT 'none'",
    "ALTER TABLE countersign.audit_entries ADD COLUMN mood text",
    "CREATE TABLE countersign.colours (name text PRIMARY KEY)",
    "INSERT INTO countersign.schema_migrations SELECT max(version) + 1, '9999_colours' FROM countersign.schema_migrations",
];

#[tokio::test]
async fn it_serves_on_and_is_not_started_again() {
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
    assert!(!installation.start_in_vain().await.success());
    let log = installation.log();
    assert!(log.contains("it has \"9999_colours\", which this version does not know"), "{log}");
    assert_eq!(machine.query("SELECT count(*) FROM public.devices"), "2", "nothing was changed");
}
