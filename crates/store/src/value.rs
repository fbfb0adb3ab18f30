//! How our types are written into columns: numbers, texts, bytes, times or UUIDs, each possibly null.

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::command::{CommandKind, CommandState, JobName};
use countersign_core::crl_scope::CrlScope;
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::{
    AgentId, ApiTokenId, AuthorityId, CaName, CertificateId, ChallengeId, CommandId, DeviceId, DeviceName,
    EdgeId, EdgeName, EnrollmentKeyId, Environment, IssuerKeyId, JobId, MonitorName, PasskeyId, RequestId,
    RotationId, SecretHash, SelectionId, SerialNumber, ServiceLabel, SiteId, SpkiSha256, Tenant, TenantId,
    TrustBundleHash, TrustName, UpstreamIntentId, UserId,
};
use countersign_core::rotation::{Canary, RotationStep};
use countersign_core::scope::Scopes;
use countersign_core::settings::{Enforcement, ExpiredCertPolicy, Permission};
use countersign_core::time::Timestamp;
use uuid::Uuid;

/// A value for one parameter of a statement.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Time(Option<Timestamp>),
    Uuid(Option<Uuid>),
}

macro_rules! integers {
    ($($type:ty => |$value:ident| $number:expr),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                Self::Integer(Some($number))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::Integer(value.map(|$value| $number))
            }
        }
    )+};
}

integers! {
    i64 => |number| number,
    u8 => |number| i64::from(number),
    u16 => |number| i64::from(number),
    u32 => |number| i64::from(number),
    u64 => |number| i64::try_from(number).unwrap_or(i64::MAX),
    Permission => |permission| i64::from(bool::from(permission)),
}

macro_rules! texts {
    ($($type:ty),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Text(Some(value.to_string()))
            }
        }
        impl From<&$type> for Value {
            fn from(value: &$type) -> Self {
                Self::Text(Some(value.to_string()))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::Text(value.map(|value| value.to_string()))
            }
        }
        impl From<Option<&$type>> for Value {
            fn from(value: Option<&$type>) -> Self {
                Self::Text(value.map(|value| value.to_string()))
            }
        }
    )+};
}

texts! {
    CrlScope,
    AgentId, DeviceName, DeviceStatus, Enforcement, ExpiredCertPolicy, IssuerKeyId, QuarantineReason,
    RevocationReason, Scopes, SecretHash, SerialNumber, SpkiSha256, String, Tenant, TrustBundleHash,
    CommandKind, CommandState, JobName, CaName, EdgeName, Environment, MonitorName, TrustName, ServiceLabel,
    Canary, RotationStep,
    crate::records::users::Role,
    crate::records::passkeys::PasskeyPurpose,
    crate::records::second_factors::SecondFactorPolicy,
    crate::records::issuers::IssuerRole,
    crate::records::issuers::IssuerState,
    crate::records::issuers::Origin,
    crate::records::service_certificates::ServiceState,
    crate::records::service_keys::ServiceKey,
    crate::records::enrollment_keys::Approval,
    crate::records::denials::TraitKind,
}

macro_rules! uuids {
    ($($type:ty),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from(id: $type) -> Self {
                Self::Uuid(Some(id.uuid()))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(id: Option<$type>) -> Self {
                Self::Uuid(id.map(|id| id.uuid()))
            }
        }
    )+};
}

uuids! {
    ApiTokenId, CertificateId, ChallengeId, CommandId, DeviceId, EdgeId, EnrollmentKeyId, JobId, RequestId, SelectionId, SiteId, TenantId,
    UpstreamIntentId, UserId, RotationId, AuthorityId, PasskeyId,
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Time(Some(at))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(at: Option<Timestamp>) -> Self {
        Self::Time(at)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}

impl From<Option<&[u8]>> for Value {
    fn from(bytes: Option<&[u8]>) -> Self {
        Self::Bytes(bytes.map(<[u8]>::to_vec))
    }
}

/// Certificate states are stored in seed 004's spelling, upper case.
impl From<CertificateState> for Value {
    fn from(state: CertificateState) -> Self {
        Self::Text(Some(state.as_str().to_ascii_uppercase()))
    }
}
