//! With 10,000 live MQTT sessions a fall is applied to each of them within a second: of one device, and of a
//! whole tenant. Long: run by scripts/test-long. The clients are in a process of their own, so each process has
//! 10,000 connections and a few files.

use std::io::Write as _;
use std::time::{Duration, Instant};

use countersign_core::snapshot::{Bar, TenantService};
use countersign_edge::Limits;
use countersign_edge::mqtt::wire::Version;
use countersign_edge::mqtt::{Hub, MqttUpstream};

use crate::mqtt_crowd::Crowd;
use crate::mqtt_site::MqttSite;

const SESSIONS: usize = 10_000;
const KILLS: usize = 100;
const WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: scripts/test-long runs it"]
async fn ten_thousand_sessions_end_within_a_second() {
    let mut site = MqttSite::before(MqttUpstream::Hub(Hub::new()), |config| {
        config.limits = Limits { total: 2 * SESSIONS, per_address: 2 * SESSIONS };
    });
    let certificates: Vec<_> =
        (0..SESSIONS).map(|number| site.certificate("acme", &format!("d{number}"))).collect();
    let folder = tempfile::tempdir().unwrap();
    let crowd = Crowd::of(&site, &certificates, folder.path()).await;

    let mut kills = Vec::with_capacity(KILLS);
    for number in 0..KILLS {
        let name = format!("d{number}");
        let mut one = site.device(&name, Version::V5).await;
        let began = Instant::now();
        let key = ("acme".parse().unwrap(), name.parse().unwrap());
        site.apply(|snapshot| snapshot.barred.insert(key, Bar::Quarantined)).await;
        one.end().await;
        kills.push(began.elapsed());
    }
    kills.sort_unstable();
    let (median, slowest) = (kills[KILLS / 2], kills[KILLS - 1]);
    let p99 = kills[KILLS * 99 / 100 - 1];

    let began = Instant::now();
    site.apply(|snapshot| {
        let tenant = "acme".parse().unwrap();
        snapshot.tenants.get_mut(&tenant).unwrap().service = TenantService::Suspended;
    })
    .await;
    let applied = began.elapsed();
    crowd.ended().await;
    let all = began.elapsed();
    let said = format!(
        "kill with {SESSIONS} sessions: p50 {median:?}, p99 {p99:?}, slowest {slowest:?}; all at once applied after \
         {applied:?}, seen by all after {all:?}"
    );
    let mut log = std::io::stderr();
    writeln!(log, "{said}").unwrap();
    assert!(slowest < WITHIN && applied < WITHIN, "{said}");
}
