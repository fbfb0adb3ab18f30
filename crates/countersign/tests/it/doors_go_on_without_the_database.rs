//! Proves that doors go on by what they know while PostgreSQL is away, stopped, hung or out of reach: what needs it
//! is answered 503 in time and leaves nothing half done, and afterwards everything goes on by itself and misses
//! nothing of what was decided meanwhile.

use std::time::{Duration, Instant};

use countersign_testkit::{Answer, KeyKind, PostgresMachine, TestKey};

use crate::harness::{
    AgentHome, Cable, Device, Installation, Time, assert_sound, done, enrolment, eventually, settle, until,
};
use crate::upstream::Upstream;

/// What an answer may take while the database says nothing: twenty seconds, on a machine with much else to do.
const IN_TIME: Duration = Duration::from_secs(40);
const PATIENCE: Duration = Duration::from_secs(90);

/// What the door says to a device that asks for something behind it.
async fn asks(installation: &Installation, device: &Device) -> (u16, String) {
    let mut connection = device.connect(installation).await;
    let answer = connection.request("GET", "/required/x", &[], "").await.unwrap();
    (answer.status, answer.code())
}

async fn tries_to_enrol(installation: &Installation, enrolment_key: &str, name: &str) -> Answer {
    let csr = TestKey::generate(KeyKind::P256).signing_request_pem(name);
    let body = enrolment(enrolment_key, name, Some(&csr));
    installation.connect().await.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap()
}

/// A request that needs the database is told in time to come again.
async fn is_put_off(what: &str, request: impl Future<Output = Answer>) {
    let began = Instant::now();
    let answer = request.await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "NOT_READY"), "{what}: {}", answer.text());
    assert_eq!(answer.header("retry-after"), "5", "{what}");
    assert!(began.elapsed() < IN_TIME, "{what}: {:?}", began.elapsed());
}

/// What holds while the database is away; `key` stays good.
async fn goes_on_without(installation: &Installation, good: &Device, bad: &Device, key: &str) {
    assert_eq!(asks(installation, good).await.0, 200, "admitted by what the door knows");
    assert_eq!(asks(installation, bad).await, (403, "CERTIFICATE_REVOKED".to_owned()));
    let admin = installation.admin();
    let mut heard = good.connect(installation).await;
    let fresh = TestKey::generate(KeyKind::P256);
    tokio::join!(
        is_put_off("an enrolment", tries_to_enrol(installation, key, "late")),
        is_put_off("a heartbeat", good.heartbeat(&mut heard)),
        is_put_off("a renewal", async { good.renewed(installation, &fresh).await.unwrap_err() }),
        is_put_off("a decision", admin.deny(good.id)),
        is_put_off("a list", admin.get("/devices")),
        is_put_off("readiness", installation.get_plain("/health/ready")),
    );
    assert_eq!(installation.get_plain("/health").await.status, 200);
    assert_eq!(asks(installation, good).await.0, 200, "nothing came of the decision");
}

async fn is_found_again(installation: &Installation) {
    eventually(PATIENCE, "the database is found again", async || {
        (installation.get_plain("/health/ready").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_or_hung_it_is_waited_for() {
    let mut machine = PostgresMachine::start();
    let upstream = Upstream::start().await;
    let installation = Installation::at(machine.url(), &upstream.routes(), Time::Fake).await;
    let admin = installation.admin();
    let (good, bad) = (Device::enrol(&installation, "good").await, Device::enrol(&installation, "bad").await);
    done(&admin.deny(bad.id).await);
    let agent = AgentHome::enrolled(&installation).await;
    let id = agent.text("device_id").parse().unwrap();
    let running = agent.run();
    let is_online = async || admin.device(id).await.status.as_str() == "online";
    until("the agent is online", is_online).await;
    let key = admin.one_use_key().await;

    machine.stop();
    goes_on_without(&installation, &good, &bad, &key).await;
    machine.start_again();
    is_found_again(&installation).await;

    machine.freeze();
    goes_on_without(&installation, &good, &bad, &key).await;
    machine.thaw();
    is_found_again(&installation).await;

    let enrolled = eventually(PATIENCE, "the enrolment is done", async || {
        let answer = tries_to_enrol(&installation, &key, "late").await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(enrolled.status, 201, "the key was not used up: {}", enrolled.text());
    assert_eq!(good.heartbeat(&mut good.connect(&installation).await).await.status, 200);
    let seen = admin.device(id).await.last_seen_at;
    until("the agent is heard again", async || admin.device(id).await.last_seen_at > seen).await;
    assert!(running.terminate().await.success());
    settle(&installation).await;
    assert_sound(&installation).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_while_it_was_out_of_reach_is_caught_up_with() {
    let machine = PostgresMachine::start();
    let upstream = Upstream::start().await;
    let cable = Cable::to(machine.address()).await;
    let url = PostgresMachine::url_by_way_of(cable.address());
    let cut_off = Installation::at(url, &upstream.routes(), Time::Real).await;
    let other = cut_off.beside_at(machine.url()).await;
    let device = Device::enrol(&cut_off, "pump").await;
    let bystander = Device::enrol(&cut_off, "valve").await;
    eventually(PATIENCE, "the other's door knows both", async || {
        (asks(&other, &device).await.0 == 200).then_some(())
    })
    .await;

    cable.cut();
    done(&other.admin().deny(device.id).await);
    assert_eq!(asks(&other, &device).await, (403, "CERTIFICATE_REVOKED".to_owned()));
    assert_eq!(asks(&cut_off, &device).await.0, 200, "it cannot have heard");
    let later = Device::enrol(&other, "motor").await;
    cable.mend();
    eventually(PATIENCE, "it has heard of the decision", async || {
        (asks(&cut_off, &device).await.1 == "CERTIFICATE_REVOKED").then_some(())
    })
    .await;
    for device in [&bystander, &later] {
        assert_eq!(asks(&cut_off, device).await.0, 200);
    }

    // From here on at once again: it listens.
    let mut open = later.connect(&cut_off).await;
    assert_eq!(open.request("GET", "/required/x", &[], "").await.unwrap().status, 200);
    let began = Instant::now();
    done(&other.admin().quarantine(later.id, "lost").await);
    open.closed().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
