//! An independent linter, pkilint, finds no error in a certificate of any profile, beside its issuer
//! too, nor in a revocation list. `scripts/lint-certificates` installs it and runs this.

use std::process::Command;

use countersign_ca::{
    CertificateRequest, CrlContents, CrlEntry, IssuedCertificate, Issuer, KeyAlgorithm, Profile, Publication,
    ServerPurposes,
};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::certificate::RevocationReason;
use countersign_testkit::TestCa;

use crate::hierarchy::{CRL_URL, Hierarchy, device, issue, key, now, request, server, subject};
use crate::openssl::Openssl;

/// Findings that do not apply, as docs/reference/lints.md says: the check of URIs knows the schemes of the
/// web only (`spiffe://…` is a URI by RFC 3986), and that of DNS names no wildcards, which RFC 9525 has.
const DO_NOT_APPLY: [(&str, &str); 2] =
    [("pkix.invalid_uri_syntax", "\"spiffe://"), ("pkix.invalid_domain_name_syntax", "\"*.")];

/// What the linter finds at the level of errors; empty: nothing.
fn errors(folder: &Openssl, program: &str, arguments: &str) -> String {
    let mut command = Command::new(program);
    command.current_dir(folder.folder()).arg("lint").args(arguments.split_whitespace());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let applies =
        |line: &&str| !DO_NOT_APPLY.iter().any(|(code, value)| line.contains(code) && line.contains(value));
    let mut findings = text.lines().filter(|line| line.contains("(ERROR)") || line.contains("(FATAL)"));
    let excused = findings.clone().next().is_some() && !findings.any(|line| applies(&line));
    if output.status.success() || excused { String::new() } else { format!("{program} {arguments}:\n{text}") }
}

fn issued(issuer: &Issuer, profile: Profile, algorithm: KeyAlgorithm) -> IssuedCertificate {
    let key = key(algorithm);
    let publication = Publication {
        crl_url: Some(CRL_URL.to_owned()),
        ca_issuers_url: Some("http://pki.example/ca.cer".to_owned()),
        ..Publication::default()
    };
    issue(issuer, CertificateRequest { publication, ..request(profile, key.public_key()) })
}

fn profiles(hierarchy: &Hierarchy) -> Vec<(&Issuer, Profile)> {
    let Hierarchy { root, devices, services } = hierarchy;
    let names = AlternativeNames {
        dns: vec!["a.example.com".to_owned(), "*.b.example.com".to_owned()],
        ips: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        uris: vec!["spiffe://countersign.internal/service/billing".to_owned()],
    };
    let both =
        Profile::ServiceServer { names: names.clone().into(), purposes: ServerPurposes::ServerAndClient };
    let only_a_long_name = server(&[&format!("{}.example.com", "a".repeat(63))], &[]);
    let between = |path_length| Profile::Intermediate {
        subject: subject("CN=Between,OU=PKI,O=Example,C=US"),
        purposes: [].into(),
        path_length,
    };
    vec![
        (root, Profile::IssuingDevice { subject: subject("CN=More Devices,O=Example,C=US") }),
        (root, Profile::IssuingService { subject: subject("CN=More Services,O=Example,C=US") }),
        (root, between(Some(1))),
        (root, between(None)),
        (devices, device("d1")),
        (services, server(&["a.example.com"], &["192.0.2.1".parse().unwrap()])),
        (services, only_a_long_name),
        (services, both),
        (services, Profile::ServiceClient { names: names.into() }),
        (devices, Profile::Ocsp { subject: subject("CN=Responder,O=Example,C=US") }),
        (root, Profile::Ocsp { subject: subject("CN=Responder of the Root,O=Example,C=US") }),
    ]
}

#[test]
#[ignore = "needs pkilint: run scripts/lint-certificates"]
fn it_finds_no_error_in_a_certificate_of_any_profile() {
    let folder = Openssl::new();
    let mut found = String::new();
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa2048] {
        let hierarchy = Hierarchy::new(algorithm);
        folder.write("root.pem", hierarchy.root.certificate_pem());
        found += &errors(&folder, "lint_pkix_cert", "-s ERROR root.pem");
        let all = profiles(&hierarchy).into_iter();
        // What differs between keys shows in a few.
        let few = if algorithm == KeyAlgorithm::P256 { usize::MAX } else { 6 };
        for (issuer, profile) in all.take(few) {
            let name = profile.as_str();
            folder.write("issuer.pem", issuer.certificate_pem());
            folder.write("own.pem", issued(issuer, profile, algorithm).pem());
            let alone = errors(&folder, "lint_pkix_cert", "-s ERROR own.pem");
            let beside = errors(&folder, "lint_pkix_signer_signee_cert_chain", "-s ERROR issuer.pem own.pem");
            if !alone.is_empty() || !beside.is_empty() {
                found += &format!("\n== {name}, {algorithm:?}\n{alone}{beside}");
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
#[ignore = "needs pkilint: run scripts/lint-certificates"]
fn it_finds_no_error_in_a_revocation_list() {
    let folder = Openssl::new();
    let devices = Hierarchy::new(KeyAlgorithm::P256).devices;
    let entries: Vec<CrlEntry> = (1_u8..)
        .zip(RevocationReason::ALL)
        .map(|(serial, reason)| CrlEntry {
            serial: format!("{serial:02x}a1b2c3d4e5f60718").parse().unwrap(),
            revoked_at: now(),
            reason,
        })
        .collect();
    let next_update = now() + std::time::Duration::from_secs(86_400);
    let without_ca: Vec<_> =
        entries.iter().filter(|entry| entry.reason != RevocationReason::CaCompromise).cloned().collect();
    let place = || Some(CRL_URL.to_owned());
    for (entries, place) in [(entries, place()), (without_ca, place()), (vec![], None)] {
        let contents =
            CrlContents { number: 7, this_update: now(), next_update, entries, distribution_point: place };
        folder.write("list.der", devices.sign_crl(&contents).unwrap());
        // The baseline requirements have no caCompromise for leaves; a private CA may say it.
        let for_all = contents.entries.iter().all(|entry| entry.reason != RevocationReason::CaCompromise);
        let profiles: &[&str] = if for_all { &["PKIX", "BR"] } else { &["PKIX"] };
        for profile in profiles {
            let found = errors(&folder, "lint_crl", &format!("-t CRL -p {profile} -s ERROR list.der"));
            assert!(found.is_empty(), "{found}");
        }
    }
}

#[test]
#[ignore = "needs pkilint: run scripts/lint-certificates"]
fn it_does_find_the_errors_of_others() {
    let folder = Openssl::new();
    let ca = TestCa::new("countersign.internal");
    let good = ca.device_spec("acme", "d1");
    let wrong = countersign_testkit::LeafSpec { is_ca: true, key_usage: None, ..good };
    folder.write("wrong.der", ca.mint(&wrong).der());
    assert!(!errors(&folder, "lint_pkix_cert", "-s ERROR wrong.der").is_empty());
}
