//! What must be so in the end, asked of the database and at the doors.

use std::collections::{BTreeMap, BTreeSet};

use super::House;
use super::load::{Held, comes_in};
use crate::harness::{eventually, serial_of, until};

/// Every way in which an issuance ends, and its beginning.
const ISSUANCES: &str =
    "SELECT event, details::json ->> 'serial' FROM countersign.audit_entries WHERE event IN
    ('certificate.intended', 'certificate.issued', 'certificate.abandoned', 'door.certificate_issued',
     'edge.enrolled', 'edge.renewed')";
const RECORDED: &str = "SELECT serial_number FROM public.device_certificates";
const MESSAGES: &str = "SELECT payload::json -> 'metrics' ->> 'n' FROM countersign.telemetry";

pub(super) async fn adds_up(house: &House, held: &Held) {
    every_issuance_has_one_outcome(house).await;
    let recorded: BTreeSet<String> = house.database.query(RECORDED).lines().map(str::to_owned).collect();
    let agents = serial_of(&house.agent.text("mtls_cert_pem"));
    let handed_out = held.serials.iter().chain([&agents]);
    let forgotten: Vec<_> = handed_out.filter(|serial| !recorded.contains(*serial)).collect();
    assert!(forgotten.is_empty(), "handed out and not on record: {forgotten:?}");

    let devices = house.database.query("SELECT id FROM public.devices");
    let devices: BTreeSet<&str> = devices.lines().collect();
    let forgotten: Vec<_> =
        held.enrolled.iter().filter(|id| !devices.contains(id.to_string().as_str())).collect();
    assert!(forgotten.is_empty(), "enrolled and not on record: {forgotten:?}");

    let kept = house.database.query(MESSAGES);
    let kept: BTreeSet<u64> = kept.lines().map(|number| number.parse().unwrap()).collect();
    let lost: Vec<_> = held.messages.iter().filter(|number| !kept.contains(number)).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");

    for (device, doors) in &held.denied {
        for door in doors {
            let status = comes_in(&house.authorities[0].client(), device, *door).await;
            assert_eq!(status, Some(403), "{} was denied", device.name);
        }
    }
    let id = house.agent.text("device_id").parse().unwrap();
    until("the agent is heard", async || {
        house.authorities[0].admin().device(id).await.status.as_str() == "online"
    })
    .await;
    for authority in &house.authorities {
        let verified = authority.run(&["audit", "verify"]);
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    }
}

/// What was begun is on record once, or abandoned; nothing is both.
async fn every_issuance_has_one_outcome(house: &House) {
    // Nobody can be about to record what was intended so long ago.
    house.authorities[0].time().advance(std::time::Duration::from_secs(660));
    let outcomes = eventually(super::PATIENCE, "every issuance has its outcome", async || {
        let said = house.database.query(ISSUANCES);
        let mut outcomes = BTreeMap::<String, Vec<String>>::new();
        for (event, serial) in said.lines().filter_map(|line| line.split_once('|')) {
            let known = outcomes.entry(serial.to_owned()).or_default();
            if event != "certificate.intended" {
                known.push(event.to_owned());
            }
        }
        outcomes.values().all(|known| !known.is_empty()).then_some(outcomes)
    })
    .await;
    let twice: Vec<_> = outcomes.iter().filter(|(_, known)| known.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
