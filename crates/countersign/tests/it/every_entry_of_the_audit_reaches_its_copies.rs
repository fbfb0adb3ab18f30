//! Proves that a copy of the audit gets every entry in order, whatever happens at either end: a webhook that is away, a
//! syslog server that resets in the middle, kill -9 of the server between sending and knowing; and that the copy can
//! be checked by itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use countersign_testkit::{Connection, vacant_address};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::harness::{Installation, Time, done, until};

const SECRET: &str = "a secret of sixteen and more";

/// Takes signed batches, once it wants to.
#[derive(Default)]
struct Webhook {
    takes: AtomicBool,
    refused: Mutex<Vec<(String, String)>>,
    taken: Mutex<Vec<(String, String)>>,
}

impl Webhook {
    async fn at(address: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind(address).await.unwrap();
        let webhook = Arc::<Self>::default();
        let serving = Arc::clone(&webhook);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let webhook = Arc::clone(&serving);
                let service = service_fn(move |request| Arc::clone(&webhook).answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        webhook
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let (batch, signature) = (header("countersign-batch"), header("countersign-signature"));
        assert_eq!(header("content-type"), "application/x-ndjson");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (moment, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let signed = [moment.as_bytes(), b".", &body].concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, &signed, &hex::decode(mac).unwrap()).unwrap();
        let got = (batch, String::from_utf8(body.to_vec()).unwrap());
        let mut response = Response::new(Empty::new());
        if self.takes.load(Ordering::SeqCst) {
            self.taken.lock().unwrap().push(got);
        } else {
            self.refused.lock().unwrap().push(got);
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok(response)
    }

    fn lines(&self) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .flat_map(|(_, body)| body.lines())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Takes syslog strictly as RFC 5424 and RFC 6587 have it; the first connection it resets.
struct SyslogServer(Arc<Mutex<Vec<Value>>>);

impl SyslogServer {
    async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        tokio::spawn(async move {
            let mut is_first = true;
            while let Ok((mut stream, _)) = listener.accept().await {
                if std::mem::take(&mut is_first) {
                    // What is unread when it closes is lost, and the sender is told, unless it was killed before.
                    drop(stream.read_exact(&mut [0; 10]).await);
                    continue;
                }
                let mut bytes = Vec::new();
                // A sender that was killed in the middle says nothing.
                if stream.read_to_end(&mut bytes).await.is_ok()
                    && let Some(entries) = entries(&bytes)
                {
                    kept.lock().unwrap().extend(entries);
                }
            }
        });
        Self(taken)
    }
}

/// `None`: the last is not whole.
fn entries(mut bytes: &[u8]) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let message = bytes.get(space + 1..space + 1 + length)?;
        bytes = &bytes[space + 1 + length..];
        assert!(message.is_ascii());
        let fields: Vec<&str> = std::str::from_utf8(message).unwrap().splitn(8, ' ').collect();
        let [head, at, host, app, process, kind, data, text] = fields[..] else { panic!("{fields:?}") };
        assert_eq!((head, app, process, data), ("<110>1", "countersign", "-", "-"));
        assert!(at.len() == "2026-02-11T10:00:00.123Z".len() && at.ends_with('Z'), "{at}");
        assert!(!host.is_empty());
        let entry: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&entry["at"], &entry["event"]), (&json!(at), &json!(kind)));
        all.push(entry);
    }
    Some(all)
}

/// What arrived, each entry once: what came for the first time came in order.
fn chains(entries: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut chains: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in entries {
        let chain = chains.entry(entry["chain"].as_str().unwrap().to_owned()).or_default();
        let sequence = usize::try_from(entry["sequence"].as_u64().unwrap()).unwrap();
        assert!(sequence <= chain.len() + 1, "{sequence} came after {}", chain.len());
        match chain.get(sequence - 1) {
            Some(known) => assert_eq!(known, entry),
            None => chain.push(entry.clone()),
        }
    }
    chains
}

async fn exported(installation: &Installation) -> BTreeMap<String, Vec<Value>> {
    let bearer = format!("Bearer {}", installation.admin().token());
    let mut admin = Connection::plain(installation.admin_address()).await.unwrap();
    let headers = [("authorization", bearer.as_str())];
    let copy = admin.request("GET", "/api/v1/audit/export", &headers, String::new()).await.unwrap();
    let lines: Vec<Value> = copy.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    chains(&lines)
}

async fn make_tenants(installation: &Installation, names: &[&str]) {
    for name in names {
        let tenant = json!({ "slug": name, "name": format!("{name} Ünïversal") });
        done(&installation.admin().post("/tenants", &tenant).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_resends_and_loses_nothing() {
    let (hook, logs) = (vacant_address(), vacant_address());
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs_err::write(&secret, SECRET).unwrap();
    let config = format!(
        "[[audit_to]]\nname = \"hook\"\nurl = \"http://{hook}/audit\"\nsecret_file = {secret:?}\n\
         [[audit_to]]\nname = \"logs\"\nurl = \"syslog+tcp://{logs}\"\n"
    );
    let webhook = Webhook::at(hook).await;
    let mut installation = super::configured(&config, Time::Real).await;
    make_tenants(&installation, &["acme", "beta"]).await;
    until("it was sent in vain", async || !webhook.refused.lock().unwrap().is_empty()).await;
    let streams = async |installation: &Installation| {
        let answer = installation.admin().get("/audit/streams").await;
        done(&answer)["streams"].as_array().unwrap().clone()
    };
    until("both are behind", async || {
        let streams = streams(&installation).await;
        streams.len() == 2 && streams.iter().all(|one| one["attempts"].as_u64() > Some(0))
    })
    .await;
    let problem = streams(&installation).await[0]["problem"].clone();
    assert_eq!(problem, "the webhook answers 503 Service Unavailable");

    installation.kill().await;
    let server = SyslogServer::at(logs).await;
    webhook.takes.store(true, Ordering::SeqCst);
    installation.start_again().await;
    make_tenants(&installation, &["gamma"]).await;
    until("the webhook has something", async || !webhook.taken.lock().unwrap().is_empty()).await;
    installation.kill().await;
    installation.start_again().await;
    make_tenants(&installation, &["delta"]).await;

    let wanted = exported(&installation).await;
    assert!(wanted.len() > 4, "{:?}", wanted.keys());
    let has_all = |entries: Vec<Value>| {
        let got = chains(&entries);
        wanted.iter().all(|(chain, entries)| got.get(chain).is_some_and(|got| got.starts_with(entries)))
    };
    // Whoever was killed may have had a batch in hand: nobody else gets it for a minute.
    let patience = std::time::Duration::from_secs(150);
    crate::harness::eventually(patience, "both have everything", async || {
        let got = has_all(webhook.lines()) && has_all(server.0.lock().unwrap().clone());
        got.then_some(())
    })
    .await;
    let again = webhook.refused.lock().unwrap()[0].clone();
    let first = webhook.taken.lock().unwrap()[0].clone();
    assert!(first.1.starts_with(&again.1), "what did not arrive comes first");
    assert!(again.0.starts_with("hook-0-") && first.0.starts_with("hook-0-"), "{} {}", again.0, first.0);

    until("nothing is behind", async || {
        streams(&installation).await.iter().all(|one| one["behind"] == 0 && one["problem"].is_null())
    })
    .await;
    let copy: String =
        chains(&webhook.lines()).into_values().flatten().map(|entry| format!("{entry}\n")).collect();
    fs_err::write(installation.folder().join("copy.jsonl"), copy).unwrap();
    let ran = installation.run(&["audit", "verify", "--export", "copy.jsonl"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}
