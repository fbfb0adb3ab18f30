//! What happens to a device between a decision and its record never ends in an internal error: an
//! innocent change does not matter, and a decision wins.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use countersign_authority::agent::Possession;
use countersign_authority::renew::RenewError;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_store::StoreError;
use tokio::sync::oneshot;

use crate::house::{Csr, Device, House, MINUTE, address, claim, fresh_key, refused, request};

impl House {
    /// Keeps the writer busy until told to go on, so that what is queued meanwhile is already decided
    /// when it is recorded.
    async fn hold_writer(&self) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let (go_on, wait) = oneshot::channel();
        let (holding, held) = oneshot::channel();
        let store = self.store.clone();
        let task = tokio::spawn(async move {
            let work = store.write::<_, StoreError, _>(move |_| {
                Box::pin(async move {
                    holding.send(()).unwrap();
                    drop(wait.await);
                    Ok(())
                })
            });
            work.await.unwrap();
        });
        held.await.unwrap();
        (go_on, task)
    }
}

/// Runs `operation` until it has waited `waits` times; its outcome, if it was over before.
async fn run_until<T>(mut operation: Pin<&mut impl Future<Output = T>>, waits: usize) -> Option<T> {
    let mut waited = 0;
    poll_fn(|context| match operation.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending if waited == waits => Poll::Ready(None),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

/// Renews and, at every wait of that in turn, lets `meanwhile` begin; on a fresh house each time,
/// until the renewal has no further wait.
async fn at_every_wait(
    meanwhile: impl AsyncFn(&House, &Device),
    check: impl AsyncFn(Result<(), RenewError>, &House, &Device),
) {
    for waits in 0.. {
        let house = House::new().await;
        let device = house.device("pump").await;
        let caller = house.caller(&device).await;
        let mut operation = pin!(renewal(&house, &device, caller));
        let early = run_until(operation.as_mut(), waits).await;
        let is_over = early.is_some();
        let outcome = match early {
            Some(outcome) => {
                meanwhile(&house, &device).await;
                outcome
            }
            None => tokio::join!(biased; meanwhile(&house, &device), operation).1,
        };
        check(outcome, &house, &device).await;
        house.check(&[device.id]).await;
        if is_over {
            assert!(waits > 4, "a renewal waits more often than {waits} times");
            break;
        }
    }
}

async fn renewal(
    house: &House,
    device: &Device,
    caller: countersign_authority::agent::AgentCaller,
) -> Result<(), RenewError> {
    let row = house.in_state(device.id, CertificateState::Active).await;
    let csr = Csr::of(&fresh_key());
    house.authority.renew(&caller, &csr.pem, &Possession::Handshake(claim(&row))).await.map(drop)
}

#[tokio::test]
async fn a_heartbeat_at_any_moment_of_a_renewal_changes_nothing() {
    at_every_wait(
        async |house: &House, device: &Device| {
            let caller = house.caller(device).await;
            house.authority.heartbeat(&caller, None, address()).await.unwrap();
            assert_eq!(house.row(device.id).await.status, DeviceStatus::Online);
        },
        async |outcome: Result<(), RenewError>, house: &House, device: &Device| {
            outcome.unwrap();
            let states = house.states(device.id).await;
            assert_eq!(states, [CertificateState::PendingActivation, CertificateState::Active]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_denial_at_any_moment_of_a_renewal_leaves_nothing_usable() {
    at_every_wait(
        async |house: &House, device: &Device| {
            house.authority.deny(&house.operate(), device.id).await.unwrap();
        },
        async |outcome: Result<(), RenewError>, house: &House, device: &Device| {
            if let Err(error) = outcome {
                let is_refusal = matches!(error, RenewError::Decommissioned | RenewError::ProofNeeded);
                assert!(is_refusal, "{error:?}");
            }
            assert!(house.states(device.id).await.iter().all(|state| !state.is_usable()));
        },
    )
    .await;
}

#[tokio::test]
async fn a_quarantine_at_any_moment_of_a_renewal_is_answered_as_one() {
    at_every_wait(
        async |house: &House, device: &Device| {
            let reason = "lost".parse().unwrap();
            house.authority.quarantine_device(&house.operate(), device.id, reason).await.unwrap();
        },
        async |outcome: Result<(), RenewError>, house: &House, device: &Device| {
            if let Err(error) = outcome {
                assert!(matches!(error, RenewError::Quarantined), "{error:?}");
                assert_eq!(house.states(device.id).await, [CertificateState::Active]);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_revocation_at_any_moment_of_a_renewal_wins() {
    at_every_wait(
        async |house: &House, device: &Device| {
            let row = house.in_state(device.id, CertificateState::Active).await;
            let reason = RevocationReason::KeyCompromise;
            house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
        },
        async |outcome: Result<(), RenewError>, house: &House, device: &Device| {
            if let Err(error) = outcome {
                let is_refusal = matches!(error, RenewError::Quarantined | RenewError::ProofNeeded);
                assert!(is_refusal, "{error:?}");
            }
            assert!(house.states(device.id).await.iter().all(|state| *state == CertificateState::Revoked));
        },
    )
    .await;
}

#[tokio::test]
async fn what_was_signed_and_then_refused_is_abandoned() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let (go_on, held) = house.hold_writer().await;
    let by = house.operate();
    // The writer has the denial before the intent of the renewal.
    let denial = house.authority.deny(&by, device.id);
    let caller = house.caller(&device).await;
    let renewal = renewal(&house, &device, caller);
    let (denied, renewed, ()) = tokio::join!(biased; denial, renewal, async { go_on.send(()).unwrap() });
    held.await.unwrap();
    denied.unwrap();
    let refusal = refused(renewed);
    assert!(matches!(refusal, RenewError::Decommissioned), "{refusal:?}");
    assert_eq!(house.count(AuditEvent::CertificateAbandoned).await, 1);
    let open = house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
    assert!(open.is_empty());
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_heartbeat_with_the_old_token_does_not_stop_a_device_from_coming_back() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let key = house.key_for(device.id).await;
    let asked = request(&key, "pump", Some(&fresh_key()));
    let (go_on, held) = house.hold_writer().await;
    let caller = house.caller(&device).await;
    let heartbeat = house.authority.heartbeat(&caller, None, address());
    let (heard, enrolled, ()) =
        tokio::join!(biased; heartbeat, house.enrol(&asked), async { go_on.send(()).unwrap() });
    held.await.unwrap();
    heard.unwrap();
    assert!(enrolled.unwrap().mtls.is_ok());
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn an_expired_device_that_is_approved_at_that_moment_is_not_quarantined_again() {
    let house = House::new().await;
    let change = countersign_authority::settings::SettingsChange {
        expired_cert_policy: Some(countersign_core::settings::ExpiredCertPolicy::Quarantine),
        ..countersign_authority::settings::SettingsChange::default()
    };
    house.change(change).await;
    let device = house.device("pump").await;
    house.pass(crate::house::DAY * 90 + MINUTE);
    let first = refused(house.renew_by_proof(&device, &device.key, &fresh_key()).await);
    assert!(matches!(first, RenewError::Quarantined), "{first}");
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    house.authority.sweep().await.unwrap();
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
    assert!(!house.row(device.id).await.status.is_barred());
    house.check(&[device.id]).await;
}
