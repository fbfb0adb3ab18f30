//! Plain HTTP is led to the door, and answered nothing else.

use std::net::SocketAddr;

use countersign_edge::{HttpChallenges, Redirect, RedirectConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::site::PATIENCE;

fn redirect() -> Redirect {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = RedirectConfig { listen, hosts: vec!["door.test".to_owned()], https_port: 8443 };
    Redirect::start(config, HttpChallenges::default(), Vec::new()).unwrap()
}

async fn asked(redirect: &Redirect, request: &str) -> String {
    let mut stream = TcpStream::connect(redirect.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut heard)).await.expect("closed in time").unwrap();
    heard
}

#[tokio::test]
async fn every_request_for_a_host_of_ours_is_led_to_the_door() {
    let redirect = redirect();
    for method in ["GET", "POST"] {
        let heard = asked(&redirect, &format!("{method} /a?b=c HTTP/1.1\r\nHost: door.test\r\n\r\n")).await;
        assert!(heard.starts_with("HTTP/1.1 301"), "{heard}");
        assert!(heard.to_ascii_lowercase().contains("location: https://door.test:8443/a?b=c\r\n"), "{heard}");
    }
    let address = redirect.local_addr();
    redirect.close().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_for_another_host_is_led_nowhere() {
    let redirect = redirect();
    let heard = asked(&redirect, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 421"), "{heard}");
    assert!(!heard.to_ascii_lowercase().contains("location"), "{heard}");
}
