//! What was acknowledged is there after a crash, and nothing is there by halves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::EnrollmentKeyId;
use countersign_store::{AuditFilter, Store, StoreError};

use super::fixture::{Fixture, now, random, read};

/// How many changes the child acknowledges before it is killed.
const ACKNOWLEDGED: usize = 60;

const MARK: &str = "acknowledged ";

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    let acknowledged = run_until_killed(&fixture.database.text());
    assert_eq!(acknowledged.len(), ACKNOWLEDGED);

    // The lock went with the process.
    let store = Store::open(&fixture.url).await.unwrap();
    store.migrate().await.unwrap();
    for id in acknowledged {
        assert!(read!(store, |r| r.enrollment_key(id)).unwrap().is_some(), "{id} was acknowledged");
    }
    let tenant = fixture.tenant.id;
    let keys = read!(store, |r| r.enrollment_keys(tenant)).unwrap();
    let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let entries = read!(store, |r| r.audit_entries(&filter)).unwrap();
    assert_eq!(keys.len(), entries.len(), "each change with its entry");
    assert!(read!(store, |r| r.verify_audit()).unwrap().is_intact());
}

/// Runs this test program as a child that writes without end, and kills it.
fn run_until_killed(url: &str) -> Vec<EnrollmentKeyId> {
    // The path of a test has no crate name.
    let module = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(format!("{module}::child_that_writes_until_it_is_killed"))
        .args(["--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{url}").unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = lines
        .filter_map(|line| line.unwrap().split_once(MARK).map(|(_, id)| id.parse().unwrap()))
        .take(ACKNOWLEDGED)
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged
}

#[tokio::test]
#[ignore = "the child of the test above, told on its standard input where to write"]
async fn child_that_writes_until_it_is_killed() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    if line.is_empty() {
        return;
    }
    let store = Store::open(&line.trim().parse().unwrap()).await.unwrap();
    loop {
        let id = create_key(&store).await.unwrap();
        let mut output = std::io::stdout().lock();
        writeln!(output, "{MARK}{id}").unwrap();
        output.flush().unwrap();
    }
}

async fn create_key(store: &Store) -> Result<EnrollmentKeyId, StoreError> {
    store
        .write(|w| {
            Box::pin(async move {
                let tenant = w.tenant_by_slug(&"acme".parse().unwrap()).await?.unwrap();
                let site = w.site_by_slug(tenant.id, "default").await?.unwrap();
                let key = countersign_store::EnrollmentKeyRow {
                    id: EnrollmentKeyId::random(),
                    key: random().into(),
                    tenant: tenant.id,
                    site: site.id,
                    max_uses: 1,
                    uses: 0,
                    expires_at: now(),
                    approval: countersign_store::Approval::Required,
                    name_pattern: None,
                    device: None,
                    spki: None,
                    networks: Vec::new(),
                    created_at: now(),
                    created_by: None,
                    revoked_at: None,
                };
                w.insert_enrollment_key(&key).await?;
                let entry = AuditEntry::new(
                    Some(tenant.slug),
                    now(),
                    AuditEvent::EnrollmentKeyCreated,
                    Actor::System,
                );
                w.append_audit(&entry.detail("key", key.id)).await?;
                Ok(key.id)
            })
        })
        .await
}

#[test]
fn a_store_that_was_dropped_unclosed_opens_again() {
    let first = tokio::runtime::Runtime::new().unwrap();
    let (url, database, id) = first.block_on(async {
        let fixture = Fixture::new().await;
        let id = fixture.device("d1").await.id;
        (fixture.url, fixture.database, id)
    });
    drop(first);

    let second = tokio::runtime::Runtime::new().unwrap();
    second.block_on(async {
        let store = Store::open(&url).await.unwrap();
        assert!(read!(store, |r| r.device(id)).unwrap().is_some());
    });
    drop(database);
}
