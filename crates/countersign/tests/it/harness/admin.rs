//! The admin API, as a signed-in person's script uses it.

use std::net::SocketAddr;

use countersign_api::wire::admin::{
    AuditEntryBody, AuditList, CertificateBody, CertificateList, DeviceBody, EnrollmentKeyCreated,
    QuarantinedDevice, QuarantinedList,
};
use countersign_api::wire::command_queue::CommandQueued;
use countersign_core::certificate::CertificateState;
use countersign_core::ids::{CertificateId, CommandId, DeviceId};
use countersign_testkit::{Answer, ClientFailure, Connection};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The body of an answer that says that it was done.
#[track_caller]
pub(crate) fn done(answer: &Answer) -> Value {
    assert!((200..300).contains(&answer.status), "{} {}", answer.status, answer.text());
    answer.json()
}

/// The same, read as what it should be.
#[track_caller]
pub(crate) fn read<T: DeserializeOwned>(answer: &Answer) -> T {
    serde_json::from_value(done(answer)).unwrap()
}

/// A caller of the admin API.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    token: String,
}

impl Admin {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned() }
    }

    /// The bearer token it calls with.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Calls `/api/v1` and `path`.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut connection = Connection::plain(self.address).await.unwrap();
        let token = (!self.token.is_empty()).then_some(self.token.as_str());
        connection.json(method, &format!("/api/v1{path}"), token, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// POST that may be cut off.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, ClientFailure> {
        let mut connection = Connection::plain(self.address).await?;
        connection.json("POST", &format!("/api/v1{path}"), Some(&self.token), Some(body)).await
    }

    /// An enrolment key, with these options.
    pub(crate) async fn enrollment_key(&self, options: Value) -> EnrollmentKeyCreated {
        read(&self.post("/enrollment-keys", &options).await)
    }

    /// The text of an enrolment key for one device.
    pub(crate) async fn one_use_key(&self) -> String {
        self.enrollment_key(json!({})).await.key
    }

    pub(crate) async fn device(&self, id: DeviceId) -> DeviceBody {
        read(&self.get(&format!("/devices/{id}")).await)
    }

    pub(crate) async fn devices(&self) -> Vec<DeviceBody> {
        let list: countersign_api::wire::admin::DeviceList = read(&self.get("/devices?limit=200").await);
        list.devices
    }

    /// The only device there is.
    pub(crate) async fn the_device(&self) -> DeviceBody {
        let mut devices = self.devices().await;
        assert_eq!(devices.len(), 1);
        devices.remove(0)
    }

    /// A device's certificates, newest first.
    pub(crate) async fn certificates(&self, device: DeviceId) -> Vec<CertificateBody> {
        let list: CertificateList = read(&self.get(&format!("/devices/{device}/certificates")).await);
        list.certificates
    }

    /// The states of a device's certificates, newest first.
    pub(crate) async fn states(&self, device: DeviceId) -> Vec<CertificateState> {
        self.certificates(device).await.into_iter().map(|certificate| certificate.state).collect()
    }

    /// The device's active certificate.
    pub(crate) async fn active(&self, device: DeviceId) -> Option<CertificateBody> {
        let mut certificates = self.certificates(device).await.into_iter();
        certificates.find(|certificate| certificate.state == CertificateState::Active)
    }

    /// Queues a command.
    pub(crate) async fn queue_command(&self, device: DeviceId, command: &Value) -> CommandId {
        let queued = self.post(&format!("/devices/{device}/commands"), command).await;
        assert_eq!(queued.status, 202, "{}", queued.text());
        read::<CommandQueued>(&queued).id
    }

    /// PATCH of the settings of the tenant `default`.
    pub(crate) async fn set(&self, settings: Value) {
        done(&self.call("PATCH", "/agents/org/default/settings/mtls", Some(&settings)).await);
    }

    pub(crate) async fn approve(&self, device: DeviceId) -> Answer {
        self.post(&format!("/agents/{device}/approve"), &json!({})).await
    }

    pub(crate) async fn deny(&self, device: DeviceId) -> Answer {
        self.post(&format!("/agents/{device}/deny"), &json!({})).await
    }

    pub(crate) async fn quarantine(&self, device: DeviceId, reason: &str) -> Answer {
        self.post(&format!("/devices/{device}/quarantine"), &json!({ "reason": reason })).await
    }

    pub(crate) async fn decommission(&self, device: DeviceId) -> Answer {
        self.post(&format!("/devices/{device}/decommission"), &json!({})).await
    }

    pub(crate) async fn revoke(&self, certificate: CertificateId, reason: &str) -> Answer {
        self.post(&format!("/certificates/{certificate}/revoke"), &json!({ "reason": reason })).await
    }

    pub(crate) async fn quarantined(&self) -> Vec<QuarantinedDevice> {
        let list: QuarantinedList = read(&self.get("/agents/quarantined").await);
        list.devices
    }

    /// The newest audit entries; `query` narrows them.
    pub(crate) async fn audit(&self, query: &str) -> Vec<AuditEntryBody> {
        let list: AuditList = read(&self.get(&format!("/audit?limit=200&{query}")).await);
        list.entries
    }
}
