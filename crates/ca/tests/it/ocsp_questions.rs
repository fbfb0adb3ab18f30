//! Questions about single certificates, as real clients ask them, are read; others are refused.

use countersign_ca::ocsp::{OcspRequest, OcspRequestError};
use countersign_ca::{IssuedCertificate, KeyAlgorithm};
use countersign_testkit::property_cases;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::hierarchy::{Hierarchy, device, issue, key, request};
use crate::openssl::Openssl;

struct Asking {
    openssl: Openssl,
    leaf: IssuedCertificate,
}

impl Asking {
    fn new() -> Self {
        let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
        let leaf_key = key(KeyAlgorithm::P256);
        let leaf = issue(&hierarchy.devices, request(device("d1"), leaf_key.public_key()));
        let openssl = Openssl::new();
        openssl.write("devices.pem", hierarchy.devices.certificate_pem());
        openssl.write("root.pem", hierarchy.root.certificate_pem());
        openssl.write("leaf.pem", leaf.pem());
        Self { openssl, leaf }
    }

    fn ask(&self, more: &str) -> Vec<u8> {
        self.openssl.must(&format!("ocsp -issuer devices.pem {more} -cert leaf.pem -reqout question.der"));
        self.openssl.read("question.der")
    }
}

#[test]
fn what_openssl_asks_is_read() {
    let asking = Asking::new();
    for more in ["", "-no_nonce", "-sha256", "-sha256 -no_nonce", "-serial 17"] {
        let question = OcspRequest::from_der(&asking.ask(more)).unwrap();
        let about = question.asked().last().unwrap();
        assert_eq!(about.serial().as_ref(), Some(&asking.leaf.reference().serial), "{more}");
        assert_eq!(question.nonce().is_some(), !more.contains("-no_nonce"), "{more}");
        assert_eq!(question.asked().len(), if more.contains("-serial") { 2 } else { 1 });
    }
}

#[test]
fn a_number_that_no_certificate_has_is_no_serial_number() {
    let asking = Asking::new();
    for number in ["0", "-5", "0x0102030405060708090a0b0c0d0e0f101112131415"] {
        let question = asking.ask(&format!("-serial {number}"));
        assert_eq!(OcspRequest::from_der(&question).unwrap().asked()[0].serial(), None, "{number}");
    }
}

#[test]
fn too_many_questions_are_refused() {
    let asking = Asking::new();
    let many = "-serial 7 ".repeat(16);
    assert!(matches!(OcspRequest::from_der(&asking.ask(&many)), Err(OcspRequestError::Questions(17))));
    let endless = asking.ask(&"-serial 7 ".repeat(200));
    assert!(matches!(OcspRequest::from_der(&endless), Err(OcspRequestError::Length(_))));
}

/// The nonce's value lies at the end of what openssl writes.
fn with_nonce(octets: usize) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        let header = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [header, content.to_vec()].concat()
    };
    let oid = [6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
    let value = wrap(4, &wrap(4, &vec![7; octets]));
    let extensions = wrap(0xa2, &wrap(0x30, &wrap(0x30, &[&oid[..], &value].concat())));
    let sha1 = [0x30, 7, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a];
    let id = wrap(0x30, &[&sha1[..], &[4, 1, 1], &[4, 1, 2], &[2, 1, 5]].concat());
    let questions = wrap(0x30, &wrap(0x30, &id));
    let body = [questions, extensions].concat();
    let long = |content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let header = match length {
            [0, short @ 0..0x80] => vec![0x30, short],
            [0, one] => vec![0x30, 0x81, one],
            [high, low] => vec![0x30, 0x82, high, low],
        };
        [header, content.to_vec()].concat()
    };
    long(&long(&body))
}

#[test]
fn nonces_have_1_to_128_octets() {
    for octets in [1, 16, 32, 100] {
        let question = OcspRequest::from_der(&with_nonce(octets)).unwrap();
        assert_eq!(question.nonce(), Some(&vec![7; octets][..]));
    }
    assert!(matches!(OcspRequest::from_der(&with_nonce(0)), Err(OcspRequestError::Nonce(0))));
    assert!(matches!(OcspRequest::from_der(&with_nonce(129)), Err(OcspRequestError::Nonce(129))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(property_cases(1024)))]

    #[test]
    fn a_changed_question_is_read_or_refused_and_never_panics(at in any::<Index>(), to in any::<u8>()) {
        let mut question = with_nonce(16);
        *at.get_mut(&mut question) = to;
        let _read = OcspRequest::from_der(&question);
    }
}
