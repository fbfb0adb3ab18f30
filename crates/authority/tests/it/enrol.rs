//! A device enrols with a key that works, under a name that is free, with a public key that nobody
//! denied; whatever is refused uses no enrolment key and touches nobody.

use countersign_authority::IssuerMode;
use countersign_authority::enrol::{EnrolError, Enrolment, KeyRefusal, NoCertificate};
use countersign_authority::enrollment_keys::{Approval, WantedKey};
use countersign_authority::presence::Renewal;
use countersign_authority::settings::SettingsChange;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::SecretHash;
use countersign_core::settings::Permission;
use countersign_core::snapshot::Standing;
use futures_util::future::join_all;

use super::house::{
    DAY, Device, HOUR, House, SECOND, address, fresh_key, refused, request, spki, start, wanted_key,
};

fn why(error: &EnrolError) -> KeyRefusal {
    let EnrolError::Key(refusal) = error else { panic!("{error}") };
    *refusal
}

fn barred(device: &countersign_store::DeviceRow) -> Option<&str> {
    device.quarantined_reason.as_ref().map(QuarantineReason::as_str)
}

impl House {
    /// How often an enrolment key was used.
    async fn uses(&self, key: &str) -> u32 {
        let hash = SecretHash::of(key);
        self.read(move |r| Box::pin(async move { r.enrollment_key_by_hash(&hash).await })).await.unwrap().uses
    }

    async fn refuses(&self, request: &Enrolment) -> EnrolError {
        refused(self.enrol(request).await)
    }
}

#[tokio::test]
async fn a_device_gets_its_row_its_token_and_one_active_certificate() {
    let house = House::new().await;
    let key = fresh_key();
    let enrolled = house.enrol(&request(&house.key().await, "pump-1", Some(&key))).await.unwrap();
    assert_eq!(enrolled.device.name.as_str(), "pump-1");
    assert_eq!(enrolled.device.status, DeviceStatus::Pending);
    let mtls = enrolled.mtls.as_ref().ok().unwrap();
    assert!(mtls.private_key_pem.is_none() && mtls.chain_pem.matches("BEGIN CERTIFICATE").count() == 2);
    assert_eq!(mtls.lifetime.expires_at, start() + DAY * 90);
    let device = Device::new(&enrolled, key);
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!((row.spki, house.standing(&row).await), (spki(&device.key), Standing::Valid));
    assert_eq!(house.caller(&device).await.id(), device.id);
    let events = [AuditEvent::CertificateIntended, AuditEvent::DeviceEnrolled, AuditEvent::CertificateIssued];
    assert_eq!(house.events(device.id).await, events);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_key_that_does_not_work_says_why() {
    let house = House::new().await;
    let at = |key: &str| request(key, "pump-1", None);
    assert_eq!(why(&house.refuses(&at("csk_nobody")).await), KeyRefusal::NotFound);

    let used = house.key().await;
    house.enrol(&at(&used)).await.unwrap();
    assert_eq!(why(&house.refuses(&at(&used)).await), KeyRefusal::Exhausted);

    let revoked = house.key_like(wanted_key()).await;
    house.authority.revoke_enrollment_key(&house.operate(), revoked.row.id).await.unwrap();
    assert_eq!(why(&house.refuses(&at(&revoked.key)).await), KeyRefusal::Revoked);

    let old = house.key().await;
    house.pass(HOUR - SECOND);
    assert_eq!(house.uses(&old).await, 0);
    house.pass(SECOND);
    assert_eq!(why(&house.refuses(&at(&old)).await), KeyRefusal::Expired, "at the very moment it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_at_once_on_a_one_use_key_one_enrols() {
    let house = House::new().await;
    let key = house.key().await;
    let requests: Vec<_> =
        (0..20).map(|number| request(&key, &format!("pump-{number}"), Some(&fresh_key()))).collect();
    let outcomes = join_all(requests.iter().map(|request| house.enrol(request))).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let [Ok(won)] = won.as_slice() else { panic!("{} enrolled", won.len()) };
    assert!(lost.into_iter().all(|error| why(&refused(error)) == KeyRefusal::Exhausted));
    assert_eq!(house.uses(&key).await, 1);
    assert_eq!(house.count(AuditEvent::CertificateIssued).await, 1);
    let open = house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
    assert!(open.is_empty(), "whatever was signed for the others is abandoned");
    house.check(&[won.device.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_at_once_with_one_host_name_all_enrol_and_of_one_explicit_name_one_does() {
    let house = House::new().await;
    let key = house.key_like(WantedKey { max_uses: 20, ..wanted_key() }).await.key;
    let requests: Vec<_> = (0..10).map(|_| request(&key, "pump", Some(&fresh_key()))).collect();
    let outcomes = join_all(requests.iter().map(|request| house.enrol(request))).await;
    let enrolled: Vec<_> = outcomes.into_iter().map(|one| one.ok().unwrap().device).collect();
    assert_eq!(enrolled.iter().filter(|device| device.name.as_str() == "pump").count(), 1);
    assert!(enrolled.iter().all(|device| device.name.as_str().starts_with("pump")));

    let requests: Vec<_> = (0..10)
        .map(|_| Enrolment { name: "valve".parse().ok(), ..request(&key, "x", Some(&fresh_key())) })
        .collect();
    let outcomes = join_all(requests.iter().map(|request| house.enrol(request))).await;
    assert_eq!(outcomes.iter().filter(|one| one.is_ok()).count(), 1);
    let lost = outcomes.into_iter().filter_map(Result::err);
    assert!(lost.into_iter().all(|error| matches!(error, EnrolError::NameTaken)));
    assert_eq!(house.uses(&key).await, 11);
    house.check(&enrolled.iter().map(|device| device.id).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_host_name_that_is_taken_gets_six_hex_digits() {
    let house = House::new().await;
    house.device("Büro PC").await;
    let second = house.enrol(&request(&house.key().await, "Büro PC", None)).await.unwrap();
    let (head, tail) = second.device.name.as_str().rsplit_once('-').unwrap();
    assert_eq!(head, "B-ro-PC");
    assert!(tail.len() == 6 && tail.bytes().all(|b| b.is_ascii_hexdigit()), "{tail}");
}

#[tokio::test]
async fn an_explicit_name_that_is_taken_is_refused_and_its_device_untouched() {
    let house = House::new().await;
    let victim = house.device("pump-1").await;
    let (row, certificates) = (house.row(victim.id).await, house.certificates(victim.id).await);
    let key = house.key().await;
    let thief = Enrolment { name: "pump-1".parse().ok(), ..request(&key, "elsewhere", Some(&fresh_key())) };
    assert!(matches!(house.refuses(&thief).await, EnrolError::NameTaken));
    assert_eq!((house.row(victim.id).await, house.certificates(victim.id).await), (row, certificates));
    assert_eq!(house.uses(&key).await, 0);
    assert_eq!(house.count(AuditEvent::CertificateIntended).await, 1, "nothing was signed under its name");

    house.authority.decommission(&house.operate(), victim.id).await.unwrap();
    assert!(matches!(house.refuses(&thief).await, EnrolError::NameTaken), "never used again");
}

#[tokio::test]
async fn names_keep_to_the_platforms_and_the_keys_rules() {
    let house = House::new().await;
    let key = house.key_like(WantedKey { name_pattern: Some("pump-*".into()), ..wanted_key() }).await.key;
    for (name, hostname) in [
        (Some("service_pulse"), "pump-1"),
        (Some("Countersign-1"), "pump-1"),
        (Some("ADMIN"), "pump-1"),
        (Some("valve-1"), "pump-1"),
        (None, "valve-1"),
    ] {
        let name = name.map(|name| name.parse().unwrap());
        let asked = Enrolment { name, ..request(&key, hostname, Some(&fresh_key())) };
        assert!(matches!(house.refuses(&asked).await, EnrolError::Name(_)), "{:?} {hostname}", asked.name);
    }
    assert_eq!(house.uses(&key).await, 0);
    house.enrol(&request(&key, "pump-1", Some(&fresh_key()))).await.unwrap();

    let exact = house.key_like(WantedKey { name_pattern: Some("pump-1".into()), ..wanted_key() }).await.key;
    let second = request(&exact, "pump-1", Some(&fresh_key()));
    assert!(matches!(house.refuses(&second).await, EnrolError::NameTaken), "no other name fits");
    let reserved = house.enrol(&request(&house.key().await, "admin", None)).await.unwrap();
    assert_eq!(reserved.device.name.as_str(), "device-admin");
}

#[tokio::test]
async fn a_key_bound_to_networks_is_unknown_elsewhere() {
    let house = House::new().await;
    let networks = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/48".parse().unwrap()];
    let key = house.key_like(WantedKey { networks, max_uses: 3, ..wanted_key() }).await.key;
    let from = |address: &str| Enrolment {
        address: address.parse().unwrap(),
        ..request(&key, "pump", Some(&fresh_key()))
    };
    for elsewhere in ["192.0.3.1", "2001:db8:1::1", "::1"] {
        assert_eq!(why(&house.refuses(&from(elsewhere)).await), KeyRefusal::NotFound, "{elsewhere}");
    }
    for inside in ["192.0.2.200", "::ffff:192.0.2.1", "2001:db8::77"] {
        house.enrol(&from(inside)).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_bound_to_a_public_key_takes_no_other_and_not_none() {
    let house = House::new().await;
    let (own, other) = (fresh_key(), fresh_key());
    let key = house.key_like(WantedKey { spki: Some(spki(&own)), ..wanted_key() }).await.key;
    assert!(matches!(house.refuses(&request(&key, "pump", Some(&other))).await, EnrolError::KeyDenied));
    assert!(matches!(house.refuses(&request(&key, "pump", None)).await, EnrolError::KeyDenied));
    house.enrol(&request(&key, "pump", Some(&own))).await.unwrap();
}

#[tokio::test]
async fn where_approval_is_required_the_first_certificate_comes_after_it_by_proof() {
    let house = House::new().await;
    let wanted = WantedKey { approval: Approval::Required, ..wanted_key() };
    let key = fresh_key();
    let enrolled =
        house.enrol(&request(&house.key_like(wanted).await.key, "pump", Some(&key))).await.unwrap();
    assert_eq!(enrolled.mtls.as_ref().err(), Some(&NoCertificate::AwaitingApproval));
    assert_eq!(enrolled.device.status, DeviceStatus::Quarantined);
    assert_eq!(barred(&enrolled.device), Some(QuarantineReason::AWAITING_APPROVAL));
    let device = Device::new(&enrolled, key.clone());
    assert_eq!(house.row(device.id).await.pending_key.as_deref(), Some(key.spki_der()));
    house.check(&[device.id]).await;

    house.authority.approve(&house.operate(), device.id).await.unwrap();
    let caller = house.caller(&device).await;
    let heard = house.authority.heartbeat(&caller, None, address()).await.unwrap();
    assert_eq!(heard.renewal, Renewal::Due);
    let stranger = refused(house.renew_by_proof(&device, &fresh_key(), &key).await);
    assert!(matches!(stranger, countersign_authority::renew::RenewError::ProofNeeded), "{stranger}");
    let renewed = house.renew_by_proof(&device, &key, &key).await.unwrap();
    house.confirm(&device, renewed.id).await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!((row.pending_key, row.grant_until), (None, None), "used up");
    assert_eq!(house.states(device.id).await, [CertificateState::Active]);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn what_resembles_a_denied_device_waits_for_approval_in_its_tenant() {
    let house = House::new().await;
    let evil = Enrolment {
        hardware_serial: Some("SN-666".into()),
        ..request(&house.key().await, "evil-pc", Some(&fresh_key()))
    };
    let evil = house.enrol(&evil).await.unwrap().device;
    house.authority.deny(&house.operate(), evil.id).await.unwrap();
    for (hostname, serial, expected) in [
        ("EVIL-PC", None, true),
        ("other", Some(" sn-666"), true),
        ("other", Some("SN-1"), false),
        ("other", None, false),
    ] {
        let asked = Enrolment {
            hardware_serial: serial.map(str::to_owned),
            ..request(&house.key().await, hostname, Some(&fresh_key()))
        };
        let enrolled = house.enrol(&asked).await.unwrap();
        let reason = expected.then_some(QuarantineReason::RESEMBLES_DENIED);
        assert_eq!(barred(&enrolled.device), reason, "{hostname} {serial:?}");
        assert_eq!(enrolled.mtls.is_err(), expected);
        house.check(&[enrolled.device.id]).await;
    }
}

#[tokio::test]
async fn a_placeholder_for_a_serial_resembles_nobody() {
    let house = House::new().await;
    let with = |key: String, hostname: &str| Enrolment {
        hardware_serial: Some("To Be Filled By O.E.M.".into()),
        ..request(&key, hostname, Some(&fresh_key()))
    };
    let evil = house.enrol(&with(house.key().await, "evil-pc")).await.unwrap().device;
    house.authority.deny(&house.operate(), evil.id).await.unwrap();
    let good = house.enrol(&with(house.key().await, "good-pc")).await.unwrap();
    assert_eq!(good.device.status, DeviceStatus::Pending);
}

#[tokio::test]
async fn a_key_of_a_denied_device_or_a_revoked_certificate_is_refused() {
    let house = House::new().await;
    let (denied, revoked, gone) =
        (house.device("denied").await, house.device("revoked").await, house.device("gone").await);
    house.authority.deny(&house.operate(), denied.id).await.unwrap();
    let row = house.in_state(revoked.id, CertificateState::Active).await;
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    house.authority.decommission(&house.operate(), gone.id).await.unwrap();
    let key = house.key().await;
    for device in [&denied, &revoked, &gone] {
        let again = request(&key, "somewhere-else", Some(&device.key));
        assert!(matches!(house.refuses(&again).await, EnrolError::KeyDenied));
    }
    house.pass(DAY * 91);
    house.authority.sweep().await.unwrap();
    let key = house.key().await;
    let late = request(&key, "somewhere-else", Some(&revoked.key));
    assert!(matches!(house.refuses(&late).await, EnrolError::KeyDenied), "not after its end either");
    assert_eq!(house.uses(&key).await, 0);
}

#[tokio::test]
async fn a_broken_signing_request_and_a_suspended_tenant_are_refused_and_use_no_key() {
    let house = House::new().await;
    let key = house.key().await;
    let broken = Enrolment { csr: Some("hello".into()), ..request(&key, "pump", None) };
    assert!(matches!(house.refuses(&broken).await, EnrolError::Csr(_)));
    house.suspend("default").await;
    let fine = request(&key, "pump", Some(&fresh_key()));
    assert!(matches!(house.refuses(&fine).await, EnrolError::TenantSuspended));
    assert_eq!(house.uses(&key).await, 0);
    house.resume("default").await;
    house.enrol(&fine).await.unwrap();
}

#[tokio::test]
async fn without_a_signing_request_the_server_makes_a_key_only_where_that_is_allowed() {
    let house = House::new().await;
    let enrolled = house.enrol(&request(&house.key().await, "pump-1", None)).await.unwrap();
    assert_eq!(enrolled.mtls.err(), Some(NoCertificate::CsrRequired));
    house
        .change(SettingsChange {
            allow_server_generated_keys: Some(Permission::Allowed),
            ..SettingsChange::default()
        })
        .await;
    let enrolled = house.enrol(&request(&house.key().await, "pump-2", None)).await.unwrap();
    assert!(enrolled.mtls.ok().unwrap().private_key_pem.unwrap().contains("PRIVATE KEY"));
    let events = house.events(enrolled.device.id).await;
    assert!(events.contains(&AuditEvent::ServerGeneratedKey), "{events:?}");
    let with_own = house.enrol(&request(&house.key().await, "pump-3", Some(&fresh_key()))).await.unwrap();
    assert!(with_own.mtls.ok().unwrap().private_key_pem.is_none());
}

#[tokio::test]
async fn without_an_issuer_the_key_is_kept_and_proves_itself_once_there_is_one() {
    let house = House::with_issuer(IssuerMode::None).await;
    let key = fresh_key();
    let enrolled = house.enrol(&request(&house.key().await, "pump", Some(&key))).await.unwrap();
    assert_eq!(enrolled.mtls.as_ref().err(), Some(&NoCertificate::IssuerOff));
    let device = Device::new(&enrolled, key.clone());
    let caller = house.caller(&device).await;
    let heard = house.authority.heartbeat(&caller, None, address()).await.unwrap();
    assert_eq!(heard.renewal, Renewal::NotDue, "nobody would sign");
    let outage = refused(house.renew_by_proof(&device, &key, &key).await);
    assert!(matches!(outage, countersign_authority::renew::RenewError::IssuerUnavailable), "{outage}");

    let house = house.restarted(IssuerMode::Embedded).await;
    let caller = house.caller(&device).await;
    let heard = house.authority.heartbeat(&caller, None, address()).await.unwrap();
    assert_eq!(heard.renewal, Renewal::Due);
    let fresh = fresh_key();
    let renewed = house.renew_by_proof(&device, &key, &fresh).await.unwrap();
    house.confirm(&device, renewed.id).await.unwrap();
    assert_eq!(house.in_state(device.id, CertificateState::Active).await.spki, spki(&fresh));
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn when_the_issuer_fails_the_device_enrols_and_its_key_is_kept() {
    let house = House::new().await;
    // The device CA has ended by then.
    house.clock.set(start() + DAY * 365 * 6);
    let key = fresh_key();
    let enrolled = house.enrol(&request(&house.key().await, "pump", Some(&key))).await.unwrap();
    assert_eq!(enrolled.mtls.as_ref().err(), Some(&NoCertificate::IssuerUnavailable));
    let device = Device::new(&enrolled, key.clone());
    assert_eq!(house.row(device.id).await.pending_key.as_deref(), Some(key.spki_der()));
    assert!(house.certificates(device.id).await.is_empty());

    house.clock.set(start());
    let renewed = house.renew_by_proof(&device, &key, &key).await.unwrap();
    house.confirm(&device, renewed.id).await.unwrap();
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn failed_keys_are_limited_per_network_and_good_ones_are_not() {
    let house = House::new().await;
    let good = house.key_like(WantedKey { max_uses: 30, ..wanted_key() }).await.key;
    for number in 0..12 {
        house.enrol(&request(&good, &format!("pump-{number}"), Some(&fresh_key()))).await.unwrap();
    }
    let bad = request("csk_guess", "pump", None);
    for _ in 0..10 {
        assert_eq!(why(&house.refuses(&bad).await), KeyRefusal::NotFound);
    }
    let EnrolError::TooMany(limit) = house.refuses(&bad).await else { panic!("not limited") };
    assert!(!limit.retry_after.is_zero());
    let elsewhere = Enrolment { address: "198.51.100.1".parse().unwrap(), ..bad };
    assert_eq!(why(&house.refuses(&elsewhere).await), KeyRefusal::NotFound);
    house.pass(limit.retry_after);
    house.enrol(&request(&good, "late", Some(&fresh_key()))).await.unwrap();
}
