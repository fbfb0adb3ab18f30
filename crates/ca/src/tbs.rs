//! The to-be-signed certificate (RFC 5280 section 4.1.2), field by field.

use const_oid::{AssociatedOid, ObjectIdentifier};
use countersign_core::time::Timestamp;
use der::asn1::{Any, Int, OctetString};
use der::{DateTime, Decode, Encode, ErrorKind, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::time::Time;

/// Our own struct and not the library's: its fields are what is written, without any adjustment on
/// the way, so that the lints see exactly what will be signed.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct Tbs {
    #[asn1(context_specific = "0", default = "Default::default")]
    pub(crate) version: Version,
    pub(crate) serial: Int,
    pub(crate) signature: AlgorithmIdentifierOwned,
    pub(crate) issuer: Any,
    pub(crate) validity: Validity,
    pub(crate) subject: Any,
    pub(crate) public_key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    pub(crate) extensions: Vec<Extension>,
}

/// The first and the last moment at which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct Validity {
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
}

impl Tbs {
    /// Reads one that another wrote. Whatever has fields that we do not write is refused.
    pub(crate) fn from_der_strictly(der: &[u8]) -> der::Result<Self> {
        let tbs = Self::from_der(der)?;
        if tbs.version == Version::V3 { Ok(tbs) } else { Err(ErrorKind::Failed.into()) }
    }

    /// The one extension of type `T`, with its critical bit.
    pub(crate) fn extension<T>(&self) -> der::Result<Option<(bool, T)>>
    where
        T: AssociatedOid + for<'a> Decode<'a, Error = der::Error>,
    {
        self.extensions
            .iter()
            .find(|extension| extension.extn_id == T::OID)
            .map(|extension| Ok((extension.critical, T::from_der(extension.extn_value.as_bytes())?)))
            .transpose()
    }
}

/// An extension.
pub(crate) fn extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: &impl Encode,
) -> der::Result<Extension> {
    Ok(Extension { extn_id: oid, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// A time as RFC 5280 section 4.1.2.5 wants it: UTCTime to 2049, GeneralizedTime after; whole
/// seconds. Refuses what lies before 1970.
pub(crate) fn time(at: Timestamp) -> der::Result<Time> {
    let secs = u64::try_from(at.secs()).map_err(|_negative| der::Error::from(ErrorKind::DateTime))?;
    DateTime::from_unix_duration(std::time::Duration::from_secs(secs)).map(Time::from)
}

/// The other way round.
pub(crate) fn timestamp(time: &Time) -> Timestamp {
    Timestamp::from_secs(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_change_their_type_with_the_year_2050() {
        let last = Timestamp::parse("2049-12-31T23:59:59Z").unwrap();
        assert_eq!(time(last).unwrap().to_der().unwrap(), b"\x17\x0d491231235959Z");
        let first = Timestamp::parse("2050-01-01T00:00:00Z").unwrap();
        assert_eq!(time(first).unwrap().to_der().unwrap(), b"\x18\x0f20500101000000Z");
        assert!(time(Timestamp::from_secs(-1)).is_err());
    }

    proptest! {
        #[test]
        fn a_time_reads_back_as_the_second_it_was(millis in 0_i64..253_402_300_799_999) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(timestamp(&time(at).unwrap()), at.floor_to_second());
        }
    }
}
