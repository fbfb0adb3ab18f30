//! Proves that a message counts only once every sink has it: its device waits while a webhook is away, kill -9 of the
//! server in the meantime loses nothing that was acknowledged, and once all are there webhook, broker, JetStream and
//! database have it, the webhook with a signature that can be checked.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{Device, Installation, MqttDevice, Running, Time, done, until};

const SECRET: &str = "a secret of sixteen and more";

/// A webhook that can be away.
#[derive(Default)]
struct Webhook {
    is_there: AtomicBool,
    asked: AtomicUsize,
    bodies: Mutex<Vec<(String, String)>>,
}

impl Webhook {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let webhook = Arc::<Self>::default();
        let serving = Arc::clone(&webhook);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let webhook = Arc::clone(&serving);
                let service = service_fn(move |request| Arc::clone(&webhook).answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (webhook, address)
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        let signature = request.headers()["countersign-signature"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(Empty::new());
        if self.is_there.load(Ordering::SeqCst) {
            self.bodies.lock().unwrap().push((signature, String::from_utf8(body.to_vec()).unwrap()));
        } else {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Ok(response)
    }
}

fn vacant_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks JetStream's API, in NATS' own protocol.
pub(crate) fn jetstream(port: u16, subject: &str, question: &Value) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let question = question.to_string();
    let said = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answers 1\r\nPUB $JS.API.{subject} answers {}\r\n{question}\r\n",
        question.len()
    );
    stream.write_all(said.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| line.starts_with("MSG answers")).unwrap();
    serde_json::from_str(&lines.next().unwrap()).unwrap()
}

async fn telemetry(installation: &Installation) -> Vec<Value> {
    let answer = installation.admin().get("/telemetry").await;
    done(&answer)["messages"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_counts_once_every_sink_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (broker_port, nats_port) = (vacant_port(), vacant_port());
    let conf = folder.path().join("mosquitto.conf");
    fs_err::write(&conf, format!("listener {broker_port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let _broker = Running::server(Command::new("mosquitto").arg("-c").arg(&conf), broker_port).await;
    let _nats = Running::server(
        Command::new("nats-server")
            .args(["-js", "-a", "127.0.0.1", "-p", &nats_port.to_string(), "-sd"])
            .arg(folder.path()),
        nats_port,
    )
    .await;
    jetstream(nats_port, "STREAM.CREATE.T", &json!({ "name": "T", "subjects": ["countersign.>"] }));
    let heard = folder.path().join("heard");
    let _listener = Running::start(
        Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &broker_port.to_string(), "-q", "1", "-v", "-t", "ingest/#"])
            .stdout(fs_err::File::create(&heard).unwrap().into_file()),
    );
    let (webhook, address) = Webhook::start().await;
    let secret = folder.path().join("secret");
    fs_err::write(&secret, SECRET).unwrap();
    let config = format!(
        "[[ingest_sink]]\nname = \"hook\"\nurl = \"http://{address}/in\"\nsecret_file = {secret:?}\n\
         [[ingest_sink]]\nname = \"broker\"\nurl = \"mqtt://127.0.0.1:{broker_port}\"\n\
         [[ingest_sink]]\nname = \"stream\"\nurl = \"nats://127.0.0.1:{nats_port}\"\n"
    );
    let mut installation = Installation::configured(&config, Time::Real).await;
    let device = Device::enrol(&installation, "sensor-7").await;
    let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
    let message =
        json!({ "site_id": body["site"], "metrics": { "temp": 22.5 }, "provision_token": "s3cret" });

    let mut waiting = MqttDevice::of(&installation, &device).await.begin_to_say("telemetry", &message);
    until("the webhook was asked in vain", async || webhook.asked.load(Ordering::SeqCst) > 1).await;
    assert!(waiting.goes_on(), "the device waits");
    assert!(telemetry(&installation).await.is_empty());
    installation.kill().await;
    drop(waiting);

    webhook.is_there.store(true, Ordering::SeqCst);
    installation.start_again().await;
    MqttDevice::of(&installation, &device).await.say("telemetry", &message);
    // The device knows that it arrived: so all of them have it.
    let (signature, text) = webhook.bodies.lock().unwrap().first().unwrap().clone();
    let (moment, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, format!("{moment}.{text}").as_bytes(), &hex::decode(mac).unwrap()).unwrap();
    let posted: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(posted["messages"][0]["device"], device.name.as_str());
    assert_eq!(posted["messages"][0]["payload"]["metrics"]["temp"], json!(22.5));
    assert!(!text.contains("s3cret"));
    let stream = jetstream(nats_port, "STREAM.INFO.T", &json!({}));
    assert_eq!(stream["state"]["messages"], 1, "{stream}");
    let line = async || fs_err::read_to_string(&heard).unwrap();
    until("the broker passed it on", async || line().await.contains("\"temp\":22.5")).await;
    assert!(line().await.starts_with(&format!(
        "ingest/{}/{} ",
        body["tenant"].as_str().unwrap(),
        device.name
    )));
    assert_eq!(telemetry(&installation).await.len(), 1);
}
