//! What a crash left half done is mended at the next start: whatever was signed and not recorded is
//! revoked, however much of it there is.

use countersign_authority::IssuerMode;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::ids::DeviceId;
use countersign_store::IntentRow;

use super::house::{DAY, House, MINUTE, SECOND, is_on_postgres};

#[tokio::test]
async fn open_intents_are_abandoned_without_end() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let known = house.in_state(device.id, CertificateState::Active).await.reference;
    let (issuer, now) = (known.issuer, house.now());
    house
        .write(move |w| {
            Box::pin(async move {
                for number in 0..1100_u32 {
                    let intent = IntentRow {
                        reference: countersign_core::ids::CertificateRef {
                            issuer,
                            serial: format!("01{number:08x}").parse().unwrap(),
                        },
                        // Of an enrolment: the device was never recorded.
                        device: Some(DeviceId::random()),
                        profile: "device".into(),
                        at: now,
                        expires_at: now + DAY,
                    };
                    w.insert_intent(&intent).await?;
                }
                Ok(())
            })
        })
        .await;
    if is_on_postgres() {
        // Until then another authority may be about to record them.
        house.pass(MINUTE * 10 + SECOND);
    }
    let house = house.restarted(IssuerMode::Embedded).await;
    let open = house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
    assert!(open.is_empty());
    assert_eq!(house.authority.snapshot().denied.len(), 1100);
    assert!(!house.authority.snapshot().denied.contains(&known));
    let filter = countersign_store::AuditFilter {
        event: Some(AuditEvent::CertificateAbandoned),
        ..countersign_store::AuditFilter::default()
    };
    assert_eq!(house.audit(filter).await.len(), 1000, "as many as a list shows");
    house.check(&[device.id]).await;
}
