//! A hierarchy to issue from, and requests to give it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{
    CertificateRequest, DistinguishedName, IssuedCertificate, Issuer, IssuerKind, KeyAlgorithm, Profile,
    PublicKey, Publication, ServerPurposes, SigningKey, random_serial,
};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::time::Timestamp;
use countersign_core::{Identity, TrustDomain};

pub(crate) const CRL_URL: &str = "http://pki.example/devices.crl";

pub(crate) const ROOT_LIFE: Duration = Duration::from_secs(3650 * 86_400);

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

pub(crate) fn subject(text: &str) -> DistinguishedName {
    text.parse().unwrap()
}

/// A server of these names.
pub(crate) fn server(dns: &[&str], ips: &[IpAddr]) -> Profile {
    let dns = dns.iter().map(|&name| name.to_owned()).collect();
    let names = AlternativeNames { dns, ips: ips.to_vec(), uris: vec![] }.into();
    Profile::ServiceServer { names, purposes: ServerPurposes::Server }
}

/// A CA below another one.
pub(crate) fn below(above: &Issuer, algorithm: KeyAlgorithm, profile: Profile, kind: IssuerKind) -> Issuer {
    let key = key(algorithm);
    let issued = issue(above, request(profile, key.public_key()));
    Issuer::open(issued.der(), Arc::new(key), kind).unwrap()
}

pub(crate) fn issue(issuer: &Issuer, request: CertificateRequest<'_>) -> IssuedCertificate {
    issuer.sign(issuer.prepare(request).unwrap()).unwrap()
}

impl Hierarchy {
    pub(crate) fn new(algorithm: KeyAlgorithm) -> Self {
        let serial = random_serial(0x01).unwrap();
        let (subject, root_key) = (subject("CN=Example Root"), Arc::new(key(algorithm)));
        let root = Issuer::create_root(subject, root_key, serial, (now(), ROOT_LIFE)).unwrap();
        let devices = Profile::IssuingDevice { subject: self::subject("CN=Example Devices") };
        let devices = below(&root, algorithm, devices, IssuerKind::Device);
        let services = Profile::IssuingService { subject: self::subject("CN=Example Services") };
        let services = below(&root, algorithm, services, IssuerKind::Service);
        Self { root, devices, services }
    }
}
