//! What happens to a device between a decision and its record never ends in an internal error: an
//! innocent change does not matter, and a decision wins.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use countersign_authority::agent::{AgentCaller, Possession};
use countersign_authority::enrol::{EnrolError, Enrolled, Enrolment};
use countersign_authority::renew::{RenewError, Renewed};
use countersign_authority::settings::SettingsChange;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::settings::ExpiredCertPolicy;
use countersign_store::{CertificateRow, Store, StoreError};

use super::house::{Csr, DAY, Device, House, MINUTE, address, claim, fresh_key, refused, request};

use CertificateState::{Active, PendingActivation, Revoked, Superseded};

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

/// Runs `operation` until its intent is on record and it has not heard of that; its outcome, if it never
/// came so far.
///
/// This needs a runtime of one thread: whatever the operation has asked for when it waits is handed to the
/// writer by the tasks that run while this one yields, and committed before a change that is handed over
/// after it. So the intent is seen as soon as it is there, however busy the machine is.
pub(crate) async fn run_until_intended<T>(
    store: &Store,
    mut operation: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    loop {
        if let Some(outcome) = run_until(operation.as_mut(), 0).await {
            return Some(outcome);
        }
        for _task in 0..8 {
            tokio::task::yield_now().await;
        }
        let open = store.write::<_, StoreError, _>(|w| Box::pin(async move { w.unfinished_intents().await }));
        if !open.await.unwrap().is_empty() {
            return None;
        }
    }
}

/// When something else begins.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// When the operation has waited so often.
    AtWait(usize),
    /// When it is about to sign.
    Intended,
}

/// How often an operation waits at least, however quick the answers come: once for whatever goes through
/// another task, which cannot run before it waits. What it only reads may be there at once.
#[derive(Clone, Copy)]
struct Waits(usize);

/// For its intent and for its record.
const RENEWAL: Waits = Waits(2);

/// For the enrolment key, for what is known of the applicant, for its intent and for its record.
const ENROLMENT: Waits = Waits(4);

/// Runs `operation` and, at every wait of it in turn, lets `meanwhile` begin; on a fresh house each
/// time, until the operation has no further wait. Then once more, right before it signs.
async fn at_every_wait<S, T>(
    least: Waits,
    prepare: impl AsyncFn(&House, &Device) -> S,
    operation: impl AsyncFn(&House, &S) -> T,
    meanwhile: impl AsyncFn(&House, &Device, &S),
    check: impl AsyncFn(T, &House, &Device),
) {
    let run = async |moment: Moment| {
        let house = House::new().await;
        let device = house.device("pump").await;
        let prepared = prepare(&house, &device).await;
        let mut running = pin!(operation(&house, &prepared));
        let early = match moment {
            Moment::AtWait(waits) => run_until(running.as_mut(), waits).await,
            Moment::Intended => run_until_intended(&house.store, running.as_mut()).await,
        };
        let is_over = early.is_some();
        let outcome = match early {
            Some(outcome) => {
                meanwhile(&house, &device, &prepared).await;
                outcome
            }
            None => tokio::join!(biased; meanwhile(&house, &device, &prepared), running).1,
        };
        check(outcome, &house, &device).await;
        let open = house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
        assert!(open.is_empty(), "what was signed and then refused is abandoned");
        house.check(&[device.id]).await;
        is_over
    };
    let mut waits = 0;
    while !run(Moment::AtWait(waits)).await {
        waits += 1;
    }
    assert!(waits >= least.0, "it waits {} times at least, not {waits}", least.0);
    assert!(!run(Moment::Intended).await, "it signs, and waits before it does");
}

/// What a device has in hand when it renews.
struct Ready {
    caller: AgentCaller,
    active: CertificateRow,
}

async fn ready(house: &House, device: &Device) -> Ready {
    Ready { caller: house.caller(device).await, active: house.in_state(device.id, Active).await }
}

async fn renew(house: &House, ready: &Ready) -> Result<Renewed, RenewError> {
    let possession = Possession::Handshake(claim(&ready.active));
    house.authority.renew(&ready.caller, &Csr::of(&fresh_key()).pem, &possession).await
}

#[tokio::test]
async fn a_heartbeat_at_any_moment_of_a_renewal_changes_nothing() {
    at_every_wait(
        RENEWAL,
        ready,
        renew,
        async |house, device, ready| {
            house.authority.heartbeat(&ready.caller, None, address()).await.unwrap();
            assert_eq!(house.row(device.id).await.status, DeviceStatus::Online);
        },
        async |outcome, house, device| {
            outcome.ok().unwrap();
            assert_eq!(house.states(device.id).await, [PendingActivation, Active]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_denial_at_any_moment_of_a_renewal_leaves_nothing_usable() {
    at_every_wait(
        RENEWAL,
        ready,
        renew,
        async |house, device, _ready| {
            house.authority.deny(&house.operate(), device.id).await.unwrap();
        },
        async |outcome, house, device| {
            if let Err(error) = outcome {
                let is_refusal = matches!(error, RenewError::Decommissioned | RenewError::ProofNeeded);
                assert!(is_refusal, "{error:?}");
            }
            assert!(house.states(device.id).await.iter().all(|state| *state == Revoked));
        },
    )
    .await;
}

#[tokio::test]
async fn a_quarantine_at_any_moment_of_a_renewal_is_answered_as_one() {
    at_every_wait(
        RENEWAL,
        ready,
        renew,
        async |house, device, _ready| {
            let reason = "lost".parse().unwrap();
            house.authority.quarantine_device(&house.operate(), device.id, reason).await.unwrap();
        },
        async |outcome, house, device| {
            if let Err(error) = outcome {
                assert!(matches!(error, RenewError::Quarantined), "{error:?}");
                assert_eq!(house.states(device.id).await, [Active]);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_revocation_at_any_moment_of_a_renewal_wins() {
    at_every_wait(
        RENEWAL,
        ready,
        renew,
        async |house, _device, ready| {
            let (by, reason) = (house.operate(), RevocationReason::KeyCompromise);
            house.authority.revoke_certificate(&by, ready.active.id, reason).await.unwrap();
        },
        async |outcome, house, device| {
            if let Err(error) = outcome {
                let is_refusal = matches!(error, RenewError::Quarantined | RenewError::ProofNeeded);
                assert!(is_refusal, "{error:?}");
            }
            assert!(house.states(device.id).await.iter().all(|state| *state == Revoked));
        },
    )
    .await;
}

#[tokio::test]
async fn a_first_use_at_any_moment_of_a_renewal_outdates_the_key_that_was_proved() {
    at_every_wait(
        RENEWAL,
        async |house, device| {
            let pending = house.renew(device, &fresh_key()).await.unwrap().id;
            house.pass(MINUTE);
            (ready(house, device).await, house.certificate(pending).await.reference)
        },
        async |house, (ready, _pending)| renew(house, ready).await,
        async |house, _device, (_ready, pending)| {
            house.authority.first_use(pending.clone()).await.unwrap();
        },
        async |outcome, house, device| {
            let states = house.states(device.id).await;
            match outcome {
                Ok(_) => assert_eq!(states, [PendingActivation, Active, Revoked]),
                Err(RenewError::ProofNeeded) => assert_eq!(states, [Active, Superseded]),
                Err(error) => panic!("{error:?}"),
            }
        },
    )
    .await;
}

/// An enrolment key for the device itself, and what it sends with it.
async fn coming_back(house: &House, device: &Device) -> Enrolment {
    request(&house.key_for(device.id).await, "pump", Some(&fresh_key()))
}

async fn enrol(house: &House, request: &Enrolment) -> Result<Enrolled, EnrolError> {
    house.enrol(request).await
}

#[tokio::test]
async fn a_heartbeat_at_any_moment_does_not_stop_a_device_from_coming_back() {
    at_every_wait(
        ENROLMENT,
        async |house, device| (coming_back(house, device).await, house.caller(device).await),
        async |house, (request, _caller)| enrol(house, request).await,
        async |house, _device, (_request, caller)| {
            house.authority.heartbeat(caller, None, address()).await.unwrap();
        },
        async |outcome, house, device| {
            assert!(outcome.unwrap().mtls.is_ok());
            let states = house.states(device.id).await;
            assert_eq!(states.iter().filter(|state| **state == Active).count(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn a_decommission_at_any_moment_keeps_a_device_from_coming_back() {
    at_every_wait(
        ENROLMENT,
        coming_back,
        enrol,
        async |house, device, _request| {
            house.authority.decommission(&house.operate(), device.id).await.unwrap();
        },
        async |outcome, house, device| {
            if let Err(error) = outcome {
                assert!(matches!(error, EnrolError::Key(_)), "{error:?}");
            }
            assert!(house.states(device.id).await.iter().all(|state| *state == Revoked));
        },
    )
    .await;
}

#[tokio::test]
async fn a_key_that_is_denied_at_any_moment_of_an_enrolment_is_not_certified_unless_before() {
    at_every_wait(
        ENROLMENT,
        // A cloned disk enrols as a device of its own.
        async |house, device| request(&house.key().await, "clone", Some(&device.key)),
        enrol,
        async |house, device, _request| {
            house.authority.deny(&house.operate(), device.id).await.unwrap();
        },
        async |outcome, house, _device| {
            let issued = house.count(AuditEvent::CertificateIssued).await;
            let denied = house.first(AuditEvent::DeviceDenied).await;
            match outcome {
                Ok(_) => assert!(house.last(AuditEvent::DeviceEnrolled).await < denied, "recorded before"),
                Err(EnrolError::KeyDenied) => assert_eq!(issued, 1),
                Err(error) => panic!("{error:?}"),
            }
        },
    )
    .await;
}

impl House {
    /// Where in the audit something was written down first.
    async fn first(&self, event: AuditEvent) -> Option<u64> {
        self.places(event).await.into_iter().min()
    }

    /// Where in the audit something was written down last.
    async fn last(&self, event: AuditEvent) -> Option<u64> {
        self.places(event).await.into_iter().max()
    }
}

#[tokio::test]
async fn an_expired_device_that_is_approved_is_not_quarantined_by_the_next_sweep() {
    let house = House::new().await;
    let change = SettingsChange {
        expired_cert_policy: Some(ExpiredCertPolicy::Quarantine),
        ..SettingsChange::default()
    };
    house.change(change).await;
    let device = house.device("pump").await;
    house.pass(DAY * 90 + MINUTE);
    let first = refused(house.renew_by_proof(&device, &device.key, &fresh_key()).await);
    assert!(matches!(first, RenewError::Quarantined), "{first}");
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    house.authority.sweep().await.unwrap();
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
    assert!(!house.row(device.id).await.status.is_barred());
    house.check(&[device.id]).await;
}
