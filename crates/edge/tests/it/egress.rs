//! Through the egress a local service reaches what is on its list, as whom it is listed, and nothing else.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use countersign_edge::headers::CfBlobHeader;
use countersign_edge::{
    EdgeReport, Egress, EgressAddress, EgressError, EgressInputs, EgressListener, EgressReach, EgressSocket,
    EgressWay, UpstreamCertificate, UpstreamGroup, UpstreamProtocol, UpstreamRoots,
};
use countersign_testkit::TestCertificate;
use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::site::{PATIENCE, Site};
use crate::visitor::Answer;

/// Whom the local service asks for; the door behind has a certificate for it.
const HOST: &str = "door.test";

/// A directory as `cert issue` makes it.
fn put(folder: &Path, name: &str, certificate: &TestCertificate) -> UpstreamCertificate {
    let directory = folder.join(name);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(format!("{name}-cert.pem")), certificate.chain_pem()).unwrap();
    std::fs::write(directory.join(format!("{name}-key.pem")), certificate.key_pem()).unwrap();
    UpstreamCertificate::in_directory(&directory).unwrap()
}

/// A door with an upstream behind it, and an egress that leads there.
struct Setting {
    behind: Site,
    folder: tempfile::TempDir,
    reports: mpsc::Receiver<EdgeReport>,
    egress: Egress,
}

impl Setting {
    /// The ways: `usual` shows itself where no certificate is named, `named` where it is named as `one`.
    async fn at(address: EgressAddress, change: impl FnOnce(&mut EgressListener)) -> Self {
        let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
        let mut listener = listener(&behind, folder.path(), address);
        change(&mut listener);
        let (sender, reports) = mpsc::channel(100);
        let egress = Egress::start(&[listener], inputs(&behind, sender)).unwrap();
        Self { behind, folder, reports, egress }
    }

    async fn usual() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), |_listener| {}).await
    }

    async fn tcp(&self) -> TcpStream {
        match self.egress.addresses() {
            [EgressAddress::Tcp(address)] => TcpStream::connect(address).await.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Answer {
        ask(self.tcp().await, "/required/x", headers).await
    }

    async fn next_report(&mut self) -> EdgeReport {
        timeout(PATIENCE, self.reports.recv()).await.expect("a report in time").unwrap()
    }
}

fn inputs(behind: &Site, reports: mpsc::Sender<EdgeReport>) -> EgressInputs {
    EgressInputs { credentials: None, reports, clock: Arc::clone(&behind.clock) as _ }
}

fn listener(behind: &Site, folder: &Path, address: EgressAddress) -> EgressListener {
    let roots = folder.join("roots.pem");
    std::fs::write(&roots, behind.ca.root_pem()).unwrap();
    let way = |name: &str, id: Option<&str>| {
        let to = format!("https://127.0.0.1:{}", behind.address().port());
        let mut upstreams = UpstreamGroup::new(vec![to.parse().unwrap()]);
        upstreams.tls.roots = Some(UpstreamRoots::File(roots.clone()));
        upstreams.tls.certificate = Some(put(folder, name, &behind.device(name)));
        EgressWay {
            host: HOST.to_owned(),
            path_prefix: "/".to_owned(),
            certificate_id: id.map(str::to_owned),
            upstreams,
        }
    };
    EgressListener {
        address,
        reach: EgressReach::Loopback,
        allowed_uids: Vec::new(),
        cf_blob: CfBlobHeader::default(),
        ways: vec![way("usual", None), way("named", Some("one"))],
    }
}

async fn ask<IO>(io: IO, path: &str, headers: &[(&str, &str)]) -> Answer
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut client, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let hosted: HeaderMap = [(http::header::HOST, HOST.parse().unwrap())].into_iter().collect();
    if !request.headers().contains_key("host") {
        request.headers_mut().extend(hosted);
    }
    Answer::read(timeout(PATIENCE, client.send_request(request)).await.unwrap().unwrap()).await.unwrap()
}

fn device(answer: &Answer) -> Option<String> {
    answer.told_header("countersign-device")
}

#[tokio::test]
async fn the_certificate_is_that_of_the_way_or_the_one_that_is_named() {
    let setting = Setting::usual().await;
    assert_eq!(device(&setting.get(&[]).await).as_deref(), Some("usual"));
    let by_header = setting.get(&[("Countersign-Certificate-Id", "one")]).await;
    assert_eq!(device(&by_header).as_deref(), Some("named"));
    let cf = r#"{"clientCertificate":{"certificateId":"one"}}"#;
    let by_cf = setting.get(&[("CF-Blob", cf), ("X-Plain", "kept")]).await;
    assert_eq!(device(&by_cf).as_deref(), Some("named"));
    assert_eq!(by_cf.told_header("x-plain").as_deref(), Some("kept"));
    assert_eq!(by_cf.told_header("host").as_deref(), Some(HOST));
    assert_eq!(by_cf.told_header("cf-blob"), None, "it goes no further");
}

#[tokio::test]
async fn an_upstream_may_speak_http_2() {
    let setting = Setting::at("127.0.0.1:0".parse().unwrap(), |listener| {
        for way in &mut listener.ways {
            way.upstreams.protocol = UpstreamProtocol::Http2;
        }
    })
    .await;
    for _over_one_connection in 0..3 {
        let answer = setting.get(&[("X-Plain", "kept")]).await;
        assert_eq!(device(&answer).as_deref(), Some("usual"));
        assert_eq!(answer.told_header("x-plain").as_deref(), Some("kept"));
        assert_eq!(answer.told_header("host").as_deref(), Some(HOST));
    }
    let named = setting.get(&[("Countersign-Certificate-Id", "one")]).await;
    assert_eq!(device(&named).as_deref(), Some("named"));
}

#[tokio::test]
async fn what_is_handed_over_is_listened_at_and_may_reach_no_further() {
    let setting = Setting::usual().await;
    let (sender, _reports) = mpsc::channel(100);
    let wanted = listener(&setting.behind, setting.folder.path(), "127.0.0.1:0".parse().unwrap());
    let mut sockets = setting.egress.sockets().unwrap();
    let once = std::slice::from_ref(&wanted);
    let again =
        Egress::start_on(once, inputs(&setting.behind, sender.clone()), |_address| sockets.pop()).unwrap();
    assert_eq!(again.addresses(), setting.egress.addresses());
    let addresses = setting.egress.addresses().to_vec();
    setting.egress.drain(PATIENCE).await;
    let [EgressAddress::Tcp(address)] = addresses[..] else { panic!("{addresses:?}") };
    let answer = ask(TcpStream::connect(address).await.unwrap(), "/required/x", &[]).await;
    assert_eq!(device(&answer).as_deref(), Some("usual"));
    again.drain(PATIENCE).await;

    let far = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let mut sockets = vec![EgressSocket::Tcp(far)];
    let refused = Egress::start_on(once, inputs(&setting.behind, sender), |_address| sockets.pop());
    assert!(matches!(refused, Err(EgressError::BeyondLoopback(_))), "{refused:?}");
}

#[tokio::test]
async fn what_is_not_on_the_list_is_refused() {
    type Sent = &'static [(&'static str, &'static str)];
    const CF: &str = r#"{"clientCertificate":{"certificateId":"two"}}"#;
    let mut setting = Setting::at("127.0.0.1:0".parse().unwrap(), |listener| {
        let mut named_only = listener.ways[1].clone();
        named_only.path_prefix = "/required/named".to_owned();
        listener.ways.push(named_only);
    })
    .await;
    let refused: [(Sent, &str, u16); 6] = [
        (&[("Host", "elsewhere.test")], "EGRESS_UPSTREAM_UNKNOWN", 403),
        (&[("Host", "127.0.0.1")], "EGRESS_UPSTREAM_UNKNOWN", 403),
        (&[("Countersign-Certificate-Id", "two")], "EGRESS_CERTIFICATE_UNKNOWN", 403),
        (&[("CF-Blob", CF)], "EGRESS_CERTIFICATE_UNKNOWN", 403),
        (&[("CF-Blob", CF), ("Countersign-Certificate-Id", "one")], "EGRESS_CERTIFICATE_AMBIGUOUS", 400),
        (&[("CF-Blob", "{")], "EGRESS_CERTIFICATE_UNREADABLE", 400),
    ];
    for (headers, code, status) in refused {
        let answer = setting.get(headers).await;
        assert_eq!((answer.code().as_str(), answer.status.as_u16()), (code, status), "{headers:?}");
        let EdgeReport::Refused(report) = setting.next_report().await else { panic!("a refusal") };
        assert_eq!(report.code, code);
        assert_eq!(
            answer.headers.get("x-request-id").unwrap().to_str().unwrap(),
            report.request_id.to_string()
        );
    }
    let needed = ask(setting.tcp().await, "/required/named/x", &[]).await;
    assert_eq!(needed.code(), "EGRESS_CERTIFICATE_NEEDED", "a shorter path's certificate is not taken");
    let named = ask(setting.tcp().await, "/required/named/x", &[("Countersign-Certificate-Id", "one")]).await;
    assert_eq!(device(&named).as_deref(), Some("named"));
}

#[tokio::test]
async fn a_web_page_borrows_nothing() {
    let setting = Setting::usual().await;
    for header in ["Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"] {
        assert_eq!(
            setting.get(&[(header, "https://evil.example")]).await.code(),
            "EGRESS_PAGE_REFUSED",
            "{header}"
        );
    }
}

#[tokio::test]
async fn it_is_no_forward_proxy() {
    let setting = Setting::usual().await;
    let tunnel = {
        let mut stream = setting.tcp().await;
        stream.write_all(b"CONNECT door.test:443 HTTP/1.1\r\nHost: door.test:443\r\n\r\n").await.unwrap();
        let mut heard = Vec::new();
        drop(timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap());
        String::from_utf8(heard).unwrap()
    };
    assert!(tunnel.starts_with("HTTP/1.1 400"), "{tunnel}");
    let elsewhere = ask(setting.tcp().await, "http://elsewhere.test/", &[("Host", "elsewhere.test")]).await;
    assert_eq!(elsewhere.code(), "EGRESS_UPSTREAM_UNKNOWN");
    let two_hosts = ask(setting.tcp().await, "http://elsewhere.test/", &[("Host", HOST)]).await;
    assert_eq!(two_hosts.code(), "BAD_HOST");
}

#[tokio::test]
async fn what_a_service_says_about_clients_does_not_pass() {
    let setting = Setting::usual().await;
    let answer = setting.get(&[("Client-Cert", "forged"), ("X-SSL-Client-Verify", "SUCCESS")]).await;
    assert!(!answer.told("headers").to_string().contains("forged"));
    let named = setting.get(&[("Connection", "Client-Cert")]).await;
    assert_eq!(named.code(), "CONNECTION_NAMES_HEADER");
}

#[tokio::test]
async fn over_a_unix_socket_only_who_may_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("egress.sock");
    let own = std::fs::metadata(folder.path()).unwrap().uid();
    let setting = Setting::at(EgressAddress::Unix(path.clone()), |_| {}).await;
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let stream = UnixStream::connect(&path).await.unwrap();
    assert_eq!(device(&ask(stream, "/required/x", &[]).await).as_deref(), Some("usual"));
    drop(setting);
    let other = folder.path().join("other.sock");
    let mut setting =
        Setting::at(EgressAddress::Unix(other.clone()), |listener| listener.allowed_uids = vec![own + 1])
            .await;
    let mut stream = UnixStream::connect(&other).await.unwrap();
    drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: door.test\r\n\r\n").await);
    let mut heard = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap());
    assert_eq!(heard, b"", "not a word");
    let EdgeReport::Refused(report) = setting.next_report().await else { panic!("a refusal") };
    assert_eq!(report.code, "EGRESS_CALLER_REFUSED");
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_taken_over_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("egress.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let setting = Setting::at(EgressAddress::Unix(path.clone()), |_| {}).await;
    let second = listener(&setting.behind, setting.folder.path(), EgressAddress::Unix(path));
    let refused = Egress::start(&[second], inputs(&setting.behind, mpsc::channel(1).0));
    assert!(matches!(refused, Err(EgressError::Listen { .. })));
}

#[tokio::test]
async fn beyond_loopback_it_has_to_be_said() {
    let (behind, folder) = (Site::usual().await, tempfile::tempdir().unwrap());
    let mut listener = listener(&behind, folder.path(), "0.0.0.0:0".parse().unwrap());
    let refused = Egress::start(std::slice::from_ref(&listener), inputs(&behind, mpsc::channel(1).0));
    assert!(matches!(refused, Err(EgressError::BeyondLoopback(_))));
    listener.reach = EgressReach::DangerBeyondLoopback;
    assert!(Egress::start(&[listener], inputs(&behind, mpsc::channel(1).0)).is_ok());
}

#[tokio::test]
async fn a_rotation_drops_no_request() {
    let setting = Arc::new(Setting::usual().await);
    let is_over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (setting, is_over) = (Arc::clone(&setting), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let answer = setting.get(&[]).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                seen.push(device(&answer).unwrap());
            }
            seen
        })
    };
    put(setting.folder.path(), "usual", &setting.behind.device("rotated"));
    let rotated = async { while device(&setting.get(&[]).await).as_deref() != Some("rotated") {} };
    timeout(PATIENCE, rotated).await.expect("the new certificate in time");
    is_over.store(true, Ordering::Relaxed);
    let seen = asking.await.unwrap();
    assert!(seen.iter().all(|name| name == "usual" || name == "rotated"), "{seen:?}");
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way() {
    let setting = Setting::usual().await;
    let mut waiting = setting.tcp().await;
    waiting.write_all(b"GET /open/wait HTTP/1.1\r\nHost: door.test\r\n\r\n").await.unwrap();
    // Its request is there when another one is answered.
    let stream = setting.tcp().await;
    assert_eq!(ask(stream, "/open/x", &[]).await.status, 200);
    let Setting { behind, egress, .. } = setting;
    let draining = tokio::spawn(egress.drain(PATIENCE));
    let waiting = tokio::spawn(async move {
        let mut heard = String::new();
        drop(waiting.read_to_string(&mut heard).await);
        heard
    });
    while !waiting.is_finished() {
        let go = behind.visitor(None).get("/open/go").await;
        assert_eq!(go.status, 200);
    }
    let heard = waiting.await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 200 OK"), "{heard}");
    timeout(PATIENCE + Duration::from_secs(1), draining).await.unwrap().unwrap();
}
