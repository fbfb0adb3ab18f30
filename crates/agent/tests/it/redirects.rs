//! Redirects: followed within the origin, refused everywhere else.

use countersign_agent::advice::hint;
use countersign_agent::enrol::EnrolError;
use countersign_api::client::ClientError;
use serde_json::Value;

use crate::control_plane::{Act, ControlPlane};
use crate::device::Device;

fn redirect(status: u16, location: &str) -> Act {
    Act::Answer(status, vec![("location", location.to_owned())], Value::Null)
}

async fn refused(plane: &ControlPlane, act: Act) -> (EnrolError, String) {
    let device = Device::new();
    plane.next("enroll", act);
    let error = device.enrol(plane, "key").await.unwrap_err();
    let EnrolError::Client(ClientError::Redirected { why, .. }) = &error else { panic!("{error:?}") };
    let why = (*why).to_owned();
    (error, why)
}

#[tokio::test]
async fn another_host_gets_nothing() {
    let plane = ControlPlane::start().await;
    // Another host that even has a certificate of the right CA.
    let other = ControlPlane::start_under(plane.ca.clone()).await;
    let there = format!("{}/api/v1/agents/enroll", other.url());
    for location in [there.clone(), there.replace("127.0.0.1", "localhost"), "//evil.example/x".to_owned()] {
        for status in [307, 308] {
            let (error, why) = refused(&plane, redirect(status, &location)).await;
            assert!(["it leads to another host", "it leaves HTTPS"].contains(&why.as_str()), "{why}");
            assert!(hint(&error).unwrap().contains("nothing was sent to where it led"));
        }
    }
    assert_eq!(other.state().seen.len(), 0);
}

#[tokio::test]
async fn plain_http_gets_nothing() {
    let plane = ControlPlane::start().await;
    let location = plane.url().replace("https", "http") + "/api/v1/agents/enroll";
    let (_, why) = refused(&plane, redirect(307, &location)).await;
    assert_eq!(why, "it leaves HTTPS");
    assert_eq!(plane.state().seen.len(), 1);
}

#[tokio::test]
async fn a_redirect_that_changes_the_method_is_refused() {
    let plane = ControlPlane::start().await;
    for status in [301, 302, 303] {
        let (_, why) = refused(&plane, redirect(status, "/elsewhere")).await;
        assert_eq!(why, "only 307 and 308 keep the request as it is");
    }
}

#[tokio::test]
async fn within_the_origin_a_few_are_followed_and_a_loop_is_not() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    plane.next("enroll", redirect(308, "/api/v1/agents/enroll"));
    plane.next("enroll", redirect(307, &format!("{}/api/v1/agents/enroll", plane.url())));
    device.enrol(&plane, "key").await.unwrap();
    assert_eq!(plane.state().count("enroll"), 3);

    let plane = ControlPlane::start().await;
    for _ in 0..3 {
        plane.next("enroll", redirect(307, "/api/v1/agents/enroll"));
    }
    let (_, why) = refused(&plane, redirect(307, "/api/v1/agents/enroll")).await;
    assert_eq!(why, "too many redirects");
    assert_eq!(plane.state().count("enroll"), 4);
}
