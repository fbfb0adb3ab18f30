//! Proves that a session through a TCP door ends with its certificate's time, without a word from anybody, and
//! that a door which names whom it serves by CN and attributes serves exactly those.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use countersign_testkit::Connection;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Device, Installation, Time, hours, until};
use crate::upstream::Upstream;

const AT_ONCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

async fn site(more: &str, time: Time) -> (Upstream, Installation, SocketAddr) {
    let upstream = Upstream::start().await;
    let to = upstream.url().replace("http://", "tcp://");
    let config =
        format!("[[tcp_door]]\nname = \"db\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{to}\"\n{more}");
    let installation = Installation::configured(&config, time).await;
    let text = fs_err::read_to_string(installation.folder().join("ports.json")).unwrap();
    let ports: Value = serde_json::from_str(&text).unwrap();
    let port = u16::try_from(ports["tcpDoors"]["db"].as_u64().unwrap()).unwrap();
    (upstream, installation, (Ipv4Addr::LOCALHOST, port).into())
}

async fn is_served(connection: &mut Connection) -> bool {
    let asked = connection.request("GET", "/x", &[], "");
    timeout(PATIENCE, asked).await.unwrap().is_ok_and(|answer| answer.status == 200)
}

/// Whether a new session of a device is served.
async fn enters(installation: &Installation, device: &Device, door: SocketAddr) -> bool {
    match device.client(installation).connect(door).await {
        Ok(mut connection) => is_served(&mut connection).await,
        Err(_refused) => false,
    }
}

async fn refusals(installation: &Installation, code: &str) -> usize {
    let entries = installation.admin().audit("event=access.refused").await;
    let of_it = |entry: &&_| {
        let details = serde_json::to_value(entry).unwrap()["details"].clone();
        details["code"] == code && details["route"] == "tcp_door db"
    };
    entries.iter().filter(of_it).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_session_is_cut_when_its_certificate_expires() {
    let (_upstream, installation, door) = site("", Time::Fake).await;
    installation.admin().set(json!({ "certLifetimeDays": 1 })).await;
    let short = Device::enrol(&installation, "short").await;
    installation.admin().set(json!({ "certLifetimeDays": 90 })).await;
    let long = Device::enrol(&installation, "long").await;
    installation.time().advance(hours(23));
    let mut ending = short.client(&installation).connect(door).await.unwrap();
    let mut lasting = long.client(&installation).connect(door).await.unwrap();
    assert!(is_served(&mut ending).await && is_served(&mut lasting).await);

    let began = Instant::now();
    installation.time().advance(hours(2));
    timeout(PATIENCE, ending.closed()).await.unwrap();
    assert!(began.elapsed() < 2 * AT_ONCE, "cut after {:?}", began.elapsed());
    assert!(is_served(&mut lasting).await, "the other's goes on");
    assert!(!enters(&installation, &short, door).await);
    until("the refusal is written down", async || refusals(&installation, "CERTIFICATE_EXPIRED").await > 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_door_names_enter_and_nobody_whose_name_is_like_theirs() {
    let wanted = "allow_names = [\"default/pump\"]\nrequire_subject = { O = \"default\" }\n";
    let (upstream, installation, door) = site(wanted, Time::Real).await;
    let named = Device::enrol(&installation, "pump").await;
    assert!(enters(&installation, &named, door).await);
    assert_eq!(upstream.received().len(), 1);
    for name in ["pump2", "PUMP", "xpump", "default-pump"] {
        let other = Device::enrol(&installation, name).await;
        assert!(!enters(&installation, &other, door).await, "{name}");
    }
    assert_eq!(upstream.received().len(), 0, "nothing of theirs came through");
    until("the refusals are written down", async || refusals(&installation, "NOT_ADMITTED_HERE").await > 0)
        .await;
    assert!(enters(&installation, &named, door).await);
}
