//! A job is for all of its devices or for none, ends with its time or when it is called off, and is seen by its
//! tenant alone; the state that a device is to have is replaced by whoever has seen it.

use countersign_authority::agent_settings::SeenVersion;
use countersign_authority::commands::CommandPayload;
use countersign_authority::devices::LookError;
use countersign_authority::ingest::{Incoming, Taken, TokenAsked};
use countersign_authority::jobs::{CreateJobError, JobLife, NewJob};
use countersign_authority::shadows::{DesireError, DesiredState, ReportedState};
use countersign_authority::{Operate, View};
use countersign_core::audit::AuditEvent;
use countersign_core::command::CommandState;
use countersign_core::ids::{DeviceId, JobId};
use countersign_core::{Identity, TrustDomain};
use countersign_store::Role;
use serde_json::{Value, json};

use super::house::{Device, House, MINUTE};

fn payload(value: Value) -> CommandPayload {
    CommandPayload::new(value).unwrap()
}

fn job(devices: &[&Device]) -> NewJob {
    NewJob {
        name: "firmware".parse().unwrap(),
        document: payload(json!({ "version": "2.1" })),
        devices: devices.iter().map(|device| device.id).collect(),
        life: JobLife::seconds(60).unwrap(),
    }
}

impl House {
    async fn states_of(&self, job: JobId) -> Vec<CommandState> {
        let progress = self.authority.job(&self.view(), job).await.unwrap();
        progress.parts.iter().map(|part| part.state).collect()
    }
}

#[tokio::test]
async fn a_job_is_for_all_of_its_devices_or_for_none() {
    let house = House::new().await;
    let (one, two) = (house.device("one").await, house.device("two").await);
    let create = async |new: NewJob| house.authority.create_job(&house.operate(), new).await;
    assert!(matches!(create(job(&[])).await, Err(CreateJobError::Count)));
    let nobody = NewJob { devices: vec![one.id, DeviceId::random()], ..job(&[]) };
    assert!(matches!(create(nobody).await, Err(CreateJobError::Unknown(_))));
    house.authority.quarantine_device(&house.operate(), two.id, "x".parse().unwrap()).await.unwrap();
    assert!(matches!(create(job(&[&one, &two])).await, Err(CreateJobError::Conflict(..))));
    assert_eq!(house.authority.open_commands(one.id).await.unwrap(), []);
    let id = create(job(&[&one, &one])).await.unwrap();
    assert_eq!(house.states_of(id).await, [CommandState::Queued]);
    let [command] = house.authority.open_commands(one.id).await.unwrap().try_into().unwrap();
    assert_eq!(command.job, Some(id));
    assert_eq!(command.payload.unwrap()["document"], json!({ "version": "2.1" }));
    assert_eq!(house.count(AuditEvent::JobCreated).await, 1);
}

#[tokio::test]
async fn a_job_ends_with_its_time_or_when_it_is_called_off() {
    let house = House::new().await;
    let (one, two) = (house.device("one").await, house.device("two").await);
    let late = house.authority.create_job(&house.operate(), job(&[&one, &two])).await.unwrap();
    house.pass(MINUTE);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.states_of(late).await, [CommandState::Expired; 2]);
    let off = house.authority.create_job(&house.operate(), job(&[&one, &two])).await.unwrap();
    assert_eq!(house.authority.cancel_job(&house.operate(), off).await.unwrap(), 2);
    assert_eq!(house.authority.cancel_job(&house.operate(), off).await.unwrap(), 0);
    assert_eq!(house.states_of(off).await, [CommandState::Expired; 2]);
    assert_eq!(house.authority.open_commands(one.id).await.unwrap(), []);
    assert_eq!(house.count(AuditEvent::JobCancelled).await, 1);
}

#[tokio::test]
async fn nobody_sees_or_changes_jobs_and_states_of_another_tenant() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let id = house.authority.create_job(&house.operate(), job(&[&device])).await.unwrap();
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger = house.person(Role::Operator, Some(other.id)).await;
    let (view, operate) = (stranger.authorize::<View>().unwrap(), stranger.authorize::<Operate>().unwrap());
    let made = house.authority.create_job(&operate, job(&[&device])).await;
    assert!(matches!(made, Err(CreateJobError::Forbidden(_))), "{made:?}");
    assert_eq!(house.authority.jobs(&view, None, None, 10).await.unwrap().jobs, []);
    assert_eq!(house.authority.jobs(&house.view(), None, None, 10).await.unwrap().jobs.len(), 1);
    assert!(matches!(house.authority.job(&view, id).await, Err(LookError::Forbidden(_))));
    assert!(matches!(house.authority.cancel_job(&operate, id).await, Err(LookError::Forbidden(_))));
    assert!(matches!(house.authority.shadow(&view, device.id).await, Err(LookError::Forbidden(_))));
    let wanted =
        house.authority.desire_state(&operate, device.id, payload(json!({})), SeenVersion::Any).await;
    assert!(matches!(wanted, Err(DesireError::Forbidden(_))), "{wanted:?}");
}

#[tokio::test]
async fn a_wanted_state_is_replaced_by_whoever_has_seen_it() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let desire = async |n: u64, seen| {
        house.authority.desire_state(&house.operate(), device.id, payload(json!({ "n": n })), seen).await
    };
    assert_eq!(desire(1, SeenVersion::OneOf(vec![0])).await.unwrap().desired.unwrap().version, 1);
    assert!(matches!(desire(2, SeenVersion::OneOf(vec![0])).await, Err(DesireError::Changed(1))));
    assert_eq!(desire(2, SeenVersion::Any).await.unwrap().desired.unwrap().version, 2);
    let row = house.row(device.id).await;
    let key = (row.tenant_slug.clone(), row.name.clone());
    let wanted = DesiredState { version: 2, state: json!({ "n": 2 }), at: house.now() };
    assert_eq!(house.authority.desired_state_for(&key).await.unwrap(), Some(wanted));

    let certificate = house.certificates(device.id).await.remove(0).reference;
    let incoming = |payload: &str| Incoming {
        identity: Identity::new(TrustDomain::default(), row.tenant_slug.clone(), row.name.clone()),
        certificate: certificate.clone(),
        topic: "tenant/t/device/d/shadow/reported".to_owned(),
        qos: 1,
        is_dup: false,
        received_at: house.now(),
        token: TokenAsked::No,
        payload: payload.as_bytes().to_vec(),
    };
    let take = async |payload| house.authority.take_reported_state(incoming(payload)).await.unwrap();
    assert_eq!(take("{\"version\":2,\"reported\":{\"n\":2}}").await, Taken::Telemetry(1));
    assert_eq!(take("{\"version\":2,\"reported\":{\"n\":2}}").await, Taken::KnownState);
    assert_eq!(take("7").await, Taken::SetAside("SCHEMA_INVALID"));
    let said = ReportedState { version: Some(2), state: json!({ "n": 2 }), at: house.now() };
    assert_eq!(house.authority.shadow(&house.view(), device.id).await.unwrap().reported, Some(said));

    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    assert_eq!(house.authority.desired_state_for(&key).await.unwrap(), None);
    assert!(matches!(desire(3, SeenVersion::Any).await, Err(DesireError::Conflict(_))));
    assert_eq!(take("{}").await, Taken::SetAside("DEVICE_QUARANTINED"));
    assert_eq!(house.count(AuditEvent::ShadowDesired).await, 2);
}
