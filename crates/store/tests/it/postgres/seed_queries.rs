//! What seeds 000 and 004 ask of the database, in their own words, is answered as they say.

use std::collections::BTreeSet;

use countersign_core::certificate::CertificateState;
use countersign_store::CertificateSummary;
use sqlx::Row as _;

use crate::on_postgres::fixture::{DAY, Fixture, new_certificate, now, write};

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

/// Seed 000, phase 3, "Verify Migration".
#[tokio::test]
async fn the_seeds_verification_queries_return_what_it_says() {
    let fixture = Fixture::new().await;
    let ask = |query| fixture.database.psql(query);

    let values = ask("SELECT unnest(enum_range(NULL::device_status));");
    let seed = ["online", "offline", "maintenance", "decommissioned", "quarantined"];
    assert!(lines(&values).is_superset(&BTreeSet::from(seed)), "{values}");
    // Ours for a device that was not heard of since it enrolled comes after the seed's, in its order.
    assert_eq!(values.lines().collect::<Vec<_>>(), [&seed[..], &["pending"]].concat());

    let columns = ask("SELECT column_name FROM information_schema.columns
         WHERE table_name = 'devices' AND column_name LIKE 'mtls%';");
    let seed = ["mtls_cert_serial_number", "mtls_cert_expires_at", "mtls_cert_issued_at", "mtls_cert_cf_id"];
    assert_eq!(lines(&columns), BTreeSet::from(seed));

    let indexes =
        ask("SELECT indexname FROM pg_indexes WHERE tablename = 'devices' AND indexname LIKE '%mtls%';");
    assert_eq!(indexes, "devices_mtls_cert_expires_idx");
}

#[tokio::test]
async fn columns_and_indexes_are_made_as_the_seed_makes_them() {
    let fixture = Fixture::new().await;
    let types = fixture.database.psql(
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
         WHERE attrelid = 'devices'::regclass AND (attname LIKE 'mtls%' OR attname LIKE 'quarantined%' OR attname = 'status')",
    );
    let seed = [
        "mtls_cert_serial_number character varying(128)",
        "mtls_cert_expires_at timestamp without time zone",
        "mtls_cert_issued_at timestamp without time zone",
        "mtls_cert_cf_id character varying(128)",
        "quarantined_at timestamp without time zone",
        "quarantined_reason character varying(255)",
        "status device_status",
    ];
    assert_eq!(lines(&types), BTreeSet::from(seed));
    let indexes = fixture.database.psql(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'devices'
         AND indexname IN ('devices_mtls_cert_expires_idx', 'devices_quarantined_idx')",
    );
    let seed = [
        "CREATE INDEX devices_mtls_cert_expires_idx ON public.devices USING btree (mtls_cert_expires_at) \
         WHERE ((mtls_cert_expires_at IS NOT NULL) AND (status <> 'decommissioned'::device_status))",
        "CREATE INDEX devices_quarantined_idx ON public.devices USING btree (org_id, status) \
         WHERE (status = 'quarantined'::device_status)",
    ];
    assert_eq!(lines(&indexes), BTreeSet::from(seed));
}

/// Seed 000, phase 4c.
#[tokio::test]
async fn a_devices_certificate_is_found_by_its_agent() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let certificate = new_certificate(&device, CertificateState::Active);
    let summary = CertificateSummary {
        serial: certificate.reference.serial.clone(),
        issuer: Some(certificate.reference.issuer),
        issued_at: now(),
        expires_at: now() + DAY * 90,
    };
    let id = device.id;
    assert!(write!(fixture.store, |w| w.set_certificate_summary(id, &summary)).unwrap());
    let answer = fixture.database.psql(&format!(
        "SELECT agent_id, mtls_cert_serial_number, mtls_cert_expires_at, mtls_cert_cf_id
         FROM devices WHERE agent_id = '{}';",
        device.agent
    ));
    let expected = format!("{}|{}|2026-05-12 10:00:00|", device.agent, certificate.reference.serial);
    assert_eq!(answer, expected);
}

/// Seed 004, section 3d: the ingest service asks with the slug and the name out of a topic, and with a
/// session in whatever time zone it is.
#[tokio::test]
async fn an_active_certificate_is_found_by_tenant_and_device() {
    const SEED: &str = "SELECT 1 FROM device_certificates
            WHERE tenant_id = $1
              AND device_id = $2
              AND status = 'ACTIVE'
              AND not_after > now()
            LIMIT 1";
    let fixture = Fixture::new().await;
    let mut ingest = fixture.intruder().await;
    sqlx::query("SET TIME ZONE 'Pacific/Kiritimati'").execute(&mut ingest).await.unwrap();
    for (name, state, ends_in_future) in [
        ("good", CertificateState::Active, true),
        ("ended", CertificateState::Active, false),
        ("expired", CertificateState::Expired, true),
        ("pending", CertificateState::PendingActivation, true),
    ] {
        let device = fixture.device(name).await;
        let mut certificate = new_certificate(&device, state);
        let clock: i64 = sqlx::query("SELECT extract(epoch FROM now())::bigint")
            .fetch_one(&mut ingest)
            .await
            .unwrap()
            .get(0);
        let hour = if ends_in_future { 3600 } else { -3600 };
        certificate.lifetime.expires_at = countersign_core::time::Timestamp::from_secs(clock + hour);
        write!(fixture.store, |w| w.insert_certificate(&certificate)).unwrap();
        let found = sqlx::query(SEED).bind("acme").bind(name).fetch_optional(&mut ingest).await.unwrap();
        assert_eq!(found.is_some(), name == "good", "{name}");
    }
}
