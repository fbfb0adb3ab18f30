//! A PROXY header counts from a listed network alone, and there it must be.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::site::{PATIENCE, Plan, Site};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x12\x67\x01\xbb";

async fn behind_a_balancer() -> Site {
    let mut plan = Plan::usual().await;
    plan.config.proxy_networks = vec!["127.0.0.0/8".parse().unwrap()];
    plan.open()
}

async fn is_refused(site: &Site, start: &[u8]) {
    let mut tcp = site.visitor(None).tcp().await;
    tcp.write_all(start).await.unwrap();
    let mut heard = Vec::new();
    drop(timeout(PATIENCE, tcp.read_to_end(&mut heard)).await.expect("closed in time"));
    assert!(!heard.starts_with(&[0x16]), "no handshake: {heard:?}");
}

#[tokio::test]
async fn from_a_listed_network_it_says_who_the_client_is() {
    let site = behind_a_balancer().await;
    let certificate = site.device("d1");
    for (header, address) in [(V1, "192.0.2.7"), (V2, "192.0.2.7"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")] {
        let visitor = site.visitor(Some(&certificate));
        let mut tcp = visitor.tcp().await;
        tcp.write_all(header).await.unwrap();
        let mut line = visitor.over(tcp).await;
        assert_eq!(line.get("/health").await.unwrap().told("address"), address);
        let upstream = line.get("/required/x").await.unwrap();
        assert_eq!(upstream.told_header("x-forwarded-for").as_deref(), Some(address));
    }
}

#[tokio::test]
async fn from_a_listed_network_nothing_else_is_a_beginning() {
    let site = behind_a_balancer().await;
    let long = [b"PROXY ".to_vec(), vec![b'1'; 200], b"\r\n".to_vec()].concat();
    for start in
        [&b"\x16\x03\x01\x00\x10 a client hello"[..], b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 x\r\n", &long]
    {
        is_refused(&site, start).await;
    }
}

#[tokio::test]
async fn from_an_unlisted_network_it_is_refused() {
    let site = Site::usual().await;
    for header in [V1, V2] {
        is_refused(&site, header).await;
    }
}
