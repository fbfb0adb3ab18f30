//! What holds at any moment, whatever was cut off: checked from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use countersign_api::wire::admin::{AuditEntryBody, CertificateBody};
use countersign_core::certificate::CertificateState;

use super::admin::Admin;
use super::installation::Installation;
use super::openssl::revoked_serials;
use super::waiting::until;

/// How an issuance ends, by its audit event.
const OUTCOMES: [&str; 5] = [
    "certificate.issued",
    "certificate.abandoned",
    "door.certificate_issued",
    "edge.enrolled",
    "edge.renewed",
];

/// Every signature that was begun is recorded once or revoked; a device has at most one active and
/// one pending certificate; what is revoked gets into the revocation list; the audit log is intact.
pub(crate) async fn assert_sound(installation: &Installation) {
    let admin = installation.admin();
    let mut recorded = BTreeMap::new();
    for device in admin.devices().await {
        let certificates = admin.certificates(device.id).await;
        let count = |wanted| certificates.iter().filter(|certificate| certificate.state == wanted).count();
        assert!(count(CertificateState::Active) <= 1, "{certificates:?}");
        assert!(count(CertificateState::PendingActivation) <= 1, "{certificates:?}");
        for certificate in certificates {
            let serial = certificate.serial_number.to_string();
            assert!(recorded.insert(serial, certificate).is_none(), "recorded twice");
        }
    }
    let abandoned = intents_are_closed(&admin, &recorded).await;
    lists_are_complete(installation, &recorded, &abandoned).await;
    let verified = installation.run(&["audit", "verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

/// What was begun is ended: time passes, so that nobody can be about to record what was intended, and what was
/// not recorded is abandoned.
pub(crate) async fn settle(installation: &Installation) {
    installation.time().advance(Duration::from_secs(660));
    let admin = installation.admin();
    until("every issuance has its outcome", async || {
        let mut ended = 0;
        for outcome in OUTCOMES {
            ended += admin.audit(&format!("event={outcome}")).await.len();
        }
        ended == admin.audit("event=certificate.intended").await.len()
    })
    .await;
}

/// Gives the serials that were abandoned.
async fn intents_are_closed(admin: &Admin, recorded: &BTreeMap<String, CertificateBody>) -> BTreeSet<String> {
    let abandoned = serials(&admin.audit("event=certificate.abandoned").await);
    let doors = serials(&admin.audit("event=door.certificate_issued").await);
    let mut edges = serials(&admin.audit("event=edge.enrolled").await);
    edges.extend(serials(&admin.audit("event=edge.renewed").await));
    let issued = serials(&admin.audit("event=certificate.issued").await);
    assert_eq!(issued, recorded.keys().cloned().collect(), "what was said to be issued is on record");
    for intent in admin.audit("event=certificate.intended").await {
        let serial = &intent.details["serial"];
        let held = [&abandoned, &doors, &edges].map(|serials| serials.contains(serial));
        let outcomes = [&held[..], &[recorded.contains_key(serial)]].concat();
        assert_eq!(outcomes.iter().filter(|is_so| **is_so).count(), 1, "{serial}: {outcomes:?}");
    }
    abandoned
}

fn serials(entries: &[AuditEntryBody]) -> BTreeSet<String> {
    assert!(entries.len() < 200, "there may be more on the next page");
    entries.iter().map(|entry| entry.details["serial"].clone()).collect()
}

async fn lists_are_complete(
    installation: &Installation,
    recorded: &BTreeMap<String, CertificateBody>,
    abandoned: &BTreeSet<String>,
) {
    let intents = installation.admin().audit("event=certificate.intended").await;
    let issuers: BTreeSet<String> = intents.iter().map(|intent| intent.details["issuer"].clone()).collect();
    let revoked = recorded.values().filter(|certificate| certificate.state == CertificateState::Revoked);
    let mut expected: BTreeSet<String> =
        revoked.map(|certificate| certificate.serial_number.to_string()).collect();
    expected.extend(abandoned.iter().cloned());
    until("what is revoked, and nothing else, is in the revocation lists", async || {
        let mut listed = BTreeSet::new();
        for issuer in &issuers {
            let crl = installation.get_plain(&format!("/pki/crl/{issuer}.crl")).await;
            assert_eq!(crl.status, 200);
            listed.extend(revoked_serials(&crl.body));
        }
        listed == expected
    })
    .await;
}
