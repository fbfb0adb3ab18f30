//! How sessions of a TCP door end: by a fall, by time, by the door's own end, and by nothing else.

use std::time::{Duration, Instant};

use countersign_core::snapshot::Bar;
use countersign_tls::tunnel::SpliceLimits;
use tokio::net::TcpStream;

use crate::site::{PATIENCE, device_key, let_expire};
use crate::tcp_site::{TcpSite, echoes, ended};

const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fall_cuts_the_sessions_of_that_device_alone() {
    let mut site = TcpSite::usual().await;
    let certificate = site.device("d1");
    let client = site.client(Some(&certificate));
    let (mut one, mut two) = (site.open(&client).await, site.open(&client).await);
    let mut bystander = site.open(&site.client(Some(&site.device("d2")))).await;
    for session in [&mut one, &mut two, &mut bystander] {
        assert!(echoes(session).await);
    }
    assert_eq!(site.door.door().live_connections(&device_key("d1")), 2);
    let began = Instant::now();
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    assert_eq!(site.door.door().live_connections(&device_key("d1")), 0, "applied means that they are gone");
    for session in [&mut one, &mut two] {
        assert!(!ended(session).await, "cut off, without a goodbye");
    }
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(echoes(&mut bystander).await);
    site.apply(|snapshot| snapshot.barred.insert(device_key("d2"), Bar::Quarantined)).await;
    assert!(!ended(&mut bystander).await);
    assert_eq!((site.door.counts().open, site.door.counts().ended), (0, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_session_ends_with_its_certificate() {
    let site = TcpSite::usual().await;
    let mut session = site.open(&site.client(Some(&site.device("d1")))).await;
    assert!(echoes(&mut session).await);
    let began = Instant::now();
    let_expire(&site.clock);
    assert!(!ended(&mut session).await);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_superseded_certificates_sessions_last_until_the_overlap_ends() {
    let mut site = TcpSite::usual().await;
    let certificate = site.device("d1");
    let mut session = site.open(&site.client(Some(&certificate))).await;
    assert!(echoes(&mut session).await);
    let until = countersign_core::time::Clock::now(&*site.clock) + Duration::from_secs(60);
    site.apply(|snapshot| snapshot.superseded.insert(certificate.reference.clone(), until)).await;
    assert!(echoes(&mut session).await);
    site.clock.set(until + Duration::from_secs(1));
    assert!(!ended(&mut session).await);
}

#[tokio::test]
async fn silence_and_age_end_a_session_with_a_goodbye() {
    for limits in [
        SpliceLimits { idle: Some(Duration::from_millis(200)), lifetime: None },
        SpliceLimits { idle: None, lifetime: Some(Duration::from_millis(200)) },
    ] {
        let site = TcpSite::with(|config| config.session = limits).await;
        let mut session = site.open(&site.client(Some(&site.device("d1")))).await;
        assert!(ended(&mut session).await);
    }
}

#[tokio::test]
async fn a_door_that_drains_lets_sessions_end_by_themselves_and_cuts_the_rest() {
    let site = TcpSite::usual().await;
    let (address, client) = (site.address(), site.client(Some(&site.device("d1"))));
    let (mut ending, mut staying) = (site.open(&client).await, site.open(&client).await);
    assert!(echoes(&mut ending).await && echoes(&mut staying).await);
    let drained = tokio::spawn(site.door.drain(Duration::from_millis(500)));
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("nobody listens any more");
    assert!(echoes(&mut ending).await, "sessions go on meanwhile");
    drop(ending);
    assert!(!ended(&mut staying).await, "cut when the grace is over");
    drained.await.unwrap();
}
