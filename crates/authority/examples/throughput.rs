//! Measures what one authority records per second: enrolments with a certificate each, and heartbeats of
//! 100,000 devices. Everything is real but the network: keys, decisions, signatures, commits.
//!
//! `cargo run --release -p countersign-authority --example throughput -- sqlite:/var/tmp/t.db 30000 256`
//! (the URL of an empty database, how many certificates, how many callers at once).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and stops when it cannot"
)]

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_authority::enrol::Enrolment;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{AgentId, DeviceId, EnrollmentKeyId, SecretHash};
use countersign_core::time::{Clock, SystemClock};
use countersign_store::{
    AgentReport, Approval, DeviceRow, EnrollmentKeyRow, SiteRow, Store, StoreError, TenantRow,
};
use countersign_testkit::{KeyKind, TestKey};
use futures_util::future::join_all;
use zeroize::Zeroizing;

mod house;

use self::house::open;

const FLEET: usize = 100_000;
const SECRET: &str = "cek_measured";
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap();
    let certificates: usize = arguments.next().unwrap().parse().unwrap();
    let callers: usize = arguments.next().unwrap().parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let authority = open(&store, directory.path()).await;
    let (tenant, site) = enrollment_key(&store).await;

    let keys: Vec<TestKey> = (0..64).map(|_| TestKey::generate(KeyKind::P256)).collect();
    let requests: Arc<[String]> = keys.iter().map(|key| key.signing_request_pem("device")).collect();
    measured("certificates", certificates, async {
        let enrolling = (0..callers).map(|caller| {
            let (authority, requests) = (Arc::clone(&authority), Arc::clone(&requests));
            tokio::spawn(async move {
                for number in (caller..certificates).step_by(callers) {
                    let request = enrolment(number, requests.get(number % 64).unwrap());
                    assert!(authority.enrol(&request).await.unwrap().mtls.is_ok());
                }
            })
        });
        join_all(enrolling).await;
    })
    .await;

    let tokens: Arc<[String]> = (0..FLEET).map(|number| format!("brz_{number:064x}")).collect();
    fleet(&store, &tenant, &site, &tokens).await;
    let gathering = tokio::spawn(Arc::clone(&authority).gather_presence());
    for round in ["first heartbeats", "heartbeats"] {
        measured(round, FLEET, async {
            let beating = (0..callers).map(|caller| {
                let (authority, tokens) = (Arc::clone(&authority), Arc::clone(&tokens));
                tokio::spawn(async move {
                    for token in tokens.iter().skip(caller).step_by(callers) {
                        let agent = authority.authenticate_agent(token).await.unwrap();
                        authority.heartbeat(&agent, Some("0.1.0".to_owned()), ADDRESS).await.unwrap();
                    }
                })
            });
            join_all(beating).await;
        })
        .await;
    }
    gathering.abort();
    authority.close().await.unwrap();
}

/// Runs `work` and prints how many per second it did, and how many microseconds of CPU each took here
/// and in the backends of whatever PostgreSQL server runs here.
async fn measured(what: &str, count: usize, work: impl Future<Output = ()>) {
    let (began, own, server) = (Instant::now(), own_cpu(), server_cpu());
    work.await;
    let each = |cpu: Duration| cpu.as_micros() / count as u128;
    println!(
        "{what}: {:.0}/s, {} + {} µs of CPU each",
        count as f64 / began.elapsed().as_secs_f64(),
        each(own_cpu().saturating_sub(own)),
        each(server_cpu().saturating_sub(server)),
    );
}

fn own_cpu() -> Duration {
    cpu_of(Path::new("/proc/self"))
}

fn server_cpu() -> Duration {
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let is_server = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "postgres")
    };
    processes.filter(is_server).map(|path| cpu_of(&path)).sum()
}

/// User and system time of a process, from clock ticks of 10 ms (proc_pid_stat(5)).
fn cpu_of(process: &Path) -> Duration {
    let Ok(stat) = std::fs::read_to_string(process.join("stat")) else { return Duration::ZERO };
    let (_name, numbers) = stat.rsplit_once(") ").unwrap();
    let ticks = numbers.split(' ').skip(11).take(2).map(|number| number.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// One that lets everybody in.
async fn enrollment_key(store: &Store) -> (TenantRow, SiteRow) {
    let now = SystemClock.now();
    store
        .write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                let tenant = w.tenant_by_slug(&"default".parse().unwrap()).await?.unwrap();
                let site = w.site_by_slug(tenant.id, "default").await?.unwrap();
                let key = EnrollmentKeyRow {
                    id: EnrollmentKeyId::random(),
                    key: SecretHash::of(SECRET),
                    tenant: tenant.id,
                    site: site.id,
                    max_uses: u32::MAX,
                    uses: 0,
                    expires_at: now + Duration::from_secs(3600),
                    approval: Approval::NotNeeded,
                    name_pattern: None,
                    device: None,
                    spki: None,
                    networks: Vec::new(),
                    created_at: now,
                    created_by: None,
                    revoked_at: None,
                };
                w.insert_enrollment_key(&key).await?;
                Ok((tenant, site))
            })
        })
        .await
        .unwrap()
}

fn enrolment(number: usize, request: &str) -> Enrolment {
    Enrolment {
        key: Zeroizing::new(SECRET.to_owned()),
        hostname: format!("host-{number}"),
        os_type: "linux".to_owned(),
        os_version: "6.12".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "0.1.0".to_owned(),
        csr: Some(request.to_owned()),
        name: None,
        hardware_serial: Some(format!("SN-{number:08}")),
        address: ADDRESS,
    }
}

/// Records the devices whose tokens these are.
async fn fleet(store: &Store, tenant: &TenantRow, site: &SiteRow, tokens: &[String]) {
    for (batch, tokens) in tokens.chunks(1000).enumerate() {
        let rows: Vec<DeviceRow> = tokens
            .iter()
            .enumerate()
            .map(|(number, token)| device(batch * 1000 + number, token, tenant, site))
            .collect();
        store
            .write::<_, StoreError, _>(move |w| {
                Box::pin(async move {
                    for row in &rows {
                        w.insert_device(row).await?;
                    }
                    Ok(())
                })
            })
            .await
            .unwrap();
    }
}

fn device(number: usize, token: &str, tenant: &TenantRow, site: &SiteRow) -> DeviceRow {
    let id = DeviceId::random();
    let mut agent = [0; 32];
    agent[..16].copy_from_slice(id.uuid().as_bytes());
    DeviceRow {
        id,
        tenant: tenant.id,
        tenant_slug: tenant.slug.clone(),
        site: site.id,
        site_slug: site.slug.clone(),
        agent: AgentId::from(agent),
        name: format!("beating-{number}").parse().unwrap(),
        hostname: format!("beating-{number}"),
        os_type: "linux".to_owned(),
        os_version: "6.12".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "0.1.0".to_owned(),
        hardware_serial: None,
        status: DeviceStatus::Pending,
        token: Some(SecretHash::of(token)),
        last_seen_at: None,
        last_ip: None,
        quarantined_at: None,
        quarantined_reason: None,
        pending_key: None,
        grant_until: None,
        certificate: None,
        reported: AgentReport::default(),
        commands_until: None,
        enrolled_at: SystemClock.now(),
        decommissioned_at: None,
        revision: 0,
    }
}
