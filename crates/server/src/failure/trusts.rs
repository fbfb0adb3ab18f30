//! What failures about CAs of somebody else's become.

use countersign_authority::trusts::{AddTrustError, ListTrustsError, RemoveTrustError};
use http::StatusCode;

use super::rotation::sentence;
use super::{Failure, with_causes};

impl From<ListTrustsError> for Failure {
    fn from(error: ListTrustsError) -> Self {
        match error {
            ListTrustsError::Forbidden(forbidden) => forbidden.into(),
            ListTrustsError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<AddTrustError> for Failure {
    fn from(error: AddTrustError) -> Self {
        let said = sentence(&error.to_string());
        match error {
            AddTrustError::Forbidden(forbidden) => forbidden.into(),
            AddTrustError::Certificates(error) => Self::invalid_field("certificates", with_causes(&error)),
            refused @ AddTrustError::Own { .. } => Self::invalid_field("certificates", refused.to_string()),
            AddTrustError::Taken(_) => Self::new(StatusCode::CONFLICT, "TRUST_TAKEN", said),
            AddTrustError::TooMany => Self::new(StatusCode::CONFLICT, "TOO_MANY_TRUSTS", said),
            AddTrustError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RemoveTrustError> for Failure {
    fn from(error: RemoveTrustError) -> Self {
        match error {
            RemoveTrustError::Forbidden(forbidden) => forbidden.into(),
            RemoveTrustError::Unknown => Self::not_found("trust"),
            RemoveTrustError::Store(error) => Self::internal(&error),
        }
    }
}
