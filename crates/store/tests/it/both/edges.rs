//! Edges elsewhere: each enrols once, has its name and its certificates, and is revoked for good.

use countersign_core::door_work::DoorLoad;
use countersign_core::ids::{AuthorityId, EdgeId, SecretHash};
use countersign_core::snapshot::SnapshotVersion;
use countersign_store::{EdgeAttachment, EdgeRow, SnapshotKeyRow};

use super::fixture::{DAY, Fixture, HOUR, now, random, read, reference, write};

pub(crate) fn edge(name: &str) -> EdgeRow {
    EdgeRow {
        id: EdgeId::random(),
        name: name.parse().unwrap(),
        tenants: Some(["acme".parse().unwrap(), "other".parse().unwrap()].into()),
        public_names: vec!["edge.example.com".to_owned(), "192.0.2.7".to_owned()],
        token: Some(random().into()),
        token_expires_at: now() + HOUR,
        created_at: now(),
        enrolled_at: None,
        revoked_at: None,
        attachment: EdgeAttachment::default(),
        load: None,
    }
}

pub(crate) fn snapshot_key() -> SnapshotKeyRow {
    SnapshotKeyRow {
        key_id: random().into(),
        public_key: vec![1, 0, 255],
        sealed_key: vec![2, 0, 254],
        created_at: now(),
    }
}

#[tokio::test]
async fn an_edge_enrols_once_with_its_token() {
    let fixture = Fixture::new().await;
    let row = edge("berlin");
    let (written, id, token) = (row.clone(), row.id, row.token.unwrap());
    assert!(write!(fixture.store, |w| w.insert_edge(&written)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.edges()).unwrap(), std::slice::from_ref(&row));
    assert_eq!(read!(fixture.store, |r| r.edge_by_token(token)).unwrap(), Some(row));
    assert_eq!(read!(fixture.store, |r| r.edge_by_token(SecretHash::of("x"))).unwrap(), None);
    assert!(write!(fixture.store, |w| w.enrol_edge(id, now() + DAY)).unwrap());
    assert!(!write!(fixture.store, |w| w.enrol_edge(id, now() + DAY)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.edge_by_token(token)).unwrap(), None);
    let enrolled = read!(fixture.store, |r| r.edge(id)).unwrap().unwrap();
    assert_eq!((enrolled.enrolled_at, enrolled.token), (Some(now() + DAY), None));
}

#[tokio::test]
async fn a_name_is_free_again_once_its_edge_is_revoked() {
    let fixture = Fixture::new().await;
    let (first, second) = (edge("berlin"), edge("berlin"));
    let (one, two, id) = (first.clone(), second.clone(), first.id);
    assert!(write!(fixture.store, |w| w.insert_edge(&one)).unwrap());
    assert!(!write!(fixture.store, |w| w.insert_edge(&two)).unwrap());
    assert!(write!(fixture.store, |w| w.revoke_edge(id, now())).unwrap());
    assert!(!write!(fixture.store, |w| w.revoke_edge(id, now())).unwrap());
    let revoked = read!(fixture.store, |r| r.edge(id)).unwrap().unwrap();
    assert_eq!((revoked.revoked_at, revoked.token), (Some(now()), None));
    let two = second.clone();
    assert!(write!(fixture.store, |w| w.insert_edge(&two)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.edges()).unwrap(), [second]);
}

#[tokio::test]
async fn where_an_edge_stands_reads_back_until_it_is_revoked() {
    let fixture = Fixture::new().await;
    let row = EdgeRow { tenants: None, ..edge("berlin") };
    let (written, id) = (row.clone(), row.id);
    write!(fixture.store, |w| w.insert_edge(&written)).unwrap();
    let attachment = EdgeAttachment {
        since: Some(now()),
        authority: Some(AuthorityId::random()),
        seen_at: Some(now() + HOUR),
        applied: SnapshotVersion { generation: 2, epoch: 1 << 40 },
    };
    assert!(write!(fixture.store, |w| w.set_edge_attachment(id, &attachment)).unwrap());
    let known = read!(fixture.store, |r| r.edge(id)).unwrap().unwrap();
    assert_eq!(known, EdgeRow { attachment, ..row });
    let load = DoorLoad { connections: 3, handshakes_per_minute: 2, requests_per_minute: 1 };
    write!(fixture.store, |w| w.set_edge_load(id, load, now())).unwrap();
    assert_eq!(read!(fixture.store, |r| r.edge(id)).unwrap().unwrap().load, Some((load, now())));
    write!(fixture.store, |w| w.revoke_edge(id, now())).unwrap();
    assert!(!write!(fixture.store, |w| w.set_edge_attachment(id, &attachment)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.edge(id)).unwrap().unwrap().attachment.since, None);
}

#[tokio::test]
async fn an_edge_is_found_by_its_certificate() {
    let fixture = Fixture::new().await;
    let (row, certificate, another) = (edge("berlin"), reference(), reference());
    let (written, id, given) = (row.clone(), row.id, certificate.clone());
    write!(fixture.store, |w| w.insert_edge(&written)).unwrap();
    write!(fixture.store, |w| w.insert_edge_certificate(id, &given)).unwrap();
    let asked = certificate.clone();
    assert_eq!(read!(fixture.store, |r| r.edge_of_certificate(&asked)).unwrap(), Some(row));
    assert_eq!(read!(fixture.store, |r| r.edge_of_certificate(&another)).unwrap(), None);
    assert_eq!(read!(fixture.store, |r| r.certificates_of_edge(id)).unwrap(), [certificate]);
}

#[tokio::test]
async fn there_is_one_key_that_signs_what_edges_are_told() {
    let fixture = Fixture::new().await;
    let (first, second) = (snapshot_key(), snapshot_key());
    let (one, two) = (first.clone(), second);
    assert!(write!(fixture.store, |w| w.insert_snapshot_key(&one)).unwrap());
    assert!(!write!(fixture.store, |w| w.insert_snapshot_key(&two)).unwrap());
    let id = first.key_id;
    assert!(write!(fixture.store, |w| w.set_sealed_snapshot_key(id, &[9])).unwrap());
    let known = read!(fixture.store, |r| r.snapshot_key()).unwrap().unwrap();
    assert_eq!((known.sealed_key, known.public_key), (vec![9], first.public_key));
}
