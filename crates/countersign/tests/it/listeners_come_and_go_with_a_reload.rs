//! Proves that a reload opens and closes TCP doors, the redirect and the access log, watches other
//! certificates, gets a certificate from a public CA and gives egress other ways, all or none of it; and that
//! an edge reloads as a server does.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use countersign_testkit::{Connection, vacant_address};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Device, Edge, Installation, Pebble, Time, done, openssl, until};
use crate::upstream::Upstream;

fn reload(installation: &Installation, text: &str) {
    fs_err::write(installation.folder().join("countersign.toml"), text).unwrap();
    installation.signal(Signal::HUP);
}

/// The TCP doors that the ports file names.
fn ports(installation: &Installation) -> Value {
    let text = fs_err::read_to_string(installation.folder().join("ports.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["tcpDoors"].clone()
}

fn at(ports: &Value, name: &str) -> SocketAddr {
    let port = u16::try_from(ports[name].as_u64().unwrap()).unwrap();
    (Ipv4Addr::LOCALHOST, port).into()
}

fn tcp_door(name: &str, upstream: &Upstream) -> String {
    let upstream = upstream.url().replace("http://", "tcp://");
    format!("[[tcp_door]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n")
}

async fn served(connection: &mut Connection) -> bool {
    connection.request("GET", "/x", &[], "").await.is_ok_and(|answer| answer.status == 200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_doors_open_and_close_and_are_judged_as_the_others() {
    let upstream = Upstream::start().await;
    let one = format!("drain_seconds = 1\n{}", tcp_door("one", &upstream));
    let installation = Installation::configured(&one, Time::Real).await;
    let device = Device::enrol(&installation, "pump").await;
    let first = at(&ports(&installation), "one");
    let mut over_first = device.client(&installation).connect(first).await.unwrap();
    assert!(served(&mut over_first).await);

    reload(&installation, &(one.clone() + &tcp_door("two", &upstream)));
    until("the second is open", async || ports(&installation)["two"].is_u64()).await;
    let now = ports(&installation);
    assert_eq!(at(&now, "one"), first, "the first stays where it is");
    assert!(served(&mut over_first).await, "and its sessions go on");
    let mut over_second = device.client(&installation).connect(at(&now, "two")).await.unwrap();
    assert!(served(&mut over_second).await);
    let denied = done(&installation.admin().deny(device.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(0), "the new door counts");
    over_first.closed().await;
    over_second.closed().await;

    let device = Device::enrol(&installation, "other").await;
    let mut left = device.client(&installation).connect(first).await.unwrap();
    assert!(served(&mut left).await);
    let two = format!("drain_seconds = 1\n{}", tcp_door("two", &upstream));
    reload(&installation, &two);
    until("the first is closed", async || device.client(&installation).connect(first).await.is_err()).await;
    assert_eq!(ports(&installation)["one"], Value::Null);
    left.closed().await;
    let mut over_second = device.client(&installation).connect(at(&now, "two")).await.unwrap();
    assert!(served(&mut over_second).await, "the second stays");
    let denied = done(&installation.admin().deny(device.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(0), "the first counts no more");
    over_second.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_address_that_is_taken_nothing_changes() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&tcp_door("one", &upstream), Time::Real).await;
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let other = tcp_door("two", &upstream) + &tcp_door("three", &upstream).replace("127.0.0.1:0", &address);
    reload(&installation, &other);
    until("it is refused", async || installation.log().contains("configuration not reloaded")).await;
    assert!(installation.log().contains("open the TCP door three"), "{}", installation.log());
    let (one, two) = (&ports(&installation)["one"], &ports(&installation)["two"]);
    assert!(one.is_u64() && two.is_null(), "{one} {two}");
    until("the refusal is written down", async || {
        installation.admin().audit("event=configuration.refused").await.len() == 1
    })
    .await;
    assert!(installation.admin().audit("event=configuration.reloaded").await.is_empty());
}

/// The status line of what is answered to a plain request.
fn plainly(http: SocketAddr) -> String {
    let url = format!("http://{http}/x");
    let asked = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url]).output();
    String::from_utf8(asked.unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_opens_and_with_it_comes_a_certificate_from_a_public_ca() {
    let http = vacant_address();
    let pebble = Pebble::start(http, 3600).await;
    let installation = Installation::configured("", Time::Real).await;
    assert_eq!(plainly(http), "000");
    let (directory, root) = (pebble.directory(), pebble.root());
    let redirect = format!("[redirect]\nlisten = \"{http}\"\n");
    let acme = format!(
        "[acme]\nhosts = [\"gateway.example\"]\nagree_to_terms = true\ndirectory = \"{directory}\"\nca_file = \"{root}\"\n"
    );
    let issuer = || {
        let address = installation.own_door().to_string();
        let ran = openssl(&["s_client", "-connect", &address, "-servername", "gateway.example"], b"");
        openssl(&["x509", "-noout", "-issuer"], ran.stdout.as_bytes()).stdout
    };
    assert!(!issuer().contains("Pebble"));
    reload(&installation, &(redirect.clone() + &acme));
    until("a certificate is obtained", async || issuer().contains("Pebble")).await;
    assert!(["301", "421"].contains(&plainly(http).as_str()), "{}", plainly(http));
    reload(&installation, "");
    until("the redirect is closed", async || plainly(http) == "000").await;
    assert!(!issuer().contains("Pebble"), "nobody asked for that certificate any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_log_begins_moves_and_ends() {
    let installation = Installation::configured("", Time::Real).await;
    let mut connection = installation.client().connect(installation.own_door()).await.unwrap();
    let log = |name: &str| installation.folder().join(name);
    let lines = |name: &str| fs_err::read_to_string(log(name)).unwrap_or_default().lines().count();
    let mut ask =
        async || assert_eq!(connection.json("GET", "/health", None, None).await.unwrap().status, 200);
    ask().await;
    for name in ["one.log", "two.log"] {
        reload(&installation, &format!("[access_log]\nfile = \"{name}\"\n"));
        until("lines come", async || {
            ask().await;
            lines(name) > 0
        })
        .await;
    }
    let count = |what: &str| installation.log().matches(what).count();
    let before = count("configuration reloaded");
    reload(&installation, "");
    until("it is reloaded", async || count("configuration reloaded") > before).await;
    until("no more lines come", async || {
        let before = lines("two.log");
        ask().await;
        lines("two.log") == before
    })
    .await;
    reload(&installation, "[access_log]\nfile = \"nowhere/three.log\"\n");
    until("it is refused", async || installation.log().contains("nowhere/three.log")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_and_the_ways_of_egress_follow() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("egress.sock");
    let way = |host: &str| {
        format!(
            "[[egress]]\nlisten = \"unix:{}\"\nhost = \"{host}\"\nupstream = \"https://127.0.0.1:1\"\n\
             system_roots = true\nclient_certificate = \"door\"\n",
            socket.display()
        )
    };
    let monitor = |name: &str| format!("[[monitor]]\nname = \"{name}\"\nfile = \"{name}.pem\"\n");
    let installation = Installation::configured(&(way("a.example") + &monitor("first")), Time::Real).await;
    let code = |host: &str| {
        let url = format!("http://{host}/");
        let asked = Command::new("curl").args(["-s", "--unix-socket"]).arg(&socket).arg(&url).output();
        serde_json::from_slice::<Value>(&asked.unwrap().stdout).unwrap()["code"].clone()
    };
    let watched = async || -> Vec<Value> {
        let list = done(&installation.admin().get("/monitors").await);
        list["monitors"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(code("b.example"), "EGRESS_UPSTREAM_UNKNOWN");
    assert_ne!(code("a.example"), "EGRESS_UPSTREAM_UNKNOWN");
    assert_eq!(watched().await, ["first"]);
    reload(&installation, &(way("b.example") + &monitor("second")));
    until("the other way is there", async || code("b.example") != "EGRESS_UPSTREAM_UNKNOWN").await;
    assert_eq!(code("a.example"), "EGRESS_UPSTREAM_UNKNOWN");
    until("the other certificate is watched", async || watched().await == ["second"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_reloads_too() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let route = |upstream: &Upstream| {
        format!("[[route]]\npath = \"/app\"\nupstream = \"{}\"\nrequire_identity = false\n", upstream.url())
    };
    let installation = Installation::configured(&route(&first), Time::Real).await;
    let edge = Edge::start(&installation, "berlin").await;
    let mut connection = installation.client().connect(edge.door()).await.unwrap();
    assert_eq!(connection.request("GET", "/app", &[], "").await.unwrap().status, 200);
    assert_eq!(first.received().len(), 1);
    edge.configure("[http_door]\nmax_connections = 0\n");
    edge.signal(Signal::HUP);
    until("it is refused", async || edge.log().contains("configuration not reloaded")).await;
    assert_eq!(connection.request("GET", "/app", &[], "").await.unwrap().status, 200);
    assert_eq!(first.received().len(), 1);
    edge.configure(&route(&second));
    edge.signal(Signal::HUP);
    until("the other upstream is asked", async || {
        assert_eq!(connection.request("GET", "/app", &[], "").await.unwrap().status, 200);
        !second.received().is_empty()
    })
    .await;
}
