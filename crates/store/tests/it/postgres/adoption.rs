//! A database that already has the seed's `devices` is completed: its rows are kept and become devices.

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{AgentId, SecretHash};
use countersign_store::{DeviceFilter, DeviceRow, Inserted, Store, StoreError};
use sqlx::Executor as _;

use crate::on_postgres::fixture::{insert_tenant, read, write};
use crate::postgres::database::Database;

/// The table as seed 000 finds it, before its migration.
const SEED: &str = "
    CREATE TYPE device_status AS ENUM ('online', 'offline', 'maintenance', 'decommissioned');
    CREATE TABLE devices (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        org_id uuid NOT NULL,
        agent_id varchar(64) NOT NULL UNIQUE,
        hostname varchar(255) NOT NULL,
        status device_status NOT NULL DEFAULT 'offline',
        last_seen_at timestamp,
        enrolled_at timestamp NOT NULL DEFAULT now()
    );
    INSERT INTO devices (id, org_id, agent_id, hostname, status, last_seen_at) VALUES
        ('00000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000000',
         repeat('a1', 32), 'workstation-01', 'online', '2026-02-11 10:00:00.123456'),
        ('00000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000000',
         repeat('b2', 32), 'workstation-01', 'offline', NULL),
        ('00000000-0000-4000-8000-000000000003', '20000000-0000-4000-8000-000000000000',
         'not-hex', 'Käthes PC (neu)', 'decommissioned', NULL),
        ('00000000-0000-4000-8000-000000000004', '20000000-0000-4000-8000-000000000000',
         repeat('c3', 32), 'countersign', 'maintenance', NULL);
";

/// What the rest of such a system looks like: tables of its own with our names, references to them, an
/// enum for the operating system, columns of its own that must be filled, and seed 000's migration done.
const WHOLE_SYSTEM: &str = "
    CREATE TYPE device_status AS ENUM
        ('online', 'offline', 'maintenance', 'decommissioned', 'quarantined', 'updating');
    CREATE TYPE os_type AS ENUM ('windows', 'macos', 'linux');
    CREATE TABLE organizations (id uuid PRIMARY KEY, name varchar(255) NOT NULL, slug varchar(100));
    CREATE TABLE sites (id uuid PRIMARY KEY, org_id uuid REFERENCES organizations, name text NOT NULL);
    CREATE TABLE users (id serial PRIMARY KEY, email text);
    CREATE TABLE sessions (id serial PRIMARY KEY);
    CREATE TABLE devices (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        org_id uuid NOT NULL REFERENCES organizations,
        site_id uuid NOT NULL REFERENCES sites,
        agent_id varchar(64) NOT NULL UNIQUE,
        agent_token_hash varchar(64),
        mtls_cert_serial_number varchar(128),
        mtls_cert_expires_at timestamp,
        mtls_cert_issued_at timestamp,
        mtls_cert_cf_id varchar(128),
        quarantined_at timestamp,
        quarantined_reason varchar(255),
        hostname varchar(255) NOT NULL,
        os_type os_type NOT NULL,
        os_version varchar(100) NOT NULL,
        architecture varchar(20) NOT NULL,
        agent_version varchar(20) NOT NULL,
        building varchar(20) NOT NULL,
        tags text[] NOT NULL DEFAULT '{}',
        status device_status NOT NULL DEFAULT 'offline',
        last_seen_at timestamp,
        enrolled_at timestamp NOT NULL DEFAULT now()
    );
    CREATE INDEX devices_quarantined_idx ON devices (org_id, status) WHERE status = 'quarantined';
    CREATE TABLE device_disks (device_id uuid REFERENCES devices, disk text);
    INSERT INTO organizations VALUES
        ('10000000-0000-4000-8000-000000000000', 'Acme Ltd', 'acme'),
        ('20000000-0000-4000-8000-000000000000', 'Default', 'default');
    INSERT INTO sites VALUES
        ('30000000-0000-4000-8000-000000000000', '10000000-0000-4000-8000-000000000000', 'Head office'),
        ('40000000-0000-4000-8000-000000000000', '20000000-0000-4000-8000-000000000000', 'Branch');
    INSERT INTO devices (id, org_id, site_id, agent_id, agent_token_hash, mtls_cert_serial_number,
        mtls_cert_expires_at, mtls_cert_issued_at, mtls_cert_cf_id, quarantined_at, quarantined_reason,
        hostname, os_type, os_version, architecture, agent_version, building, status) VALUES
        ('00000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000000',
         '30000000-0000-4000-8000-000000000000', repeat('a1', 32), encode(sha256('brz_secret'), 'hex'),
         '0A:1b:2C', '2026-05-12', '2026-02-11', 'cf-1', '2026-03-01 12:00:00.5', 'mtls_cert_expired',
         'pc-1', 'windows', '11', 'x64', '1.0', 'A', 'quarantined'),
        ('00000000-0000-4000-8000-000000000002', '20000000-0000-4000-8000-000000000000',
         '40000000-0000-4000-8000-000000000000', repeat('b2', 32), NULL, NULL, NULL, NULL, NULL, NULL, NULL,
         'pc-2', 'macos', '15', 'arm64', '1.0', 'B', 'updating');
    INSERT INTO device_disks VALUES ('00000000-0000-4000-8000-000000000001', 'C:');
";

/// Nothing is quite as the seed has it.
const LOOSE: &str = "
    CREATE TABLE devices (id text, org_id text, agent_id text, status text DEFAULT 'offline', name text);
    INSERT INTO devices VALUES
        ('00000000-0000-4000-8000-000000000001', 'acme', repeat('a1', 32), 'online', 'Front desk'),
        ('00000000-0000-4000-8000-000000000002', 'acme', NULL, 'strange', NULL),
        ('00000000-0000-4000-8000-000000000003', NULL, repeat('b2', 32), NULL, 'spare');
";

async fn adopted(script: &'static str) -> (Database, Store) {
    let database = Database::new();
    database.intruder().await.execute(sqlx::raw_sql(script)).await.unwrap();
    let store = Store::open(&database.url()).await.unwrap();
    store.migrate().await.unwrap();
    (database, store)
}

/// Every device, by id.
async fn devices(store: &Store) -> Vec<DeviceRow> {
    let filter = DeviceFilter { limit: 100, ..DeviceFilter::default() };
    let mut devices = read!(store, |r| r.list_devices(&filter)).unwrap().devices;
    devices.sort_by_key(|device| device.id);
    devices
}

fn agent(byte: u8) -> AgentId {
    AgentId::from([byte; 32])
}

#[tokio::test]
async fn the_seeds_rows_become_devices_and_nothing_of_them_is_lost() {
    let (database, store) = adopted(SEED).await;
    let devices = devices(&store).await;
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "workstation-01",
            "workstation-01-00000000000040008000000000000002",
            "K-thes-PC--neu",
            "device-countersign"
        ]
    );
    assert_eq!(devices[0].agent, agent(0xa1));
    assert_eq!(devices[0].last_seen_at.unwrap().to_string(), "2026-02-11T10:00:00.123Z");
    assert_eq!(devices[2].hostname, "Käthes PC (neu)");
    assert_eq!(devices[2].status, DeviceStatus::Decommissioned);
    assert_eq!(devices[3].status, DeviceStatus::Maintenance);
    assert_eq!(devices[3].tenant.to_string(), "20000000-0000-4000-8000-000000000000");
    assert_eq!(devices[3].tenant_slug.as_str(), "org-20000000000040008000000000000000");
    let kept = database.psql("SELECT hostname, seed_values FROM devices WHERE seed_values IS NOT NULL");
    assert_eq!(kept, r#"Käthes PC (neu)|{"agent_id": "not-hex"}"#);

    let again = store.migrate().await.unwrap();
    assert!(again.applied.is_empty(), "{again:?}");
    let values = database.psql("SELECT unnest(enum_range(NULL::device_status))");
    assert_eq!(values, "online\noffline\nmaintenance\ndecommissioned\nquarantined\npending");
    let indexes = database
        .psql("SELECT indexname FROM pg_indexes WHERE tablename = 'devices' AND indexname LIKE '%mtls%'");
    assert_eq!(indexes, "devices_mtls_cert_expires_idx");
}

#[tokio::test]
async fn a_device_can_enrol_beside_the_adopted_ones() {
    for script in [SEED, WHOLE_SYSTEM, LOOSE] {
        let (_database, store) = adopted(script).await;
        let before = devices(&store).await;
        let (tenant, site) = insert_tenant(&store, "new").await;
        let template = before[0].clone();
        for (tenant, site, byte) in [(tenant.id, site.id, 1), (template.tenant, template.site, 2)] {
            let row = DeviceRow {
                id: countersign_core::ids::DeviceId::random(),
                tenant,
                site,
                agent: agent(byte),
                name: "brand-new".parse().unwrap(),
                status: DeviceStatus::Pending,
                token: None,
                ..template.clone()
            };
            assert_eq!(write!(store, |w| w.insert_device(&row)).unwrap(), Inserted::Done);
        }
        assert_eq!(devices(&store).await.len(), before.len() + 2);
        let mut first = template;
        first.hostname = "x".repeat(300);
        assert!(write!(store, |w| w.update_device(&first)).unwrap());
    }
}

#[tokio::test]
async fn a_whole_system_keeps_its_own_tables() {
    let (database, store) = adopted(WHOLE_SYSTEM).await;
    let devices = devices(&store).await;
    let [first, second] = devices.as_slice() else { panic!("{devices:?}") };
    assert_eq!((first.tenant_slug.as_str(), first.status), ("acme", DeviceStatus::Quarantined));
    assert_eq!(first.quarantined_at.unwrap().to_string(), "2026-03-01T12:00:00.500Z");
    assert_eq!(first.quarantined_reason.as_ref().unwrap().as_str(), "mtls_cert_expired");
    assert_eq!(first.token, Some(SecretHash::of("brz_secret")), "its agent keeps its token");
    let certificate = first.certificate.as_ref().unwrap();
    assert_eq!(certificate.serial.to_string(), "0a1b2c");
    assert_eq!(certificate.expires_at.to_string(), "2026-05-12T00:00:00Z");
    assert_eq!((first.os_type.as_str(), first.os_version.as_str()), ("windows", "11"));
    assert_eq!(second.status, DeviceStatus::Offline);
    assert_ne!(second.tenant_slug.as_str(), "default", "that is the platform's own");

    let kept = database.psql("SELECT seed_values FROM devices ORDER BY id");
    assert_eq!(kept, "{\"mtls_cert_serial_number\": \"0A:1b:2C\"}\n{\"status\": \"updating\"}");
    let names = database
        .psql("SELECT string_agg(name, ',' ORDER BY name) FROM countersign.sites WHERE slug <> 'default'");
    assert_eq!(names, "Branch,Head office");
    let theirs = "SELECT (SELECT count(*) FROM public.sites), (SELECT count(*) FROM public.users),
        (SELECT disk FROM device_disks JOIN devices ON devices.id = device_id),
        (SELECT string_agg(building, '' ORDER BY id) FROM devices)";
    assert_eq!(database.psql(theirs), "2|0|C:|AB");
}

#[tokio::test]
async fn what_is_not_quite_as_the_seed_has_it_is_brought_into_line() {
    let (database, store) = adopted(LOOSE).await;
    let devices = devices(&store).await;
    let facts: Vec<_> = devices
        .iter()
        .map(|device| (device.tenant_slug.as_str(), device.name.as_str(), device.status))
        .collect();
    let made_up = "device";
    assert_eq!(
        facts,
        [
            ("acme", "Front-desk", DeviceStatus::Online),
            ("acme", made_up, DeviceStatus::Offline),
            ("adopted", "spare", DeviceStatus::Offline),
        ]
    );
    let kept =
        database.psql("SELECT seed_values ->> 'name', seed_values ->> 'org_id' FROM devices ORDER BY id");
    assert_eq!(kept, "Front desk|acme\n|acme\n|");
}

#[tokio::test]
async fn fails_closed_on_a_table_that_cannot_be_adopted() {
    for (script, named) in [
        ("CREATE TABLE devices (id integer PRIMARY KEY); INSERT INTO devices VALUES (1)", "uuid"),
        ("CREATE TABLE device_certificates (tenant_id text, device_id text)", "device_certificates"),
    ] {
        let database = Database::new();
        database.intruder().await.execute(sqlx::raw_sql(script)).await.unwrap();
        let before = database.psql("SELECT count(*) FROM information_schema.tables");
        let store = Store::open(&database.url()).await.unwrap();
        let refused = store.migrate().await.unwrap_err();
        assert!(matches!(refused, StoreError::Migration(_)), "{refused}");
        assert!(refused.to_string().contains(named), "{refused}");
        assert_eq!(database.psql("SELECT count(*) FROM information_schema.tables"), before);
    }
}
