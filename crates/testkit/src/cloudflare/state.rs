//! What the API knows, and how it answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use countersign_core::time::{Clock, Timestamp};
use der::{Decode as _, Encode as _};
use http::request::Parts;
use serde_json::{Value, json};
use x509_cert::request::CertReq;

use super::answers::{Answered, failure, page, success};
use super::{CLOUDFLARE_ACCOUNT, CLOUDFLARE_TOKEN, CLOUDFLARE_ZONE};
use crate::ca::TestCa;
use crate::der_writer::pem;
use crate::key::TestKey;
use crate::leaf::LeafSpec;

const WINDOW: Duration = Duration::from_secs(300);

/// What goes wrong with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The token lacks the permission.
    Forbidden,
    /// It fails with this status and a page for people.
    Failing(u16),
    /// It does what it is asked for, and the answer is lost.
    AnswerLost,
    /// It never answers.
    Silent,
    /// It answers something else.
    Garbage,
    /// It signs for another key than the one asked for.
    OtherKey,
}

/// A call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path, query included.
    pub path: String,
}

/// A certificate that was given out.
#[derive(Clone, Debug)]
pub struct KnownCertificate {
    /// Its id.
    pub id: String,
    /// DER.
    pub der: Vec<u8>,
    /// `active`, `pending_revocation`, `revoked` or `pending_reactivation`.
    pub status: &'static str,
    csr: String,
    days: u64,
    issued_on: Timestamp,
}

#[derive(Debug)]
pub(super) struct State {
    clock: Arc<dyn Clock>,
    pub(super) ca: TestCa,
    pub(super) trouble: Option<Trouble>,
    pub(super) quota: usize,
    pub(super) budget: usize,
    pub(super) certificates: Vec<KnownCertificate>,
    pub(super) asked: Vec<Asked>,
    pub(super) rules: Option<Vec<Value>>,
    pub(super) uploaded: Vec<Value>,
    pub(super) hostnames: HashMap<String, Vec<String>>,
    calls: VecDeque<Timestamp>,
    blocked_until: Option<Timestamp>,
}

impl State {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            ca: TestCa::new("cloudflare.example"),
            trouble: None,
            quota: 100,
            budget: 1200,
            certificates: Vec::new(),
            asked: Vec::new(),
            rules: None,
            uploaded: Vec::new(),
            hostnames: HashMap::new(),
            calls: VecDeque::new(),
            blocked_until: None,
        }
    }

    pub(super) fn finish_revocations(&mut self) {
        for certificate in self.certificates.iter_mut().filter(|one| one.status == "pending_revocation") {
            certificate.status = "revoked";
        }
    }

    pub(super) fn reactivate_all(&mut self) {
        for certificate in &mut self.certificates {
            certificate.status = "active";
        }
    }

    pub(super) fn answer(&mut self, parts: &Parts, body: &[u8]) -> Answered {
        let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let method = parts.method.to_string();
        self.asked.push(Asked { method: method.clone(), path: path.clone() });
        if let Some(blocked) = self.over_budget() {
            return blocked;
        }
        let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        if token != Some(&format!("Bearer {CLOUDFLARE_TOKEN}")) {
            return failure(403, 9109, "Invalid access token");
        }
        match self.trouble {
            Some(Trouble::Forbidden) => failure(403, 10000, "Authentication error"),
            Some(Trouble::Failing(status)) => {
                Answered::Json { status, retry_after: None, body: "<html>Bad gateway</html>".to_owned() }
            }
            Some(Trouble::Silent) => Answered::Silent,
            Some(Trouble::Garbage) => {
                Answered::Json { status: 200, retry_after: None, body: "{\"success\":true}".to_owned() }
            }
            Some(Trouble::AnswerLost) => {
                self.route(&method, &path, body);
                Answered::Lost
            }
            Some(Trouble::OtherKey) | None => self.route(&method, &path, body),
        }
    }

    /// More calls than are allowed block all of them for the length of the window.
    fn over_budget(&mut self) -> Option<Answered> {
        let now = self.clock.now();
        while self.calls.front().is_some_and(|first| *first + WINDOW <= now) {
            self.calls.pop_front();
        }
        if self.calls.len() >= self.budget && self.blocked_until.is_none_or(|until| until <= now) {
            self.blocked_until = Some(now + WINDOW);
        }
        let left = self.blocked_until.filter(|until| now < *until)?.since(now);
        let Answered::Json { status, body, .. } =
            failure(429, 971, "Please wait and consider throttling your request speed")
        else {
            return None;
        };
        Some(Answered::Json { status, retry_after: Some(left.as_secs().max(1)), body })
    }

    fn route(&mut self, method: &str, path: &str, body: &[u8]) -> Answered {
        self.calls.push_back(self.clock.now());
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let parts: Vec<&str> = path.trim_start_matches("/client/v4/").split('/').collect();
        match (method, parts.as_slice()) {
            (_, ["zones", zone, ..]) if *zone != CLOUDFLARE_ZONE => {
                failure(404, 7003, "Could not route to the zone, perhaps your object identifier is invalid?")
            }
            (_, ["accounts", account, ..]) if *account != CLOUDFLARE_ACCOUNT => failure(
                404,
                7003,
                "Could not route to the account, perhaps your object identifier is invalid?",
            ),
            ("POST", [_, _, "client_certificates"]) => self.create(&json),
            ("GET", [_, _, "client_certificates"]) => self.list(query),
            ("GET", [_, _, "client_certificates", id]) => self.show(id),
            ("DELETE", [_, _, "client_certificates", id]) => self.revoke(id),
            ("GET", [_, _, "rulesets", "phases", "http_request_firewall_custom", "entrypoint"]) => {
                match &self.rules {
                    Some(rules) => success(&ruleset(rules)),
                    None => failure(404, 10003, "could not find entrypoint ruleset in the phase"),
                }
            }
            ("PUT", [_, _, "rulesets", "phases", "http_request_firewall_custom", "entrypoint"]) => {
                let rules = json.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
                self.rules = Some(rules.clone());
                success(&ruleset(&rules))
            }
            ("GET", ["accounts", _, "mtls_certificates"]) => page(&self.uploaded, 1, 50),
            ("POST", ["accounts", _, "mtls_certificates"]) => self.upload(&json),
            (_, [_, _, "certificate_authorities", "hostname_associations"]) => {
                self.associate(method, query, &json)
            }
            _ => failure(404, 7000, "No route for that URI"),
        }
    }

    fn create(&mut self, json: &Value) -> Answered {
        let (Some(csr), Some(days)) =
            (json.get("csr").and_then(Value::as_str), json.get("validity_days").and_then(Value::as_u64))
        else {
            return failure(
                400,
                1400,
                "Unable to decode the JSON request body. Please check your input and try again.",
            );
        };
        let Some(spki) = verified(csr) else {
            return failure(400, 1414, "Unable to parse the certificate signing request.");
        };
        if self.certificates.iter().filter(|one| one.status == "active").count() >= self.quota {
            return failure(
                400,
                1426,
                "You have reached the maximum number of client certificates for this zone.",
            );
        }
        let now = self.clock.now().floor_to_second();
        let key = match self.trouble {
            Some(Trouble::OtherKey) => TestKey::generate(crate::key::KeyKind::P256),
            _ => TestKey::of_public_key(&spki),
        };
        let mut spec = LeafSpec::device("cloudflare.example", "ignored", "ignored");
        spec.uris.clear();
        spec.organization = "Cloudflare, Inc.".to_owned();
        spec.common_name = "Cloudflare".to_owned();
        spec.key = Some(key);
        spec.not_before = now - Duration::from_secs(300);
        spec.not_after = now + Duration::from_secs(days * 86_400);
        let der = self.ca.mint(&spec).der().to_vec();
        let digest = digest::digest(&digest::SHA256, &der);
        let id: String = hex::encode(digest.as_ref()).chars().take(32).collect();
        let made = KnownCertificate { id, der, status: "active", csr: csr.to_owned(), days, issued_on: now };
        let answer = success(&shown(&made));
        self.certificates.push(made);
        answer
    }

    fn list(&self, query: &str) -> Answered {
        let value = |key: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, v)| v)
        };
        let wanted = value("status").unwrap_or("all");
        let all: Vec<Value> = self
            .certificates
            .iter()
            .filter(|one| wanted == "all" || one.status == wanted)
            .map(shown)
            .collect();
        let number = |key, default| value(key).and_then(|text| text.parse().ok()).unwrap_or(default);
        page(&all, number("page", 1), number("per_page", 20))
    }

    fn show(&self, id: &str) -> Answered {
        match self.certificates.iter().find(|one| one.id == id) {
            Some(found) => success(&shown(found)),
            None => failure(404, 1404, "Client certificate not found."),
        }
    }

    /// Takes the request; the revocation comes through later.
    fn revoke(&mut self, id: &str) -> Answered {
        let Some(found) = self.certificates.iter_mut().find(|one| one.id == id) else {
            return failure(404, 1404, "Client certificate not found.");
        };
        if found.status != "revoked" {
            found.status = "pending_revocation";
        }
        success(&shown(found))
    }

    fn upload(&mut self, json: &Value) -> Answered {
        let Some(pem) =
            json.get("certificates").and_then(Value::as_str).filter(|pem| pem.contains("BEGIN CERT"))
        else {
            return failure(400, 1401, "Certificates are required.");
        };
        let id = format!("{:08}-7b0c-4755-8840-4e3b8c24adeb", self.uploaded.len() + 1);
        let ca = json!({
            "id": id, "name": json.get("name"), "ca": true, "certificates": pem, "type": "custom",
            "uploaded_on": self.clock.now().to_string(),
        });
        self.uploaded.push(ca.clone());
        success(&ca)
    }

    fn associate(&mut self, method: &str, query: &str, json: &Value) -> Answered {
        let asked = query.strip_prefix("mtls_certificate_id=").map(str::to_owned);
        let said = json.get("mtls_certificate_id").and_then(Value::as_str).map(str::to_owned);
        let id = said.or(asked).unwrap_or_default();
        if !self.uploaded.iter().any(|ca| ca.get("id").and_then(Value::as_str) == Some(&id)) {
            return failure(404, 1404, "mTLS certificate not found.");
        }
        if method == "PUT" {
            let list = json.get("hostnames").and_then(Value::as_array).cloned().unwrap_or_default();
            let list = list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
            self.hostnames.insert(id.clone(), list);
        }
        success(&json!({ "hostnames": self.hostnames.get(&id).cloned().unwrap_or_default() }))
    }
}

fn ruleset(rules: &[Value]) -> Value {
    json!({
        "id": "2f2feab2026849078ba485f918791bdc", "name": "default", "kind": "zone", "version": "7",
        "phase": "http_request_firewall_custom", "rules": rules,
    })
}

fn shown(certificate: &KnownCertificate) -> Value {
    let serial = certificate.id.as_str();
    json!({
        "id": certificate.id,
        "certificate": pem("CERTIFICATE", &certificate.der),
        "certificate_authority": {
            "id": "568b6b74-7b0c-4755-8840-4e3b8c24adeb", "name": "Cloudflare Managed CA for account",
        },
        "common_name": "Cloudflare", "country": "US", "location": "", "organization": "Cloudflare, Inc.",
        "organizational_unit": "", "state": "", "csr": certificate.csr,
        "issued_on": certificate.issued_on.to_string(),
        "expires_on": (certificate.issued_on + Duration::from_secs(certificate.days * 86_400)).to_string(),
        "fingerprint_sha256": hex::encode(digest::digest(&digest::SHA256, &certificate.der)),
        "serial_number": serial, "signature": "ECDSAWithSHA256", "ski": "", "status": certificate.status,
        "validity_days": certificate.days,
    })
}

/// The key of a signing request that the key itself signed.
fn verified(csr: &str) -> Option<Vec<u8>> {
    let (label, der) = der::pem::decode_vec(csr.trim().as_bytes()).ok()?;
    let request = CertReq::from_der(&der).ok().filter(|_request| label == "CERTIFICATE REQUEST")?;
    let signed = request.info.to_der().ok()?;
    let key = request.info.public_key.subject_public_key.as_bytes()?;
    let signature = request.signature.as_bytes()?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(&signed, signature).ok()?;
    request.info.public_key.to_der().ok()
}
