//! What others report is kept as their word, under the identity that they proved.

use countersign_authority::reported::AccessReport;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::time::Timestamp;
use countersign_store::{AuditFilter, Role};

use super::house::{DAY, HOUR, House, claim};

fn access(user: &str) -> AccessReport {
    AccessReport {
        timestamp: Timestamp::from_secs(1),
        action: "device.denied".to_owned(),
        data_type: "files".to_owned(),
        user: user.to_owned(),
        certificate_used: true,
        additional: Some("{\"a\":1}".to_owned()),
    }
}

#[tokio::test]
async fn a_device_reports_as_itself_and_sees_its_own_reports() {
    let house = House::new().await;
    let (pump, valve) = (house.device("pump").await, house.device("valve").await);
    let mut reporters = Vec::new();
    for device in [&pump, &valve] {
        let row = house.in_state(device.id, CertificateState::Active).await;
        let reporter = house.authority.reporter_by_certificate(&claim(&row)).await.unwrap().unwrap();
        house.authority.report_access(reporter.clone(), access("user:somebody-else")).await.unwrap();
        reporters.push(reporter);
    }
    let entries = house
        .audit(AuditFilter {
            device: Some(pump.id),
            event: Some(AuditEvent::AccessReported),
            ..AuditFilter::default()
        })
        .await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(entry.actor, format!("device:{}", pump.id), "not whom the report names");
    assert_eq!(entry.event, AuditEvent::AccessReported, "not what the report calls itself");
    assert_eq!(entry.at, house.now(), "not when the report says");
    assert_eq!(entry.details["userId"], "user:somebody-else");
    assert!(entry.details["reportedBy"].ends_with("/device/pump"), "{entry:?}");

    for reporter in &reporters {
        assert_eq!(house.authority.reported_accesses(reporter, HOUR).await.unwrap().len(), 1);
    }
    let person = house.authority.reporter_by_session(&house.view()).await.unwrap();
    assert_eq!(house.authority.reported_accesses(&person, HOUR).await.unwrap().len(), 2);
    house.pass(DAY);
    assert!(house.authority.reported_accesses(&person, HOUR).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_person_of_one_tenant_reports_there() {
    let house = House::new().await;
    let tenant = house
        .authority
        .create_tenant(&house.own(), "acme".parse().unwrap(), "Acme".to_owned())
        .await
        .unwrap();
    let bound = house.person(Role::Viewer, Some(tenant.id)).await;
    let reporter = house.authority.reporter_by_session(&bound.authorize().unwrap()).await.unwrap();
    house.authority.report_access(reporter, access("me")).await.unwrap();
    let owner = house.authority.reporter_by_session(&house.view()).await.unwrap();
    assert!(house.authority.reported_accesses(&owner, HOUR).await.unwrap().is_empty());
    let all =
        house.audit(AuditFilter { event: Some(AuditEvent::AccessReported), ..AuditFilter::default() }).await;
    assert_eq!(all[0].tenant.as_ref().unwrap().as_str(), "acme");
}
