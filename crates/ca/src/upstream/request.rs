//! A signing request by a key of ours: CAs elsewhere want one, the root among them while it is offline.

use der::asn1::{AnyRef, UintRef};
use der::{Encode as _, Tag, TagNumber};

use crate::custody::Signer;
use crate::distinguished_name::NameAttribute;
use crate::key::KeyError;
use crate::name;
use crate::profile::Profile;
use crate::signed;

/// A PKCS #10 request (RFC 2986), DER, for a certificate of this profile: its subject, the key, and
/// nothing else asked for.
///
/// # Errors
/// When the key does not sign, or the subject cannot be written down.
pub fn signing_request(key: &dyn Signer, profile: &Profile) -> Result<Vec<u8>, KeyError> {
    const ATTRIBUTES: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let subject: Vec<(NameAttribute, String)> = profile.subject();
    let body = || -> der::Result<Vec<u8>> {
        let parts = [
            UintRef::new(&[0])?.to_der()?,
            name::distinguished_name(&subject)?.to_der()?,
            key.public_key().spki_der().to_vec(),
            AnyRef::new(ATTRIBUTES, &[])?.to_der()?,
        ];
        AnyRef::new(Tag::Sequence, &parts.concat())?.to_der()
    };
    let body = body().map_err(KeyError::Malformed)?;
    let signature = key.sign(&body)?;
    signed::to_der(&body, key.public_key().signature_algorithm(), &signature).map_err(KeyError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::VerifiedCsr;
    use crate::key::{KeyAlgorithm, SigningKey};

    #[test]
    fn the_request_is_one_that_we_accept_ourselves() {
        let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
        let identity =
            countersign_core::Identity::from_uri("spiffe://a.example/tenant/acme/device/d1").unwrap();
        let csr = signing_request(&key, &Profile::Device { identity }).unwrap();
        assert_eq!(VerifiedCsr::from_der(&csr).unwrap().public_key().sha256(), key.public_key().sha256());
    }
}
