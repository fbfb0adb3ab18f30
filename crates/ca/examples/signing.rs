//! Measures signing: certificates by the issuer's kind of key, in memory as after a sealed file was opened or
//! in a PKCS #11 token, and revocation lists. A line of JSON for each measurement.
//!
//! `cargo run --release -p countersign-ca --example signing -- 5` (for how many seconds each), and for a token
//! `… -- 5 MODULE LABEL PIN-FILE SESSIONS`, with `SOFTHSM2_CONF` in the environment for SoftHSM2.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement prints, and stops when it cannot"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign_ca::{
    CertificateRequest, CrlContents, CrlEntry, Issuer, IssuerKind, KeyAlgorithm, Profile, PublicKey,
    Publication, SecretFile, Signer, SigningKey, Token, TokenSettings, random_serial,
};
use countersign_core::certificate::RevocationReason;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_core::{Identity, TrustDomain};
use serde_json::json;

const DAY: Duration = Duration::from_secs(86_400);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = Duration::from_secs_f64(arguments.next().unwrap().parse().unwrap());
    match arguments.collect::<Vec<_>>().as_slice() {
        [] => in_memory(seconds),
        [module, label, pin, sessions] => in_token(seconds, (module, label, pin), sessions.parse().unwrap()),
        other => panic!("SECONDS, or SECONDS MODULE LABEL PIN-FILE SESSIONS, not {other:?}"),
    }
}

fn in_memory(seconds: Duration) {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa2048] {
        let key = SigningKey::generate(algorithm).unwrap();
        let name = key.public_key().name();
        let issuer = devices_ca(Arc::new(key));
        let (count, cpu, wall) = issue(&issuer, 1, seconds);
        println!(
            "{}",
            json!({ "what": "certificates", "key": name, "count": count,
            "cpuSeconds": cpu, "wallSeconds": wall })
        );
    }
    let issuer = devices_ca(Arc::new(SigningKey::generate(KeyAlgorithm::P256).unwrap()));
    // All of 100,000, and what a shard of 256 of them has.
    for entries in [100_000, 100_000 / 256] {
        let (count, cpu, wall, size) = lists(&issuer, entries, seconds);
        println!(
            "{}",
            json!({ "what": "list", "entries": entries, "octets": size, "count": count,
            "cpuSeconds": cpu, "wallSeconds": wall })
        );
    }
}

fn in_token(seconds: Duration, (module, label, pin): (&str, &str, &str), sessions: NonZeroUsize) {
    let settings = TokenSettings {
        module: module.into(),
        label: Some(label.to_owned()),
        serial: None,
        pin: SecretFile::Own(pin.into()),
        sessions,
    };
    let token = Arc::new(Token::new(settings));
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048] {
        let key = token.generate(algorithm, &format!("measured {algorithm}")).unwrap();
        let name = key.public_key().name();
        let issuer = devices_ca(Arc::new(key));
        let (count, cpu, wall) = issue(&issuer, sessions.get(), seconds);
        println!(
            "{}",
            json!({ "what": "certificates", "key": name, "sessions": sessions,
            "count": count, "cpuSeconds": cpu, "wallSeconds": wall })
        );
    }
}

/// A device CA with this key, below a root of its own.
fn devices_ca(key: Arc<dyn Signer>) -> Issuer {
    let now = SystemClock.now();
    let root_key = Arc::new(SigningKey::generate(KeyAlgorithm::P256).unwrap());
    let serial = random_serial(1).unwrap();
    let root = Issuer::create_root("CN=Root".parse().unwrap(), root_key, serial, (now, DAY * 3650)).unwrap();
    let profile = Profile::IssuingDevice { subject: "CN=Devices".parse().unwrap() };
    let issued = one(&root, profile, key.public_key());
    Issuer::open(&issued, key, IssuerKind::Device).unwrap()
}

/// Prepared, linted, signed and checked.
fn one(issuer: &Issuer, profile: Profile, public_key: &PublicKey) -> Vec<u8> {
    let request = CertificateRequest {
        lifetime: profile.default_lifetime(),
        profile,
        public_key,
        serial: random_serial(1).unwrap(),
        issued_at: SystemClock.now(),
        publication: Publication::default(),
    };
    issuer.sign(issuer.prepare(request).unwrap()).unwrap().der().to_vec()
}

/// How many certificates so many threads issue in the time, and what that takes of processors and wall.
fn issue(issuer: &Issuer, threads: usize, time: Duration) -> (u64, f64, f64) {
    let device = SigningKey::generate(KeyAlgorithm::P256).unwrap();
    let count = AtomicU64::new(0);
    let (cpu, began) = (processor_seconds(), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (count, device) = (&count, &device);
            scope.spawn(move || {
                let name = format!("device-{thread}").parse().unwrap();
                let identity = Identity::new(TrustDomain::default(), "acme".parse().unwrap(), name);
                while began.elapsed() < time {
                    one(issuer, Profile::Device { identity: identity.clone() }, device.public_key());
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (count.into_inner(), processor_seconds() - cpu, began.elapsed().as_secs_f64())
}

/// How many lists of so many entries are signed in the time, at least one, what that takes, and their size.
fn lists(issuer: &Issuer, entries: usize, time: Duration) -> (u64, f64, f64, usize) {
    let now = SystemClock.now();
    let entry = |_number| CrlEntry {
        serial: random_serial(1).unwrap(),
        revoked_at: now,
        reason: RevocationReason::KeyCompromise,
    };
    let mut contents = CrlContents {
        number: 1,
        this_update: now,
        next_update: now + DAY,
        entries: (0..entries).map(entry).collect(),
        distribution_point: Some("http://pki.example.com/pki/crl/0.crl".to_owned()),
    };
    let (cpu, began) = (processor_seconds(), Instant::now());
    let (mut count, mut size) = (0, 0);
    while count == 0 || began.elapsed() < time {
        size = issuer.sign_crl(&contents).unwrap().len();
        contents.number += 1;
        count += 1;
    }
    (count, processor_seconds() - cpu, began.elapsed().as_secs_f64(), size)
}

/// What all threads of this process have had of processors so far, those that ended included: in
/// hundredths, which is how the kernel counts.
fn processor_seconds() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    // The name is in parentheses and may hold anything.
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}
