//! Enrolling: what is said, saved and refused.

use std::os::unix::fs::PermissionsExt as _;

use countersign_agent::advice::hint;
use countersign_agent::enrol::{EnrolError, Former, Trust};
use countersign_testkit::TestCa;
use serde_json::Value;

use crate::agent_process::{command, enroll, output, text};
use crate::control_plane::{Act, ControlPlane, Issuing, refusal};
use crate::device::{Device, enrol_on, public_key};

#[tokio::test]
async fn prints_the_seeds_transcript_and_saves_the_seeds_fields() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let output = output(enroll(&device.config_path(), &plane, "key")).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expires = plane.state().active.as_ref().unwrap().expires;
    let stdout = text(&output.stdout);
    assert!(stdout.ends_with(&format!("\nmTLS certificate issued (expires: {expires})\n")), "{stdout}");
    assert!(stdout.starts_with(&format!("Enrolled as ws-01 (device {})\n", plane.device)), "{stdout}");
    assert_eq!(text(&output.stderr), "");

    let yaml = device.yaml();
    for field in ["server_url: https://127.0.0.1:", "auth_token: brz_", "mtls_cert_pem: |", "mtls_key_pem: |"]
    {
        assert!(yaml.contains(field), "{field} in {yaml}");
    }
    assert!(yaml.contains(&format!("mtls_cert_expires: {expires}")), "{yaml}");
    assert!(!yaml.contains("enrolling_"), "{yaml}");
    let mode = fs_err::metadata(device.config_path()).unwrap().permissions().mode() & 0o7777;
    let parent = device.config_path().parent().unwrap().to_owned();
    let parent_mode = fs_err::metadata(parent).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode, parent_mode), (0o600, 0o700));
}

#[tokio::test]
async fn the_private_key_stays_and_the_request_proves_possession_of_it() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let sent = plane.state().last("enroll").body.to_string();
    assert!(!sent.contains("PRIVATE KEY"), "{sent}");
    assert_eq!(device.current_key(), plane.state().active.as_ref().unwrap().spki());
    assert_eq!(device.config().ca_pem.unwrap().trim(), plane.ca.root_pem().trim());
}

#[tokio::test]
async fn nothing_reaches_the_evil_twin_of_the_pinned_server() {
    let real = TestCa::new("countersign.internal");
    let impostor = ControlPlane::start_under(real.evil_twin()).await;
    let device = Device::new();
    let trust = Trust::Fingerprint(real.root_sha256());
    let error = enrol_on(&device.disk, &impostor, "key", trust, Former::Keep).await.unwrap_err();
    assert!(hint(&error).unwrap().contains("not the server that the fingerprint belongs to"), "{error:?}");
    let roots = Trust::Roots(real.root_pem());
    let error = enrol_on(&device.disk, &impostor, "key", roots, Former::Keep).await.unwrap_err();
    assert!(hint(&error).unwrap().contains("did not prove to be the right one"), "{error:?}");
    assert_eq!(impostor.state().seen.len(), 0);
    assert!(device.config().enrolment.is_none());
}

#[tokio::test]
async fn without_a_fingerprint_or_a_ca_nothing_is_sent() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let mut command = command(&device.config_path());
    command.args(["enroll", "key", "--server", &plane.url()]);
    let output = output(command).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("hint: add --ca-fingerprint"), "{}", text(&output.stderr));
    assert_eq!(plane.state().seen.len(), 0);
}

#[tokio::test]
async fn a_ca_file_does_as_well_as_a_fingerprint() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrol_on(&device.disk, &plane, "key", Trust::Roots(plane.ca.root_pem()), Former::Keep).await.unwrap();
    assert!(device.enrolment().current.is_some());
}

#[tokio::test]
async fn enrolling_again_is_refused_unless_forced() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let first = device.current_key();
    let error = device.enrol(&plane, "key").await.unwrap_err();
    assert!(matches!(error, EnrolError::Already { .. }), "{error:?}");
    assert!(hint(&error).unwrap().contains("--force"));
    assert_eq!(plane.state().count("enroll"), 1);

    // By the CA that was saved; a fresh key, since the old one is revoked.
    enrol_on(&device.disk, &plane, "bound", Trust::Saved, Former::Replace).await.unwrap();
    assert_ne!(device.current_key(), first);
    assert_eq!(device.current_key(), plane.state().active.as_ref().unwrap().spki());
}

#[tokio::test]
async fn a_forced_enrolment_that_fails_leaves_the_old_one_whole() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let before = device.enrolment();
    let error = enrol_on(&device.disk, &plane, "used up", Trust::Saved, Former::Replace).await.unwrap_err();
    assert!(hint(&error).unwrap().contains("used already"), "{error:?}");
    assert_eq!(device.enrolment(), before);
}

#[tokio::test]
async fn a_device_enrols_without_a_certificate_when_nobody_issues() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.issuing = Issuing::Off);
    let device = Device::new();
    let mut command = enroll(&device.config_path(), &plane, "key");
    command.arg("--json");
    let output = output(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["mtls_reason"], "issuer_off");
    let enrolment = device.enrolment();
    assert!(enrolment.current.is_none());
    let kept = public_key(&enrolment.pending.unwrap().key);
    let pinned = plane.state().pending_key.clone().unwrap();
    assert_eq!(kept, countersign_core::ids::SpkiSha256::of(&pinned));
}

#[tokio::test]
async fn a_certificate_for_another_key_is_not_taken() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.certifies_another_key = true);
    let device = Device::new();
    let enrolled = device.enrol(&plane, "key").await.unwrap();
    assert_eq!(enrolled.certificate, Err("certificate_for_another_key".to_owned()));
    assert!(device.enrolment().current.is_none());
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let mut taken = refusal(409, "DEVICE_NAME_TAKEN");
    taken.1["error"] = "The device name is taken".into();
    plane.next("enroll", Act::Answer(taken.0, Vec::new(), taken.1));
    let output = output(enroll(&device.config_path(), &plane, "key")).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("The device name is taken (409 DEVICE_NAME_TAKEN)"), "{stderr}");
    assert!(stderr.contains("\nhint: choose another name with --name"), "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "colours only on a terminal");
}

#[tokio::test]
async fn a_denied_key_is_not_tried_again() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let denied = refusal(403, "KEY_DENIED");
    plane.next("enroll", Act::Answer(denied.0, Vec::new(), denied.1));
    device.enrol(&plane, "key").await.unwrap_err();
    let first = plane.state().last("enroll").body["csr"].clone();
    device.enrol(&plane, "key").await.unwrap();
    assert_ne!(plane.state().last("enroll").body["csr"], first);
    assert!(device.config().started.is_none());
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_refused_clearly() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    plane.next("enroll", Act::Answer(201, Vec::new(), Value::String("x".repeat(2 << 20))));
    let error = device.enrol(&plane, "key").await.unwrap_err();
    assert!(format!("{error:?}").contains("TooLarge"), "{error:?}");
    plane.next("enroll", Act::Answer(201, Vec::new(), serde_json::json!({ "hello": 1 })));
    let error = device.enrol(&plane, "key").await.unwrap_err();
    assert!(hint(&error).unwrap().contains("no Countersign control plane"), "{error:?}");
}

#[tokio::test]
async fn status_says_who_the_device_is() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let status = |flags: &'static [&'static str]| {
        let mut command = command(&device.config_path());
        command.arg("status").args(flags);
        output(command)
    };
    let before: Value = serde_json::from_slice(&status(&["--json"]).await.stdout).unwrap();
    assert_eq!(before["enrolled"], false);
    device.enrol(&plane, "key").await.unwrap();
    let after: Value = serde_json::from_slice(&status(&["--json"]).await.stdout).unwrap();
    assert_eq!((&after["certificate"], &after["device_name"]), (&"valid".into(), &"ws-01".into()));
    let page = status(&[]).await;
    assert!(text(&page.stdout).contains("Certificate    valid until 20"), "{}", text(&page.stdout));
    for output in [status(&[]).await, status(&["--json"]).await] {
        assert!(!text(&output.stdout).contains("brz_"), "the token is not shown");
    }
}
