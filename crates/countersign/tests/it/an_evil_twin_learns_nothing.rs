//! Proves that an agent tells nothing to a server that is not the one with the fingerprint, and says
//! what is wrong.

use crate::harness::{AgentHome, Installation};

#[tokio::test]
async fn the_enrolment_key_does_not_leave_for_a_server_with_another_root() {
    let honest = Installation::start().await;
    // Everything about it is the same, but its keys.
    let twin = Installation::start().await;
    let key = honest.admin().one_use_key().await;
    let agent = AgentHome::beside(&honest);
    let (url, fingerprint) = (twin.url(), honest.fingerprint());
    let refused = agent.output(&["enroll", &key, "--server", &url, "--ca-fingerprint", &fingerprint]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("does not match the fingerprint"), "{}", refused.stderr);
    assert!(refused.stderr.contains("nothing was sent to it"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(&key), "{}", refused.stderr);
    // The twin has met nobody: no failed enrolment, no device.
    assert!(twin.admin().audit("event=access.refused").await.is_empty());
    assert!(twin.admin().devices().await.is_empty());
    // The key was not used: the honest one takes it.
    let enrolled = agent.enroll(&honest, &key);
    assert_eq!(enrolled.code, 0, "{}", enrolled.stderr);
}

#[tokio::test]
async fn an_enrolled_agent_shows_its_token_to_nobody_else() {
    let honest = Installation::start().await;
    let agent = AgentHome::enrolled(&honest).await;
    let twin = Installation::start().await;
    let config = fs_err::read_to_string(agent.config()).unwrap();
    fs_err::write(agent.config(), config.replace(&honest.url(), &twin.url())).unwrap();
    let refused = agent.output(&["renew"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("did not prove to be the right one"), "{}", refused.stderr);
    assert!(twin.admin().audit("event=access.refused").await.is_empty());
}

#[tokio::test]
async fn without_a_fingerprint_nothing_is_sent() {
    let honest = Installation::start().await;
    let agent = AgentHome::beside(&honest);
    let key = honest.admin().one_use_key().await;
    let refused = agent.output(&["enroll", &key, "--server", &honest.url()]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--ca-fingerprint"), "{}", refused.stderr);
    assert!(honest.admin().devices().await.is_empty());
}
