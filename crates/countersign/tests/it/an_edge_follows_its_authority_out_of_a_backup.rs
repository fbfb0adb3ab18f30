//! Proves that an edge goes on refusing whoever fell while its authority is brought back from a backup that
//! knows nothing of it, follows the authority once that was restored in order, and never one that merely has
//! an older state.

use std::path::PathBuf;

use countersign_api::wire::agent::RenewResponse;
use countersign_testkit::{KeyKind, TestKey};

use crate::harness::{Device, Edge, Installation, Time, csr_pem, done, read, until};
use crate::upstream::Upstream;

/// What its upstream answers a device at the edge, or the code of the refusal.
async fn asks(edge: &Edge, installation: &Installation, device: &Device) -> (u16, String) {
    let mut connection = edge.connect(installation, device).await;
    match connection.request("GET", "/required/x", &[], "").await {
        Ok(answer) => (answer.status, answer.code()),
        // It fell while it asked.
        Err(_cut) => (0, String::new()),
    }
}

fn refused(code: &str) -> (u16, String) {
    (403, code.to_owned())
}

fn good() -> (u16, String) {
    (200, String::new())
}

/// Renews through the edge, by a signature, and confirms by the first use.
async fn renewed(edge: &Edge, installation: &Installation, device: &Device) -> Device {
    let fresh = TestKey::generate(KeyKind::P256);
    let csr = fresh.signing_request_der(&device.name);
    let mut own = edge.connect(installation, device).await;
    let challenge = read(&device.challenge(&mut own).await);
    let proof = device.proof_of_renewal(&device.key, &challenge, &csr);
    let answer = device.renew(&mut own, &csr_pem(&csr), Some(&proof)).await;
    let renewal: RenewResponse = read(&answer);
    let device = Device { key: fresh, mtls: Some(renewal.mtls), ..device.clone() };
    // What is issued after a restoration counts once the edge has heard of it.
    until("it is confirmed", async || {
        let mut own = edge.connect(installation, &device).await;
        device.confirm(&mut own, renewal.certificate_id, None).await.status == 200
    })
    .await;
    device
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_fell_gets_in_and_the_edge_catches_up() {
    let upstream = Upstream::start().await;
    let mut lost = Installation::configured(&upstream.routes(), Time::Real).await;
    let edge = Edge::start(&lost, "berlin").await;
    edge.until(&lost.admin(), "attached").await;
    let kept = Device::enrol(&lost, "kept").await;
    let stolen = Device::enrol(&lost, "stolen").await;
    let replaced = Device::enrol(&lost, "replaced").await;
    lost.back_up().await;

    done(&lost.admin().deny(stolen.id).await);
    let late = Device::enrol(&lost, "late").await;
    let replaced = renewed(&edge, &lost, &replaced).await;
    // Added after the backup: the restored authority does not know it.
    let unknown = Edge::start(&lost, "unknown").await;
    unknown.until(&lost.admin(), "attached").await;
    lost.fetch_lists().await;
    lost.kill().await;
    for edge in [&edge, &unknown] {
        assert_eq!(asks(edge, &lost, &stolen).await, refused("CERTIFICATE_REVOKED"));
        assert_eq!(asks(edge, &lost, &late).await, good(), "by what it knows");
    }

    let mut found = lost.successor();
    let restored = found.restore();
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    found.start_again().await;
    found.sign_in().await;
    edge.until(&found.admin(), "attached").await;
    until("the edge goes by the restored state", async || {
        asks(&edge, &found, &late).await == refused("CERTIFICATE_UNPROVED")
    })
    .await;
    assert_eq!(asks(&edge, &found, &kept).await, good());
    assert_eq!(asks(&edge, &found, &stolen).await, refused("CERTIFICATE_REVOKED"));
    assert_eq!(asks(&edge, &found, &replaced).await, refused("CERTIFICATE_UNPROVED"));
    let proved = renewed(&edge, &found, &replaced).await;
    assert_eq!(
        asks(&edge, &found, &proved).await,
        good(),
        "by a signature, though an edge alone sees its own"
    );

    let decided = done(&found.admin().deny(kept.id).await);
    assert_eq!(decided["appliedEdges"], found.applied_by_all(1));
    assert_eq!(asks(&edge, &found, &kept).await, refused("CERTIFICATE_REVOKED"));

    // Nobody tells the other any more: what it knew stays refused.
    assert!(unknown.listed(&found.admin()).await.is_none());
    until("it hears that it is nobody", async || unknown.log().contains("authority not reached")).await;
    assert_eq!(asks(&unknown, &found, &stolen).await, refused("CERTIFICATE_REVOKED"));
}

/// The files of the database.
fn database(installation: &Installation) -> Vec<PathBuf> {
    let files = fs_err::read_dir(installation.data()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("countersign.db")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_is_not_followed() {
    let upstream = Upstream::start().await;
    let mut installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let edge = Edge::start(&installation, "berlin").await;
    edge.until(&installation.admin(), "attached").await;
    let good_one = Device::enrol(&installation, "good").await;
    let stolen = Device::enrol(&installation, "stolen").await;
    installation.terminate().await;
    let earlier = database(&installation)
        .into_iter()
        .map(|path| (fs_err::read(&path).unwrap(), path))
        .collect::<Vec<_>>();
    installation.start_again().await;
    edge.until_attached_again().await;
    let denied = done(&installation.admin().deny(stolen.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(1));
    installation.terminate().await;

    // Somebody copies an old file of the database back, which is no restoration.
    for path in database(&installation) {
        fs_err::remove_file(path).unwrap();
    }
    for (contents, path) in earlier {
        fs_err::write(path, contents).unwrap();
    }
    installation.start_again().await;
    until("the edge refuses what is older", async || {
        edge.log().contains("what came as trust is refused") && edge.log().contains("were seen")
    })
    .await;
    assert_eq!(asks(&edge, &installation, &stolen).await, refused("CERTIFICATE_REVOKED"));
    assert_eq!(asks(&edge, &installation, &good_one).await, good());
    let own = stolen.client(&installation).connect(installation.own_door()).await;
    let answer = own.unwrap().request("GET", "/required/x", &[], "").await.unwrap();
    assert_eq!(answer.status, 200, "the authority itself has forgotten it");
}
