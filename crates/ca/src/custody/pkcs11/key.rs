//! One key in a token.

use std::fmt;
use std::sync::Arc;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use der::asn1::OctetStringRef;
use der::{Decode as _, Encode as _};
use parking_lot::Mutex;

use super::signature::{answer, question};
use super::{Borrowed, KeyUri, Token, TokenError};
use crate::custody::{Pace, Signer};
use crate::key::{KeyAlgorithm, KeyError};
use crate::public_key::PublicKey;
use crate::random::random_bytes;

/// 2^16 + 1.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// A private key in a token. What it signs is checked by [`crate::Issuer`], so that another key of the
/// same name makes nothing that goes out.
pub struct TokenKey {
    token: Arc<Token>,
    uri: KeyUri,
    public: PublicKey,
    /// Where it was found, and at which look.
    found: Mutex<Option<(u64, ObjectHandle)>>,
}

impl TokenKey {
    /// A key that lies in a token already. Nothing is asked of the token yet: it may be away.
    #[must_use]
    pub const fn new(token: Arc<Token>, uri: KeyUri, public: PublicKey) -> Self {
        Self { token, uri, public, found: Mutex::new(None) }
    }

    /// Where it lies.
    #[must_use]
    pub const fn uri(&self) -> &KeyUri {
        &self.uri
    }

    fn handle(&self, with: &Borrowed<'_>) -> Result<ObjectHandle, TokenError> {
        if let Some((look, handle)) = *self.found.lock()
            && look == with.look
        {
            return Ok(handle);
        }
        let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
        wanted.extend(self.uri.id.clone().map(Attribute::Id));
        wanted.extend(self.uri.object.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
        let found = with.session.find_objects(&wanted).map_err(with.token.failed("look for the key"))?;
        let [handle] = found.as_slice() else {
            return Err(TokenError::NoKey { token: with.token.name().clone(), found: found.len() });
        };
        *self.found.lock() = Some((with.look, *handle));
        Ok(*handle)
    }

    fn custody_error(&self, source: impl std::error::Error + Send + Sync + 'static) -> KeyError {
        KeyError::Custody { location: self.uri.to_string(), source: Box::new(source) }
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let algorithm = self.public.algorithm();
        let asked =
            question(algorithm, message).ok_or_else(|| KeyError::Unsupported(algorithm.to_string()))?;
        let signed = self.token.with(|with| {
            let key = self.handle(with)?;
            with.session.sign(&asked.mechanism, key, &asked.data).map_err(with.token.failed("sign"))
        });
        let signed = signed.map_err(|error| self.custody_error(error))?;
        answer(algorithm, signed).map_err(|error| self.custody_error(error))
    }

    fn pace(&self) -> Pace {
        Pace::Slow
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKey").field(&self.uri).finish()
    }
}

impl Token {
    /// Makes a key that never leaves the token.
    ///
    /// # Errors
    /// When the token is away, when it cannot make such a key, and when the key that it made could be
    /// taken out of it.
    pub fn generate(self: &Arc<Self>, algorithm: KeyAlgorithm, label: &str) -> Result<TokenKey, KeyError> {
        let settings = self.settings();
        let uri = KeyUri {
            token: settings.label.clone(),
            serial: settings.serial.clone(),
            object: Some(label.to_owned()),
            id: Some(random_bytes::<16>()?.to_vec()),
        };
        let made = self.with(|with| generate(with, algorithm, &uri));
        let public = match made {
            Ok(attributes) => public_key(algorithm, &attributes)?,
            Err(error) => {
                return Err(KeyError::Custody { location: uri.to_string(), source: Box::new(error) });
            }
        };
        Ok(TokenKey::new(Arc::clone(self), uri, public))
    }
}

/// Makes the pair and reads its public half.
fn generate(
    with: &Borrowed<'_>,
    algorithm: KeyAlgorithm,
    uri: &KeyUri,
) -> Result<Vec<Attribute>, TokenError> {
    let unfit = |why| TokenError::Unfit { token: with.token.name().clone(), algorithm, why };
    let id = Attribute::Id(uri.id.clone().unwrap_or_default());
    let label = Attribute::Label(uri.object.clone().unwrap_or_default().into_bytes());
    let (mechanism, of_kind, read) = match algorithm {
        KeyAlgorithm::P256 => (Mechanism::EccKeyPairGen, curve(rfc5912::SECP_256_R_1), EC_PUBLIC),
        KeyAlgorithm::P384 => (Mechanism::EccKeyPairGen, curve(rfc5912::SECP_384_R_1), EC_PUBLIC),
        KeyAlgorithm::Rsa2048 => (Mechanism::RsaPkcsKeyPairGen, modulus(2048), RSA_PUBLIC),
        KeyAlgorithm::Rsa3072 => (Mechanism::RsaPkcsKeyPairGen, modulus(3072), RSA_PUBLIC),
        KeyAlgorithm::Rsa4096 => (Mechanism::RsaPkcsKeyPairGen, modulus(4096), RSA_PUBLIC),
        KeyAlgorithm::Ed25519 => return Err(unfit("choose p256, p384 or RSA")),
    };
    let mut public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        id.clone(),
        label.clone(),
    ];
    public.extend(of_kind);
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        id,
        label,
    ];
    let session = with.writing()?;
    let pair = session.generate_key_pair(&mechanism, &public, &private);
    let (public, private) = pair.map_err(with.token.failed("make a key"))?;
    if let Err(why) = stays(&session, private) {
        // What is of no use is not left behind, as far as the token lets us.
        let _gone = (session.destroy_object(private), session.destroy_object(public));
        return Err(unfit(why));
    }
    session.get_attributes(public, read).map_err(with.token.failed("read the public key"))
}

const EC_PUBLIC: &[AttributeType] = &[AttributeType::EcPoint];
const RSA_PUBLIC: &[AttributeType] = &[AttributeType::Modulus, AttributeType::PublicExponent];

#[expect(clippy::expect_used, reason = "the DER of a constant object identifier")]
fn curve(oid: ObjectIdentifier) -> Vec<Attribute> {
    vec![Attribute::EcParams(oid.to_der().expect("a short identifier fits"))]
}

fn modulus(bits: u16) -> Vec<Attribute> {
    vec![Attribute::ModulusBits(u64::from(bits).into()), Attribute::PublicExponent(RSA_EXPONENT.to_vec())]
}

/// Whether the key cannot be taken out of the token, by the token's own word.
fn stays(session: &Session, key: ObjectHandle) -> Result<(), &'static str> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable];
    let said =
        session.get_attributes(key, &asked).map_err(|_error| "it does not say whether the key stays")?;
    if said.contains(&Attribute::Sensitive(true)) && said.contains(&Attribute::Extractable(false)) {
        Ok(())
    } else {
        Err("the key it made can be taken out of it")
    }
}

fn public_key(algorithm: KeyAlgorithm, attributes: &[Attribute]) -> Result<PublicKey, KeyError> {
    let (mut point, mut modulus, mut exponent) = (&[][..], &[][..], &[][..]);
    for attribute in attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the attributes that were asked for")]
        match attribute {
            Attribute::EcPoint(value) => point = value,
            Attribute::Modulus(value) => modulus = value,
            Attribute::PublicExponent(value) => exponent = value,
            _ => {}
        }
    }
    // In an OCTET STRING by the book, bare from some.
    let point = <&OctetStringRef>::from_der(point).map_or(point, OctetStringRef::as_bytes);
    match algorithm {
        KeyAlgorithm::P256 => PublicKey::p256(point),
        KeyAlgorithm::P384 => PublicKey::p384(point),
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            PublicKey::rsa_of_numbers(modulus, exponent)
        }
        KeyAlgorithm::Ed25519 => Err(KeyError::Unsupported(algorithm.to_string())),
    }
}
