//! Proves with OpenSSL as the client, over TLS 1.2 and 1.3, that a session is whose certificate began it, and
//! that none crosses from one door, server name or configuration to another.

use std::path::PathBuf;

use crate::harness::{Device, Installation, Time, done, openssl};
use crate::upstream::Upstream;

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];
const REQUEST: &str = "GET /required/x HTTP/1.1\r\nHost: localhost\r\n";

/// Which session a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// None; what the door gives is kept.
    New,
    /// The one that is kept.
    Kept,
}

/// What a connection came to.
#[derive(Debug, PartialEq, Eq)]
struct Visit {
    is_resumed: bool,
    /// The code of the refusal; empty: it was served.
    code: String,
}

impl Visit {
    fn of(is_resumed: bool, code: &str) -> Self {
        Self { is_resumed, code: code.to_owned() }
    }
}

/// `openssl s_client`, which keeps its session in a file.
#[derive(Clone)]
struct Client {
    at: String,
    identity: Option<PathBuf>,
    session: PathBuf,
    version: &'static str,
    server_name: &'static str,
}

impl Client {
    /// One that shows a device's certificate, with a session of its own under `name`.
    fn of(installation: &Installation, device: &Device, version: &'static str, name: &str) -> Self {
        let identity = installation.folder().join(format!("{}{version}.pem", device.name));
        fs_err::write(&identity, device.identity_pem()).unwrap();
        Self { identity: Some(identity), ..Self::anonymous(installation, version, name) }
    }

    fn anonymous(installation: &Installation, version: &'static str, name: &str) -> Self {
        Self {
            at: installation.door().to_string(),
            identity: None,
            session: installation.folder().join(format!("{name}{version}.session")),
            version,
            server_name: "localhost",
        }
    }

    fn arguments(&self, session: Session) -> Vec<String> {
        let mut arguments =
            vec!["s_client", "-connect", &self.at, "-servername", self.server_name, "-ign_eof"];
        let kept = self.session.to_str().unwrap();
        arguments.push(self.version);
        match session {
            Session::New => arguments.extend(["-sess_out", kept]),
            Session::Kept => arguments.extend(["-sess_in", kept]),
        }
        if let Some(identity) = self.identity.as_ref().map(|path| path.to_str().unwrap()) {
            arguments.extend(["-cert", identity, "-key", identity, "-cert_chain", identity]);
        }
        arguments.into_iter().map(str::to_owned).collect()
    }

    fn visit(&self, session: Session) -> Visit {
        let arguments = self.arguments(session);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = openssl(&arguments, format!("{REQUEST}Connection: close\r\n\r\n").as_bytes());
        let is_resumed = ran.stdout.contains("\nReused, TLSv1");
        assert!(is_resumed || ran.stdout.contains("\nNew, TLSv1"), "{}{}", ran.stdout, ran.stderr);
        if ran.stdout.contains("HTTP/1.1 200") {
            return Visit::of(is_resumed, "");
        }
        assert!(ran.stdout.contains("HTTP/1.1 403"), "{}{}", ran.stdout, ran.stderr);
        let (_, rest) = ran.stdout.split_once("\"code\":\"").unwrap();
        Visit::of(is_resumed, rest.split('"').next().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_whose_certificate_began_it() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let (fallen, good) =
        (Device::enrol(&installation, "fallen").await, Device::enrol(&installation, "good").await);
    for version in VERSIONS {
        let client = Client::of(&installation, &fallen, version, "shared");
        assert_eq!(client.visit(Session::New), Visit::of(false, ""));
    }
    let admin = installation.admin();
    done(&admin.revoke(admin.active(fallen.id).await.unwrap().id, "keyCompromise").await);
    for version in VERSIONS {
        // Another certificate beside the session is not even looked at.
        let borrower = Client::of(&installation, &good, version, "shared");
        assert_eq!(borrower.visit(Session::Kept), Visit::of(true, "CERTIFICATE_REVOKED"));
        assert_eq!(borrower.visit(Session::New), Visit::of(false, ""), "by itself it is served");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_crosses_to_another_name_door_or_configuration() {
    let upstream = Upstream::start().await;
    let unasked = format!("[http_door]\nclient_auth = \"none\"\n{}", upstream.routes());
    let mut installation = Installation::configured(&unasked, Time::Real).await;
    let other = Installation::configured(&upstream.routes(), Time::Real).await;
    let clients = VERSIONS.map(|version| Client::anonymous(&installation, version, "anonymous"));
    let nobody = |is_resumed| Visit::of(is_resumed, "MTLS_REQUIRED");
    for client in &clients {
        assert_eq!(client.visit(Session::New), nobody(false));
        assert_eq!(client.visit(Session::Kept), nobody(true));
        let elsewhere = Client { server_name: "door.example.com", ..client.clone() };
        assert!(!elsewhere.visit(Session::Kept).is_resumed, "another name");
        let elsewhere = Client { at: other.door().to_string(), ..client.clone() };
        assert_eq!(elsewhere.visit(Session::Kept), nobody(false), "another door");
    }
    installation.terminate().await;
    installation.reconfigure(&upstream.routes());
    installation.start_again().await;
    let device = Device::enrol(&installation, "d1").await;
    for client in &clients {
        assert_eq!(client.visit(Session::Kept), nobody(false), "the same door, which asks now");
        let own = Client::of(&installation, &device, client.version, "anonymous");
        assert_eq!(own.visit(Session::Kept), Visit::of(false, ""), "who has a certificate shows it anew");
    }
}
