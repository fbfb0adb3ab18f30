//! What failures about certificates of services become.

use countersign_authority::NoIssuer;
use countersign_authority::service_certificates::import::{ImportConflict, ImportServiceError};
use countersign_authority::service_certificates::issue::{NoSigner, NotRenewed, ServiceIssueError};
use countersign_authority::service_certificates::remove::RemoveServiceError;
use countersign_authority::service_certificates::revoke::RevokeServiceError;
use http::StatusCode;

use super::rotation::sentence;
use super::{Failure, with_causes};

impl From<ServiceIssueError> for Failure {
    fn from(error: ServiceIssueError) -> Self {
        match error {
            ServiceIssueError::Unknown => Self::not_found("certificate"),
            ServiceIssueError::Forbidden(forbidden) => forbidden.into(),
            ServiceIssueError::Csr(error) => Self::invalid_field("csr", with_causes(&error)),
            ServiceIssueError::KeyDenied => Self::denied_key(),
            ServiceIssueError::NotRenewed(why) => why.into(),
            ServiceIssueError::Ca(why) => why.into(),
            ServiceIssueError::Refused(error) => {
                let said = sentence(&with_causes(&error));
                Self::new(StatusCode::BAD_REQUEST, "CERTIFICATE_REFUSED", said)
            }
            ServiceIssueError::Internal(error) => Self::internal(error.as_ref()),
        }
    }
}

impl From<NotRenewed> for Failure {
    fn from(why: NotRenewed) -> Self {
        let said = sentence(&why.to_string());
        match why {
            NotRenewed::Imported => Self::new(StatusCode::CONFLICT, "ISSUED_ELSEWHERE", said),
            NotRenewed::Own => Self::new(StatusCode::CONFLICT, "PLATFORM_CERTIFICATE", said),
            NotRenewed::Revoked => Self::conflict("CERTIFICATE_STATE", &said, "revoked"),
        }
    }
}

impl From<NoSigner> for Failure {
    fn from(why: NoSigner) -> Self {
        match why {
            NoSigner::Missing(NoIssuer::Unknown(_)) => Self::invalid_field("ca", "there is no such CA"),
            NoSigner::Missing(NoIssuer::KeyAway(_) | NoIssuer::NoneActive(_)) | NoSigner::Idle(..) => {
                Self::new(StatusCode::CONFLICT, "CA_UNAVAILABLE", sentence(&why.to_string()))
            }
        }
    }
}

impl From<RevokeServiceError> for Failure {
    fn from(error: RevokeServiceError) -> Self {
        match error {
            RevokeServiceError::Unknown => Self::not_found("certificate"),
            RevokeServiceError::Forbidden(forbidden) => forbidden.into(),
            RevokeServiceError::Imported => Self::new(
                StatusCode::CONFLICT,
                "ISSUED_ELSEWHERE",
                "It was imported: the CA that signed it revokes it, and removing it takes it and its key away from here",
            ),
            RevokeServiceError::AlreadyRevoked => {
                Self::conflict("ALREADY_REVOKED", "The certificate is revoked already", "revoked")
            }
            RevokeServiceError::Expired => {
                Self::conflict("CERTIFICATE_STATE", "The certificate has expired", "expired")
            }
            RevokeServiceError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<ImportServiceError> for Failure {
    fn from(error: ImportServiceError) -> Self {
        match error {
            ImportServiceError::Forbidden(forbidden) => forbidden.into(),
            ImportServiceError::Key(error) => Self::invalid_field("key", with_causes(&error)),
            ImportServiceError::Certificate(error) => Self::invalid_field("certificate", with_causes(&error)),
            ImportServiceError::KeyDenied => Self::denied_key(),
            refused @ (ImportServiceError::Expired(_) | ImportServiceError::NoRecord(_)) => {
                Self::invalid_field("certificate", refused.to_string())
            }
            ImportServiceError::Conflict(ImportConflict::OnRecord(id)) => Self::new(
                StatusCode::CONFLICT,
                "CERTIFICATE_ON_RECORD",
                format!(
                    "The certificate {id} is on record with this issuer and number, and is not the same or has another label"
                ),
            ),
            ImportServiceError::Conflict(ImportConflict::Revoked) => {
                Self::conflict("CERTIFICATE_STATE", "The certificate is revoked", "revoked")
            }
            ImportServiceError::Internal(error) => Self::internal(error.as_ref()),
        }
    }
}

impl From<RemoveServiceError> for Failure {
    fn from(error: RemoveServiceError) -> Self {
        match error {
            RemoveServiceError::Unknown => Self::not_found("certificate"),
            RemoveServiceError::Forbidden(forbidden) => forbidden.into(),
            RemoveServiceError::IssuedHere => Self::new(
                StatusCode::CONFLICT,
                "ISSUED_HERE",
                "It was issued here and its key is not with us; revoke it instead",
            ),
            RemoveServiceError::Store(error) => Self::internal(&error),
        }
    }
}
