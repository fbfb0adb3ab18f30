//! What a certificate on record says of itself.

use countersign_core::time::Timestamp;
use der::Decode as _;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};

use crate::distinguished_name::{DistinguishedName, NameAttribute};
use crate::key::KeyError;
use crate::name;
use crate::profile::Purpose;
use crate::public_key::PublicKey;
use crate::signed::Signed;
use crate::tbs::{Tbs, timestamp};

/// What people and plans compare certificates by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its subject, as RFC 4514 writes it; empty when it has none of the attributes that we know.
    pub subject: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// How many CAs may follow below it, if it is one and says so.
    pub path_length: Option<u8>,
    /// What it is for, of the purposes that we know.
    pub purposes: Vec<Purpose>,
    /// Its key.
    pub key: PublicKey,
}

impl CertificateFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// Refuses what is no certificate of version 3 with extensions, and keys that we do not accept.
    pub fn of(certificate_der: &[u8]) -> Result<Self, KeyError> {
        let signed = Signed::from_der(certificate_der).map_err(KeyError::Malformed)?;
        let tbs = Tbs::from_der(signed.body).map_err(KeyError::Malformed)?;
        let constraints = tbs.extension::<BasicConstraints>().map_err(KeyError::Malformed)?;
        let usage = tbs.extension::<ExtendedKeyUsage>().map_err(KeyError::Malformed)?;
        let purposes = usage.map_or_else(Vec::new, |(_critical, ExtendedKeyUsage(purposes))| {
            let known = [Purpose::ServerAuth, Purpose::ClientAuth];
            known.into_iter().filter(|purpose| purposes.contains(&purpose.oid())).collect()
        });
        Ok(Self {
            subject: subject_of(&tbs),
            not_before: timestamp(&tbs.validity.not_before),
            not_after: timestamp(&tbs.validity.not_after),
            path_length: constraints.and_then(|(_critical, constraints)| constraints.path_len_constraint),
            purposes,
            key: PublicKey::from_certificate_der(certificate_der)?,
        })
    }
}

fn subject_of(tbs: &Tbs) -> String {
    let attributes = name::attributes_of(&tbs.subject).unwrap_or_default();
    let known = attributes.into_iter().filter_map(|(oid, text)| Some((NameAttribute::of(oid)?, text)));
    DistinguishedName::new(known.collect()).map(|name| name.to_string()).unwrap_or_default()
}
