//! Who may call which operation, and with what.

use countersign_core::ids::CertificateId;
use countersign_store::Role;
use countersign_testkit::{KeyKind, TestCa, TestKey};
use serde_json::{Value, json};

use crate::in_process::OWN;

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Whoever reaches the listener.
    Anyone,
    /// People with this role or a higher one.
    People(Role),
    /// The same, and at a door devices by their certificate.
    PeopleAndDevices(Role),
    /// Agents, through a door.
    Agents,
    /// Whoever comes through a door.
    AnyoneAtADoor,
    /// Edges, through a door, by their certificate.
    Edges,
}

/// What somebody bound to another tenant gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// It has nothing to do with tenants.
    Same,
    /// Lists show each their own.
    SeesNothing,
    /// 403.
    Refused,
    /// 403 for whoever is bound to any tenant.
    ForTheUnbound,
}

/// What the operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Nothing,
    Device,
    QuarantinedDevice,
    Certificate,
    Tenant,
    /// A tenant that nothing else is about.
    AnyTenant,
    SuspendedTenant,
    EnrollmentKey,
    Anchor,
    /// One of the caller's own.
    ApiToken,
    User,
    Site,
    DeniedKey,
    Ca,
    /// The root, which is not rotated.
    NamedCa,
    /// None: nothing is watched here.
    Monitor,
    /// None: there is nothing to see to.
    Alert,
    /// None: everybody is told.
    Silence,
    /// None: nothing was set aside.
    Message,
    /// None: nobody of this name is trusted.
    Trust,
    RevocationList,
    /// An OCSP request in the path.
    Question,
    Agent,
    /// A command of the device that is used where nothing should happen to it.
    Command,
    /// The same in agents' words.
    AgentCommand,
    /// A service's certificate that was issued here.
    ServiceCertificate,
    /// One that was imported.
    ImportedService,
    /// An edge.
    Edge,
}

pub(super) struct Row {
    pub(super) operation: &'static str,
    pub(super) may: May,
    pub(super) elsewhere: Elsewhere,
    pub(super) about: About,
    pub(super) query: &'static str,
    pub(super) body: fn(u32) -> Value,
    /// What those who may are answered.
    pub(super) done: u16,
}

const fn row(operation: &'static str, may: May) -> Row {
    Row {
        operation,
        may,
        elsewhere: Elsewhere::Same,
        about: About::Nothing,
        query: "",
        body: |_| json!({}),
        done: 200,
    }
}

impl Row {
    const fn about(self, about: About) -> Self {
        Self { about, elsewhere: Elsewhere::Refused, ..self }
    }

    const fn elsewhere(self, elsewhere: Elsewhere) -> Self {
        Self { elsewhere, ..self }
    }

    const fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    const fn body(self, body: fn(u32) -> Value) -> Self {
        Self { body, ..self }
    }

    const fn done(self, done: u16) -> Self {
        Self { done, ..self }
    }
}

/// What no API token may do.
pub(super) const IN_SESSION: &[&str] = &[
    "createApiToken",
    "changePassword",
    "logOut",
    "getSecondFactor",
    "beginTotp",
    "confirmTotp",
    "beginPasskey",
    "confirmPasskey",
    "askForPasskey",
    "removePasskey",
    "renewRecoveryCodes",
    "removeOwnSecondFactor",
    "removeSecondFactor",
    "getSignInSettings",
    "patchSignInSettings",
];

const VIEWER: May = May::People(Role::Viewer);
const OPERATOR: May = May::People(Role::Operator);
const ADMIN: May = May::People(Role::Admin);
const OWNER: May = May::People(Role::Owner);

/// What is about people, what they call with, and sites.
fn people_and_sites() -> Vec<Row> {
    vec![
        row("setPassword", May::Anyone)
            .done(401)
            .body(|_| json!({ "token": "csp_wrong", "password": "long enough, surely" })),
        row("changePassword", VIEWER).done(400),
        row("getSecondFactor", VIEWER),
        row("beginTotp", VIEWER).done(400),
        row("confirmTotp", VIEWER).done(409).body(|_| json!({ "code": "000000" })),
        row("beginPasskey", VIEWER).done(400),
        row("confirmPasskey", VIEWER).done(400),
        row("askForPasskey", VIEWER).done(409),
        row("removePasskey", VIEWER).about(About::Trust).elsewhere(Elsewhere::Same).done(400),
        row("renewRecoveryCodes", VIEWER)
            .done(409)
            .body(|_| json!({ "password": "long enough, surely", "code": "000000" })),
        row("removeOwnSecondFactor", VIEWER).done(400),
        row("removeSecondFactor", OWNER).about(About::User).done(409),
        row("getSignInSettings", VIEWER),
        row("patchSignInSettings", OWNER)
            .elsewhere(Elsewhere::ForTheUnbound)
            .body(|_| json!({ "secondFactor": "optional" })),
        row("listUsers", ADMIN),
        row("createUser", ADMIN)
            .elsewhere(Elsewhere::Refused)
            .done(201)
            .body(|n| json!({ "email": format!("{n}@example.com"), "role": "viewer", "tenant": OWN })),
        row("getUser", ADMIN).about(About::User),
        row("patchUser", ADMIN).about(About::User).body(|_| json!({ "role": "operator" })),
        row("resetPassword", ADMIN).about(About::User).done(201),
        row("listSites", VIEWER).elsewhere(Elsewhere::SeesNothing),
        row("createSite", ADMIN)
            .elsewhere(Elsewhere::Refused)
            .done(201)
            .body(|n| json!({ "tenant": OWN, "slug": format!("site-{n}"), "name": "A site" })),
        row("getSite", VIEWER).about(About::Site),
        row("patchSite", ADMIN).about(About::Site).body(|_| json!({ "name": "A new name" })),
        row("deleteSite", ADMIN).about(About::Site).done(204),
        row("listApiTokens", VIEWER),
        row("createApiToken", VIEWER).done(201).body(|_| json!({ "name": "made" })),
        row("revokeApiToken", VIEWER).about(About::ApiToken).elsewhere(Elsewhere::Same),
    ]
}

/// What is about the rotation of CAs. Of the root's there is none.
fn rotations() -> Vec<Row> {
    let rotation =
        |operation, may| row(operation, may).about(About::NamedCa).elsewhere(Elsewhere::ForTheUnbound);
    vec![
        rotation("getCaRotation", VIEWER).done(404),
        rotation("prepareCaRotation", OWNER).done(409),
        rotation("chooseCaCanary", OWNER).done(404).body(|_| json!({ "percent": 5 })),
        rotation("activateCaRotation", OWNER).done(404),
        rotation("retireRotatedCa", OWNER).done(404),
        rotation("rollBackCaRotation", OWNER).done(404),
    ]
}

/// What is about certificates of services.
fn services() -> Vec<Row> {
    let service = |operation, may| {
        row(operation, may).about(About::ServiceCertificate).elsewhere(Elsewhere::ForTheUnbound)
    };
    vec![
        row("listServiceCertificates", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("issueServiceCertificate", ADMIN)
            .elsewhere(Elsewhere::ForTheUnbound)
            .done(201)
            .body(|_| wanted_service()),
        row("importServiceCertificate", ADMIN)
            .elsewhere(Elsewhere::ForTheUnbound)
            .done(201)
            .body(|_| brought_service()),
        service("getServiceCertificate", VIEWER),
        service("renewServiceCertificate", ADMIN).done(201).body(|_| json!({ "csr": csr() })),
        service("revokeServiceCertificate", ADMIN).body(|_| json!({ "reason": "superseded" })),
        service("removeServiceCertificate", ADMIN)
            .about(About::ImportedService)
            .elsewhere(Elsewhere::ForTheUnbound),
    ]
}

fn csr() -> String {
    TestKey::generate(KeyKind::P256).signing_request_pem("ignored")
}

/// What a service's certificate is asked for with.
pub(super) fn wanted_service() -> Value {
    json!({ "profile": "service-client", "dns": ["client.example.com"], "csr": csr() })
}

/// One of another CA, with its key.
pub(super) fn brought_service() -> Value {
    let certificate = TestCa::new("elsewhere.example").server(&["peer.example.com"]);
    json!({ "certificate": certificate.chain_pem(), "key": certificate.key_pem() })
}

/// What is about certificates that are watched.
fn monitors() -> Vec<Row> {
    vec![
        // The plane of this test measures nothing.
        row("getMetrics", VIEWER).elsewhere(Elsewhere::ForTheUnbound).done(404),
        row("listAlerts", VIEWER),
        row("acknowledgeAlert", OPERATOR).about(About::Alert).elsewhere(Elsewhere::Same).done(404),
        row("testAlerts", OPERATOR).elsewhere(Elsewhere::ForTheUnbound).done(201),
        row("listAlertSilences", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("createAlertSilence", OPERATOR)
            .elsewhere(Elsewhere::ForTheUnbound)
            .body(|_| json!({ "reason": "a test", "minutes": 5 }))
            .done(201),
        row("deleteAlertSilence", OPERATOR)
            .about(About::Silence)
            .elsewhere(Elsewhere::ForTheUnbound)
            .done(404),
        row("listMonitors", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("acceptMonitor", ADMIN).about(About::Monitor).elsewhere(Elsewhere::ForTheUnbound).done(404),
    ]
}

/// What is about edges. Their own routes open to their certificates alone.
fn edges() -> Vec<Row> {
    vec![
        row("listEdges", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("addEdge", ADMIN)
            .elsewhere(Elsewhere::ForTheUnbound)
            .done(201)
            .body(|_| json!({ "name": format!("e{}", CertificateId::random()) })),
        row("revokeEdge", ADMIN).about(About::Edge).elsewhere(Elsewhere::ForTheUnbound),
        row("enrollEdge", May::AnyoneAtADoor).done(400),
        row("renewEdge", May::Edges).done(401),
        row("openEdgeStream", May::Edges).done(401),
        row("handOverMessages", May::Edges).done(401),
        row("listLetters", May::Edges).done(401),
        row("logDeviceIn", May::Edges).done(401),
    ]
}

/// What is about messages of devices. There are none here: that nobody sees those of others, the authority
/// proves.
fn messages() -> Vec<Row> {
    vec![
        row("listTelemetry", VIEWER).elsewhere(Elsewhere::Same),
        row("listQuarantinedMessages", VIEWER).elsewhere(Elsewhere::Same),
        row("getQuarantinedMessage", VIEWER).about(About::Message).elsewhere(Elsewhere::Same).done(404),
        row("releaseQuarantinedMessage", OPERATOR).about(About::Message).elsewhere(Elsewhere::Same).done(404),
    ]
}

/// What is about jobs and about the states of devices. There are no jobs here: that nobody sees those of
/// others, the authority proves.
fn jobs_and_shadows() -> Vec<Row> {
    vec![
        row("getShadow", VIEWER).about(About::Device),
        row("putShadow", OPERATOR).about(About::Device).body(|n| json!({ "desired": { "n": n } })),
        row("listJobs", VIEWER).elsewhere(Elsewhere::Same),
        row("createJob", OPERATOR)
            .elsewhere(Elsewhere::Same)
            .done(404)
            .body(|_| json!({ "name": "job", "devices": [CertificateId::random().to_string()] })),
        row("getJob", VIEWER).about(About::Message).elsewhere(Elsewhere::Same).done(404),
        row("cancelJob", OPERATOR).about(About::Message).elsewhere(Elsewhere::Same).done(404),
    ]
}

/// What is about CAs of somebody else's.
fn trusts() -> Vec<Row> {
    vec![
        row("listTrusts", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("addTrust", ADMIN)
            .elsewhere(Elsewhere::ForTheUnbound)
            .done(201)
            .body(|n| wanted_trust(&format!("t{n}"))),
        row("removeTrust", ADMIN).about(About::Trust).elsewhere(Elsewhere::ForTheUnbound).done(404),
    ]
}

/// A CA of somebody else's.
fn wanted_trust(name: &str) -> Value {
    json!({ "name": name, "certificates": TestCa::new("partner.example").root_pem() })
}

/// What is about many devices at once, and about what they leave behind.
fn fleet() -> Vec<Row> {
    vec![
        row("revokeCertificates", OPERATOR)
            .body(|_| json!({ "certificateIds": [CertificateId::random().to_string()] })),
        row("previewRevocation", ADMIN).body(|_| json!({ "serials": ["0a"] })),
        row("executeRevocation", ADMIN)
            .done(404)
            .body(|_| json!({ "selectionId": CertificateId::random().to_string() })),
        row("approveDevices", OPERATOR)
            .body(|_| json!({ "deviceIds": [CertificateId::random().to_string()] })),
        row("listDeniedKeys", VIEWER).query("?tenant=acme").elsewhere(Elsewhere::Refused),
        row("deleteDeniedKey", ADMIN).about(About::DeniedKey),
        row("deleteDeniedTrait", ADMIN)
            .query("?tenant=acme&kind=hostname&value=nobody")
            .elsewhere(Elsewhere::Refused)
            .done(404),
        row("rotateDeviceToken", OPERATOR).about(About::Device).done(202),
        row("getProvisioningToken", VIEWER).about(About::Device),
        row("setProvisioningToken", ADMIN).about(About::Device),
        row("removeProvisioningToken", ADMIN).about(About::Device),
        row("getRollout", VIEWER).elsewhere(Elsewhere::SeesNothing),
        row("listWouldBeBlocked", VIEWER).query("?tenant=acme").elsewhere(Elsewhere::Refused),
        row("rollBack", OWNER).elsewhere(Elsewhere::ForTheUnbound),
    ]
}

/// The table. Signing out is last: it ends the sessions that the others need.
pub(super) fn table() -> Vec<Row> {
    let mut rows = rows_of_things();
    rows.extend(people_and_sites());
    rows.extend(fleet());
    rows.extend(rotations());
    rows.extend(services());
    rows.extend(monitors());
    rows.extend(edges());
    rows.extend(trusts());
    rows.extend(messages());
    rows.extend(jobs_and_shadows());
    rows.extend(rules());
    rows.extend(rows_of_the_audit());
    rows.push(row("logOut", VIEWER).done(204));
    rows
}

/// What is about rules. The plane of this test does not know their language, and so changes none.
fn rules() -> Vec<Row> {
    let change = |operation| row(operation, ADMIN).elsewhere(Elsewhere::ForTheUnbound).done(404);
    let wanted: fn(u32) -> Value = |n| json!({ "name": format!("rule {n}"), "expression": "true" });
    vec![
        row("listRules", VIEWER).elsewhere(Elsewhere::Same),
        change("createRule").body(wanted),
        change("replaceRule").about(About::Trust).elsewhere(Elsewhere::ForTheUnbound).body(wanted),
        change("deleteRule").about(About::Trust).elsewhere(Elsewhere::ForTheUnbound),
        change("moveRule").about(About::Trust).elsewhere(Elsewhere::ForTheUnbound),
        row("testRules", VIEWER).done(404).body(|_| json!({ "request": "GET /" })),
        change("importRules").body(|_| json!({ "ruleset": [] })),
        row("listRuleRevisions", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("getRuleRevision", VIEWER).about(About::Trust).elsewhere(Elsewhere::ForTheUnbound).done(404),
        change("restoreRules").about(About::Trust).elsewhere(Elsewhere::ForTheUnbound),
        row("listObservedRules", VIEWER),
    ]
}

fn rows_of_the_audit() -> Vec<Row> {
    vec![
        row("queryAudit", VIEWER).query("?event=tenant.created").elsewhere(Elsewhere::SeesNothing),
        row("exportAudit", VIEWER).query("?from=2000-01-01T00:00:00Z").elsewhere(Elsewhere::SeesNothing),
        row("listAuditStreams", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("getAuditVerification", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("reportAccess", May::PeopleAndDevices(Role::Viewer)).body(|n| {
            json!({ "timestamp": "2026-02-11T10:00:00Z", "action": "read", "dataType": "tickets",
                "userId": format!("user-{n}"), "certificateUsed": false })
        }),
        row("listReportedAccesses", May::PeopleAndDevices(Role::Viewer)),
        row("createAuditAnchor", OPERATOR).elsewhere(Elsewhere::ForTheUnbound).done(201),
        row("listAuditAnchors", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("getLatestAuditAnchor", VIEWER).elsewhere(Elsewhere::ForTheUnbound),
        row("getAuditAnchor", VIEWER).about(About::Anchor).elsewhere(Elsewhere::ForTheUnbound),
    ]
}

fn rows_of_things() -> Vec<Row> {
    vec![
        row("setUp", May::Anyone).done(409).body(
            |_| json!({ "token": "csetup_wrong", "email": "a@example.com", "password": "long enough, surely" }),
        ),
        row("logIn", May::Anyone)
            .done(401)
            .body(|n| json!({ "email": format!("nobody-{n}@example.com"), "password": "wrong" })),
        row("getMe", VIEWER),
        row("listTenants", VIEWER).elsewhere(Elsewhere::SeesNothing),
        row("createTenant", OWNER)
            .elsewhere(Elsewhere::ForTheUnbound)
            .done(201)
            .body(|n| json!({ "slug": format!("tenant-{n}"), "name": "A tenant" })),
        row("suspendTenant", OWNER).about(About::AnyTenant).elsewhere(Elsewhere::ForTheUnbound),
        row("resumeTenant", OWNER).about(About::SuspendedTenant).elsewhere(Elsewhere::ForTheUnbound),
        row("listEnrollmentKeys", VIEWER).query("?tenant=acme").elsewhere(Elsewhere::Refused),
        row("createEnrollmentKey", OPERATOR)
            .elsewhere(Elsewhere::Refused)
            .done(201)
            .body(|_| json!({ "tenant": OWN })),
        row("revokeEnrollmentKey", OPERATOR).about(About::EnrollmentKey),
        row("listDevices", VIEWER).elsewhere(Elsewhere::SeesNothing),
        row("getDevice", VIEWER).about(About::Device),
        row("patchDevice", OPERATOR).about(About::Device).body(|_| json!({ "maintenance": true })),
        row("listDeviceCertificates", VIEWER).about(About::Device),
        row("listCommands", VIEWER).about(About::Device),
        row("queueCommand", OPERATOR).about(About::Device).done(202).body(|_| json!({ "type": "ping" })),
        row("getCommand", VIEWER).about(About::Command),
        row("listCertificates", VIEWER).elsewhere(Elsewhere::SeesNothing),
        row("getCertificate", VIEWER).about(About::Certificate),
        row("revokeCertificate", OPERATOR)
            .about(About::Certificate)
            .body(|_| json!({ "reason": "keyCompromise" })),
        row("getMtlsSettings", VIEWER).about(About::Tenant),
        row("patchMtlsSettings", ADMIN)
            .about(About::Tenant)
            .body(|n| json!({ "certLifetimeDays": 30 + n % 300 })),
        row("getAgentSettings", VIEWER).about(About::Tenant),
        row("patchAgentSettings", ADMIN)
            .about(About::Tenant)
            .body(|n| json!({ "heartbeatIntervalSeconds": 60 + n % 300 })),
        row("listQuarantined", VIEWER).elsewhere(Elsewhere::SeesNothing),
        row("approveDevice", OPERATOR).about(About::QuarantinedDevice),
        row("denyDevice", OPERATOR).about(About::Device),
        row("decommissionDevice", OPERATOR).about(About::Device),
        row("quarantineDevice", OPERATOR).about(About::Device).body(|_| json!({ "reason": "lost" })),
        row("enrollAgent", May::AnyoneAtADoor).done(400),
        row("renewCertificate", May::Agents).done(403),
        row("requestChallenge", May::Agents),
        row("confirmCertificate", May::Agents)
            .done(404)
            .body(|_| json!({ "certificateId": CertificateId::random().to_string() })),
        row("rotateToken", May::Agents).about(About::Agent).done(403),
        row("confirmToken", May::Agents).about(About::Agent),
        row("unenrollAgent", May::Agents).about(About::Agent).done(403),
        row("sendHeartbeat", May::Agents).about(About::Agent),
        row("getTrustBundle", May::Agents).about(About::Agent),
        row("openChannel", May::Agents).about(About::Agent).done(426),
        row("recordCommandResult", May::Agents)
            .about(About::AgentCommand)
            .body(|_| json!({ "status": "completed" })),
        row("getCaBundle", May::Anyone),
        row("getCa", May::Anyone).about(About::Ca),
        row("getCrl", May::Anyone).about(About::RevocationList),
        row("askOcsp", May::Anyone),
        row("getOcsp", May::Anyone).about(About::Question),
        row("getHealth", May::Anyone),
        row("getReadiness", May::Anyone),
        row("getOpenApi", May::Anyone),
        row("getSetupPage", May::Anyone),
        row("getSetupStyle", May::Anyone),
        row("getSetupScript", May::Anyone),
    ]
}
