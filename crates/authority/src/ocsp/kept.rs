//! Answers that are given again.

use std::collections::HashMap;

use countersign_ca::ocsp::{CertificateStatus, OcspAnswer, OcspRequest};
use countersign_core::ids::{CertificateRef, IssuerKeyId};
use parking_lot::Mutex;

use super::OcspReply;

/// How many answers are kept in each of two generations; one has about a kilobyte.
const GENERATION: usize = 16 * 1024;

/// An answer, and what it is about.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) reply: OcspReply,
    pub(super) about: About,
}

/// What a kept answer says.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The certificate that it calls good: it holds until that is revoked.
    pub(super) good: Option<CertificateRef>,
}

/// A bounded map in two generations: when the young one is full it becomes the old one, and the old one
/// is forgotten.
#[derive(Debug, Default)]
pub(super) struct KeptAnswers(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Vec<u8>, Kept>,
    old: HashMap<Vec<u8>, Kept>,
}

impl KeptAnswers {
    pub(super) fn find(&self, question: &[u8]) -> Option<Kept> {
        let generations = self.0.lock();
        generations.young.get(question).or_else(|| generations.old.get(question)).cloned()
    }

    pub(super) fn keep(&self, question: Vec<u8>, kept: Kept) {
        let mut generations = self.0.lock();
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(question, kept);
    }
}

/// Under what an answer is kept: the question, if it is one and wants no answer of its own.
pub(super) fn question(request: &OcspRequest) -> Option<Vec<u8>> {
    match (request.asked(), request.nonce()) {
        ([asked], None) => asked.to_der().ok(),
        _ => None,
    }
}

/// What a single answer is about, unless it is `unknown`: whoever asks at random must not fill the place.
pub(super) fn worth_keeping(issuer: IssuerKeyId, answers: &[OcspAnswer<'_>]) -> Option<About> {
    let [OcspAnswer { asked, status }] = answers else { return None };
    match status {
        CertificateStatus::Good => {
            Some(About { good: Some(CertificateRef { issuer, serial: asked.serial()? }) })
        }
        CertificateStatus::Revoked { .. } => Some(About { good: None }),
        CertificateStatus::Unknown => None,
    }
}
