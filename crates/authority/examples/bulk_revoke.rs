//! Measures one call that revokes a whole tenant: preview, execution until the snapshot of the doors has
//! it, and what comes after (the CRL, the verification of the audit).
//!
//! `cargo run --release -p countersign-authority --example bulk_revoke -- sqlite:/var/tmp/r.db 100000`
//! (the URL of an empty database, how many devices with one active certificate each).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and stops when it cannot"
)]

use std::time::{Duration, Instant};

use countersign_authority::bulk_revoke::Query;
use countersign_authority::{Administer, Authority, Authorized};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::{SecretHash, UserId};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_store::{PasswordHash, Role, SessionRow, Store, StoreError, UserRow};

mod fleet;
mod house;

use self::fleet::fleet;
use self::house::open;

const SESSION: &str = "css_measured";
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap();
    let devices: usize = arguments.next().unwrap().parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let authority = open(&store, directory.path()).await;
    let tenant = timed("made", fleet(&store, &authority, devices, |_number, _device| ())).await;
    let owner = owner(&store, &authority).await;

    let query = Query::Tenant(tenant);
    let reason = RevocationReason::KeyCompromise;
    let preview = timed("preview", authority.preview_revocation(&owner, query, reason)).await.unwrap();
    assert_eq!((preview.certificates, preview.devices), (devices as u64, devices as u64));
    let revoked = timed("execution", authority.execute_revocation(&owner, preview.id)).await.unwrap();
    assert_eq!(revoked.certificates, devices as u64);
    assert_eq!(authority.snapshot().denied.len(), devices);
    timed("crl", authority.refresh_crls()).await.unwrap();
    let verified = timed(
        "verification",
        store.read::<_, StoreError, _>(|r| Box::pin(async move { r.verify_audit().await })),
    );
    let report = verified.await.unwrap();
    assert!(report.is_intact());
    println!("audit entries: {}", report.chains.iter().map(|chain| chain.entries).sum::<u64>());
    authority.close().await.unwrap();
}

/// Waits for `work` and prints how long it took, and how much of a processor this process had meanwhile.
async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let (began, used) = (Instant::now(), processor_seconds());
    let done = work.await;
    let (took, used) = (began.elapsed().as_secs_f64(), processor_seconds() - used);
    println!("{what}: {took:.2} s, {used:.2} s of a processor");
    done
}

/// What this process has used so far, in its own code and in the kernel: fields 14 and 15 of proc(5)'s
/// `stat`, in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_name, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap());
    f64::from(ticks.sum::<u32>()) / 100.0
}

/// Somebody who may do it.
async fn owner(store: &Store, authority: &Authority) -> Authorized<Administer> {
    let now = SystemClock.now();
    let user = UserRow {
        id: UserId::random(),
        email: "owner@example.com".to_owned(),
        password_hash: PasswordHash::new("none".to_owned()),
        role: Role::Owner,
        tenant: None,
        created_at: now,
        disabled_at: None,
    };
    let session =
        SessionRow { token: SecretHash::of(SESSION), user: user.id, created_at: now, expires_at: now + DAY };
    let written = store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_user(&user).await?;
            w.insert_session(&session).await
        })
    });
    written.await.unwrap();
    authority.caller(SESSION).await.unwrap().unwrap().authorize().unwrap()
}
