//! A change of how agents are to behave raises the version, and what agents say they go by is kept.

use countersign_authority::agent_settings::{AgentSettingsChange, SeenVersion};
use countersign_authority::settings::ChangeSettingsError;
use countersign_core::agent_settings::{AgentSettings, Interval};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::TrustBundleHash;

use super::house::{House, SECOND, start};

impl House {
    async fn change_agents(
        &self,
        heartbeat: Option<i64>,
        metrics: Option<i64>,
        only_if: SeenVersion,
    ) -> Result<AgentSettings, ChangeSettingsError> {
        let change = AgentSettingsChange {
            heartbeat_interval: heartbeat.map(|seconds| Interval::heartbeat(seconds).unwrap()),
            metrics_interval: metrics.map(|seconds| Interval::metrics(seconds).unwrap()),
        };
        self.authority.change_agent_settings(&self.administer(), "default", change, only_if).await
    }
}

#[tokio::test]
async fn every_change_raises_the_version_and_no_change_does_not() {
    let house = House::new().await;
    let first = house.change_agents(None, None, SeenVersion::Any).await.unwrap();
    assert_eq!(first, AgentSettings::default());
    let second = house.change_agents(Some(20), None, SeenVersion::Any).await.unwrap();
    assert_eq!((second.version, second.heartbeat_interval.seconds()), (2, 20));
    assert_eq!(second.metrics_interval, first.metrics_interval);
    assert_eq!(house.change_agents(Some(20), None, SeenVersion::Any).await.unwrap(), second);
    let third = house.change_agents(Some(60), Some(5), SeenVersion::OneOf(vec![2])).await.unwrap();
    assert_eq!(third.version, 3, "back where it was is a change too");
    assert_eq!(house.count(AuditEvent::AgentSettingsChanged).await, 2);
    for seen in [vec![], vec![2], vec![1, 2]] {
        let late = house.change_agents(Some(30), None, SeenVersion::OneOf(seen)).await.unwrap_err();
        assert!(matches!(late, ChangeSettingsError::Changed), "{late}");
    }
    let device = house.device("pump").await;
    assert_eq!(house.caller(&device).await.agent_settings(), third);
}

#[tokio::test]
async fn what_an_agent_says_it_goes_by_is_kept_from_the_first_time() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let note = async |version, bundle| {
        let caller = house.caller(&device).await;
        house.authority.note_report(&caller, version, bundle).await.unwrap();
        house.caller(&device).await.reported()
    };
    let current = TrustBundleHash::of(&house.authority.root_pem());
    assert_eq!(note(None, None).await, countersign_store::AgentReport::default());
    let said = note(Some(1), Some(current)).await;
    let bundle = said.trust_bundle.unwrap();
    assert_eq!((said.config_version, bundle.at), (Some(1), start()));
    assert!(house.authority.is_current_bundle(&bundle));
    house.pass(SECOND);
    assert_eq!(note(None, Some(current)).await, said);
    let changed = note(Some(2), Some(TrustBundleHash::of("another"))).await;
    let bundle = changed.trust_bundle.unwrap();
    assert_eq!((changed.config_version, bundle.at), (Some(2), start() + SECOND));
    assert!(!house.authority.is_current_bundle(&bundle));
}
