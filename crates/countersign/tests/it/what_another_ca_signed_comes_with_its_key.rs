//! Proves that a certificate made as guides on the web make them is imported with its key, used by its id,
//! sealed like any other key, and removed; and that what does not fit is refused.

use std::os::unix::fs::PermissionsExt as _;

use countersign_ca::{KeySource, SealedKey, SecretFile};
use countersign_core::ids::CertificateId;
use countersign_store::{Store, StoreError};

use crate::harness::{Clerk, Installation, openssl};
use crate::program::Ran;

/// Seed 002's: a CA of one's own and a client's certificate without any extension.
async fn clerk() -> Clerk {
    let clerk = Clerk::at(Installation::start().await).await;
    let make = |line: &str| {
        let arguments: Vec<String> = line
            .split_whitespace()
            .map(|word| word.strip_prefix('@').map_or_else(|| word.to_owned(), |name| clerk.name(name)))
            .collect();
        let ran = openssl(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), b"");
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    };
    make("genrsa -out @ca.key 2048");
    make("req -new -x509 -key @ca.key -out @ca.crt -days 365 -subj /CN=Integration-CA");
    for (name, days) in [("client", "365"), ("other", "365"), ("over", "0")] {
        make(&format!("genrsa -out @{name}.key 2048"));
        make(&format!("req -new -key @{name}.key -out @{name}.csr -subj /CN={name}.example.com"));
        make(&format!(
            "x509 -req -in @{name}.csr -CA @ca.crt -CAkey @ca.key -CAcreateserial -out @{name}.crt -days {days}"
        ));
    }
    clerk
}

fn import(clerk: &Clerk, certificate: &str, key: &str, more: &[&str]) -> Ran {
    clerk.run(&[&["service", "import", "--cert", certificate, "--key", key], more].concat())
}

#[track_caller]
fn id(ran: &Ran) -> CertificateId {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.trim().parse().unwrap()
}

#[track_caller]
fn refused(ran: &Ran, expected: &str) {
    assert!(ran.code != 0 && ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.contains(expected), "{expected} in {}", ran.stderr);
}

#[tokio::test]
async fn it_gets_an_id_is_listed_and_goes_with_its_key() {
    let clerk = clerk().await;
    let first = id(&import(&clerk, "client.crt", "client.key", &["--label", "peer"]));
    assert_eq!(id(&import(&clerk, "client.crt", "client.key", &[])), first, "the same again");
    let listed = clerk.must(&["service", "list"]);
    assert!(listed.contains(&first.to_string()) && listed.contains("imported"), "{listed}");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    refused(&import(&clerk, "client.crt", "client.key", &["--label", "another"]), "CERTIFICATE_ON_RECORD");

    refused(&clerk.run(&["cert", "revoke", &first.to_string()]), "ISSUED_ELSEWHERE");
    let removed = clerk.must(&["service", "remove", &first.to_string()]);
    assert!(removed.contains("deleted with its key"), "{removed}");
    assert_eq!(clerk.must(&["service", "list"]), "");
    refused(&clerk.run(&["service", "remove", &first.to_string()]), "NOT_FOUND");
    let secret = clerk.text("client.key").lines().nth(1).unwrap().to_owned();
    assert!(!clerk.installation.log().contains(&secret));
    for event in ["service.certificate_imported", "service.certificate_removed"] {
        let entries = clerk.installation.admin().audit(&format!("event={event}")).await;
        assert_eq!(entries.len(), 1, "{event}");
        assert!(!serde_json::to_string(&entries).unwrap().contains(&secret));
    }
}

#[tokio::test]
async fn one_from_here_may_leave_its_key_and_is_revoked_like_any_other() {
    let clerk = clerk().await;
    clerk.issue("web", "30");
    let files = ["certs/web/web-cert.pem", "certs/web/web-key.pem"];
    let web = id(&import(&clerk, files[0], files[1], &[]));
    let record = clerk.json(&["cert", "list", "--label", "web"])["certificates"][0].clone();
    assert_eq!((record["id"].as_str(), record["key"].as_str()), (Some(&*web.to_string()), Some("here")));
    let removed = clerk.must(&["service", "remove", &web.to_string()]);
    assert!(removed.contains("its key is forgotten"), "{removed}");
    refused(&clerk.run(&["service", "remove", &web.to_string()]), "ISSUED_HERE");
    id(&import(&clerk, files[0], files[1], &[]));
    clerk.must(&["cert", "revoke", &web.to_string()]);
    assert_eq!(clerk.must(&["service", "list"]), "", "its key went with it");
    refused(&import(&clerk, files[0], files[1], &[]), "CERTIFICATE_STATE");
}

#[tokio::test]
async fn fails_closed_on_what_does_not_fit() {
    let clerk = clerk().await;
    refused(&import(&clerk, "client.crt", "other.key", &[]), "the key is not that of the first certificate");
    refused(&import(&clerk, "ca.crt", "ca.key", &[]), "that of a CA");
    refused(&import(&clerk, "over.crt", "over.key", &[]), "expired");
    refused(&import(&clerk, "client.key", "client.key", &[]), "certificate: ");
    refused(&import(&clerk, "client.crt", "client.crt", &[]), "key: ");
    refused(&import(&clerk, "nothing.crt", "client.key", &[]), "read the certificate");
    refused(&import(&clerk, "client.crt", "client.key", &["--label", "ocsp"]), "label: ");
    let elsewhere = ["--listen-admin", "192.0.2.1:1"];
    let config = ["--cert", "client.crt", "--key", "client.key", "--token-file", "token"];
    let far = clerk
        .installation
        .run(&[&["service", "import", "--danger-plain-admin"], &config[..], &elsewhere].concat());
    refused(&far, "a private key does not travel in plain HTTP");
    let both = format!("{}{}", clerk.text("client.crt"), clerk.text("other.crt"));
    clerk.write("both.crt", &both);
    refused(&import(&clerk, "both.crt", "client.key", &[]), "did not sign the one before it");
    clerk.token("token", &serde_json::json!({ "role": "operator" })).await;
    refused(&import(&clerk, "client.crt", "client.key", &[]), "FORBIDDEN");
    assert!(clerk.installation.admin().audit("event=service.certificate_imported").await.is_empty());
}

#[tokio::test]
async fn its_key_lies_sealed_in_the_store_and_is_sealed_anew_with_the_others() {
    let mut clerk = clerk().await;
    let chain = format!("{}{}", clerk.text("client.crt"), clerk.text("ca.crt"));
    clerk.write("chain.crt", &chain);
    let id = id(&import(&clerk, "chain.crt", "client.key", &[]));
    assert!(clerk.installation.terminate().await.success());
    let passphrase = clerk.path("passphrase");
    fs_err::write(&passphrase, "correct horse battery staple").unwrap();
    fs_err::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
    let resealed = clerk.installation.run(&["ca", "reseal", "--to-passphrase-file", "passphrase"]);
    assert_eq!(resealed.code, 0, "{}", resealed.stderr);
    assert!(resealed.stdout.contains("1 key of services"), "{}", resealed.stdout);

    let url = format!("sqlite:{}", clerk.installation.data().join("countersign.db").display());
    let store = Store::open_for_reading(&url.parse().unwrap()).await.unwrap();
    let read = store.read(move |r| Box::pin(async move { r.sealed_service_key(id).await }));
    let kept: Result<_, StoreError> = read.await;
    let kept = kept.unwrap().unwrap();
    let der = openssl(
        &["pkey", "-in", &clerk.name("client.key"), "-outform", "DER", "-out", &clerk.name("client.der")],
        b"",
    );
    assert_eq!(der.code, 0);
    let plain = fs_err::read(clerk.path("client.der")).unwrap();
    assert!(!kept.sealed_key.windows(24).any(|part| plain.windows(24).any(|own| own == part)));
    let sealed = SealedKey::from(kept.sealed_key);
    let source = KeySource::Passphrase(SecretFile::Own(passphrase));
    let key = source.open(Some(&sealed)).unwrap().open(&sealed, kept.spki.into()).unwrap();
    assert_eq!(key.public_key().sha256(), kept.spki);

    clerk.installation.reconfigure(&format!("[pki]\npassphrase_file = {:?}\n", clerk.name("passphrase")));
    clerk.installation.start_again().await;
    assert!(clerk.must(&["service", "list"]).contains(&id.to_string()));
    let detail = clerk.installation.admin().get(&format!("/service-certificates/{id}")).await;
    assert_eq!(crate::harness::done(&detail)["chain"].as_str().unwrap(), clerk.text("ca.crt"));
}
