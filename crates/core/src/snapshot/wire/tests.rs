use super::*;
use crate::snapshot::TrustSnapshot;
use proptest::prelude::*;

fn reference(issuer: u8, serial: u64) -> CertificateRef {
    let serial = SerialNumber::from_be_bytes(&serial.to_be_bytes()).unwrap();
    CertificateRef { issuer: [issuer; 32].into(), serial }
}

fn full_snapshot() -> TrustSnapshot {
    let at = Timestamp::from_millis(1_750_000_000_123);
    let mut snapshot = TrustSnapshot::empty(TrustDomain::default(), at);
    snapshot.device_issuers.push_back(TrustedIssuer {
        key_id: [1; 32].into(),
        certificate: Arc::from([9; 40]),
        tenants: Some(HashSet::from_iter(["b".parse().unwrap(), "a".parse().unwrap()])),
    });
    let addresses = vec!["192.0.2.0/24".to_owned()];
    snapshot.lists = Arc::from([RuleList { name: "office".into(), kind: ListKind::Ip, items: addresses }]);
    snapshot.service_issuers.push_back(TrustedIssuer {
        key_id: [6; 32].into(),
        certificate: Arc::from([5; 40]),
        tenants: None,
    });
    let anchors = [vec![1_u8; 3], vec![2; 2]].into_iter().map(Arc::from).collect();
    snapshot.foreign_trusts.push_back(ForeignTrust { name: "partner".parse().unwrap(), anchors });
    let action =
        RuleAction::Block(BlockResponse { status: 418, body: Some(("no".into(), "text/plain".into())) });
    let rule = |name: &str, action| RuleSource { name: name.into(), expression: "ssl".into(), action };
    snapshot.rules = Arc::from([rule("a", action), rule("b", RuleAction::Log), rule("c", RuleAction::Skip)]);
    let trust = TenantTrust { enforcement: Enforcement::Observe, service: TenantService::Suspended };
    snapshot.tenants.insert("acme".parse().unwrap(), trust);
    let device: DeviceKey = ("acme".parse().unwrap(), "D.1".parse().unwrap());
    snapshot.barred.insert(device.clone(), Bar::Decommissioned);
    let binding = Binding {
        tenant: device.0,
        device: device.1,
        spki: [3; 32].into(),
        certificate: [4; 32],
        not_after: at,
    };
    snapshot.bindings.insert(reference(2, 77), binding);
    snapshot.superseded.insert(reference(1, 5), at);
    snapshot.denied = (1..50).map(|number| reference(1, number * 7919)).collect();
    snapshot.pending.insert(reference(1, 3));
    snapshot.proved.insert(reference(3, 4));
    snapshot.denied_keys.insert([8; 32].into());
    let period = UnprovedPeriod { from: at, until: at };
    snapshot.unproved.insert([3; 32].into(), imbl::Vector::unit(period));
    snapshot
}

fn message() -> TrustMessage {
    let snapshot = full_snapshot();
    TrustMessage {
        edge: "berlin".parse().unwrap(),
        authority: AuthorityId::from(Uuid::from_u128(7)),
        base: None,
        position: 12,
        version: SnapshotVersion { generation: 2, epoch: 99 },
        made_at: snapshot.made_at,
        trust_domain: snapshot.trust_domain.clone(),
        changes: TrustChanges::all_of(&snapshot),
    }
}

#[test]
fn a_snapshot_arrives_as_it_was() {
    let sent = message();
    let bytes = sent.encode();
    let told = TrustMessage::decode(&bytes).unwrap();
    assert_eq!(told, sent);
    let mut arrived = TrustSnapshot::empty(told.trust_domain, told.made_at);
    told.changes.apply_to(&mut arrived);
    assert_eq!(TrustChanges::all_of(&arrived), TrustChanges::all_of(&full_snapshot()));
}

#[test]
fn fails_closed_on_every_message_that_was_cut_off_or_lengthened() {
    let bytes = message().encode();
    for end in 0..bytes.len() {
        assert!(TrustMessage::decode(&bytes[..end]).is_err(), "{end}");
    }
    let longer = [bytes, vec![0]].concat();
    assert_eq!(TrustMessage::decode(&longer), Err(WireError::TooMuch));
}

#[test]
fn a_revocation_costs_tens_of_bytes() {
    let base = TrustMessage { base: Some(11), changes: TrustChanges::default(), ..message() };
    let changes = TrustChanges { denied: [(reference(1, 1), Some(()))].into(), ..TrustChanges::default() };
    let more = TrustMessage { changes, ..base.clone() };
    let cost = |message: &TrustMessage| message.encode().len();
    assert!(cost(&more) - cost(&base) < 64, "{} {}", cost(&more), cost(&base));
}

proptest! {
    #[test]
    fn what_is_read_is_written_in_no_other_way(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = message().encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = TrustMessage::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
