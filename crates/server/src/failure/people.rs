//! What failures about people and what they call with become.

use countersign_authority::api_tokens::{CreateApiTokenError, RevokeApiTokenError};

use super::Failure;

impl From<CreateApiTokenError> for Failure {
    fn from(error: CreateApiTokenError) -> Self {
        match error {
            CreateApiTokenError::UnknownTenant => Self::invalid_field("tenant", "there is no such tenant"),
            CreateApiTokenError::Forbidden(forbidden) => forbidden.into(),
            CreateApiTokenError::Secret(error) => Self::internal(&error),
            CreateApiTokenError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RevokeApiTokenError> for Failure {
    fn from(error: RevokeApiTokenError) -> Self {
        match error {
            RevokeApiTokenError::Unknown => Self::not_found("API token"),
            RevokeApiTokenError::Forbidden(forbidden) => forbidden.into(),
            RevokeApiTokenError::AlreadyRevoked => {
                Self::conflict("ALREADY_REVOKED", "The API token is revoked already", "revoked")
            }
            RevokeApiTokenError::Store(error) => Self::internal(&error),
        }
    }
}
