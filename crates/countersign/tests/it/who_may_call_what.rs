//! Proves who may call what: every operation of the OpenAPI document is in the table, and
//! every kind of caller is tried on each: people, agents, and API tokens with and without the scope.

use std::collections::BTreeSet;

use countersign_core::ids::SiteId;
use countersign_core::scope::Scope;
use countersign_store::Role;
use http::{Method, StatusCode};
use serde_json::{Value, json};

mod table;

use self::table::{About, Elsewhere, IN_SESSION, May, Row, table};
use crate::in_process::{ANOTHER, Answer, Call, Device, Document, OWN, Operation, Person, Plane, Whose};

/// What is used where nothing should happen to it.
struct Spare {
    tenant: String,
    enrollment_key: String,
    command: String,
    api_token: String,
    user: String,
    site: String,
    denied_key: String,
    service: String,
    imported: String,
    edge: String,
}

impl Spare {
    async fn make(plane: &Plane, device: &Device) -> Self {
        let enrollment_key = enrollment_key(plane).await;
        let (name, tenant) = ("spare", "/api/v1/tenants");
        plane.as_owner(Call::post(tenant, &json!({ "slug": name, "name": name }))).await;
        let commands = format!("/api/v1/devices/{}/commands", device.id);
        let queued = plane.as_owner(Call::post(commands, &json!({ "type": "ping" }))).await;
        let (api_token, _) = api_token(plane, &plane.owner, &json!({ "name": "spare" })).await;
        let (user, site) = (user(plane, "spare").await, site(plane, "spare").await);
        let (command, denied_key) = (queued.field("id"), denied_key(plane).await);
        let (service, imported, edge) = (service(plane).await, imported(plane).await, edge(plane).await);
        let tenant = name.to_owned();
        Self { tenant, enrollment_key, command, api_token, user, site, denied_key, service, imported, edge }
    }
}

async fn enrollment_key(plane: &Plane) -> String {
    plane.as_owner(Call::post("/api/v1/enrollment-keys", &json!({ "tenant": OWN }))).await.field("id")
}

/// Somebody of the tenant.
async fn user(plane: &Plane, name: &str) -> String {
    let wanted = json!({ "email": format!("{name}@example.com"), "role": "viewer", "tenant": OWN });
    plane.as_owner(Call::post("/api/v1/users", &wanted)).await.field("id")
}

/// A site of the tenant.
async fn site(plane: &Plane, slug: &str) -> String {
    let wanted = json!({ "tenant": OWN, "slug": slug, "name": slug });
    plane.as_owner(Call::post("/api/v1/sites", &wanted)).await.field("id")
}

/// Makes an API token of this person's: its id, and itself.
async fn api_token(plane: &Plane, person: &str, wanted: &Value) -> (String, String) {
    let made = plane.admin(Call::post("/api/v1/api-tokens", wanted).bearer(person)).await;
    assert_eq!(made.status, 201, "{made:?}");
    (made.field("id"), made.field("token"))
}

/// API tokens of the owner's, who may everything.
struct Tokens {
    /// With every right of the owner's.
    full: String,
    /// Which act as a viewer and as an owner of another tenant.
    lesser: Vec<Person>,
    revoked: String,
}

impl Tokens {
    async fn make(plane: &Plane) -> Self {
        let make = async |wanted: Value| api_token(plane, &plane.owner, &wanted).await;
        let viewer = make(json!({ "name": "viewer", "role": "viewer" })).await.1;
        let elsewhere = make(json!({ "name": "elsewhere", "tenant": ANOTHER })).await.1;
        let (id, revoked) = make(json!({ "name": "revoked" })).await;
        plane.as_owner(Call::new(Method::POST, format!("/api/v1/api-tokens/{id}/revoke"))).await;
        Self {
            full: make(json!({ "name": "full" })).await.1,
            lesser: vec![
                Person { role: Role::Viewer, whose: Whose::Everyones, token: viewer },
                Person { role: Role::Owner, whose: Whose::Another, token: elsewhere },
            ],
            revoked,
        }
    }
}

/// A service's certificate.
async fn service(plane: &Plane) -> String {
    plane.as_owner(Call::post("/api/v1/service-certificates", &table::wanted_service())).await.field("id")
}

/// One that was imported.
async fn imported(plane: &Plane) -> String {
    let path = "/api/v1/service-certificates/import";
    plane.as_owner(Call::post(path, &table::brought_service())).await.field("id")
}

/// An edge.
async fn edge(plane: &Plane) -> String {
    let wanted = json!({ "name": format!("e{}", SiteId::random()) });
    plane.as_owner(Call::post("/api/v1/edges", &wanted)).await.field("id")
}

/// The key of a device that was denied.
async fn denied_key(plane: &Plane) -> String {
    let device = plane.device(OWN).await;
    plane.as_owner(Call::new(Method::POST, format!("/api/v1/agents/{}/deny", device.id))).await;
    let path = format!("/api/v1/denied-keys?deviceId={}", device.id);
    let denied = plane.as_owner(Call::get(path)).await.json();
    denied["deniedKeys"][0]["spkiSha256"].as_str().unwrap().to_owned()
}

/// Tries one operation.
struct Trial<'a> {
    plane: &'a Plane,
    document: &'a Document,
    row: &'a Row,
    operation: Operation,
    /// The device that is used where nothing should happen to it.
    shared: &'a Device,
    /// So are these.
    spare: &'a Spare,
    tokens: &'a Tokens,
    count: u32,
}

impl Trial<'_> {
    fn call(&mut self, target: &str) -> Call {
        self.count += 1;
        let (whose, which) = target.split_once(' ').unwrap_or((target, ""));
        let path = self.operation.path.replace("{id}", whose).replace("{file}", whose);
        let path = path.replace("{commandId}", which);
        let call = Call::new(self.operation.method.clone(), format!("{path}{}", self.row.query));
        if self.operation.takes_body() { call.json(&(self.row.body)(self.count)) } else { call }
    }

    /// What the operation is about, in the path's words.
    fn target(&self, device: &Device) -> String {
        match self.row.about {
            About::Nothing => String::new(),
            About::Device | About::QuarantinedDevice => device.id.clone(),
            About::Certificate => device.certificate.clone(),
            About::Tenant => OWN.to_owned(),
            About::AnyTenant | About::SuspendedTenant => self.spare.tenant.clone(),
            About::EnrollmentKey => self.spare.enrollment_key.clone(),
            About::ApiToken => self.spare.api_token.clone(),
            About::User => self.spare.user.clone(),
            About::Site => self.spare.site.clone(),
            About::DeniedKey => self.spare.denied_key.clone(),
            About::ServiceCertificate => self.spare.service.clone(),
            About::ImportedService => self.spare.imported.clone(),
            About::Edge => self.spare.edge.clone(),
            About::Agent => device.agent.clone(),
            About::Command => format!("{} {}", device.id, self.spare.command),
            About::AgentCommand => format!("{} {}", device.agent, self.spare.command),
            About::Anchor => "1".to_owned(),
            About::Ca => format!("{}.pem", self.issuer()),
            About::NamedCa => "root".to_owned(),
            About::Monitor | About::Alert | About::Silence | About::Trust => "none".to_owned(),
            About::Message => "1".to_owned(),
            About::RevocationList => format!("{}.crl", self.issuer()),
            // No request at all, which has an answer of its own.
            About::Question => "MAA".to_owned(),
        }
    }

    fn issuer(&self) -> String {
        self.plane.authority.snapshot().device_issuers.iter().next().unwrap().key_id.to_string()
    }

    /// A device that nobody has touched, in the state that the operation needs.
    async fn fresh_target(&self) -> String {
        match self.row.about {
            About::Device | About::Certificate => self.target(&self.plane.device(OWN).await),
            About::QuarantinedDevice => {
                let device = self.plane.device(OWN).await;
                let path = format!("/api/v1/devices/{}/quarantine", device.id);
                self.plane.as_owner(Call::post(path, &json!({ "reason": "test" }))).await;
                self.target(&device)
            }
            About::AnyTenant | About::SuspendedTenant => {
                let spare = &self.spare.tenant;
                let opposite = if self.row.about == About::AnyTenant { "resume" } else { "suspend" };
                let call = Call::new(Method::POST, format!("/api/v1/tenants/{spare}/{opposite}"));
                // Done already the first time.
                self.plane.admin(call.bearer(&self.plane.owner)).await;
                spare.clone()
            }
            About::EnrollmentKey => enrollment_key(self.plane).await,
            About::ApiToken => unreachable!("made by the person"),
            About::User => user(self.plane, &SiteId::random().to_string()).await,
            About::Site => site(self.plane, &SiteId::random().to_string()).await,
            About::Nothing
            | About::Tenant
            | About::Agent
            | About::Command
            | About::AgentCommand
            | About::Anchor
            | About::Ca
            | About::NamedCa
            | About::Monitor
            | About::Alert
            | About::Silence
            | About::Trust
            | About::Message
            | About::RevocationList
            | About::Question => self.target(self.shared),
            About::DeniedKey => denied_key(self.plane).await,
            About::ServiceCertificate => service(self.plane).await,
            About::ImportedService => imported(self.plane).await,
            About::Edge => edge(self.plane).await,
        }
    }

    async fn own_api_token(&self, person: &Person) -> String {
        // A token makes none: those that are tried here are the owner's.
        let maker = if person.token.starts_with("cst_") { &self.plane.owner } else { &person.token };
        let wanted = match (person.role, person.whose) {
            (Role::Viewer, Whose::Everyones) => json!({ "name": "fresh", "role": "viewer" }),
            (_, Whose::Another) => json!({ "name": "fresh", "tenant": ANOTHER }),
            (_, Whose::Own | Whose::Everyones) => json!({ "name": "fresh" }),
        };
        api_token(self.plane, maker, &wanted).await.0
    }

    async fn ask(&mut self, token: Option<&str>, target: &str) -> Answer {
        let call = self.call(target);
        let answer = self.plane.admin(with_token(call, token)).await;
        self.check(&answer);
        answer
    }

    /// Holds an answer against what the document says.
    fn check(&self, answer: &Answer) {
        let id = &self.operation.id;
        let statuses = self.operation.statuses();
        assert!(statuses.contains(&answer.status.as_u16()), "{id} does not document {answer:?}");
        if self.operation.answers_json(answer.status) {
            let faults = self.document.faults(&self.operation, answer.status, &answer.json());
            assert!(faults.is_empty(), "{id} answers what it does not document: {faults:#?} {answer:?}");
        }
    }

    async fn people_only(&mut self, lowest: Role) {
        let target = self.target(self.shared);
        let people = &self.plane.people;
        for (who, token) in [
            ("nobody", None),
            ("a stranger", Some("garbage")),
            ("an unknown session", Some(&*format!("css_{}", "0".repeat(64)))),
            ("an unknown API token", Some(&*format!("cst_{}", "0".repeat(64)))),
            ("a revoked API token", Some(&*self.tokens.revoked)),
            ("an agent", Some(&*self.shared.token)),
            ("a disabled person", Some(&*people.disabled)),
            ("a person of long ago", Some(&*people.late)),
        ] {
            let answer = self.ask(token, &target).await;
            assert_eq!(answer.status, 401, "{who} calls {}: {answer:?}", self.row.operation);
            let said = (answer.code(), answer.field("error"));
            assert_eq!(said, ("UNAUTHORIZED".to_owned(), "Unauthorized".to_owned()));
        }
        for person in people.all.clone() {
            self.person(&person, lowest).await;
        }
        self.api_tokens(lowest).await;
    }

    /// What API tokens may: no more than their scopes, their role and their tenant.
    async fn api_tokens(&mut self, lowest: Role) {
        let Some(scopes) = self.operation.scopes() else {
            let answer = self.ask(Some(&self.tokens.full), &self.target(self.shared)).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (403, "SESSION_REQUIRED".to_owned()));
            return;
        };
        let owner = |token| Person { role: Role::Owner, whose: Whose::Everyones, token };
        let mut able = vec![owner(self.tokens.full.clone())];
        for scope in &scopes {
            let wanted = |scopes: Vec<&str>| json!({ "name": "scoped", "scopes": scopes });
            let others = Scope::ALL.iter().map(|scope| scope.as_str()).filter(|other| other != scope);
            let (_, without) = api_token(self.plane, &self.plane.owner, &wanted(others.collect())).await;
            let answer = self.ask(Some(&without), &self.target(self.shared)).await;
            let said = (answer.status.as_u16(), answer.code());
            assert_eq!(said, (403, "SCOPE_MISSING".to_owned()), "{}: {answer:?}", self.row.operation);
            able = vec![owner(api_token(self.plane, &self.plane.owner, &wanted(vec![scope])).await.1)];
        }
        for caller in able.iter().chain(&self.tokens.lesser) {
            self.person(caller, lowest).await;
        }
    }

    async fn person(&mut self, person: &Person, lowest: Role) {
        let may = rank(person.role) >= rank(lowest)
            && match (self.row.elsewhere, person.whose) {
                (_, Whose::Everyones)
                | (Elsewhere::Same | Elsewhere::SeesNothing, _)
                | (Elsewhere::Refused, Whose::Own) => true,
                (Elsewhere::Refused, Whose::Another) | (Elsewhere::ForTheUnbound, _) => false,
            };
        let target = if self.row.about == About::ApiToken {
            self.own_api_token(person).await
        } else if may {
            self.fresh_target().await
        } else {
            self.target(self.shared)
        };
        let answer = self.ask(Some(&person.token), &target).await;
        let expected = if may { self.row.done } else { 403 };
        assert_eq!(answer.status, expected, "{person:?} calls {}: {answer:?}", self.row.operation);
        if !may {
            assert_eq!(answer.code(), "FORBIDDEN");
        } else if self.row.elsewhere == Elsewhere::SeesNothing {
            let sees = |slug: &str| answer.text.contains(slug);
            let expected = match person.whose {
                Whose::Everyones => (true, true),
                Whose::Own => (true, false),
                Whose::Another => (false, true),
            };
            assert_eq!((sees(OWN), sees(ANOTHER)), expected, "{person:?} sees {answer:?}");
        }
    }

    async fn anyone(&mut self) {
        let target = self.target(self.shared);
        let viewer = self.plane.people.token(Role::Viewer, Whose::Another);
        for token in [None, Some("garbage"), Some(&*self.shared.token), Some(viewer)] {
            let answer = self.ask(token, &target).await;
            assert_eq!(answer.status, self.row.done, "{}: {answer:?}", self.row.operation);
        }
    }

    /// Agents' operations do not exist on the admin listener, nor for requests that came round the
    /// door.
    async fn only_through_a_door(&mut self) {
        let target = self.target(self.shared);
        let owner = self.plane.owner.as_str();
        for token in [None, Some(owner), Some(&*self.shared.token)] {
            let call = self.call(&target);
            let at_admin = self.plane.admin(with_token(call.clone(), token)).await;
            assert_eq!(at_admin.status, 404, "{at_admin:?}");
            let past_door = self.plane.past_door(with_token(call, token)).await;
            assert_eq!(past_door.status, 404, "{past_door:?}");
        }
    }

    async fn agents(&mut self, other: &Device) {
        let target = self.target(self.shared);
        let cut = self.shared.token.trim_end_matches(|c: char| c.is_ascii_hexdigit());
        let mut strangers = vec![None, Some("garbage"), Some(self.plane.owner.as_str()), Some(cut)];
        if matches!(self.row.about, About::Agent | About::AgentCommand) {
            strangers.push(Some(&other.token));
        }
        for token in strangers {
            let call = self.call(&target);
            let answer = self.plane.through_door(with_token(call, token)).await;
            self.check(&answer);
            assert_eq!(answer.status, 401, "{token:?} calls {}: {answer:?}", self.row.operation);
            assert_eq!(answer.field("error"), "Unauthorized");
        }
        self.agent_itself(Some(&self.shared.token), &target).await;
    }

    async fn agent_itself(&mut self, token: Option<&str>, target: &str) {
        let call = self.call(target);
        let answer = self.plane.through_door(with_token(call, token)).await;
        self.check(&answer);
        assert_eq!(answer.status, self.row.done, "{}: {answer:?}", self.row.operation);
    }

    /// What is for people stays off the doors unless it is asked for.
    async fn not_at_a_door(&mut self) {
        let target = self.target(self.shared);
        let call = self.call(&target);
        let answer = self.plane.through_door(with_token(call, Some(&self.plane.owner))).await;
        // `/agents/quarantined` looks like an agent, whose enrolment a DELETE would end.
        let nowhere = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        assert!(nowhere.contains(&answer.status), "{}: {answer:?}", self.row.operation);
    }
}

fn with_token(call: Call, token: Option<&str>) -> Call {
    match token {
        Some(token) => call.bearer(token),
        None => call,
    }
}

const fn rank(role: Role) -> u8 {
    match role {
        Role::Viewer => 0,
        Role::Operator => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    }
}

#[test]
fn every_operation_is_in_the_table() {
    let documented: BTreeSet<String> =
        Document::generated().operations().into_iter().map(|operation| operation.id).collect();
    let tabled: BTreeSet<String> = table().iter().map(|row| row.operation.to_owned()).collect();
    assert_eq!(documented, tabled);
}

#[test]
fn what_needs_a_token_is_what_the_table_says() {
    let document = Document::generated();
    for row in table() {
        let described = document.operation(row.operation).described;
        let choices = described["security"].as_array().into_iter().flatten();
        let schemes: Vec<&str> =
            choices.flat_map(|choice| choice.as_object().unwrap().keys()).map(String::as_str).collect();
        let expected: &[&str] = match row.may {
            May::People(_) if IN_SESSION.contains(&row.operation) => &["session"],
            May::People(_) => &["session", "apiToken"],
            May::PeopleAndDevices(_) => &["session", "apiToken", "deviceCertificate"],
            // Alone, or with the device's certificate.
            May::Agents => &["agent", "agent", "deviceCertificate"],
            May::Anyone | May::AnyoneAtADoor => &[],
            May::Edges => &["edgeCertificate"],
        };
        let said = if row.may == May::Agents { expected.starts_with(&schemes) } else { schemes == expected };
        assert!(said && schemes.is_empty() == expected.is_empty(), "{}: {schemes:?}", row.operation);
    }
}

#[tokio::test]
async fn everybody_gets_what_the_table_says_and_nothing_else() {
    let plane = Plane::start().await;
    let document = Document::generated();
    let shared = plane.device(OWN).await;
    let other = plane.device(ANOTHER).await;
    for device in [&plane.device(OWN).await, &plane.device(ANOTHER).await] {
        let path = format!("/api/v1/devices/{}/quarantine", device.id);
        plane.as_owner(Call::post(path, &json!({ "reason": "waits" }))).await;
    }
    let spare = Spare::make(&plane, &shared).await;
    let tokens = Tokens::make(&plane).await;
    let untouched = async || plane.as_owner(Call::get(format!("/api/v1/devices/{}", shared.id))).await.json();
    let before = untouched().await;
    for row in &table() {
        let operation = document.operation(row.operation);
        let on_doors = ["pki", "health"].contains(&operation.tag());
        let mut trial = Trial {
            plane: &plane,
            document: &document,
            row,
            operation,
            shared: &shared,
            spare: &spare,
            tokens: &tokens,
            count: 0,
        };
        match row.may {
            May::People(lowest) => {
                trial.not_at_a_door().await;
                trial.people_only(lowest).await;
            }
            May::PeopleAndDevices(lowest) => {
                let (target, token) = (String::new(), plane.owner.clone());
                let at_a_door = plane.through_door(with_token(trial.call(&target), Some(&token))).await;
                assert_eq!((at_a_door.status.as_u16(), at_a_door.code()), (403, "MTLS_REQUIRED".to_owned()));
                trial.people_only(lowest).await;
            }
            May::Anyone => {
                if !on_doors {
                    trial.not_at_a_door().await;
                }
                trial.anyone().await;
            }
            May::Agents => {
                trial.only_through_a_door().await;
                trial.agents(&other).await;
            }
            May::AnyoneAtADoor | May::Edges => {
                trial.only_through_a_door().await;
                trial.agent_itself(None, "").await;
            }
        }
    }
    let seen = |mut device: Value| {
        device["lastSeenAt"].take();
        device["status"].take();
        device
    };
    assert_eq!(seen(before), seen(untouched().await), "a refused call changed something");
}

#[tokio::test]
async fn a_door_with_admin_routes_asks_for_the_same_credentials() {
    let plane = Plane::start().await;
    let device = plane.device(OWN).await;
    let devices = || Call::get("/api/v1/devices");
    assert_eq!(plane.through_exposed_door(devices().bearer(&plane.owner)).await.status, 200);
    for token in ["garbage", &device.token] {
        assert_eq!(plane.through_exposed_door(devices().bearer(token)).await.status, 401);
    }
    for path in ["/setup", "/api/v1/openapi.json"] {
        assert_eq!(plane.through_exposed_door(Call::get(path)).await.status, 404, "{path}");
    }
    let beat = Call::post(format!("/api/v1/agents/{}/heartbeat", device.agent), &json!({}));
    assert_eq!(plane.through_exposed_door(beat.bearer(&device.token)).await.status, 200);
}

#[tokio::test]
async fn a_session_is_over_at_once_when_its_person_signs_out() {
    let plane = Plane::start().await;
    let token = plane.people.token(Role::Admin, Whose::Own);
    let me = || Call::get("/api/v1/auth/me").bearer(token);
    assert_eq!(plane.admin(me()).await.field("role"), "admin");
    let out = plane.admin(Call::new(Method::POST, "/api/v1/auth/logout").bearer(token)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(plane.admin(me()).await.status, 401);
}
