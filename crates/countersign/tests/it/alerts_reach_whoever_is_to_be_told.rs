//! Proves that an alert is raised once for its cause, reaches webhook, Alertmanager and mail server until they have
//! taken it, also after a restart, can be acknowledged and silenced, and is resolved when the cause is gone.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_testkit::vacant_address;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::harness::{Device, Installation, Time, done, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// Takes whatever is POSTed to it, after it has refused the first few.
struct Receiver {
    taken: Arc<Mutex<Vec<(String, Value)>>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn at(address: SocketAddr, mut refusals: u32) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let (mut first, mut length) = (String::new(), 0);
                stream.read_line(&mut first).await.unwrap();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                let status = if refusals > 0 { "503 Service Unavailable" } else { "200 OK" };
                if refusals == 0 {
                    let path = first.split(' ').nth(1).unwrap().to_owned();
                    kept.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
                }
                refusals = refusals.saturating_sub(1);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { taken, task }
    }

    /// What it took at a path that has this text in it.
    async fn has(&self, path: &str, text: &str) -> Value {
        eventually(PATIENCE, &format!("{path} has {text}"), async || {
            let taken = self.taken.lock().unwrap();
            let found = taken.iter().find(|(at, body)| at == path && body.to_string().contains(text));
            found.map(|(_, body)| body.clone())
        })
        .await
    }

    fn count(&self, path: &str, text: &str) -> usize {
        let taken = self.taken.lock().unwrap();
        taken.iter().filter(|(at, body)| at == path && body.to_string().contains(text)).count()
    }
}

/// A mail server that writes down what it is given.
struct MailServer(Child);

impl Drop for MailServer {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

impl MailServer {
    fn at(address: SocketAddr, folder: &Path) -> Self {
        let out = fs_err::File::create(folder.join("mail")).unwrap();
        let mut command = Command::new("aiosmtpd");
        command.args(["-n", "-l", &address.to_string(), "-c", "aiosmtpd.handlers.Debugging", "stdout"]);
        command.env("PYTHONUNBUFFERED", "1").stdin(Stdio::null()).stdout(out.into_file());
        let started = command.stderr(Stdio::null()).spawn();
        Self(started.unwrap_or_else(|_| panic!("apt-get install python3-aiosmtpd (scripts/test does it)")))
    }
}

async fn alerts(installation: &Installation, query: &str) -> Vec<Value> {
    let answer = installation.admin().get(&format!("/alerts{query}")).await;
    done(&answer)["alerts"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_once_and_again_when_it_is_over() {
    let (hooks, post) = (vacant_address(), vacant_address());
    let config = format!(
        "[[alert_to]]\nname = \"chat\"\nkind = \"webhook\"\nurl_file = \"chat.url\"\n\
         [[alert_to]]\nname = \"manager\"\nkind = \"alertmanager\"\nurl = \"http://{hooks}\"\n\
         [[alert_to]]\nname = \"grave\"\nkind = \"webhook\"\nurl = \"http://{hooks}/grave\"\nfrom_severity = \"critical\"\n\
         [[alert_to]]\nname = \"mail\"\nkind = \"email\"\nserver = \"{post}\"\ntls = \"danger_none\"\n\
         from = \"countersign@example.com\"\nto = [\"on-call@example.com\"]\n"
    );
    let receiver = Receiver::at(hooks, 2).await;
    let mut installation = Installation::unstarted(&config, Time::Real);
    fs_err::write(installation.folder().join("chat.url"), format!("http://{hooks}/chat\n")).unwrap();
    let _mail = MailServer::at(post, installation.folder());
    installation.start_again().await;
    installation.set_up().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "<!channel>".trim_matches(['<', '!', '>'])).await;
    done(&admin.quarantine(device.id, "lost").await);

    let told = receiver.has("/chat", "1 device waits").await;
    assert_eq!((&told["news"], &told["alert"]["kind"]), (&json!("raised"), &json!("quarantine")));
    assert_eq!(told["text"], "[info] 1 device waits for a decision of default");
    let managed = receiver.has("/api/v2/alerts", "1 device waits").await;
    let labels = json!({ "alertname": "countersign_quarantine", "severity": "info", "subject": "default", "tenant": "default" });
    assert_eq!(managed[0]["labels"], labels);
    let mail = installation.folder().join("mail");
    eventually(PATIENCE, "the mail is there", async || {
        let text = fs_err::read_to_string(&mail).unwrap();
        let is_whole = text.contains("To: on-call@example.com") && text.contains("countersign alert ack");
        is_whole.then_some(())
    })
    .await;

    let open = alerts(&installation, "?open=true").await;
    let id = open[0]["id"].as_str().unwrap();
    let acknowledged = done(&admin.post(&format!("/alerts/{id}/acknowledge"), &json!({})).await);
    assert!(acknowledged["acknowledgedBy"].as_str().unwrap().starts_with("user:"));
    assert_eq!(admin.post(&format!("/alerts/{id}/acknowledge"), &json!({})).await.status, 409);
    assert_eq!(admin.audit("event=alert.acknowledged").await.len(), 1);
    done(&admin.approve(device.id).await);
    let over = receiver.has("/chat", "\"resolved\"").await;
    assert_eq!((&over["news"], &over["alert"]["id"]), (&json!("resolved"), &json!(id)));
    let ended = receiver.has("/api/v2/alerts", over["alert"]["resolvedAt"].as_str().unwrap()).await;
    assert_eq!(ended[0]["labels"], labels);
    assert_eq!(receiver.count("/chat", "\"raised\""), 1, "once");
    assert_eq!(receiver.count("/grave", ""), 0, "it was not grave enough");
    assert!(alerts(&installation, "?open=true").await.is_empty());
    assert_eq!(alerts(&installation, "").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_arrive_is_told_after_a_restart_and_a_silence_holds_until_its_end() {
    let hooks = vacant_address();
    let config =
        format!("[[alert_to]]\nname = \"chat\"\nkind = \"webhook\"\nurl = \"http://{hooks}/chat\"\n");
    let mut installation = Installation::configured(&config, Time::Real).await;
    let admin = installation.admin();
    let silence = json!({ "kind": "quarantine", "reason": "a drill", "minutes": 60 });
    let made = done(&admin.post("/alert-silences", &silence).await);
    let device = Device::enrol(&installation, "ws-01").await;
    done(&admin.quarantine(device.id, "drill").await);
    eventually(PATIENCE, "it is raised", async || {
        alerts(&installation, "?open=true").await.pop().filter(|alert| alert["kind"] == "quarantine")
    })
    .await;
    done(&admin.post("/alerts/test", &json!({})).await);
    assert!(installation.terminate().await.success());

    let receiver = Receiver::at(hooks, 0).await;
    installation.start_again().await;
    receiver.has("/chat", "tries whether alerts arrive").await;
    assert_eq!(receiver.count("/chat", "quarantine"), 0, "it is silenced");
    let admin = installation.admin();
    let id = made["id"].as_str().unwrap();
    assert_eq!(admin.call("DELETE", &format!("/alert-silences/{id}"), None).await.status, 204);
    receiver.has("/chat", "1 device waits").await;
    assert_eq!(admin.audit("event=alert.silenced").await.len(), 1);
    assert_eq!(admin.audit("event=alert.silence_ended").await.len(), 1);
}
