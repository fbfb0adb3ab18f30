//! The connector speaks HTTPS over TCP with `hyper_util`'s client, and nothing else.

use bytes::Bytes;
use countersign_testkit::TestCa;
use countersign_tls::{ClientAuth, ClientIdentity, ClientTls, ConnectError, Peer, ServerTrust};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower_service::Service as _;

use crate::meeting::{DOMAIN, Door, credential};

async fn serve_once(door: &Door, listener: &TcpListener) -> (Peer, String) {
    let (tcp, _) = listener.accept().await.unwrap();
    let (mut stream, peer) = door.tls.accept(tcp).await.unwrap();
    let mut heard = vec![0; 4096];
    let length = stream.read(&mut heard).await.unwrap();
    heard.truncate(length);
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    (peer, String::from_utf8(heard).unwrap())
}

#[tokio::test]
async fn a_request_goes_through_with_the_clients_identity() {
    let ca = TestCa::new(DOMAIN);
    let device = ca.device("acme", "d1");
    let door = Door::new(&ca, ClientAuth::Required);
    door.credentials.replace_default(credential(&ca.server(&["127.0.0.1"])));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/hello", listener.local_addr().unwrap().port());

    let identity = ClientIdentity::from_pem(device.chain_pem(), device.key_pem());
    let tls = ClientTls::new(&ServerTrust::Pinned(ca.root_sha256()), Some(&identity)).unwrap();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(tls.connector());
    let asking = async {
        let answer = client.get(url.parse().unwrap()).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    let ((peer, request), body) = tokio::join!(serve_once(&door, &listener), asking);
    assert_eq!(body, "hello");
    assert!(request.starts_with("GET /hello HTTP/1.1\r\n"), "{request}");
    assert_eq!(peer.claim().unwrap().reference, device.reference);
    assert_eq!(peer.alpn(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn the_protocol_is_agreed_by_alpn() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::None);
    let plain = ClientTls::new(&ServerTrust::Roots(ca.root_pem()), None).unwrap();
    let none = door.tls.clone().with_protocols(&[]);
    for (client, server, agreed) in [
        (plain.clone(), &door.tls, Some(&b"http/1.1"[..])),
        (plain.clone().with_http2(), &door.tls, Some(&b"h2"[..])),
        (plain, &none, None),
    ] {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (accepted, connected) = tokio::join!(server.accept(far), client.handshake("door.test", near));
        connected.unwrap();
        assert_eq!(accepted.unwrap().1.alpn(), agreed);
    }
}

#[tokio::test]
async fn only_https_is_connected_to() {
    let ca = TestCa::new(DOMAIN);
    let tls = ClientTls::new(&ServerTrust::Roots(ca.root_pem()), None).unwrap();
    for url in ["http://127.0.0.1/", "/path", "ftp://127.0.0.1/"] {
        let refused = tls.connector().call(url.parse().unwrap()).await;
        assert!(matches!(refused, Err(ConnectError::NotHttps(_))), "{url}");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_told_from_a_lost_connection() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Optional);
    let (mut near, far) = tokio::io::duplex(4096);
    near.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(door.tls.accept(far).await.unwrap_err().code(), "TLS_PROTOCOL_ERROR");
    let (near, far) = tokio::io::duplex(4096);
    drop(near);
    assert_eq!(door.tls.accept(far).await.unwrap_err().code(), "TLS_CONNECTION_LOST");
}
