//! A certificate authority for tests: the platform's hierarchy, made without the platform's code.

use std::sync::Arc;

use aws_lc_rs::digest;
use countersign_core::TrustDomain;
use countersign_core::guest::ForeignTrust;
use countersign_core::ids::{CertificateRef, IssuerKeyId, SerialNumber, SpkiSha256};
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{TenantService, TenantTrust, TrustSnapshot, TrustedIssuer};
use countersign_core::time::Timestamp;
use imbl::Vector;

use crate::der_writer::{
    alternative_names, bit_string, extension, integer, name, oid, pem, sequence, tlv, validity,
};
use crate::key::{KeyKind, TestKey};
use crate::leaf::{LeafSpec, NOT_AFTER, NOT_BEFORE, Signer, purpose, usage};

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";

#[derive(Clone, Debug)]
struct Authority {
    name: Vec<u8>,
    key: TestKey,
    key_identifier: Vec<u8>,
    certificate: Vec<u8>,
}

/// A certificate with its key and the CAs above it.
#[derive(Clone, Debug)]
pub struct TestCertificate {
    /// The chain, DER: leaf, issuing CA, root.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's key.
    pub key: TestKey,
    /// Under what the leaf is on record.
    pub reference: CertificateRef,
}

impl TestCertificate {
    /// The leaf, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// The whole chain in PEM, leaf first, root last.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
    }

    /// The key, PKCS#8 PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.pkcs8_pem()
    }

    /// The leaf's public key, hashed.
    #[must_use]
    pub fn spki(&self) -> SpkiSha256 {
        SpkiSha256::of(self.key.spki_der())
    }
}

/// A root with a device issuing CA and a service issuing CA under it. Mints what it is told to,
/// however wrong.
#[derive(Clone, Debug)]
pub struct TestCa {
    trust_domain: String,
    root: Authority,
    device: Authority,
    service: Authority,
}

impl TestCa {
    /// A fresh hierarchy, valid from 2020 to 2045.
    #[must_use]
    pub fn new(trust_domain: &str) -> Self {
        Self::with_device_ca_validity(trust_domain, NOT_BEFORE, NOT_AFTER)
    }

    /// The same with a device issuing CA of another validity.
    #[must_use]
    pub fn with_device_ca_validity(trust_domain: &str, not_before: Timestamp, not_after: Timestamp) -> Self {
        let root = Authority::create("Test Root", None, &[], NOT_BEFORE, NOT_AFTER);
        let device =
            Authority::create("Test Devices", Some(&root), &[purpose::CLIENT_AUTH], not_before, not_after);
        let purposes = [purpose::SERVER_AUTH, purpose::CLIENT_AUTH];
        let service = Authority::create("Test Services", Some(&root), &purposes, NOT_BEFORE, NOT_AFTER);
        Self { trust_domain: trust_domain.to_owned(), root, device, service }
    }

    /// The attacker's copy: the same names, the same key identifiers, other keys.
    #[must_use]
    pub fn evil_twin(&self) -> Self {
        Self::new(&self.trust_domain)
    }

    /// The device issuing CA, as a trust snapshot holds it.
    #[must_use]
    pub fn trusted_issuer(&self) -> TrustedIssuer {
        TrustedIssuer {
            key_id: self.device.key_id(),
            certificate: Arc::from(self.device.certificate.as_slice()),
            tenants: None,
        }
    }

    /// The service issuing CA, as a trust snapshot holds it.
    #[must_use]
    pub fn trusted_service_issuer(&self) -> TrustedIssuer {
        TrustedIssuer {
            key_id: self.service.key_id(),
            certificate: Arc::from(self.service.certificate.as_slice()),
            tenants: None,
        }
    }

    /// The root, as a trust snapshot holds that of somebody else.
    #[must_use]
    pub fn foreign_trust(&self, name: &str) -> ForeignTrust {
        let anchors = Vector::unit(Arc::from(self.root.certificate.as_slice()));
        ForeignTrust { name: name.parse().expect("a trust name"), anchors }
    }

    /// A snapshot that trusts this CA's devices and knows these tenants, all running, in one mode.
    #[must_use]
    pub fn snapshot(&self, tenants: &[&str], enforcement: Enforcement) -> TrustSnapshot {
        let domain: TrustDomain = self.trust_domain.parse().expect("a trust domain");
        let mut snapshot = TrustSnapshot::empty(domain, NOT_BEFORE);
        snapshot.device_issuers.push_back(self.trusted_issuer());
        for tenant in tenants {
            let trust = TenantTrust { enforcement, service: TenantService::Running };
            snapshot.tenants.insert(tenant.parse().expect("a tenant"), trust);
        }
        snapshot
    }

    /// The root's certificate, DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root.certificate
    }

    /// The root's certificate, PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        pem("CERTIFICATE", &self.root.certificate)
    }

    /// The SHA-256 of the root's certificate: what agents pin.
    #[must_use]
    pub fn root_sha256(&self) -> [u8; 32] {
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, &self.root.certificate).as_ref());
        pin
    }

    /// What a good device certificate says; change it and [`Self::mint`] it.
    #[must_use]
    pub fn device_spec(&self, tenant: &str, device: &str) -> LeafSpec {
        LeafSpec::device(&self.trust_domain, tenant, device)
    }

    /// A good device certificate.
    #[must_use]
    pub fn device(&self, tenant: &str, device: &str) -> TestCertificate {
        self.mint(&self.device_spec(tenant, device))
    }

    /// A good server certificate for these DNS names and IP addresses.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> TestCertificate {
        self.mint(&LeafSpec::server(names))
    }

    /// A certificate that says exactly what `spec` says.
    #[must_use]
    pub fn mint(&self, spec: &LeafSpec) -> TestCertificate {
        let signer = match spec.signer {
            Signer::Root => &self.root,
            Signer::Device => &self.device,
            Signer::Service => &self.service,
        };
        let key = spec.key.clone().unwrap_or_else(|| TestKey::generate(spec.key_kind));
        let serial = spec.serial.clone().unwrap_or_else(random_serial);
        let mut subject = vec![(ORGANIZATION, &*spec.organization), (COMMON_NAME, &*spec.common_name)];
        subject.extend(spec.subject.iter().map(|(kind, text)| (*kind, &**text)));
        let subject = name(&subject);
        let mut extensions = vec![
            extension("2.5.29.14", false, &tlv(0x04, &key_identifier(key.spki_der()))),
            extension("2.5.29.35", false, &sequence(&[&tlv(0x80, &signer.key_identifier)])),
        ];
        if !spec.uris.is_empty() || !spec.dns.is_empty() || !spec.ips.is_empty() {
            let names = alternative_names(&spec.uris, &spec.dns, &spec.ips);
            extensions.push(extension("2.5.29.17", false, &names));
        }
        if !spec.purposes.is_empty() {
            extensions.push(extended_key_usage(&spec.purposes));
        }
        extensions.extend(spec.key_usage.map(key_usage));
        if spec.is_ca {
            extensions.push(extension("2.5.29.19", true, &sequence(&[&tlv(0x01, &[0xff])])));
        }
        if spec.unknown_critical_extension {
            extensions.push(extension("1.3.6.1.4.1.99999.1", true, &tlv(0x05, &[])));
        }
        let parts = Parts { serial: &serial, subject: &subject, spki: key.spki_der(), extensions };
        let leaf = signer.sign(&parts, spec.not_before, spec.not_after);
        let reference = CertificateRef {
            issuer: signer.key_id(),
            serial: SerialNumber::from_be_bytes(&serial).expect("a serial number"),
        };
        let mut chain = vec![leaf, signer.certificate.clone()];
        if spec.signer != Signer::Root {
            chain.push(self.root.certificate.clone());
        }
        TestCertificate { chain, key, reference }
    }
}

struct Parts<'a> {
    serial: &'a [u8],
    subject: &'a [u8],
    spki: &'a [u8],
    extensions: Vec<Vec<u8>>,
}

impl Authority {
    fn create(
        common_name: &str,
        parent: Option<&Self>,
        purposes: &[&'static str],
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Self {
        let key = TestKey::generate(KeyKind::P256);
        let own = Self {
            name: name(&[(ORGANIZATION, "Countersign Test"), (COMMON_NAME, common_name)]),
            key_identifier: key_identifier(common_name.as_bytes()),
            certificate: Vec::new(),
            key,
        };
        let signer = parent.unwrap_or(&own);
        let path_length = if parent.is_some() { integer(&[0]) } else { Vec::new() };
        let mut extensions = vec![
            extension("2.5.29.19", true, &sequence(&[&tlv(0x01, &[0xff]), &path_length])),
            key_usage(usage::KEY_CERT_SIGN | usage::CRL_SIGN),
            extension("2.5.29.14", false, &tlv(0x04, &own.key_identifier)),
            extension("2.5.29.35", false, &sequence(&[&tlv(0x80, &signer.key_identifier)])),
        ];
        if !purposes.is_empty() {
            extensions.push(extended_key_usage(purposes));
        }
        let serial = random_serial();
        let parts = Parts { serial: &serial, subject: &own.name, spki: own.key.spki_der(), extensions };
        let certificate = signer.sign(&parts, not_before, not_after);
        Self { certificate, ..own }
    }

    fn key_id(&self) -> IssuerKeyId {
        SpkiSha256::of(self.key.spki_der()).into()
    }

    fn sign(&self, parts: &Parts<'_>, not_before: Timestamp, not_after: Timestamp) -> Vec<u8> {
        let algorithm = sequence(&[&oid(ECDSA_WITH_SHA256)]);
        let tbs = sequence(&[
            &tlv(0xa0, &integer(&[2])),
            &integer(parts.serial),
            &algorithm,
            &self.name,
            &validity(not_before, not_after),
            parts.subject,
            parts.spki,
            &tlv(0xa3, &tlv(0x30, &parts.extensions.concat())),
        ]);
        let signature = bit_string(&self.key.sign_p256(&tbs));
        sequence(&[&tbs, &algorithm, &signature])
    }
}

fn key_usage(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros()).unwrap_or_default();
    extension("2.5.29.15", true, &tlv(0x03, &[unused, bits]))
}

fn extended_key_usage(purposes: &[&'static str]) -> Vec<u8> {
    let list: Vec<u8> = purposes.iter().flat_map(|purpose| oid(purpose)).collect();
    extension("2.5.29.37", false, &tlv(0x30, &list))
}

fn key_identifier(of: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, of).as_ref().iter().copied().take(20).collect()
}

fn random_serial() -> Vec<u8> {
    let mut serial = [0; 18];
    aws_lc_rs::rand::fill(&mut serial).expect("random bytes");
    let [prefix, ..] = &mut serial;
    *prefix = 1;
    serial.to_vec()
}
