//! Jobs and the states of devices read back whole; a state's versions count up; a job's parts are its commands,
//! and it stays as long as one of them does.

use countersign_core::command::{CommandKind, CommandState};
use countersign_core::ids::JobId;
use countersign_store::{
    CommandOutcome, CommandRow, DesiredState, DeviceRow, JobRow, ReportedState, ShadowRow,
};
use serde_json::json;

use super::commands::new_command;
use super::fixture::{DAY, Fixture, HOUR, now, read, write};

pub(crate) fn new_job(device: &DeviceRow) -> JobRow {
    JobRow {
        id: JobId::random(),
        tenant: device.tenant,
        tenant_slug: device.tenant_slug.clone(),
        name: "firmware".parse().unwrap(),
        document: json!({ "version": "ü\0" }),
        created_at: now(),
        expires_at: now() + DAY,
        cancelled_at: None,
    }
}

pub(crate) fn part(job: &JobRow, device: &DeviceRow) -> CommandRow {
    CommandRow { job: Some(job.id), kind: CommandKind::Job, ..new_command(device.id) }
}

#[tokio::test]
async fn a_state_reads_back_and_its_versions_count_up() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await.id, fixture.device("d2").await.id);
    let shadow = async |device| read!(fixture.store, |r| r.shadow(device)).unwrap();
    assert_eq!(shadow(device).await, ShadowRow::default());
    let reported = ReportedState { version: None, state: json!({ "a": "\0" }), at: now() };
    let said = reported.clone();
    write!(fixture.store, |w| w.report_state(device, &said)).unwrap();
    assert_eq!(shadow(device).await, ShadowRow { desired: None, reported: Some(reported) });
    for (version, at) in [(1, now()), (2, now() + HOUR)] {
        let state = json!({ "n": version });
        assert_eq!(write!(fixture.store, |w| w.desire(device, &state, at)).unwrap(), version);
    }
    let reported = ReportedState { version: Some(2), state: json!({}), at: now() + HOUR };
    let said = reported.clone();
    write!(fixture.store, |w| w.report_state(device, &said)).unwrap();
    let desired = DesiredState { version: 2, state: json!({ "n": 2 }), at: now() + HOUR };
    assert_eq!(shadow(device).await, ShadowRow { desired: Some(desired), reported: Some(reported) });
    assert_eq!(shadow(other).await, ShadowRow::default());
    let since = async |at| read!(fixture.store, |r| r.devices_desired_since(at)).unwrap();
    assert_eq!((since(now()).await, since(now() + HOUR).await), (vec![device], vec![]));
}

#[tokio::test]
async fn a_job_reads_back_with_its_parts_and_stays_as_long_as_they_do() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.device("d1").await, fixture.device("d2").await);
    let (job, later) = (new_job(&one), JobRow { created_at: now() + HOUR, ..new_job(&one) });
    let of_two = part(&job, &two);
    let parts = vec![of_two.clone(), part(&job, &one)];
    for (job, parts) in [(job.clone(), parts), (later.clone(), vec![])] {
        let done = fixture.store.write::<_, countersign_store::StoreError, _>(move |w| {
            Box::pin(async move {
                w.insert_job(&job).await?;
                for part in &parts {
                    w.insert_command(part).await?;
                }
                Ok(())
            })
        });
        done.await.unwrap();
    }
    let id = job.id;
    assert_eq!(read!(fixture.store, |r| r.job(id)).unwrap(), Some(job.clone()));
    assert_eq!(read!(fixture.store, |r| r.job(JobId::random())).unwrap(), None);
    let tenant = Some(job.tenant);
    let first = read!(fixture.store, |r| r.list_jobs(tenant, None, 1)).unwrap();
    assert_eq!(first.jobs, [later]);
    let rest = read!(fixture.store, |r| r.list_jobs(None, first.next, 1)).unwrap();
    assert_eq!((rest.jobs, rest.next), (vec![job.clone()], None));
    let listed = read!(fixture.store, |r| r.job_parts(id)).unwrap();
    let names: Vec<_> = listed.iter().map(|part| (part.device_name.as_str(), part.state)).collect();
    assert_eq!(names, [("d1", CommandState::Queued), ("d2", CommandState::Queued)]);

    let first = listed.into_iter().next().unwrap();
    let (command, device) = (first.command, first.device);
    let outcome = CommandOutcome { state: CommandState::Completed, at: now(), result: None, error: None };
    assert!(write!(fixture.store, |w| w.finish_command(command, device, &outcome)).unwrap());
    let open = read!(fixture.store, |r| r.open_commands_of_job(id)).unwrap();
    assert_eq!(open, [of_two]);
    assert!(write!(fixture.store, |w| w.cancel_job(id, now())).unwrap());
    assert!(!write!(fixture.store, |w| w.cancel_job(id, now() + HOUR)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.job(id)).unwrap().unwrap().cancelled_at, Some(now()));
    assert_eq!(
        write!(fixture.store, |w| w.prune_jobs(now() + DAY + DAY)).unwrap(),
        1,
        "the one without parts"
    );
    assert!(read!(fixture.store, |r| r.job(id)).unwrap().is_some());
}
