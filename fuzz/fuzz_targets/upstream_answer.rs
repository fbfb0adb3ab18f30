//! Answers of Cloudflare's API: reading one never panics, and nothing is certified for a key that was not
//! asked for.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use countersign_ca::upstream::{
    ApiResponse, Ruleset, UploadedCa, UpstreamCertificate, Wanted, certified, import_rules, page_of, read_answer,
};
use countersign_ca::{KeyAlgorithm, SigningKey};
use countersign_core::Identity;
use countersign_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(KeyAlgorithm::P256).expect("a key is made"));
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").expect("an identity")
});

fuzz_target!(|bytes: &[u8]| {
    let [status, body @ ..] = bytes else { return };
    let status = if *status < 128 { 200 } else { 300 + u16::from(*status) };
    let response = ApiResponse { status, retry_after: None, body: body.to_vec() };
    let wanted = Wanted {
        key: KEY.public_key(),
        identity: &IDENTITY,
        now: Timestamp::from_secs(1_770_000_000),
        lifetime: Duration::from_secs(86_400),
    };
    if let Ok(certificate) = read_answer::<UpstreamCertificate>(&response) {
        // Nobody who writes these bytes has seen the key.
        assert!(certified(&certificate.certificate, &wanted).is_err());
    }
    if let Ok((certificates, _pages)) = page_of::<UpstreamCertificate>(&response) {
        for certificate in certificates {
            assert!(certified(&certificate.certificate, &wanted).is_err());
        }
    }
    let _read = page_of::<UploadedCa>(&response);
    let _read = read_answer::<Ruleset>(&response);
    let _read = import_rules(body);
    if let Ok(text) = std::str::from_utf8(body) {
        assert!(certified(text, &wanted).is_err());
    }
});
