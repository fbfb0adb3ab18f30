//! Whom Mosquitto admits: the device CAs, apart from the server's own, and their revocation lists, each
//! checked before it is put in place.

use anyhow::Context as _;
use countersign_ca::{
    CaCertificate, CertificateFacts, IssuerKind, Purpose, ReadCrl, SignedCrl, certificate_pem,
    certificates_from_pem, crl_pem, pem_blocks,
};
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;

/// A CA whose certificates are devices.
#[derive(Clone, Debug)]
pub(crate) struct DeviceCa(CaCertificate);

/// Whom Mosquitto admits, and whom devices trust.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The device CAs.
    pub(crate) cas: Vec<DeviceCa>,
    /// They and the roots, PEM.
    pub(crate) pem: String,
    /// The roots, PEM.
    pub(crate) roots: String,
}

/// A list of one, found to be signed by it and in force.
#[derive(Clone, Debug)]
pub(crate) struct RevocationList {
    /// Of which CA.
    pub(crate) issuer: IssuerKeyId,
    /// Which one it is.
    pub(crate) number: u64,
    /// Until when it counts.
    pub(crate) next_update: Timestamp,
    /// It, PEM.
    pub(crate) pem: String,
}

/// The device CAs among the installation's CAs, with all that are above them, in PEM. A device CA says that
/// it is for clients and for nothing else; `more` are taken for such in any case.
///
/// # Errors
/// Fails closed: when there is none, or one cannot be read.
pub(crate) fn device_cas(bundle: &str, more: &[String]) -> anyhow::Result<Trust> {
    let all = certificates_from_pem(bundle).context("read the server's bundle")?;
    let mut cas = Vec::new();
    let (mut pem, mut roots) = (String::new(), String::new());
    for der in &all {
        let facts = CertificateFacts::of(der).context("read a CA of the bundle")?;
        if facts.purposes == [Purpose::ClientAuth] {
            cas.push(DeviceCa(CaCertificate::read(der, IssuerKind::Device).context("read a device CA")?));
            pem.push_str(&certificate_pem(der));
        } else if CaCertificate::read(der, IssuerKind::Root).is_ok_and(|ca| ca.is_self_issued()) {
            roots.push_str(&certificate_pem(der));
        }
    }
    for text in more {
        for der in certificates_from_pem(text).context("read a device CA")? {
            cas.push(DeviceCa(CaCertificate::read(&der, IssuerKind::Device).context("read a device CA")?));
            pem.push_str(&certificate_pem(&der));
        }
    }
    anyhow::ensure!(!cas.is_empty(), "the server's bundle has no device CA: name it with --device-ca");
    pem.push_str(&roots);
    Ok(Trust { cas, pem, roots })
}

impl DeviceCa {
    pub(crate) const fn key_id(&self) -> IssuerKeyId {
        self.0.key_id()
    }

    /// A revocation list of it, checked.
    ///
    /// # Errors
    /// Fails closed: refuses another CA's, one that is about a part of its certificates, one that is over,
    /// and one that is older than the one in place.
    pub(crate) fn list(&self, der: &[u8], now: Timestamp, in_place: &str) -> anyhow::Result<RevocationList> {
        let list = SignedCrl::read(der, &self.0).context("read a revocation list")?;
        let contents = list.contents();
        anyhow::ensure!(contents.distribution_point.is_none(), "the revocation list is about a part");
        anyhow::ensure!(
            contents.next_update > now,
            "the revocation list ended at {}: Mosquitto would lock every device out",
            contents.next_update
        );
        if let Some(before) = self.number_among(in_place) {
            anyhow::ensure!(
                contents.number >= before,
                "the revocation list is number {}, and number {before} is in place",
                contents.number
            );
        }
        Ok(RevocationList {
            issuer: self.key_id(),
            number: contents.number,
            next_update: contents.next_update,
            pem: crl_pem(list.der()),
        })
    }

    /// The number of the list of it among these.
    fn number_among(&self, lists: &str) -> Option<u64> {
        let mut numbers = pem_blocks(lists).into_iter().filter_map(|block| {
            let list = ReadCrl::from_file(block.text.as_bytes()).ok()?;
            list.is_signed_by(self.0.der()).then_some(list.number)
        });
        numbers.next()
    }
}
