//! What an edge says that a device said is believed where the certificate, or the token, is on record as that
//! device's and its session may go on, and nowhere else.

use countersign_core::access::Refusal;
use countersign_core::certificate::CertificateState;
use countersign_core::identity::Identity;
use countersign_core::ids::CertificateRef;

use super::house::{Device, House, address, fresh_key};

impl House {
    async fn sender(&self, device: &Device) -> (Identity, CertificateRef) {
        let certificate = self.certificates(device.id).await.remove(0);
        (self.named(device).await, certificate.reference)
    }

    async fn named(&self, device: &Device) -> Identity {
        let row = self.row(device.id).await;
        Identity::new(self.authority.trust_domain().clone(), row.tenant_slug, row.name)
    }

    async fn verdict(&self, sender: &(Identity, CertificateRef)) -> Option<Refusal> {
        self.authority.judge_senders(vec![sender.clone()]).await.unwrap().remove(0)
    }
}

#[tokio::test]
async fn a_sender_is_believed_by_its_own_certificate_while_that_stands() {
    let house = House::new().await;
    let (pump, fan) = (house.device("pump").await, house.device("fan").await);
    let (by_pump, by_fan) = (house.sender(&pump).await, house.sender(&fan).await);
    let another = (by_pump.0.clone(), by_fan.1.clone());
    let unknown = CertificateRef { serial: "0102".parse().unwrap(), ..by_pump.1.clone() };
    let all = vec![by_pump.clone(), another, (by_pump.0.clone(), unknown), by_fan.clone()];
    let verdicts = house.authority.judge_senders(all).await.unwrap();
    assert_eq!(verdicts, [None, Some(Refusal::Untrusted), Some(Refusal::Untrusted), None]);

    house.authority.quarantine_device(&house.operate(), pump.id, "x".parse().unwrap()).await.unwrap();
    assert_eq!(house.verdict(&by_pump).await, Some(Refusal::Quarantined));
    house.authority.deny(&house.operate(), fan.id).await.unwrap();
    assert_eq!(house.verdict(&by_fan).await, Some(Refusal::Revoked));
}

#[tokio::test]
async fn what_is_said_with_a_fresh_certificate_makes_it_the_active_one() {
    let house = House::new().await;
    let pump = house.device("pump").await;
    house.renew(&pump, &fresh_key()).await.unwrap();
    let fresh = house.in_state(pump.id, CertificateState::PendingActivation).await;
    let sender = (house.named(&pump).await, fresh.reference);
    assert_eq!(house.verdict(&sender).await, None);
    assert_eq!(house.in_state(pump.id, CertificateState::Active).await.reference, sender.1);
}

#[tokio::test]
async fn a_sender_is_believed_by_its_own_token_until_that_is_removed() {
    let house = House::new().await;
    let (pump, fan) = (house.device("pump").await, house.device("fan").await);
    let set = house.authority.set_provisioning_token(&house.administer(), pump.id, None).await.unwrap();
    let identity = house.named(&pump).await;
    let device = (identity.tenant().clone(), identity.device().clone());
    let claim = house.authority.recognise_token(device, &set.text, address()).await.unwrap();
    let by_token = (identity, claim.reference.clone());
    assert_eq!(house.verdict(&by_token).await, None);
    let another = (house.named(&fan).await, claim.reference);
    assert_eq!(house.verdict(&another).await, Some(Refusal::Untrusted));
    house.authority.remove_provisioning_token(&house.administer(), pump.id).await.unwrap();
    assert_eq!(house.verdict(&by_token).await, Some(Refusal::Untrusted));
}
