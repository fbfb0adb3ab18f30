//! The devices of the test, one for each cell that changes its device.

use countersign_api::wire::agent::{ChallengeResponse, RenewResponse};
use countersign_core::ids::CommandId;
use countersign_testkit::{DoorClient, KeyKind, TestCa, TestKey};
use serde_json::json;

use super::table::{Mode, Route, Shown};
use crate::harness::{Device, Installation, done, identity_pem, read};

/// What all of them share.
pub(super) struct Stage<'a> {
    pub(super) installation: &'a Installation,
    pub(super) mode: Mode,
    /// Enrols as many as there are.
    pub(super) enrolment_key: String,
    bystander: Device,
    evil_twin: TestCa,
}

impl<'a> Stage<'a> {
    /// A tenant of its own for this mode.
    pub(super) async fn set(installation: &'a Installation, mode: Mode) -> Self {
        let admin = installation.admin();
        let tenant = mode.name();
        done(&admin.post("/tenants", &json!({ "slug": tenant, "name": tenant })).await);
        let key = json!({ "tenant": tenant, "maxUses": 10_000, "expiresInMinutes": 10_000 });
        let enrolment_key = admin.enrollment_key(key).await.key;
        let fresh = TestKey::generate(KeyKind::P256);
        let bystander =
            Device::enrol_with(installation, &enrolment_key, &format!("{tenant}-bystander"), fresh).await;
        let evil_twin = TestCa::new("countersign.internal");
        Self { installation, mode, enrolment_key, bystander, evil_twin }
    }

    /// Changes the tenant's settings.
    pub(super) async fn configure(&self, settings: &serde_json::Value) {
        let path = format!("/agents/org/{}/settings/mtls", self.mode.name());
        done(&self.installation.admin().call("PATCH", &path, Some(settings)).await);
    }
}

/// A device on its way to a cell: what it has, and what it shows.
pub(super) struct Actor {
    pub(super) shown: Shown,
    pub(super) route: Route,
    pub(super) device: Device,
    /// The signing request of its renewals (DER), always the same.
    pub(super) request: Vec<u8>,
    /// The key of that request.
    pub(super) fresh: TestKey,
    /// A renewal that waits for its confirmation.
    pub(super) renewal: Option<RenewResponse>,
    /// The key that proves possession at renewals.
    pub(super) present_key: TestKey,
    /// A command that waits for it, where the route is about one.
    pub(super) command: Option<CommandId>,
    /// A challenge from before the fall, for those who get none after it.
    pub(super) early: ChallengeResponse,
}

impl Actor {
    /// Enrols it, in good standing; the life of its certificates is the tenant's.
    pub(super) async fn enrol(stage: &Stage<'_>, route: Route, shown: Shown) -> Self {
        let installation = stage.installation;
        let name = format!("{}-{route:?}-{shown:?}", stage.mode.name());
        let key = TestKey::generate(KeyKind::P256);
        let device = Device::enrol_with(installation, &stage.enrolment_key, &name, key).await;
        let fresh = TestKey::generate(KeyKind::P256);
        let request = fresh.signing_request_der(&name);
        let early = read(&device.challenge(&mut installation.connect().await).await);
        let present_key = device.key.clone();
        let ping = json!({ "type": "ping" });
        let command = if route == Route::CommandResult {
            Some(installation.admin().queue_command(device.id, &ping).await)
        } else {
            None
        };
        let mut actor =
            Self { shown, route, device, request, fresh, renewal: None, present_key, command, early };
        if route == Route::Confirm || shown == Shown::Superseded {
            actor.renewal = Some(actor.renew(installation).await);
        }
        actor
    }

    async fn renew(&self, installation: &Installation) -> RenewResponse {
        let mut own = self.device.connect(installation).await;
        read(&self.device.renew_over_own(installation, &mut own, &self.request).await)
    }

    /// A client that shows what it has to show.
    pub(super) fn client(&self, stage: &Stage<'_>) -> DoorClient {
        let client = stage.installation.client();
        match self.shown {
            Shown::Nothing | Shown::NothingInQuarantine => client,
            Shown::OtherDevices => client.showing(&stage.bystander.identity_pem()),
            Shown::EvilTwins => {
                let twin = stage.evil_twin.device(stage.mode.name(), &self.device.name);
                client.showing(&(twin.chain_pem() + &twin.key_pem()))
            }
            Shown::Own if self.route == Route::Confirm => {
                let renewal = self.renewal.as_ref().unwrap();
                client.showing(&identity_pem(&renewal.mtls, &self.fresh))
            }
            Shown::Own | Shown::Expired | Shown::Superseded | Shown::Revoked | Shown::QuarantinedDevices => {
                client.showing(&self.device.identity_pem())
            }
        }
    }

    /// Lets happen to it what it is the example of; expiry is for the clock.
    pub(super) async fn fall(&mut self, stage: &Stage<'_>) {
        let admin = stage.installation.admin();
        match self.shown {
            Shown::Nothing | Shown::Own | Shown::OtherDevices | Shown::EvilTwins | Shown::Expired => {}
            Shown::Superseded => {
                let renewal = self.renewal.as_ref().unwrap();
                let client = stage.installation.client().showing(&identity_pem(&renewal.mtls, &self.fresh));
                let mut over_new = client.connect(stage.installation.door()).await.unwrap();
                done(&self.device.confirm(&mut over_new, renewal.certificate_id, None).await);
                // The other's proof: that of the certificate that took its place.
                self.present_key = self.fresh.clone();
                self.request = TestKey::generate(KeyKind::P256).signing_request_der("superseded");
            }
            Shown::Revoked => {
                let certificate = admin.active(self.device.id).await.unwrap().id;
                done(&admin.revoke(certificate, "keyCompromise").await);
            }
            Shown::QuarantinedDevices | Shown::NothingInQuarantine => {
                done(&admin.quarantine(self.device.id, "lost").await);
            }
        }
    }
}
