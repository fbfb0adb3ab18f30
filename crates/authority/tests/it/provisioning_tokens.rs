//! A provisioning token leads to its device and no other, until it is replaced or removed; whoever guesses is soon
//! not looked at any more; and of each change there is an entry.

use std::net::IpAddr;

use countersign_authority::provisioning_tokens::{OwnToken, ProvisioningTokenError, TokenRefused};
use countersign_authority::{Administer, Forbidden};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::DeviceId;
use countersign_core::snapshot::{CertificateClaim, Standing, TOKEN_SESSION};
use countersign_store::Role;
use zeroize::Zeroizing;

use super::house::{DAY, Device, House, SECOND, address};

impl House {
    async fn set_token(&self, device: &Device) -> String {
        let set = self.authority.set_provisioning_token(&self.administer(), device.id, None).await;
        set.unwrap().text.to_string()
    }

    async fn recognised(&self, device: &Device, token: &str) -> Result<CertificateClaim, TokenRefused> {
        self.recognised_from(device, token, address()).await
    }

    async fn recognised_from(
        &self,
        device: &Device,
        token: &str,
        from: IpAddr,
    ) -> Result<CertificateClaim, TokenRefused> {
        let row = self.row(device.id).await;
        self.authority.recognise_token((row.tenant_slug, row.name), token, from).await
    }

    fn stands(&self, claim: &CertificateClaim) -> Standing {
        self.authority.snapshots().borrow().standing(claim, self.now())
    }
}

#[tokio::test]
async fn it_leads_to_its_device_until_it_is_replaced_or_removed() {
    let house = House::new().await;
    let (pump, fan) = (house.device("pump").await, house.device("fan").await);
    let refused = house.recognised(&pump, "anything").await;
    assert!(matches!(refused, Err(TokenRefused::NotSet)), "{refused:?}");
    let first = house.set_token(&pump).await;
    house.set_token(&fan).await;
    let claim = house.recognised(&pump, &first).await.unwrap();
    assert_eq!((claim.identity.device().as_str(), claim.not_after), ("pump", house.now() + TOKEN_SESSION));
    assert_eq!(house.stands(&claim), Standing::Valid);
    assert!(matches!(house.recognised(&fan, &first).await, Err(TokenRefused::Invalid)));

    let second = house.set_token(&pump).await;
    assert_eq!(house.stands(&claim), Standing::Revoked, "its sessions end");
    assert!(matches!(house.recognised(&pump, &first).await, Err(TokenRefused::Invalid)));
    let claim = house.recognised(&pump, &second).await.unwrap();
    for _again in 0..2 {
        house.authority.remove_provisioning_token(&house.administer(), pump.id).await.unwrap();
    }
    assert_eq!(house.stands(&claim), Standing::Revoked);
    assert!(matches!(house.recognised(&pump, &second).await, Err(TokenRefused::NotSet)));
    let events = house.events(pump.id).await;
    let (set, removed) = (AuditEvent::ProvisioningTokenSet, AuditEvent::ProvisioningTokenRemoved);
    assert!(events.ends_with(&[set, set, removed]), "{events:?}");

    let reopened = house.reopened(countersign_authority::IssuerMode::Embedded).await;
    assert_eq!(reopened.snapshots().borrow().standing(&claim, house.now()), Standing::Revoked);
    house.pass(DAY + SECOND);
    house.authority.sweep().await.unwrap();
    assert!(house.authority.snapshots().borrow().denied.is_empty(), "no session can be left");
}

#[tokio::test]
async fn whoever_guesses_is_soon_not_looked_at() {
    let house = House::new().await;
    let pump = house.device("pump").await;
    let token = house.set_token(&pump).await;
    for _guess in 0..30 {
        assert!(matches!(house.recognised(&pump, "a guess").await, Err(TokenRefused::Invalid)));
    }
    assert!(matches!(house.recognised(&pump, &token).await, Err(TokenRefused::Failed)));
    house.recognised_from(&pump, &token, [192, 0, 2, 200].into()).await.unwrap();
    house.pass(SECOND * 3);
    house.recognised(&pump, &token).await.unwrap();
}

#[tokio::test]
async fn it_is_set_by_whoever_may_and_is_long_enough() {
    let house = House::new().await;
    let pump = house.device("pump").await;
    let own = |text: &str| OwnToken::new(Zeroizing::new(text.to_owned()));
    assert!(own("too short to count").is_err() && own("with a blank in between it").is_err());
    let set = own("burnt-into-the-device-0001").unwrap();
    house.authority.set_provisioning_token(&house.administer(), pump.id, Some(set)).await.unwrap();
    house.recognised(&pump, "burnt-into-the-device-0001").await.unwrap();
    let unknown = house.authority.set_provisioning_token(&house.administer(), DeviceId::random(), None).await;
    assert!(matches!(unknown, Err(ProvisioningTokenError::Unknown)));
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger = house.person(Role::Admin, Some(other.id)).await.authorize::<Administer>().unwrap();
    let set = house.authority.set_provisioning_token(&stranger, pump.id, None).await;
    assert!(matches!(set, Err(ProvisioningTokenError::Forbidden(Forbidden::OtherTenant))));
    let removed = house.authority.remove_provisioning_token(&stranger, pump.id).await;
    assert!(matches!(removed, Err(ProvisioningTokenError::Forbidden(_))));
    house.authority.deny(&house.operate(), pump.id).await.unwrap();
    let late = house.authority.set_provisioning_token(&house.administer(), pump.id, None).await;
    assert!(matches!(late, Err(ProvisioningTokenError::Conflict(_))));
}
