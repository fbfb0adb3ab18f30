//! Proves that an agent killed at whatever moment of an enrolment or a renewal goes on from what it
//! has saved: its file can always be read, it never costs more than one certificate in waiting, and in
//! the end it holds the one that counts.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{AgentHome, Installation, assert_sound, serial_of, within};

/// At how many moments it is killed.
const MOMENTS: u32 = 12;

/// Starts the agent with these arguments and kills it after so long, if it still runs.
async fn killed_after(agent: &AgentHome, arguments: &[&str], time: Duration) {
    let mut command = agent.command(arguments);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    within(time, &mut process).await;
    process.kill().unwrap();
    process.wait().unwrap();
    if agent.config().exists() {
        agent.status();
    }
}

/// Moments spread over the time that this takes.
fn moments(act: impl FnOnce()) -> impl Iterator<Item = Duration> {
    let began = Instant::now();
    act();
    let whole = began.elapsed();
    (1..=MOMENTS).map(move |moment| whole * moment / MOMENTS)
}

#[tokio::test]
async fn killed_again_and_again_it_renews_to_the_one_certificate_that_counts() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let moments = moments(|| assert_eq!(agent.output(&["renew"]).code, 0));
    for moment in moments {
        // Renewals are limited to one in half a minute.
        installation.time().advance(Duration::from_secs(31));
        killed_after(&agent, &["renew"], moment).await;
    }
    installation.time().advance(Duration::from_secs(31));
    assert_sound(&installation).await;

    let finished = agent.output(&["renew"]);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(finished.stdout.starts_with("mTLS certificate renewed (expires: "), "{}", finished.stdout);
    let active = admin.active(device).await.unwrap();
    assert_eq!(serial_of(&agent.text("mtls_cert_pem")), active.serial_number.to_string());
    let states = admin.states(device).await;
    assert!(states.iter().all(|state| state.as_str() != "pending_activation"), "{states:?}");
    let client = installation.client().showing(&agent.identity_pem());
    let heard = agent.heartbeat(&mut client.connect(installation.door()).await.unwrap()).await;
    assert_eq!(heard.status, 200, "{}", heard.text());
    assert_sound(&installation).await;
}

#[tokio::test]
async fn killed_while_it_enrols_it_enrols_with_the_same_key_or_is_told_what_to_do() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let key = admin.one_use_key().await;
    let moments =
        moments(|| assert_eq!(AgentHome::beside(&installation).enroll(&installation, &key).code, 0));
    for moment in moments {
        let agent = AgentHome::beside(&installation);
        let key = admin.one_use_key().await;
        let before = admin.devices().await.len();
        let arguments = AgentHome::enroll_arguments(&installation, &key);
        killed_after(&agent, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), moment).await;

        let again = agent.enroll(&installation, &key);
        let devices = admin.devices().await;
        assert_eq!(devices.len(), before + 1, "one device, however often it tried");
        if again.code != 0 {
            // It had finished before, or the answer to the first try was lost.
            let is_done = again.stderr.contains("enrolled already");
            assert!(is_done || again.stderr.contains("enrollment_key_exhausted"), "{}", again.stderr);
            if !is_done {
                let newest = devices.iter().find(|device| device.status.as_str() == "pending");
                let bound = admin.enrollment_key(json!({ "deviceId": newest.unwrap().id })).await.key;
                let bound = agent.enroll(&installation, &bound);
                assert_eq!(bound.code, 0, "{}", bound.stderr);
            }
        }
        let serial = serial_of(&agent.text("mtls_cert_pem"));
        let device = admin.device(agent.text("device_id").parse().unwrap()).await;
        assert_eq!(serial, device.certificate.unwrap().serial_number.to_string());
        let client = installation.client().showing(&agent.identity_pem());
        let heard = agent.heartbeat(&mut client.connect(installation.door()).await.unwrap()).await;
        assert_eq!(heard.status, 200, "{}", heard.text());
    }
    assert_sound(&installation).await;
}
