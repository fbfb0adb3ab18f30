//! Upstreams behind TLS prove who they are before a byte is sent, and see the certificate they ask for. The
//! upstream is another door, which tells whose certificate it saw.

use std::path::Path;
use std::time::Instant;

use countersign_core::ids::SpkiSha256;
use countersign_core::settings::Enforcement;
use countersign_edge::{
    DoorError, HttpDoor, Route, RouteScreen, Upstream, UpstreamCertificate, UpstreamGroup, UpstreamProtocol,
    UpstreamRoots, UpstreamTls,
};
use countersign_testkit::{TestCa, TestCertificate};
use countersign_tls::{ClientTls, ConnectError, ServerTrust};

use crate::site::{PATIENCE, Plan, Site};
use crate::visitor::Answer;

/// A door whose route `/` leads to another one, as `change` wants it.
async fn before(behind: &Site, folder: &Path, change: impl FnOnce(&mut UpstreamGroup)) -> Site {
    let mut plan = Plan::usual().await;
    plan.config.routes = vec![route(behind, folder, change)];
    plan.open()
}

fn route(behind: &Site, folder: &Path, change: impl FnOnce(&mut UpstreamGroup)) -> Route {
    let roots = folder.join("roots.pem");
    std::fs::write(&roots, behind.ca.root_pem()).unwrap();
    let address = format!("https://localhost:{}", behind.address().port());
    let mut group = UpstreamGroup::new(vec![address.parse().unwrap()]);
    group.tls.roots = Some(UpstreamRoots::File(roots));
    change(&mut group);
    Route {
        host: None,
        path_prefix: "/".to_owned(),
        upstream: Upstream::from(group),
        identity: Enforcement::Off,
        audience: None,
        renewal_paths: Vec::new(),
        screen: RouteScreen::default(),
    }
}

/// A directory as `cert issue` makes it.
fn put(folder: &Path, certificate: &TestCertificate) -> UpstreamCertificate {
    let directory = folder.join("gateway");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("gateway-cert.pem"), certificate.chain_pem()).unwrap();
    std::fs::write(directory.join("gateway-key.pem"), certificate.key_pem()).unwrap();
    UpstreamCertificate::in_directory(&directory).unwrap()
}

async fn device_seen(site: &Site) -> Option<String> {
    let answer: Answer = site.visitor(None).get("/open/x").await;
    answer.told_header("countersign-device")
}

#[tokio::test]
async fn the_upstream_sees_our_certificate_over_both_versions() {
    let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
    let certificate = put(folder.path(), &behind.device("gateway"));
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let site = before(&behind, folder.path(), |group| {
            group.protocol = protocol;
            group.tls.certificate = Some(certificate.clone());
        })
        .await;
        for _again in 0..2 {
            let answer = site.visitor(None).get("/required/x").await;
            assert_eq!(answer.told_header("countersign-device").as_deref(), Some("gateway"), "{protocol:?}");
            assert_eq!(answer.told_header("host").as_deref(), Some("door.test"), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn without_a_certificate_it_shows_none() {
    let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
    let site = before(&behind, folder.path(), |_group| {}).await;
    assert_eq!(device_seen(&site).await, None);
    assert_eq!(
        site.visitor(None).get("/required/x").await.code(),
        "MTLS_REQUIRED",
        "the upstream's own answer"
    );
}

#[tokio::test]
async fn fails_closed_on_a_server_that_proves_nothing() {
    let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
    let other = TestCa::new("countersign.internal");
    let roots = folder.path().join("other.pem");
    std::fs::write(&roots, other.root_pem()).unwrap();
    let wrong: [UpstreamTls; 4] = [
        UpstreamTls { roots: Some(UpstreamRoots::File(roots)), ..UpstreamTls::default() },
        UpstreamTls { pins: vec![[7; 32].into()], ..UpstreamTls::default() },
        UpstreamTls { roots: Some(UpstreamRoots::System), ..UpstreamTls::default() },
        UpstreamTls { server_name: Some("other.test".to_owned()), ..UpstreamTls::default() },
    ];
    for tls in wrong {
        let site = before(&behind, folder.path(), |group| {
            let roots = group.tls.roots.take();
            group.tls = UpstreamTls {
                roots: tls.roots.clone().or(roots).filter(|_| tls.pins.is_empty()),
                ..tls.clone()
            };
        })
        .await;
        assert_eq!(site.visitor(None).get("/open/x").await.code(), "UPSTREAM_UNREACHABLE", "{tls:?}");
    }
    // Its right key under the wrong roots is not enough either.
    let pins = vec![pin_of(&behind).await];
    let roots = folder.path().join("other.pem");
    let site = before(&behind, folder.path(), |group| {
        group.tls = UpstreamTls { pins, roots: Some(UpstreamRoots::File(roots)), ..UpstreamTls::default() };
    })
    .await;
    assert_eq!(site.visitor(None).get("/open/x").await.code(), "UPSTREAM_UNREACHABLE");
}

/// The key that a door shows, as who expects another one is told.
async fn pin_of(site: &Site) -> SpkiSha256 {
    let trust = ServerTrust::Keys(vec![[7; 32].into()]);
    let tcp = site.visitor(None).tcp().await;
    match ClientTls::new(&trust, None).unwrap().handshake("127.0.0.1", tcp).await {
        Err(ConnectError::KeyMismatch { got }) => got,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pinned_key_is_enough_and_so_is_another_name_it_proves() {
    let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
    let pins = vec![[7; 32].into(), pin_of(&behind).await];
    let pinned = before(&behind, folder.path(), |group| {
        group.tls = UpstreamTls { pins: pins.clone(), ..UpstreamTls::default() };
    })
    .await;
    assert_eq!(pinned.visitor(None).get("/open/x").await.status, 200);
    let named = before(&behind, folder.path(), |group| {
        group.tls.pins = pins;
        group.tls.server_name = Some("door.test".to_owned());
    })
    .await;
    assert_eq!(named.visitor(None).get("/open/x").await.status, 200);
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_refused_request() {
    let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
    let certificate = put(folder.path(), &behind.device("before"));
    let site = before(&behind, folder.path(), |group| group.tls.certificate = Some(certificate)).await;
    assert_eq!(device_seen(&site).await.as_deref(), Some("before"));
    // For a moment the key is another certificate's: the old pair stays in use.
    std::fs::write(folder.path().join("gateway/gateway-cert.pem"), behind.device("after").chain_pem())
        .unwrap();
    for _again in 0..20 {
        assert_eq!(device_seen(&site).await.as_deref(), Some("before"));
    }
    put(folder.path(), &behind.device("after"));
    let began = Instant::now();
    loop {
        let seen = device_seen(&site).await;
        if seen.as_deref() == Some("after") {
            break;
        }
        assert_eq!(seen.as_deref(), Some("before"), "never nobody");
        assert!(began.elapsed() < PATIENCE, "in time");
    }
}

#[tokio::test]
async fn the_doors_own_certificate_can_be_shown() {
    let behind = Site::usual().await;
    let folder = tempfile::tempdir().unwrap();
    let site =
        before(&behind, folder.path(), |group| group.tls.certificate = Some(UpstreamCertificate::Door)).await;
    let mut reports = behind;
    // To the door behind it is no device's, which it says where an identity is needed.
    assert_eq!(site.visitor(None).get("/required/x").await.code(), "CERTIFICATE_UNTRUSTED");
    drop(reports.next_report().await);
}

#[tokio::test]
async fn a_door_without_a_way_to_tell_its_upstream_stays_shut() {
    let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
    for change in [
        (|group| group.tls.roots = None) as fn(&mut UpstreamGroup),
        |group| group.tls.roots = Some(UpstreamRoots::File("/nowhere.pem".into())),
        |group| {
            let (chain, key) = ("/nowhere.pem".into(), "/nowhere-key.pem".into());
            group.tls.certificate = Some(UpstreamCertificate::Files { chain, key });
        },
    ] {
        let route = route(&behind, folder.path(), change);
        let (config, inputs) = behind.another_door(|config| config.routes.push(route));
        let refused = HttpDoor::start(config, inputs);
        assert!(matches!(refused, Err(DoorError::Upstreams { .. })));
    }
}
