//! Telemetry is taken for the device in the certificate and no other; what is not telemetry is set aside with
//! its reason, and released by a person, once, in the audit.

use countersign_authority::devices::LookError;
use countersign_authority::ingest::{
    Incoming, ReleaseError, SetAsideFilter, SetAsideRow, Taken, TelemetryFilter, TelemetryRow, TokenAsked,
};
use countersign_authority::{Forbidden, Operate, View};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::DeviceId;
use countersign_core::{Identity, TrustDomain};
use countersign_store::Role;

use super::house::{DAY, Device, House};

const GOOD: &str = r#"{"site_id":"SITE","metrics":{"temp":22.5},"provision_token":"s3cret"}"#;

impl House {
    async fn incoming(&self, device: &Device, payload: &str) -> Incoming {
        let row = self.row(device.id).await;
        let certificate = self.certificates(device.id).await.remove(0).reference;
        Incoming {
            identity: Identity::new(TrustDomain::default(), row.tenant_slug, row.name),
            certificate,
            topic: "tenant/t/device/d/telemetry".to_owned(),
            qos: 1,
            is_dup: false,
            received_at: self.now(),
            token: TokenAsked::No,
            payload: payload.replace("SITE", &row.site_slug).into_bytes(),
        }
    }

    async fn take(&self, device: &Device, payload: &str) -> Taken {
        self.authority.take_telemetry(self.incoming(device, payload).await).await.unwrap()
    }

    async fn taken(&self) -> Vec<TelemetryRow> {
        let filter = TelemetryFilter { limit: 100, ..TelemetryFilter::default() };
        self.authority.telemetry(&self.view(), filter).await.unwrap()
    }

    async fn aside(&self) -> Vec<SetAsideRow> {
        let filter = SetAsideFilter { limit: 100, ..SetAsideFilter::default() };
        self.authority.messages_set_aside(&self.view(), filter).await.unwrap()
    }
}

#[tokio::test]
async fn telemetry_is_taken_without_its_token_and_kept_for_a_while() {
    let house = House::new().await;
    let device = house.device("pump").await;
    assert_eq!(house.take(&device, GOOD).await, Taken::Telemetry(1));
    let [row] = house.taken().await.try_into().unwrap();
    assert_eq!((row.device, row.id), (device.id, 1));
    assert!(row.payload.contains("22.5") && !row.payload.contains("s3cret"), "{}", row.payload);
    house.pass(31 * DAY);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.taken().await, []);
}

#[tokio::test]
async fn what_is_no_telemetry_is_set_aside_with_its_reason() {
    let house = House::new().await;
    let device = house.device("pump").await;
    for (payload, reason) in [
        ("no", "PAYLOAD_INVALID_JSON"),
        ("{}", "MISSING_SITE_ID"),
        (r#"{"site_id":"elsewhere","metrics":{}}"#, "SITE_MISMATCH_REGISTRY_VS_PAYLOAD"),
        (r#"{"site_id":"SITE"}"#, "SCHEMA_INVALID"),
        (r#"{"tenant_id":"evil","site_id":"SITE","metrics":{}}"#, "TENANT_MISMATCH_TOPIC_VS_PAYLOAD"),
    ] {
        assert_eq!(house.take(&device, payload).await, Taken::SetAside(reason), "{payload}");
    }
    let unknown = Incoming {
        identity: Identity::new(
            TrustDomain::default(),
            house.row(device.id).await.tenant_slug,
            "ghost".parse().unwrap(),
        ),
        ..house.incoming(&device, GOOD).await
    };
    let taken = house.authority.take_telemetry(unknown).await.unwrap();
    assert_eq!(taken, Taken::SetAside("UNREGISTERED_DEVICE"));
    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    assert_eq!(house.take(&device, GOOD).await, Taken::SetAside("DEVICE_QUARANTINED"));
    assert_eq!(house.taken().await, []);
    let aside = house.aside().await;
    assert_eq!(aside.len(), 7);
    let quarantined = aside.first().unwrap();
    let kept = String::from_utf8(quarantined.payload.clone()).unwrap();
    assert!(kept.contains("metrics") && !kept.contains("s3cret"), "{kept}");
    assert_eq!(quarantined.device, Some(device.id));
}

#[tokio::test]
async fn a_message_proves_itself_where_that_is_asked() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let asked =
        async |payload: &str| Incoming { token: TokenAsked::Yes, ..house.incoming(&device, payload).await };
    let take = async |payload: &str| house.authority.take_telemetry(asked(payload).await).await.unwrap();
    let bare = r#"{"site_id":"SITE","metrics":{}}"#;
    assert_eq!(take(GOOD).await, Taken::SetAside("TOKEN_NOT_SET_IN_REGISTRY"));
    let set = house.authority.set_provisioning_token(&house.administer(), device.id, None).await.unwrap();
    assert_eq!(take(bare).await, Taken::SetAside("TOKEN_MISSING"));
    assert_eq!(take(GOOD).await, Taken::SetAside("TOKEN_INVALID"));
    assert_eq!(
        take(&bare.replace("{}}", "{},\"provision_token\":7}")).await,
        Taken::SetAside("TOKEN_INVALID")
    );
    let proved = GOOD.replace("s3cret", &set.text);
    assert_eq!(take(&proved).await, Taken::Telemetry(1));
    for judged in [
        house.authority.judge_telemetry(&asked(&proved).await).await.unwrap(),
        house.authority.judge_state(&asked(&proved).await).await.unwrap(),
    ] {
        assert!(!judged.unwrap().payload.contains(set.text.as_str()));
    }
    assert!(house.authority.judge_state(&asked(bare).await).await.unwrap().is_err());
    for message in [asked(bare).await, asked(GOOD).await] {
        let taken = house.authority.take_state(message.clone()).await.unwrap();
        assert!(matches!(taken, Taken::SetAside("TOKEN_MISSING" | "TOKEN_INVALID")), "{taken:?}");
        let taken = house.authority.take_reported_state(message).await.unwrap();
        assert!(matches!(taken, Taken::SetAside("TOKEN_MISSING" | "TOKEN_INVALID")), "{taken:?}");
    }
}

#[tokio::test]
async fn a_message_is_released_once_by_whoever_may() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.take(&device, r#"{"site_id":"elsewhere","metrics":{}}"#).await;
    house.take(&device, "no").await;
    let (unfit, fit) = match house.aside().await.as_slice() {
        [newest, oldest] => (newest.id, oldest.id),
        other => panic!("{other:?}"),
    };
    let release = async |id| house.authority.release_message(&house.operate(), id).await;
    assert!(matches!(release(unfit).await, Err(ReleaseError::Unfit(_))));
    assert!(matches!(release(999).await, Err(ReleaseError::Unknown)));
    assert_eq!(release(fit).await.unwrap(), 1);
    assert!(matches!(release(fit).await, Err(ReleaseError::Released(1))));
    assert!(house.events(device.id).await.contains(&AuditEvent::MessageReleased));
    assert_eq!(house.taken().await.len(), 1);
}

#[tokio::test]
async fn nobody_sees_or_releases_messages_of_another_tenant() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.take(&device, GOOD).await;
    house.take(&device, "no").await;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger = house.person(Role::Operator, Some(other.id)).await;
    let (view, operate) = (stranger.authorize::<View>().unwrap(), stranger.authorize::<Operate>().unwrap());
    let all = TelemetryFilter { limit: 100, ..TelemetryFilter::default() };
    assert_eq!(house.authority.telemetry(&view, all.clone()).await.unwrap(), []);
    let tenant = house.row(device.id).await.tenant;
    for filter in [
        TelemetryFilter { tenant: Some(tenant), ..all.clone() },
        TelemetryFilter { device: Some(device.id), ..all.clone() },
    ] {
        let seen = house.authority.telemetry(&view, filter).await;
        assert!(matches!(seen, Err(LookError::Forbidden(Forbidden::OtherTenant))), "{seen:?}");
    }
    let nobody = TelemetryFilter { device: Some(DeviceId::random()), ..all };
    assert!(matches!(house.authority.telemetry(&view, nobody).await, Err(LookError::Unknown)));
    let id = house.aside().await.first().unwrap().id;
    let seen = house.authority.message_set_aside(&view, id).await;
    assert!(matches!(seen, Err(LookError::Forbidden(_))));
    let released = house.authority.release_message(&operate, id).await;
    assert!(matches!(released, Err(ReleaseError::Forbidden(_))));
}
