//! The parser of signing requests never panics, whatever it is given, and never vouches for a key
//! whose holder did not sign. Runs without a fuzzer; `fuzz/` digs deeper.

use std::sync::LazyLock;

use countersign_ca::{KeyAlgorithm, VerifiedCsr};
use countersign_testkit::property_cases;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

static VALID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519].map(crate::csr::valid).to_vec()
});

/// One change to the bytes of a request.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
    Repeat(Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0_u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at(), 1_usize..40).prop_map(|(at, length)| Mutation::Remove(at, length)),
        at().prop_map(Mutation::Cut),
        (at(), 1_usize..40).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Mutation::Set(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Insert(at, new) => {
            let at = at.index(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Mutation::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..(at + count).min(length));
        }
        Mutation::Cut(at) => bytes.truncate(at.index(length)),
        Mutation::Repeat(at, count) => {
            let at = at.index(length);
            let piece = bytes[at..(at + count).min(length)].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(property_cases(4096)))]

    #[test]
    fn a_mutated_request_is_refused_and_never_panics(
        which in any::<Index>(), mutations in vec(mutation(), 1..6),
    ) {
        let original = which.get(&VALID);
        let mut bytes = original.clone();
        for mutation in &mutations {
            apply(&mut bytes, mutation);
        }
        let read = VerifiedCsr::from_der(&bytes);
        if bytes != *original {
            // The signature covers the whole request; what is outside it has one spelling, except
            // that an ECDSA signature may be another valid one, which chance does not find.
            prop_assert!(read.is_err(), "{:02x?}", bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_and_texts_never_panic(bytes in vec(any::<u8>(), 0..400), text in "\\PC{0,300}") {
        prop_assert!(VerifiedCsr::from_der(&bytes).is_err());
        prop_assert!(VerifiedCsr::from_pem(&text).is_err());
    }

    #[test]
    fn mutated_pem_never_panics(which in any::<Index>(), mutations in vec(mutation(), 1..6)) {
        let der = which.get(&VALID);
        let pem = der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, der).unwrap();
        let mut bytes = pem.into_bytes();
        for mutation in &mutations {
            apply(&mut bytes, mutation);
        }
        if let Ok(read) = VerifiedCsr::from_pem(&String::from_utf8_lossy(&bytes)) {
            prop_assert_eq!(read.der_sha256(), VerifiedCsr::from_der(der).unwrap().der_sha256());
        }
    }
}
