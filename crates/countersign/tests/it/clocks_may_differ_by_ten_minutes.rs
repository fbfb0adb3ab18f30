//! Proves that a device whose clock is ten minutes off enrols, is heard and renews, and that one whose
//! clock is years off is told to look at its clock.

use serde_json::json;

use crate::harness::{AgentHome, FakeTime, Installation, days, until};

/// An agent whose clock is so many seconds off.
fn off_by(installation: &Installation, seconds: i64) -> AgentHome {
    let time = FakeTime::new(installation.folder().join(format!("time{seconds}")));
    time.shift(seconds);
    AgentHome::at(Some(time))
}

#[tokio::test]
async fn ten_minutes_early_or_late_do_not_matter() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    for seconds in [-600, 600] {
        let agent = off_by(&installation, seconds);
        let enrolled = agent.enroll(&installation, &admin.one_use_key().await);
        assert_eq!(enrolled.code, 0, "{seconds}: {}", enrolled.stderr);
        let id = agent.text("device_id").parse().unwrap();
        let running = agent.run();
        until("it is online", async || admin.device(id).await.status.as_str() == "online").await;
        assert!(running.terminate().await.success());
        let renewed = agent.output(&["renew"]);
        assert_eq!(renewed.code, 0, "{seconds}: {}", renewed.stderr);
        assert_eq!(admin.states(id).await.len(), 2, "{seconds}");
    }
}

#[tokio::test]
async fn a_clock_of_another_year_is_named_as_the_cause() {
    let installation = Installation::start().await;
    let year = i64::try_from(days(3 * 365).as_secs()).unwrap();
    for seconds in [-year, year] {
        let agent = off_by(&installation, seconds);
        let refused = agent.enroll(&installation, &installation.admin().one_use_key().await);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("clock"), "{seconds}: {}", refused.stderr);
        assert!(installation.admin().devices().await.is_empty());
    }
}
