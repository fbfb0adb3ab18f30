//! A hierarchy to issue from, and requests to give it.

use countersign_ca::{
    CertificateRequest, IssuedCertificate, Issuer, KeyAlgorithm, Profile, PublicKey, Publication, SigningKey,
    random_serial,
};
use countersign_core::time::Timestamp;
use countersign_core::{Identity, TrustDomain};

pub(crate) const CRL_URL: &str = "http://pki.example/devices.crl";

pub(crate) struct Hierarchy {
    pub(crate) root: Issuer,
    pub(crate) devices: Issuer,
    pub(crate) services: Issuer,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-06-01T12:00:00Z").unwrap()
}

pub(crate) fn key(algorithm: KeyAlgorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

pub(crate) fn identity(tenant: &str, device: &str) -> Identity {
    Identity::new(TrustDomain::default(), tenant.parse().unwrap(), device.parse().unwrap())
}

pub(crate) fn device(name: &str) -> Profile {
    Profile::Device { identity: identity("acme", name) }
}

pub(crate) fn request(profile: Profile, public_key: &PublicKey) -> CertificateRequest<'_> {
    CertificateRequest {
        lifetime: profile.default_lifetime(),
        profile,
        public_key,
        serial: random_serial(0x01).unwrap(),
        issued_at: now(),
        publication: Publication::default(),
    }
}

pub(crate) fn issue(issuer: &Issuer, request: CertificateRequest<'_>) -> IssuedCertificate {
    issuer.sign(issuer.prepare(request).unwrap()).unwrap()
}

impl Hierarchy {
    pub(crate) fn new(algorithm: KeyAlgorithm) -> Self {
        let serial = random_serial(0x01).unwrap();
        let root = Issuer::create_root("Example Root", key(algorithm), serial, now()).unwrap();
        let below = |profile| {
            let key = key(algorithm);
            let issued = issue(&root, request(profile, key.public_key()));
            Issuer::open(issued.der(), key).unwrap()
        };
        let devices = below(Profile::IssuingDevice { name: "Example Devices".to_owned() });
        let services = below(Profile::IssuingService { name: "Example Services".to_owned() });
        Self { root, devices, services }
    }
}
