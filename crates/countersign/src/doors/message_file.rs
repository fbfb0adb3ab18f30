//! Keeps accepted messages in a file: one JSON object a line, on disk before the device hears of it.

use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_edge::mqtt::{Fate, Message, SetAside, Sink, SinkError, Taking};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// How many messages may wait for the disk.
const WAITING: usize = 4096;

/// The member of a payload that proves something, and is for nobody to read later.
const TOKEN: &str = "provision_token";

/// A line, and who waits for it.
struct Line {
    text: String,
    kept: Option<oneshot::Sender<Result<(), std::io::ErrorKind>>>,
}

/// Appends messages to a file.
#[derive(Debug)]
pub(super) struct MessageFile(SyncSender<Line>);

impl MessageFile {
    /// Opens the file, for its owner alone, and starts the thread that writes it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = fs_err::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = file.context("open the file for messages")?;
        let (sender, lines) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("mqtt-messages".to_owned())
            .spawn(move || write(file, &lines))
            .context("start the thread that writes messages")?;
        Ok(Self(sender))
    }
}

impl Sink for MessageFile {
    fn take(&self, message: Message) -> Taking {
        let (kept, promise) = oneshot::channel();
        let line = Line { text: line(&message, None), kept: Some(kept) };
        let sent = match self.0.try_send(line) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err("messages come faster than the disk takes them"),
            Err(TrySendError::Disconnected(_)) => Err("the file is no longer written"),
        };
        Box::pin(async move {
            sent.map_err(|reason| SinkError(reason.into()))?;
            let kept = promise.await.map_err(|error| SinkError(error.into()))?;
            kept.map(|()| Fate::Kept).map_err(|kind| SinkError(std::io::Error::from(kind).into()))
        })
    }

    fn set_aside(&self, denied: SetAside) {
        let line = Line { text: line(&denied.message, Some(denied.code)), kept: None };
        if self.0.try_send(line).is_err() {
            tracing::warn!(code = denied.code, "denied message not written down");
        }
    }
}

/// Writes what comes together at once, until nobody can send any more.
fn write(mut file: fs_err::File, lines: &Receiver<Line>) {
    while let Ok(first) = lines.recv() {
        let batch: Vec<Line> = std::iter::once(first).chain(lines.try_iter().take(WAITING)).collect();
        let text: String = batch.iter().map(|line| line.text.as_str()).collect();
        let kept = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if let Err(error) = &kept {
            tracing::error!(%error, "messages not written");
        }
        let kept = kept.map_err(|error| error.kind());
        for waiting in batch.into_iter().filter_map(|line| line.kept) {
            if waiting.send(kept).is_err() {
                tracing::debug!("device gone before its message was written");
            }
        }
    }
}

fn line(message: &Message, refused: Option<&str>) -> String {
    let object = json!({
        "receivedAt": message.received_at.to_string(),
        "tenant": message.identity.tenant().as_str(),
        "device": message.identity.device().as_str(),
        "serial": message.certificate.serial.to_string(),
        "topic": message.topic,
        "qos": message.qos.bits(),
        "dup": message.is_dup,
        "refused": refused,
        "payload": payload(&message.payload),
    });
    format!("{object}\n")
}

/// JSON as it is, without its token; anything else in base64.
fn payload(bytes: &[u8]) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(mut members)) => {
            members.remove(TOKEN);
            json!({ "json": members })
        }
        Ok(other) => json!({ "json": other }),
        Err(_not_json) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::Identity;
    use countersign_core::ids::CertificateRef;
    use countersign_core::time::Timestamp;
    use countersign_edge::mqtt::wire::Qos;

    fn message(payload: &[u8]) -> Message {
        Message {
            identity: Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap(),
            certificate: CertificateRef { issuer: [1; 32].into(), serial: "0a".parse().unwrap() },
            topic: "tenant/acme/device/d1/telemetry".to_owned(),
            suffix: "telemetry".to_owned(),
            qos: Qos::AtLeastOnce,
            is_dup: false,
            received_at: Timestamp::from_secs(1_800_000_000),
            payload: payload.to_vec(),
        }
    }

    #[tokio::test]
    async fn what_was_taken_is_in_the_file_without_its_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.jsonl");
        let file = MessageFile::open(&path).unwrap();
        file.take(message(br#"{"metrics": {"temp": 22.5}, "provision_token": "s3cret"}"#)).await.unwrap();
        file.set_aside(SetAside { message: message(b"\xff"), code: "TOPIC_NOT_ALLOWED", payload_bytes: 1 });
        file.take(message(b"7")).await.unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["device"], "d1");
        assert_eq!(lines[0]["payload"], json!({"json": {"metrics": {"temp": 22.5}}}));
        assert_eq!(lines[1]["refused"], "TOPIC_NOT_ALLOWED");
        assert_eq!(lines[1]["payload"], json!({"base64": "/w=="}));
        assert_eq!((&lines[2]["payload"], &lines[2]["refused"]), (&json!({"json": 7}), &Value::Null));
    }
}
