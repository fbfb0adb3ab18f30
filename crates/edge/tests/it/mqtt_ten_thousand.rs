//! With 10,000 live MQTT sessions a fall is applied to each of them within a second: of one device, and of a
//! whole tenant. Long: run by scripts/test-long, which allows as many open files as that takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::snapshot::{Bar, TenantService};
use countersign_edge::Limits;
use countersign_edge::mqtt::wire::Version;
use countersign_edge::mqtt::{Hub, MqttUpstream};
use tokio::task::JoinSet;

use crate::mqtt_site::{Client, MqttSite, Tls, connect};

const SESSIONS: usize = 10_000;
/// How many shake hands at once.
const AT_ONCE: usize = 64;
const WITHIN: Duration = Duration::from_secs(1);

async fn crowd(site: &Arc<MqttSite>) -> Vec<Client<Tls>> {
    let mut arriving = JoinSet::new();
    let mut clients = Vec::with_capacity(SESSIONS);
    for number in 0..SESSIONS {
        if arriving.len() >= AT_ONCE {
            clients.extend(arriving.join_next().await.unwrap());
        }
        let site = Arc::clone(site);
        arriving.spawn(async move {
            let version = if number % 2 == 0 { Version::V311 } else { Version::V5 };
            let certificate = site.certificate("acme", &format!("d{number}"));
            site.connected(&certificate, version, &connect(version, "id", true, None)).await
        });
    }
    clients.extend(arriving.join_all().await);
    clients
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: scripts/test-long runs it"]
async fn ten_thousand_sessions_end_within_a_second() {
    let mut site = MqttSite::before(MqttUpstream::Hub(Hub::new()), |config| {
        config.limits = Limits { total: 2 * SESSIONS, per_address: 2 * SESSIONS };
    });
    let arrived = Arc::new(site);
    let clients = crowd(&arrived).await;
    site = Arc::into_inner(arrived).unwrap();
    assert_eq!(clients.len(), SESSIONS);

    let mut slowest = Duration::ZERO;
    for number in 0..100 {
        let name = format!("d{number}");
        let mut one = site.device(&name, Version::V5).await;
        let began = Instant::now();
        let key = ("acme".parse().unwrap(), name.parse().unwrap());
        site.apply(|snapshot| snapshot.barred.insert(key, Bar::Quarantined)).await;
        one.end().await;
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < WITHIN, "one device of many: {slowest:?}");

    let began = Instant::now();
    site.apply(|snapshot| {
        let tenant = "acme".parse().unwrap();
        snapshot.tenants.get_mut(&tenant).unwrap().service = TenantService::Suspended;
    })
    .await;
    let applied = began.elapsed();
    let mut ending = JoinSet::new();
    for mut client in clients {
        ending.spawn(async move { client.end().await });
    }
    ending.join_all().await;
    assert!(applied < WITHIN, "all at once: {applied:?}");
}
